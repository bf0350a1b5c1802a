//! What a producer must remember before it speaks (PROTOCOL.md, "Watermark").
//!
//! The record is fixed bytes with a checksum; the host writes it twice, in two places, and syncs. A record that can't be
//! read in full, or belongs to another producer or chain, is no record: [`newest`] then finds nothing, and the engine
//! starts with [`Memory::Lost`].

use hpb_types::{AccountName, ChainId, Hash, Height, SliceRef, Slot};

/// The last confirm's source and target. Both only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watermark {
    /// The last source.
    pub source: SliceRef,
    /// The last target.
    pub target: SliceRef,
}

/// What a producer knows of its own past when its engine starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// This identity never signed on this chain: the host knows, because it has just created it. An empty folder alone
    /// is no such knowledge. The host writes [`Watermark::first`] before it starts the engine, so that a stop before the
    /// first confirm is not taken for a loss.
    Never,
    /// It confirmed up to here.
    Known(Watermark),
    /// The record is absent or unreadable: it may have confirmed anything up to now.
    Lost,
}

/// Length of a record in bytes: version u8, producer's hash 32, source, target (each slot u64, index u32, id 32),
/// checksum 32.
pub const RECORD_LEN: usize = 1 + 32 + 2 * REF_LEN + 32;

const REF_LEN: usize = 8 + 4 + 32;
const VERSION: u8 = 1;
const BODY_LEN: usize = RECORD_LEN - 32;

impl Watermark {
    /// The watermark of an identity that confirmed nothing on the chain of this genesis slice.
    pub const fn first(genesis: SliceRef) -> Self {
        Self { source: genesis, target: genesis }
    }

    /// The record of this watermark for `producer` on `chain`.
    pub fn to_record(&self, chain: &ChainId, producer: &AccountName) -> [u8; RECORD_LEN] {
        let mut record = [0; RECORD_LEN];
        record[0] = VERSION;
        record[1..33].copy_from_slice(&identity(chain, producer).0);
        write_ref(&mut record[33..33 + REF_LEN], &self.source);
        write_ref(&mut record[33 + REF_LEN..BODY_LEN], &self.target);
        let checksum = checksum(&record[..BODY_LEN]);
        record[BODY_LEN..].copy_from_slice(&checksum.0);
        record
    }

    /// The watermark in `record`, if that is whole and belongs to `producer` on `chain`.
    pub fn from_record(record: &[u8], chain: &ChainId, producer: &AccountName) -> Option<Self> {
        let record: &[u8; RECORD_LEN] = record.try_into().ok()?;
        let whole = checksum(&record[..BODY_LEN]).0 == record[BODY_LEN..];
        let ours = record[0] == VERSION && identity(chain, producer).0 == record[1..33];
        (whole && ours).then(|| Self {
            source: read_ref(&record[33..33 + REF_LEN]),
            target: read_ref(&record[33 + REF_LEN..BODY_LEN]),
        })
    }
}

/// What two copies of the record say: the newest of the readable ones, or that memory is lost.
pub fn newest(copies: [&[u8]; 2], chain: &ChainId, producer: &AccountName) -> Memory {
    copies
        .into_iter()
        .filter_map(|copy| Watermark::from_record(copy, chain, producer))
        .max_by_key(|mark| mark.target)
        .map_or(Memory::Lost, Memory::Known)
}

fn identity(chain: &ChainId, producer: &AccountName) -> Hash {
    Hash::of_parts("watermark identity", &[&chain.0.0, producer.as_str().as_bytes()])
}

fn checksum(body: &[u8]) -> Hash {
    Hash::of_parts("watermark record", &[body])
}

fn write_ref(bytes: &mut [u8], reference: &SliceRef) {
    bytes[..8].copy_from_slice(&reference.height.slot.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&reference.height.index.to_le_bytes());
    bytes[12..].copy_from_slice(&reference.id.0);
}

fn read_ref(bytes: &[u8]) -> SliceRef {
    let (mut slot, mut index, mut id) = ([0; 8], [0; 4], [0; 32]);
    slot.copy_from_slice(&bytes[..8]);
    index.copy_from_slice(&bytes[8..12]);
    id.copy_from_slice(&bytes[12..]);
    SliceRef { height: Height { slot: Slot(u64::from_le_bytes(slot)), index: u32::from_le_bytes(index) }, id: Hash(id) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reference(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([slot as u8; 32]) }
    }

    fn mark(slot: u64) -> Watermark {
        Watermark { source: reference(slot, 1), target: reference(slot, 4) }
    }

    fn names() -> (ChainId, AccountName) {
        (ChainId(Hash([9; 32])), "producer1".parse().unwrap())
    }

    #[test]
    fn a_record_comes_back() {
        let (chain, name) = names();
        let record = mark(7).to_record(&chain, &name);
        assert_eq!(Watermark::from_record(&record, &chain, &name), Some(mark(7)));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (chain, name) = names();
        let record = mark(7).to_record(&chain, &name);
        for bit in 0..RECORD_LEN * 8 {
            let mut broken = record;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Watermark::from_record(&broken, &chain, &name), None, "bit {bit}");
        }
    }

    #[test]
    fn a_strangers_record_is_no_record() {
        let (chain, name) = names();
        let record = mark(7).to_record(&chain, &name);
        assert_eq!(Watermark::from_record(&record, &ChainId(Hash([8; 32])), &name), None);
        assert_eq!(Watermark::from_record(&record, &chain, &"producer2".parse().unwrap()), None);
    }

    #[test]
    fn the_newest_readable_copy_counts() {
        let (chain, name) = names();
        let (old, new) = (mark(7).to_record(&chain, &name), mark(8).to_record(&chain, &name));
        let newest = |a: &[u8], b: &[u8]| newest([a, b], &chain, &name);
        assert_eq!(newest(&old, &new), Memory::Known(mark(8)));
        assert_eq!(newest(&new, &old), Memory::Known(mark(8)));
        assert_eq!(newest(&old, &new[..40]), Memory::Known(mark(7)));
        assert_eq!(newest(&[], &new[1..]), Memory::Lost);
    }
}
