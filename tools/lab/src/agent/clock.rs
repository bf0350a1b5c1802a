//! Two hosts' clocks beside each other: exchanges of four readings (RFC 5905, section 8), and the line through the best
//! of them, offset and drift. No I/O.
//!
//! In an exchange the client reads its clock, the server reads its own when the question comes and when the answer
//! leaves, and the client reads again. The offset lies within half the round trip of the middle, whatever the two ways
//! took: that is the bound, and no smoothing makes it smaller. Of each stretch of time the exchange with the shortest
//! round trip is the best; a straight line is laid through those by least squares, and what lies off the line is added to
//! the bound.

use hpb_base::Instant;
use serde::{Deserialize, Serialize};

use crate::record::ClockFound;

/// Stretches of time of which the best exchange each is taken.
const STRETCHES: i64 = 24;
/// Exchanges without which nothing is said.
pub const EXCHANGES_LEAST: usize = 8;
/// A question's bytes: its number, and the client's reading. An answer repeats them and adds the server's two.
pub const QUESTION_LEN: usize = 16;
/// An answer's.
pub const ANSWER_LEN: usize = 32;
/// Parts in a thousand million.
const PPB: f64 = 1e9;

/// A clock that is this host's, but for what was planted to be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AgentClock {
    /// Added to it, in nanoseconds.
    pub offset_ns: i64,
    /// By how much it runs fast, in parts per thousand million.
    pub drift_ppb: i64,
    /// From when on it runs fast, in nanoseconds of the host's clock.
    pub since_ns: u64,
}

/// One exchange, in nanoseconds of either clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// The client asked.
    pub asked: i64,
    /// The server had the question.
    pub received: i64,
    /// The server answered.
    pub answered: i64,
    /// The client had the answer.
    pub heard: i64,
}

/// A client's clock against the server's, as a straight line.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// A reading of the client's in the middle, in nanoseconds.
    pub reference_ns: i64,
    /// What the client's clock reads beyond the server's there.
    pub offset_ns: i64,
    /// By how much the client's runs faster, in parts per thousand million.
    pub drift_ppb: f64,
    /// How far it may be wrong.
    pub error_ns: u64,
    /// Exchanges that were looked at.
    pub exchanges: u64,
    /// The shortest round trip.
    pub round_trip_ns: u64,
}

#[allow(clippy::cast_precision_loss, reason = "spans of time below 2^53 ns")]
impl AgentClock {
    /// What it reads at an instant of the host's.
    pub fn reading(&self, at: Instant) -> i64 {
        let nanos = at.as_nanos().cast_signed();
        let since = (nanos - self.since_ns.cast_signed()) as f64;
        nanos.saturating_add(self.offset_ns).saturating_add((since * self.drift_ppb as f64 / PPB) as i64)
    }

    /// The host's instant of a reading.
    pub fn instant(&self, reading: i64) -> Instant {
        let begun = self.since_ns.cast_signed();
        let since = reading.saturating_sub(self.offset_ns).saturating_sub(begun) as f64;
        let nanos = begun.saturating_add((since / (1.0 + self.drift_ppb as f64 / PPB)) as i64);
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}

impl Exchange {
    /// What a client asks: its number for the question, and its reading.
    pub fn question(number: u64, asked: i64) -> [u8; QUESTION_LEN] {
        let mut bytes = [0; QUESTION_LEN];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&asked.to_le_bytes());
        bytes
    }

    /// What a server answers to that, with its readings of before and after.
    pub fn answer(question: [u8; QUESTION_LEN], received: i64, answered: i64) -> [u8; ANSWER_LEN] {
        let mut bytes = [0; ANSWER_LEN];
        bytes[..QUESTION_LEN].copy_from_slice(&question);
        bytes[QUESTION_LEN..QUESTION_LEN + 8].copy_from_slice(&received.to_le_bytes());
        bytes[QUESTION_LEN + 8..].copy_from_slice(&answered.to_le_bytes());
        bytes
    }

    /// The exchange that bytes end which were `heard` at that reading; none if they answer another question, or nothing.
    pub fn ended(bytes: &[u8], number: u64, asked: i64, heard: i64) -> Option<Self> {
        let bytes: &[u8; ANSWER_LEN] = bytes.try_into().ok()?;
        let (question, readings) = bytes.split_at(QUESTION_LEN);
        let (received, answered) = readings.split_first_chunk()?;
        let (received, answered) = (i64::from_le_bytes(*received), i64::from_le_bytes(*answered.first_chunk()?));
        (question == Self::question(number, asked)).then_some(Self { asked, received, answered, heard })
    }

    /// The client's clock beyond the server's, in the middle.
    fn offset(&self) -> i64 {
        let (out, back) = (self.asked.saturating_sub(self.received), self.heard.saturating_sub(self.answered));
        i64::midpoint(out, back)
    }

    /// Time on the way.
    fn round_trip(&self) -> i64 {
        self.heard.saturating_sub(self.asked).saturating_sub(self.answered.saturating_sub(self.received))
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "spans of time below 2^53 ns")]
impl Line {
    /// Lays the line; `None` of fewer than [`EXCHANGES_LEAST`] exchanges, or of readings that no clock gives.
    pub fn through(exchanges: &[Exchange]) -> Option<Self> {
        let good = || exchanges.iter().filter(|one| one.round_trip() >= 0 && one.heard >= one.asked);
        if good().count() < EXCHANGES_LEAST {
            return None;
        }
        let (first, last) = (good().map(|one| one.asked).min()?, good().map(|one| one.heard).max()?);
        let stretch = (last.saturating_sub(first) / STRETCHES).max(1);
        let mut best: Vec<Option<&Exchange>> = vec![None; STRETCHES as usize];
        for one in good() {
            let at = (one.asked.saturating_sub(first) / stretch).clamp(0, STRETCHES - 1) as usize;
            if best[at].is_none_or(|other| one.round_trip() < other.round_trip()) {
                best[at] = Some(one);
            }
        }
        let best: Vec<&Exchange> = best.into_iter().flatten().collect();
        let round_trip = best.iter().map(|one| one.round_trip()).min()?;
        // A stretch in which every exchange was held up says less than its neighbours.
        let best: Vec<&Exchange> =
            best.into_iter().filter(|one| one.round_trip() <= round_trip.max(1).saturating_mul(4)).collect();
        let (middle, zero) = (i64::midpoint(first, last), best.first()?.offset());
        let points: Vec<(f64, f64)> = best
            .iter()
            .map(|one| {
                let at = i64::midpoint(one.asked, one.heard);
                (at.saturating_sub(middle) as f64, one.offset().saturating_sub(zero) as f64)
            })
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let slope = if spread > 0.0 {
            points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread
        } else {
            0.0
        };
        let level = mean_y - slope * mean_x;
        let off = points.iter().map(|(x, y)| (y - level - slope * x).abs()).fold(0.0, f64::max);
        let half = best.iter().map(|one| one.round_trip()).max()? as f64 / 2.0;
        Some(Self {
            reference_ns: middle,
            offset_ns: zero.saturating_add(level.round() as i64),
            drift_ppb: slope * PPB,
            error_ns: (half + off).ceil() as u64,
            exchanges: exchanges.len() as u64,
            round_trip_ns: round_trip as u64,
        })
    }

    /// The server's reading at a reading of the client's.
    pub fn server_at(&self, client_ns: i64) -> i64 {
        client_ns.saturating_sub(self.offset_at(client_ns))
    }

    /// The client's reading at a reading of the server's.
    pub fn client_at(&self, server_ns: i64) -> i64 {
        let guess = server_ns.saturating_add(self.offset_ns);
        server_ns.saturating_add(self.offset_at(guess))
    }

    /// As the record keeps it.
    pub fn found(&self) -> ClockFound {
        ClockFound {
            offset_ns: self.offset_ns,
            drift_ppb: self.drift_ppb.round() as i64,
            error_ns: self.error_ns,
            exchanges: self.exchanges,
            round_trip_ns: self.round_trip_ns,
        }
    }

    fn offset_at(&self, client_ns: i64) -> i64 {
        let since = client_ns.saturating_sub(self.reference_ns) as f64;
        self.offset_ns.saturating_add((since * self.drift_ppb / PPB).round() as i64)
    }
}

#[cfg(test)]
mod tests;
