//! A node that the test plays, and files in a folder of the test's.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::PathBuf;

use hpb_types::message::diagnose::{CaptureBegun, Refusal};

use super::file::{CaptureFiles, Place};
use super::*;

/// Answers in turn, and what was asked.
#[derive(Default)]
struct Played {
    answers: VecDeque<Tell>,
    asked: Vec<Ask>,
}

impl Asker for Played {
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError> {
        self.asked.push(what);
        self.answers.pop_front().ok_or(AskError::Refused(Refusal::NotFound))
    }
}

fn wanted() -> Wanted {
    let (near, peer) = (Network::ALL, PeerKey::Unknown);
    Wanted { names: Vec::new(), near, peer, what: CaptureWhat::Both, snap_len: 0, seconds: None }
}

fn session(lane: u16) -> SessionName {
    SessionName { lane, index: 7, generation: 1 }
}

fn row(kind: CaptureKind, offset: u32, len: usize, whole_len: u32) -> CaptureRow {
    CaptureRow {
        at_ns: 5,
        session: session(0),
        remote: Endpoint::of(([10, 0, 0, 2], 4_000).into()),
        local: Endpoint::of(([10, 0, 0, 1], 30_303).into()),
        way: CaptureWay::In,
        kind,
        whole_len,
        offset,
        bytes: vec![9; len],
    }
}

fn page(first: u64, lost: u64, rows: Vec<CaptureRow>) -> Tell {
    Tell::Captured(CapturePage { now_ns: 10, first, lost, is_over: false, rows })
}

fn begun(lanes: u16) -> Tell {
    Tell::Capturing(CaptureBegun { lanes, id: 3 })
}

fn read(played: &mut Played, capture: &mut Capture) -> Vec<Packet> {
    let mut packets = Vec::new();
    capture
        .read(played, &mut |packet| {
            packets.push(packet.clone());
            Ok(())
        })
        .unwrap();
    packets
}

#[test]
fn it_begins_on_all_lanes_or_on_those_that_are_named() {
    let mut played = Played { answers: [begun(3), begun(3), begun(3)].into(), ..Played::default() };
    Capture::begin(&mut played, &wanted()).unwrap();
    let lanes = |played: &Played| {
        let lane = |ask: &Ask| match ask {
            Ask::Capture(asked) => (asked.lane, asked.names.len()),
            other => panic!("{other:?}"),
        };
        played.asked.iter().map(lane).collect::<Vec<_>>()
    };
    assert_eq!(lanes(&played), [(0, 0), (1, 0), (2, 0)]);
    let mut played = Played { answers: [begun(9)].into(), ..Played::default() };
    Capture::begin(&mut played, &Wanted { names: vec![session(2), session(2)], ..wanted() }).unwrap();
    assert_eq!(lanes(&played), [(2, 2)]);
}

#[test]
fn pieces_become_messages_and_what_is_missing_is_counted() {
    let message = |offset, len, whole| row(CaptureKind::Message, offset, len, whole);
    let rows = vec![
        message(0, 100, 250),
        message(100, 100, 250),
        message(200, 50, 250),
        row(CaptureKind::Frame, 0, 60, 1_500),
        message(100, 50, 150),
        message(0, 100, 150),
        message(0, 5, 5),
    ];
    let mut played =
        Played { answers: [begun(1), page(4, 3, rows), page(11, 0, Vec::new())].into(), ..Played::default() };
    let mut capture = Capture::begin(&mut played, &wanted()).unwrap();
    let packets = read(&mut played, &mut capture);
    let kinds: Vec<_> = packets.iter().map(|packet| packet.link).collect();
    assert_eq!(kinds, [CaptureLink::UpperPdu, CaptureLink::Ethernet, CaptureLink::UpperPdu]);
    let tags_len = packets[2].bytes.len() - 5;
    assert_eq!((packets[0].bytes.len(), packets[0].whole_len as usize), (tags_len + 250, tags_len + 250));
    assert_eq!((packets[1].bytes.len(), packets[1].whole_len), (60, 1_500));
    let counts = Counts { frames: 1, messages: 2, bytes: 315, sessions: 1, lost: 5, cut: 1, written: 0 };
    assert_eq!(capture.counts(), &counts, "three that the node lost, one without a beginning, one without an end");
    assert!(text(&counts, &[]).contains("5 frames or pieces of messages are missing"));
    read(&mut played, &mut capture);
    assert_eq!(played.asked[2], Ask::Captured { lane: 0, id: 3, after: 10 });
    capture.end(&mut played);
    assert_eq!(played.asked[3], Ask::CaptureEnd { lane: 0, id: 3 });
}

#[test]
fn tags_name_the_dissector_and_both_ends() {
    let tagged = tags(&row(CaptureKind::Message, 0, 1, 1));
    let expected = [
        &[0, 12, 0, 4][..],
        b"hpb\0",
        &[0, 20, 0, 4, 10, 0, 0, 2],
        &[0, 21, 0, 4, 10, 0, 0, 1],
        &[0, 24, 0, 4, 0, 0, 0, 2],
        &[0, 25, 0, 4, 0, 0, 15, 160],
        &[0, 26, 0, 4, 0, 0, 118, 95],
        &[0, 0, 0, 0],
    ];
    assert_eq!(tagged, expected.concat());
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("capture-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn packet(len: usize) -> Packet {
    let (link, way) = (CaptureLink::Ip, Way::Out);
    Packet { link, at_ns: 1, way, bytes: vec![0x45; len], whole_len: len as u32, session: Some(session(0)) }
}

fn packets_in(path: &str) -> usize {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = hpb_net::capture::CaptureReader::new(file).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap()).count()
}

#[test]
fn a_ring_of_files_keeps_the_last_and_each_can_be_read() {
    let place = folder("ring");
    let ring = Place::Ring { path: place.join("x.pcapng"), len_max: 10_000, files_max: 3 };
    let mut files = CaptureFiles::create(ring).unwrap();
    for _ in 0..100 {
        files.put(&packet(1_000)).unwrap();
    }
    files.flush().unwrap();
    let names = files.names();
    assert_eq!(names.len(), 3);
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 3);
    assert!(names.iter().take(2).all(|name| packets_in(name) == packets_in(&names[0])));
    assert!(names[2] > names[1] && names[1] > names[0], "{names:?}");
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn what_a_full_disk_did_not_take_is_told() {
    let mut files = match CaptureFiles::create(Place::File("/dev/full".into())) {
        Err(error) => return assert_eq!(error.kind(), std::io::ErrorKind::StorageFull),
        Ok(files) => files,
    };
    assert!(files.put(&packet(9)).and_then(|()| files.flush()).is_err());
}
