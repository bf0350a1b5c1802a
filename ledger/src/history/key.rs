//! Where a row of the index lies.
//!
//! A key is its table's number, then what the table is ordered by. Numbers are big-endian and names stand behind their
//! lengths, so that what belongs together lies together, in the chain's order.
//!
//! | table | key | value | bytes of the key |
//! | --- | --- | --- | --- |
//! | 0 | none | format, first and last slice | 1 |
//! | 1 | slot u64, slice u32 | [`SliceRecord`](super::SliceRecord) | 13 |
//! | 2 | place | [`ResultRecord`](super::ResultRecord) | 17 |
//! | 3 | id, place | none | 49 |
//! | 4 | account, place | none | 18 and the name |
//! | 5 | contract, word, place | none | 19 and both names |
//!
//! A place is slot u64, slice u32, number u32: 16 bytes.

use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use hpb_types::name::NAME_LEN_MAX;
use hpb_types::{AccountName, Hash, Height};

use super::record::Kind;

/// The key of the index' span.
pub const SPAN: [u8; 1] = [0];
/// Bytes of a place.
const PLACE_LEN: usize = 16;

const SLICES: u8 = 1;
const RESULTS: u8 = 2;
const IDS: u8 = 3;
const ACCOUNTS: u8 = 4;
const KINDS: u8 = 5;

/// Where a receipt stands in the chain. Also where a page goes on: it never moves, whatever comes after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The slot.
    pub slot: u64,
    /// The slice there.
    pub slice: u32,
    /// Its number among the slice's receipts; proposals that were due come first.
    pub number: u32,
}

/// A text is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a place in the chain is SLOT.SLICE.NUMBER, as 1234.5.6")]
pub struct PlaceError;

impl Place {
    /// Before every place of a slot.
    pub const fn first_of(slot: u64) -> Self {
        Self { slot, slice: 0, number: 0 }
    }

    /// Behind every place of a slot, or the last of them.
    pub const fn last_of(slot: u64) -> Self {
        Self { slot, slice: u32::MAX, number: u32::MAX }
    }

    fn to_bytes(self) -> [u8; PLACE_LEN] {
        let mut bytes = [0; PLACE_LEN];
        bytes[..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.slice.to_be_bytes());
        bytes[12..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (slot, rest) = bytes.split_first_chunk()?;
        let (slice, number) = rest.split_first_chunk()?;
        Some(Self {
            slot: u64::from_be_bytes(*slot),
            slice: u32::from_be_bytes(*slice),
            number: u32::from_be_bytes(number.try_into().ok()?),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.slot, self.slice, self.number)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut parts = text.split('.');
        let mut digits =
            || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit())).ok_or(PlaceError);
        let (slot, slice, number) = (digits()?, digits()?, digits()?);
        if parts.next().is_some() {
            return Err(PlaceError);
        }
        Ok(Self {
            slot: slot.parse().map_err(|_| PlaceError)?,
            slice: slice.parse().map_err(|_| PlaceError)?,
            number: number.parse().map_err(|_| PlaceError)?,
        })
    }
}

/// Bytes of the longest key: one of two names of the greatest length.
const KEY_LEN_MAX: usize = 1 + 2 * (1 + NAME_LEN_MAX) + PLACE_LEN;

/// Bytes of a key, without a heap: a batch has many thousands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    bytes: [u8; KEY_LEN_MAX],
    len: usize,
}

impl Key {
    fn of(table: u8) -> Self {
        Self { bytes: [0; KEY_LEN_MAX], len: 0 }.and(&[table])
    }

    /// With more bytes behind it. No table has a key above the longest.
    fn and(mut self, more: &[u8]) -> Self {
        let end = self.len + more.len();
        self.bytes[self.len..end].copy_from_slice(more);
        self.len = end;
        self
    }

    /// With a name behind it, whose length is far below 256.
    fn and_name(self, name: &[u8]) -> Self {
        self.and(&[name.len() as u8]).and(name)
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Rows that lie together: those of one account, one kind of action, or all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shelf(Key);

impl Shelf {
    /// Every receipt.
    pub fn all() -> Self {
        Self(Key::of(RESULTS))
    }

    /// Those with an id: one, but for ids that come again.
    pub fn of_id(id: &Hash) -> Self {
        Self(Key::of(IDS).and(&id.0))
    }

    /// Those of an account's history.
    pub fn of_account(account: &AccountName) -> Self {
        Self(Key::of(ACCOUNTS).and_name(account.as_bytes()))
    }

    /// Those of a kind.
    pub fn of_kind(kind: &Kind) -> Self {
        Self(Key::of(KINDS).and_name(kind.contract.as_bytes()).and_name(kind.word.as_bytes()))
    }

    /// The key of the row at `place`.
    pub fn at(&self, place: Place) -> Key {
        self.0.and(&place.to_bytes())
    }

    /// Where a row of the shelf stands; `None` of a key that is none of it.
    pub fn place(&self, key: &[u8]) -> Option<Place> {
        Place::from_bytes(key.strip_prefix(&*self.0)?)
    }
}

/// The key of a receipt.
pub fn of_result(place: Place) -> Key {
    Shelf::all().at(place)
}

/// The key of a slice.
pub fn of_slice(height: Height) -> Key {
    Key::of(SLICES).and(&height.slot.0.to_be_bytes()).and(&height.index.to_be_bytes())
}

/// The height in a slice's key; `None` of any other key.
pub fn slice_of(key: &[u8]) -> Option<Height> {
    let (slot, index) = key.strip_prefix(&[SLICES])?.split_first_chunk()?;
    Some(Height::new(u64::from_be_bytes(*slot), u32::from_be_bytes(index.try_into().ok()?)))
}
