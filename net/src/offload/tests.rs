#![allow(clippy::unwrap_used)]

use hpb_base::limits::{FRAME_LEN_MAX, JOINED_LEN_MAX};
use proptest::prelude::*;

use super::cut::partial_at;
use super::join::frame_len_max;
use super::*;
use crate::frame::FramePool;

/// A TCP segment in an Ethernet frame.
#[derive(Clone, Debug)]
struct Sample {
    is_ipv6: bool,
    is_tagged: bool,
    ip_options_len: usize,
    tcp_options_len: usize,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
}

impl Sample {
    fn plain(sequence: u32, payload: &[u8]) -> Self {
        Self {
            is_ipv6: false,
            is_tagged: false,
            ip_options_len: 0,
            tcp_options_len: 12,
            sequence,
            flags: TCP_ACK,
            payload: payload.to_vec(),
        }
    }

    fn ip_at(&self) -> usize {
        ETHERNET_LEN + if self.is_tagged { TAG_LEN } else { 0 }
    }

    fn tcp_at(&self) -> usize {
        self.ip_at() + if self.is_ipv6 { IPV6_LEN } else { IPV4_LEN_MIN + self.ip_options_len }
    }

    fn payload_at(&self) -> usize {
        self.tcp_at() + TCP_LEN_MIN + self.tcp_options_len
    }

    fn segmentation(&self) -> Segmentation {
        if self.is_ipv6 { Segmentation::Tcp6 } else { Segmentation::Tcp4 }
    }

    /// The frame with both checksums whole.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.open_bytes();
        complete_checksum(&mut bytes, partial_at(self.tcp_at())).unwrap();
        bytes
    }

    /// The frame with its TCP checksum left open.
    fn open_bytes(&self) -> Vec<u8> {
        let (ip_at, tcp_at, payload_at) = (self.ip_at(), self.tcp_at(), self.payload_at());
        let mut bytes = vec![0; payload_at];
        bytes.extend(&self.payload);
        bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        if self.is_tagged {
            bytes[12..16].copy_from_slice(&[0x81, 0, 0, 42]);
        }
        put16(&mut bytes, ip_at - 2, if self.is_ipv6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 });
        let packet_len = bytes.len() - ip_at;
        let ip = &mut bytes[ip_at..];
        if self.is_ipv6 {
            ip[0] = 0x60;
            ip[6..8].copy_from_slice(&[PROTOCOL_TCP, 64]);
            for (at, byte) in ip[8..40].iter_mut().enumerate() {
                *byte = 0x20 + at as u8;
            }
        } else {
            ip[0] = 0x45 + (self.ip_options_len / 4) as u8;
            ip[4..6].copy_from_slice(&[0xff, 0xfe]);
            ip[6] = 0x40;
            ip[8..10].copy_from_slice(&[64, PROTOCOL_TCP]);
            ip[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        set_packet_len(ip, self.is_ipv6, tcp_at - ip_at, packet_len);
        let tcp = &mut bytes[tcp_at..];
        tcp[..4].copy_from_slice(&[0x9c, 0x40, 0, 80]);
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[12] = (((TCP_LEN_MIN + self.tcp_options_len) / 4) << 4) as u8;
        tcp[13] = self.flags;
        tcp[14] = 0x10;
        tcp[20..20 + self.tcp_options_len].fill(1);
        let tcp_len = tcp.len() as u64;
        let pseudo_sum = fold(Layout::of(&bytes).unwrap().pseudo_sum(&bytes) + tcp_len);
        put16(&mut bytes, tcp_at + TCP_CHECKSUM_AT, pseudo_sum);
        bytes
    }

    fn header(&self, segment_len: usize) -> VirtioHeader {
        VirtioHeader {
            partial: Some(partial_at(self.tcp_at())),
            segmentation: self.segmentation(),
            headers_len: self.payload_at() as u16,
            segment_len: segment_len as u16,
            ..VirtioHeader::default()
        }
    }
}

fn samples(payload_len: impl Strategy<Value = usize>) -> impl Strategy<Value = Sample> {
    let options = (0_usize..=10, 0_usize..=10);
    (any::<bool>(), any::<bool>(), options, any::<u32>(), any::<u8>(), payload_len, any::<u8>()).prop_map(
        |(is_ipv6, is_tagged, options, sequence, flags, payload_len, seed)| Sample {
            is_ipv6,
            is_tagged,
            ip_options_len: 4 * options.0,
            tcp_options_len: 4 * options.1,
            sequence,
            flags,
            payload: (0..payload_len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect(),
        },
    )
}

/// All segments of a super-frame.
fn cut_all(header: &VirtioHeader, bytes: &[u8]) -> Vec<Frame> {
    let mut pool = FramePool::new(65_536);
    let mut cutter = Cutter::new(header, bytes).unwrap();
    let mut frames = Vec::new();
    loop {
        let mut frame = pool.take().unwrap();
        if !cutter.cut(bytes, &mut frame) {
            assert!(cutter.is_done());
            return frames;
        }
        frames.push(frame);
    }
}

/// Whether both checksums of a frame hold, summed here in the plainest way.
fn checksums_hold(bytes: &[u8]) -> bool {
    let plain_sum = |bytes: &[u8], start: u32| {
        let mut sum = start;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    };
    let layout = Layout::of(bytes).unwrap();
    let (ip, tcp) = (&bytes[layout.ip_at..layout.tcp_at], &bytes[layout.tcp_at..]);
    let addresses = if layout.is_ipv6 { &ip[8..40] } else { &ip[12..20] };
    let ip_holds = layout.is_ipv6 || plain_sum(ip, 0) == 0xffff;
    ip_holds && plain_sum(tcp, plain_sum(addresses, u32::from(PROTOCOL_TCP) + tcp.len() as u32)) == 0xffff
}

fn frame(bytes: &[u8], partial: Option<Partial>) -> Frame {
    let mut frame = FramePool::new(1).take().unwrap();
    frame.copy_from(bytes);
    frame.set_partial(partial);
    frame
}

fn open_frame(sample: &Sample) -> Frame {
    frame(&sample.open_bytes(), Some(partial_at(sample.tcp_at())))
}

fn departure_of(samples: &[Sample]) -> usize {
    let frames: Vec<Frame> = samples.iter().map(open_frame).collect();
    Departure::plan(&frames, 1_500, true).unwrap().count()
}

proptest! {
    #[test]
    fn what_is_cut_is_what_was_sent(
        sample in samples(1_usize..20_000),
        segment_len in 1_usize..1_600,
        checksum in 0_u8..3,
    ) {
        let (bytes, mut header) = match checksum {
            0 => (sample.open_bytes(), sample.header(segment_len)),
            _ => (sample.bytes(), sample.header(segment_len)),
        };
        header.is_valid = checksum == 1;
        if checksum > 0 {
            header.partial = None;
        }
        let fits = sample.payload_at() + segment_len <= FRAME_LEN_MAX;
        prop_assert_eq!(Cutter::new(&header, &bytes).is_ok(), fits);
        if !fits {
            return Ok(());
        }
        let (mut payload, count) = (Vec::new(), sample.payload.len().div_ceil(segment_len));
        let mut frames = cut_all(&header, &bytes);
        prop_assert_eq!(frames.len(), count);
        for (at, frame) in frames.iter_mut().enumerate() {
            prop_assert!(frame.is_verified());
            prop_assert_eq!(frame.partial().is_some(), checksum < 2);
            if let Some(partial) = frame.partial() {
                complete_checksum(frame.bytes_mut(), partial).unwrap();
            }
            let bytes = frame.bytes();
            prop_assert!(checksums_hold(bytes));
            let layout = Layout::of(bytes).unwrap();
            prop_assert_eq!(layout.end_at, bytes.len());
            prop_assert_eq!(be32(bytes, layout.tcp_at + 4), sample.sequence.wrapping_add(payload.len() as u32));
            let mut flags = sample.flags;
            flags &= if at + 1 < count { !(TCP_FIN | TCP_PSH) } else { 0xff };
            flags &= if at > 0 { !TCP_CWR } else { 0xff };
            prop_assert_eq!(bytes[layout.tcp_at + 13], flags);
            if !layout.is_ipv6 {
                prop_assert_eq!(be16(bytes, layout.ip_at + 4), 0xfffe_u16.wrapping_add(at as u16));
            }
            payload.extend_from_slice(&bytes[layout.payload_at..]);
        }
        prop_assert!(payload == sample.payload);
    }

    #[test]
    fn no_bytes_are_a_panic(
        sample in samples(0_usize..200),
        header in any::<[u8; HEADER_LEN]>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        kept in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = sample.open_bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(kept.index(bytes.len()));
        }
        let header = VirtioHeader::parse(&header);
        let mut out = frame(&bytes, None);
        let _ = header.mark(&mut out);
        let partial = header.partial.unwrap_or(partial_at(sample.tcp_at()));
        let _ = complete_checksum(out.bytes_mut(), partial);
        for header in [header, sample.header(usize::from(header.segment_len))] {
            if let Ok(mut cutter) = Cutter::new(&header, &bytes) {
                while cutter.cut(&bytes, &mut out) {}
            }
        }
        let frames = [frame(&bytes, Some(partial)), frame(&bytes, Some(partial))];
        if let Ok(departure) = Departure::plan(&frames, 1_500, true) {
            prop_assert!((1..=2).contains(&departure.count()));
        }
    }

    #[test]
    fn what_is_joined_and_cut_again_is_what_it_was(
        sample in samples(1_usize..30_000),
        segment_len in 500_usize..1_400,
    ) {
        const MTU: usize = 1_496;
        let mut sample = sample;
        sample.flags = TCP_ACK | (sample.flags & TCP_PSH);
        sample.ip_options_len = sample.ip_options_len.min(12);
        let mut frames = cut_all(&sample.header(segment_len), &sample.open_bytes());
        frames.retain(|frame| frame.len() <= frame_len_max(frame.bytes(), MTU));
        let (mut at, mut messages) = (0, Vec::new());
        while at < frames.len() {
            let departure = Departure::plan(&frames[at..], MTU, true).unwrap();
            let leaving = &frames[at..at + departure.count()];
            let mut parts = vec![std::io::IoSlice::new(&[]); departure.parts_count()];
            prop_assert_eq!(departure.gather(leaving, &mut parts), parts.len());
            let header: [u8; HEADER_LEN] = (*parts[0]).try_into().unwrap();
            messages.push((VirtioHeader::parse(&header), parts[1..].iter().flat_map(|part| part.to_vec()).collect::<Vec<u8>>()));
            at += departure.count();
        }
        prop_assert!(messages.len() <= 1 + sample.payload.len() / (JOINED_LEN_MAX - 1_500), "all that may join does");
        let mut again = Vec::new();
        for (header, bytes) in &messages {
            prop_assert!(bytes.len() <= JOINED_LEN_MAX);
            if header.segmentation == Segmentation::None {
                again.push(frame(bytes, header.partial));
            } else {
                again.extend(cut_all(header, bytes));
            }
        }
        prop_assert_eq!(again.len(), frames.len());
        for (again, frame) in again.iter().zip(&frames) {
            prop_assert!(again.bytes() == frame.bytes());
            prop_assert_eq!(again.partial(), frame.partial());
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written(
        partial in prop::option::of((any::<u16>(), any::<u16>())),
        is_valid in any::<bool>(),
        kind in 0_u8..3,
        lens in (any::<u16>(), any::<u16>()),
    ) {
        let header = VirtioHeader {
            partial: partial.map(|(start, offset)| Partial { start, offset }),
            is_valid,
            segmentation: [Segmentation::None, Segmentation::Tcp4, Segmentation::Tcp6][usize::from(kind)],
            headers_len: lens.0,
            segment_len: lens.1,
        };
        prop_assert_eq!(VirtioHeader::parse(&header.to_bytes()), header);
    }
}

#[test]
fn the_header_is_as_the_standard_lays_it_out() {
    let [low, high] = 1_448_u16.to_ne_bytes();
    let [start_low, start_high] = 34_u16.to_ne_bytes();
    let [offset_low, offset_high] = 16_u16.to_ne_bytes();
    let bytes = [1, 0x81, 0, 0, low, high, start_low, start_high, offset_low, offset_high];
    let header = VirtioHeader::parse(&bytes);
    assert_eq!(header.partial, Some(Partial { start: 34, offset: 16 }));
    assert_eq!((header.segmentation, header.segment_len), (Segmentation::Tcp4, 1_448), "ECN is tolerated");
    for (kind, expected) in [(3, Segmentation::Other), (5, Segmentation::Other), (4, Segmentation::Tcp6)] {
        assert_eq!(VirtioHeader::parse(&[0, kind, 0, 0, 0, 0, 0, 0, 0, 0]).segmentation, expected);
    }
}

#[test]
fn a_header_that_contradicts_itself_is_malformed() {
    let sample = Sample::plain(1, &[7; 3_000]);
    let (bytes, good) = (sample.open_bytes(), sample.header(1_000));
    assert!(Cutter::new(&good, &bytes).is_ok());
    let table = [
        ("no segment length", VirtioHeader { segment_len: 0, ..good }),
        ("segments that no frame holds", VirtioHeader { segment_len: 1_760, ..good }),
        ("the other family", VirtioHeader { segmentation: Segmentation::Tcp6, ..good }),
        ("datagrams", VirtioHeader { segmentation: Segmentation::Other, ..good }),
        ("another checksum", VirtioHeader { partial: Some(Partial { start: 14, offset: 10 }), ..good }),
        ("a checksum that is neither open, vouched for nor right", VirtioHeader { partial: None, ..good }),
    ];
    for (what, header) in table {
        assert_eq!(Cutter::new(&header, &bytes).err(), Some(Malformed), "{what}");
    }
    assert!(Cutter::new(&good, &bytes[..sample.payload_at()]).is_err(), "no payload");
    let mut frame = frame(&bytes[..100], None);
    let outside = VirtioHeader { partial: Some(Partial { start: 90, offset: 16 }), ..VirtioHeader::default() };
    assert_eq!(outside.mark(&mut frame), Err(Malformed));
    assert_eq!(complete_checksum(&mut [0; 8], Partial { start: u16::MAX, offset: u16::MAX }), Err(Malformed));
}

#[test]
fn who_vouches_makes_a_frame_verified() {
    let sample = Sample::plain(1, &[7; 100]);
    let partial = Some(partial_at(sample.tcp_at()));
    let mut frame = frame(&sample.open_bytes(), None);
    let table = [
        (VirtioHeader::default(), false, None),
        (VirtioHeader { is_valid: true, ..VirtioHeader::default() }, true, None),
        (VirtioHeader { partial, ..VirtioHeader::default() }, true, partial),
    ];
    for (header, is_verified, open) in table {
        header.mark(&mut frame).unwrap();
        assert_eq!((frame.is_verified(), frame.partial()), (is_verified, open));
    }
}

#[test]
fn only_segments_that_differ_in_nothing_else_join() {
    let stream = |count: u32| -> Vec<Sample> {
        (0..count).map(|at| Sample::plain((u32::MAX - 1_000).wrapping_add(at * 1_000), &[at as u8; 1_000])).collect()
    };
    assert_eq!(departure_of(&stream(1)), 1);
    assert_eq!(departure_of(&stream(64)), 64, "across the end of sequence space");
    let mut shorter = stream(5);
    shorter[3].payload.truncate(1);
    assert_eq!(departure_of(&shorter), 4, "a shorter one is the last");
    let mut longer = stream(5);
    longer[3].payload.push(1);
    assert_eq!(departure_of(&longer), 3, "a longer one does not belong");
    let mut gap = stream(5);
    gap[2].sequence += 1;
    assert_eq!(departure_of(&gap), 2, "not in order");
    let mut empty = stream(5);
    empty[2].payload.clear();
    assert_eq!(departure_of(&empty), 2, "an acknowledgement alone");
    for (flags, count) in [(TCP_PSH, 3), (TCP_FIN, 2), (0x02, 2), (0x04, 2), (0x20, 2), (0x40, 2), (TCP_CWR, 2)] {
        let mut flagged = stream(5);
        flagged[2].flags |= flags;
        assert_eq!(departure_of(&flagged), count, "flags {flags:#x}");
    }
    let mut longer_options = stream(5);
    longer_options[2].tcp_options_len = 8;
    assert_eq!(departure_of(&longer_options), 2, "other options");
}

#[test]
fn one_byte_of_difference_in_a_header_keeps_frames_apart() {
    for is_ipv6 in [false, true] {
        let mut samples = [Sample::plain(5, &[1; 100]), Sample::plain(105, &[2; 100])];
        for sample in &mut samples {
            sample.is_ipv6 = is_ipv6;
            sample.is_tagged = true;
        }
        let (ip_at, tcp_at) = (samples[0].ip_at(), samples[0].tcp_at());
        // Length, identification and checksum of IPv4; length of IPv6; checksum of TCP.
        let mut rewritten = if is_ipv6 { vec![] } else { vec![ip_at + 4, ip_at + 5, ip_at + 10, ip_at + 11] };
        rewritten.extend([tcp_at + TCP_CHECKSUM_AT, tcp_at + TCP_CHECKSUM_AT + 1]);
        for at in 0..samples[0].payload_at() {
            let mut second = samples[1].open_bytes();
            second[at] ^= 1;
            let frames = [open_frame(&samples[0]), frame(&second, Some(partial_at(tcp_at)))];
            let count = Departure::plan(&frames, 1_500, true).unwrap().count();
            assert_eq!(count, if rewritten.contains(&at) { 2 } else { 1 }, "byte {at}");
        }
    }
}

#[test]
fn whole_checksums_and_full_super_frames_do_not_join() {
    let first = open_frame(&Sample::plain(1, &[1; 1_000]));
    let second = Sample::plain(1_001, &[2; 1_000]);
    let whole = frame(&second.bytes(), None);
    assert_eq!(Departure::plan(&[first, whole], 1_500, true).unwrap().count(), 1, "a checksum that is the card's own");
    let pair = || [open_frame(&Sample::plain(1, &[1; 1_000])), open_frame(&second)];
    assert_eq!(Departure::plan(&pair(), 1_500, true).unwrap().count(), 2);
    assert_eq!(Departure::plan(&pair(), 1_500, false).unwrap().count(), 1, "a port that does not join");
    let frames: Vec<Frame> = (0..64).map(|at| open_frame(&Sample::plain(at * 1_400, &[1; 1_400]))).collect();
    let count = Departure::plan(&frames, 1_500, true).unwrap().count();
    assert_eq!(count, (JOINED_LEN_MAX - ETHERNET_LEN - 20 - 32) / 1_400);
}

#[test]
fn what_no_device_takes_is_refused_before_it_is_asked() {
    let plan =
        |bytes: &[u8], partial| Departure::plan(&[frame(bytes, partial)], 1_500, true).map(|planned| planned.count());
    assert_eq!(plan(&[0; 13], None), Err(Malformed));
    assert_eq!(plan(&[0; 14], None), Ok(1));
    assert_eq!(plan(&[0; 1_514], None), Ok(1));
    assert_eq!(plan(&[0; 1_515], None), Err(Malformed));
    let mut tagged = [0; 1_518];
    tagged[12] = 0x81;
    assert_eq!(plan(&tagged, None), Ok(1));
    assert_eq!(plan(&[0; 60], Some(Partial { start: 50, offset: 8 })), Ok(1));
    assert_eq!(plan(&[0; 60], Some(Partial { start: 50, offset: 9 })), Err(Malformed));
}
