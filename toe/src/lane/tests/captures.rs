//! Captures of chosen sessions.

use hpb_base::limits::{CAPTURE_SILENCE_SECONDS_MAX, CAPTURES_MAX};
use hpb_types::message::diagnose::{
    CaptureAsked, CaptureKind, CapturePage, CaptureRow, CaptureWay, CaptureWhat, Network, PeerKey, Refusal, SessionName,
};

use super::*;
use crate::segment;

const AFAR: CaptureFor = CaptureFor::Afar { own: None };

fn asked(what: CaptureWhat) -> CaptureAsked {
    let (near, peer) = (Network::ALL, PeerKey::Unknown);
    CaptureAsked { lane: 0, names: Vec::new(), near, peer, what, snap_len: 0, seconds: 60 }
}

fn name(session: SessionId) -> SessionName {
    SessionName { lane: 0, index: session.index, generation: session.generation }
}

fn begin(world: &mut World, asked: CaptureAsked) -> u32 {
    world.hosts[0].lane.capture(world.now, asked, CaptureFor::Local, 1).unwrap().id
}

fn page(world: &mut World, id: u32, after: u64) -> CapturePage {
    world.hosts[0].lane.captured(world.now, id, after, CaptureFor::Local).unwrap()
}

/// All rows that are kept.
fn rows(world: &mut World, id: u32) -> Vec<CaptureRow> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let page = page(world, id, after);
        assert_eq!((page.lost, page.first), (0, after + 1));
        if page.rows.is_empty() {
            return rows;
        }
        after += page.rows.len() as u64;
        rows.extend(page.rows);
    }
}

fn of_kind(rows: &[CaptureRow], kind: CaptureKind, way: CaptureWay) -> Vec<&CaptureRow> {
    rows.iter().filter(|row| row.kind == kind && row.way == way).collect()
}

/// The messages that went one way, put together from their rows.
fn messages(rows: &[CaptureRow], way: CaptureWay) -> Vec<u8> {
    of_kind(rows, CaptureKind::Message, way).iter().flat_map(|row| row.bytes.clone()).collect()
}

fn ends_of(rows: &[CaptureRow]) -> Vec<u16> {
    let mut ports: Vec<u16> = rows.iter().map(|row| row.remote.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[test]
fn messages_are_kept_as_they_were_said_in_both_ways() {
    for encrypted in [true, false] {
        let mut world = open_pair(1, LinkConfig::default(), Class::Validator, encrypted);
        let (near, far) = (world.opened(0)[0], world.opened(1)[0]);
        let id = begin(&mut world, asked(CaptureWhat::Both));
        let said = [(7, body(40, 1)), (8, body(0, 2)), (9, body(200_000, 3))];
        for (kind, body) in &said {
            world.send(0, near, *kind, body).unwrap();
            world.send(1, far, kind + 10, body).unwrap();
        }
        world.run_for(Duration::from_secs(5));
        let rows = rows(&mut world, id);
        let stream = |more: u8| said.iter().flat_map(|(kind, body)| framed(kind + more, body)).collect::<Vec<u8>>();
        assert_eq!(messages(&rows, CaptureWay::Out), stream(0), "encrypted: {encrypted}");
        assert_eq!(messages(&rows, CaptureWay::In), stream(10), "encrypted: {encrypted}");
        let long: Vec<_> =
            rows.iter().filter(|row| row.kind == CaptureKind::Message && row.whole_len > 200_000).collect();
        assert_eq!((long.len(), long[0].offset, long[1].offset), (26, 0, 16_384));
        // Frames of the wire in memory begin at their IP header.
        for way in [CaptureWay::In, CaptureWay::Out] {
            let frames = of_kind(&rows, CaptureKind::Packet, way);
            let len: usize = frames.iter().map(|row| row.bytes.len()).sum();
            assert!(len > 200_000, "{len} bytes");
            assert!(frames.iter().all(|row| row.session == name(near) && row.bytes.len() == row.whole_len as usize));
            let open = frames.iter().any(|row| row.bytes.windows(32).any(|bytes| bytes == &body(40, 1)[..32]));
            assert_eq!(open, !encrypted, "what is sealed stays so");
        }
        assert!(rows.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
    }
}

#[test]
fn chosen_sessions_alone_are_kept() {
    let mut world = World::new(2, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..3 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(2));
    let sessions = world.opened(0);
    let one = CaptureAsked { names: vec![name(sessions[1])], ..asked(CaptureWhat::Both) };
    let near = |host: u8| Network::new([10, 0, 0, host].into(), 32).unwrap();
    let captures = [
        (one, 1),
        (CaptureAsked { near: near(2), ..asked(CaptureWhat::Both) }, 3),
        (CaptureAsked { near: near(3), ..asked(CaptureWhat::Both) }, 0),
        (CaptureAsked { peer: PeerKey::Known(identity(1).public()), ..asked(CaptureWhat::Both) }, 3),
    ];
    let ids = captures.map(|(asked, sessions)| (begin(&mut world, asked), sessions));
    assert_eq!(world.hosts[0].lane.captures(), CAPTURES_MAX);
    let more = world.hosts[0].lane.capture(world.now, asked(CaptureWhat::Frames), CaptureFor::Local, 1);
    assert_eq!(more, Err(Refusal::Full));
    for session in &sessions {
        world.send(0, *session, 7, b"to whom it concerns").unwrap();
    }
    world.run_for(Duration::from_secs(1));
    for (id, sessions) in ids {
        let rows = rows(&mut world, id);
        assert_eq!(ends_of(&rows).len(), sessions);
        assert_eq!(of_kind(&rows, CaptureKind::Message, CaptureWay::Out).len(), sessions);
    }
    let gone = CaptureAsked { names: vec![name(SessionId { index: 99, generation: 0 })], ..asked(CaptureWhat::Both) };
    for (id, _) in ids {
        assert!(world.hosts[0].lane.end_capture(id, CaptureFor::Local));
    }
    assert_eq!(world.hosts[0].lane.capture(world.now, gone, CaptureFor::Local, 1), Err(Refusal::NotFound));
}

#[test]
fn a_session_is_kept_from_its_first_frame_to_its_last() {
    let mut world = World::new(3, LinkConfig::default());
    world.listen(Class::Terminal, true);
    let id = begin(&mut world, CaptureAsked { snap_len: 64, ..asked(CaptureWhat::Frames) });
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(1));
    let session = world.opened(0)[0];
    let named = CaptureAsked { names: vec![name(session)], ..asked(CaptureWhat::Frames) };
    let named = begin(&mut world, named);
    world.hosts[0].lane.handle(world.now, Command::Close { session });
    world.run_for(Duration::from_secs(1));
    let flags = |row: &CaptureRow| segment::parse(&row.bytes).unwrap_or_else(|_| panic!("cut: {row:?}")).flags;
    let all = rows(&mut world, id);
    assert!(all.iter().all(|row| row.bytes.len() <= 64) && all.iter().any(|row| row.whole_len > 64));
    assert_eq!(all[0].bytes[33] & segment::SYN, segment::SYN, "the SYN that opened it");
    let rows = rows(&mut world, named);
    let with =
        |flag: u8, way| of_kind(&rows, CaptureKind::Packet, way).iter().filter(|row| flags(row) & flag != 0).count();
    assert_eq!((with(segment::FIN, CaptureWay::In), with(segment::FIN, CaptureWay::Out)), (1, 1));
    let last = rows.last().unwrap();
    assert_eq!((last.way, last.session), (CaptureWay::Out, name(session)), "the ACK of its peer's FIN");
}

#[test]
fn a_capture_ends_by_its_time_and_by_its_askers_silence_and_leaves_nothing() {
    let mut world = open_pair(4, LinkConfig::default(), Class::Terminal, true);
    let session = world.opened(0)[0];
    assert_eq!(world.hosts[0].lane.captures(), 0);
    assert!(world.hosts[0].lane.capturing.armed.is_none(), "without one there is no ring");
    let id = begin(&mut world, CaptureAsked { seconds: 2, ..asked(CaptureWhat::Plain) });
    for second in 0..4 {
        world.send(0, session, second, b"x").unwrap();
        world.run_for(Duration::from_secs(1));
        let page = page(&mut world, id, 0);
        assert!(!page.is_over, "what is kept is told first");
    }
    assert_eq!(rows(&mut world, id).len(), 2, "later ones are not kept");
    let told = page(&mut world, id, 2);
    assert!(told.is_over && told.rows.is_empty());
    world.run_for(Duration::from_secs(CAPTURE_SILENCE_SECONDS_MAX - 1));
    assert!(world.hosts[0].lane.capturing.armed.is_some());
    world.run_for(Duration::from_secs(2));
    assert!(world.hosts[0].lane.capturing.armed.is_none(), "the lane woke up to let go of it");
    assert_eq!(world.hosts[0].lane.captured(world.now, id, 0, CaptureFor::Local), Err(Refusal::NotFound));
}

#[test]
fn from_afar_no_message_is_told_and_no_payload_that_lies_open() {
    for encrypted in [true, false] {
        let mut world = open_pair(5, LinkConfig::default(), Class::Terminal, encrypted);
        let session = world.opened(0)[0];
        let lane = &mut world.hosts[0].lane;
        for what in [CaptureWhat::Plain, CaptureWhat::Both] {
            assert_eq!(lane.capture(world.now, asked(what), AFAR, 1), Err(Refusal::Role));
        }
        let local = lane.capture(world.now, asked(CaptureWhat::Both), CaptureFor::Local, 1).unwrap().id;
        assert_eq!(lane.captured(world.now, local, 0, AFAR), Err(Refusal::NotFound), "another's");
        assert!(!lane.end_capture(local, AFAR));
        let afar = lane.capture(world.now, asked(CaptureWhat::Frames), AFAR, 1).unwrap().id;
        let own = CaptureFor::Afar { own: Some(session) };
        let own_id = lane.capture(world.now, asked(CaptureWhat::Frames), own, 1).unwrap().id;
        world.send(0, session, 7, &body(400, 1)).unwrap();
        world.run_for(Duration::from_secs(1));
        let rows = rows(&mut world, afar);
        let most = rows.iter().map(|row| row.bytes.len()).max().unwrap();
        assert!(if encrypted { most > 400 } else { most == 40 }, "{most} bytes, encrypted: {encrypted}");
        let told = world.hosts[0].lane.captured(world.now, own_id, 0, own).unwrap();
        assert!(told.rows.is_empty(), "its own session tells nothing of itself");
    }
}
