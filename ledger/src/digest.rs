//! Hashes over more than fits in memory at once: results and states, part by part.

use hpb_types::codec::Writer;
use hpb_types::{Hash, Receipt, ResultsCommitment};

use crate::view::ChangeSet;

/// What is hashed in one go: enough for BLAKE3 to work on its blocks of 1 KiB side by side.
const GATHERED_LEN: usize = 64 << 10;

/// [`Hash::of_parts`], fed one part at a time.
pub struct Digest {
    hasher: blake3::Hasher,
    /// Parts that are not hashed yet: most are far smaller than what is worth it.
    gathered: Vec<u8>,
}

impl Digest {
    /// A digest of no parts yet. A domain has at most 255 bytes.
    pub fn new(domain: &'static str) -> Self {
        assert!(u8::try_from(domain.len()).is_ok(), "a domain is a word or two");
        let mut digest = Self { hasher: blake3::Hasher::new(), gathered: Vec::with_capacity(GATHERED_LEN) };
        digest.add(b"hpb");
        digest.add(&[domain.len() as u8]);
        digest.add(domain.as_bytes());
        digest
    }

    /// Adds a part.
    pub fn part(&mut self, part: &[u8]) {
        assert!(u32::try_from(part.len()).is_ok(), "a hashed part is below 4 GiB");
        self.add(&(part.len() as u32).to_le_bytes());
        self.add(part);
    }

    /// The hash of all parts.
    pub fn finish(mut self) -> Hash {
        self.hasher.update(&self.gathered);
        Hash(*self.hasher.finalize().as_bytes())
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_LEN {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        if bytes.len() > GATHERED_LEN {
            self.hasher.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }
}

/// Commitment scheme 0 (PROTOCOL.md, "Fields"): BLAKE3 in the domain "results" over the number of receipts (u32), each
/// receipt's canonical bytes, then for each change, ascending by key: the key; one byte, 1 where a value is put and 0
/// where the key is removed; the value where one is put.
pub fn results_commitment(receipts: &[Receipt], changes: &ChangeSet) -> ResultsCommitment {
    let mut digest = Digest::new("results");
    digest.part(&(receipts.len() as u32).to_le_bytes());
    let mut writer = Writer::default();
    for receipt in receipts {
        writer.clear();
        writer.put(receipt);
        digest.part(writer.bytes());
    }
    for (key, value) in changes {
        digest.part(key);
        match value {
            Some(value) => {
                digest.part(&[1]);
                digest.part(value);
            }
            None => digest.part(&[0]),
        }
    }
    ResultsCommitment { scheme: 0, hash: digest.finish() }
}

#[cfg(test)]
mod tests {
    use core::slice::from_ref;

    use hpb_types::{Amount, Outcome, RejectReason};

    use super::*;
    use crate::bytes::Bytes;

    #[test]
    fn part_by_part_is_all_at_once() {
        let mut digest = Digest::new("state");
        digest.part(b"a");
        digest.part(b"");
        digest.part(b"bc");
        assert_eq!(digest.finish(), Hash::of_parts("state", &[b"a", b"", b"bc"]));
        let lens = [1, GATHERED_LEN - 20, 3, 60, GATHERED_LEN, GATHERED_LEN + 1, 0, 7];
        let parts: Vec<Vec<u8>> = lens.iter().map(|len| vec![*len as u8; *len]).collect();
        let mut digest = Digest::new("state");
        for part in &parts {
            digest.part(part);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        assert_eq!(digest.finish(), Hash::of_parts("state", &parts), "more than is hashed in one go");
    }

    #[test]
    fn everything_counts() {
        let receipt = |fee, outcome| Receipt {
            transaction: Hash([1; 32]),
            outcome,
            fee: Amount(fee),
            units: 0,
            events: Vec::new(),
        };
        let one = receipt(1, Outcome::Applied);
        let key = || Bytes::from(b"k".as_slice());
        let value = |text: &[u8]| Some(Bytes::from(text));
        let commitments = [
            results_commitment(&[], &ChangeSet::new()),
            results_commitment(from_ref(&one), &ChangeSet::new()),
            results_commitment(&[one.clone(), one.clone()], &ChangeSet::new()),
            results_commitment(&[receipt(2, Outcome::Applied)], &ChangeSet::new()),
            results_commitment(&[receipt(1, Outcome::Failed(RejectReason::Overdrawn))], &ChangeSet::new()),
            results_commitment(from_ref(&one), &ChangeSet::from([(key(), None)])),
            results_commitment(from_ref(&one), &ChangeSet::from([(key(), value(b""))])),
            results_commitment(from_ref(&one), &ChangeSet::from([(key(), value(b"v"))])),
        ];
        for (index, commitment) in commitments.iter().enumerate() {
            assert_eq!(commitment.scheme, 0);
            assert!(!commitments[..index].contains(commitment), "{index}");
        }
    }
}
