//! What happened, as one hash that two runs are compared by, and as lines for people when they ask.

use std::collections::VecDeque;

use hpb_base::Instant;
use hpb_base::limits::SIM_TRACE_LINES_MAX;
use hpb_types::Hash;

/// What a note is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Tag {
    /// A session opened.
    Opened = 1,
    /// A session is gone.
    Closed = 2,
    /// A message arrived.
    Arrived = 3,
    /// A verdict came.
    Verdict = 4,
    /// A log batch is durable.
    Synced = 5,
    /// A store's batch is committed.
    Committed = 6,
    /// A core sends a message.
    Sent = 7,
    /// A core writes to its log.
    Logged = 8,
    /// A core hands over final state.
    Commit = 9,
    /// A node starts.
    Started = 10,
    /// A node stops.
    Stopped = 11,
    /// A fault begins.
    Begun = 12,
    /// A fault ends.
    Ended = 13,
    /// Final, as users are told.
    Final = 14,
    /// A piece of the log was read for a peer.
    Served = 15,
    /// A card sends a frame.
    Frame = 16,
}

/// The trace so far.
pub struct Trace {
    hasher: blake3::Hasher,
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// An empty trace; `lines` keeps the last of them for people.
    pub fn new(lines: bool) -> Self {
        Self { hasher: blake3::Hasher::new_derive_key("hpb simulation trace v1"), lines: lines.then(VecDeque::new) }
    }

    /// The hash over all so far.
    pub fn hash(&self) -> Hash {
        Hash(*self.hasher.finalize().as_bytes())
    }

    /// The last lines, the oldest first.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.map(Vec::from).unwrap_or_default()
    }

    /// Something happened to `machine`; `number` and `bytes` say what, exactly.
    pub fn note(&mut self, now: Instant, tag: Tag, machine: usize, number: u64, bytes: &[u8]) {
        let mut head = [0; 29];
        head[0] = tag as u8;
        head[1..9].copy_from_slice(&now.as_nanos().to_le_bytes());
        head[9..13].copy_from_slice(&(machine as u32).to_le_bytes());
        head[13..21].copy_from_slice(&number.to_le_bytes());
        head[21..29].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(&head);
        self.hasher.update(bytes);
    }

    /// A line for people; made only if they asked.
    pub fn line(&mut self, now: Instant, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push_back(format!("{:>10} ms  {}", Millis(now), text()));
            if lines.len() > SIM_TRACE_LINES_MAX {
                lines.pop_front();
            }
        }
    }
}

/// An instant in milliseconds with their thousandths.
struct Millis(Instant);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_micros();
        f.pad(&format!("{}.{:03}", micros / 1_000, micros % 1_000))
    }
}
