//! The pictures of a run as SVG: each is made of the record alone, reads without a script, and takes its colours from the
//! page by class, so that light, dark and print are a matter of style.

// Figures for people: a double holds more digits than anyone reads, and none of them is negative.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod distribution;
mod excess;
mod heat;
mod hops;
mod percentiles;
mod plot;
mod ratios;
mod series;

use hpb_chart::escaped;
use hpb_chart::report::COLOURS;

use super::figures::Shown;
pub(super) use ratios::{figure_name, repeats};

/// How everything is drawn, on a page and in a picture that stands alone; after [`COLOURS`].
pub(super) const STYLE: &str = include_str!("chart.css");

/// Width of a picture that takes the whole page, and of one that takes half.
const WIDE: f64 = 1120.0;
const HALF: f64 = 540.0;
/// Targets that are told apart by colour; more take turns.
const COLOUR_COUNT: usize = 6;

/// Which picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Latency by percentile, into the tail.
    Percentiles,
    /// Each target beside the first.
    Ratios,
    /// The share of messages within a latency.
    Distribution,
    /// Latency beyond what the links applied.
    Excess,
    /// Latency over the run, and what was lost.
    Series,
    /// How many messages lay where, over the run.
    Heat,
    /// Where the time went.
    Hops,
}

impl Kind {
    /// All of them, in the order in which a page shows them.
    pub const ALL: [Self; 7] =
        [Self::Percentiles, Self::Ratios, Self::Distribution, Self::Excess, Self::Series, Self::Heat, Self::Hops];

    /// Its word on a command line and in a file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Percentiles => "percentiles",
            Self::Ratios => "ratios",
            Self::Distribution => "distribution",
            Self::Excess => "excess",
            Self::Series => "series",
            Self::Heat => "heat",
            Self::Hops => "hops",
        }
    }

    /// The picture; none where the record has nothing for it.
    pub(super) fn picture(self, shown: &Shown<'_>) -> Option<Picture> {
        match self {
            Self::Percentiles => percentiles::picture(shown),
            Self::Ratios => ratios::picture(shown),
            Self::Distribution => distribution::picture(shown),
            Self::Excess => excess::picture(shown),
            Self::Series => series::picture(shown),
            Self::Heat => heat::picture(shown),
            Self::Hops => hops::picture(shown),
        }
    }
}

/// One picture.
pub(super) struct Picture {
    pub(super) kind: Kind,
    pub(super) title: String,
    /// What to see, in a sentence or two.
    pub(super) note: String,
    width: f64,
    height: f64,
    body: String,
}

impl Picture {
    /// As a figure of a page.
    pub(super) fn figure(&self) -> String {
        let (id, title, note) = (self.kind.name(), escaped(&self.title), escaped(&self.note));
        let size = if self.width > HALF { "wide" } else { "half" };
        format!(
            "<figure class=\"{size}\">\n<figcaption><h3>{title}</h3><p>{note}</p></figcaption>\n<div class=\"scroll\">\
             <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{note}</desc>\n{}</svg></div>\n</figure>\n",
            self.width, self.height, self.body
        )
    }

    /// As a file of its own.
    pub(super) fn file(&self) -> String {
        const MARGIN: f64 = 20.0;
        let (width, height) = (self.width + 2.0 * MARGIN, self.height + 2.0 * MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{} {} {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title><desc>{}</desc>\n<style>\n{COLOURS}{STYLE}</style>\n\
             <rect class=\"page\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            -MARGIN,
            -MARGIN,
            escaped(&self.title),
            escaped(&self.note),
            -MARGIN,
            -MARGIN,
            self.body
        )
    }
}

/// The colour of a target by its place.
pub(super) fn colour(place: usize) -> String {
    format!("t{}", place % COLOUR_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, TargetRecord, sample};

    fn all(record: &Record) -> Vec<Picture> {
        let shown = Shown::new(record);
        Kind::ALL.into_iter().filter_map(|kind| kind.picture(&shown)).collect()
    }

    #[test]
    fn a_full_record_has_every_picture_and_each_is_whole() {
        let pictures = all(&sample::record());
        assert_eq!(pictures.iter().map(|picture| picture.kind).collect::<Vec<_>>(), Kind::ALL);
        for picture in pictures {
            let text = picture.file();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{}", picture.kind.name());
            for element in ["svg", "g", "text", "title", "desc", "style"] {
                let opened =
                    text.matches(&format!("<{element}>")).count() + text.matches(&format!("<{element} ")).count();
                assert_eq!(opened, text.matches(&format!("</{element}>")).count(), "{element}");
            }
            assert!(text.len() < 300_000, "{}: {} bytes", picture.kind.name(), text.len());
        }
    }

    #[test]
    fn what_a_record_lacks_is_not_drawn() {
        let names: Vec<&str> = all(&sample::small()).iter().map(|picture| picture.kind.name()).collect();
        assert_eq!(names, ["percentiles", "distribution", "series", "heat"]);
        let mut empty = sample::small();
        empty.targets = vec![TargetRecord {
            name: "none".to_owned(),
            about: String::new(),
            clock_error_ns: None,
            repeats: Vec::new(),
        }];
        assert!(all(&empty).is_empty());
    }

    #[test]
    fn foreign_words_stay_words() {
        let mut record = sample::record();
        record.targets[1].name = "<script>".to_owned();
        record.scenario.marks[0].label = "</svg>\"".to_owned();
        for picture in all(&record) {
            assert!(!picture.file().contains("<script>") && picture.file().matches("</svg>").count() == 1);
        }
    }

    #[test]
    fn extreme_records_are_drawn_all_the_same() {
        let mut record = sample::small();
        let repeat = &mut record.targets[0].repeats[0];
        repeat.latency = crate::record::Buckets(vec![(0, u64::MAX), (u64::MAX, u64::MAX)]);
        repeat.series.step_ns = u64::MAX;
        repeat.series.steps[0].bands = vec![(u32::MAX, u64::MAX), (0, 1)];
        repeat.series.steps[0].max_ns = u64::MAX;
        repeat.series.steps[1].arrived = u64::MAX;
        repeat.series.steps[2].expected = u64::MAX;
        for picture in all(&record) {
            assert!(!picture.file().contains("NaN"), "{}", picture.kind.name());
        }
    }
}
