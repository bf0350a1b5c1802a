//! What a lane holds for sessions, counted where each thing lies: at rest, once the last TIME-WAIT is over, all is zero.

use super::Lane;

/// Entries of every table and queue of one lane that a session, a call or a frame may leave behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    /// Places of the session table that are taken.
    pub sessions: usize,
    /// Flows of the demultiplexer.
    pub flows: usize,
    /// Sessions that others opened and that are not open yet.
    pub half_open: usize,
    /// Places of the TIME-WAIT table, those of flows that were opened anew meanwhile included.
    pub time_wait: usize,
    /// Timers in the wheel, those to fire for nothing included.
    pub timers: usize,
    /// Addresses and prefixes in the guard's table of sources.
    pub sources: usize,
    /// Neighbours on the link.
    pub neighbors: usize,
    /// Calls, under way, open or to be made again.
    pub calls: usize,
    /// Calls under way: sessions of them that are not open yet.
    pub calls_under_way: usize,
    /// Handshake steps that wait or are out.
    pub jobs: usize,
    /// Members of groups that broadcasts go to.
    pub members: usize,
    /// What waits in the lane's queues: sessions to flush and to read, calls to make, broadcasts under way, events,
    /// frames turned round, frames and words between lanes.
    pub queued: usize,
}

impl Holdings {
    /// How many counts there are.
    pub const COUNT: usize = 12;

    /// Each count with its name in reports, in the order of the fields.
    pub fn named(&self) -> [(&'static str, usize); Self::COUNT] {
        let Self {
            sessions,
            flows,
            half_open,
            time_wait,
            timers,
            sources,
            neighbors,
            calls,
            calls_under_way,
            jobs,
            members,
            queued,
        } = *self;
        [
            ("sessions", sessions),
            ("flows", flows),
            ("half_open", half_open),
            ("time_wait", time_wait),
            ("timers", timers),
            ("sources", sources),
            ("neighbors", neighbors),
            ("calls", calls),
            ("calls_under_way", calls_under_way),
            ("jobs", jobs),
            ("members", members),
            ("queued", queued),
        ]
    }
}

impl Lane {
    /// What it holds now.
    pub fn holdings(&self) -> Holdings {
        let (calls, calls_waiting, calls_under_way) = self.calls.held();
        let (members, broadcasts) = self.broadcasts.held();
        Holdings {
            sessions: self.slots.len() - self.free.len(),
            flows: self.flows.len(),
            half_open: self.answering + self.shaking_in,
            time_wait: self.guard.time_wait.held(),
            timers: self.wheel.armed(),
            sources: self.guard.sources.len(),
            neighbors: self.neighbor.neighbors(),
            calls,
            calls_under_way,
            jobs: self.jobs(),
            members,
            queued: self.dirty.len()
                + self.unread.len()
                + calls_waiting
                + broadcasts
                + self.events.len()
                + self.looped.len()
                + self.strays.held(),
        }
    }
}
