//! A figure that was asked for beside the one that was measured. A miss is said as plainly as a hit, and a hit that the
//! measurement does not bear out is none.

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
    /// Whether the figure meets what was asked, and can be trusted.
    pub met: bool,
    /// Why the figure cannot be trusted though it looks good; `None` for one that can, or is missed anyway.
    pub doubt: Option<String>,
}

impl Verdict {
    /// `measured` has to be `asked` or more.
    pub fn at_least(what: String, measured: f64, asked: f64, unit: &'static str) -> Self {
        Self { what, measured, bound: Bound::AtLeast, asked, unit, met: measured >= asked, doubt: None }
    }

    /// `measured` has to be `asked` or less.
    pub fn at_most(what: String, measured: f64, asked: f64, unit: &'static str) -> Self {
        Self { what, measured, bound: Bound::AtMost, asked, unit, met: measured <= asked, doubt: None }
    }

    /// The same, not met if there is a reason to doubt the figure.
    #[must_use]
    pub fn unless(mut self, doubt: Option<String>) -> Self {
        if self.met && doubt.is_some() {
            self.met = false;
            self.doubt = doubt;
        }
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, bound, asked, unit, met, doubt } = self;
        let word = match (met, doubt) {
            (true, _) => "met",
            (false, None) => "MISSED",
            (false, Some(_)) => "UNSURE",
        };
        let side = match bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        if *unit == "x" {
            write!(f, "{word:<6}  {what}: {measured:.2}x, asked {side} {asked}x")?;
        } else {
            write!(f, "{word:<6}  {what}: {measured:.0} {unit}, asked {side} {asked} {unit}")?;
        }
        doubt.as_ref().map_or(Ok(()), |doubt| write!(f, "; {doubt}"))
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
    fn a_doubt_takes_a_hit_back_and_leaves_a_miss() {
        let doubted = |measured| Verdict::at_most("a".into(), measured, 2.0, "x").unless(Some("noise".into()));
        assert_eq!(doubted(1.0).to_string(), "UNSURE  a: 1.00x, asked at most 2x; noise");
        assert!(!doubted(1.0).met);
        assert_eq!(doubted(3.0).to_string(), "MISSED  a: 3.00x, asked at most 2x");
        assert!(Verdict::at_most("a".into(), 1.0, 2.0, "x").unless(None).met);
    }

    #[test]
    fn both_figures_are_in_the_line() {
        let missed = Verdict::at_least("card, closed loop".into(), 3.456, 4.0, "x");
        assert_eq!(missed.to_string(), "MISSED  card, closed loop: 3.46x, asked at least 4x");
        let met = Verdict::at_most("card, a session".into(), 9_876.4, 10_240.0, "bytes");
        assert_eq!(met.to_string(), "met     card, a session: 9876 bytes, asked at most 10240 bytes");
    }
}
