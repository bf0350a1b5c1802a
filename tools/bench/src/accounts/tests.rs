#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn options(folder: &Path, counts: &[u64]) -> Options {
    Options { counts: counts.to_vec(), transfers: 1_500, repeats: 2, folder: folder.to_owned() }
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn small_states_are_measured_through_and_their_figures_agree() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(&options(folder.path(), &[100, 1_000]), "x".into(), &|| false, &mut |_| {}).unwrap();
    assert_eq!((report.transfers, report.repeats, report.sizes.len()), (2_048, 2, 2));
    for (size, accounts) in report.sizes.iter().zip([100, 1_000]) {
        // Two accounts of genesis; chain, supply, tariff, sum; the producer with two keys, and the list of producers.
        assert_eq!((size.accounts, size.walk_cold.keys), (accounts, 2 * accounts + 10));
        assert!(size.walk_cold.bytes > 200 * accounts && size.disk_bytes > size.walk_cold.bytes);
        assert!(size.disk_bytes_end >= size.disk_bytes && size.fill_s > 0.0);
        assert_eq!(size.commits.keys, accounts);
        assert_eq!((size.commits.count, size.walks.commits.keys), (100, accounts));
        assert!(size.walks.count > 0 && size.walks.commits.count >= 100);
        assert!(size.commits.written_bytes > 4_096 && size.lookup.p50_ns <= size.lookup.p99_ns);
        assert_eq!(size.memory.len(), 5);
        assert!(size.heap_bytes() > 0 && size.lookups_per_s > 0.0);
        for (workers, durable) in [(1, false), (2, false), (1, true), (2, true)] {
            let way = size.way(workers, durable).unwrap();
            assert!(
                way.per_s > 0.0 && (way.commits, way.keys > accounts / 2) == (u64::from(durable), durable),
                "{way:?}"
            );
        }
    }
    assert_eq!(left_in(folder.path()), 0, "stores are removed");
    assert!(report.markdown().contains("| 1,000 |") && report.markdown().contains("| of the first |"));
    assert!(report.to_json().unwrap().contains("\"lookups_per_s\""));
    assert!(report.terminal().lines().skip(3).take(4).all(|line| line.len() <= 120), "{}", report.terminal());
}

#[test]
fn numbers_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for counts in [&[][..], &[99], &[100, ACCOUNTS_MAX + 1], &[100; COUNTS_LEN_MAX + 1]] {
        assert!(matches!(options(folder.path(), counts).check(), Err(AccountsError::Counts)), "{counts:?}");
    }
    options(folder.path(), &[100; COUNTS_LEN_MAX]).check().unwrap();
}

#[test]
fn a_folder_without_room_or_that_is_not_there_is_named() {
    assert_eq!(room(ACCOUNTS_MAX) >> 30, 56);
    let error = options(Path::new("/nonexistent/place"), &[100]).check().unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/place: "), "{error}");
    // A file system that has no room at all.
    let error = options(Path::new("/proc"), &[10_000]).check().unwrap_err();
    assert!(
        error.to_string().starts_with("/proc has 0 MiB free, and a state of 10000 accounts may take 1029 MiB"),
        "{error}"
    );
}

#[test]
fn a_run_that_is_stopped_anywhere_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for asked_max in [0, 1, 2, 3, 5, 60, 150, 210] {
        let asked = AtomicU64::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= asked_max;
        let error = run(&options(folder.path(), &[100]), String::new(), &stop, &mut |_| {}).unwrap_err();
        assert!(matches!(error, AccountsError::Stopped), "{error}");
        assert_eq!(left_in(folder.path()), 0);
    }
}
