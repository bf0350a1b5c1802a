//! A producer's confirmation of one slice.
//!
//! When a producer may confirm is consensus' business; here are the bytes and the signature.

use crate::codec::Canonical;
use crate::keys::{Domain, PublicKey, Signature, Signer};
use crate::name::AccountName;
use crate::slice::SliceRef;
use crate::units::{ChainId, Epoch};
use crate::verify::{Batch, verify};

/// What a confirm's signature covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfirmBody {
    /// Format version: 1.
    pub version: u8,
    /// The chain it belongs to.
    pub chain: ChainId,
    /// The epoch of the schedule that is in force at the target.
    pub epoch: Epoch,
    /// Exactly the target of the certificate that the target slice carries.
    pub source: SliceRef,
    /// The slice that is confirmed.
    pub target: SliceRef,
    /// Who confirms.
    pub producer: AccountName,
}

/// A signed confirmation of one slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confirm {
    /// What is signed.
    pub body: ConfirmBody,
    /// The producer's signature.
    pub signature: Signature,
}

crate::layout!(ConfirmBody { version: version(ConfirmBody::VERSION), chain, epoch, source, target, producer });
crate::layout!(Confirm { body, signature });

impl ConfirmBody {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 1;
}

impl Confirm {
    /// Signs `body` by its producer's key.
    pub fn sign(body: ConfirmBody, key: &dyn Signer) -> Self {
        let signature = key.sign(Domain::Confirm, &body.chain, &body.to_bytes());
        Self { body, signature }
    }

    /// Whether the signature is `key`'s, for the chain that the body names (which the caller compares with its own).
    pub fn verify(&self, key: &PublicKey) -> bool {
        verify(Domain::Confirm, &self.body.chain, &self.body.to_bytes(), key, &self.signature)
    }
}

/// [`Confirm::verify`] of each confirm by its key, all in one batch.
pub fn verify_confirms<'a>(confirms: impl IntoIterator<Item = (&'a PublicKey, &'a Confirm)>) -> Vec<bool> {
    let mut batch = Batch::new();
    for (key, Confirm { body, signature }) in confirms {
        batch.push(Domain::Confirm, &body.chain, &body.to_bytes(), key, signature);
    }
    batch.verify()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyPair;
    use crate::samples;

    #[test]
    fn every_field_of_the_body_is_signed() {
        let key = KeyPair::from_seed([1; 32]);
        let good = Confirm::sign(samples::confirm_body(), &key);
        assert!(good.verify(&key.public()));
        assert!(!good.verify(&KeyPair::from_seed([2; 32]).public()));
        let changes: [fn(&mut ConfirmBody); 6] = [
            |body| body.chain.0.0[0] ^= 1,
            |body| body.epoch.0 += 1,
            |body| body.source.height.index += 1,
            |body| body.target.height.slot.0 += 1,
            |body| body.target.id.0[31] ^= 1,
            |body| body.producer = AccountName::literal("mallory"),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed.body);
            assert!(!changed.verify(&key.public()));
        }
    }

    #[test]
    fn a_batch_judges_each_as_alone() {
        let keys: Vec<KeyPair> = (1..=4).map(|seed| KeyPair::from_seed([seed; 32])).collect();
        let confirms: Vec<Confirm> = keys.iter().map(|key| Confirm::sign(samples::confirm_body(), key)).collect();
        for bad in 0..=keys.len() {
            let by = |index: usize| keys[if index == bad { (index + 1) % keys.len() } else { index }].public();
            let claims: Vec<(PublicKey, &Confirm)> =
                confirms.iter().enumerate().map(|(index, confirm)| (by(index), confirm)).collect();
            let expected: Vec<bool> = (0..keys.len()).map(|index| index != bad).collect();
            assert_eq!(verify_confirms(claims.iter().map(|(key, confirm)| (key, *confirm))), expected);
        }
    }

    #[test]
    fn a_slices_signature_is_no_confirm() {
        let key = KeyPair::from_seed([1; 32]);
        let body = samples::confirm_body();
        let signature = key.sign(Domain::Slice, &body.chain, &body.to_bytes());
        assert!(!Confirm { body, signature }.verify(&key.public()));
    }
}
