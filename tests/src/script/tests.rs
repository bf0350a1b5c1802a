#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::driver::{card_address, peer_address};
use super::language::{Action, Event, Family, From, Given, Message};
use super::packet::{ACK, FIN, PSH, Packet, SYN, TcpOption, flags_text, tcp_packet};
use super::{Script, folder, list, parse, run};
use std::net::SocketAddr;

const OPENING: &str = "\
cites RFC 9293 section 3.5
card listen 30303
< [S] 0:0(0) win 65535 <mss 1460, sackOK, wscale 7>
> [S.] 0:0(0) ack 1
+10ms < [.] 1:1(0) ack 1 win 1000
event opened
";

fn script(lines: &str) -> Script {
    parse("test", &format!("{OPENING}{lines}")).unwrap()
}

/// What a script that goes on with `lines` fails with: the line's number, what was expected, what came.
fn failure(lines: &str) -> (usize, String, String) {
    let failure = run(&script(lines)).unwrap_err();
    (failure.line.0, failure.expected, failure.came)
}

fn error(line: &str) -> String {
    let error = parse("test", &format!("cites RFC 9293\n{line}")).err().unwrap();
    error.to_string()
}

#[test]
fn a_line_is_read_to_the_last_word() {
    let read = script("@1.5s~30ms > [FP.] -1:99(100) ack 1 win * <mss 1460, sack -5:1 20:30, TS 1 2, *> to 7 garbage");
    let line = read.lines.last().unwrap();
    assert_eq!((line.when.from, line.when.span.as_millis()), (From::Begin, 1_500));
    assert_eq!(line.when.tolerance.unwrap().as_millis(), 30);
    let Action::Expect(segment) = &line.action else { panic!("{line:?}") };
    assert_eq!((segment.peer, segment.flags), (7, Some(FIN | PSH | ACK)));
    assert_eq!(segment.sequence, Some((u32::MAX, 100)));
    assert_eq!((&segment.ack, &segment.window), (&Given::Is(1), &Given::Any));
    let Given::Is(options) = &segment.options else { panic!("{segment:?}") };
    assert!(options.is_open && segment.is_garbage);
    let blocks = vec![(4_294_967_291, 1), (20, 30)];
    assert_eq!(options.list, [TcpOption::Mss(1_460), TcpOption::Sack(blocks), TcpOption::Timestamps(1, 2)]);
}

#[test]
fn headers_and_settings_are_read() {
    let text = "cites RFC 1\ncites RFC 2, section 3 # why\nknown: it does not # yet\nfamily ipv6\n\
                set keep_alive off\nset ack_delay 5ms\nset half_open_max 3\nset mtu 1280\nset secret 0x10";
    let read = parse("test", text).unwrap();
    assert_eq!(read.cites, ["RFC 1", "RFC 2, section 3"]);
    assert_eq!(read.known.as_deref(), Some("it does not"));
    assert_eq!((read.settings.family, read.settings.mtu), (Family::Ipv6, 1_280));
    let lane = &read.settings.lane;
    assert_eq!((lane.keep_alive, lane.half_open_max, lane.secret), (None, 3, [16; 32]));
    assert_eq!(lane.ack_delay.unwrap().as_millis(), 5);
}

#[test]
fn a_text_may_hold_what_begins_a_comment() {
    let read = script("card send \"a # b\" to 9 # a comment");
    let Action::Send { peer: 9, message: Message::Text(text) } = &read.lines.last().unwrap().action else { panic!() };
    assert_eq!(text, "a # b");
}

#[test]
fn errors_name_line_and_column() {
    let table = [
        ("< [SX] 0:0(0)", "2:4: `X` is no flag: they are S F R P . U E W, or - for none"),
        ("< [S 0:0(0)", "2:4: `]` is missing after this"),
        ("< [] 0:0(0)", "2:4: no flags are written as [-]"),
        ("< [*] 0:0(0)", "2:4: what is injected must be said"),
        ("< [S] 0:5(4)", "2:7: 4 bytes do not reach from one number to the other"),
        ("< [S] 0:2000(2000)", "2:3: an MTU of 1500 bytes carries at most 1460"),
        ("< [S] * win 3", "2:7: what is injected must be said"),
        ("< [S] 0:0(0) win 65536", "2:18: a window is a number that fits its field, not `65536`"),
        ("< [S] 0:0(0) wim 6", "2:14: `wim 6` is more than this line may say"),
        ("> [.] 1:1(0) win 6", "2:14: `ack` stands with the flag `.`, and only with it"),
        ("> [S] 0:0(0) ack 6", "2:14: `ack` stands with the flag `.`, and only with it"),
        ("< [S] 0:0(0) <mss 1460, wcale 7>", "2:25: an option is mss, wscale, sackOK, sack, TS or option, not `wcale`"),
        ("< [S] 0:0(0) <mss 1460", "2:23: `>` is missing here"),
        ("< [S] 0:0(0) <sack>", "2:19: a SACK option has blocks, `begin:end`"),
        ("+10 > [S] 0:0(0)", "2:2: a time is a number with us, ms or s, not `10`"),
        ("+1.s < [S] 0:0(0)", "2:2: a time is a number with us, ms or s, not `1.s`"),
        ("  within > [S] 0:0(0)", "2:10: a time is missing here"),
        ("< raw 4", "2:7: bytes are written as pairs of hexadecimal digits"),
        ("< raw 4g", "2:7: bytes are written as pairs of hexadecimal digits"),
        ("card jump", "2:6: a card does `listen`, `connect`, `send`, `close` or `register`, not `jump`"),
        ("card send 4", "2:11: a message has a header of 5 bytes: 4 is too short"),
        ("card send \"x", "2:11: this text has no end: `\"` is missing"),
        ("card listen 30303 class clerk", "2:25: a class is validator, terminal or uplink, not `clerk`"),
        ("card register cfg_toe_mode_x 1", "2:15: there is no register `cfg_toe_mode_x`"),
        (
            "event closed never",
            "2:14: a reason is one of local, remote, handshake_timeout, handshake, broken, slow_peer, no_room, not `never`",
        ),
        ("expect drops nothing 1", "2:14: nothing is dropped for the reason `nothing`"),
        (
            "expect state OPEN",
            "2:14: a state is one of none, LISTEN, SYN-SENT, SYN-RECEIVED, ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT",
        ),
        ("set keep_alive 5", "2:16: a span or `off` is a number with us, ms or s, not `5`"),
        ("set speed 5", "2:5: there is no setting `speed`"),
        ("known: ", "2:8: why does the card fail this script?"),
        ("é > [S] 0:0(0)", "2:1: a line begins with `<`, `>`, `card`, `peer`, `event` or `expect`, not `é`"),
        ("card close\nfamily ipv6", "3:1: this says something of the whole script: it stands before the first line"),
    ];
    for (line, expected) in table {
        assert_eq!(error(line), expected, "{line}");
    }
    assert_eq!(
        parse("test", "card close").err().unwrap().to_string(),
        "1:1: a script names what it pins down: `cites RFC ...` is missing"
    );
}

#[test]
fn a_right_script_passes() {
    run(&script(
        "< [P.] 1:101(100) ack 1 win 1000\nevent message 100\n+10ms > [.] 1:1(0) ack 101 win 32768 <>\n\
         card send \"hello\"\n> [P.] 1:11(10) ack 101\n+10ms < [.] 101:101(0) ack 11 win 1000\n> nothing for 1s\n\
         expect state ESTABLISHED\nexpect sessions 1\nexpect drops checksum 0",
    ))
    .unwrap();
}

#[test]
fn a_wrong_expectation_of_each_field_fails_and_names_the_field() {
    let right = "card send 100\n> [P.] 1:101(100) ack 1 win 32768 <>";
    run(&script(&format!("{right}\n+1ms < [.] 1:1(0) ack 101 win 9"))).unwrap();
    let table = [
        ("> [.] 1:101(100) ack 1", "flags: expected [.], came [P.]"),
        ("> [P.] 2:102(100) ack 1", "sequence number: expected 2, came 1"),
        ("> [P.] 1:100(99) ack 1", "payload's length: expected 99, came 100"),
        ("> [P.] 1:101(100) ack 2", "acknowledgement: expected 2, came 1"),
        ("> [P.] 1:101(100) ack 1 win 5", "window: expected 5, came 32768"),
        ("> [P.] 1:101(100) ack 1 <sackOK>", "option: expected sackOK, came none like it"),
        ("> [P.] 1:101(100) ack 1 to 7", "peer's port: expected 7, came 40000"),
    ];
    for (line, difference) in table {
        let (number, expected, came) = failure(&format!("card send 100\n{line}"));
        assert_eq!((number, expected.as_str()), (8, "the segment of the line"), "{line}");
        assert!(came.contains(difference), "{line}: {came}");
    }
    let wrong_options = OPENING.replace("> [S.] 0:0(0) ack 1", "> [S.] 0:0(0) ack 1 <mss 1460, sackOK>");
    let failed = run(&parse("test", &wrong_options).unwrap()).unwrap_err();
    assert!(failed.came.contains("option: expected none, came wscale 3"), "{failed}");
}

#[test]
fn what_comes_too_early_or_too_late_fails() {
    let acked = "< [P.] 1:101(100) ack 1 win 1000\nevent message 100\n";
    run(&script(&format!("{acked}+10ms~0 > [.] 1:1(0) ack 101"))).unwrap();
    for late in ["+7ms", "+13ms", "within 9ms", "+11ms~500us"] {
        let (number, ..) = failure(&format!("{acked}{late} > [.] 1:1(0) ack 101"));
        assert_eq!(number, 9, "{late}");
    }
    let (.., came) = failure(&format!("{acked}> nothing for 20ms"));
    assert_eq!(came, "[.] 1:1(0) ack 101 win 32768 to 40000 at   0.020000");
    let (_, expected, came) = failure("+1s event message 100");
    assert!(came == "nothing" && expected.contains("between"), "{expected}");
}

#[test]
fn what_nobody_expects_fails_at_the_end() {
    let (number, expected, came) = failure("card send 100");
    assert_eq!((number, expected.as_str()), (8, "nothing more"));
    assert_eq!(came, "[P.] 1:101(100) ack 1 win 32768 to 40000 at   0.010000");
    let (.., came) = failure("< [P.] 1:101(100) ack 1 win 1000\n+10ms > [.] 1:1(0) ack 101");
    assert_eq!(came, "a message of 100 bytes at   0.010000");
}

#[test]
fn wrong_events_states_and_counts_fail() {
    let message = "< [P.] 1:101(100) ack 1 win 1000\n";
    let table = [
        (format!("{message}event message 99"), "a message of 100 bytes"),
        (format!("{message}event message \"hello\""), "a message of 100 bytes"),
        (format!("{message}event opened"), "a message of 100 bytes"),
        (format!("{message}event message 100 from 7"), "a message of 100 bytes"),
        ("< [R] 1:1(0)\nevent closed local".to_owned(), "closed: remote"),
        ("< [R] 1:1(0)\nevent closed remote unopened".to_owned(), "closed: remote"),
        ("expect state LAST-ACK".to_owned(), "ESTABLISHED"),
        ("expect state ESTABLISHED to 7".to_owned(), "none"),
        ("expect sessions 2".to_owned(), "1"),
        ("expect drops checksum 1".to_owned(), "0"),
        ("card send 100 to 7".to_owned(), "no line has seen the session with 7 open"),
    ];
    for (lines, expected) in table {
        let (.., came) = failure(&lines);
        assert!(came.starts_with(expected), "{lines}: {came}");
    }
}

#[test]
fn bytes_that_differ_from_what_was_said_fail() {
    // The peer's segment is filled with what its stream does not say; the header says a message of 0x00000005.
    let (.., came) = failure(
        "peer message 10\n< [P.] 1:6(5) ack 1 win 1000\n< [P.] 6:11(5) ack 1 win 1000 filled 0x99\nevent message 10",
    );
    assert!(came.contains("its byte 5 is 0x99 where 0x05 was said"), "{came}");
    let mut link = super::streams::Link::new(1);
    link.from_card.push(&Message::Len(2_000));
    assert_eq!(link.from_card.difference(1, &[0xcb, 7, 0, 0, 1, 5]), None);
    assert!(link.from_card.difference(2, &[0xcb]).is_some(), "another place");
    assert!(link.from_card.difference(2_001, &[0]).unwrap().contains("where nothing was said"));
}

#[test]
fn a_segment_past_the_stream_needs_room_for_a_message() {
    let (.., came) = failure("< [P.] 1:4(3) ack 1 win 1000");
    assert!(came.contains("3 bytes past what the peer says"), "{came}");
    let read = script("< [P.] 1:6(5) ack 1 win 1000\nevent message 5\n+10ms > [.] 1:1(0) ack 6");
    run(&read).unwrap();
}

#[test]
fn a_failure_shows_the_line_and_all_before_it() {
    let failed = run(&script("card send 100\n> [.] 1:101(100) ack 1")).unwrap_err().to_string();
    let expected = "\
test.script, line 8: > [.] 1:101(100) ack 1
  expected: the segment of the line
  came:     [P.] 1:101(100) ack 1 win 32768 (flags: expected [.], came [P.])
  all that happened:
      0.000000  card listens at 30303
      0.000000  < [S] 0:0(0) win 65535 <mss 1460, sackOK, wscale 7> from 40000
      0.000000  > [S.] 0:0(0) ack 1 win 65535 <mss 1460, wscale 3, sackOK> to 40000
      0.010000  < [.] 1:1(0) ack 1 win 1000 from 40000
      0.010000  card tells: opened, with 40000
      0.010000  card sends 100 bytes to 40000
      0.010000  > [P.] 1:101(100) ack 1 win 32768 to 40000
";
    assert_eq!(failed, expected);
}

#[test]
fn two_runs_are_the_same_to_the_byte() {
    let wrong = script("card send 40000\n> [.] 1:1461(1460) ack 1\n+5s expect sessions 9");
    assert_eq!(run(&wrong).unwrap_err().to_string(), run(&wrong).unwrap_err().to_string());
}

#[test]
fn every_script_is_read_and_says_what_it_is_about() {
    let scripts = list(&folder()).unwrap();
    assert!(scripts.len() > 80, "{} scripts", scripts.len());
    for (name, text) in scripts {
        let read = parse(&name, &text).unwrap_or_else(|error| panic!("{name}.script:{error}"));
        assert!(read.cites.iter().all(|cited| cited.starts_with("RFC ")), "{name}: {:?}", read.cites);
        assert!(text.starts_with("# "), "{name} begins with what it is about");
        let looks = read
            .lines
            .iter()
            .filter(|line| !matches!(line.action, Action::Listen { .. } | Action::Connect { .. } | Action::Inject(_)));
        assert!(looks.count() > 0, "{name} expects nothing");
    }
}

fn packet(family: Family, options: Vec<TcpOption>, payload: Vec<u8>) -> Packet {
    Packet {
        source: SocketAddr::new(peer_address(family), 40_000),
        destination: SocketAddr::new(card_address(family), 30_303),
        seq: 0xffff_fff0,
        ack: 7,
        flags: SYN | ACK,
        window: 512,
        options,
        payload,
    }
}

#[test]
fn a_packet_that_is_wrong_anywhere_is_refused() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let good = packet(family, vec![TcpOption::Mss(1_460)], vec![1, 2, 3]).bytes().unwrap();
        Packet::read(&good).unwrap();
        // IPv6 guards no header of its own: only what the pseudo-header holds is seen.
        let from = if family == Family::Ipv4 { 0 } else { 8 };
        for bit in from * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Packet::read(&bad).is_err(), "{family:?}, bit {bit}");
        }
        for len in 0..good.len() {
            assert!(Packet::read(&good[..len]).is_err(), "{family:?}, {len} bytes");
        }
    }
    let crowded = vec![TcpOption::Sack(vec![(1, 2); 4]), TcpOption::Timestamps(1, 2)];
    assert!(packet(Family::Ipv4, crowded, Vec::new()).bytes().is_err());
    let short = tcp_packet(peer_address(Family::Ipv4), card_address(Family::Ipv4), vec![1, 2, 3]);
    assert_eq!(Packet::read(&short), Err("a TCP header of 3 bytes".to_owned()));
}

/// RFC 9293 section 3.1: a segment made by hand, its checksum computed by hand over the words
/// c000 0201, c000 0202, 0006, 0014, 0001 0002, 0000 0003, 0000 0004, 5010 0005.
#[test]
fn the_checksum_is_the_rfcs() {
    let address = |last: u8| std::net::IpAddr::from([192, 0, 2, last]);
    let made = Packet {
        source: SocketAddr::new(address(1), 1),
        destination: SocketAddr::new(address(2), 2),
        seq: 3,
        ack: 4,
        flags: ACK,
        window: 5,
        options: Vec::new(),
        payload: Vec::new(),
    };
    let bytes = made.bytes().unwrap();
    // c000+0201+c000+0202+0006+0014+0001+0002+0003+0004+5010+0005 = 1d43c; folded d43d; inverted 2bc2.
    assert_eq!(bytes[36..38], [0x2b, 0xc2]);
}

#[test]
fn the_events_of_the_language_are_all_there() {
    for (line, expected) in [
        ("event opened", Event::Opened),
        ("event message 9", Event::Message(Message::Len(9))),
        ("event closed no_room unopened", Event::Closed { reason: "no_room".to_owned(), was_open: false }),
    ] {
        let read = script(line);
        let Action::ExpectEvent { event, .. } = &read.lines.last().unwrap().action else { panic!("{line}") };
        assert_eq!(*event, expected);
    }
    assert_eq!((flags_text(0), flags_text(0xff)), ("[-]".to_owned(), "[SFRP.UEW]".to_owned()));
}

proptest! {
    #[test]
    fn a_packet_is_read_as_it_was_made(
        is_v4 in any::<bool>(), flags in any::<u8>(), seq in any::<u32>(), ack in any::<u32>(), window in any::<u16>(),
        mss in any::<u16>(), shift in any::<u8>(), block in any::<(u32, u32)>(),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let options = vec![TcpOption::Mss(mss), TcpOption::WindowScale(shift), TcpOption::Sack(vec![block])];
        let family = if is_v4 { Family::Ipv4 } else { Family::Ipv6 };
        let made = Packet { seq, ack, flags, window, ..packet(family, options, payload) };
        prop_assert_eq!(Packet::read(&made.bytes().unwrap()), Ok(made));
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), version in 0..3_usize) {
        if let Some(first) = bytes.first_mut() {
            *first = [0x45, 0x60, *first][version];
        }
        let _ = Packet::read(&bytes);
    }

    #[test]
    fn any_text_is_a_script_or_an_error_with_a_place(text in "([<>+@~*\\[\\](),:.#\" 0-9a-zA-Zé-]|\n|card |< |> |\\[S\\] |sack |event ){0,60}") {
        if let Err(error) = parse("test", &format!("cites RFC 1\n{text}")) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }
}
