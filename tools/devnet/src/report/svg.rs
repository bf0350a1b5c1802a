//! Line charts as inline SVG: direct labels, few lines, right without a script.
//!
//! Colours come from the page by class, so that light, dark and print are the page's business. A script may read
//! [`Chart::columns`] to show figures under the pointer; all positions and texts in it are made here.

use core::fmt::{self, Write};

use hpb_chart::axis::Axis;
use hpb_chart::{escaped, rounded, spread};
use serde_json::{Value, json};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 296.0;
/// How much of the plot a line has climbed where its label above points at it.
const CLIMBED: f64 = 0.97;
/// Room of one character of a label, and of one line.
const CHARACTER_WIDTH: f64 = 7.0;
const LABEL_HEIGHT: f64 = 15.0;

/// One line; `None` breaks it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its classes on the page, which give colour and dash.
    pub(super) class: &'static str,
    pub(super) label: String,
    pub(super) points: Vec<Option<(f64, f64)>>,
    /// Drawn as the area below it; such a line has no gaps.
    pub(super) filled: bool,
}

/// Where the lines' labels stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Labels {
    /// At the right end of each line.
    Right,
    /// At the right, at the median of each line: for lines that run level and fall at their ends.
    Beside,
    /// Above the plot, where each line has come near its top.
    Above,
}

/// What is read at one place of the x axis.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) x: f64,
    pub(super) head: String,
    /// One a line, in their order: where its dot stands, and the figure.
    pub(super) values: Vec<Option<(f64, String)>>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// One sentence below the title: what to see.
    pub(super) note: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    pub(super) labels: Labels,
    pub(super) columns: Vec<Column>,
}

impl Chart {
    /// The figure element.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    /// What a script needs to read the chart under the pointer: pixel places, texts, classes.
    pub(super) fn columns(&self) -> Value {
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|column| {
                let values: Vec<Value> = column
                    .values
                    .iter()
                    .map(|value| value.as_ref().map_or(Value::Null, |(y, text)| json!([rounded(self.y_px(*y)), text])))
                    .collect();
                json!({ "x": rounded(self.x_px(column.x)), "head": column.head, "values": values })
            })
            .collect();
        let lines: Vec<Value> = self.lines.iter().map(|line| json!([line.class, line.label])).collect();
        json!({ "lines": lines, "columns": columns })
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (id, title, note) = (self.id, escaped(self.title), escaped(&self.note));
        writeln!(out, r#"<figure data-chart="{id}">"#)?;
        writeln!(out, r#"<figcaption><h3>{title}</h3><p class="readout">{note}</p></figcaption>"#)?;
        write!(out, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-t {id}-d" tabindex="0">"#)?;
        writeln!(out, r#"<title id="{id}-t">{title}</title><desc id="{id}-d">{note}</desc>"#)?;
        self.write_axes(out)?;
        if self.lines.iter().all(|line| line.points.iter().all(Option::is_none)) {
            let (x, y) = (f64::midpoint(LEFT, self.right()), f64::midpoint(self.top(), BOTTOM));
            writeln!(out, r#"<text class="none" x="{x}" y="{y}" text-anchor="middle">nothing was measured</text>"#)?;
        } else {
            self.write_lines(out)?;
            match self.labels {
                Labels::Right => self.write_labels_right(out)?,
                Labels::Beside => self.write_labels_beside(out)?,
                Labels::Above => self.write_labels_above(out)?,
            }
            self.write_cursor(out)?;
        }
        writeln!(out, "</svg>\n</figure>")
    }

    fn write_axes(&self, out: &mut String) -> fmt::Result {
        let right = self.right();
        for (value, text) in &self.y.ticks {
            let y = rounded(self.y_px(*value));
            writeln!(out, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>"#)?;
            let (x, text) = (LEFT - 9.0, escaped(text));
            writeln!(out, r#"<text class="tick" x="{x}" y="{y}" dy="4" text-anchor="end">{text}</text>"#)?;
        }
        writeln!(out, r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{BOTTOM}" y2="{BOTTOM}"/>"#)?;
        for (value, text) in &self.x.ticks {
            let x = rounded(self.x_px(*value));
            let (end, text_y, text) = (BOTTOM + 5.0, BOTTOM + 19.0, escaped(text));
            writeln!(out, r#"<line class="axis" x1="{x}" x2="{x}" y1="{BOTTOM}" y2="{end}"/>"#)?;
            writeln!(out, r#"<text class="tick" x="{x}" y="{text_y}" text-anchor="middle">{text}</text>"#)?;
        }
        let (x, y, title) = (f64::midpoint(LEFT, right), HEIGHT - 5.0, escaped(self.x.title));
        writeln!(out, r#"<text class="title" x="{x}" y="{y}" text-anchor="middle">{title}</text>"#)
    }

    fn write_lines(&self, out: &mut String) -> fmt::Result {
        for line in &self.lines {
            let mut path = String::new();
            let mut lone = None;
            let mut pen_down = false;
            for (place, point) in line.points.iter().enumerate() {
                let Some((x, y)) = point else {
                    pen_down = false;
                    continue;
                };
                let (x, y) = (rounded(self.x_px(*x)), rounded(self.y_px(*y)));
                write!(path, "{}{x} {y}", if pen_down { "L" } else { "M" })?;
                let followed = line.points.get(place + 1).is_some_and(Option::is_some);
                if !pen_down && !followed {
                    lone = Some((x, y));
                }
                pen_down = true;
            }
            if path.is_empty() {
                continue;
            }
            if line.filled {
                let last = line.points.iter().flatten().next_back().map_or(LEFT, |(x, _)| rounded(self.x_px(*x)));
                let first = line.points.iter().flatten().next().map_or(LEFT, |(x, _)| rounded(self.x_px(*x)));
                let area = format!("{path}L{last} {BOTTOM}L{first} {BOTTOM}Z");
                writeln!(out, r#"<path class="area {}" d="{area}"/>"#, line.class)?;
                continue;
            }
            writeln!(out, r#"<path class="line {}" d="{path}"/>"#, line.class)?;
            if let Some((x, y)) = lone {
                writeln!(out, r#"<circle class="dot {}" cx="{x}" cy="{y}" r="2.5"/>"#, line.class)?;
            }
        }
        Ok(())
    }

    fn write_labels_right(&self, out: &mut String) -> fmt::Result {
        let ends: Vec<(&Line, f64, f64)> = self.ends().collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, _, y)| *y).collect();
        let sizes = vec![LABEL_HEIGHT; ends.len()];
        let places = spread(&wanted, &sizes, self.top(), BOTTOM);
        let text_x = self.right() + 12.0;
        for ((line, x, y), place) in ends.into_iter().zip(places) {
            let (class, label, place) = (line.class, escaped(&line.label), rounded(place));
            if (place - y).abs() > 3.0 || self.right() - x > 3.0 {
                let (x, y, end) = (rounded(x + 2.0), rounded(y), text_x - 3.0);
                writeln!(out, r#"<path class="leader {class}" d="M{x} {y}L{end} {place}"/>"#)?;
            }
            writeln!(out, r#"<text class="label {class}" x="{text_x}" y="{place}" dy="4">{label}</text>"#)?;
        }
        Ok(())
    }

    fn write_labels_beside(&self, out: &mut String) -> fmt::Result {
        let medians = self.lines.iter().map(|line| {
            let mut values: Vec<f64> = line.points.iter().flatten().map(|(_, y)| *y).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(self.y.low)
        });
        let wanted: Vec<f64> = medians.map(|median| self.y_px(median)).collect();
        let places = spread(&wanted, &vec![LABEL_HEIGHT; wanted.len()], self.top(), BOTTOM);
        let x = self.right() + 12.0;
        for (line, place) in self.lines.iter().zip(places) {
            let (class, label, y) = (line.class, escaped(&line.label), rounded(place));
            writeln!(out, r#"<text class="label {class}" x="{x}" y="{y}" dy="4">{label}</text>"#)?;
        }
        Ok(())
    }

    fn write_labels_above(&self, out: &mut String) -> fmt::Result {
        let climbed = |line: &Line| line.points.iter().flatten().find(|(_, y)| self.y.place(*y) >= CLIMBED).copied();
        let ends: Vec<(&Line, f64, f64)> = self
            .ends()
            .map(|(line, x, y)| climbed(line).map_or((line, x, y), |(x, y)| (line, self.x_px(x), self.y_px(y))))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, x, _)| *x).collect();
        let sizes: Vec<f64> =
            ends.iter().map(|(line, ..)| line.label.chars().count() as f64 * CHARACTER_WIDTH + 12.0).collect();
        let places = spread(&wanted, &sizes, LEFT, WIDTH);
        let (text_y, start) = (self.top() - 20.0, self.top() - 15.0);
        for ((line, x, y), place) in ends.into_iter().zip(places) {
            let (class, label) = (line.class, escaped(&line.label));
            let (x, y, place) = (rounded(x), rounded(y - 2.0), rounded(place));
            writeln!(out, r#"<path class="leader {class}" d="M{place} {start}L{x} {y}"/>"#)?;
            writeln!(
                out,
                r#"<text class="label {class}" x="{place}" y="{text_y}" text-anchor="middle">{label}</text>"#
            )?;
        }
        Ok(())
    }

    fn write_cursor(&self, out: &mut String) -> fmt::Result {
        let top = self.top();
        write!(out, r#"<g class="cursor" visibility="hidden"><line class="rule" y1="{top}" y2="{BOTTOM}"/>"#)?;
        for line in &self.lines {
            write!(out, r#"<circle class="dot {}" r="3.5"/>"#, line.class)?;
        }
        writeln!(out, "</g>")
    }

    /// Each drawn line with the pixel place of its last point.
    fn ends(&self) -> impl Iterator<Item = (&Line, f64, f64)> {
        self.lines.iter().filter_map(|line| {
            let (x, y) = line.points.iter().rev().flatten().next()?;
            Some((line, self.x_px(*x), self.y_px(*y)))
        })
    }

    fn x_px(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.right() - LEFT)
    }

    fn y_px(&self, value: f64) -> f64 {
        BOTTOM - self.y.place(value) * (BOTTOM - self.top())
    }

    fn right(&self) -> f64 {
        match self.labels {
            Labels::Right | Labels::Beside => WIDTH - 86.0,
            Labels::Above => WIDTH - 22.0,
        }
    }

    fn top(&self) -> f64 {
        match self.labels {
            Labels::Right | Labels::Beside => 14.0,
            Labels::Above => 48.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: f64) -> String {
        hpb_chart::format::significant(value)
    }

    #[test]
    fn gaps_break_a_line_and_lone_points_show() {
        let axis = || Axis::from_zero(10.0, "", plain);
        let points = vec![Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((5.0, 3.0))];
        let line = Line { class: "final", label: "a<b".to_owned(), points, filled: false };
        let mut chart = Chart {
            id: "t",
            title: "T",
            note: "n & m".to_owned(),
            x: axis(),
            y: axis(),
            lines: vec![line],
            labels: Labels::Right,
            columns: vec![Column { x: 5.0, head: "5".to_owned(), values: vec![Some((3.0, "3".to_owned())), None] }],
        };
        let text = chart.render();
        let path = text.lines().find(|line| line.contains("class=\"line final\"")).unwrap_or_default();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1));
        assert_eq!(text.matches("r=\"2.5\"").count(), 1);
        assert!(text.contains("a&lt;b") && text.contains("n &amp; m"));
        assert!(chart.columns()["columns"][0]["values"][1].is_null());
        chart.lines[0].filled = true;
        chart.labels = Labels::Beside;
        assert!(chart.render().contains("class=\"area final\""));
        chart.lines.clear();
        assert!(chart.render().contains("nothing was measured"));
    }
}
