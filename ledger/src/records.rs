//! Small records of the state and their bytes: a version byte, then the canonical fields.
//!
//! What does not read back is damage of this node's store, never a peer's doing, and is said so.

use hpb_base::limits::TRANSACTIONS_PER_SLICE_MAX;
use hpb_types::codec::{Canonical, Reader};
use hpb_types::{AccountName, Amount, Fees, Hash, Slot};

use crate::bytes::Bytes;

/// The version of every record's layout.
const VERSION: u8 = 1;

/// What transactions and room in the state cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tariff {
    /// What transactions cost ([`crate::fees`]).
    pub fees: Fees,
    /// What one byte of an account's record or roles costs for as long as it lies in the state.
    pub deposit_per_byte: Amount,
}

/// The fees that the slices of one slot took so far. They lie here, and not with the producer, so that the transactions
/// of a slice do not all write one balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotFees {
    /// The slot.
    pub slot: Slot,
    /// Its producer: who is credited by the next block.
    pub producer: AccountName,
    /// The sum.
    pub amount: Amount,
}

/// Which records of included ids are held: a queue in the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// The oldest held record's sequence number.
    pub first: u64,
    /// The next record's sequence number.
    pub next: u64,
}

/// The transactions that one slice included, for as long as one of them may not have expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Included {
    /// The slice's slot.
    pub slot: Slot,
    /// The transactions' ids, in order.
    pub ids: Vec<Hash>,
}

hpb_types::layout!(Tariff { fees, deposit_per_byte });
hpb_types::layout!(SlotFees { slot, producer, amount });
hpb_types::layout!(Window { first, next });
hpb_types::layout!(Included { slot, ids: list(1..=TRANSACTIONS_PER_SLICE_MAX) });

impl Included {
    /// The slot of a stored record, without its ids.
    pub fn slot_of(bytes: &[u8]) -> Option<Slot> {
        let mut reader = Reader::new(bytes);
        reader.take_version(VERSION).ok()?;
        reader.take().ok()
    }
}

/// The record's bytes.
pub fn store<T: Canonical>(record: &T) -> Bytes {
    Bytes::concat(&[&[VERSION], &record.to_bytes()])
}

/// The record whose bytes these are; `None` if they are none. Every layout of fixed width is canonical as it stands, so
/// nothing is encoded again.
pub fn load<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader::new(bytes);
    reader.take_version(VERSION).ok()?;
    let record = reader.take().ok()?;
    (reader.remaining() == 0).then_some(record)
}

/// A balance's bytes: [`store`] without its detour over the heap.
pub fn store_amount(amount: Amount) -> Bytes {
    Bytes::concat(&[&[VERSION], &amount.0.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let included = Included { slot: Slot(7), ids: vec![Hash([1; 32]), Hash([2; 32])] };
        let bytes = store(&included);
        assert_eq!(load(&bytes), Some(included));
        assert_eq!(Included::slot_of(&bytes), Some(Slot(7)));
        let fees = SlotFees { slot: Slot(1), producer: AccountName::literal("alice"), amount: Amount(5) };
        assert_eq!(load(&store(&fees)), Some(fees));
        let window = Window { first: 3, next: 9 };
        assert_eq!(load(&store(&window)), Some(window));
        assert_eq!(store_amount(Amount::ONE), store(&Amount::ONE));
    }

    #[test]
    fn damage_is_seen() {
        let bytes = store(&Amount(1));
        assert_eq!(load::<Amount>(&bytes[..16]), None);
        assert_eq!(load::<Amount>(&[&bytes[..], &[0]].concat()), None);
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert_eq!(load::<Amount>(&newer), None);
        assert_eq!(Included::slot_of(&[]), None);
    }
}
