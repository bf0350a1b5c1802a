//! Short byte strings without a heap: the keys and most values of the state.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;
use std::sync::Arc;

/// The longest string that is held in place: the whole is one cache line.
const IN_PLACE_LEN_MAX: usize = 62;

/// An immutable byte string that is cheap to copy: in place up to 62 bytes, shared beyond. It orders, compares and
/// hashes as the slice that it holds.
#[derive(Clone)]
pub struct Bytes(Held);

#[derive(Clone)]
enum Held {
    InPlace { len: u8, bytes: [u8; IN_PLACE_LEN_MAX] },
    Shared(Arc<[u8]>),
}

impl Bytes {
    /// The parts one after the other.
    pub fn concat(parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > IN_PLACE_LEN_MAX {
            return Self(Held::Shared(parts.concat().into()));
        }
        let mut bytes = [0; IN_PLACE_LEN_MAX];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self(Held::InPlace { len: len as u8, bytes })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Held::InPlace { len, bytes } => &bytes[..usize::from(*len)],
            Held::Shared(bytes) => bytes,
        }
    }
}

impl Default for Bytes {
    /// None.
    fn default() -> Self {
        Self(Held::InPlace { len: 0, bytes: [0; IN_PLACE_LEN_MAX] })
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::concat(&[bytes])
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // What is not used of a place is zero: all of it is compared, which takes no call.
            (Held::InPlace { len, bytes }, Held::InPlace { len: other_len, bytes: other }) => {
                len == other_len && bytes == other
            }
            _ => self.as_slice() == other.as_slice(),
        }
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // Zeros stand after the shorter one: where only they differ from the longer one, its length does, too.
            (Held::InPlace { len, bytes }, Held::InPlace { len: other_len, bytes: other }) => {
                compare(bytes, other).then(len.cmp(other_len))
            }
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

/// Eight bytes at a time, which takes no call; most keys differ early.
fn compare(one: &[u8; IN_PLACE_LEN_MAX], other: &[u8; IN_PLACE_LEN_MAX]) -> Ordering {
    let (ones, one_rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    for (one, other) in ones.iter().zip(others) {
        if one != other {
            return one.cmp(other);
        }
    }
    one_rest.cmp(other_rest)
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;

    use super::*;

    fn hashed(value: &(impl Hash + ?Sized)) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn it_is_the_slice_that_it_holds() {
        let text: Vec<u8> = (0..100).collect();
        for len in [0, 1, 61, 62, 63, 100] {
            let slice = &text[..len];
            let bytes = Bytes::from(slice);
            assert_eq!(bytes.as_slice(), slice);
            assert_eq!(hashed(&bytes), hashed(slice));
            assert_eq!(bytes, Bytes::concat(&[&slice[..len / 2], &slice[len / 2..]]));
            for other_len in [0, 1, 8, 61, 62, 63, 100] {
                for from in [0, 1] {
                    let other = &text[from..other_len.max(from)];
                    assert_eq!(bytes.cmp(&Bytes::from(other)), slice.cmp(other), "{len} {other_len} {from}");
                    assert_eq!(bytes == Bytes::from(other), slice == other, "{len} {other_len} {from}");
                }
            }
        }
        for (one, other) in [(&b"a"[..], &b"a\0"[..]), (b"a\0", b"a\0\0"), (b"a\0\x01", b"a\x01"), (b"", b"\0")] {
            assert!(Bytes::from(one) < Bytes::from(other) && Bytes::from(one) != Bytes::from(other));
        }
        assert_eq!(size_of::<Bytes>(), 64);
        assert_eq!(format!("{:?}", Bytes::from(b"a\0".as_slice())), "a\\x00");
    }
}
