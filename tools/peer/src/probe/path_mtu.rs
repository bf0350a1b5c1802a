//! `hpb peer path-mtu`: how large a packet gets through, each way, and whether somebody drops larger ones without a word.
//!
//! With a session, segments of chosen sizes are sent and asked for on connections of their own: what TCP itself sends is
//! what is tested, and each way is known by itself. Without one, echoes of chosen sizes that nobody may cut are sent: they
//! say how large a packet gets there and back.

use std::time::Duration;

use hpb_base::limits::PROBE_LEN_MAX;
use hpb_types::message::diagnose::{Ask, Filling, Tell};
use serde::Serialize;

use super::connect::{self, How};
use super::handshake;
use super::host::{self, Answered};
use super::session::{Session, Target};
use super::sys;
use super::tcp_info::TcpInfo;
use super::text::{Paint, line};

/// The smallest packet that is tried: what every IPv4 host takes (RFC 791), and IPv6's own (RFC 8200).
const LEN_MIN_V4: u32 = 576;
const LEN_MIN_V6: u32 = 1_280;
/// A size is known when it is known this well.
const STEP: u32 = 8;
/// How long a size is waited for; a segment that is lost by chance is sent again meanwhile.
const PATIENCE: Duration = Duration::from_millis(1_200);
/// Bytes of ICMP before what an echo carries.
const ECHO_HEADER_LEN: u32 = 8;
/// How often an echo is tried: one may be lost by chance.
const ECHO_TRIES: u32 = 2;
/// Bytes that are sent each way to try a size: a few segments of any.
const BURST_LEN: u32 = 8 << 10;
/// How often the connection is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How sizes were tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// By a session's segments: each way by itself.
    Segments,
    /// By echoes: there and back.
    Echoes,
    /// By nothing: the peer answers neither.
    Nothing,
}

/// The largest packets of a path, in bytes with their IP headers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PathMtuReport {
    /// To whom.
    pub address: String,
    /// How sizes were tried.
    pub by: Means,
    /// What this host's link and its peer agreed on.
    pub agreed_len: u32,
    /// What this host's kernel takes the path for.
    pub kernel_len: Option<u32>,
    /// The largest that gets to the peer; none if not even the smallest does.
    pub up_len: Option<u32>,
    /// The largest that comes from the peer.
    pub down_len: Option<u32>,
    /// Whether larger ones are dropped without a word.
    pub black_hole: bool,
}

/// Whether packets of a size get through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Through {
    pub(crate) up: bool,
    pub(crate) down: bool,
}

/// Looks for the largest packets each way.
pub fn path_mtu(target: &Target) -> PathMtuReport {
    let (_, stream) = connect::connect(target.address, &How::usual(target.patience));
    let info = stream.as_ref().and_then(|stream| TcpInfo::of(stream).ok()).unwrap_or_default();
    let headers = headers_len(target);
    // Timestamps stand in each segment, and are none of its largest length.
    let agreed_len =
        if info.send_mss == 0 { 1_500 } else { (info.send_mss + headers + 12).min(info.path_mtu.max(576)) };
    let mut report = PathMtuReport {
        address: target.address.to_string(),
        by: Means::Nothing,
        agreed_len,
        kernel_len: Some(info.path_mtu).filter(|len| *len > 0),
        up_len: None,
        down_len: None,
        black_hole: false,
    };
    let least = if target.address.is_ipv4() { LEN_MIN_V4 } else { LEN_MIN_V6 };
    if target.credentials.is_some() && segments(target, least).is_some() {
        report.by = Means::Segments;
        report.up_len = search(least, agreed_len, |len| segments(target, len).is_some_and(|through| through.up));
        report.down_len = search(least, agreed_len, |len| segments(target, len).is_some_and(|through| through.down));
    } else if echoes(target, least) {
        report.by = Means::Echoes;
        report.up_len = search(least, agreed_len, |len| echoes(target, len));
        report.down_len = report.up_len;
    }
    let is_short = |len: Option<u32>| len.is_none_or(|len| len + STEP < agreed_len);
    report.black_hole = report.by != Means::Nothing && (is_short(report.up_len) || is_short(report.down_len));
    report
}

/// The largest length between `least` and `most` that passes, [`STEP`] bytes too small at most; `None` if `least` does not.
fn search(least: u32, most: u32, mut passes: impl FnMut(u32) -> bool) -> Option<u32> {
    if passes(most) {
        return Some(most);
    }
    if !passes(least) {
        return None;
    }
    let (mut good, mut bad) = (least, most);
    while bad - good > STEP {
        let middle = good.midpoint(bad);
        *(if passes(middle) { &mut good } else { &mut bad }) = middle;
    }
    Some(good)
}

/// Bytes of IP and TCP before a segment's data, options apart.
fn headers_len(target: &Target) -> u32 {
    if target.address.is_ipv4() { 40 } else { 60 }
}

/// Tries packets of `len` bytes each way on a connection of their own; `None` if there was no session.
pub(crate) fn segments(target: &Target, len: u32) -> Option<Through> {
    let how = How { segment_len_max: Some(len.saturating_sub(headers_len(target))), ..How::usual(target.patience) };
    // What the session itself says is below any size that is tried.
    let (_, session) = handshake::open_with(target, &how, false);
    let mut session = session?;
    let down = fill(&mut session);
    let up = absorb(&mut session);
    Some(Through { up, down })
}

fn fill(session: &mut Session) -> bool {
    let asked = session.ask(&Ask::Fill(BURST_LEN.min(PROBE_LEN_MAX as u32)), PATIENCE);
    matches!(asked, Ok(Tell::Filling(filling)) if filling.0.len() == BURST_LEN as usize)
}

/// Whether the peer's TCP takes all of it: its answer might be lost on the other way.
fn absorb(session: &mut Session) -> bool {
    let goal_len = session.tcp().acked_len + u64::from(BURST_LEN);
    let deadline_ns = sys::monotonic_ns() + PATIENCE.as_nanos() as u64;
    if session.put(Ask::Absorb(Filling::zeros(BURST_LEN))).is_err() {
        return false;
    }
    while sys::monotonic_ns() < deadline_ns {
        if session.tcp().acked_len >= goal_len {
            return true;
        }
        if session.turn(LOOK_EVERY).is_err() {
            return false;
        }
        session.forget();
    }
    false
}

/// Tries an echo of `len` bytes.
pub(crate) fn echoes(target: &Target, len: u32) -> bool {
    let ip = if target.address.is_ipv4() { 20 } else { 40 };
    let carried = len.saturating_sub(ip + ECHO_HEADER_LEN) as usize;
    let tried = (0..ECHO_TRIES).map(|_| host::echo(target.address.ip(), carried, true, PATIENCE / 2));
    tried.into_iter().any(|answered| matches!(answered, Answered::Yes { .. }))
}

impl PathMtuReport {
    /// Whether packets of the agreed size get through both ways.
    pub fn is_well(&self) -> bool {
        self.by != Means::Nothing && !self.black_hole
    }

    /// The sizes and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let sized =
            |len: Option<u32>| len.map_or_else(|| "not even the smallest".to_owned(), |len| format!("{len} bytes"));
        line(&mut text, "peer", &self.address);
        line(&mut text, "agreed", &sized(Some(self.agreed_len)));
        if let Some(len) = self.kernel_len {
            line(&mut text, "this kernel's", &sized(Some(len)));
        }
        let judged = |len: Option<u32>| {
            let is_whole = len.is_some_and(|len| len + STEP >= self.agreed_len);
            if is_whole { paint.good(&sized(len)) } else { paint.bad(&sized(len)) }
        };
        match self.by {
            Means::Segments => {
                line(&mut text, "to the peer", &judged(self.up_len));
                line(&mut text, "from the peer", &judged(self.down_len));
            }
            Means::Echoes => line(&mut text, "echoes", &judged(self.up_len)),
            Means::Nothing => {
                line(&mut text, "tried", &paint.odd("nothing: the peer answers neither echoes nor a session"));
            }
        }
        text.push_str(match (self.by, self.black_hole) {
            (Means::Nothing, _) => "\nWithout an answer to packets of chosen sizes the path's is not known.\n",
            (_, false) => "\nPackets of the size that both sides agreed on get through.\n",
            (_, true) => {
                "\nLarger packets are dropped without a word: sessions open, and then stall. Let ICMP \"too big\" through, \
                 or lower the MTU of this host's interface to the size above.\n"
            }
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_is_found_within_a_step() {
        for limit in [576, 577, 900, 1_279, 1_400, 1_492, 1_499] {
            let found = search(576, 1_500, |len| len <= limit);
            assert!(found.is_some_and(|len| len <= limit && len + STEP >= limit), "{limit}: {found:?}");
        }
        assert_eq!(search(576, 1_500, |_| true), Some(1_500));
        assert_eq!(search(576, 1_500, |_| false), None);
    }
}
