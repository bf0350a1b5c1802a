#![allow(clippy::unwrap_used)]

use hpb_base::limits::{
    ANSWER_LEN_MAX, ANSWER_TEXT_LEN_MAX, BANS_MAX, COUNTERS_TOLD_MAX, EVENTS_TOLD_MAX, PROBE_LEN_MAX,
    REGISTERS_TOLD_MAX, SESSION_ROWS_MAX,
};

use super::*;
use crate::codec::{Canonical, CodecError};
use crate::samples;

fn network(text: &str, prefix_len: u8) -> Network {
    Network::new(text.parse().unwrap(), prefix_len).unwrap()
}

/// The longest text.
fn long() -> Text {
    Text::new(&"x".repeat(ANSWER_TEXT_LEN_MAX + 9))
}

#[test]
fn every_question_and_answer_goes_there_and_back() {
    let name = Text::new("cfg_toe_mode_loop");
    let asks = [
        Ask::Clock,
        Ask::Info,
        Ask::Fill(1_000),
        Ask::Absorb(Filling::zeros(3)),
        Ask::Sessions(samples::sessions_asked()),
        Ask::Counters { lane: 1 },
        Ask::Registers { lane: 1 },
        Ask::SetRegister { name: name.clone(), value: 7 },
        Ask::Events { lane: 1, after: 8 },
        Ask::Disconnect(samples::session_name()),
        samples::ban(),
        Ask::Unban(Banned::Identity(samples::key(1).public())),
        Ask::Bans,
        samples::capture(),
        Ask::Captured { lane: 1, id: 2, after: 3 },
        Ask::CaptureEnd { lane: 1, id: 2 },
    ];
    for (tag, what) in asks.into_iter().enumerate() {
        let question = Question { number: 5, what };
        assert_eq!(usize::from(question.to_bytes()[8]), tag);
        assert_eq!(Question::from_bytes(&question.to_bytes()), Ok(question));
    }
    let registers = vec![RegisterRow { name: name.clone(), value: 1, acted: 2 }];
    let bans = vec![BanRow { who: Banned::Network(samples::network()), seconds: 5, hits: 6 }];
    let tells = [
        Tell::Refused(Refusal::NotFound),
        Tell::Done,
        Tell::Clock(ClockReading { received_at_ns: 1, answered_at_ns: 2 }),
        Tell::Info(Box::new(samples::node_info())),
        Tell::Filling(Filling::zeros(9)),
        Tell::Absorbed(9),
        Tell::Sessions(samples::sessions_page()),
        Tell::Counters(CountersTold { lanes: 1, rows: vec![CounterRow { name, value: 1 }] }),
        Tell::Registers(RegistersTold { lanes: 1, rows: registers }),
        Tell::Events(samples::events_page()),
        Tell::Bans(BansTold { rows: bans }),
        Tell::Capturing(CaptureBegun { lanes: 2, id: 3 }),
        Tell::Captured(samples::capture_page()),
    ];
    for (tag, what) in tells.into_iter().enumerate() {
        let answer = Answer { number: 5, what };
        assert_eq!(usize::from(answer.to_bytes()[8]), tag);
        assert_eq!(Answer::from_bytes(&answer.to_bytes()), Ok(answer));
    }
}

#[test]
fn the_fullest_answers_fit() {
    let row = samples::session_row();
    let event = EventRow {
        peer: PeerKey::Known(samples::key(1).public()),
        reason: long(),
        ..samples::events_page().rows[0].clone()
    };
    let counter = CounterRow { name: long(), value: u64::MAX };
    let register = RegisterRow { name: long(), value: 1, acted: 1 };
    let ban = BanRow { who: Banned::Identity(samples::key(1).public()), seconds: 1, hits: 1 };
    let tells = [
        Tell::Info(Box::new(NodeInfo { software: long(), ..samples::node_info() })),
        Tell::Filling(Filling::zeros(u32::MAX)),
        Tell::Sessions(SessionsPage { rows: vec![row; SESSION_ROWS_MAX], ..samples::sessions_page() }),
        Tell::Counters(CountersTold { lanes: 1, rows: vec![counter; COUNTERS_TOLD_MAX] }),
        Tell::Registers(RegistersTold { lanes: 1, rows: vec![register; REGISTERS_TOLD_MAX] }),
        Tell::Events(EventsPage { rows: vec![event; EVENTS_TOLD_MAX], ..samples::events_page() }),
        Tell::Bans(BansTold { rows: vec![ban; BANS_MAX] }),
    ];
    for what in tells {
        let bytes = Answer { number: u64::MAX, what }.to_bytes();
        assert!(bytes.len() <= ANSWER_LEN_MAX, "{} bytes", bytes.len());
        assert!(Answer::from_bytes(&bytes).is_ok());
    }
}

#[test]
fn heads_of_captures_are_as_long_as_they_say() {
    let empty = CapturePage { rows: Vec::new(), ..samples::capture_page() };
    assert_eq!(empty.to_bytes().len(), CapturePage::HEAD_LEN);
    let row = CaptureRow { bytes: Vec::new(), ..samples::capture_page().rows[0].clone() };
    assert_eq!(row.to_bytes().len(), CaptureRow::HEAD_LEN);
}

#[test]
fn what_is_beyond_its_bounds_is_refused() {
    let rows = vec![samples::session_row(); SESSION_ROWS_MAX + 1];
    let page = SessionsPage { rows, ..samples::sessions_page() };
    assert_eq!(SessionsPage::from_bytes(&page.to_bytes()), Err(CodecError::Count));
    let filling = Filling(vec![0; PROBE_LEN_MAX + 1]);
    assert_eq!(Filling::from_bytes(&filling.to_bytes()), Err(CodecError::Count));
    let text = Text("x".repeat(ANSWER_TEXT_LEN_MAX + 1));
    assert_eq!(Text::from_bytes(&text.to_bytes()), Err(CodecError::Count));
    let mut network = network("10.0.0.0", 8).to_bytes();
    network[15] = 1;
    assert_eq!(Network::from_bytes(&network), Err(CodecError::Range), "a bit beyond the prefix");
    network[15] = 0;
    network[16] = 129;
    assert_eq!(Network::from_bytes(&network), Err(CodecError::Range));
}

#[test]
fn networks_hold_the_addresses_with_their_bits() {
    let of = network("10.1.2.3", 24);
    assert_eq!(of.to_string(), "10.1.2.0/24");
    assert!(of.contains([10, 1, 2, 200].into()) && !of.contains([10, 1, 3, 3].into()));
    assert_eq!(network("10.1.2.3", 32).to_string(), "10.1.2.3");
    let of = network("2001:db8::1", 48);
    assert_eq!(of.to_string(), "2001:db8::/48");
    assert!(of.contains("2001:db8:0:7::9".parse().unwrap()) && !of.contains([10, 1, 2, 3].into()));
    assert!(Network::ALL.contains([10, 1, 2, 3].into()) && Network::ALL.contains("::1".parse().unwrap()));
    assert_eq!(network("0.0.0.0", 0).to_string(), "0.0.0.0/0");
    assert!(!network("0.0.0.0", 0).contains("2001:db8::1".parse().unwrap()));
    assert_eq!(Network::new([10, 1, 2, 3].into(), 33), None);
}

#[test]
fn sessions_and_endpoints_are_named_in_text() {
    let name = samples::session_name();
    assert_eq!(name.to_string(), "1.77.3");
    assert_eq!("1.77.3".parse(), Ok(name));
    for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "65536.1.1"] {
        assert!(wrong.parse::<SessionName>().is_err(), "{wrong}");
    }
    assert_eq!(samples::endpoint().to_string(), "10.1.2.3:7001");
    assert_eq!(Endpoint::of("[2001:db8::1]:7".parse().unwrap()).to_string(), "[2001:db8::1]:7");
}

#[test]
fn texts_are_cut_between_characters() {
    let text = Text::new(&"ä".repeat(ANSWER_TEXT_LEN_MAX));
    assert_eq!(text.0.len(), ANSWER_TEXT_LEN_MAX);
    assert_eq!(Text::new(&format!("x{}", "ä".repeat(ANSWER_TEXT_LEN_MAX))).0.len(), ANSWER_TEXT_LEN_MAX - 1);
}

#[test]
fn a_strange_reason_still_says_goodbye() {
    let goodbye = Goodbye::because(Parting(200));
    assert_eq!(Goodbye::from_bytes(&goodbye.to_bytes()), Ok(goodbye));
    assert_eq!(goodbye.to_string(), "reason 200");
    assert_eq!(samples::goodbye().to_string(), "banned (for 599 s yet)");
    let old = Goodbye { reason: Parting::VERSION_TOO_OLD, detail: 2 };
    assert_eq!(old.to_string(), "version too old (the oldest that is understood is 2)");
}

#[test]
fn names_of_classes_and_states_follow_their_tags() {
    for (tag, class) in SessionClass::ALL.into_iter().enumerate() {
        assert_eq!(class.to_bytes(), [tag as u8]);
    }
    for (tag, state) in SessionState::ALL.into_iter().enumerate() {
        assert_eq!(state.to_bytes(), [tag as u8]);
        assert_eq!(SessionState::by_name(&state.name().to_lowercase()), Some(state));
    }
}
