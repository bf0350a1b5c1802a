//! What the TCP sessions of a capture said: each side's bytes in order, cut where the other side speaks.
//!
//! Frames of strangers: each is looked at with the card's own checked view of a segment, and what is no TCP is passed
//! over. Bytes that the capture lacks end their session where they are missing. Checksums are not looked at, since a
//! host's own capture has them open.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use hpb_base::limits::{REPLAY_BYTES_MAX, REPLAY_SESSIONS_MAX};
use hpb_chart::format::counted;
use hpb_net::port::Medium;
use hpb_toe::segment::{self, ACK, FIN, RST, SYN, Segment};
use serde::Serialize;

use super::CaptureFailed;

/// Out-of-order segments of one side that wait for what is missing.
const WAITING_MAX: usize = 1_024;
/// An Ethernet header and a VLAN tag.
const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const TAGS_MAX: usize = 2;
const ETHERTYPE_TAG: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_SERVICE_TAG: [u8; 2] = [0x88, 0xa8];

/// What one side said before the other one did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Whether the side that called said it.
    pub by_caller: bool,
    /// When its first byte was captured, in nanoseconds from the session's first segment.
    pub at_ns: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One session of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Who called.
    pub caller: SocketAddr,
    /// Who was called.
    pub called: SocketAddr,
    /// What they said, in the order in which it was captured.
    pub said: Vec<Said>,
    /// Whether the capture has its beginning.
    pub has_beginning: bool,
    /// Whether the capture lacks bytes, and what follows them is left out.
    pub has_gap: bool,
}

/// A line about a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StreamSummary {
    /// Its number, from 0.
    pub number: usize,
    /// Who called.
    pub caller: SocketAddr,
    /// Who was called.
    pub called: SocketAddr,
    /// Bytes that the caller said.
    pub caller_bytes: u64,
    /// Bytes that the called one said.
    pub called_bytes: u64,
    /// How often they took turns.
    pub turns: usize,
    /// Whether the capture has its beginning.
    pub has_beginning: bool,
    /// Whether the capture lacks bytes of it.
    pub has_gap: bool,
}

/// One side's numbers.
#[derive(Default)]
struct Side {
    /// The number of the next byte in order; none before anything was seen.
    next: Option<u32>,
    waiting: BTreeMap<u32, Vec<u8>>,
}

struct Building {
    stream: Stream,
    began_ns: u64,
    sides: [Side; 2],
    is_over: bool,
}

/// Gathers sessions frame by frame.
#[derive(Default)]
pub struct Streams {
    /// In the order of their first segments.
    sessions: Vec<Building>,
    /// By caller and called, the latest.
    latest: BTreeMap<(SocketAddr, SocketAddr), usize>,
    bytes: usize,
}

/// The sessions of a capture.
///
/// # Errors
/// [`CaptureFailed`]: it does not read, or has more sessions or bytes than [`REPLAY_SESSIONS_MAX`] and
/// [`REPLAY_BYTES_MAX`].
pub fn read(path: &Path) -> Result<Vec<Stream>, CaptureFailed> {
    let name = || path.display().to_string();
    let mut reader = super::open(path)?;
    let mut streams = Streams::default();
    while let Some(frame) = reader.next_frame().map_err(|error| CaptureFailed::Read(name(), error))? {
        streams.take(frame.at_ns, frame.medium, &frame.bytes).map_err(|what| CaptureFailed::TooMuch(name(), what))?;
    }
    Ok(streams.finish())
}

impl Streams {
    /// Takes the next frame.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn take(&mut self, at_ns: u64, medium: Medium, frame: &[u8]) -> Result<(), &'static str> {
        let Some(packet) = packet(medium, frame) else { return Ok(()) };
        let Ok(segment) = segment::parse(packet) else { return Ok(()) };
        let (from, to) = (segment.flow.remote(), segment.flow.local());
        let is_call = segment.has(SYN) && !segment.has(ACK);
        let known = self.latest.get(&(from, to)).map(|at| (*at, true));
        let known = known.or_else(|| self.latest.get(&(to, from)).map(|at| (*at, false)));
        let again = known.is_some_and(|(at, _)| is_call && self.sessions[at].is_over);
        let (at, by_caller) = match known.filter(|_| !again) {
            Some(known) => known,
            None => (self.begin(at_ns, &segment)?, !(segment.has(SYN) && segment.has(ACK))),
        };
        let payload = &packet[segment.payload_at..segment.end_at];
        let added = self.sessions[at].take(at_ns, by_caller, &segment, payload);
        self.bytes += added;
        if self.bytes > REPLAY_BYTES_MAX { Err("256 MiB of what sessions said") } else { Ok(()) }
    }

    fn begin(&mut self, at_ns: u64, segment: &Segment) -> Result<usize, &'static str> {
        if self.sessions.len() >= REPLAY_SESSIONS_MAX {
            return Err("65,536 sessions");
        }
        // Of one that was under way before the capture began, whoever speaks first is taken for the caller.
        let is_answer = segment.has(SYN) && segment.has(ACK);
        let (from, to) = (segment.flow.remote(), segment.flow.local());
        let (caller, called) = if is_answer { (to, from) } else { (from, to) };
        let has_beginning = segment.has(SYN);
        let stream = Stream { caller, called, said: Vec::new(), has_beginning, has_gap: false };
        let building = Building { stream, began_ns: at_ns, sides: Default::default(), is_over: false };
        self.sessions.push(building);
        self.latest.insert((caller, called), self.sessions.len() - 1);
        Ok(self.sessions.len() - 1)
    }

    /// The sessions, in the order of their first segments.
    pub fn finish(self) -> Vec<Stream> {
        let finished = self.sessions.into_iter().map(|building| {
            let has_gap = building.sides.iter().any(|side| !side.waiting.is_empty());
            Stream { has_gap, ..building.stream }
        });
        finished.collect()
    }
}

impl Building {
    /// Takes a segment of one side; how many bytes it added.
    fn take(&mut self, at_ns: u64, by_caller: bool, segment: &Segment, payload: &[u8]) -> usize {
        if segment.has(RST) || segment.has(FIN) {
            self.is_over = true;
        }
        let side = &mut self.sides[usize::from(!by_caller)];
        let mut seq = segment.seq;
        if segment.has(SYN) {
            seq = seq.wrapping_add(1);
            side.next = Some(seq);
        }
        if payload.is_empty() {
            return 0;
        }
        let next = *side.next.get_or_insert(seq);
        if next != seq && side.waiting.len() < WAITING_MAX && !is_before(seq, next) {
            // Of two that begin alike the longer one counts.
            let waiting = side.waiting.entry(seq).or_default();
            if waiting.len() < payload.len() {
                *waiting = payload.to_vec();
            }
            return payload.len();
        }
        let mut added = 0;
        let mut piece = fresh(next, seq, payload).to_vec();
        while !piece.is_empty() {
            added += piece.len();
            let next = side.next.unwrap_or(seq).wrapping_add(piece.len() as u32);
            side.next = Some(next);
            say(&mut self.stream.said, by_caller, at_ns.saturating_sub(self.began_ns), &piece);
            piece = Vec::new();
            // What waited and is not beyond the next byte; what it repeats is cut off.
            while let Some((seq, bytes)) = side.due(next) {
                let rest = fresh(next, seq, &bytes);
                if !rest.is_empty() {
                    piece = rest.to_vec();
                    break;
                }
            }
        }
        added
    }
}

impl Side {
    /// A waiting piece that does not begin beyond `next`.
    fn due(&mut self, next: u32) -> Option<(u32, Vec<u8>)> {
        let seq = self.waiting.keys().copied().find(|seq| *seq == next || is_before(*seq, next))?;
        self.waiting.remove(&seq).map(|bytes| (seq, bytes))
    }
}

/// What of a piece lies at or behind `next`.
fn fresh(next: u32, seq: u32, bytes: &[u8]) -> &[u8] {
    let old = next.wrapping_sub(seq) as usize;
    bytes.get(old..).unwrap_or_default()
}

/// Whether a sequence number lies before another (RFC 9293 section 3.4).
fn is_before(seq: u32, other: u32) -> bool {
    other.wrapping_sub(seq).cast_signed() > 0
}

fn say(said: &mut Vec<Said>, by_caller: bool, at_ns: u64, bytes: &[u8]) {
    match said.last_mut() {
        Some(last) if last.by_caller == by_caller => last.bytes.extend_from_slice(bytes),
        _ => said.push(Said { by_caller, at_ns, bytes: bytes.to_vec() }),
    }
}

/// The IP packet in a frame.
fn packet(medium: Medium, frame: &[u8]) -> Option<&[u8]> {
    if medium == Medium::Ip {
        return Some(frame);
    }
    let mut at = ETHERNET_LEN;
    for _ in 0..TAGS_MAX {
        let kind = frame.get(at - 2..at)?;
        if kind != ETHERTYPE_TAG && kind != ETHERTYPE_SERVICE_TAG {
            break;
        }
        at += TAG_LEN;
    }
    frame.get(at..)
}

impl Stream {
    /// A line about it.
    pub fn summary(&self, number: usize) -> StreamSummary {
        let bytes = |by_caller| {
            self.said.iter().filter(|said| said.by_caller == by_caller).map(|said| said.bytes.len() as u64).sum()
        };
        StreamSummary {
            number,
            caller: self.caller,
            called: self.called,
            caller_bytes: bytes(true),
            called_bytes: bytes(false),
            turns: self.said.len(),
            has_beginning: self.has_beginning,
            has_gap: self.has_gap,
        }
    }
}

impl StreamSummary {
    /// For people.
    pub fn terminal(&self) -> String {
        let Self { number, caller, called, caller_bytes, called_bytes, turns, has_beginning, has_gap } = self;
        let mut text = format!(
            "{number:>5}  {caller} called {called}: {} there, {} back, {}",
            counted(*caller_bytes, "byte"),
            counted(*called_bytes, "byte"),
            counted(*turns as u64, "turn")
        );
        if !has_beginning {
            text += "; its beginning was not captured";
        }
        if *has_gap {
            text += "; bytes are missing, and what follows them is left out";
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests;
