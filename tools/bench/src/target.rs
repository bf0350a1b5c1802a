//! What every target is asked to do, and how it is measured: one thread, both ends in it, the same work for all.
//!
//! A figure is a [`Sample`]: how many units were done, in how much wall time, with how much CPU time of the thread.
//! Which one goes into the report is the [`crate::runner`]'s choice. A target refuses work for more sessions than it
//! can hold, and gives up when nothing moves for [`STALL_NS_MAX`].

use std::io;

use hpb_host::sys;

/// Nanoseconds without progress after which a measurement gives up.
pub const STALL_NS_MAX: u64 = 10_000_000_000;

/// The work, the same for every target of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// Sessions of each target, both ends of each; 1 to `base::limits::SESSIONS_MAX`.
    pub sessions: usize,
    /// Bytes of an echo message's body; 1 to 1,024.
    pub message_len: usize,
    /// Bytes of a broadcast's body; 1 to 1,024.
    pub broadcast_len: usize,
    /// How often each target is set up and measured; the medians are reported.
    pub repeats: usize,
    /// Round trips of one closed-loop measurement, at least.
    pub closed_loop_round_trips: u64,
    /// Round trips of one measurement with one message in flight.
    pub ping_pong_round_trips: u64,
    /// Broadcasts of one repeat.
    pub broadcasts: usize,
}

impl Work {
    /// The default work for `sessions`: 64-byte echoes, 256-byte broadcasts, five repeats.
    pub const fn new(sessions: usize) -> Self {
        let everyone_five_times = sessions as u64 * 5;
        Self {
            sessions,
            message_len: 64,
            broadcast_len: 256,
            repeats: 5,
            closed_loop_round_trips: if everyone_five_times > 200_000 { everyone_five_times } else { 200_000 },
            ping_pong_round_trips: 20_000,
            broadcasts: 5,
        }
    }
}

/// One measurement of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Units done: round trips, or peers that a broadcast reached.
    pub count: u64,
    /// Wall time in nanoseconds.
    pub wall_ns: u64,
    /// The thread's CPU time in nanoseconds, its kernel time included.
    pub cpu_ns: u64,
}

impl Sample {
    /// CPU nanoseconds a unit.
    pub fn cpu_ns_each(&self) -> f64 {
        ratio(self.cpu_ns, self.count)
    }

    /// Wall nanoseconds a unit.
    pub fn wall_ns_each(&self) -> f64 {
        ratio(self.wall_ns, self.count)
    }

    /// Units a second of wall time.
    pub fn per_second(&self) -> f64 {
        ratio(self.count, self.wall_ns) * 1e9
    }
}

#[allow(clippy::cast_precision_loss, reason = "a measurement below 2^53 units and nanoseconds (104 days)")]
fn ratio(numerator: u64, denominator: u64) -> f64 {
    numerator as f64 / denominator.max(1) as f64
}

/// Reads both clocks at the start of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    wall_ns: u64,
    cpu_ns: u64,
}

impl Meter {
    /// Starts now.
    pub fn start() -> Self {
        Self { wall_ns: sys::wall_ns(), cpu_ns: sys::thread_cpu_ns() }
    }

    /// The sample from the start until now, on the same thread, for `count` units.
    pub fn stop(self, count: u64) -> Sample {
        let cpu_ns = sys::thread_cpu_ns() - self.cpu_ns;
        Sample { count, wall_ns: sys::wall_ns() - self.wall_ns, cpu_ns }
    }
}

/// Ends a loop that waits for what never comes. It reads the clock once in 1,024 idle turns, so that spinning stays
/// cheap.
#[derive(Clone, Copy, Debug, Default)]
pub struct StallGuard {
    idle_turns: u32,
    idle_since_ns: u64,
}

impl StallGuard {
    /// Counts one turn that did or did not move anything.
    ///
    /// # Errors
    /// [`TargetError::Stalled`] when nothing has moved for [`STALL_NS_MAX`].
    pub fn turn(&mut self, moved: bool) -> Result<(), TargetError> {
        if moved {
            self.idle_turns = 0;
            return Ok(());
        }
        self.idle_turns = self.idle_turns.wrapping_add(1);
        if self.idle_turns.is_multiple_of(1_024) {
            let now_ns = sys::wall_ns();
            if self.idle_turns == 1_024 {
                self.idle_since_ns = now_ns;
            } else if now_ns - self.idle_since_ns > STALL_NS_MAX {
                return Err(TargetError::Stalled);
            }
        }
        Ok(())
    }
}

/// Why a target gave no figure.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// This machine does not offer what the target needs; the others go on.
    #[error("not available here: {0}")]
    Unavailable(String),
    /// Nothing moved for [`STALL_NS_MAX`].
    #[error("nothing moved for {} s", STALL_NS_MAX / 1_000_000_000)]
    Stalled,
    /// A system call failed.
    #[error("a system call failed: {0}")]
    Io(#[from] io::Error),
    /// A handshake or a record failed.
    #[error("a handshake or record failed: {0}")]
    Noise(#[from] snow::Error),
    /// A peer sent what the work does not contain.
    #[error("unexpected bytes: {0}")]
    Unexpected(&'static str),
    /// The target's own failure, in its words.
    #[error("{0}")]
    Other(String),
}

/// One way to hold N sessions, both ends of each in the calling thread.
///
/// A name that begins with `kernel-` is a comparison; one that ends with `-encrypted` protects its messages. The report
/// chooses what to compare by these two rules.
///
/// The runner calls [`establish`](Target::establish), then the measurements in any order and number, then
/// [`close`](Target::close), once a repeat. Between measurements nothing is in flight.
pub trait Target {
    /// The target's name in options and reports.
    fn name(&self) -> &'static str;

    /// Descriptors that one session takes, both ends: 2 for kernel TCP, 0 for the card.
    fn descriptors_per_session(&self) -> usize;

    /// Brings `work.sessions` sessions up, handshakes included. Not measured here; the runner times it as a whole.
    ///
    /// # Errors
    /// [`TargetError::Unavailable`] when this machine cannot run the target at all.
    fn establish(&mut self, work: &Work) -> Result<(), TargetError>;

    /// Every session has one message in flight, until at least `round_trips` came back; the measurement begins with all
    /// of them sent and ends with all of them in flight, and what is left is drained after it.
    ///
    /// # Errors
    /// As the target fails.
    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError>;

    /// One message in flight in all, `round_trips` times, over sessions that change each time so that no session's
    /// state stays in the cache ([`ping_pong_session`]).
    ///
    /// # Errors
    /// As the target fails.
    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError>;

    /// The server sends one message of `work.broadcast_len` to every session; ends when the last client has it.
    /// `count` is the number of sessions.
    ///
    /// # Errors
    /// As the target fails.
    fn broadcast(&mut self) -> Result<Sample, TargetError>;

    /// Bytes of one session's one end, where the target knows better than [`crate::memory`]; `None` has the runner
    /// measure the process and the kernel, halved.
    fn bytes_per_session(&self) -> Option<f64>;

    /// Ends all sessions and frees what they held.
    fn close(&mut self);
}

/// The session of round trip `round` with one message in flight: a walk by a prime, so that neighbours in time are no
/// neighbours in memory.
pub const fn ping_pong_session(round: u64, sessions: usize) -> usize {
    (round.wrapping_mul(7_919) % sessions as u64) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_sample_divides_by_its_count() {
        let sample = Sample { count: 4, wall_ns: 2_000, cpu_ns: 1_000 };
        assert!((sample.cpu_ns_each() - 250.0).abs() < 1e-9);
        assert!((sample.wall_ns_each() - 500.0).abs() < 1e-9);
        assert!((sample.per_second() - 2e6).abs() < 1e-3);
    }

    #[test]
    fn the_walk_visits_every_session() {
        for sessions in [1, 2, 100, 9_900, 10_000] {
            let mut seen = vec![false; sessions];
            for round in 0..sessions as u64 {
                seen[ping_pong_session(round, sessions)] = true;
            }
            assert!(seen.iter().all(|seen| *seen), "{sessions}");
        }
    }

    #[test]
    fn the_default_work_reaches_everyone_five_times() {
        assert_eq!(Work::new(100).closed_loop_round_trips, 200_000);
        assert_eq!(Work::new(100_000).closed_loop_round_trips, 500_000);
    }

    #[test]
    fn idle_turns_alone_are_no_stall() {
        let mut guard = StallGuard::default();
        for turn in 0..10_000 {
            guard.turn(turn % 3_000 == 0).unwrap();
        }
    }
}
