//! How much memory sessions take: the process's resident pages and the kernel's slabs, before and after; and for states
//! that are larger than sessions, resident pages by kind and what a thread writes.
//!
//! Slabs are counted by objects in use where `/proc/slabinfo` can be read (root), else by `/proc/meminfo`. They belong
//! to the whole machine: measure on a quiet one. Pages that sockets have only reserved (`sockstat`'s `mem`) are left
//! out, which flatters the kernel: nothing is queued when this is read.

use std::fs;
use std::io;

use hpb_host::sys;
use serde::Serialize;

/// What [`bytes_per_session`] counts, in one line for reports.
pub const METHOD: &str = "growth of resident memory and kernel slabs from before the sessions to after the first \
                          echoes, divided by the sessions and by two (both ends are alike)";

/// Bytes in use at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The process's resident bytes.
    pub resident: u64,
    /// The kernel's slab bytes, of the whole machine.
    pub slab: u64,
}

/// Looks at the slabs at most, until they stop falling.
const SETTLE_LOOKS_MAX: u32 = 100;
/// Bytes that the slabs may fall between two looks and still count as settled.
const SETTLED_BYTES: u64 = 64 << 10;

impl Snapshot {
    /// Now, after the heap's free pages were given back and what the kernel was still freeing is freed.
    ///
    /// # Errors
    /// `/proc` is not mounted or says what no Linux says.
    pub fn take() -> io::Result<Self> {
        sys::heap_trim();
        let mut slab = slab()?;
        for _ in 0..SETTLE_LOOKS_MAX {
            sys::grace_period();
            let later = self::slab()?;
            let settled = later + SETTLED_BYTES >= slab;
            slab = later;
            if settled {
                break;
            }
        }
        Ok(Self { resident: resident()?, slab })
    }
}

/// The process's resident bytes now, as they are: nothing is given back first.
///
/// # Errors
/// `/proc` is not mounted or says what no Linux says.
pub fn resident() -> io::Result<u64> {
    kib_line(&fs::read_to_string("/proc/self/smaps_rollup")?, "Rss:")
}

/// The process's resident bytes by where they come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Resident {
    /// The process's own: heap and stacks. The heap's free pages were given back first.
    pub anonymous_bytes: u64,
    /// Pages of mapped files, which the page cache holds and takes back as it likes.
    pub file_bytes: u64,
}

impl Resident {
    /// Now.
    ///
    /// # Errors
    /// `/proc` is not mounted or says what no Linux says.
    pub fn take() -> io::Result<Self> {
        sys::heap_trim();
        Self::parse(&fs::read_to_string("/proc/self/smaps_rollup")?)
    }

    fn parse(rollup: &str) -> io::Result<Self> {
        let anonymous_bytes = kib_line(rollup, "Anonymous:")?;
        Ok(Self { anonymous_bytes, file_bytes: kib_line(rollup, "Rss:")?.saturating_sub(anonymous_bytes) })
    }
}

/// Bytes that the calling thread has given to calls that write, since it began.
///
/// # Errors
/// The kernel does not count them, or `/proc` is not mounted.
pub fn thread_written() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/io")?;
    let written = text.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse().ok());
    written.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line `wchar:` in /proc/thread-self/io"))
}

fn slab() -> io::Result<u64> {
    match fs::read_to_string("/proc/slabinfo") {
        Ok(table) => Ok(slab_bytes(&table)),
        Err(_) => kib_line(&fs::read_to_string("/proc/meminfo")?, "Slab:"),
    }
}

/// Bytes of one end of a session, from before `sessions` pairs to after; a shrinking machine gives 0.
#[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
pub fn bytes_per_session(before: Snapshot, after: Snapshot, sessions: usize) -> f64 {
    let growth = after.resident.saturating_sub(before.resident) + after.slab.saturating_sub(before.slab);
    growth as f64 / (sessions.max(1) * 2) as f64
}

fn kib_line(text: &str, key: &str) -> io::Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib * 1_024)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no line `{key}` in /proc")))
}

/// Objects in use times their size (columns 2 and 4), over all caches.
fn slab_bytes(table: &str) -> u64 {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let active = fields.next()?.parse::<u64>().ok()?;
            let size = fields.nth(1)?.parse::<u64>().ok()?;
            Some(active * size)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slabs_are_objects_times_size() {
        let table = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n\
                     TCP 10 14 2304 14 8 : tunables 0 0 0 : slabdata 1 1 0\nfilp 5 21 192 21 1 : x\n";
        assert_eq!(slab_bytes(table), 10 * 2_304 + 5 * 192);
    }

    #[test]
    fn a_line_in_kib() {
        assert_eq!(kib_line("Size: 1 kB\nRss:     12 kB\n", "Rss:").unwrap(), 12_288);
        assert!(kib_line("Size: 1 kB\n", "Rss:").is_err());
    }

    #[test]
    fn growth_is_seen_and_shared_by_both_ends() {
        let before = Snapshot { resident: 1_000, slab: 500 };
        let after = Snapshot { resident: 5_000, slab: 400 };
        assert!((bytes_per_session(before, after, 2) - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn resident_pages_are_the_process_s_own_or_a_file_s() {
        let rollup = "55d0-7ffd ---p 0 00:00 0 [rollup]\nRss:   100 kB\nPss: 9 kB\nAnonymous:   60 kB\n";
        let expected = Resident { anonymous_bytes: 61_440, file_bytes: 40_960 };
        assert_eq!(Resident::parse(rollup).unwrap(), expected);
        assert!(Resident::parse("Rss: 100 kB\n").is_err());
        assert!(Resident::take().unwrap().anonymous_bytes > 0);
    }

    #[test]
    fn what_a_thread_writes_is_counted() {
        let before = thread_written().unwrap();
        fs::write("/dev/null", [0; 5_000]).unwrap();
        assert!((5_000..10_000).contains(&(thread_written().unwrap() - before)));
    }

    #[test]
    fn this_process_is_resident() {
        assert!(Snapshot::take().unwrap().resident > 0);
    }
}
