//! Both programs, run by the kernel on frames made here. Without the privilege to load them, each test says so and
//! passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use hpb_base::Random;
use hpb_base::limits::{RULE_ADDRESSES_MAX, RULE_PORTS_MAX};

use super::*;
use crate::steer::Steering;
use crate::xdp::TestSocket;

/// What may vary in a frame.
#[derive(Clone)]
struct Shape {
    tag: Option<u16>,
    /// IPv4 options in 32-bit words.
    options: u8,
    /// IPv4's fragment field.
    fragment: u16,
    protocol: u8,
    tcp_flags: u8,
}

const TCP: Shape = Shape { tag: None, options: 0, fragment: 0, protocol: 6, tcp_flags: 0x10 };

/// A frame from one end to the other.
fn frame(from: SocketAddr, to: SocketAddr, shape: &Shape) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if let Some(tag) = shape.tag {
        bytes.extend([&tag.to_be_bytes()[..], &[0, 7]].concat());
    }
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header_len = 20 + 4 * usize::from(shape.options);
            bytes.extend([0x08, 0x00, 0x45 + shape.options, 0, 0, (header_len + 20) as u8, 0, 0]);
            bytes.extend(shape.fragment.to_be_bytes());
            bytes.extend([64, shape.protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend(vec![1; header_len - 20]);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, shape.protocol, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        _ => panic!("no frame has ends of both families"),
    }
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, shape.tcp_flags, 1, 0, 0, 0, 0, 0]);
    bytes
}

fn arp(operation: u8, target: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x08, 0x06];
    bytes.extend([0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 2, 10, 9, 0, 9, 0, 0, 0, 0, 0, 0]);
    bytes.extend(target.octets());
    bytes
}

/// The first of what `make` gives, unless this process may not load programs.
fn loaded<T>(make: impl FnOnce() -> Result<T, BpfError>) -> Option<T> {
    match make() {
        Ok(made) => Some(made),
        Err(BpfError::Call { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: loading programs needs cap_bpf and cap_net_admin");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn random_ends(random: &mut Random, ipv6: bool) -> [SocketAddr; 2] {
    [(); 2].map(|()| {
        let address = if ipv6 {
            let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
            IpAddr::from(Ipv6Addr::from_bits(bits))
        } else {
            IpAddr::from(Ipv4Addr::from_bits(random.next_u64() as u32))
        };
        SocketAddr::from((address, random.next_u64() as u16))
    })
}

#[test]
fn the_steering_program_gives_the_very_queue_that_steer_gives() {
    for queues in [2, 3, 8, 64] {
        let steering = Steering::keyed(&[queues as u8; 32], queues);
        let Some(program) = loaded(|| steering_program(&steering)) else { return };
        let mut random = Random::new(queues as u64);
        let mut seen = vec![false; queues];
        for round in 0..2_000_u32 {
            let [from, to] = random_ends(&mut random, round % 2 == 1);
            let shape = Shape {
                tag: [None, Some(0x8100), None, Some(0x88a8)][(random.below(4)) as usize],
                options: random.below(11) as u8,
                // Neither the "don't fragment" bit nor the flags change anything.
                fragment: 0x4000 * random.below(2) as u16,
                tcp_flags: random.next_u64() as u8,
                ..TCP
            };
            let queue = steering.queue(from, to);
            assert_eq!(program.run(&frame(from, to, &shape)).expect("runs"), queue as u32, "{from} {to}");
            assert_eq!(program.run(&frame(to, from, &shape)).expect("runs"), queue as u32, "{to} {from}");
            seen[queue] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "every one of {queues} queues");
    }
}

#[test]
fn what_is_no_tcp_segment_goes_to_queue_0() {
    let steering = Steering::keyed(&[5; 32], 64);
    let Some(program) = loaded(|| steering_program(&steering)) else { return };
    let mut random = Random::new(3);
    for round in 0..200_u32 {
        let [from, to] = random_ends(&mut random, round % 2 == 1);
        let mut frames = vec![
            frame(from, to, &Shape { protocol: 17, ..TCP }),
            frame(from, to, &Shape { protocol: 1, ..TCP }),
            frame(from, to, &Shape { protocol: 44, ..TCP }),
            arp(1, Ipv4Addr::from_bits(random.next_u64() as u32)),
            // It ends before its ports do.
            frame(from, to, &TCP)[..if from.is_ipv4() { 37 } else { 57 }].to_vec(),
            // Two tags.
            [&[2; 12][..], &[0x88, 0xa8, 0, 5], &frame(from, to, &Shape { tag: Some(0x8100), ..TCP })[12..]].concat(),
        ];
        if from.is_ipv4() {
            frames.push(frame(from, to, &Shape { fragment: 0x2000, ..TCP }));
            frames.push(frame(from, to, &Shape { fragment: 185, ..TCP }));
            let mut short_header = frame(from, to, &TCP);
            short_header[14] = 0x44;
            frames.push(short_header);
        }
        for bytes in frames {
            assert_eq!(program.run(&bytes).expect("runs"), 0, "{bytes:02x?}");
        }
    }
}

#[test]
fn one_queue_needs_no_hash() {
    let Some(program) = loaded(|| steering_program(&Steering::One)) else { return };
    let [from, to] = random_ends(&mut Random::new(1), false);
    assert_eq!(program.run(&frame(from, to, &TCP)).expect("runs"), 0);
}

const CARD: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0x8000, 0, 0x12, 0x3456)),
];
const VERDICT_DROP: u32 = takeover::VERDICT_DROP as u32;
const VERDICT_PASS: u32 = takeover::VERDICT_PASS as u32;
const VERDICT_REDIRECT: u32 = 4;

/// The program with a socket behind queue 0, which test runs come from, and what that needs to live.
fn takeover_of(rules: &Rules) -> Option<(Program, SocketMap, TestSocket)> {
    let sockets = loaded(|| SocketMap::new(1))?;
    let socket = TestSocket::xdp().expect("a socket");
    sockets.set(0, socket.as_fd()).expect("the map takes it");
    let program = loaded(|| takeover_program(rules, &sockets))?;
    Some((program, sockets, socket))
}

fn rules(ports: &[RangeInclusive<u16>], drop: &[RangeInclusive<u16>], dhcp: bool) -> Rules {
    Rules { take: Take { addresses: CARD.to_vec(), ports: ports.to_vec(), dhcp }, drop: drop.to_vec() }
}

/// A stranger of the same family.
fn stranger(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::from(([198, 51, 100, 7], 40_000)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), 40_000)),
    }
}

/// An address that differs from the given one in one bit.
fn neighbour(address: IpAddr, bit: usize) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() ^ 1 << (bit % 32)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() ^ 1 << bit).into(),
    }
}

#[test]
fn the_cards_segments_are_taken_and_no_others() {
    let Some((program, _sockets, _socket)) =
        takeover_of(&rules(&[9_000..=9_010, 443..=443, 65_535..=65_535], &[], false))
    else {
        return;
    };
    let run = |bytes: &[u8]| program.run(bytes).expect("runs");
    for address in CARD {
        let from = stranger(address);
        for port in [443, 9_000, 9_005, 9_010, 65_535] {
            assert_eq!(run(&frame(from, (address, port).into(), &TCP)), VERDICT_REDIRECT, "{address} {port}");
        }
        for port in [0, 442, 444, 8_999, 9_011, 65_534] {
            assert_eq!(run(&frame(from, (address, port).into(), &TCP)), VERDICT_PASS, "{address} {port}");
        }
        for bit in 0..128 {
            let to = SocketAddr::from((neighbour(address, bit), 443));
            assert_eq!(run(&frame(from, to, &TCP)), VERDICT_PASS, "{to}");
        }
        let to = SocketAddr::from((address, 443));
        let sent = frame(to, from, &TCP);
        assert_eq!(run(&sent), VERDICT_PASS, "what the card sends is nobody's");
        assert_eq!(run(&frame(from, to, &Shape { tag: Some(0x8100), ..TCP })), VERDICT_PASS, "tagged");
        assert_eq!(run(&frame(from, to, &Shape { protocol: 17, ..TCP })), VERDICT_PASS, "UDP");
        let icmp = if address.is_ipv4() { 1 } else { 58 };
        assert_eq!(run(&frame(from, to, &Shape { protocol: icmp, ..TCP })), VERDICT_REDIRECT, "ICMP");
        let whole = frame(from, to, &TCP);
        for len in 14..whole.len() - 6 {
            assert_eq!(run(&whole[..len]), VERDICT_PASS, "cut at {len}");
        }
        if address.is_ipv4() {
            for options in 1..=10 {
                assert_eq!(run(&frame(from, to, &Shape { options, ..TCP })), VERDICT_REDIRECT, "{options} options");
            }
            for fragment in [0x2000, 1, 0x1fff, 0x2001] {
                assert_eq!(run(&frame(from, to, &Shape { fragment, ..TCP })), VERDICT_PASS, "fragment {fragment:x}");
            }
            assert_eq!(run(&frame(from, to, &Shape { fragment: 0x4000, ..TCP })), VERDICT_REDIRECT);
        } else {
            assert_eq!(run(&frame(from, to, &Shape { protocol: 44, ..TCP })), VERDICT_PASS, "a fragment header");
        }
    }
}

#[test]
fn without_ports_every_port_is_the_cards() {
    let Some((program, _sockets, _socket)) = takeover_of(&rules(&[], &[], false)) else { return };
    for (address, port) in CARD.into_iter().zip([0, 80, 65_535]) {
        let bytes = frame(stranger(address), (address, port).into(), &TCP);
        assert_eq!(program.run(&bytes).expect("runs"), VERDICT_REDIRECT);
    }
}

#[test]
fn questions_for_the_card_are_taken_and_those_for_the_host_are_not() {
    let Some((program, _sockets, _socket)) = takeover_of(&rules(&[], &[], false)) else { return };
    let run = |bytes: &[u8]| program.run(bytes).expect("runs");
    for operation in [1, 2] {
        assert_eq!(run(&arp(operation, [10, 9, 0, 2].into())), VERDICT_REDIRECT);
        assert_eq!(run(&arp(operation, [203, 0, 113, 200].into())), VERDICT_REDIRECT);
        assert_eq!(run(&arp(operation, [10, 9, 0, 1].into())), VERDICT_PASS);
    }
    let mut other_protocol = arp(1, [10, 9, 0, 2].into());
    other_protocol[17] = 1;
    assert_eq!(run(&other_protocol), VERDICT_PASS);
    assert_eq!(run(&arp(1, [10, 9, 0, 2].into())[..41]), VERDICT_PASS);

    let IpAddr::V6(card) = CARD[2] else { panic!("the third is IPv6") };
    let group = Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | card.to_bits() & 0xff_ffff);
    let solicit = |kind: u8, to: Ipv6Addr, target: Ipv6Addr| {
        let mut bytes = frame(stranger(CARD[2]), (to, 0).into(), &Shape { protocol: 58, ..TCP });
        bytes.truncate(54);
        bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(target.octets());
        bytes
    };
    let host = Ipv6Addr::from_bits(card.to_bits() ^ 1 << 64);
    assert_eq!(run(&solicit(135, group, card)), VERDICT_REDIRECT);
    assert_eq!(run(&solicit(135, card, card)), VERDICT_REDIRECT);
    assert_eq!(run(&solicit(135, group, host)), VERDICT_PASS, "the host's address in the same group");
    assert_eq!(run(&solicit(136, group, card)), VERDICT_PASS, "no question");
    assert_eq!(run(&solicit(135, group, card)[..77]), VERDICT_PASS, "cut");
}

#[test]
fn dhcp_is_taken_only_when_it_is_asked_for() {
    let to = SocketAddr::from(([255, 255, 255, 255], 68));
    let answer = frame(([10, 9, 0, 1], 67).into(), to, &Shape { protocol: 17, ..TCP });
    let question = frame(([0, 0, 0, 0], 68).into(), ([255, 255, 255, 255], 67).into(), &Shape { protocol: 17, ..TCP });
    for (dhcp, expected) in [(false, VERDICT_PASS), (true, VERDICT_REDIRECT)] {
        let Some((program, _sockets, _socket)) = takeover_of(&rules(&[], &[], dhcp)) else { return };
        assert_eq!(program.run(&answer).expect("runs"), expected);
        assert_eq!(program.run(&question).expect("runs"), VERDICT_PASS);
        let tcp = frame(stranger(CARD[0]), (CARD[0], 68).into(), &TCP);
        assert_eq!(program.run(&tcp).expect("runs"), VERDICT_REDIRECT);
    }
}

#[test]
fn calls_to_closed_ports_are_dropped_and_only_calls() {
    let Some((program, _sockets, _socket)) = takeover_of(&rules(&[9_000..=9_100], &[9_050..=9_060, 80..=80], false))
    else {
        return;
    };
    let run = |address: IpAddr, port: u16, tcp_flags: u8| {
        let shape = Shape { tcp_flags, ..TCP };
        program.run(&frame(stranger(address), (address, port).into(), &shape)).expect("runs")
    };
    for address in CARD {
        for (port, tcp_flags, expected) in [
            (9_050, 0x02, VERDICT_DROP),
            (9_060, 0xc2, VERDICT_DROP),
            (9_055, 0x12, VERDICT_REDIRECT),
            (9_055, 0x10, VERDICT_REDIRECT),
            (9_055, 0x04, VERDICT_REDIRECT),
            (9_049, 0x02, VERDICT_REDIRECT),
            (9_061, 0x02, VERDICT_REDIRECT),
            (80, 0x02, VERDICT_PASS),
        ] {
            assert_eq!(run(address, port, tcp_flags), expected, "{address} {port} {tcp_flags:x}");
        }
        assert_eq!(run(neighbour(address, 3), 9_050, 0x02), VERDICT_PASS);
    }
}

#[test]
fn a_queue_without_a_socket_passes_to_the_kernel() {
    let Some(sockets) = loaded(|| SocketMap::new(1)) else { return };
    let Some(program) = loaded(|| takeover_program(&rules(&[], &[], false), &sockets)) else { return };
    let bytes = frame(stranger(CARD[0]), (CARD[0], 1).into(), &TCP);
    assert_eq!(program.run(&bytes).expect("runs"), VERDICT_PASS);
}

#[test]
fn a_call_needs_no_socket_of_its_own_and_no_other() {
    let Some(sockets) = loaded(|| SocketMap::new(1)) else { return };
    let Some(program) = loaded(|| takeover_program(&rules(&[], &[], false), &sockets)) else { return };
    let run = |tcp_flags: u8| {
        let bytes = frame(stranger(CARD[0]), (CARD[0], 1).into(), &Shape { tcp_flags, ..TCP });
        program.run(&bytes).expect("runs")
    };
    let calls = TestSocket::xdp().expect("a socket");
    sockets.set_calls(0, calls.as_fd()).expect("the map takes it");
    assert!(sockets.set_calls(1, calls.as_fd()).is_err() && sockets.set(1, calls.as_fd()).is_err(), "no such queue");
    for (tcp_flags, expected) in [(0x02, VERDICT_REDIRECT), (0xc2, VERDICT_REDIRECT), (0x12, VERDICT_PASS)] {
        assert_eq!(run(tcp_flags), expected, "{tcp_flags:x}: a socket for calls alone");
    }
    drop(calls);
    assert_eq!(run(0x02), VERDICT_PASS, "none");
    let socket = TestSocket::xdp().expect("a socket");
    sockets.set(0, socket.as_fd()).expect("the map takes it");
    assert_eq!([run(0x02), run(0x12)], [VERDICT_REDIRECT; 2], "one for all");
}

#[test]
fn the_most_rules_load_and_more_are_refused() {
    let Some(sockets) = loaded(|| SocketMap::new(1)) else { return };
    let addresses = (0..RULE_ADDRESSES_MAX as u128).map(|low| IpAddr::from(Ipv6Addr::from_bits(low))).collect();
    let ranges: Vec<_> = (0..RULE_PORTS_MAX as u16).map(|low| low * 100..=low * 100 + 50).collect();
    let mut most = Rules { take: Take { addresses, ports: ranges.clone(), dhcp: true }, drop: ranges };
    assert!(loaded(|| takeover_program(&most, &sockets)).is_some());
    most.take.addresses.push(CARD[0]);
    let error = takeover_program(&most, &sockets).expect_err("too many");
    assert!(matches!(error, BpfError::TooMany { count: 65, .. }), "{error}");
}

#[test]
fn a_refusal_comes_with_the_verifiers_log() {
    if loaded(|| SocketMap::new(1)).is_none() {
        return;
    }
    let mut code = assembler::Assembler::new();
    code.load(assembler::Width::Double, assembler::Register::R0, assembler::Register::R5, 0);
    code.exit();
    let error =
        Program::load("hpb_bad", Purpose::Xdp, &code.finish().expect("assembles")).expect_err("R5 holds nothing");
    let BpfError::Refused { log, .. } = &error else { panic!("{error}") };
    assert!(log.contains("R5"), "{log}");
    assert!(matches!(OpenError::from(error), OpenError::Unsupported { .. }));
}
