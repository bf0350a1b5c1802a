//! What nodes say to each other above the card's sessions.
//!
//! The card frames a message as its kind (u8) and its body; kinds are append only. Each kind has a size bound and the
//! roles that may send it (FORMAT.md, "Messages"). A body beyond its bound, of an unknown kind or not canonical is
//! refused whole, before room is made for it.

pub mod diagnose;

use core::ops::BitOr;

use hpb_base::limits::{
    ANSWER_LEN_MAX, CHAIN_PIECE_LEN_MAX, CHAIN_PIECE_SLICES_MAX, DIGEST_SLICES_MAX, GOSSIP_LEN_MAX,
    GOSSIP_TRANSACTIONS_MAX, HEADERS_LEN_MAX, SLICE_BYTES_MAX, SLICE_LEN_MAX, TRANSACTION_LEN_MAX,
    TRANSACTIONS_PER_SLICE_MAX,
};

use crate::codec::{Canonical, CodecError, Reader, Writer};
use crate::confirm::Confirm;
use crate::keys::Hash;
use crate::receipt::{Outcome, RejectReason};
use crate::slice::{Slice, SliceRef};
use crate::transaction::Transaction;
use crate::units::{ChainId, Height, Slot};
use diagnose::{Answer, Goodbye, Question};

/// The version of the messages that this code speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// The oldest version of the messages that this code understands.
pub const PROTOCOL_VERSION_OLDEST: u8 = 1;

/// What a peer is to this node: a set of bits, unknown ones ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Roles(pub u8);

/// A session's first message, in both directions. Its layout stays the same in every version, so that strangers can
/// tell each other why they part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The sender's [`PROTOCOL_VERSION`].
    pub version: u8,
    /// The sender's chain.
    pub chain: ChainId,
    /// What the sender is.
    pub roles: Roles,
    /// The height of the sender's head.
    pub head: Height,
    /// The sender's latest final slice.
    pub final_slice: SliceRef,
}

/// Transactions that one validator's mempool offers to another's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gossip {
    /// At least one and at most [`GOSSIP_TRANSACTIONS_MAX`].
    pub transactions: Vec<Transaction>,
}

/// A slice and the transactions whose ids its root covers, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceBundle {
    /// The slice.
    pub slice: Slice,
    /// Its transactions; their canonical bytes sum to at most [`SLICE_BYTES_MAX`].
    pub transactions: Vec<Transaction>,
}

/// How far one slice has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceStatus {
    /// The slice.
    pub reference: SliceRef,
    /// Distinct scheduled producers, other than its own, that confirmed it or a descendant.
    pub confirmers: u16,
    /// Their weight together.
    pub weight: u64,
    /// [`SliceStatus::JUSTIFIED`], [`SliceStatus::FINAL`]; unknown bits ignored.
    pub flags: u8,
}

/// The confirms so far of the recent slices: one a slice to each terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digest {
    /// The latest slices, ascending by height; those final before the last digest are left out.
    pub slices: Vec<SliceStatus>,
    /// The latest final slice; its ancestors are final with it.
    pub final_slice: SliceRef,
    /// The time between digests in milliseconds, as it stands.
    pub interval_ms: u32,
}

impl Digest {
    /// Slots from the last final slice's to the newest slice's. On a sound chain it is 0 or 1; a user who hears of more is
    /// to know that nothing becomes final for that long, though the chain may grow.
    pub fn unfinal_slots(&self) -> u64 {
        let newest = self.slices.last().map_or(0, |status| status.reference.height.slot.0);
        newest.saturating_sub(self.final_slice.height.slot.0)
    }
}

/// Where a transaction stands. What follows `Included` (confirmed, justified, final) the digests say, slice by slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It passed the mempool.
    Received,
    /// It is in this slice, and came to that; not final: it can be retracted.
    Included(SliceRef, Outcome),
    /// It will not be included again, for this reason.
    Rejected(RejectReason),
    /// Its expiry passed before it was included.
    Expired,
    /// This slice, which held it, left the chain; it waits in the mempool again.
    Retracted(SliceRef),
}

/// Where a transaction stands, told to its sender alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionStatus {
    /// Which transaction.
    pub id: Hash,
    /// Where it stands.
    pub status: Status,
}

/// Asks for the slices that lead to one the sender lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceRequest {
    /// The sender's latest final slice: nothing at or below it is wanted.
    pub from: SliceRef,
    /// The id that it lacks.
    pub want: Hash,
}

/// What a validator has to give: sent after its hello and whenever it has changed, about once a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Its latest final slice; all final slices up to it are on its disk.
    pub final_slice: SliceRef,
    /// The first slot that it still has whole.
    pub from: Slot,
}

/// Asks for final slices. Final chains are one, so slots name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeRequest {
    /// Names the request in its answers.
    pub request: u64,
    /// The lowest height that is wanted.
    pub from: Height,
    /// The last slot that is wanted.
    pub to: Slot,
}

/// What follows a piece of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PieceEnd {
    /// More pieces.
    More,
    /// Nothing: this was all that is final in the range.
    Done,
    /// Nothing, though there is more: the answer is as long as answers may be. Ask for what follows.
    Cut,
    /// Nothing: the sender has not, or no longer, what was asked for.
    NotHere,
    /// Nothing: the sender has too much to do. Ask another, or later.
    Busy,
}

/// Final slices with their transactions, in the chain's order: a piece of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainPiece {
    /// The request that it answers.
    pub request: u64,
    /// The slices.
    pub slices: Vec<SliceBundle>,
    /// What follows.
    pub end: PieceEnd,
}

/// Final slices without their transactions, in the chain's order: a whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Headers {
    /// The request that it answers.
    pub request: u64,
    /// The slices.
    pub slices: Vec<Slice>,
    /// What follows; never [`PieceEnd::More`] from an honest sender.
    pub end: PieceEnd,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Kind 1: who speaks.
    Hello(Hello),
    /// Kind 2: a terminal's transaction.
    SubmitTransaction(Box<Transaction>),
    /// Kind 3: mempool gossip between validators.
    Transactions(Gossip),
    /// Kind 4: a slice with its transactions.
    SliceBundle(Box<SliceBundle>),
    /// Kind 5: a producer's confirm.
    Confirm(Box<Confirm>),
    /// Kind 6: the state of the recent slices.
    Digest(Digest),
    /// Kind 7: the state of one transaction.
    TransactionStatus(TransactionStatus),
    /// Kind 8: a slice is missing.
    SliceRequest(SliceRequest),
    /// Kind 9: is the peer there? Answered by a pong with the same nonce.
    Ping(u64),
    /// Kind 10: the answer.
    Pong(u64),
    /// Kind 11: what a validator has to give.
    Standing(Standing),
    /// Kind 12: final slices are missing.
    ChainRequest(RangeRequest),
    /// Kind 13: final slices.
    ChainPiece(Box<ChainPiece>),
    /// Kind 14: final slices are wanted without their transactions.
    HeadersRequest(RangeRequest),
    /// Kind 15: final slices without their transactions.
    Headers(Box<Headers>),
    /// Kind 16: something about the node is asked.
    Question(Question),
    /// Kind 17: what it says to that.
    Answer(Box<Answer>),
    /// Kind 18: why the session ends now.
    Goodbye(Goodbye),
}

crate::layout!(Roles(bits));
crate::layout!(Hello { version, chain, roles, head, final_slice });
crate::layout!(Gossip <= GOSSIP_LEN_MAX { transactions: list(1..=GOSSIP_TRANSACTIONS_MAX) });
crate::layout!(SliceStatus { reference, confirmers, weight, flags });
crate::layout!(Digest { slices: list(0..=DIGEST_SLICES_MAX), final_slice, interval_ms });
crate::tagged!(Status {
    0 => Received,
    1 => Included(slice, outcome),
    2 => Rejected(reason),
    3 => Expired,
    4 => Retracted(slice),
});
crate::layout!(TransactionStatus { id, status });
crate::layout!(SliceRequest { from, want });
crate::layout!(Standing { final_slice, from });
crate::layout!(RangeRequest { request, from, to });
crate::tagged!(PieceEnd { 0 => More, 1 => Done, 2 => Cut, 3 => NotHere, 4 => Busy });
crate::layout!(ChainPiece <= CHAIN_PIECE_LEN_MAX { request, slices: list(0..=CHAIN_PIECE_SLICES_MAX), end });
crate::layout!(Headers <= HEADERS_LEN_MAX { request, slices: list(0..=CHAIN_PIECE_SLICES_MAX), end });

impl Canonical for SliceBundle {
    const LEN_MAX: usize = SLICE_LEN_MAX + 4 + SLICE_BYTES_MAX;

    fn put(&self, writer: &mut Writer) {
        writer.put(&self.slice);
        writer.put_list(&self.transactions);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let slice = reader.take()?;
        let before = reader.remaining();
        let transactions = reader.take_list(0..=TRANSACTIONS_PER_SLICE_MAX)?;
        if before - reader.remaining() > 4 + SLICE_BYTES_MAX {
            return Err(CodecError::TooLong);
        }
        Ok(Self { slice, transactions })
    }
}

impl Roles {
    /// Produces or confirms, and keeps the whole chain.
    pub const VALIDATOR: Self = Self(1);
    /// Submits transactions and is told what becomes of them.
    pub const TERMINAL: Self = Self(2);
    /// Looks and measures.
    pub const DIAGNOSTICS: Self = Self(4);

    /// Whether a role is in both sets.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all roles of `other` are in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Roles {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl SliceStatus {
    /// The bit of a justified slice.
    pub const JUSTIFIED: u8 = 1;
    /// The bit of a final slice.
    pub const FINAL: u8 = 2;

    /// Whether a certificate names the slice as its target.
    pub const fn is_justified(&self) -> bool {
        self.flags & Self::JUSTIFIED != 0
    }

    /// Whether the slice is final.
    pub const fn is_final(&self) -> bool {
        self.flags & Self::FINAL != 0
    }
}

/// The kinds of messages: what stands before the body in a frame.
pub mod kind {
    /// [`Message::Hello`](super::Message::Hello)
    pub const HELLO: u8 = 1;
    /// [`Message::SubmitTransaction`](super::Message::SubmitTransaction)
    pub const SUBMIT_TRANSACTION: u8 = 2;
    /// [`Message::Transactions`](super::Message::Transactions)
    pub const TRANSACTIONS: u8 = 3;
    /// [`Message::SliceBundle`](super::Message::SliceBundle)
    pub const SLICE_BUNDLE: u8 = 4;
    /// [`Message::Confirm`](super::Message::Confirm)
    pub const CONFIRM: u8 = 5;
    /// [`Message::Digest`](super::Message::Digest)
    pub const DIGEST: u8 = 6;
    /// [`Message::TransactionStatus`](super::Message::TransactionStatus)
    pub const TRANSACTION_STATUS: u8 = 7;
    /// [`Message::SliceRequest`](super::Message::SliceRequest)
    pub const SLICE_REQUEST: u8 = 8;
    /// [`Message::Ping`](super::Message::Ping)
    pub const PING: u8 = 9;
    /// [`Message::Pong`](super::Message::Pong)
    pub const PONG: u8 = 10;
    /// [`Message::Standing`](super::Message::Standing)
    pub const STANDING: u8 = 11;
    /// [`Message::ChainRequest`](super::Message::ChainRequest)
    pub const CHAIN_REQUEST: u8 = 12;
    /// [`Message::ChainPiece`](super::Message::ChainPiece)
    pub const CHAIN_PIECE: u8 = 13;
    /// [`Message::HeadersRequest`](super::Message::HeadersRequest)
    pub const HEADERS_REQUEST: u8 = 14;
    /// [`Message::Headers`](super::Message::Headers)
    pub const HEADERS: u8 = 15;
    /// [`Message::Question`](super::Message::Question)
    pub const QUESTION: u8 = 16;
    /// [`Message::Answer`](super::Message::Answer)
    pub const ANSWER: u8 = 17;
    /// [`Message::Goodbye`](super::Message::Goodbye)
    pub const GOODBYE: u8 = 18;
}

/// Bytes of the largest digest.
const DIGEST_LEN_MAX: usize = 4 + DIGEST_SLICES_MAX * SLICE_STATUS_LEN + SLICE_REF_LEN + 4;
/// Bytes of a slice's reference: slot, index, id.
const SLICE_REF_LEN: usize = 8 + 4 + 32;
/// Bytes of a slice's status.
const SLICE_STATUS_LEN: usize = SLICE_REF_LEN + 2 + 8 + 1;
/// Bytes of a hello.
const HELLO_LEN: usize = 1 + 32 + 1 + 12 + SLICE_REF_LEN;
/// Bytes of the largest transaction status: id, tag, a slice's reference, an outcome.
const TRANSACTION_STATUS_LEN_MAX: usize = 32 + 1 + SLICE_REF_LEN + OUTCOME_LEN_MAX;
/// Bytes of an [`Outcome`].
const OUTCOME_LEN_MAX: usize = 2;
/// Bytes of a slice request.
const SLICE_REQUEST_LEN: usize = SLICE_REF_LEN + 32;
/// Bytes of a standing: the final slice, the first slot.
const STANDING_LEN: usize = SLICE_REF_LEN + 8;
/// Bytes of a range request: number, height, slot.
const RANGE_REQUEST_LEN: usize = 8 + 12 + 8;
/// Bytes of the largest confirm: two references, the longest name, the signature.
const CONFIRM_LEN_MAX: usize = 1 + 32 + 8 + 2 * SLICE_REF_LEN + 36 + 64;

impl Message {
    /// The message's kind.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::SubmitTransaction(_) => kind::SUBMIT_TRANSACTION,
            Self::Transactions(_) => kind::TRANSACTIONS,
            Self::SliceBundle(_) => kind::SLICE_BUNDLE,
            Self::Confirm(_) => kind::CONFIRM,
            Self::Digest(_) => kind::DIGEST,
            Self::TransactionStatus(_) => kind::TRANSACTION_STATUS,
            Self::SliceRequest(_) => kind::SLICE_REQUEST,
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::Standing(_) => kind::STANDING,
            Self::ChainRequest(_) => kind::CHAIN_REQUEST,
            Self::ChainPiece(_) => kind::CHAIN_PIECE,
            Self::HeadersRequest(_) => kind::HEADERS_REQUEST,
            Self::Headers(_) => kind::HEADERS,
            Self::Question(_) => kind::QUESTION,
            Self::Answer(_) => kind::ANSWER,
            Self::Goodbye(_) => kind::GOODBYE,
        }
    }

    /// The most bytes that a body of `kind` may have; `None` if there is no such kind.
    pub fn len_max(kind: u8) -> Option<usize> {
        match kind {
            kind::HELLO => Some(HELLO_LEN),
            kind::SUBMIT_TRANSACTION => Some(TRANSACTION_LEN_MAX),
            kind::TRANSACTIONS => Some(GOSSIP_LEN_MAX),
            kind::SLICE_BUNDLE => Some(SliceBundle::LEN_MAX),
            kind::CONFIRM => Some(CONFIRM_LEN_MAX),
            kind::DIGEST => Some(DIGEST_LEN_MAX),
            kind::TRANSACTION_STATUS => Some(TRANSACTION_STATUS_LEN_MAX),
            kind::SLICE_REQUEST => Some(SLICE_REQUEST_LEN),
            kind::PING | kind::PONG => Some(u64::LEN_MAX),
            kind::STANDING => Some(STANDING_LEN),
            kind::CHAIN_REQUEST | kind::HEADERS_REQUEST => Some(RANGE_REQUEST_LEN),
            kind::CHAIN_PIECE => Some(CHAIN_PIECE_LEN_MAX),
            kind::HEADERS => Some(HEADERS_LEN_MAX),
            kind::QUESTION => Some(Question::LEN_MAX),
            kind::ANSWER => Some(ANSWER_LEN_MAX),
            kind::GOODBYE => Some(Goodbye::LEN_MAX),
            _ => None,
        }
    }

    /// Whether a peer with `roles` may send messages of `kind`. Nobody may send a kind that there is not.
    pub fn may_send(roles: Roles, kind: u8) -> bool {
        let senders = match kind {
            kind::HELLO | kind::PING | kind::PONG | kind::HEADERS_REQUEST | kind::QUESTION | kind::GOODBYE => {
                Roles::VALIDATOR | Roles::TERMINAL | Roles::DIAGNOSTICS
            }
            kind::SUBMIT_TRANSACTION => Roles::TERMINAL,
            kind::SLICE_REQUEST | kind::CHAIN_REQUEST => Roles::VALIDATOR | Roles::DIAGNOSTICS,
            kind::TRANSACTIONS
            | kind::SLICE_BUNDLE
            | kind::CONFIRM
            | kind::DIGEST
            | kind::TRANSACTION_STATUS
            | kind::STANDING
            | kind::CHAIN_PIECE
            | kind::HEADERS
            | kind::ANSWER => Roles::VALIDATOR,
            _ => Roles::default(),
        };
        roles.intersects(senders)
    }

    /// The body that follows the kind in a frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => hello.to_bytes(),
            Self::SubmitTransaction(transaction) => transaction.to_bytes(),
            Self::Transactions(gossip) => gossip.to_bytes(),
            Self::SliceBundle(bundle) => bundle.to_bytes(),
            Self::Confirm(confirm) => confirm.to_bytes(),
            Self::Digest(digest) => digest.to_bytes(),
            Self::TransactionStatus(status) => status.to_bytes(),
            Self::SliceRequest(request) => request.to_bytes(),
            Self::Ping(nonce) | Self::Pong(nonce) => nonce.to_bytes(),
            Self::Standing(standing) => standing.to_bytes(),
            Self::ChainRequest(request) | Self::HeadersRequest(request) => request.to_bytes(),
            Self::ChainPiece(piece) => piece.to_bytes(),
            Self::Headers(headers) => headers.to_bytes(),
            Self::Question(question) => question.to_bytes(),
            Self::Answer(answer) => answer.to_bytes(),
            Self::Goodbye(goodbye) => goodbye.to_bytes(),
        }
    }

    /// The message of `kind` that `body` is the canonical bytes of.
    ///
    /// # Errors
    /// [`CodecError::Tag`] for an unknown kind, [`CodecError::TooLong`] beyond the kind's bound, otherwise what the
    /// body's decoding says.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, CodecError> {
        let len_max = Self::len_max(kind).ok_or(CodecError::Tag(kind))?;
        if body.len() > len_max {
            return Err(CodecError::TooLong);
        }
        Ok(match kind {
            kind::HELLO => Self::Hello(Hello::from_bytes(body)?),
            kind::SUBMIT_TRANSACTION => Self::SubmitTransaction(Box::new(Transaction::from_bytes(body)?)),
            kind::TRANSACTIONS => Self::Transactions(Gossip::from_bytes(body)?),
            kind::SLICE_BUNDLE => Self::SliceBundle(Box::new(SliceBundle::from_bytes(body)?)),
            kind::CONFIRM => Self::Confirm(Box::new(Confirm::from_bytes(body)?)),
            kind::DIGEST => Self::Digest(Digest::from_bytes(body)?),
            kind::TRANSACTION_STATUS => Self::TransactionStatus(TransactionStatus::from_bytes(body)?),
            kind::SLICE_REQUEST => Self::SliceRequest(SliceRequest::from_bytes(body)?),
            kind::PING => Self::Ping(u64::from_bytes(body)?),
            kind::PONG => Self::Pong(u64::from_bytes(body)?),
            kind::STANDING => Self::Standing(Standing::from_bytes(body)?),
            kind::CHAIN_REQUEST => Self::ChainRequest(RangeRequest::from_bytes(body)?),
            kind::CHAIN_PIECE => Self::ChainPiece(Box::new(ChainPiece::from_bytes(body)?)),
            kind::HEADERS_REQUEST => Self::HeadersRequest(RangeRequest::from_bytes(body)?),
            kind::HEADERS => Self::Headers(Box::new(Headers::from_bytes(body)?)),
            kind::QUESTION => Self::Question(Question::from_bytes(body)?),
            kind::ANSWER => Self::Answer(Box::new(Answer::from_bytes(body)?)),
            kind::GOODBYE => Self::Goodbye(Goodbye::from_bytes(body)?),
            _ => return Err(CodecError::Tag(kind)),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
