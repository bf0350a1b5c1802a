//! The cross-check: what `sockperf`, a tool that is not ours, measures over the same number of sessions, beside
//! `kernel-epoll`.
//!
//! sockperf runs as two processes (server and client), one message in flight, its sessions in turn, both asleep in
//! epoll while they wait. To compare like with like, [`two_threads`] runs our server and client halves on a thread
//! each, asleep in the same way; the figures of the report's `kernel-epoll` come from one thread and are lower. sockperf
//! prints half round trips unless asked (`--full-rtt`), and takes `tcp` from the feed file, not from its option.
//! Medians are compared: a tail on a busy machine says nothing about the tool.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use hpb_host::sockperf::{self, Server, SockperfError};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::kernel::KernelOptions;
use crate::kernel::epoll::two_threads;
use crate::target::{TargetError, Work};

/// What the comparison must stay within, in percent of sockperf's figure.
pub const DIFFERENCE_PERCENT_MAX: f64 = 15.0;

/// Sessions of a cross-check at most. Each is a listening port of sockperf's server and a line of its feed file, and has
/// a receive buffer of its own there, so that beyond some hundreds its cache misses are compared with our one buffer:
/// measured 0.90 of its round trip at 1 and at 100 sessions, 0.79 at 1,000.
const SESSIONS_MAX: usize = 100;
/// Seconds that sockperf measures in one repeat.
const MEASURE_S: u32 = 2;
/// Round trips of ours in one repeat: about as long, so that both see the same machine.
const ROUND_TRIPS: u64 = 200_000;

/// The two tools side by side.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CrossCheck {
    /// Sessions of each tool.
    pub sessions: usize,
    /// Repeats, taken in turns; the figures are their medians.
    pub repeats: usize,
    /// Our median round trip on two threads, wall nanoseconds.
    pub kernel_epoll_ns: f64,
    /// sockperf's median round trip between two processes, wall nanoseconds.
    pub sockperf_ns: f64,
    /// Ours divided by sockperf's.
    pub ratio: f64,
}

impl CrossCheck {
    /// Whether the two agree to within [`DIFFERENCE_PERCENT_MAX`].
    pub fn agrees(&self) -> bool {
        (self.ratio - 1.0).abs() * 100.0 <= DIFFERENCE_PERCENT_MAX
    }
}

impl fmt::Display for CrossCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cross-check, {} sessions, one in flight, median of {}: kernel-epoll on two threads {:.0} ns, sockperf in \
             two processes {:.0} ns, ratio {:.2} ({} {DIFFERENCE_PERCENT_MAX:.0} %)",
            self.sessions,
            self.repeats,
            self.kernel_epoll_ns,
            self.sockperf_ns,
            self.ratio,
            if self.agrees() { "within" } else { "NOT within" },
        )
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CrossCheckError {
    /// The tool is not installed, or gave nothing.
    #[error("cross-check: {0}")]
    Sockperf(#[from] SockperfError),
    /// Our own half failed.
    #[error("kernel-epoll on two threads: {0}")]
    Ours(#[from] TargetError),
    /// A file, port or process could not be had.
    #[error("cross-check: {0}")]
    Io(#[from] io::Error),
}

/// Runs both tools `work.repeats` times in turns over `work.sessions` sessions (at most 100), with the machine's default
/// congestion control, since sockperf has no other.
///
/// # Errors
/// [`SockperfError::Absent`] where sockperf is not installed, to be printed and passed over.
pub fn cross_check(work: &Work) -> Result<CrossCheck, CrossCheckError> {
    let work = Work { sessions: work.sessions.min(SESSIONS_MAX), ping_pong_round_trips: ROUND_TRIPS, ..*work };
    sockperf::find()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..work.repeats.max(1) {
        theirs.push(sockperf_round_trip_ns(&work)?);
        #[allow(clippy::cast_precision_loss, reason = "a round trip below 2^53 ns")]
        ours.push(two_threads(&work, &KernelOptions::default())?.value_at_quantile(0.5) as f64);
    }
    let (kernel_epoll_ns, sockperf_ns) = (crate::runner::median(&mut ours), crate::runner::median(&mut theirs));
    Ok(CrossCheck {
        sessions: work.sessions,
        repeats: work.repeats.max(1),
        kernel_epoll_ns,
        sockperf_ns,
        ratio: kernel_epoll_ns / sockperf_ns,
    })
}

fn sockperf_round_trip_ns(work: &Work) -> Result<f64, CrossCheckError> {
    let feed = feed_file(work.sessions)?;
    let _server = start_server(feed.path())?;
    let output = Command::new("sockperf")
        .args(["ping-pong", "-F", "e", "--full-rtt", "-t", &MEASURE_S.to_string(), "-m", &work.message_len.to_string()])
        .arg("-f")
        .arg(feed.path())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    median_us(&text).map(|us| us * 1_000.0).ok_or_else(|| {
        let last = text.lines().last().unwrap_or("no output");
        SockperfError::Said(format!("no median in its report; its last line: {last}")).into()
    })
}

/// A feed file: one line `T:address:port` a session, on ports that were free a moment ago.
fn feed_file(sessions: usize) -> io::Result<NamedTempFile> {
    let held: Vec<TcpListener> =
        (0..sessions).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    let mut file = NamedTempFile::with_prefix("hpb-bench-feed-")?;
    for listener in &held {
        writeln!(file, "T:{}", listener.local_addr()?)?;
    }
    file.flush()?;
    Ok(file)
}

fn start_server(feed: &Path) -> Result<Server, SockperfError> {
    sockperf::start(Command::new("sockperf").args(["server", "-F", "e", "-f"]).arg(feed))
}

/// The line `percentile 50.000 = 7.866` of sockperf's report, in microseconds.
fn median_us(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("percentile 50.000"))?;
    line.rsplit('=').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_median_is_read_from_the_report() {
        let report = "sockperf: ====> avg-rtt=8.4\nsockperf: ---> percentile 75.000 =    8.065\n\
                      sockperf: ---> percentile 50.000 =    7.866\nsockperf: ---> <MIN> observation =    3.586\n";
        assert_eq!(median_us(report), Some(7.866));
        assert_eq!(median_us("sockperf: ERROR: no messages"), None);
    }

    #[test]
    fn agreement_is_a_matter_of_percent() {
        let check = |ratio| CrossCheck { sessions: 1, repeats: 1, kernel_epoll_ns: ratio, sockperf_ns: 1.0, ratio };
        assert!(check(1.0).agrees() && check(0.86).agrees() && check(1.14).agrees());
        assert!(!check(0.84).agrees() && !check(1.16).agrees());
        assert!(check(1.16).to_string().contains("NOT within 15 %"));
    }

    #[test]
    fn the_feed_names_a_port_a_session() {
        let file = feed_file(3).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("T:127.0.0.1:")));
    }
}
