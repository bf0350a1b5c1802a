//! Whether a segment that came is the one that a line expects; where not, in which fields.

use std::fmt::Write;

use super::language::{Given, Segment};
use super::packet::{ACK, Packet, SYN, TcpOption, flags_text};
use super::streams::Link;

/// The segment as a script would write it, numbers relative to `link`.
pub(super) fn text(packet: &Packet, from_card: bool, link: &Link) -> String {
    let (own, other) = bases(from_card, link);
    let start = packet.seq.wrapping_sub(own).cast_signed();
    let len = packet.payload.len();
    let end = start.wrapping_add_unsigned(len as u32);
    let mut text = format!("{} {start}:{end}({len})", flags_text(packet.flags));
    if packet.flags & ACK != 0 || packet.ack != 0 {
        let _ = write!(text, " ack {}", packet.ack.wrapping_sub(other).cast_signed());
    }
    let _ = write!(text, " win {}", packet.window);
    if !packet.options.is_empty() {
        let options = packet.options.iter().map(|option| option.moved(other.wrapping_neg()).to_string());
        let _ = write!(text, " <{}>", options.collect::<Vec<_>>().join(", "));
    }
    text
}

/// In what `came`, sent by the card, differs from `expected`; empty if in nothing.
pub(super) fn differences(expected: &Segment, came: &Packet, link: &Link) -> Vec<String> {
    let (own, other) = bases(true, link);
    let mut differences = Vec::new();
    let mut compare = |field: &str, expected: String, came: String| {
        if expected != came {
            differences.push(format!("{field}: expected {expected}, came {came}"));
        }
    };
    compare("peer's port", expected.peer.to_string(), came.destination.port().to_string());
    compare("card's port", link.card_port.to_string(), came.source.port().to_string());
    if let Some(flags) = expected.flags {
        compare("flags", flags_text(flags), flags_text(came.flags));
    }
    if let Some((start, len)) = expected.sequence {
        compare("sequence number", signed(start), signed(came.seq.wrapping_sub(own)));
        compare("payload's length", len.to_string(), came.payload.len().to_string());
    }
    match expected.ack {
        Given::Is(ack) => compare("acknowledgement", signed(ack), signed(came.ack.wrapping_sub(other))),
        Given::Not if expected.flags.is_none() => {}
        Given::Not => compare("acknowledgement without its flag", "0".to_owned(), came.ack.to_string()),
        Given::Any => {}
    }
    if let Given::Is(window) = expected.window {
        compare("window", window.to_string(), came.window.to_string());
    }
    if let Given::Is(options) = &expected.options {
        let mut left: Vec<TcpOption> = came.options.iter().map(|option| option.moved(other.wrapping_neg())).collect();
        for option in &options.list {
            match left.iter().position(|left| left == option) {
                Some(at) => drop(left.remove(at)),
                None => compare("option", option.to_string(), "none like it".to_owned()),
            }
        }
        for option in left.iter().filter(|_| !options.is_open) {
            compare("option", "none".to_owned(), option.to_string());
        }
    }
    if !came.payload.is_empty() && !expected.is_garbage {
        let first = came.seq.wrapping_sub(own).wrapping_add(u32::from(came.flags & SYN != 0));
        if let Some(difference) = link.from_card.difference(first, &came.payload) {
            differences.push(format!("payload: {difference}"));
        }
    }
    differences
}

/// The initial numbers that a segment's sequence and acknowledgement numbers count from.
fn bases(from_card: bool, link: &Link) -> (u32, u32) {
    if from_card { (link.card_base(), link.peer_sequence) } else { (link.peer_sequence, link.card_base()) }
}

fn signed(number: u32) -> String {
    number.cast_signed().to_string()
}
