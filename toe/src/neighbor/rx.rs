//! From received frames to what they are: the lane's, the card's own business, the host's, or nobody's.

use hpb_base::Instant;
use hpb_base::limits::BURST_LEN_MAX;
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::HardwareAddress;

use super::arp::{self, Arp};
use super::counters::NeighborDrop;
use super::dhcp::{self, Change};
use super::ethernet::{self, Ethernet};
use super::icmp::{self, Answer};
use super::ip::{self, Packet};
use super::ndisc;
use super::table::{Claim, Heard};
use super::{DEFEND_INTERVAL, Neighbor, Notice, Told};
use crate::segment::{PROTOCOL_TCP, be16, unmapped};

/// What a received frame is.
enum Sorted {
    /// A packet for a session of the card's, behind a header of this length.
    Session { header_len: usize },
    /// Dealt with.
    Taken,
    /// Dealt with, and the host may want to see it too.
    Seen,
    /// The card's own business: the first lane's.
    First,
}

impl Neighbor {
    /// Sorts the received burst; what is not left in it goes to the host or back to the pool.
    pub(super) fn sort_burst(&mut self, bursts: &mut Bursts) {
        let mut incoming = std::mem::take(&mut self.incoming);
        std::mem::swap(&mut incoming, &mut bursts.rx);
        for mut frame in incoming.drain(..) {
            match self.sort(&frame, bursts) {
                Ok(Sorted::Session { header_len }) => {
                    self.counters.rx_packets += 1;
                    frame.strip(header_len);
                    bursts.rx.push(frame);
                }
                Ok(Sorted::Seen) if self.config.twin => self.pass(frame, bursts),
                Ok(Sorted::Taken | Sorted::Seen) => bursts.pool.give(frame),
                Ok(Sorted::First) => self.leave_to_first(frame, bursts),
                Err(reason) if self.config.twin && reason.may_be_hosts() => self.pass(frame, bursts),
                Err(reason) => {
                    self.counters.drops.count(reason);
                    bursts.pool.give(frame);
                }
            }
        }
        self.incoming = incoming;
    }

    /// Leaves a frame to the host.
    fn pass(&mut self, frame: Frame, bursts: &mut Bursts) {
        if bursts.host.len() < BURST_LEN_MAX {
            self.counters.host_frames += 1;
            bursts.host.push_back(frame);
        } else {
            self.counters.drops.count(NeighborDrop::HostFull);
            bursts.pool.give(frame);
        }
    }

    fn sort(&mut self, frame: &Frame, bursts: &mut Bursts) -> Result<Sorted, NeighborDrop> {
        let ethernet = ethernet::parse(frame.bytes())?;
        if ethernet.vlan.unwrap_or(0) != self.config.vlan.unwrap_or(0) {
            return Err(NeighborDrop::Vlan);
        }
        let is_alone = ethernet.destination == self.config.hardware;
        if !is_alone && !ethernet::is_group(ethernet.destination) {
            return Err(NeighborDrop::OtherHardware);
        }
        let packet = &frame.bytes()[ethernet.header_len..];
        let glance = match ethernet.kind {
            ethernet::IPV4 => ip::glance(packet, true)?,
            ethernet::IPV6 => ip::glance(packet, false)?,
            ethernet::ARP if !self.is_first() => return Ok(Sorted::First),
            ethernet::ARP => return self.take_arp(&arp::parse(packet)?, is_alone, bursts),
            _ => return Err(NeighborDrop::NotIp),
        };
        let is_ours = self.is_ours(glance.destination);
        if glance.protocol == PROTOCOL_TCP && is_ours && !glance.is_fragment {
            // A session has one other end (RFC 1122 section 4.2.3.10).
            return if is_alone {
                Ok(Sorted::Session { header_len: ethernet.header_len })
            } else {
                Err(NeighborDrop::ToMany)
            };
        }
        if glance.is_fragment {
            return Err(NeighborDrop::Fragment);
        }
        if !self.is_first() {
            let is_first_lanes = is_ours || self.is_listened_to(glance.destination) || self.is_of_dhcp(packet);
            return if is_first_lanes { Ok(Sorted::First) } else { Err(NeighborDrop::NotOurs) };
        }
        if glance.protocol == ip::UDP && self.dhcp.is_some() && self.take_lease(packet, frame.is_verified()) {
            return Ok(Sorted::Taken);
        }
        if is_ours {
            self.take_packet(packet, &ethernet, is_alone, frame.is_verified(), bursts)
        } else if self.is_listened_to(glance.destination) {
            let packet = ip::parse(packet)?;
            if packet.protocol == ip::ICMPV6 && ndisc::is_discovery(packet.payload) {
                self.take_discovery(&packet, &ethernet, bursts)
            } else {
                Err(NeighborDrop::NotOurs)
            }
        } else {
            Err(NeighborDrop::NotOurs)
        }
    }

    /// Whether an address is that of a group in which the card is found.
    fn is_listened_to(&self, group: u128) -> bool {
        let mut addresses = self.own.iter().map(|own| own.address).filter(|address| !ip::is_v4(*address));
        if group == ip::ALL_NODES {
            addresses.next().is_some()
        } else {
            addresses.any(|address| ndisc::solicited_node(address) == group)
        }
    }

    /// A packet for an address of the card's that is not a session's.
    fn take_packet(
        &mut self,
        packet: &[u8],
        ethernet: &Ethernet,
        is_alone: bool,
        is_verified: bool,
        bursts: &mut Bursts,
    ) -> Result<Sorted, NeighborDrop> {
        let packet = ip::parse(packet)?;
        if packet.protocol == ip::ICMPV6 && ndisc::is_discovery(packet.payload) {
            return self.take_discovery(&packet, ethernet, bursts);
        }
        // The host may have sockets at the same address.
        if self.config.twin && packet.protocol == ip::UDP {
            return Err(NeighborDrop::NotServed);
        }
        let Some(answer) = self.judge(self.now, &packet, is_verified)? else { return Ok(Sorted::Seen) };
        if !is_alone || ethernet::is_group(ethernet.source) {
            return Err(NeighborDrop::ToMany);
        }
        // Our own, sent back by the link: an answer would go round with it.
        if ethernet.source == self.config.hardware {
            return Err(NeighborDrop::BadSource);
        }
        let mut frame = bursts.pool.take().ok_or(NeighborDrop::NoFrame)?;
        answer.write(&packet, &mut frame);
        // Back to where it came from: a flood of questions makes no entry in the table.
        self.send(frame, ethernet.source, ethernet.kind, bursts);
        Ok(Sorted::Taken)
    }

    /// Answers a packet that is for the card and no TCP, on a port without Ethernet. Returns whether `out` holds an
    /// answer to send. What the packet says of the card's sessions becomes a notice.
    pub fn answer_ip(&mut self, now: Instant, packet: &[u8], out: &mut Frame) -> bool {
        let answer = ip::parse(packet).and_then(|packet| {
            if !self.is_ours(packet.destination) {
                return Err(NeighborDrop::NotOurs);
            }
            Ok(self.judge(now, &packet, false)?.map(|answer| answer.write(&packet, out)))
        });
        match answer {
            Ok(answer) => answer.is_some(),
            Err(reason) => {
                self.counters.drops.count(reason);
                false
            }
        }
    }

    /// What the card answers to a packet for it that is neither TCP nor neighbour discovery.
    fn judge(&mut self, now: Instant, packet: &Packet<'_>, is_verified: bool) -> Result<Option<Answer>, NeighborDrop> {
        let is_v4 = packet.is_v4();
        let answer = match packet.protocol {
            ip::ICMP | ip::ICMPV6 if (packet.protocol == ip::ICMP) == is_v4 => {
                match icmp::parse(packet, self.config.mtu)? {
                    // The reply is as long, and is not cut into fragments.
                    icmp::Message::EchoRequest if packet.whole.len() > self.config.mtu => {
                        return Err(NeighborDrop::NotServed);
                    }
                    icmp::Message::EchoRequest => Answer::Echo,
                    icmp::Message::Error(notice) => {
                        if !self.is_about_us(&notice) {
                            return Err(NeighborDrop::NotOurs);
                        }
                        self.counters.noticed += 1;
                        self.notice(notice);
                        return Ok(None);
                    }
                }
            }
            ip::UDP => {
                icmp::is_whole_datagram(packet, is_verified)?;
                Answer::PortUnreachable
            }
            _ => return Err(NeighborDrop::NotServed),
        };
        self.may_answer(now, packet)?;
        match answer {
            Answer::Echo => self.counters.echoed += 1,
            Answer::PortUnreachable | Answer::Prohibited => self.counters.refused += 1,
        }
        Ok(Some(answer))
    }

    /// Whether a packet may be answered now; if so, that is counted.
    fn may_answer(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), NeighborDrop> {
        // Nobody is answered who cannot have asked (RFC 1122 section 3.2.2).
        if !ip::is_host(packet.source) || self.is_ours(packet.source) {
            return Err(NeighborDrop::BadSource);
        }
        if self.rate.take(now) { Ok(()) } else { Err(NeighborDrop::RateLimited) }
    }

    /// Writes into `out` that whoever sent `packet`, an IP packet for the card, is kept out. Returns whether it may be
    /// said: not to an address that no one host can have, and no more often than other ICMP messages of the card's.
    pub fn prohibit(&mut self, now: Instant, packet: &[u8], out: &mut Frame) -> bool {
        let written = ip::parse(packet).and_then(|packet| {
            self.may_answer(now, &packet)?;
            Answer::Prohibited.write(&packet, out);
            Ok(())
        });
        match written {
            Ok(()) => self.counters.prohibited += 1,
            Err(reason) => self.counters.drops.count(reason),
        }
        written.is_ok()
    }

    fn is_about_us(&self, notice: &Notice) -> bool {
        match notice {
            Notice::PacketTooBig { flow, .. } | Notice::Unreachable { flow, .. } => self.is_ours(flow.local),
            _ => false,
        }
    }

    /// ARP (RFC 826, "Packet Reception"; RFC 5227 section 2.4).
    fn take_arp(&mut self, arp: &Arp, is_alone: bool, bursts: &mut Bursts) -> Result<Sorted, NeighborDrop> {
        if arp.sender_hardware == self.config.hardware {
            // Our own, sent back by the link, or the host's behind the same device.
            return Err(NeighborDrop::NotOurs);
        }
        if self.is_ours(arp.sender) {
            return self.defend(arp.sender, arp.sender_hardware, bursts);
        }
        let asks_us = arp.is_request && self.is_ours(arp.target);
        let claim =
            Claim { hardware: Some(arp.sender_hardware), answers: !arp.is_request && is_alone, overrides: true };
        let heard = if arp.is_probe() { Heard::Unknown } else { self.hear(arp.sender, claim, asks_us, bursts) };
        if asks_us {
            self.answer_arp(arp, bursts);
            return Ok(Sorted::Taken);
        }
        match heard {
            Heard::Unknown if arp.is_request => Err(NeighborDrop::NotOurs),
            Heard::Unknown if !self.may_be_anothers() => Err(NeighborDrop::Unsolicited),
            _ => Ok(Sorted::Seen),
        }
    }

    /// Neighbour discovery (RFC 4861 section 7.2), and who asks for groups.
    fn take_discovery(
        &mut self,
        packet: &Packet<'_>,
        ethernet: &Ethernet,
        bursts: &mut Bursts,
    ) -> Result<Sorted, NeighborDrop> {
        let message = ndisc::parse(packet)?;
        if message.hardware() == Some(self.config.hardware) {
            // Our own, sent back by the link, or the host's behind the same device.
            return Err(NeighborDrop::NotOurs);
        }
        match message {
            ndisc::Message::Solicitation { target, hardware } => {
                if !self.is_ours(target) {
                    return Err(NeighborDrop::NotOurs);
                }
                if self.is_ours(packet.source) {
                    return Err(NeighborDrop::BadSource);
                }
                if packet.source == ip::UNSPECIFIED {
                    // Somebody wants the address for himself (RFC 4862 section 5.4.4): all are told that it is taken.
                    if self.rate.take(self.now) {
                        self.advertise(target, None, bursts);
                    } else {
                        self.counters.drops.count(NeighborDrop::RateLimited);
                    }
                    return Ok(Sorted::Taken);
                }
                if let Some(hardware) = hardware {
                    let claim = Claim { hardware: Some(hardware), answers: false, overrides: true };
                    self.hear(packet.source, claim, true, bursts);
                }
                let to = hardware.unwrap_or(ethernet.source);
                if ethernet::is_group(to) || to == self.config.hardware {
                    return Err(NeighborDrop::BadSource);
                }
                self.advertise(target, Some((packet.source, to)), bursts);
                Ok(Sorted::Taken)
            }
            ndisc::Message::Advertisement { target, hardware, solicited, overrides } => {
                if self.is_ours(target) {
                    return match hardware {
                        Some(hardware) => self.defend(target, hardware, bursts),
                        None => Err(NeighborDrop::NotOurs),
                    };
                }
                let claim = Claim { hardware, answers: solicited, overrides };
                match self.hear(target, claim, false, bursts) {
                    Heard::Unknown if !self.may_be_anothers() => Err(NeighborDrop::Unsolicited),
                    _ => Ok(Sorted::Seen),
                }
            }
            ndisc::Message::GroupQuery { group } => {
                if group != ip::UNSPECIFIED && !self.is_listened_to(group) {
                    return Err(NeighborDrop::NotOurs);
                }
                if !self.rate.take(self.now) {
                    return Err(NeighborDrop::RateLimited);
                }
                self.report(true, bursts);
                Ok(Sorted::Seen)
            }
        }
    }

    /// Tells the table, and the other lanes, what was said about a neighbour; what waited for it leaves. Who asks for
    /// the card is learned.
    pub(super) fn hear(&mut self, address: u128, claim: Claim, asks_us: bool, bursts: &mut Bursts) -> Heard {
        self.tell(Told::neighbor(address, claim, asks_us));
        let heard = self.table.hear(self.now, address, claim);
        if heard != Heard::Unknown {
            self.last = None;
        }
        match heard {
            Heard::Resolved(index) => self.release(index, bursts),
            Heard::Overridden => self.counters.overridden += 1,
            Heard::Unknown => {
                if let Some(hardware) = claim.hardware.filter(|_| asks_us) {
                    self.learn(address, hardware);
                }
            }
            Heard::Known => {}
        }
        heard
    }

    /// Learns who asked, if he can be on this link.
    fn learn(&mut self, address: u128, hardware: HardwareAddress) {
        if self.routes.is_neighbor(address) {
            if self.table.learn(self.now, address, hardware) {
                self.counters.learned += 1;
            } else {
                self.counters.drops.count(NeighborDrop::TableFull);
            }
        }
    }

    /// Another host claims an address of the card's. It stays the card's: all are told so, at most once in
    /// [`DEFEND_INTERVAL`] (RFC 5227 section 2.4 (c)).
    fn defend(
        &mut self,
        address: u128,
        hardware: HardwareAddress,
        bursts: &mut Bursts,
    ) -> Result<Sorted, NeighborDrop> {
        self.counters.conflicts += 1;
        let now = self.now;
        if let Some(own) = self.own.iter_mut().find(|own| own.address == address)
            && own.defended_at.is_none_or(|at| now.since(at) >= DEFEND_INTERVAL)
        {
            own.defended_at = Some(now);
            self.announce(address, bursts);
            self.notice(Notice::Conflict { address: unmapped(address), hardware });
        }
        Err(NeighborDrop::Conflict)
    }

    /// Takes a DHCP reply to the card, whatever address it was sent to. Returns whether it was one.
    fn take_lease(&mut self, packet: &[u8], is_verified: bool) -> bool {
        let Some(client) = &mut self.dhcp else { return false };
        let Ok(packet) = ip::parse(packet) else { return false };
        let udp = packet.payload;
        if !packet.is_v4() || icmp::is_whole_datagram(&packet, is_verified).is_err() {
            return false;
        }
        if (be16(udp, 0), be16(udp, 2)) != (dhcp::SERVER_PORT, dhcp::CLIENT_PORT) {
            return false;
        }
        let message = &udp[8..usize::from(be16(udp, 4))];
        let Ok(reply) = dhcp::parse(message, self.config.hardware) else { return false };
        if reply.transaction != client.transaction() {
            return false;
        }
        self.counters.dhcp_taken += 1;
        match client.handle(self.now, &reply) {
            Change::None => {}
            Change::Bound { lease, before } => {
                if before.is_some_and(|before| before.is_same(&lease)) {
                    self.lease = Some(lease);
                } else {
                    self.exchange(before, lease);
                }
            }
            Change::Lost(lease) => self.lose(lease),
        }
        true
    }

    /// Takes a lease in the place of another.
    pub(super) fn exchange(&mut self, before: Option<dhcp::Lease>, lease: dhcp::Lease) {
        if let Some(before) = before {
            if before.address == lease.address {
                self.own.retain(|own| own.address != before.address);
            } else {
                self.lose(before);
            }
        }
        self.counters.leases += u64::from(self.is_first());
        // The server may give what the card is set up with already.
        if !self.is_ours(lease.address) {
            self.own(self.now, lease.address, lease.prefix_len);
        }
        self.lease = Some(lease);
        self.route();
        self.tell_lease();
        self.notice(Notice::AddressAcquired {
            address: unmapped(lease.address),
            prefix_len: lease.prefix_len,
            gateway: lease.gateway.map(unmapped),
            mtu: lease.mtu,
        });
    }

    /// Gives a leased address up.
    pub(super) fn lose(&mut self, lease: dhcp::Lease) {
        let configured = self.config.addresses.iter().any(|(address, _)| *address == unmapped(lease.address));
        if !configured {
            self.own.retain(|own| own.address != lease.address);
        }
        self.lease = None;
        self.route();
        self.tell_lease();
        self.notice(Notice::AddressLost { address: unmapped(lease.address) });
    }
}
