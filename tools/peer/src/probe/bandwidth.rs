//! `hpb peer bandwidth`: how much a session with a peer carries each way, and what had to be sent again.
//!
//! The bytes are questions that the peer takes, or answers that it fills; a node answers a bounded number of them in a
//! second to strangers, so that a fast path shows that bound (about 30 MB/s) rather than its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hpb_base::limits::PROBE_LEN_MAX;
use hpb_types::message::Message;
use hpb_types::message::diagnose::{Ask, Filling, Refusal, Tell};
use serde::Serialize;

use super::session::{BUSY_REST, NoAnswer, Session};
use super::sys;
use super::tcp_info::TcpInfo;
use super::text::{Paint, counted, line, micros, rate, share};

/// Questions that are out at a time.
const IN_FLIGHT: usize = 16;
/// Longest that one direction may take.
pub const SECONDS_MAX: u64 = 60;

/// One direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From here to the peer.
    Up,
    /// From the peer to here.
    Down,
}

/// What one direction carried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Flow {
    /// Which way.
    pub direction: Direction,
    /// Bytes that arrived and were answered for.
    pub bytes: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Upwards: segments with data that were sent; downwards: that came.
    pub segments: u64,
    /// Upwards: segments that were sent again.
    pub retransmitted: u64,
    /// Downwards: segments that came out of order, because one before them was lost or overtaken.
    pub out_of_order: u64,
    /// Upwards: how long there was something to send, in microseconds.
    pub busy_us: u64,
    /// Of that, how long the peer's window was full, in microseconds.
    pub window_limited_us: u64,
    /// Questions that the peer was too busy for.
    pub refused: u64,
    /// Whether nothing moved any more when it was given up.
    pub stalled: bool,
    /// Why it ended early.
    pub ended: Option<String>,
}

/// Both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BandwidthReport {
    /// With whom.
    pub address: String,
    /// One after the other.
    pub flows: Vec<Flow>,
}

/// How one direction is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// For how long at most.
    pub span: Duration,
    /// Bytes after which it is enough.
    pub len_max: u64,
    /// How long nothing may move.
    pub patience: Duration,
}

/// Measures one direction of an open session.
pub fn flow(session: &mut Session, direction: Direction, measure: &Measure) -> Flow {
    let before = session.tcp();
    let began_ns = sys::monotonic_ns();
    let until_ns = began_ns + measure.span.as_nanos() as u64;
    let patience_ns = measure.patience.as_nanos() as u64;
    let mut flow = Flow::new(direction);
    let mut out: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut moved_ns, mut acked_len) = (began_ns, before.acked_len);
    let mut asked_len = 0_u64;
    loop {
        let now_ns = sys::monotonic_ns();
        let is_over = now_ns >= until_ns || asked_len >= measure.len_max;
        if is_over && out.is_empty() {
            break;
        }
        if now_ns.saturating_sub(moved_ns) > patience_ns {
            flow.stalled = true;
            break;
        }
        let asked = (|| -> Result<(), NoAnswer> {
            while !is_over && out.len() < IN_FLIGHT && session.has_room() {
                let number = session.put(direction.question())?;
                out.insert(number, now_ns);
                asked_len += PROBE_LEN_MAX as u64;
                if asked_len >= measure.len_max {
                    break;
                }
            }
            if let Some(heard) = session.hear(now_ns + patience_ns / 8)?
                && let Message::Answer(answer) = heard.message
                && out.remove(&answer.number).is_some()
            {
                moved_ns = heard.at_ns;
                flow.count(&answer.what);
                if matches!(answer.what, Tell::Refused(Refusal::Busy)) {
                    super::rest(BUSY_REST);
                }
            }
            Ok(())
        })();
        if let Err(no) = asked {
            flow.ended = Some(no.words());
            break;
        }
        // A slow peer takes bytes long before it answers for them.
        let acked = session.tcp().acked_len;
        if acked > acked_len {
            (acked_len, moved_ns) = (acked, moved_ns.max(now_ns));
        }
        if is_over && now_ns > until_ns + patience_ns {
            break;
        }
    }
    flow.took_us = sys::monotonic_ns().saturating_sub(began_ns) / 1_000;
    flow.account(&before, &session.tcp());
    flow
}

impl Direction {
    fn question(self) -> Ask {
        match self {
            Self::Up => Ask::Absorb(Filling::zeros(PROBE_LEN_MAX as u32)),
            Self::Down => Ask::Fill(PROBE_LEN_MAX as u32),
        }
    }
}

impl Flow {
    /// A direction in which nothing moved yet.
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            bytes: 0,
            took_us: 0,
            segments: 0,
            retransmitted: 0,
            out_of_order: 0,
            busy_us: 0,
            window_limited_us: 0,
            refused: 0,
            stalled: false,
            ended: None,
        }
    }

    fn count(&mut self, told: &Tell) {
        match told {
            Tell::Absorbed(len) => self.bytes += u64::from(*len),
            Tell::Filling(filling) => self.bytes += filling.0.len() as u64,
            Tell::Refused(Refusal::Busy) => self.refused += 1,
            _ => {}
        }
    }

    fn account(&mut self, before: &TcpInfo, after: &TcpInfo) {
        let micros = |span: Duration| span.as_micros() as u64;
        match self.direction {
            Direction::Up => {
                self.segments = after.data_segments_out.saturating_sub(before.data_segments_out).into();
                self.retransmitted = after.retransmitted.saturating_sub(before.retransmitted).into();
                self.busy_us = micros(after.busy.saturating_sub(before.busy));
                self.window_limited_us = micros(after.window_limited.saturating_sub(before.window_limited));
            }
            Direction::Down => {
                self.segments = after.data_segments_in.saturating_sub(before.data_segments_in).into();
                self.out_of_order = after.out_of_order.saturating_sub(before.out_of_order).into();
            }
        }
    }

    /// Bytes a second.
    pub fn bytes_per_s(&self) -> u64 {
        (u128::from(self.bytes) * 1_000_000 / u128::from(self.took_us.max(1))) as u64
    }

    fn words(&self, paint: Paint) -> String {
        let mut words = format!("{} ({} in {})", rate(self.bytes_per_s()), bytes(self.bytes), micros(self.took_us));
        let lost = match self.direction {
            Direction::Up => format!(
                ", {} sent again of {} ({})",
                counted(self.retransmitted, "segment"),
                self.segments,
                share(self.retransmitted, self.segments)
            ),
            Direction::Down => format!(", {} of {} out of order", counted(self.out_of_order, "segment"), self.segments),
        };
        let is_lossy = self.retransmitted + self.out_of_order > 0;
        words.push_str(&if is_lossy { paint.odd(&lost) } else { lost });
        if self.window_limited_us > 0 {
            let share = share(self.window_limited_us, self.busy_us);
            words.push_str(&paint.odd(&format!(", {share} of the time held by the peer's window")));
        }
        if self.refused > 0 {
            let _ = write!(words, ", the peer was busy {} times", self.refused);
        }
        if self.stalled {
            words.push_str(&paint.bad(", then nothing moved any more"));
        }
        if let Some(ended) = &self.ended {
            words.push_str(&paint.bad(&format!(", then {ended}")));
        }
        words
    }
}

#[allow(clippy::cast_precision_loss, reason = "for the eye")]
fn bytes(len: u64) -> String {
    match len {
        len if len < 1_000_000 => format!("{:.1} kB", len as f64 / 1e3),
        len => format!("{:.1} MB", len as f64 / 1e6),
    }
}

impl BandwidthReport {
    /// Whether both directions moved to their end.
    pub fn is_well(&self) -> bool {
        self.flows.iter().all(|flow| !flow.stalled && flow.ended.is_none() && flow.bytes > 0)
    }

    /// A line a direction, and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        line(&mut text, "peer", &self.address);
        for flow in &self.flows {
            let label = if flow.direction == Direction::Up { "to the peer" } else { "from the peer" };
            line(&mut text, label, &flow.words(paint));
        }
        text.push('\n');
        text.push_str(self.explanation());
        text.push('\n');
        text
    }

    fn explanation(&self) -> &'static str {
        let is = |of: &dyn Fn(&Flow) -> bool| self.flows.iter().any(of);
        if is(&|flow| flow.stalled) {
            "Bytes stopped moving: `hpb peer path-mtu` and `hpb peer doctor` look for the cause."
        } else if is(&|flow| flow.window_limited_us * 2 > flow.busy_us.max(1)) {
            "The peer takes bytes more slowly than they come: its window was full most of the time."
        } else if is(&|flow| flow.refused > 0) {
            "The peer answers only so many questions a second to strangers: the path may carry more than this."
        } else if is(&|flow| flow.retransmitted + flow.out_of_order > 0) {
            "Segments are lost or overtake each other on the way."
        } else {
            "Nothing was lost on the way."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_accounts_for_its_own() {
        let before = TcpInfo { retransmitted: 2, data_segments_out: 10, ..TcpInfo::default() };
        let after = TcpInfo {
            retransmitted: 5,
            data_segments_out: 110,
            data_segments_in: 50,
            out_of_order: 4,
            busy: Duration::from_secs(2),
            window_limited: Duration::from_secs(1),
            ..before
        };
        let mut up = Flow::new(Direction::Up);
        up.account(&before, &after);
        assert_eq!((up.retransmitted, up.segments, up.out_of_order), (3, 100, 0));
        assert_eq!((up.busy_us, up.window_limited_us), (2_000_000, 1_000_000));
        let mut down = Flow::new(Direction::Down);
        down.account(&before, &after);
        assert_eq!((down.segments, down.out_of_order, down.retransmitted), (50, 4, 0));
        down.count(&Tell::Filling(Filling::zeros(100)));
        down.count(&Tell::Refused(Refusal::Busy));
        down.took_us = 1_000_000;
        assert_eq!((down.bytes_per_s(), down.refused), (100, 1));
    }
}
