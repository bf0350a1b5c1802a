//! A run on the terminal: at most a hundred columns, coloured only where the caller says so.

use core::fmt::{self, Write};

use hpb_chart::format::{counted, grouped, nanos, significant};

use super::figures::{PERCENTILES, Shown, Target, carried, multiple, plain, spread, spread_text, verdict};
use super::{agents, beyond};
use crate::record::{Comparison, Hop, Interval, LimitRecord, Record};

const NAME_WIDTH: usize = 22;
const COLUMN_WIDTH: usize = 10;
const COUNT_WIDTH: usize = 13;
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// How text is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    /// Whether the terminal takes colours.
    pub colour: bool,
}

impl Style {
    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// The run, ending with a line end.
pub fn terminal(record: &Record, style: Style) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_run(&mut text, &Shown::new(record), style);
    text
}

fn write_run(out: &mut String, shown: &Shown<'_>, style: Style) -> fmt::Result {
    let record = shown.record;
    let clock = if record.scenario.is_virtual { "virtual time" } else { "this machine's clock" };
    let repeats = shown.targets.iter().map(Target::repeats).max().unwrap_or(0) as u64;
    let name = style.with(BOLD, &plain(&record.scenario.name, 60));
    writeln!(out, "{name} · seed {} · {clock} · {}", record.scenario.seed, counted(repeats, "repeat"))?;
    if shown.targets.is_empty() {
        return writeln!(out, "\nnothing was measured");
    }
    write_latency(out, shown, style)?;
    write_counts(out, shown, style)?;
    let widths = (NAME_WIDTH, COUNT_WIDTH, COLUMN_WIDTH);
    beyond::write_terminal(out, &shown.targets, widths, |text| style.with(DIM, text))?;
    for target in &shown.targets {
        write_hops(out, target, style)?;
    }
    agents::write_terminal(out, &record.agents, |text| style.with(DIM, text))?;
    write_comparisons(out, &record.comparisons, repeats as usize, style)?;
    write_limits(out, &record.limits, style)?;
    for (place, note) in record.notes.iter().enumerate() {
        let lead = if place == 0 { "\n" } else { "" };
        writeln!(out, "{lead}{}", plain(note, 400))?;
    }
    Ok(())
}

fn write_latency(out: &mut String, shown: &Shown<'_>, style: Style) -> fmt::Result {
    let mut head = format!("{:<NAME_WIDTH$}{:>COUNT_WIDTH$}", "latency", "messages");
    for percent in PERCENTILES {
        write!(head, "{:>COLUMN_WIDTH$}", format!("p{percent}"))?;
    }
    write!(head, "{:>COLUMN_WIDTH$}", "max")?;
    writeln!(out, "\n{}", style.with(DIM, &head))?;
    let mut is_noise_told = false;
    for target in &shown.targets {
        write!(out, "{}", style.with(BOLD, &format!("{:<NAME_WIDTH$}", plain(&target.of.name, NAME_WIDTH - 1))))?;
        write!(out, "{:>COUNT_WIDTH$}", grouped(target.counts.arrived))?;
        let percents = PERCENTILES.into_iter().map(Some).chain([None]);
        let mut below = String::new();
        for (percent, figure) in percents.zip(&target.figures) {
            let is_noise = percent.zip(*figure).is_some_and(|(percent, figure)| shown.is_noise(percent, figure.value));
            is_noise_told |= is_noise;
            let mark = if is_noise { "~" } else { "" };
            write!(out, "{:>COLUMN_WIDTH$}", figure.map_or("-".to_owned(), |one| mark.to_owned() + &nanos(one.value)))?;
            write!(below, "{:>COLUMN_WIDTH$}", figure.and_then(spread).map(spread_text).unwrap_or_default())?;
        }
        writeln!(out)?;
        if !below.trim().is_empty() {
            let indent = " ".repeat(NAME_WIDTH + COUNT_WIDTH);
            writeln!(out, "{}", style.with(DIM, (indent + &below).trim_end()))?;
        }
        if let Some(error) = clock_error(target) {
            writeln!(out, "{}", style.with(DIM, &format!("{:<NAME_WIDTH$}{error}", "")))?;
        }
    }
    if let Some(floor) = &shown.floor {
        let mut line = format!("{:<NAME_WIDTH$}{:>COUNT_WIDTH$}", "noise floor", "");
        for percent in PERCENTILES {
            write!(line, "{:>COLUMN_WIDTH$}", nanos(floor.at(percent)))?;
        }
        write!(line, "{:>COLUMN_WIDTH$}", nanos(floor.max()))?;
        writeln!(out, "{}", style.with(DIM, &line))?;
    }
    if is_noise_told {
        writeln!(out, "{}", style.with(DIM, "~ half of it or more may be this machine's noise and not the target's"))?;
    }
    Ok(())
}

/// How far one-way figures may be wrong.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn clock_error(target: &Target<'_>) -> Option<String> {
    let error_ns = target.of.clock_error_ns?;
    Some(format!("each may be wrong by ± {}: two clocks, compared", nanos(error_ns as f64)))
}

fn write_counts(out: &mut String, shown: &Shown<'_>, style: Style) -> fmt::Result {
    let heads = ["lost", "duplicated", "reordered", "sent again", "a second", "CPU/message"];
    let head = row(&heads.map(str::to_owned));
    writeln!(out, "\n{}", style.with(DIM, &format!("{:<NAME_WIDTH$}{head}", "counted")))?;
    for target in &shown.targets {
        let counts = &target.counts;
        let cells = [
            grouped(counts.lost),
            grouped(counts.duplicated),
            grouped(counts.out_of_order),
            grouped(counts.retransmitted),
            significant(target.per_second.value),
            target.cpu_ns.map_or("-".to_owned(), |cpu| nanos(cpu.value)),
        ];
        let name = format!("{:<NAME_WIDTH$}", plain(&target.of.name, NAME_WIDTH - 1));
        writeln!(out, "{}{}", style.with(BOLD, &name), row(&cells))?;
        if counts.sessions_lost > 0 {
            let lost = counted(counts.sessions_lost, "session");
            writeln!(out, "{}", style.with(RED, &format!("{:<NAME_WIDTH$}{lost} lost that nobody ended", "")))?;
        }
    }
    Ok(())
}

fn row(cells: &[String]) -> String {
    cells.iter().fold(String::new(), |row, cell| row + &format!("{cell:>COUNT_WIDTH$}"))
}

fn write_hops(out: &mut String, target: &Target<'_>, style: Style) -> fmt::Result {
    for (percent, is_back) in [(50.0, false), (50.0, true), (99.0, false), (99.0, true)] {
        let hops: Vec<&Hop> = target.hops.iter().filter(|hop| hop.is_back == is_back).collect();
        if hops.is_empty() {
            continue;
        }
        let parts: Vec<String> = hops
            .iter()
            .filter_map(|hop| Some(format!("{} {}", plain(&hop.name, 12), nanos(carried(&hop.time, percent)?))))
            .collect();
        if percent < 99.0 && !is_back {
            writeln!(out, "\n{}", style.with(DIM, &format!("hops of {}", plain(&target.of.name, 60))))?;
        }
        // Too few values carry it.
        if parts.is_empty() {
            continue;
        }
        let way = if is_back { "back" } else { "there" };
        writeln!(out, "  p{percent} {way:<6} {}", parts.join(" · "))?;
    }
    Ok(())
}

/// Comparisons by pair of targets, a line a figure.
pub(super) fn write_comparisons(
    out: &mut String,
    comparisons: &[Comparison],
    repeats: usize,
    style: Style,
) -> fmt::Result {
    let longest = |of: &dyn Fn(&Comparison) -> String| comparisons.iter().map(|one| of(one).chars().count()).max();
    let ratio_width = longest(&|one| multiple(one.ratio.value)).unwrap_or(0).max(8);
    let range_width = longest(&|one| range_text(one.ratio)).unwrap_or(0).max(16) + 2;
    let mut last: Option<(&str, &str)> = None;
    for one in comparisons {
        if last != Some((&one.base, &one.target)) {
            let (target, base) = (plain(&one.target, 34), plain(&one.base, 34));
            writeln!(out, "\n{} against {base}, as a multiple of it", style.with(BOLD, &target))?;
            last = Some((&one.base, &one.target));
        }
        let words = verdict(&one.figure, one.verdict.as_deref(), repeats);
        let words = match one.verdict.as_deref() {
            Some("faster") => style.with(GREEN, words),
            Some(_) => style.with(RED, words),
            None => words.to_owned(),
        };
        let range = range_text(one.ratio);
        let (figure, ratio) = (plain(&one.figure, 6), multiple(one.ratio.value));
        writeln!(out, "  {figure:<7}{ratio:>ratio_width$} ×   {range:<range_width$}{words}")?;
    }
    Ok(())
}

/// Where a ratio lies: `0.4 to 0.44`; nothing of one repeat.
pub(super) fn range_text(ratio: Interval) -> String {
    if ratio.low < ratio.high { format!("{} to {}", multiple(ratio.low), multiple(ratio.high)) } else { String::new() }
}

fn write_limits(out: &mut String, limits: &[LimitRecord], style: Style) -> fmt::Result {
    for (place, limit) in limits.iter().enumerate() {
        let lead = if place == 0 { "\n" } else { "" };
        let (code, mark) = if limit.holds { (GREEN, "held  ") } else { (RED, "missed") };
        let (text, target) = (plain(&limit.text, 40), plain(&limit.target, 30));
        writeln!(out, "{lead}{}  {text} · {target}: {}", style.with(code, mark), significant(limit.found))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn a_run_fits_a_hundred_columns_and_has_no_control_characters() {
        let text = terminal(&sample::record(), Style::default());
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        for part in [
            "wan-loss · seed 7 · this machine's clock · 5 repeats",
            "noise floor",
            "card against kernel, as a multiple of it",
            "faster",
            "no difference seen",
            "missed  p99_us < 1000 · kernel: 1,420",
            "held    p99_us < 1000 · card: 310",
            "p99 back",
            "Two processors",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn what_too_few_values_carry_is_a_dash() {
        let text = terminal(&sample::record(), Style::default());
        let kernel = text.lines().find(|line| line.starts_with("kernel")).unwrap_or_default();
        let cells: Vec<&str> = kernel.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!((cells.len(), cells[6]), (8, "-"), "{kernel}");
    }

    #[test]
    fn colours_only_where_they_are_asked_for() {
        assert!(terminal(&sample::record(), Style { colour: true }).contains("\x1b[32m"));
        let mut hostile = sample::small();
        hostile.targets[0].name = "\x1b[2Jkernel\n".to_owned();
        hostile.notes = vec!["\x1b]0;title\x07".to_owned()];
        let text = terminal(&hostile, Style::default());
        assert!(!text.contains('\x1b') && !text.contains('\x07'));
    }

    #[test]
    fn virtual_time_has_no_floor_and_one_repeat_no_spread() {
        let text = terminal(&sample::small(), Style::default());
        assert!(text.contains("virtual time · 1 repeat\n") && !text.contains("noise") && !text.contains('±'), "{text}");
    }

    #[test]
    fn the_widest_ratio_keeps_its_column_apart_from_the_next() {
        let mut record = sample::record();
        let ratios = [(0.000_123, 0.000_1, 0.000_2), (12_345_678.0, 12_345_677.0, 12_345_679.0), (1.0, 0.9, 1.1)];
        for (one, (value, low, high)) in record.comparisons.iter_mut().zip(ratios) {
            one.ratio = Interval { value, low, high };
        }
        let text = terminal(&record, Style::default());
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(" × ")).collect();
        assert!(lines[0].contains("0.000123 ×   0.0001 to 0.0002  "), "{text}");
        assert!(lines.iter().any(|line| line.contains("12,345,678 ×   12,345,677 to 12,345,679  ")), "{text}");
        let words_at = |line: &&str| {
            let at = ["faster", "slower", "no difference", "cheaper", "dearer"]
                .iter()
                .filter_map(|word| line.find(word))
                .min();
            at.map(|at| line[..at].chars().count())
        };
        let columns: Vec<Option<usize>> = lines.iter().map(words_at).collect();
        assert!(columns.iter().all(|column| column.is_some() && *column == columns[0]), "{text}");
    }

    #[test]
    fn an_empty_record_says_so() {
        let record = Record { targets: Vec::new(), comparisons: Vec::new(), ..sample::small() };
        assert!(terminal(&record, Style::default()).contains("nothing was measured"));
    }
}
