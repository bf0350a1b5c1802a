//! Reads a script's text. The language is written down in `tests/interop/README.md`.

use hpb_base::Duration;
use hpb_base::limits::SCRIPT_LEN_MAX;
use hpb_toe::framing::MESSAGE_HEADER_LEN;
use hpb_toe::registers::Register;
use hpb_toe::stats::Drop;
use hpb_toe::{Class, LaneConfig};

use super::cursor::{Cursor, ParseError};
use super::language::{
    Action, CARD_PORT, Event, Family, From, Given, Line, Message, Options, PEER_PORT, Script, Segment, Settings, When,
};
use super::packet::{ACK, FLAG_LETTERS, TcpOption};

/// How far from its time an expected thing may come unless the script says otherwise: the card's wheel turns in steps
/// of a millisecond.
const TOLERANCE: Duration = Duration::from_millis(2);
const MTU: usize = 1_500;
const SECRET: [u8; 32] = [7; 32];

const STATES: [&str; 11] = [
    "none",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
];

/// Reads the script called `name`.
///
/// # Errors
/// The first thing that is wrong, with its line and column.
pub fn parse(name: &str, text: &str) -> Result<Script, ParseError> {
    let whole = |message: String| ParseError { line: 1, column: 1, message };
    if text.len() > SCRIPT_LEN_MAX {
        return Err(whole(format!("a script has at most {SCRIPT_LEN_MAX} bytes")));
    }
    let settings = Settings {
        family: Family::Ipv4,
        mtu: MTU,
        tolerance: TOLERANCE,
        lane: LaneConfig::new(Vec::new(), None, SECRET),
    };
    let mut script = Script { name: name.to_owned(), cites: Vec::new(), known: None, settings, lines: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let mut cursor = Cursor::new(index + 1, without_comment(line));
        if cursor.is_at_end() {
            continue;
        }
        if !header(&mut cursor, &mut script)? {
            let when = when(&mut cursor)?;
            let action = action(&mut cursor, &script.settings)?;
            script.lines.push(Line { number: index + 1, text: line.trim().to_owned(), when, action });
        }
        cursor.end()?;
    }
    if script.cites.is_empty() {
        return Err(whole("a script names what it pins down: `cites RFC ...` is missing".to_owned()));
    }
    Ok(script)
}

fn without_comment(line: &str) -> &str {
    let mut is_text = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => is_text = !is_text,
            '#' if !is_text => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Reads a line that says something of the whole script; false if it is none.
fn header(cursor: &mut Cursor<'_>, script: &mut Script) -> Result<bool, ParseError> {
    let start = cursor.place();
    let is_header = if cursor.accept_word("cites") {
        match cursor.take_rest() {
            "" => return cursor.error("which RFC, which section?"),
            cited => script.cites.push(cited.to_owned()),
        }
        true
    } else if cursor.accept_word("known") {
        cursor.expect(":")?;
        match cursor.take_rest() {
            "" => return cursor.error("why does the card fail this script?"),
            reason => script.known = Some(reason.to_owned()),
        }
        true
    } else if cursor.accept_word("family") {
        let place = cursor.place();
        script.settings.family = match cursor.word("ipv4 or ipv6")? {
            "ipv4" => Family::Ipv4,
            "ipv6" => Family::Ipv6,
            other => return cursor.error_at(place, format!("a family is ipv4 or ipv6, not `{other}`")),
        };
        true
    } else if cursor.accept_word("set") {
        set(cursor, &mut script.settings)?;
        true
    } else {
        false
    };
    if is_header && !script.lines.is_empty() {
        return cursor.error_at(start, "this says something of the whole script: it stands before the first line");
    }
    Ok(is_header)
}

fn set(cursor: &mut Cursor<'_>, settings: &mut Settings) -> Result<(), ParseError> {
    let place = cursor.place();
    let lane = &mut settings.lane;
    match cursor.word("a setting")? {
        "mtu" => settings.mtu = usize::from(cursor.number::<u16>("an MTU in bytes")?),
        "tolerance" => settings.tolerance = cursor.span("a tolerance")?,
        "secret" => lane.secret = [cursor.number("a secret's byte")?; 32],
        "keep_alive" => lane.keep_alive = span_or_off(cursor)?,
        "peer_timeout" => lane.peer_timeout = span_or_off(cursor)?,
        "ack_delay" => lane.ack_delay = span_or_off(cursor)?,
        "handshake_timeout" => lane.handshake_timeout = cursor.span("a time-out")?,
        "reconnect_min" => lane.reconnect_min = cursor.span("a wait")?,
        "reconnect_max" => lane.reconnect_max = cursor.span("a wait")?,
        "half_open_max" => lane.half_open_max = usize::from(cursor.number::<u16>("a count")?),
        "sessions_max" => lane.sessions_max = usize::from(cursor.number::<u16>("a count")?),
        "calling_max" => lane.calling_max = usize::from(cursor.number::<u16>("a count")?),
        other => return cursor.error_at(place, format!("there is no setting `{other}`")),
    }
    Ok(())
}

fn span_or_off(cursor: &mut Cursor<'_>) -> Result<Option<Duration>, ParseError> {
    if cursor.accept_word("off") { Ok(None) } else { cursor.span("a span or `off`").map(Some) }
}

fn when(cursor: &mut Cursor<'_>) -> Result<When, ParseError> {
    let from = if cursor.accept("+") {
        From::Before
    } else if cursor.accept("@") {
        From::Begin
    } else if cursor.accept_word("within") {
        From::Within
    } else {
        return Ok(When { from: From::Before, span: Duration::ZERO, tolerance: None });
    };
    let span = cursor.span("a time")?;
    let tolerance = if cursor.accept("~") { Some(cursor.span("a tolerance")?) } else { None };
    Ok(When { from, span, tolerance })
}

fn action(cursor: &mut Cursor<'_>, settings: &Settings) -> Result<Action, ParseError> {
    if cursor.accept("<") {
        return inject(cursor, settings);
    }
    if cursor.accept(">") {
        if cursor.accept_word("nothing") {
            let span = if cursor.accept_word("for") { cursor.span("a span")? } else { Duration::ZERO };
            return Ok(Action::ExpectNothing(span));
        }
        return segment(cursor, false).map(Action::Expect);
    }
    let start = cursor.place();
    match cursor.word("`<`, `>`, `card`, `peer`, `event` or `expect`")? {
        "card" => card(cursor),
        "peer" => peer(cursor),
        "event" => event(cursor),
        "expect" => expect(cursor),
        other => cursor.error_at(
            start,
            format!("a line begins with `<`, `>`, `card`, `peer`, `event` or `expect`, not `{other}`"),
        ),
    }
}

fn card(cursor: &mut Cursor<'_>) -> Result<Action, ParseError> {
    let start = cursor.place();
    match cursor.word("what the card does")? {
        "listen" => {
            let port = cursor.number("a port")?;
            Ok(Action::Listen { port, class: class(cursor)? })
        }
        "connect" => {
            let local = if cursor.accept_word("local") { cursor.number("a port")? } else { CARD_PORT };
            let class = class(cursor)?;
            let keep = cursor.accept_word("keep");
            Ok(Action::Connect { peer: peer_port(cursor)?, local, class, keep })
        }
        "send" => {
            let message = message(cursor)?;
            Ok(Action::Send { peer: peer_port(cursor)?, message })
        }
        "close" => Ok(Action::Close { peer: peer_port(cursor)? }),
        "register" => {
            let place = cursor.place();
            let name = cursor.word("a register")?;
            let Some(register) = Register::by_name(name) else {
                return cursor.error_at(place, format!("there is no register `{name}`"));
            };
            Ok(Action::Register { register, value: cursor.number("a register's value")? })
        }
        other => cursor
            .error_at(start, format!("a card does `listen`, `connect`, `send`, `close` or `register`, not `{other}`")),
    }
}

fn peer(cursor: &mut Cursor<'_>) -> Result<Action, ParseError> {
    let start = cursor.place();
    match cursor.word("what the peer does")? {
        "message" => {
            let message = message(cursor)?;
            Ok(Action::PeerMessage { peer: peer_port(cursor)?, message })
        }
        "isn" => {
            let sequence = cursor.number("a sequence number")?;
            Ok(Action::PeerSequence { peer: peer_port(cursor)?, sequence })
        }
        other => cursor.error_at(start, format!("a peer has `message` or `isn`, not `{other}`")),
    }
}

fn event(cursor: &mut Cursor<'_>) -> Result<Action, ParseError> {
    let start = cursor.place();
    let event = match cursor.word("an event")? {
        "opened" => Event::Opened,
        "message" => Event::Message(message(cursor)?),
        "closed" => {
            let place = cursor.place();
            let reason = cursor.word("a reason")?.to_owned();
            if !REASONS.contains(&reason.as_str()) {
                return cursor.error_at(place, format!("a reason is one of {}, not `{reason}`", REASONS.join(", ")));
            }
            Event::Closed { reason, was_open: !cursor.accept_word("unopened") }
        }
        other => return cursor.error_at(start, format!("an event is `opened`, `message` or `closed`, not `{other}`")),
    };
    Ok(Action::ExpectEvent { peer: peer_port(cursor)?, event })
}

/// Names of the reasons for which a session ends.
pub(super) const REASONS: [&str; 7] =
    ["local", "remote", "handshake_timeout", "handshake", "broken", "slow_peer", "no_room"];

fn expect(cursor: &mut Cursor<'_>) -> Result<Action, ParseError> {
    let start = cursor.place();
    match cursor.word("what to look at")? {
        "state" => {
            let place = cursor.place();
            let Some(state) = STATES.iter().find(|state| cursor.accept(state)) else {
                return cursor.error_at(place, format!("a state is one of {}", STATES.join(", ")));
            };
            Ok(Action::ExpectState { peer: peer_port(cursor)?, state: (*state).to_owned() })
        }
        "sessions" => cursor.number::<u16>("a count").map(|count| Action::ExpectSessions(usize::from(count))),
        "drops" => {
            let place = cursor.place();
            let name = cursor.word("a reason")?;
            let Some(reason) = Drop::ALL.into_iter().find(|reason| reason.name() == name) else {
                return cursor.error_at(place, format!("nothing is dropped for the reason `{name}`"));
            };
            Ok(Action::ExpectDrops { reason, count: cursor.number("a count")? })
        }
        other => cursor.error_at(start, format!("there are `state`, `sessions` and `drops` to look at, not `{other}`")),
    }
}

fn class(cursor: &mut Cursor<'_>) -> Result<Class, ParseError> {
    if !cursor.accept_word("class") {
        return Ok(Class::Validator);
    }
    let place = cursor.place();
    match cursor.word("a class")? {
        "validator" => Ok(Class::Validator),
        "terminal" => Ok(Class::Terminal),
        "uplink" => Ok(Class::Uplink),
        other => cursor.error_at(place, format!("a class is validator, terminal or uplink, not `{other}`")),
    }
}

fn message(cursor: &mut Cursor<'_>) -> Result<Message, ParseError> {
    if let Some(text) = cursor.text()? {
        return Ok(Message::Text(text.to_owned()));
    }
    let place = cursor.place();
    let len = cursor.number::<u32>("a message's length with its header, or its text")? as usize;
    if len < MESSAGE_HEADER_LEN {
        return cursor
            .error_at(place, format!("a message has a header of {MESSAGE_HEADER_LEN} bytes: {len} is too short"));
    }
    Ok(Message::Len(len))
}

fn peer_port(cursor: &mut Cursor<'_>) -> Result<u16, ParseError> {
    if cursor.accept_word("from") || cursor.accept_word("to") {
        cursor.number("the peer's port")
    } else {
        Ok(PEER_PORT)
    }
}

fn inject(cursor: &mut Cursor<'_>, settings: &Settings) -> Result<Action, ParseError> {
    if cursor.accept_word("raw") {
        return hex(cursor).map(Action::InjectRaw);
    }
    if cursor.accept_word("tcp") {
        return hex(cursor).map(Action::InjectTcp);
    }
    if cursor.accept_word("icmp") {
        cursor.expect("too_big")?;
        cursor.expect("mtu")?;
        let mtu = cursor.number("an MTU in bytes")?;
        cursor.expect("quoting")?;
        let sequence = cursor.relative("a sequence number of the card")?;
        return Ok(Action::InjectTooBig { peer: peer_port(cursor)?, mtu, sequence });
    }
    let start = cursor.place();
    let segment = segment(cursor, true)?;
    let largest = settings.mtu - if settings.family == Family::Ipv4 { 40 } else { 60 };
    if segment.sequence.is_some_and(|(_, len)| len as usize > largest) {
        return cursor.error_at(start, format!("an MTU of {} bytes carries at most {largest}", settings.mtu));
    }
    Ok(Action::Inject(segment))
}

fn hex(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ParseError> {
    let place = cursor.place();
    let digits: Vec<u8> = cursor
        .take_rest()
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).map_or(16, |digit| digit as u8))
        .collect();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.contains(&16) {
        return cursor.error_at(place, "bytes are written as pairs of hexadecimal digits");
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn segment(cursor: &mut Cursor<'_>, is_injected: bool) -> Result<Segment, ParseError> {
    cursor.expect("[")?;
    let flags = flags(cursor, is_injected)?;
    let sequence = sequence(cursor, is_injected)?;
    let mut segment = Segment {
        peer: PEER_PORT,
        flags,
        sequence,
        ack: Given::Not,
        window: Given::Not,
        options: Given::Not,
        bad_checksum: false,
        data_offset: None,
        filled: None,
        is_garbage: false,
    };
    let ack_place = cursor.place();
    if cursor.accept_word("ack") {
        segment.ack = given(cursor, is_injected, |cursor| cursor.relative("an acknowledgement number"))?;
    }
    let says_ack = segment.ack != Given::Not;
    if !is_injected && flags.is_some_and(|flags| says_ack != (flags & ACK != 0)) {
        return cursor.error_at(ack_place, "`ack` stands with the flag `.`, and only with it");
    }
    if cursor.accept_word("win") {
        segment.window = given(cursor, is_injected, |cursor| cursor.number("a window"))?;
    }
    if cursor.accept("<") {
        segment.options = Given::Is(options(cursor, is_injected)?);
    }
    segment.peer = peer_port(cursor)?;
    if is_injected && cursor.accept_word("filled") {
        segment.filled = Some(cursor.number("a byte")?);
    }
    if is_injected && cursor.accept_word("offset") {
        segment.data_offset = Some(cursor.number("a data offset")?);
    }
    if is_injected && cursor.accept_word("bad_checksum") {
        segment.bad_checksum = true;
    }
    if !is_injected && cursor.accept_word("garbage") {
        segment.is_garbage = true;
    }
    Ok(segment)
}

fn given<T>(
    cursor: &mut Cursor<'_>,
    is_injected: bool,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, ParseError>,
) -> Result<Given<T>, ParseError> {
    let place = cursor.place();
    if !cursor.accept("*") {
        return read(cursor).map(Given::Is);
    }
    if is_injected {
        return cursor.error_at(place, "what is injected must be said");
    }
    Ok(Given::Any)
}

fn flags(cursor: &mut Cursor<'_>, is_injected: bool) -> Result<Option<u8>, ParseError> {
    let place = cursor.place();
    let letters = cursor.until(']')?;
    match letters {
        "-" => return Ok(Some(0)),
        "*" if is_injected => return cursor.error_at(place, "what is injected must be said"),
        "*" => return Ok(None),
        "" => return cursor.error_at(place, "no flags are written as [-]"),
        _ => {}
    }
    let mut flags = 0;
    for letter in letters.chars() {
        match FLAG_LETTERS.iter().find(|(known, _)| *known == letter) {
            Some((_, bit)) => flags |= bit,
            None => {
                return cursor
                    .error_at(place, format!("`{letter}` is no flag: they are S F R P . U E W, or - for none"));
            }
        }
    }
    Ok(Some(flags))
}

/// `start:end(len)`, or `*`.
fn sequence(cursor: &mut Cursor<'_>, is_injected: bool) -> Result<Option<(u32, u32)>, ParseError> {
    let place = cursor.place();
    if cursor.accept("*") {
        return if is_injected { cursor.error_at(place, "what is injected must be said") } else { Ok(None) };
    }
    let start = cursor.relative("a sequence number")?;
    cursor.expect(":")?;
    let end = cursor.relative("a sequence number")?;
    cursor.expect("(")?;
    let len: u16 = cursor.number("a payload's length")?;
    cursor.expect(")")?;
    if start.wrapping_add(u32::from(len)) != end {
        return cursor.error_at(place, format!("{len} bytes do not reach from one number to the other"));
    }
    Ok(Some((start, u32::from(len))))
}

fn options(cursor: &mut Cursor<'_>, is_injected: bool) -> Result<Options, ParseError> {
    let mut options = Options { list: Vec::new(), is_open: false };
    while !cursor.accept(">") {
        let place = cursor.place();
        if cursor.accept("*") {
            if is_injected {
                return cursor.error_at(place, "what is injected must be said");
            }
            options.is_open = true;
        } else {
            options.list.push(option(cursor)?);
        }
        if !cursor.accept(",") {
            cursor.expect(">")?;
            break;
        }
    }
    Ok(options)
}

fn option(cursor: &mut Cursor<'_>) -> Result<TcpOption, ParseError> {
    let place = cursor.place();
    match cursor.word("an option")? {
        "mss" => cursor.number("a segment size").map(TcpOption::Mss),
        "wscale" => cursor.number("a shift").map(TcpOption::WindowScale),
        "sackOK" => Ok(TcpOption::SackPermitted),
        "TS" => Ok(TcpOption::Timestamps(cursor.number("a timestamp")?, cursor.number("an echoed timestamp")?)),
        "sack" => {
            let mut blocks = Vec::new();
            loop {
                let block = cursor.place();
                let Ok(start) = cursor.relative("a block's begin") else {
                    cursor.go_back(block);
                    break;
                };
                cursor.expect(":")?;
                blocks.push((start, cursor.relative("a block's end")?));
            }
            if blocks.is_empty() {
                cursor.error("a SACK option has blocks, `begin:end`")
            } else {
                Ok(TcpOption::Sack(blocks))
            }
        }
        "option" => {
            let kind = cursor.number("an option's kind")?;
            let len = cursor.number("an option's length")?;
            Ok(TcpOption::Other(kind, len))
        }
        other => cursor.error_at(place, format!("an option is mss, wscale, sackOK, sack, TS or option, not `{other}`")),
    }
}
