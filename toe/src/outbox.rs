//! What waits to be sent to one peer: shared plaintext and how far each message has gone, never a copy a peer.
//!
//! Sealing is last, so everything here can still be shed but the message that has begun: a sealed nonce cannot be
//! taken back, nor half a message.

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_base::limits::OUTBOX_MESSAGES_MAX;

use crate::class::{Class, Priority};

struct Waiting {
    bytes: Arc<[u8]>,
    sent_len: u32,
    priority: Priority,
}

/// A bounded queue of framed messages.
#[derive(Default)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    waiting_len: usize,
}

/// What became of a message that was put into an outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// It waits; this many others were shed for it.
    Waits {
        /// Messages shed.
        shed: u32,
    },
    /// It was shed itself: what waits is at least as important.
    Shed,
    /// Critical messages fill the outbox: the peer is too slow to be kept.
    Overflow,
}

impl Outbox {
    /// Adds a framed message, shedding less important or older ones that have not begun if there is no room.
    pub fn push(&mut self, class: Class, priority: Priority, bytes: Arc<[u8]>, sent_len: usize) -> Queued {
        let begun = sent_len > 0;
        let mut shed = 0;
        while self.is_full(class, bytes.len() - sent_len) && !begun {
            let Some(victim) = self.victim(priority) else {
                return if priority == Priority::Critical { Queued::Overflow } else { Queued::Shed };
            };
            if let Some(waiting) = self.waiting.remove(victim) {
                self.waiting_len -= waiting.bytes.len();
                shed += 1;
            }
        }
        self.waiting_len += bytes.len() - sent_len;
        self.waiting.push_back(Waiting { bytes, sent_len: sent_len as u32, priority });
        Queued::Waits { shed }
    }

    /// The oldest message's bytes that have not gone yet.
    pub fn front(&self) -> Option<&[u8]> {
        self.waiting.front().map(|waiting| &waiting.bytes[waiting.sent_len as usize..])
    }

    /// Copies what comes next, over message borders, into `out`; returns how many bytes. Nothing is taken.
    pub fn gather(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        for waiting in &self.waiting {
            let rest = &waiting.bytes[waiting.sent_len as usize..];
            let len = rest.len().min(out.len() - filled);
            out[filled..filled + len].copy_from_slice(&rest[..len]);
            filled += len;
            if filled == out.len() {
                break;
            }
        }
        filled
    }

    /// Notes that the next `len` bytes have gone; `left` is shown each message of which that was the last.
    pub fn advance(&mut self, mut len: usize, mut left: impl FnMut(&[u8])) {
        self.waiting_len -= len;
        while len > 0
            && let Some(front) = self.waiting.front_mut()
        {
            let rest = front.bytes.len() - front.sent_len as usize;
            if len < rest {
                front.sent_len += len as u32;
                return;
            }
            len -= rest;
            left(&front.bytes);
            self.waiting.pop_front();
        }
    }

    /// Lets go of what waits but the message that has begun (half a message cannot be taken back), and puts the last word
    /// behind it, whatever room there is.
    pub fn end_with(&mut self, bytes: Arc<[u8]>) {
        self.waiting.retain(|waiting| waiting.sent_len > 0);
        self.waiting.push_back(Waiting { bytes, sent_len: 0, priority: Priority::Critical });
        self.waiting_len = self.waiting.iter().map(|waiting| waiting.bytes.len() - waiting.sent_len as usize).sum();
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.waiting_len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn is_full(&self, class: Class, more_len: usize) -> bool {
        !self.waiting.is_empty()
            && (self.waiting.len() >= OUTBOX_MESSAGES_MAX || self.waiting_len + more_len > class.outbox_len_max())
    }

    /// The oldest message of the least importance that has not begun and is not above `priority`.
    fn victim(&self, priority: Priority) -> Option<usize> {
        let unstarted = || self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.sent_len == 0);
        [Priority::Sheddable, Priority::Normal]
            .into_iter()
            .filter(|victim| *victim <= priority)
            .find_map(|victim| unstarted().find(|(_, waiting)| waiting.priority == victim).map(|(index, _)| index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, len: usize) -> Arc<[u8]> {
        vec![tag; len].into()
    }

    fn fill(outbox: &mut Outbox, priority: Priority) -> usize {
        let mut count = 0;
        while outbox.len() + 8_192 <= Class::Terminal.outbox_len_max() {
            assert_eq!(
                outbox.push(Class::Terminal, priority, message(count as u8, 8_192), 0),
                Queued::Waits { shed: 0 }
            );
            count += 1;
        }
        count
    }

    #[test]
    fn the_oldest_unstarted_sheddable_message_goes_first() {
        let mut outbox = Outbox::default();
        fill(&mut outbox, Priority::Sheddable);
        outbox.advance(10, |_| ()); // message 0 has begun
        let queued = outbox.push(Class::Terminal, Priority::Normal, message(99, 8_192), 0);
        assert_eq!(queued, Queued::Waits { shed: 1 });
        assert_eq!(outbox.front().map(|bytes| (bytes[0], bytes.len())), Some((0, 8_182)));
        outbox.advance(8_182, |_| ());
        assert_eq!(outbox.front().map(|bytes| bytes[0]), Some(2), "message 1 was shed");
    }

    #[test]
    fn nothing_more_important_is_shed_and_critical_overflow_is_told() {
        let mut outbox = Outbox::default();
        fill(&mut outbox, Priority::Critical);
        let mut push = |priority| outbox.push(Class::Terminal, priority, message(1, 8_192), 0);
        assert_eq!(push(Priority::Sheddable), Queued::Shed);
        assert_eq!(push(Priority::Normal), Queued::Shed);
        assert_eq!(push(Priority::Critical), Queued::Overflow);
    }

    #[test]
    fn the_last_word_stands_behind_the_message_that_has_begun() {
        let mut outbox = Outbox::default();
        for tag in 1..=3 {
            outbox.push(Class::Terminal, Priority::Critical, message(tag, 10), 0);
        }
        outbox.advance(4, |_| ());
        outbox.end_with(message(4, 2));
        assert_eq!((outbox.front(), outbox.len()), (Some(&[1; 6][..]), 8));
        outbox.advance(6, |_| ());
        outbox.end_with(message(5, 2));
        assert_eq!((outbox.front(), outbox.len()), (Some(&[5; 2][..]), 2), "none has begun");
    }

    #[test]
    fn a_message_larger_than_the_outbox_passes_when_it_is_alone() {
        let mut outbox = Outbox::default();
        let large = message(1, Class::Terminal.outbox_len_max() + 1);
        assert_eq!(outbox.push(Class::Terminal, Priority::Normal, large, 0), Queued::Waits { shed: 0 });
    }

    #[test]
    fn gathering_crosses_messages_and_keeps_them() {
        let mut outbox = Outbox::default();
        for tag in 1..=3 {
            outbox.push(Class::Terminal, Priority::Normal, message(tag, 2), 0);
        }
        outbox.advance(1, |_| ());
        let mut out = [0; 4];
        assert_eq!((outbox.gather(&mut out), out, outbox.len()), (4, [1, 2, 2, 3], 5));
        let mut left = Vec::new();
        outbox.advance(4, |message| left.push(message[0]));
        assert_eq!(left, [1, 2]);
        assert_eq!((outbox.front(), outbox.len()), (Some(&[3][..]), 1));
    }

    #[test]
    fn the_number_of_messages_is_bounded_too() {
        let mut outbox = Outbox::default();
        for _ in 0..OUTBOX_MESSAGES_MAX {
            outbox.push(Class::Terminal, Priority::Sheddable, message(0, 1), 0);
        }
        assert_eq!(outbox.push(Class::Terminal, Priority::Sheddable, message(0, 1), 0), Queued::Waits { shed: 1 });
    }
}
