//! Latency over the run: median, 99th percentile and largest of each step, what arrived and what was lost, one panel a
//! target on the same scales, with the changes marked.

use core::fmt::{self, Write};

use hpb_chart::{escaped, rounded};

use super::plot::{Ending, Plot, latencies, seconds};
use super::{Kind, Picture, Shown, WIDE, colour};
use crate::record::{Series, TargetRecord};
use crate::report::figures::plain;

const TOP: f64 = 42.0;
const PANEL_HEIGHT: f64 = 190.0;
/// Of a panel, the room below for arrivals and losses, and between two panels.
const STRIP_HEIGHT: f64 = 26.0;
const STRIP_GAP: f64 = 6.0;
const PANEL_GAP: f64 = 58.0;

/// A step of all repeats together.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Step {
    at_s: f64,
    /// Medians over repeats; none where nothing arrived.
    p50_ns: Option<f64>,
    p99_ns: Option<f64>,
    /// The largest of all repeats.
    max_ns: Option<f64>,
    arrived: f64,
    lost: f64,
}

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let all: Vec<Vec<Step>> = shown.targets.iter().map(|target| gathered(steps(target.of))).collect();
    if all.iter().flatten().all(|step| step.max_ns.is_none()) {
        return None;
    }
    let longest = shown.targets.iter().flat_map(|target| &target.of.repeats).map(|repeat| length_s(&repeat.series));
    let longest = longest.fold(0.0, f64::max);
    let values = || all.iter().flatten().flat_map(|step| [step.p50_ns, step.max_ns]).flatten();
    let most = all.iter().flatten().map(|step| step.arrived + step.lost).fold(1.0, f64::max);
    let mut body = String::new();
    let mut bottom = TOP;
    for (place, steps) in all.iter().enumerate() {
        let is_last = place + 1 == all.len();
        let top = TOP + place as f64 * (PANEL_HEIGHT + PANEL_GAP);
        bottom = top + PANEL_HEIGHT;
        let plot = Plot {
            left: 70.0,
            right: WIDE - 80.0,
            top,
            bottom: bottom - STRIP_HEIGHT - STRIP_GAP,
            x: seconds(longest, if is_last { "since measuring began" } else { "" }),
            y: latencies(values(), ""),
        };
        // Writing to a string does not fail.
        let _ = write_panel(&mut body, shown, place, steps, &plot, most);
    }
    let mut note = "Median, 99th percentile and largest of the messages meant to leave in each step; over repeats the \
                    median of each, and the largest of all. Below: what arrived"
        .to_owned();
    let lost: f64 = all.iter().flatten().map(|step| step.lost).sum();
    note += if lost > 0.0 { ", and in red what was lost." } else { "; nothing that was counted was lost." };
    Some(Picture { kind: Kind::Series, title: "Over time".to_owned(), note, width: WIDE, height: bottom + 46.0, body })
}

fn length_s(series: &Series) -> f64 {
    series.step_ns as f64 / 1e9 * series.steps.len() as f64
}

fn steps(target: &TargetRecord) -> Vec<Step> {
    let series = || target.repeats.iter().map(|repeat| &repeat.series);
    let count = series().map(|series| series.steps.len()).max().unwrap_or(0);
    let step_s = series().map(|series| series.step_ns as f64 / 1e9).fold(0.0, f64::max);
    (0..count)
        .map(|place| {
            let at = || series().filter_map(|series| series.steps.get(place));
            let of = |value: fn(&crate::record::Step) -> u64| -> Vec<f64> {
                let mut values: Vec<f64> =
                    at().filter(|step| step.arrived > 0).map(|step| value(step) as f64).collect();
                values.sort_by(f64::total_cmp);
                values
            };
            let median = |values: Vec<f64>| values.get(values.len() / 2).copied();
            Step {
                at_s: (place as f64 + 0.5) * step_s,
                p50_ns: median(of(|step| step.p50_ns)),
                p99_ns: median(of(|step| step.p99_ns)),
                max_ns: of(|step| step.max_ns).last().copied(),
                arrived: at().map(|step| step.arrived as f64).sum(),
                lost: at().map(|step| step.expected.saturating_sub(step.arrived) as f64).sum(),
            }
        })
        .collect()
}

/// Where few steps hold anything (a broadcast now and then), several make one: the median of their medians, the largest of
/// the rest, so that there is a line to follow.
fn gathered(steps: Vec<Step>) -> Vec<Step> {
    let holding = steps.iter().filter(|step| step.arrived + step.lost > 0.0).count();
    let each = steps.len() / holding.max(1);
    if each < 2 {
        return steps;
    }
    steps
        .chunks(each)
        .map(|group| {
            let most = |of: fn(&Step) -> Option<f64>| group.iter().filter_map(of).max_by(f64::total_cmp);
            let mut medians: Vec<f64> = group.iter().filter_map(|step| step.p50_ns).collect();
            medians.sort_by(f64::total_cmp);
            Step {
                at_s: f64::midpoint(group[0].at_s, group[group.len() - 1].at_s),
                p50_ns: medians.get(medians.len() / 2).copied(),
                p99_ns: most(|step| step.p99_ns),
                max_ns: most(|step| step.max_ns),
                arrived: group.iter().map(|step| step.arrived).sum(),
                lost: group.iter().map(|step| step.lost).sum(),
            }
        })
        .collect()
}

fn write_panel(
    out: &mut String,
    shown: &Shown<'_>,
    place: usize,
    steps: &[Step],
    plot: &Plot,
    most: f64,
) -> fmt::Result {
    let class = colour(place);
    let (name, head_y) = (escaped(&plain(&shown.targets[place].of.name, 60)), plot.top - 10.0);
    writeln!(out, r#"<text class="head {class}" x="{}" y="{head_y}">{name}</text>"#, plot.left)?;
    plot.write_y(out)?;
    let of = |value: fn(&Step) -> Option<f64>| steps.iter().map(move |step| value(step).map(|ns| (step.at_s, ns)));
    let dots = of(|step| step.max_ns)
        .flatten()
        .fold(String::new(), |path, (x, y)| path + &format!("M{} {}h0", plot.x_px(x), plot.y_px(y)));
    writeln!(out, r#"<path class="dots {class}" d="{dots}"/>"#)?;
    writeln!(out, r#"<path class="line thin {class}" d="{}"/>"#, plot.line(of(|step| step.p99_ns)))?;
    writeln!(out, r#"<path class="line {class}" d="{}"/>"#, plot.line(of(|step| step.p50_ns)))?;
    write_strip(out, steps, plot, most, &class)?;
    write_marks(out, shown, plot, place == 0)?;
    let ending = |text, value: fn(&Step) -> Option<f64>| {
        let (_, ns) = of(value).flatten().last()?;
        Some(Ending { class: class.clone(), text, at: (plot.x.high, ns) })
    };
    let endings =
        [ending("p50", |step| step.p50_ns), ending("p99", |step| step.p99_ns), ending("max", |step| step.max_ns)];
    plot.write_endings(out, &endings.into_iter().flatten().collect::<Vec<_>>())
}

/// What arrived, and on top of it what was lost, as areas below the panel; then the axis.
fn write_strip(out: &mut String, steps: &[Step], plot: &Plot, most: f64, class: &str) -> fmt::Result {
    let floor = plot.bottom + STRIP_GAP + STRIP_HEIGHT;
    let (mut arrived, mut lost) = (String::new(), String::new());
    let step_s = steps.windows(2).map(|pair| pair[1].at_s - pair[0].at_s).fold(0.0, f64::max).max(steps_least_s(steps));
    for step in steps {
        let (left, right) = (plot.x_px(step.at_s - step_s / 2.0), plot.x_px(step.at_s + step_s / 2.0));
        let width = rounded((right.min(plot.right) - left).max(0.5));
        let height = rounded(step.arrived / most * STRIP_HEIGHT);
        write!(arrived, "M{left} {floor}v-{height}h{width}v{height}z")?;
        if step.lost > 0.0 {
            // At least a pixel and a half: a loss must be seen.
            let red = rounded((step.lost / most * STRIP_HEIGHT).max(1.5));
            write!(lost, "M{left} {}v-{red}h{width}v{red}z", rounded(floor - height))?;
        }
    }
    writeln!(out, r#"<path class="few {class}" d="{arrived}"/>"#)?;
    let (x, y) = (plot.right + 14.0, floor - STRIP_HEIGHT / 2.0);
    if lost.is_empty() {
        writeln!(out, r#"<text x="{x}" y="{y}" dy="4">arrived</text>"#)?;
    } else {
        writeln!(out, r#"<path class="lost" d="{lost}"/>"#)?;
        writeln!(out, r#"<text class="lost-text" x="{x}" y="{}" dy="4">lost</text>"#, y - 8.0)?;
        writeln!(out, r#"<text x="{x}" y="{}" dy="4">arrived</text>"#, y + 7.0)?;
    }
    let frame = Plot { bottom: floor, x: plot.x.clone(), y: plot.y.clone(), ..*plot };
    frame.write_x(out)
}

/// The length of a lone step, whose middle is known.
fn steps_least_s(steps: &[Step]) -> f64 {
    steps.first().map_or(0.0, |step| 2.0 * step.at_s)
}

/// A rule at each change, with its word on the first panel.
pub(super) fn write_marks(out: &mut String, shown: &Shown<'_>, plot: &Plot, is_named: bool) -> fmt::Result {
    for mark in &shown.record.scenario.marks {
        let at_s = mark.at_ns as f64 / 1e9;
        if at_s > plot.x.high {
            continue;
        }
        let (x, top, bottom) = (plot.x_px(at_s), plot.top, plot.bottom);
        writeln!(out, r#"<line class="rule" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>"#)?;
        if is_named {
            let (label, y) = (escaped(&plain(&mark.label, 40)), top - 10.0);
            writeln!(out, r#"<text class="mark" x="{x}" y="{y}" text-anchor="middle">{label}</text>"#)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn steps_that_hold_little_are_gathered_and_others_are_not() {
        let step = |at: usize| {
            let holds = at.is_multiple_of(6);
            let ns = holds.then_some(at as f64);
            let arrived = if holds { 100.0 } else { 0.0 };
            Step { at_s: at as f64 + 0.5, p50_ns: ns, p99_ns: ns, max_ns: ns, arrived, lost: 0.0 }
        };
        let sparse = gathered((0..600).map(step).collect());
        assert_eq!(sparse.len(), 100);
        assert!(sparse.iter().all(|step| step.arrived > 99.0 && step.p50_ns.is_some()));
        assert_eq!((sparse[1].at_s, sparse[1].max_ns), (9.0, Some(6.0)));
        let dense: Vec<Step> = (0..600).map(|at| step(at * 6)).collect();
        assert_eq!(gathered(dense.clone()), dense);
        assert_eq!(gathered(Vec::new()), Vec::new());
    }

    #[test]
    fn steps_of_repeats_are_taken_together() {
        let record = sample::record();
        let steps = steps(&record.targets[0]);
        assert_eq!(steps.len(), 589);
        let lost: f64 = steps.iter().map(|step| step.lost).sum();
        let counted: u64 = record.targets[0].repeats.iter().map(|repeat| repeat.counts.lost).sum();
        assert_eq!(lost as u64, counted);
        assert!(steps.iter().all(|step| step.p50_ns <= step.p99_ns && step.p99_ns <= step.max_ns));
        assert!(steps[300].p50_ns > steps[100].p50_ns, "the cable is longer in the middle");
    }
}
