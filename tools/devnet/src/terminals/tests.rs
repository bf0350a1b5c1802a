#![allow(clippy::unwrap_used)]

mod world;

use hpb_toe::CloseReason;
use hpb_types::{Amount, Digest, Fees, SliceRef, Status};

use super::*;
use crate::report::Level;
use world::{Manners, POLITE, PORT, Plan, World, address, config, fixed, genesis, plan};

fn level_counts(terminals: &Terminals) -> [u64; 5] {
    Level::ALL.map(|level| terminals.measurements().level(level).count())
}

#[test]
fn every_level_is_recorded_for_every_transaction() {
    let mut world = World::play(&plan(20, fixed(200)), 3);
    world.assert_all_final();
    let pongs = std::mem::take(&mut world.node.pongs);
    assert_eq!(pongs, [9; 20]);
    let terminals = world.terminals();
    let sessions = SessionCounters { target: 20, established: 20, open: 20, ..SessionCounters::default() };
    assert_eq!(*terminals.sessions(), sessions);
    assert_eq!(terminals.establish().count(), 20);
    assert!(terminals.established_after().unwrap() > Duration::from_millis(6), "three crossings at least");
    let counters = *terminals.counters();
    assert_eq!((counters.submitted, counters.accepted, counters.finals), (600, 600, 600));
    assert_eq!(level_counts(terminals), [600; 5]);
    let latencies = terminals.measurements().latencies().by_level();
    assert!(latencies.is_sorted_by_key(|quantiles| quantiles.p50));
    // There and back again takes 4 ms; a slice comes within 50 ms, and each next level 50 to 100 ms later.
    assert!((4_000..5_000).contains(&latencies[0].p50), "{latencies:?}");
    assert!((4_000..60_000).contains(&latencies[1].p50), "{latencies:?}");
    assert!((100_000..170_000).contains(&latencies[2].p50), "{latencies:?}");
    assert!((200_000..270_000).contains(&latencies[4].max), "{latencies:?}");
    let charts = terminals.measurements().charts();
    assert!(charts.seconds[..3].iter().all(|second| second.submitted == 200));
    assert_eq!(charts.seconds.iter().map(|second| second.finals).sum::<u64>(), 600);
    let digests = terminals.digests();
    assert!(digests.len() >= 99 && counters.digests >= 20 * digests.len() as u64);
    let (last, whole) = digests.split_last().unwrap();
    assert!(whole.iter().all(|digest| digest.arrivals == 20 && digest.sent_at.is_some()) && last.arrivals <= 20);
    let broadcast = broadcast_us(&[digests]);
    assert!((2_000..3_000).contains(&broadcast.first) && broadcast.first <= broadcast.last, "{broadcast:?}");
    let progress = terminals.progress();
    assert_eq!((progress.sessions, progress.transactions, progress.outstanding), (sessions, counters, 0));
    assert_eq!((progress.rate_tps, terminals.digest_interval_ms_max(), terminals.confirm_k()), (0, 50, 2));
    assert!(progress.final_height > Height::new(1, 90));
    assert!(terminals.has_submitted() && terminals.found_tps().is_none());
}

#[test]
fn latency_runs_from_the_intended_time() {
    // Submission starts with the first call: the handshakes are part of the first ones' latency.
    let mut world = World::new(&plan(10, fixed(1_000)));
    world.begin(Duration::from_millis(500));
    world.run_for(Duration::from_secs(2));
    world.assert_all_final();
    let terminals = world.terminals();
    assert_eq!(terminals.counters().submitted, 500);
    let took = terminals.established_after().unwrap().as_micros();
    let received = terminals.measurements().latencies().received;
    assert!(received.max >= took && received.p50 < 5_000, "{received:?} against {took}");
}

#[test]
fn what_is_retracted_is_included_again_and_final_once() {
    let manners = Manners { retracts_every: Some(7), ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(200)) }, 3);
    world.assert_all_final();
    let terminals = world.terminals();
    assert!(terminals.counters().retracted > 20);
    assert_eq!((terminals.counters().finals, level_counts(terminals)), (600, [600; 5]));
}

#[test]
fn sessions_come_back_and_lose_nothing() {
    // All sessions end in the middle, and what was included before is retracted while they are away.
    let manners = Manners { closes_at: Some(50), retracts_every: Some(17), ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(400)) }, 4);
    world.assert_all_final();
    let terminals = world.terminals();
    let sessions = *terminals.sessions();
    assert_eq!((sessions.established, sessions.lost, sessions.reconnected, sessions.open), (10, 10, 10, 10));
    let counters = *terminals.counters();
    assert_eq!((counters.submitted, counters.finals, counters.rejected, counters.shed), (1_600, 1_600, 0, 0));
    assert!(counters.resent > 0);
    assert_eq!(level_counts(terminals), [1_600; 5]);
}

#[test]
fn what_the_node_refuses_or_drops_is_counted_by_reason() {
    let manners = Manners { is_picky: true, ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(200)) }, 2);
    world.assert_all_final();
    let terminals = world.terminals();
    let counters = *terminals.counters();
    let overdrawn = terminals.rejections()[&RejectReason::Overdrawn];
    assert!(overdrawn > 50 && counters.expired > 20, "{counters:?}");
    assert_eq!((overdrawn, terminals.rejections().len()), (counters.rejected, 1));
    assert_eq!(counters.submitted, counters.accepted + counters.rejected);
}

#[test]
fn one_seed_one_run() {
    let run = |seed| {
        let manners = Manners { closes_at: Some(40), retracts_every: Some(9), ..POLITE };
        let mut world = World::play(&Plan { seed, manners, ..plan(8, fixed(150)) }, 2);
        world.assert_all_final();
        let terminals = world.terminals();
        let figures = (terminals.measurements().latencies(), *terminals.counters(), terminals.digests());
        (world.node.heard, figures)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn cards_share_one_run() {
    let mut world = World::play(&Plan { cards: 3, ..plan(10, fixed(300)) }, 2);
    world.assert_all_final();
    let (mut counters, mut sessions) = (Counters::default(), SessionCounters::default());
    for card in &world.cards {
        counters.merge(card.terminals.counters());
        sessions.merge(card.terminals.sessions());
        assert!(card.terminals.counters().submitted > 0);
    }
    assert_eq!((counters.submitted, counters.finals), (600, 600));
    assert_eq!((sessions.target, sessions.established, sessions.lost), (10, 10, 0));
    let cards: Vec<_> = world.cards.iter().map(|card| card.terminals.digests()).collect();
    assert!(broadcast_us(&cards).last >= 2_000);
}

#[test]
fn the_highest_rate_is_found() {
    let manners = Manners { slice_max: 20, mempool_max: 40, ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(20, Pace::Max) }, 20);
    world.assert_all_final();
    let terminals = world.terminals();
    let found = terminals.found_tps().unwrap();
    assert!((320..=440).contains(&found), "20 a slice are 400 a second, not {found}");
    assert!(terminals.rejections()[&RejectReason::MempoolFull] > 0);
}

#[test]
fn what_a_session_is_too_slow_for_waits_and_then_is_shed() {
    // A session holds 2 KiB under way, which is some 1,400 transfers a second at 4 ms there and back.
    let mut world = World::play(&plan(1, fixed(4_000)), 3);
    world.run_for(Duration::from_secs(3));
    world.assert_all_final();
    let terminals = world.terminals();
    let counters = *terminals.counters();
    assert_eq!(counters.submitted + counters.shed, 12_000);
    assert!(counters.shed > 1_000 && counters.submitted > TERMINAL_QUEUE_MAX as u64, "{counters:?}");
    assert_eq!((counters.finals, terminals.sessions().lost), (counters.submitted, 0));
    let received = terminals.measurements().latencies().received;
    assert!(received.max > 1_000_000, "what waits is late: {received:?}");
}

/// Terminals with one session, without a wire.
fn alone() -> (Terminals, SessionId) {
    let mut terminals = Terminals::new(&genesis(), config(&plan(3, fixed(10)), 0)).unwrap();
    let session = SessionId { index: 0, generation: 0 };
    let opened = Event::Opened {
        session,
        peer: None,
        remote: SocketAddr::new(address(0), PORT),
        class: Class::Uplink,
        called: true,
        tag: 1,
        took: Duration::from_millis(1),
    };
    terminals.event(Instant::ZERO, opened);
    (terminals, session)
}

#[test]
fn any_bytes_are_counted_and_change_nothing() {
    let (mut terminals, session) = alone();
    let strange = hello(ChainId(Hash::ZERO));
    let unknown = TransactionStatus { id: Hash::ZERO, status: Status::Expired }.to_bytes();
    let empty = Digest {
        slices: Vec::new(),
        final_slice: SliceRef { height: Height::new(1, 1), id: Hash::ZERO },
        interval_ms: 1,
    };
    let digest = empty.to_bytes();
    let messages: [(u8, &[u8]); 8] = [
        (kind::DIGEST, b"no digest"),
        (kind::DIGEST, &digest[..digest.len() - 1]),
        (kind::TRANSACTION_STATUS, b""),
        (kind::TRANSACTION_STATUS, &unknown),
        (kind::HELLO, &strange),
        (kind::PONG, &[0; 8]),
        (kind::CONFIRM, &[7; 99]),
        (255, b""),
    ];
    for tag in [1, 2, 3, u64::MAX] {
        for (kind, body) in messages {
            terminals.event(Instant::ZERO, Event::Message { session, tag, kind, body });
        }
    }
    let counters = Counters { digests: 2, statuses: 1, unknown: 1, malformed: 7, ..Counters::default() };
    assert_eq!(*terminals.counters(), counters, "tags without that session say nothing");
    let stale = SessionId { index: 0, generation: 9 };
    let reason = CloseReason::Remote;
    terminals.event(Instant::ZERO, Event::Closed { session: stale, tag: 1, reason, was_open: true });
    terminals.event(Instant::ZERO, Event::Closed { session, tag: 2, reason, was_open: false });
    assert_eq!((terminals.sessions().open, terminals.sessions().calls_failed), (1, 1));
    terminals.event(Instant::ZERO, Event::Closed { session, tag: 1, reason, was_open: true });
    assert_eq!((terminals.sessions().open, terminals.sessions().lost), (0, 1));
}

#[test]
fn calls_are_placed_a_few_a_turn() {
    let mut world = World::new(&plan(20, fixed(1)));
    let card = &mut world.cards[0];
    let mut turns = 0;
    while card.terminals.poll(world.now, &mut card.lane) {
        turns += 1;
    }
    assert_eq!(turns, 20_usize.div_ceil(CALLS_PER_TURN));
    assert_eq!(card.terminals.wake_at(), None);
}

#[test]
fn a_set_up_that_cannot_be_is_refused() {
    let good = config(&plan(3, fixed(10)), 0);
    let refused = |change: fn(&mut TerminalsConfig)| {
        let mut config = good.clone();
        change(&mut config);
        Terminals::new(&genesis(), config).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|config| config.addresses.clear()), Some(TerminalsError::NoAddress));
    let count = |terminals| Some(TerminalsError::Terminals { terminals, addresses: 1 });
    assert_eq!(refused(|config| config.terminals = 3..3), count(0));
    assert_eq!(refused(|config| config.terminals = 0..64_513), count(64_513));
    let dear = Genesis { fees: Fees { per_byte: Amount(u128::MAX), ..Fees::NONE }, ..genesis() };
    assert_eq!(Terminals::new(&dear, good).err(), Some(TerminalsError::Fee));
}
