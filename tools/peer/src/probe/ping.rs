//! `hpb peer ping`: round trips to a peer, by messages of a session or by connections, with loss and a histogram.
//!
//! Over TCP nothing that is said is lost for good: a ping whose pong takes longer than the patience counts as lost, and
//! one whose segment was sent again shows among the retransmissions. A connection's SYN is lost where it was sent again.

use std::time::Duration;

use hpb_types::message::Message;
use serde::Serialize;

use super::connect::{self, How, TcpOutcome};
use super::session::{Ended, Session, Target};
use super::sys;
use super::text::{Paint, bar, counted, line, micros, share};

/// Rounds that may be asked for.
pub const COUNT_MAX: u32 = 100_000;

/// How often, and how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rhythm {
    /// Rounds: 1 to [`COUNT_MAX`].
    pub count: u32,
    /// From one to the next; zero for each as soon as the last is done.
    pub interval: Duration,
}

/// What the rounds came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Rounds {
    /// Asked.
    pub sent: u32,
    /// Answered in time.
    pub received: u32,
    /// Segments or SYNs that this host sent again.
    pub retransmitted: u32,
    /// The shortest, in microseconds.
    pub min_us: u64,
    /// Half took no longer.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// The mean difference of two in a row.
    pub jitter_us: u64,
    /// What the kernel takes the round trip for, in microseconds.
    pub kernel_us: u64,
    /// How many took less than the doubles of a microsecond: `[64, 3]`, three took 32 to 64.
    pub histogram: Vec<(u64, u32)>,
    /// Why it ended early.
    pub ended: Option<String>,
}

/// A ping's result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PingReport {
    /// Whom.
    pub address: String,
    /// `session` or `tcp`.
    pub level: &'static str,
    /// The rounds.
    #[serde(flatten)]
    pub rounds: Rounds,
}

/// By connections: each round is a connection that is opened and closed.
pub fn by_tcp(target: &Target, rhythm: Rhythm) -> PingReport {
    let (mut samples, mut rounds) = (Vec::new(), Rounds::default());
    let mut at_ns = sys::monotonic_ns();
    for _ in 0..rhythm.count {
        at_ns = pause_until(at_ns, rhythm.interval, rounds.sent > 0);
        rounds.sent += 1;
        let (attempt, stream) = connect::connect(target.address, &How::usual(target.patience));
        rounds.retransmitted += attempt.syns - 1;
        match attempt.outcome {
            // A refusal makes the way there and back too.
            TcpOutcome::Open | TcpOutcome::Refused => samples.push(attempt.took_us),
            TcpOutcome::Silent => {}
            outcome => rounds.ended = Some(outcome.words()),
        }
        if let Some(info) = stream.and_then(|stream| super::tcp_info::TcpInfo::of(&stream).ok()) {
            rounds.kernel_us = info.round_trip.as_micros() as u64;
        }
        if rounds.ended.is_some() {
            break;
        }
    }
    rounds.sum_up(&samples);
    PingReport { address: target.address.to_string(), level: "tcp", rounds }
}

/// By messages of an open session.
pub fn by_session(target: &Target, session: &mut Session, rhythm: Rhythm) -> PingReport {
    let (mut samples, mut rounds) = (Vec::new(), Rounds::default());
    let before = session.tcp();
    let mut at_ns = sys::monotonic_ns();
    for nonce in 0..u64::from(rhythm.count) {
        at_ns = pause_until(at_ns, rhythm.interval, rounds.sent > 0);
        rounds.sent += 1;
        match round(session, nonce, target.patience) {
            Ok(took_ns) => samples.extend(took_ns.map(|ns| ns / 1_000)),
            Err(ended) => {
                rounds.ended = Some(ended.words());
                break;
            }
        }
    }
    let after = session.tcp();
    rounds.retransmitted = after.retransmitted.saturating_sub(before.retransmitted);
    rounds.kernel_us = after.round_trip.as_micros() as u64;
    rounds.sum_up(&samples);
    PingReport { address: target.address.to_string(), level: "session", rounds }
}

/// One ping; how long its pong took in nanoseconds, if it came in time.
fn round(session: &mut Session, nonce: u64, patience: Duration) -> Result<Option<u64>, Ended> {
    let began_ns = sys::monotonic_ns();
    session.say(&Message::Ping(nonce))?;
    let deadline_ns = began_ns + patience.as_nanos() as u64;
    while let Some(heard) = session.hear(deadline_ns)? {
        if heard.message == Message::Pong(nonce) {
            return Ok(Some(heard.at_ns.saturating_sub(began_ns)));
        }
    }
    Ok(None)
}

/// Waits until a round is due, by the one before it; when it is.
fn pause_until(before_ns: u64, interval: Duration, is_next: bool) -> u64 {
    if !is_next {
        return before_ns;
    }
    let due_ns = before_ns + interval.as_nanos() as u64;
    let now_ns = sys::monotonic_ns();
    if due_ns <= now_ns {
        return now_ns;
    }
    super::rest(Duration::from_nanos(due_ns - now_ns));
    due_ns
}

impl Rounds {
    fn sum_up(&mut self, samples: &[u64]) {
        self.received = samples.len() as u32;
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |permille: usize| {
            let place = (sorted.len() * permille).div_ceil(1_000).max(1) - 1;
            sorted.get(place).copied().unwrap_or(0)
        };
        (self.min_us, self.p50_us, self.p99_us, self.max_us) = (at(0), at(500), at(990), at(1_000));
        let steps: u64 = samples.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum();
        self.jitter_us = steps / (samples.len().max(2) as u64 - 1);
        for sample in sorted {
            let below = (sample + 1).next_power_of_two();
            match self.histogram.last_mut() {
                Some((last, count)) if *last == below => *count += 1,
                _ => self.histogram.push((below, 1)),
            }
        }
    }

    /// Rounds without an answer in time.
    pub fn lost(&self) -> u32 {
        self.sent - self.received
    }
}

impl PingReport {
    /// Whether every round was answered.
    pub fn is_well(&self) -> bool {
        self.rounds.lost() == 0 && self.rounds.ended.is_none() && self.rounds.sent > 0
    }

    /// The figures, the histogram, and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let (rounds, mut text) = (&self.rounds, String::new());
        let by = if self.level == "tcp" { "by connections" } else { "by messages of a session" };
        line(&mut text, "peer", &format!("{} {by}", self.address));
        let lost = format!("{} lost ({})", rounds.lost(), share(rounds.lost().into(), rounds.sent.into()));
        let lost = if rounds.lost() == 0 { paint.good(&lost) } else { paint.bad(&lost) };
        let again = counted(rounds.retransmitted.into(), if self.level == "tcp" { "SYN" } else { "segment" });
        line(
            &mut text,
            "rounds",
            &format!("{} sent, {} answered, {lost}, {again} sent again", rounds.sent, rounds.received),
        );
        if rounds.received > 0 {
            let figures = format!(
                "p50 {}, p99 {}, {} to {}, jitter {}",
                micros(rounds.p50_us),
                micros(rounds.p99_us),
                micros(rounds.min_us),
                micros(rounds.max_us),
                micros(rounds.jitter_us)
            );
            line(&mut text, "round trip", &figures);
        }
        if rounds.kernel_us > 0 {
            line(
                &mut text,
                "of TCP alone",
                &format!("{}, as this host's kernel measures it", micros(rounds.kernel_us)),
            );
        }
        let most = rounds.histogram.iter().map(|(_, count)| u64::from(*count)).max().unwrap_or(0);
        for (below, count) in &rounds.histogram {
            let label = format!("  < {}", micros(*below));
            line(&mut text, &label, &format!("{:<7} {}", count, bar(u64::from(*count), most)));
        }
        if let Some(ended) = &rounds.ended {
            line(&mut text, "ended", &paint.bad(ended));
        }
        text.push('\n');
        text.push_str(self.explanation());
        text.push('\n');
        text
    }

    fn explanation(&self) -> &'static str {
        match (self.level, self.rounds.lost(), self.rounds.retransmitted) {
            (_, lost, _) if lost == self.rounds.sent => "Nothing came back: `hpb peer doctor` looks for the cause.",
            (_, 0, 0) => "Every round was answered, and nothing had to be sent again.",
            (_, 0, _) => "Every round was answered, but something was sent again: packets are lost on the way.",
            ("tcp", ..) => {
                "Some connections were not answered: packets are lost on the way, or the peer sheds callers."
            }
            _ => "Some pongs took longer than the patience: packets are lost on the way, or the peer is overloaded.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summed_up() {
        let mut rounds = Rounds { sent: 5, ..Rounds::default() };
        rounds.sum_up(&[100, 40, 60, 50]);
        assert_eq!((rounds.lost(), rounds.min_us, rounds.p50_us, rounds.p99_us, rounds.max_us), (1, 40, 50, 100, 100));
        assert_eq!(rounds.jitter_us, (60 + 20 + 10) / 3);
        assert_eq!(rounds.histogram, [(64, 3), (128, 1)]);
        let mut none = Rounds { sent: 2, ..Rounds::default() };
        none.sum_up(&[]);
        assert_eq!((none.lost(), none.max_us), (2, 0));
    }
}
