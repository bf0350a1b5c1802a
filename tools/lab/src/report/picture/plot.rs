//! A frame with two axes: where values lie in pixels, ticks, lines, labels that keep apart.

use core::fmt::{self, Write};

use hpb_chart::axis::{Axis, Scale};
use hpb_chart::format::nanos;
use hpb_chart::{escaped, rounded, spread};

/// Room of one line of text.
const LINE_HEIGHT: f64 = 15.0;

/// A frame, in pixels of the picture.
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

/// The name of a line, where the line ends.
pub(super) struct Ending<'a> {
    pub(super) class: String,
    pub(super) text: &'a str,
    pub(super) at: (f64, f64),
}

impl Plot {
    pub(super) fn x_px(&self, value: f64) -> f64 {
        rounded(self.left + self.x.place(value) * (self.right - self.left))
    }

    pub(super) fn y_px(&self, value: f64) -> f64 {
        rounded(self.bottom - self.y.place(value) * (self.bottom - self.top))
    }

    /// Lines and texts of the y axis.
    pub(super) fn write_y(&self, out: &mut String) -> fmt::Result {
        let (left, right) = (self.left, self.right);
        for (value, text) in &self.y.ticks {
            let (x, y, text) = (left - 9.0, self.y_px(*value), escaped(text));
            writeln!(out, r#"<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>"#)?;
            writeln!(out, r#"<text x="{x}" y="{y}" dy="4" text-anchor="end">{text}</text>"#)?;
        }
        Ok(())
    }

    /// Line, ticks and title of the x axis.
    pub(super) fn write_x(&self, out: &mut String) -> fmt::Result {
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        writeln!(out, r#"<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>"#)?;
        let (end, text_y) = (bottom + 5.0, bottom + 19.0);
        for (value, text) in &self.x.ticks {
            let (x, text) = (self.x_px(*value), escaped(text));
            writeln!(out, r#"<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{end}"/>"#)?;
            writeln!(out, r#"<text x="{x}" y="{text_y}" text-anchor="middle">{text}</text>"#)?;
        }
        if self.x.title.is_empty() {
            return Ok(());
        }
        let (x, y, title) = (f64::midpoint(left, right), bottom + 40.0, escaped(self.x.title));
        writeln!(out, r#"<text x="{x}" y="{y}" text-anchor="middle">{title}</text>"#)
    }

    /// The path of a line; `None` breaks it.
    pub(super) fn line(&self, points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
        let mut path = String::new();
        let mut is_down = false;
        for point in points {
            let Some((x, y)) = point else {
                is_down = false;
                continue;
            };
            // Writing to a string does not fail.
            let _ = write!(path, "{}{} {}", if is_down { "L" } else { "M" }, self.x_px(x), self.y_px(y));
            is_down = true;
        }
        path
    }

    /// The path around what lies between a lower and an upper value at each place.
    pub(super) fn between(&self, points: &[(f64, f64, f64)]) -> String {
        let upper = self.line(points.iter().map(|(x, _, high)| Some((*x, *high))));
        let lower = self.line(points.iter().rev().map(|(x, low, _)| Some((*x, *low))));
        if points.is_empty() { String::new() } else { format!("{upper}{}Z", lower.replacen('M', "L", 1)) }
    }

    /// Names to the right of lines, as near to their ends as they can be.
    pub(super) fn write_endings(&self, out: &mut String, endings: &[Ending<'_>]) -> fmt::Result {
        let wanted: Vec<f64> = endings.iter().map(|ending| self.y_px(ending.at.1)).collect();
        let places = spread(&wanted, &vec![LINE_HEIGHT; wanted.len()], self.top - 8.0, self.bottom);
        let x = self.right + 14.0;
        for ((ending, place), y) in endings.iter().zip(places).zip(wanted) {
            let (class, text, place) =
                (&ending.class, escaped(&super::super::figures::plain(ending.text, 20)), rounded(place));
            let end = self.x_px(ending.at.0);
            if (place - y).abs() > 3.0 || self.right - end > 3.0 {
                let (start, stop) = (end + 3.0, x - 4.0);
                writeln!(out, r#"<path class="leader {class}" d="M{start} {y}L{stop} {place}"/>"#)?;
            }
            writeln!(out, r#"<text class="label {class}" x="{x}" y="{place}" dy="4">{text}</text>"#)?;
        }
        Ok(())
    }
}

/// An axis of latencies around these, ending at round values.
pub(super) fn latencies(values: impl Iterator<Item = f64>, title: &'static str) -> Axis {
    let values = values.filter(|value| *value > 0.0);
    let (low, high) = values.fold((f64::MAX, 0.0f64), |(low, high), ns| (low.min(ns), high.max(ns)));
    let (low, high) = if high > 0.0 { (low, high) } else { (1e3, 1e6) };
    Axis::decades(low, high, title, nanos)
}

/// An axis of time since a repeat began to measure, in seconds, as long as it is.
pub(super) fn seconds(length_s: f64, title: &'static str) -> Axis {
    let mut axis =
        Axis::from_zero(length_s, title, |second| if second > 0.0 { nanos(second * 1e9) } else { "0".to_owned() });
    axis.high = length_s.max(f64::MIN_POSITIVE);
    axis.ticks.retain(|(at, _)| *at <= length_s);
    axis
}

/// An axis of percentiles, each step a tenth of what was left above, up to the share of one in `count`.
pub(super) fn tail(count: f64) -> Axis {
    let high = count.max(100.0).log10();
    let named = [(0.0, "0 %"), (0.5f64.log10().abs(), "50 %"), (1.0, "90 %"), (2.0, "99 %")];
    let mut ticks: Vec<(f64, String)> = named.map(|(at, text)| (at, text.to_owned())).to_vec();
    for nines in 1..=(high.floor() as usize).saturating_sub(2) {
        ticks.push((nines as f64 + 2.0, format!("99.{} %", "9".repeat(nines))));
    }
    ticks.retain(|(at, _)| *at <= high + 1e-9);
    Axis { scale: Scale::Linear, low: 0.0, high, ticks, title: "share of messages within" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot {
            left: 10.0,
            right: 110.0,
            top: 0.0,
            bottom: 100.0,
            x: seconds(10.0, ""),
            y: latencies([1.0, 100.0].into_iter(), ""),
        }
    }

    #[test]
    fn gaps_break_a_line_and_bands_close() {
        let line = plot().line([Some((0.0, 1.0)), Some((5.0, 10.0)), None, Some((10.0, 100.0))]);
        assert_eq!(line, "M10 100L60 50M110 0");
        assert_eq!(plot().between(&[(0.0, 1.0, 10.0), (10.0, 10.0, 100.0)]), "M10 50L110 0L110 50L10 100Z");
        assert_eq!(plot().between(&[]), "");
    }

    #[test]
    fn tails_are_named_as_far_as_they_reach() {
        let texts = |count: f64| tail(count).ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(10.0), ["0 %", "50 %", "90 %", "99 %"]);
        assert_eq!(texts(200_000.0).last().map(String::as_str), Some("99.999 %"));
    }

    #[test]
    fn time_ends_where_the_run_does() {
        let axis = seconds(7.5, "");
        assert_eq!(axis.ticks.last().map(|(_, text)| text.as_str()), Some("6 s"));
        assert_eq!(latencies(core::iter::empty(), "").ticks.first().map(|(_, text)| text.as_str()), Some("1 µs"));
    }
}
