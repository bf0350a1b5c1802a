//! The neighbours on the link: who has which hardware address, how far that is known, and what waits to know it.
//!
//! One table for ARP and neighbour discovery, with the states of RFC 4861 section 7.3.2: a neighbour that is used long
//! after it was last heard is asked again while its packets still leave, and one that does not answer is given up for a
//! moment.
//!
//! What a stranger says cannot push out what is in use. A neighbour stands in one of three lists: *unresolved* and
//! *learned* (heard of, never sent to) have bounds of their own, within which the newest takes the place of the oldest;
//! a neighbour that was *used* gives way only when both others are empty, the longest idle first, and never within
//! [`IDLE_MIN`] of its last use.

use std::collections::{BTreeSet, VecDeque};

use hpb_base::limits::{NEIGHBOR_WAITING_MAX, NEIGHBORS_LEARNED_MAX, NEIGHBORS_MAX, NEIGHBORS_UNRESOLVED_MAX};
use hpb_base::{Duration, Instant};
use hpb_net::{Frame, HardwareAddress};

use super::counters::NeighborDrop;
use crate::flow::FlowTable;
use crate::segment::FlowKey;

/// How long a confirmed neighbour counts as reachable (RFC 4861 section 10, `REACHABLE_TIME`).
const REACHABLE: Duration = Duration::from_secs(30);
/// How long a neighbour that is used again may be confirmed from above before it is asked (`DELAY_FIRST_PROBE_TIME`).
const CONFIRM: Duration = Duration::from_secs(5);
/// Between two questions (`RETRANS_TIMER`).
const RETRY: Duration = Duration::from_secs(1);
/// Questions before a neighbour is given up (`MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`).
const TRIES_MAX: u8 = 3;
/// How long nobody asks again for a neighbour that did not answer.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// How exactly the order of use is kept: a neighbour moves to its front this often at most.
pub(super) const USE_STEP: Duration = Duration::from_secs(1);
/// A used neighbour that idles no longer than this keeps its place.
const IDLE_MIN: Duration = Duration::from_secs(60);
const NONE: u32 = u32::MAX;

/// How far a neighbour is known (RFC 4861 section 7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Asked for; its packets wait.
    Incomplete,
    /// Confirmed a short while ago.
    Reachable,
    /// Known from earlier on, or from what it said by itself.
    Stale,
    /// Stale and in use; to be asked if nothing confirms it.
    Delay,
    /// Asked whether it is still there, while its packets leave.
    Probe,
    /// Did not answer.
    Unreachable,
}

/// The lists that neighbours stand in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    Unresolved,
    Learned,
    Used,
}

struct Entry {
    address: u128,
    hash: u64,
    hardware: HardwareAddress,
    state: State,
    /// Until when a reachable neighbour is so, and when an unreachable one may be asked for again.
    until: Instant,
    /// When its timer rings.
    due: Option<Instant>,
    /// Questions sent since the state began.
    tries: u8,
    /// Whether the card has ever sent to it.
    used: bool,
    used_at: Instant,
    list: Option<List>,
    newer: u32,
    older: u32,
    waiting: VecDeque<Frame>,
}

/// The two ends of a list and its length.
#[derive(Clone, Copy)]
struct Ends {
    newest: u32,
    oldest: u32,
    len: usize,
}

/// Where to send a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resolution {
    /// To this hardware address, and until then without asking the table again.
    Known { hardware: HardwareAddress, until: Instant },
    /// Nowhere yet: it may wait with this neighbour.
    Waits(u32),
}

/// What somebody says about a neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Its hardware address, if it says so.
    pub(super) hardware: Option<HardwareAddress>,
    /// It is an answer to a question of the card's.
    pub(super) answers: bool,
    /// It replaces what was known (RFC 4861 section 4.4, override flag).
    pub(super) overrides: bool,
}

/// What became of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// About nobody that the table knows.
    Unknown,
    /// It changed nothing, or only how far the neighbour is known.
    Known,
    /// The neighbour has another hardware address than before.
    Overridden,
    /// The neighbour has a hardware address now: what waits may leave.
    Resolved(u32),
}

/// The table. See the module.
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
    index: FlowTable,
    lists: [Ends; 3],
    due: BTreeSet<(Instant, u32)>,
    waiting: usize,
    /// Neighbours to ask for, since [`take_ask`](Self::take_ask) was last empty.
    asks: VecDeque<u32>,
    /// Frames whose neighbour did not answer, for the pool.
    discarded: Vec<Frame>,
    evicted: u64,
}

impl Table {
    /// An empty table whose hash is keyed by `secret`.
    pub(super) fn new(secret: [u64; 2]) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            index: FlowTable::new(0, secret),
            lists: [Ends { newest: NONE, oldest: NONE, len: 0 }; 3],
            due: BTreeSet::new(),
            waiting: 0,
            asks: VecDeque::new(),
            discarded: Vec::new(),
            evicted: 0,
        }
    }

    /// Where to send a packet for the neighbour `address` now; asks for it if need be.
    pub(super) fn resolve(&mut self, now: Instant, address: u128) -> Result<Resolution, NeighborDrop> {
        let Some(index) = self.find(address) else {
            let index = self.insert(now, address, State::Incomplete).ok_or(NeighborDrop::TableFull)?;
            self.entries[index as usize].used = true;
            self.ask_anew(now, index);
            return Ok(Resolution::Waits(index));
        };
        self.touch(now, index);
        let entry = &self.entries[index as usize];
        let hardware = entry.hardware;
        match entry.state {
            State::Reachable if now < entry.until => {
                return Ok(Resolution::Known { hardware, until: entry.until.min(now + USE_STEP) });
            }
            State::Reachable | State::Stale => {
                self.settle(now, index, State::Delay);
                self.arm(index, now + CONFIRM);
            }
            State::Delay | State::Probe => {}
            State::Incomplete => return Ok(Resolution::Waits(index)),
            State::Unreachable if now < entry.until => return Err(NeighborDrop::Unreachable),
            State::Unreachable => {
                self.ask_anew(now, index);
                return Ok(Resolution::Waits(index));
            }
        }
        Ok(Resolution::Known { hardware, until: now + USE_STEP })
    }

    /// Lets a packet wait for the neighbour at `index`; gives it back if enough wait.
    pub(super) fn wait(&mut self, index: u32, frame: Frame) -> Result<(), Frame> {
        let entry = &mut self.entries[index as usize];
        if entry.waiting.len() >= NEIGHBOR_WAITING_MAX {
            return Err(frame);
        }
        entry.waiting.push_back(frame);
        self.waiting += 1;
        Ok(())
    }

    /// The next packet that waited for the neighbour at `index`, oldest first, with where to send it.
    pub(super) fn take_waiting(&mut self, index: u32) -> Option<(Frame, HardwareAddress)> {
        let entry = &mut self.entries[index as usize];
        let frame = entry.waiting.pop_front()?;
        self.waiting -= 1;
        Some((frame, entry.hardware))
    }

    /// Hears what is said about the neighbour `address` (RFC 4861 section 7.2.5; RFC 826, "Packet Reception"). Only
    /// neighbours in the table are changed. A reachable neighbour's hardware address may be replaced by a claim that
    /// nobody asked for, since a standby takes over in that way; it is stale then, so that the next packet has it
    /// asked, and what does not answer is forgotten.
    pub(super) fn hear(&mut self, now: Instant, address: u128, claim: Claim) -> Heard {
        let Some(index) = self.find(address) else { return Heard::Unknown };
        let entry = &mut self.entries[index as usize];
        let differs = claim.hardware.is_some_and(|hardware| hardware != entry.hardware);
        match entry.state {
            State::Incomplete | State::Unreachable => {
                let Some(hardware) = claim.hardware else { return Heard::Known };
                let confirms = claim.answers && entry.state == State::Incomplete;
                entry.hardware = hardware;
                self.settle(now, index, if confirms { State::Reachable } else { State::Stale });
                Heard::Resolved(index)
            }
            State::Reachable if differs && !claim.overrides => {
                self.settle(now, index, State::Stale);
                Heard::Known
            }
            _ if differs && !claim.overrides => Heard::Known,
            state => {
                entry.hardware = claim.hardware.unwrap_or(entry.hardware);
                // An answer counts for a question only.
                if claim.answers && state == State::Probe {
                    self.settle(now, index, State::Reachable);
                } else if differs {
                    self.settle(now, index, State::Stale);
                }
                if differs { Heard::Overridden } else { Heard::Known }
            }
        }
    }

    /// Learns of a neighbour that asked for an address of the card, so that the answer to what it sends next need not
    /// ask back. Returns whether it is new.
    pub(super) fn learn(&mut self, now: Instant, address: u128, hardware: HardwareAddress) -> bool {
        let Some(index) = self.insert(now, address, State::Stale) else { return false };
        self.entries[index as usize].hardware = hardware;
        true
    }

    /// Notes that the neighbour `address` carries packets both ways: a session through it goes forward (RFC 4861
    /// section 7.3.1).
    pub(super) fn confirm(&mut self, now: Instant, address: u128) {
        if let Some(index) = self.find(address)
            && !matches!(self.entries[index as usize].state, State::Incomplete | State::Unreachable)
        {
            self.settle(now, index, State::Reachable);
        }
    }

    /// Does what has fallen due. Returns whether anything did.
    pub(super) fn ring(&mut self, now: Instant) -> bool {
        let mut rang = false;
        while let Some((_, index)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            rang = true;
            self.disarm(index);
            let entry = &mut self.entries[index as usize];
            match entry.state {
                State::Delay => {
                    self.settle(now, index, State::Probe);
                    self.ask(now, index);
                }
                State::Incomplete | State::Probe if entry.tries < TRIES_MAX => self.ask(now, index),
                State::Incomplete => self.give_up(now, index, now + GIVEN_UP),
                // The next packet asks all hosts of the link: the neighbour may have another hardware address.
                State::Probe => self.give_up(now, index, now),
                State::Reachable | State::Stale | State::Unreachable => {}
            }
        }
        rang
    }

    /// When [`ring`](Self::ring) has something to do next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next neighbour to ask for: its address, and its hardware address if it is to be asked alone.
    pub(super) fn take_ask(&mut self) -> Option<(u128, Option<HardwareAddress>)> {
        loop {
            let entry = &self.entries[self.asks.pop_front()? as usize];
            match entry.state {
                State::Incomplete => return Some((entry.address, None)),
                State::Probe => return Some((entry.address, Some(entry.hardware))),
                // It has answered or gone since.
                _ => {}
            }
        }
    }

    /// The next frame that waited in vain.
    pub(super) fn take_discarded(&mut self) -> Option<Frame> {
        self.discarded.pop()
    }

    /// Packets that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Neighbours in the table.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Neighbours that gave way to others so far.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How far the neighbour `address` is known at `now`; `None` if not at all.
    #[cfg(test)]
    pub(super) fn state(&self, now: Instant, address: u128) -> Option<State> {
        let entry = &self.entries[self.find(address)? as usize];
        let is_over = entry.state == State::Reachable && now >= entry.until;
        Some(if is_over { State::Stale } else { entry.state })
    }

    /// The hardware address last known of a neighbour.
    pub(super) fn hardware(&self, address: u128) -> Option<HardwareAddress> {
        Some(self.entries[self.find(address)? as usize].hardware)
    }

    fn find(&self, address: u128) -> Option<u32> {
        self.index.find(self.hash(address), |index| self.entries[index as usize].address == address)
    }

    fn hash(&self, address: u128) -> u64 {
        self.index.hash(&FlowKey { remote: address, local: 0, ports: (0, 0) })
    }

    /// Notes a use, once in a [`USE_STEP`].
    fn touch(&mut self, now: Instant, index: u32) {
        let entry = &mut self.entries[index as usize];
        if entry.used && now.since(entry.used_at) < USE_STEP {
            return;
        }
        entry.used = true;
        entry.used_at = now;
        self.enlist(index);
    }

    /// Asks all hosts for a neighbour of which nothing is known.
    fn ask_anew(&mut self, now: Instant, index: u32) {
        self.settle(now, index, State::Incomplete);
        self.ask(now, index);
    }

    fn ask(&mut self, now: Instant, index: u32) {
        self.entries[index as usize].tries += 1;
        self.asks.push_back(index);
        self.arm(index, now + RETRY);
    }

    fn give_up(&mut self, now: Instant, index: u32, until: Instant) {
        self.settle(now, index, State::Unreachable);
        self.entries[index as usize].until = until;
        self.discard(index);
    }

    /// Begins a state, without a timer.
    fn settle(&mut self, now: Instant, index: u32, state: State) {
        self.disarm(index);
        let entry = &mut self.entries[index as usize];
        entry.state = state;
        entry.tries = 0;
        entry.until = now + REACHABLE;
        if entry.list != Some(list_of(entry)) {
            self.enlist(index);
        }
    }

    /// A new neighbour; `None` if the table is full of those in use.
    fn insert(&mut self, now: Instant, address: u128, state: State) -> Option<u32> {
        if self.len() >= NEIGHBORS_MAX {
            let oldest = |list: List| Some(self.lists[list as usize].oldest).filter(|index| *index != NONE);
            let idle = |index: &u32| now.since(self.entries[*index as usize].used_at) >= IDLE_MIN;
            let victim = oldest(List::Learned)
                .or_else(|| oldest(List::Unresolved))
                .or_else(|| oldest(List::Used).filter(idle))?;
            self.evict(victim);
        }
        let hash = self.hash(address);
        let entry = Entry {
            address,
            hash,
            hardware: [0; 6],
            state,
            until: now,
            due: None,
            tries: 0,
            used: false,
            used_at: now,
            list: None,
            newer: NONE,
            older: NONE,
            waiting: VecDeque::new(),
        };
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.index.insert(hash, index);
        self.enlist(index);
        Some(index)
    }

    fn evict(&mut self, index: u32) {
        self.disarm(index);
        self.unlink(index);
        self.discard(index);
        let entry = &mut self.entries[index as usize];
        // No question for it is sent any more.
        entry.state = State::Unreachable;
        self.index.remove(entry.hash, index);
        self.free.push(index);
        self.evicted += 1;
    }

    fn discard(&mut self, index: u32) {
        let waiting = &mut self.entries[index as usize].waiting;
        self.waiting -= waiting.len();
        self.discarded.extend(waiting.drain(..));
    }

    fn arm(&mut self, index: u32, at: Instant) {
        self.disarm(index);
        self.entries[index as usize].due = Some(at);
        self.due.insert((at, index));
    }

    fn disarm(&mut self, index: u32) {
        if let Some(at) = self.entries[index as usize].due.take() {
            self.due.remove(&(at, index));
        }
    }

    /// Puts a neighbour at the new end of its list; a list that is too long loses its old end.
    fn enlist(&mut self, index: u32) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        let list = list_of(entry);
        let ends = &mut self.lists[list as usize];
        entry.list = Some(list);
        entry.older = ends.newest;
        ends.len += 1;
        if ends.newest == NONE {
            ends.oldest = index;
        }
        let second = std::mem::replace(&mut ends.newest, index);
        let (oldest, len) = (ends.oldest, ends.len);
        if second != NONE {
            self.entries[second as usize].newer = index;
        }
        let len_max = match list {
            List::Unresolved => NEIGHBORS_UNRESOLVED_MAX,
            List::Learned => NEIGHBORS_LEARNED_MAX,
            List::Used => NEIGHBORS_MAX,
        };
        if len > len_max {
            self.evict(oldest);
        }
    }

    fn unlink(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let Some(list) = entry.list.take() else { return };
        let newer = std::mem::replace(&mut entry.newer, NONE);
        let older = std::mem::replace(&mut entry.older, NONE);
        let ends = &mut self.lists[list as usize];
        ends.len -= 1;
        if newer == NONE {
            ends.newest = older;
        }
        if older == NONE {
            ends.oldest = newer;
        }
        if newer != NONE {
            self.entries[newer as usize].older = older;
        }
        if older != NONE {
            self.entries[older as usize].newer = newer;
        }
    }
}

fn list_of(entry: &Entry) -> List {
    match entry.state {
        State::Incomplete | State::Unreachable => List::Unresolved,
        _ if entry.used => List::Used,
        _ => List::Learned,
    }
}

#[cfg(test)]
mod tests;
