//! The figures of a run, for people and programs.

use hpb_host::conditions::Conditions;
use serde::Serialize;

use super::chain::{COMMIT_SLICES, Way, Work};
use super::load::SLICE_TRANSFERS;
use super::peer::{BUILT, HOW_TO_BUILD, Revm};
use super::{Bench, Options};
use crate::report::{MachineLine, Sheet, grouped};
use crate::runner::median;
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;
/// What one core has to execute, in transfers a second without signatures.
const PER_CORE: f64 = 200_000.0;
/// What two workers have to reach over one, on uniform transfers and on a real chain's.
const SPEED_UP_UNIFORM: f64 = 1.3;
const SPEED_UP_MAINNET: f64 = 0.9;
/// The part of the committed way with signatures that roots may take.
const ROOTS_PART: f64 = 0.2;
/// How far the committed way may stay behind LMDB by itself.
const BEHIND_RAW: f64 = 2.0;

/// One way of working a load off.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figure {
    /// Threads.
    pub workers: usize,
    /// Whether signatures were checked.
    pub signatures: bool,
    /// How far slices were worked on.
    pub work: Work,
    /// Transfers a second, the median of all repeats.
    pub transfers_per_s: f64,
}

/// revm at a load.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RevmFigure {
    /// The version of revm.
    pub version: String,
    /// Transfers a second, the median of all repeats.
    pub transfers_per_s: f64,
}

/// All figures of one load.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LoadReport {
    /// `uniform` or `mainnet`.
    pub name: &'static str,
    /// What it is, and how it repeats.
    pub origin: String,
    /// By way.
    pub figures: Vec<Figure>,
    /// Transfers a second whose changes LMDB takes by itself, slice by slice, with a sync each.
    pub raw_slices_per_s: f64,
    /// The same with the ledger's own batches, in which later changes of a key take the place of earlier ones.
    pub raw_batches_per_s: f64,
    /// Transfers a second of the ledger over a map in memory in place of LMDB, by one worker and without signatures.
    pub in_memory_per_s: f64,
    /// The same transfers in revm; `None` where no program was given.
    pub revm: Option<RevmFigure>,
    /// Batches of a run.
    pub batches: u64,
    /// Keys in all of them.
    pub keys: u64,
    /// Bytes of keys and values in all of them.
    pub bytes: u64,
}

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
    /// The figures.
    pub loads: Vec<LoadReport>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl RevmFigure {
    fn new(mut revm: Revm, transfers: f64) -> Self {
        Self { transfers_per_s: transfers / median(&mut revm.took_s), version: revm.version }
    }
}

impl LoadReport {
    fn new(mut bench: Bench, transfers: f64) -> Self {
        let figure = |(way, took_s): &mut (Way, Vec<f64>)| Figure {
            workers: way.workers,
            signatures: way.signatures,
            work: way.work,
            transfers_per_s: transfers / median(took_s),
        };
        Self {
            name: bench.name,
            origin: bench.origin,
            figures: bench.took_s.iter_mut().map(figure).collect(),
            raw_slices_per_s: transfers / median(&mut bench.raw_slices_s),
            raw_batches_per_s: transfers / median(&mut bench.raw_batches_s),
            in_memory_per_s: transfers / median(&mut bench.in_memory_s),
            revm: bench.revm.map(|revm| RevmFigure::new(revm, transfers)),
            batches: bench.written.batches,
            keys: bench.written.keys,
            bytes: bench.written.bytes,
        }
    }

    fn of(&self, workers: usize, signatures: bool, work: Work) -> f64 {
        let wanted =
            |figure: &&Figure| figure.workers == workers && figure.signatures == signatures && figure.work == work;
        self.figures.iter().find(wanted).map_or(f64::NAN, |figure| figure.transfers_per_s)
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let name = self.name;
        let speed_up = if name == "uniform" { SPEED_UP_UNIFORM } else { SPEED_UP_MAINNET };
        let [executed, rooted] =
            [Work::Executed, Work::Rooted].map(|work| [1, 2].map(|workers| self.of(workers, false, work)));
        let roots_part = (1.0 / rooted[0] - 1.0 / executed[0]) * self.of(1, true, Work::Committed);
        let behind = self.raw_slices_per_s / self.of(1, false, Work::Committed);
        vec![
            Verdict::at_least(
                format!("{name}, executed by one core, no signatures"),
                executed[0],
                PER_CORE,
                "transfers/s",
            ),
            Verdict::at_least(format!("{name}, two workers over one"), executed[1] / executed[0], speed_up, "x"),
            Verdict::at_least(format!("{name}, the same with roots"), rooted[1] / rooted[0], speed_up, "x"),
            Verdict::at_most(
                format!("{name}, roots, of the committed way with signatures"),
                100.0 * roots_part,
                100.0 * ROOTS_PART,
                "%",
            ),
            Verdict::at_most(
                format!("{name}, LMDB by itself, a sync a slice, over the committed way"),
                behind,
                BEHIND_RAW,
                "x",
            ),
        ]
    }

    fn row(&self, signatures: bool) -> Vec<String> {
        let mut row = vec![self.name.to_owned(), if signatures { "on" } else { "off" }.to_owned()];
        for work in [Work::Executed, Work::Rooted, Work::Committed] {
            row.extend([1, 2].map(|workers| grouped(self.of(workers, signatures, work))));
        }
        row.extend([self.raw_slices_per_s, self.raw_batches_per_s].map(grouped));
        // Neither checks signatures.
        let in_memory = [Some(self.in_memory_per_s), self.revm.as_ref().map(|revm| revm.transfers_per_s)];
        row.extend(in_memory.map(|figure| figure.filter(|_| !signatures).map_or_else(|| "-".to_owned(), grouped)));
        row
    }
}

impl Report {
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(super) fn new(
        command: String,
        options: &Options,
        transfers: usize,
        benches: Vec<Bench>,
        conditions: &Conditions,
    ) -> Self {
        let loads: Vec<LoadReport> =
            benches.into_iter().map(|bench| LoadReport::new(bench, transfers as f64)).collect();
        let mut notes: Vec<String> = loads
            .iter()
            .map(|load| {
                let [batches, keys, kib] =
                    [load.batches, load.keys, load.bytes >> 10].map(|count| grouped(count as f64));
                format!("{}: {}; {batches} batches of {keys} keys and {kib} KiB in all", load.name, load.origin)
            })
            .collect();
        if options.mainnet.is_none() {
            notes.push("mainnet: left out, as no file of transfers was given (--mainnet)".to_owned());
        }
        notes.push(
            "signed: with signatures checked, or without; executed, rooted (and committed to by roots over transactions, \
             receipts and state), committed (and synced to disk): by one worker, and by 2"
                .to_owned(),
        );
        notes.push(
            "LMDB: the same changes put into it without a ledger, with a sync a slice, and with a sync a batch, in which a \
             key's last change stands for all"
                .to_owned(),
        );
        notes.push(
            "in memory: by one worker over a MemoryStore, a map in memory in place of LMDB, committed to as LMDB is; all \
             else as in `executed`"
                .to_owned(),
        );
        notes.push(revm_note(&loads, options));
        notes.push(format!(
            "slices of {SLICE_TRANSFERS} transfers, {COMMIT_SLICES} of them a commit; stores lie in {}",
            options.folder.display()
        ));
        if options.keeps_index {
            notes.push("the stores keep an index of history (--index), LMDB by itself does not".to_owned());
        }
        notes.extend(conditions.notes());
        Self {
            schema_version: SCHEMA_VERSION,
            machine: MachineLine::read(None),
            command,
            transfers: transfers as u64,
            repeats: options.repeats,
            verdicts: loads.iter().flat_map(LoadReport::verdicts).collect(),
            loads,
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

    /// The tables for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        self.sheet().terminal()
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        self.sheet().markdown()
    }

    fn sheet(&self) -> Sheet<'_> {
        Sheet {
            title: "The ledger",
            machine: &self.machine,
            command: &self.command,
            work: self.work(),
            rows: self.rows(),
            notes: &self.notes,
            verdicts: &self.verdicts,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    fn work(&self) -> String {
        let transfers = grouped(self.transfers as f64);
        format!("{transfers} transfers each way, transfers a second, medians of {}", self.repeats)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = [
            "load",
            "signed",
            "executed",
            "by 2",
            "rooted",
            "by 2",
            "committed",
            "by 2",
            "LMDB/slice",
            "LMDB/batch",
            "in memory",
            "revm",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.loads.iter().flat_map(|load| [false, true].map(|signatures| load.row(signatures))));
        rows
    }
}

/// What revm's figure is of, or how it is had.
fn revm_note(loads: &[LoadReport], options: &Options) -> String {
    let version = loads.iter().find_map(|load| load.revm.as_ref()).map(|revm| &revm.version);
    match version.zip(options.revm.as_ref()) {
        Some((version, program)) => format!(
            "revm {version}: the same transfers by {}, one after the other over a map in memory, each with its gas of 21,000 \
             paid; no signatures, no roots, no durability, U256 balances by 20-byte address",
            program.display()
        ),
        None => format!("revm: left out, as no program was given; {HOW_TO_BUILD} makes one: --revm {BUILT}"),
    }
}
