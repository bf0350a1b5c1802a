//! Latency by percentile: where the curves part is where targets differ, and the tail is as wide as the rest.

use core::fmt::{self, Write};

use super::plot::{Ending, Plot, latencies, tail};
use super::{Kind, Picture, Shown, WIDE, colour};
use crate::record::Buckets;
use crate::stats::carries;

/// Places at which a curve is drawn, each tenth of what is left above.
const PLACES_PER_DECADE: f64 = 40.0;

/// A distribution as a curve: place on the axis and value, as far as it has values.
pub(super) struct Curve {
    pub(super) points: Vec<(f64, f64)>,
    /// How many of them are carried by ten values above.
    pub(super) carried: usize,
}

impl Curve {
    pub(super) fn new(buckets: &Buckets) -> Self {
        let count = buckets.count();
        let all = count as f64;
        let mut points = Vec::new();
        let mut carried = 0;
        let mut values = buckets.0.iter();
        let mut below = 0.0;
        let mut value = 0.0;
        for place in 0.. {
            let x = f64::from(place) / PLACES_PER_DECADE;
            let above = 10f64.powf(-x);
            if all * above < 1.0 - 1e-9 {
                break;
            }
            let rank = (all * (1.0 - above)).max(1.0);
            while below < rank
                && let Some((next, times)) = values.next()
            {
                below += *times as f64;
                value = *next as f64;
            }
            points.push((x, value));
            if carries(&[count], 100.0 * (1.0 - above)) {
                carried = points.len();
            }
        }
        Self { points, carried }
    }
}

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let curves: Vec<Curve> = shown.targets.iter().map(|target| Curve::new(&target.latency)).collect();
    let most = shown.targets.iter().map(|target| target.latency.count()).max().filter(|count| *count > 0)?;
    let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let y = latencies(values, "");
    let plot = Plot { left: 70.0, right: WIDE - 170.0, top: 16.0, bottom: 380.0, x: tail(most as f64), y };
    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut body, shown, &curves, &plot);
    let mut note =
        "Latency that a share of all messages stays within, from the moment at which each was meant to leave; \
                    every step of the axis leads into a tenth of what was left."
            .to_owned();
    if shown.targets.iter().any(|target| target.repeats() > 1) {
        note += " The band reaches from the lowest repeat to the highest.";
    }
    note += " Dotted where fewer than ten messages lie above.";
    if shown.floor.is_some() {
        note += " Grey: what this machine alone adds to a message that arrives at any moment.";
    }
    Some(Picture {
        kind: Kind::Percentiles,
        title: "Latency by percentile".to_owned(),
        note,
        width: WIDE,
        height: 426.0,
        body,
    })
}

fn write(out: &mut String, shown: &Shown<'_>, curves: &[Curve], plot: &Plot) -> fmt::Result {
    plot.write_y(out)?;
    write_floor(out, shown, plot)?;
    plot.write_x(out)?;
    for (place, target) in shown.targets.iter().enumerate() {
        let repeats: Vec<Curve> = target.of.repeats.iter().map(|repeat| Curve::new(&repeat.latency)).collect();
        let band = band(&repeats);
        if repeats.len() > 1 && !band.is_empty() {
            writeln!(out, r#"<path class="band {}" d="{}"/>"#, colour(place), plot.between(&band))?;
        }
    }
    let mut endings = Vec::new();
    for ((place, target), curve) in shown.targets.iter().enumerate().zip(curves) {
        let Some(last) = curve.points.last() else { continue };
        write_curve(out, plot, curve, &colour(place))?;
        endings.push(Ending { class: colour(place), text: &target.of.name, at: *last });
    }
    plot.write_endings(out, &endings)
}

/// A curve, dotted from where few values carry it.
pub(super) fn write_curve(out: &mut String, plot: &Plot, curve: &Curve, class: &str) -> fmt::Result {
    let (dense, sparse) = (&curve.points[..curve.carried], &curve.points[curve.carried.saturating_sub(1)..]);
    let path = |points: &[(f64, f64)]| plot.line(points.iter().copied().map(Some));
    if dense.len() > 1 {
        writeln!(out, r#"<path class="line {class}" d="{}"/>"#, path(dense))?;
    }
    if sparse.len() > 1 {
        writeln!(out, r#"<path class="line sparse {class}" d="{}"/>"#, path(sparse))?;
    }
    Ok(())
}

/// The lowest and the highest repeat at each place that all of them reach.
fn band(repeats: &[Curve]) -> Vec<(f64, f64, f64)> {
    let reach = repeats.iter().map(|curve| curve.points.len()).min().unwrap_or(0);
    (0..reach)
        .map(|place| {
            let values = || repeats.iter().map(|curve| curve.points[place].1);
            (repeats[0].points[place].0, values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max))
        })
        .collect()
}

fn write_floor(out: &mut String, shown: &Shown<'_>, plot: &Plot) -> fmt::Result {
    let Some(floor) = &shown.floor else { return Ok(()) };
    let places = (plot.x.high * PLACES_PER_DECADE) as u32;
    let points: Vec<(f64, f64, f64)> = (0..=places)
        .map(|place| f64::from(place) / PLACES_PER_DECADE)
        .map(|x| (x, plot.y.low, floor.at(100.0 * (1.0 - 10f64.powf(-x)))))
        .collect();
    writeln!(out, r#"<path class="floor" d="{}"/>"#, plot.between(&points))?;
    // Its name stands where it has risen above the frame's lower edge, if it does.
    let risen = points.iter().rev().find(|(_, _, high)| *high > plot.y.low * 1.3);
    if let Some((_, _, high)) = risen {
        let (x, y) = (plot.right - 8.0, plot.y_px(*high).midpoint(plot.bottom) + 4.0);
        writeln!(
            out,
            r#"<text class="floor-text" x="{x}" y="{y}" text-anchor="end">noise floor of this machine</text>"#
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_reaches_as_far_as_its_values() {
        let buckets = Buckets((1..=1_000).map(|value| (value, 1)).collect());
        let curve = Curve::new(&buckets);
        assert_eq!(curve.points.len(), 121);
        for (place, percent) in [(0, 0.0), (40, 90.0), (80, 99.0)] {
            assert_eq!(Some(curve.points[place].1 as u64), buckets.percentile(percent), "{percent}");
        }
        assert_eq!(curve.carried, 81, "ten of a thousand lie above the 99th percentile");
        assert!(Curve::new(&Buckets::default()).points.is_empty());
    }
}
