//! Hashes over more than fits in memory at once: results and states, part by part.

use hpb_types::{Canonical, Hash, Receipt, ResultsCommitment};

use crate::view::ChangeSet;

/// [`Hash::of_parts`], fed one part at a time.
pub struct Digest(blake3::Hasher);

impl Digest {
    /// A digest of no parts yet. A domain has at most 255 bytes.
    pub fn new(domain: &'static str) -> Self {
        assert!(u8::try_from(domain.len()).is_ok(), "a domain is a word or two");
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"hpb").update(&[domain.len() as u8]).update(domain.as_bytes());
        Self(hasher)
    }

    /// Adds a part.
    pub fn part(&mut self, part: &[u8]) {
        assert!(u32::try_from(part.len()).is_ok(), "a hashed part is below 4 GiB");
        self.0.update(&(part.len() as u32).to_le_bytes()).update(part);
    }

    /// The hash of all parts.
    pub fn finish(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

/// Commitment scheme 0 (PROTOCOL.md, "Fields"): BLAKE3 in the domain "results" over the number of receipts (u32), each
/// receipt's canonical bytes, then for each change, ascending by key: the key; one byte, 1 where a value is put and 0
/// where the key is removed; the value where one is put.
pub fn results_commitment(receipts: &[Receipt], changes: &ChangeSet) -> ResultsCommitment {
    let mut digest = Digest::new("results");
    digest.part(&(receipts.len() as u32).to_le_bytes());
    for receipt in receipts {
        digest.part(&receipt.to_bytes());
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
