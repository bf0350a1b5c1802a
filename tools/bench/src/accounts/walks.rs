//! Snapshots: how long it takes to open one, and to walk over the whole state while commits go on.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hpb_host::sys::wall_ns;
use hpb_ledger::StoreError;
use hpb_ledger::lmdb::LmdbStore;
use serde::Serialize;

use super::commits::{COMMITS, Commits, Committer};
use super::{AccountsError, Quantiles, Watch};
use crate::ledger::seconds_since;
use crate::runner::median;

/// Snapshots that are opened to be timed.
const OPENS: usize = 1_000;
/// Keys between two looks at whether the walk shall go on.
const KEYS_UNASKED: u64 = 4_096;

/// Walks beside commits.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Walks {
    /// How long it takes to open a snapshot.
    pub open: Quantiles,
    /// Walks that came to their end while commits went on.
    pub count: u64,
    /// Seconds of one, the median.
    pub took_s: f64,
    /// The commits meanwhile.
    pub commits: Commits,
}

/// One walk over the whole state.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Walk {
    /// Seconds that it took.
    pub took_s: f64,
    /// Keys that it saw.
    pub keys: u64,
    /// Bytes of keys and values that it saw.
    pub bytes: u64,
}

/// A walk with nothing beside it.
pub(super) fn alone(store: &LmdbStore, watch: &Watch<'_>) -> Result<Walk, AccountsError> {
    walk(store, &|| watch.go_on().is_ok())?.ok_or(AccountsError::Stopped)
}

/// Walks over and over again on a thread of its own while this one commits, until there were enough commits and a walk.
pub(super) fn beside(
    store: &LmdbStore,
    committer: &mut Committer<'_>,
    watch: &Watch<'_>,
) -> Result<Walks, AccountsError> {
    let open = opens(store)?;
    let (done, walked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (commits, walks) = thread::scope(|scope| {
        let walker = scope.spawn(|| walk_until(store, &done, &walked));
        let mut count = 0;
        let commits = committer.measure_while(watch, &mut || {
            count += 1;
            let enough = count >= COMMITS && walked.load(Ordering::Relaxed) > 0;
            !enough && !walker.is_finished()
        });
        done.store(true, Ordering::Relaxed);
        (commits, walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (commits, walks) = (commits?, walks?);
    let took_s = median(&mut walks.iter().map(|walk| walk.took_s).collect::<Vec<_>>());
    Ok(Walks { open, count: walks.len() as u64, took_s, commits })
}

fn opens(store: &LmdbStore) -> Result<Quantiles, StoreError> {
    let mut taken_ns = Vec::with_capacity(OPENS);
    for _ in 0..OPENS {
        let began_ns = wall_ns();
        let snapshot = store.snapshot()?;
        taken_ns.push(wall_ns() - began_ns);
        drop(snapshot);
    }
    Ok(Quantiles::of(&mut taken_ns))
}

/// Walks until `done`, and counts into `walked`; the walk that is then under way is left out.
fn walk_until(store: &LmdbStore, done: &AtomicBool, walked: &AtomicU64) -> Result<Vec<Walk>, StoreError> {
    let mut walks = Vec::new();
    let go_on = || !done.load(Ordering::Relaxed);
    while go_on()
        && let Some(walk) = walk(store, &go_on)?
    {
        walks.push(walk);
        walked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(walks)
}

/// One walk over a snapshot of the whole state; `None` if it was not to go on to the end.
fn walk(store: &LmdbStore, go_on: &dyn Fn() -> bool) -> Result<Option<Walk>, StoreError> {
    let began_ns = wall_ns();
    let (mut walk, mut is_whole) = (Walk::default(), true);
    store.snapshot()?.scan(&[], &mut |key, value| {
        walk.keys += 1;
        walk.bytes += (key.len() + value.len()) as u64;
        is_whole = walk.keys % KEYS_UNASKED != 0 || go_on();
        if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    walk.took_s = seconds_since(began_ns);
    Ok(is_whole.then_some(walk))
}
