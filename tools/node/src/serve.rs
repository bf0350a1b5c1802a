//! Final slices for peers, read from the log a piece at a time by whoever owns the log.
//!
//! A [`Read`] is a request with how far it has come. It goes to the log's worker and comes back with one piece of its
//! answer, so that the core stays the judge of whose turn it is, and never waits for a disk. An answer is bounded in
//! bytes: whoever wants more asks on from where it was cut.

use std::sync::Arc;

use hpb_base::limits::{CHAIN_ANSWER_FILL_LEN, CHAIN_PIECE_FILL_LEN, CHAIN_PIECE_SLICES_MAX, HEADERS_FILL_LEN};
use hpb_ledger::chainlog::{ChainLog, FinalSlice, FinalWalk, LogError, WalkStep};
use hpb_toe::SessionId;
use hpb_types::Canonical;
use hpb_types::message::{ChainPiece, Headers, Message, PieceEnd, RangeRequest, SliceBundle};

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Slices with their transactions.
    Slices,
    /// Slices alone.
    Headers,
}

/// A peer's request, as far as it was read.
#[derive(Debug)]
pub struct Read {
    session: SessionId,
    wanted: Wanted,
    request: RangeRequest,
    walk: Option<FinalWalk>,
    /// What the present piece holds.
    bundles: Vec<SliceBundle>,
    filled: usize,
    /// Bytes of the pieces before.
    answered: usize,
}

/// One piece of an answer.
#[derive(Debug)]
pub struct Served {
    /// Whose request it was.
    pub session: SessionId,
    /// The framed message.
    pub message: Arc<[u8]>,
    /// Slices in it.
    pub slices_count: u64,
    /// The rest of the request; none if this was the last piece.
    pub rest: Option<Box<Read>>,
}

/// What came of a step.
#[derive(Debug)]
pub enum Step {
    /// More reading is needed.
    Reading(Box<Read>),
    /// A piece is whole.
    Served(Box<Served>),
}

impl Read {
    /// A request that has not been looked at.
    pub fn new(session: SessionId, wanted: Wanted, request: RangeRequest) -> Self {
        Self { session, wanted, request, walk: None, bundles: Vec::new(), filled: 0, answered: 0 }
    }

    /// Whose request it is.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Whether it asks for slices alone.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Reads one batch, or takes one slice that was read.
    pub fn step(mut self: Box<Self>, log: &mut ChainLog) -> Step {
        if self.walk.is_none() {
            self.walk = log.walk_finals(self.request.from, self.request.to);
        }
        let Some(walk) = &mut self.walk else { return self.close(PieceEnd::NotHere) };
        let step = log.step_finals(walk).and_then(|step| match step {
            WalkStep::Slice(slice) => self.take(&slice).map(Some),
            WalkStep::Walked => Ok(None),
            WalkStep::End => Ok(Some(Some(PieceEnd::Done))),
        });
        match step {
            Ok(Some(Some(end))) => self.close(end),
            Ok(_) => Step::Reading(self),
            Err(error) => {
                if !matches!(error, LogError::NoRecord { .. }) {
                    tracing::warn!(%error, "final slices can't be read back");
                }
                self.close(PieceEnd::NotHere)
            }
        }
    }

    /// Reads until a piece is whole.
    pub fn finish(self: Box<Self>, log: &mut ChainLog) -> Box<Served> {
        let mut reading = self;
        loop {
            match reading.step(log) {
                Step::Reading(on) => reading = on,
                Step::Served(served) => return served,
            }
        }
    }

    /// Takes a slice into the piece; the end, if it fills it.
    fn take(&mut self, found: &FinalSlice) -> Result<Option<PieceEnd>, LogError> {
        let transactions = if self.wanted == Wanted::Slices { found.transactions()? } else { Vec::new() };
        self.filled += match self.wanted {
            Wanted::Slices => found.len(),
            Wanted::Headers => found.slice.to_bytes().len(),
        };
        self.bundles.push(SliceBundle { slice: found.slice.clone(), transactions });
        let (piece_len, answer_len) = match self.wanted {
            Wanted::Slices => (CHAIN_PIECE_FILL_LEN, CHAIN_ANSWER_FILL_LEN),
            Wanted::Headers => (HEADERS_FILL_LEN, HEADERS_FILL_LEN),
        };
        Ok(if self.answered + self.filled >= answer_len {
            Some(PieceEnd::Cut)
        } else if self.filled >= piece_len || self.bundles.len() >= CHAIN_PIECE_SLICES_MAX {
            Some(PieceEnd::More)
        } else {
            None
        })
    }

    fn close(mut self: Box<Self>, end: PieceEnd) -> Step {
        let bundles = std::mem::take(&mut self.bundles);
        let (request, slices_count) = (self.request.request, bundles.len() as u64);
        let message = match self.wanted {
            Wanted::Slices => Message::ChainPiece(Box::new(ChainPiece { request, slices: bundles, end })),
            Wanted::Headers => {
                let slices = bundles.into_iter().map(|bundle| bundle.slice).collect();
                // A whole answer is one message: what would follow is asked for.
                let end = if end == PieceEnd::More { PieceEnd::Cut } else { end };
                Message::Headers(Box::new(Headers { request, slices, end }))
            }
        };
        self.answered += std::mem::take(&mut self.filled);
        let (session, more) = (self.session, end == PieceEnd::More && self.wanted == Wanted::Slices);
        let message = crate::core::framed(&message);
        Step::Served(Box::new(Served { session, message, slices_count, rest: more.then_some(self) }))
    }
}
