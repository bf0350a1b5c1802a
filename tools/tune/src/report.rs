//! What check, apply and undo print: aligned lines for people, one JSON object for programs (`docs/tune.md`).

use std::fmt::Write as _;

use serde::Serialize;

use crate::apply::{Applied, Made, Outcome as MadeOutcome};
use crate::finding::{Finding, Level};
use crate::setting::Setting;
use crate::undo::{Outcome as UndoOutcome, Undone};

/// The form of the JSON; it rises when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;
/// Where commands begin, under their finding.
const INDENT: &str = "        ";

/// How many findings there are of each level.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct Counts {
    /// As they should be.
    pub ok: usize,
    /// To be mended.
    pub fix: usize,
    /// To be known.
    pub note: usize,
}

impl Counts {
    /// Counts them.
    pub fn of(findings: &[Finding]) -> Self {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self { ok: count(Level::Ok), fix: count(Level::Fix), note: count(Level::Note) }
    }
}

#[derive(Serialize)]
struct CheckJson<'a> {
    schema_version: u32,
    verb: &'static str,
    counts: Counts,
    findings: &'a [Finding],
    journalled: usize,
}

#[derive(Serialize)]
struct ApplyJson<'a> {
    schema_version: u32,
    verb: &'static str,
    counts: Counts,
    changes: &'a [Made],
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct UndoJson<'a> {
    schema_version: u32,
    verb: &'static str,
    changes: &'a [Undone],
}

/// The findings of a check, for people. `journalled` changes of earlier applies stand in the state file.
pub fn check_text(findings: &[Finding], journalled: usize) -> String {
    let mut text = String::new();
    put_findings(&mut text, findings.iter());
    let counts = Counts::of(findings);
    let _ = writeln!(text, "\n{} to fix, {} to note, {} in order.", counts.fix, counts.note, counts.ok);
    let changeable = findings.iter().filter(|finding| !finding.changes.is_empty()).count();
    if changeable > 0 {
        let _ = writeln!(text, "`hpb tune apply` with the same options mends {changeable} of them.");
    }
    if journalled > 0 {
        let _ = writeln!(text, "`hpb tune undo` takes back {journalled} changes that were applied before.");
    }
    text
}

/// The findings of a check, for programs.
///
/// # Errors
/// None that is known: it is plain data.
pub fn check_json(findings: &[Finding], journalled: usize) -> serde_json::Result<String> {
    let counts = Counts::of(findings);
    json(&CheckJson { schema_version: SCHEMA_VERSION, verb: "check", counts, findings, journalled })
}

/// What an apply did, and what is left to do, for people.
pub fn apply_text(applied: &Applied) -> String {
    let mut text = String::new();
    let width = applied.made.iter().map(|made| made.item.chars().count()).max().unwrap_or(0);
    for Made { item, setting, old, new, outcome } in &applied.made {
        let (old, new) = (shown(old.as_ref()), shown(new.as_ref()));
        let _ = match outcome {
            MadeOutcome::Set => writeln!(text, "set   {item:width$}  {setting}: {old} -> {new}"),
            MadeOutcome::Partly { got } => {
                writeln!(text, "part  {item:width$}  {setting}: {old} -> {}, not {new}", shown(got.as_ref()))
            }
            MadeOutcome::Failed { reason } => writeln!(text, "fail  {item:width$}  {setting}: {reason}"),
        };
    }
    let left = || applied.findings.iter().filter(|finding| finding.level != Level::Ok);
    if left().next().is_some() {
        if !text.is_empty() {
            text.push('\n');
        }
        put_findings(&mut text, left());
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let count = |which: fn(&MadeOutcome) -> bool| applied.made.iter().filter(|made| which(&made.outcome)).count();
    let failed = count(|outcome| matches!(outcome, MadeOutcome::Failed { .. }));
    let counts = Counts::of(&applied.findings);
    if applied.made.is_empty() {
        text.push_str("Nothing to change: all that can be applied is in place.\n");
    } else {
        let changed = applied.made.len() - failed;
        let _ = write!(text, "{changed} changed, {failed} failed.");
        text.push_str(if changed > 0 { " `hpb tune undo` takes the changes back.\n" } else { "\n" });
    }
    if counts.fix > 0 {
        let _ = writeln!(text, "{} left to fix, by the commands above.", counts.fix);
    }
    text
}

/// What an apply did, for programs.
///
/// # Errors
/// None that is known: it is plain data.
pub fn apply_json(applied: &Applied) -> serde_json::Result<String> {
    let counts = Counts::of(&applied.findings);
    let (changes, findings) = (&applied.made, &applied.findings);
    json(&ApplyJson { schema_version: SCHEMA_VERSION, verb: "apply", counts, changes, findings })
}

/// What an undo did, for people.
pub fn undo_text(undone: &[Undone]) -> String {
    let mut text = String::new();
    let width = undone.iter().map(|undone| undone.item.chars().count()).max().unwrap_or(0);
    let (mut restored, mut failed) = (0, 0);
    for Undone { item, setting, old, new, outcome } in undone {
        let commands = Setting::commands([(setting, old.as_deref())]);
        let (old, new) = (shown(old.as_ref()), shown(new.as_ref()));
        let (word, said) = match outcome {
            UndoOutcome::Restored => ("back", format!("{new} -> {old}")),
            UndoOutcome::Already => ("ok", format!("is {old} already")),
            UndoOutcome::Rebooted => ("ok", "ended with the reboot".to_owned()),
            UndoOutcome::Gone => ("ok", "is no longer there".to_owned()),
            UndoOutcome::Foreign { now } => {
                ("left", format!("is {}, changed by someone else (it was {old})", shown(now.as_ref())))
            }
            UndoOutcome::Failed { reason } => ("fail", format!("stays {new}, not {old}: {reason}")),
        };
        let _ = writeln!(text, "{word:<4}  {item:width$}  {setting}: {said}");
        match outcome {
            UndoOutcome::Restored => restored += 1,
            UndoOutcome::Failed { .. } => failed += 1,
            _ => {}
        }
        if matches!(outcome, UndoOutcome::Foreign { .. } | UndoOutcome::Failed { .. }) {
            for command in commands {
                let _ = writeln!(text, "{INDENT}{command}");
            }
        }
    }
    if undone.is_empty() {
        text.push_str("Nothing to take back.\n");
    } else {
        let _ = writeln!(
            text,
            "\n{restored} taken back, {failed} failed, {} needed nothing.",
            undone.len() - restored - failed
        );
    }
    text
}

/// What an undo did, for programs.
///
/// # Errors
/// None that is known: it is plain data.
pub fn undo_json(undone: &[Undone]) -> serde_json::Result<String> {
    json(&UndoJson { schema_version: SCHEMA_VERSION, verb: "undo", changes: undone })
}

fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

fn put_findings<'a>(text: &mut String, findings: impl Iterator<Item = &'a Finding> + Clone) {
    let name = |finding: &Finding| format!("{} {}", finding.item, finding.subject).trim_end().to_owned();
    let width = findings.clone().map(|finding| name(finding).chars().count()).max().unwrap_or(0);
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Fix => "fix",
            Level::Note => "note",
        };
        let Finding { is, should, why, .. } = finding;
        let _ = write!(text, "{level:<4}  {:width$}  {is}", name(finding));
        if !should.is_empty() {
            let _ = write!(text, "; should be {should}");
        }
        if !why.is_empty() {
            let _ = write!(text, ": {why}");
        }
        text.push('\n');
        for command in &finding.commands {
            let _ = writeln!(text, "{INDENT}{command}");
        }
    }
}

/// A value on one line.
fn shown(value: Option<&String>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(value) if value.is_empty() => "there".to_owned(),
        Some(value) => match value.trim_end().split_once('\n') {
            Some(_) => format!("{} lines", value.lines().count()),
            None => value.trim_end().to_owned(),
        },
    }
}
