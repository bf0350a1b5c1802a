//! Dates of the Gregorian calendar, UTC, as milliseconds since 1970. Years 1970 to 9999.

use core::fmt;
use core::str::FromStr;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Date {
    /// 1970 to 9999.
    year: u16,
    /// 1 to 12.
    month: u8,
    /// 1 to the month's last.
    day: u8,
}

/// A text that is no date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a date is YYYY-MM-DD, from 1970-01-01 to 9999-12-31")]
pub struct DateError;

impl Date {
    /// That day; `None` if the calendar has none.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_one = (1970..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1;
        (is_one && day <= last_day(year, month)).then_some(Self { year, month, day })
    }

    /// The day of that many milliseconds since 1970; `None` past the year 9999.
    pub fn of_unix_ms(unix_ms: u64) -> Option<Self> {
        let mut days = unix_ms / DAY_MS;
        let mut year = 1970_u16;
        while days >= days_of(year) {
            days -= days_of(year);
            year = (year < 9999).then_some(year + 1)?;
        }
        let mut month = 1;
        while days >= u64::from(last_day(year, month)) {
            days -= u64::from(last_day(year, month));
            month += 1;
        }
        Some(Self { year, month, day: days as u8 + 1 })
    }

    /// Its first millisecond since 1970.
    pub fn unix_ms(self) -> u64 {
        let years: u64 = (1970..self.year).map(days_of).sum();
        let months: u64 = (1..self.month).map(|month| u64::from(last_day(self.year, month))).sum();
        (years + months + u64::from(self.day) - 1) * DAY_MS
    }

    /// The same day that many months later, or the last of its month where that is shorter; `None` past the year 9999.
    pub fn plus_months(self, months: u16) -> Option<Self> {
        let months = u32::from(self.month) - 1 + u32::from(months);
        let year = u16::try_from(u32::from(self.year) + months / 12).ok()?;
        let month = (months % 12) as u8 + 1;
        Self::new(year, month, self.day.min(last_day(year, month)))
    }
}

/// A moment given as RFC 3339 has it, in UTC, in milliseconds since 1970: `2027-01-31T12:00:00Z`, with up to three decimals
/// of the second. A day alone is its beginning.
///
/// # Errors
/// A text that is no such moment: other zones than UTC are none, nor are leap seconds.
pub fn moment_ms(text: &str) -> Result<u64, MomentError> {
    let Some((date, rest)) = text.split_once(['T', 't', ' ']) else {
        return text.parse().map(Date::unix_ms).map_err(|_| MomentError);
    };
    let date: Date = date.parse().map_err(|_| MomentError)?;
    let zones = ["Z", "z", "+00:00", "-00:00"];
    let time = zones.iter().find_map(|zone| rest.strip_suffix(zone)).ok_or(MomentError)?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return Err(MomentError) };
    if ![hour, minute, second].iter().all(|part| part.len() == 2 && digits(part)) {
        return Err(MomentError);
    }
    if !digits(fraction) || !(1..=3).contains(&fraction.len()) {
        return Err(MomentError);
    }
    let number = |part: &str| part.parse::<u64>().map_err(|_| MomentError);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(MomentError);
    }
    let fraction_ms = number(&format!("{fraction:0<3}"))?;
    Ok(date.unix_ms() + ((hour * 60 + minute) * 60 + second) * 1_000 + fraction_ms)
}

/// A text that is no moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a moment is YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, in UTC")]
pub struct MomentError;

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn last_day(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(DateError) };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) || !text.is_ascii() {
            return Err(DateError);
        }
        let number = |part: &str| part.parse::<u16>().map_err(|_| DateError);
        Self::new(number(year)?, number(month)? as u8, number(day)? as u8).ok_or(DateError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn days_count_as_the_calendar_does() {
        // `date -u -d DATE +%s`.
        for (text, unix_s) in [
            ("1970-01-01", 0),
            ("1999-12-31", 946_598_400),
            ("2000-02-29", 951_782_400),
            ("2000-03-01", 951_868_800),
            ("2027-01-01", 1_798_761_600),
            ("2100-03-01", 4_107_542_400),
            ("9999-12-31", 253_402_214_400),
        ] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.unix_ms(), unix_s * 1_000, "{text}");
            assert_eq!(Date::of_unix_ms(unix_s * 1_000), Some(date));
            assert_eq!(Date::of_unix_ms(unix_s * 1_000 + DAY_MS - 1), Some(date));
            assert_eq!(date.to_string(), text);
        }
        assert_eq!(Date::of_unix_ms(253_402_300_800_000), None);
    }

    #[test]
    fn what_the_calendar_has_not_is_refused() {
        for text in [
            "",
            "2027",
            "2027-1-1",
            "2027-13-01",
            "2027-00-01",
            "2027-02-29",
            "2100-02-29",
            "2027-04-31",
            "1969-12-31",
            "2027-01-32",
            "2027-01-00",
            "+027-01-01",
            "2027-01-01-01",
            "２027-01-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(DateError), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_day_or_a_time_of_it_in_utc() {
        // `date -u -d TIME +%s`.
        for (text, unix_ms) in [
            ("2027-01-01", 1_798_761_600_000),
            ("2027-01-01T00:00:00Z", 1_798_761_600_000),
            ("2027-01-01t23:59:59z", 1_798_847_999_000),
            ("2027-01-01 12:34:56.7+00:00", 1_798_806_896_700),
            ("2027-01-01T12:34:56.789Z", 1_798_806_896_789),
        ] {
            assert_eq!(moment_ms(text), Ok(unix_ms), "{text}");
        }
        for text in [
            "",
            "noon",
            "2027-01-01T",
            "2027-01-01T12:34Z",
            "2027-01-01T12:34:56",
            "2027-01-01T12:34:56+01:00",
            "2027-01-01T24:00:00Z",
            "2027-01-01T12:60:00Z",
            "2027-01-01T12:34:60Z",
            "2027-01-01T+1:34:56Z",
            "2027-01-01T12:34:56.Z",
            "2027-01-01T12:34:56.1234Z",
            "2027-02-29T12:34:56Z",
        ] {
            assert_eq!(moment_ms(text), Err(MomentError), "{text}");
        }
    }

    #[test]
    fn months_end_where_they_end() {
        let plus = |text: &str, months| text.parse::<Date>().unwrap().plus_months(months).map(|date| date.to_string());
        assert_eq!(plus("2027-01-31", 1).as_deref(), Some("2027-02-28"));
        assert_eq!(plus("2027-08-31", 18).as_deref(), Some("2029-02-28"));
        assert_eq!(plus("2026-08-31", 18).as_deref(), Some("2028-02-29"));
        assert_eq!(plus("2027-12-15", 12).as_deref(), Some("2028-12-15"));
        assert_eq!(plus("9999-12-01", 1), None);
    }
}
