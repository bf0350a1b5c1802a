//! Who had which slot, for people: a row an epoch, a cell a slot.

use core::fmt::{self, Write};

use hpb_chart::escaped;

use super::format::{counted, grouped};
use super::{EpochRow, Report};
use crate::producers::{EpochTurns, Turn};

/// Epochs that the page shows: the last ones.
const EPOCHS_SHOWN_MAX: usize = 24;
/// Epochs that the summary shows, likewise.
const LINES_MAX: usize = 6;
/// Producers of an order that the summary names.
const NAMES_MAX: usize = 21;

/// The section of the page; nothing if no slot is known.
pub(super) fn write_section(out: &mut String, report: &Report, turns: &[EpochTurns]) -> fmt::Result {
    let shown = &turns[turns.len().saturating_sub(EPOCHS_SHOWN_MAX)..];
    if shown.is_empty() {
        return Ok(());
    }
    let prefix = shared_prefix(report.epochs.iter().flat_map(|epoch| &epoch.order).map(String::as_str));
    writeln!(out, "<section>\n<h2>Who had which slot</h2>")?;
    writeln!(out, "<p class=\"lead\">{}</p>", escaped(&lead(report, prefix, shown.len())))?;
    writeln!(out, "<div class=\"scroll\"><table class=\"turns\">\n<thead><tr><th scope=\"col\">Epoch</th>")?;
    writeln!(out, "<th scope=\"col\">Slots</th><th scope=\"col\">Producer of each slot</th></tr></thead>\n<tbody>")?;
    for epoch in shown {
        let (Some(first), Some(last)) = (epoch.slots.first(), epoch.slots.last()) else { continue };
        write!(out, "<tr><th scope=\"row\">{}</th>", grouped(epoch.epoch.0))?;
        write!(out, "<td>{}–{}</td><td><ol>", grouped(first.slot.0), grouped(last.slot.0))?;
        for turn in &epoch.slots {
            write_turn(out, turn, prefix)?;
        }
        writeln!(out, "</ol></td></tr>")?;
    }
    writeln!(out, "</tbody>\n</table></div>\n</section>")
}

fn write_turn(out: &mut String, turn: &Turn, prefix: &str) -> fmt::Result {
    let class = match turn {
        turn if !turn.is_its_producers_alone() => "shared",
        Turn { finals: 0, .. } => "skipped",
        Turn { lost: 1.., .. } => "forked",
        _ => "filled",
    };
    let producer = turn.producer.as_str();
    let mut title = format!("slot {}, {producer}: ", grouped(turn.slot.0));
    if turn.finals == 0 {
        title.push_str("skipped");
    } else {
        title.push_str(&counted(turn.finals.into(), "final slice"));
    }
    if turn.lost > 0 {
        write!(title, ", {} that did not become final", grouped(turn.lost))?;
    }
    let label = producer.strip_prefix(prefix).unwrap_or(producer);
    write!(out, "<li class=\"{class}\" title=\"{}\">{}</li>", escaped(&title), escaped(label))
}

fn lead(report: &Report, prefix: &str, shown: usize) -> String {
    let known = report.epochs.len();
    let mut text = if prefix.is_empty() {
        "A cell is a slot, with the producer whose turn it was".to_owned()
    } else {
        format!("A cell is a slot, with the producer whose turn it was ({prefix}…)")
    };
    text.push_str(": outlined where the slot was skipped, dotted where some of its slices did not become final.");
    if known > shown {
        let _ = write!(text, " The last {shown} of {known} epochs.");
    }
    text
}

/// The lines of the summary: the last epochs.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let epochs = &report.epochs[report.epochs.len().saturating_sub(LINES_MAX)..];
    let prefix = shared_prefix(epochs.iter().flat_map(|epoch| &epoch.order).map(String::as_str));
    epochs.iter().map(|epoch| line(epoch, prefix)).collect()
}

fn line(epoch: &EpochRow, prefix: &str) -> String {
    let named = epoch.order.iter().take(NAMES_MAX).map(|name| name.strip_prefix(prefix).unwrap_or(name));
    let mut order = named.collect::<Vec<_>>().join(" ");
    if epoch.order.len() > NAMES_MAX {
        order.push_str(" …");
    }
    let EpochRow { epoch, first_slot, last_slot, filled, skipped, .. } = epoch;
    let slots = format!("{}–{}", grouped(*first_slot), grouped(*last_slot));
    format!("{epoch}: slots {slots}, {} filled, {} skipped, order {order}", grouped(*filled), grouped(*skipped))
}

/// What all names begin with, up to a dash; nothing if there is but one name.
fn shared_prefix<'a>(names: impl Iterator<Item = &'a str>) -> &'a str {
    let mut shared: Option<&str> = None;
    let mut differ = false;
    for name in names {
        let before = shared.unwrap_or(name);
        let common = before.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
        differ |= common < name.len() || common < before.len();
        // Names are ASCII (PROTOCOL.md, "Names and amounts").
        shared = Some(&before[..common]);
    }
    match shared {
        Some(shared) if differ => shared.rfind('-').map_or("", |dash| &shared[..=dash]),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::sample;
    use super::*;

    #[test]
    fn the_prefix_is_what_all_names_share_up_to_a_dash() {
        let table: [(&[&str], &str); 6] = [
            (&["validator-1", "validator-2"], "validator-"),
            (&["validator-1", "validator-10"], "validator-"),
            (&["validator-1", "victor"], ""),
            (&["a-b-1", "a-b-2", "a-c"], "a-"),
            (&["validator-1", "validator-1"], ""),
            (&[], ""),
        ];
        for (names, expected) in table {
            assert_eq!(shared_prefix(names.iter().copied()), expected, "{names:?}");
        }
    }

    #[test]
    fn each_slot_has_its_cell() {
        let (report, charts) = sample::run();
        let mut page = String::new();
        write_section(&mut page, &report, &charts.turns).unwrap();
        let cells = page.matches("<li ").count();
        assert_eq!(cells, charts.turns.iter().map(|epoch| epoch.slots.len()).sum::<usize>());
        assert_eq!(page.matches("class=\"skipped\"").count(), 1, "{page}");
        assert_eq!(page.matches("class=\"forked\"").count(), 1, "{page}");
        assert!(page.contains("title=\"slot 6, validator-2: skipped\">2</li>"), "{page}");
        let mut none = String::new();
        write_section(&mut none, &report, &[]).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn the_summary_has_a_line_an_epoch() {
        let (report, _) = sample::run();
        assert_eq!(
            lines(&report),
            ["0: slots 1–7, 6 filled, 1 skipped, order 0 1 2 3", "1: slots 8–14, 7 filled, 0 skipped, order 2 0 3 1"]
        );
    }
}
