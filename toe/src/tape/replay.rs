//! The same calls to a fresh lane, and what it sends held against what was captured.

use std::collections::BTreeMap;

use hpb_base::limits::{BURST_LEN_MAX, CRYPTO_JOBS_MAX};
use hpb_base::{Duration, Instant};
use hpb_net::frame::{Bursts, Partial};

use super::words::{Called, End, Entry, ReceivedFrame, TapeHead};
use crate::card::{EventBatch, SessionId};
use crate::lane::{Lane, LaneError};
use crate::secure::CryptoResult;

/// The frames of the capture, each way in its order.
pub trait Captured {
    /// The next frame that was received.
    fn received(&mut self) -> Option<Vec<u8>>;

    /// The next frame that was sent.
    fn sent(&mut self) -> Option<Vec<u8>>;
}

/// Where a replay and its capture part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parted {
    /// The instant, in nanoseconds of the tape's clock.
    pub at_ns: u64,
    /// How many frames were sent alike before.
    pub alike: u64,
    /// What the lane sent now; none if it sent nothing more.
    pub now: Option<Vec<u8>>,
    /// What was captured; none if nothing more was.
    pub then: Option<Vec<u8>>,
}

/// Why a replay ended before its tape.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The tape's set-up is refused.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The capture ends before the tape.
    #[error("the capture lacks a frame that the tape has: it belongs to another tape, or was cut")]
    Frames,
    /// The tape asks for what the lane does not have.
    #[error("the tape asks for {0}, which this lane does not have: it was made by other code")]
    Missing(&'static str),
    /// What the lane sends is not what it sent.
    #[error("it parts from the capture behind {} frames that are alike", .0.alike)]
    Parted(Box<Parted>),
    /// All frames are alike, and what was counted is not.
    #[error("it counts {now:?} at its end, where it was {then:?}")]
    Ended {
        /// Now.
        now: End,
        /// When it was taped.
        then: End,
    },
}

/// A lane that is told what its tape says.
pub struct Replay {
    lane: Lane,
    bursts: Bursts,
    events: EventBatch,
    results: BTreeMap<SessionId, CryptoResult>,
    noted: usize,
    alike: u64,
}

impl Replay {
    /// A lane set up as it was.
    ///
    /// # Errors
    /// [`ReplayError::Lane`] if such a lane is refused.
    pub fn new(head: &TapeHead) -> Result<Self, ReplayError> {
        let lane = Lane::new(head.config.clone(), head.capabilities, Instant::from_nanos(head.began_ns))?;
        Ok(Self {
            lane,
            bursts: Bursts::new(BURST_LEN_MAX),
            events: EventBatch::default(),
            results: BTreeMap::new(),
            noted: 0,
            alike: 0,
        })
    }

    /// Frames sent so far, each like the captured one.
    pub fn alike(&self) -> u64 {
        self.alike
    }

    /// Makes the next call.
    ///
    /// # Errors
    /// [`ReplayError`]: where and how it parts.
    pub fn step(&mut self, entry: Entry, captured: &mut dyn Captured) -> Result<(), ReplayError> {
        match entry {
            Entry::Handle { at_ns, command } => self.lane.handle(Instant::from_nanos(at_ns), command),
            Entry::Receive { called, frames } => self.receive(called, &frames, captured)?,
            Entry::Transmit { called } => self.transmit(called, captured)?,
            Entry::Send { session, priority, kind, body } => {
                // That it was refused is as it was.
                let _ = self.lane.send(session, priority, kind, &body);
            }
            Entry::SendShared { session, priority, message } => {
                let _ = self.lane.send_shared(session, priority, &message);
            }
            Entry::TakeEvents => self.lane.take_events(&mut self.events),
            Entry::TakeJob => {
                let job = self.lane.take_job().ok_or(ReplayError::Missing("a handshake step"))?;
                if self.results.len() >= CRYPTO_JOBS_MAX {
                    return Err(ReplayError::Missing("room for a handshake step"));
                }
                let result = job.run();
                self.results.insert(result.session, result);
            }
            Entry::FinishJob { at_ns, session } => {
                let result = self.results.remove(&session).ok_or(ReplayError::Missing("a handshake step's result"))?;
                self.lane.finish_job(Instant::from_nanos(at_ns), result);
            }
            Entry::Disconnect { session } => {
                // That it was not there, or found no room, is as it was.
                let _ = self.lane.disconnect(session);
            }
            Entry::Ban { at_ns, who, seconds } => {
                let _ = self.lane.ban(Instant::from_nanos(at_ns), who, seconds);
            }
            Entry::Unban { at_ns, who } => {
                let _ = self.lane.unban(Instant::from_nanos(at_ns), &who);
            }
            Entry::Leave { at_ns, goodbye, within_ns } => {
                self.lane.leave(Instant::from_nanos(at_ns), goodbye, Duration::from_nanos(within_ns));
            }
            Entry::End(then) => {
                let now = End::of(&self.lane);
                if now != then {
                    return Err(ReplayError::Ended { now, then });
                }
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        called: Called,
        frames: &[ReceivedFrame],
        captured: &mut dyn Captured,
    ) -> Result<(), ReplayError> {
        self.let_go(called)?;
        self.bursts.pool.set_room(frames.len());
        for came in frames {
            let bytes = captured.received().ok_or(ReplayError::Frames)?;
            let room = self.bursts.rx_room() > 0;
            let frame = self.bursts.pool.take().filter(|_| room);
            let mut frame = frame.ok_or(ReplayError::Missing("room for a received frame"))?;
            frame.copy_from(&bytes);
            frame.set_verified(came.is_verified);
            let partial = Partial { start: came.sum_start, offset: came.sum_offset };
            frame.set_partial(came.is_partial.then_some(partial));
            self.bursts.rx.push(frame);
        }
        self.bursts.pool.set_room(called.room as usize);
        self.lane.receive(Instant::from_nanos(called.at_ns), &mut self.bursts);
        Ok(())
    }

    fn transmit(&mut self, called: Called, captured: &mut dyn Captured) -> Result<(), ReplayError> {
        self.let_go(called)?;
        self.bursts.pool.set_room(called.room as usize);
        self.lane.transmit(Instant::from_nanos(called.at_ns), &mut self.bursts);
        for frame in self.bursts.tx.iter().skip(self.noted) {
            let then = captured.sent();
            if then.as_deref() != Some(frame.bytes()) {
                let now = Some(frame.bytes().to_vec());
                return Err(ReplayError::Parted(Box::new(Parted {
                    at_ns: called.at_ns,
                    alike: self.alike,
                    now,
                    then,
                })));
            }
            self.alike += 1;
        }
        self.noted = self.bursts.tx.len();
        Ok(())
    }

    /// Takes out of the bursts what the port took.
    fn let_go(&mut self, called: Called) -> Result<(), ReplayError> {
        let (tx_len, host_len) = (usize::from(called.tx_len), usize::from(called.host_len));
        let missing = ReplayError::Missing("frames to send");
        let gone = self.bursts.tx.len().checked_sub(tx_len).ok_or(missing)?;
        self.bursts.recycle_tx(gone);
        self.noted = self.noted.saturating_sub(gone);
        while self.bursts.host.len() > host_len {
            if let Some(frame) = self.bursts.host.pop_front() {
                self.bursts.pool.give(frame);
            }
        }
        Ok(())
    }
}
