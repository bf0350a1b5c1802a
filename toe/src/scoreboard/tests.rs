use super::*;

const MSS: u32 = 1_000;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// So many segments, a millisecond apart, from number 0 on.
fn sent(count: u32) -> Scoreboard {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.set_sack(true);
    for n in 0..count {
        assert!(!scoreboard.on_sent(at(n.into()), n * MSS, (n + 1) * MSS));
    }
    scoreboard
}

fn ack(scoreboard: &mut Scoreboard, ms: u64, ack: u32, blocks: &[(u32, u32)]) -> bool {
    scoreboard.on_ack(at(ms), ack, blocks.iter().copied());
    scoreboard.find_losses(at(ms), false)
}

#[test]
fn what_is_acknowledged_in_order_leaves_nothing() {
    let mut scoreboard = sent(3);
    assert!(!ack(&mut scoreboard, 10, MSS, &[]));
    assert_eq!((scoreboard.first(), scoreboard.flight_len(), scoreboard.pipe_len()), (MSS, 2 * MSS, 2 * MSS));
    assert_eq!(scoreboard.on_ack(at(12), 3 * MSS, [].into_iter()), 2 * MSS);
    assert_eq!((scoreboard.flight_len(), scoreboard.look_at()), (0, None));
}

#[test]
fn a_hole_is_lost_after_a_quarter_of_a_round_trip() {
    let mut scoreboard = sent(2);
    // The second arrived after 20 ms: the first, sent at 0, is late from 20 ms on and lost 5 ms later.
    assert!(!ack(&mut scoreboard, 21, 0, &[(MSS, 2 * MSS)]));
    assert_eq!((scoreboard.delivered_len(), scoreboard.pipe_len()), (MSS, MSS));
    assert_eq!(scoreboard.look_at(), Some(at(25)));
    assert!(scoreboard.find_losses(at(25), false));
    assert_eq!((scoreboard.first_lost(), scoreboard.lost_len(), scoreboard.pipe_len()), (Some(0), MSS, 0));
    assert_eq!(scoreboard.look_at(), None);
}

#[test]
fn a_hole_before_three_is_lost_at_once() {
    let mut scoreboard = sent(4);
    assert!(!ack(&mut scoreboard, 21, 0, &[(MSS, 2 * MSS)]));
    assert!(!ack(&mut scoreboard, 22, 0, &[(MSS, 3 * MSS)]));
    assert!(ack(&mut scoreboard, 23, 0, &[(MSS, 4 * MSS)]));
    assert_eq!(scoreboard.first_lost(), Some(0));
}

#[test]
fn each_hole_is_found_and_what_lies_between_is_not_wanted() {
    let mut scoreboard = sent(8);
    assert!(ack(&mut scoreboard, 30, 0, &[(MSS, 3 * MSS), (4 * MSS, 6 * MSS)]));
    assert_eq!((scoreboard.lost_len(), scoreboard.pipe_len()), (2 * MSS, 2 * MSS), "the last two are on their way");
    assert_eq!(scoreboard.wanted(0, MSS), Some((0, MSS)));
    assert_eq!(scoreboard.wanted(MSS, 3 * MSS), None);
    assert_eq!(scoreboard.wanted(2 * MSS, 5 * MSS), Some((3 * MSS, 4 * MSS)));
    assert_eq!(scoreboard.wanted(6 * MSS, 8 * MSS), None);
    assert_eq!(scoreboard.wanted(7 * MSS, 9 * MSS), Some((8 * MSS, 9 * MSS)), "what is new goes, too");
}

#[test]
fn a_repeat_that_is_lost_again_is_found_by_what_left_after_it() {
    let mut scoreboard = sent(4);
    assert!(ack(&mut scoreboard, 23, 0, &[(MSS, 4 * MSS)]));
    assert!(scoreboard.on_sent(at(24), 0, MSS));
    assert_eq!((scoreboard.lost_len(), scoreboard.wanted(0, MSS)), (0, None));
    scoreboard.on_sent(at(26), 4 * MSS, 5 * MSS);
    assert!(ack(&mut scoreboard, 46, 0, &[(MSS, 5 * MSS)]), "sent at 24 and not there, though what left at 26 is");
}

#[test]
fn an_answer_to_the_first_copy_is_none_to_the_repeat() {
    let mut scoreboard = sent(2);
    scoreboard.on_ack(at(20), MSS, [].into_iter());
    assert!(scoreboard.lose_first());
    scoreboard.on_sent(at(30), MSS, 2 * MSS);
    scoreboard.on_sent(at(29), 2 * MSS, 3 * MSS);
    // Two milliseconds after the repeat: it cannot be its answer, and says nothing of what left before.
    assert!(!ack(&mut scoreboard, 32, 2 * MSS, &[]));
    assert_eq!(scoreboard.look_at(), None);
}

#[test]
fn once_segments_have_passed_each_other_three_are_no_proof() {
    let mut scoreboard = sent(6);
    assert!(!ack(&mut scoreboard, 20, 0, &[(MSS, 2 * MSS)]));
    assert!(!ack(&mut scoreboard, 21, 2 * MSS, &[]), "the first came late");
    // The last took 19 ms: what was sent at 2 is late from 21 on, and lost a quarter of that later.
    assert!(!ack(&mut scoreboard, 24, 2 * MSS, &[(3 * MSS, 6 * MSS)]));
    assert_eq!(scoreboard.look_at(), Some(at(2 + 19) + Duration::from_micros(19_000 / 4)));
}

#[test]
fn after_a_time_out_all_is_lost_but_what_arrived() {
    let mut scoreboard = sent(4);
    ack(&mut scoreboard, 20, 0, &[(2 * MSS, 3 * MSS)]);
    scoreboard.lose_all();
    assert_eq!((scoreboard.lost_len(), scoreboard.pipe_len()), (3 * MSS, 0));
    assert_eq!(scoreboard.wanted(0, 4 * MSS), Some((0, 4 * MSS)));
    scoreboard.on_sent(at(300), 0, MSS);
    assert_eq!((scoreboard.first_lost(), scoreboard.pipe_len()), (Some(MSS), MSS));
    scoreboard.on_ack(at(320), 4 * MSS, [].into_iter());
    assert_eq!((scoreboard.lost_len(), scoreboard.delivered_len(), scoreboard.flight_len()), (0, 0, 0));
}

#[test]
fn a_peer_without_sack_tells_by_three_duplicates_and_by_parts() {
    let mut scoreboard = sent(4);
    scoreboard.set_sack(false);
    assert_eq!([(); 4].map(|()| scoreboard.on_duplicate()), [false, false, true, false]);
    scoreboard.on_sent(at(20), 0, MSS);
    assert!(!ack(&mut scoreboard, 40, MSS, &[(2 * MSS, 3 * MSS)]), "its blocks are nothing that was agreed on");
    assert!(scoreboard.on_partial());
    assert_eq!((scoreboard.first_lost(), scoreboard.delivered_len()), (Some(MSS), 0));
}

#[test]
fn repeats_need_not_begin_and_end_where_segments_did() {
    let mut scoreboard = sent(3);
    scoreboard.lose_all();
    assert!(scoreboard.on_sent(at(50), 0, 1_500));
    assert_eq!((scoreboard.first_lost(), scoreboard.lost_len()), (Some(1_500), 1_500));
    scoreboard.on_ack(at(60), 700, [].into_iter());
    assert_eq!((scoreboard.first(), scoreboard.pipe_len()), (700, 800));
}

#[test]
fn made_up_numbers_change_nothing() {
    let mut scoreboard = sent(2);
    assert_eq!(scoreboard.on_ack(at(5), 2 * MSS + 1, [].into_iter()), 0);
    for block in [(MSS, MSS), (2 * MSS, MSS), (MSS, 3 * MSS), (0, MSS), (u32::MAX - 5, 7), (1_500, 2 * MSS)] {
        scoreboard.on_ack(at(5), 0, [block].into_iter());
        assert_eq!((scoreboard.delivered_len(), scoreboard.pipe_len()), (0, 2 * MSS), "{block:?}");
    }
    assert!(!scoreboard.on_sent(at(6), u32::MAX, 0), "a keep-alive probe");
    assert_eq!(scoreboard.flight_len(), 2 * MSS);
}

#[test]
fn numbers_wrap() {
    let mut scoreboard = Scoreboard::new(u32::MAX - 99);
    scoreboard.set_sack(true);
    scoreboard.on_sent(at(0), u32::MAX - 99, 100);
    scoreboard.on_sent(at(0), 100, 300);
    scoreboard.on_ack(at(9), u32::MAX - 99, [(100, 300)].into_iter());
    assert_eq!((scoreboard.flight_len(), scoreboard.delivered_len()), (400, 200));
    scoreboard.on_ack(at(10), 300, [].into_iter());
    assert_eq!((scoreboard.flight_len(), scoreboard.delivered_len()), (0, 0));
}

#[test]
fn it_has_a_bound() {
    let mut scoreboard = Scoreboard::new(0);
    let count = SCOREBOARD_SEGMENTS_MAX as u32 + 100;
    for n in 0..count {
        scoreboard.on_sent(at(0), n, n + 1);
    }
    assert_eq!((scoreboard.segments.len(), scoreboard.flight_len()), (SCOREBOARD_SEGMENTS_MAX, count));
    scoreboard.on_ack(at(1), count, [].into_iter());
    assert_eq!((scoreboard.segments.len(), scoreboard.flight_len()), (0, 0));
}
