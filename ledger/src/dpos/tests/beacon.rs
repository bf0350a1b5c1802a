use hpb_types::Weighting;

use super::*;

#[test]
fn the_first_slice_of_the_last_quarter_fixes_the_next_schedule() {
    let mut chain = Chain::new();
    for slot in 1..40 {
        for index in 0..2 {
            let executed = chain.push(slot, &[]);
            let fixes = slot % EPOCH_SLOTS == 8 && index == 0;
            let epoch = executed.next.map(|next| next.epoch.0);
            assert_eq!(epoch, fixes.then_some(slot / EPOCH_SLOTS + 1), "{slot}.{index}");
        }
    }
    assert_eq!(chain.push(42, &[]).next, None);
    assert_eq!(chain.push(49, &[]).next.unwrap().epoch, Epoch(5), "the first there is");
    assert_eq!(chain.push(57, &[]).next, None);
    assert_eq!(chain.push(69, &[]).next.unwrap().epoch, Epoch(7), "epoch 6's was never fixed");
    let built = chain.ledger.build(&chain.head.id, &chain.context(79), []).unwrap();
    assert_eq!(built.executed.next.unwrap().epoch, Epoch(8));
}

#[test]
fn the_seed_is_what_the_beacon_had_come_to() {
    let mut chain = Chain::new();
    let mut beacon = chain.genesis.schedule().seed;
    for slot in 1..=8_u64 {
        if slot == 8 {
            let seed = Hash::of_parts("epoch seed", &[&beacon.0, &1_u64.to_le_bytes()]);
            let next = chain.push(slot, &[]).next.unwrap();
            assert_eq!(next.seed, seed, "without the fixing slice's own output");
            let drawn = Schedule::draw(Epoch(1), seed, chain.genesis.schedule().producers);
            assert_eq!(next, drawn);
        } else {
            chain.push(slot, &[]);
            chain.push(slot, &[]);
        }
        beacon = Hash::of_parts("beacon mix", &[&beacon.0, &Hash::of(&slot.to_le_bytes()).0]);
    }
    chain.run_to(17);
    let mut other = Chain::new();
    other.run_to(6);
    other.run_to(8);
    let skipping = {
        let mut chain = Chain::new();
        chain.run_to(6);
        chain.push(8, &[]);
        chain.next.unwrap()
    };
    assert_ne!(skipping.seed, other.next.unwrap().seed, "who withholds a block changes the seed");
}

#[test]
fn transactions_of_the_fixing_slice_come_too_late() {
    let mut chain = Chain::new();
    chain.run_to(7);
    let late = chain.transaction("alice", vec![registration(&chain, "alice", 1_000)]);
    chain.push(8, &[late]);
    assert_eq!(chain.next_names(), PRODUCERS);
    assert_eq!(chain.producer("alice").unwrap().keys[0].epoch, Epoch(2));
    chain.run_to(18);
    assert_eq!(chain.next_names(), ["alice", "prod-a", "prod-b", "prod-c", "prod-d"]);
}

#[test]
fn the_most_voted_for_produce_and_equals_in_order_of_registration() {
    let mut chain = Chain::new();
    for who in ["frank", "erin", "dave"] {
        chain.register(who).unwrap();
    }
    chain.run_to(8);
    assert_eq!(chain.next_names(), ["frank", "prod-a", "prod-b", "prod-c", "prod-d"], "the schedule grows to five");
    chain.act("alice", stake("alice", 10)).unwrap();
    chain.act("alice", vote("alice", &["dave", "prod-d"])).unwrap();
    chain.act("bob", stake("bob", 7)).unwrap();
    chain.act("bob", vote("bob", &["erin"])).unwrap();
    chain.run_to(18);
    assert_eq!(chain.next_names(), ["dave", "erin", "prod-a", "prod-b", "prod-d"]);
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.act("prod-d", retire_action(name("prod-d"))).unwrap();
    chain.run_to(28);
    assert_eq!(chain.next_names(), ["dave", "erin", "frank", "prod-b", "prod-c"]);
    chain.act("frank", retire_action(name("frank"))).unwrap();
    chain.run_to(38);
    assert_eq!(chain.next_names(), ["dave", "erin", "prod-b", "prod-c"], "and shrinks to four");
}

#[test]
fn a_schedule_never_shrinks_below_what_tolerates_a_fault() {
    let mut chain = Chain::new();
    chain.run_to(5);
    let renewed = update_action(name("prod-b"), keys_of(&chain, "prod-b", "renewed", "renewed"), "");
    chain.act("prod-b", renewed).unwrap();
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.run_to(8);
    assert_eq!(chain.next_names(), PRODUCERS, "those in force stay");
    let next = chain.next.clone().unwrap();
    assert_ne!(next.seed, chain.schedule.seed);
    let stays = next.producer(&name("prod-b")).unwrap();
    assert_eq!((stays.key, stays.beacon), (slices_key_of("renewed").public(), beacon_key_of("renewed")));
    chain.register("alice").unwrap();
    chain.run_to(18);
    assert_eq!(chain.next_names(), ["alice", "prod-b", "prod-c", "prod-d"], "until four can be elected");
}

#[test]
fn a_chain_of_one_stays_with_one() {
    let mut genesis = dpos_genesis(&PRODUCERS[..1], &PEOPLE);
    genesis.epoch_slots = EPOCH_SLOTS;
    let mut chain = Chain::of(genesis);
    chain.run_to(8);
    assert_eq!(chain.next_names(), ["prod-a"]);
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.run_to(18);
    assert_eq!(chain.next_names(), ["prod-a"]);
    chain.register("alice").unwrap();
    chain.run_to(28);
    assert_eq!(chain.next_names(), ["alice"]);
}

#[test]
fn weight_is_one_or_the_bond_and_never_votes() {
    let tokens = |count: u128| Amount(count * Amount::ONE.0);
    for weighting in [Weighting::Equal, Weighting::Bond] {
        let mut genesis = dpos_genesis(&PRODUCERS, &PEOPLE);
        genesis.epoch_slots = EPOCH_SLOTS;
        for (index, producer) in genesis.producers.iter_mut().enumerate() {
            producer.bond = tokens(3 + index as u128);
        }
        for account in &mut genesis.accounts {
            account.balance = tokens(100);
        }
        let EngineChoice::Dpos(parameters) = &mut genesis.engine else { panic!() };
        parameters.weighting = weighting;
        let mut chain = Chain::of(genesis);
        chain.act("alice", stake("alice", tokens(50).0)).unwrap();
        chain.act("alice", vote("alice", &["prod-a"])).unwrap();
        chain.act("prod-b", bond_action(name("prod-b"), tokens(10))).unwrap();
        chain.run_to(8);
        let next = chain.next.unwrap();
        let weights = PRODUCERS.map(|producer| next.producer(&name(producer)).unwrap().weight);
        assert_eq!(weights, if weighting == Weighting::Equal { [1; 4] } else { [3, 14, 5, 6] });
    }
}

#[test]
fn a_schedule_that_stays_in_force_is_the_one_whose_work_counts() {
    let mut chain = Chain::new();
    chain.register("alice").unwrap();
    chain.run_to(9);
    // Nothing proves to the chain that the fixing slice is final: the old schedule stays.
    chain.next = None;
    chain.confirmers = names(&PRODUCERS);
    chain.run_to(12);
    let activity = chain.ledger.epoch_activity(&chain.head.id).unwrap().unwrap();
    let producing: Vec<AccountName> = activity.producers.iter().map(|(name, _)| *name).collect();
    assert_eq!(producing, names(&PRODUCERS));
    assert!(activity.producers.iter().all(|(_, deeds)| deeds.confirms == 3));
}
