//! `hpb bench sessions`: the card's targets and the kernel's in one run, and what is asked of the card beside what it
//! does.
//!
//! It refuses a name that no target has, a name twice, and more sessions than the card's client has ports.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use hpb_host::conditions::Conditions;
use hpb_host::sockperf::SockperfError;
use hpb_host::sys;
use serde::Serialize;

use crate::card::CardTarget;
use crate::kernel::sockperf::{self, CrossCheckError, DIFFERENCE_PERCENT_MAX};
use crate::kernel::{self, KernelOptions};
use crate::report::{MachineLine, Report};
use crate::runner::{self, RunError, TargetResult};
use crate::target::{Target, Work};
use crate::verdict::Verdict;

/// Every target, in the order of the report.
pub const NAMES: [&str; 5] = ["card", "card-encrypted", "kernel-epoll", "kernel-uring", "kernel-uring-encrypted"];
/// Sessions of one target at most: the card's client has one address, and an address 64,512 ports.
pub const SESSIONS_MAX: usize = 60_000;
/// How many times less CPU a round trip of the card takes in closed loop than the better kernel target's.
const CLOSED_LOOP_RATIO_MIN: f64 = 4.0;
/// The same with one message in flight.
const PING_PONG_RATIO_MIN: f64 = 2.0;
/// The same for one peer of a broadcast.
const BROADCAST_RATIO_MIN: f64 = 4.0;
/// What encryption may cost: the encrypted figure over the plain one.
const ENCRYPTED_RATIO_MAX: f64 = 2.0;
/// Bytes of a session of the terminal class, keys included.
const BYTES_PER_SESSION_MAX: f64 = 10_240.0;
/// Memory is judged from here on: with fewer sessions the lane's own is most of it.
const JUDGED_SESSIONS_MIN: usize = 1_000;
/// Sessions and repeats of the cross-check: its tool takes a listening port a session and some seconds a repeat.
const CROSS_CHECK_SESSIONS: usize = 100;
const CROSS_CHECK_REPEATS: usize = 3;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sessions of each target; lowered for all if a kernel target's descriptors do not suffice.
    pub count: usize,
    /// Which targets; each one of [`NAMES`], once.
    pub targets: Vec<&'static str>,
    /// How often each is set up and measured.
    pub repeats: usize,
    /// What the kernel's targets share.
    pub kernel: KernelOptions,
    /// Compare `kernel-epoll` with sockperf, if both are there.
    pub cross_check: bool,
}

/// Why a list of targets is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// No target has that name.
    #[error("there is no target `{0}`: the targets are {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// One target twice.
    #[error("target `{0}` is named twice")]
    Twice(&'static str),
}

/// The target that is called `name`, by the name that lives as long as the program.
///
/// # Errors
/// There is none.
pub fn name(name: &str) -> Result<&'static str, NameError> {
    NAMES.into_iter().find(|known| *known == name).ok_or_else(|| NameError::Unknown(name.to_owned()))
}

/// Puts names into the report's order.
///
/// # Errors
/// One is there twice.
pub fn in_order(names: &[&'static str]) -> Result<Vec<&'static str>, NameError> {
    let count = |name: &&str| names.iter().filter(|other| *other == name).count();
    if let Some(twice) = names.iter().find(|name| count(name) > 1) {
        return Err(NameError::Twice(twice));
    }
    Ok(NAMES.into_iter().filter(|name| names.contains(name)).collect())
}

/// Whether kernel sockets may have the congestion control `name`.
///
/// # Errors
/// The kernel does not have it, or not for this user.
pub fn congestion_control_check(name: &str) -> io::Result<()> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    sys::set_congestion_control(&socket, name)
}

/// The targets called `names`, in the report's order.
pub fn targets(names: &[&str], options: &KernelOptions) -> Vec<Box<dyn Target>> {
    let mut targets: Vec<Box<dyn Target>> = vec![Box::new(CardTarget::new(false)), Box::new(CardTarget::new(true))];
    targets.extend(kernel::targets(options));
    targets.retain(|target| names.contains(&target.name()));
    targets
}

/// A run's figures and what was asked; `--json` prints it. The fields of [`Report`] stand beside `verdicts`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SessionsReport {
    /// The figures.
    #[serde(flatten)]
    pub report: Report,
    /// What was asked of the card, and whether it was met. What a run did not measure is not in it.
    pub verdicts: Vec<Verdict>,
}

/// Measures; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// As [`runner::run`]. A cross-check that fails is a note.
pub fn run(options: &Options, command: String, progress: &mut dyn FnMut(&str)) -> Result<SessionsReport, RunError> {
    let conditions = Conditions::read();
    let mut targets = targets(&options.targets, &options.kernel);
    let count = runner::session_count(&targets, options.count)?;
    let work = Work { repeats: options.repeats, ..Work::new(count.allowed) };
    let outcome = runner::run(&mut targets, &work, progress)?;
    let machine = MachineLine::read(options.kernel.congestion_control.as_deref());
    let mut report = Report::new(machine, command, count, &work, outcome);
    report.notes.extend(conditions.notes());
    if options.cross_check && report.targets.iter().any(|target| target.name == "kernel-epoll") {
        progress("cross-check: sockperf");
        let work = Work { sessions: CROSS_CHECK_SESSIONS, repeats: options.repeats.min(CROSS_CHECK_REPEATS), ..work };
        match sockperf::cross_check(&work) {
            Ok(check) => report.cross_check = Some(check),
            Err(absent @ CrossCheckError::Sockperf(SockperfError::Absent)) => report.notes.push(absent.to_string()),
            Err(error) => report.notes.push(format!("cross-check failed: {error}")),
        }
    }
    Ok(SessionsReport::new(report))
}

impl SessionsReport {
    /// Adds the verdicts to the figures.
    pub fn new(report: Report) -> Self {
        Self { verdicts: verdicts(&report), report }
    }

    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The tables for a terminal, then a line for each verdict.
    pub fn terminal(&self) -> String {
        let mut text = self.report.terminal();
        if !self.verdicts.is_empty() {
            text.push('\n');
        }
        for verdict in &self.verdicts {
            let _ = writeln!(text, "{verdict}");
        }
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = self.report.markdown();
        for verdict in &self.verdicts {
            let _ = writeln!(text, "- {verdict}");
        }
        text
    }
}

/// One figure of a target.
type Figure = fn(&TargetResult) -> f64;

fn verdicts(report: &Report) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if let Some(ratio) = report.ratios.iter().find(|ratio| ratio.name == "card") {
        let against = format!("the better of {}", ratio.against.join(" and "));
        let asked = [
            ("CPU a round trip in closed loop", ratio.closed_loop, CLOSED_LOOP_RATIO_MIN),
            ("CPU a round trip, one in flight", ratio.ping_pong, PING_PONG_RATIO_MIN),
            ("CPU a peer of a broadcast", ratio.broadcast_cpu, BROADCAST_RATIO_MIN),
        ];
        verdicts.extend(asked.map(|(what, times, asked)| {
            Verdict::at_least(format!("card, less {what} than {against}"), times, asked, "x")
        }));
    }
    let result = |name| report.targets.iter().find(|target| target.name == name);
    if let (Some(plain), Some(encrypted)) = (result("card"), result("card-encrypted")) {
        let figures: [(&str, Figure); 3] = [
            ("CPU a round trip in closed loop", |target| target.cpu_ns_per_round_trip),
            ("CPU a round trip, one in flight", |target| target.ping_pong_ns),
            ("CPU a peer of a broadcast", |target| target.broadcast_cpu_ns_per_peer),
        ];
        verdicts.extend(figures.map(|(what, figure)| {
            let times = figure(encrypted) / figure(plain);
            Verdict::at_most(format!("card-encrypted over card, {what}"), times, ENCRYPTED_RATIO_MAX, "x")
        }));
    }
    let judged = |target: &&TargetResult| target.name.starts_with("card") && target.sessions >= JUDGED_SESSIONS_MIN;
    let cards = report.targets.iter().filter(judged);
    verdicts.extend(cards.map(|card| {
        let what = format!("{}, memory of one end of a session", card.name);
        Verdict::at_most(what, card.bytes_per_session, BYTES_PER_SESSION_MAX, "bytes")
    }));
    verdicts.extend(report.cross_check.as_ref().map(|check| {
        let percent = (check.ratio - 1.0).abs() * 100.0;
        Verdict::at_most("kernel-epoll beside sockperf, difference".into(), percent, DIFFERENCE_PERCENT_MAX, "%")
    }));
    verdicts
}

#[cfg(test)]
mod tests;
