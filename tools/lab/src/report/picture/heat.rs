//! How many messages lay at which latency when: time by latency, darker where more lie. It shows what percentiles hide:
//! two ways at once, a slow wave, a few far off.

use core::fmt::{self, Write};

use hpb_chart::axis::Axis;
use hpb_chart::format::nanos;
use hpb_chart::{escaped, rounded};

use super::plot::{Plot, seconds};
use super::series::write_marks;
use super::{Kind, Picture, Shown, WIDE, colour};
use crate::record::TargetRecord;
use crate::report::figures::plain;

const TOP: f64 = 42.0;
const PANEL_HEIGHT: f64 = 150.0;
const PANEL_GAP: f64 = 56.0;
/// Columns of time at most; steps beyond that are taken together.
const COLUMNS_MAX: usize = 160;
/// Shades, from one message to the most of any cell.
const SHADES: usize = 7;
/// Bands that are drawn: up to 2^40 nanoseconds, a quarter of an hour.
const BANDS_MAX: u32 = 160;

/// Messages by column of time and band of latency.
struct Cells {
    counts: Vec<Vec<u64>>,
    length_s: f64,
}

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let all: Vec<Cells> = shown.targets.iter().map(|target| Cells::new(target.of)).collect();
    let bands = || all.iter().flat_map(|cells| &cells.counts).flat_map(|column| filled(column)).map(|(band, _)| band);
    let (low, high) = (bands().min()?, bands().max()?);
    let most = all.iter().flat_map(|cells| &cells.counts).flatten().copied().max().unwrap_or(1);
    let longest = all.iter().map(|cells| cells.length_s).fold(0.0, f64::max);
    let mut body = String::new();
    let mut bottom = TOP;
    for (place, cells) in all.iter().enumerate() {
        let top = TOP + place as f64 * (PANEL_HEIGHT + PANEL_GAP);
        bottom = top + PANEL_HEIGHT;
        let title = if place + 1 == all.len() { "since measuring began" } else { "" };
        let y = latency_axis(low, high);
        let plot = Plot { left: 70.0, right: WIDE - 80.0, top, bottom, x: seconds(longest, title), y };
        // Writing to a string does not fail.
        let _ = write_panel(&mut body, shown, place, cells, &plot, most);
    }
    Some(Picture {
        kind: Kind::Heat,
        title: "Where messages lay".to_owned(),
        note: "Messages by the time at which they were meant to leave and by latency, all repeats over one another; \
               darker where more lie, by powers."
            .to_owned(),
        width: WIDE,
        height: bottom + 46.0,
        body,
    })
}

fn filled(column: &[u64]) -> impl Iterator<Item = (usize, u64)> {
    column.iter().copied().enumerate().filter(|(_, count)| *count > 0)
}

/// From the lower edge of a band to the upper edge of another, named at 1, 2, 5 or at decades.
fn latency_axis(low: usize, high: usize) -> Axis {
    let edge = |band: usize| (band as f64 / 4.0).exp2();
    let mut axis = Axis::decades(edge(low), edge(high + 1), "", nanos);
    (axis.low, axis.high) = (edge(low), edge(high + 1));
    axis.ticks.retain(|(value, _)| (edge(low) * 0.999..=edge(high + 1) * 1.001).contains(value));
    axis
}

impl Cells {
    fn new(target: &TargetRecord) -> Self {
        let steps = target.repeats.iter().map(|repeat| repeat.series.steps.len()).max().unwrap_or(0);
        let gathered = steps.div_ceil(COLUMNS_MAX).max(1);
        let mut counts = vec![Vec::new(); steps.div_ceil(gathered)];
        for repeat in &target.repeats {
            for (place, step) in repeat.series.steps.iter().enumerate() {
                let column: &mut Vec<u64> = &mut counts[place / gathered];
                for (band, count) in &step.bands {
                    let band = (*band).min(BANDS_MAX) as usize;
                    if column.len() <= band {
                        column.resize(band + 1, 0);
                    }
                    column[band] = column[band].saturating_add(*count);
                }
            }
        }
        let step_ns = target.repeats.iter().map(|repeat| repeat.series.step_ns).max().unwrap_or(0);
        Self { length_s: step_ns as f64 / 1e9 * (counts.len() * gathered) as f64, counts }
    }
}

fn write_panel(
    out: &mut String,
    shown: &Shown<'_>,
    place: usize,
    cells: &Cells,
    plot: &Plot,
    most: u64,
) -> fmt::Result {
    let (class, head_y) = (colour(place), plot.top - 10.0);
    let name = escaped(&plain(&shown.targets[place].of.name, 60));
    writeln!(out, r#"<text class="head {class}" x="{}" y="{head_y}">{name}</text>"#, plot.left)?;
    plot.write_y(out)?;
    for (shade, path) in paths(cells, plot, most).into_iter().enumerate() {
        if !path.is_empty() {
            let opacity = rounded(100.0 * (0.1 + 0.9 * shade as f64 / (SHADES - 1) as f64)) / 100.0;
            writeln!(out, r#"<path class="cells {class}" opacity="{opacity}" d="{path}"/>"#)?;
        }
    }
    write_marks(out, shown, plot, place == 0)?;
    plot.write_x(out)
}

/// One path a shade, of all its cells.
fn paths(cells: &Cells, plot: &Plot, most: u64) -> Vec<String> {
    let mut paths = vec![String::new(); SHADES];
    let width_s = cells.length_s / cells.counts.len().max(1) as f64;
    for (column, counts) in cells.counts.iter().enumerate() {
        let left = plot.x_px(column as f64 * width_s);
        let width = rounded(plot.x_px((column as f64 + 1.0) * width_s) - left);
        for (band, count) in filled(counts) {
            let (low, high) = ((band as f64 / 4.0).exp2(), ((band as f64 + 1.0) / 4.0).exp2());
            let (top, bottom) = (plot.y_px(high), plot.y_px(low));
            let share = (count as f64).ln_1p() / (most as f64).ln_1p();
            let shade = ((share * SHADES as f64) as usize).min(SHADES - 1);
            // Writing to a string does not fail.
            let _ = write!(paths[shade], "M{left} {top}h{width}v{}h-{width}z", rounded(bottom - top));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn every_message_is_in_a_cell() {
        let record = sample::record();
        let cells = Cells::new(&record.targets[1]);
        assert!(cells.counts.len() <= COLUMNS_MAX && cells.counts.len() > COLUMNS_MAX / 2);
        let drawn: u64 = cells.counts.iter().flatten().sum();
        assert_eq!(drawn, record.targets[1].repeats.iter().map(|repeat| repeat.counts.arrived).sum::<u64>());
    }
}
