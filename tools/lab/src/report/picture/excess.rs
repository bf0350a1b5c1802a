//! What was measured beyond what the links applied to the very same messages: the carrier's own part.

use core::fmt::{self, Write};

use super::percentiles::{Curve, write_curve};
use super::plot::{Ending, Plot, latencies, tail};
use super::{HALF, Kind, Picture, Shown, colour};
use crate::record::{Buckets, Excess};

pub(super) fn picture(shown: &Shown<'_>) -> Option<Picture> {
    let excess = |place: usize| shown.targets[place].of.repeats.iter().filter_map(|repeat| repeat.excess.as_ref());
    let merged = |part: fn(&Excess) -> &Buckets| -> Vec<Curve> {
        (0..shown.targets.len()).map(|place| Curve::new(&Buckets::merged_all(excess(place).map(part)))).collect()
    };
    let (above, applied) = (merged(|excess| &excess.above), merged(|excess| &excess.applied));
    let drawn = || above.iter().chain(&applied).flat_map(|curve| &curve.points);
    let reach = drawn().map(|point| point.0).fold(0.0, f64::max);
    if above.iter().all(|curve| curve.points.is_empty()) {
        return None;
    }
    let below: u64 =
        (0..shown.targets.len()).flat_map(excess).fold(0, |sum, excess| sum.saturating_add(excess.below.count()));
    let mut x = tail(10f64.powf(reach));
    // Half a page has no room for the median's name beside the least one's.
    x.ticks.retain(|(at, _)| *at < 0.1 || *at > 0.9);
    let plot = Plot {
        left: 64.0,
        right: HALF - 104.0,
        top: 14.0,
        bottom: 290.0,
        x,
        y: latencies(drawn().map(|point| point.1), ""),
    };
    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut body, shown, (&above, &applied), &plot);
    let mut note =
        "Measured minus applied, message by message. Thin: what the links applied to those they held.".to_owned();
    if below > 0 {
        // Writing to a string does not fail.
        let _ = write!(note, " {below} messages were faster than what was applied: do not trust these clocks.");
    }
    Some(Picture {
        kind: Kind::Excess,
        title: "Beyond what the links applied".to_owned(),
        note,
        width: HALF,
        height: 336.0,
        body,
    })
}

fn write(out: &mut String, shown: &Shown<'_>, (above, applied): (&[Curve], &[Curve]), plot: &Plot) -> fmt::Result {
    plot.write_y(out)?;
    plot.write_x(out)?;
    let mut endings = Vec::new();
    for ((place, target), (above, applied)) in shown.targets.iter().enumerate().zip(above.iter().zip(applied)) {
        write_curve(out, plot, applied, &format!("thin {}", colour(place)))?;
        write_curve(out, plot, above, &colour(place))?;
        if let Some(last) = above.points.last() {
            endings.push(Ending { class: colour(place), text: &target.of.name, at: *last });
        }
    }
    plot.write_endings(out, &endings)
}
