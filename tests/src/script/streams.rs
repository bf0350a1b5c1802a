//! What both sides of one session say, byte by byte, and where their numbers begin.

use hpb_toe::SessionId;
use hpb_toe::framing::{MESSAGE_HEADER_LEN, framed};

use super::language::Message;

/// The peer's initial sequence number unless the script sets another.
pub(super) const PEER_SEQUENCE: u32 = 1_000_000;
const KIND: u8 = 1;

/// A byte stream of whole messages. Byte 0 has the relative sequence number 1.
#[derive(Clone, Default, Debug)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    delivered_len: usize,
}

/// One session as the peer sees it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) card_port: u16,
    pub(super) peer_sequence: u32,
    /// `None` until the card's first SYN.
    pub(super) card_sequence: Option<u32>,
    pub(super) session: Option<SessionId>,
    pub(super) from_peer: Stream,
    pub(super) from_card: Stream,
}

impl Link {
    pub(super) fn new(card_port: u16) -> Self {
        Self {
            card_port,
            peer_sequence: PEER_SEQUENCE,
            card_sequence: None,
            session: None,
            from_peer: Stream::default(),
            from_card: Stream::default(),
        }
    }

    /// The card's initial number; before it is known its numbers are as they stand in the header.
    pub(super) fn card_base(&self) -> u32 {
        self.card_sequence.unwrap_or(0)
    }
}

impl Stream {
    /// Adds a message to the end; returns its bytes.
    pub(super) fn push(&mut self, message: &Message) -> &[u8] {
        let start = self.bytes.len();
        let body = match message {
            Message::Text(text) => text.as_bytes().to_vec(),
            Message::Len(len) => (MESSAGE_HEADER_LEN..*len).map(|at| pattern(start + at)).collect(),
        };
        self.bytes.extend(framed(KIND, &body));
        &self.bytes[start..]
    }

    /// The bytes at relative sequence number `first`. What would lie past the stream's end becomes a message that ends
    /// with them; what lies before its begin is zero.
    ///
    /// # Errors
    /// The part past the end is too short for a message.
    pub(super) fn slice(&mut self, first: u32, len: u32) -> Result<Vec<u8>, String> {
        if len == 0 {
            return Ok(Vec::new());
        }
        let start = i64::from(first.wrapping_sub(1).cast_signed());
        let end = start + i64::from(len);
        let missing_len = usize::try_from(end).unwrap_or_default().saturating_sub(self.bytes.len());
        if missing_len > 0 {
            if missing_len < MESSAGE_HEADER_LEN {
                return Err(format!(
                    "the segment goes {missing_len} bytes past what the peer says: too little for a message; say `peer \
                     message LEN` before"
                ));
            }
            self.push(&Message::Len(missing_len));
        }
        Ok((start..end).map(|at| usize::try_from(at).map_or(0, |at| self.bytes[at])).collect())
    }

    /// Where `payload` at relative sequence number `first` differs from the stream; `None` if nowhere.
    pub(super) fn difference(&self, first: u32, payload: &[u8]) -> Option<String> {
        let start = first.wrapping_sub(1) as usize;
        payload.iter().enumerate().find_map(|(at, byte)| match self.bytes.get(start + at) {
            None => Some(format!("its byte {at} lies where nothing was said")),
            Some(said) if said != byte => Some(format!("its byte {at} is {byte:#04x} where {said:#04x} was said")),
            Some(_) => None,
        })
    }

    /// Takes the next message to be delivered, which is `bytes`.
    ///
    /// # Errors
    /// Where it differs from what was said.
    pub(super) fn deliver(&mut self, bytes: &[u8]) -> Result<(), String> {
        let difference = self.difference(self.delivered_len as u32 + 1, bytes);
        self.delivered_len += bytes.len();
        difference.map_or(Ok(()), Err)
    }
}

/// Bytes that no shift of the stream by less than 64 KiB matches.
fn pattern(at: usize) -> u8 {
    (at ^ (at >> 8).wrapping_mul(0x9d)) as u8
}
