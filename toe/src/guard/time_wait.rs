//! TIME-WAIT without a session: the two ends and two numbers of each closed session, for as long as its old duplicates
//! may be on their way (RFC 9293 sections 3.4.2 and 3.6.1; RFC 1337: a reset changes nothing here).
//!
//! Entries fall due in the order in which they came, because all wait equally long. What is due counts no more; it is
//! swept out in steps, so that no turn is long after a storm of closes. The table is bounded: one more forgets the
//! oldest, whose late duplicates then find no session.

use std::collections::VecDeque;

use hpb_base::{Duration, Instant};

use crate::congestion::is_after;
use crate::flow::FlowTable;
use crate::segment::{ACK, FIN, FlowKey, RST, SYN, Segment};

/// Places swept at one call of [`TimeWait::expire`].
const SWEPT_MAX: usize = 256;

/// What a segment of a session in TIME-WAIT is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The last ACK once more.
    Ack {
        /// Our next sequence number.
        seq: u32,
        /// The next one expected of the peer.
        ack: u32,
    },
    /// The peer opens a new session between the same ends; our numbers must start after this one.
    Reopen {
        /// Our next sequence number in the old session.
        after: u32,
    },
    /// Nothing.
    Silence,
}

/// The table.
pub struct TimeWait {
    flows: FlowTable,
    entries: VecDeque<Entry>,
    /// The serial number of the first entry.
    first: u32,
    alive: usize,
    span: Duration,
    limit: usize,
}

struct Entry {
    flow: FlowKey,
    hash: u64,
    until: Instant,
    /// Our next sequence number, as the wire counts.
    send_next: u32,
    receive_next: u32,
    alive: bool,
}

impl TimeWait {
    /// An empty table whose entries wait for `span`, at most `limit` of them.
    pub fn new(span: Duration, limit: usize, secret: [u64; 2]) -> Self {
        Self { flows: FlowTable::new(0, secret), entries: VecDeque::new(), first: 0, alive: 0, span, limit }
    }

    /// Sessions that wait, and those whose wait is over that are not swept out yet.
    pub fn len(&self) -> usize {
        self.alive
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// Places taken: the sessions that wait, and those opened anew meanwhile whose place has not fallen due.
    pub fn held(&self) -> usize {
        self.entries.len()
    }

    /// Remembers a closed session: our next sequence number as the wire counts, and the next one expected of the peer.
    pub fn insert(&mut self, now: Instant, flow: FlowKey, send_next: u32, receive_next: u32) {
        if self.limit == 0 {
            return;
        }
        self.forget(now, &flow);
        while self.entries.len() >= self.limit {
            self.pop();
        }
        let hash = self.flows.hash(&flow);
        self.flows.insert(hash, self.first.wrapping_add(self.entries.len() as u32));
        self.entries.push_back(Entry { flow, hash, until: now + self.span, send_next, receive_next, alive: true });
        self.alive += 1;
    }

    /// Whether the flow waits: no new session of ours may take its two ends.
    pub fn holds(&self, now: Instant, flow: &FlowKey) -> bool {
        self.find(now, flow).is_some()
    }

    /// What to do with a segment of no session; `None` if none such waits.
    pub fn take(&mut self, now: Instant, segment: &Segment) -> Option<Reply> {
        if self.alive == 0 {
            return None;
        }
        let at = self.find(now, &segment.flow)?;
        let Entry { flow, send_next, receive_next, .. } = self.entries[at];
        if segment.has(RST) {
            return Some(Reply::Silence);
        }
        if segment.flags & (SYN | ACK) == SYN && is_after(segment.seq, receive_next) {
            self.forget(now, &flow);
            return Some(Reply::Reopen { after: send_next });
        }
        if segment.sequence_len() == 0 && segment.seq == receive_next {
            return Some(Reply::Silence);
        }
        if segment.has(FIN) {
            // Its sender has not heard the last ACK: the wait begins anew.
            self.insert(now, flow, send_next, receive_next);
        }
        Some(Reply::Ack { seq: send_next, ack: receive_next })
    }

    fn find(&self, now: Instant, flow: &FlowKey) -> Option<usize> {
        let is_it = |serial: u32| {
            let entry = self.entries.get(serial.wrapping_sub(self.first) as usize);
            entry.is_some_and(|entry| entry.alive && entry.until > now && entry.flow == *flow)
        };
        self.flows.find(self.flows.hash(flow), is_it).map(|serial| serial.wrapping_sub(self.first) as usize)
    }

    fn forget(&mut self, now: Instant, flow: &FlowKey) {
        if let Some(at) = self.find(now, flow) {
            self.entries[at].alive = false;
            self.alive -= 1;
            self.flows.remove(self.entries[at].hash, self.first.wrapping_add(at as u32));
        }
    }

    /// Forgets sessions that were waited out by `now`, `SWEPT_MAX` of them at most.
    pub fn expire(&mut self, now: Instant) {
        for _ in 0..SWEPT_MAX {
            if !self.entries.front().is_some_and(|entry| !entry.alive || entry.until <= now) {
                return;
            }
            self.pop();
        }
    }

    /// When to call [`expire`](Self::expire) next, in whole seconds: a quiet lane need not wake for each entry.
    pub fn wake_at(&self) -> Option<Instant> {
        let until = self.entries.front()?.until;
        Some(Instant::from_millis((until.as_millis() / 1_000 + 1) * 1_000))
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            if entry.alive {
                self.alive -= 1;
                self.flows.remove(entry.hash, self.first);
            }
            self.first = self.first.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16) -> FlowKey {
        FlowKey::new(([10, 0, 0, 2], port).into(), ([10, 0, 0, 1], 80).into())
    }

    fn segment(port: u16, seq: u32, flags: u8, payload_len: usize) -> Segment {
        Segment {
            flow: flow(port),
            tcp_at: 20,
            payload_at: 40,
            end_at: 40 + payload_len,
            seq,
            ack: 0,
            flags,
            window: 0,
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_repeated_fin_is_acknowledged_and_restarts_the_wait() {
        let mut waiting = TimeWait::new(Duration::from_secs(60), 8, [1, 2]);
        waiting.insert(at(0), flow(1), 500, 900);
        let fin = segment(1, 899, FIN | ACK, 0);
        assert_eq!(waiting.take(at(59_000), &fin), Some(Reply::Ack { seq: 500, ack: 900 }));
        assert!(waiting.holds(at(118_000), &flow(1)));
        assert!(!waiting.holds(at(119_000), &flow(1)));
        assert_eq!(waiting.take(at(119_000), &fin), None);
        waiting.expire(at(119_000));
        assert!(waiting.is_empty());
    }

    #[test]
    fn resets_and_plain_acks_are_met_with_silence_old_data_with_an_ack() {
        let mut waiting = TimeWait::new(Duration::from_secs(60), 8, [1, 2]);
        waiting.insert(at(0), flow(1), 500, 900);
        assert_eq!(waiting.take(at(1), &segment(1, 900, RST, 0)), Some(Reply::Silence));
        assert_eq!(waiting.take(at(1), &segment(1, 900, ACK, 0)), Some(Reply::Silence));
        assert_eq!(waiting.take(at(1), &segment(1, 800, ACK, 100)), Some(Reply::Ack { seq: 500, ack: 900 }));
        assert_eq!(waiting.take(at(1), &segment(2, 900, ACK, 100)), None);
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn a_later_syn_opens_anew_and_an_old_one_does_not() {
        let mut waiting = TimeWait::new(Duration::from_secs(60), 8, [1, 2]);
        waiting.insert(at(0), flow(1), 500, 900);
        assert_eq!(waiting.take(at(1), &segment(1, 100, SYN, 0)), Some(Reply::Ack { seq: 500, ack: 900 }));
        assert_eq!(waiting.take(at(1), &segment(1, 901, SYN, 0)), Some(Reply::Reopen { after: 500 }));
        assert!(waiting.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_leaks_nothing() {
        let mut waiting = TimeWait::new(Duration::from_secs(60), 100, [1, 2]);
        for round in 0..200_u64 {
            for port in 0..64 {
                waiting.insert(at(round), flow(port), port.into(), 0);
                assert!(waiting.entries.len() <= 100 && waiting.flows.len() == waiting.alive);
            }
        }
        assert_eq!(waiting.len(), 64, "the same flow again replaces its entry");
        for port in 64..30_000 {
            waiting.insert(at(300), flow(port), 0, 0);
        }
        assert_eq!((waiting.len(), waiting.flows.len()), (100, 100));
        assert!(waiting.holds(at(300), &flow(29_999)) && !waiting.holds(at(300), &flow(29_000)));
        assert!(!waiting.holds(at(60_300), &flow(29_999)));
        waiting.expire(at(60_300));
        assert_eq!((waiting.len(), waiting.flows.len(), waiting.entries.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_due_counts_no_more_and_is_swept_in_steps() {
        let mut waiting = TimeWait::new(Duration::from_secs(60), 2_000, [1, 2]);
        for port in 0..1_000 {
            waiting.insert(at(500), flow(port), 500, 900);
        }
        assert_eq!(waiting.wake_at(), Some(at(61_000)));
        assert!((0..1_000).all(|port| !waiting.holds(at(60_500), &flow(port))));
        // Opened and closed anew before the sweep: the new wait stands beside the place of the old one.
        waiting.insert(at(60_500), flow(7), 600, 1_000);
        let mut sweeps = 0;
        while waiting.wake_at().is_some_and(|wake_at| wake_at <= at(61_000)) {
            let held = waiting.held();
            waiting.expire(at(61_000));
            assert!(held - waiting.held() <= SWEPT_MAX);
            sweeps += 1;
        }
        assert_eq!((sweeps, waiting.len(), waiting.flows.len(), waiting.held()), (4, 1, 1, 1));
        let late = segment(7, 900, ACK, 100);
        assert_eq!(waiting.take(at(61_000), &late), Some(Reply::Ack { seq: 600, ack: 1_000 }));
    }
}
