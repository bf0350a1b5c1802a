use hpb_base::limits::{CANDIDATES_MAX, PRODUCER_ABOUT_LEN_MAX, PRODUCER_KEYS_MAX};
use hpb_types::{Evidence, PublicKey, VrfPublic};

use super::*;

/// Anyone can sign for it.
const SMALL_ORDER: [u8; 32] = [0; 32];

fn update(chain: &Chain, who: &str, key: &str) -> Action {
    update_action(name(who), keys_of(chain, who, key, who), "")
}

#[test]
fn a_producer_registers_once_with_keys_and_a_bond_of_its_own() {
    let mut chain = Chain::new();
    let register = |keys, bond, about: &str| register_action(name("alice"), keys, Amount(bond), about);
    let (key, beacon) = (slices_key_of("alice").public(), beacon_key_of("alice"));
    let keys = keys_of(&chain, "alice", "alice", "alice");
    let taken = keys_of(&chain, "alice", "prod-a", "alice");
    let taken_beacon = keys_of(&chain, "alice", "alice", "prod-a");
    let small = ProvenKeys { key: PublicKey(SMALL_ORDER), ..keys.clone() };
    let small_beacon = ProvenKeys { beacon: VrfPublic(SMALL_ORDER), ..keys.clone() };
    let long = "x".repeat(PRODUCER_ABOUT_LEN_MAX + 1);
    for (action, answer) in [
        (register(keys.clone(), 999, ""), Err(RejectReason::BondTooSmall)),
        (register(keys.clone(), ENDOWMENT.0 + 1, ""), Err(RejectReason::Overdrawn)),
        (register(small, 1_000, ""), Err(RejectReason::BadKey)),
        (register(small_beacon, 1_000, ""), Err(RejectReason::BadKey)),
        (register(taken, 1_000, ""), Err(RejectReason::KeyTaken)),
        (register(taken_beacon, 1_000, ""), Err(RejectReason::KeyTaken)),
        (register(keys.clone(), 1_000, &long), Err(RejectReason::Malformed)),
        (register(keys.clone(), 1_500, "in the north"), Ok(())),
        (register(keys, 1_500, ""), Err(RejectReason::ProducerExists)),
    ] {
        assert_eq!(chain.act("alice", action), answer);
    }
    assert_eq!(chain.balance("alice"), ENDOWMENT.0 - 1_500);
    let expected = Producer::new(Epoch(1), key, beacon, Amount(1_500), "in the north".to_owned());
    assert_eq!(chain.producer("alice"), Some(expected));
    assert_eq!(chain.act("bob", registration(&chain, "alice", 1_000)), Err(RejectReason::Unauthorised));
    let stolen = register_action(name("bob"), keys_of(&chain, "bob", "alice", "bob"), Amount(1_000), "");
    assert_eq!(chain.act("bob", stolen), Err(RejectReason::KeyTaken));
    chain.act("alice", bond_action(name("alice"), Amount(500))).unwrap();
    assert_eq!(chain.producer("alice").unwrap().bond, Amount(2_000));
    let much = bond_action(name("alice"), ENDOWMENT);
    assert_eq!(chain.act("alice", much), Err(RejectReason::Overdrawn));
    for action in [
        bond_action(name("bob"), Amount(1)),
        update(&chain, "bob", "bob"),
        retire_action(name("bob")),
        resume_action(name("bob")),
    ] {
        assert_eq!(chain.act("bob", action), Err(RejectReason::NoSuchProducer));
    }
}

#[test]
fn the_roster_is_bounded() {
    let mut chain = Chain::new();
    chain.run_to(1);
    let context = chain.context(1);
    let mut executed = chain.execute(&context, &[]).unwrap();
    let mut roster = Roster { producers: vec![name("prod-a"); CANDIDATES_MAX] };
    executed.changes = executed.changes.into_iter().chain([(key::of(DPOS, ROSTER), Some(store(&roster)))]).collect();
    chain.insert(&context, executed);
    assert_eq!(chain.register("alice"), Err(RejectReason::ListFull));
    let context = chain.context(1);
    let mut executed = chain.execute(&context, &[]).unwrap();
    roster.producers.pop();
    executed.changes = executed.changes.into_iter().chain([(key::of(DPOS, ROSTER), Some(store(&roster)))]).collect();
    chain.insert(&context, executed);
    assert_eq!(chain.register("alice"), Ok(()), "one place is left, and its record can be read and written");
}

#[test]
fn a_bond_is_free_after_its_release_and_then_the_name_and_keys_are() {
    let mut chain = Chain::new();
    chain.register("alice").unwrap();
    chain.run_to(2);
    let (retire, withdraw) = (|| retire_action(name("alice")), || withdraw_action(name("alice")));
    assert_eq!(chain.act("alice", withdraw()), Err(RejectReason::NothingFree));
    assert_eq!(chain.act("alice", retire()), Ok(()));
    assert_eq!(chain.status("alice"), Status::Retired);
    assert_eq!(chain.producer("alice").unwrap().unbonding, Unbonding::FreeAt(Slot(27)));
    for action in [
        retire(),
        resume_action(name("alice")),
        bond_action(name("alice"), Amount(1)),
        update(&chain, "alice", "other"),
    ] {
        assert_eq!(chain.act("alice", action), Err(RejectReason::WrongStatus));
    }
    assert_eq!(chain.register("alice"), Err(RejectReason::ProducerExists));
    chain.act("alice", stake("alice", 10)).unwrap();
    chain.act("alice", unstake("alice", 10)).unwrap();
    chain.run_to(26);
    assert_eq!(chain.act("alice", withdraw()), Err(RejectReason::NothingFree));
    chain.run_to(27);
    let told = chain.act_telling("alice", withdraw()).unwrap();
    assert_eq!(Withdrawn::from_bytes(&told).unwrap().amount, Amount(1_010), "bond and stake together");
    assert_eq!((chain.producer("alice"), chain.balance("alice")), (None, ENDOWMENT.0));
    assert_eq!(chain.ledger.producers(&chain.head.id).unwrap().len(), 4);
    let inherited = register_action(name("bob"), keys_of(&chain, "bob", "alice", "alice"), Amount(1_000), "");
    assert_eq!(chain.act("bob", inherited), Ok(()), "the keys are free");
    let last = chain.ledger.producers(&chain.head.id).unwrap().pop().unwrap();
    assert_eq!(last.name, name("bob"));
    assert_eq!(chain.register("alice"), Err(RejectReason::KeyTaken), "and hers no more");
}

#[test]
fn who_is_expelled_never_registers_again() {
    let mut chain = Chain::new();
    chain.act("bob", stake("bob", 50)).unwrap();
    chain.act("bob", vote_action(name("bob"), [name("prod-a")])).unwrap();
    let proven = |fault: fn(&str, Epoch) -> Evidence| report_action(name("alice"), fault("prod-a", Epoch(0)));
    chain.act("alice", proven(evidence::two_slices)).unwrap();
    assert_eq!(chain.act("prod-a", registration(&chain, "prod-a", 1_000)), Err(RejectReason::WrongStatus));
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.run_to(27);
    let left = chain.producer("prod-a").unwrap().bond;
    let balance = chain.balance("prod-a");
    chain.act("prod-a", withdraw_action(name("prod-a"))).unwrap();
    assert_eq!(chain.balance("prod-a"), balance + left.0);

    let record = chain.producer("prod-a").unwrap();
    assert_eq!((record.status, record.unbonding, record.bond), (Status::Expelled, Unbonding::Withdrawn, Amount::ZERO));
    assert_eq!(record.cuts.len(), 1, "why is on record for good");
    assert_eq!(chain.ledger.producers(&chain.head.id).unwrap().len(), 3);
    let supply = chain.ledger.supply(&chain.head.id).unwrap();
    assert!(supply.is_conserved(), "{supply:?}");
    for (action, answer) in [
        (registration(&chain, "prod-a", 1_000), RejectReason::WrongStatus),
        (withdraw_action(name("prod-a")), RejectReason::NothingFree),
        (retire_action(name("prod-a")), RejectReason::NoSuchProducer),
        (resume_action(name("prod-a")), RejectReason::NoSuchProducer),
        (bond_action(name("prod-a"), Amount(1)), RejectReason::NoSuchProducer),
        (update(&chain, "prod-a", "other"), RejectReason::NoSuchProducer),
    ] {
        assert_eq!(chain.act("prod-a", action), Err(answer));
    }
    assert_eq!(chain.act("alice", proven(evidence::two_confirms)), Err(RejectReason::NoSuchProducer));
    let again = vote_action(name("alice"), [name("prod-a")]);
    assert_eq!(chain.act("alice", again), Err(RejectReason::NoSuchProducer));
}

#[test]
fn a_bond_of_nothing_ends_a_registration_too() {
    let mut chain = Chain::with(|parameters| {
        parameters.bond_min = Amount::ZERO;
        parameters.release_slots = 0;
    });
    chain.act("alice", registration(&chain, "alice", 0)).unwrap();
    chain.act("alice", retire_action(name("alice"))).unwrap();
    assert_eq!(chain.act("alice", withdraw_action(name("alice"))), Ok(()));
    assert_eq!(chain.producer("alice"), None);
}

#[test]
fn new_keys_are_those_of_the_next_schedule_that_is_not_fixed() {
    let mut chain = Chain::new();
    let keys = |chain: &Chain| -> Vec<(u64, PublicKey)> {
        chain.producer("prod-a").unwrap().keys.iter().map(|from| (from.epoch.0, from.key)).collect()
    };
    let [first, second, third] = ["prod-a", "second", "third"].map(|key| slices_key_of(key).public());
    chain.run_to(3);
    chain.act("prod-a", update(&chain, "prod-a", "second")).unwrap();
    assert_eq!(keys(&chain), [(0, first), (1, second)]);
    chain.act("prod-a", update(&chain, "prod-a", "third")).unwrap();
    assert_eq!(keys(&chain), [(0, first), (1, third)], "no schedule has had the second");
    let key_in = |schedule: &Schedule| schedule.producer(&name("prod-a")).unwrap().key;
    chain.run_to(8);
    assert_eq!((key_in(&chain.schedule), key_in(chain.next.as_ref().unwrap())), (first, third));
    chain.act("prod-a", update(&chain, "prod-a", "second")).unwrap();
    assert_eq!(keys(&chain), [(0, first), (1, third), (2, second)], "the schedule of epoch 1 is fixed");
    chain.run_to_epoch(1);
    assert_eq!(key_in(&chain.schedule), third);
    chain.act("prod-a", update(&chain, "prod-a", "third")).unwrap();
    assert_eq!(keys(&chain), [(0, first), (1, third)], "back to the one that it has");
    chain.act("prod-a", update(&chain, "prod-a", "prod-a")).unwrap();
    assert_eq!(keys(&chain), [(0, first), (1, third), (2, first)], "and to an old one");
    chain.run_to_epoch(2);
    assert_eq!(key_in(&chain.schedule), first);
}

#[test]
fn keys_are_never_those_of_an_epoch_that_has_begun() {
    let mut chain = Chain::new();
    chain.run_to(3);
    // No slice was there to fix the schedules of epochs 1 and 2.
    chain.push(25, &[]);
    chain.act("prod-a", update(&chain, "prod-a", "second")).unwrap();
    chain.register("alice").unwrap();
    assert_eq!(chain.producer("prod-a").unwrap().keys[1].epoch, Epoch(3));
    assert_eq!(chain.producer("alice").unwrap().keys[0].epoch, Epoch(3));
}

#[test]
fn a_key_on_record_is_nobody_elses() {
    let mut chain = Chain::new();
    chain.run_to(3);
    let bob = |chain: &Chain, key: &str, beacon: &str| {
        register_action(name("bob"), keys_of(chain, "bob", key, beacon), Amount(1_000), "")
    };
    chain.act("prod-a", update(&chain, "prod-a", "second")).unwrap();
    for key in ["prod-a", "second"] {
        assert_eq!(chain.act("bob", bob(&chain, key, "bob")), Err(RejectReason::KeyTaken), "{key}");
    }
    assert_eq!(chain.act("prod-b", update(&chain, "prod-b", "second")), Err(RejectReason::KeyTaken));
    let small = ProvenKeys { key: PublicKey(SMALL_ORDER), ..keys_of(&chain, "prod-b", "prod-b", "prod-b") };
    let bad = update_action(name("prod-b"), small, "");
    assert_eq!(chain.act("prod-b", bad), Err(RejectReason::BadKey));
    chain.act("prod-a", update(&chain, "prod-a", "third")).unwrap();
    assert_eq!(chain.act("bob", bob(&chain, "second", "prod-a")), Err(RejectReason::KeyTaken), "by its beacon");
    let beacon = update_action(name("prod-a"), keys_of(&chain, "prod-a", "third", "fourth"), "moved");
    chain.act("prod-a", beacon).unwrap();
    assert_eq!(chain.producer("prod-a").unwrap().about, "moved");
    assert_eq!(chain.act("bob", bob(&chain, "second", "fourth")), Err(RejectReason::KeyTaken));
    assert_eq!(chain.act("bob", bob(&chain, "second", "prod-a")), Ok(()), "both are free: no schedule had the one");
}

#[test]
fn a_full_history_lets_go_of_what_no_evidence_is_held_against() {
    let mut chain = Chain::with(|parameters| parameters.release_slots = 40);
    for epoch in 0..PRODUCER_KEYS_MAX as u64 {
        chain.run_to(epoch * EPOCH_SLOTS + 1);
        let answer = chain.act("prod-a", update(&chain, "prod-a", &format!("key-{epoch}")));
        assert_eq!(answer, Ok(()), "{epoch}");
    }
    let keys = chain.producer("prod-a").unwrap().keys;
    assert_eq!((keys.len(), keys[0].epoch), (PRODUCER_KEYS_MAX, Epoch(1)), "genesis' key went when room was needed");

    let mut chain = Chain::with(|parameters| parameters.release_slots = 4_000);
    for epoch in 0..PRODUCER_KEYS_MAX as u64 {
        chain.run_to(epoch * EPOCH_SLOTS + 1);
        let answer = chain.act("prod-a", update(&chain, "prod-a", &format!("key-{epoch}")));
        let is_full = epoch + 1 == PRODUCER_KEYS_MAX as u64;
        assert_eq!(answer, if is_full { Err(RejectReason::ListFull) } else { Ok(()) }, "{epoch}");
    }
}

#[test]
fn nobody_registers_a_key_that_it_does_not_hold() {
    let mut chain = Chain::new();
    chain.run_to(3);
    let own = keys_of(&chain, "alice", "alice", "alice");
    let of_bob = keys_of(&chain, "bob", "bob", "bob");
    let elsewhere = ProvenKeys::prove(
        &hpb_types::ChainId(Hash([7; 32])),
        &name("alice"),
        &slices_key_of("alice"),
        &beacon_secret_of("alice"),
    );
    let as_slice =
        slices_key_of("alice").sign(hpb_types::Domain::Slice, &chain.genesis.chain_id(), &name("alice").to_bytes());
    let wrong = [
        ("another's proofs and keys", of_bob.clone()),
        ("another's key, its own proof", ProvenKeys { key: of_bob.key, ..own.clone() }),
        ("another's beacon key, its own proof", ProvenKeys { beacon: of_bob.beacon, ..own.clone() }),
        ("its own key, another's proof", ProvenKeys { key_proof: of_bob.key_proof, ..own.clone() }),
        ("its own beacon key, another's proof", ProvenKeys { beacon_proof: of_bob.beacon_proof, ..own.clone() }),
        ("another chain's proofs", elsewhere),
        ("a signature for another end", ProvenKeys { key_proof: as_slice, ..own.clone() }),
    ];
    for (what, keys) in &wrong {
        let action = register_action(name("alice"), keys.clone(), Amount(1_000), "");
        assert_eq!(chain.act("alice", action), Err(RejectReason::BadSignature), "{what}");
    }
    assert_eq!(chain.producer("alice"), None);
    chain.act("alice", register_action(name("alice"), own.clone(), Amount(1_000), "")).unwrap();
    for (what, keys) in &wrong {
        let action = update_action(name("alice"), keys.clone(), "");
        assert_eq!(chain.act("alice", action), Err(RejectReason::BadSignature), "{what}, by an update");
    }
    chain.act("bob", register_action(name("bob"), of_bob, Amount(1_000), "")).unwrap();
    // Where signatures are names, the judge is another; the beacon's proof stays.
    chain.ledger = chain.ledger.with_judge(|_, _, _, _, _| true);
    let unsigned = ProvenKeys { key_proof: hpb_types::Signature([0; 64]), ..own };
    assert_eq!(chain.act("alice", update_action(name("alice"), unsigned, "")), Ok(()));
}
