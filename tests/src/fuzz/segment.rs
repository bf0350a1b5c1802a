//! The edge's view of a segment.

use hpb_net::frame::{Frame, FramePool};
use hpb_toe::segment::{self as edge, Segment, Spoken};

use super::packet;

/// Parse, rewrite and answer any packet.
///
/// # Panics
/// A position out of bounds, a rewrite that changes something else, a checksum that does not do its work.
pub fn segment(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    packet::repair(&mut repaired);
    for packet in [bytes, &repaired] {
        if let Ok(segment) = edge::parse(packet) {
            check_positions(packet, &segment);
            check_families(packet, &segment);
            check_rewrites(packet, &segment);
            check_checksums(packet, &segment);
            check_answers(&segment);
        }
    }
    if let Ok(segment) = edge::parse(&repaired) {
        assert!(edge::checksums_hold(&repaired, &segment), "an independent sum agrees");
    }
}

fn check_positions(packet: &[u8], segment: &Segment) {
    assert!(segment.tcp_at >= 20 && segment.tcp_at + 20 <= segment.payload_at);
    assert!(segment.payload_at <= segment.end_at && segment.end_at <= packet.len());
    assert!((segment.sequence_len() - segment.payload_len()) <= 2);
    let options = edge::syn_options(packet, segment);
    assert!(options.window_scale.is_none_or(|shift| shift <= 14));
    // Padding means nothing.
    let bare = edge::parse(&packet[..segment.end_at]).expect("what is read ends where it says");
    assert_eq!(format!("{bare:?}"), format!("{segment:?}"));
    assert!(edge::parse(&packet[..segment.end_at - 1]).is_err(), "cut by one byte");
}

fn check_families(packet: &[u8], segment: &Segment) {
    // An IPv6 packet must never be taken for a segment of an IPv4 session.
    let is_v4 = packet[0] >> 4 == 4;
    assert_eq!(segment.flow.local().is_ipv4(), is_v4, "the destination's family");
    assert_eq!(segment.flow.remote().is_ipv4(), is_v4, "the source's family");
    let (source, destination) = packet::ends(packet);
    assert_eq!((segment.flow.remote().ip(), segment.flow.local().ip()), (source, destination));
}

fn check_rewrites(packet: &[u8], segment: &Segment) {
    let mut changed = packet.to_vec();
    edge::set_seq(&mut changed, segment, !segment.seq);
    edge::set_ack(&mut changed, segment, !segment.ack);
    edge::set_window(&mut changed, segment, !segment.window);
    let mut again = edge::parse(&changed).expect("numbers do not matter to reading");
    assert_eq!((again.seq, again.ack, again.window), (!segment.seq, !segment.ack, !segment.window));
    (again.seq, again.ack, again.window) = (segment.seq, segment.ack, segment.window);
    assert_eq!(format!("{again:?}"), format!("{segment:?}"), "nothing else moved");
    // A shorter payload reads back as the card then holds it.
    let mut shorter = *segment;
    let len = segment.window as usize % (segment.payload_len() as usize + 1);
    edge::cut_payload(&mut changed, &mut shorter, len);
    assert_eq!(shorter.payload_len() as usize, len.min(segment.payload_len() as usize));
    let read = edge::parse(&changed).expect("a shorter segment");
    assert_eq!((read.end_at, read.flags), (shorter.end_at, shorter.flags));
}

fn check_checksums(packet: &[u8], segment: &Segment) {
    // The card fills only what its engine made: no options of IP, no padding.
    if !matches!((packet[0] >> 4, segment.tcp_at), (4, 20) | (6, 40)) {
        return;
    }
    let mut filled = packet[..segment.end_at].to_vec();
    edge::fill_checksums(&mut filled);
    assert!(edge::checksums_hold(&filled, segment));
    packet::assert_whole(&filled, usize::MAX);
    let at = segment.tcp_at + segment.seq as usize % (segment.end_at - segment.tcp_at);
    filled[at] ^= 1 << (segment.ack % 8);
    assert!(!edge::checksums_hold(&filled, segment), "a flipped bit is seen");
    filled[at] ^= 1 << (segment.ack % 8);
    // What a port completes is what the card would have filled.
    let mut partial = packet[..segment.end_at].to_vec();
    let left = edge::fill_partial_checksum(&mut partial);
    assert_eq!((usize::from(left.start), left.offset), (segment.tcp_at, 16));
    let field = segment.tcp_at + 16;
    let words = partial[segment.tcp_at..].chunks(2);
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    partial[field..field + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    assert_eq!(partial, filled);
}

fn check_answers(segment: &Segment) {
    let mut frame = frame();
    let reset = Spoken::reset(segment);
    reset.write(&mut frame);
    packet::assert_whole(frame.bytes(), 1_500);
    let read = edge::parse(frame.bytes()).expect("what the card says can be read");
    assert_eq!((read.flow.remote(), read.flow.local()), (segment.flow.local(), segment.flow.remote()));
    assert_eq!((read.seq, read.ack, read.flags), (reset.seq, reset.ack, reset.flags));
    reset.write_as_received(&mut frame);
    let read = edge::parse(frame.bytes()).expect("as if it had come");
    assert_eq!(read.flow, segment.flow);
}

fn frame() -> Frame {
    FramePool::new(1).take().unwrap()
}
