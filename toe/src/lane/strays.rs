//! One card over several lanes: which flow is whose, and what crosses from one lane to another.
//!
//! Every lane knows by the same arithmetic whose a flow is ([`Steering::queue`]). A segment of no session here whose
//! flow is another lane's is a stray: it leaves for that lane, which judges it as if its own port had brought it and
//! never passes it on again. Frames that are the card's own business go to the first lane, and what that hears of the
//! link goes to the others ([`crate::neighbor`]).
//!
//! The driver carries strays over a bounded link between each two lanes; one that finds the outbox or the link full is
//! lost and counted, as on any network.

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_base::Instant;
use hpb_base::limits::{BURST_LEN_MAX, LANE_STRAYS_MAX};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::steer::Steering;

use super::Lane;
use super::ingress::Seen;
use crate::neighbor::{Notice, Told};
use crate::segment::FlowKey;
use crate::stats::Drop;

#[cfg(test)]
mod tests;

/// What a lane knows of the card's other lanes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sharing {
    /// Which flow is whose: the same for all lanes.
    pub steering: Arc<Steering>,
    /// Which lane this is: 0 to `lanes` - 1.
    pub lane: usize,
    /// How many lanes there are.
    pub lanes: usize,
}

impl Sharing {
    /// How a card with `lanes` lanes is to share flows: as its device does, if that lets a caller choose a lane by its
    /// port, and else by a keyed hash, whose strays then cross between lanes.
    pub fn steering(device: Option<Steering>, secret: &[u8; 32], lanes: usize) -> Steering {
        device.filter(|steering| reaches(steering, lanes)).unwrap_or_else(|| Steering::keyed(secret, lanes))
    }

    pub(super) fn is_possible(&self) -> bool {
        self.lane < self.lanes && reaches(&self.steering, self.lanes)
    }
}

/// Whether flows between any two addresses come to all of `lanes` lanes and to no others.
fn reaches(steering: &Steering, lanes: usize) -> bool {
    steering.queue_count() == lanes
        && match steering {
            Steering::One | Steering::Keyed { .. } => true,
            Steering::Rss { table, ports, .. } => {
                lanes == 1 || (*ports && (0..lanes).all(|lane| table.iter().any(|queue| usize::from(*queue) == lane)))
            }
        }
}

/// What crosses from one lane to another.
pub enum Stray {
    /// A TCP packet, from its IP header on, whose flow is the other lane's.
    Segment(Frame),
    /// A frame from its Ethernet header on: the card's own business, for the first lane.
    Link(Frame),
    /// What the first lane heard of the link, or what concerns a session of the other's.
    Told(Told),
}

/// A lane's side of what crosses.
#[derive(Default)]
pub(super) struct Strays {
    /// Frames of the burst at hand that leave, in their order: where they stand, and for whom.
    leaving: Vec<(usize, usize)>,
    outbox: VecDeque<(usize, Stray)>,
    /// Packets from other lanes.
    packets: VecDeque<Frame>,
    /// Whole frames from other lanes.
    frames: VecDeque<Frame>,
}

impl Strays {
    /// What waits to leave for other lanes or came from them.
    pub(super) fn held(&self) -> usize {
        self.outbox.len() + self.packets.len() + self.frames.len()
    }

    /// Whether something came that no burst has taken.
    pub(super) fn wait(&self) -> bool {
        !self.packets.is_empty() || !self.frames.is_empty()
    }
}

impl Lane {
    /// The next thing for another lane, and which; its frame has left `bursts`' pool.
    pub fn take_stray(&mut self, bursts: &mut Bursts) -> Option<(usize, Stray)> {
        let (lane, stray) = self.strays.outbox.pop_front()?;
        if !matches!(stray, Stray::Told(_)) {
            bursts.pool.forget();
        }
        self.counters.strays_sent += 1;
        Some((lane, stray))
    }

    /// How many strays of other lanes this one takes before its next [`receive`](Self::receive).
    pub fn stray_room(&self) -> usize {
        BURST_LEN_MAX.saturating_sub(self.strays.packets.len() + self.strays.frames.len())
    }

    /// Takes what another lane passed on, as if from this lane's own port.
    pub fn take_in(&mut self, now: Instant, stray: Stray, bursts: &mut Bursts) {
        self.counters.strays_taken += 1;
        let (queue, frame) = match stray {
            Stray::Told(told) => return self.neighbor.heed(now, told, bursts),
            Stray::Segment(frame) => (&mut self.strays.packets, frame),
            Stray::Link(frame) => (&mut self.strays.frames, frame),
        };
        bursts.pool.adopt();
        queue.push_back(frame);
    }

    /// Puts frames from other lanes behind those that the port brought.
    pub(super) fn join_frames(&mut self, bursts: &mut Bursts) {
        join(&mut self.strays.frames, bursts);
    }

    /// Puts packets from other lanes behind those that the port brought, once these have lost their link headers.
    pub(super) fn join_packets(&mut self, bursts: &mut Bursts) {
        join(&mut self.strays.packets, bursts);
    }

    /// Which other lane's a flow is; `None` if it is this one's.
    fn owner_elsewhere(&self, flow: &FlowKey) -> Option<usize> {
        let sharing = self.config.sharing.as_ref()?;
        let owner = sharing.steering.queue(flow.remote(), flow.local());
        (owner != sharing.lane).then_some(owner)
    }

    /// Whether frames of this flow come to this lane.
    pub(super) fn is_reached_by(&self, flow: &FlowKey) -> bool {
        self.owner_elsewhere(flow).is_none()
    }

    /// Notes a segment of no session for leaving, if it is another lane's.
    pub(super) fn is_stray(&mut self, seen: &Seen) -> bool {
        let owner = self.owner_elsewhere(&seen.segment.flow);
        self.strays.leaving.extend(owner.map(|lane| (seen.frame as usize, lane)));
        owner.is_some()
    }

    /// Takes the frames noted for leaving out of the burst.
    pub(super) fn part(&mut self, frames: &mut Vec<Frame>, bursts: &mut Bursts) {
        // The last first, so that what moves into their places is of those that stay.
        while let Some((at, lane)) = self.strays.leaving.pop() {
            let frame = frames.swap_remove(at);
            self.post(lane, Stray::Segment(frame), bursts);
        }
    }

    /// Passes on what the link layer has for other lanes.
    pub(super) fn pass_on(&mut self, bursts: &mut Bursts) {
        let Some(lanes) = self.config.sharing.as_ref().map(|sharing| sharing.lanes) else { return };
        while let Some(frame) = self.neighbor.take_for_first() {
            self.post(0, Stray::Link(frame), bursts);
        }
        while let Some(told) = self.neighbor.take_told() {
            for lane in 1..lanes {
                self.post(lane, Stray::Told(told), bursts);
            }
        }
    }

    /// A notice that concerns this lane; one about another's session is passed on.
    pub(super) fn own_notice(&mut self, notice: Notice, bursts: &mut Bursts) -> Option<Notice> {
        let (Notice::PacketTooBig { flow, .. } | Notice::Unreachable { flow, .. }) = &notice else {
            return Some(notice);
        };
        let Some(lane) = self.owner_elsewhere(flow) else { return Some(notice) };
        self.post(lane, Stray::Told(notice.into()), bursts);
        None
    }

    fn post(&mut self, lane: usize, stray: Stray, bursts: &mut Bursts) {
        if self.strays.outbox.len() < LANE_STRAYS_MAX {
            return self.strays.outbox.push_back((lane, stray));
        }
        self.counters.drops.count(Drop::StraysFull);
        match stray {
            Stray::Segment(frame) | Stray::Link(frame) => bursts.pool.give(frame),
            Stray::Told(_) => {}
        }
    }
}

fn join(queue: &mut VecDeque<Frame>, bursts: &mut Bursts) {
    let count = queue.len().min(bursts.rx_room());
    bursts.rx.extend(queue.drain(..count));
}
