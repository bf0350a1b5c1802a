#![allow(clippy::unwrap_used)]

use hpb_base::Random;
use hpb_net::frame::FramePool;
use hpb_toe::segment::{FlowKey, Spoken};

use super::*;

const CALLER: &str = "10.0.0.1:40000";
const CALLED: &str = "10.0.0.2:7";

/// A segment as its receiver sees it, with a payload.
fn segment(by_caller: bool, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if by_caller { (CALLER, CALLED) } else { (CALLED, CALLER) };
    let flow = FlowKey::new(to.parse().unwrap(), from.parse().unwrap());
    let mut frame = FramePool::new(1).take().unwrap();
    Spoken { flow, seq, ack: 0, flags, window: 1_000, mss: None }.write(&mut frame);
    let mut packet = frame.bytes().to_vec();
    packet.extend_from_slice(payload);
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet
}

fn streams(segments: &[Vec<u8>]) -> Vec<Stream> {
    let mut streams = Streams::default();
    for (at, packet) in segments.iter().enumerate() {
        streams.take(at as u64 * 1_000, Medium::Ip, packet).unwrap();
    }
    streams.finish()
}

fn text(stream: &Stream) -> Vec<(bool, String)> {
    stream.said.iter().map(|said| (said.by_caller, String::from_utf8_lossy(&said.bytes).into_owned())).collect()
}

#[test]
fn each_side_is_put_in_order_and_cut_where_the_other_speaks() {
    let near_the_end = u32::MAX - 2;
    let streams = streams(&[
        segment(true, near_the_end, SYN, b""),
        segment(false, 500, SYN | ACK, b""),
        segment(true, near_the_end.wrapping_add(1), ACK, b"he"),
        // Out of order, repeated, overlapping, over the end of the numbers.
        segment(true, near_the_end.wrapping_add(5), ACK, b"o"),
        segment(true, near_the_end.wrapping_add(1), ACK, b"he"),
        segment(true, near_the_end.wrapping_add(2), ACK, b"ell"),
        segment(false, 501, ACK, b"well"),
        segment(true, near_the_end.wrapping_add(6), FIN | ACK, b"!"),
    ]);
    assert_eq!(streams.len(), 1);
    let said = [(true, "hello".to_owned()), (false, "well".to_owned()), (true, "!".to_owned())];
    assert_eq!(text(&streams[0]), said);
    assert_eq!((streams[0].caller, streams[0].called), (CALLER.parse().unwrap(), CALLED.parse().unwrap()));
    assert!(streams[0].has_beginning && !streams[0].has_gap);
    assert_eq!(streams[0].said[1].at_ns, 6_000);
    let summary = streams[0].summary(0);
    assert_eq!((summary.caller_bytes, summary.called_bytes, summary.turns), (6, 4, 3));
}

#[test]
fn what_is_missing_ends_a_side_and_is_said() {
    let streams = streams(&[segment(true, 9, SYN, b""), segment(true, 10, ACK, b"ab"), segment(true, 15, ACK, b"cd")]);
    assert_eq!(text(&streams[0]), [(true, "ab".to_owned())]);
    assert!(streams[0].has_gap);
}

#[test]
fn a_session_under_way_and_one_that_is_called_again_are_told_apart() {
    let streams = streams(&[
        segment(false, 77, ACK, b"late"),
        segment(false, 81, FIN | ACK, b""),
        segment(false, 400, SYN, b""),
        segment(false, 401, ACK, b"new"),
    ]);
    assert_eq!(streams.len(), 2);
    assert!(!streams[0].has_beginning && streams[1].has_beginning);
    assert_eq!(text(&streams[1]), [(true, "new".to_owned())]);
}

#[test]
fn tags_are_passed_over_and_other_frames_ignored() {
    let inner = segment(true, 9, SYN, b"");
    let tagged = [&[0; 12][..], &[0x81, 0, 0, 5, 8, 0], &inner].concat();
    let mut streams = Streams::default();
    streams.take(0, Medium::Ethernet, &tagged).unwrap();
    streams.take(0, Medium::Ethernet, &[0; 13]).unwrap();
    streams.take(0, Medium::Ethernet, &[0x81; 40]).unwrap();
    streams.take(0, Medium::Ip, &[]).unwrap();
    assert_eq!(streams.finish().len(), 1);
}

#[test]
fn any_order_of_any_pieces_says_the_same() {
    let whole: Vec<u8> = (0..2_000_u32).map(|at| at as u8).collect();
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let first = random.next_u64() as u32;
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        while at < whole.len() {
            let len = 1 + random.below(90) as usize;
            let from = at.saturating_sub(random.below(40) as usize);
            pieces.push((from, (at + len).min(whole.len())));
            at += len;
        }
        for at in (1..pieces.len()).rev() {
            pieces.swap(at, random.below(at as u64 + 1) as usize);
        }
        let mut segments = vec![segment(true, first, SYN, b"")];
        segments.extend(
            pieces
                .iter()
                .map(|(from, to)| segment(true, first.wrapping_add(1 + *from as u32), ACK, &whole[*from..*to])),
        );
        let streams = streams(&segments);
        assert_eq!(streams[0].said.len(), 1, "seed {seed}");
        assert_eq!(streams[0].said[0].bytes, whole, "seed {seed}");
        assert!(!streams[0].has_gap, "seed {seed}");
    }
}
