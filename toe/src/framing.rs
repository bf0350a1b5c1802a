//! Messages in a session's byte stream: `len u32 | kind u8 | body`, little-endian, `len` the body's.

use crate::stats::Drop;

/// Bytes in front of a message's body.
pub const MESSAGE_HEADER_LEN: usize = 5;

/// The header of a message.
pub fn header(kind: u8, body_len: usize) -> [u8; MESSAGE_HEADER_LEN] {
    let len = (body_len as u32).to_le_bytes();
    [len[0], len[1], len[2], len[3], kind]
}

/// A message with its header, ready for any number of sessions.
pub fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE_HEADER_LEN + body.len());
    bytes.extend_from_slice(&header(kind, body.len()));
    bytes.extend_from_slice(body);
    bytes
}

/// Cuts a stream into messages. Memory is taken only for a message that is not whole yet.
#[derive(Default)]
pub struct Assembler {
    partial: Vec<u8>,
}

impl Assembler {
    /// Takes the next bytes of the stream; calls `deliver(kind, body)` for each message that is now whole.
    ///
    /// # Errors
    /// [`Drop::Framing`] for a message longer than `body_len_max`: the stream cannot be followed any further.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        body_len_max: usize,
        mut deliver: impl FnMut(u8, &[u8]),
    ) -> Result<(), Drop> {
        while !self.partial.is_empty() {
            let wanted = match parse_header(&self.partial, body_len_max)? {
                None => MESSAGE_HEADER_LEN,
                Some((_, body_len)) => MESSAGE_HEADER_LEN + body_len,
            };
            let missing = wanted - self.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() < wanted {
                return Ok(());
            }
            if let Some((kind, body_len)) = parse_header(&self.partial, body_len_max)?
                && self.partial.len() == MESSAGE_HEADER_LEN + body_len
            {
                deliver(kind, &self.partial[MESSAGE_HEADER_LEN..]);
                self.partial = Vec::new();
            }
        }
        while let Some((kind, body_len)) = parse_header(bytes, body_len_max)? {
            let end = MESSAGE_HEADER_LEN + body_len;
            if bytes.len() < end {
                break;
            }
            deliver(kind, &bytes[MESSAGE_HEADER_LEN..end]);
            bytes = &bytes[end..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes held for a message that is not whole yet.
    pub fn held_len(&self) -> usize {
        self.partial.capacity()
    }
}

fn parse_header(bytes: &[u8], body_len_max: usize) -> Result<Option<(u8, usize)>, Drop> {
    let Some(header) = bytes.get(..MESSAGE_HEADER_LEN) else { return Ok(None) };
    let body_len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if body_len > body_len_max {
        return Err(Drop::Framing);
    }
    Ok(Some((header[4], body_len)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_over_the_limit_ends_the_stream() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.feed(&header(1, 101), 100, |_, _| ()), Err(Drop::Framing));
        let mut assembler = Assembler::default();
        assembler.feed(&header(1, 101)[..3], 100, |_, _| ()).unwrap();
        assert_eq!(assembler.feed(&header(1, 101)[3..], 100, |_, _| ()), Err(Drop::Framing));
    }

    #[test]
    fn whole_messages_leave_no_memory_behind() {
        let mut assembler = Assembler::default();
        assembler.feed(&framed(3, &[9; 64]), 100, |_, _| ()).unwrap();
        assert_eq!(assembler.held_len(), 0);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_messages(
            messages in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..12),
            cuts in proptest::collection::vec(1..50_usize, 1..40),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|(kind, body)| framed(*kind, body)).collect();
            let mut assembler = Assembler::default();
            let mut seen = Vec::new();
            let (mut rest, mut cut) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (head, tail) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                assembler.feed(head, 300, |kind, body| seen.push((kind, body.to_vec()))).unwrap();
                rest = tail;
            }
            prop_assert_eq!(seen, messages);
        }
    }
}
