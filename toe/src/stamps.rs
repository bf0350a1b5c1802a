//! Where the time of a message goes inside a lane: stamps that a driver may ask for.
//!
//! A lane has no clock. A driver that wants to know gives it [`Stamps`], which have one ([`Lane::set_stamps`]); without
//! them each stage costs a branch. On its way out a message is taken from the host, sealed into the send buffer (copied,
//! in a session without encryption), leaves TCP in a segment, and goes to the port with the burst that holds it. On its
//! way in its segment comes with a burst, is taken by TCP, and its record is opened, which delivers it to the host's
//! events. What passes the port the driver alone sees: it says so by [`Stamps::burst_taken`] and [`Stamps::burst_given`].
//!
//! Messages are counted by session and direction, bytes are named by their sequence numbers on the wire, which both ends
//! know alike: so the stamps of two lanes can be laid side by side. Both count from the first message that they see, and
//! therefore must be given before it passes.
//!
//! Stamps are bounded: the oldest give way, and of the sessions only some are looked at, drawn by their ports, so that
//! both ends draw the same ones. A session that shed a message is looked at no more, since what follows cannot be counted.
//!
//! [`Lane::set_stamps`]: crate::Lane::set_stamps

use std::collections::VecDeque;
use std::net::SocketAddr;

use hpb_base::{Duration, Instant};

use crate::card::SessionId;
use crate::segment::FlowKey;

/// Stamps of one look at their own cost.
const COST_STAMPS: u64 = 1_024;

/// What a message, or a segment with pieces of messages, had come to at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The host gave the session its message `number`, counted from 0.
    Taken {
        /// Which.
        number: u64,
        /// Bytes of all messages up to its end, framed.
        stream_len: u64,
    },
    /// Messages were sealed.
    Sealed {
        /// How far: bytes of messages, as those of [`Stage::Taken`].
        stream_len: u64,
        /// Where that ends on the wire.
        sequence: u32,
    },
    /// A segment left TCP.
    Emitted {
        /// Where its bytes begin on the wire.
        from: u32,
        /// Where they end.
        to: u32,
        /// When the port had taken it; the stamp's own instant until then.
        given_at: Instant,
    },
    /// A segment came with a burst, at the stamp's instant.
    Received {
        /// Where its bytes begin on the wire.
        from: u32,
        /// Where they end.
        to: u32,
        /// Up to where no byte is missing, this segment included.
        whole_to: u32,
        /// When TCP had taken it.
        fed_at: Instant,
        /// When the device had it, as its frame says: nanoseconds since 1970.
        arrived_unix_ns: Option<u64>,
    },
    /// Messages were opened and lie among the host's events.
    Opened {
        /// How many have been by now.
        count: u64,
    },
}

/// One stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// When.
    pub at: Instant,
    /// In which session of the lane.
    pub session: SessionId,
    /// What.
    pub stage: Stage,
}

/// What is known of a session that is looked at.
struct Watched {
    id: SessionId,
    flow: FlowKey,
    taken_count: u64,
    taken_len: u64,
    sealed_len: u64,
    opened_count: u64,
    has_shed: bool,
}

/// The stamps of one lane, the newest of them.
pub struct Stamps {
    clock: Box<dyn FnMut() -> Instant + Send>,
    /// Stamps at a time.
    ring_len_max: usize,
    ring: VecDeque<Stamp>,
    sessions_max: usize,
    one_of: u32,
    /// By place in the session table, as far as it was seen.
    watched: Vec<Option<Box<Watched>>>,
    /// Places that hold one.
    held: usize,
    /// When the burst that is being received came.
    burst_at: Instant,
    /// What the frame that is being received says of its arrival.
    arrived_unix_ns: Option<u64>,
    /// Stamps since a burst was given to the port.
    ungiven: usize,
    readings: u64,
}

impl Stamps {
    /// None yet; at most `stamps_max` at a time. One session of `one_of` is looked at, drawn by its ports, and at most
    /// `sessions_max` places of the table.
    pub fn new(
        stamps_max: usize,
        sessions_max: usize,
        one_of: u32,
        clock: impl FnMut() -> Instant + Send + 'static,
    ) -> Self {
        Self {
            clock: Box::new(clock),
            ring_len_max: stamps_max.max(1),
            ring: VecDeque::with_capacity(stamps_max),
            sessions_max,
            one_of: one_of.max(1),
            watched: Vec::new(),
            held: 0,
            burst_at: Instant::ZERO,
            arrived_unix_ns: None,
            ungiven: 0,
            readings: 0,
        }
    }

    /// The port has just brought a burst, which the lane receives next.
    pub fn burst_taken(&mut self) {
        self.burst_at = self.now();
    }

    /// The port has just taken all that the lane had emitted.
    pub fn burst_given(&mut self) {
        let is_emitted = |stamp: &&mut Stamp| matches!(stamp.stage, Stage::Emitted { .. });
        let mut emitted = self.ring.iter_mut().rev().take(self.ungiven).filter(is_emitted).peekable();
        self.ungiven = 0;
        if emitted.peek().is_none() {
            return;
        }
        self.readings += 1;
        let now = (self.clock)();
        for stamp in emitted {
            if let Stage::Emitted { given_at, .. } = &mut stamp.stage {
                *given_at = now;
            }
        }
    }

    /// The stamps, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Stamp> {
        self.ring.iter()
    }

    /// Sessions looked at: the lane's name for each, its own end and the peer's. One that shed a message is not among
    /// them.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, SocketAddr, SocketAddr)> {
        let counted = self.watched.iter().flatten().filter(|watched| !watched.has_shed);
        counted.map(|watched| (watched.id, watched.flow.local(), watched.flow.remote()))
    }

    /// Whether this session's stages are stamped.
    pub fn watches(&self, id: SessionId) -> bool {
        let place = self.watched.get(id.index as usize).and_then(Option::as_ref);
        place.is_some_and(|watched| watched.id == id && !watched.has_shed)
    }

    /// How often the clock was read, for those stamps too that gave way.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// What a stamp costs on this thread: the mean of many, none of which stays.
    pub fn cost(&mut self) -> Duration {
        let session = SessionId { index: u32::MAX, generation: u32::MAX };
        let (mut scratch, readings) = (VecDeque::with_capacity(COST_STAMPS as usize), self.readings);
        std::mem::swap(&mut self.ring, &mut scratch);
        let began_at = (self.clock)();
        for number in 0..COST_STAMPS {
            let at = self.now();
            self.push(Stamp { at, session, stage: Stage::Opened { count: number } });
        }
        let took = (self.clock)().since(began_at);
        (self.ring, self.readings, self.ungiven) = (scratch, readings, 0);
        took.div(COST_STAMPS)
    }

    /// Whether a session is among those that are looked at, if there is room.
    pub(crate) fn draws(&self, flow: &FlowKey) -> bool {
        is_drawn(flow, self.one_of)
    }

    pub(crate) fn now(&mut self) -> Instant {
        self.readings += 1;
        (self.clock)()
    }

    /// The host gave a message of `framed_len` bytes at `at`; whether it, and all others, were kept.
    pub(crate) fn taken(&mut self, id: SessionId, flow: &FlowKey, at: Instant, framed_len: usize, is_kept: bool) {
        let Some(watched) = self.watch(id, flow) else { return };
        watched.has_shed |= !is_kept;
        let number = watched.taken_count;
        watched.taken_count += 1;
        watched.taken_len += framed_len as u64;
        let stream_len = watched.taken_len;
        self.push(Stamp { at, session: id, stage: Stage::Taken { number, stream_len } });
    }

    /// All but the last `waiting_len` bytes of messages are sealed; they end at `sequence` on the wire.
    pub(crate) fn sealed(&mut self, id: SessionId, flow: &FlowKey, waiting_len: usize, sequence: u32) {
        let Some(watched) = self.watch(id, flow) else { return };
        let stream_len = watched.taken_len.saturating_sub(waiting_len as u64);
        if stream_len > watched.sealed_len {
            watched.sealed_len = stream_len;
            let at = self.now();
            self.push(Stamp { at, session: id, stage: Stage::Sealed { stream_len, sequence } });
        }
    }

    /// A segment with these bytes left TCP.
    pub(crate) fn emitted(&mut self, id: SessionId, flow: &FlowKey, from: u32, to: u32) {
        if self.watch(id, flow).is_some() {
            let at = self.now();
            self.push(Stamp { at, session: id, stage: Stage::Emitted { from, to, given_at: at } });
        }
    }

    /// A frame is about to be taken.
    pub(crate) fn frame(&mut self, arrived_unix_ns: Option<u64>) {
        self.arrived_unix_ns = arrived_unix_ns;
    }

    /// TCP took a segment with these bytes; none is missing up to `whole_to`.
    pub(crate) fn fed(&mut self, id: SessionId, flow: &FlowKey, from: u32, to: u32, whole_to: u32) {
        if self.watch(id, flow).is_some() {
            let fed_at = self.now();
            let stage = Stage::Received { from, to, whole_to, fed_at, arrived_unix_ns: self.arrived_unix_ns };
            self.push(Stamp { at: self.burst_at.min(fed_at), session: id, stage });
        }
    }

    /// So many more messages were opened.
    pub(crate) fn opened(&mut self, id: SessionId, flow: &FlowKey, more: u32) {
        let Some(watched) = self.watch(id, flow) else { return };
        watched.opened_count += u64::from(more);
        let count = watched.opened_count;
        let at = self.now();
        self.push(Stamp { at, session: id, stage: Stage::Opened { count } });
    }

    /// The session at this place, from its first stage on; `None` if it is not looked at.
    fn watch(&mut self, id: SessionId, flow: &FlowKey) -> Option<&mut Watched> {
        if !self.draws(flow) {
            return None;
        }
        let at = id.index as usize;
        if self.watched.get(at).is_none_or(Option::is_none) {
            if self.held == self.sessions_max {
                return None;
            }
            self.held += 1;
            self.watched.resize_with(self.watched.len().max(at + 1), || None);
        }
        let place = self.watched.get_mut(at)?;
        if place.as_ref().is_some_and(|watched| watched.id != id) {
            *place = None;
        }
        let fresh = || Watched {
            id,
            flow: *flow,
            taken_count: 0,
            taken_len: 0,
            sealed_len: 0,
            opened_count: 0,
            has_shed: false,
        };
        let watched = place.get_or_insert_with(|| Box::new(fresh()));
        (!watched.has_shed).then_some(&mut **watched)
    }

    fn push(&mut self, stamp: Stamp) {
        if self.ring.len() == self.ring_len_max {
            self.ring.pop_front();
        }
        self.ring.push_back(stamp);
        self.ungiven += 1;
    }
}

/// Whether a session is among the one of `one_of` that are looked at: by what its ports are, whichever end asks.
fn is_drawn(flow: &FlowKey, one_of: u32) -> bool {
    if one_of == 1 {
        return true;
    }
    let ports = u32::from(flow.local().port() ^ flow.remote().port());
    // The golden ratio's bits spread neighbouring ports (Knuth, "The Art of Computer Programming", 6.4).
    (ports.wrapping_mul(0x9E37_79B9) >> 16) % one_of == 0
}

#[cfg(test)]
mod tests;
