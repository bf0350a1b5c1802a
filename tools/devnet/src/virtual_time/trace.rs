//! One hash over all that the machines were told and said, so that two runs can be compared by one line.

use hpb_base::Instant;
use hpb_net::Frame;
use hpb_node::core::{Input, Output};
use hpb_toe::{Command, Event};
use hpb_types::Hash;

/// The trace so far.
pub(super) struct Trace(blake3::Hasher);

impl Trace {
    pub(super) fn new() -> Self {
        Self(blake3::Hasher::new_derive_key("hpb devnet trace v1"))
    }

    pub(super) fn hash(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }

    fn note(&mut self, now: Instant, tag: u8, bytes: &[u8]) {
        self.0.update(&now.as_nanos().to_le_bytes());
        self.0.update(&[tag]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Frames that a card sends; what another receives is these.
    pub(super) fn frames<'a>(&mut self, now: Instant, frames: impl Iterator<Item = &'a Frame>) {
        for frame in frames {
            self.note(now, 1, frame.bytes());
        }
    }

    pub(super) fn event(&mut self, now: Instant, event: &Event<'_>) {
        match event {
            Event::Opened { session, .. } => self.note(now, 2, &session.index.to_le_bytes()),
            Event::Message { kind, body, .. } => {
                self.note(now, 3, &[*kind]);
                self.note(now, 3, body);
            }
            Event::Closed { session, .. } => self.note(now, 4, &session.index.to_le_bytes()),
        }
    }

    pub(super) fn input(&mut self, now: Instant, input: &Input) {
        match input {
            Input::Opened { session, .. } => self.note(now, 5, &session.index.to_le_bytes()),
            Input::Closed { session } => self.note(now, 6, &session.index.to_le_bytes()),
            Input::Message { kind, body, .. } => {
                self.note(now, 7, &[*kind]);
                self.note(now, 7, body);
            }
            Input::Verdict(_) => self.note(now, 8, &[]),
            Input::Synced { number } => self.note(now, 9, &number.to_le_bytes()),
            Input::Committed { commit } => self.note(now, 10, &commit.to_le_bytes()),
            Input::Served(served) => self.note(now, 18, &served.message),
            Input::Answered { session, .. } => self.note(now, 20, &session.index.to_le_bytes()),
            Input::DigestInterval(interval) => self.note(now, 11, &interval.as_nanos().to_le_bytes()),
        }
    }

    pub(super) fn output(&mut self, now: Instant, output: &Output) {
        match output {
            Output::Card(Command::Send { message, .. } | Command::Broadcast { message, .. }) => {
                self.note(now, 12, message);
            }
            Output::Card(_) => self.note(now, 13, &[]),
            Output::Verify(_) => self.note(now, 14, &[]),
            Output::Log { number, batch } => {
                self.note(now, 15, &number.to_le_bytes());
                self.note(now, 15, &(batch.encoded_len() as u64).to_le_bytes());
            }
            Output::Read(_) => self.note(now, 19, &[]),
            Output::Commit(batch) => self.note(now, 16, &batch.point.slice.id.0),
            Output::Ask { session, .. } => self.note(now, 21, &session.index.to_le_bytes()),
            Output::Stop(reason) => self.note(now, 17, reason.as_bytes()),
        }
    }
}
