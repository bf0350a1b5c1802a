//! What became final, kept so that it is found again without executing anything: an index beside the state.
//!
//! It is no part of the state, nobody hashes it, and consensus does not know it. A store that keeps one writes it in the
//! very commit that moves the state, so the two are in step or the index is known to have stopped: its span says after
//! which slice it begins and with which it ends. One that has stopped, or is damaged, is made anew by executing the log
//! again ([`HistoryStore::begin_history`]); no query reads it meanwhile.
//!
//! [`key`] says where a row lies, [`record`] what it holds, [`page`] how it is asked. Nothing here knows a disk.

pub mod key;
pub mod page;
pub mod record;
mod rows;

use hpb_base::limits::{HISTORY_ACCOUNTS_MAX, HISTORY_KINDS_MAX};
use hpb_types::name::NAME_LEN_MAX;
use hpb_types::{AccountName, Event, Hash, Height, Outcome, Receipt, Slice, SliceRef};

pub use key::{Place, PlaceError};
pub use page::{Order, Page, Query, Slot, SlotPage};
pub use record::{Kind, KindError, Proof, ResultRecord, SliceRecord};
pub use rows::Rows;
pub(crate) use rows::{append, begin};

use crate::checked::Checked;
use crate::store::{FinalPoint, StoreError, Visit};

/// The layout that this program writes, and the newest that it reads.
pub const HISTORY_FORMAT: u32 = 1;

/// What an index holds: every final slice after `from`, up to `to` and with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The slice after which it begins: the genesis slice, or where a state came from elsewhere.
    pub from: SliceRef,
    /// Its last slice; `from` where it holds none.
    pub to: SliceRef,
}

/// Whether an index goes as far as the state: nothing was committed without it.
pub fn is_in_step(span: Option<&Span>, point: Option<&FinalPoint>) -> bool {
    match (span, point) {
        (Some(span), Some(point)) => span.to == point.slice,
        // Before the first commit both stand at genesis.
        (Some(span), None) => span.to.height == Height::default(),
        (None, _) => false,
    }
}

/// Why an index does not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer program wrote it.
    #[error(
        "the index of history has format {found}, this program knows formats up to {known}: use a newer program, or build the index anew with `hpb ledger index`"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// It does not read back.
    #[error("the index of history is damaged: {0}; build it anew with `hpb ledger index`")]
    Damaged(String),
}

/// Rows of an index, in the order of their keys.
pub trait HistoryRead {
    /// The value under `key`.
    ///
    /// # Errors
    /// A store that can't be read.
    fn get_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits rows until `visit` breaks: from the first key at or above `from` upwards, or from the last key at or below it
    /// downwards. All of one visit is of one committed state.
    ///
    /// # Errors
    /// A store that can't be read.
    fn visit_rows(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<(), StoreError>;

    /// Rows held, the one of the span included.
    ///
    /// # Errors
    /// A store that can't be read.
    fn rows_count(&self) -> Result<u64, StoreError>;

    /// What is held; `None` where no index was begun.
    ///
    /// # Errors
    /// A newer format, a damaged row, a store that can't be read.
    fn span(&self) -> Result<Option<Span>, HistoryError> {
        self.get_row(&key::SPAN)?.map_or(Ok(None), |bytes| rows::read_span(&bytes).map(Some))
    }
}

/// A store that keeps an index.
pub trait HistoryStore: HistoryRead {
    /// Begins an index that holds what becomes final after `from`; one that was there is gone.
    ///
    /// # Errors
    /// A store that can't be written.
    fn begin_history(&mut self, from: SliceRef) -> Result<(), StoreError>;

    /// Adds slices to the index alone, behind the state: they follow its last slice and each other.
    ///
    /// # Errors
    /// [`StoreError::HistoryGap`]; a store that can't be written. Nothing was added then.
    fn append_history(&mut self, slices: &[SliceResults]) -> Result<(), StoreError>;
}

/// What an index says of a slice beside what its transactions came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceHeader {
    /// The slice.
    pub reference: SliceRef,
    /// The slice before it.
    pub parent: Hash,
    /// Who made it.
    pub producer: AccountName,
    /// The certificate that it carries.
    pub proof: Proof,
}

impl SliceHeader {
    /// That of `slice`.
    pub fn of(slice: &Slice) -> Self {
        let body = &slice.body;
        let signatures: usize = body.source.quorums.iter().map(|quorum| quorum.signatures.len()).sum();
        let proof = Proof {
            source: body.source.source.height,
            target: body.source.target.height,
            // A quorum has a signature a producer at most: far below.
            signatures: u32::try_from(signatures).unwrap_or(u32::MAX),
        };
        Self { reference: slice.reference(), parent: body.parent, producer: body.producer, proof }
    }
}

/// A final slice with what it came to, on its way to the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceResults {
    /// The slice.
    pub header: SliceHeader,
    /// Its transactions, in order.
    pub transactions: Vec<Checked>,
    /// What proposals came to that were due, then what each transaction came to.
    pub receipts: Vec<Receipt>,
}

impl SliceResults {
    /// Each receipt, with its transaction if it is one's, in order.
    pub fn each(&self) -> impl Iterator<Item = Happened<'_>> {
        let due = self.receipts.len().saturating_sub(self.transactions.len());
        let Height { slot, index } = self.header.reference.height;
        self.receipts.iter().enumerate().map(move |(number, receipt)| Happened {
            // Receipts of one slice are bounded far below.
            place: Place { slot: slot.0, slice: index, number: number as u32 },
            receipt,
            transaction: number.checked_sub(due).and_then(|number| self.transactions.get(number)),
        })
    }

    /// Bytes that it takes in memory, transactions that others hold too included.
    pub fn bytes_len(&self) -> usize {
        let events = self.receipts.iter().flat_map(|receipt| &receipt.events);
        let events: usize = events.map(|event| size_of::<Event>() + event.data.len()).sum();
        let transactions: usize = self.transactions.iter().map(|one| size_of::<Checked>() + one.bytes_len()).sum();
        size_of::<Self>() + transactions + events + self.receipts.len() * size_of::<Receipt>()
    }

    /// What the index says of the slice.
    pub fn record(&self) -> SliceRecord {
        let is_applied = |receipt: &&Receipt| receipt.outcome == Outcome::Applied;
        SliceRecord {
            id: self.header.reference.id,
            producer: self.header.producer,
            proof: self.header.proof,
            transactions: self.transactions.len() as u32,
            due: self.receipts.len().saturating_sub(self.transactions.len()) as u32,
            applied: self.receipts.iter().filter(is_applied).count() as u32,
            units: self.receipts.iter().fold(0, |sum, receipt| sum.saturating_add(receipt.units)),
            fees: self.receipts.iter().fold(0, |sum: u128, receipt| sum.saturating_add(receipt.fee.0)),
            bytes: self.transactions.iter().fold(0, |sum, one| sum.saturating_add(one.bytes_len() as u64)),
        }
    }
}

/// One receipt in its place.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    /// Where it stands.
    pub place: Place,
    /// What it came to.
    pub receipt: &'a Receipt,
    /// The transaction; none of a proposal that was due.
    pub transaction: Option<&'a Checked>,
}

impl Happened<'_> {
    /// Whose history it is part of: who pays, who stands behind it, whom its events name; each once, in that order, at
    /// most [`HISTORY_ACCOUNTS_MAX`].
    pub fn accounts(&self) -> Vec<AccountName> {
        let mut names = Names(Vec::new());
        if let Some(checked) = self.transaction {
            let body = &checked.transaction().body;
            names.add(body.payer);
            body.authorisations.iter().for_each(|named| names.add(named.account));
        }
        for event in &self.receipt.events {
            names.find(&event.data);
        }
        names.0
    }

    /// What was asked for and what happened, as contract and word: each once, in that order, at most
    /// [`HISTORY_KINDS_MAX`].
    pub fn kinds(&self) -> Vec<Kind> {
        let actions = self.transaction.into_iter().flat_map(|checked| &checked.transaction().body.actions);
        let asked = actions.map(|action| Kind { contract: action.contract, word: action.action });
        let happened = self.receipt.events.iter().map(|event| Kind { contract: event.contract, word: event.name });
        let mut kinds = Vec::new();
        for kind in asked.chain(happened) {
            if kinds.len() < HISTORY_KINDS_MAX && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// What the index keeps of it.
    pub fn record(&self) -> ResultRecord {
        ResultRecord::of(self.receipt, self.transaction.map(|checked| &checked.transaction().body))
    }
}

struct Names(Vec<AccountName>);

impl Names {
    fn add(&mut self, name: AccountName) {
        if self.0.len() < HISTORY_ACCOUNTS_MAX && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// Names stand in events with their lengths before them, whatever the contract.
    fn find(&mut self, data: &[u8]) {
        let mut at = 0;
        while let Some((length, rest)) = data.get(at..).and_then(|data| data.split_first_chunk()) {
            let length = u32::from_le_bytes(*length) as usize;
            let text = rest.get(..length).filter(|text| text.len() <= NAME_LEN_MAX);
            match text.and_then(|text| core::str::from_utf8(text).ok()?.parse().ok()) {
                Some(name) => {
                    self.add(name);
                    at += 4 + length;
                }
                None => at += 1,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
