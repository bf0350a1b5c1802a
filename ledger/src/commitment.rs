//! What a slice says of its results: one hash over what its transactions came to and the state after it, from which
//! either can be proven (PROTOCOL.md, "Fields": scheme 1).

use hpb_types::codec::Writer;
use hpb_types::slice::TRANSACTIONS;
use hpb_types::{
    Hash, MERKLE_PART_LEN, MerkleProof, Receipt, ResultsCommitment, merkle_root, merkle_root_of_parts, merkle_top,
};

use crate::lattice::LatticeSum;
use crate::parallel::{Workers, spread};
use crate::view::Difference;

/// The scheme's number.
pub const SCHEME: u8 = 1;
/// The domain of the root over a slice's receipts.
pub const RECEIPTS: &str = "receipts";

/// The commitment, made in one go: the tagged hash `results` of the root over the receipts and the root of the state.
#[cfg(test)]
pub(crate) fn results_commitment(receipts: &[Receipt], state: Hash) -> ResultsCommitment {
    commitment(receipts_root(receipts), state)
}

/// The root over a slice's receipts.
pub fn receipts_root(receipts: &[Receipt]) -> Hash {
    merkle_root(RECEIPTS, &leaves(receipts))
}

/// Differences that one worker sums in one go.
const SUMMED_LEN: usize = 64;

/// What the hashes of a slice come to.
pub(crate) struct Hashed {
    /// The root over its transactions.
    pub(crate) transactions: Hash,
    /// The root over its receipts.
    pub(crate) receipts: Hash,
    /// What its changes add to the sum of the state.
    pub(crate) sum: LatticeSum,
}

impl Hashed {
    /// Hashes what a slice comes to, on all workers.
    pub(crate) fn of(
        ids: &[Hash],
        receipts: &[Receipt],
        differences: &[Difference<'_>],
        workers: &dyn Workers,
    ) -> Self {
        let ids_parts: Vec<&[Hash]> = ids.chunks(MERKLE_PART_LEN).collect();
        let receipts_parts: Vec<&[Receipt]> = receipts.chunks(MERKLE_PART_LEN).collect();
        let differences_parts: Vec<&[Difference<'_>]> = differences.chunks(SUMMED_LEN).collect();
        let tops_count = ids_parts.len() + receipts_parts.len();
        let pieces = spread(tops_count + differences_parts.len(), workers, &|number| {
            if let Some(ids) = ids_parts.get(number) {
                Piece::Top(merkle_top(ids))
            } else if let Some(receipts) = receipts_parts.get(number - ids_parts.len()) {
                Piece::Top(merkle_top(&leaves(receipts)))
            } else {
                Piece::Sum(sum(differences_parts[number - tops_count]))
            }
        });
        let (mut tops, mut total) = (Vec::with_capacity(tops_count), LatticeSum::default());
        for piece in pieces {
            match piece {
                Piece::Top(top) => tops.push(top),
                Piece::Sum(sum) => total.join(&sum),
            }
        }
        let (ids_tops, receipts_tops) = tops.split_at(ids_parts.len());
        Self {
            transactions: merkle_root_of_parts(TRANSACTIONS, ids.len(), ids_tops),
            receipts: merkle_root_of_parts(RECEIPTS, receipts.len(), receipts_tops),
            sum: total,
        }
    }

    /// What the slice says of its results, if it leads to the state of that root.
    pub(crate) fn results(&self, state: Hash) -> ResultsCommitment {
        commitment(self.receipts, state)
    }
}

enum Piece {
    Top(Hash),
    Sum(LatticeSum),
}

/// What differences add to the sum of a state.
fn sum(differences: &[Difference<'_>]) -> LatticeSum {
    let mut sum = LatticeSum::default();
    for Difference { key, before, after } in differences {
        if let Some(before) = before {
            sum.remove(key, before);
        }
        if let Some(after) = after {
            sum.add(key, after);
        }
    }
    sum
}

fn commitment(receipts: Hash, state: Hash) -> ResultsCommitment {
    ResultsCommitment { scheme: SCHEME, hash: Hash::of_parts("results", &[&receipts.0, &state.0]) }
}

/// A receipt's leaf: the tagged hash `receipt` of its bytes.
fn leaf(receipt: &Receipt, writer: &mut Writer) -> Hash {
    writer.clear();
    writer.put(receipt);
    Hash::of_parts("receipt", &[writer.bytes()])
}

fn leaves(receipts: &[Receipt]) -> Vec<Hash> {
    let mut writer = Writer::default();
    receipts.iter().map(|receipt| leaf(receipt, &mut writer)).collect()
}

/// That a transaction came to a receipt in a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptProof {
    /// The receipt.
    pub receipt: Receipt,
    /// Its place among the slice's receipts.
    pub place: MerkleProof,
    /// The root of the state after the slice.
    pub state: Hash,
}

/// That a slice leads to a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateProof {
    /// The root over the slice's receipts.
    pub receipts: Hash,
    /// The root of the state.
    pub state: Hash,
}

hpb_types::layout!(ReceiptProof { receipt, place, state });
hpb_types::layout!(StateProof { receipts, state });

impl ReceiptProof {
    /// The proof for the receipt at `index`; `None` if there is none.
    pub fn new(receipts: &[Receipt], index: usize, state: Hash) -> Option<Self> {
        let place = MerkleProof::new(&leaves(receipts), index)?;
        Some(Self { receipt: receipts.get(index)?.clone(), place, state })
    }

    /// What the slice says of its results if this is true; `None` if it proves nothing.
    pub fn commitment(&self) -> Option<ResultsCommitment> {
        let receipts = self.place.root(RECEIPTS, leaf(&self.receipt, &mut Writer::default()))?;
        Some(commitment(receipts, self.state))
    }
}

impl StateProof {
    /// The proof that a slice with these receipts leads to the state of that root.
    pub fn new(receipts: &[Receipt], state: Hash) -> Self {
        Self { receipts: receipts_root(receipts), state }
    }

    /// What the slice says of its results if this is true.
    pub fn commitment(&self) -> ResultsCommitment {
        commitment(self.receipts, self.state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use core::slice::from_ref;

    use hpb_types::{Amount, Canonical as _, Outcome, RejectReason};

    use super::*;

    fn receipt(fee: u128, outcome: Outcome) -> Receipt {
        Receipt { transaction: Hash([1; 32]), outcome, fee: Amount(fee), units: 0, events: Vec::new() }
    }

    #[test]
    fn everything_counts() {
        let one = receipt(1, Outcome::Applied);
        let (state, other) = (Hash([2; 32]), Hash([3; 32]));
        let commitments = [
            results_commitment(&[], state),
            results_commitment(&[], other),
            results_commitment(from_ref(&one), state),
            results_commitment(from_ref(&one), other),
            results_commitment(&[one.clone(), one.clone()], state),
            results_commitment(&[receipt(2, Outcome::Applied)], state),
            results_commitment(&[receipt(1, Outcome::Failed(RejectReason::Overdrawn))], state),
        ];
        for (index, commitment) in commitments.iter().enumerate() {
            assert_eq!(commitment.scheme, SCHEME);
            assert!(!commitments[..index].contains(commitment), "{index}");
        }
    }

    #[test]
    fn a_receipt_and_a_state_are_proven() {
        let receipts: Vec<Receipt> = (0..9).map(|fee| receipt(fee, Outcome::Applied)).collect();
        let state = Hash([2; 32]);
        let commitment = results_commitment(&receipts, state);
        for index in 0..receipts.len() {
            let proof = ReceiptProof::new(&receipts, index, state).unwrap();
            assert_eq!(proof.receipt, receipts[index]);
            assert_eq!(proof.commitment(), Some(commitment));
            assert_eq!(ReceiptProof::from_bytes(&proof.to_bytes()), Ok(proof.clone()));
            let mut forged = proof;
            forged.receipt.fee.0 += 1;
            assert_ne!(forged.commitment(), Some(commitment));
        }
        assert_eq!(ReceiptProof::new(&receipts, 9, state), None);
        let proof = StateProof::new(&receipts, state);
        assert_eq!(proof.commitment(), commitment);
        assert_ne!(StateProof { state: Hash([9; 32]), ..proof }.commitment(), commitment);
    }
}
