//! Many versions of one thing, one a slice, found again from any slice of the tree without walking it.
//!
//! Slices of the tree lie on branches: a slice stands at a depth of one branch, and a branch springs from a depth of
//! another. What a slice sees is, on each branch of its path, the deepest version not below the path; so a read costs a
//! search a branch, and forks are few, however long the branches are.

use core::borrow::Borrow;
use core::hash::Hash;

use crate::hashed::HashMap;

/// Where a slice stands in the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spot {
    /// The branch.
    pub(crate) branch: u64,
    /// The slices before it down to the first.
    pub(crate) depth: u64,
}

/// The way from a slice down: the deepest spot of each branch that it runs through, its own first.
pub(crate) type Path = Vec<Spot>;

/// Key to versions.
#[derive(Debug)]
pub(crate) struct Versions<K, V> {
    entries: HashMap<K, Line<V>>,
}

/// The versions of one key, ascending by spot.
#[derive(Debug)]
pub(crate) enum Line<V> {
    /// At most one, as most keys have, without a heap.
    Few(Option<(Spot, V)>),
    /// Others.
    Many(Vec<(Spot, V)>),
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl<K, V> Default for Versions<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::default() }
    }
}

impl<K: Eq + Hash, V> Versions<K, V> {
    /// Adds the version of a spot that has none yet.
    pub(crate) fn insert(&mut self, key: K, spot: Spot, value: V) {
        self.entries.entry(key).or_default().insert(spot, value);
    }

    /// The version that the path's first slice sees.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q, path: &[Spot]) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        // Nothing is asked of an empty tree.
        if self.entries.is_empty() {
            return None;
        }
        self.entries.get(key)?.find(path)
    }

    /// Takes the version of a spot away.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, spot: Spot)
    where
        K: Borrow<Q>,
    {
        if let Some(line) = self.entries.get_mut(key) {
            line.remove(spot);
            if line.is_empty() {
                self.entries.remove(key);
            }
        }
    }

    /// Keys that have a version.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<V> Line<V> {
    /// Adds the version of a spot that has none yet.
    pub(crate) fn insert(&mut self, spot: Spot, value: V) {
        match self {
            Self::Few(one @ None) => *one = Some((spot, value)),
            Self::Few(one) => {
                let mut versions = Vec::with_capacity(2);
                versions.extend(one.take());
                *self = Self::Many(versions);
                self.insert(spot, value);
            }
            Self::Many(versions) => {
                let place = versions.partition_point(|(other, _)| *other < spot);
                versions.insert(place, (spot, value));
            }
        }
    }

    /// The version that the path's first slice sees.
    pub(crate) fn find(&self, path: &[Spot]) -> Option<&V> {
        if self.is_empty() { None } else { path.iter().find_map(|limit| self.last_up_to(*limit)) }
    }

    /// Takes the version of a spot away.
    pub(crate) fn remove(&mut self, spot: Spot) {
        match self {
            Self::Few(one) => drop(one.take_if(|(other, _)| *other == spot)),
            Self::Many(versions) => {
                if let Ok(place) = versions.binary_search_by_key(&spot, |(spot, _)| *spot) {
                    versions.remove(place);
                }
                if versions.is_empty() {
                    *self = Self::Few(None);
                }
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(None))
    }

    /// The deepest version of the spot's branch that is not below it.
    fn last_up_to(&self, limit: Spot) -> Option<&V> {
        let (spot, value) = match self {
            Self::Few(one) => one.as_ref()?,
            Self::Many(versions) => {
                let after = versions.partition_point(|(spot, _)| *spot <= limit);
                versions.get(after.checked_sub(1)?)?
            }
        };
        (spot.branch == limit.branch && spot.depth <= limit.depth).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(branch: u64, depth: u64) -> Spot {
        Spot { branch, depth }
    }

    #[test]
    fn a_path_sees_its_own_branches_down_to_its_depth() {
        let mut versions: Versions<&str, u32> = Versions::default();
        for (branch, depth, value) in [(0, 1, 10), (0, 5, 50), (1, 3, 31), (2, 9, 29), (0, 9, 90)] {
            versions.insert("k", spot(branch, depth), value);
        }
        let see = |path: &[Spot]| versions.find("k", path).copied();
        assert_eq!(see(&[spot(0, 4)]), Some(10));
        assert_eq!(see(&[spot(0, 5)]), Some(50));
        assert_eq!(see(&[spot(0, 100)]), Some(90));
        assert_eq!(see(&[spot(0, 0)]), None);
        assert_eq!(see(&[spot(1, 7), spot(0, 2)]), Some(31));
        assert_eq!(see(&[spot(1, 2), spot(0, 2)]), Some(10), "the branch's own version lies above");
        assert_eq!(see(&[spot(2, 8), spot(1, 2)]), None, "branches off the path are not seen");
        assert_eq!(versions.find("other", &[spot(0, 5)]), None);
    }

    #[test]
    fn what_is_removed_is_not_seen() {
        let mut versions: Versions<&str, u32> = Versions::default();
        versions.insert("k", spot(0, 1), 1);
        versions.insert("k", spot(0, 2), 2);
        versions.remove("k", spot(0, 2));
        versions.remove("k", spot(0, 7));
        versions.remove("other", spot(0, 1));
        assert_eq!(versions.find("k", &[spot(0, 9)]), Some(&1));
        versions.remove("k", spot(0, 1));
        assert_eq!(versions.len(), 0);
    }
}
