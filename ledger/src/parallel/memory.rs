//! What the transactions of one slice have written so far: of each key, the version of each transaction that wrote it, and
//! what lay there before all of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::scheduler::Version;
use crate::bytes::Bytes;
use crate::view::{ChangeSet, State, StateError};

/// Parts that are locked apart from each other; a power of two.
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

/// What is known of one key.
#[derive(Default)]
struct Versions {
    /// What lay there before, once it was asked for.
    base: Option<Option<Bytes>>,
    /// Ascending by transaction.
    written: Vec<Written>,
}

struct Written {
    version: Version,
    value: Option<Bytes>,
    /// The run was for nothing, and the next one is likely to write here again.
    is_estimate: bool,
}

/// The memory. No order of its maps is ever seen: they are asked for keys alone, and at the end sorted.
pub(super) struct Memory<'s> {
    base: &'s (dyn State + Sync),
    shards: Vec<Mutex<HashMap<Bytes, Versions>>>,
    hasher: RandomState,
}

impl<'s> Memory<'s> {
    pub(super) fn new(base: &'s (dyn State + Sync)) -> Self {
        Self { base, shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    pub(super) fn base(&self) -> &'s (dyn State + Sync) {
        self.base
    }

    /// What the transaction number `index` sees at `key`.
    pub(super) fn read(&self, key: &Bytes, index: usize) -> Result<Read, StateError> {
        {
            let shard = self.shard(key);
            if let Some(versions) = shard.get(key) {
                if let Some(written) = versions.before(index) {
                    return Ok(written.read());
                }
                if let Some(base) = &versions.base {
                    return Ok(Read::Value(base.clone(), Origin::Base));
                }
            }
        }
        // Others may ask meanwhile, too: a slow store holds nobody up.
        let base = self.base.get(key)?;
        let mut shard = self.shard(key);
        let versions = shard.entry(key.clone()).or_default();
        versions.base.get_or_insert_with(|| base.clone());
        Ok(versions.before(index).map_or(Read::Value(base, Origin::Base), Written::read))
    }

    /// Where the transaction number `index` would read `key` from; `None` while it would have to wait.
    pub(super) fn origin(&self, key: &Bytes, index: usize) -> Option<Origin> {
        let shard = self.shard(key);
        match shard.get(key).and_then(|versions| versions.before(index)) {
            None => Some(Origin::Base),
            Some(written) if written.is_estimate => None,
            Some(written) => Some(Origin::Written(written.version)),
        }
    }

    /// Puts what a run wrote in the place of what the run before it wrote at the keys `before`. Gives the keys, ascending,
    /// and whether there is one that the run before did not write.
    pub(super) fn write(&self, version: Version, changes: ChangeSet, before: &[Bytes]) -> (Vec<Bytes>, bool) {
        let mut is_elsewhere = false;
        let gone = before.iter().filter(|key| !changes.contains_key(*key));
        for key in gone {
            let mut shard = self.shard(key);
            if let Some(versions) = shard.get_mut(key) {
                versions.written.retain(|written| written.version.index != version.index);
            }
        }
        let mut keys = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            is_elsewhere |= before.binary_search(&key).is_err();
            let mut shard = self.shard(&key);
            let versions = match shard.entry(key.clone()) {
                Place::Occupied(place) => place.into_mut(),
                Place::Vacant(place) => place.insert(Versions::default()),
            };
            let written = Written { version, value, is_estimate: false };
            match versions.written.binary_search_by_key(&version.index, |written| written.version.index) {
                Ok(place) => versions.written[place] = written,
                Err(place) => versions.written.insert(place, written),
            }
            drop(shard);
            keys.push(key);
        }
        (keys, is_elsewhere)
    }

    /// Marks what the last run of a transaction wrote: whoever needs it waits for the next one.
    pub(super) fn estimate(&self, index: usize, keys: &[Bytes]) {
        for key in keys {
            let mut shard = self.shard(key);
            let written = shard.get_mut(key).and_then(|versions| versions.of(index));
            if let Some(written) = written {
                written.is_estimate = true;
            }
        }
    }

    /// What all have changed together.
    pub(super) fn into_changes(self) -> ChangeSet {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        shards.flatten().filter_map(|(key, mut versions)| Some((key, versions.written.pop()?.value))).collect()
    }

    fn shard(&self, key: &Bytes) -> MutexGuard<'_, HashMap<Bytes, Versions>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    /// The last version of a transaction before number `index`.
    fn before(&self, index: usize) -> Option<&Written> {
        let place = self.written.partition_point(|written| written.version.index < index);
        self.written.get(place.checked_sub(1)?)
    }

    fn of(&mut self, index: usize) -> Option<&mut Written> {
        let place = self.written.binary_search_by_key(&index, |written| written.version.index).ok()?;
        self.written.get_mut(place)
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
