//! `report.html`: one file that needs nothing else, has no script, reads on screen, light or dark, and on paper.

mod tables;

use core::fmt::{self, Write};

use hpb_chart::escaped;
use hpb_chart::format::{counted, significant, utc};
use hpb_chart::report::{COLOURS, PAGE_STYLE};

use super::figures::{Shown, multiple, plain, verdict};
use super::picture::{Kind, Picture, STYLE, repeats};
use crate::record::Record;

const OWN_STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn page(shown: &Shown<'_>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_page(&mut out, shown);
    out
}

fn write_page(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    let record = shown.record;
    let name = escaped(&plain(&record.scenario.name, 120));
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">")?;
    writeln!(
        out,
        "<title>{name} · HPB latency lab</title>\n<style>\n{COLOURS}{PAGE_STYLE}{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n<main>"
    )?;
    write_head(out, record, &name)?;
    write_findings(out, shown)?;
    writeln!(out, "</header>")?;
    let picture = |kind: Kind| kind.picture(shown);
    section(out, "Latency", &[picture(Kind::Percentiles)], |out| {
        tables::latency(out, shown)?;
        tables::counts(out, shown)
    })?;
    if let Some(ratios) = picture(Kind::Ratios) {
        section(out, "Comparison", &[Some(ratios)], |out| tables::ratios(out, shown))?;
    }
    section(out, "Distribution", &[picture(Kind::Distribution), picture(Kind::Excess)], |out| {
        if shown.targets.iter().any(|target| target.beyond.is_some()) { tables::beyond(out, shown) } else { Ok(()) }
    })?;
    section(out, "The run", &[picture(Kind::Series)], |out| tables::series(out, shown))?;
    section(out, "Density", &[picture(Kind::Heat)], |_| Ok(()))?;
    if let Some(hops) = picture(Kind::Hops) {
        section(out, "Hops", &[Some(hops)], |out| tables::hops(out, shown))?;
    }
    if !record.limits.is_empty() {
        section(out, "Limits", &[], |out| tables::limits(out, shown))?;
    }
    if !record.agents.is_empty() {
        section(out, "Agents", &[], |out| tables::agents(out, shown))?;
    }
    section(out, "Conditions", &[], |out| tables::conditions(out, shown))?;
    section(out, "Scenario", &[], |out| write_scenario(out, record))?;
    writeln!(out, "</main>\n</body>\n</html>")
}

/// A section: its pictures, two beside each other where there are two, and what follows them.
fn section(
    out: &mut String,
    title: &str,
    pictures: &[Option<Picture>],
    rest: impl Fn(&mut String) -> fmt::Result,
) -> fmt::Result {
    let drawn: Vec<&Picture> = pictures.iter().flatten().collect();
    if drawn.is_empty() && !pictures.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section>\n<h2>{title}</h2>")?;
    if pictures.len() > 1 {
        writeln!(out, "<div class=\"pair\">")?;
    }
    for picture in drawn {
        out.push_str(&picture.figure());
    }
    if pictures.len() > 1 {
        writeln!(out, "</div>")?;
    }
    rest(out)?;
    writeln!(out, "</section>")
}

fn write_head(out: &mut String, record: &Record, name: &str) -> fmt::Result {
    let scenario = &record.scenario;
    let mut facts = Vec::new();
    if record.began_unix_ms > 0 {
        facts.push(utc(record.began_unix_ms));
    }
    facts.push(if scenario.is_virtual { "virtual time" } else { "this machine's clock" }.to_owned());
    facts.push(format!("seed {}", scenario.seed));
    let repeats = record.targets.iter().map(|target| target.repeats.len()).max().unwrap_or(0);
    facts.push(counted(repeats as u64, "repeat"));
    if let Some(machine) = &record.machine {
        facts.push(format!("{}, {}", machine.processor, counted(machine.processors.into(), "processor")));
    }
    facts.push(format!("version {}", record.version));
    writeln!(out, "<header>\n<p class=\"over\">HPB latency lab</p>\n<h1>{name}</h1>")?;
    writeln!(out, "<p class=\"about\">{}</p>", escaped(&scenario.about))?;
    writeln!(out, "<p class=\"facts\">{}</p>", escaped(&facts.join(" · ")))
}

/// What the figures say, in sentences: median and tail of each target beside the base, limits, losses.
fn write_findings(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    let record = shown.record;
    let mut findings: Vec<(&str, &str, String)> = Vec::new();
    for one in record.comparisons.iter().filter(|one| ["p50", "p99"].contains(&one.figure.as_str())) {
        let (class, mark) = match one.verdict.as_deref() {
            Some("faster") => ("good", "↓"),
            Some(_) => ("bad", "↑"),
            None => ("none", "="),
        };
        let words = verdict(&one.figure, one.verdict.as_deref(), repeats(shown, one));
        let range = super::figures::range_text(one.ratio);
        let range = if range.is_empty() { range } else { format!(" ({range})") };
        let (ratio, figure) = (multiple(one.ratio.value), &one.figure);
        findings.push((
            class,
            mark,
            format!("{}: {figure} is {ratio} × that of {}{range}: {words}", one.target, one.base),
        ));
    }
    for limit in &record.limits {
        let (class, mark, word) = if limit.holds { ("good", "✓", "held") } else { ("bad", "✗", "missed") };
        let text = format!("{}: {} {word}, with {}", limit.target, limit.text, significant(limit.found));
        findings.push((class, mark, text));
    }
    for target in shown.targets.iter().filter(|target| target.counts.lost > 0) {
        let lost = counted(target.counts.lost, "message");
        findings.push(("bad", "!", format!("{}: {lost} never arrived", target.of.name)));
    }
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "<ul class=\"findings\">")?;
    for (class, mark, text) in findings {
        writeln!(out, "<li><b class=\"{class}\" aria-hidden=\"true\">{mark}</b>{}</li>", escaped(&text))?;
    }
    writeln!(out, "</ul>")
}

fn write_scenario(out: &mut String, record: &Record) -> fmt::Result {
    let scenario = &record.scenario;
    writeln!(
        out,
        "<p class=\"lead\">Run it again with the text below in a file of its own, or by its name if it is one of those \
         that <code>hpb lab list</code> tells. On virtual time the figures come out the same; on a machine's clock \
         they do within their intervals.</p>"
    )?;
    let command = format!("hpb lab run {}.toml --seed {} --report again", plain(&scenario.name, 80), scenario.seed);
    writeln!(out, "<pre>{}</pre>", escaped(&command))?;
    writeln!(out, "<pre>{}</pre>", escaped(&scenario.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    fn page_of(record: &Record) -> String {
        page(&Shown::new(record))
    }

    #[test]
    fn the_page_needs_nothing_else_and_has_no_script() {
        for record in [sample::record(), sample::small()] {
            let page = page_of(&record);
            for foreign in ["http", "//cdn", "url(", "@import", " src=", "<script"] {
                assert!(!page.contains(foreign), "{foreign}");
            }
            let references: Vec<&str> = page.match_indices("href=").map(|(at, _)| &page[at..at + 13]).collect();
            assert_eq!(references, ["href=\"data:,\""]);
        }
    }

    #[test]
    fn elements_are_closed_and_identities_are_one_each() {
        let page = page_of(&sample::record());
        for element in [
            "main", "header", "section", "div", "dl", "figure", "svg", "g", "text", "table", "tbody", "tr", "td", "th",
            "p", "li", "pre", "small", "details",
        ] {
            let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
            assert!(opened > 0, "{element}");
        }
        let identities: Vec<&str> =
            page.match_indices(" id=\"").map(|(at, _)| page[at + 5..].split('"').next().unwrap_or_default()).collect();
        let mut once = identities.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), identities.len());
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn what_a_run_was_called_cannot_break_the_page() {
        let mut record = sample::record();
        record.scenario.name = "</title><script>".to_owned();
        record.scenario.text = "</pre><script>".to_owned();
        record.targets[1].name = "\"><script>".to_owned();
        record.comparisons[0].target = "<script>".to_owned();
        record.limits[0].text = "<script>".to_owned();
        record.notes = vec!["<script>".to_owned()];
        assert!(!page_of(&record).contains("<script"));
    }

    #[test]
    fn pictures_are_there_where_the_record_has_them() {
        let full = page_of(&sample::record());
        assert_eq!(full.matches("<figure").count(), Kind::ALL.len());
        let small = page_of(&sample::small());
        assert_eq!(small.matches("<figure").count(), 4);
        for absent in ["Comparison</h2>", "Limits</h2>", "Hops</h2>"] {
            assert!(full.contains(absent) && !small.contains(absent), "{absent}");
        }
    }
}
