//! Figures as people read them: the house's own ([`hpb_chart::format`]), and amounts.

pub use hpb_chart::format::{bytes, counted, grouped, micros, millis, seconds, significant, utc};

/// An amount of the smallest unit in whole tokens, of 10^18 each, exactly: `100,000,000` or `0.5`.
pub fn tokens(amount: u128) -> String {
    const ONE: u128 = 1_000_000_000_000_000_000;
    let (whole, rest) = (grouped(amount / ONE), amount % ONE);
    if rest == 0 { whole } else { format!("{whole}.{rest:018}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(tokens(100_000_000_000_000_000_000_000_000), "100,000,000");
        assert_eq!([tokens(0), tokens(1)], ["0", "0.000000000000000001"]);
        assert_eq!(tokens(1_500_000_000_000_000_000), "1.5");
    }
}
