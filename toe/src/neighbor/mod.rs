//! The card's own link layer, between the lane, which speaks IP, and a port that speaks Ethernet. A machine without
//! I/O.
//!
//! It takes the Ethernet header off what is for the card's sessions and puts one on what they send; it finds out who
//! has which hardware address (ARP, neighbour discovery) and says which the card has; it answers pings, refuses UDP
//! and whoever is banned, leases an address (DHCP), and turns ICMP errors into notices for the lane. What is not the card's goes to the host
//! where one lives behind the same device.
//!
//! It refuses what would make a stranger's word count: no neighbour is learned but from a question to the card or an
//! answer to a question of the card's, router advertisements and redirects are ignored, fragments are never put
//! together, and source routes are not followed. Addresses are used at once, without detection of duplicates; a
//! conflict is told, counted and defended against.
//!
//! The way of the card's sessions is short: a look at the header on the way in, a route and a comparison with the last
//! neighbour on the way out.

mod arp;
mod counters;
mod dhcp;
mod ethernet;
mod icmp;
mod ip;
mod lanes;
mod ndisc;
mod route;
mod rx;
mod table;
#[cfg(test)]
mod tests;
mod tx;

use std::collections::VecDeque;
use std::net::IpAddr;

use hpb_base::limits::{
    BURST_LEN_MAX, FRAME_LEN_MAX, ICMP_REPLIES_PER_SECOND_MAX, NEIGHBOR_ADDRESSES_MAX, NEIGHBOR_NOTICES_MAX,
};
use hpb_base::{Duration, Instant, Random};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::{HardwareAddress, Medium};

pub(crate) use ethernet::packet_at;

pub use counters::{NeighborCounters, NeighborDrop, NeighborDropCounters};
pub use lanes::Told;

use crate::rate::RateLimit;
use crate::segment::{FlowKey, mapped, unmapped};
use ethernet::Header;
use route::Routes;
use table::Table;

/// How often a new address is announced, and how far apart (RFC 5227 section 1.1; RFC 4861 section 7.2.6).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is defended against another claim no more often (RFC 5227 section 1.1, `DEFEND_INTERVAL`).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// A neighbour that goes forward is confirmed no more often.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(5);
/// The highest VLAN (IEEE 802.1Q section 9.6); 0 is none.
const VLAN_MAX: u16 = 4_094;
/// The smallest MTU of a link (RFC 791 section 3.1).
const MTU_MIN: usize = 576;

/// How a card's link layer is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborConfig {
    /// What the port's frames start with. With [`Medium::Ip`] there is no link layer: only
    /// [`answer_ip`](Neighbor::answer_ip) does anything.
    pub medium: Medium,
    /// The card's Ethernet address.
    pub hardware: HardwareAddress,
    /// The card's frames carry this tag, 1 to 4,094, and only such frames are the card's. Without it those are that have
    /// no tag, or one that only carries a priority.
    pub vlan: Option<u16>,
    /// Whether the port has a twin ([`hpb_net::Capabilities::twin`]).
    pub twin: bool,
    /// The card's addresses with the lengths of their prefixes; at most
    /// [`NEIGHBOR_ADDRESSES_MAX`], one less with `dhcp`.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where packets for other networks go; at most one of each family. A gateway of a lease goes before one of these.
    pub gateways: Vec<IpAddr>,
    /// Whether to lease an IPv4 address.
    pub dhcp: bool,
    /// The port's largest IP packet in bytes.
    pub mtu: usize,
    /// Which of the card's lanes this is, from 0: the first speaks for the card.
    pub lane: usize,
    /// How many lanes the card has.
    pub lanes: usize,
    /// Keys the table's hash, and seeds transaction ids and jitter. From the operating system on a live node.
    pub secret: u64,
}

impl NeighborConfig {
    /// The link layer of a card with `addresses` on an Ethernet port of 1,500 bytes: no tag, no twin, no gateway, no
    /// DHCP.
    pub fn new(hardware: HardwareAddress, addresses: Vec<(IpAddr, u8)>, secret: u64) -> Self {
        Self {
            medium: Medium::Ethernet,
            hardware,
            vlan: None,
            twin: false,
            addresses,
            gateways: Vec::new(),
            dhcp: false,
            mtu: 1_500,
            lane: 0,
            lanes: 1,
            secret,
        }
    }
}

/// Why a link layer cannot be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NeighborError {
    /// Too many addresses.
    #[error("a card's link layer has at most {NEIGHBOR_ADDRESSES_MAX} addresses, a leased one included, not {0}")]
    Addresses(usize),
    /// An address that no host can have, or a prefix longer than the address.
    #[error("{0}/{1} is no address of a host with the length of its prefix")]
    Address(IpAddr, u8),
    /// A gateway that no host can be, or a second one of its family.
    #[error("{0} cannot be a gateway, or is the second of its family")]
    Gateway(IpAddr),
    /// A hardware address that is a group's or zero.
    #[error("a card's hardware address is neither zero nor a group's")]
    Hardware,
    /// A VLAN out of range.
    #[error("a VLAN is 1 to {VLAN_MAX}, not {0}")]
    Vlan(u16),
    /// An MTU that no frame holds, or that is too small for IP.
    #[error("an MTU is {MTU_MIN} to {FRAME_LEN_MAX} bytes less 18 of headers, not {0}")]
    Mtu(usize),
    /// DHCP where there is no Ethernet.
    #[error("an address is leased over Ethernet only")]
    Dhcp,
}

/// What the link layer has to say to the lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A router says that a segment of the card's was larger than its next link takes (RFC 1191, RFC 8201). Anyone can
    /// say so: the lane looks whether `seq` is in flight (RFC 5927 section 7.2).
    PacketTooBig {
        /// The session's flow, seen from the card.
        flow: FlowKey,
        /// The sequence number of the quoted segment, as it left.
        seq: u32,
        /// The largest IP packet in bytes that passes: below the link's MTU; at least 576 in IPv4 and 1,280 in IPv6.
        mtu: usize,
    },
    /// Somebody says that a segment of the card's did not arrive (RFC 1122 section 4.2.3.9, RFC 5461).
    Unreachable {
        /// The session's flow, seen from the card.
        flow: FlowKey,
        /// The sequence number of the quoted segment, as it left.
        seq: u32,
        /// Whether trying again is said to be useless. Of a session under way it must not be believed (RFC 5927
        /// section 5.2).
        hard: bool,
    },
    /// A DHCP server gave the card an address, or other parts to the one it has.
    AddressAcquired {
        /// The address.
        address: IpAddr,
        /// The length of its prefix.
        prefix_len: u8,
        /// Where packets for other networks go.
        gateway: Option<IpAddr>,
        /// The largest IP packet in bytes, if the server set it: at least 576; the port's own bound still holds.
        mtu: Option<usize>,
    },
    /// A leased address ended.
    AddressLost {
        /// The address.
        address: IpAddr,
    },
    /// Another host claims an address of the card's. Said at most once in ten seconds for each address.
    Conflict {
        /// The address.
        address: IpAddr,
        /// Who claims it.
        hardware: HardwareAddress,
    },
}

/// One address of the card.
#[derive(Clone, Copy)]
struct Own {
    address: u128,
    prefix_len: u8,
    /// Announcements that are still due, and when the next is.
    announce: Option<(u8, Instant)>,
    defended_at: Option<Instant>,
}

/// The neighbour that the last packet went to.
#[derive(Clone, Copy)]
struct Last {
    hop: u128,
    header: Header,
    until: Instant,
}

/// A card's link layer. See the module.
pub struct Neighbor {
    config: NeighborConfig,
    /// The header of the card's frames, for nobody yet.
    header: Header,
    own: Vec<Own>,
    routes: Routes,
    table: Table,
    last: Option<Last>,
    confirmed: Option<(u128, Instant)>,
    dhcp: Option<dhcp::Client>,
    lease: Option<dhcp::Lease>,
    rate: RateLimit,
    /// Frames that found the send burst full.
    outgoing: VecDeque<Frame>,
    /// The received burst while it is sorted.
    incoming: Vec<Frame>,
    notices: VecDeque<Notice>,
    others: lanes::Others,
    counters: NeighborCounters,
    now: Instant,
}

impl Neighbor {
    /// A link layer that announces its addresses with the first turn.
    ///
    /// # Errors
    /// A set-up outside the limits.
    pub fn new(config: NeighborConfig, now: Instant) -> Result<Self, NeighborError> {
        check(&config)?;
        let mut random = Random::new(config.secret);
        let mut neighbor = Self {
            header: Header::new(config.hardware, config.vlan),
            own: Vec::with_capacity(NEIGHBOR_ADDRESSES_MAX),
            routes: Routes::default(),
            table: Table::new([random.next_u64(), random.next_u64()]),
            last: None,
            confirmed: None,
            dhcp: (config.dhcp && config.lane == 0).then(|| dhcp::Client::new(config.hardware, random.next_u64(), now)),
            lease: None,
            rate: RateLimit::new(ICMP_REPLIES_PER_SECOND_MAX, icmp::BURST, now),
            outgoing: VecDeque::new(),
            incoming: Vec::with_capacity(BURST_LEN_MAX),
            notices: VecDeque::new(),
            others: lanes::Others::new(now),
            counters: NeighborCounters::default(),
            now,
            config,
        };
        for (address, prefix_len) in neighbor.config.addresses.clone() {
            neighbor.own(now, mapped(address), prefix_len);
        }
        neighbor.route();
        Ok(neighbor)
    }

    /// Sorts `bursts.rx`: packets for the card's sessions stay there, without their Ethernet header; all else is dealt
    /// with, passed to `bursts.host`, or dropped and counted. Answers go to `bursts.tx` as whole frames, and wait here
    /// while it is full. Does what has fallen due first. The whole burst is read as frames: a lane that holds packets
    /// back in it does not call this before it has taken them.
    pub fn receive(&mut self, now: Instant, bursts: &mut Bursts) {
        if self.config.medium == Medium::Ip {
            return;
        }
        self.now = now;
        self.serve(bursts);
        if !bursts.rx.is_empty() {
            self.sort_burst(bursts);
        }
    }

    /// Turns the IP packets in `bursts.tx` from place `from` on into frames, in place. Those whose neighbour is not
    /// known yet wait here, and it is asked for; those that lead nowhere are dropped and counted.
    pub fn transmit(&mut self, now: Instant, bursts: &mut Bursts, from: usize) {
        if self.config.medium == Medium::Ip {
            return;
        }
        self.now = now;
        self.address_burst(bursts, from);
        self.serve(bursts);
    }

    /// Notes that a session goes forward: its neighbour need not be asked whether it is still there (RFC 4861
    /// section 7.3.1). Costs a comparison when the same neighbour was confirmed a moment ago.
    pub fn confirm(&mut self, now: Instant, flow: &FlowKey) {
        let Ok(hop) = self.routes.next_hop(flow.remote) else { return };
        if self.confirmed.is_some_and(|(last, at)| last == hop && now.since(at) < CONFIRM_INTERVAL) {
            return;
        }
        self.confirmed = Some((hop, now));
        self.table.confirm(now, hop);
    }

    /// The hardware address of the neighbour that brings packets to a flow's other end, where it is known.
    pub fn hardware_of(&self, flow: &FlowKey) -> Option<[u8; 6]> {
        let hop = self.routes.next_hop(flow.remote).ok()?;
        self.table.hardware(hop)
    }

    /// When to come back without a frame: questions to repeat, leases to renew, frames that wait for room; `None` if
    /// never.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.config.medium == Medium::Ip {
            return None;
        }
        if !self.outgoing.is_empty() {
            return Some(self.now);
        }
        let announce = self.own.iter().filter_map(|own| own.announce).map(|(_, at)| at);
        let lease = self.dhcp.as_ref().map(dhcp::Client::wake_at).filter(|at| at.as_nanos() != u64::MAX);
        announce.chain(self.table.wake_at()).chain(lease).chain(self.tells_lease_at()).min()
    }

    /// The next thing to say to the lane, oldest first. They wait in a bounded queue; what finds it full is counted.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The card's addresses with the lengths of their prefixes, a leased one included.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.own.iter().map(|own| (unmapped(own.address), own.prefix_len))
    }

    /// Neighbours in the table.
    pub fn neighbors(&self) -> usize {
        self.table.len()
    }

    /// What the link layer did so far.
    pub fn counters(&self) -> &NeighborCounters {
        &self.counters
    }

    fn is_ours(&self, address: u128) -> bool {
        self.own.iter().any(|own| own.address == address)
    }

    /// Takes an address as the card's; the first lane announces it at once.
    fn own(&mut self, now: Instant, address: u128, prefix_len: u8) {
        let announce = self.is_first().then_some((ANNOUNCEMENTS, now));
        self.own.push(Own { address, prefix_len, announce, defended_at: None });
    }

    /// Lays the routes again.
    fn route(&mut self) {
        let gateways = self.config.gateways.iter().map(|gateway| mapped(*gateway));
        let leased = self.lease.and_then(|lease| lease.gateway);
        self.routes = Routes::new(self.own.iter().map(|own| (own.address, own.prefix_len)), gateways.chain(leased));
        self.last = None;
        self.confirmed = None;
    }

    fn notice(&mut self, notice: Notice) {
        if self.notices.len() < NEIGHBOR_NOTICES_MAX {
            self.notices.push_back(notice);
        } else {
            self.counters.drops.count(NeighborDrop::NoticesFull);
        }
    }
}

fn check(config: &NeighborConfig) -> Result<(), NeighborError> {
    let is_ethernet = config.medium == Medium::Ethernet;
    let count = config.addresses.len() + usize::from(config.dhcp);
    if count > NEIGHBOR_ADDRESSES_MAX {
        return Err(NeighborError::Addresses(count));
    }
    for (address, prefix_len) in &config.addresses {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if !ip::is_host(mapped(*address)) || *prefix_len > bits {
            return Err(NeighborError::Address(*address, *prefix_len));
        }
    }
    for (at, gateway) in config.gateways.iter().enumerate() {
        let is_second = config.gateways[..at].iter().any(|other| other.is_ipv4() == gateway.is_ipv4());
        if is_second || !ip::is_host(mapped(*gateway)) {
            return Err(NeighborError::Gateway(*gateway));
        }
    }
    if let Some(vlan) = config.vlan.filter(|vlan| !(1..=VLAN_MAX).contains(vlan)) {
        return Err(NeighborError::Vlan(vlan));
    }
    if !(MTU_MIN..=FRAME_LEN_MAX - ethernet::HEADER_LEN_MAX).contains(&config.mtu) {
        return Err(NeighborError::Mtu(config.mtu));
    }
    if is_ethernet && (ethernet::is_group(config.hardware) || config.hardware == [0; 6]) {
        return Err(NeighborError::Hardware);
    }
    if config.dhcp && !is_ethernet {
        return Err(NeighborError::Dhcp);
    }
    Ok(())
}
