//! `hpb peer capture`: what chosen sessions of a running node or card say, read from its lanes page by page, as packets
//! of a capture that Wireshark opens.
//!
//! Frames stand as they crossed the port. Messages stand whole, in front of them Wireshark's tags that name the dissector
//! and the session's ends: no TCP is made up around what was taken out of one. What a node says is foreign, and bounded.

pub mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use hpb_base::limits::{CAPTURE_SECONDS_MAX, CAPTURE_TOLD_LEN_MAX, SESSIONS_MAX};
use hpb_net::capture::{CaptureLink, Way};
use hpb_types::message::diagnose::{
    Ask, CaptureAsked, CaptureKind, CapturePage, CaptureRow, CaptureWay, CaptureWhat, Endpoint, Network, PeerKey,
    SessionName, Tell,
};
use serde::Serialize;

use crate::ask::{AskError, Asker};
use crate::probe::sys::wall_ns;

/// Tags in front of a message (Wireshark, `epan/exported_pdu.h`): the dissector, the ends, the kind of port.
const TAG_DISSECTOR: u16 = 12;
const TAG_IPV4_SOURCE: u16 = 20;
const TAG_IPV6_SOURCE: u16 = 22;
const TAG_PORT_KIND: u16 = 24;
const TAG_SOURCE_PORT: u16 = 25;
const TAG_DESTINATION_PORT: u16 = 26;
const PORT_KIND_TCP: u32 = 2;
/// The dissector's name, padded as a tag's value has to be.
const DISSECTOR: &[u8] = b"hpb\0";

/// Which sessions, what of them, and for how long.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// These alone; none for any.
    pub names: Vec<SessionName>,
    /// With whom: an address or a network.
    pub near: Network,
    /// With whom: an identity.
    pub peer: PeerKey,
    /// Frames, messages or both.
    pub what: CaptureWhat,
    /// Bytes that are kept of each; 0 for all.
    pub snap_len: u32,
    /// For how long, in seconds; `None` for as long as it is read, a day at most.
    pub seconds: Option<u32>,
}

/// One packet of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// What it begins with.
    pub link: CaptureLink,
    /// Nanoseconds since 1970, by this host's clock.
    pub at_ns: u64,
    /// Which way it went.
    pub way: Way,
    /// Its bytes, or the first ones of them.
    pub bytes: Vec<u8>,
    /// How long the whole packet is, in bytes.
    pub whole_len: u32,
    /// Whose it is.
    pub session: Option<SessionName>,
}

/// What came so far.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes of both, without tags.
    pub bytes: u64,
    /// Sessions of which something came, of those that one lane can hold.
    pub sessions: usize,
    /// Frames and pieces of messages that the node kept no more when it was asked, and pieces whose message lacks another.
    pub lost: u64,
    /// Packets of which the beginning alone was kept.
    pub cut: u64,
    /// Frames and messages that were written; the rest came and found no room.
    pub written: u64,
}

/// Why a capture ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The node gives no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What came cannot be written.
    #[error("the capture cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// A capture under way on one lane.
struct OnLane {
    lane: u16,
    id: u32,
    /// The number of the last row that came.
    after: u64,
    is_over: bool,
    /// A message of which pieces are to come.
    partial: Option<CaptureRow>,
}

/// A capture under way.
pub struct Capture {
    lanes: Vec<OnLane>,
    snap_len: usize,
    /// What this host's clock shows when the lanes' shows nothing; known from the first page on.
    wall_at_zero_ns: Option<u64>,
    sessions: BTreeSet<SessionName>,
    counts: Counts,
}

impl Capture {
    /// Begins a capture on every lane that holds wanted sessions.
    ///
    /// # Errors
    /// The first lane that refuses; those that began end by themselves.
    pub fn begin(asker: &mut dyn Asker, wanted: &Wanted) -> Result<Self, AskError> {
        let mut lanes = Vec::new();
        let (mut lane, mut count) = (0, 1);
        let named: BTreeSet<u16> = wanted.names.iter().map(|name| name.lane).collect();
        if let Some(last) = named.last() {
            count = last.saturating_add(1);
        }
        while lane < count {
            if named.is_empty() || named.contains(&lane) {
                let asked = CaptureAsked {
                    lane,
                    names: wanted.names.iter().filter(|name| name.lane == lane).copied().collect(),
                    near: wanted.near,
                    peer: wanted.peer,
                    what: wanted.what,
                    snap_len: wanted.snap_len,
                    seconds: wanted.seconds.unwrap_or(CAPTURE_SECONDS_MAX),
                };
                let Tell::Capturing(begun) = asker.ask(Ask::Capture(asked))? else { return Err(AskError::Unexpected) };
                if named.is_empty() {
                    count = begun.lanes;
                }
                lanes.push(OnLane { lane, id: begun.id, after: 0, is_over: false, partial: None });
            }
            lane += 1;
        }
        let snap_len = if wanted.snap_len == 0 { usize::MAX } else { wanted.snap_len as usize };
        let (sessions, counts) = (BTreeSet::new(), Counts::default());
        Ok(Self { lanes, snap_len, wall_at_zero_ns: None, sessions, counts })
    }

    /// Reads one page of each lane into `sink`; whether anything came.
    ///
    /// # Errors
    /// The node gives no answer, or `sink` takes no more.
    pub fn read(
        &mut self,
        asker: &mut dyn Asker,
        sink: &mut dyn FnMut(&Packet) -> io::Result<()>,
    ) -> Result<bool, CaptureError> {
        let mut any = false;
        for at in 0..self.lanes.len() {
            any |= !self.page(asker, at, sink)?.rows.is_empty();
        }
        Ok(any)
    }

    /// Reads what every lane keeps up to now.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn drain(
        &mut self,
        asker: &mut dyn Asker,
        sink: &mut dyn FnMut(&Packet) -> io::Result<()>,
    ) -> Result<(), CaptureError> {
        for at in 0..self.lanes.len() {
            let first = self.page(asker, at, sink)?;
            let (until_ns, mut rows) = (first.now_ns, first.rows);
            while rows.last().is_some_and(|row| row.at_ns < until_ns) {
                rows = self.page(asker, at, sink)?.rows;
            }
        }
        Ok(())
    }

    fn page(
        &mut self,
        asker: &mut dyn Asker,
        at: usize,
        sink: &mut dyn FnMut(&Packet) -> io::Result<()>,
    ) -> Result<CapturePage, CaptureError> {
        let OnLane { lane, id, after, .. } = self.lanes[at];
        let Tell::Captured(page) = asker.ask(Ask::Captured { lane, id, after })? else {
            return Err(AskError::Unexpected.into());
        };
        let wall_at_zero_ns = *self.wall_at_zero_ns.get_or_insert_with(|| wall_ns().saturating_sub(page.now_ns));
        self.lanes[at].is_over = page.is_over;
        self.counts.lost = self.counts.lost.saturating_add(page.lost);
        if let Some(before) = page.first.checked_add(page.rows.len() as u64).filter(|_| !page.rows.is_empty()) {
            self.lanes[at].after = before - 1;
        }
        for row in &page.rows {
            if let Some(packet) = self.packet(at, row, wall_at_zero_ns) {
                sink(&packet)?;
            }
        }
        Ok(page)
    }

    /// What a row comes to; `None` for a message that is not whole yet.
    fn packet(&mut self, at: usize, row: &CaptureRow, wall_at_zero_ns: u64) -> Option<Packet> {
        let session = (row.session.index != SessionName::NONE).then_some(row.session);
        let way = match row.way {
            CaptureWay::In => Way::In,
            CaptureWay::Out => Way::Out,
        };
        let at_ns = wall_at_zero_ns.saturating_add(row.at_ns);
        let (link, bytes, tags_len) = match row.kind {
            CaptureKind::Frame => (CaptureLink::Ethernet, row.bytes.clone(), 0),
            CaptureKind::Packet => (CaptureLink::Ip, row.bytes.clone(), 0),
            CaptureKind::Message => {
                let message = self.join(at, row)?;
                let mut bytes = tags(row);
                let tags_len = bytes.len();
                bytes.extend_from_slice(&message[..message.len().min(CAPTURE_TOLD_LEN_MAX)]);
                (CaptureLink::UpperPdu, bytes, tags_len)
            }
        };
        let whole_len = (row.whole_len as usize).max(bytes.len() - tags_len) + tags_len;
        match link {
            CaptureLink::UpperPdu => self.counts.messages += 1,
            CaptureLink::Ethernet | CaptureLink::Ip => self.counts.frames += 1,
        }
        self.counts.cut += u64::from(whole_len > bytes.len());
        self.counts.bytes += (bytes.len() - tags_len) as u64;
        if self.sessions.len() < SESSIONS_MAX {
            self.sessions.extend(session);
        }
        self.counts.sessions = self.sessions.len();
        Some(Packet { link, at_ns, way, bytes, whole_len: whole_len as u32, session })
    }

    /// Puts a message's pieces together; the message, once nothing more of it is to come. Of a long one the beginning is
    /// enough.
    fn join(&mut self, at: usize, row: &CaptureRow) -> Option<Vec<u8>> {
        let partial = &mut self.lanes[at].partial;
        if row.offset == 0 {
            self.counts.lost += u64::from(partial.is_some());
            *partial = Some(CaptureRow { bytes: Vec::new(), ..row.clone() });
        }
        let follows = |held: &CaptureRow| {
            held.offset == row.offset
                && (held.session, held.way, held.whole_len) == (row.session, row.way, row.whole_len)
        };
        let Some(held) = partial.as_mut().filter(|held| follows(held)) else {
            self.counts.lost += 1;
            return None;
        };
        let room = CAPTURE_TOLD_LEN_MAX.saturating_sub(held.bytes.len());
        held.bytes.extend_from_slice(&row.bytes[..row.bytes.len().min(room)]);
        held.offset = held.offset.saturating_add(row.bytes.len() as u32);
        let is_all = held.offset as usize >= (held.whole_len as usize).min(self.snap_len) || row.bytes.is_empty();
        if is_all { partial.take().map(|whole| whole.bytes) } else { None }
    }

    /// Whether its time is over and all that was kept has come.
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_over)
    }

    /// What came so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Ends it on every lane. One that cannot be told ends by itself.
    pub fn end(self, asker: &mut dyn Asker) {
        for OnLane { lane, id, .. } in self.lanes {
            let _ = asker.ask(Ask::CaptureEnd { lane, id });
        }
    }
}

/// The tags in front of a message.
fn tags(row: &CaptureRow) -> Vec<u8> {
    let (source, destination) = match row.way {
        CaptureWay::In => (row.remote, row.local),
        CaptureWay::Out => (row.local, row.remote),
    };
    let mut bytes = Vec::new();
    let mut tag = |number: u16, value: &[u8]| {
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value);
    };
    tag(TAG_DISSECTOR, DISSECTOR);
    for (one_further, Endpoint { address, .. }) in [(0, source), (1, destination)] {
        let is_v4 = address[..10] == [0; 10] && address[10..12] == [0xff; 2];
        if is_v4 {
            tag(TAG_IPV4_SOURCE + one_further, &address[12..]);
        } else {
            tag(TAG_IPV6_SOURCE + one_further, &address);
        }
    }
    tag(TAG_PORT_KIND, &PORT_KIND_TCP.to_be_bytes());
    tag(TAG_SOURCE_PORT, &u32::from(source.port).to_be_bytes());
    tag(TAG_DESTINATION_PORT, &u32::from(destination.port).to_be_bytes());
    tag(0, &[]);
    bytes
}

/// What came, in plain words.
pub fn text(counts: &Counts, files: &[String]) -> String {
    let Counts { frames, messages, bytes, sessions, lost, cut, written } = counts;
    let number = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "{} and {} of {}, {bytes} bytes, in {}\n",
        number(*frames, "frame"),
        number(*messages, "message"),
        number(*sessions as u64, "session"),
        if files.is_empty() { "no file".to_owned() } else { files.join(", ") }
    );
    if frames + messages == 0 {
        text.push_str("Nothing was said by what was chosen: look for its name with `hpb peer sessions`.\n");
    }
    if frames + messages > *written {
        let _ = writeln!(text, "{} of them were written, then no more.", number(*written, "packet"));
    }
    if *lost > 0 {
        let _ = writeln!(
            text,
            "{lost} frames or pieces of messages are missing: they came faster than they were read. Choose fewer sessions, \
             or keep less of each (--snap)."
        );
    }
    if *cut > 0 {
        let _ = writeln!(text, "{cut} of them are cut.");
    }
    if *messages > 0 {
        text.push_str("Wireshark shows messages by name with `hpb peer dissector`'s script.\n");
    }
    text
}
