//! How many sessions an address, and a prefix, has opened: bounded by the sessions themselves, because what has none has
//! no entry.

use std::net::IpAddr;

use hashbrown::HashTable;

use crate::flow::folded;
use crate::segment::mapped;

/// Counts by address and by prefix.
pub struct Sources {
    counts: HashTable<Count>,
    secret: [u64; 2],
    source_max: u32,
    prefix_max: u32,
}

#[derive(Clone, Copy)]
struct Count {
    key: u128,
    is_prefix: bool,
    sessions: u32,
}

impl Sources {
    /// Nobody yet; at most `source_max` sessions an address and `prefix_max` a prefix.
    pub fn new(source_max: u32, prefix_max: u32, secret: [u64; 2]) -> Self {
        Self { counts: HashTable::new(), secret, source_max, prefix_max }
    }

    /// Counts a session of `address`; false, and nothing changed, if that is one too many.
    pub fn add(&mut self, address: IpAddr) -> bool {
        if !self.is_capped() {
            return true;
        }
        let (source, prefix) = (mapped(address), prefix(address));
        if self.get(source, false) >= self.source_max || self.get(prefix, true) >= self.prefix_max {
            return false;
        }
        self.change(source, false, 1);
        self.change(prefix, true, 1);
        true
    }

    /// Takes a session of `address` out of the count.
    pub fn remove(&mut self, address: IpAddr) {
        if self.is_capped() {
            self.change(mapped(address), false, -1);
            self.change(prefix(address), true, -1);
        }
    }

    /// Addresses and prefixes with a session.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn is_capped(&self) -> bool {
        self.source_max < u32::MAX || self.prefix_max < u32::MAX
    }

    fn hash(&self, key: u128, is_prefix: bool) -> u64 {
        let [first, second] = self.secret;
        folded((key >> 64) as u64 ^ first, key as u64 ^ second ^ u64::from(is_prefix))
    }

    fn get(&self, key: u128, is_prefix: bool) -> u32 {
        let found =
            self.counts.find(self.hash(key, is_prefix), |count| count.key == key && count.is_prefix == is_prefix);
        found.map_or(0, |count| count.sessions)
    }

    fn change(&mut self, key: u128, is_prefix: bool, by: i32) {
        let hash = self.hash(key, is_prefix);
        let [first, second] = self.secret;
        let rehash = |count: &Count| {
            folded((count.key >> 64) as u64 ^ first, count.key as u64 ^ second ^ u64::from(count.is_prefix))
        };
        let same = |count: &Count| count.key == key && count.is_prefix == is_prefix;
        match self.counts.find_entry(hash, same) {
            Ok(mut entry) => {
                entry.get_mut().sessions = entry.get().sessions.saturating_add_signed(by);
                if entry.get().sessions == 0 {
                    entry.remove();
                }
            }
            Err(_) if by > 0 => {
                self.counts.insert_unique(hash, Count { key, is_prefix, sessions: 1 }, rehash);
            }
            Err(_) => {}
        }
    }
}

fn prefix(address: IpAddr) -> u128 {
    let bits = match address {
        IpAddr::V4(_) => 8,
        IpAddr::V6(_) => 80,
    };
    mapped(address) >> bits << bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_prefix_are_capped() {
        let mut sources = Sources::new(2, 3, [1, 2]);
        let address = |host| IpAddr::from([10, 0, 0, host]);
        assert!(sources.add(address(1)) && sources.add(address(1)));
        assert!(!sources.add(address(1)), "two an address");
        assert!(sources.add(address(2)));
        assert!(!sources.add(address(3)), "three a prefix");
        assert!(sources.add(IpAddr::from([10, 0, 1, 3])), "another prefix");
        sources.remove(address(1));
        assert!(sources.add(address(3)));
        for host in [1, 2, 3] {
            sources.remove(address(host));
        }
        sources.remove(IpAddr::from([10, 0, 1, 3]));
        assert!(sources.is_empty());
    }

    #[test]
    fn ipv6_counts_by_48_bits() {
        let mut sources = Sources::new(5, 1, [1, 2]);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(sources.add(address("2001:db8:1:2::1")));
        assert!(!sources.add(address("2001:db8:1:3::1")));
        assert!(sources.add(address("2001:db8:2::1")));
    }

    #[test]
    fn without_caps_nothing_is_kept() {
        let mut sources = Sources::new(u32::MAX, u32::MAX, [1, 2]);
        assert!((0..1_000).all(|_| sources.add(IpAddr::from([10, 0, 0, 1]))));
        assert!(sources.is_empty());
    }
}
