//! A verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI of RFC 9381, always with the validation of keys
//! (`validate_key` of section 5.3).
//!
//! The holder of a key proves which 64 bytes the function gives for an input. For one key and one input there is one
//! output that can be proven, even by a holder who cheats and chose the key for it (section 7.1.1, "full uniqueness").
//! The proof is not unique: the holder can make others for the same output, with another nonce or with a small-order
//! part of Gamma. So what nobody may choose is drawn from the output, never from a proof's bytes.
//!
//! Refused: a point in other than its canonical encoding (RFC 8032, section 5.1.3; ZIP-215 is for signatures alone), an
//! s of the group's order or above, and a key of small order, whose output would be the same for every input.
//!
//! How long proving takes does not depend on the secret. It does depend on the input, which is no secret here.

use core::fmt;

use curve25519_dalek::Scalar;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// A public key of the function as it stands on the wire; any 32 bytes, judged at verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfPublic(pub [u8; 32]);

/// A proof as it stands on the wire: the point Gamma in 32 bytes, the challenge c in 16, s in 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfProof(pub [u8; 80]);

/// What the function gives for a key and an input: 64 bytes that look random to whoever has neither the secret key nor
/// a proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfOutput(pub [u8; 64]);

crate::layout!(VrfPublic(bytes));
crate::layout!(VrfProof(bytes));

crate::keys::hex! {
    VrfPublic, 32;
    VrfProof, 80;
    VrfOutput, 64;
}

/// The octet of the ciphersuite, first in every hash but the nonce's (section 5.5).
const SUITE: u8 = 0x03;

/// What a hash is for: the second octet that is hashed.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    EncodeToCurve = 1,
    Challenge = 2,
    Output = 3,
}

/// A secret key of the function with its public half. The secret is wiped from memory when the value is dropped.
#[derive(Clone)]
pub struct VrfSecret {
    x: Zeroizing<Scalar>,
    /// The half of the hashed seed from which nonces are drawn.
    prefix: Zeroizing<[u8; 32]>,
    public: VrfPublic,
}

impl VrfSecret {
    /// The key of an RFC 8032 secret key (RFC 9381, section 5.5). A live node's seed comes from the operating system
    /// and is no signing key's: a signature on the 32 bytes of a point H would have the nonce of H's proof, and two
    /// equations with one nonce give the secret away.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let expanded: Zeroizing<[u8; 64]> = Zeroizing::new(Sha512::digest(*Zeroizing::new(seed)).into());
        let (mut scalar, mut prefix) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        scalar.copy_from_slice(&expanded[..32]);
        prefix.copy_from_slice(&expanded[32..]);
        let x = Zeroizing::new(Scalar::from_bytes_mod_order(clamp_integer(*scalar)));
        let public = VrfPublic(EdwardsPoint::mul_base(&x).compress().to_bytes());
        Self { x, prefix, public }
    }

    /// The public half.
    pub fn public(&self) -> VrfPublic {
        self.public
    }

    /// Proves which output the function gives for `alpha` (section 5.1). The same bytes every time.
    pub fn prove(&self, alpha: &[u8]) -> VrfProof {
        let Some(h) = encode_to_curve(&self.public, alpha) else {
            unreachable!("a counter gives a point with odds of a half, and there are 256");
        };
        let gamma = h * *self.x;
        let k = self.nonce(&h);
        let c = challenge(&self.public, &[h, gamma, EdwardsPoint::mul_base(&k), h * *k]);
        let s = *k + challenge_scalar(c) * *self.x;
        encode_proof(&gamma, c, &s)
    }

    /// Section 5.4.2.2.
    fn nonce(&self, h: &EdwardsPoint) -> Zeroizing<Scalar> {
        let hasher = Sha512::new().chain_update(*self.prefix).chain_update(h.compress().as_bytes());
        let bytes: Zeroizing<[u8; 64]> = Zeroizing::new(hasher.finalize().into());
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&bytes))
    }
}

impl fmt::Debug for VrfSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfSecret({})", self.public)
    }
}

impl VrfPublic {
    /// Whether a producer may register the key: it is a point in its canonical encoding, and not of small order
    /// (sections 5.3 and 5.4.5).
    pub fn is_acceptable_for_registration(&self) -> bool {
        self.point().is_some()
    }

    /// The output for `alpha`, if `proof` proves it (section 5.3); `None` if it does not, or if the key is not
    /// acceptable for registration.
    pub fn verify(&self, alpha: &[u8], proof: &VrfProof) -> Option<VrfOutput> {
        let y = self.point()?;
        let Parts { gamma, c, s } = proof.decode()?;
        let h = encode_to_curve(self, alpha)?;
        let c_scalar = challenge_scalar(c);
        let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&c_scalar, &-y, &s);
        let v = EdwardsPoint::vartime_multiscalar_mul([s, c_scalar], [h, -gamma]);
        (challenge(self, &[h, gamma, u, v]) == c).then(|| output(&gamma))
    }

    fn point(&self) -> Option<EdwardsPoint> {
        decode_point(self.0).filter(|point| !point.is_small_order())
    }
}

impl VrfProof {
    /// The output that the proof is for (section 5.2), without a look at whether it proves it: for proofs that were
    /// made or verified here. `None` if the proof does not decode.
    pub fn output(&self) -> Option<VrfOutput> {
        self.decode().map(|parts| output(&parts.gamma))
    }

    /// Section 5.4.4.
    fn decode(&self) -> Option<Parts> {
        let (gamma, rest) = self.0.split_first_chunk()?;
        let (c, rest) = rest.split_first_chunk()?;
        let s = Option::from(Scalar::from_canonical_bytes(*rest.first_chunk()?))?;
        Some(Parts { gamma: decode_point(*gamma)?, c: *c, s })
    }
}

/// What a proof that decodes consists of.
struct Parts {
    gamma: EdwardsPoint,
    c: [u8; 16],
    s: Scalar,
}

fn encode_proof(gamma: &EdwardsPoint, c: [u8; 16], s: &Scalar) -> VrfProof {
    let mut bytes = [0; 80];
    bytes[..32].copy_from_slice(gamma.compress().as_bytes());
    bytes[32..48].copy_from_slice(&c);
    bytes[48..].copy_from_slice(s.as_bytes());
    VrfProof(bytes)
}

/// The point that `bytes` are the one encoding of (RFC 8032, section 5.1.3). curve25519-dalek also takes y of p and
/// above and a sign on x = 0; these points have other bytes when they are encoded again.
fn decode_point(bytes: [u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(bytes).decompress().filter(|point| point.compress().to_bytes() == bytes)
}

/// The point H of an input, of prime order (section 5.4.1.1). `None` if no counter gives one, which happens to one
/// input in 2^256.
fn encode_to_curve(public: &VrfPublic, alpha: &[u8]) -> Option<EdwardsPoint> {
    (0..=u8::MAX).find_map(|counter| {
        let bytes = hash(Purpose::EncodeToCurve, &[&public.0, alpha, &[counter]]);
        let point = decode_point(*bytes.first_chunk()?)?.mul_by_cofactor();
        (!point.is_identity()).then_some(point)
    })
}

/// The challenge on the points H, Gamma, U and V (section 5.4.3).
fn challenge(public: &VrfPublic, points: &[EdwardsPoint; 4]) -> [u8; 16] {
    let [h, gamma, u, v] = EdwardsPoint::compress_batch(points).map(|point| point.to_bytes());
    let bytes = hash(Purpose::Challenge, &[&public.0, &h, &gamma, &u, &v]);
    let mut c = [0; 16];
    c.copy_from_slice(&bytes[..16]);
    c
}

fn challenge_scalar(c: [u8; 16]) -> Scalar {
    Scalar::from(u128::from_le_bytes(c))
}

/// The output of a proof with this Gamma. The cofactor takes out what small-order part it has.
fn output(gamma: &EdwardsPoint) -> VrfOutput {
    VrfOutput(hash(Purpose::Output, &[gamma.mul_by_cofactor().compress().as_bytes()]))
}

fn hash(purpose: Purpose, parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Sha512::new().chain_update([SUITE, purpose as u8]);
    for part in parts {
        hasher.update(part);
    }
    hasher.chain_update([0]).finalize().into()
}

#[cfg(test)]
mod tests;
