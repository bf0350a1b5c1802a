//! Every field of `report.json`: its unit and its meaning, in the order in which they are shown.
//!
//! The page's table is made from this list, and tests hold it, the report's form and docs/report.md together.

use serde_json::Value;

use super::Report;
use super::format;

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Things.
    Count,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// 10^-18 of a token, as a decimal string.
    Amount,
    /// Transactions a second.
    PerSecond,
    /// Milliseconds since 1970-01-01 UTC.
    UnixMillis,
    /// Words, or yes and no.
    Text,
}

/// One field, or the fields of one kind: `*` stands for any key or index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Where it stands, its keys joined by dots.
    pub path: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it means.
    pub meaning: &'static str,
}

/// One figure of one report.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// Where it stands: keys and indices.
    pub path: Vec<String>,
    /// The value: a number, a string, a truth or null.
    pub value: Value,
    /// What it is.
    pub field: Field,
}

/// All fields.
pub const FIELDS: &[Field] = &[
    field("schema_version", Unit::Count, "version of this form"),
    field("run.version", Unit::Text, "version of the program"),
    field("run.arguments.*", Unit::Text, "argument of the run, given or default"),
    field("run.seed", Unit::Count, "seed of everything random"),
    field("run.virtual", Unit::Text, "whether time was virtual"),
    field("run.trace_hash", Unit::Text, "hash over every machine's inputs and outputs (virtual runs)"),
    field("run.started_unix_ms", Unit::UnixMillis, "start of the run (real runs)"),
    field("run.seconds", Unit::Seconds, "length of the run, from the first session's start to the end of the drain"),
    field("run.cores", Unit::Count, "processor cores that the run could use"),
    field("run.cpu", Unit::Text, "processor"),
    field("run.kernel", Unit::Text, "operating system"),
    field("run.runtime", Unit::Text, "what drove the machines"),
    field("run.confirm_k", Unit::Count, "producers, other than the slice's own, that make a transaction confirmed"),
    field("run.handshakes", Unit::Count, "handshakes finished, both sides of each"),
    field("run.handshake_dhs", Unit::Count, "Diffie-Hellman operations of all handshakes"),
    field("run.shed", Unit::Count, "messages shed from full outboxes"),
    field("run.rejections.*", Unit::Count, "transactions rejected for this reason"),
    field("run.workload.origin", Unit::Text, "file or model of the transfers"),
    field("run.workload.transfers", Unit::Count, "transfers in one pass"),
    field("run.workload.accounts", Unit::Count, "accounts that send or receive"),
    field("run.workload.senders", Unit::Count, "accounts that send"),
    field("run.workload.passes", Unit::Count, "passes begun"),
    field("run.notes.*", Unit::Text, "what else a reader should know"),
    field("sessions.target", Unit::Count, "terminals asked for"),
    field("sessions.established", Unit::Count, "terminal sessions whose handshake finished"),
    field("sessions.lost", Unit::Count, "established sessions that ended before the run did"),
    field("sessions.reconnected", Unit::Count, "sessions established again after a loss"),
    field("sessions.establish_ms", Unit::Millis, "time from the first SYN until all sessions were established"),
    field("sessions.bytes_per_session", Unit::Bytes, "memory of one terminal session on the card, keys included"),
    field("transactions.submitted", Unit::Count, "sent by terminals"),
    field("transactions.accepted", Unit::Count, "passed the mempool of validator 0"),
    field("transactions.rejected", Unit::Count, "refused with a reason, told to the sender"),
    field("transactions.final", Unit::Count, "told final"),
    field("transactions.expired", Unit::Count, "accepted, then past their expiry without being final"),
    field("transactions.retracted", Unit::Count, "times that one was taken back from a fork and told so"),
    field("transactions.rows_skipped", Unit::Count, "rows of the workload file without a receiver"),
    field("verified.*", Unit::Count, "transaction signatures that this validator checked itself"),
    field("executed.*", Unit::Count, "transactions that this validator executed itself"),
    field("latency_us.*.count", Unit::Count, "transactions whose sender was told"),
    field("latency_us.*.p50", Unit::Micros, "half were told within"),
    field("latency_us.*.p90", Unit::Micros, "90 % were told within"),
    field("latency_us.*.p99", Unit::Micros, "99 % were told within"),
    field("latency_us.*.p999", Unit::Micros, "99.9 % were told within"),
    field("latency_us.*.max", Unit::Micros, "the last was told within"),
    field(
        "broadcast_us.first",
        Unit::Micros,
        "median time from a digest's broadcast to the first terminal that has it",
    ),
    field("broadcast_us.last", Unit::Micros, "median time from a digest's broadcast to the last terminal that has it"),
    field("blocks.produced", Unit::Count, "slots with at least one slice on the final chain"),
    field("blocks.skipped", Unit::Count, "slots without, up to the last final one"),
    field("blocks.final_height", Unit::Count, "slot of the last final slice"),
    field("blocks.final_index", Unit::Count, "index of the last final slice in its slot"),
    field(
        "blocks.unfinal_slots_max",
        Unit::Count,
        "most slots between the newest slice and the last final one, as terminals were told",
    ),
    field("rate_tps", Unit::PerSecond, "transactions told final, divided by the seconds of submission"),
    field("cpu_seconds", Unit::Seconds, "processor time of the whole process, user and system"),
    field("rss_bytes", Unit::Bytes, "largest resident memory of the process"),
    field("fdatasync_us.p50", Unit::Micros, "median data sync of the block log"),
    field("fdatasync_us.p99", Unit::Micros, "99 % of the data syncs took at most"),
    field("digest_interval_ms", Unit::Millis, "longest interval between two digests that the run stretched to"),
    field("supply.genesis", Unit::Amount, "all balances at genesis"),
    field("supply.now", Unit::Amount, "all balances at the end, fees on their way included"),
    field("liars.*.producer", Unit::Text, "producer that lied by script, or whose bond was cut"),
    field("liars.*.scripted", Unit::Text, "whether it lied by script (--byzantine)"),
    field("liars.*.offences.*.fault", Unit::Text, "what it was expelled for"),
    field("liars.*.offences.*.slot", Unit::Count, "slot in which it did so"),
    field("liars.*.offences.*.index", Unit::Count, "index of the slice there"),
    field("liars.*.offences.*.reported_by", Unit::Text, "account that brought the evidence"),
    field("liars.*.offences.*.epoch", Unit::Count, "epoch in which it was reported"),
    field("liars.*.offences.*.cut", Unit::Amount, "what was cut of its bond"),
    field("liars.*.offences.*.evidence", Unit::Text, "hash of the evidence"),
    field("liars.*.out_from_epoch", Unit::Count, "epoch of the first schedule without it; none if the last one has it"),
    field("liars.*.too_few_left", Unit::Text, "whether fewer producers are left than a schedule has at least"),
    field("epochs.*.epoch", Unit::Count, "epoch of the chain, as far as it fell into the run"),
    field("epochs.*.schedule", Unit::Count, "epoch that its schedule was fixed for"),
    field("epochs.*.order.*", Unit::Text, "producer of the schedule; slot n belongs to number n modulo their count"),
    field("epochs.*.first_slot", Unit::Count, "first slot counted"),
    field("epochs.*.last_slot", Unit::Count, "last slot counted: the epoch's, or the last final one"),
    field("epochs.*.filled", Unit::Count, "slots with a final slice"),
    field("epochs.*.skipped", Unit::Count, "slots without"),
    field("epochs.*.slices", Unit::Count, "final slices"),
    field("epochs.*.lost_slices", Unit::Count, "slices that did not become final"),
    field("epochs.*.shared_slots", Unit::Count, "slots with a final slice of another than their producer"),
];

const fn field(path: &'static str, unit: Unit, meaning: &'static str) -> Field {
    Field { path, unit, meaning }
}

/// All figures of a report in the order of [`FIELDS`]. Empty lists have none.
///
/// # Errors
/// If a figure is not a number of JSON.
pub fn figures(report: &Report) -> Result<Vec<Figure>, serde_json::Error> {
    let mut leaves = Vec::new();
    walk(&serde_json::to_value(report)?, &mut Vec::new(), &mut leaves);
    let mut placed: Vec<(usize, Figure)> = leaves
        .into_iter()
        .filter_map(|(path, value)| {
            let place = FIELDS.iter().position(|field| field.matches(&path))?;
            Some((place, Figure { path, value, field: FIELDS[place] }))
        })
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, figure)| figure).collect())
}

fn walk(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect(),
        leaf => return leaves.push((path.clone(), leaf.clone())),
    };
    for (key, child) in children {
        path.push(key);
        walk(child, path, leaves);
        path.pop();
    }
}

impl Field {
    fn matches(&self, path: &[String]) -> bool {
        let mut keys = path.iter();
        self.path.split('.').all(|wanted| keys.next().is_some_and(|key| wanted == "*" || wanted == key))
            && keys.next().is_none()
    }
}

impl Figure {
    /// The keys and indices, joined by dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// The value as it stands in the file, without quotes.
    pub fn raw(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    /// The value as people read it.
    pub fn text(&self) -> String {
        if self.value.is_null() {
            return "none".to_owned();
        }
        if let Value::Bool(yes) = self.value {
            return if yes { "yes" } else { "no" }.to_owned();
        }
        if self.field.unit == Unit::Amount {
            return self
                .raw()
                .parse()
                .map_or_else(|_| self.raw(), |amount| format!("{} tokens", format::tokens(amount)));
        }
        let whole = self.value.as_u64();
        match (self.field.unit, whole, self.value.as_f64()) {
            (Unit::Micros, Some(us), _) => format::micros(us),
            (Unit::Millis, Some(ms), _) => format::millis(ms),
            (Unit::Bytes, Some(bytes), _) => format::bytes(bytes),
            (Unit::Count, Some(count), _) => format::grouped(count),
            (Unit::UnixMillis, Some(ms), _) => format::utc(ms),
            (Unit::Seconds, _, Some(seconds)) => format::seconds(seconds),
            (Unit::PerSecond, _, Some(rate)) => format!("{} tx/s", format::significant(rate)),
            _ => self.raw(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::sample;
    use super::*;

    #[test]
    fn every_leaf_of_a_report_has_its_field_and_every_field_a_leaf() {
        let (report, _) = sample::run();
        let mut leaves = Vec::new();
        walk(&serde_json::to_value(&report).unwrap(), &mut Vec::new(), &mut leaves);
        for (path, _) in &leaves {
            let matching = FIELDS.iter().filter(|field| field.matches(path)).count();
            assert_eq!(matching, 1, "{path:?}");
        }
        for field in FIELDS {
            assert!(leaves.iter().any(|(path, _)| field.matches(path)), "{}", field.path);
        }
        assert_eq!(figures(&report).unwrap().len(), leaves.len());
    }

    #[test]
    fn every_field_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.md");
        let docs = std::fs::read_to_string(path).unwrap();
        for field in FIELDS {
            assert!(docs.contains(&format!("| `{}` |", field.path)), "docs/report.md lacks `{}`", field.path);
        }
    }

    #[test]
    fn figures_read_by_their_unit() {
        let (report, _) = sample::run();
        let figures = figures(&report).unwrap();
        let text = |name: &str| figures.iter().find(|figure| figure.name() == name).unwrap().text();
        assert_eq!(text("sessions.established"), "10,000");
        assert_eq!(text("sessions.bytes_per_session"), "9.62 KiB");
        assert_eq!(text("supply.now"), "100,000,000 tokens");
        assert_eq!(text("run.virtual"), "no");
        assert_eq!(text("run.trace_hash"), "none");
        assert_eq!(text("rate_tps"), "1,000 tx/s");
    }
}
