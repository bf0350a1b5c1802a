//! What the transactions of one slice have written so far: of each key, the version of each transaction that wrote it, and
//! what lay there before all of them.
//!
//! A key is looked for once a run: what is found is a [`Place`], which is held on to for the run's writes and for every
//! validation of its reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::scheduler::Version;
use crate::bytes::Bytes;
use crate::view::{ChangeSet, State, StateError};

/// Parts of the map that are locked apart from each other; a power of two.
const SHARDS: usize = 64;

/// Where a value that was read came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// From before the slice's transactions.
    Base,
    /// From that run of a transaction.
    Written(Version),
}

/// What a read gives.
pub(super) enum Read {
    /// The value, if there is one, and where it is from.
    Value(Option<Bytes>, Origin),
    /// That transaction is about to write it again.
    Awaited(usize),
}

/// One key's versions.
pub(super) struct Place {
    pub(super) key: Bytes,
    versions: Mutex<Versions>,
}

#[derive(Default)]
struct Versions {
    /// What lay there before.
    base: Before,
    /// Ascending by transaction.
    written: Vec<Written>,
}

#[derive(Default)]
enum Before {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// That, or nothing.
    Known(Option<Bytes>),
}

struct Written {
    version: Version,
    value: Option<Bytes>,
    /// The run was for nothing, and the next one is likely to write here again.
    is_estimate: bool,
}

type Shard = HashMap<Bytes, Arc<Place>>;

/// The memory. No order of its maps is ever seen: they are asked for keys alone, and at the end sorted.
pub(super) struct Memory<'s> {
    base: &'s (dyn State + Sync),
    shards: Vec<Mutex<Shard>>,
}

impl<'s> Memory<'s> {
    pub(super) fn new(base: &'s (dyn State + Sync)) -> Self {
        Self { base, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    pub(super) fn base(&self) -> &'s (dyn State + Sync) {
        self.base
    }

    /// The place of a key.
    pub(super) fn place(&self, key: &Bytes) -> Arc<Place> {
        let mut shard = self.shard(key);
        if let Some(place) = shard.get(key) {
            return Arc::clone(place);
        }
        let place = Arc::new(Place { key: key.clone(), versions: Mutex::default() });
        shard.insert(key.clone(), Arc::clone(&place));
        place
    }

    /// What the transaction number `index` sees at a place.
    pub(super) fn read(&self, place: &Place, index: usize) -> Result<Read, StateError> {
        {
            let versions = place.versions();
            if let Some(written) = versions.before(index) {
                return Ok(written.read());
            }
            if let Before::Known(base) = &versions.base {
                return Ok(Read::Value(base.clone(), Origin::Base));
            }
        }
        // Others may ask meanwhile, too: a slow store holds nobody up.
        let base = self.base.get(&place.key)?;
        let mut versions = place.versions();
        versions.base = Before::Known(base.clone());
        Ok(versions.before(index).map_or(Read::Value(base, Origin::Base), Written::read))
    }

    /// What all have changed together.
    pub(super) fn into_changes(self) -> ChangeSet {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut changes: Vec<(Bytes, Option<Bytes>)> = shards
            .flatten()
            .filter_map(|(key, place)| {
                let last = place.versions().written.pop()?;
                Some((key, last.value))
            })
            .collect();
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        changes.into_iter().collect()
    }

    fn shard(&self, key: &Bytes) -> MutexGuard<'_, Shard> {
        // Whatever spreads keys: the end of a name and the table, which stand last in most keys.
        let end = key.iter().rev().take(4).fold(0, |sum: usize, byte| sum.wrapping_mul(5).wrapping_add((*byte).into()));
        self.shards[end % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Where the transaction number `index` would read from; `None` while it would have to wait.
    pub(super) fn origin(&self, index: usize) -> Option<Origin> {
        match self.versions().before(index) {
            None => Some(Origin::Base),
            Some(written) if written.is_estimate => None,
            Some(written) => Some(Origin::Written(written.version)),
        }
    }

    /// Puts what a run wrote in the place of what the run before it wrote.
    pub(super) fn write(&self, version: Version, value: Option<Bytes>) {
        let written = Written { version, value, is_estimate: false };
        let mut versions = self.versions();
        match versions.find(version.index) {
            Ok(place) => versions.written[place] = written,
            Err(place) => versions.written.insert(place, written),
        }
    }

    /// Takes away what the last run of a transaction wrote: this one did not.
    pub(super) fn clear(&self, index: usize) {
        let mut versions = self.versions();
        if let Ok(place) = versions.find(index) {
            versions.written.remove(place);
        }
    }

    /// Marks what the last run of a transaction wrote: whoever needs it waits for the next one.
    pub(super) fn estimate(&self, index: usize) {
        let mut versions = self.versions();
        if let Ok(place) = versions.find(index) {
            versions.written[place].is_estimate = true;
        }
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    /// The last version of a transaction before number `index`.
    fn before(&self, index: usize) -> Option<&Written> {
        let place = self.written.partition_point(|written| written.version.index < index);
        self.written.get(place.checked_sub(1)?)
    }

    fn find(&self, index: usize) -> Result<usize, usize> {
        self.written.binary_search_by_key(&index, |written| written.version.index)
    }
}

impl Written {
    fn read(&self) -> Read {
        if self.is_estimate {
            Read::Awaited(self.version.index)
        } else {
            Read::Value(self.value.clone(), Origin::Written(self.version))
        }
    }
}
