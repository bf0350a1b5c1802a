//! What a slice changes: keys and their new values, in order.

use crate::bytes::Bytes;

/// A key and its new value, or `None` where the key is removed.
pub type Change = (Bytes, Option<Bytes>);

/// Changes, each key once, ascending by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangeSet(Vec<Change>);

impl ChangeSet {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes of keys that are all different, in any order.
    pub(crate) fn of_distinct(mut changes: Vec<Change>) -> Self {
        // Places are sorted, and each change is moved once.
        let mut order: Vec<u32> = (0..changes.len() as u32).collect();
        order.sort_unstable_by(|one, other| changes[*one as usize].0.cmp(&changes[*other as usize].0));
        Self(order.into_iter().map(|place| core::mem::take(&mut changes[place as usize])).collect())
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> core::slice::Iter<'_, Change> {
        self.0.iter()
    }

    /// The change of `key`, if there is one.
    pub fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        let place = self.0.binary_search_by(|(other, _)| other.as_slice().cmp(key)).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Those of keys that start with `prefix`.
    pub fn within(&self, prefix: &[u8]) -> &[Change] {
        let from = self.0.partition_point(|(key, _)| key.as_slice() < prefix);
        let len = self.0[from..].partition_point(|(key, _)| key.starts_with(prefix));
        &self.0[from..from + len]
    }

    /// Bytes of keys and values.
    pub fn bytes_len(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, |value| value.len())).sum()
    }
}

impl FromIterator<Change> for ChangeSet {
    /// Of several changes of one key, the last one counts.
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let changes: std::collections::BTreeMap<Bytes, Option<Bytes>> = changes.into_iter().collect();
        Self(changes.into_iter().collect())
    }
}

impl<const N: usize> From<[Change; N]> for ChangeSet {
    fn from(changes: [Change; N]) -> Self {
        changes.into_iter().collect()
    }
}

impl IntoIterator for ChangeSet {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'c> IntoIterator for &'c ChangeSet {
    type Item = &'c Change;
    type IntoIter = core::slice::Iter<'c, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let changes: ChangeSet = [("b", Some("1")), ("a", None), ("b", Some("22"))]
            .map(|(key, value)| (bytes(key), value.map(bytes)))
            .into();
        assert_eq!((changes.len(), changes.bytes_len()), (2, 4));
        assert_eq!(changes.get(b"b"), Some(&Some(bytes("22"))));
        assert_eq!((changes.get(b"a"), changes.get(b"c")), (Some(&None), None));
    }

    proptest! {
        #[test]
        fn they_are_those_of_a_map(
            pairs in proptest::collection::vec(("[ab]{0,3}", proptest::option::of("[a-z]{0,70}")), 0..20),
            prefix in "[ab]{0,2}",
        ) {
            let map: std::collections::BTreeMap<Bytes, Option<Bytes>> =
                pairs.iter().map(|(key, value)| (bytes(key), value.as_deref().map(bytes))).collect();
            let set: ChangeSet = pairs.iter().map(|(key, value)| (bytes(key), value.as_deref().map(bytes))).collect();
            let all: Vec<Change> = map.clone().into_iter().collect();
            prop_assert_eq!(&set.iter().cloned().collect::<Vec<_>>(), &all);
            let shuffled = all.iter().rev().cloned().collect();
            prop_assert_eq!(&ChangeSet::of_distinct(shuffled), &set);
            let within: Vec<Change> = all.into_iter().filter(|(key, _)| key.starts_with(prefix.as_bytes())).collect();
            prop_assert_eq!(set.within(prefix.as_bytes()), within);
            for (key, value) in &map {
                prop_assert_eq!(set.get(key), Some(value));
            }
        }
    }
}
