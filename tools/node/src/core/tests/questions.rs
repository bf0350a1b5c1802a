//! What peers may ask, and how a node parts from those with whom it cannot go on.

use hpb_types::message::Standing;
use hpb_types::message::diagnose::{Answer, Ask, Filling, Goodbye, Parting, Question, Refusal, Tell};

use super::*;

/// A session of somebody's with node 0.
struct Guest {
    world: World,
    session: SessionId,
}

impl Guest {
    fn new(peer: PublicKey, class: Class) -> Self {
        let mut world = World::new(2);
        world.run_for(Duration::from_millis(700));
        let session = SessionId { index: 500, generation: 0 };
        world.give(0, Input::Opened { session, peer: Some(peer), class });
        let mut guest = Self { world, session };
        guest.said();
        guest
    }

    /// What node 0 says, all of it.
    fn said(&mut self) -> Vec<Output> {
        let node = self.world.nodes[0].as_mut().unwrap();
        std::iter::from_fn(|| node.core.poll(self.world.now)).collect()
    }

    fn ask(&mut self, what: Ask) -> Vec<Output> {
        let message = Message::Question(Question { number: 4, what });
        self.say(&message)
    }

    fn say(&mut self, message: &Message) -> Vec<Output> {
        let (session, kind, body) = (self.session, message.kind(), message.encode());
        self.world.give(0, Input::Message { session, kind, body });
        self.said()
    }

    /// The answers among what is said.
    fn answers(outputs: &[Output]) -> Vec<Tell> {
        let messages = outputs.iter().filter_map(|output| match output {
            Output::Card(Command::Send { message, .. }) => Message::decode(message[4], &message[5..]).ok(),
            _ => None,
        });
        let answers = messages.filter_map(|message| match message {
            Message::Answer(answer) if answer.number == 4 => Some(answer.what),
            _ => None,
        });
        answers.collect()
    }
}

/// The goodbyes among what is said, and to whom.
fn goodbyes(outputs: &[Output]) -> Vec<(SessionId, Goodbye)> {
    let goodbyes = outputs.iter().filter_map(|output| match output {
        Output::Card(Command::Part { session, goodbye }) => Some((*session, *goodbye)),
        _ => None,
    });
    goodbyes.collect()
}

#[test]
fn a_terminal_may_ask_for_clock_and_standing_and_not_about_the_card() {
    let mut guest = Guest::new(keys(9, 5).public(), Class::Terminal);
    let [Tell::Clock(reading)] = Guest::answers(&guest.ask(Ask::Clock))[..] else { panic!("no clock") };
    assert_eq!(reading.received_at_ns, WALL_AT_ZERO * 1_000_000 + guest.world.now.as_nanos());
    let told = Guest::answers(&guest.ask(Ask::Info));
    let [Tell::Info(info)] = &told[..] else { panic!("no info") };
    assert_eq!((info.chain, info.roles), (guest.world.genesis.chain_id(), Roles::TERMINAL));
    assert_eq!((info.validators, info.terminals, info.mesh), (1, 2, 2));
    assert!(info.head > Height::new(0, 0) && info.software.0.starts_with("hpb "));
    assert_eq!(info.uptime_ms, 700);
    assert_eq!(Guest::answers(&guest.ask(Ask::Fill(7)))[..], [Tell::Filling(Filling::zeros(7))]);
    assert_eq!(Guest::answers(&guest.ask(Ask::Absorb(Filling::zeros(9))))[..], [Tell::Absorbed(9)]);
    for what in [Ask::Bans, Ask::Counters { lane: 0 }, Ask::Events { lane: 0, after: 0 }] {
        let outputs = guest.ask(what);
        assert_eq!(Guest::answers(&outputs)[..], [Tell::Refused(Refusal::Role)]);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Ask { .. })));
    }
    // A desk that answers whom it should not is not heard.
    let answer = Box::new(Answer { number: 4, what: Tell::Done });
    guest.world.give(0, Input::Answered { session: guest.session, answer });
    assert!(Guest::answers(&guest.said()).is_empty());
}

#[test]
fn an_onlooker_asks_the_cards_desk_whatever_the_port_it_called() {
    for class in [Class::Terminal, Class::Validator] {
        let mut guest = Guest::new(ONLOOKER, class);
        let outputs = guest.ask(Ask::Bans);
        let asked = outputs.iter().filter(|output| matches!(output, Output::Ask { .. })).count();
        assert_eq!(asked, 1);
        let answer = Box::new(Answer { number: 4, what: Tell::Done });
        guest.world.give(0, Input::Answered { session: guest.session, answer });
        assert_eq!(Guest::answers(&guest.said())[..], [Tell::Done]);
    }
}

#[test]
fn strangers_to_the_chain_and_the_version_are_told_why_they_are_left() {
    let mut guest = Guest::new(keys(9, 5).public(), Class::Terminal);
    let hello = Hello {
        version: PROTOCOL_VERSION,
        chain: guest.world.genesis.chain_id(),
        roles: Roles::TERMINAL,
        head: Height::new(0, 0),
        final_slice: guest.world.genesis.genesis_slice(),
    };
    assert!(goodbyes(&guest.say(&Message::Hello(hello))).is_empty());
    let other = Hello { chain: ChainId(Hash([9; 32])), ..hello };
    let expected = [(guest.session, Goodbye::because(Parting::WRONG_CHAIN))];
    assert_eq!(goodbyes(&guest.say(&Message::Hello(other))), expected);
    let old = Hello { version: PROTOCOL_VERSION_OLDEST - 1, ..hello };
    let detail = PROTOCOL_VERSION_OLDEST.into();
    let expected = [(guest.session, Goodbye { reason: Parting::VERSION_TOO_OLD, detail })];
    assert_eq!(goodbyes(&guest.say(&Message::Hello(old))), expected);
    let expected = [(guest.session, Goodbye::because(Parting::BROKEN))];
    assert_eq!(
        goodbyes(&guest.say(&Message::Standing(Standing { final_slice: hello.final_slice, from: Slot(1) }))),
        expected
    );
}

#[test]
fn a_validators_second_session_takes_the_place_of_its_first() {
    let mut world = World::new(2);
    world.run_for(Duration::from_millis(700));
    let second = SessionId { index: 1, generation: 1 };
    let peer = Some(keys(4, 1).public());
    world.give(0, Input::Opened { session: second, peer, class: Class::Validator });
    let node = world.nodes[0].as_mut().unwrap();
    let outputs: Vec<Output> = std::iter::from_fn(|| node.core.poll(world.now)).collect();
    assert_eq!(goodbyes(&outputs), [(session(1), Goodbye::because(Parting::DUPLICATE_IDENTITY))]);
    world.give(0, Input::Closed { session: session(1) });
    assert_eq!(world.core(0).validators_open(), 1);
    // Another one of the same keys as a terminal is none of the mesh.
    world.give(0, Input::Opened { session: SessionId { index: 7, generation: 0 }, peer, class: Class::Terminal });
    let node = world.nodes[0].as_mut().unwrap();
    let outputs: Vec<Output> = std::iter::from_fn(|| node.core.poll(world.now)).collect();
    assert!(goodbyes(&outputs).is_empty());
}
