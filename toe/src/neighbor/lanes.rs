//! One link layer over a card's several lanes. The first lane's speaks for the card: it answers, announces, defends and
//! leases. The others' leave to it what is the card's own business, whatever queue it came to; they ask for their own
//! neighbours, and learn from what the first tells them.
//!
//! What is told are facts and no frames: there is nothing in them to answer. A neighbour's word that is lost on its way
//! is asked for again; the lease is told again and again.

use std::collections::VecDeque;

use hpb_base::limits::{BURST_LEN_MAX, NEIGHBOR_TOLD_MAX};
use hpb_base::{Duration, Instant};
use hpb_net::frame::{Bursts, Frame};

use super::counters::NeighborDrop;
use super::dhcp::{self, Lease};
use super::table::Claim;
use super::{Neighbor, Notice, ip};
use crate::segment::be16;

/// The lease is told again this often.
const TELL_INTERVAL: Duration = Duration::from_secs(5);

/// What the first lane tells the others of the link: see [`Neighbor::heed`].
#[derive(Clone, Copy, Debug)]
pub struct Told(Word);

#[derive(Clone, Copy, Debug)]
enum Word {
    /// Somebody said where a neighbour is; `asks_us` in a question for an address of the card's.
    Neighbor { address: u128, claim: Claim, asks_us: bool },
    /// Something for the lane of a session.
    Notice(Notice),
    /// The lease as it is now.
    Lease(Option<Lease>),
}

impl Told {
    pub(super) fn neighbor(address: u128, claim: Claim, asks_us: bool) -> Self {
        Self(Word::Neighbor { address, claim, asks_us })
    }
}

impl From<Notice> for Told {
    fn from(notice: Notice) -> Self {
        Self(Word::Notice(notice))
    }
}

/// What waits to cross to other lanes.
pub(super) struct Others {
    told: VecDeque<Told>,
    for_first: VecDeque<Frame>,
    /// When the lease is to be told again.
    tell_at: Instant,
}

impl Others {
    pub(super) fn new(now: Instant) -> Self {
        Self { told: VecDeque::new(), for_first: VecDeque::new(), tell_at: now }
    }
}

impl Neighbor {
    /// The next thing for each other lane, oldest first; only the first lane has any. They wait in a bounded queue; what
    /// finds it full is counted.
    pub fn take_told(&mut self) -> Option<Told> {
        self.others.told.pop_front()
    }

    /// The next frame that the first lane is to receive as if from its own port; the first has none.
    pub fn take_for_first(&mut self) -> Option<Frame> {
        self.others.for_first.pop_front()
    }

    /// Takes what the first lane tells: learns, and answers nobody.
    pub fn heed(&mut self, now: Instant, told: Told, bursts: &mut Bursts) {
        self.now = now;
        match told.0 {
            Word::Neighbor { address, claim, asks_us } => {
                self.hear(address, claim, asks_us, bursts);
            }
            Word::Notice(notice) => self.notice(notice),
            Word::Lease(lease) => self.follow(lease),
        }
    }

    /// Has the address that is leased, and no other.
    fn follow(&mut self, lease: Option<Lease>) {
        match (self.lease, lease) {
            (Some(before), Some(lease)) if before.is_same(&lease) => {}
            (before, Some(lease)) => self.exchange(before, lease),
            (Some(before), None) => self.lose(before),
            (None, None) => {}
        }
    }

    /// Whether this is the lane that speaks for the card.
    pub(super) fn is_first(&self) -> bool {
        self.config.lane == 0
    }

    fn has_listeners(&self) -> bool {
        self.is_first() && self.config.lanes > 1
    }

    /// Whether what this lane does not know of may be news to the host or to another lane.
    pub(super) fn may_be_anothers(&self) -> bool {
        self.config.twin || self.has_listeners()
    }

    /// Tells the other lanes, if there are any and this is the first.
    pub(super) fn tell(&mut self, told: Told) {
        if !self.has_listeners() {
            return;
        }
        if self.others.told.len() < NEIGHBOR_TOLD_MAX {
            self.others.told.push_back(told);
        } else {
            self.counters.drops.count(NeighborDrop::LanesFull);
        }
    }

    /// Tells the other lanes of the lease.
    pub(super) fn tell_lease(&mut self) {
        self.others.tell_at = self.now + TELL_INTERVAL;
        self.tell(Told(Word::Lease(self.lease)));
    }

    pub(super) fn tell_lease_due(&mut self) {
        if self.tells_lease_at().is_some_and(|at| at <= self.now) {
            self.tell_lease();
        }
    }

    /// When the lease is to be told again; `None` if nobody waits for one.
    pub(super) fn tells_lease_at(&self) -> Option<Instant> {
        (self.config.dhcp && self.has_listeners()).then_some(self.others.tell_at)
    }

    /// Leaves a frame to the first lane.
    pub(super) fn leave_to_first(&mut self, frame: Frame, bursts: &mut Bursts) {
        if self.others.for_first.len() < BURST_LEN_MAX {
            self.others.for_first.push_back(frame);
        } else {
            self.counters.drops.count(NeighborDrop::LanesFull);
            bursts.pool.give(frame);
        }
    }

    /// Whether a packet may be for the first lane's DHCP client, whatever address it was sent to.
    pub(super) fn is_of_dhcp(&self, packet: &[u8]) -> bool {
        let Ok(packet) = ip::parse(packet) else { return false };
        self.config.dhcp
            && packet.is_v4()
            && packet.protocol == ip::UDP
            && packet.payload.len() >= 4
            && (be16(packet.payload, 0), be16(packet.payload, 2)) == (dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
    }
}
