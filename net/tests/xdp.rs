//! `AF_XDP` over a virtual cable, in a network namespace of its own. Without the privilege, or the tool `ip`, each test
//! says so and passes.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hpb_base::limits::{BURST_LEN_MAX, XDP_RX_CALLS, XDP_RX_FRAMES};
use hpb_base::{Duration, Instant};
use hpb_net::conformance::{Conformance, FarEnd};
use hpb_net::frame::Partial;
use hpb_net::offload::VirtioHeader;
use hpb_net::testing::{PacketFarEnd, Sandbox, patiently};
use hpb_net::url::XdpMode;
use hpb_net::xdp::{BusyPoll, XdpPort};
use hpb_net::{Bursts, HardwareAddress, OpenError, OpenOptions, Port};

const CARD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const CARD_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);
/// How often a test looks for a frame that must not come.
const LOOKS_IN_VAIN: u32 = 1_000;

fn options(addresses: &[IpAddr]) -> OpenOptions {
    OpenOptions { addresses: addresses.to_vec(), ..OpenOptions::default() }
}

/// Opens the card's ports, unless this process may not.
fn open(interface: &str, queues: usize, mode: XdpMode, addresses: &[IpAddr]) -> Option<Vec<XdpPort>> {
    match XdpPort::open(interface, queues, mode, None, &options(addresses)) {
        Ok(ports) => Some(ports),
        Err(error @ OpenError::Permission { .. }) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Lays a cable whose far end completes its checksums itself.
fn cable(sandbox: &Sandbox, near: &str, far: &str) -> bool {
    let laid = sandbox.veth(near, far).and_then(|()| sandbox.set_offloads(far, false));
    if let Err(skip) = &laid {
        println!("{skip}");
    }
    laid.is_ok()
}

/// A frame over IPv4.
fn ipv4(from: (HardwareAddress, Ipv4Addr), to: (HardwareAddress, Ipv4Addr), protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(from.1.octets());
    packet.extend(to.1.octets());
    packet[2..4].copy_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    [&to.0[..], &from.0, &[8, 0], &packet, payload].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A TCP segment that carries a number; only its ports matter here.
fn segment(number: u32) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0x23, 0x28];
    bytes.extend(number.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0, 1, 2, 3, 4]);
    bytes
}

fn number_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[38], frame[39], frame[40], frame[41]])
}

/// An echo request (RFC 792).
fn echo_request(number: u16) -> Vec<u8> {
    let mut bytes = vec![8, 0, 0, 0, 0, 1];
    bytes.extend(number.to_be_bytes());
    bytes.extend([7; 32]);
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Receives until `count` frames came.
fn receive(port: &mut XdpPort, bursts: &mut Bursts, now: Instant, count: usize) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    patiently("frames", || {
        port.rx_burst(now, bursts);
        received.extend(bursts.rx.iter().map(|frame| frame.bytes().to_vec()));
        bursts.recycle_rx();
        (received.len() >= count).then_some(())
    });
    received
}

/// Sends frames, as often as it takes.
fn send(port: &mut XdpPort, bursts: &mut Bursts, frames: &[Vec<u8>]) {
    for burst in frames.chunks(BURST_LEN_MAX) {
        for bytes in burst {
            let mut frame = bursts.pool.take().unwrap();
            frame.copy_from(bytes);
            bursts.tx.push_back(frame);
        }
        let mut now = Instant::ZERO;
        patiently("room for frames", || {
            now += Duration::from_micros(1);
            port.tx_burst(now, bursts);
            bursts.tx.is_empty().then_some(())
        });
    }
}

/// The next frame at the far end that `is_wanted`, if one is there.
fn take(far: &mut PacketFarEnd, is_wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    std::iter::from_fn(|| far.take()).find(|frame| is_wanted(frame))
}

#[test]
fn an_af_xdp_port_conforms() {
    Sandbox::run("an_af_xdp_port_conforms", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        let Some(mut ports) = open("xdp0", 1, XdpMode::Auto, &[CARD.into()]) else { return };
        let port = &mut ports[0];
        assert!(!port.is_zero_copy(), "a veth has no zero-copy");
        assert!(port.advice().is_some_and(|advice| advice.contains("ethtool -K")));
        let mut far = PacketFarEnd::open("xdp1", &["xdp0", "xdp1"]).unwrap().without_offloads();
        Conformance::new(port, &mut far).all();
    });
}

#[test]
fn a_port_that_polls_busily_conforms() {
    Sandbox::run("a_port_that_polls_busily_conforms", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") || open("xdp0", 1, XdpMode::Copy, &[CARD.into()]).is_none() {
            return;
        }
        let busy_poll = Some(BusyPoll::default());
        let mut ports = XdpPort::open("xdp0", 1, XdpMode::Copy, busy_poll, &options(&[CARD.into()])).unwrap();
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let mut conformance = Conformance::new(&mut ports[0], &mut far);
        conformance.passes_bursts_both_ways();
        conformance.counts_what_it_did();
    });
}

#[test]
fn what_is_not_the_cards_reaches_the_kernel() {
    Sandbox::run("what_is_not_the_cards_reaches_the_kernel", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let hardware: Vec<String> = far.hardware().iter().map(|byte| format!("{byte:02x}")).collect();
        sandbox.ip(&format!("address add {HOST}/24 dev xdp0")).unwrap();
        sandbox.ip(&format!("neighbour add {FAR} lladdr {} dev xdp0", hardware.join(":"))).unwrap();
        let Some(mut ports) = open("xdp0", 1, XdpMode::Copy, &[CARD.into()]) else { return };
        let (port, mut bursts) = (&mut ports[0], Bursts::new(2 * BURST_LEN_MAX));
        let near = port.capabilities().hardware;
        let far_hardware = far.hardware();
        let ask = |far: &mut PacketFarEnd, address, number| {
            let frame = ipv4((far_hardware, FAR), (near, address), 1, &echo_request(number));
            assert!(far.inject(&frame));
            frame
        };
        let is_answer = |frame: &[u8]| frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 0;
        for number in 0..20 {
            ask(&mut far, HOST, number);
            let answer = patiently("the host's answer", || take(&mut far, is_answer));
            assert_eq!((&answer[26..30], &answer[40..42]), (&HOST.octets()[..], &number.to_be_bytes()[..]));
            assert_eq!(port.rx_burst(Instant::ZERO, &mut bursts), 0, "the host's");

            let asked = ask(&mut far, CARD, number);
            assert_eq!(receive(port, &mut bursts, Instant::ZERO, 1), [asked]);
        }
        for _ in 0..LOOKS_IN_VAIN {
            assert_eq!(take(&mut far, is_answer), None, "the kernel answers for the card");
        }

        // The ports gone, the program is gone too.
        drop(ports);
        sandbox.ip(&format!("address add {CARD}/24 dev xdp0")).unwrap();
        patiently("the host's answer for what was the card's", || {
            ask(&mut far, CARD, 99);
            take(&mut far, is_answer)
        });
    });
}

#[test]
fn checksums_come_whole_once_the_far_end_completes_them() {
    Sandbox::run("checksums_come_whole_once_the_far_end_completes_them", |sandbox| {
        if let Err(skip) = sandbox.veth("xdp0", "xdp1") {
            return println!("{skip}");
        }
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let open_from = |far: HardwareAddress, near: HardwareAddress| {
            let mut frame = ipv4((far, FAR), (near, CARD), 6, &segment(1));
            // The pseudo-header's sum, as a kernel leaves it for its device.
            let sum = !checksum(&[&frame[26..34], &[0, 6, 0, 24]].concat());
            frame[50..52].copy_from_slice(&sum.to_be_bytes());
            frame
        };
        let is_whole = |frame: &[u8]| checksum(&[&frame[26..34], &[0, 6, 0, 24], &frame[34..58]].concat()) == 0;
        let header = VirtioHeader { partial: Some(Partial { start: 34, offset: 16 }), ..VirtioHeader::default() };
        for has_offloads in [true, false] {
            sandbox.set_offloads("xdp1", has_offloads).unwrap();
            let Some(mut ports) = open("xdp0", 1, XdpMode::Auto, &[CARD.into()]) else { return };
            let near = ports[0].capabilities().hardware;
            assert!(far.inject_offloaded(header, &open_from(far.hardware(), near)));
            let received = receive(&mut ports[0], &mut Bursts::new(8), Instant::ZERO, 1);
            assert_eq!(is_whole(&received[0]), !has_offloads, "{:02x?}", received[0]);
        }
    });
}

#[test]
fn frames_wait_for_room_and_what_does_not_fit_is_counted() {
    Sandbox::run("frames_wait_for_room_and_what_does_not_fit_is_counted", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let Some(mut ports) = open("xdp0", 1, XdpMode::Copy, &[CARD.into()]) else { return };
        let port = &mut ports[0];
        let (near, far_hardware) = (port.capabilities().hardware, far.hardware());
        let sent = XDP_RX_FRAMES + 500;
        for number in 0..sent as u32 {
            let frame = ipv4((far_hardware, FAR), (near, CARD), 6, &segment(number));
            patiently("room at the far end", || far.inject(&frame).then_some(()));
        }
        // A pool of eight frames, seven of which are held elsewhere.
        let mut bursts = Bursts::new(8);
        let held: Vec<_> = (0..7).map(|_| bursts.pool.take().unwrap()).collect();
        let numbers: Vec<u32> =
            receive(port, &mut bursts, Instant::ZERO, XDP_RX_FRAMES).iter().map(|frame| number_of(frame)).collect();
        assert_eq!(numbers, (0..XDP_RX_FRAMES as u32).collect::<Vec<_>>());
        for frame in held {
            bursts.pool.give(frame);
        }
        assert_eq!(port.rx_burst(Instant::from_millis(1_000), &mut bursts), 0);
        assert_eq!(port.counters().rx_dropped, 500);
        assert_eq!(bursts.pool.owned(), 8);
    });
}

#[test]
fn a_flood_of_calls_takes_no_place_from_sessions() {
    Sandbox::run("a_flood_of_calls_takes_no_place_from_sessions", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let Some(mut ports) = open("xdp0", 1, XdpMode::Copy, &[CARD.into()]) else { return };
        let port = &mut ports[0];
        let (near, far_hardware) = (port.capabilities().hardware, far.hardware());
        let (calls, sessions) = (XDP_RX_CALLS as u32 + 300, XDP_RX_FRAMES as u32);
        for number in 0..calls + sessions {
            let mut segment = segment(number);
            if number < calls {
                segment[13] = 0x02;
            }
            let frame = ipv4((far_hardware, FAR), (near, CARD), 6, &segment);
            patiently("room at the far end", || far.inject(&frame).then_some(()));
        }
        let mut bursts = Bursts::new(2 * BURST_LEN_MAX);
        let now = Instant::from_millis(1_000);
        assert_eq!(port.rx_burst(now, &mut bursts), BURST_LEN_MAX);
        let first: Vec<u32> = bursts.rx.iter().map(|frame| number_of(frame.bytes())).collect();
        bursts.recycle_rx();
        let is_call = |number: &u32| *number < calls;
        assert!(first.iter().any(is_call) && first.iter().filter(|number| is_call(number)).count() < 16, "{first:?}");
        let rest = receive(port, &mut bursts, now, XDP_RX_CALLS + XDP_RX_FRAMES - first.len());
        let (called, said): (Vec<u32>, Vec<u32>) =
            first.into_iter().chain(rest.iter().map(|frame| number_of(frame))).partition(is_call);
        assert_eq!(called, (0..XDP_RX_CALLS as u32).collect::<Vec<_>>());
        assert_eq!(said, (calls..calls + sessions).collect::<Vec<_>>());
        port.rx_burst(Instant::from_millis(2_000), &mut bursts);
        assert_eq!(port.counters().rx_dropped, 300);
    });
}

#[test]
fn each_queue_is_a_port_of_its_own() {
    Sandbox::run("each_queue_is_a_port_of_its_own", |sandbox| {
        let queues = "numrxqueues 2 numtxqueues 2";
        let laid = sandbox
            .ip(&format!("link add xdp0 {queues} type veth peer name xdp1 {queues}"))
            .and_then(|()| sandbox.set_up("xdp0", true))
            .and_then(|()| sandbox.set_up("xdp1", true));
        if let Err(skip) = laid {
            return println!("{skip}");
        }
        let Some(mut near) = open("xdp0", 2, XdpMode::Auto, &[CARD.into()]) else { return };
        let Some(mut far) = open("xdp1", 2, XdpMode::Auto, &[FAR.into()]) else { return };
        let hardware = [near[0].capabilities().hardware, far[0].capabilities().hardware];
        let mut bursts = Bursts::new(4 * BURST_LEN_MAX);
        for (queue, (near, far)) in near.iter_mut().zip(&mut far).enumerate() {
            let capabilities = near.capabilities();
            assert_eq!((capabilities.queue, capabilities.queues, capabilities.mtu), (queue, 2, 1_500));
            let there: Vec<Vec<u8>> =
                (0..300).map(|number| ipv4((hardware[0], CARD), (hardware[1], FAR), 6, &segment(number))).collect();
            send(near, &mut bursts, &there);
            assert_eq!(receive(far, &mut bursts, Instant::ZERO, there.len()), there);
            let back: Vec<Vec<u8>> =
                (0..300).map(|number| ipv4((hardware[1], FAR), (hardware[0], CARD), 6, &segment(number))).collect();
            send(far, &mut bursts, &back);
            assert_eq!(receive(near, &mut bursts, Instant::ZERO, back.len()), back);
        }
        for port in near.iter().chain(&far) {
            let counters = port.counters();
            assert_eq!((counters.rx_frames, counters.tx_frames), (300, 300), "nothing strayed to the other queue");
        }
    });
}

#[test]
fn a_frame_longer_than_the_card_holds_is_counted() {
    Sandbox::run("a_frame_longer_than_the_card_holds_is_counted", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        for name in ["xdp0", "xdp1"] {
            sandbox.ip(&format!("link set {name} mtu 3000")).unwrap();
        }
        let mut far = PacketFarEnd::open("xdp1", &[]).unwrap();
        let Some(mut ports) = open("xdp0", 1, XdpMode::Auto, &[CARD.into()]) else { return };
        let (port, mut bursts) = (&mut ports[0], Bursts::new(8));
        let (near, far_hardware) = (port.capabilities().hardware, far.hardware());
        let long = [segment(1), vec![0; 2_500]].concat();
        assert!(far.inject(&ipv4((far_hardware, FAR), (near, CARD), 6, &long)));
        let short = ipv4((far_hardware, FAR), (near, CARD), 6, &segment(2));
        assert!(far.inject(&short));
        assert_eq!(receive(port, &mut bursts, Instant::ZERO, 1), [short]);
        assert_eq!((port.counters().rx_malformed, port.counters().rx_frames, bursts.pool.owned()), (1, 1, 1));
    });
}

#[test]
fn questions_for_the_cards_ipv6_address_are_let_through() {
    Sandbox::run("questions_for_the_cards_ipv6_address_are_let_through", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") {
            return;
        }
        let groups = || fs::read_to_string("/proc/thread-self/net/dev_mcast").unwrap();
        let Some(ports) = open("xdp0", 1, XdpMode::Auto, &[CARD_6.into()]) else { return };
        assert!(groups().contains("3333ff123456"), "{}", groups());
        drop(ports);
        assert!(!groups().contains("3333ff123456"), "{}", groups());
    });
}

#[test]
fn what_cannot_be_opened_says_what_to_run() {
    Sandbox::run("what_cannot_be_opened_says_what_to_run", |sandbox| {
        if !cable(sandbox, "xdp0", "xdp1") || open("xdp0", 1, XdpMode::Auto, &[]).is_none() {
            return;
        }
        let refusal = |interface: &str, queues, mode| {
            let error = XdpPort::open(interface, queues, mode, None, &options(&[CARD.into()])).err().unwrap();
            error.to_string()
        };
        for (interface, queues, mode, expected) in [
            ("xdp9", 1, XdpMode::Auto, "ip link"),
            ("lo", 1, XdpMode::Auto, "ip link"),
            ("xdp0", 2, XdpMode::Auto, "ethtool -L xdp0 rx 2"),
            ("xdp0", 0, XdpMode::Auto, "1 to 64 queues"),
            ("xdp0", 1, XdpMode::ZeroCopy, "mode `copy`"),
        ] {
            let said = refusal(interface, queues, mode);
            assert!(said.contains(expected), "{interface}: {said}");
        }
        let first = open("xdp0", 1, XdpMode::Auto, &[CARD.into()]);
        let said = refusal("xdp0", 1, XdpMode::Auto);
        assert!(said.contains("another process has it"), "{said}");
        drop(first);
        assert!(open("xdp0", 1, XdpMode::Auto, &[CARD.into()]).is_some(), "free again");
    });
}
