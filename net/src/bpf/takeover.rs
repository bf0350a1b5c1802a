//! The program that shares an interface between card and host: it takes the card's frames, drops what it is told to,
//! and passes all the rest to the kernel as if it were not there.
//!
//! Taken, each for one of the card's addresses:
//! - ARP, request or reply, whose target it is;
//! - IPv4, unless it is a fragment: ICMP, and TCP to the card's ports;
//! - IPv6 without extension headers: `ICMPv6`, and TCP to the card's ports;
//! - a neighbour solicitation that asks for it, whatever group it was sent to. (It comes to the solicited-node group,
//!   which the host's own address may share: RFC 4861, section 4.3.)
//! - with `dhcp`, UDP over IPv4 to port 68, whatever the address: an answer comes before there is one. The host then
//!   has no DHCP on this interface.
//!
//! Calls, that is TCP with SYN and without ACK, go to a socket of their own where there is one: however many come, what
//! belongs to sessions finds room.
//!
//! Frames with a VLAN tag pass to the kernel: the card has no VLAN, and the host's VLAN interfaces go on. A device that
//! strips tags hides them from XDP, so `ethtool -K DEVICE rxvlan off` is needed where the host has VLANs with the
//! card's addresses in them. Hardware addresses are the device's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use hpb_base::limits::{RULE_ADDRESSES_MAX, RULE_PORTS_MAX};

use super::assembler::Arithmetic::{Add, And, ShiftLeft};
use super::assembler::Condition::{Equal, Greater, Less, NotEqual, NotGreater};
use super::assembler::Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9};
use super::assembler::Width::{Byte, Double, Half, Word};
use super::assembler::{Assembler, AssemblyError, Instruction, Label, Register};
use super::{BpfError, Program, Purpose, SocketMap};

const NAME: &str = "hpb_takeover";

/// What becomes of an interface's frames.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// What is the card's.
    pub take: Take,
    /// TCP ports of the card's that take no calls: those that it would take there are dropped.
    pub drop: Vec<RangeInclusive<u16>>,
}

/// Which frames are the card's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Take {
    /// Its addresses: at most [`RULE_ADDRESSES_MAX`].
    pub addresses: Vec<IpAddr>,
    /// Its TCP ports at each of them: at most [`RULE_PORTS_MAX`] ranges; empty for all.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Whether it is a DHCP client.
    pub dhcp: bool,
}

/// Loads the program that gives `sockets` the card's frames, each the socket of the frame's queue. What comes on a
/// queue without a socket passes to the kernel.
///
/// # Errors
/// More rules than a program holds, the process may not, or the verifier refuses it.
pub fn takeover_program(rules: &Rules, sockets: &SocketMap) -> Result<Program, BpfError> {
    for (what, count, limit) in [
        ("addresses", rules.take.addresses.len(), RULE_ADDRESSES_MAX),
        ("port ranges to take", rules.take.ports.len(), RULE_PORTS_MAX),
        ("port ranges to drop", rules.drop.len(), RULE_PORTS_MAX),
    ] {
        if count > limit {
            return Err(BpfError::TooMany { name: NAME, what, count, limit });
        }
    }
    let instructions = assemble(rules, sockets.as_fd().as_raw_fd(), sockets.queues())
        .map_err(|source| BpfError::Assembly { name: NAME, source })?;
    Program::load(NAME, Purpose::Xdp, &instructions)
}

fn assemble(rules: &Rules, sockets: RawFd, queues: u32) -> Result<Vec<Instruction>, AssemblyError> {
    let mut code = Assembler::new();
    let [take, call, pass, drop, tcp] = [(); 5].map(|()| code.label());
    let mut writer = Writer { code, rules, take, call, pass, drop, tcp };
    writer.ethernet();
    writer.arp();
    writer.ipv4();
    writer.ipv6();
    writer.tcp();
    writer.ends(sockets, queues.cast_signed());
    writer.code.finish()
}

/// Writes the program. `R6` is its argument, `R7` the frame's start, `R8` its end, `R9` the transport header.
struct Writer<'a> {
    code: Assembler,
    rules: &'a Rules,
    take: Label,
    call: Label,
    pass: Label,
    drop: Label,
    tcp: Label,
}

impl Writer<'_> {
    /// Which protocol it is; the parts that follow are in the order of these tests.
    fn ethernet(&mut self) {
        self.code.set(R6, R1);
        self.code.load(Word, R7, R6, CONTEXT_DATA_AT);
        self.code.load(Word, R8, R6, CONTEXT_DATA_END_AT);
        self.need(R7, ETHERNET_LEN);
        self.code.load(Half, R2, R7, ETHERNET_TYPE_AT);
    }

    fn arp(&mut self) {
        let next = self.code.label();
        self.code.jump_if(NotEqual, R2, network_16(ETHERNET_TYPE_ARP), next);
        self.need(R7, ETHERNET_LEN + 28);
        self.code.load(Word, R2, R7, ETHERNET_LEN);
        self.code.jump_if_32(NotEqual, R2, network_32(ARP_ETHERNET_IPV4), self.pass);
        self.code.load(Word, R2, R7, ETHERNET_LEN + 24);
        self.jump_if_own_ipv4(self.take);
        self.code.jump(self.pass);
        self.code.place(next);
    }

    fn ipv4(&mut self) {
        let [next, own] = [(); 2].map(|()| self.code.label());
        self.code.jump_if(NotEqual, R2, network_16(ETHERNET_TYPE_IPV4), next);
        self.need(R7, ETHERNET_LEN + 20);
        self.code.load(Half, R1, R7, ETHERNET_LEN + 6);
        self.code.arithmetic(And, R1, network_16(IPV4_FRAGMENT_BITS));
        self.code.jump_if(NotEqual, R1, 0, self.pass);
        self.code.load(Byte, R1, R7, ETHERNET_LEN);
        self.code.arithmetic(And, R1, 0x0f);
        self.code.jump_if(Less, R1, IPV4_WORDS_MIN, self.pass);
        self.code.arithmetic(ShiftLeft, R1, 2);
        self.code.set(R9, R7);
        self.code.arithmetic(Add, R9, i32::from(ETHERNET_LEN));
        self.code.arithmetic(Add, R9, R1);
        self.code.load(Byte, R3, R7, ETHERNET_LEN + 9);
        if self.rules.take.dhcp {
            self.dhcp();
        }
        self.code.load(Word, R2, R7, ETHERNET_LEN + 16);
        self.jump_if_own_ipv4(own);
        self.code.jump(self.pass);
        self.code.place(own);
        self.code.jump_if(Equal, R3, PROTOCOL_ICMP, self.take);
        self.code.jump_if(Equal, R3, PROTOCOL_TCP, self.tcp);
        self.code.jump(self.pass);
        self.code.place(next);
    }

    fn dhcp(&mut self) {
        let next = self.code.label();
        self.code.jump_if(NotEqual, R3, PROTOCOL_UDP, next);
        self.need(R9, 8);
        self.code.load(Half, R1, R9, 2);
        self.code.jump_if(Equal, R1, network_16(PORT_DHCP_CLIENT), self.take);
        self.code.place(next);
    }

    fn ipv6(&mut self) {
        let own = self.code.label();
        self.code.jump_if(NotEqual, R2, network_16(ETHERNET_TYPE_IPV6), self.pass);
        self.need(R7, ETHERNET_LEN + 40);
        self.code.set(R9, R7);
        self.code.arithmetic(Add, R9, i32::from(ETHERNET_LEN + 40));
        self.code.load(Byte, R3, R7, ETHERNET_LEN + 6);
        self.code.load(Double, R4, R7, ETHERNET_LEN + 24);
        self.code.load(Double, R5, R7, ETHERNET_LEN + 32);
        self.jump_if_own_ipv6(own);
        // Not to the card, but a solicitation may ask for it.
        self.code.jump_if(NotEqual, R3, PROTOCOL_ICMPV6, self.pass);
        self.need(R9, 24);
        self.code.load(Byte, R1, R9, 0);
        self.code.jump_if(NotEqual, R1, ICMPV6_NEIGHBOUR_SOLICITATION, self.pass);
        self.code.load(Double, R4, R9, 8);
        self.code.load(Double, R5, R9, 16);
        self.jump_if_own_ipv6(self.take);
        self.code.jump(self.pass);
        self.code.place(own);
        self.code.jump_if(Equal, R3, PROTOCOL_ICMPV6, self.take);
        self.code.jump_if(NotEqual, R3, PROTOCOL_TCP, self.pass);
    }

    /// TCP to one of the card's addresses; its header begins at `R9`.
    fn tcp(&mut self) {
        let Rules { take, drop } = self.rules;
        self.code.place(self.tcp);
        self.need(R9, 14);
        self.code.load(Half, R2, R9, 2);
        self.code.from_network_16(R2);
        let own = self.code.label();
        if !take.ports.is_empty() {
            self.jump_if_port(&take.ports, own);
            self.code.jump(self.pass);
        }
        self.code.place(own);
        self.code.load(Byte, R1, R9, 13);
        self.code.arithmetic(And, R1, TCP_SYN | TCP_ACK);
        self.code.jump_if(NotEqual, R1, TCP_SYN, self.take);
        self.jump_if_port(drop, self.drop);
        self.code.jump(self.call);
    }

    fn ends(&mut self, sockets: RawFd, queues: i32) {
        // Where there is no socket for calls, the other one takes them.
        self.code.place(self.call);
        self.code.load(Word, R2, R6, CONTEXT_QUEUE_AT);
        self.code.arithmetic(Add, R2, queues);
        self.code.set_map(R1, sockets);
        self.code.set(R3, VERDICT_PASS);
        self.code.call(FUNCTION_REDIRECT_MAP);
        self.code.jump_if(Equal, R0, VERDICT_PASS, self.take);
        self.code.exit();
        self.code.place(self.take);
        self.code.load(Word, R2, R6, CONTEXT_QUEUE_AT);
        self.code.set_map(R1, sockets);
        // What it returns where the map has no socket.
        self.code.set(R3, VERDICT_PASS);
        self.code.call(FUNCTION_REDIRECT_MAP);
        self.code.exit();
        self.code.place(self.drop);
        self.code.set(R0, VERDICT_DROP);
        self.code.exit();
        self.code.place(self.pass);
        self.code.set(R0, VERDICT_PASS);
        self.code.exit();
    }

    /// Passes frames that end before `len` bytes from `start`. The verifier lets no load through without it.
    fn need(&mut self, start: Register, len: i16) {
        self.code.set(R1, start);
        self.code.arithmetic(Add, R1, i32::from(len));
        self.code.jump_if(Greater, R1, R8, self.pass);
    }

    /// Goes on at `label` if the address in `R2`, as it was in the frame, is the card's.
    fn jump_if_own_ipv4(&mut self, label: Label) {
        for address in self.rules.take.addresses.iter().filter_map(as_ipv4) {
            self.code.jump_if_32(Equal, R2, i32::from_ne_bytes(address.octets()), label);
        }
    }

    /// Goes on at `label` if the address in `R4` and `R5`, as it was in the frame, is the card's.
    fn jump_if_own_ipv6(&mut self, label: Label) {
        for address in self.rules.take.addresses.iter().filter_map(as_ipv6) {
            let next = self.code.label();
            let octets = address.octets();
            let (halves, _) = octets.as_chunks::<8>();
            for (register, half) in [R4, R5].into_iter().zip(halves) {
                self.code.set_wide(R1, u64::from_ne_bytes(*half));
                self.code.jump_if(NotEqual, register, R1, next);
            }
            self.code.jump(label);
            self.code.place(next);
        }
    }

    /// Goes on at `label` if the port in `R2` is in one of the ranges.
    fn jump_if_port(&mut self, ranges: &[RangeInclusive<u16>], label: Label) {
        for range in ranges {
            let next = self.code.label();
            self.code.jump_if(Less, R2, i32::from(*range.start()), next);
            self.code.jump_if(NotGreater, R2, i32::from(*range.end()), label);
            self.code.place(next);
        }
    }
}

fn as_ipv4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn as_ipv6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    }
}

/// A 16-bit constant as a load of it in network order leaves it.
fn network_16(value: u16) -> i32 {
    i32::from(value.to_be())
}

/// A 32-bit constant as a load of it in network order leaves it.
fn network_32(value: u32) -> i32 {
    value.to_be().cast_signed()
}

// `linux/bpf.h`: struct xdp_md, enum xdp_action, enum bpf_func_id.
const CONTEXT_DATA_AT: i16 = 0;
const CONTEXT_DATA_END_AT: i16 = 4;
const CONTEXT_QUEUE_AT: i16 = 16;
pub(super) const VERDICT_DROP: i32 = 1;
pub(super) const VERDICT_PASS: i32 = 2;
const FUNCTION_REDIRECT_MAP: i32 = 51;

const ETHERNET_LEN: i16 = 14;
const ETHERNET_TYPE_AT: i16 = 12;
const ETHERNET_TYPE_ARP: u16 = 0x0806;
const ETHERNET_TYPE_IPV4: u16 = 0x0800;
const ETHERNET_TYPE_IPV6: u16 = 0x86dd;
/// Hardware type 1, protocol type IPv4 (RFC 826).
const ARP_ETHERNET_IPV4: u32 = 0x0001_0800;
/// More fragments, and the offset (RFC 791, section 3.1).
const IPV4_FRAGMENT_BITS: u16 = 0x3fff;
const IPV4_WORDS_MIN: i32 = 5;
const PROTOCOL_ICMP: i32 = 1;
const PROTOCOL_TCP: i32 = 6;
const PROTOCOL_UDP: i32 = 17;
const PROTOCOL_ICMPV6: i32 = 58;
const PORT_DHCP_CLIENT: u16 = 68;
const ICMPV6_NEIGHBOUR_SOLICITATION: i32 = 135;
const TCP_SYN: i32 = 0x02;
const TCP_ACK: i32 = 0x10;
