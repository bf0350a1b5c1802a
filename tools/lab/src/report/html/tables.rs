//! The page's tables: what its pictures show, in figures.

use core::fmt::{self, Write};

use hpb_chart::escaped;
use hpb_chart::format::{grouped, millis, nanos, significant};

use crate::record::{Interval, Noise};
use crate::report::agents;
use crate::report::beyond::MEANING;
use crate::report::figures::{
    PERCENTILES, Shown, Target, carried, multiple, plain, range_text, spread, spread_text, verdict,
};
use crate::report::picture::{colour, figure_name, repeats};
use crate::report::terminal::clock_error;

/// Rows of the table of a run's course.
const PARTS: usize = 10;

fn head(out: &mut String, class: &str, columns: &[String]) -> fmt::Result {
    write!(out, "<div class=\"scroll\"><table class=\"{class}\">\n<thead><tr>")?;
    for column in columns {
        write!(out, "<th scope=\"col\">{}</th>", escaped(column))?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")
}

fn foot(out: &mut String) -> fmt::Result {
    writeln!(out, "</tbody>\n</table></div>")
}

fn name(out: &mut String, place: usize, target: &Target<'_>) -> fmt::Result {
    write!(out, "<tr><th scope=\"row\" class=\"{}\">{}</th>", colour(place), escaped(&plain(&target.of.name, 60)))
}

fn percentile_columns(first: &[&str]) -> Vec<String> {
    let percentiles = PERCENTILES.into_iter().map(|percent| format!("p{percent}"));
    first.iter().map(|text| (*text).to_owned()).chain(percentiles).chain(["Largest".to_owned()]).collect()
}

/// Percentiles with their intervals, the same from the actual sending, and the floor.
pub(super) fn latency(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    head(out, "latency", &percentile_columns(&["Target", "Messages"]))?;
    let mut is_noise_told = false;
    for (place, target) in shown.targets.iter().enumerate() {
        name(out, place, target)?;
        write!(out, "<td>{}</td>", grouped(target.counts.arrived))?;
        for (percent, figure) in PERCENTILES.into_iter().map(Some).chain([None]).zip(&target.figures) {
            let is_noise = percent.zip(*figure).is_some_and(|(percent, one)| shown.is_noise(percent, one.value));
            is_noise_told |= is_noise;
            write!(out, "<td>{}</td>", cell(*figure, is_noise))?;
        }
        writeln!(out, "</tr>")?;
        if let Some(error) = clock_error(target) {
            let columns = PERCENTILES.len() + 2;
            writeln!(out, "<tr class=\"quiet\"><th scope=\"row\"></th><td colspan=\"{columns}\">{error}</td></tr>")?;
        }
        if target.service.count() == 0 {
            // Nobody knows when these did leave.
            continue;
        }
        write!(out, "<tr class=\"quiet\"><th scope=\"row\">from the actual sending</th><td></td>")?;
        for percent in PERCENTILES {
            write!(out, "<td>{}</td>", carried(&target.service, percent).map_or("–".to_owned(), nanos))?;
        }
        #[allow(clippy::cast_precision_loss, reason = "figures for people")]
        let max = target.service.max().map_or("–".to_owned(), |ns| nanos(ns as f64));
        writeln!(out, "<td>{max}</td></tr>")?;
    }
    if let Some(floor) = &shown.floor {
        write!(out, "<tr class=\"quiet\"><th scope=\"row\">noise floor</th><td></td>")?;
        for percent in PERCENTILES {
            write!(out, "<td>{}</td>", nanos(floor.at(percent)))?;
        }
        writeln!(out, "<td>{}</td></tr>", nanos(floor.max()))?;
    }
    foot(out)?;
    let mut text =
        "Means over repeats, with the 95 % interval below; a dash where fewer than ten messages lie above a \
                    percentile."
            .to_owned();
    if shown.targets.iter().any(|target| target.service.count() > 0) {
        text += " From the actual sending: what a tool without intended times would have said, all repeats together.";
    }
    if is_noise_told {
        text += " ~: half of it or more may be this machine's noise and not the target's.";
    }
    writeln!(out, "<p class=\"lead\">{text}</p>")
}

fn cell(figure: Option<Interval>, is_noise: bool) -> String {
    let Some(figure) = figure else { return "–".to_owned() };
    let mark = if is_noise { "~" } else { "" };
    let below =
        spread(figure).map(|share| format!("<small>{}</small>", escaped(&spread_text(share)))).unwrap_or_default();
    format!("{mark}{}{below}", nanos(figure.value))
}

/// What was counted, and what it cost.
pub(super) fn counts(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    let columns = [
        "Target",
        "Meant to leave",
        "Left",
        "Lost",
        "Duplicated",
        "Reordered",
        "Sent again",
        "Frames lost",
        "Sessions lost",
        "A second",
        "CPU a message",
    ];
    head(out, "counts", &columns.map(str::to_owned))?;
    for (place, target) in shown.targets.iter().enumerate() {
        let counts = &target.counts;
        name(out, place, target)?;
        for count in [
            counts.intended,
            counts.sent,
            counts.lost,
            counts.duplicated,
            counts.out_of_order,
            counts.retransmitted,
            counts.frames_lost,
            counts.sessions_lost,
        ] {
            write!(out, "<td>{}</td>", grouped(count))?;
        }
        write!(out, "<td>{}</td>", significant(target.per_second.value))?;
        writeln!(out, "<td>{}</td></tr>", cell(target.cpu_ns, false))?;
    }
    foot(out)
}

/// Ratios in figures.
pub(super) fn ratios(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    head(out, "ratios", &["Target", "Base", "Figure", "Ratio", "95 % interval", "Verdict"].map(str::to_owned))?;
    for one in &shown.record.comparisons {
        let (target, base) = (escaped(&plain(&one.target, 60)), escaped(&plain(&one.base, 60)));
        let class = match one.verdict.as_deref() {
            Some("faster") => "good",
            Some(_) => "bad",
            None => "none",
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{target}</th><td>{base}</td><td>{}</td><td>{} ×</td><td>{}</td>\
             <td class=\"{class}\">{}</td></tr>",
            escaped(&figure_name(&one.figure)),
            multiple(one.ratio.value),
            range_text(one.ratio),
            verdict(&one.figure, one.verdict.as_deref(), repeats(shown, one))
        )?;
    }
    foot(out)
}

/// The run's course in ten parts: of each repeat's steps the worst.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn series(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    writeln!(out, "<details><summary>The same in figures, a tenth of the run a row</summary>")?;
    let columns = ["Target", "From", "Arrived", "Lost", "Highest median of a step", "Highest p99 of a step", "Largest"];
    head(out, "series", &columns.map(str::to_owned))?;
    for (place, target) in shown.targets.iter().enumerate() {
        let series = || target.of.repeats.iter().map(|repeat| &repeat.series);
        let count = series().map(|series| series.steps.len()).max().unwrap_or(0);
        let length = count.div_ceil(PARTS).max(1);
        for part in 0..count.div_ceil(length) {
            let steps = || series().flat_map(|series| series.steps.iter().skip(part * length).take(length));
            let sum = |of: fn(&crate::record::Step) -> u64| steps().map(of).fold(0, u64::saturating_add);
            let most = |of: fn(&crate::record::Step) -> u64| steps().map(of).max().unwrap_or(0) as f64;
            let step_ns = series().map(|series| series.step_ns).max().unwrap_or(0) as f64;
            name(out, place, target)?;
            writeln!(
                out,
                "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                nanos((part * length) as f64 * step_ns),
                grouped(sum(|step| step.arrived)),
                grouped(sum(|step| step.expected.saturating_sub(step.arrived))),
                nanos(most(|step| step.p50_ns)),
                nanos(most(|step| step.p99_ns)),
                nanos(most(|step| step.max_ns))
            )?;
        }
    }
    foot(out)?;
    writeln!(out, "</details>")
}

/// What was measured beyond what the links applied.
pub(super) fn beyond(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    head(out, "beyond", &percentile_columns(&["Target", "Of", "Ways"]))?;
    for (place, target) in shown.targets.iter().enumerate() {
        let Some(beyond) = &target.beyond else { continue };
        for (label, figures) in beyond.rows() {
            name(out, place, target)?;
            write!(out, "<td>{label}</td><td>{}</td>", grouped(beyond.ways()))?;
            for figure in figures {
                write!(out, "<td>{}</td>", figure.map_or("–".to_owned(), nanos))?;
            }
            writeln!(out, "</tr>")?;
        }
    }
    foot(out)?;
    writeln!(out, "<p class=\"lead\">{MEANING}</p>")
}

/// The agents, and how well their clocks are known.
pub(super) fn agents(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    let columns = ["Agent", "Part", "Clock", "Runs fast by", "Known to", "Planted", "Host", "Machine", "Kept right by"];
    head(out, "agents", &columns.map(str::to_owned))?;
    for agent in &shown.record.agents {
        write!(out, "<tr><th scope=\"row\">{}</th><td>{}</td>", escaped(&agent.name), escaped(&agent.role))?;
        for cell in agents::cells(agent) {
            write!(out, "<td>{cell}</td>")?;
        }
        for text in [&agent.host, &agent.machine, &agent.discipline] {
            write!(out, "<td>{}</td>", escaped(&plain(text, 160)))?;
        }
        writeln!(out, "</tr>")?;
    }
    foot(out)?;
    writeln!(out, "<p class=\"lead\">{}</p>", escaped(agents::MEANING))
}

/// Each hop's percentiles.
pub(super) fn hops(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    head(out, "hops", &percentile_columns(&["Target", "Way", "Hop"]))?;
    for (place, target) in shown.targets.iter().enumerate() {
        for hop in &target.hops {
            name(out, place, target)?;
            let way = if hop.is_back { "back" } else { "there" };
            write!(out, "<td>{way}</td><td>{}</td>", escaped(&plain(&hop.name, 40)))?;
            for percent in PERCENTILES {
                write!(out, "<td>{}</td>", carried(&hop.time, percent).map_or("–".to_owned(), nanos))?;
            }
            #[allow(clippy::cast_precision_loss, reason = "figures for people")]
            let max = hop.time.max().map_or("–".to_owned(), |ns| nanos(ns as f64));
            writeln!(out, "<td>{max}</td></tr>")?;
        }
    }
    foot(out)
}

/// What was asked of the figures.
pub(super) fn limits(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    head(out, "limits", &["Limit", "Target", "Found", ""].map(str::to_owned))?;
    for limit in &shown.record.limits {
        let (class, word) = if limit.holds { ("good", "✓ held") } else { ("bad", "✗ missed") };
        let (text, target) = (escaped(&limit.text), escaped(&limit.target));
        writeln!(
            out,
            "<tr><th scope=\"row\"><code>{text}</code></th><td>{target}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            significant(limit.found)
        )?;
    }
    foot(out)
}

/// The machine, its noise before and beside the repeats, what carried the messages, and what a reader must know.
pub(super) fn conditions(out: &mut String, shown: &Shown<'_>) -> fmt::Result {
    let record = shown.record;
    writeln!(out, "<dl>")?;
    let mut row = |term: &str, text: &str| {
        if text.is_empty() { Ok(()) } else { writeln!(out, "<dt>{term}</dt><dd>{}</dd>", escaped(text)) }
    };
    if let Some(machine) = &record.machine {
        row("Processor", &format!("{} × {}", machine.processors, machine.processor))?;
        row("Kernel", &machine.kernel)?;
        row("Clock source", &machine.clock_source)?;
        row("Governor", &machine.governor)?;
        row("Hypervisor", &machine.hypervisor)?;
        row("Isolated processors", &machine.isolated)?;
        row("Congestion control of the kernel", &machine.congestion_control)?;
    }
    if let Some(noise) = &record.noise {
        row("An idle spin before it", &noise_text(noise))?;
    }
    for target in &shown.targets {
        row(&escaped(&plain(&target.of.name, 60)), &target.of.about)?;
        for (number, repeat) in target.of.repeats.iter().enumerate() {
            if let Some(noise) = &repeat.noise {
                let name = escaped(&plain(&target.of.name, 60));
                row(&format!("Beside {name}, repeat {}", number + 1), &noise_text(noise))?;
            }
        }
    }
    if record.scenario.is_virtual {
        row("Clock", "virtual time: exact, and the same on every machine")?;
    }
    writeln!(out, "</dl>")?;
    if record.notes.is_empty() {
        return Ok(());
    }
    writeln!(out, "<ul class=\"notes\">")?;
    for note in &record.notes {
        writeln!(out, "<li>{}</li>", escaped(note))?;
    }
    writeln!(out, "</ul>")
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn noise_text(noise: &Noise) -> String {
    format!(
        "longest gap {}, {} of processor time stolen by the host, in {}; reading the clock takes {}",
        noise.gaps.max().map_or("none".to_owned(), |ns| nanos(ns as f64)),
        millis(noise.stolen_ms),
        nanos(noise.spun_ns as f64),
        nanos(noise.clock_read_ns as f64)
    )
}
