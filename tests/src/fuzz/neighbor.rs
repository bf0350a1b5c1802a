//! The card's link layer: any frames, and a link on which others answer, claim, lease and complain.

use std::net::IpAddr;

use hpb_base::limits::{
    BURST_LEN_MAX, NEIGHBOR_ADDRESSES_MAX, NEIGHBOR_FRAMES_MAX, NEIGHBOR_NOTICES_MAX, NEIGHBORS_MAX,
};
use hpb_base::{Duration, Instant};
use hpb_net::frame::{Bursts, FramePool};
use hpb_net::port::Medium;
use hpb_toe::neighbor::{Neighbor, NeighborConfig, NeighborCounters, Notice};

use super::input::Input;
use super::packet::{self, TcpPacket};
use super::pool::free_frames;

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const VLAN: u16 = 5;
const MTU: usize = 1_500;
const FRAMES: usize = 192;
const STEPS_MAX: usize = 128;
const WAKES_MAX: usize = 20_000;

/// A script of frames, packets to send, leases and time; the first byte sets the link layer up.
///
/// # Panics
/// If a frame is lost or made, a bound is passed, or the card says something malformed.
pub fn neighbor(bytes: &[u8]) {
    run_neighbor(bytes);
}

/// Runs a script and says what it came to.
///
/// # Panics
/// As [`neighbor`].
pub fn run_neighbor(bytes: &[u8]) -> NeighborCounters {
    let mut input = Input::new(bytes);
    let mut link = Link::new(input.byte().unwrap_or(0));
    for _ in 0..STEPS_MAX {
        if link.step(&mut input).is_none() {
            break;
        }
    }
    link.leave_alone();
    *link.neighbor.counters()
}

/// What a card without Ethernet answers to any packet.
///
/// # Panics
/// If the answer is malformed, or goes elsewhere than to who asked.
pub fn answer_ip(bytes: &[u8]) {
    let config = NeighborConfig { medium: Medium::Ip, ..NeighborConfig::new([0; 6], addresses(), 7) };
    let now = Instant::from_millis(1_000);
    let mut neighbor = Neighbor::new(config, now).unwrap();
    let mut repaired = bytes.to_vec();
    packet::repair(&mut repaired);
    let mut out = FramePool::new(1).take().unwrap();
    for asked in [bytes, &repaired] {
        let is_answered = neighbor.answer_ip(now, asked, &mut out);
        while let Some(notice) = neighbor.take_notice() {
            check_notice(&notice, &neighbor);
        }
        if is_answered {
            assert!(matches!(packet::assert_whole(out.bytes(), MTU), 1 | 58), "the card answers by ICMP");
            assert_eq!(out.bytes()[0] >> 4, asked[0] >> 4, "in the family that it was asked in");
            let ((from, to), (asker, asked)) = (packet::ends(out.bytes()), packet::ends(asked));
            assert_eq!((from, to), (asked, asker), "who asked is answered");
            assert!(neighbor.addresses().any(|(own, _)| own == from));
            assert!(!to.is_unspecified() && !to.is_multicast() && !to.is_loopback());
        }
    }
}

fn addresses() -> Vec<(IpAddr, u8)> {
    vec![(IpAddr::from([10, 0, 0, 1]), 24), (v6(1), 64)]
}

fn v6(host: u8) -> IpAddr {
    IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
}

fn check_notice(notice: &Notice, neighbor: &Neighbor) {
    match notice {
        Notice::PacketTooBig { flow, mtu, .. } => {
            let smallest = if flow.local().is_ipv4() { 576 } else { 1_280 };
            assert!((smallest..MTU).contains(mtu), "an MTU of {mtu}");
            assert_eq!(flow.local().is_ipv4(), flow.remote().is_ipv4(), "{flow:?}");
            assert!(neighbor.addresses().any(|(own, _)| own == flow.local().ip()));
        }
        Notice::Unreachable { flow, .. } => {
            assert_eq!(flow.local().is_ipv4(), flow.remote().is_ipv4(), "{flow:?}");
            assert!(neighbor.addresses().any(|(own, _)| own == flow.local().ip()));
        }
        Notice::AddressAcquired { address, prefix_len, gateway, mtu } => {
            assert!(address.is_ipv4() && (1..=32).contains(prefix_len));
            assert!(gateway.is_none_or(|gateway| gateway.is_ipv4() && gateway != *address));
            assert!(mtu.is_none_or(|mtu| mtu >= 576));
        }
        Notice::AddressLost { address } => assert!(address.is_ipv4()),
        Notice::Conflict { hardware, .. } => assert_ne!(*hardware, HARDWARE),
    }
}

/// A link layer and what it sent last.
struct Link {
    neighbor: Neighbor,
    bursts: Bursts,
    vlan: Option<u16>,
    twin: bool,
    now: Instant,
    /// The last DHCP message of the card.
    lease_asked: Option<Vec<u8>>,
}

impl Link {
    fn new(set_up: u8) -> Self {
        let now = Instant::from_millis(1_000);
        let (vlan, twin) = ((set_up & 1 != 0).then_some(VLAN), set_up & 4 != 0);
        let gateways = if set_up & 8 != 0 { vec![IpAddr::from([10, 0, 0, 254]), v6(254)] } else { Vec::new() };
        let dhcp = set_up & 2 != 0;
        let config = NeighborConfig { vlan, twin, gateways, dhcp, ..NeighborConfig::new(HARDWARE, addresses(), 7) };
        let neighbor = Neighbor::new(config, now).unwrap();
        Self { neighbor, bursts: Bursts::new(FRAMES), vlan, twin, now, lease_asked: None }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 7 {
            0 => self.receive(input.bytes()?),
            // To the card itself, behind the right tag, with checksums filled.
            1 => {
                let (source, kind) = (input.byte()?, input.byte()?);
                let mut packet = input.bytes()?.to_vec();
                packet::repair(&mut packet);
                let kind = match kind % 4 {
                    0 => 0x0806,
                    1 => u16::from(kind) << 8,
                    _ => packet::kind_of(&packet),
                };
                let frame = packet::ethernet(HARDWARE, [2, 0, 0, 0, 0, source], self.vlan, kind, &packet);
                self.receive(&frame);
            }
            // To all, or to a group.
            2 => {
                let (group, source) = (input.byte()?, input.byte()?);
                let mut packet = input.bytes()?.to_vec();
                packet::repair(&mut packet);
                let to = if group == 0 { [0xff; 6] } else { [0x33, 0x33, 0xff, 0, 0, group] };
                let kind = if group == 0 && packet.len() == 28 { 0x0806 } else { packet::kind_of(&packet) };
                self.receive(&packet::ethernet(to, [2, 0, 0, 0, 0, source], self.vlan, kind, &packet));
            }
            // The lane sends to a host of a network.
            3 => {
                let (network, host, count) = (input.byte()?, input.byte()?, input.byte()?);
                for _ in 0..count % 24 {
                    self.transmit(network, host);
                }
            }
            4 => {
                let span = Duration::from_millis(u64::from(input.word()?));
                self.pass(span);
            }
            5 => self.lease(input)?,
            // A neighbour answers: its address and where it says it is.
            _ => {
                let (host, at) = (input.byte()?, input.byte()?);
                self.answer(host, at);
            }
        }
        self.check();
        Some(())
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Some(mut frame) = self.bursts.pool.take() else { return };
        frame.copy_from(bytes);
        self.bursts.rx.push(frame);
        self.neighbor.receive(self.now, &mut self.bursts);
        for frame in &self.bursts.rx {
            let first = frame.bytes().first().copied().unwrap_or(0);
            assert!(matches!(first >> 4, 4 | 6), "a session's packet begins with its IP header");
            let len = if first >> 4 == 4 { 20 } else { 40 };
            assert!(frame.len() >= len);
            let (_, destination) = packet::ends(frame.bytes());
            assert!(self.neighbor.addresses().any(|(own, _)| own == destination), "for {destination}");
        }
        self.bursts.recycle_rx();
    }

    fn transmit(&mut self, network: u8, host: u8) {
        let (from, to) = match network % 4 {
            0 => (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, host])),
            1 => (IpAddr::from([10, 0, 0, 1]), IpAddr::from([host, network, 2, 3])),
            2 => (v6(1), v6(host)),
            _ => (v6(1), IpAddr::from([0x20, host, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, network])),
        };
        let segment = TcpPacket {
            source: (from, 1),
            destination: (to, 2),
            seq: 1,
            ack: 1,
            flags: 0x10,
            window: 9,
            options: &[],
            payload: &[],
        };
        let Some(mut frame) = self.bursts.pool.take() else { return };
        frame.copy_from(&segment.bytes());
        let at = self.bursts.tx.len();
        self.bursts.tx.push_back(frame);
        self.neighbor.transmit(self.now, &mut self.bursts, at);
        self.drain();
    }

    /// A DHCP server answers the card's last message: kind of message, address, further options as they are.
    fn lease(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (kind, host, options_len) = (input.byte()?, input.byte()?, input.byte()?);
        let options = input.take(usize::from(options_len));
        let asked = self.lease_asked.clone()?;
        let mut message = vec![2, 1, 6, 0];
        message.extend(&asked[4..8]);
        message.extend([0; 8]);
        message.extend([10, 0, 0, host]);
        message.extend([0; 8]);
        message.extend(&asked[28..236]);
        message.extend([99, 130, 83, 99, 53, 1, kind, 54, 4, 10, 0, 0, 200]);
        message.extend(options);
        let mut packet =
            packet::ip_header(IpAddr::from([10, 0, 0, 200]), IpAddr::from([255; 4]), 17, 8 + message.len());
        packet.extend([0, 67, 0, 68]);
        packet.extend((8 + message.len() as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(message);
        packet::repair(&mut packet);
        self.receive(&packet::ethernet([0xff; 6], [2, 0, 0, 0, 0, 200], self.vlan, 0x0800, &packet));
        Some(())
    }

    fn answer(&mut self, host: u8, at: u8) {
        let hardware = [2, 0, 0, 0, 0, at];
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
        arp.extend(hardware);
        arp.extend([10, 0, 0, host]);
        arp.extend(HARDWARE);
        arp.extend([10, 0, 0, 1]);
        self.receive(&packet::ethernet(HARDWARE, hardware, self.vlan, 0x0806, &arp));
        let mut advertisement = packet::ip_header(v6(host), v6(1), 58, 32);
        advertisement.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
        let IpAddr::V6(target) = v6(host) else { return };
        advertisement.extend(target.octets());
        advertisement.extend([2, 1]);
        advertisement.extend(hardware);
        packet::repair(&mut advertisement);
        self.receive(&packet::ethernet(HARDWARE, hardware, self.vlan, 0x86dd, &advertisement));
    }

    /// Lets time pass with every wake-up on the way.
    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        for _ in 0..WAKES_MAX {
            self.neighbor.receive(self.now, &mut self.bursts);
            self.drain();
            match self.neighbor.wake_at() {
                Some(at) if at < until => self.now = at.max(self.now + Duration::from_micros(1)),
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("the link layer wakes without end");
    }

    /// The port takes what is to be sent; each frame is judged.
    fn drain(&mut self) {
        while let Some(frame) = self.bursts.tx.pop_front() {
            self.hear(frame.bytes());
            self.bursts.pool.give(frame);
        }
        self.bursts.host.drain(..).for_each(|frame| self.bursts.pool.give(frame));
    }

    fn hear(&mut self, frame: &[u8]) {
        assert_eq!(frame[6..12], HARDWARE, "the card's own header");
        assert_ne!(frame[..6], HARDWARE, "the card does not speak to itself");
        let mut kind_at = 12;
        if let Some(vlan) = self.vlan {
            assert_eq!(frame[12..16], [0x81, 0, 0, vlan as u8], "the card's tag");
            kind_at = 16;
        }
        let kind = u16::from_be_bytes([frame[kind_at], frame[kind_at + 1]]);
        let packet = &frame[kind_at + 2..];
        if kind == 0x0806 {
            assert_eq!(packet.len(), 28, "an ARP packet");
            return assert_eq!(packet[8..14], HARDWARE, "said by the card");
        }
        assert_eq!(kind, packet::kind_of(packet));
        if packet::assert_whole(packet, MTU) == 17 {
            assert_eq!(packet[20..24], [0, 68, 0, 67], "the card sends no UDP but DHCP");
            self.lease_asked = Some(packet[28..].to_vec());
        }
    }

    /// What holds at every moment.
    fn check(&mut self) {
        assert!(self.bursts.tx.len() <= BURST_LEN_MAX && self.bursts.host.len() <= BURST_LEN_MAX);
        assert!(self.twin || self.bursts.host.is_empty(), "there is no host behind this port");
        assert!(self.neighbor.neighbors() <= NEIGHBORS_MAX);
        assert!((2..=NEIGHBOR_ADDRESSES_MAX).contains(&self.neighbor.addresses().count()));
        assert!(self.neighbor.addresses().count() <= 3, "one lease at most");
        for notices in 0.. {
            assert!(notices <= NEIGHBOR_NOTICES_MAX);
            let Some(notice) = self.neighbor.take_notice() else { break };
            check_notice(&notice, &self.neighbor);
        }
        self.drain();
        let held = self.bursts.pool.owned() - free_frames(&mut self.bursts);
        assert!(held <= NEIGHBOR_FRAMES_MAX, "{held} frames held back");
    }

    /// A minute of silence: every frame comes back. (A renewal may wait for its server a while.)
    fn leave_alone(&mut self) {
        self.pass(Duration::from_secs(60));
        self.check();
        self.pass(Duration::from_secs(10));
        let free = free_frames(&mut self.bursts);
        assert!(self.bursts.pool.owned() - free <= usize::from(self.lease_asked.is_some()), "frames leak");
    }
}
