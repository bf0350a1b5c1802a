//! The beacon's keys and proofs.

/// A beacon key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VrfPublic(pub [u8; 32]);

/// A proof of the beacon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VrfProof(pub [u8; 80]);

/// A secret.
#[derive(Clone, Debug)]
pub struct VrfSecret([u8; 32]);

/// An output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VrfOutput(pub [u8; 64]);

impl VrfSecret {
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(seed)
    }
    pub fn public(&self) -> VrfPublic {
        VrfPublic(crate::KeyPair::from_seed(self.0).public().0)
    }
    pub fn prove(&self, alpha: &[u8]) -> VrfProof {
        let mut proof = [0; 80];
        proof[..32].copy_from_slice(&crate::Hash::of(alpha).0);
        VrfProof(proof)
    }
}
impl VrfPublic {
    pub fn is_acceptable_for_registration(&self) -> bool {
        crate::PublicKey(self.0).is_acceptable_for_registration()
    }
    pub fn verify(&self, _alpha: &[u8], proof: &VrfProof) -> Option<VrfOutput> {
        proof.output()
    }
}
impl VrfProof {
    pub fn output(&self) -> Option<VrfOutput> {
        Some(VrfOutput([self.0[0]; 64]))
    }
}

crate::layout!(VrfPublic(bytes));
crate::layout!(VrfProof(bytes));
