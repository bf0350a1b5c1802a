#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};

use hpb_base::limits::{NEIGHBOR_FRAMES_MAX, NEIGHBOR_TOLD_MAX, NEIGHBOR_WAITING_MAX, NEIGHBORS_LEARNED_MAX};
use hpb_net::frame::Partial;
use proptest::prelude::*;

use super::*;
use crate::segment::{self, ACK};

mod lanes;

const START: Instant = Instant::from_millis(1_000);
const NEAR: HardwareAddress = [2, 0, 0, 0, 0, 1];
const FAR: HardwareAddress = [2, 0, 0, 0, 0, 9];
const ALL: HardwareAddress = [0xff; 6];

fn config() -> NeighborConfig {
    NeighborConfig::new(NEAR, vec![(ip("10.0.0.1"), 8), (ip("fd00::1"), 64)], 7)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A card's link layer with its bursts.
struct Card {
    neighbor: Neighbor,
    bursts: Bursts,
    now: Instant,
}

impl Card {
    fn new(config: NeighborConfig) -> Self {
        Self { neighbor: Neighbor::new(config, START).unwrap(), bursts: Bursts::new(8_192), now: START }
    }

    /// A card that has announced itself.
    fn settled(config: NeighborConfig) -> Self {
        let mut card = Self::new(config);
        card.receive(&[]);
        card.now += Duration::from_secs(3);
        card.receive(&[]);
        card
    }

    /// Receives frames; returns what leaves.
    fn receive(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for frame in frames {
            let mut taken = self.bursts.pool.take().unwrap();
            taken.copy_from(frame);
            self.bursts.rx.push(taken);
        }
        self.neighbor.receive(self.now, &mut self.bursts);
        self.sent()
    }

    /// Sends the lane's packets; returns what leaves.
    fn transmit(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let from = self.bursts.tx.len();
        for packet in packets {
            let mut frame = self.bursts.pool.take().unwrap();
            frame.copy_from(packet);
            self.bursts.tx.push_back(frame);
        }
        self.neighbor.transmit(self.now, &mut self.bursts, from);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(frame) = self.bursts.tx.pop_front() {
            sent.push(frame.bytes().to_vec());
            self.bursts.pool.give(frame);
        }
        sent
    }

    /// What is left for the lane.
    fn taken(&mut self) -> Vec<Vec<u8>> {
        let taken = self.bursts.rx.iter().map(|frame| frame.bytes().to_vec()).collect();
        self.bursts.recycle_rx();
        taken
    }

    fn dropped(&self, reason: NeighborDrop) -> u64 {
        self.neighbor.counters().drops.get(reason)
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.neighbor.take_notice()).collect()
    }
}

/// A segment without payload between two ends.
fn segment_between(source: &str, destination: &str) -> Vec<u8> {
    let (source, destination): (SocketAddr, SocketAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let segment = segment::Segment {
        flow: FlowKey::new(destination, source),
        tcp_at: 0,
        payload_at: 0,
        end_at: 0,
        seq: 0,
        ack: 9,
        flags: ACK,
        window: 0,
    };
    let mut frame = hpb_net::FramePool::new(1).take().unwrap();
    segment::Spoken::reset(&segment).write(&mut frame);
    frame.bytes().to_vec()
}

fn segment_to(destination: &str) -> Vec<u8> {
    let source = if destination.starts_with('[') { "[fd00::1]:30303" } else { "10.0.0.1:30303" };
    segment_between(source, destination)
}

fn framed(to: HardwareAddress, from: HardwareAddress, kind: u16, packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), packet].concat()
}

fn tagged(mut frame: Vec<u8>, tag: u16) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0, (tag >> 8) as u8, tag as u8]);
    frame
}

fn arp(operation: u8, from: (HardwareAddress, [u8; 4]), target: (HardwareAddress, [u8; 4])) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &from.0, &from.1, &target.0, &target.1].concat()
}

/// Who has 10.0.0.`target`? From the host `from` at 10.0.0.9.
fn question(from: HardwareAddress, target: u8) -> Vec<u8> {
    framed(ALL, from, ethernet::ARP, &arp(1, (from, [10, 0, 0, 9]), ([0; 6], [10, 0, 0, target])))
}

fn reply(from: HardwareAddress, sender: [u8; 4]) -> Vec<u8> {
    framed(NEAR, from, ethernet::ARP, &arp(2, (from, sender), (NEAR, [10, 0, 0, 1])))
}

/// A packet of the card's own writing, from `source` to `destination`.
fn written(protocol: u8, source: &str, destination: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut frame = hpb_net::FramePool::new(1).take().unwrap();
    let (source, destination) = (mapped(ip(source)), mapped(ip(destination)));
    let hop_limit = if protocol == ip::ICMPV6 { 255 } else { 64 };
    ip::write(&mut frame, &ip::Head { source, destination, protocol, hop_limit, alerts: false }, parts);
    frame.bytes().to_vec()
}

#[test]
fn addresses_are_announced_twice_at_the_start() {
    let mut card = Card::new(config());
    assert_eq!(card.neighbor.wake_at(), Some(START));
    let sent = card.receive(&[]);
    // RFC 5227 section 2.3; RFC 4861 section 7.2.6; RFC 3810 section 5.2.
    assert_eq!(sent[0], framed(ALL, NEAR, ethernet::ARP, &arp(1, (NEAR, [10, 0, 0, 1]), ([0; 6], [10, 0, 0, 1]))));
    assert_eq!(sent[1][..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
    assert_eq!((sent[1][54], sent[1][58]), (136, 0x20));
    assert_eq!((sent[2][..6].to_vec(), sent[2][62]), (vec![0x33, 0x33, 0, 0, 0, 0x16], 143));
    assert_eq!(sent.len(), 3);
    assert_eq!(card.neighbor.wake_at(), Some(START + Duration::from_secs(2)));
    card.now += Duration::from_secs(2);
    assert_eq!(card.receive(&[]).len(), 3);
    assert_eq!(card.neighbor.wake_at(), None);
}

#[test]
fn a_question_is_answered_and_its_asker_known() {
    let mut card = Card::settled(config());
    let sent = card.receive(&[question(FAR, 1)]);
    assert_eq!(sent, [framed(FAR, NEAR, ethernet::ARP, &arp(2, (NEAR, [10, 0, 0, 1]), (FAR, [10, 0, 0, 9])))]);
    let packet = segment_to("10.0.0.9:80");
    assert_eq!(card.transmit(std::slice::from_ref(&packet)), [framed(FAR, NEAR, ethernet::IPV4, &packet)]);
    // RFC 5227 section 2.1.1: a probe is answered, and nobody learned.
    let probe = framed(ALL, FAR, ethernet::ARP, &arp(1, (FAR, [0; 4]), ([0; 6], [10, 0, 0, 1])));
    let sent = card.receive(&[probe]);
    assert_eq!(sent, [framed(FAR, NEAR, ethernet::ARP, &arp(2, (NEAR, [10, 0, 0, 1]), (FAR, [0; 4])))]);
    assert_eq!(card.neighbor.neighbors(), 1);
}

#[test]
fn a_solicitation_is_answered_and_its_asker_known() {
    let mut card = Card::settled(config());
    let option = [&[1, 1][..], &FAR].concat();
    let target = [&[0xfd][..], &[0; 14], &[1]].concat();
    let ask = |from: &str, option: &[u8]| {
        let packet = written(ip::ICMPV6, from, "ff02::1:ff00:1", &[&[135, 0, 0, 0, 0, 0, 0, 0], &target, option]);
        framed([0x33, 0x33, 0xff, 0, 0, 1], FAR, ethernet::IPV6, &packet)
    };
    let sent = card.receive(&[ask("fd00::9", &option)]);
    let told = [&[2, 1][..], &NEAR].concat();
    let answer = written(ip::ICMPV6, "fd00::1", "fd00::9", &[&[136, 0, 0, 0, 0x60, 0, 0, 0], &target, &told]);
    assert_eq!(sent, [framed(FAR, NEAR, ethernet::IPV6, &answer)]);
    let packet = segment_to("[fd00::9]:80");
    assert_eq!(card.transmit(std::slice::from_ref(&packet)), [framed(FAR, NEAR, ethernet::IPV6, &packet)]);
    // RFC 4862 section 5.4.4: who looks for duplicates is told with all others.
    let sent = card.receive(&[ask("::", &[])]);
    let answer = written(ip::ICMPV6, "fd00::1", "ff02::1", &[&[136, 0, 0, 0, 0x20, 0, 0, 0], &target, &told]);
    assert_eq!(sent, [framed([0x33, 0x33, 0, 0, 0, 1], NEAR, ethernet::IPV6, &answer)]);
    assert_eq!(card.neighbor.neighbors(), 1);
}

/// A link that sends frames back, or a stranger under the card's own hardware address: the card never speaks to itself.
#[test]
fn nothing_is_answered_or_believed_from_the_cards_own_hardware_address() {
    let mut card = Card::settled(config());
    let ping = written(ip::ICMP, "10.0.0.9", "10.0.0.1", &[&[8, 0, 0, 0, 1, 2, 3, 4]]);
    let target = |host: u8| [&[0xfd][..], &[0; 14], &[host]].concat();
    let own = [&[1, 1][..], &NEAR].concat();
    let ask =
        |option: &[u8]| written(ip::ICMPV6, "fd00::9", "fd00::1", &[&[135, 0, 0, 0, 0, 0, 0, 0], &target(1), option]);
    let told = [&[2, 1][..], &NEAR].concat();
    let answer = written(ip::ICMPV6, "fd00::9", "fd00::1", &[&[136, 0, 0, 0, 0x60, 0, 0, 0], &target(9), &told]);
    card.transmit(&[segment_to("[fd00::9]:80")]);
    let frames = [
        framed(NEAR, NEAR, ethernet::IPV4, &ping),
        framed(NEAR, NEAR, ethernet::IPV6, &ask(&[])),
        framed(NEAR, FAR, ethernet::IPV6, &ask(&own)),
        framed(NEAR, FAR, ethernet::IPV6, &answer),
    ];
    assert!(card.receive(&frames).is_empty());
    assert_eq!((card.dropped(NeighborDrop::BadSource), card.dropped(NeighborDrop::NotOurs)), (2, 2));
}

#[test]
fn first_packets_wait_in_order_for_their_neighbor() {
    let mut card = Card::settled(config());
    let packets: Vec<Vec<u8>> = (0..20).map(|port| segment_to(&format!("10.0.0.9:{port}"))).collect();
    let sent = card.transmit(&packets);
    let ask = arp(1, (NEAR, [10, 0, 0, 1]), ([0; 6], [10, 0, 0, 9]));
    assert_eq!(sent, [framed(ALL, NEAR, ethernet::ARP, &ask)]);
    assert_eq!(card.dropped(NeighborDrop::WaitingFull), 4, "the newest");
    let sent = card.receive(&[reply(FAR, [10, 0, 0, 9])]);
    let expected: Vec<Vec<u8>> =
        packets[..NEIGHBOR_WAITING_MAX].iter().map(|packet| framed(FAR, NEAR, ethernet::IPV4, packet)).collect();
    assert_eq!(sent, expected);
    assert_eq!(card.transmit(&packets[..1]), expected[..1]);
    assert_eq!(card.neighbor.counters().tx_packets, 17);
}

#[test]
fn packets_that_wait_in_vain_are_counted_and_their_frames_come_back() {
    let mut card = Card::settled(config());
    let owned = card.bursts.pool.owned();
    card.transmit(&[segment_to("10.0.0.9:80"), segment_to("[fd00::9]:80")]);
    while let Some(at) = card.neighbor.wake_at() {
        card.now = at;
        card.receive(&[]);
    }
    assert_eq!(card.dropped(NeighborDrop::Unresolved), 2);
    assert_eq!(card.neighbor.counters().asked, 6);
    card.transmit(&[segment_to("10.0.0.9:80")]);
    assert_eq!(card.dropped(NeighborDrop::Unreachable), 1);
    let free = std::iter::from_fn(|| card.bursts.pool.take_spare()).count();
    assert!(card.bursts.pool.owned() == free && free >= owned);
}

#[test]
fn what_waits_in_all_is_bounded() {
    let mut card = Card::settled(config());
    for host in 0..400_u32 {
        let address = Ipv4Addr::from_bits(0x0a01_0000 + host);
        let packets: Vec<Vec<u8>> = (0..4).map(|port| segment_to(&format!("{address}:{port}"))).collect();
        card.transmit(&packets);
    }
    assert_eq!(card.neighbor.counters().waited, NEIGHBOR_FRAMES_MAX as u64);
    assert_eq!(card.dropped(NeighborDrop::WaitingFull), 1_600 - NEIGHBOR_FRAMES_MAX as u64);
}

#[test]
fn answers_wait_while_the_send_burst_is_full() {
    let mut card = Card::settled(config());
    for _ in 0..BURST_LEN_MAX {
        let frame = card.bursts.pool.take().unwrap();
        card.bursts.tx.push_back(frame);
    }
    let questions: Vec<Vec<u8>> = (0..BURST_LEN_MAX + 5).map(|_| question(FAR, 1)).collect();
    for burst in questions.chunks(BURST_LEN_MAX) {
        for frame in burst {
            let mut taken = card.bursts.pool.take().unwrap();
            taken.copy_from(frame);
            card.bursts.rx.push(taken);
        }
        card.neighbor.receive(card.now, &mut card.bursts);
    }
    assert_eq!(card.bursts.tx.len(), BURST_LEN_MAX);
    assert_eq!(card.dropped(NeighborDrop::SendFull), 5);
    assert_eq!(card.neighbor.wake_at(), Some(card.now));
    card.sent();
    assert_eq!(card.receive(&[]).len(), BURST_LEN_MAX);
    assert_eq!(card.neighbor.wake_at(), None);
}

#[test]
fn two_cards_find_each_other_and_stay_in_touch() {
    for (near, far) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let mut cards = [(NEAR, near), (FAR, far)].map(|(hardware, address)| {
            let prefix_len = if address.contains(':') { 64 } else { 24 };
            Card::settled(NeighborConfig::new(hardware, vec![(ip(address), prefix_len)], 7))
        });
        let ends = [near, far].map(|address| SocketAddr::new(ip(address), 80).to_string());
        let mut got = [0, 0];
        // Each sends a packet a second for five minutes, over a link without delay.
        for second in 0..300 {
            for side in 0..2 {
                cards[side].now = START + Duration::from_secs(10 + second);
                let packet = segment_between(&ends[side], &ends[1 - side]);
                let mut frames = cards[side].transmit(&[packet]);
                let mut to = 1 - side;
                while !frames.is_empty() {
                    cards[to].now = cards[side].now;
                    frames = cards[to].receive(&frames);
                    got[to] += cards[to].taken().len();
                    to = 1 - to;
                }
            }
        }
        assert_eq!(got, [300, 300]);
        for card in &cards {
            let counters = card.neighbor.counters();
            assert_eq!((counters.drops, counters.tx_packets), (NeighborDropCounters::default(), 300));
            assert!((5..20).contains(&counters.asked), "{counters:?}");
        }
    }
}

#[test]
fn five_thousand_neighbors_are_kept_apart() {
    let mut card = Card::settled(config());
    let address = |n: u32| Ipv4Addr::from_bits(0x0a02_0000 + n);
    let hardware = |n: u32| [2, 1, 0, 0, (n >> 8) as u8, n as u8];
    for n in 0..5_000 {
        let asked = card.transmit(&[segment_to(&format!("{}:80", address(n)))]);
        assert_eq!(asked[0][38..42], address(n).octets());
        assert_eq!(card.receive(&[reply(hardware(n), address(n).octets())]).len(), 1);
    }
    for n in (0..5_000).rev() {
        let packet = segment_to(&format!("{}:80", address(n)));
        let sent = card.transmit(std::slice::from_ref(&packet));
        assert_eq!(sent, [framed(hardware(n), NEAR, ethernet::IPV4, &packet)]);
    }
    assert_eq!((card.neighbor.neighbors(), card.neighbor.counters().evicted), (5_000, 0));
}

#[test]
fn spoofed_floods_bound_the_table_and_spare_who_is_used() {
    let mut card = Card::settled(config());
    card.transmit(&[segment_to("10.0.0.9:80")]);
    card.receive(&[reply(FAR, [10, 0, 0, 9])]);
    for n in 0..20_000_u32 {
        let sender = (0x0a03_0000 + n).to_be_bytes();
        let evil = [2, 66, 0, 0, (n >> 8) as u8, n as u8];
        // Questions to the card, answers that nobody asked for, claims to all, and senders from elsewhere.
        card.receive(&[
            framed(ALL, evil, ethernet::ARP, &arp(1, (evil, sender), ([0; 6], [10, 0, 0, 1]))),
            reply(evil, (0x0a04_0000 + n).to_be_bytes()),
            framed(ALL, evil, ethernet::ARP, &arp(1, (evil, sender), ([0; 6], sender))),
            framed(ALL, evil, ethernet::ARP, &arp(1, (evil, [192, 0, 2, 1]), ([0; 6], [10, 0, 0, 1]))),
        ]);
    }
    assert_eq!(card.neighbor.neighbors(), NEIGHBORS_LEARNED_MAX + 1);
    assert_eq!(card.dropped(NeighborDrop::Unsolicited), 20_000);
    let packet = segment_to("10.0.0.9:80");
    assert_eq!(card.transmit(std::slice::from_ref(&packet)), [framed(FAR, NEAR, ethernet::IPV4, &packet)]);
    // A claim about who is used is taken, and counted.
    card.receive(&[reply([2, 0, 0, 0, 0, 66], [10, 0, 0, 9])]);
    assert_eq!(card.neighbor.counters().overridden, 1);
    assert_eq!(card.transmit(&[packet])[0][..6], [2, 0, 0, 0, 0, 66]);
}

#[test]
fn a_conflict_is_told_and_defended_once_in_ten_seconds() {
    let mut card = Card::settled(config());
    let claim = framed(ALL, FAR, ethernet::ARP, &arp(1, (FAR, [10, 0, 0, 1]), ([0; 6], [10, 0, 0, 1])));
    let defence = framed(ALL, NEAR, ethernet::ARP, &arp(1, (NEAR, [10, 0, 0, 1]), ([0; 6], [10, 0, 0, 1])));
    assert_eq!(card.receive(&[claim.clone(), claim.clone()]), std::slice::from_ref(&defence));
    card.now += Duration::from_millis(9_999);
    assert!(card.receive(std::slice::from_ref(&claim)).is_empty());
    card.now += Duration::from_millis(1);
    assert_eq!(card.receive(&[claim]), [defence]);
    assert_eq!(card.notices(), [Notice::Conflict { address: ip("10.0.0.1"), hardware: FAR }; 2]);
    assert_eq!((card.neighbor.counters().conflicts, card.neighbor.neighbors()), (4, 0));
}

#[test]
fn sessions_packets_are_stripped_and_left_to_the_lane() {
    let packets =
        [segment_between("10.0.0.9:80", "10.0.0.1:30303"), segment_between("[fd00::9]:80", "[fd00::1]:30303")];
    let kinds = [ethernet::IPV4, ethernet::IPV6];
    let frames: Vec<Vec<u8>> =
        packets.iter().zip(kinds).map(|(packet, kind)| framed(NEAR, FAR, kind, packet)).collect();
    for vlan in [None, Some(5)] {
        let mut card = Card::settled(NeighborConfig { vlan, ..config() });
        for (tag, is_ours) in [
            (None, vlan.is_none()),
            (Some(0x8000), vlan.is_none()), // priority 4 only
            (Some(0x6005), vlan == Some(5)),
            (Some(6), false),
        ] {
            let frames: Vec<Vec<u8>> =
                frames.iter().map(|frame| tag.map_or(frame.clone(), |tag| tagged(frame.clone(), tag))).collect();
            card.receive(&frames);
            let expected: &[Vec<u8>] = if is_ours { &packets } else { &[] };
            assert_eq!(card.taken(), expected, "vlan {vlan:?}, tag {tag:?}");
        }
        assert_eq!(card.dropped(NeighborDrop::Vlan), if vlan.is_none() { 4 } else { 6 });
    }
}

#[test]
fn a_cards_frames_carry_its_tag_and_keep_their_missing_checksum() {
    let mut card = Card::settled(NeighborConfig { vlan: Some(5), ..config() });
    card.receive(&[tagged(question(FAR, 1), 5)]);
    let packet = segment_to("10.0.0.9:80");
    let mut frame = card.bursts.pool.take().unwrap();
    frame.copy_from(&packet);
    frame.set_partial(Some(Partial { start: 20, offset: 16 }));
    card.bursts.tx.push_back(frame);
    card.neighbor.transmit(card.now, &mut card.bursts, 0);
    assert_eq!(card.bursts.tx[0].bytes(), tagged(framed(FAR, NEAR, ethernet::IPV4, &packet), 5));
    assert_eq!(card.bursts.tx[0].partial(), Some(Partial { start: 38, offset: 16 }));
}

#[test]
fn what_is_not_the_cards_is_the_hosts_or_nobodys() {
    let mut fragment = segment_between("10.0.0.9:80", "10.0.0.1:30303");
    fragment[6] = 0x20;
    let udp = written(ip::UDP, "10.0.0.9", "10.0.0.1", &[&[0, 9, 0, 9, 0, 8, 0, 0]]);
    let frames = [
        (framed(NEAR, FAR, ethernet::IPV4, &segment_between("10.0.0.9:80", "10.0.0.7:1")), NeighborDrop::NotOurs),
        (framed(NEAR, FAR, ethernet::IPV4, &fragment), NeighborDrop::Fragment),
        (framed(FAR, NEAR, ethernet::IPV4, &segment_to("10.0.0.1:1")), NeighborDrop::OtherHardware),
        (framed(NEAR, FAR, 0x88cc, &[0; 46]), NeighborDrop::NotIp),
        (tagged(question(FAR, 1), 5), NeighborDrop::Vlan),
        (question(FAR, 7), NeighborDrop::NotOurs),
        (
            framed(NEAR, FAR, ethernet::IPV4, &written(132, "10.0.0.9", "10.0.0.1", &[&[0; 12]])),
            NeighborDrop::NotServed,
        ),
    ];
    for (frame, reason) in &frames {
        let mut alone = Card::settled(config());
        assert!(alone.receive(std::slice::from_ref(frame)).is_empty() && alone.taken().is_empty());
        assert_eq!(alone.neighbor.counters().drops.iter().collect::<Vec<_>>(), [(*reason, 1)]);

        let mut twin = Card::settled(NeighborConfig { twin: true, ..config() });
        assert!(twin.receive(std::slice::from_ref(frame)).is_empty() && twin.taken().is_empty());
        assert_eq!(twin.bursts.host.pop_front().unwrap().bytes(), frame);
        assert_eq!(twin.neighbor.counters().drops, NeighborDropCounters::default());
    }
    // The host may serve UDP at the same address, and asks for neighbours of its own.
    let mut twin = Card::settled(NeighborConfig { twin: true, ..config() });
    let frames = [framed(NEAR, FAR, ethernet::IPV4, &udp), reply(FAR, [10, 0, 0, 9])];
    assert!(twin.receive(&frames).is_empty());
    assert_eq!(twin.bursts.host.len(), 2);
    for _ in 0..3 {
        twin.receive(&vec![frames[0].clone(); BURST_LEN_MAX]);
    }
    assert_eq!(twin.bursts.host.len(), BURST_LEN_MAX);
    assert_eq!(twin.dropped(NeighborDrop::HostFull), 2 * BURST_LEN_MAX as u64 + 2);
}

#[test]
fn pings_are_answered_at_a_bounded_rate_and_udp_is_refused() {
    let mut card = Card::settled(config());
    let ping = |from: &str| {
        framed(NEAR, FAR, ethernet::IPV4, &written(ip::ICMP, from, "10.0.0.1", &[&[8, 0, 0, 0, 1, 2, 3, 4], b"abc"]))
    };
    let pong = written(ip::ICMP, "10.0.0.1", "192.0.2.7", &[&[0, 0, 0, 0, 1, 2, 3, 4], b"abc"]);
    // Back the way it came, without a route or an entry.
    assert_eq!(card.receive(&[ping("192.0.2.7")]), [framed(FAR, NEAR, ethernet::IPV4, &pong)]);
    let udp = written(ip::UDP, "10.0.0.9", "10.0.0.1", &[&[0x80, 0, 0x82, 0x9a, 0, 12, 0, 0], b"hops"]);
    let refusal = written(ip::ICMP, "10.0.0.1", "10.0.0.9", &[&[3, 3, 0, 0, 0, 0, 0, 0], &udp]);
    assert_eq!(card.receive(&[framed(NEAR, FAR, ethernet::IPV4, &udp)]), [framed(FAR, NEAR, ethernet::IPV4, &refusal)]);
    for from in ["255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.0", "10.0.0.1"] {
        assert!(card.receive(&[ping(from)]).is_empty(), "{from}");
    }
    assert_eq!(card.dropped(NeighborDrop::BadSource), 5);
    let mut to_all = ping("10.0.0.9");
    to_all[..6].copy_from_slice(&ALL);
    assert!(card.receive(&[to_all]).is_empty());
    assert_eq!(card.dropped(NeighborDrop::ToMany), 1);
    let answered: usize = (0..10).map(|_| card.receive(&vec![ping("10.0.0.9"); BURST_LEN_MAX]).len()).sum();
    assert!(answered < 64, "{answered}");
    assert_eq!(card.dropped(NeighborDrop::RateLimited), 640 - answered as u64);
    assert_eq!(card.neighbor.neighbors(), 0);
}

#[test]
fn a_port_without_ethernet_is_answered_too() {
    let mut card = Card::new(NeighborConfig { medium: Medium::Ip, hardware: [0; 6], ..config() });
    assert_eq!(card.neighbor.wake_at(), None);
    let packet = segment_to("10.0.0.9:80");
    assert_eq!(card.transmit(std::slice::from_ref(&packet)), std::slice::from_ref(&packet), "untouched");
    let mut out = card.bursts.pool.take().unwrap();
    let ping = written(ip::ICMPV6, "fd00::9", "fd00::1", &[&[128, 0, 0, 0, 1, 2, 3, 4]]);
    assert!(card.neighbor.answer_ip(card.now, &ping, &mut out));
    let pong = ip::parse(out.bytes()).unwrap();
    assert_eq!((pong.payload[0], pong.hop_limit, pong.checksum_holds()), (129, 64, true));
    let error = written(ip::ICMP, "10.0.0.9", "10.0.0.1", &[&[3, 1, 0, 0, 0, 0, 0, 0], &packet]);
    assert!(!card.neighbor.answer_ip(card.now, &error, &mut out));
    let flow = FlowKey::new("10.0.0.9:80".parse().unwrap(), "10.0.0.1:30303".parse().unwrap());
    assert_eq!(card.notices(), [Notice::Unreachable { flow, seq: 9, hard: false }]);
    assert!(!card.neighbor.answer_ip(card.now, &packet, &mut out), "for another");
}

#[test]
fn nobody_is_told_that_he_is_kept_out_who_cannot_have_asked_or_too_often() {
    let mut card = Card::settled(config());
    let mut out = card.bursts.pool.take().unwrap();
    let mut told = |from: &str| {
        let packet = segment_between(from, "10.0.0.1:30303");
        card.neighbor.prohibit(card.now, &packet, &mut out)
    };
    for from in ["255.255.255.255:9", "224.0.0.1:9", "127.0.0.1:9", "0.0.0.0:9", "10.0.0.1:9"] {
        assert!(!told(from), "{from}");
    }
    let count = (0..640).filter(|_| told("10.0.0.9:80")).count();
    assert_eq!((count, card.neighbor.counters().prohibited), (50, 50), "a burst, and no moment passed");
    assert_eq!((card.dropped(NeighborDrop::BadSource), card.dropped(NeighborDrop::RateLimited)), (5, 590));
    assert!(!card.neighbor.prohibit(card.now, &[0x45; 19], &mut out), "cut");
}

#[test]
fn errors_about_others_flows_are_no_notice_and_notices_are_bounded() {
    let mut card = Card::settled(config());
    let error = |quote: &[u8]| {
        framed(
            NEAR,
            FAR,
            ethernet::IPV4,
            &written(ip::ICMP, "10.0.0.9", "10.0.0.1", &[&[3, 3, 0, 0, 0, 0, 0, 0], quote]),
        )
    };
    card.receive(&[error(&segment_between("10.0.0.7:1", "10.0.0.9:80"))]);
    assert_eq!((card.dropped(NeighborDrop::NotOurs), card.notices().len()), (1, 0));
    for _ in 0..10 {
        card.receive(&vec![error(&segment_to("10.0.0.9:80")); BURST_LEN_MAX]);
    }
    assert_eq!(card.dropped(NeighborDrop::NoticesFull), 640 - NEIGHBOR_NOTICES_MAX as u64);
    assert_eq!(card.notices().len(), NEIGHBOR_NOTICES_MAX);
}

/// A DHCP server's answer to the card's frame, which it gives 10.0.0.77/24 for `lease_secs`.
fn served(frame: &[u8], kind: u8, lease_secs: u32) -> Vec<u8> {
    let request = &frame[42..];
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&request[4..8]);
    message[16..20].copy_from_slice(&[10, 0, 0, 77]);
    message[28..34].copy_from_slice(&request[28..34]);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 54, 4, 10, 0, 0, 254, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 254, 51, 4]);
    message.extend(lease_secs.to_be_bytes());
    message.push(255);
    let len = (8 + message.len()) as u16;
    let udp = [&[0, 67, 0, 68][..], &len.to_be_bytes(), &[0, 0], &message].concat();
    framed(ALL, FAR, ethernet::IPV4, &written(ip::UDP, "10.0.0.254", "255.255.255.255", &[&udp]))
}

#[test]
fn an_address_is_leased_used_renewed_and_lost() {
    let addresses = vec![(ip("fd00::1"), 64)];
    let mut card = Card::settled(NeighborConfig { dhcp: true, ..NeighborConfig::new(NEAR, addresses, 7) });
    card.transmit(&[segment_to("192.0.2.1:80")]);
    assert_eq!(card.dropped(NeighborDrop::NoRoute), 1);
    // The first messages have left by now, and nobody answered.
    card.now = card.neighbor.wake_at().unwrap();
    let discover = card.receive(&[]);
    assert_eq!(discover.len(), 1);
    // RFC 2131 section 4.1: from nobody to all, from port 68 to port 67.
    let head = [ALL, NEAR].concat();
    assert_eq!(
        (&discover[0][..12], &discover[0][26..38]),
        (&head[..], &[0, 0, 0, 0, 255, 255, 255, 255, 0, 68, 0, 67][..])
    );
    assert!(ip::parse(&discover[0][14..]).unwrap().checksum_holds());
    // The request leaves with the next turn.
    card.receive(&[served(&discover[0], 2, 3_600)]);
    let request = card.receive(&[]);
    let mut bent = served(&request[0], 5, 3_600);
    bent[100] ^= 1;
    card.receive(&[bent]);
    assert!(card.notices().is_empty(), "a checksum that does not hold");
    card.receive(&[served(&request[0], 5, 3_600)]);
    let acquired = Notice::AddressAcquired {
        address: ip("10.0.0.77"),
        prefix_len: 24,
        gateway: Some(ip("10.0.0.254")),
        mtu: None,
    };
    assert_eq!(card.notices(), [acquired]);
    let announced = card.receive(&[]);
    let announcement = arp(1, (NEAR, [10, 0, 0, 77]), ([0; 6], [10, 0, 0, 77]));
    assert_eq!(announced, [framed(ALL, NEAR, ethernet::ARP, &announcement)]);
    // By way of the leased gateway.
    let packet = segment_between("10.0.0.77:1", "192.0.2.1:80");
    let asked = card.transmit(std::slice::from_ref(&packet));
    assert_eq!(asked[0][38..42], [10, 0, 0, 254]);
    assert_eq!(card.receive(&[reply(FAR, [10, 0, 0, 254])]), [framed(FAR, NEAR, ethernet::IPV4, &packet)]);
    let to_us = framed(NEAR, FAR, ethernet::IPV4, &segment_between("192.0.2.1:80", "10.0.0.77:1"));
    card.receive(std::slice::from_ref(&to_us));
    assert_eq!(card.taken().len(), 1);
    // Renewed with the server alone; then nobody answers, and the lease ends.
    let mut renewed = false;
    while card.notices().is_empty() {
        card.now = card.neighbor.wake_at().unwrap();
        let sent = card.receive(&[]);
        if let Some(renewal) = sent.iter().find(|frame| frame.len() == 342)
            && !renewed
        {
            renewed = true;
            assert_eq!((&renewal[..6], &renewal[26..34]), (&FAR[..], &[10, 0, 0, 77, 10, 0, 0, 254][..]));
            card.receive(&[served(renewal, 5, 3_600)]);
            assert!(card.notices().is_empty(), "nothing new");
        }
    }
    assert!(renewed);
    assert!(card.now.since(START) > Duration::from_secs(1_800 + 3_600));
    card.receive(&[to_us]);
    assert!(card.taken().is_empty());
    assert_eq!(card.neighbor.addresses().collect::<Vec<_>>(), [(ip("fd00::1"), 64)]);
}

#[test]
fn set_ups_outside_the_limits_are_refused() {
    let refused = |config: NeighborConfig| Neighbor::new(config, START).err();
    let many: Vec<(IpAddr, u8)> = (1..=9).map(|n| (IpAddr::from([10, 0, 0, n]), 8)).collect();
    assert_eq!(refused(NeighborConfig::new(NEAR, many.clone(), 0)), Some(NeighborError::Addresses(9)));
    let with_dhcp = NeighborConfig { dhcp: true, ..NeighborConfig::new(NEAR, many[..8].to_vec(), 0) };
    assert_eq!(refused(with_dhcp), Some(NeighborError::Addresses(9)));
    for (address, prefix_len) in [("10.0.0.1", 33), ("fd00::1", 129), ("224.0.0.1", 4), ("::1", 128)] {
        let config = NeighborConfig::new(NEAR, vec![(ip(address), prefix_len)], 0);
        assert_eq!(refused(config), Some(NeighborError::Address(ip(address), prefix_len)));
    }
    let two = NeighborConfig { gateways: vec![ip("10.0.0.2"), ip("fe80::1"), ip("10.0.0.3")], ..config() };
    assert_eq!(refused(two), Some(NeighborError::Gateway(ip("10.0.0.3"))));
    assert_eq!(refused(NeighborConfig { vlan: Some(0), ..config() }), Some(NeighborError::Vlan(0)));
    assert_eq!(refused(NeighborConfig { vlan: Some(4_095), ..config() }), Some(NeighborError::Vlan(4_095)));
    assert_eq!(refused(NeighborConfig { mtu: 9_000, ..config() }), Some(NeighborError::Mtu(9_000)));
    assert_eq!(refused(NeighborConfig { hardware: ALL, ..config() }), Some(NeighborError::Hardware));
    let without = NeighborConfig { medium: Medium::Ip, dhcp: true, ..config() };
    assert_eq!(refused(without), Some(NeighborError::Dhcp));
}

/// Frames near enough to good ones to get past the first look.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let good = [
        question(FAR, 1),
        reply(FAR, [10, 0, 0, 9]),
        framed(NEAR, FAR, ethernet::IPV4, &segment_between("10.0.0.9:80", "10.0.0.1:1")),
        framed(NEAR, FAR, ethernet::IPV6, &segment_between("[fd00::9]:80", "[fd00::1]:1")),
        framed(NEAR, FAR, ethernet::IPV4, &written(ip::ICMP, "10.0.0.9", "10.0.0.1", &[&[8; 30]])),
        framed(NEAR, FAR, ethernet::IPV6, &written(ip::ICMPV6, "fd00::9", "fd00::1", &[&[135; 40]])),
        framed(
            ALL,
            FAR,
            ethernet::IPV4,
            &written(ip::UDP, "10.0.0.9", "255.255.255.255", &[&[0, 67, 0, 68, 0, 8, 0, 0]]),
        ),
    ];
    let bent = (proptest::sample::select(good.to_vec()), any::<proptest::sample::Index>(), any::<u8>(), 0..90_usize);
    let bent = bent.prop_map(|(mut frame, at, value, len)| {
        let at = at.index(frame.len());
        frame[at] = value;
        frame.truncate(len.max(1));
        frame
    });
    let loose = proptest::collection::vec(any::<u8>(), 0..120).prop_map(|rest| {
        let kind = [ethernet::ARP, ethernet::IPV4, ethernet::IPV6, 0x8100][rest.len() % 4];
        framed(NEAR, FAR, kind, &rest)
    });
    prop_oneof![bent, loose, proptest::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #[test]
    fn any_frames_are_judged_without_a_panic_and_every_frame_is_kept_track_of(
        frames in proptest::collection::vec(any_frame(), 0..40), twin: bool, dhcp: bool, lane in 0_usize..2,
    ) {
        let mut card = Card::new(NeighborConfig { twin, dhcp, lane, lanes: 2, ..config() });
        let mut taken = 0;
        for frame in &frames {
            card.transmit(&[segment_to("10.0.0.9:80")]);
            card.receive(std::slice::from_ref(frame));
            taken += card.taken().len() as u64;
            card.now += Duration::from_millis(300);
        }
        let counters = *card.neighbor.counters();
        prop_assert_eq!(counters.rx_packets, taken);
        prop_assert_eq!(counters.host_frames, card.bursts.host.len() as u64);
        // Free, with the host, or waiting in the link layer.
        let for_first = std::iter::from_fn(|| card.neighbor.take_for_first()).count();
        let waiting = card.neighbor.table.waiting() + card.neighbor.outgoing.len() + for_first;
        let free = std::iter::from_fn(|| card.bursts.pool.take_spare()).count();
        prop_assert_eq!(card.bursts.pool.owned(), free + card.bursts.host.len() + waiting);
    }
}
