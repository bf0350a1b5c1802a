//! From packets to frames, and what the card says by itself: questions, answers, announcements, leases.

use hpb_base::limits::{BURST_LEN_MAX, NEIGHBOR_FRAMES_MAX};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::HardwareAddress;

use super::arp::Arp;
use super::counters::NeighborDrop;
use super::dhcp::{self, Action};
use super::ethernet::{self, BROADCAST, Header};
use super::ip::{self, HOP_LIMIT, Head};
use super::ndisc;
use super::table::Resolution;
use super::{ANNOUNCE_INTERVAL, Last, Neighbor};

/// Where a packet goes.
enum Way {
    /// Out, behind this header.
    Out(Header),
    /// Nowhere until the neighbour at this place of the table answers.
    Waits(u32),
}

impl Neighbor {
    /// Turns the packets of the send burst from place `from` on into frames.
    pub(super) fn address_burst(&mut self, bursts: &mut Bursts, from: usize) {
        let mut at = from;
        while let Some(frame) = bursts.tx.get_mut(at) {
            let way = self.way(frame.bytes());
            if let Ok(Way::Out(header)) = &way
                && frame.prepend(header.bytes())
            {
                self.counters.tx_packets += 1;
                at += 1;
                continue;
            }
            let Some(frame) = bursts.tx.remove(at) else { break };
            match way {
                Ok(Way::Waits(index)) => self.wait(index, frame, bursts),
                Ok(Way::Out(_)) => self.drop_frame(frame, NeighborDrop::Malformed, bursts),
                Err(reason) => self.drop_frame(frame, reason, bursts),
            }
        }
    }

    /// Where the packet goes. Most go where the last one went.
    fn way(&mut self, packet: &[u8]) -> Result<Way, NeighborDrop> {
        let hop = self.routes.next_hop(ip::destination(packet)?)?;
        if let Some(last) = &self.last
            && last.hop == hop
            && self.now < last.until
        {
            return Ok(Way::Out(last.header));
        }
        match self.table.resolve(self.now, hop)? {
            Resolution::Known { hardware, until } => {
                let header = self.header.to(hardware, kind_of(hop));
                self.last = Some(Last { hop, header, until });
                Ok(Way::Out(header))
            }
            Resolution::Waits(index) => Ok(Way::Waits(index)),
        }
    }

    /// Lets a packet wait for its neighbour, if few enough frames wait.
    fn wait(&mut self, index: u32, frame: Frame, bursts: &mut Bursts) {
        if self.table.waiting() + self.outgoing.len() >= NEIGHBOR_FRAMES_MAX {
            return self.drop_frame(frame, NeighborDrop::WaitingFull, bursts);
        }
        match self.table.wait(index, frame) {
            Ok(()) => self.counters.waited += 1,
            Err(frame) => self.drop_frame(frame, NeighborDrop::WaitingFull, bursts),
        }
    }

    /// Sends what waited for a neighbour that is known now.
    pub(super) fn release(&mut self, index: u32, bursts: &mut Bursts) {
        while let Some((mut frame, hardware)) = self.table.take_waiting(index) {
            let kind = if frame.bytes().first().is_some_and(|first| first >> 4 == 4) {
                ethernet::IPV4
            } else {
                ethernet::IPV6
            };
            if !frame.prepend(self.header.to(hardware, kind).bytes()) {
                self.drop_frame(frame, NeighborDrop::Malformed, bursts);
                continue;
            }
            self.counters.tx_packets += 1;
            // These were counted as waiting, and go on doing so.
            self.outgoing.push_back(frame);
        }
        self.flush(bursts);
    }

    /// What is due whatever comes: frames that waited for room, questions, announcements, leases.
    pub(super) fn serve(&mut self, bursts: &mut Bursts) {
        self.flush(bursts);
        if self.table.ring(self.now) {
            self.last = None;
        }
        while let Some(frame) = self.table.take_discarded() {
            self.drop_frame(frame, NeighborDrop::Unresolved, bursts);
        }
        self.announce_due(bursts);
        self.lease(bursts);
        self.tell_lease_due();
        while let Some((target, hardware)) = self.table.take_ask() {
            self.ask(target, hardware, bursts);
        }
        self.counters.evicted = self.table.evicted();
    }

    fn flush(&mut self, bursts: &mut Bursts) {
        while bursts.tx_room() > 0
            && let Some(frame) = self.outgoing.pop_front()
        {
            bursts.tx.push_back(frame);
        }
    }

    /// Sends a packet that the card wrote by itself.
    pub(super) fn send(&mut self, mut frame: Frame, to: HardwareAddress, kind: u16, bursts: &mut Bursts) {
        self.flush(bursts);
        if !frame.prepend(self.header.to(to, kind).bytes()) {
            self.drop_frame(frame, NeighborDrop::Malformed, bursts);
        } else if bursts.tx_room() > 0 {
            bursts.tx.push_back(frame);
        } else if self.outgoing.len() < BURST_LEN_MAX
            && self.table.waiting() + self.outgoing.len() < NEIGHBOR_FRAMES_MAX
        {
            self.outgoing.push_back(frame);
        } else {
            self.drop_frame(frame, NeighborDrop::SendFull, bursts);
        }
    }

    fn drop_frame(&mut self, frame: Frame, reason: NeighborDrop, bursts: &mut Bursts) {
        self.counters.drops.count(reason);
        bursts.pool.give(frame);
    }

    /// A free frame, or a count.
    fn take_frame(&mut self, bursts: &mut Bursts) -> Option<Frame> {
        let frame = bursts.pool.take();
        if frame.is_none() {
            self.counters.drops.count(NeighborDrop::NoFrame);
        }
        frame
    }

    /// Asks for a neighbour: all, or the one that had the address.
    fn ask(&mut self, target: u128, hardware: Option<HardwareAddress>, bursts: &mut Bursts) {
        let Some(source) = self.routes.source_for(target) else { return };
        let Some(mut frame) = self.take_frame(bursts) else { return };
        self.counters.asked += 1;
        if ip::is_v4(target) {
            let arp = Arp {
                is_request: true,
                sender_hardware: self.config.hardware,
                sender: source,
                target_hardware: hardware.unwrap_or_default(),
                target,
            };
            frame.copy_from(&arp.bytes());
            self.send(frame, hardware.unwrap_or(BROADCAST), ethernet::ARP, bursts);
        } else {
            let destination =
                ndisc::write_solicitation(&mut frame, source, target, self.config.hardware, hardware.is_some());
            let to = hardware.unwrap_or_else(|| ndisc::group_hardware(destination));
            self.send(frame, to, ethernet::IPV6, bursts);
        }
    }

    /// Answers an ARP request (RFC 826), a probe too (RFC 5227 section 2.1.1).
    pub(super) fn answer_arp(&mut self, request: &Arp, bursts: &mut Bursts) {
        let Some(mut frame) = self.take_frame(bursts) else { return };
        let reply = Arp {
            is_request: false,
            sender_hardware: self.config.hardware,
            sender: request.target,
            target_hardware: request.sender_hardware,
            target: request.sender,
        };
        frame.copy_from(&reply.bytes());
        self.counters.answered += 1;
        self.send(frame, request.sender_hardware, ethernet::ARP, bursts);
    }

    /// Says that the card has `target`: to who asked, with his address and hardware address, or to all.
    pub(super) fn advertise(&mut self, target: u128, asker: Option<(u128, HardwareAddress)>, bursts: &mut Bursts) {
        let Some(mut frame) = self.take_frame(bursts) else { return };
        let asker_address = asker.map(|(address, _)| address);
        let destination = ndisc::write_advertisement(&mut frame, target, asker_address, self.config.hardware);
        let to = asker.map_or_else(|| ndisc::group_hardware(destination), |(_, hardware)| hardware);
        self.counters.answered += 1;
        self.send(frame, to, ethernet::IPV6, bursts);
    }

    /// Tells all where an address of the card's is (RFC 5227 section 2.3; RFC 4861 section 7.2.6).
    pub(super) fn announce(&mut self, address: u128, bursts: &mut Bursts) {
        self.counters.announced += 1;
        if !ip::is_v4(address) {
            return self.advertise(address, None, bursts);
        }
        let Some(mut frame) = self.take_frame(bursts) else { return };
        let arp = Arp {
            is_request: true,
            sender_hardware: self.config.hardware,
            sender: address,
            target_hardware: [0; 6],
            target: address,
        };
        frame.copy_from(&arp.bytes());
        self.send(frame, BROADCAST, ethernet::ARP, bursts);
    }

    fn announce_due(&mut self, bursts: &mut Bursts) {
        let mut reports = false;
        for at in 0..self.own.len() {
            let own = &mut self.own[at];
            let Some((left, due_at)) = own.announce else { continue };
            if self.now < due_at {
                continue;
            }
            own.announce = (left > 1).then(|| (left - 1, self.now + ANNOUNCE_INTERVAL));
            let address = own.address;
            reports |= !ip::is_v4(address);
            self.announce(address, bursts);
        }
        if reports {
            self.report(false, bursts);
        }
    }

    /// Reports the groups in which the card's addresses are asked for.
    pub(super) fn report(&mut self, is_answer: bool, bursts: &mut Bursts) {
        let Some(mut frame) = self.take_frame(bursts) else { return };
        let addresses = || self.own.iter().map(|own| own.address).filter(|address| !ip::is_v4(*address));
        let link_local = addresses().find(|address| address >> 118 == 0xfe80 >> 6);
        let destination =
            ndisc::write_report(&mut frame, link_local.unwrap_or(ip::UNSPECIFIED), addresses(), is_answer);
        self.counters.reported += 1;
        self.send(frame, ndisc::group_hardware(destination), ethernet::IPV6, bursts);
    }

    /// Does what the DHCP client wants done.
    fn lease(&mut self, bursts: &mut Bursts) {
        while let Some(action) = self.dhcp.as_mut().and_then(|client| client.poll(self.now)) {
            match action {
                Action::Lost(lease) => self.lose(lease),
                Action::Send { message, source, server } => self.send_lease(&message[..], source, server, bursts),
            }
        }
    }

    fn send_lease(&mut self, message: &[u8], source: u128, server: Option<u128>, bursts: &mut Bursts) {
        let Some(mut frame) = self.take_frame(bursts) else { return };
        let destination = server.unwrap_or(ip::BROADCAST_V4);
        let head = Head { source, destination, protocol: ip::UDP, hop_limit: HOP_LIMIT, alerts: false };
        let udp_len = (8 + message.len()) as u16;
        let ports = [dhcp::CLIENT_PORT.to_be_bytes(), dhcp::SERVER_PORT.to_be_bytes()].concat();
        ip::write(&mut frame, &head, &[&ports, &udp_len.to_be_bytes(), &[0, 0], message]);
        self.counters.dhcp_sent += 1;
        if server.is_none() {
            return self.send(frame, BROADCAST, ethernet::IPV4, bursts);
        }
        match self.way(frame.bytes()) {
            Ok(Way::Out(header)) => self.send(frame, header.destination(), ethernet::IPV4, bursts),
            Ok(Way::Waits(index)) => self.wait(index, frame, bursts),
            Err(reason) => self.drop_frame(frame, reason, bursts),
        }
    }
}

fn kind_of(address: u128) -> u16 {
    if ip::is_v4(address) { ethernet::IPV4 } else { ethernet::IPV6 }
}
