//! The figures of a run, for people and programs: a row a number of accounts, and below it how often it is the first's.

use hpb_host::conditions::Conditions;
use serde::Serialize;

use super::{Options, Quantiles, Size};
use crate::ledger::chain::COMMIT_SLICES;
use crate::ledger::load::SLICE_TRANSFERS;
use crate::report::{MachineLine, Sheet, grouped};

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// The table's heads.
const HEAD: [&str; 11] = [
    "accounts",
    "lookups/s",
    "p50/p99 us",
    "executed",
    "by 2",
    "committed",
    "by 2",
    "commit ms",
    "walk ms",
    "disk B each",
    "heap MiB",
];

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine that ran it.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Transfers of each way.
    pub transfers: u64,
    /// Repeats that the medians are over.
    pub repeats: usize,
    /// The figures, by number of accounts.
    pub sizes: Vec<Size>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// One figure of a row, or two that stand together, and how it is written.
struct Cell {
    figures: Vec<f64>,
    write: fn(f64) -> String,
}

impl Report {
    pub(super) fn new(command: String, options: &Options, sizes: Vec<Size>, conditions: &Conditions) -> Self {
        let mut notes: Vec<String> = shape(&sizes).into_iter().collect();
        notes.extend(sizes.iter().flat_map(|size| [on_disk(size), at_work(size), in_memory(size)]));
        notes.extend(explained(options));
        notes.extend(conditions.notes());
        Self {
            schema_version: SCHEMA_VERSION,
            machine: MachineLine::read(None),
            command,
            transfers: options.transfers.next_multiple_of(SLICE_TRANSFERS as u64),
            repeats: options.repeats,
            sizes,
            notes,
        }
    }

    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The table for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        self.sheet().terminal()
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        self.sheet().markdown()
    }

    fn sheet(&self) -> Sheet<'_> {
        let transfers = grouped(float(self.transfers));
        Sheet {
            title: "The ledger as accounts grow",
            machine: &self.machine,
            command: &self.command,
            work: format!(
                "{transfers} transfers each way between accounts drawn at random, without signatures; medians of {}",
                self.repeats
            ),
            rows: self.rows(),
            notes: &self.notes,
            verdicts: &[],
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![HEAD.map(String::from).to_vec()];
        let Some(first) = self.sizes.first() else { return rows };
        for (index, size) in self.sizes.iter().enumerate() {
            let mut row = vec![grouped(float(size.accounts))];
            row.extend(cells(size).iter().map(|cell| joined(cell.figures.iter().map(|figure| (cell.write)(*figure)))));
            rows.push(row);
            if index > 0 {
                rows.push(times(size, first));
            }
        }
        rows
    }
}

/// A row's figures behind the number of accounts.
fn cells(size: &Size) -> [Cell; HEAD.len() - 1] {
    let one = |figure, write| Cell { figures: vec![figure], write };
    let pair = |Quantiles { p50_ns, p99_ns }, unit_ns: f64, write| Cell {
        figures: [p50_ns, p99_ns].map(|ns| float(ns) / unit_ns).to_vec(),
        write,
    };
    [
        one(size.lookups_per_s, grouped),
        pair(size.lookup, 1e3, tenths),
        one(size.per_s(1, false), grouped),
        one(size.per_s(2, false), grouped),
        one(size.per_s(1, true), grouped),
        one(size.per_s(2, true), grouped),
        pair(size.commits.taken, 1e6, tenths),
        one(size.walks.took_s * 1e3, tenths),
        one(float(size.disk_bytes) / float(size.accounts), grouped),
        one(float(size.heap_bytes()) / MIB, grouped),
    ]
}

/// How often the first row's figures are those of `size`.
fn times(size: &Size, first: &Size) -> Vec<String> {
    let mut row = vec!["of the first".to_owned()];
    row.extend(cells(size).iter().zip(&cells(first)).map(|(cell, first)| {
        joined(cell.figures.iter().zip(&first.figures).map(|(figure, first)| ratio(figure / first)))
    }));
    row
}

fn ratio(times: f64) -> String {
    if times < 10.0 { format!("{times:.2}x") } else { format!("{}x", grouped(times)) }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("/")
}

/// How transfers fall from the first number of accounts to the last, and what of it is execution and what the commits.
fn shape(sizes: &[Size]) -> Option<String> {
    let [first, .., last] = sizes else { return None };
    let executing_us = |size: &Size| 1e6 / size.per_s(1, false);
    let committing_us = |size: &Size| 1e6 / size.per_s(1, true) - executing_us(size);
    let times = |durable| ratio(last.per_s(1, durable) / first.per_s(1, durable));
    Some(format!(
        "from {} accounts to {}, transfers a second become {} executed and {} committed: to execute one takes {:.1} us at \
         first and {:.1} us at last, its share of a commit {:.1} us and {:.1} us",
        grouped(float(first.accounts)),
        grouped(float(last.accounts)),
        times(false),
        times(true),
        executing_us(first),
        executing_us(last),
        committing_us(first),
        committing_us(last),
    ))
}

fn on_disk(size: &Size) -> String {
    format!(
        "{} accounts: filled in {:.1} s ({} a second), {} keys of {} MiB in {} MiB of disk, {} MiB at the end; from the disk, \
         with {} of it in the page cache, a lookup takes {} us; a thousand of them bring {} into the page cache, the first \
         walk takes {:.1} s more; {} in the page cache at the end",
        grouped(float(size.accounts)),
        size.fill_s,
        grouped(float(size.accounts) / size.fill_s),
        grouped(float(size.walk_cold.keys)),
        mib(size.walk_cold.bytes),
        mib(size.disk_bytes),
        mib(size.disk_bytes_end),
        cached(size.cached_bytes_cold),
        both(size.lookup_cold, 1e3),
        cached(size.cached_bytes_warming),
        size.walk_cold.took_s,
        cached(size.cached_bytes_end),
    )
}

fn at_work(size: &Size) -> String {
    let Size { commits, walks, sync, .. } = size;
    let run = size.way(1, true).map_or_else(String::new, |way| {
        let each = |total: u64| total / way.commits.max(1);
        let (keys, mib) = (grouped(float(each(way.keys))), mib(each(way.written_bytes)));
        format!("; a commit of transfers changes {keys} keys and writes {mib} MiB")
    });
    format!(
        "{} accounts: a commit of {} keys writes {} KiB in {} ms, where a page alone is durable in {} ms; beside a walk {} ms \
         ({} commits, {} walks); a snapshot opens in {} ns{run}",
        grouped(float(size.accounts)),
        grouped(float(commits.keys)),
        grouped(float(commits.written_bytes >> 10)),
        both(commits.taken, 1e6),
        both(*sync, 1e6),
        both(walks.commits.taken, 1e6),
        walks.commits.count,
        walks.count,
        grouped(float(walks.open.p50_ns)),
    )
}

fn in_memory(size: &Size) -> String {
    let phases = size.memory.iter().map(|phase| {
        let resident = phase.resident;
        format!("{}/{} after {}", mib(resident.anonymous_bytes), mib(resident.file_bytes), phase.after)
    });
    let phases = phases.collect::<Vec<_>>().join(", ");
    format!("{} accounts: MiB resident, the process's own/of mapped files: {phases}", grouped(float(size.accounts)))
}

fn explained(options: &Options) -> [String; 3] {
    [
        format!(
            "executed, committed: transfers a second by one worker, and by 2; slices of {SLICE_TRANSFERS} transfers, \
             {COMMIT_SLICES} of them a commit; commit ms: of a fixed number of keys; pairs of times are p50/p99; walk: over a \
             snapshot of the whole state, commits going on; disk: once filled"
        ),
        "lookups, transfers, commits and walks find the store in the page cache, where it fits; heap: the process's own \
         memory at its highest after a phase, nearly all of it what LMDB keeps of the largest commit's pages; an account has \
         a record with one key and a balance, its name is an address; keys go in in order, which leaves pages about half \
         full"
            .to_owned(),
        format!(
            "at the end of each number the supply was summed over the whole state, and is that of genesis; stores lie in {}",
            options.folder.display()
        ),
    ]
}

const MIB: f64 = (1 << 20) as f64;

fn mib(bytes: u64) -> String {
    grouped(float(bytes) / MIB)
}

fn cached(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "an unknown part".to_owned(), |bytes| format!("{} MiB", mib(bytes)))
}

/// Median and p99 in units of `unit_ns`.
fn both(quantiles: Quantiles, unit_ns: f64) -> String {
    joined([quantiles.p50_ns, quantiles.p99_ns].into_iter().map(|ns| tenths(float(ns) / unit_ns)))
}

fn tenths(figure: f64) -> String {
    if figure < 1_000.0 { format!("{figure:.1}") } else { grouped(figure) }
}

#[allow(clippy::cast_precision_loss, reason = "counts, bytes and times below 2^53")]
fn float(figure: u64) -> f64 {
    figure as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Phase, Transfers};
    use super::*;
    use crate::memory::Resident;

    fn size(accounts: u64, slower: u64) -> Size {
        let way = |(workers, durable)| Transfers {
            workers,
            durable,
            per_s: if durable { 125_000.0 } else { 200_000.0 } / float(slower),
            commits: 2,
            keys: 20_000,
            written_bytes: 8 << 20,
        };
        let resident = Resident { anonymous_bytes: accounts * 10, file_bytes: accounts };
        let mut size = Size {
            accounts,
            disk_bytes: accounts * 400,
            lookups_per_s: 345_678.0,
            lookup: Quantiles { p50_ns: 2_000 * slower, p99_ns: 10_000 * slower },
            transfers: [(1, false), (2, false), (1, true), (2, true)].map(way).to_vec(),
            memory: vec![Phase { after: "filling it", resident }],
            ..Size::default()
        };
        size.commits.taken = Quantiles { p50_ns: 1_000_000 * slower, p99_ns: 5_000_000 * slower };
        size.walks.took_s = 0.05 * float(slower);
        size
    }

    fn report(sizes: Vec<Size>) -> Report {
        let options = Options { counts: Vec::new(), transfers: 1, repeats: 1, folder: "/place".into() };
        Report::new("x".into(), &options, sizes, &Conditions::default())
    }

    #[test]
    fn the_largest_state_fits_a_terminal_and_is_compared_with_the_first() {
        let report = report(vec![size(10_000, 1), size(100_000_000, 900)]);
        let text = report.terminal();
        assert!(text.lines().skip(3).take(4).all(|line| line.len() <= 120), "{text}");
        assert!(text.contains("900x/900x") && text.contains("1.00x"), "{text}");
        let shape = "one takes 5.0 us at first and 4500.0 us at last, its share of a commit 3.0 us and 2700.0 us";
        assert!(report.notes[0].ends_with(shape), "{}", report.notes[0]);
        assert!(report.notes.iter().any(|note| note.contains("changes 10,000 keys and writes 4 MiB")));
    }

    #[test]
    fn one_number_alone_has_no_shape() {
        let report = report(vec![size(10_000, 1)]);
        assert!(!report.markdown().contains("of the first") && !report.notes[0].contains("become"));
    }
}
