//! Axes: how values map to places, with ticks at round numbers.

/// How an axis maps values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Equal differences are equally far apart.
    Linear,
    /// Equal factors are equally far apart; values are above zero.
    Logarithmic,
}

/// One axis with its ticks, low and high ends included in the plot.
#[derive(Clone, Debug)]
pub struct Axis {
    /// How it maps values.
    pub scale: Scale,
    /// The value at its low end.
    pub low: f64,
    /// The value at its high end.
    pub high: f64,
    /// Values that are named, and their texts.
    pub ticks: Vec<(f64, String)>,
    /// What it shows; empty where the picture's title says it.
    pub title: &'static str,
}

impl Axis {
    /// From zero to a round number at or above `high`, with about six ticks.
    pub fn from_zero(high: f64, title: &'static str, text: impl Fn(f64) -> String) -> Self {
        let step = round_up((high / 6.0).max(f64::MIN_POSITIVE));
        let count = if high > 0.0 { (high / step).ceil().max(1.0) } else { 1.0 };
        let step = if high > 0.0 { step } else { 1.0 };
        let mut ticks = Vec::new();
        let mut place = 0.0;
        while place <= count {
            ticks.push((place * step, text(place * step)));
            place += 1.0;
        }
        Self { scale: Scale::Linear, low: 0.0, high: count * step, ticks, title }
    }

    /// Decades around `low` and `high`, both above zero, from and to 1, 2 or 5 of one.
    pub fn decades(low: f64, high: f64, title: &'static str, text: impl Fn(f64) -> String) -> Self {
        let mut steps = vec![round_down(low)];
        loop {
            let last = steps[steps.len() - 1];
            if last >= high && steps.len() > 1 {
                break;
            }
            steps.push(round_up(last * 1.5));
        }
        let (low, high) = (steps[0], steps[steps.len() - 1]);
        let wide = (high / low).log10() > 3.01;
        let ticks = steps
            .into_iter()
            .filter(|step| !wide || (step.log10() - step.log10().round()).abs() < 1e-9)
            .map(|step| (step, text(step)))
            .collect();
        Self { scale: Scale::Logarithmic, low, high, ticks, title }
    }

    /// The place of a value, 0 at the low end and 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        let (value, low, high) = match self.scale {
            Scale::Linear => (value, self.low, self.high),
            Scale::Logarithmic => (value.max(self.low).log10(), self.low.log10(), self.high.log10()),
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The value at a place.
    pub fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.low + place * (self.high - self.low),
            Scale::Logarithmic => self.low * (self.high / self.low).powf(place),
        }
    }
}

/// The largest of 1, 2, 5 times a power of ten at or below `value`.
fn round_down(value: f64) -> f64 {
    let decade = 10f64.powf((value * (1.0 + 1e-9)).log10().floor());
    let lead = value / decade * (1.0 + 1e-9);
    if lead >= 5.0 {
        5.0 * decade
    } else if lead >= 2.0 {
        2.0 * decade
    } else {
        decade
    }
}

/// The least of 1, 2, 5 times a power of ten at or above `value`.
fn round_up(value: f64) -> f64 {
    let below = round_down(value);
    if below >= value * (1.0 - 1e-9) {
        return below;
    }
    let lead = below / 10f64.powf(below.log10().floor());
    if (1.5..3.0).contains(&lead) { below * 2.5 } else { below * 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn plain(value: f64) -> String {
        crate::format::significant(value)
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(labels(&Axis::from_zero(1_003.0, "", plain)).last(), Some(&"1,200"));
        assert_eq!(labels(&Axis::from_zero(9.0, "", plain)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&Axis::from_zero(0.0, "", plain)), ["0", "1"]);
        assert_eq!(labels(&Axis::decades(1.4, 42.0, "", plain)), ["1", "2", "5", "10", "20", "50"]);
        assert_eq!(labels(&Axis::decades(3.0, 90_000.0, "", plain)), ["10", "100", "1,000", "10,000", "100,000"]);
        assert_eq!(labels(&Axis::decades(7.0, 7.0, "", plain)), ["5", "10"]);
        assert_eq!(labels(&Axis::decades(10.0, 10.0, "", plain)), ["10", "20"]);
    }

    #[test]
    fn places_and_values_are_inverse() {
        for axis in [Axis::decades(1.0, 1_000.0, "", plain), Axis::from_zero(50.0, "", plain)] {
            for place in [0.0, 0.3, 1.0] {
                assert!((axis.place(axis.value(place)) - place).abs() < 1e-9);
            }
        }
        assert!(Axis::decades(1.0, 10.0, "", plain).place(0.0).abs() < 1e-9);
    }
}
