//! A desk before two lanes that the test plays, and one before real lanes on virtual time.
#![allow(clippy::unwrap_used)]

use hpb_base::Instant;
use hpb_base::limits::{DESK_QUESTIONS_MAX, SESSION_ROWS_MAX};
use hpb_net::PortCounters;
use hpb_net::port::Port as _;
use hpb_net::wire::WireBuilder;
use hpb_toe::{Lane, LaneConfig, SessionId};
use hpb_types::PublicKey;
use hpb_types::message::diagnose::{
    Answer, Ask, BanRow, Banned, BansTold, Network, Question, Refusal, SessionFilter, SessionName, SessionsAsked, Tell,
    Text,
};

use super::*;
use crate::runtime::{Parker, Receiver, Sender, link};
use crate::topology::WhenFull;

const REMOTE: Asked = Asked::Remote(SessionId { index: 5, generation: 1 });

fn pair<T>(depth: usize) -> (Sender<T>, Receiver<T>) {
    let parker = Parker::new().unwrap();
    link(depth, WhenFull::BackPressure, parker.clone(), parker)
}

/// The desk's and the lane's ends of one lane's links.
fn ends(depth: usize) -> (LaneEnds, (Receiver<LaneAsk>, Sender<LaneTold>)) {
    let (questions, asked) = pair(depth);
    let (told, answers) = pair(depth);
    (LaneEnds { questions, answers }, (asked, told))
}

fn who(host: u8) -> Banned {
    Banned::Network(Network::new([10, 0, 0, host].into(), 32).unwrap())
}

fn question(number: u64, what: Ask) -> Question {
    Question { number, what }
}

struct Played {
    desk: Desk,
    lanes: Vec<(Receiver<LaneAsk>, Sender<LaneTold>)>,
}

impl Played {
    fn new(lanes: usize, depth: usize) -> Self {
        let (ends, lanes) = (0..lanes).map(|_| ends(depth)).unzip();
        Self { desk: Desk::new(ends), lanes }
    }

    fn asked(&mut self, lane: usize) -> Option<LaneAsk> {
        self.lanes[lane].0.pop()
    }

    /// A lane answers its next question.
    fn tell(&mut self, lane: usize, what: Tell) {
        let LaneAsk { number, .. } = self.asked(lane).unwrap();
        self.lanes[lane].1.try_send(LaneTold { number, what }).unwrap();
    }
}

#[test]
fn a_question_goes_to_its_lane_and_the_answer_to_whoever_asked() {
    let mut played = Played::new(2, 4);
    assert_eq!(played.desk.ask(Asked::Local(7), question(70, Ask::Counters { lane: 1 })), None);
    assert_eq!(played.desk.ask(REMOTE, question(70, Ask::Events { lane: 0, after: 3 })), None);
    assert_eq!(played.desk.take(), None);
    played.tell(1, Tell::Absorbed(1));
    played.tell(0, Tell::Absorbed(2));
    let mut taken: Vec<_> = std::iter::from_fn(|| played.desk.take()).collect();
    taken.sort_by_key(|(asked, _)| *asked == REMOTE);
    let answer = |len| Answer { number: 70, what: Tell::Absorbed(len) };
    assert_eq!(taken, [(Asked::Local(7), answer(1)), (REMOTE, answer(2))]);
    assert_eq!(played.desk.waiting(), 0);
}

#[test]
fn what_concerns_all_lanes_is_answered_once_by_all() {
    let mut played = Played::new(3, 4);
    let ban = Ask::Ban { who: who(1), seconds: 9 };
    let unban = Ask::Unban(who(1));
    let refused = Tell::Refused;
    let table = [
        (ban.clone(), [Tell::Done, Tell::Done, Tell::Done], Tell::Done),
        (ban, [Tell::Done, refused(Refusal::Full), Tell::Done], refused(Refusal::Full)),
        (unban.clone(), [refused(Refusal::NotFound), Tell::Done, refused(Refusal::NotFound)], Tell::Done),
        (unban, [Refusal::NotFound; 3].map(Tell::Refused), refused(Refusal::NotFound)),
    ];
    for (number, (ask, tells, expected)) in table.into_iter().enumerate() {
        assert_eq!(played.desk.ask(REMOTE, question(number as u64, ask)), None);
        for (lane, tell) in tells.into_iter().enumerate() {
            assert_eq!(played.desk.take(), None, "lane {lane} has not answered");
            played.tell(lane, tell);
        }
        assert_eq!(played.desk.take(), Some((REMOTE, Answer { number: number as u64, what: expected })));
    }
    assert_eq!(played.desk.ask(REMOTE, question(9, Ask::Bans)), None);
    for hits in 0..3 {
        played.tell(hits, Tell::Bans(BansTold { rows: vec![BanRow { who: who(1), seconds: 9, hits: hits as u64 }] }));
    }
    let Some((_, Answer { what: Tell::Bans(told), .. })) = played.desk.take() else { panic!("no bans") };
    assert_eq!(told.rows, [BanRow { who: who(1), seconds: 9, hits: 3 }]);
}

#[test]
fn what_finds_no_room_is_refused_and_what_is_not_there_too() {
    let mut played = Played::new(2, 2);
    let refusal = |answer: Option<Answer>| match answer {
        Some(Answer { what: Tell::Refused(refusal), .. }) => Some(refusal),
        _ => None,
    };
    for _ in 0..2 {
        assert_eq!(played.desk.ask(REMOTE, question(1, Ask::Counters { lane: 1 })), None);
    }
    assert_eq!(refusal(played.desk.ask(REMOTE, question(1, Ask::Counters { lane: 1 }))), Some(Refusal::Busy));
    assert_eq!(refusal(played.desk.ask(REMOTE, question(1, Ask::Bans))), Some(Refusal::Busy), "one of them is full");
    assert!(played.asked(0).is_none(), "then none is asked");
    assert_eq!(refusal(played.desk.ask(REMOTE, question(1, Ask::Counters { lane: 2 }))), Some(Refusal::NotFound));
    assert_eq!(refusal(played.desk.ask(REMOTE, question(1, Ask::Info))), Some(Refusal::NotHere));
    let mut played = Played::new(1, DESK_QUESTIONS_MAX + 9);
    for _ in 0..DESK_QUESTIONS_MAX {
        assert_eq!(played.desk.ask(REMOTE, question(1, Ask::Counters { lane: 0 })), None);
    }
    assert_eq!(refusal(played.desk.ask(REMOTE, question(1, Ask::Counters { lane: 0 }))), Some(Refusal::Busy));
}

#[test]
fn a_lane_answers_one_question_a_turn_and_holds_an_answer_without_room() {
    let mut wire = WireBuilder::new(1);
    wire.port(&[[10, 0, 0, 1].into()]);
    let port = wire.build().unwrap().remove(0);
    let now = Instant::from_millis(5);
    let config = LaneConfig::new(vec![([10, 0, 0, 1].into(), 24)], None, [1; 32]);
    let mut lane = Lane::new(config, port.capabilities(), now).unwrap();
    let ((mut questions, asked), (told, mut answers)) = (pair(16), pair(1));
    let mut desk = LaneDesk::new((0, 1), asked, told);
    let counters = PortCounters::default();
    assert!(!desk.serve(now, &mut lane, &counters));
    let name = Text::new("cfg_toe_mode_loop");
    let asks = [
        Ask::SetRegister { name: name.clone(), value: 3 },
        Ask::Registers { lane: 0 },
        Ask::SetRegister { name: Text::new("cfg_none"), value: 3 },
        Ask::Disconnect(SessionName { lane: 0, index: 9, generation: 9 }),
        Ask::Ban { who: Banned::Identity(PublicKey([1; 32])), seconds: 0 },
        Ask::Events { lane: 0, after: 0 },
        Ask::Sessions(SessionsAsked { lane: 0, from: 0, most: SESSION_ROWS_MAX as u16, filter: SessionFilter::ALL }),
        Ask::Counters { lane: 0 },
        Ask::Clock,
    ];
    for (number, what) in asks.into_iter().enumerate() {
        questions.try_send(LaneAsk { number: number as u64, asked: REMOTE, what }).unwrap();
    }
    assert!(desk.serve(now, &mut lane, &counters) && desk.serve(now, &mut lane, &counters));
    assert!(!desk.serve(now, &mut lane, &counters), "the second answer waits for room, and so do the others");
    let mut told = Vec::new();
    while let Some(LaneTold { what, .. }) = answers.pop() {
        told.push(what);
        desk.serve(now, &mut lane, &counters);
    }
    assert_eq!(told.len(), 9);
    assert_eq!(told[0], Tell::Done);
    let Tell::Registers(registers) = &told[1] else { panic!("{:?}", told[1]) };
    assert!(registers.rows.iter().any(|row| row.name == name && row.value == 3));
    assert_eq!(told[2..5], [Tell::Refused(Refusal::NotFound), Tell::Refused(Refusal::NotFound), Tell::Done]);
    let Tell::Events(events) = &told[5] else { panic!("{:?}", told[5]) };
    assert_eq!(events.rows.len(), 2, "the register and the ban");
    let Tell::Sessions(page) = &told[6] else { panic!("{:?}", told[6]) };
    assert!(page.rows.is_empty() && page.held == 0);
    let Tell::Counters(counters) = &told[7] else { panic!("{:?}", told[7]) };
    assert!(counters.rows.iter().any(|row| row.name.0 == "held: sessions"));
    assert_eq!(told[8], Tell::Refused(Refusal::NotHere));
}
