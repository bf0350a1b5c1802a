//! What ports read: the offload header in front of a frame with the super-frame that it stands for, and their URLs.

use hpb_base::limits::{FRAME_LEN_MAX, PORT_QUEUES_MAX, SUPER_FRAME_LEN_MAX};
use hpb_net::PortUrl;
use hpb_net::frame::FramePool;
use hpb_net::offload::{Cutter, HEADER_LEN, Segmentation, VirtioHeader, complete_checksum};

use super::packet;

/// Reads a virtio-net header, then takes what follows as its frame: marks it, and cuts it if it is a super-frame.
///
/// # Panics
/// If a header reads back otherwise, a checksum leaves its frame, or the segments are not the super-frame's payload in
/// order, each whole.
pub fn offload(bytes: &[u8]) {
    let Some((head, frame)) = bytes.split_first_chunk::<HEADER_LEN>() else { return };
    let header = VirtioHeader::parse(head);
    if header.segmentation != Segmentation::Other {
        assert_eq!(VirtioHeader::parse(&header.to_bytes()), header);
    }
    mark(&header, frame);
    // As it came, and with a checksum that holds, so that one of its own is got past.
    let mut repaired = frame.to_vec();
    let packet_at = if frame.get(12..14) == Some(&[0x81, 0]) { 18 } else { 14 };
    if let Some(packet) = repaired.get_mut(packet_at..) {
        packet::repair(packet);
    }
    for whole in [frame, &repaired] {
        cut(&header, whole, packet_at);
    }
}

fn mark(header: &VirtioHeader, bytes: &[u8]) {
    let mut frame = FramePool::new(1).take().unwrap();
    frame.copy_from(bytes);
    if header.mark(&mut frame).is_err() {
        return;
    }
    let Some(partial) = frame.partial() else { return };
    assert!(usize::from(partial.start) + usize::from(partial.offset) + 2 <= frame.len());
    assert_eq!(complete_checksum(frame.bytes_mut(), partial), Ok(()), "what is marked can be completed");
}

fn cut(header: &VirtioHeader, whole: &[u8], packet_at: usize) {
    let Ok(mut cutter) = Cutter::new(header, whole) else { return };
    assert!(whole.len() <= SUPER_FRAME_LEN_MAX && header.segment_len > 0);
    let is_ipv6 = header.segmentation == Segmentation::Tcp6;
    let mut frame = FramePool::new(1).take().unwrap();
    let mut payload: Vec<u8> = Vec::new();
    let mut first: Option<(u32, usize)> = None;
    while cutter.cut(whole, &mut frame) {
        assert!(frame.len() <= FRAME_LEN_MAX && frame.is_verified());
        if let Some(partial) = frame.partial() {
            complete_checksum(frame.bytes_mut(), partial).expect("a segment's checksum lies in it");
        }
        let packet = &frame.bytes()[packet_at..];
        let header_len = if is_ipv6 { 40 } else { usize::from(packet[0] & 15) * 4 };
        let stated = usize::from(u16::from_be_bytes(*packet[if is_ipv6 { 4 } else { 2 }..].first_chunk().unwrap()));
        assert_eq!(stated + if is_ipv6 { 40 } else { 0 }, packet.len(), "its length is its own");
        let tcp = &packet[header_len..];
        let data_at = usize::from(tcp[12] >> 4) * 4;
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let (initial, headers_len) = *first.get_or_insert((seq, packet_at + header_len + data_at));
        assert_eq!(seq, initial.wrapping_add(payload.len() as u32), "in order");
        let len = tcp.len() - data_at;
        assert!((1..=usize::from(header.segment_len)).contains(&len));
        payload.extend(&tcp[data_at..]);
        let is_last = headers_len + payload.len() == whole.len();
        assert!(is_last || tcp[13] & 0x09 == 0, "FIN and PSH are the last segment's");
        assert_eq!(cutter.is_done(), is_last);
        assert!(packet::sums_hold(packet), "each segment sums");
    }
    let (_, headers_len) = first.expect("a super-frame has a segment");
    assert_eq!(payload, whole[headers_len..], "nothing is lost");
    assert!(!cutter.cut(whole, &mut frame));
}

/// Reads the URL of a port.
///
/// # Panics
/// If it does not read back from how it is shown, or names more queues than there may be.
pub fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match PortUrl::parse(text) {
        Ok(url) => {
            assert!((1..=PORT_QUEUES_MAX).contains(&url.queues()));
            let again = PortUrl::parse(&url.to_string());
            assert!(again.as_ref().is_ok_and(|again| *again == url), "{url:?} became {again:?}");
        }
        Err(error) => assert!(error.to_string().starts_with(text), "{error}"),
    }
}
