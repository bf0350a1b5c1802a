//! One message to many sessions: its plaintext is shared, each session seals its own copy straight into its send
//! buffer. A broadcast is under way over several turns, so that it never holds the lane.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use hpb_base::limits::{BROADCASTS_MAX, BURST_LEN_MAX};
use hpb_net::sys::prefetch;

use super::{CloseReason, Lane, Session, Slot, WayOut, mark};
use crate::card::{Group, SessionId};
use crate::class::Priority;
use crate::outbox::Queued;

/// Who is in which group, and which messages are on their way to them. Groups are served in their order: the mesh of
/// validators never waits for ten thousand terminals.
#[derive(Default)]
pub(super) struct Broadcasts {
    members: [Vec<u32>; Group::COUNT],
    under_way: [VecDeque<UnderWay>; Group::COUNT],
    serial: u32,
}

struct UnderWay {
    priority: Priority,
    message: Arc<[u8]>,
    serial: u32,
    /// Members from here on have been served: it goes from the end to the start, because a member that leaves is
    /// replaced by the last one. That one was served before; its serial says so.
    cursor: usize,
}

impl Broadcasts {
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.iter().any(|queue| !queue.is_empty())
    }

    /// Members of all groups, and messages on their way to them.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.members.iter().map(Vec::len).sum(), self.under_way.iter().map(VecDeque::len).sum())
    }

    /// Takes a session that is gone from its table out of its group.
    pub(super) fn leave(&mut self, session: &Session, slots: &mut [Slot]) {
        let Some(group) = session.group else { return };
        let members = &mut self.members[group as usize];
        let position = session.group_position as usize;
        members.swap_remove(position);
        if let Some(moved) = members.get(position)
            && let Some(other) = slots[*moved as usize].session.as_mut()
        {
            other.group_position = position as u32;
        }
    }

    fn join(&mut self, session: &mut Session, group: Group) {
        let members = &mut self.members[group as usize];
        session.group = Some(group);
        session.group_position = members.len() as u32;
        session.broadcast_serial = self.serial;
        members.push(session.id.index);
    }
}

impl Lane {
    /// Sessions in a group.
    pub fn members(&self, group: Group) -> usize {
        self.broadcasts.members[group as usize].len()
    }

    pub(super) fn join(&mut self, id: SessionId, group: Option<Group>) {
        let Some(slot) = self.slots.get_mut(id.index as usize) else { return };
        let Some(mut session) = slot.session.take_if(|session| session.id == id) else { return };
        self.broadcasts.leave(&session, &mut self.slots);
        session.group = None;
        if let Some(group) = group {
            self.broadcasts.join(&mut session, group);
        }
        self.slots[id.index as usize].session = Some(session);
    }

    pub(super) fn broadcast(&mut self, group: Group, priority: Priority, message: Arc<[u8]>) {
        let broadcasts = &mut self.broadcasts;
        broadcasts.serial = broadcasts.serial.wrapping_add(1);
        let cursor = broadcasts.members[group as usize].len();
        let queue = &mut broadcasts.under_way[group as usize];
        if queue.len() >= BROADCASTS_MAX {
            let oldest = queue.iter().position(|other| other.priority == Priority::Sheddable).unwrap_or(0);
            if let Some(dropped) = queue.remove(oldest) {
                self.counters.shed_messages += dropped.cursor as u64;
            }
        }
        queue.push_back(UnderWay { priority, message, serial: broadcasts.serial, cursor });
    }

    /// Serves the next sessions of what is under way, as many as one turn allows.
    pub(super) fn spread(&mut self) -> bool {
        let mut budget = BURST_LEN_MAX;
        for group in 0..Group::COUNT {
            while budget > 0
                && let Some(mut under_way) = self.broadcasts.under_way[group].pop_front()
            {
                // Members may have left meanwhile.
                under_way.cursor = under_way.cursor.min(self.broadcasts.members[group].len());
                let turn = budget.min(under_way.cursor);
                self.prefetch_members(group, under_way.cursor - turn..under_way.cursor, under_way.message.len());
                for _ in 0..turn {
                    under_way.cursor -= 1;
                    let index = self.broadcasts.members[group][under_way.cursor];
                    self.serve(index, &under_way);
                }
                budget -= turn;
                if under_way.cursor > 0 {
                    self.broadcasts.under_way[group].push_front(under_way);
                }
            }
        }
        budget < BURST_LEN_MAX
    }

    /// Asks for the memory of the members that are served next, level by level, so that their cache misses overlap.
    fn prefetch_members(&mut self, group: usize, places: Range<usize>, message_len: usize) {
        let members = &self.broadcasts.members[group][places];
        for index in members {
            prefetch(&self.slots[*index as usize].session);
        }
        for session in members.iter().filter_map(|index| self.slots[*index as usize].session.as_ref()) {
            session.socket.prefetch();
            if let Some(channel) = &session.channel {
                channel.prefetch();
            }
        }
        for index in members {
            if let Some(session) = self.slots[*index as usize].session.as_mut() {
                session.socket.prefetch_send(message_len);
            }
        }
    }

    fn serve(&mut self, index: u32, under_way: &UnderWay) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        let served = session.broadcast_serial.wrapping_sub(under_way.serial).cast_signed() >= 0;
        if !session.is_open() || served {
            return;
        }
        session.broadcast_serial = under_way.serial;
        let shed_before = session.counters.shed_messages;
        let taken_at = self.stamping.begin(session);
        let way_out = WayOut { scratch: &mut self.scratch.out, capturing: &mut self.capturing };
        let offered = session.offer(&under_way.message, under_way.priority, way_out, || Arc::clone(&under_way.message));
        let is_kept = matches!(offered, Ok(Queued::Waits { shed: 0 }));
        self.stamping.offered(taken_at, session, under_way.message.len(), is_kept);
        self.counters.tx_messages += 1;
        self.counters.shed_messages += u64::from(session.counters.shed_messages - shed_before);
        mark(&mut self.dirty, session);
        let id = session.id;
        match offered {
            Ok(Queued::Overflow) => self.part_slow(id),
            Ok(Queued::Waits { .. } | Queued::Shed) => {}
            Err(reason) => self.end(index, Some(id), CloseReason::Broken(reason)),
        }
    }
}
