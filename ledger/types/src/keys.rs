//! Hashes, keys and signatures.
//!
//! A public key or a signature is any bytes until it is judged: [`verify`](mod@crate::verify) by ZIP-215, registration by
//! [`PublicKey::is_acceptable_for_registration`].

use core::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::Signer as _;

use crate::units::ChainId;

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// An Ed25519 public key as it stands on the wire; any 32 bytes, judged at verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature as it stands on the wire: R, then s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

crate::layout!(Hash(bytes));
crate::layout!(PublicKey(bytes));
crate::layout!(Signature(bytes));

/// Why a text is not bytes in hex.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected {len} bytes as {} hex digits", 2 * len)]
pub struct HexError {
    /// How many bytes were expected.
    pub len: usize,
}

/// What a signature is for. Its tag stands in every signed message, so that no signature passes for another kind's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Domain {
    /// A transaction, by an account's key.
    Transaction = 1,
    /// A slice's statement, by its producer's key.
    Slice = 2,
    /// A confirm, by its producer's key.
    Confirm = 3,
    /// A node's X25519 static key, by its identity key (PROTOCOL.md, "Sessions between nodes").
    NodeStatic = 4,
    /// A producer's name, by the key that it registers for its slices: whoever names a key holds it.
    ProducerKey = 5,
}

/// The version of the signed message's layout.
const SIGNED_VERSION: u8 = 1;

/// A signed message's length before its body.
pub const SIGNED_PREFIX_LEN: usize = 37;

impl Domain {
    /// What a signed message starts with: "hpb", the kind tag u8, the version u8, the chain id. The canonical body
    /// follows.
    pub fn prefix(self, chain: &ChainId) -> [u8; SIGNED_PREFIX_LEN] {
        let mut prefix = [0; SIGNED_PREFIX_LEN];
        prefix[..3].copy_from_slice(b"hpb");
        prefix[3] = self as u8;
        prefix[4] = SIGNED_VERSION;
        prefix[5..].copy_from_slice(&chain.0.0);
        prefix
    }
}

impl Hash {
    /// All bytes zero: the hash of nothing known.
    pub const ZERO: Self = Self([0; 32]);

    /// BLAKE3 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// BLAKE3 of "hpb", the length of `domain` u8, `domain`, then each part as its length u32 and its bytes: no two
    /// (domain, parts) are hashed as the same bytes. A domain has at most 255 bytes.
    pub fn of_parts(domain: &str, parts: &[&[u8]]) -> Self {
        Self(match join(domain, parts, &mut [0; JOINED_LEN_MAX]) {
            Some(bytes) => *blake3::hash(bytes).as_bytes(),
            None => *hasher_of_parts(domain, parts).finalize().as_bytes(),
        })
    }

    /// Fills `output` with BLAKE3's extendable output for what [`of_parts`](Self::of_parts) hashes; its first 32 bytes are
    /// that hash.
    pub fn fill_of_parts(domain: &str, parts: &[&[u8]], output: &mut [u8]) {
        match join(domain, parts, &mut [0; JOINED_LEN_MAX]) {
            Some(bytes) => blake3::Hasher::new().update(bytes).finalize_xof().fill(output),
            None => hasher_of_parts(domain, parts).finalize_xof().fill(output),
        }
    }
}

/// What is hashed in pieces when it is longer. Most of what a chain hashes is shorter, and hashed in one go.
const JOINED_LEN_MAX: usize = 512;

/// All bytes of a domain and parts as they are hashed, if they are few.
fn join<'j>(domain: &str, parts: &[&[u8]], joined: &'j mut [u8; JOINED_LEN_MAX]) -> Option<&'j [u8]> {
    let head_len = TAG.len() + 1 + domain.len();
    let len = parts.iter().fold(head_len, |len, part| len.saturating_add(size_of::<u32>() + part.len()));
    if len > JOINED_LEN_MAX || domain.len() > usize::from(u8::MAX) {
        return None;
    }
    let mut at = 0;
    let mut put = |part: &[u8]| {
        joined[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(TAG);
    put(&[domain.len() as u8]);
    put(domain.as_bytes());
    for part in parts {
        put(&(part.len() as u32).to_le_bytes());
        put(part);
    }
    Some(&joined[..len])
}

/// What every hashed string begins with.
const TAG: &[u8] = b"hpb";

fn hasher_of_parts(domain: &str, parts: &[&[u8]]) -> blake3::Hasher {
    assert!(u8::try_from(domain.len()).is_ok(), "a domain is a word or two");
    let mut hasher = blake3::Hasher::new();
    hasher.update(TAG).update(&[domain.len() as u8]).update(domain.as_bytes());
    for part in parts {
        assert!(u32::try_from(part.len()).is_ok(), "a hashed part is below 4 GiB");
        hasher.update(&(part.len() as u32).to_le_bytes()).update(part);
    }
    hasher
}

/// Any bytes in lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

macro_rules! hex {
    ($($name:ident, $len:literal;)+) => {
        $(impl $name {
            /// All bytes in lower-case hex.
            pub fn to_hex(&self) -> String {
                $crate::keys::to_hex(&self.0)
            }

            /// From all bytes in hex, of either case.
            ///
            /// # Errors
            /// If `text` has another length or another character.
            pub fn from_hex(text: &str) -> Result<Self, $crate::keys::HexError> {
                $crate::keys::parse_hex(text).map(Self)
            }
        }

        impl core::fmt::Display for $name {
            /// The first eight bytes, enough to tell values apart by eye.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        })+
    };
}

pub(crate) use hex;

hex! {
    Hash, 32;
    PublicKey, 32;
    Signature, 64;
}

/// All bytes of `text` in hex, of either case; what [`hex`] reads by.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { len: N };
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    if text.len() != 2 * N {
        return Err(error);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(error)?;
    }
    Ok(bytes)
}

impl PublicKey {
    /// Whether an account or a producer may register the key: it is a point in its canonical encoding, and not of small
    /// order (anyone can sign for such a key).
    pub fn is_acceptable_for_registration(&self) -> bool {
        CompressedEdwardsY(self.0)
            .decompress()
            .is_some_and(|point| !point.is_small_order() && point.compress().to_bytes() == self.0)
    }
}

/// Whoever signs under one public key: a key pair, or what a simulation puts in its place.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The key that the signatures verify under.
    fn public(&self) -> PublicKey;

    /// Signs `body` for its purpose and its chain.
    fn sign(&self, domain: Domain, chain: &ChainId, body: &[u8]) -> Signature;
}

/// A secret key with its public half. The secret is wiped from memory when the value is dropped.
#[derive(Clone)]
pub struct KeyPair(ed25519_dalek::SigningKey);

impl KeyPair {
    /// The pair of an RFC 8032 secret key. A live node's seed comes from the operating system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `body` for its purpose and its chain.
    pub fn sign(&self, domain: Domain, chain: &ChainId, body: &[u8]) -> Signature {
        self.sign_raw(&[&domain.prefix(chain), body].concat())
    }

    /// Signs `message` as it is, without a domain: for test vectors and foreign formats only.
    pub fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl Signer for KeyPair {
    fn public(&self) -> PublicKey {
        self.public()
    }

    fn sign(&self, domain: Domain, chain: &ChainId, body: &[u8]) -> Signature {
        self.sign(domain, chain, body)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_in_one_go_is_what_is_hashed_in_pieces() {
        let bytes = [7; 2 * JOINED_LEN_MAX];
        for len in (0..=bytes.len()).step_by(7).chain(JOINED_LEN_MAX - 32..=JOINED_LEN_MAX) {
            let parts: [&[u8]; 3] = [&bytes[..len / 3], &[], &bytes[len / 3..len]];
            let hasher = hasher_of_parts("domain", &parts);
            assert_eq!(Hash::of_parts("domain", &parts).0, *hasher.finalize().as_bytes(), "{len}");
            let (mut output, mut expected) = ([0; 100], [0; 100]);
            Hash::fill_of_parts("domain", &parts, &mut output);
            hasher.finalize_xof().fill(&mut expected);
            assert_eq!(output, expected, "{len}");
        }
    }
}
