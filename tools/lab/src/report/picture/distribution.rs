//! The whole distribution: the share of messages within a latency.

use core::fmt::{self, Write};

use hpb_chart::axis::{Axis, Scale};
use hpb_chart::{escaped, rounded};

use super::plot::{Plot, latencies};
use super::{HALF, Kind, Picture, Shown, colour};
use crate::record::Buckets;
use crate::report::figures::plain;

/// Points of a curve.
const POINTS: u32 = 400;
/// The percentile at which the picture ends: what lies above is the tail's own picture.
const END: f64 = 99.9;

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let ends = shown.targets.iter().flat_map(|target| [0.0, END].map(|percent| target.latency.percentile(percent)));
    let ends: Vec<f64> = ends.flatten().map(|ns| ns as f64).collect();
    if ends.is_empty() {
        return None;
    }
    let ticks = [0.0, 25.0, 50.0, 75.0, 100.0].map(|share| (share, format!("{share} %"))).to_vec();
    let plot = Plot {
        left: 52.0,
        right: HALF - 30.0,
        top: 14.0,
        bottom: 290.0,
        x: latencies(ends.into_iter(), "latency"),
        y: Axis { scale: Scale::Linear, low: 0.0, high: 100.0, ticks, title: "" },
    };
    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut body, shown, &plot);
    Some(Picture {
        kind: Kind::Distribution,
        title: "Share of messages within a latency".to_owned(),
        note:
            "Steep where messages are alike; a step is a second way that some of them take. The largest of a thousand \
               is left out."
                .to_owned(),
        width: HALF,
        height: 336.0,
        body,
    })
}

fn write(out: &mut String, shown: &Shown<'_>, plot: &Plot) -> fmt::Result {
    plot.write_y(out)?;
    plot.write_x(out)?;
    let targets = shown.targets.iter().enumerate().filter(|(_, target)| target.latency.count() > 0);
    for (place, target) in targets.clone() {
        let path = plot.line(shares(&target.latency, plot).into_iter().map(Some));
        writeln!(out, r#"<path class="line {}" d="{path}"/>"#, colour(place))?;
    }
    for (place, target) in targets {
        // Each name at a height of its own, beside its curve.
        let share = 100.0 * (place as f64 + 1.0) / (shown.targets.len() as f64 + 1.0);
        let x = plot.x_px(target.latency.percentile(share).unwrap_or(0) as f64);
        let (name, y) = (escaped(&plain(&target.of.name, 20)), plot.y_px(share));
        let (x, anchor) = if x > f64::midpoint(plot.left, plot.right) { (x - 9.0, "end") } else { (x + 9.0, "start") };
        let (x, class) = (rounded(x), colour(place));
        writeln!(out, r#"<text class="label {class}" x="{x}" y="{y}" dy="4" text-anchor="{anchor}">{name}</text>"#)?;
    }
    Ok(())
}

/// The share of all values at or below each place of the axis.
fn shares(buckets: &Buckets, plot: &Plot) -> Vec<(f64, f64)> {
    let all = buckets.count().max(1) as f64;
    let mut values = buckets.0.iter().peekable();
    let mut below = 0.0;
    (0..=POINTS)
        .map(|point| {
            let ns = plot.x.value(f64::from(point) / f64::from(POINTS));
            while let Some((_, count)) = values.next_if(|(value, _)| *value as f64 <= ns) {
                below += *count as f64;
            }
            (ns, 100.0 * below / all)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_climb_to_all() {
        let buckets = Buckets(vec![(1_000, 1), (10_000, 1), (100_000, 2)]);
        let plot = Plot {
            left: 0.0,
            right: 100.0,
            top: 0.0,
            bottom: 100.0,
            x: latencies([1e3, 1e5].into_iter(), ""),
            y: Axis::from_zero(100.0, "", |_| String::new()),
        };
        let shares = shares(&buckets, &plot);
        let at = |place: usize| shares[place].1.round() as u64;
        assert_eq!([at(0), at(190), at(210), at(400)], [25, 25, 50, 100]);
    }
}
