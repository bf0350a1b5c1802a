//! Where the time of each message went: the stamps of both ends' lanes laid side by side.
//!
//! From the moment at which it was meant to leave to that at which it arrived a message passes, on the way there:
//! `application` (until the lane has it: what a late sender costs is here), `encryption` (until it lies sealed in the send
//! buffer; in a session without encryption, copied), `tcp` (until a segment with its end leaves), `port` (until the
//! device has that), `wire` (until a burst brings it to the other end), `tcp-in` (until TCP has it and all before it),
//! `decryption` (until its record is opened). An answer begins with the other end's `application` and takes the same
//! way back; last comes the `delivery` to whoever waits for it. Where the port says when a frame arrived at its door, the
//! `wire` ends there, and what lies between that and the burst is `port-in`. The hops of a message add up to its latency,
//! to the nanosecond.
//!
//! A frame may arrive before the call returns that sent it: the port's time then ends where the frame arrived. A message
//! whose stamps have given way to newer ones, or whose session shed, is not among the hops. Of messages that one record
//! or one turn sealed together, those before the last are counted to the end of all of them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpb_base::{Duration, Instant};
use hpb_toe::SessionId;
use hpb_toe::stamps::{Stage, Stamps};

use crate::measure::Distribution;
use crate::record::Hop;

/// Stamps that are kept of one lane at most.
pub const STAMPS_MAX: usize = 1 << 18;
/// Sessions that are looked at on one lane at most.
pub const SESSIONS_WATCHED_MAX: usize = 128;
/// Of more sessions than these about so many are looked at, drawn by their ports.
const SESSIONS_DRAWN: u32 = 64;
/// The newest messages of a session that are kept for their hops.
pub const SPANS_MAX: usize = 1 << 16;

/// Where a message stays before each way.
pub(crate) const APPLICATION: &str = "application";
/// Where it stays last.
const DELIVERY: &str = "delivery";
/// What is added to sequence numbers, so that those before the first one known are not negative.
const SEQUENCE_BASE: u64 = 1 << 32;

/// A clock that a driver of virtual time sets and stamps read.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// It is `now` until it is set again.
    pub fn set(&self, now: Instant) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// What it says.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Stamps for one lane of the lab, in a run of so many sessions; to be given to it before its first message.
pub fn stamps(sessions: u32, clock: impl FnMut() -> Instant + Send + 'static) -> Stamps {
    Stamps::new(STAMPS_MAX, SESSIONS_WATCHED_MAX, sessions.div_ceil(SESSIONS_DRAWN), clock)
}

/// When a message was meant to leave, and when it, or its answer, arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Meant to leave.
    pub intended: Instant,
    /// Arrived.
    pub arrived: Instant,
}

/// The messages of a session in their order, the newest [`SPANS_MAX`]; `None` for those that are not measured or did not
/// arrive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionSpans {
    /// The number of the first that is kept.
    first: u64,
    spans: VecDeque<Option<Span>>,
}

impl SessionSpans {
    /// The session's next message.
    pub fn push(&mut self, span: Option<Span>) {
        if self.spans.len() == SPANS_MAX {
            self.spans.pop_front();
            self.first += 1;
        }
        self.spans.push_back(span);
    }

    /// Those that are measured and arrived, each with its number in the session.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Span)> {
        (self.first..).zip(&self.spans).filter_map(|(number, span)| Some((number, (*span)?)))
    }
}

/// The messages of one lane's sessions.
pub type Spans = BTreeMap<SessionId, SessionSpans>;

/// Whose names spans give to sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Those of the lane from which messages went.
    ByNear,
    /// Those of the lane to which they went.
    ByFar,
}

/// Frames that say when they arrived at the door of their port, by the host's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doors {
    /// Whether those on the way there do.
    pub there: bool,
    /// Whether those on the way back do.
    pub back: bool,
    /// By how much the host's clock, since 1970, is ahead of the one that stamps read.
    pub unix_ahead: Duration,
}

/// The time in each hop, of all messages that were looked at.
pub struct Sums {
    hops: Vec<(&'static str, bool, Distribution)>,
}

impl Sums {
    /// Of these hops, named in the order in which a message passes them, each with whether it is on the way back.
    pub fn new(names: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        Self { hops: names.into_iter().map(|(name, is_back)| (name, is_back, Distribution::new())).collect() }
    }

    /// One message: the instants between which its hops lie, one more than there are hops. One that lies after a later
    /// one is moved back to it.
    pub fn take(&mut self, instants: &mut [Instant]) {
        for ((_, _, sum), time) in self.hops.iter_mut().zip(between(instants)) {
            sum.take(time);
        }
    }

    /// The hops; none if there was no message.
    pub fn finish(self) -> Vec<Hop> {
        let hop = |(name, is_back, time): (&str, bool, Distribution)| Hop {
            name: name.to_owned(),
            is_back,
            time: time.buckets(),
        };
        let hops: Vec<Hop> = self.hops.into_iter().map(hop).collect();
        if hops.iter().all(|hop| hop.time.0.is_empty()) { Vec::new() } else { hops }
    }
}

/// The time in each hop of messages between lanes.
pub struct LaneSums {
    is_answered: bool,
    doors: Option<Doors>,
    sums: Sums,
}

impl LaneSums {
    /// Of messages that are answered, in the same order, or of those that are not.
    pub fn new(is_answered: bool, doors: Option<Doors>) -> Self {
        Self { is_answered, doors, sums: Sums::new(names(is_answered, doors)) }
    }

    /// Lays the stamps of two lanes side by side: messages went from `near` to `far`.
    pub fn take(&mut self, near: &Stamps, far: &Stamps, named: Named, spans: &Spans) {
        for mut instants in passages(near, far, (self.is_answered, self.doors), named, spans) {
            self.sums.take(&mut instants);
        }
    }

    /// The hops in the order in which a message passes them; none if there was no message.
    pub fn finish(self) -> Vec<Hop> {
        self.sums.finish()
    }
}

fn names(is_answered: bool, doors: Option<Doors>) -> Vec<(&'static str, bool)> {
    let way = |is_back: bool| {
        let has_door = doors.is_some_and(|doors| if is_back { doors.back } else { doors.there });
        let sent = [APPLICATION, "encryption", "tcp", "port", "wire"].into_iter();
        let names = sent.chain(has_door.then_some("port-in")).chain(["tcp-in", "decryption"]);
        names.map(move |name| (name, is_back))
    };
    let back = is_answered.then(|| way(true)).into_iter().flatten();
    way(false).chain(back).chain([(DELIVERY, is_answered)]).collect()
}

/// The instants between which the hops of each message lie that all stamps are there of.
fn passages(
    near: &Stamps,
    far: &Stamps,
    (is_answered, doors): (bool, Option<Doors>),
    named: Named,
    spans: &Spans,
) -> Vec<Vec<Instant>> {
    let door = |has: fn(&Doors) -> bool| doors.filter(has).map(|doors| doors.unix_ahead);
    let (near_lines, far_lines) = (Timelines::of(near), Timelines::of(far));
    let mut passages = Vec::new();
    for (session, spans) in spans {
        let pair = match named {
            Named::ByNear => near_lines.0.get(session).and_then(|near| Some((near, far_lines.facing(near)?))),
            Named::ByFar => far_lines.0.get(session).and_then(|far| Some((near_lines.facing(far)?, far))),
        };
        let Some((near, far)) = pair else { continue };
        let there = Way::new(near, far, door(|doors| doors.there));
        let back = Way::new(far, near, door(|doors| doors.back));
        for (number, span) in spans.iter() {
            let Some(out) = there.instants(number) else { continue };
            let answer = if is_answered { back.instants(number) } else { None };
            if is_answered && answer.is_none() {
                continue;
            }
            let passed = out.into_iter().chain(answer.into_iter().flatten());
            passages.push(std::iter::once(span.intended).chain(passed).chain([span.arrived]).collect());
        }
    }
    passages
}

/// From each instant to the next; one that lies after a later one is moved back to it.
fn between(instants: &mut [Instant]) -> Vec<Duration> {
    for at in (0..instants.len() - 1).rev() {
        instants[at] = instants[at].min(instants[at + 1]);
    }
    instants.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// What one lane stamped, session by session.
struct Timelines(BTreeMap<SessionId, Timeline>);

/// One session's stamps, each list in its order.
struct Timeline {
    /// Its own end and the peer's.
    ends: (SocketAddr, SocketAddr),
    /// Number, when, and bytes of messages up to its end.
    taken: Vec<(u64, Instant, u64)>,
    /// Bytes of messages, when, and where that ends on the wire.
    sealed: Vec<(u64, Instant, u64)>,
    emitted: Vec<Segment>,
    received: Vec<Segment>,
    /// How many messages, and when.
    opened: Vec<(u64, Instant)>,
    /// The sequence number by which the others are unfolded, of each direction: out and in.
    anchors: [Option<u64>; 2],
}

/// A segment's bytes on the wire, and when it was where.
#[derive(Clone, Copy)]
struct Segment {
    from: u64,
    to: u64,
    /// Up to where no byte was missing then; of a received one.
    whole_to: u64,
    /// When it left TCP, or came with a burst.
    at: Instant,
    /// When the port had it, or TCP.
    then_at: Instant,
    /// When it arrived at the port's door, in nanoseconds since 1970; of a received one.
    door_unix_ns: Option<u64>,
}

impl Segment {
    /// Whether the byte before `end` is one of its.
    fn holds(&self, end: u64) -> bool {
        self.from < end && end <= self.to
    }
}

impl Timelines {
    fn of(stamps: &Stamps) -> Self {
        let fresh = |ends| Timeline {
            ends,
            taken: Vec::new(),
            sealed: Vec::new(),
            emitted: Vec::new(),
            received: Vec::new(),
            opened: Vec::new(),
            anchors: [None; 2],
        };
        let mut lines: BTreeMap<SessionId, Timeline> =
            stamps.sessions().map(|(id, local, remote)| (id, fresh((local, remote)))).collect();
        for stamp in stamps.iter() {
            if let Some(line) = lines.get_mut(&stamp.session) {
                line.take(stamp.at, stamp.stage);
            }
        }
        Self(lines)
    }

    /// The same session at the other end.
    fn facing(&self, other: &Timeline) -> Option<&Timeline> {
        self.0.values().find(|line| line.ends == (other.ends.1, other.ends.0))
    }
}

impl Timeline {
    fn take(&mut self, at: Instant, stage: Stage) {
        match stage {
            Stage::Taken { number, stream_len } => self.taken.push((number, at, stream_len)),
            Stage::Sealed { stream_len, sequence } => {
                let sequence = self.unfolded(0, sequence);
                self.sealed.push((stream_len, at, sequence));
            }
            Stage::Emitted { from, to, given_at } => {
                let (from, to) = (self.unfolded(0, from), self.unfolded(0, to));
                let segment = Segment { from, to, whole_to: to, at, then_at: given_at, door_unix_ns: None };
                self.emitted.push(segment);
            }
            Stage::Received { from, to, whole_to, fed_at, arrived_unix_ns: door_unix_ns } => {
                let (from, to, whole_to) = (self.unfolded(1, from), self.unfolded(1, to), self.unfolded(1, whole_to));
                self.received.push(Segment { from, to, whole_to, at, then_at: fed_at, door_unix_ns });
            }
            Stage::Opened { count } => self.opened.push((count, at)),
        }
    }

    /// A sequence number of 32 bits as one that does not wrap: near the last one of its direction.
    fn unfolded(&mut self, direction: usize, sequence: u32) -> u64 {
        let last = self.anchors[direction].unwrap_or(SEQUENCE_BASE + u64::from(sequence));
        let by = sequence.wrapping_sub(last as u32).cast_signed();
        let unfolded = last.saturating_add_signed(i64::from(by));
        self.anchors[direction] = Some(unfolded);
        unfolded
    }
}

/// One direction of a session: who sends, who receives.
struct Way<'lines> {
    from: &'lines Timeline,
    to: &'lines Timeline,
    /// What makes a number of the sender's one of the receiver's: they may have unfolded theirs from different turns.
    shift: u64,
    /// By how much the clock of the receiver's door is ahead, if it has one.
    door_ahead: Option<Duration>,
}

impl<'lines> Way<'lines> {
    fn new(from: &'lines Timeline, to: &'lines Timeline, door_ahead: Option<Duration>) -> Self {
        let first = |segments: &[Segment]| segments.first().map_or(0, |segment| segment.from);
        let (sent, came) = (first(&from.emitted), first(&to.received));
        let by = (came as u32).wrapping_sub(sent as u32).cast_signed();
        let shift = came.wrapping_sub(sent.wrapping_add_signed(i64::from(by)));
        Self { from, to, shift, door_ahead }
    }

    /// When message `number` was taken, sealed, emitted, given to the port, at the other one's door if that has a clock,
    /// received, fed and opened.
    fn instants(&self, number: u64) -> Option<Vec<Instant>> {
        let (from, to) = (self.from, self.to);
        let first_taken = from.taken.first()?.0;
        let (_, taken_at, stream_len) = *from.taken.get(number.checked_sub(first_taken)? as usize)?;
        let (_, sealed_at, end) = *from.sealed.get(from.sealed.partition_point(|sealed| sealed.0 < stream_len))?;
        let (_, opened_at) = *to.opened.get(to.opened.partition_point(|opened| opened.0 <= number))?;
        let end_there = end.wrapping_add(self.shift);
        let whole = to.received.partition_point(|segment| segment.whole_to < end_there);
        let fed_at = to.received.get(whole)?.then_at;
        let received = to.received[..=whole].iter().rev().find(|segment| segment.holds(end_there))?;
        // Of several copies the one that left last before one arrived.
        let left = from.emitted.partition_point(|segment| segment.at <= received.at);
        let emitted = from.emitted[..left].iter().rev().find(|segment| segment.holds(end))?;
        let sent = [taken_at, sealed_at, emitted.at, emitted.then_at];
        let door_at = match self.door_ahead {
            Some(ahead) => Some(Instant::from_nanos(received.door_unix_ns?.saturating_sub(ahead.as_nanos()))),
            None => None,
        };
        Some(sent.into_iter().chain(door_at).chain([received.at, fed_at, opened_at]).collect())
    }
}

#[cfg(test)]
mod tests;
