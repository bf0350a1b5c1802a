//! Decoders of byte streams: messages in a stream, and a page's requests. How a stream is cut must not matter.

use hpb_base::Duration;
use hpb_net::Medium;
use hpb_toe::framing::{Assembler, MESSAGE_HEADER_LEN, framed};

use super::input::Input;
use super::lane::{Card, PAGE, PORTS};

/// The largest body of the framing's fuzzer.
const BODY_LEN_MAX: usize = 300;

/// Cuts a stream into messages: first the places to cut at, then the stream.
///
/// # Panics
/// If cutting elsewhere gives other messages, or what was delivered is not what the stream says.
pub fn framing(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cuts = input.byte().unwrap_or(0);
    let cuts = input.take(usize::from(cuts));
    let stream = input.take(usize::MAX);
    let whole = feed(&[stream]);
    let cut = feed(&cut_at(stream, cuts));
    assert_eq!(whole.0, cut.0, "the messages do not depend on the cuts");
    assert_eq!(whole.1, cut.1, "nor does the end");
    // What was delivered is what the stream begins with.
    let again: Vec<u8> = whole.0.iter().flat_map(|(kind, body)| framed(*kind, body)).collect();
    assert!(stream.starts_with(&again));
    let rest = &stream[again.len()..];
    let wanted = rest.first_chunk().map(|len| u32::from_le_bytes(*len) as usize);
    match wanted {
        Some(len) if rest.len() >= MESSAGE_HEADER_LEN && len > BODY_LEN_MAX => assert!(!whole.1, "too long"),
        Some(len) => assert!(whole.1 && rest.len() < MESSAGE_HEADER_LEN + len, "a whole message is delivered"),
        None => assert!(whole.1),
    }
}

/// Feeds the pieces; the messages, and whether the stream could be followed to its end.
fn feed(pieces: &[&[u8]]) -> (Vec<(u8, Vec<u8>)>, bool) {
    let mut assembler = Assembler::default();
    let mut messages = Vec::new();
    for piece in pieces {
        let fed = assembler.feed(piece, BODY_LEN_MAX, |kind, body| messages.push((kind, body.to_vec())));
        if fed.is_err() {
            return (messages, false);
        }
        assert!(assembler.held_len() <= 2 * (MESSAGE_HEADER_LEN + BODY_LEN_MAX), "{} held", assembler.held_len());
    }
    (messages, true)
}

/// The stream in pieces of these lengths, over and over.
pub(super) fn cut_at<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut lengths) = (stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| usize::from(*len) + 1);
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Bytes of a stream to the page that are read; the rest is cut.
const REQUESTS_LEN_MAX: usize = 20_000;
/// Bytes of one segment of it.
const SEGMENT_LEN_MAX: usize = 1_400;

/// Says any bytes to the service of the page, over a session: first the places to cut at, then the bytes.
///
/// # Panics
/// If the answers depend on the cuts, or are not answers.
pub fn http(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cuts = input.byte().unwrap_or(0);
    let cuts = input.take(usize::from(cuts % 16));
    let stream = input.take(REQUESTS_LEN_MAX);
    let whole = answers(stream.chunks(SEGMENT_LEN_MAX).collect());
    if stream.len() <= SEGMENT_LEN_MAX {
        let cut = answers(cut_at(stream, cuts));
        assert_eq!(whole.escape_ascii().to_string(), cut.escape_ascii().to_string(), "cuts matter");
    }
    check_answers(&whole);
}

/// What the page's service says to the pieces of a stream, one segment each.
fn answers(pieces: Vec<&[u8]>) -> Vec<u8> {
    let mut card = Card::new(Medium::Ip);
    let selector = PORTS.iter().position(|port| *port == 80).unwrap() as u8;
    let flow = card.flow(selector);
    card.open(flow);
    for piece in pieces {
        if card.received(flow).ended {
            break;
        }
        card.say(flow, piece);
    }
    card.pass(Duration::from_millis(50));
    card.say(flow, &[]);
    card.received(flow).received.clone()
}

/// Answers, one behind the other: each a head that states its length, and the page or nothing.
fn check_answers(mut said: &[u8]) {
    while !said.is_empty() {
        let text = said.escape_ascii().to_string();
        assert!(said.starts_with(b"HTTP/1.1 "), "{text}");
        let end = said.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
        let head = std::str::from_utf8(&said[..end]).unwrap();
        assert!(head.contains("\r\nContent-Length: ") && head.contains("\r\nConnection: "), "{text}");
        said = &said[end + 4..];
        if let Some(rest) = said.strip_prefix(PAGE) {
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            said = rest;
        }
        if head.ends_with("Connection: close") {
            assert!(said.is_empty(), "nothing follows a last answer: {text}");
        }
    }
}
