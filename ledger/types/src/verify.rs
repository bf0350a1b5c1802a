//! Ed25519 verification by ZIP-215 (<https://zips.z.cash/zip-0215>), single and in batches with the same verdicts.
//!
//! A signature (R, s) of a message by key A is good if A and R decode to points (non-canonical encodings too), s is
//! below the group's order, and `[8][s]B = [8]R + [8][k]A` with k = SHA-512(R, A, message). Nothing else is asked: no
//! check of small order, no comparison of encodings. Those checks differ from one library to the next, and a difference
//! would split the chain.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use curve25519_dalek::Scalar;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use crate::keys::{Domain, PublicKey, Signature};
use crate::units::ChainId;

/// Signatures that share one equation. A bad one costs the others of its chunk a check each, so a chunk is no larger
/// than what the sharing still gains from.
const CHUNK_LEN: usize = 128;

/// Whether `signature` is `key`'s on `body`, for this purpose and chain.
pub fn verify(domain: Domain, chain: &ChainId, body: &[u8], key: &PublicKey, signature: &Signature) -> bool {
    Claim::new(&[&domain.prefix(chain), body], key, signature).is_good()
}

/// Whether `signature` is `key`'s on `message` as it is, without a domain.
pub fn verify_raw(message: &[u8], key: &PublicKey, signature: &Signature) -> bool {
    Claim::new(&[message], key, signature).is_good()
}

/// Signatures to be verified together. Messages are hashed when they are pushed and not kept.
#[derive(Default, Debug)]
pub struct Batch {
    claims: Vec<Claim>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the claim that `signature` is `key`'s on `body`, for this purpose and chain.
    pub fn push(&mut self, domain: Domain, chain: &ChainId, body: &[u8], key: &PublicKey, signature: &Signature) {
        self.claims.push(Claim::new(&[&domain.prefix(chain), body], key, signature));
    }

    /// Adds the claim that `signature` is `key`'s on `message` as it is, without a domain.
    pub fn push_raw(&mut self, message: &[u8], key: &PublicKey, signature: &Signature) {
        self.claims.push(Claim::new(&[message], key, signature));
    }

    /// How many claims it holds.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// The verdicts in the order of pushing: bit for bit those of [`verify`] and [`verify_raw`]. (A bad signature
    /// passes in company with probability 2^-128.)
    pub fn verify(self) -> Vec<bool> {
        self.claims.chunks(CHUNK_LEN).flat_map(verify_chunk).collect()
    }
}

/// One signature with the hash of what it claims to sign.
#[derive(Clone, Debug)]
struct Claim {
    key: [u8; 32],
    r: [u8; 32],
    s: [u8; 32],
    k: Scalar,
}

/// A claim whose parts decode.
struct Points {
    a: EdwardsPoint,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Claim {
    fn new(message: &[&[u8]], key: &PublicKey, signature: &Signature) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&signature.0[..32]);
        s.copy_from_slice(&signature.0[32..]);
        let mut hasher = Sha512::new().chain_update(r).chain_update(key.0);
        for part in message {
            hasher.update(part);
        }
        Self { key: key.0, r, s, k: Scalar::from_bytes_mod_order_wide(&hasher.finalize().into()) }
    }

    fn points(&self) -> Option<Points> {
        Some(Points {
            a: CompressedEdwardsY(self.key).decompress()?,
            r: CompressedEdwardsY(self.r).decompress()?,
            s: Option::from(Scalar::from_canonical_bytes(self.s))?,
            k: self.k,
        })
    }

    fn is_good(&self) -> bool {
        self.points().is_some_and(|points| points.is_good())
    }
}

impl Points {
    fn is_good(&self) -> bool {
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &-self.a, &self.s);
        (self.r - expected).mul_by_cofactor().is_identity()
    }
}

fn verify_chunk(claims: &[Claim]) -> Vec<bool> {
    let points: Vec<Option<Points>> = claims.iter().map(Claim::points).collect();
    let sound = points.iter().flatten().count();
    if sound > 1 && all_good(claims, &points) {
        points.iter().map(Option::is_some).collect()
    } else {
        points.iter().map(|points| points.as_ref().is_some_and(Points::is_good)).collect()
    }
}

/// Whether `[8] sum z_i (R_i + [k_i]A_i - [s_i]B) = 0` over the claims that decode, for coefficients z that depend on
/// all of them; claims of one key share a term.
fn all_good(claims: &[Claim], points: &[Option<Points>]) -> bool {
    let mut coefficients = Coefficients::of(claims);
    let mut base = Scalar::ZERO;
    let mut terms: Vec<(Scalar, EdwardsPoint)> = Vec::with_capacity(2 * claims.len() + 1);
    let mut keys: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for (claim, points) in claims.iter().zip(points).filter_map(|(claim, points)| Some((claim, points.as_ref()?))) {
        let z = coefficients.next();
        base -= z * points.s;
        terms.push((z, points.r));
        match keys.entry(claim.key) {
            Entry::Occupied(entry) => terms[*entry.get()].0 += z * points.k,
            Entry::Vacant(entry) => {
                entry.insert(terms.len());
                terms.push((z * points.k, points.a));
            }
        }
    }
    terms.push((base, ED25519_BASEPOINT_POINT));
    let sum = EdwardsPoint::vartime_multiscalar_mul(
        terms.iter().map(|(scalar, _)| scalar),
        terms.iter().map(|(_, point)| point),
    );
    sum.mul_by_cofactor().is_identity()
}

/// 128-bit coefficients drawn from a hash of every claim. Nobody can choose a claim after its coefficient is known, and
/// the same batch always gives the same work, which random coefficients would not.
struct Coefficients(blake3::OutputReader);

impl Coefficients {
    fn of(claims: &[Claim]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"hpb batch coefficients");
        for claim in claims {
            hasher.update(&claim.key).update(&claim.r).update(&claim.s).update(claim.k.as_bytes());
        }
        Self(hasher.finalize_xof())
    }

    fn next(&mut self) -> Scalar {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        Scalar::from(u128::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests;
