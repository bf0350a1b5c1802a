//! Transactions and proposals, line by line. Plain text: no control character.

use std::fmt::Write as _;

use super::blocks::{BlockDetailRow, BlockRow, BlocksRow, CertificateRow, SliceRow};
use super::{HistoryRow, ProposalRow, TransactionRow};
use crate::report::format::{counted, grouped, millis, tokens, utc};

const LABEL_WIDTH: usize = 10;

pub(crate) fn table(lines: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (label, value) in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<LABEL_WIDTH$} {value}");
    }
    text
}

impl TransactionRow {
    fn outcome(&self) -> String {
        self.reason.as_ref().map_or_else(|| "applied".to_owned(), |reason| format!("failed: {reason}"))
    }

    /// The transaction, a line for each of its facts.
    pub fn detail(&self) -> String {
        table(&self.lines("its proposer: it was a proposal"))
    }

    /// What each line is about, and what it says; `unknown` where who paid is not known.
    pub(crate) fn lines(&self, unknown: &str) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("place", format!("slot {}, slice {}, number {}", self.slot, self.slice, self.number)),
            ("time", utc(self.unix_ms)),
            ("payer", self.payer.clone().unwrap_or_else(|| unknown.to_owned())),
        ];
        lines.extend(self.actions.iter().map(|action| ("action", action.clone())));
        lines.push(("outcome", self.outcome()));
        lines.push(("fee", format!("{} tokens for {} units and its bytes", tokens(self.fee), grouped(self.units))));
        for event in &self.events {
            let facts = event.says.as_ref().unwrap_or(&event.data);
            lines.push(("event", format!("{}: {facts}", event.event)));
        }
        lines
    }

    fn line(&self) -> String {
        let words = if self.events.is_empty() {
            self.actions.join(", ")
        } else {
            let say = |event: &super::EventRow| match &event.says {
                Some(says) => format!("{} {says}", event.event),
                None => event.event.clone(),
            };
            self.events.iter().map(say).collect::<Vec<_>>().join(", ")
        };
        format!("{:<12} {}  {}  {words}: {}", self.place(), utc(self.unix_ms), &self.id[..16], self.outcome())
    }
}

impl HistoryRow {
    /// A line a transaction.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for transaction in &self.transactions {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", transaction.line());
        }
        begins(&mut text, self.begins_after.as_ref());
        let of = self.name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        let _ = match &self.next_after {
            Some(place) => writeln!(text, "more: --after {place}"),
            None => writeln!(text, "{}{of}", counted(self.transactions.len() as u64, "transaction")),
        };
        text
    }
}

/// Says from where on something is known, if not from the chain's beginning.
fn begins(text: &mut String, after: Option<&String>) {
    if let Some(slice) = after {
        let _ = writeln!(text, "nothing is known here of what came before slice {slice}");
    }
}

impl CertificateRow {
    fn words(&self) -> String {
        let Self { source, target, signatures } = self;
        match signatures {
            0 => format!("{target}, the genesis' own"),
            _ => format!("{target} from {source}, {}", counted(u64::from(*signatures), "signature")),
        }
    }
}

impl BlockRow {
    fn line(&self) -> String {
        let failed = self.transactions + self.due - self.applied;
        let failed = if failed == 0 { String::new() } else { format!(", {} failed", grouped(failed)) };
        format!(
            "{:<9} {}  {}  {:<14} {}, {}{failed}",
            self.slot,
            utc(self.unix_ms),
            &self.id[..16],
            self.producer,
            counted(self.slices.into(), "slice"),
            counted(self.transactions, "transaction"),
        )
    }
}

impl BlocksRow {
    /// A line a block.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for block in &self.blocks {
            let _ = writeln!(text, "{}", block.line());
        }
        begins(&mut text, self.begins_after.as_ref());
        let _ = match &self.next_after {
            Some(slot) => writeln!(text, "more: --after {slot}"),
            None => writeln!(text, "{}", counted(self.blocks.len() as u64, "block")),
        };
        text
    }
}

impl SliceRow {
    fn line(&self) -> String {
        let failed = self.transactions + self.due - self.applied;
        let failed = if failed == 0 { String::new() } else { format!(", {} failed", grouped(failed)) };
        let due = if self.due == 0 { String::new() } else { format!(", {} due", counted(self.due.into(), "proposal")) };
        let Self { index, id, producer, .. } = self;
        let transactions = counted(self.transactions.into(), "transaction");
        format!("  {index:<5} {}  {producer:<14} {transactions}{due}{failed}", &id[..16])
    }
}

impl BlockDetailRow {
    /// The block's facts, then a line a slice, then a line a transaction.
    pub fn detail(&self) -> String {
        let block = &self.block;
        let mut lines = vec![
            ("block", block.id.clone()),
            ("slot", format!("{}, {}", block.slot, utc(block.unix_ms))),
            ("producer", block.producer.clone()),
            (
                "holds",
                format!("{} in {}", counted(block.transactions, "transaction"), counted(block.slices.into(), "slice")),
            ),
            ("applied", format!("{} of {}", grouped(block.applied), grouped(block.transactions + block.due))),
            (
                "fees",
                format!(
                    "{} tokens for {} units and {} bytes",
                    tokens(block.fees),
                    grouped(block.units),
                    grouped(block.bytes)
                ),
            ),
            ("proves", block.certificate.words()),
        ];
        lines.extend(self.failed.iter().map(|row| ("failed", format!("{}: {}", grouped(row.count), row.reason))));
        let mut text = table(&lines);
        for slice in &self.slices {
            let _ = writeln!(text, "{}", slice.line());
        }
        for transaction in &self.transactions {
            let _ = writeln!(text, "{}", transaction.line());
        }
        if let Some(place) = &self.next_after {
            let _ = writeln!(text, "more: --after {place}");
        }
        text
    }
}

impl ProposalRow {
    /// The proposal, a line for each of its facts.
    pub fn detail(&self) -> String {
        let mut lines = vec![("proposal", self.name.clone()), ("id", self.id.clone())];
        lines.extend(self.actions.iter().map(|action| ("action", action.clone())));
        lines.extend(self.authorisations.iter().map(|named| ("behind it", named.clone())));
        for approval in &self.approvals {
            let word = if approval.approves { "approves" } else { "does not approve" };
            lines.push(("asked", format!("{} {word}", approval.by)));
        }
        lines.push(("delay", millis(self.delay_ms)));
        lines.push(match self.due_unix_ms {
            Some(due_ms) => ("due", utc(due_ms)),
            None => ("expires", utc(self.expiry_unix_ms)),
        });
        table(&lines)
    }
}
