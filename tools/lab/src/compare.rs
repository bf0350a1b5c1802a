//! Two runs beside each other: what differs between them, and each target's figures as a multiple of those of the same
//! name in the first. Runs of different scenarios are compared only where the caller insists.

use core::fmt::Write;

use serde::Serialize;

use crate::record::{Comparison, Record, TargetRecord};
use crate::report::{Style, comparisons_text};
use crate::stats::{apart, beside};

/// Why two runs are not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// They ran different scenarios.
    #[error("different scenarios: {0}; --force compares them all the same")]
    Scenarios(String),
    /// No target is in both.
    #[error("no target is in both: A has {0}, B has {1}")]
    Targets(String, String),
}

/// Two runs, compared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Compared {
    /// What differs between them beside the figures, in words.
    pub differences: Vec<String>,
    /// Each figure of B as a multiple of A's, by target.
    pub comparisons: Vec<Comparison>,
    /// Repeats that each comparison stands on, at least.
    pub repeats: usize,
}

/// Compares B with A. Runs on virtual time from one seed are pairs, repeat by repeat; others are not.
///
/// # Errors
/// If the scenarios differ and `force` is not set, or no target is in both.
pub fn compare(a: &Record, b: &Record, force: bool) -> Result<Compared, CompareError> {
    if let (Some(reason), false) = (other_scenario(a, b), force) {
        return Err(CompareError::Scenarios(reason));
    }
    let are_pairs = a.scenario.is_virtual && b.scenario.is_virtual && a.scenario.seed == b.scenario.seed;
    let pairs =
        || a.targets.iter().filter_map(|base| Some((base, b.targets.iter().find(|one| one.name == base.name)?)));
    if pairs().next().is_none() {
        return Err(CompareError::Targets(names(&a.targets), names(&b.targets)));
    }
    Ok(Compared {
        differences: differences(a, b),
        comparisons: pairs()
            .flat_map(|(base, other)| if are_pairs { beside(base, other) } else { apart(base, other) })
            .map(|one| Comparison { base: named(&one.base, "A"), target: named(&one.target, "B"), ..one })
            .collect(),
        repeats: pairs().map(|(base, other)| base.repeats.len().min(other.repeats.len())).min().unwrap_or(0),
    })
}

impl Compared {
    /// Whether a figure got worse for certain.
    pub fn has_slower(&self) -> bool {
        self.comparisons.iter().any(|one| one.verdict.as_deref() == Some("slower"))
    }

    /// For the terminal, ending with a line end.
    pub fn terminal(&self, style: Style) -> String {
        let mut out = String::new();
        for difference in &self.differences {
            // Writing to a string does not fail.
            let _ = writeln!(out, "differs: {}", crate::report::figures::plain(difference, 400));
        }
        out + &comparisons_text(&self.comparisons, self.repeats, style)
    }

    /// One record of both runs, for the page: targets of A and of B under names of their own.
    pub fn record(&self, a: &Record, b: &Record) -> Record {
        let of = |record: &Record, run: &str| -> Vec<TargetRecord> {
            let renamed = |target: &TargetRecord| TargetRecord { name: named(&target.name, run), ..target.clone() };
            record.targets.iter().map(renamed).collect()
        };
        let mut record = a.clone();
        record.targets = [of(a, "A"), of(b, "B")].concat();
        record.comparisons.clone_from(&self.comparisons);
        record.limits.clear();
        record.notes = self.differences.iter().map(|one| format!("A and B differ: {one}")).collect();
        let all = [(a, "A"), (b, "B")].map(|(run, name)| run.notes.iter().map(move |note| format!("{name}: {note}")));
        record.notes.extend(all.into_iter().flatten());
        record.notes.push("Machine and noise floor are those of A.".to_owned());
        record
    }
}

fn named(target: &str, run: &str) -> String {
    format!("{target} ({run})")
}

fn names(targets: &[TargetRecord]) -> String {
    targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn other_scenario(a: &Record, b: &Record) -> Option<String> {
    let (one, other) = (&a.scenario, &b.scenario);
    if one.name != other.name {
        return Some(format!("A is {}, B is {}", one.name, other.name));
    }
    if one.is_virtual != other.is_virtual {
        return Some("one ran on virtual time, the other did not".to_owned());
    }
    let line = first_difference(&one.text, &other.text)?;
    Some(format!("their files differ: {line}"))
}

/// The first line that two texts do not have in common, where they are not the same.
fn first_difference(a: &str, b: &str) -> Option<String> {
    if a == b {
        return None;
    }
    let (mut a, mut b) = (a.lines(), b.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Some("in their line ends".to_owned()),
            (one, other) if one != other => {
                let quoted =
                    |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("`{}`", line.trim()));
                return Some(format!("{} in A, {} in B", quoted(one), quoted(other)));
            }
            _ => {}
        }
    }
}

fn differences(a: &Record, b: &Record) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(other_scenario(a, b));
    let mut differ = |what: &str, one: &str, other: &str| {
        if one != other {
            let word = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
            all.push(format!("{what}: {} in A, {} in B", word(one), word(other)));
        }
    };
    differ("version", &a.version, &b.version);
    differ("seed", &a.scenario.seed.to_string(), &b.scenario.seed.to_string());
    let (one, other) = (a.machine.clone().unwrap_or_default(), b.machine.clone().unwrap_or_default());
    differ("processor", &one.processor, &other.processor);
    differ("processors", &one.processors.to_string(), &other.processors.to_string());
    differ("kernel", &one.kernel, &other.kernel);
    differ("clock source", &one.clock_source, &other.clock_source);
    differ("governor", &one.governor, &other.governor);
    differ("hypervisor", &one.hypervisor, &other.hypervisor);
    differ("isolated processors", &one.isolated, &other.isolated);
    differ("congestion control", &one.congestion_control, &other.congestion_control);
    for (has, lacks, name) in [(a, b, "A"), (b, a, "B")] {
        for target in has.targets.iter().filter(|target| lacks.targets.iter().all(|other| other.name != target.name)) {
            all.push(format!("{} is in {name} alone", target.name));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::record::{Buckets, sample};

    /// The run again with everything so many times as slow.
    fn slowed(record: &Record, percent: u64) -> Record {
        let mut record = record.clone();
        for repeat in record.targets.iter_mut().flat_map(|target| &mut target.repeats) {
            repeat.latency = Buckets(repeat.latency.0.iter().map(|(ns, count)| (ns * percent / 100, *count)).collect());
        }
        record
    }

    #[test]
    fn a_run_is_no_different_from_itself_and_half_as_fast_is_slower() {
        let a = sample::record();
        let same = compare(&a, &a, false).unwrap();
        assert!(!same.has_slower() && same.differences.is_empty());
        assert!(same.comparisons.iter().all(|one| one.verdict.is_none()));
        let found = compare(&a, &slowed(&a, 200), false).unwrap();
        assert!(found.has_slower());
        let text = found.terminal(Style::default());
        assert!(text.contains("card (B) against card (A)") && text.contains("slower"), "{text}");
    }

    #[test]
    fn other_scenarios_are_refused_unless_insisted_upon() {
        let (a, mut b) = (sample::record(), sample::record());
        b.scenario.text = b.scenario.text.replace("seed = 7", "seed = 8");
        let error = compare(&a, &b, false).unwrap_err().to_string();
        assert!(error.contains("`seed = 7` in A, `seed = 8` in B; --force"), "{error}");
        assert!(compare(&a, &b, true).unwrap().differences[0].contains("their files differ"));
        b.scenario.name = "else".to_owned();
        assert!(compare(&a, &b, false).unwrap_err().to_string().contains("A is wan-loss, B is else"));
    }

    #[test]
    fn what_differs_is_said() {
        let (a, mut b) = (sample::record(), sample::record());
        b.version = "0.2.0".to_owned();
        if let Some(machine) = &mut b.machine {
            machine.governor = String::new();
        }
        b.targets[1].name = "other".to_owned();
        let found = compare(&a, &b, false).unwrap().differences;
        let expected = [
            "version: 0.1.0 in A, 0.2.0 in B",
            "governor: performance in A, none in B",
            "card is in A alone",
            "other is in B alone",
        ];
        assert_eq!(found, expected);
        b.targets.remove(0);
        assert!(compare(&a, &b, false).unwrap_err().to_string().contains("A has kernel, card, B has other"));
    }

    #[test]
    fn the_page_shows_both() {
        let a = sample::record();
        let compared = compare(&a, &slowed(&a, 120), false).unwrap();
        let both = compared.record(&a, &slowed(&a, 120));
        let names: Vec<&str> = both.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["kernel (A)", "card (A)", "kernel (B)", "card (B)"]);
        assert!(both.comparisons.iter().all(|one| names.contains(&&*one.base) && names.contains(&&*one.target)));
    }
}
