//! The program that steers: the keyed hash of [`crate::steer`], computed by the kernel for each frame.
//!
//! It serves `PACKET_FANOUT_EBPF` and `TUNSETSTEERINGEBPF`. The two hand it a socket buffer whose data start in
//! different places (a packet socket's fanout at the network header of what was received and at the Ethernet header
//! of what is sent, a TAP at the Ethernet header), so every load counts from the Ethernet header, which both have set.
//! All bounds are the kernel's: a load past the end makes it return 0.
//!
//! It hashes TCP: over IPv4, with and without options, and over IPv6 without extension headers, behind at most one
//! VLAN tag. All the rest goes to queue 0: ARP, ICMP, UDP, fragments, other protocols.

use hpb_base::limits::PORT_QUEUES_MAX;

use super::assembler::Arithmetic::{Add, And, Multiply, ShiftLeft, ShiftRight, Xor};
use super::assembler::Condition::{Equal, Less, NotEqual};
use super::assembler::Register::{R0, R1, R6, R7, R8, R9};
use super::assembler::Width::{Byte, Half, Word};
use super::assembler::{Assembler, AssemblyError, Instruction, Register};
use super::{BpfError, Program, Purpose};
use crate::steer::{SCRAMBLE_FACTOR, SCRAMBLE_SHIFTS, SteerKey, Steering};

const NAME: &str = "hpb_steering";

/// Loads the program that returns the queue of each frame, as `steering` has it: 0 for all unless it is
/// [`Steering::Keyed`].
///
/// # Errors
/// The process may not, or the verifier refuses it.
pub fn steering_program(steering: &Steering) -> Result<Program, BpfError> {
    let instructions = assemble(steering).map_err(|source| BpfError::Assembly { name: NAME, source })?;
    Program::load(NAME, Purpose::SocketFilter, &instructions)
}

/// The end that sent the frame, then the end that it is for: their sums.
const ENDS: [Register; 2] = [R7, R9];
/// Where the IP header starts, then where the ports are.
const AT: Register = R8;

fn assemble(steering: &Steering) -> Result<Vec<Instruction>, AssemblyError> {
    let mut code = Assembler::new();
    if let Steering::Keyed { key, queues } = steering {
        hashed(&mut code, key, (*queues).clamp(1, PORT_QUEUES_MAX) as u32);
    } else {
        code.set(R0, 0);
        code.exit();
    }
    code.finish()
}

fn hashed(code: &mut Assembler, key: &SteerKey, queues: u32) {
    let [network, ipv4, ipv6, ports, other] = [(); 5].map(|()| code.label());

    code.set(R6, R1);
    code.set(AT, ETHERNET_LEN);
    code.load_buffer(Half, LINK_LAYER + ETHERNET_TYPE_AT);
    for tag in ETHERNET_TYPES_VLAN {
        let next = code.label();
        code.jump_if(NotEqual, R0, tag, next);
        code.set(AT, ETHERNET_LEN + VLAN_TAG_LEN);
        code.load_buffer(Half, LINK_LAYER + ETHERNET_TYPE_AT + VLAN_TAG_LEN);
        code.jump(network);
        code.place(next);
    }
    code.place(network);
    code.jump_if(Equal, R0, ETHERNET_TYPE_IPV4, ipv4);
    code.jump_if(Equal, R0, ETHERNET_TYPE_IPV6, ipv6);
    code.place(other);
    code.set(R0, 0);
    code.exit();

    code.place(ipv4);
    code.load_buffer_at(Half, AT, LINK_LAYER + 6);
    code.arithmetic(And, R0, IPV4_FRAGMENT_BITS);
    code.jump_if(NotEqual, R0, 0, other);
    code.load_buffer_at(Byte, AT, LINK_LAYER + 9);
    code.jump_if(NotEqual, R0, PROTOCOL_TCP, other);
    // The words above an IPv4 address are the same in every mapped address.
    let start = key.start.wrapping_add(key.words[2].wrapping_mul(0xffff));
    for (sum, at) in ENDS.into_iter().zip([12, 16]) {
        code.set_wide(sum, start);
        add_word(code, sum, key.words[3], LINK_LAYER + at);
    }
    code.load_buffer_at(Byte, AT, LINK_LAYER);
    code.arithmetic(And, R0, 0x0f);
    code.jump_if(Less, R0, IPV4_WORDS_MIN, other);
    code.arithmetic(ShiftLeft, R0, 2);
    code.arithmetic(Add, AT, R0);
    code.jump(ports);

    code.place(ipv6);
    code.load_buffer_at(Byte, AT, LINK_LAYER + 6);
    code.jump_if(NotEqual, R0, PROTOCOL_TCP, other);
    for (sum, at) in ENDS.into_iter().zip([8, 24]) {
        code.set_wide(sum, key.start);
        for (word, offset) in key.words.into_iter().zip([0, 4, 8, 12]) {
            add_word(code, sum, word, LINK_LAYER + at + offset);
        }
    }
    code.arithmetic(Add, AT, IPV6_LEN);

    code.place(ports);
    for (sum, at) in ENDS.into_iter().zip([0, 2]) {
        code.load_buffer_at(Half, AT, LINK_LAYER + at);
        add_product(code, sum, key.port);
        scramble(code, sum);
    }
    let [hash, other_end] = ENDS;
    code.arithmetic(Add, hash, other_end);
    code.set_wide(R1, key.join);
    code.arithmetic(Add, hash, R1);
    scramble(code, hash);
    code.arithmetic(ShiftRight, hash, 32);
    code.arithmetic(Multiply, hash, queues.cast_signed());
    code.arithmetic(ShiftRight, hash, 32);
    code.set(R0, hash);
    code.exit();
}

/// `sum += key * (the 32 bits at AT + offset)`.
fn add_word(code: &mut Assembler, sum: Register, key: u64, offset: i32) {
    code.load_buffer_at(Word, AT, offset);
    add_product(code, sum, key);
}

/// `sum += key * R0`.
fn add_product(code: &mut Assembler, sum: Register, key: u64) {
    code.set_wide(R1, key);
    code.arithmetic(Multiply, R1, R0);
    code.arithmetic(Add, sum, R1);
}

fn scramble(code: &mut Assembler, sum: Register) {
    let [first, second] = SCRAMBLE_SHIFTS.map(i32::from);
    shift_in(code, sum, first);
    code.set_wide(R1, SCRAMBLE_FACTOR);
    code.arithmetic(Multiply, sum, R1);
    shift_in(code, sum, second);
}

/// `sum ^= sum >> shift`.
fn shift_in(code: &mut Assembler, sum: Register, shift: i32) {
    code.set(R1, sum);
    code.arithmetic(ShiftRight, R1, shift);
    code.arithmetic(Xor, sum, R1);
}

/// `SKF_LL_OFF` (`linux/filter.h`): a load here counts from the Ethernet header.
const LINK_LAYER: i32 = -0x20_0000;
const ETHERNET_LEN: i32 = 14;
const ETHERNET_TYPE_AT: i32 = 12;
const ETHERNET_TYPE_IPV4: i32 = 0x0800;
const ETHERNET_TYPE_IPV6: i32 = 0x86dd;
/// IEEE 802.1Q and 802.1ad.
const ETHERNET_TYPES_VLAN: [i32; 2] = [0x8100, 0x88a8];
const VLAN_TAG_LEN: i32 = 4;
/// More fragments, and the offset (RFC 791, section 3.1).
const IPV4_FRAGMENT_BITS: i32 = 0x3fff;
const IPV4_WORDS_MIN: i32 = 5;
const IPV6_LEN: i32 = 40;
const PROTOCOL_TCP: i32 = 6;
