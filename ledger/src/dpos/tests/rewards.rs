use super::*;

/// What every producer has, by name.
fn balances(chain: &Chain) -> [u128; 4] {
    PRODUCERS.map(|producer| chain.balance(producer))
}

fn service(chain: &Chain, who: &str) -> Service {
    chain.producer(who).unwrap().service
}

#[test]
fn an_epoch_in_which_all_work_pays_its_slots() {
    let mut chain = Chain::new();
    chain.confirmers = names(&PRODUCERS);
    chain.run_to(9);
    let activity = chain.ledger.epoch_activity(&chain.head.id).unwrap().unwrap();
    assert_eq!((activity.epoch, activity.certificates, activity.filled), (Epoch(0), 9, 9));
    // Slot n is that of producer n modulo 4, and slot 0 is nobody's.
    let deeds = [2, 3, 2, 2].map(|blocks| Deeds { blocks, confirms: 9 });
    let expected: Vec<_> = names(&PRODUCERS).into_iter().zip(deeds).collect();
    assert_eq!(activity.producers, expected);
    assert_eq!(balances(&chain), [0; 4], "nothing before the epoch has ended");
    chain.run_to(10);
    // Half of 200 a block; half of 10 slots' 200 shared by four.
    assert_eq!(balances(&chain), [200 + 250, 300 + 250, 200 + 250, 200 + 250]);
    assert_eq!(chain.pool(), 100_000 - 1_900);
    let first = Service { blocks: 2, confirms: 9, missed_slots: 0, rewards: Amount(450) };
    assert_eq!(service(&chain, "prod-a"), first);
    let activity = chain.ledger.epoch_activity(&chain.head.id).unwrap().unwrap();
    assert_eq!((activity.epoch, activity.certificates, activity.filled), (Epoch(1), 1, 1));
    chain.run_to(20);
    assert_eq!(chain.pool(), 100_000 - 1_900 - 2_000, "a whole epoch of ten slots");
}

#[test]
fn a_slices_certificate_counts_once_and_further_slices_fill_no_slot() {
    let mut chain = Chain::new();
    chain.confirmers = names(&PRODUCERS);
    for _ in 0..5 {
        chain.push(1, &[]);
    }
    let activity = chain.ledger.epoch_activity(&chain.head.id).unwrap().unwrap();
    assert_eq!((activity.certificates, activity.filled), (1, 1));
    let executed = chain.push(1, &[]);
    assert!(executed.changes.is_empty(), "a slice that brings nothing changes nothing: {:?}", executed.changes);
}

#[test]
fn a_certificate_of_no_quorum_in_force_is_not_counted() {
    let mut chain = Chain::new();
    for (confirmers, counted) in [
        (names(&["prod-a", "prod-b", "alice", "bob"]), 0),
        (names(&["prod-a", "prod-a", "prod-b"]), 0),
        (names(&["prod-a", "prod-b", "prod-c", "alice"]), 1),
    ] {
        chain.confirmers = confirmers;
        chain.run_to(chain.head.height.slot.0 + 1);
        assert_eq!(chain.ledger.epoch_activity(&chain.head.id).unwrap().unwrap().certificates, counted);
    }
}

#[test]
fn who_is_away_earns_less_and_the_rest_stays_in_the_pool() {
    let mut chain = Chain::new();
    // prod-d leaves its slots (3 and 7) empty and signs two of six certificates.
    for slot in [1, 2, 4, 5, 6, 8, 9] {
        chain.confirmers = match slot {
            1 | 2 => names(&PRODUCERS),
            9 => Vec::new(),
            _ => names(&PRODUCERS[..3]),
        };
        chain.push(slot, &[]);
    }
    chain.run_to(10);
    assert_eq!(balances(&chain), [200 + 250, 300 + 250, 200 + 250, 250 * 2 / 6]);
    assert_eq!(chain.pool(), 100_000 - 450 - 550 - 450 - 83);
    let served = Service { blocks: 0, confirms: 2, missed_slots: 2, rewards: Amount(83) };
    assert_eq!(service(&chain, "prod-d"), served);
    assert_eq!(chain.status("prod-d"), Status::Active, "it was heard");
}

#[test]
fn the_pool_pays_no_more_than_it_holds() {
    let mut chain = Chain::with(|parameters| parameters.reward_pool = Amount(1_200));
    chain.confirmers = names(&PRODUCERS);
    chain.run_to(10);
    assert_eq!(balances(&chain), [450, 550, 200, 0], "in the order of the schedule");
    assert_eq!((chain.pool(), service(&chain, "prod-d").rewards), (0, Amount::ZERO));
    chain.run_to(40);
    assert_eq!(balances(&chain), [450, 550, 200, 0]);
    chain.ledger = chain.ledger.with_judge(|_, _, _, _, _| true);
    let evidence = super::evidence::two_slices("prod-a", Epoch(0));
    chain.act("alice", report_action(name("alice"), evidence)).unwrap();
    assert_eq!(chain.pool(), 360, "what is cut fills it");
    chain.run_to(50);
    assert_eq!(chain.pool(), 0);
}

#[test]
fn rewards_are_paid_to_who_has_left_meanwhile() {
    let mut chain = Chain::with(|parameters| parameters.release_slots = 1);
    chain.confirmers = names(&PRODUCERS);
    chain.run_to(5);
    chain.act("prod-d", retire_action(name("prod-d"))).unwrap();
    chain.run_to(6);
    chain.act("prod-d", withdraw_action(name("prod-d"))).unwrap();
    chain.run_to(10);
    assert_eq!(chain.balance("prod-d"), 1_000 + 450);
    assert_eq!(chain.producer("prod-d"), None);
}

#[test]
fn who_is_silent_for_an_epoch_stands_by_until_it_resumes() {
    let mut chain = Chain::new();
    chain.register("alice").unwrap();
    let prod_d = name("prod-d");
    for slot in 2..20 {
        // Three of four are a quorum, and four of five.
        chain.confirmers = names(&["prod-a", "prod-b", "prod-c", "alice"][..if slot < 10 { 3 } else { 4 }]);
        if chain.context(slot).producer != prod_d {
            chain.push(slot, &[]);
        }
    }
    // In epoch 0 it was told silent at the epoch's end, after the schedule of epoch 1 was fixed.
    assert_eq!(chain.status("prod-d"), Status::Standby { since: Epoch(0) });
    assert_eq!(Chain::names(&chain.schedule).len(), 5);
    assert_eq!(chain.next_names(), ["alice", "prod-a", "prod-b", "prod-c"]);
    let ranked = chain.ledger.producers(&chain.head.id).unwrap();
    assert_eq!(ranked.last().unwrap().name, prod_d);
    assert_eq!(chain.act("bob", vote("bob", &["prod-d"])), Ok(()), "it may be voted for");
    assert_eq!(chain.act("prod-d", resume_action(prod_d)), Ok(()));
    assert_eq!(chain.act("prod-d", resume_action(prod_d)), Err(RejectReason::WrongStatus));
    chain.push(20, &[]);
    assert_eq!(chain.status("prod-d"), Status::Standby { since: Epoch(1) }, "it was not heard after that either");
    assert_eq!(chain.status("alice"), Status::Active);
    assert_eq!(chain.act("prod-d", resume_action(prod_d)), Ok(()));
    chain.run_to(28);
    assert_eq!(chain.next_names(), ["alice", "prod-a", "prod-b", "prod-c", "prod-d"]);
    chain.run_to(30);
    assert_eq!(chain.status("prod-d"), Status::Active, "who is not scheduled is not expected to be heard");
}

#[test]
fn without_a_quorum_nobody_is_silent() {
    let mut chain = Chain::new();
    for slot in (1..60).filter(|slot| slot % 4 == 1) {
        chain.push(slot, &[]);
    }
    assert_eq!(PRODUCERS.map(|producer| chain.status(producer)), [Status::Active; 4]);
}

#[test]
fn an_epoch_without_slices_is_not_settled() {
    let mut chain = Chain::new();
    chain.confirmers = names(&PRODUCERS);
    chain.run_to(9);
    chain.push(55, &[]);
    assert_eq!(chain.pool(), 100_000 - 1_900, "epoch 0 and nothing since");
    assert_eq!(service(&chain, "prod-a").missed_slots, 0);
    chain.push(62, &[]);
    let missed: u64 = PRODUCERS.iter().map(|producer| service(&chain, producer).missed_slots).sum();
    assert_eq!(missed, 9, "all slots of epoch 5 but one");
}
