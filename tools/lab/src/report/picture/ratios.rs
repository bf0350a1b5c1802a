//! Each target beside the base: ratios and where they lie. What crosses the line of one is no difference.

use core::fmt::{self, Write};

use hpb_chart::axis::Axis;
use hpb_chart::escaped;
use hpb_chart::format::significant;

use super::plot::Plot;
use super::{Kind, Picture, Shown, WIDE, colour};
use crate::record::Comparison;
use crate::report::figures::{Target, plain, range_text, verdict};

const TOP: f64 = 10.0;
const ROW_HEIGHT: f64 = 26.0;
const HEAD_HEIGHT: f64 = 32.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 730.0;
/// Ratios beyond this, either way, are drawn at the edge.
const FACTOR_MAX: f64 = 1_000.0;

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let comparisons = &shown.record.comparisons;
    if comparisons.is_empty() {
        return None;
    }
    let clamped = |value: f64| if value.is_finite() { value.clamp(1.0 / FACTOR_MAX, FACTOR_MAX) } else { FACTOR_MAX };
    let low = comparisons.iter().map(|one| clamped(one.ratio.low)).fold(0.8, f64::min);
    let high = comparisons.iter().map(|one| clamped(one.ratio.high)).fold(1.25, f64::max);
    let x = Axis::decades(low, high, "as a multiple of the base", |ratio| format!("{} ×", significant(ratio)));
    let heads = comparisons.chunk_by(|a, b| a.base == b.base && a.target == b.target).count();
    let bottom = TOP + heads as f64 * HEAD_HEIGHT + comparisons.len() as f64 * ROW_HEIGHT + 6.0;
    let y = Axis::from_zero(1.0, "", |_| String::new());
    let plot = Plot { left: LEFT, right: RIGHT, top: TOP + 6.0, bottom, x, y };
    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut body, shown, &plot);
    Some(Picture {
        kind: Kind::Ratios,
        title: "Against the base".to_owned(),
        note:
            "Each figure as a multiple of the base's, and where it lies with 95 % confidence over repeats. Left of the \
               line of one is less; a bar across it is no difference that these repeats show."
                .to_owned(),
        width: WIDE,
        height: bottom + 46.0,
        body,
    })
}

fn write(out: &mut String, shown: &Shown<'_>, plot: &Plot) -> fmt::Result {
    for (value, _) in &plot.x.ticks {
        let (x, top, bottom) = (plot.x_px(*value), plot.top, plot.bottom);
        writeln!(out, r#"<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>"#)?;
    }
    let one = plot.x_px(1.0);
    writeln!(out, r#"<line class="even" x1="{one}" x2="{one}" y1="{}" y2="{}"/>"#, plot.top, plot.bottom)?;
    plot.write_x(out)?;
    let mut y = TOP;
    for pair in shown.record.comparisons.chunk_by(|a, b| a.base == b.base && a.target == b.target) {
        let place = |name: &str| shown.targets.iter().position(|target| target.of.name == name).unwrap_or(0);
        let (class, base) = (colour(place(&pair[0].target)), colour(place(&pair[0].base)));
        let (target_name, base_name) = (plain(&pair[0].target, 40), plain(&pair[0].base, 40));
        let (target_name, base_name) = (escaped(&target_name), escaped(&base_name));
        writeln!(
            out,
            r#"<text class="head label {class}" x="0" y="{}">{target_name} <tspan class="{base}">against {base_name}</tspan></text>"#,
            y + 20.0
        )?;
        y += HEAD_HEIGHT;
        for comparison in pair {
            write_row(out, comparison, plot, y + ROW_HEIGHT / 2.0, shown)?;
            y += ROW_HEIGHT;
        }
    }
    Ok(())
}

fn write_row(out: &mut String, one: &Comparison, plot: &Plot, y: f64, shown: &Shown<'_>) -> fmt::Result {
    let class = match one.verdict.as_deref() {
        Some("faster") => "good",
        Some(_) => "bad",
        None => "none",
    };
    let ratio = one.ratio;
    let (low, middle, high) = (plot.x_px(ratio.low), plot.x_px(ratio.value), plot.x_px(ratio.high));
    let name = escaped(&figure_name(&one.figure));
    writeln!(out, r#"<text class="figure" x="0" y="{y}" dy="4">{name}</text>"#)?;
    if high > low {
        writeln!(
            out,
            r#"<path class="whisker {class}" d="M{low} {y}H{high}M{low} {}v8M{high} {}v8"/>"#,
            y - 4.0,
            y - 4.0
        )?;
    }
    writeln!(out, r#"<circle class="point {class}" cx="{middle}" cy="{y}" r="5"/>"#)?;
    let repeats = repeats(shown, one);
    let words = verdict(&one.figure, one.verdict.as_deref(), repeats);
    let range = range_text(ratio);
    writeln!(out, r#"<text class="figure" x="758" y="{y}" dy="4">{} ×</text>"#, significant(ratio.value))?;
    writeln!(out, r#"<text x="830" y="{y}" dy="4">{range}</text>"#)?;
    writeln!(out, r#"<text class="label {class}" x="960" y="{y}" dy="4">{words}</text>"#)
}

/// Repeats that a comparison stands on.
pub(in crate::report) fn repeats(shown: &Shown<'_>, one: &Comparison) -> usize {
    let of = |name: &str| shown.targets.iter().find(|target| target.of.name == name).map_or(0, Target::repeats);
    of(&one.base).min(of(&one.target))
}

/// A compared figure as people say it.
pub(in crate::report) fn figure_name(figure: &str) -> String {
    match figure {
        "cpu" => "CPU / message".to_owned(),
        "max" => "largest".to_owned(),
        other => plain(other, 14),
    }
}
