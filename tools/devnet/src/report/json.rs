//! `report.json`: the figures of one run. docs/report.md says what each means.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::producers::{EpochTurns, Offence, Turn, consequence};

/// The version of the form of `report.json`; it rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Slots between the newest slice and the last final one that need no word: a slot is final in the next one.
const UNFINAL_SLOTS_SOUND: u64 = 2;

/// Everything that a run reports. The fields' meanings and units stand in [`fields`](super::fields).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Report {
    pub schema_version: u32,
    pub run: Run,
    pub sessions: Sessions,
    pub transactions: Transactions,
    pub verified: Vec<u64>,
    pub executed: Vec<u64>,
    pub latency_us: Latencies,
    pub broadcast_us: Broadcast,
    pub blocks: Blocks,
    pub rate_tps: f64,
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    pub fdatasync_us: Fdatasync,
    pub digest_interval_ms: u64,
    pub supply: Supply,
    #[serde(default)]
    pub liars: Vec<Liar>,
    #[serde(default)]
    pub epochs: Vec<EpochRow>,
}

/// What was run, and where.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Run {
    pub version: String,
    pub arguments: BTreeMap<String, String>,
    pub seed: u64,
    #[serde(rename = "virtual")]
    pub virtual_time: bool,
    pub trace_hash: Option<String>,
    pub started_unix_ms: Option<u64>,
    pub seconds: f64,
    pub cores: u32,
    pub cpu: String,
    pub kernel: String,
    pub runtime: String,
    pub confirm_k: u32,
    pub handshakes: u64,
    pub handshake_dhs: u64,
    pub shed: u64,
    pub rejections: BTreeMap<String, u64>,
    pub workload: WorkloadFacts,
    pub notes: Vec<String>,
}

/// What the terminals sent from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct WorkloadFacts {
    pub origin: String,
    pub transfers: u64,
    pub accounts: u64,
    pub senders: u64,
    pub passes: u64,
}

/// The terminals' sessions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sessions {
    pub target: u64,
    pub established: u64,
    pub lost: u64,
    pub reconnected: u64,
    pub establish_ms: u64,
    pub bytes_per_session: u64,
}

/// What became of the transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Transactions {
    pub submitted: u64,
    pub accepted: u64,
    pub rejected: u64,
    #[serde(rename = "final")]
    pub finals: u64,
    pub expired: u64,
    pub retracted: u64,
    pub rows_skipped: u64,
}

/// Latency by level.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Latencies {
    pub received: Quantiles,
    pub included: Quantiles,
    pub confirmed_k: Quantiles,
    pub justified: Quantiles,
    #[serde(rename = "final")]
    pub finals: Quantiles,
}

/// One distribution, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Quantiles {
    pub count: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// How long a digest's broadcast takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Broadcast {
    pub first: u64,
    pub last: u64,
}

/// The chain that grew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Blocks {
    pub produced: u64,
    pub skipped: u64,
    pub final_height: u64,
    pub final_index: u32,
    #[serde(default)]
    pub unfinal_slots_max: u64,
}

/// How long a data sync of the log takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Fdatasync {
    pub p50: u64,
    pub p99: u64,
}

/// All balances together, fees not yet credited included; in the smallest unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Supply {
    #[serde(with = "decimal")]
    pub genesis: u128,
    #[serde(with = "decimal")]
    pub now: u128,
}

/// What became of a producer that lied by script, or whose bond was cut.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Liar {
    pub producer: String,
    pub scripted: bool,
    pub offences: Vec<Offence>,
    pub out_from_epoch: Option<u64>,
    pub too_few_left: bool,
}

/// One epoch of the chain that grew, as far as it fell into the run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EpochRow {
    pub epoch: u64,
    pub schedule: u64,
    pub order: Vec<String>,
    pub first_slot: u64,
    pub last_slot: u64,
    pub filled: u64,
    pub skipped: u64,
    pub slices: u64,
    pub lost_slices: u64,
    pub shared_slots: u64,
}

/// One sentence about a run, and whether it is what one hopes for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Whether it is.
    pub good: bool,
    /// The sentence.
    pub text: String,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run: Run::default(),
            sessions: Sessions::default(),
            transactions: Transactions::default(),
            verified: Vec::new(),
            executed: Vec::new(),
            latency_us: Latencies::default(),
            broadcast_us: Broadcast::default(),
            blocks: Blocks::default(),
            rate_tps: 0.0,
            cpu_seconds: 0.0,
            rss_bytes: 0,
            fdatasync_us: Fdatasync::default(),
            digest_interval_ms: 0,
            supply: Supply::default(),
            liars: Vec::new(),
            epochs: Vec::new(),
        }
    }
}

impl Report {
    /// The canonical text: indented JSON with a last line end.
    ///
    /// # Errors
    /// If a figure is not a number of JSON (an infinite rate).
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// What a reader wants to know first: sessions, finality, supply.
    pub fn findings(&self) -> Vec<Finding> {
        use super::format::{counted, grouped};
        let (sessions, transactions) = (&self.sessions, &self.transactions);
        let finding = |good, yes: String, no: String| Finding { good, text: if good { yes } else { no } };
        let liars = self.liars.iter().map(Liar::finding);
        let lag = (self.blocks.unfinal_slots_max > UNFINAL_SLOTS_SOUND).then(|| self.lag());
        let turns = (!self.epochs.is_empty()).then(|| self.turns());
        let findings = [
            finding(
                sessions.established == sessions.target && sessions.lost == 0,
                format!("{} established, none lost", counted(sessions.established, "session")),
                format!(
                    "{} of {} established, {} lost",
                    grouped(sessions.established),
                    counted(sessions.target, "session"),
                    grouped(sessions.lost)
                ),
            ),
            finding(
                transactions.finals == transactions.accepted && transactions.accepted > 0,
                format!("Every accepted transaction final ({})", grouped(transactions.finals)),
                format!(
                    "{} of {} final",
                    grouped(transactions.finals),
                    counted(transactions.accepted, "accepted transaction")
                ),
            ),
            finding(
                self.supply.genesis == self.supply.now,
                "Supply unchanged".to_owned(),
                "The supply differs from genesis".to_owned(),
            ),
        ];
        findings.into_iter().chain(lag).chain(turns).chain(liars).collect()
    }

    fn lag(&self) -> Finding {
        let slots = super::format::counted(self.blocks.unfinal_slots_max, "slot");
        Finding { good: false, text: format!("Nothing became final for up to {slots}, as terminals were told") }
    }

    /// Whether each slot had one producer, and how often the order changed.
    fn turns(&self) -> Finding {
        use super::format::counted;
        let shared = self.epochs.iter().map(|epoch| epoch.shared_slots).sum();
        let orders: BTreeSet<&[String]> = self.epochs.iter().map(|epoch| &epoch.order[..]).collect();
        let text = if shared > 0 {
            format!("{} with slices of another than their producer", counted(shared, "slot"))
        } else {
            let (epochs, orders) = (self.epochs.len() as u64, orders.len() as u64);
            let skipped: u64 = self.epochs.iter().map(|epoch| epoch.skipped).sum();
            let (epochs, orders) = (counted(epochs, "epoch"), counted(orders, "order"));
            format!("One producer a slot: {epochs} in {orders}, {} skipped", counted(skipped, "slot"))
        };
        Finding { good: shared == 0, text }
    }
}

impl EpochRow {
    /// What an epoch's turns came to.
    pub fn new(turns: &EpochTurns) -> Self {
        let slots = &turns.slots;
        let count = |is: fn(&Turn) -> bool| slots.iter().filter(|turn| is(turn)).count() as u64;
        Self {
            epoch: turns.epoch.0,
            schedule: turns.schedule.0,
            order: turns.order.iter().map(ToString::to_string).collect(),
            first_slot: slots.first().map_or(0, |turn| turn.slot.0),
            last_slot: slots.last().map_or(0, |turn| turn.slot.0),
            filled: count(|turn| turn.finals > 0),
            skipped: count(|turn| turn.finals == 0),
            slices: slots.iter().map(|turn| u64::from(turn.finals)).sum(),
            lost_slices: slots.iter().map(|turn| u64::from(turn.lost)).sum(),
            shared_slots: count(|turn| !turn.is_its_producers_alone()),
        }
    }
}

impl Liar {
    /// What the chain made of it: well if one that lied by script, and no other, was expelled for it.
    fn finding(&self) -> Finding {
        let Self { producer, scripted, offences, out_from_epoch, too_few_left } = self;
        let Some(offence) = offences.first() else {
            return Finding { good: false, text: format!("{producer} lied by script and was not expelled") };
        };
        let consequence = consequence(*out_from_epoch, *too_few_left);
        let good = *scripted && (out_from_epoch.is_some() || *too_few_left);
        Finding { good, text: format!("{producer} was expelled: {offence}; {consequence}") }
    }
}

impl Latencies {
    /// The distributions in the order of [`Level::ALL`](super::Level::ALL).
    pub fn by_level(&self) -> [Quantiles; 5] {
        [self.received, self.included, self.confirmed_k, self.justified, self.finals]
    }
}

/// Amounts pass the 53 bits that many readers of JSON keep of a number: they are decimal strings.
pub(crate) mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
