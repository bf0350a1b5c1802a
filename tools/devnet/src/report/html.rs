//! `report.html`: one file that needs nothing else, reads on screen, light or dark, and on paper.
//!
//! Everything on it stands without its script, which only reads the charts under the pointer or the arrow keys.

use core::fmt::{self, Write};

use hpb_chart::axis::{Axis, Scale};
use hpb_chart::escaped;
use hpb_chart::report::{COLOURS, PAGE_STYLE};
use serde_json::{Map, Value};

use super::fields::{Figure, figures};
use super::format::{bytes, counted, grouped, micros, millis, seconds, significant, tokens, utc};
use super::svg::{Chart, Column, Labels, Line};
use super::turns;
use super::{Charts, CurvePoint, Level, Quantiles, Report, Second};
use crate::producers::EpochTurns;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Points of a time series on the page; longer runs are gathered into spans of several seconds.
const SERIES_POINTS_MAX: usize = 240;
/// Places at which a distribution is read under the pointer.
const SHARE_COLUMNS: u32 = 96;
/// The percentiles marked on the axis, as the shares that lie above them and their texts.
const PERCENTILES: [(f64, &str); 5] =
    [(0.5, "50 %"), (0.1, "90 %"), (0.01, "99 %"), (0.001, "99.9 %"), (1e-4, "99.99 %")];

/// The page.
///
/// # Errors
/// If a figure is not a number of JSON.
pub fn page(report: &Report, charts: &Charts) -> Result<String, serde_json::Error> {
    let figures = listed(report)?;
    let turns = &charts.turns;
    let charts = [tail_chart(report, charts), share_chart(charts), rate_chart(charts), confirmed_chart(report, charts)];
    let columns: Map<String, Value> = charts.iter().map(|chart| (chart.id.to_owned(), chart.columns())).collect();
    // Within a script element only `</` could end it early.
    let columns = serde_json::to_string(&columns)?.replace('<', "\\u003c");
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_page(&mut out, report, (&charts, turns), &figures, &columns);
    Ok(out)
}

/// The figures that the page lists: all but the epochs', which have a picture of their own.
fn listed(report: &Report) -> Result<Vec<Figure>, serde_json::Error> {
    Ok(figures(report)?.into_iter().filter(|figure| figure.path[0] != "epochs").collect())
}

fn write_page(
    out: &mut String,
    report: &Report,
    (charts, turns): (&[Chart], &[EpochTurns]),
    figures: &[Figure],
    columns: &str,
) -> fmt::Result {
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">")?;
    writeln!(
        out,
        "<title>HPB devnet report</title>\n<style>\n{COLOURS}{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>"
    )?;
    write_head(out, report)?;
    write_tiles(out, report)?;
    writeln!(out, "<section>\n<h2>Latency and rate</h2>")?;
    writeln!(out, "<p class=\"lead\">{}</p>\n<div class=\"charts\">", escaped(&lead(report)))?;
    for chart in charts {
        out.push_str(&chart.render());
    }
    writeln!(out, "</div>\n</section>")?;
    write_levels(out, report)?;
    turns::write_section(out, report, turns)?;
    write_figures(out, figures)?;
    writeln!(out, "</main>\n<script type=\"application/json\" id=\"columns\">{columns}</script>")?;
    writeln!(out, "<script>\n{SCRIPT}</script>\n</body>\n</html>")
}

fn write_head(out: &mut String, report: &Report) -> fmt::Result {
    let run = &report.run;
    let mut facts = vec![format!("version {}", run.version)];
    facts.extend(run.started_unix_ms.map(utc));
    facts.push(format!("{}, {}", run.cpu, counted(run.cores.into(), "core")));
    facts.push(run.kernel.clone());
    facts.push(run.runtime.clone());
    if run.virtual_time {
        facts.push("virtual time".to_owned());
    }
    let mut command = "hpb devnet".to_owned();
    for (name, value) in &run.arguments {
        let quote = if value.contains(' ') { "\"" } else { "" };
        write!(command, " --{name} {quote}{value}{quote}")?;
    }
    writeln!(out, "<header>\n<h1>Devnet report</h1>\n<p class=\"facts\">{}</p>", escaped(&facts.join(" · ")))?;
    writeln!(out, "<p class=\"command\"><code>{}</code></p>\n<ul class=\"findings\">", escaped(&command))?;
    for finding in report.findings() {
        let (class, mark) = if finding.good { ("good", "✓") } else { ("bad", "✗") };
        let text = escaped(&finding.text);
        writeln!(out, "<li class=\"{class}\"><span aria-hidden=\"true\">{mark}</span> {text}</li>")?;
    }
    writeln!(out, "</ul>\n</header>")
}

fn write_tiles(out: &mut String, report: &Report) -> fmt::Result {
    let (sessions, transactions, latency) = (&report.sessions, &report.transactions, &report.latency_us);
    let measured = |quantiles: &Quantiles, text: String| if quantiles.count == 0 { "–".to_owned() } else { text };
    let median = |quantiles: &Quantiles| measured(quantiles, micros(quantiles.p50));
    let spread = |quantiles: &Quantiles| measured(quantiles, format!("99 % within {}", micros(quantiles.p99)));
    let tiles = [
        (
            "Sessions",
            grouped(sessions.established),
            format!("of {} in {}, {} lost", grouped(sessions.target), millis(sessions.establish_ms), sessions.lost),
        ),
        (
            "Told final",
            grouped(transactions.finals),
            format!("of {} accepted, {} rejected", grouped(transactions.accepted), grouped(transactions.rejected)),
        ),
        ("Confirmed, median", median(&latency.confirmed_k), spread(&latency.confirmed_k)),
        ("Final, median", median(&latency.finals), spread(&latency.finals)),
        ("Rate", format!("{} tx/s", significant(report.rate_tps)), "told final, while submitting".to_owned()),
        (
            "Digest",
            format!("every {}", millis(report.digest_interval_ms)),
            format!("last terminal has it after {}", micros(report.broadcast_us.last)),
        ),
        ("Memory", bytes(report.rss_bytes), format!("{} a session on the card", bytes(sessions.bytes_per_session))),
        (
            "Processor",
            seconds(report.cpu_seconds),
            format!("on {} in {}", counted(report.run.cores.into(), "core"), seconds(report.run.seconds)),
        ),
    ];
    writeln!(out, "<dl class=\"tiles\">")?;
    for (name, value, detail) in tiles {
        let (value, detail) = (escaped(&value), escaped(&detail));
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd><dd class=\"detail\">{detail}</dd></div>")?;
    }
    writeln!(out, "</dl>")
}

fn lead(report: &Report) -> String {
    format!(
        "Measured at the terminal that sent the transaction, from the time at which it was meant to be sent. Confirmed \
         counts {} producers other than the slice's own; only final is never undone.",
        report.run.confirm_k
    )
}

fn write_levels(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "<section>\n<h2>Latency by level</h2>\n<div class=\"scroll\"><table class=\"levels\">\n<thead><tr>")?;
    for head in ["Level", "Transactions", "50 %", "90 %", "99 %", "99.9 %", "Longest"] {
        write!(out, "<th scope=\"col\">{head}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (level, quantiles) in Level::ALL.into_iter().zip(report.latency_us.by_level()) {
        write!(out, "<tr><th scope=\"row\" class=\"{}\">{}</th>", level.key(), level.label())?;
        write!(out, "<td>{}</td>", grouped(quantiles.count))?;
        for us in [quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p999, quantiles.max] {
            let text = if quantiles.count == 0 { "–".to_owned() } else { micros(us) };
            write!(out, "<td>{text}</td>")?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>\n</table></div>\n<p class=\"aside\">Supply: {}.</p>\n</section>", escaped(&supply(report)))
}

fn supply(report: &Report) -> String {
    let (genesis, now) = (tokens(report.supply.genesis), tokens(report.supply.now));
    if genesis == now {
        format!("{now} tokens at genesis and now")
    } else {
        format!("{genesis} tokens at genesis, {now} now")
    }
}

fn write_figures(out: &mut String, figures: &[Figure]) -> fmt::Result {
    writeln!(
        out,
        "<section>\n<h2>All figures</h2>\n<p class=\"lead\">As they stand in <code>report.json</code>, which has the epochs too.</p>"
    )?;
    writeln!(out, "<div class=\"scroll\"><table class=\"figures\">\n<thead><tr><th scope=\"col\">Field</th>")?;
    writeln!(out, "<th scope=\"col\">Value</th><th scope=\"col\">In the file</th><th scope=\"col\">Meaning</th>")?;
    writeln!(out, "</tr></thead>")?;
    let mut group: Option<&str> = None;
    for figure in figures {
        let first = figure.path.first().map(String::as_str);
        if first != group {
            let closing = if group.is_some() { "</tbody>\n" } else { "" };
            writeln!(out, "{closing}<tbody>")?;
            group = first;
        }
        let (name, raw, text) = (escaped(&figure.name()), escaped(&figure.raw()), escaped(&figure.text()));
        write!(out, "<tr><th scope=\"row\"><code>{name}</code></th>")?;
        if text == raw {
            write!(out, "<td class=\"reads\" colspan=\"2\">{raw}</td>")?;
        } else {
            write!(out, "<td class=\"reads\">{text}</td><td class=\"raw\">{raw}</td>")?;
        }
        writeln!(out, "<td>{}</td></tr>", escaped(figure.field.meaning))?;
    }
    writeln!(out, "</tbody>\n</table></div>\n</section>")
}

/// The tail: latency at each percentile from the median on, each step of the axis a tenth of what was left above.
fn tail_chart(report: &Report, charts: &Charts) -> Chart {
    let place = |point: &CurvePoint| -((1e6 - point.below_ppm) / 1e6).log10();
    let tails = charts.curves.each_ref().map(|curve| {
        let tail: Vec<(f64, f64)> = curve
            .iter()
            .filter(|point| point.below_ppm >= 499_999.0)
            .map(|point| (place(point), point.value_us as f64))
            .collect();
        tail
    });
    let columns = longest(&charts.curves)
        .iter()
        .filter(|point| point.below_ppm >= 499_999.0)
        .map(|point| Column {
            x: place(point),
            head: percentile(point.below_ppm),
            values: charts
                .curves
                .iter()
                .map(|curve| {
                    let at = curve.iter().rfind(|other| other.below_ppm <= point.below_ppm + 1e-6)?;
                    let ended = curve.last().is_some_and(|last| last.below_ppm + 1e-6 < point.below_ppm);
                    (!ended).then(|| (at.value_us as f64, micros(at.value_us)))
                })
                .collect(),
        })
        .collect();
    let confirmed = &report.latency_us.confirmed_k;
    let note = if confirmed.count == 0 {
        "Latency that a share of all transactions stays within; the scale leads into the tail.".to_owned()
    } else {
        format!(
            "Half of all transactions are confirmed within {}, 99.9 % within {}.",
            micros(confirmed.p50),
            micros(confirmed.p999)
        )
    };
    let ticks = PERCENTILES.map(|(above, text)| (-above.log10(), text.to_owned())).to_vec();
    let (low, high) = (ticks[0].0, ticks[ticks.len() - 1].0);
    Chart {
        id: "tail",
        title: "Latency by percentile",
        note,
        x: Axis { scale: Scale::Linear, low, high, ticks, title: "share of transactions told within" },
        y: latency_axis(tails.iter().flatten().map(|point| point.1), ""),
        lines: level_lines(tails),
        labels: Labels::Right,
        columns,
    }
}

/// The whole distribution: the share of transactions told within a latency.
fn share_chart(charts: &Charts) -> Chart {
    let curves = charts.curves.each_ref().map(|curve| {
        let points: Vec<(f64, f64)> =
            curve.iter().map(|point| (point.value_us as f64, point.below_ppm / 1e4)).collect();
        points
    });
    let x = latency_axis(curves.iter().flatten().map(|point| point.0), "latency");
    let columns = (0..=SHARE_COLUMNS)
        .map(|step| {
            let us = x.value(f64::from(step) / f64::from(SHARE_COLUMNS));
            let values = charts.curves.iter().map(|curve| {
                let share = share_below(curve, us)? / 1e4;
                Some((share, format!("{} %", significant(share))))
            });
            Column { x: us, head: format!("within {}", micros_of(us)), values: values.collect() }
        })
        .collect();
    let ticks = [0.0, 25.0, 50.0, 75.0, 100.0].map(|share| (share, format!("{share} %"))).to_vec();
    Chart {
        id: "share",
        title: "Share of transactions told",
        note: "How far the transactions have come some time after they were meant to be sent.".to_owned(),
        x,
        y: Axis { scale: Scale::Linear, low: 0.0, high: 100.0, ticks, title: "" },
        lines: level_lines(curves),
        labels: Labels::Above,
        columns,
    }
}

/// Transactions a second: sent, in a slice, final.
fn rate_chart(charts: &Charts) -> Chart {
    let spans = spans(&charts.seconds);
    let kinds: [(&str, &str, Count); 3] = [
        ("submitted", "submitted", |second| second.submitted),
        ("included wide", "included", |second| second.included),
        ("final narrow", "final", |second| second.finals),
    ];
    let rate = |span: &Span, count: Count| count(&span.seen) as f64 / span.seconds as f64;
    let lines: Vec<Line> = kinds
        .map(|(class, label, count)| Line {
            class,
            label: label.to_owned(),
            points: spans.iter().map(|span| Some((span.middle(), rate(span, count)))).collect(),
            filled: class == "submitted",
        })
        .to_vec();
    let columns = spans
        .iter()
        .map(|span| Column {
            x: span.middle(),
            head: span.text(),
            values: kinds
                .iter()
                .map(|(_, _, count)| {
                    let rate = rate(span, *count);
                    Some((rate, format!("{} tx/s", significant(rate))))
                })
                .collect(),
        })
        .collect();
    let highest = lines.iter().flat_map(|line| &line.points).flatten().map(|point| point.1).fold(0.0, f64::max);
    Chart {
        id: "rate",
        title: "Transactions a second",
        note: "Sent by the terminals, told included, told final, in each second of the run.".to_owned(),
        x: time_axis(&charts.seconds),
        y: Axis::from_zero(highest, "", significant),
        lines,
        labels: Labels::Beside,
        columns,
    }
}

/// Latency to `confirmed_k` of the transactions of each second.
fn confirmed_chart(report: &Report, charts: &Charts) -> Chart {
    let spans = spans(&charts.seconds);
    let kinds = [("confirmed_k", "median", 500), ("confirmed_k dashed", "99 %", 990)];
    let value = |span: &Span, per_mille| span.seen.confirmed_us(per_mille).map(|us| us as f64);
    let lines: Vec<Line> = kinds
        .map(|(class, label, per_mille)| Line {
            class,
            label: label.to_owned(),
            points: spans.iter().map(|span| value(span, per_mille).map(|us| (span.middle(), us))).collect(),
            filled: false,
        })
        .to_vec();
    let columns = spans
        .iter()
        .map(|span| Column {
            x: span.middle(),
            head: span.text(),
            values: kinds
                .iter()
                .map(|(_, _, per_mille)| value(span, *per_mille).map(|us| (us, micros_of(us))))
                .collect(),
        })
        .collect();
    let highest = lines.iter().flat_map(|line| &line.points).flatten().map(|point| point.1).fold(0.0, f64::max);
    Chart {
        id: "confirmed",
        title: "Latency to confirmed, over the run",
        note: format!(
            "Of the transactions meant to be sent in each second, until {} other producers confirmed.",
            report.run.confirm_k
        ),
        x: time_axis(&charts.seconds),
        y: Axis::from_zero(highest, "", |us| if us > 0.0 { micros_of(us) } else { "0".to_owned() }),
        lines,
        labels: Labels::Right,
        columns,
    }
}

fn level_lines(curves: [Vec<(f64, f64)>; 5]) -> Vec<Line> {
    Level::ALL
        .into_iter()
        .zip(curves)
        .map(|(level, points)| Line {
            class: level.key(),
            label: level.label().to_owned(),
            points: points.into_iter().map(Some).collect(),
            filled: false,
        })
        .collect()
}

/// The curve that reaches furthest into the tail.
fn longest(curves: &[Vec<CurvePoint>; 5]) -> &[CurvePoint] {
    let end = |curve: &&Vec<CurvePoint>| curve.last().map_or(0.0, |point| point.below_ppm);
    curves.iter().max_by(|a, b| end(a).total_cmp(&end(b))).map_or(&[], Vec::as_slice)
}

fn latency_axis(values: impl Iterator<Item = f64>, title: &'static str) -> Axis {
    let (low, high) = values.fold((f64::MAX, 0.0f64), |(low, high), us| (low.min(us), high.max(us)));
    let (low, high) = if high > 0.0 { (low, high) } else { (1e3, 1e6) };
    Axis::decades(low, high, title, micros_of)
}

fn time_axis(seconds: &[Second]) -> Axis {
    let length = (seconds.len() as f64).max(1.0);
    let mut axis = Axis::from_zero(length, "seconds since the first submission", significant);
    axis.high = length;
    axis.ticks.retain(|(at, _)| *at <= length);
    axis
}

/// The share of a curve's values, in a million, that lie at or below `us`; `None` without a curve.
fn share_below(curve: &[CurvePoint], us: f64) -> Option<f64> {
    let last = curve.last()?;
    let above = curve.partition_point(|point| point.value_us as f64 <= us);
    let Some(next) = curve.get(above) else { return Some(last.below_ppm) };
    let Some(before) = above.checked_sub(1).and_then(|place| curve.get(place)) else { return Some(0.0) };
    let part = (us - before.value_us as f64) / (next.value_us as f64 - before.value_us as f64);
    Some(before.below_ppm + part * (next.below_ppm - before.below_ppm))
}

fn percentile(below_ppm: f64) -> String {
    let per_cent = below_ppm / 1e4;
    let text = if per_cent < 99.0 { format!("{per_cent:.1}") } else { format!("{per_cent:.3}") };
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[allow(clippy::cast_sign_loss)] // latencies are not negative
fn micros_of(us: f64) -> String {
    micros(us.round() as u64)
}

/// What is counted of a second.
type Count = fn(&Second) -> u64;

/// Some seconds of a run, gathered.
struct Span {
    first: usize,
    seconds: usize,
    seen: Second,
}

impl Span {
    fn middle(&self) -> f64 {
        self.first as f64 + self.seconds as f64 / 2.0
    }

    fn text(&self) -> String {
        format!("{} to {} s", grouped(self.first as u64), grouped((self.first + self.seconds) as u64))
    }
}

fn spans(seconds: &[Second]) -> Vec<Span> {
    let length = seconds.len().div_ceil(SERIES_POINTS_MAX).max(1);
    seconds
        .chunks(length)
        .enumerate()
        .map(|(place, chunk)| {
            let mut seen = Second::default();
            for second in chunk {
                seen.merge(second);
            }
            Span { first: place * length, seconds: chunk.len(), seen }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::sample;
    use super::*;

    #[test]
    fn every_figure_is_on_the_page() {
        let (report, charts) = sample::run();
        let page = page(&report, &charts).unwrap();
        let figures = listed(&report).unwrap();
        assert!(figures.len() > 80);
        for figure in figures {
            let head = format!("<code>{}</code></th>", escaped(&figure.name()));
            let row = page.lines().find(|line| line.contains(&head)).unwrap();
            assert!(row.contains(&format!("\">{}</td>", escaped(&figure.raw()))), "{row}");
            assert!(row.contains(&escaped(figure.field.meaning)), "{row}");
        }
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let (report, charts) = sample::run();
        for page in [page(&report, &charts).unwrap(), page(&Report::default(), &Charts::default()).unwrap()] {
            for foreign in ["http", "//cdn", "url(", "@import", " src=", "fetch("] {
                assert!(!page.contains(foreign), "{foreign}");
            }
            let references: Vec<&str> = page.match_indices("href=").map(|(at, _)| &page[at..at + 13]).collect();
            assert_eq!(references, ["href=\"data:,\""]);
        }
    }

    #[test]
    fn what_a_run_was_called_cannot_break_the_page() {
        let (mut report, charts) = sample::run();
        report.run.kernel = "</script><b>\"&".to_owned();
        report.run.notes = vec!["</table><script>".to_owned()];
        let page = page(&report, &charts).unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches("</table>").count(), 3);
        assert!(page.contains("&lt;/script&gt;&lt;b&gt;&quot;&amp;"));
    }

    #[test]
    fn elements_are_closed() {
        let (report, charts) = sample::run();
        let page = page(&report, &charts).unwrap();
        for element in
            ["main", "header", "section", "div", "dl", "figure", "svg", "g", "text", "table", "tbody", "tr", "td", "th"]
        {
            let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
            assert!(opened > 0, "{element}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf "));
    }

    #[test]
    fn all_charts_have_lines_and_an_empty_run_says_so() {
        let (report, charts) = sample::run();
        let full = page(&report, &charts).unwrap();
        assert_eq!(full.matches("<path class=\"line ").count(), 5 + 5 + 2 + 2);
        assert_eq!(full.matches("<path class=\"area ").count(), 1);
        let empty = page(&Report::default(), &Charts::default()).unwrap();
        assert_eq!(empty.matches("nothing was measured</text>").count(), 4);
        assert!(!empty.contains("NaN"));
    }

    #[test]
    fn long_runs_are_gathered() {
        let mut second = Second::default();
        second.submitted = 3;
        let spans = spans(&vec![second; 500]);
        assert_eq!((spans.len(), spans[0].seconds, spans[0].seen.submitted), (167, 3, 9));
        let last = spans.last().unwrap();
        assert_eq!((last.first, last.seconds), (498, 2));
    }

    #[test]
    fn shares_are_read_between_points() {
        let curve = [(100_000.0, 10), (300_000.0, 20), (999_900.0, 20)]
            .map(|(below_ppm, value_us)| CurvePoint { below_ppm, value_us });
        assert_eq!(share_below(&curve, 5.0), Some(0.0));
        assert_eq!(share_below(&curve, 15.0), Some(200_000.0));
        assert_eq!(share_below(&curve, 20.0), Some(999_900.0));
        assert_eq!(share_below(&[], 20.0), None);
        assert_eq!([percentile(500_000.0), percentile(993_456.0)], ["50 %", "99.346 %"]);
    }
}
