//! Where the time went: hops stacked, there and back, at the median and at the 99th percentile.

use core::fmt::{self, Write};

use hpb_chart::axis::Axis;
use hpb_chart::format::nanos;
use hpb_chart::{escaped, rounded};

use super::plot::Plot;
use super::{Kind, Picture, Shown, WIDE, colour};
use crate::report::figures::{Target, carried, plain};

const TOP: f64 = 66.0;
const BAR_HEIGHT: f64 = 22.0;
/// From one way's bar to the other's, and between targets.
const BAR_STEP: f64 = 27.0;
const TARGET_GAP: f64 = 30.0;
/// Hops that are told apart by colour; what follows has the last one's.
const COLOURS: usize = 9;
/// Of these, the darker ones, on which figures are light.
const DARK_COLOURS: usize = 4;
/// The two panels: their percentile, and where they begin and end.
const PANELS: [(f64, f64, f64); 2] = [(50.0, 116.0, 560.0), (99.0, 640.0, 1084.0)];
/// Room that a hop's figure needs in its bar.
const TEXT_WIDTH: f64 = 50.0;

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let targets: Vec<(usize, &Target<'_>)> =
        shown.targets.iter().enumerate().filter(|(_, target)| !target.hops.is_empty()).collect();
    if targets.is_empty() {
        return None;
    }
    let mut body = String::new();
    let bottom = TOP + targets.len() as f64 * (2.0 * BAR_STEP + TARGET_GAP) - 14.0;
    // Writing to a string does not fail.
    let _ = write(&mut body, &targets, bottom);
    Some(Picture {
        kind: Kind::Hops,
        title: "Where the time goes".to_owned(),
        note:
            "Each hop's own median and 99th percentile, in the order in which messages pass them. Percentiles of parts \
               do not add up to the whole's: a message is seldom slow everywhere. Each side has a scale of its own."
                .to_owned(),
        width: WIDE,
        height: bottom + 46.0,
        body,
    })
}

fn write(out: &mut String, targets: &[(usize, &Target<'_>)], bottom: f64) -> fmt::Result {
    let names = names(targets);
    write_names(out, &names)?;
    for (percent, left, right) in PANELS {
        let ways = targets.iter().flat_map(|(_, target)| [false, true].map(|is_back| (target, is_back)));
        let longest =
            ways.map(|(target, is_back)| stack(target, percent, is_back).iter().map(|(_, ns)| ns).sum::<f64>());
        let x = Axis::from_zero(longest.fold(1.0, f64::max), "", nanos);
        let y = Axis::from_zero(1.0, "", |_| String::new());
        let plot = Plot { left, right, top: TOP - 12.0, bottom, x, y };
        for (value, _) in &plot.x.ticks {
            let (x, top) = (plot.x_px(*value), plot.top);
            writeln!(out, r#"<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>"#)?;
        }
        let title = if percent < 99.0 { "median of each hop" } else { "99th percentile of each hop" };
        writeln!(out, r#"<text class="figure" x="{left}" y="{}">{title}</text>"#, TOP - 22.0)?;
        plot.write_x(out)?;
        for (place, (number, target)) in targets.iter().enumerate() {
            let top = TOP + place as f64 * (2.0 * BAR_STEP + TARGET_GAP) + 8.0;
            if percent < 99.0 {
                let name = escaped(&plain(&target.of.name, 60));
                writeln!(out, r#"<text class="head {}" x="0" y="{}">{name}</text>"#, colour(*number), top - 4.0)?;
            }
            for is_back in [false, true] {
                let y = top + if is_back { BAR_STEP } else { 0.0 };
                write_bar(out, &plot, (target, percent, is_back), y, &names)?;
            }
        }
    }
    Ok(())
}

/// All hops' names in the order in which messages pass them, as far as the target with the most hops knows it.
fn names(targets: &[(usize, &Target<'_>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut targets = targets.to_vec();
    targets.sort_by_key(|(_, target)| std::cmp::Reverse(target.hops.len()));
    for hop in targets.iter().flat_map(|(_, target)| &target.hops) {
        if !names.contains(&hop.name) {
            names.push(hop.name.clone());
        }
    }
    names
}

fn hop_colour(names: &[String], name: &str) -> usize {
    names.iter().position(|other| other == name).unwrap_or(COLOURS).min(COLOURS - 1)
}

fn write_names(out: &mut String, names: &[String]) -> fmt::Result {
    let mut x = PANELS[0].1;
    for name in names {
        let (colour, text) = (hop_colour(names, name), plain(name, 24));
        writeln!(out, r#"<rect class="h{colour}" x="{x}" y="6" width="12" height="12" rx="2"/>"#)?;
        writeln!(out, r#"<text class="figure" x="{}" y="16">{}</text>"#, x + 18.0, escaped(&text))?;
        x += 44.0 + text.chars().count() as f64 * 7.0;
    }
    Ok(())
}

/// The hops of one way with their percentile, in nanoseconds.
fn stack<'a>(target: &'a Target<'_>, percent: f64, is_back: bool) -> Vec<(&'a str, f64)> {
    let hops = target.hops.iter().filter(|hop| hop.is_back == is_back);
    hops.map(|hop| (hop.name.as_str(), carried(&hop.time, percent).unwrap_or(0.0))).collect()
}

fn write_bar(
    out: &mut String,
    plot: &Plot,
    (target, percent, is_back): (&Target<'_>, f64, bool),
    y: f64,
    names: &[String],
) -> fmt::Result {
    let stack = stack(target, percent, is_back);
    if stack.is_empty() {
        // What goes one way has no way back.
        return Ok(());
    }
    let text_y = y + BAR_HEIGHT / 2.0;
    let (way, way_x) = (if is_back { "back" } else { "there" }, plot.left - 9.0);
    writeln!(out, r#"<text x="{way_x}" y="{text_y}" dy="4" text-anchor="end">{way}</text>"#)?;
    let mut before = 0.0;
    for (name, ns) in &stack {
        let (left, right) = (plot.x_px(before), plot.x_px(before + ns));
        before += ns;
        let (width, hop) = (rounded(right - left), hop_colour(names, name));
        let title = format!("{}: {}", escaped(&plain(name, 40)), nanos(*ns));
        writeln!(
            out,
            r#"<g><title>{title}</title><rect class="h{hop} gap" x="{left}" y="{y}" width="{width}" height="{BAR_HEIGHT}"/></g>"#
        )?;
        if width >= TEXT_WIDTH {
            let x = rounded(f64::midpoint(left, right));
            let ink = if hop < DARK_COLOURS { "on-dark" } else { "on-light" };
            writeln!(
                out,
                r#"<text class="{ink}" x="{x}" y="{text_y}" dy="4" text-anchor="middle">{}</text>"#,
                nanos(*ns)
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn hops_stack_in_their_order() {
        let record = sample::record();
        let shown = Shown::new(&record);
        let names: Vec<&str> = stack(&shown.targets[0], 50.0, true).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["application", "encryption", "tcp", "port", "wire"]);
        let sum: f64 = stack(&shown.targets[0], 50.0, false).iter().map(|(_, ns)| ns).sum();
        assert!((13_000.0..16_000.0).contains(&sum), "{sum}");
    }
}
