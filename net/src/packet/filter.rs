//! The classic BPF program that keeps from a packet socket what is not the card's, so that the kernel does not copy it.
//! (`linux/filter.h`; the BSD packet filter, USENIX 1993.)
//!
//! The kernel has taken a frame's outer VLAN tag out before it asks. A filter is a saving and no guard: the card looks
//! at every frame that passes as at any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use hpb_base::limits::{FILTER_ADDRESSES_MAX, FILTER_RANGES_MAX};

use crate::offload::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_TCP};
use crate::open::OpenOptions;
use crate::sys::packet::Instruction;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const SET_INDEX: u16 = 0x01;
/// Index = 4 times the low half of a byte: an IPv4 header's length.
const INDEX_IPV4_LEN: u16 = 0xb1;
const COPY_TO_INDEX: u16 = 0x07;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_EQUAL_INDEX: u16 = 0x1d;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where the kernel shows for whom a frame is (`SKF_AD_OFF + SKF_AD_PKTTYPE`).
const PACKET_TYPE_AT: u32 = 0xffff_f004;
/// Frames to the interface's own address.
const TYPE_HOST: u32 = 0;
/// Frames to others' addresses; above it are those that this host sends.
const TYPE_OTHER_HOST: u32 = 3;
/// More than any frame: let all of it through.
const WHOLE: u32 = 0x4_0000;

const ETHERTYPE_ARP: u16 = 0x0806;
const ARP_REPLY: u32 = 2;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMP6: u8 = 58;
const DHCP_CLIENT_PORT: u32 = 68;
/// The first half-word of link-local multicast (RFC 4291 section 2.7): neighbour discovery.
const LINK_LOCAL_MULTICAST: u32 = 0xff02;

/// The filter for a card. With no addresses, or more addresses or ranges than its bounds, it leaves out only frames to
/// other hosts, and those that this host sends. Otherwise it lets through
///
/// - ARP that asks for one of the addresses, replies to the interface's own address, and announcements (a sender that
///   names itself as target);
/// - IPv4 to one of the addresses: all of it without `ports`, else ICMP and TCP to one of the ports, no fragments;
/// - IPv6 to one of the addresses likewise, extension headers counting as fragments, and all link-local multicast;
/// - DHCP's answers.
pub(super) fn program(options: &OpenOptions) -> Vec<Instruction> {
    let mut program = Program::default();
    let (accept, drop) = (program.label(), program.label());
    program.load(LOAD_WORD, PACKET_TYPE_AT);
    program.when(IF_AT_LEAST, TYPE_OTHER_HOST, drop);
    let is_selective = !options.addresses.is_empty()
        && options.addresses.len() <= FILTER_ADDRESSES_MAX
        && options.ports.len() <= FILTER_RANGES_MAX;
    if is_selective {
        program.select(options, accept, drop);
    }
    program.place(accept);
    program.emit(RETURN, WHOLE);
    program.place(drop);
    program.emit(RETURN, 0);
    program.finish()
}

/// A place in the program that may be jumped to before it is known.
#[derive(Clone, Copy)]
struct Label(usize);

#[derive(Default)]
struct Program {
    code: Vec<Instruction>,
    /// Jumps whose distance is not known yet: where they stand, and where they go.
    jumps: Vec<(usize, Label)>,
    /// Where each label stands.
    places: Vec<usize>,
}

impl Program {
    fn select(&mut self, options: &OpenOptions, accept: Label, drop: Label) {
        let (arp, ipv4, ipv6) = (self.label(), self.label(), self.label());
        self.load(LOAD_HALF, 12);
        self.when(IF_EQUAL, u32::from(ETHERTYPE_IPV4), ipv4);
        self.when(IF_EQUAL, u32::from(ETHERTYPE_IPV6), ipv6);
        self.when(IF_EQUAL, u32::from(ETHERTYPE_ARP), arp);
        self.jump(drop);
        let ipv4_addresses: Vec<Ipv4Addr> = options
            .addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            })
            .collect();
        let ipv6_addresses: Vec<Ipv6Addr> = options
            .addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V6(address) => Some(*address),
                IpAddr::V4(_) => None,
            })
            .collect();
        self.place(arp);
        self.arp(&ipv4_addresses, accept, drop);
        let tcp = self.label();
        self.place(ipv4);
        self.ipv4(&ipv4_addresses, options.ports.is_empty(), tcp, accept, drop);
        self.place(ipv6);
        self.ipv6(&ipv6_addresses, options.ports.is_empty(), tcp, accept, drop);
        self.place(tcp);
        self.tcp(&options.ports, accept, drop);
    }

    fn arp(&mut self, addresses: &[Ipv4Addr], accept: Label, drop: Label) {
        let not_reply = self.label();
        self.load(LOAD_HALF, 20);
        self.unless(IF_EQUAL, ARP_REPLY, not_reply);
        self.load(LOAD_WORD, PACKET_TYPE_AT);
        self.when(IF_EQUAL, TYPE_HOST, accept);
        self.place(not_reply);
        self.load(LOAD_WORD, 28);
        self.emit(COPY_TO_INDEX, 0);
        self.load(LOAD_WORD, 38);
        self.when(IF_EQUAL_INDEX, 0, accept);
        for address in addresses {
            self.when(IF_EQUAL, address.to_bits(), accept);
        }
        self.jump(drop);
    }

    fn ipv4(&mut self, addresses: &[Ipv4Addr], has_all_ports: bool, tcp: Label, accept: Label, drop: Label) {
        let (not_dhcp, ours, whole) = (self.label(), self.label(), self.label());
        self.emit(INDEX_IPV4_LEN, 14);
        self.load(LOAD_BYTE, 23);
        self.unless(IF_EQUAL, u32::from(PROTOCOL_UDP), not_dhcp);
        self.load(LOAD_HALF, 20);
        self.when(IF_ANY_BIT, 0x1fff, not_dhcp);
        self.load(LOAD_HALF_INDEXED, 14 + 2);
        self.when(IF_EQUAL, DHCP_CLIENT_PORT, accept);
        self.place(not_dhcp);
        self.load(LOAD_WORD, 30);
        for address in addresses {
            self.when(IF_EQUAL, address.to_bits(), ours);
        }
        self.jump(drop);
        self.place(ours);
        if has_all_ports {
            self.jump(accept);
        }
        self.load(LOAD_HALF, 20);
        self.unless(IF_ANY_BIT, 0x3fff, whole);
        self.jump(drop);
        self.place(whole);
        self.load(LOAD_BYTE, 23);
        self.when(IF_EQUAL, u32::from(PROTOCOL_ICMP), accept);
        self.when(IF_EQUAL, u32::from(PROTOCOL_TCP), tcp);
        self.jump(drop);
    }

    fn ipv6(&mut self, addresses: &[Ipv6Addr], has_all_ports: bool, tcp: Label, accept: Label, drop: Label) {
        let ours = self.label();
        self.load(LOAD_HALF, 38);
        self.when(IF_EQUAL, LINK_LOCAL_MULTICAST, accept);
        for address in addresses {
            let other = self.label();
            for (word, at) in address.octets().chunks_exact(4).zip((38..).step_by(4)) {
                self.load(LOAD_WORD, at);
                self.unless(IF_EQUAL, u32::from_be_bytes([word[0], word[1], word[2], word[3]]), other);
            }
            self.jump(ours);
            self.place(other);
        }
        self.jump(drop);
        self.place(ours);
        if has_all_ports {
            self.jump(accept);
        }
        self.load(LOAD_BYTE, 20);
        self.when(IF_EQUAL, u32::from(PROTOCOL_ICMP6), accept);
        self.emit(SET_INDEX, 40);
        self.when(IF_EQUAL, u32::from(PROTOCOL_TCP), tcp);
        self.jump(drop);
    }

    /// The index holds the IP header's length.
    fn tcp(&mut self, ports: &[RangeInclusive<u16>], accept: Label, drop: Label) {
        self.load(LOAD_HALF_INDEXED, 14 + 2);
        for range in ports {
            let other = self.label();
            self.unless(IF_AT_LEAST, u32::from(*range.start()), other);
            self.unless(IF_GREATER, u32::from(*range.end()), accept);
            self.place(other);
        }
        self.jump(drop);
    }

    fn emit(&mut self, code: u16, operand: u32) {
        self.code.push(Instruction { code, jump_true: 0, jump_false: 0, operand });
    }

    fn load(&mut self, code: u16, at: u32) {
        self.emit(code, at);
    }

    /// Jumps if the comparison holds. A comparison's own jumps reach 255 instructions; a jump behind it reaches all.
    fn when(&mut self, code: u16, operand: u32, to: Label) {
        self.code.push(Instruction { code, jump_true: 0, jump_false: 1, operand });
        self.jump(to);
    }

    /// Jumps if the comparison does not hold.
    fn unless(&mut self, code: u16, operand: u32, to: Label) {
        self.code.push(Instruction { code, jump_true: 1, jump_false: 0, operand });
        self.jump(to);
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(JUMP, 0);
    }

    fn label(&mut self) -> Label {
        self.places.push(0);
        Label(self.places.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.places[label.0] = self.code.len();
    }

    /// Fills the distances of all jumps in; all go forward.
    fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            self.code[at].operand = (self.places[label.0] - at - 1) as u32;
        }
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program makes of a frame: whether it lets it through. A load past the frame's end drops it.
    fn passes(program: &[Instruction], packet_type: u32, frame: &[u8]) -> bool {
        let load = |at: usize, len: usize| -> Option<u32> {
            Some(frame.get(at..at + len)?.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        };
        let (mut accumulator, mut index, mut at) = (0_u32, 0_u32, 0);
        loop {
            let Instruction { code, jump_true, jump_false, operand } = program[at];
            at += 1;
            let holds = match code {
                LOAD_WORD if operand == PACKET_TYPE_AT => {
                    accumulator = packet_type;
                    continue;
                }
                LOAD_WORD | LOAD_HALF | LOAD_BYTE | LOAD_HALF_INDEXED => {
                    let len = match code {
                        LOAD_WORD => 4,
                        LOAD_BYTE => 1,
                        _ => 2,
                    };
                    let base = if code == LOAD_HALF_INDEXED { index } else { 0 };
                    let Some(word) = load((base + operand) as usize, len) else { return false };
                    accumulator = word;
                    continue;
                }
                INDEX_IPV4_LEN => {
                    let Some(byte) = load(operand as usize, 1) else { return false };
                    index = (byte & 15) * 4;
                    continue;
                }
                SET_INDEX => {
                    index = operand;
                    continue;
                }
                COPY_TO_INDEX => {
                    index = accumulator;
                    continue;
                }
                JUMP => {
                    at += operand as usize;
                    continue;
                }
                RETURN => return operand > 0,
                IF_EQUAL => accumulator == operand,
                IF_EQUAL_INDEX => accumulator == index,
                IF_GREATER => accumulator > operand,
                IF_AT_LEAST => accumulator >= operand,
                IF_ANY_BIT => accumulator & operand != 0,
                other => panic!("no such operation: {other:#x}"),
            };
            at += usize::from(if holds { jump_true } else { jump_false });
        }
    }

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const OTHERS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const OURS_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const OTHERS_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

    fn options(ports: &[RangeInclusive<u16>]) -> OpenOptions {
        let addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V6(OURS_6), IpAddr::V4(OURS)];
        OpenOptions { addresses, ports: ports.to_vec(), ..OpenOptions::default() }
    }

    fn ethernet(ethertype: u16, body: &[u8]) -> Vec<u8> {
        [&[0; 12], &ethertype.to_be_bytes()[..], body].concat()
    }

    fn ipv4(to: Ipv4Addr, protocol: u8, fragment: u16, options_len: usize, port: u16) -> Vec<u8> {
        let mut body = vec![0; 20 + options_len];
        body[0] = 0x45 + (options_len / 4) as u8;
        body[6..8].copy_from_slice(&fragment.to_be_bytes());
        body[9] = protocol;
        body[16..20].copy_from_slice(&to.octets());
        body.extend([&[0, 7], &port.to_be_bytes()[..], &[0; 16]].concat());
        ethernet(ETHERTYPE_IPV4, &body)
    }

    fn ipv6(to: Ipv6Addr, protocol: u8, port: u16) -> Vec<u8> {
        let mut body = vec![0; 40];
        body[0] = 0x60;
        body[6] = protocol;
        body[24..40].copy_from_slice(&to.octets());
        body.extend([&[0, 7], &port.to_be_bytes()[..], &[0; 16]].concat());
        ethernet(ETHERTYPE_IPV6, &body)
    }

    fn arp(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut body = vec![0; 28];
        body[6..8].copy_from_slice(&operation.to_be_bytes());
        body[14..18].copy_from_slice(&sender.octets());
        body[24..28].copy_from_slice(&target.octets());
        ethernet(ETHERTYPE_ARP, &body)
    }

    #[test]
    fn a_card_of_unknown_addresses_takes_all_but_what_is_for_other_hosts() {
        let program = program(&OpenOptions::default());
        for (packet_type, expected) in [(0, true), (1, true), (2, true), (3, false), (4, false), (6, false)] {
            assert_eq!(passes(&program, packet_type, &[]), expected, "type {packet_type}");
        }
    }

    #[test]
    fn what_is_the_cards_passes_and_the_rest_does_not() {
        const BROADCAST: u32 = 1;
        let all = program(&options(&[]));
        let some = program(&options(&[80..=80, 30_000..=30_010, 65_535..=65_535]));
        // (for whom, frame, passes with all ports, passes with some)
        let table: [(u32, Vec<u8>, bool, bool); 33] = [
            (0, ipv4(OURS, 6, 0, 0, 80), true, true),
            (0, ipv4(OURS, 6, 0x4000, 40, 80), true, true),
            (0, ipv4(OURS, 6, 0, 0, 30_000), true, true),
            (0, ipv4(OURS, 6, 0, 0, 30_010), true, true),
            (0, ipv4(OURS, 6, 0, 0, 65_535), true, true),
            (0, ipv4(OURS, 6, 0, 0, 30_011), true, false),
            (0, ipv4(OURS, 6, 0, 0, 29_999), true, false),
            (0, ipv4(OURS, 6, 0, 0, 0), true, false),
            (3, ipv4(OURS, 6, 0, 0, 80), false, false),
            (4, ipv4(OURS, 6, 0, 0, 80), false, false),
            (0, ipv4(OTHERS, 6, 0, 0, 80), false, false),
            (0, ipv4(OURS, 1, 0, 0, 0), true, true),
            (0, ipv4(OTHERS, 1, 0, 0, 0), false, false),
            (0, ipv4(OURS, 6, 0x2000, 0, 80), true, false),
            (0, ipv4(OURS, 6, 0x0010, 0, 80), true, false),
            (0, ipv4(OURS, 17, 0, 0, 53), true, false),
            (BROADCAST, ipv4(Ipv4Addr::BROADCAST, 17, 0, 0, 68), true, true),
            (0, ipv4(OTHERS, 17, 0, 8, 68), true, true),
            (0, ipv4(OTHERS, 17, 0x0010, 0, 68), false, false),
            (BROADCAST, ipv4(Ipv4Addr::BROADCAST, 17, 0, 0, 67), false, false),
            (0, ipv6(OURS_6, 6, 80), true, true),
            (0, ipv6(OURS_6, 6, 81), true, false),
            (0, ipv6(OURS_6, 58, 0), true, true),
            (0, ipv6(OURS_6, 44, 80), true, false),
            (0, ipv6(OTHERS_6, 6, 80), false, false),
            (2, ipv6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1), 58, 0), true, true),
            (BROADCAST, arp(1, OTHERS, OURS), true, true),
            (BROADCAST, arp(1, OURS, OTHERS), false, false),
            (0, arp(2, OTHERS, OTHERS), true, true),
            (0, arp(2, OURS, OTHERS), true, true),
            (BROADCAST, arp(2, OURS, OTHERS), false, false),
            (BROADCAST, arp(1, OTHERS, OTHERS), true, true),
            (0, ethernet(0x88cc, &[0; 60]), false, false),
        ];
        for (row, (packet_type, frame, with_all, with_some)) in table.iter().enumerate() {
            assert_eq!(passes(&all, *packet_type, frame), *with_all, "row {row}, all ports");
            assert_eq!(passes(&some, *packet_type, frame), *with_some, "row {row}, some ports");
        }
    }

    #[test]
    fn a_short_frame_does_not_pass() {
        let program = program(&options(&[80..=80]));
        for whole in [ipv4(OURS, 6, 0, 0, 80), ipv6(OURS_6, 6, 80), arp(1, OTHERS, OURS)] {
            let needed_len = (0..=whole.len()).find(|len| passes(&program, 0, &whole[..*len]));
            assert!(needed_len.is_some_and(|len| len > 30), "{needed_len:?}");
        }
    }

    #[test]
    fn the_largest_program_fits_the_kernel_and_larger_cards_take_all() {
        let addresses: Vec<IpAddr> =
            (0..FILTER_ADDRESSES_MAX as u128).map(|n| IpAddr::V6(Ipv6Addr::from_bits(n))).collect();
        let ports = vec![1..=2; FILTER_RANGES_MAX];
        let mut options = OpenOptions { addresses, ports, ..OpenOptions::default() };
        let largest = program(&options);
        assert!(largest.len() < 4_096, "{}", largest.len());
        let last = ipv6(Ipv6Addr::from_bits(FILTER_ADDRESSES_MAX as u128 - 1), 6, 2);
        assert!(passes(&largest, 0, &last));
        assert!(!passes(&largest, 0, &ipv6(OTHERS_6, 6, 2)));
        options.addresses.push(IpAddr::V6(OURS_6));
        assert!(passes(&program(&options), 0, &ipv6(OTHERS_6, 6, 2)));
    }
}
