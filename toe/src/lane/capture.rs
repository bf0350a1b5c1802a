//! Captures of chosen sessions, for whoever asks a running lane: frames as they cross between lane and port, and
//! messages as they are before they are sealed and after they were opened.
//!
//! A lane without captures holds nothing for them, and each place where it would keep something costs a branch. A capture
//! ends when its time is over and nobody reads it any more, or when it is told to; it keeps what finds room, newest first,
//! and never holds the lane.
//!
//! Messages are for programs of the lane's host. An asker from afar is refused them, is told no more than the headers of
//! frames that lie open, and never sees its own session: its answers would fill what they tell.

use hpb_base::limits::{CAPTURE_GONE_MAX, CAPTURE_SECONDS_MAX, CAPTURE_SILENCE_SECONDS_MAX, CAPTURES_MAX};
use hpb_base::{Duration, Instant};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::Medium;
use hpb_types::keys::PublicKey;
use hpb_types::message::diagnose::{
    CaptureAsked, CaptureBegun, CaptureKind, CapturePage, CaptureWay, PeerKey, Refusal,
};

use super::session::Session;
use super::{Lane, live};
use crate::card::SessionId;
use crate::neighbor::packet_at;
use crate::segment::{self, FlowKey};

mod kept;

use kept::Ring;

/// For whom a capture is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaptureFor {
    /// A program of the lane's host.
    Local,
    /// A session from afar.
    Afar {
        /// That session, if it is one of this lane's.
        own: Option<SessionId>,
    },
}

/// Whose a frame or message is.
#[derive(Clone, Copy)]
pub(super) struct Who {
    session: Option<SessionId>,
    flow: FlowKey,
    peer: Option<PublicKey>,
    encrypted: bool,
}

impl Who {
    fn of(session: &Session) -> Self {
        Self { session: Some(session.id), flow: session.flow, peer: session.peer, encrypted: session.encrypted }
    }
}

struct Capture {
    id: u32,
    asked: CaptureAsked,
    asker: CaptureFor,
    ends_at: Instant,
    /// When its asker was last heard of.
    heard_at: Instant,
    ring: Ring,
}

/// The captures of a lane that has some.
pub(super) struct Captures {
    list: Vec<Capture>,
    /// When the present turn is.
    now: Instant,
    /// Frames at the front of the send burst that were looked at, and how many the last turn left there.
    noted: usize,
    tx_len: usize,
    /// Sessions that ended in this turn, whose last frames are about to leave.
    gone: Vec<Who>,
}

/// The captures of a lane, or none: then each of these functions is one branch.
#[derive(Default)]
pub(super) struct Capturing {
    pub(super) armed: Option<Box<Captures>>,
    last_id: u32,
}

impl Capturing {
    /// Whose a session's messages are; `None` if nobody wants to know.
    pub(super) fn who(&self, session: &Session) -> Option<Who> {
        self.armed.is_some().then(|| Who::of(session))
    }

    /// A message came whole, or the last of it was sealed; it stands in two parts.
    pub(super) fn message(&mut self, who: &Who, way: CaptureWay, (head, body): (&[u8], &[u8])) {
        let Some(Captures { list, now, .. }) = self.armed.as_deref_mut() else { return };
        for capture in list.iter_mut().filter(|capture| capture.asked.what.has_messages()) {
            if capture.wants(*now, who) {
                let message = [head, body].concat();
                let kept_len = capture.kept_len(message.len());
                capture.ring.keep(*now, who, way, CaptureKind::Message, &message[..kept_len], message.len());
            }
        }
    }

    /// A session is about to be forgotten.
    pub(super) fn leave(&mut self, session: &Session) {
        let Some(captures) = self.armed.as_deref_mut() else { return };
        let who = Who::of(session);
        if captures.gone.len() < CAPTURE_GONE_MAX && captures.list.iter().any(|one| one.wants(captures.now, &who)) {
            captures.gone.push(who);
        }
    }

    /// When the next capture's time is over, or its asker is taken to be gone.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let Captures { list, now, .. } = self.armed.as_deref()?;
        let ends = list.iter().map(|capture| capture.ends_at).filter(|ends_at| ends_at > now);
        list.iter().map(Capture::forgotten_at).chain(ends).min()
    }

    /// Lets go of captures that nobody reads any more.
    fn expire(&mut self, now: Instant) {
        if let Some(captures) = self.armed.as_deref_mut() {
            captures.list.retain(|capture| capture.forgotten_at() > now);
            self.disarm();
        }
    }

    fn disarm(&mut self) {
        self.armed.take_if(|captures| captures.list.is_empty());
    }

    fn find(&mut self, id: u32, asker: CaptureFor) -> Option<&mut Capture> {
        let list = &mut self.armed.as_deref_mut()?.list;
        list.iter_mut().find(|capture| capture.id == id && capture.is_for(asker))
    }
}

impl Captures {
    /// A turn begins: the port took frames from the front of the send burst meanwhile.
    fn begin(&mut self, now: Instant, bursts: &Bursts) {
        self.now = now;
        let left = self.tx_len.saturating_sub(bursts.tx.len());
        self.noted = self.noted.saturating_sub(left).min(bursts.tx.len());
        self.tx_len = bursts.tx.len();
    }

    fn keep(&mut self, who: &Who, way: CaptureWay, kind: CaptureKind, frame: &[u8], payload_at: usize) {
        let now = self.now;
        for capture in self.list.iter_mut().filter(|capture| capture.asked.what.has_frames()) {
            if !capture.wants(now, who) {
                continue;
            }
            let lies_open = !who.encrypted && capture.asker != CaptureFor::Local;
            let told_len = if lies_open { payload_at.min(frame.len()) } else { frame.len() };
            let kept_len = capture.kept_len(told_len);
            capture.ring.keep(now, who, way, kind, &frame[..kept_len], frame.len());
        }
    }
}

impl Capture {
    fn forgotten_at(&self) -> Instant {
        self.heard_at + Duration::from_secs(CAPTURE_SILENCE_SECONDS_MAX)
    }

    /// What a program of the host began is no business of anybody's from afar.
    fn is_for(&self, asker: CaptureFor) -> bool {
        asker == CaptureFor::Local || self.asker != CaptureFor::Local
    }

    fn kept_len(&self, len: usize) -> usize {
        match self.asked.snap_len {
            0 => len,
            snap_len => len.min(snap_len as usize),
        }
    }

    fn wants(&self, now: Instant, who: &Who) -> bool {
        let CaptureAsked { names, near, peer, .. } = &self.asked;
        if now >= self.ends_at || !near.contains(who.flow.remote().ip()) {
            return false;
        }
        let Some(session) = who.session else { return names.is_empty() && *peer == PeerKey::Unknown };
        let is_named = |named: SessionId| named == session;
        let is_own = matches!(self.asker, CaptureFor::Afar { own } if own == Some(session));
        let mut named = names.iter().map(|name| SessionId { index: name.index, generation: name.generation });
        !is_own && (names.is_empty() || named.any(is_named)) && peer.key().is_none_or(|key| who.peer == Some(key))
    }
}

impl Lane {
    /// Begins a capture on this lane, one of `lanes`.
    ///
    /// # Errors
    /// [`Refusal::Role`] for messages from afar, [`Refusal::NotFound`] for a session that is not there, and
    /// [`Refusal::Full`] beyond [`CAPTURES_MAX`].
    pub fn capture(
        &mut self,
        now: Instant,
        asked: CaptureAsked,
        asker: CaptureFor,
        lanes: u16,
    ) -> Result<CaptureBegun, Refusal> {
        if asked.what.has_messages() && asker != CaptureFor::Local {
            return Err(Refusal::Role);
        }
        for name in &asked.names {
            let id = SessionId { index: name.index, generation: name.generation };
            if name.lane != asked.lane || live(&mut self.slots, id).is_none() {
                return Err(Refusal::NotFound);
            }
        }
        self.capturing.expire(now);
        let captures = self.capturing.armed.get_or_insert_with(|| {
            // What waits for the port left before.
            Box::new(Captures { list: Vec::new(), now, noted: usize::MAX, tx_len: 0, gone: Vec::new() })
        });
        if captures.list.len() >= CAPTURES_MAX {
            return Err(Refusal::Full);
        }
        self.capturing.last_id = self.capturing.last_id.wrapping_add(1);
        let id = self.capturing.last_id;
        let ends_at = now + Duration::from_secs(asked.seconds.clamp(1, CAPTURE_SECONDS_MAX).into());
        captures.list.push(Capture { id, asked, asker, ends_at, heard_at: now, ring: Ring::default() });
        Ok(CaptureBegun { lanes, id })
    }

    /// What a capture kept after row number `after`.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it has ended.
    pub fn captured(&mut self, now: Instant, id: u32, after: u64, asker: CaptureFor) -> Result<CapturePage, Refusal> {
        self.capturing.expire(now);
        let capture = self.capturing.find(id, asker).ok_or(Refusal::NotFound)?;
        capture.heard_at = now;
        Ok(capture.ring.page(now, after, capture.asked.lane, now >= capture.ends_at))
    }

    /// Ends a capture and lets go of what it kept; false if there is none.
    pub fn end_capture(&mut self, id: u32, asker: CaptureFor) -> bool {
        let is_there = self.capturing.find(id, asker).is_some();
        if let (true, Some(captures)) = (is_there, self.capturing.armed.as_deref_mut()) {
            captures.list.retain(|capture| capture.id != id);
            self.capturing.disarm();
        }
        is_there
    }

    /// Captures under way.
    pub fn captures(&self) -> usize {
        self.capturing.armed.as_ref().map_or(0, |captures| captures.list.len())
    }

    /// A turn begins; received frames still have their link headers.
    pub(super) fn capture_received(&mut self, now: Instant, bursts: &Bursts, is_held: bool) {
        self.capturing.expire(now);
        let Some(mut captures) = self.capturing.armed.take() else { return };
        captures.begin(now, bursts);
        if !is_held {
            let kind = self.kind_of_frames();
            bursts.rx.iter().for_each(|frame| self.capture_frame(&mut captures, CaptureWay::In, kind, frame));
        }
        self.capturing.armed = Some(captures);
    }

    /// Packets from other lanes have joined those received, from the one at `from` on.
    pub(super) fn capture_joined(&mut self, bursts: &Bursts, from: usize) {
        let Some(mut captures) = self.capturing.armed.take() else { return };
        let joined = &bursts.rx[from.min(bursts.rx.len())..];
        for frame in joined {
            self.capture_frame(&mut captures, CaptureWay::In, CaptureKind::Packet, frame);
        }
        self.capturing.armed = Some(captures);
    }

    /// A turn ends; frames that are to be sent have their link headers.
    pub(super) fn capture_sent(&mut self, now: Instant, bursts: &Bursts) {
        let Some(mut captures) = self.capturing.armed.take() else { return };
        captures.now = now;
        let kind = self.kind_of_frames();
        let fresh = bursts.tx.iter().skip(captures.noted);
        fresh.for_each(|frame| self.capture_frame(&mut captures, CaptureWay::Out, kind, frame));
        captures.gone.clear();
        (captures.noted, captures.tx_len) = (bursts.tx.len(), bursts.tx.len());
        self.capturing.armed = Some(captures);
    }

    fn kind_of_frames(&self) -> CaptureKind {
        match self.capabilities.medium {
            Medium::Ethernet => CaptureKind::Frame,
            Medium::Ip => CaptureKind::Packet,
        }
    }

    fn capture_frame(&self, captures: &mut Captures, way: CaptureWay, kind: CaptureKind, frame: &Frame) {
        let frame = frame.bytes();
        let from = if kind == CaptureKind::Frame { packet_at(frame) } else { Some(0) };
        let Some((from, Ok(segment))) = from.map(|from| (from, segment::parse(&frame[from..]))) else { return };
        let flow = match way {
            CaptureWay::In => segment.flow,
            // Its source is this side.
            CaptureWay::Out => FlowKey::new(segment.flow.local(), segment.flow.remote()),
        };
        if let Some(who) = self.whose(captures, flow) {
            captures.keep(&who, way, kind, frame, from + segment.payload_at);
        }
    }

    /// Whose a flow is; `None` for another lane's.
    fn whose(&self, captures: &Captures, flow: FlowKey) -> Option<Who> {
        let session =
            |index: u32| self.slots.get(index as usize)?.session.as_ref().filter(|session| session.flow == flow);
        let found = self.flows.find(self.flows.hash(&flow), |index| session(index).is_some());
        if let Some(session) = found.and_then(session) {
            return Some(Who::of(session));
        }
        let gone = captures.gone.iter().find(|who| who.flow == flow).copied();
        let nobody = Who { session: None, flow, peer: None, encrypted: false };
        gone.or_else(|| self.is_reached_by(&flow).then_some(nobody))
    }
}
