//! What sockperf writes down of each message (`--full-log`): after its report, lines of number, seconds at which the
//! message left, and at which its answer came, and the round trip in microseconds.

use hpb_base::Duration;

use super::ComparisonError;
use crate::measure::Distribution;
use crate::record::Buckets;

/// The line before the messages.
const HEADER: &str = "packet, txTime(sec), rxTime(sec)";

/// The round trips.
pub(super) fn round_trips(text: &str) -> Result<Buckets, ComparisonError> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(HEADER)).skip(1).peekable();
    if lines.peek().is_none() {
        return Err(ComparisonError::Log("it holds no messages".to_owned()));
    }
    let mut all = Distribution::new();
    for line in lines.take_while(|line| !line.starts_with('-')) {
        let read = round_trip(line).ok_or_else(|| ComparisonError::Log(format!("the line `{line}`")))?;
        all.take(read);
    }
    Ok(all.buckets())
}

fn round_trip(line: &str) -> Option<Duration> {
    let mut fields = line.split(',').map(str::trim).skip(1);
    let (left, came) = (nanos(fields.next()?)?, nanos(fields.next()?)?);
    Some(Duration::from_nanos(came.checked_sub(left)?))
}

/// Seconds with nine decimals, as nanoseconds.
fn nanos(seconds: &str) -> Option<u64> {
    let (whole, part) = seconds.split_once('.')?;
    let part = (part.len() == 9).then(|| part.parse::<u64>().ok())??;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn round_trips_are_what_lies_between_leaving_and_coming() {
        let text = "sockperf: a report\n------\npacket, txTime(sec), rxTime(sec), rtt(usec)\n\
                    0, 2.414274971, 2.414336552, 61.581\n1, 2.999999990, 3.000000010, 0.020\n------\n";
        let found = round_trips(text).unwrap();
        assert_eq!((found.count(), found.percentile(50.0)), (2, Some(20)));
        assert_eq!(found.max().map(|nanos| nanos / 100), Some(615));
    }

    #[test]
    fn what_is_no_message_is_named() {
        let of = |line: &str| round_trips(&format!("{HEADER}, rtt(usec)\n{line}\n")).unwrap_err().to_string();
        assert!(of("0, 2.4, 2.5, 61").contains("the line `0, 2.4, 2.5, 61`"));
        assert!(of("0, 2.500000000, 2.400000000, 61").contains("the line"), "time does not go back");
        assert!(round_trips("sockperf: ERROR\n").unwrap_err().to_string().contains("no messages"));
    }
}
