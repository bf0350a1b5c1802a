//! What was measured beyond what the links applied to the very same messages: of the whole way from program to program,
//! and of the link alone; beside both, how late the thread's own gaps alone would have made them.

use core::fmt::{self, Write};

use hpb_chart::format::{grouped, nanos};

use super::figures::{Floor, PERCENTILES, Target, carried};
use crate::record::{Buckets, Excess, Noise};

/// What the rows are, in a sentence or two.
pub(super) const MEANING: &str = "Measured minus applied, message by message: of the whole way, from the one program \
    through both cards to the other; and of the link alone, how late a frame came out of it. Own gaps: how late a frame \
    comes because the thread that measures was at another turn or was held up, by its looks at the clock meanwhile.";

/// The figures of one target.
pub(crate) struct Beyond {
    whole: Buckets,
    link: Buckets,
    gaps: Option<Floor>,
}

impl Beyond {
    /// None where no link tells what it did.
    pub(super) fn new(target: &crate::record::TargetRecord) -> Option<Self> {
        let excess = || target.repeats.iter().filter_map(|repeat| repeat.excess.as_ref());
        let merged = |part: fn(&Excess) -> &Buckets| Buckets::merged_all(excess().map(part));
        let gaps = Buckets::merged_all(target.repeats.iter().filter_map(|repeat| Some(&repeat.noise.as_ref()?.gaps)));
        let gaps = Floor::new(&Noise { gaps, ..Noise::default() });
        let (whole, link) = (merged(|excess| &excess.above), merged(|excess| &excess.late));
        (whole.count() > 0).then_some(Self { whole, link, gaps })
    }

    /// How many ways of messages were compared.
    pub(super) fn ways(&self) -> u64 {
        self.whole.count()
    }

    /// Each row's name and its [`PERCENTILES`] and largest, in nanoseconds; none where too few values carry one.
    pub(super) fn rows(&self) -> Vec<(&'static str, Vec<Option<f64>>)> {
        #[allow(clippy::cast_precision_loss, reason = "figures for people")]
        let of = |buckets: &Buckets| -> Vec<Option<f64>> {
            let max = buckets.max().map(|ns| ns as f64);
            PERCENTILES.into_iter().map(|percent| carried(buckets, percent)).chain([max]).collect()
        };
        let gaps = self.gaps.as_ref().map(|gaps| {
            let at = PERCENTILES.into_iter().map(|percent| Some(gaps.at(percent)));
            ("own gaps", at.chain([Some(gaps.max())]).collect())
        });
        let link = (self.link.count() > 0).then(|| ("the link alone", of(&self.link)));
        [Some(("the whole way", of(&self.whole))), link, gaps].into_iter().flatten().collect()
    }
}

/// The rows of all targets on a terminal; `widths` are those of a name, a count and a figure.
pub(super) fn write_terminal(
    out: &mut String,
    targets: &[Target<'_>],
    (name, count, figure): (usize, usize, usize),
    dim: impl Fn(&str) -> String,
) -> fmt::Result {
    for target in targets {
        let Some(beyond) = &target.beyond else { continue };
        let title =
            format!("beyond what the links applied to each message of {}", super::figures::plain(&target.of.name, 40));
        writeln!(out, "\n{}", dim(&title))?;
        for (row, (label, figures)) in beyond.rows().into_iter().enumerate() {
            let ways = if row == 0 { grouped(beyond.ways()) } else { String::new() };
            write!(out, "{label:<name$}{ways:>count$}")?;
            for one in figures {
                write!(out, "{:>figure$}", one.map_or("-".to_owned(), nanos))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::record::sample;

    #[test]
    fn the_whole_way_the_link_alone_and_the_gaps_stand_below_each_other() {
        let record = sample::record();
        let rows = Beyond::new(&record.targets[0]).unwrap().rows();
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["the whole way", "the link alone", "own gaps"]);
        assert!(rows.iter().all(|(_, figures)| figures.len() == PERCENTILES.len() + 1));
        assert!(rows[0].1[0] > rows[1].1[0], "the link is a part of the way");
        assert!(Beyond::new(&sample::small().targets[0]).is_none());
    }
}
