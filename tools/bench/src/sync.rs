//! How fast a node that lacks the chain catches up: from one peer, two and four.
//!
//! Four validators make a chain on virtual time, with transfers. A node with an empty disk then asks for it, by messages
//! over links with a delay and a rate, and judges, executes and logs all of it as it would anywhere. Two speeds come out:
//! what the links and the machine's own windows allow, in virtual time, in which the node's own work takes none; and
//! what one core allows, by the CPU time of core, verifier and log in memory. The slower of the two is what a node
//! reaches.

mod world;

use hpb_host::conditions::Conditions;
use serde::Serialize;

use crate::report::{MachineLine, Sheet, grouped};
use crate::target::TargetError;
use crate::verdict::Verdict;
use world::{Chain, DELAY, LINK_BPS, SLICE_MS, SLOT_MS, TRANSFERS_PER_SLOT, Taken, VALIDATORS};

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// Slots of one run at most.
pub const SLOTS_MAX: u64 = 20_000;
/// Peers of each round.
const PEERS: [usize; 3] = [1, 2, VALIDATORS];

/// One round.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Round {
    /// Peers that it asked.
    pub peers: usize,
    /// Slots that it became final in.
    pub slots: u64,
    /// Slices that it took.
    pub slices: u64,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
    /// Milliseconds of virtual time.
    pub virtual_ms: f64,
    /// Slots a second of virtual time: what the links allow.
    pub link_slots_per_s: f64,
    /// Slots a second of CPU time: what one core allows.
    pub core_slots_per_s: f64,
    /// Microseconds of CPU a slice.
    pub cpu_us_per_slice: f64,
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
    /// Slots that the chain is long.
    pub slots: u64,
    /// Its final slices.
    pub slices: u64,
    /// Its transfers.
    pub transfers: u64,
    /// The rounds, by the number of peers.
    pub rounds: Vec<Round>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

#[allow(clippy::cast_precision_loss, reason = "counts and times below 2^53")]
impl Round {
    fn new(peers: usize, taken: &Taken) -> Self {
        let (slots, virtual_ns) = (taken.slots as f64, taken.elapsed.as_nanos() as f64);
        Self {
            peers,
            slots: taken.slots,
            slices: taken.slices,
            bytes: taken.bytes,
            requests: taken.requests,
            virtual_ms: virtual_ns / 1e6,
            link_slots_per_s: slots * 1e9 / virtual_ns,
            core_slots_per_s: slots * 1e9 / taken.cpu_ns as f64,
            cpu_us_per_slice: taken.cpu_ns as f64 / 1e3 / taken.slices.max(1) as f64,
        }
    }
}

/// Runs it over a chain of `slots` slots, 20 to [`SLOTS_MAX`]; `command` is what the user typed, `progress` is told what is
/// under way.
///
/// # Errors
/// A chain that is not made, or that nobody catches up with.
pub fn run(slots: u64, command: String, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Report, TargetError> {
    let conditions = Conditions::read();
    progress("a chain is made");
    let mut chain = Chain::make(slots)?;
    let mut rounds = Vec::new();
    for peers in PEERS {
        progress(&format!("catching up from {peers}"));
        rounds.push(Round::new(peers, &chain.catch_up(peers)?));
    }
    let mut notes = vec![
        format!(
            "slots of {SLOT_MS} ms, slices of {SLICE_MS} ms, {TRANSFERS_PER_SLOT} transfers a slot, {VALIDATORS} producers; \
             peers {} ms away that send {} Mbit/s each",
            DELAY.as_millis(),
            LINK_BPS / 1_000_000
        ),
        "links: virtual time, in which the node's own work takes none; core: CPU time of core, verifier and a log in memory"
            .to_owned(),
    ];
    notes.extend(conditions.notes());
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        machine: MachineLine::read(None),
        command,
        slots: chain.tip.height.slot.0,
        slices: chain.slices,
        transfers: chain.transfers,
        verdicts: verdicts(&rounds),
        rounds,
        notes,
    })
}

fn verdicts(rounds: &[Round]) -> Vec<Verdict> {
    let [one, .., most] = rounds else { return Vec::new() };
    vec![Verdict::at_least(
        format!("links, {} peers over one", most.peers),
        most.link_slots_per_s / one.link_slots_per_s,
        1.5,
        "x",
    )]
}

impl Report {
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
            title: "Catching up",
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
        let [slots, slices, transfers] = [self.slots, self.slices, self.transfers].map(|count| grouped(count as f64));
        format!("a chain of {slots} slots, {slices} slices and {transfers} transfers, from nothing")
    }

    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    fn rows(&self) -> Vec<Vec<String>> {
        let head = ["peers", "slots/s links", "slots/s core", "CPU us/slice", "virtual ms", "KiB", "requests"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.rounds.iter().map(|round| {
            vec![
                round.peers.to_string(),
                grouped(round.link_slots_per_s),
                grouped(round.core_slots_per_s),
                grouped(round.cpu_us_per_slice),
                grouped(round.virtual_ms),
                grouped((round.bytes >> 10) as f64),
                grouped(round.requests as f64),
            ]
        }));
        rows
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_short_chain_is_caught_up_with_from_any_number_of_peers() {
        let report = run(60, "x".into(), &mut |_| {}).unwrap();
        assert_eq!(report.rounds.iter().map(|round| round.peers).collect::<Vec<_>>(), PEERS);
        assert!(report.slots >= 57 && report.transfers > 1_000, "{} {}", report.slots, report.transfers);
        for round in &report.rounds {
            assert!(round.slots + 2 >= report.slots && round.slices + 40 >= report.slices, "{round:?}");
            assert!(round.bytes > 0 && round.core_slots_per_s.is_finite() && round.link_slots_per_s > 1.0);
        }
        assert_eq!(report.verdicts.len(), 1);
        assert!(report.markdown().contains("| 4 |") && report.to_json().unwrap().contains("link_slots_per_s"));
    }
}
