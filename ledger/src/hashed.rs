//! Maps and sets by a keyed hash that takes a few nanoseconds, for what is asked for by key and whose order is never seen.
//!
//! Names, and what ids are hashed from, are chosen by strangers: an unkeyed hash would let them choose collisions.

/// The hash: its key is drawn when the process starts.
pub(crate) type Keyed = foldhash::fast::RandomState;
/// A map whose order is never seen.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;
/// A set whose order is never seen.
pub(crate) type HashSet<K> = std::collections::HashSet<K, Keyed>;
