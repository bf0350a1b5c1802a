//! A lane's tape: all that it was told, so that another run of the same code does the same, frame for frame.
//!
//! A lane is a function of its set-up, its inputs and their instants. A [`TapedLane`] is a lane whose driver's calls are
//! written down, beside a capture of the frames that crossed; [`Replay`] makes the same calls to a fresh lane and holds
//! each frame that it sends against the one that was captured. The tape holds the lane's secret and its identities'
//! keys: whoever has it can read what the capture's sessions said.
//!
//! Turns in which nothing came, rang or left are not written: a lane that spins would fill a disk with them. It refuses
//! the lanes of a card of several: frames cross between those on other ways than the port.

mod file;
mod replay;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Deref;
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_net::capture::Way;
use hpb_net::frame::{Bursts, Frame};
use hpb_types::message::diagnose::{Banned, Goodbye};

use crate::card::{Command, EventBatch, SessionId};
use crate::class::Priority;
use crate::lane::{Lane, LaneError, SendError};
use crate::registers::Register;
use crate::secure::{CryptoJob, CryptoResult};

pub use file::{TapeError, TapeReader, TapeWriter};
pub use replay::{Captured, Parted, Replay, ReplayError};
pub use words::{Called, End, Entry, ReceivedFrame, TapeHead};

/// Where a tape and its capture go.
pub trait TapeSink: Send {
    /// A frame crossed between the lane and its port.
    fn frame(&mut self, at: Instant, way: Way, bytes: &[u8]);

    /// The lane was called.
    fn entry(&mut self, entry: &Entry);

    /// Whether it takes no more: the tape then ends before the next turn.
    fn is_full(&self) -> bool;
}

/// Free frames beyond so many are as good as any number: a turn takes fewer.
const ROOM_MAX: usize = 4_096;

/// A lane whose calls may be taped. What only reads it goes to the lane itself.
pub struct TapedLane {
    lane: Lane,
    tape: Option<Tape>,
}

/// What the tape remembers between two calls.
struct Tape {
    sink: Box<dyn TapeSink>,
    /// Frames that the last call left in each burst.
    rx_len: usize,
    tx_len: usize,
    /// Frames at the front of the send burst that were captured.
    noted: usize,
    /// The last receiving call, if it did nothing: it counts only if what follows does something.
    idle: Option<Entry>,
}

impl TapedLane {
    /// A lane without a tape.
    pub fn untaped(lane: Lane) -> Self {
        Self { lane, tape: None }
    }

    /// A fresh lane, as [`Lane::new`] of what `head` says, whose calls go to `sink`.
    ///
    /// # Errors
    /// As [`Lane::new`].
    pub fn taped(head: &TapeHead, sink: Box<dyn TapeSink>) -> Result<Self, LaneError> {
        let lane = Lane::new(head.config.clone(), head.capabilities, Instant::from_nanos(head.began_ns))?;
        let tape = Tape { sink, rx_len: 0, tx_len: 0, noted: 0, idle: None };
        Ok(Self { lane, tape: Some(tape) })
    }

    /// The lane itself, for what no tape holds; none while it is taped.
    pub fn untaped_mut(&mut self) -> Option<&mut Lane> {
        self.tape.is_none().then_some(&mut self.lane)
    }

    /// As [`Lane::handle`].
    pub fn handle(&mut self, now: Instant, command: Command) {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Handle { at_ns: now.as_nanos(), command: command.clone() });
        }
        self.lane.handle(now, command);
    }

    /// As [`Lane::receive`].
    pub fn receive(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        if self.tape.as_ref().is_some_and(|tape| tape.sink.is_full()) {
            self.end_tape();
        }
        let Some(tape) = &mut self.tape else { return self.lane.receive(now, bursts) };
        let came = &bursts.rx[tape.rx_len.min(bursts.rx.len())..];
        for frame in came {
            tape.sink.frame(now, Way::In, frame.bytes());
        }
        let frames: Vec<ReceivedFrame> = came.iter().map(ReceivedFrame::of).collect();
        let is_held = self.lane.register(Register::BackPressure).0 != 0;
        let called = tape.called(now, bursts);
        let before = (bursts.tx.len(), bursts.host.len());
        let is_idle = frames.is_empty() && !is_held;
        let busy = self.lane.receive(now, bursts);
        let did_nothing = is_idle && !busy && before == (bursts.tx.len(), bursts.host.len());
        (tape.rx_len, tape.tx_len) = (bursts.rx.len(), bursts.tx.len());
        let entry = Entry::Receive { called, frames };
        if did_nothing {
            tape.idle = Some(entry);
        } else {
            tape.idle = None;
            tape.put(&entry);
        }
        busy
    }

    /// As [`Lane::transmit`].
    pub fn transmit(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        let Some(tape) = &mut self.tape else { return self.lane.transmit(now, bursts) };
        let called = tape.called(now, bursts);
        let before = (bursts.tx.len(), bursts.host.len());
        let busy = self.lane.transmit(now, bursts);
        let did_nothing = !busy && before == (bursts.tx.len(), bursts.host.len());
        for frame in bursts.tx.iter().skip(tape.noted) {
            tape.sink.frame(now, Way::Out, frame.bytes());
        }
        let fresh = bursts.tx.len() != tape.noted;
        (tape.noted, tape.tx_len, tape.rx_len) = (bursts.tx.len(), bursts.tx.len(), bursts.rx.len());
        if did_nothing && !fresh {
            tape.idle = None;
        } else {
            tape.put(&Entry::Transmit { called });
        }
        busy
    }

    /// As [`Lane::send`].
    ///
    /// # Errors
    /// As [`Lane::send`].
    pub fn send(&mut self, id: SessionId, priority: Priority, kind: u8, body: &[u8]) -> Result<(), SendError> {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Send { session: id, priority, kind, body: body.to_vec() });
        }
        self.lane.send(id, priority, kind, body)
    }

    /// As [`Lane::send_shared`].
    ///
    /// # Errors
    /// As [`Lane::send_shared`].
    pub fn send_shared(&mut self, id: SessionId, priority: Priority, message: &Arc<[u8]>) -> Result<(), SendError> {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::SendShared { session: id, priority, message: Arc::clone(message) });
        }
        self.lane.send_shared(id, priority, message)
    }

    /// As [`Lane::take_events`].
    pub fn take_events(&mut self, batch: &mut EventBatch) {
        self.lane.take_events(batch);
        if let Some(tape) = self.tape.as_mut().filter(|_| !batch.is_empty()) {
            tape.put(&Entry::TakeEvents);
        }
    }

    /// As [`Lane::take_job`].
    pub fn take_job(&mut self) -> Option<CryptoJob> {
        let job = self.lane.take_job()?;
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::TakeJob);
        }
        Some(job)
    }

    /// As [`Lane::finish_job`].
    pub fn finish_job(&mut self, now: Instant, result: CryptoResult) {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::FinishJob { at_ns: now.as_nanos(), session: result.session });
        }
        self.lane.finish_job(now, result);
    }

    /// Ends the tape: the lane goes on without one.
    pub fn end_tape(&mut self) {
        if let Some(mut tape) = self.tape.take() {
            tape.idle = None;
            tape.put(&Entry::End(End::of(&self.lane)));
        }
    }
}

/// What an operator may do to a running lane, whether it is taped or not; what only looks at it needs no more than the
/// lane itself.
pub trait Operated: AsRef<Lane> {
    /// As [`Lane::handle`].
    fn handle(&mut self, now: Instant, command: Command);

    /// As [`Lane::disconnect`].
    fn disconnect(&mut self, id: SessionId) -> bool;

    /// As [`Lane::ban`].
    fn ban(&mut self, now: Instant, who: Banned, seconds: u32) -> bool;

    /// As [`Lane::unban`].
    fn unban(&mut self, now: Instant, who: &Banned) -> bool;

    /// The lane, for its captures alone: what they keep changes nothing that it does, and is on no tape.
    fn capturing(&mut self) -> &mut Lane;

    /// As [`Lane::leave`].
    fn leave(&mut self, now: Instant, goodbye: Goodbye, within: Duration);
}

impl AsRef<Lane> for Lane {
    fn as_ref(&self) -> &Lane {
        self
    }
}

impl AsRef<Lane> for TapedLane {
    fn as_ref(&self) -> &Lane {
        &self.lane
    }
}

impl Operated for Lane {
    fn handle(&mut self, now: Instant, command: Command) {
        Self::handle(self, now, command);
    }

    fn disconnect(&mut self, id: SessionId) -> bool {
        Self::disconnect(self, id)
    }

    fn ban(&mut self, now: Instant, who: Banned, seconds: u32) -> bool {
        Self::ban(self, now, who, seconds)
    }

    fn unban(&mut self, now: Instant, who: &Banned) -> bool {
        Self::unban(self, now, who)
    }

    fn capturing(&mut self) -> &mut Lane {
        self
    }

    fn leave(&mut self, now: Instant, goodbye: Goodbye, within: Duration) {
        Self::leave(self, now, goodbye, within);
    }
}

impl Operated for TapedLane {
    fn handle(&mut self, now: Instant, command: Command) {
        Self::handle(self, now, command);
    }

    fn disconnect(&mut self, id: SessionId) -> bool {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Disconnect { session: id });
        }
        self.lane.disconnect(id)
    }

    fn ban(&mut self, now: Instant, who: Banned, seconds: u32) -> bool {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Ban { at_ns: now.as_nanos(), who, seconds });
        }
        self.lane.ban(now, who, seconds)
    }

    fn unban(&mut self, now: Instant, who: &Banned) -> bool {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Unban { at_ns: now.as_nanos(), who: *who });
        }
        self.lane.unban(now, who)
    }

    fn capturing(&mut self) -> &mut Lane {
        &mut self.lane
    }

    fn leave(&mut self, now: Instant, goodbye: Goodbye, within: Duration) {
        if let Some(tape) = &mut self.tape {
            tape.put(&Entry::Leave { at_ns: now.as_nanos(), goodbye, within_ns: within.as_nanos() });
        }
        self.lane.leave(now, goodbye, within);
    }
}

impl Deref for TapedLane {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl Tape {
    fn put(&mut self, entry: &Entry) {
        if let Some(idle) = self.idle.take() {
            self.sink.entry(&idle);
        }
        self.sink.entry(entry);
    }

    /// What the bursts look like to the lane that is about to be called; forgets what the port took meanwhile.
    fn called(&mut self, now: Instant, bursts: &Bursts) -> Called {
        let left = self.tx_len.saturating_sub(bursts.tx.len());
        self.noted = self.noted.saturating_sub(left);
        Called {
            at_ns: now.as_nanos(),
            room: bursts.pool.room().min(ROOM_MAX) as u32,
            tx_len: bursts.tx.len() as u16,
            host_len: bursts.host.len() as u16,
        }
    }
}

impl ReceivedFrame {
    fn of(frame: &Frame) -> Self {
        let partial = frame.partial();
        Self {
            is_verified: frame.is_verified(),
            is_partial: partial.is_some(),
            sum_start: partial.map_or(0, |partial| partial.start),
            sum_offset: partial.map_or(0, |partial| partial.offset),
        }
    }
}
