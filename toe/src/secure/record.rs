//! Records: pieces of a session's byte stream, sealed. `len u16 | ciphertext`, `len` the ciphertext's, little-endian.

use hpb_net::sys::prefetch;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::HandshakeError;
use crate::stats::Drop;

const TAG_LEN: usize = 16;

/// Bytes that a record adds to its plaintext: the length and the tag.
pub const RECORD_OVERHEAD_LEN: usize = 2 + TAG_LEN;
/// The longest plaintext of a record: with its overhead it fits one segment over IPv6 and Ethernet, and the smallest
/// receive buffer. A record larger than the peer's window could never be opened.
pub const RECORD_PLAIN_LEN_MAX: usize = 1_408;

/// A session's two directions after the handshake: Noise transport messages (revision 34, section 5.1 and 12.3), in
/// one piece of memory a session, sealed and opened where they lie.
pub(crate) struct Channel(Box<Directions>);

struct Directions {
    out_nonce: u64,
    in_nonce: u64,
    out_key: LessSafeKey,
    in_key: LessSafeKey,
}

impl Channel {
    /// The channel of the two keys that the handshake came to.
    pub(super) fn new(out_key: &[u8; 32], in_key: &[u8; 32]) -> Result<Self, HandshakeError> {
        let key = |bytes: &[u8; 32]| UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| HandshakeError::Noise);
        let (out_key, in_key) = (LessSafeKey::new(key(out_key)?), LessSafeKey::new(key(in_key)?));
        Ok(Self(Box::new(Directions { out_nonce: 0, in_nonce: 0, out_key, in_key })))
    }

    /// Asks for the keys' memory.
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.0);
    }

    /// Seals `plain` into `out`, which holds it and [`RECORD_OVERHEAD_LEN`]; returns the record's length.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, Drop> {
        let record_len = plain.len() + RECORD_OVERHEAD_LEN;
        let (head, rest) = out.split_at_mut_checked(2).ok_or(Drop::Record)?;
        let (body, rest) = rest.split_at_mut_checked(plain.len()).ok_or(Drop::Record)?;
        let tag_out = rest.get_mut(..TAG_LEN).ok_or(Drop::Record)?;
        body.copy_from_slice(plain);
        let nonce = next(&mut self.0.out_nonce)?;
        let tag = self.0.out_key.seal_in_place_separate_tag(nonce, Aad::empty(), body).map_err(|_| Drop::Record)?;
        tag_out.copy_from_slice(tag.as_ref());
        head.copy_from_slice(&((record_len - 2) as u16).to_le_bytes());
        Ok(record_len)
    }

    /// Opens a record without its length where it lies; returns the plaintext.
    pub(crate) fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Result<&'a [u8], Drop> {
        let nonce = next(&mut self.0.in_nonce)?;
        let plain = self.0.in_key.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| Drop::Record)?;
        Ok(plain)
    }

    /// The whole length of the record that starts with `head`.
    pub(crate) fn record_len(head: [u8; 2]) -> Result<usize, Drop> {
        let sealed_len = usize::from(u16::from_le_bytes(head));
        if !(TAG_LEN..=RECORD_PLAIN_LEN_MAX + TAG_LEN).contains(&sealed_len) {
            return Err(Drop::Record);
        }
        Ok(2 + sealed_len)
    }
}

/// The nonce of the next message: four zero bytes and the count, big-endian. The last count is reserved.
fn next(count: &mut u64) -> Result<Nonce, Drop> {
    if *count == u64::MAX {
        return Err(Drop::Record);
    }
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&count.to_be_bytes());
    *count += 1;
    Ok(Nonce::assume_unique_for_key(bytes))
}
