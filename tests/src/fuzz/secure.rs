//! Handshake and records, with someone in the middle who changes bytes.
//!
//! Two cards open a sealed session and say each a few messages. The input changes bytes of the two streams by their
//! place, and cuts them into segments anew. Whatever it does, nobody hears what the other did not say, and nobody takes a
//! session for open whose handshake was changed. The other way is a stranger who says any bytes to a sealed port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_net::Medium;
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::Capabilities;
use hpb_toe::card::{Call, Command, Event, EventBatch, SessionId};
use hpb_toe::segment::{self, SYN};
use hpb_toe::stats::Drop as Reason;
use hpb_toe::{Class, Identity, Lane, LaneConfig, Priority, SendError};
use hpb_types::{ChainId, Hash};

use super::input::Input;
use super::lane::Card;

const CHAIN: ChainId = ChainId(Hash([9; 32]));
const PORT: u16 = 30_303;
const FRAMES: usize = 128;
const TURNS_MAX: usize = 20_000;
const EDITS_MAX: usize = 32;
/// Bytes of each side's stream that are handshake: messages 1 and 3, message 2 (`toe/src/secure/handshake.rs`).
const HANDSHAKE_LEN: [u32; 2] = [51 + 162, 194];
/// What each side says, message by message.
const SAYS: [[&[u8]; 3]; 2] = [[b"one", &[7; 900], b""], [b"two", &[9; 1_500], b"end"]];
/// The selector of the lane fuzzer's sealed port.
const SEALED: u8 = 3;

/// What became of a session with someone in the middle: by side, the caller first.
#[derive(Clone, Copy, Debug)]
pub struct Eavesdropped {
    /// Who took the session for open.
    pub opened: [bool; 2],
    /// How many messages each heard.
    pub heard: [usize; 2],
}

/// Changes a sealed session, or says any bytes to a sealed port.
///
/// # Panics
/// If something changed or made up is believed.
pub fn secure(bytes: &[u8]) {
    match bytes.split_first() {
        Some((way, rest)) if way % 2 == 0 => drop(run_secure(rest)),
        Some((_, rest)) => stranger(rest),
        None => {}
    }
}

/// A stranger says any bytes: at most one step of a handshake comes of it, and never a session.
fn stranger(bytes: &[u8]) {
    let mut card = Card::new(Medium::Ip);
    let flow = card.flow(SEALED);
    card.open(flow);
    for piece in bytes.chunks(700).take(4) {
        card.say(flow, piece);
    }
    card.pass(Duration::from_secs(11));
    let counters = card.lane.counters();
    assert_eq!((counters.opened, counters.handshakes), (0, 0), "a stranger does not prove who it is");
    let refused = counters.drops.get(Reason::Stranger) + counters.drops.get(Reason::Handshake);
    assert!(refused <= 1, "a session ends at the first refusal");
    assert_eq!(card.lane.sessions(), 0, "and is gone after the handshake's time");
}

/// One side.
struct Side {
    lane: Lane,
    bursts: Bursts,
    session: Option<SessionId>,
    heard: Vec<Vec<u8>>,
}

/// One change: of a side's stream, at a place, by these bits.
#[derive(Clone, Copy)]
struct Edit {
    side: usize,
    at: u32,
    bits: u8,
}

struct Pair {
    sides: [Side; 2],
    edits: Vec<Edit>,
    /// Each side's first sequence number, from its SYN.
    initial: [Option<u32>; 2],
    now: Instant,
}

/// Runs a session under the changes that the input names.
///
/// # Panics
/// As [`secure`].
pub fn run_secure(bytes: &[u8]) -> Eavesdropped {
    let mut input = Input::new(bytes);
    let mut edits = Vec::new();
    while let (Some(at), Some(bits), true) = (input.word(), input.byte(), edits.len() < EDITS_MAX) {
        edits.push(Edit { side: usize::from(at >> 15), at: u32::from(at & 0x7fff), bits });
    }
    let mut pair = Pair::new(edits);
    pair.run();
    pair.check();
    Eavesdropped {
        opened: [0, 1].map(|side| pair.sides[side].session.is_some()),
        heard: [0, 1].map(|side| pair.sides[side].heard.len()),
    }
}

impl Pair {
    fn new(edits: Vec<Edit>) -> Self {
        let now = Instant::from_millis(1_000);
        let identity = |side: usize| Arc::new(Identity::new([side as u8 + 1; 32], CHAIN));
        let address = |side: usize| IpAddr::from([10, 0, 0, side as u8 + 1]);
        let mut sides = [0, 1].map(|side| {
            let addresses = vec![(address(side), 24)];
            let mut config = LaneConfig::new(addresses, Some(identity(side)), [side as u8; 32]);
            config.sessions_max = 4;
            config.guard.time_wait_max = 4;
            let lane = Lane::new(config, Capabilities::plain(1_500), now).unwrap();
            Side { lane, bursts: Bursts::new(FRAMES), session: None, heard: Vec::new() }
        });
        sides[1].lane.handle(now, Command::Listen { port: PORT, class: Class::Terminal, encrypted: true });
        let call = Call {
            remote: SocketAddr::new(address(1), PORT),
            local: SocketAddr::new(address(0), 0),
            class: Class::Uplink,
            responder: Some(identity(1).public()),
            identity: None,
            tag: 0,
            keep: false,
        };
        sides[0].lane.handle(now, Command::Open(call));
        Self { sides, edits, initial: [None; 2], now }
    }

    /// Until a minute has passed: longer than a handshake may take, and than an unanswered peer is waited for.
    fn run(&mut self) {
        let until = self.now + Duration::from_secs(60);
        for _ in 0..TURNS_MAX {
            if self.turn(0) | self.turn(1) {
                continue;
            }
            let wakes = self.sides.iter().filter_map(|side| side.lane.wake_at());
            match wakes.min() {
                Some(at) if at < until => self.now = at.max(self.now + Duration::from_micros(1)),
                _ => return,
            }
        }
        panic!("the session does not come to rest");
    }

    fn turn(&mut self, from: usize) -> bool {
        let now = self.now;
        let side = &mut self.sides[from];
        let mut busy = side.lane.poll(now, &mut side.bursts);
        while let Some(job) = side.lane.take_job() {
            busy = true;
            side.lane.finish_job(now, job.run());
        }
        busy |= side.reap(from);
        let frames: Vec<Frame> = side.bursts.tx.drain(..).collect();
        for frame in frames {
            busy = true;
            let mut bytes = frame.bytes().to_vec();
            self.sides[from].bursts.pool.give(frame);
            self.meddle(from, &mut bytes);
            let far = &mut self.sides[1 - from].bursts;
            if far.rx_room() > 0
                && let Some(mut frame) = far.pool.take()
            {
                frame.copy_from(&bytes);
                far.rx.push(frame);
            }
        }
        busy
    }

    /// Changes a segment on its way, the same at each repeat.
    fn meddle(&mut self, from: usize, packet: &mut [u8]) {
        let Ok(segment) = segment::parse(packet) else { panic!("a card sends TCP") };
        if segment.has(SYN) {
            self.initial[from] = Some(segment.seq);
            return;
        }
        let Some(initial) = self.initial[from] else { return };
        let first = segment.seq.wrapping_sub(initial).wrapping_sub(1);
        for edit in self.edits.iter().filter(|edit| edit.side == from && edit.at >= first) {
            let at = segment.payload_at + (edit.at - first) as usize;
            if at < segment.end_at {
                packet[at] ^= edit.bits;
            }
        }
        super::packet::repair(packet);
    }

    /// Whether a side's stream is changed within `within`.
    fn is_changed(&self, side: usize, within: std::ops::Range<u32>) -> bool {
        let mut bits = std::collections::BTreeMap::new();
        for edit in self.edits.iter().filter(|edit| edit.side == side && within.contains(&edit.at)) {
            *bits.entry(edit.at).or_insert(0) ^= edit.bits;
        }
        bits.values().any(|bits| *bits != 0)
    }

    fn check(&self) {
        for side in 0..2 {
            let (far, own) = (1 - side, &self.sides[side]);
            // What comes to this side is what the far one says.
            let heard = own.heard.iter().zip(SAYS[far]).all(|(heard, said)| heard == said);
            assert!(heard && own.heard.len() <= SAYS[far].len(), "side {side} heard what was not said");
            if self.is_changed(far, 0..HANDSHAKE_LEN[far]) {
                assert!(own.session.is_none(), "side {side} took a changed handshake for good");
            }
            if !self.is_changed(0, 0..u32::MAX) && !self.is_changed(1, 0..u32::MAX) {
                assert_eq!(own.heard.len(), SAYS[far].len(), "an unchanged session carries all");
            }
            let records = HANDSHAKE_LEN[far]..HANDSHAKE_LEN[far] + 2;
            if self.is_changed(far, records) {
                assert!(own.heard.is_empty(), "a changed record is not opened");
            }
        }
    }
}

impl Side {
    fn reap(&mut self, side: usize) -> bool {
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, peer, .. } => {
                    assert_eq!(peer, Some(Identity::new([2 - side as u8; 32], CHAIN).public()), "who it is");
                    self.session = Some(session);
                    for body in SAYS[side] {
                        // A changed record may have ended it already.
                        let sent = self.lane.send(session, Priority::Normal, 1, body);
                        assert!(matches!(sent, Ok(()) | Err(SendError::NotOpen)), "there is room: {sent:?}");
                    }
                }
                Event::Message { body, .. } => self.heard.push(body.to_vec()),
                Event::Closed { .. } => {}
            }
        }
        !batch.is_empty()
    }
}
