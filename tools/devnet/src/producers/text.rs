//! The producers as a table, and one of them line by line. Plain text: no control character.

use std::fmt::Write as _;

use super::{Offence, ProducerRow, Producers, Status, consequence};
use crate::report::format::{grouped, tokens};

const HEADS: [&str; 9] = ["rank", "name", "status", "votes", "bond", "blocks", "confirms", "missed", "rewards"];
/// Columns that are words: aligned to the left.
const WORDS: [usize; 2] = [1, 2];
const LABEL_WIDTH: usize = 10;
/// The smallest unit of what the table shows of an amount: a thousandth of a token.
const MILLI: u128 = 1_000_000_000_000_000;

impl Producers {
    /// The table, and a line for each producer that is not active.
    pub fn table(&self) -> String {
        let cells = |row: &ProducerRow| {
            [
                row.rank.to_string(),
                row.name.clone(),
                row.status.to_string(),
                rounded(row.votes),
                rounded(row.bond),
                grouped(row.blocks),
                grouped(row.confirms),
                grouped(row.missed_slots),
                rounded(row.rewards),
            ]
        };
        let rows: Vec<[String; HEADS.len()]> =
            std::iter::once(HEADS.map(str::to_owned)).chain(self.producers.iter().map(cells)).collect();
        let widths: Vec<usize> = (0..HEADS.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = self.place();
        text.push_str("\n\n");
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let padded =
                    if WORDS.contains(&column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                // Writing to a string does not fail.
                let _ = write!(line, "{gap}{padded}");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        let reasons: Vec<String> = self
            .producers
            .iter()
            .filter_map(|row| Some(format!("{}: {}\n", row.name, row.reason(self.are_too_few())?)))
            .collect();
        if !reasons.is_empty() {
            text.push('\n');
            text.push_str(&reasons.concat());
        }
        text
    }

    /// One of its producers, a line for each of its facts.
    pub fn detail(&self, row: &ProducerRow) -> String {
        let free = row.bond_free_at_slot.map(|slot| format!(", free from slot {slot} on")).unwrap_or_default();
        let mut lines = vec![
            ("producer", row.name.clone()),
            ("status", row.status.to_string()),
            ("rank", format!("{} of {}", row.rank, self.producers.len())),
            ("votes", format!("{} tokens", tokens(row.votes))),
            ("bond", format!("{} tokens{free}", tokens(row.bond))),
            ("blocks", format!("{} · {} slots missed", grouped(row.blocks), grouped(row.missed_slots))),
            ("confirms", grouped(row.confirms)),
            ("rewards", format!("{} tokens", tokens(row.rewards))),
            ("key", row.key.clone()),
        ];
        if let Some(reason) = row.reason(self.are_too_few()) {
            lines.insert(2, ("why", reason));
        }
        for offence in &row.offences {
            lines.push(("evidence", format!("{} of {}", offence.evidence, offence.fault)));
        }
        if !row.about.is_empty() {
            // It is a stranger's text: nothing of it may move the cursor.
            lines.push((
                "about",
                row.about.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect(),
            ));
        }
        lines.push(("as of", self.place()));
        let mut text = String::new();
        for (label, value) in lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{label:<LABEL_WIDTH$} {value}");
        }
        text
    }

    fn place(&self) -> String {
        format!("chain {}, slot {}, slice {}, epoch {}", self.chain, self.slot, self.index, self.epoch)
    }
}

impl ProducerRow {
    /// Why it can't be scheduled; none if it can.
    fn reason(&self, too_few_left: bool) -> Option<String> {
        match self.status {
            Status::Active => None,
            Status::Standby => {
                let epoch = self.silent_epoch.unwrap_or_default();
                Some(format!("on standby since epoch {epoch}: it was silent in the whole of it, and has not resumed"))
            }
            Status::Retired => Some("retired: it said so".to_owned()),
            Status::Expelled => {
                let offences: Vec<String> = self.offences.iter().map(told).collect();
                Some(format!("expelled: {}; {}", offences.join("; "), consequence(self.out_from_epoch, too_few_left)))
            }
        }
    }
}

fn told(offence: &Offence) -> String {
    format!("{offence} in epoch {}, {} tokens cut of its bond", offence.epoch, tokens(offence.cut))
}

/// Whole tokens, and thousandths where there are any; what is less is left out.
fn rounded(amount: u128) -> String {
    tokens(amount - amount % MILLI)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: u128 = 1_000 * MILLI;

    fn row(rank: u64, status: Status) -> ProducerRow {
        ProducerRow {
            rank,
            name: format!("validator-{rank}"),
            status,
            silent_epoch: None,
            offences: Vec::new(),
            out_from_epoch: None,
            votes: 0,
            bond: 10_000 * ONE,
            bond_free_at_slot: None,
            blocks: 1_234,
            confirms: 20,
            missed_slots: 1,
            rewards: 12_345_678 * MILLI / 10_000 + 1,
            key: "k".to_owned(),
            about: String::new(),
        }
    }

    fn producers() -> Producers {
        let mut standby = row(2, Status::Standby);
        standby.silent_epoch = Some(4);
        let mut expelled = row(4, Status::Expelled);
        expelled.bond = 5_000 * ONE;
        expelled.out_from_epoch = Some(3);
        expelled.about = "a\x1b[31mb".to_owned();
        expelled.offences.push(Offence {
            fault: "two slices".to_owned(),
            slot: Some(12),
            index: Some(3),
            reported_by: Some("validator-0".to_owned()),
            epoch: 1,
            cut: 5_000 * ONE,
            evidence: "beef".to_owned(),
        });
        let rows = vec![row(1, Status::Active), standby, row(3, Status::Retired), expelled];
        Producers { chain: "c".to_owned(), slot: 30, index: 2, epoch: 3, schedule_min: 1, producers: rows }
    }

    #[test]
    fn the_table_is_aligned_and_says_why() {
        let expected = "\
chain c, slot 30, slice 2, epoch 3

rank  name         status    votes    bond  blocks  confirms  missed  rewards
   1  validator-1  active        0  10,000   1,234        20       1    1.234
   2  validator-2  standby       0  10,000   1,234        20       1    1.234
   3  validator-3  retired       0  10,000   1,234        20       1    1.234
   4  validator-4  expelled      0   5,000   1,234        20       1    1.234

validator-2: on standby since epoch 4: it was silent in the whole of it, and has not resumed
validator-3: retired: it said so
validator-4: expelled: two slices at 12.3, reported by validator-0 in epoch 1, 5,000 tokens cut of its bond; out of the schedule from epoch 3 on
";
        assert_eq!(producers().table(), expected);
    }

    #[test]
    fn one_is_told_in_full_and_its_own_words_are_harmless() {
        let producers = producers();
        let text = producers.detail(producers.named("validator-4").unwrap());
        assert!(!text.contains('\x1b'), "{text}");
        for line in [
            "producer   validator-4",
            "status     expelled",
            "rank       4 of 4",
            "bond       5,000 tokens",
            "evidence   beef of two slices",
            "about      a·[31mb",
            "as of      chain c, slot 30, slice 2, epoch 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("\nwhy        expelled: two slices at 12.3, "), "{text}");
        assert!(!producers.detail(&producers.producers[0]).contains("why"));
    }

    #[test]
    fn a_schedule_keeps_whom_it_cannot_spare() {
        let mut producers = producers();
        producers.producers[3].out_from_epoch = None;
        assert!(producers.table().ends_with("; no schedule without it was fixed yet\n"));
        producers.schedule_min = 2;
        assert!(producers.table().ends_with("; it stays in the schedule, because too few are left without it\n"));
    }

    #[test]
    fn what_the_log_does_not_have_is_left_out() {
        let mut offence = producers().producers[3].offences[0].clone();
        (offence.slot, offence.index, offence.reported_by) = (None, None, None);
        assert_eq!(offence.to_string(), "two slices");
    }
}
