//! Figures as people read them: grouped digits, three significant places, a unit that fits.

/// A number with its thousands apart: `12,345`.
pub fn grouped(value: impl Into<u128>) -> String {
    let digits = value.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 session`, `10,000 sessions`.
pub fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A span given in nanoseconds, in the unit that fits: `85 ns`, `12.3 µs`, `850 ms`, `1.23 s`.
pub fn nanos(ns: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms")];
    let fits = UNITS.into_iter().find(|(one, _)| ns.abs() < one * 999.5);
    let (one, unit) = fits.unwrap_or((1e9, "s"));
    format!("{} {unit}", significant(ns / one))
}

/// A span given in microseconds: `850 µs`, `12.3 ms`, `1.23 s`.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..999_500 => format!("{} ms", significant(us as f64 / 1e3)),
        _ => format!("{} s", significant(us as f64 / 1e6)),
    }
}

/// A span given in milliseconds: `50 ms`, `8.21 s`.
pub fn millis(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{} s", significant(ms as f64 / 1e3)) }
}

/// A span given in seconds: `28.4 s`.
pub fn seconds(seconds: f64) -> String {
    format!("{} s", significant(seconds))
}

/// A size in bytes: `9.75 KiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_023.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { counted(bytes, "byte") } else { format!("{} {}", significant(value), UNITS[unit]) }
}

/// A moment given in milliseconds since 1970-01-01: `2026-01-01 00:00 UTC`. Gregorian days from the count of days, in
/// years that begin in March, as Howard Hinnant's `civil_from_days` does.
pub fn utc(unix_ms: u64) -> String {
    const DAYS_TO_1970: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097;
    let minutes = unix_ms / 60_000;
    let days = minutes / 1_440 + DAYS_TO_1970;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// A number with three significant places and no more than it needs: `8.21`, `28.4`, `999`, `12,345`.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let magnitude = value.abs();
    let places = if magnitude >= 99.95 {
        0
    } else if magnitude >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{magnitude:.places$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse::<u128>().map_or_else(|_| whole.to_owned(), grouped);
    let rest = rest.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([grouped(0u64), grouped(999u64), grouped(1_000u64)], ["0", "999", "1,000"]);
        assert_eq!(grouped(u128::MAX), "340,282,366,920,938,463,463,374,607,431,768,211,455");
        assert_eq!([counted(1, "session"), counted(0, "session")], ["1 session", "0 sessions"]);
        for (us, text) in [
            (0, "0 µs"),
            (850, "850 µs"),
            (1_000, "1 ms"),
            (12_340, "12.3 ms"),
            (99_960, "100 ms"),
            (999_499, "999 ms"),
            (999_500, "1 s"),
            (1_234_000, "1.23 s"),
            (600_000_000, "600 s"),
        ] {
            assert_eq!(micros(us), text);
        }
        assert_eq!([nanos(0.0), nanos(85.4), nanos(999.4)], ["0 ns", "85.4 ns", "999 ns"]);
        assert_eq!([nanos(999.6), nanos(12_345.0), nanos(-2e6)], ["1 µs", "12.3 µs", "-2 ms"]);
        assert_eq!([nanos(999_600_000.0), nanos(6e11), nanos(f64::NAN)], ["1 s", "600 s", "- s"]);
        assert_eq!([millis(50), millis(8_214), seconds(28.44)], ["50 ms", "8.21 s", "28.4 s"]);
        assert_eq!(
            [bytes(1), bytes(512), bytes(9_984), bytes(1_048_570)],
            ["1 byte", "512 bytes", "9.75 KiB", "1 MiB"]
        );
        assert_eq!(bytes(231_735_296), "221 MiB");
        assert_eq!([significant(12_345.6), significant(-0.5), significant(0.0)], ["12,346", "-0.5", "0"]);
        assert_eq!(significant(f64::NAN), "-");
    }

    #[test]
    fn moments_are_dates() {
        for (unix_seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(utc(unix_seconds * 1_000), text);
        }
    }
}
