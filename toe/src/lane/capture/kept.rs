//! What one capture kept: a ring, bounded in rows and in bytes, of which the oldest give way.

use std::collections::VecDeque;

use hpb_base::Instant;
use hpb_base::limits::{
    ANSWER_LEN_MAX, CAPTURE_KEPT_LEN_MAX, CAPTURE_KEPT_MAX, CAPTURE_PIECE_LEN_MAX, CAPTURE_ROWS_MAX,
};
use hpb_types::message::diagnose::{CaptureKind, CapturePage, CaptureRow, CaptureWay, Endpoint, SessionName};

use super::Who;
use crate::card::SessionId;

/// Bytes of an answer in front of its page: its number and a tag.
const ANSWER_HEAD_LEN: usize = 8 + 1;

/// A frame, or a piece of a message.
struct Row {
    at: Instant,
    who: Who,
    way: CaptureWay,
    kind: CaptureKind,
    whole_len: u32,
    offset: u32,
    bytes: Box<[u8]>,
}

/// The ring.
#[derive(Default)]
pub(super) struct Ring {
    rows: VecDeque<Row>,
    /// Bytes of them.
    len: usize,
    /// The number of the latest, 0 before the first.
    last: u64,
}

impl Ring {
    /// Keeps `kept` of something that is `whole_len` bytes long, in as many rows as it takes.
    pub(super) fn keep(
        &mut self,
        at: Instant,
        who: &Who,
        way: CaptureWay,
        kind: CaptureKind,
        kept: &[u8],
        whole_len: usize,
    ) {
        let mut offset = 0;
        loop {
            let rest = &kept[offset..];
            let piece = &rest[..rest.len().min(CAPTURE_PIECE_LEN_MAX)];
            let (whole_len, from) = (whole_len as u32, offset as u32);
            self.push(Row { at, who: *who, way, kind, whole_len, offset: from, bytes: piece.into() });
            offset += piece.len();
            // A frame never takes two.
            if offset == kept.len() || kind != CaptureKind::Message {
                return;
            }
        }
    }

    fn push(&mut self, row: Row) {
        self.len += row.bytes.len();
        self.rows.push_back(row);
        self.last += 1;
        while self.rows.len() > CAPTURE_KEPT_MAX || self.len > CAPTURE_KEPT_LEN_MAX {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        if let Some(row) = self.rows.pop_front() {
            self.len -= row.bytes.len();
        }
    }

    /// The number of the oldest row.
    fn first(&self) -> u64 {
        self.last + 1 - self.rows.len() as u64
    }

    /// Lets go of the rows up to number `after`, and tells those that follow, as many as one answer holds.
    pub(super) fn page(&mut self, now: Instant, after: u64, lane: u16, is_over: bool) -> CapturePage {
        let after = after.min(self.last);
        while !self.rows.is_empty() && self.first() <= after {
            self.let_go();
        }
        let (first, mut len) = (self.first(), ANSWER_HEAD_LEN + CapturePage::HEAD_LEN);
        let mut rows = Vec::new();
        for row in self.rows.iter().take(CAPTURE_ROWS_MAX) {
            len += CaptureRow::HEAD_LEN + row.bytes.len();
            if len > ANSWER_LEN_MAX {
                break;
            }
            rows.push(row.told(lane));
        }
        let lost = first - (after + 1);
        CapturePage { now_ns: now.as_nanos(), first, lost, is_over: is_over && rows.is_empty(), rows }
    }
}

impl Row {
    fn told(&self, lane: u16) -> CaptureRow {
        let none = SessionId { index: SessionName::NONE, generation: 0 };
        let SessionId { index, generation } = self.who.session.unwrap_or(none);
        CaptureRow {
            at_ns: self.at.as_nanos(),
            session: SessionName { lane, index, generation },
            remote: Endpoint::of(self.who.flow.remote()),
            local: Endpoint::of(self.who.flow.local()),
            way: self.way,
            kind: self.kind,
            whole_len: self.whole_len,
            offset: self.offset,
            bytes: self.bytes.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hpb_types::Canonical as _;
    use hpb_types::message::diagnose::{Answer, Tell};

    use super::*;
    use crate::segment::FlowKey;

    fn who() -> Who {
        let flow = FlowKey::new(([10, 0, 0, 1], 7).into(), ([10, 0, 0, 2], 8).into());
        Who { session: None, flow, peer: None, encrypted: false }
    }

    fn keep(ring: &mut Ring, kind: CaptureKind, len: usize) {
        ring.keep(Instant::from_millis(5), &who(), CaptureWay::In, kind, &vec![7; len], len);
    }

    #[test]
    fn the_oldest_give_way_by_number_and_by_bytes_and_are_counted() {
        let mut ring = Ring::default();
        for _ in 0..CAPTURE_KEPT_MAX + 10 {
            keep(&mut ring, CaptureKind::Frame, 60);
        }
        let page = ring.page(Instant::from_millis(9), 3, 0, false);
        assert_eq!((page.first, page.lost, page.rows.len()), (11, 7, CAPTURE_ROWS_MAX));
        assert_eq!((page.now_ns, page.rows[0].at_ns), (9_000_000, 5_000_000));
        let mut ring = Ring::default();
        for _ in 0..3 {
            keep(&mut ring, CaptureKind::Message, CAPTURE_KEPT_LEN_MAX / 2);
        }
        assert!(ring.len <= CAPTURE_KEPT_LEN_MAX);
        let pieces = (CAPTURE_KEPT_LEN_MAX / 2 / CAPTURE_PIECE_LEN_MAX) as u64;
        assert_eq!(ring.page(Instant::ZERO, 0, 0, false).lost, pieces);
    }

    #[test]
    fn pages_fit_an_answer_and_follow_each_other() {
        let mut ring = Ring::default();
        for len in [0, 1, 60, 1_514, 9_000, CAPTURE_PIECE_LEN_MAX, 100_000] {
            keep(&mut ring, CaptureKind::Message, len);
            keep(&mut ring, CaptureKind::Frame, len);
        }
        let (mut after, mut len) = (0, 0);
        loop {
            let page = ring.page(Instant::ZERO, after, 1, true);
            assert_eq!((page.first, page.lost), (after + 1, 0));
            let answer = Answer { number: u64::MAX, what: Tell::Captured(page.clone()) };
            assert!(answer.to_bytes().len() <= ANSWER_LEN_MAX);
            if page.rows.is_empty() {
                assert!(page.is_over);
                break;
            }
            assert!(!page.is_over, "what is kept is told first");
            after += page.rows.len() as u64;
            len += page.rows.iter().map(|row| row.bytes.len()).sum::<usize>();
        }
        // A frame is cut to one row, a message stands in as many as it takes.
        let whole = 1 + 60 + 1_514 + 9_000 + CAPTURE_PIECE_LEN_MAX;
        assert_eq!(len, 2 * whole + 100_000 + CAPTURE_PIECE_LEN_MAX);
        assert_eq!((ring.len, ring.rows.len()), (0, 0), "what was told is let go of");
    }
}
