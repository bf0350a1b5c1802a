use hpb_base::limits::{RELEASES_MAX, VOTES_MAX};

use super::*;

#[test]
fn stake_is_released_before_it_is_free() {
    let mut chain = Chain::new();
    assert_eq!(chain.act("alice", stake("alice", ENDOWMENT.0 + 1)), Err(RejectReason::Overdrawn));
    assert_eq!(chain.act("alice", stake("alice", 300)), Ok(()));
    assert_eq!(chain.act("alice", stake("alice", 0)), Ok(()));
    assert_eq!(chain.balance("alice"), ENDOWMENT.0 - 300);
    assert_eq!(chain.act("alice", unstake("alice", 301)), Err(RejectReason::Overdrawn));
    assert_eq!(chain.act("alice", unstake("alice", 0)), Ok(()));
    assert_eq!(chain.act("alice", unstake("alice", 100)), Ok(()));
    assert_eq!(chain.act("alice", unstake("alice", 20)), Ok(()), "in one slot they are one");
    chain.run_to(5);
    assert_eq!(chain.act("alice", unstake("alice", 80)), Ok(()));
    let releases =
        vec![Release { amount: Amount(120), free_at: Slot(26) }, Release { amount: Amount(80), free_at: Slot(30) }];
    assert_eq!(chain.stake_of("alice"), Stake { staked: Amount(100), releases, ..Stake::default() });
    let withdraw = || withdraw_action(name("alice"));
    chain.run_to(25);
    assert_eq!(chain.act("alice", withdraw()), Err(RejectReason::NothingFree));
    chain.run_to(26);
    let told = chain.act_telling("alice", withdraw()).unwrap();
    assert_eq!(Withdrawn::from_bytes(&told), Ok(Withdrawn { account: name("alice"), amount: Amount(120) }));
    assert_eq!(chain.act("alice", withdraw()), Err(RejectReason::NothingFree), "once");
    chain.run_to(30);
    assert_eq!(chain.act("alice", unstake("alice", 100)), Ok(()));
    assert_eq!(chain.act("alice", withdraw()), Ok(()));
    chain.run_to(55);
    assert_eq!(chain.act("alice", withdraw()), Ok(()));
    assert_eq!((chain.balance("alice"), chain.stake_of("alice")), (ENDOWMENT.0, Stake::default()));
    assert_eq!(chain.act("bob", withdraw_action(name("bob"))), Err(RejectReason::NothingFree));
}

#[test]
fn an_account_without_anything_leaves_no_record() {
    let mut chain = Chain::new();
    chain.act("alice", stake("alice", 0)).unwrap();
    let place = key::of(name("alice"), key::STAKE);
    let context = chain.context(1);
    let transaction = chain.transaction("alice", vec![stake("alice", 0)]);
    let executed = chain.execute(&context, &[transaction]).unwrap();
    assert_eq!(executed.changes.get(&place), Some(&None));
}

#[test]
fn releases_are_bounded() {
    let mut chain = Chain::with(|parameters| parameters.release_slots = 1_000);
    chain.act("alice", stake("alice", 1_000)).unwrap();
    for slot in 2..2 + RELEASES_MAX as u64 {
        chain.run_to(slot);
        assert_eq!(chain.act("alice", unstake("alice", 1)), Ok(()));
    }
    assert_eq!(chain.act("alice", unstake("alice", 1)), Ok(()), "to the last one");
    chain.run_to(60);
    assert_eq!(chain.act("alice", unstake("alice", 1)), Err(RejectReason::ListFull));
}

#[test]
fn a_vote_counts_in_full_for_each_producer() {
    let mut chain = Chain::new();
    chain.act("alice", stake("alice", 70)).unwrap();
    assert_eq!(chain.act("alice", vote("alice", &["prod-b", "prod-a"])), Ok(()), "the constructor puts them in order");
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [70, 70, 0, 0]);
    chain.act("alice", stake("alice", 30)).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [100, 100, 0, 0]);
    chain.act("alice", vote("alice", &["prod-b", "prod-c"])).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0, 100, 100, 0]);
    chain.act("alice", unstake("alice", 60)).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0, 40, 40, 0], "what is released votes no more");
    chain.act("bob", vote("bob", &["prod-c"])).unwrap();
    chain.act("bob", stake("bob", 5)).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0, 40, 45, 0]);
    let ranked = chain.ledger.producers(&chain.head.id).unwrap();
    let ranked: Vec<&str> = ranked.iter().map(|state| state.name.as_str()).collect();
    assert_eq!(ranked, ["prod-c", "prod-b", "prod-a", "prod-d"]);
    chain.act("alice", vote("alice", &[])).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0, 0, 5, 0]);
    assert_eq!(chain.stake_of("alice").vote, Vote::None);
}

#[test]
fn a_ballot_names_registered_producers_once_each_in_order() {
    let mut chain = Chain::new();
    let raw = |producers: Vec<AccountName>| Action {
        contract: DPOS,
        action: VOTE,
        arguments: VoteArguments { voter: name("alice"), producers }.to_bytes(),
    };
    for (ballot, answer) in [
        (names(&["prod-a", "prod-b"]), Ok(())),
        (names(&["prod-b", "prod-a"]), Err(RejectReason::Malformed)),
        (names(&["prod-a", "prod-a"]), Err(RejectReason::Malformed)),
        (names(&["prod-a", "zelda"]), Err(RejectReason::NoSuchProducer)),
        (names(&["alice", "prod-a"]), Err(RejectReason::NoSuchProducer)),
    ] {
        assert_eq!(chain.act("alice", raw(ballot.clone())), answer, "{ballot:?}");
    }
}

#[test]
fn a_ballot_has_thirty_places() {
    let many: Vec<String> = (0..=VOTES_MAX).map(|number| format!("prod-{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut genesis = dpos_genesis(&many, &PEOPLE);
    let EngineChoice::Dpos(parameters) = &mut genesis.engine else { panic!() };
    parameters.producers_max = 101;
    let mut chain = Chain::of(genesis);
    chain.act("alice", stake("alice", 9)).unwrap();
    assert_eq!(chain.act("alice", vote("alice", &many)), Err(RejectReason::Malformed));
    assert_eq!(chain.act("alice", vote("alice", &many[1..])), Ok(()));
    assert_eq!(many.iter().filter(|producer| chain.votes(producer) == 9).count(), VOTES_MAX);

    // The dearest change there is: a proxy's thirty against thirty others.
    for proxy in ["bob", "carol"] {
        chain.act(proxy, offer_proxy_action(name(proxy), true)).unwrap();
    }
    chain.act("bob", vote("bob", &many[1..])).unwrap();
    chain.act("carol", vote("carol", &many[..VOTES_MAX])).unwrap();
    chain.act("alice", proxy_action(name("alice"), name("bob"))).unwrap();
    assert_eq!(chain.act("alice", proxy_action(name("alice"), name("carol"))), Ok(()));
    assert_eq!(many.iter().map(|producer| chain.votes(producer)).sum::<u128>(), 9 * VOTES_MAX as u128);
}

#[test]
fn a_proxy_votes_with_what_others_give() {
    let mut chain = Chain::new();
    for (who, amount) in [("alice", 100), ("bob", 20), ("carol", 3)] {
        chain.act(who, stake(who, amount)).unwrap();
    }
    let to_carol = |who: &str| proxy_action(name(who), name("carol"));
    assert_eq!(chain.act("alice", to_carol("alice")), Err(RejectReason::BadProxy), "she has not offered");
    chain.act("carol", offer_proxy_action(name("carol"), true)).unwrap();
    chain.act("alice", vote("alice", &["prod-d"])).unwrap();
    assert_eq!(chain.act("alice", to_carol("alice")), Ok(()));
    assert_eq!(chain.act("bob", to_carol("bob")), Ok(()));
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0; 4], "she has not voted");
    chain.act("carol", vote("carol", &["prod-a"])).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [123, 0, 0, 0]);
    chain.act("alice", stake("alice", 1_000)).unwrap();
    chain.act("bob", unstake("bob", 20)).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [1_103, 0, 0, 0]);
    assert_eq!(chain.stake_of("carol").proxied, Amount(1_100));
    chain.act("alice", vote("alice", &["prod-b"])).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [3, 1_100, 0, 0], "and takes her vote back");
}

#[test]
fn there_are_no_chains_of_proxies() {
    let mut chain = Chain::new();
    for who in ["bob", "carol"] {
        chain.act(who, offer_proxy_action(name(who), true)).unwrap();
    }
    for (who, proxy, answer) in [
        ("bob", "carol", Err(RejectReason::BadProxy)),
        ("bob", "bob", Err(RejectReason::BadProxy)),
        ("alice", "alice", Err(RejectReason::BadProxy)),
        ("alice", "dave", Err(RejectReason::BadProxy)),
        ("alice", "zelda", Err(RejectReason::BadProxy)),
        ("alice", "bob", Ok(())),
    ] {
        assert_eq!(chain.act(who, proxy_action(name(who), name(proxy))), answer, "{who} by {proxy}");
    }
    assert_eq!(chain.act("alice", offer_proxy_action(name("alice"), true)), Err(RejectReason::BadProxy));
    assert_eq!(chain.act("alice", vote("alice", &[])), Ok(()));
    assert_eq!(chain.act("alice", offer_proxy_action(name("alice"), true)), Ok(()), "after she takes her vote back");
}

#[test]
fn a_proxy_that_ceases_keeps_its_own_vote() {
    let mut chain = Chain::new();
    for (who, amount) in [("alice", 100), ("carol", 3)] {
        chain.act(who, stake(who, amount)).unwrap();
    }
    chain.act("carol", offer_proxy_action(name("carol"), true)).unwrap();
    chain.act("carol", vote("carol", &["prod-a"])).unwrap();
    chain.act("alice", proxy_action(name("alice"), name("carol"))).unwrap();
    assert_eq!(chain.votes("prod-a"), 103);
    chain.act("carol", offer_proxy_action(name("carol"), false)).unwrap();
    assert_eq!(chain.votes("prod-a"), 3);
    chain.act("alice", stake("alice", 50)).unwrap();
    assert_eq!(chain.votes("prod-a"), 3, "given to one who is no proxy");
    chain.act("dave", offer_proxy_action(name("dave"), true)).unwrap();
    assert_eq!(chain.act("carol", proxy_action(name("carol"), name("dave"))), Ok(()));
    assert_eq!(chain.act("carol", offer_proxy_action(name("carol"), true)), Err(RejectReason::BadProxy));
    assert_eq!(chain.stake_of("dave").proxied, Amount(3), "hers, and not what others gave her");
    chain.act("carol", vote("carol", &["prod-b"])).unwrap();
    chain.act("carol", offer_proxy_action(name("carol"), true)).unwrap();
    assert_eq!(PRODUCERS.map(|producer| chain.votes(producer)), [0, 153, 0, 0], "once more a proxy");
}

#[test]
fn votes_outlast_a_registration() {
    let mut chain = Chain::with(|parameters| parameters.release_slots = 0);
    chain.register("frank").unwrap();
    chain.act("alice", stake("alice", 8)).unwrap();
    chain.act("alice", vote("alice", &["frank"])).unwrap();
    chain.act("frank", retire_action(name("frank"))).unwrap();
    assert_eq!(chain.act("bob", vote("bob", &["frank"])), Err(RejectReason::NoSuchProducer), "not any more");
    chain.act("frank", withdraw_action(name("frank"))).unwrap();
    chain.act("alice", stake("alice", 1)).unwrap();
    assert_eq!(chain.register("frank"), Ok(()));
    assert_eq!(chain.votes("frank"), 9);
}
