//! Messages longer than a NATS payload, in parts: each begins with a line that names sender, message and part.

use std::collections::VecDeque;

use hpb_base::limits::{AGENT_MESSAGE_LEN_MAX, AGENT_MESSAGES_OPEN_MAX};

/// Bytes that a part's first line takes at most.
pub const HEAD_LEN_MAX: usize = 192;

/// Cuts a message into parts of at most `len_max` bytes, each with its line.
pub fn cut(sender: &str, number: u64, message: &[u8], len_max: usize) -> Vec<Vec<u8>> {
    let room = len_max.saturating_sub(HEAD_LEN_MAX).max(1);
    let parts = message.len().div_ceil(room).max(1);
    let pieces = message.chunks(room).chain((message.is_empty()).then_some(&[][..]));
    pieces
        .enumerate()
        .map(|(part, piece)| {
            let mut bytes = format!("{sender} {number} {part} {parts} {}\n", message.len()).into_bytes();
            bytes.extend_from_slice(piece);
            bytes
        })
        .collect()
}

/// Messages that are being put together.
#[derive(Default)]
pub struct Parts {
    open: VecDeque<Open>,
}

struct Open {
    sender: String,
    number: u64,
    next: usize,
    len: usize,
    bytes: Vec<u8>,
}

impl Parts {
    /// Takes a part; the message, if that was its last one. What is no part, or comes in no order, is dropped.
    pub fn take(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let end = payload.iter().take(HEAD_LEN_MAX).position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&payload[..end]).ok()?;
        let (piece, words): (&[u8], Vec<&str>) = (&payload[end + 1..], head.split(' ').collect());
        let [sender, number, part, parts, len] = words[..] else { return None };
        let (number, part) = (number.parse::<u64>().ok()?, part.parse::<usize>().ok()?);
        let (parts, len) = (parts.parse::<usize>().ok()?, len.parse::<usize>().ok()?);
        if len > AGENT_MESSAGE_LEN_MAX || part >= parts {
            return None;
        }
        if part == 0 {
            self.open.retain(|open| open.sender != sender || open.number != number);
            if self.open.len() == AGENT_MESSAGES_OPEN_MAX {
                self.open.pop_front();
            }
            self.open.push_back(Open { sender: sender.to_owned(), number, next: 0, len, bytes: Vec::new() });
        }
        let at = self.open.iter().position(|open| open.sender == sender && open.number == number)?;
        let open = &mut self.open[at];
        if open.next != part || open.bytes.len() + piece.len() > open.len {
            self.open.remove(at);
            return None;
        }
        open.next += 1;
        open.bytes.extend_from_slice(piece);
        if open.next < parts {
            return None;
        }
        let whole = self.open.remove(at)?;
        (whole.bytes.len() == whole.len).then_some(whole.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_again_among_others_parts() {
        let message: Vec<u8> = (0..5_000u32).map(|at| at as u8).collect();
        let (a, b) = (cut("a", 1, &message, 1_200), cut("b", 1, b"", 1_200));
        assert!(a.len() > 3 && a.iter().all(|part| part.len() <= 1_200) && b.len() == 1);
        let mut parts = Parts::default();
        for part in &a[..a.len() - 1] {
            assert_eq!(parts.take(part), None);
            assert_eq!(parts.take(&b[0]), Some(Vec::new()));
        }
        assert_eq!(parts.take(&a[a.len() - 1]), Some(message));
        assert!(parts.open.is_empty());
    }

    #[test]
    fn what_is_cut_foreign_or_too_much_is_dropped() {
        let mut parts = Parts::default();
        let pieces = cut("a", 1, &[7; 3_000], 1_200);
        assert_eq!(parts.take(&pieces[0]), None);
        assert_eq!(parts.take(&pieces[2]), None, "one is missing");
        assert_eq!(parts.take(&pieces[1]), None, "and what follows is nobody's");
        for foreign in [&b""[..], b"\n", b"a 1 0 1\n", b"a 1 2 1 5\nhello", b"a x 0 1 5\nhello", b"\xff 1 0 1 0\n"] {
            assert_eq!(parts.take(foreign), None);
        }
        assert_eq!(parts.take(b"a 1 0 1 4\nhello"), None);
        assert_eq!(parts.take(format!("a 1 0 2 {}\n", AGENT_MESSAGE_LEN_MAX + 1).as_bytes()), None);
        for number in 0..2 * AGENT_MESSAGES_OPEN_MAX {
            assert_eq!(parts.take(format!("a {number} 0 2 9\nx").as_bytes()), None);
        }
        assert_eq!(parts.open.len(), AGENT_MESSAGES_OPEN_MAX);
    }
}
