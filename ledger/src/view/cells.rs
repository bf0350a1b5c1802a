//! What a view knows, key by key: found in a few steps, kept side by side.
//!
//! A transaction by itself touches a handful of keys, which are looked through; beyond that an index finds them. The
//! index is of a keyed hash, because names are chosen by strangers, and its order is never seen.

use core::hash::BuildHasher as _;

use hashbrown::HashTable;

use crate::bytes::Bytes;
use crate::hashed::Keyed;

/// So many cells are looked through one by one.
const UNINDEXED_MAX: usize = 8;

/// What is known of one key on one side of a view.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Known {
    /// Not read, or not written.
    #[default]
    Nothing,
    /// Nothing lies there, or it was removed.
    Absent,
    /// This lies there.
    Present(Bytes),
}

impl Known {
    pub(crate) fn of(value: Option<Bytes>) -> Self {
        value.map_or(Self::Absent, Self::Present)
    }

    /// What lies there, if something does.
    pub(crate) fn value(&self) -> Option<&Bytes> {
        if let Self::Present(value) = self { Some(value) } else { None }
    }

    #[allow(clippy::option_option, reason = "the inner option is a change set's own: a value or a removal")]
    pub(super) fn into_value(self) -> Option<Option<Bytes>> {
        match self {
            Self::Nothing => None,
            Self::Absent => Some(None),
            Self::Present(value) => Some(Some(value)),
        }
    }
}

/// One key, and what is known of it.
pub(super) struct Cell {
    pub(super) key: Bytes,
    pub(super) read: Known,
    pub(super) written: Known,
}

/// Cells by key, in the order in which they were first asked for.
#[derive(Default)]
pub(super) struct Cells {
    list: Vec<Cell>,
    /// Places in `list`, once there are more than [`UNINDEXED_MAX`].
    index: HashTable<usize>,
    keyed: Keyed,
}

impl Cells {
    /// The place of the key's cell, if there is one.
    pub(super) fn find(&self, key: &Bytes) -> Option<usize> {
        if self.list.len() <= UNINDEXED_MAX {
            return self.list.iter().position(|cell| cell.key == *key);
        }
        self.index.find(self.keyed.hash_one(key), |place| self.list[*place].key == *key).copied()
    }

    /// Adds a cell of a key that has none; its place.
    pub(super) fn add(&mut self, key: Bytes) -> usize {
        let place = self.list.len();
        self.list.push(Cell { key, read: Known::Nothing, written: Known::Nothing });
        match self.list.len() {
            0..=UNINDEXED_MAX => (),
            first if first == UNINDEXED_MAX + 1 => (0..first).for_each(|place| self.put(place)),
            _ => self.put(place),
        }
        place
    }

    /// The cell at a place, to be changed.
    pub(super) fn at(&mut self, place: usize) -> &mut Cell {
        &mut self.list[place]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Cell> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.list.iter_mut()
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Cell> {
        self.list.into_iter()
    }

    /// Puts a cell into the index.
    fn put(&mut self, place: usize) {
        let (list, keyed) = (&self.list, &self.keyed);
        let hash = |place: &usize| keyed.hash_one(&list[*place].key);
        self.index.insert_unique(hash(&place), place, hash);
    }
}
