//! Figures with their units, labels in a column, a bar of a histogram: what the verbs' texts are made of.

use std::fmt::Write as _;
use std::time::Duration;

/// Columns before a value.
const LABEL_LEN: usize = 14;
/// The longest bar.
const BAR_LEN: usize = 40;

/// Whether a text may have colours: on a terminal alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paint(pub bool);

impl Paint {
    /// What is well.
    pub fn good(self, text: &str) -> String {
        self.of("32", text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.of("31", text)
    }

    /// What is to be looked at.
    pub fn odd(self, text: &str) -> String {
        self.of("33", text)
    }

    fn of(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Appends a line of a label and its value.
pub(crate) fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a string never fails.
    let _ = writeln!(text, "{label:<LABEL_LEN$} {value}");
}

/// A duration with three digits and its unit.
#[allow(clippy::cast_precision_loss, reason = "for the eye")]
pub(crate) fn span(span: Duration) -> String {
    let ns = span.as_nanos() as f64;
    let (value, unit) = match ns {
        ns if ns < 1e3 => return format!("{ns:.0} ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Microseconds likewise.
pub(crate) fn micros(us: u64) -> String {
    span(Duration::from_micros(us))
}

/// Bytes in a second with three digits and their unit.
#[allow(clippy::cast_precision_loss, reason = "for the eye")]
pub(crate) fn rate(bytes_per_s: u64) -> String {
    let bits = bytes_per_s as f64 * 8.0;
    let (value, unit) = match bits {
        bits if bits < 1e3 => (bits, "bit/s"),
        bits if bits < 1e6 => (bits / 1e3, "kbit/s"),
        bits if bits < 1e9 => (bits / 1e6, "Mbit/s"),
        bits => (bits / 1e9, "Gbit/s"),
    };
    format!("{} {unit}", digits(value))
}

/// A share in per cent.
#[allow(clippy::cast_precision_loss, reason = "for the eye")]
pub(crate) fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 })
}

fn digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A bar as long as `part` is of `most`.
pub(crate) fn bar(part: u64, most: u64) -> String {
    let len = (part * BAR_LEN as u64).div_ceil(most.max(1)) as usize;
    "#".repeat(len.min(BAR_LEN))
}

/// `1 segment`, `2 segments`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(span(Duration::from_nanos(980)), "980 ns");
        assert_eq!(span(Duration::from_micros(1_234)), "1.23 ms");
        assert_eq!(micros(70), "70.0 µs");
        assert_eq!(rate(125_000), "1.00 Mbit/s");
        assert_eq!((share(1, 8).as_str(), share(1, 0).as_str()), ("12.5 %", "0.0 %"));
        assert_eq!((bar(1, 2).len(), bar(0, 0).len(), bar(9, 9).len()), (20, 0, 40));
        assert_eq!(Paint(false).bad("x"), "x");
    }
}
