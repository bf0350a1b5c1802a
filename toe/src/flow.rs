//! From a segment's two ends to its session.
//!
//! An open-addressed table keyed by a hash whose secret is drawn afresh at each start: nobody outside can choose
//! addresses and ports that collide. The table holds the hash and the session's index; the session itself holds the
//! full key, which the caller compares.

use hashbrown::HashTable;

use crate::segment::FlowKey;

/// Flow key to session index.
pub struct FlowTable {
    entries: HashTable<Entry>,
    secret: [u64; 2],
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    index: u32,
}

impl FlowTable {
    /// An empty table that holds `capacity` flows without growing.
    pub fn new(capacity: usize, secret: [u64; 2]) -> Self {
        Self { entries: HashTable::with_capacity(capacity), secret }
    }

    /// The keyed hash of a flow: two rounds of folded 64 x 64 multiplication over address and port words.
    pub fn hash(&self, key: &FlowKey) -> u64 {
        let ports = u64::from(key.ports.0) << 16 | u64::from(key.ports.1);
        let remote = (key.remote >> 64) as u64 ^ (key.remote as u64).rotate_left(32);
        let local = (key.local >> 64) as u64 ^ (key.local as u64).rotate_left(17);
        let first = folded(remote ^ self.secret[0], local ^ self.secret[1]);
        folded(first ^ ports ^ self.secret[1], self.secret[0] | 1)
    }

    /// The session of the flow with `hash`, if `is_it` says so of a candidate's index.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.entries.find(hash, |entry| entry.hash == hash && is_it(entry.index)).map(|entry| entry.index)
    }

    /// A session that has the flow with `hash`, as far as the hash tells: a hint that costs no look at the session.
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a flow that [`find`](Self::find) does not know.
    pub fn insert(&mut self, hash: u64, index: u32) {
        self.entries.insert_unique(hash, Entry { hash, index }, |entry| entry.hash);
    }

    /// Forgets the flow of session `index`.
    pub fn remove(&mut self, hash: u64, index: u32) {
        if let Ok(entry) = self.entries.find_entry(hash, |entry| entry.index == index) {
            entry.remove();
        }
    }

    /// How many flows it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The halves of a 64 x 64 product, folded: a step of a keyed hash.
pub(crate) fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8, port: u16) -> FlowKey {
        FlowKey::new(([10, 0, 0, host], port).into(), ([10, 0, 0, 1], 80).into())
    }

    #[test]
    fn flows_are_found_until_they_are_removed() {
        let mut table = FlowTable::new(16, [3, 5]);
        let keys: Vec<FlowKey> = (0..5_000).map(|n| key((n % 7) as u8, n)).collect();
        for (index, key) in keys.iter().enumerate() {
            table.insert(table.hash(key), index as u32);
        }
        for (index, key) in keys.iter().enumerate() {
            let hash = table.hash(key);
            assert_eq!(table.find(hash, |found| keys[found as usize] == *key), Some(index as u32));
            table.remove(hash, index as u32);
            assert_eq!(table.find(hash, |found| keys[found as usize] == *key), None);
        }
        assert!(table.is_empty());
    }

    #[test]
    fn the_hash_depends_on_the_secret_and_on_each_part() {
        let hash = |secret, key: &FlowKey| FlowTable::new(0, secret).hash(key);
        let base = hash([1, 2], &key(2, 1_025));
        assert_ne!(base, hash([1, 3], &key(2, 1_025)));
        assert_ne!(base, hash([1, 2], &key(3, 1_025)));
        assert_ne!(base, hash([1, 2], &key(2, 1_026)));
    }
}
