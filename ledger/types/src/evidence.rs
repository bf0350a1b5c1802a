//! What proves that a producer broke a rule (PROTOCOL.md, "Evidence").
//!
//! Compared by body, never by signature: Ed25519 lets a signer sign one body in many ways. Judged here is the evidence
//! alone; whether its producer can still be held to it is the ledger's business.

use crate::codec::Canonical;
use crate::confirm::Confirm;
use crate::keys::{Domain, PublicKey, Signature};
use crate::name::AccountName;
use crate::slice::SliceStatement;
use crate::units::{ChainId, Epoch};

/// A producer's word for one slice, without the slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedSlice {
    /// What is signed.
    pub statement: SliceStatement,
    /// The producer's signature.
    pub signature: Signature,
}

/// Two signed words of one producer that no honest one signs together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// Two slices with one (slot, index).
    TwoSlices {
        /// Who made them.
        producer: AccountName,
        /// The one.
        first: SignedSlice,
        /// The other.
        second: SignedSlice,
    },
    /// Two confirms at one height.
    TwoConfirms {
        /// The one.
        first: Confirm,
        /// The other.
        second: Confirm,
    },
    /// A confirm whose link surrounds another's: a lower source and a higher target.
    Surround {
        /// The longer link.
        outer: Confirm,
        /// The link within it.
        inner: Confirm,
    },
}

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// Two slices with one (slot, index).
    TwoSlices,
    /// Two confirms at one height.
    TwoConfirms,
    /// A confirm that surrounds another.
    Surround,
}

crate::layout!(SignedSlice { statement, signature });
crate::tagged!(Evidence {
    0 => TwoSlices { producer, first, second },
    1 => TwoConfirms { first, second },
    2 => Surround { outer, inner },
});
crate::tagged!(Fault { 0 => TwoSlices, 1 => TwoConfirms, 2 => Surround });

/// Why evidence proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Two words of two producers, or of another chain.
    #[error("not two words of one producer on this chain")]
    NotOnes,
    /// An honest producer may say both.
    #[error("an honest producer may say both")]
    NoFault,
}

/// How a signature of a producer's word is judged: its kind, the chain, the body's bytes, the key, the signature.
pub type Judge = fn(Domain, &ChainId, &[u8], &PublicKey, &Signature) -> bool;

impl Evidence {
    /// What kind of fault it proves.
    pub fn fault(&self) -> Fault {
        match self {
            Self::TwoSlices { .. } => Fault::TwoSlices,
            Self::TwoConfirms { .. } => Fault::TwoConfirms,
            Self::Surround { .. } => Fault::Surround,
        }
    }

    /// Who broke the rule.
    pub fn producer(&self) -> AccountName {
        match self {
            Self::TwoSlices { producer, .. } => *producer,
            Self::TwoConfirms { first, .. } => first.body.producer,
            Self::Surround { outer, .. } => outer.body.producer,
        }
    }

    /// The epochs of the schedules by whose keys the two words were signed.
    pub fn epochs(&self) -> [Epoch; 2] {
        match self {
            Self::TwoSlices { first, second, .. } => [first.statement.epoch, second.statement.epoch],
            Self::TwoConfirms { first, second } => [first.body.epoch, second.body.epoch],
            Self::Surround { outer, inner } => [outer.body.epoch, inner.body.epoch],
        }
    }

    /// Whether the two words are a fault on `chain`, their signatures apart.
    ///
    /// # Errors
    /// They are not, and why.
    pub fn check(&self, chain: &ChainId) -> Result<(), EvidenceError> {
        let is_fault = match self {
            Self::TwoSlices { first, second, .. } => {
                let (first, second) = (&first.statement, &second.statement);
                first.slice.height == second.slice.height && first.slice.id != second.slice.id
            }
            Self::TwoConfirms { first, second } => {
                first.body.target.height == second.body.target.height && first.body != second.body
            }
            Self::Surround { outer, inner } => {
                outer.body.source.height < inner.body.source.height
                    && inner.body.target.height < outer.body.target.height
            }
        };
        let are_ones = match self {
            Self::TwoSlices { .. } => true,
            Self::TwoConfirms { first: one, second: other } | Self::Surround { outer: one, inner: other } => {
                one.body.producer == other.body.producer && one.body.chain == *chain && other.body.chain == *chain
            }
        };
        match (are_ones, is_fault) {
            (false, _) => Err(EvidenceError::NotOnes),
            (true, false) => Err(EvidenceError::NoFault),
            (true, true) => Ok(()),
        }
    }

    /// Whether both words are signed, each by the key that the producer had in the schedule of its epoch, or, if it was not
    /// in that one, in the last one before; `keys` are in the order of [`epochs`](Self::epochs).
    pub fn is_signed(&self, chain: &ChainId, keys: &[PublicKey; 2], judge: Judge) -> bool {
        let slice =
            |word: &SignedSlice, key| judge(Domain::Slice, chain, &word.statement.to_bytes(), key, &word.signature);
        let confirm = |word: &Confirm, key| judge(Domain::Confirm, chain, &word.body.to_bytes(), key, &word.signature);
        match self {
            Self::TwoSlices { first, second, .. } => slice(first, &keys[0]) && slice(second, &keys[1]),
            Self::TwoConfirms { first: one, second: other } | Self::Surround { outer: one, inner: other } => {
                confirm(one, &keys[0]) && confirm(other, &keys[1])
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::units::Height;
    use crate::verify::verify;

    fn confirm(change: impl FnOnce(&mut crate::ConfirmBody)) -> Confirm {
        let mut body = samples::confirm_body();
        change(&mut body);
        Confirm::sign(body, &samples::key(3))
    }

    #[test]
    fn each_fault_is_one() {
        for evidence in samples::evidences() {
            assert_eq!(evidence.check(&samples::chain()), Ok(()), "{evidence:?}");
            let key = samples::key(if evidence.fault() == Fault::TwoSlices { 2 } else { 3 }).public();
            assert!(evidence.is_signed(&samples::chain(), &[key, key], verify));
            let other = samples::key(9).public();
            for keys in [[key, other], [other, key]] {
                assert!(!evidence.is_signed(&samples::chain(), &keys, verify));
            }
        }
    }

    #[test]
    fn what_an_honest_producer_may_say_is_no_fault() {
        let good = confirm(|_| ());
        let resigned = Confirm { signature: samples::signature(9), ..good.clone() };
        let higher = confirm(|body| body.target.height.index += 1);
        let chain = samples::chain();
        for evidence in [
            Evidence::TwoConfirms { first: good.clone(), second: resigned },
            Evidence::TwoConfirms { first: good.clone(), second: higher.clone() },
            Evidence::Surround { outer: higher, inner: good.clone() },
        ] {
            assert_eq!(evidence.check(&chain), Err(EvidenceError::NoFault), "{evidence:?}");
        }
        let Evidence::TwoSlices { producer, first, mut second } = samples::evidences()[0].clone() else { panic!() };
        second.statement.slice.height = Height::new(7, 4);
        let evidence = Evidence::TwoSlices { producer, first, second };
        assert_eq!(evidence.check(&chain), Err(EvidenceError::NoFault));
    }

    #[test]
    fn two_producers_or_two_chains_prove_nothing() {
        let good = confirm(|_| ());
        let second = |change: fn(&mut crate::ConfirmBody)| {
            confirm(|body| {
                body.target.id = samples::hash(9);
                change(body);
            })
        };
        for second in [second(|body| body.producer = samples::ALICE), second(|body| body.chain.0 = samples::hash(9))] {
            let evidence = Evidence::TwoConfirms { first: good.clone(), second };
            assert_eq!(evidence.check(&samples::chain()), Err(EvidenceError::NotOnes));
        }
    }
}
