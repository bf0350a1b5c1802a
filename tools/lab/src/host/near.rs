//! The near side: it has the schedule, sends when messages are meant to leave, and takes the answers.

use std::collections::VecDeque;

use hpb_base::Instant;

use super::carrier::{Carrier, EVERYBODY, stamp};
use super::logs::{Arrival, STALL_MAX, Sent, list};
use super::window::{CpuMeter, Shared, Window, now};
use crate::load::{Due, Schedule};
use crate::scenario::{Arrivals, Pattern, Scenario};
use crate::target::TargetError;

/// The stream of the seed from which loads are drawn.
const LOAD_STREAM: u64 = 1;
/// What sets the dice of one repeat apart from those of the next.
const REPEAT_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A message that is to leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outgoing {
    /// Its number.
    pub(crate) number: u64,
    /// Over which session, or to [`EVERYBODY`].
    pub(crate) session: u32,
    /// When it was meant to leave.
    pub(crate) intended: Instant,
}

/// What is meant to leave, and what was.
pub(crate) struct Book {
    schedule: Schedule,
    pattern: Pattern,
    sessions: u32,
    end: Instant,
    is_closed: bool,
    waiting: VecDeque<Outgoing>,
    /// All that was meant to leave.
    pub(crate) sent: Vec<Sent>,
}

impl Book {
    /// The load of repeat `number`; a closed loop's first messages wait already.
    pub(crate) fn new(scenario: &Scenario, window: &Window, number: u32) -> Self {
        let seed = scenario.seed.wrapping_add(u64::from(number).wrapping_mul(REPEAT_STEP));
        let arrivals = scenario.load.arrivals;
        let schedule = Schedule::new(arrivals, scenario.sessions, window.start, window.end, seed, LOAD_STREAM);
        let filler = Sent { session: 0, intended: window.start, left: None };
        let mut book = Self {
            schedule,
            pattern: scenario.load.pattern,
            sessions: scenario.sessions,
            end: window.end,
            is_closed: matches!(arrivals, Arrivals::Closed { .. }),
            waiting: VecDeque::new(),
            sent: list(scenario, filler),
        };
        if let Arrivals::Closed { in_flight } = arrivals {
            for session in (0..scenario.sessions).flat_map(|session| (0..in_flight).map(move |_| session)) {
                book.note(Due { at: window.start, session });
            }
        }
        book
    }

    /// The next message that is to leave by `now`.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Outgoing> {
        if self.waiting.is_empty() {
            let due = self.schedule.take_due(now)?;
            self.note(due);
        }
        self.waiting.pop_front()
    }

    /// A message left, or the first of its copies, at `at`.
    pub(crate) fn left(&mut self, number: u64, at: Instant) {
        if let Some(sent) = self.sent.get_mut(number as usize) {
            sent.left = Some(at);
        }
    }

    /// An answer came: a closed loop goes on.
    pub(crate) fn answered(&mut self, session: u32, at: Instant) {
        if self.is_closed && at < self.end {
            self.note(Due { at, session });
        }
    }

    /// When the next message of an open loop is meant to leave.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.schedule.next_at()
    }

    fn note(&mut self, due: Due) {
        let Due { at: intended, session } = due;
        match self.pattern {
            Pattern::Incast => (0..self.sessions).for_each(|session| self.note_one(session, intended)),
            Pattern::FanOut => self.note_one(EVERYBODY, intended),
            Pattern::RequestReply | Pattern::OneWay | Pattern::Reconnect | Pattern::Confirm => {
                self.note_one(session, intended);
            }
        }
    }

    fn note_one(&mut self, session: u32, intended: Instant) {
        let number = self.sent.len() as u64;
        self.sent.push(Sent { session, intended, left: None });
        self.waiting.push_back(Outgoing { number, session, intended });
    }
}

/// The near side of one repeat.
pub(crate) struct Near<'run, C> {
    pub(crate) carrier: C,
    scenario: &'run Scenario,
    shared: &'run Shared,
    number: u32,
    message: Vec<u8>,
    run: Option<(Window, Book)>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) cpu: CpuMeter,
    /// Sessions that had ended by themselves when nothing more was meant to leave.
    sessions_lost: Option<u64>,
    began_at: Instant,
    retransmitted_before: u64,
}

/// What the near side leaves.
pub(crate) struct NearDone<C> {
    /// Its carrier.
    pub(crate) carrier: C,
    /// When it was.
    pub(crate) window: Window,
    /// What was meant to leave.
    pub(crate) sent: Vec<Sent>,
    /// What came back.
    pub(crate) arrivals: Vec<Arrival>,
    /// Processor time of its thread while it measured, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Segments sent again.
    pub(crate) retransmitted: u64,
    /// Sessions that ended by themselves while something was meant to leave; what the other side ends after that is its
    /// right.
    pub(crate) sessions_lost: u64,
}

impl<'run, C: Carrier> Near<'run, C> {
    pub(crate) fn new(carrier: C, scenario: &'run Scenario, shared: &'run Shared, number: u32) -> Self {
        let filler = Arrival { number: 0, session: 0, at: Instant::ZERO };
        Self {
            carrier,
            scenario,
            shared,
            number,
            message: vec![0; scenario.load.request_len as usize],
            run: None,
            arrivals: list(scenario, filler),
            cpu: CpuMeter::default(),
            sessions_lost: None,
            began_at: now(),
            retransmitted_before: 0,
        }
    }

    /// What both sides know of each other.
    pub(crate) fn shared(&self) -> &'run Shared {
        self.shared
    }

    /// One turn; whether the repeat goes on.
    ///
    /// # Errors
    /// As the carrier fails, or sessions do not open.
    pub(crate) fn turn(&mut self) -> Result<bool, TargetError> {
        let at = now();
        let (shared, arrivals) = (self.shared, &mut self.arrivals);
        if let Some((window, book)) = &mut self.run {
            self.cpu.look(at, window);
            if at >= window.end && self.sessions_lost.is_none() {
                self.sessions_lost = Some(self.carrier.lost());
            }
            while let Some(outgoing) = book.next(at) {
                stamp(&mut self.message, outgoing.number, outgoing.intended);
                let left = now();
                if self.carrier.send(outgoing.session, &self.message)? {
                    book.left(outgoing.number, left);
                }
            }
            self.carrier.flush()?;
            self.carrier.receive(&mut [], &mut |head| {
                arrivals.push(Arrival { number: head.number, session: head.session, at: head.at });
                book.answered(head.session, head.at);
                false
            })?;
            return Ok(at < window.end || (at < window.over && !self.is_settled()));
        }
        self.carrier.flush()?;
        self.carrier.receive(&mut [], &mut |_| false)?;
        if let Some(window) = shared.near_is_open(self.carrier.is_open(), self.scenario) {
            self.retransmitted_before = self.carrier.retransmitted();
            self.run = Some((window, Book::new(self.scenario, &window, self.number)));
        } else if at.since(self.began_at) > STALL_MAX {
            return Err(TargetError::Failed(format!("not all sessions opened within {STALL_MAX:?}")));
        }
        Ok(true)
    }

    /// Whether all that left has come.
    fn is_settled(&self) -> bool {
        let Some((_, book)) = &self.run else { return false };
        let came = if self.scenario.load.pattern == Pattern::RequestReply {
            self.arrivals.len() as u64
        } else {
            self.shared.arrived()
        };
        let receivers = if book.pattern == Pattern::FanOut { u64::from(book.sessions) } else { 1 };
        book.waiting.is_empty() && book.next_at().is_none() && came >= book.sent.len() as u64 * receivers
    }

    /// What it leaves.
    ///
    /// # Errors
    /// The repeat never began.
    pub(crate) fn finish(self) -> Result<NearDone<C>, TargetError> {
        let (window, book) = self.run.ok_or_else(|| TargetError::Failed("the repeat never began".to_owned()))?;
        Ok(NearDone {
            retransmitted: self.carrier.retransmitted().saturating_sub(self.retransmitted_before),
            sessions_lost: self.sessions_lost.unwrap_or_else(|| self.carrier.lost()),
            carrier: self.carrier,
            window,
            sent: book.sent,
            arrivals: self.arrivals,
            cpu_ns: self.cpu.used_ns(),
        })
    }
}

#[cfg(test)]
mod tests;
