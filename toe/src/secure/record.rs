//! Records: pieces of a session's byte stream, sealed. `len u16 | ciphertext`, `len` the ciphertext's, little-endian.

use snow::TransportState;

use crate::stats::Drop;

/// Bytes that a record adds to its plaintext: the length and the tag.
pub const RECORD_OVERHEAD_LEN: usize = 2 + 16;
/// The longest plaintext of a record: with its overhead it fits one segment over IPv6 and Ethernet, and the smallest
/// receive buffer. A record larger than the peer's window could never be opened.
pub const RECORD_PLAIN_LEN_MAX: usize = 1_408;

/// A session's two directions after the handshake.
pub(crate) struct Channel(Box<TransportState>);

impl Channel {
    pub(super) fn new(state: TransportState) -> Self {
        Self(Box::new(state))
    }

    /// Seals `plain` into `out`, which holds it and [`RECORD_OVERHEAD_LEN`]; returns the record's length.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, Drop> {
        let sealed_len = self.0.write_message(plain, &mut out[2..]).map_err(|_| Drop::Record)?;
        out[..2].copy_from_slice(&(sealed_len as u16).to_le_bytes());
        Ok(2 + sealed_len)
    }

    /// Opens a record without its length into `out`; returns the plaintext's length.
    pub(crate) fn open(&mut self, sealed: &[u8], out: &mut [u8]) -> Result<usize, Drop> {
        self.0.read_message(sealed, out).map_err(|_| Drop::Record)
    }

    /// The whole length of the record that starts with `head`.
    pub(crate) fn record_len(head: [u8; 2]) -> Result<usize, Drop> {
        let sealed_len = usize::from(u16::from_le_bytes(head));
        if !(16..=RECORD_PLAIN_LEN_MAX + 16).contains(&sealed_len) {
            return Err(Drop::Record);
        }
        Ok(2 + sealed_len)
    }
}
