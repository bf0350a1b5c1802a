//! A figure that was asked for beside the one that was measured. A miss is said as plainly as a hit.

use std::fmt;

use serde::Serialize;

/// On which side of what was asked a figure has to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At what was asked, or above it.
    AtLeast,
    /// At what was asked, or below it.
    AtMost,
}

/// What was measured, what was asked, and whether the one meets the other.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verdict {
    /// What was measured, in words.
    pub what: String,
    /// The figure, in `unit`.
    pub measured: f64,
    /// On which side of `asked` it has to lie.
    pub bound: Bound,
    /// What was asked, in `unit`.
    pub asked: f64,
    /// `x` for a ratio, else the unit's name.
    pub unit: &'static str,
    /// Whether the figure meets what was asked.
    pub met: bool,
}

impl Verdict {
    /// `measured` has to be `asked` or more.
    pub fn at_least(what: String, measured: f64, asked: f64, unit: &'static str) -> Self {
        Self { what, measured, bound: Bound::AtLeast, asked, unit, met: measured >= asked }
    }

    /// `measured` has to be `asked` or less.
    pub fn at_most(what: String, measured: f64, asked: f64, unit: &'static str) -> Self {
        Self { what, measured, bound: Bound::AtMost, asked, unit, met: measured <= asked }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, bound, asked, unit, met } = self;
        let word = if *met { "met" } else { "MISSED" };
        let side = match bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        if *unit == "x" {
            write!(f, "{word:<6}  {what}: {measured:.2}x, asked {side} {asked}x")
        } else {
            write!(f, "{word:<6}  {what}: {measured:.0} {unit}, asked {side} {asked} {unit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_the_bound_meets_it() {
        let verdict = |measured| Verdict::at_least("a".into(), measured, 4.0, "x");
        assert!(verdict(4.0).met && verdict(4.1).met && !verdict(3.99).met);
        let verdict = |measured| Verdict::at_most("a".into(), measured, 2.0, "x");
        assert!(verdict(2.0).met && verdict(1.9).met && !verdict(2.01).met);
    }

    #[test]
    fn a_figure_that_is_none_is_missed() {
        assert!(!Verdict::at_least("a".into(), f64::NAN, 4.0, "x").met);
        assert!(!Verdict::at_most("a".into(), f64::NAN, 4.0, "x").met);
    }

    #[test]
    fn both_figures_are_in_the_line() {
        let missed = Verdict::at_least("card, closed loop".into(), 3.456, 4.0, "x");
        assert_eq!(missed.to_string(), "MISSED  card, closed loop: 3.46x, asked at least 4x");
        let met = Verdict::at_most("card, a session".into(), 9_876.4, 10_240.0, "bytes");
        assert_eq!(met.to_string(), "met     card, a session: 9876 bytes, asked at most 10240 bytes");
    }
}
