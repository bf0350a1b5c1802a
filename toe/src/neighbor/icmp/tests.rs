#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use hpb_net::frame::FramePool;
use proptest::prelude::*;

use super::*;

const ROUTER: u128 = 0xffff_0a00_00fe;
const CARD: u128 = 0xffff_0a00_0001;
const ROUTER_V6: u128 = 0xfd00 << 112 | 0xfe;
const CARD_V6: u128 = 0xfd00 << 112 | 1;

/// A packet from a router to the card with this ICMP message, its checksum filled.
fn packet(is_v4: bool, message: &[&[u8]]) -> Vec<u8> {
    let mut frame = FramePool::new(1).take().unwrap();
    let head = if is_v4 {
        Head { source: ROUTER, destination: CARD, protocol: ICMP, hop_limit: 64, alerts: false }
    } else {
        Head { source: ROUTER_V6, destination: CARD_V6, protocol: ICMPV6, hop_limit: 64, alerts: false }
    };
    ip::write(&mut frame, &head, message);
    frame.bytes().to_vec()
}

/// The first 28 bytes of a segment of 1,500 from 10.0.0.1:30303 to 192.0.2.9:80 with sequence number 0x01020304.
const QUOTE: [u8; 28] = [
    0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9, // header
    0x76, 0x5f, 0, 80, 1, 2, 3, 4, // ports and sequence number
];

fn quote_v6() -> Vec<u8> {
    let mut quote = vec![0x60, 0, 0, 0, 5, 0xb4, 6, 64];
    quote.extend(CARD_V6.to_be_bytes());
    quote.extend((0x2001_0db8_u128 << 96 | 9).to_be_bytes());
    quote.extend(&QUOTE[20..]);
    quote
}

fn flow(is_v4: bool) -> FlowKey {
    let ends: [SocketAddr; 2] = if is_v4 {
        ["192.0.2.9:80", "10.0.0.1:30303"].map(|end| end.parse().unwrap())
    } else {
        ["[2001:db8::9]:80", "[fd00::1]:30303"].map(|end| end.parse().unwrap())
    };
    FlowKey::new(ends[0], ends[1])
}

fn read(is_v4: bool, header: [u8; 8], quote: &[u8]) -> Result<Message, NeighborDrop> {
    parse(&ip::parse(&packet(is_v4, &[&header, quote])).unwrap(), 1_500)
}

#[test]
fn a_quote_between_mapped_addresses_names_no_flow() {
    let header = [1, 4, 0, 0, 0, 0, 0, 0];
    for (at, address) in [(8, CARD), (24, ROUTER)] {
        let mut quote = quote_v6();
        quote[at..at + 16].copy_from_slice(&address.to_be_bytes());
        assert_eq!(read(false, header, &quote), Err(NeighborDrop::Malformed));
    }
}

#[test]
fn errors_name_the_flow_and_the_sequence_number_that_they_quote() {
    let too_big = |is_v4, mtu| Ok(Message::Error(Notice::PacketTooBig { flow: flow(is_v4), seq: 0x0102_0304, mtu }));
    let unreachable =
        |is_v4, hard| Ok(Message::Error(Notice::Unreachable { flow: flow(is_v4), seq: 0x0102_0304, hard }));
    for (is_v4, header, expected) in [
        (true, [3, 4, 0, 0, 0, 0, 5, 0x78], too_big(true, 1_400)),
        (true, [3, 4, 0, 0, 0, 0, 0, 0], too_big(true, 1_492)),
        (true, [3, 4, 0, 0, 0, 0, 0, 68], too_big(true, 576)),
        (true, [3, 4, 0, 0, 0, 0, 5, 0xdc], Err(NeighborDrop::Malformed)),
        (true, [3, 0, 0, 0, 0, 0, 0, 0], unreachable(true, false)),
        (true, [3, 1, 0, 0, 0, 0, 0, 0], unreachable(true, false)),
        (true, [3, 2, 0, 0, 0, 0, 0, 0], unreachable(true, true)),
        (true, [3, 3, 0, 0, 0, 0, 0, 0], unreachable(true, true)),
        (true, [3, 13, 0, 0, 0, 0, 0, 0], unreachable(true, true)),
        (true, [11, 0, 0, 0, 0, 0, 0, 0], unreachable(true, false)),
        (true, [12, 0, 0, 0, 0, 0, 0, 0], unreachable(true, false)),
        (true, [5, 1, 0, 0, 10, 0, 0, 9], Err(NeighborDrop::NotServed)),
        (true, [4, 0, 0, 0, 0, 0, 0, 0], Err(NeighborDrop::NotServed)),
        (false, [2, 0, 0, 0, 0, 0, 5, 0x78], too_big(false, 1_400)),
        (false, [2, 0, 0, 0, 0, 0, 2, 0x40], too_big(false, 1_280)),
        (false, [2, 0, 0, 0, 0, 1, 0, 0], Err(NeighborDrop::Malformed)),
        (false, [1, 0, 0, 0, 0, 0, 0, 0], unreachable(false, false)),
        (false, [1, 1, 0, 0, 0, 0, 0, 0], unreachable(false, true)),
        (false, [1, 4, 0, 0, 0, 0, 0, 0], unreachable(false, true)),
        (false, [3, 0, 0, 0, 0, 0, 0, 0], unreachable(false, false)),
        (false, [4, 1, 0, 0, 0, 0, 0, 6], unreachable(false, true)),
    ] {
        let quote = if is_v4 { QUOTE.to_vec() } else { quote_v6() };
        assert_eq!(read(is_v4, header, &quote), expected, "{header:?}");
    }
}

#[test]
fn quotes_that_are_cut_or_of_others_are_refused() {
    let header = [3, 3, 0, 0, 0, 0, 0, 0];
    for len in 0..QUOTE.len() {
        assert_eq!(read(true, header, &QUOTE[..len]), Err(NeighborDrop::Truncated), "{len}");
    }
    for len in 0..quote_v6().len() {
        assert_eq!(read(false, [1, 4, 0, 0, 0, 0, 0, 0], &quote_v6()[..len]), Err(NeighborDrop::Truncated), "{len}");
    }
    let changed = |at: usize, value: u8| {
        let mut quote = QUOTE;
        quote[at] = value;
        read(true, header, &quote)
    };
    assert_eq!(changed(9, 17), Err(NeighborDrop::NotServed), "UDP");
    assert_eq!(changed(7, 1), Err(NeighborDrop::Malformed), "not the first fragment");
    assert_eq!(changed(0, 0x44), Err(NeighborDrop::Malformed), "header of 16 bytes");
    assert_eq!(changed(0, 0x55), Err(NeighborDrop::Malformed), "version 5");
}

#[test]
fn a_flipped_bit_is_seen() {
    let whole = packet(true, &[&[3, 3, 0, 0, 0, 0, 0, 0], &QUOTE]);
    for at in 20..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 4;
        assert_eq!(parse(&ip::parse(&bent).unwrap(), 1_500), Err(NeighborDrop::Checksum), "byte {at}");
    }
}

#[test]
fn an_echo_comes_back_as_it_went() {
    let mut frame = FramePool::new(1).take().unwrap();
    for (is_v4, ask, reply) in [(true, 8, 0), (false, 128, 129)] {
        let request = packet(is_v4, &[&[ask, 0, 0, 0, 0x12, 0x34, 0, 7], b"anything"]);
        let request = ip::parse(&request).unwrap();
        assert_eq!(parse(&request, 1_500), Ok(Message::EchoRequest));
        Answer::Echo.write(&request, &mut frame);
        let answer = ip::parse(frame.bytes()).unwrap();
        assert_eq!((answer.source, answer.destination), (request.destination, request.source));
        assert!(answer.checksum_holds());
        assert_eq!(answer.payload[..2], [reply, 0]);
        assert_eq!(answer.payload[4..], request.payload[4..]);
    }
}

#[test]
fn who_is_kept_out_is_told_by_the_least_that_names_his_syn() {
    let mut frame = FramePool::new(1).take().unwrap();
    let segment = |is_v4: bool, options: &[u8]| {
        let (source, destination) = if is_v4 { (ROUTER, CARD) } else { (ROUTER_V6, CARD_V6) };
        let head = Head { source, destination, protocol: PROTOCOL_TCP, hop_limit: 64, alerts: false };
        let mut whole = FramePool::new(1).take().unwrap();
        let syn = [0xc0, 0, 0x76, 0x5f, 1, 2, 3, 4, 0, 0, 0, 0, 0xa0, 2, 0xff, 0xff, 0, 0, 0, 0];
        ip::write(&mut whole, &head, &[&syn, options]);
        let at = if is_v4 { IPV4_HEADER_LEN } else { IPV6_HEADER_LEN };
        // Its ports, where ICMP's checksum was put.
        whole.bytes_mut()[at..at + 4].copy_from_slice(&syn[..4]);
        whole.bytes().to_vec()
    };
    let syn = segment(true, &[1; 20]);
    Answer::Prohibited.write(&ip::parse(&syn).unwrap(), &mut frame);
    // Type 3, code 13, the SYN's header and its first 8 bytes (RFC 1812 section 5.2.7.1, RFC 1122 section 3.2.2).
    assert_eq!(
        frame.bytes(),
        [
            0x45, 0, 0, 56, 0, 0, 0x40, 0, 64, 1, 0x25, 0xc7, 10, 0, 0, 1, 10, 0, 0, 254, // header
            3, 13, 0xc2, 0x8c, 0, 0, 0, 0, // message
            0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0x25, 0xbe, 10, 0, 0, 254, 10, 0, 0, 1, // the SYN's header
            0xc0, 0, 0x76, 0x5f, 1, 2, 3, 4, // its ports and sequence number
        ]
    );
    assert!(ip::parse(frame.bytes()).unwrap().checksum_holds() && frame.len() <= syn.len());
    // Type 1, code 1, and all of the SYN (RFC 4443 sections 3.1 and 2.4 (c)).
    let syn = segment(false, &[1; 20]);
    Answer::Prohibited.write(&ip::parse(&syn).unwrap(), &mut frame);
    let answer = ip::parse(frame.bytes()).unwrap();
    assert!(answer.checksum_holds());
    assert_eq!((answer.source, answer.destination, answer.protocol), (CARD_V6, ROUTER_V6, ICMPV6));
    assert_eq!((&answer.payload[..2], &answer.payload[8..]), (&[1, 1][..], &syn[..]));
}

#[test]
fn a_refusal_quotes_as_much_as_fits() {
    let mut frame = FramePool::new(1).take().unwrap();
    for (is_v4, len, expected) in [(true, 10, 66), (true, 1_000, 576), (false, 10, 106), (false, 1_400, 1_280)] {
        // Its protocol does not matter here.
        let refused = packet(is_v4, &[&[8, 0, 0, 0, 0, 0, 0, 0], &vec![7; len]]);
        let refused = ip::parse(&refused).unwrap();
        Answer::PortUnreachable.write(&refused, &mut frame);
        assert_eq!(frame.len(), expected);
        let answer = ip::parse(frame.bytes()).unwrap();
        assert!(answer.checksum_holds());
        assert_eq!(answer.payload[..2], if is_v4 { [3, 3] } else { [1, 4] });
        assert_eq!(answer.payload[8..], refused.whole[..answer.payload.len() - 8]);
    }
}

proptest! {
    #[test]
    fn any_message_is_read_without_a_panic(
        is_v4: bool, header in any::<[u8; 8]>(), kind in 0..14_u8, quote in proptest::collection::vec(any::<u8>(), 0..90)
    ) {
        let mut header = header;
        header[0] = kind;
        let mut quote = quote;
        if let Some(first) = quote.first_mut() {
            *first = if is_v4 { 0x45 } else { 0x60 };
        }
        let _ = read(is_v4, header, &quote);
    }
}
