//! What measurements over several hosts read: a NATS server's lines, orders, answers, and readings of clocks.

use std::path::PathBuf;

use hpb_base::limits::{AGENT_MESSAGE_LEN_MAX, NATS_PAYLOAD_LEN_MAX};
use hpb_lab::agent::clock::{Exchange, Line};
use hpb_lab::agent::nats::NatsUrl;
use hpb_lab::agent::nats::protocol::{Event, Malformed, Reader};
use hpb_lab::agent::parts::{Parts, cut};
use hpb_lab::agent::together::{Whole, one_way, record};
use hpb_lab::agent::words::{AgentFacts, Order, SentTold, Told};
use hpb_lab::record::{Buckets, Cost, Counts, Repeat, Series, Step, parse, text};
use hpb_lab::report::{Style, page, terminal};
use hpb_lab::scenario::Scenario;
use hpb_lab::scenario::file::parse as parse_scenario;
use hpb_lab::scenario::library::named;

use super::input::Input;
use super::stream::cut_at;

/// The scenario that agents carry here: its messages go one way.
const SCENARIO: &str = "one-way-hosts";
/// The exchange's own readings at the client.
const ASKED: i64 = 1_000_000;
const HEARD: i64 = 2_000_000;

/// A stream of a NATS server's: first the places to cut at, then the stream. Its text is read as a server's place too.
///
/// # Panics
/// If cutting elsewhere gives other events, one is longer than may be, or a place is read otherwise than it is written.
pub fn nats(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cuts = input.byte().unwrap_or(0);
    let cuts = input.take(usize::from(cuts));
    let stream = input.take(usize::MAX);
    let whole = heard(&[stream]);
    assert_eq!(whole, heard(&cut_at(stream, cuts)), "events do not depend on the cuts");
    for event in whole.0 {
        match event {
            Event::Message { subject, payload, .. } => {
                assert!(payload.len() <= NATS_PAYLOAD_LEN_MAX && !subject.contains(char::is_whitespace));
            }
            Event::Refused(reason) => assert!(!reason.contains(char::is_control)),
            Event::Info(_) | Event::Ping | Event::Pong | Event::Ok => {}
        }
    }
    if let Ok(url) = NatsUrl::parse(&String::from_utf8_lossy(stream)) {
        let again = NatsUrl::parse(&url.to_string()).unwrap();
        assert_eq!((again.host, again.port), (url.host, url.port));
    }
}

/// Feeds the pieces: the events, and what ended them.
fn heard(pieces: &[&[u8]]) -> (Vec<Event>, Option<Malformed>) {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// What a conductor and agents say to each other: the first byte says which kind of it.
///
/// # Panics
/// If what was read is not read again as it is written, a message is not whole again, an exchange is believed that was
/// not asked for, or a record of what agents told cannot be read.
pub fn agents(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => ordered(bytes),
        1 => told(bytes),
        2 => in_parts(bytes),
        3 => exchanged(bytes),
        _ => counted(bytes),
    }
}

fn ordered(bytes: &[u8]) {
    let Some(order) = Order::read(bytes) else { return };
    match &order {
        Order::Serve { scenario, .. } | Order::Send { scenario, .. } => drop(parse_scenario(scenario)),
        Order::Judge { clients, .. } => {
            for (line, begin_ns) in clients {
                follow(line, begin_ns.cast_signed());
            }
        }
        Order::Call { .. } | Order::Start { .. } | Order::End { .. } => {}
    }
    assert!(Order::read(&serde_json::to_vec(&order).unwrap()).is_some());
}

fn follow(line: &Line, at: i64) {
    for reading in [at, line.reference_ns, i64::MIN, 0, i64::MAX] {
        line.server_at(reading);
        line.client_at(reading);
    }
}

fn told(bytes: &[u8]) {
    let Some(told) = Told::read(bytes) else { return };
    assert!(Told::read(&serde_json::to_vec(&told).unwrap()).is_some());
    let (own, scenario) = (facts(), scenario());
    match told {
        Told::Here(facts) => shown(&scenario, &facts, &[facts.clone(), own], &[Whole::default()]),
        Told::Ready { line, server_ns, .. } => follow(&line, server_ns),
        Told::Sent(sent) => {
            let SentTold { line, host_line, repeat, .. } = *sent;
            follow(&host_line, 0);
            let whole = Whole { repeats: vec![repeat.clone(), repeat], lines: vec![line; 2] };
            shown(&scenario, &own, &[own.clone(), facts()], &[whole.clone(), whole]);
        }
        Told::Judged { repeats, cpu_ns, .. } => {
            let repeats = repeats.into_iter().take(2).map(|judged| one_way(judged.clone(), judged, cpu_ns)).collect();
            shown(&scenario, &own, &[facts(), facts()], &[Whole { repeats, lines: Vec::new() }]);
        }
        Told::Serving { .. } | Told::Failed { .. } => {}
    }
}

/// An answer of these numbers: text seldom stays one when it is changed somewhere, but any numbers are.
fn counted(bytes: &[u8]) {
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let mut word = || words.next().unwrap_or(u64::MAX);
    let line = Line {
        reference_ns: word().cast_signed(),
        offset_ns: word().cast_signed(),
        // No other number is one of JSON's.
        drift_ppb: Some(f64::from_bits(word())).filter(|drift| drift.is_finite()).unwrap_or(0.0),
        error_ns: word(),
        exchanges: word(),
        round_trip_ns: word(),
    };
    let step = |word: &mut dyn FnMut() -> u64| Step {
        expected: word(),
        arrived: word(),
        p50_ns: word(),
        p99_ns: word(),
        max_ns: word(),
        bands: vec![(word() as u32, word()), (word() as u32, word())],
    };
    let repeat = Repeat {
        began_ns: word(),
        measured_ns: word(),
        latency: Buckets(vec![(word(), word()), (word(), word())]),
        service: Buckets(vec![(word(), word())]),
        counts: Counts {
            intended: word(),
            sent: word(),
            expected: word(),
            arrived: word(),
            lost: word(),
            duplicated: word(),
            out_of_order: word(),
            retransmitted: word(),
            frames_lost: word(),
            sessions_lost: word(),
        },
        cost: Cost { cpu_ns: word(), stamp_ns: word(), stamps: word() },
        series: Series { step_ns: word(), steps: vec![step(&mut word), step(&mut word)] },
        ..Repeat::default()
    };
    let (job, begin_ns) = (word(), word());
    let judged = Told::Judged { job, repeats: vec![repeat.clone(), repeat.clone()], cpu_ns: word() };
    let sent = Told::Sent(Box::new(SentTold { job, line, host_line: line, begin_ns, repeat }));
    for one in [sent, judged] {
        told(&serde_json::to_vec(&one).unwrap());
    }
}

fn scenario() -> Scenario {
    parse_scenario(named(SCENARIO).unwrap().text).unwrap()
}

/// An agent that says nothing of note.
fn facts() -> AgentFacts {
    AgentFacts {
        name: "south".to_owned(),
        instance: "0".to_owned(),
        version: String::new(),
        words: 1,
        host: String::new(),
        address: [10, 0, 0, 1].into(),
        machine: String::new(),
        discipline: String::new(),
        planted: hpb_lab::agent::clock::AgentClock::default(),
    }
}

/// Makes the record, shows it, and reads it again. Agents have names of their own: a meeting sees to that.
fn shown(scenario: &Scenario, server: &AgentFacts, clients: &[AgentFacts], wholes: &[Whole]) {
    let mut clients = clients.to_vec();
    if clients[0].name == clients[1].name {
        clients[1].name.push('2');
    }
    let record = record(scenario, String::new(), 0, server, &clients, wholes);
    let file = text(&record).unwrap();
    parse(file.as_bytes(), PathBuf::from("result.json")).unwrap();
    let shown = terminal(&record, Style::default());
    assert!(!shown.contains(|one: char| one.is_control() && one != '\n'));
    assert!(!page(&record).contains("NaN"));
}

/// Parts as they come, each behind its length; and all of them as one message, cut and put together again.
fn in_parts(bytes: &[u8]) {
    let (mut parts, mut input) = (Parts::default(), Input::new(bytes));
    while let Some(len) = input.byte() {
        if let Some(message) = parts.take(input.take(usize::from(len))) {
            assert!(message.len() <= AGENT_MESSAGE_LEN_MAX);
        }
    }
    let len_max = 193 + usize::from(bytes.first().copied().unwrap_or(0));
    let pieces = cut("sender", 7, bytes, len_max);
    let (last, before) = pieces.split_last().unwrap();
    for piece in before {
        assert!(piece.len() <= len_max);
        assert_eq!(parts.take(piece), None);
    }
    assert_eq!(parts.take(last).as_deref(), Some(bytes));
}

/// An answer to a question, and the clock that many of them tell.
fn exchanged(bytes: &[u8]) {
    let own = Exchange::question(1, ASKED);
    if let Some(exchange) = Exchange::ended(bytes, 1, ASKED, HEARD) {
        assert_eq!(Exchange::answer(own, exchange.received, exchange.answered), bytes);
        assert_eq!((exchange.asked, exchange.heard), (ASKED, HEARD));
    }
    let (words, _) = bytes.as_chunks::<8>();
    let words: Vec<i64> = words.iter().map(|word| i64::from_le_bytes(*word)).collect();
    let (exchanges, _) = words.as_chunks::<4>();
    let exchanges: Vec<Exchange> = exchanges
        .iter()
        .map(|[asked, received, answered, heard]| Exchange {
            asked: *asked,
            received: *received,
            answered: *answered,
            heard: *heard,
        })
        .collect();
    if let Some(line) = Line::through(&exchanges) {
        follow(&line, ASKED);
        line.found();
    }
}
