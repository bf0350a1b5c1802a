//! Two taped lanes on a wire that loses, delays and damages; then each again by its tape alone.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hpb_base::limits::BURST_LEN_MAX;
use hpb_base::{Duration, Instant, Random};
use hpb_net::capture::Way;
use hpb_net::frame::Bursts;
use hpb_net::port::{Capabilities, Port};
use hpb_net::wire::{Jitter, LinkConfig, WireBuilder, WirePort};
use hpb_types::codec::Canonical as _;
use hpb_types::keys::Hash;
use hpb_types::message::diagnose::Parting;
use hpb_types::units::ChainId;

use super::*;
use crate::card::{Call, Event, Group};
use crate::class::Class;
use crate::framing::framed;
use crate::lane::LaneConfig;
use crate::secure::Identity;
use crate::service::{Page, Service};

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const PORT: u16 = 30_303;
const PLAIN: u16 = 30_304;
const HTTP: u16 = 80;

/// What one lane's tape and capture came to.
#[derive(Default)]
struct Kept {
    entries: Vec<Vec<u8>>,
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Kept>>);

impl TapeSink for Keeper {
    fn frame(&mut self, _at: Instant, way: Way, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap();
        let frames = match way {
            Way::In => &mut kept.received,
            Way::Out => &mut kept.sent,
        };
        frames.push_back(bytes.to_vec());
    }

    fn entry(&mut self, entry: &Entry) {
        self.0.lock().unwrap().entries.push(entry.to_bytes());
    }

    fn is_full(&self) -> bool {
        false
    }
}

impl Captured for Kept {
    fn received(&mut self) -> Option<Vec<u8>> {
        self.received.pop_front()
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front()
    }
}

struct End {
    lane: TapedLane,
    head: Vec<u8>,
    keeper: Keeper,
    port: WirePort,
    bursts: Bursts,
    open: Vec<SessionId>,
}

fn address(end: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, end as u8 + 1])
}

fn identity(end: usize) -> Arc<Identity> {
    Arc::new(Identity::new([end as u8 + 1; 32], CHAIN))
}

/// A server and a client, both taped, with few frames, so that running out of them is part of it.
fn ends(seed: u64, link: LinkConfig, now: Instant) -> Vec<End> {
    let mut builder = WireBuilder::new(seed).default_link(link);
    builder.port(&[address(0)]);
    builder.port(&[address(1)]);
    let ports = builder.build().unwrap().into_iter().enumerate();
    let ends = ports.map(|(end, port)| {
        let mut config = LaneConfig::new(vec![(address(end), 8)], Some(identity(end)), [end as u8; 32]);
        config.half_open_max = 4;
        let keeper = Keeper::default();
        let head = TapeHead::new(config, port.capabilities(), now).unwrap();
        let lane = TapedLane::taped(&head, Box::new(keeper.clone())).unwrap();
        End { lane, head: head.to_bytes(), keeper, port, bursts: Bursts::new(96), open: Vec::new() }
    });
    ends.collect()
}

fn call(port: u16, class: Class, encrypted: bool, tag: u64) -> Command {
    Command::Open(Call {
        remote: SocketAddr::new(address(0), port),
        local: SocketAddr::new(address(1), 0),
        class,
        responder: encrypted.then(|| identity(0).public()),
        identity: None,
        tag,
        keep: tag.is_multiple_of(2),
    })
}

/// What a driver would do, at its own random whim.
fn stir(end: &mut End, now: Instant, random: &mut Random) {
    let len = random.below(3_000) as usize;
    let body: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let session = (!end.open.is_empty()).then(|| end.open[random.below(end.open.len() as u64) as usize]);
    match (random.below(40), session) {
        (0..12, Some(session)) => drop(end.lane.send(session, Priority::Normal, 7, &body)),
        (12..16, Some(session)) => drop(end.lane.send_shared(session, Priority::Sheddable, &framed(8, &body).into())),
        (16, Some(session)) => end.lane.handle(now, Command::Close { session }),
        (17..19, Some(session)) => {
            end.lane.handle(now, Command::Join { session, group: Some(Group::Terminals) });
        }
        (19..22, _) => {
            let message = framed(9, &body).into();
            end.lane.handle(now, Command::Broadcast { group: Group::Terminals, priority: Priority::Critical, message });
        }
        (22, _) => {
            // Each is set for a moment now and then: most of them stop the traffic.
            let register = Register::ALL[random.below(Register::ALL.len() as u64) as usize];
            let value = if random.below(40) == 0 { 1 + random.below(3) as u32 } else { 0 };
            end.lane.handle(now, Command::SetRegister { register, value });
        }
        _ => {}
    }
}

impl End {
    fn turn(&mut self, now: Instant, random: &mut Random) -> bool {
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        busy |= self.lane.receive(now, &mut self.bursts);
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, .. } => self.open.push(session),
                Event::Closed { session, .. } => self.open.retain(|open| *open != session),
                Event::Message { .. } => {}
            }
        }
        stir(self, now, random);
        busy |= self.lane.transmit(now, &mut self.bursts);
        while let Some(job) = self.lane.take_job() {
            busy = true;
            self.lane.finish_job(now, job.run());
        }
        busy | (self.port.tx_burst(now, &mut self.bursts) > 0)
    }
}

/// A run of half a minute at a whim of `seed`.
fn run(seed: u64) -> Vec<End> {
    let mut random = Random::new(seed);
    let link = LinkConfig {
        delay: Duration::from_micros(random.below(5_000)),
        jitter: Jitter::Uniform(Duration::from_micros(random.below(2_000))),
        loss_ppm: random.below(50_000) as u32,
        corrupt_ppm: random.below(5_000) as u32,
        duplicate_ppm: random.below(20_000) as u32,
        reorder_ppm: random.below(50_000) as u32,
        reorder_delay: Duration::from_millis(2),
        ..LinkConfig::default()
    };
    let mut now = Instant::from_millis(1_000);
    let until = now + Duration::from_secs(30);
    let mut ends = ends(seed, link, now);
    let server = &mut ends[0].lane;
    server.handle(now, Command::Listen { port: PORT, class: Class::Terminal, encrypted: true });
    server.handle(now, Command::Listen { port: PLAIN, class: Class::Validator, encrypted: false });
    let page = Service::Http(Arc::new(Page::new("text/plain", b"hello")));
    server.handle(now, Command::Serve { port: HTTP, service: page });
    for tag in 0..12 {
        let call = match tag % 3 {
            0 => call(PORT, Class::Uplink, true, tag),
            1 => call(PLAIN, Class::Validator, false, tag),
            _ => call(HTTP, Class::Stream, false, tag),
        };
        ends[1].lane.handle(now, call);
    }
    let mut calm = Random::new(seed);
    while now < until {
        let mut busy = true;
        let mut turns = 0;
        while busy && turns < 200 {
            busy = false;
            for end in &mut ends {
                busy |= end.turn(now, &mut random);
            }
            turns += 1;
        }
        let wakes = ends.iter().flat_map(|end| [end.lane.wake_at(), end.port.wake_at()]).flatten();
        let next = wakes.min().unwrap_or(until).max(now + Duration::from_nanos(1));
        // Idle turns in between, as a lane that spins has them.
        now = next.min(now + Duration::from_micros(calm.below(3_000) + 1));
    }
    ends[0].lane.leave(now, Goodbye::because(Parting::SHUTDOWN), Duration::from_millis(400));
    for turn in 0..1_000 {
        for end in &mut ends {
            end.turn(now + Duration::from_millis(turn), &mut random);
        }
    }
    assert!(ends[0].lane.has_left());
    for end in &mut ends {
        end.lane.end_tape();
    }
    ends
}

fn replayed(end: &End) -> Result<u64, ReplayError> {
    let mut kept = end.keeper.0.lock().unwrap();
    let head = TapeHead::from_bytes(&end.head).unwrap();
    let mut replay = Replay::new(&head)?;
    let entries = std::mem::take(&mut kept.entries);
    for bytes in &entries {
        replay.step(Entry::from_bytes(bytes).unwrap(), &mut *kept)?;
    }
    kept.entries = entries;
    Ok(replay.alike())
}

#[test]
fn a_lane_does_again_what_its_tape_says_frame_for_frame() {
    let mut frames = 0;
    for seed in 0..8 {
        for (number, end) in run(seed).iter().enumerate() {
            let sent = end.keeper.0.lock().unwrap().sent.len() as u64;
            match replayed(end) {
                Ok(alike) => assert_eq!(alike, sent, "seed {seed}, end {number}"),
                Err(error) => panic!("seed {seed}, end {number}: {error}: {error:?}"),
            }
            frames += sent;
        }
    }
    assert!(frames > 3_000, "{frames} frames are too few to show anything");
}

#[test]
fn another_secret_sends_other_frames() {
    let ends = run(3);
    let mut head = TapeHead::from_bytes(&ends[0].head).unwrap();
    head.config.secret = [99; 32];
    let other = End { head: head.to_bytes(), ..run(3).remove(0) };
    assert!(matches!(replayed(&other), Err(ReplayError::Parted(_))));
}

#[test]
fn a_frame_that_was_captured_otherwise_is_found() {
    let end = run(5).remove(1);
    {
        let mut kept = end.keeper.0.lock().unwrap();
        let at = kept.sent.len() / 2;
        kept.sent[at][30] ^= 1;
    }
    match replayed(&end) {
        Err(ReplayError::Parted(parted)) => {
            assert!(parted.alike > 0 && parted.now.is_some() && parted.now != parted.then);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lane_of_several_is_refused() {
    let mut config = LaneConfig::new(vec![(address(0), 8)], None, [0; 32]);
    let steering = Arc::new(crate::lane::Sharing::steering(None, &[0; 32], 2));
    config.sharing = Some(crate::lane::Sharing { steering, lane: 0, lanes: 2 });
    let head = TapeHead::new(config, Capabilities::plain(1_500), Instant::ZERO);
    assert!(matches!(head, Err(LaneError::Sharing)));
}

#[test]
fn a_tape_is_read_as_it_was_written_and_refused_where_it_is_cut() {
    let end = run(1).remove(0);
    let kept = end.keeper.0.lock().unwrap();
    let head = TapeHead::from_bytes(&end.head).unwrap();
    let mut writer = TapeWriter::new(Vec::new(), &head).unwrap();
    for bytes in &kept.entries {
        writer.write(&Entry::from_bytes(bytes).unwrap()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let (mut reader, head) = TapeReader::new(&bytes[..]).unwrap();
    assert_eq!(head.to_bytes(), end.head);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.push(entry.to_bytes());
    }
    assert_eq!(entries, kept.entries);

    let read_all = |bytes: &[u8]| -> Result<(), TapeError> {
        let (mut reader, _) = TapeReader::new(bytes)?;
        while reader.next_entry()?.is_some() {}
        Ok(())
    };
    assert!(matches!(read_all(&bytes[..bytes.len() - 1]), Err(TapeError::Cut(_))));
    assert!(matches!(read_all(b"GIF89a..."), Err(TapeError::NotATape)));
    let mut other = bytes.clone();
    other[8] = 9;
    assert!(matches!(read_all(&other), Err(TapeError::Version(9))));
}

#[test]
fn turns_in_which_nothing_happens_take_no_room() {
    let now = Instant::from_millis(1_000);
    let mut end = ends(0, LinkConfig::default(), now).remove(0);
    let mut random = Random::new(0);
    for turn in 0..10_000 {
        let at = now + Duration::from_micros(turn);
        end.lane.receive(at, &mut end.bursts);
        end.lane.transmit(at, &mut end.bursts);
        let _ = random.next_u64();
    }
    assert_eq!(end.keeper.0.lock().unwrap().entries.len(), 0);
    assert!(end.bursts.tx.len() < BURST_LEN_MAX);
}
