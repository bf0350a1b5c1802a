//! The end of a link that a worker sends through, with what the link had no room for.
//!
//! Nothing is dropped and nothing overtakes: the worker stops making more while something waits here, and is woken
//! when there is room. Only what nobody will ever take (the other end is gone: the runtime ends) is let go.

use std::collections::VecDeque;

use crate::runtime::{SendError, Sender};

pub(super) struct Outlet<T> {
    link: Sender<T>,
    waiting: VecDeque<T>,
}

impl<T> Outlet<T> {
    pub(super) fn new(link: Sender<T>) -> Self {
        Self { link, waiting: VecDeque::new() }
    }

    /// Whether nothing waits: more may be made.
    pub(super) fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends an item, after those that wait.
    pub(super) fn put(&mut self, item: T) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(item);
            return;
        }
        match self.link.try_send(item) {
            Err(SendError::Full(item)) => self.waiting.push_back(item),
            Ok(()) | Err(SendError::Dropped | SendError::Closed(_)) => {}
        }
    }

    /// Sends items after those that wait, waking the other end once. Whether any left.
    pub(super) fn put_all(&mut self, items: impl IntoIterator<Item = T>) -> bool {
        self.waiting.extend(items);
        self.flush()
    }

    /// Sends what waits as far as there is room. Whether any left. Where there is no room, the executor is woken once
    /// there is.
    pub(super) fn flush(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        if self.link.is_closed() {
            self.waiting.clear();
            return false;
        }
        self.link.send_from(&mut self.waiting) > 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::runtime::{Parker, link};
    use crate::topology::WhenFull;

    #[test]
    fn what_finds_no_room_waits_in_order_until_there_is() {
        let parker = Parker::new().unwrap();
        let (sender, mut receiver) = link(2, WhenFull::BackPressure, parker.clone(), parker);
        let mut outlet = Outlet::new(sender);
        for item in 0..4 {
            outlet.put(item);
        }
        assert!(!outlet.is_clear() && !outlet.flush());
        assert_eq!((receiver.pop(), receiver.pop(), receiver.pop()), (Some(0), Some(1), None));
        assert!(outlet.put_all([4]) && !outlet.is_clear());
        assert_eq!((receiver.pop(), receiver.pop(), receiver.pop()), (Some(2), Some(3), None));
        assert!(outlet.flush() && outlet.is_clear());
        assert_eq!(receiver.pop(), Some(4));
    }

    #[test]
    fn an_outlet_to_nobody_holds_nothing_back() {
        let parker = Parker::new().unwrap();
        let (sender, receiver) = link(1, WhenFull::BackPressure, parker.clone(), parker);
        let mut outlet = Outlet::new(sender);
        outlet.put_all([1, 2]);
        assert!(!outlet.is_clear());
        drop(receiver);
        outlet.flush();
        assert!(outlet.is_clear());
        outlet.put(3);
        assert!(outlet.is_clear());
    }
}
