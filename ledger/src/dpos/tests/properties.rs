use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;
use crate::bytes::Bytes;
use crate::view::State;

const EVERYONE: [&str; 10] = ["alice", "bob", "carol", "dave", "erin", "frank", "prod-a", "prod-b", "prod-c", "prod-d"];

/// What somebody tries, by places in [`EVERYONE`].
#[derive(Clone, Debug)]
enum Try {
    Stake(usize, u128),
    Unstake(usize, u128),
    Withdraw(usize),
    Vote(usize, Vec<usize>),
    Proxy(usize, usize),
    Offer(usize, bool),
    Register(usize, u128),
    Bond(usize, u128),
    Update(usize, u8),
    Retire(usize),
    Resume(usize),
    Report(usize, usize, u8, u64),
    Slots(u64, Vec<usize>),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let who = || 0..EVERYONE.len();
    let amount = || 0..2_500_u128;
    let one = prop_oneof![
        4 => (who(), amount()).prop_map(|(who, amount)| Try::Stake(who, amount)),
        3 => (who(), amount()).prop_map(|(who, amount)| Try::Unstake(who, amount)),
        2 => who().prop_map(Try::Withdraw),
        5 => (who(), proptest::collection::vec(who(), 0..4)).prop_map(|(who, whom)| Try::Vote(who, whom)),
        3 => (who(), who()).prop_map(|(who, proxy)| Try::Proxy(who, proxy)),
        3 => (who(), any::<bool>()).prop_map(|(who, offers)| Try::Offer(who, offers)),
        3 => (who(), amount()).prop_map(|(who, bond)| Try::Register(who, bond)),
        1 => (who(), amount()).prop_map(|(who, amount)| Try::Bond(who, amount)),
        1 => (who(), 0..3_u8).prop_map(|(who, key)| Try::Update(who, key)),
        2 => who().prop_map(Try::Retire),
        1 => who().prop_map(Try::Resume),
        1 => (who(), who(), 0..3_u8, 0..3_u64).prop_map(|(who, whom, fault, epoch)| Try::Report(who, whom, fault, epoch)),
        4 => (1..12_u64, proptest::collection::vec(who(), 3..9)).prop_map(|(slots, who)| Try::Slots(slots, who)),
    ];
    proptest::collection::vec(one, 1..40)
}

fn attempt(chain: &mut Chain, what: &Try) -> Answer {
    let (who, action) = match what {
        Try::Stake(who, amount) => (who, stake(EVERYONE[*who], *amount)),
        Try::Unstake(who, amount) => (who, unstake(EVERYONE[*who], *amount)),
        Try::Withdraw(who) => (who, withdraw_action(name(EVERYONE[*who]))),
        Try::Vote(who, whom) => {
            let whom: Vec<&str> = whom.iter().map(|whom| EVERYONE[*whom]).collect();
            (who, vote(EVERYONE[*who], &whom))
        }
        Try::Proxy(who, proxy) => (who, proxy_action(name(EVERYONE[*who]), name(EVERYONE[*proxy]))),
        Try::Offer(who, offers) => (who, offer_proxy_action(name(EVERYONE[*who]), *offers)),
        Try::Register(who, bond) => (who, registration(chain, EVERYONE[*who], *bond)),
        Try::Bond(who, amount) => (who, bond_action(name(EVERYONE[*who]), Amount(*amount))),
        Try::Update(who, key) => {
            let keys = keys_of(chain, EVERYONE[*who], &format!("key-{key}"), EVERYONE[*who]);
            (who, update_action(name(EVERYONE[*who]), keys, "x"))
        }
        Try::Retire(who) => (who, retire_action(name(EVERYONE[*who]))),
        Try::Resume(who) => (who, resume_action(name(EVERYONE[*who]))),
        Try::Report(who, whom, fault, epoch) => {
            let evidence = [evidence::two_slices, evidence::two_confirms, evidence::surround][usize::from(*fault)];
            (who, report_action(name(EVERYONE[*who]), evidence(EVERYONE[*whom], Epoch(*epoch))))
        }
        Try::Slots(slots, confirmers) => {
            chain.confirmers = confirmers.iter().map(|who| name(EVERYONE[*who])).collect();
            chain.push(chain.head.height.slot.0 + slots, &[]);
            return Ok(());
        }
    };
    chain.act(EVERYONE[*who], action)
}

/// Every producer's votes and every proxy's loan, counted from what each account has and says.
fn counted(chain: &Chain) -> (BTreeMap<AccountName, u128>, BTreeMap<AccountName, u128>) {
    let stakes: BTreeMap<AccountName, Stake> = EVERYONE.iter().map(|who| (name(who), chain.stake_of(who))).collect();
    let mut given: BTreeMap<AccountName, u128> = BTreeMap::new();
    let mut votes: BTreeMap<AccountName, u128> = BTreeMap::new();
    for (who, stake) in &stakes {
        let mut voter = stake;
        if let Vote::Proxy(proxy) = &stake.vote {
            *given.entry(*proxy).or_default() += stake.staked.0;
            voter = &stakes[proxy];
            assert_ne!(who, proxy);
            if !voter.is_proxy {
                continue;
            }
        }
        if let Vote::Producers(ballot) = &voter.vote {
            for producer in &ballot.producers {
                *votes.entry(*producer).or_default() += stake.staked.0;
            }
        }
    }
    (votes, given)
}

fn tallied(chain: &Chain, who: &str) -> u128 {
    let place = key::of(name(who), key::VOTES);
    let at = chain.ledger.record(&chain.head.id, &place);
    at.map_or(0, |bytes| load::<Amount>(&bytes).unwrap().0)
}

fn has_no_fault(chain: &Chain) -> Result<(), TestCaseError> {
    let (votes, given) = counted(chain);
    for who in EVERYONE {
        let account = name(who);
        prop_assert_eq!(tallied(chain, who), votes.get(&account).copied().unwrap_or(0), "{}'s votes", who);
        let stake = chain.stake_of(who);
        prop_assert_eq!(stake.proxied.0, given.get(&account).copied().unwrap_or(0), "{}'s loan", who);
        prop_assert!(!(stake.is_proxy && matches!(stake.vote, Vote::Proxy(_))), "{} is a proxy's proxy", who);
    }
    // Every key of a registered producer leads to it.
    for state in chain.ledger.producers(&chain.head.id).unwrap() {
        let keys = state.producer.keys.iter().map(|from| producers::slice_sub_key(&from.key));
        for sub_key in keys.chain([producers::beacon_sub_key(&state.producer.beacon)]) {
            let place = key::of_place(Place { account: DPOS, table: PRODUCER_KEY, sub_key: &sub_key });
            let owner = chain.ledger.record(&chain.head.id, &place).map(|bytes| load::<AccountName>(&bytes).unwrap());
            prop_assert_eq!(owner, Some(state.name));
        }
        prop_assert!(state.producer.keys.is_sorted_by(|one, other| one.epoch < other.epoch));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The chain itself checks the supply after every slice.
    #[test]
    fn random_actions_keep_the_supply_and_the_tally(tries in tries()) {
        let mut genesis = dpos_genesis(&PRODUCERS, &PEOPLE);
        genesis.epoch_slots = EPOCH_SLOTS;
        genesis.fees.per_byte = Amount(1);
        for account in &mut genesis.accounts {
            account.balance = Amount(40_000);
        }
        let EngineChoice::Dpos(parameters) = &mut genesis.engine else { panic!() };
        parameters.release_slots = 12;
        let mut chain = Chain::of(genesis);
        chain.ledger = chain.ledger.with_judge(|_, _, _, _, _| true);
        for what in &tries {
            // Whatever the answer, nothing panics and nothing is damaged.
            let _ = attempt(&mut chain, what);
            has_no_fault(&chain)?;
            if let Some(next) = &chain.next {
                prop_assert!((4..=5).contains(&next.producers.len()));
            }
        }
    }
}

/// A state that fails after so many reads.
struct Faulty<'a> {
    below: &'a BTreeMap<Bytes, Bytes>,
    asked: AtomicUsize,
    fails_after: usize,
}

impl State for Faulty<'_> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        if self.asked.fetch_add(1, Relaxed) >= self.fails_after {
            return Err(StateError::Damaged { what: "a test's store".to_owned() });
        }
        Ok(self.below.get(key).cloned())
    }
    fn includes(&self, _: &Hash) -> bool {
        false
    }
}

#[test]
fn a_store_that_fails_or_is_damaged_is_no_receipt() {
    let mut chain = Chain::new();
    chain.confirmers = names(&PRODUCERS);
    chain.act("alice", stake("alice", 50)).unwrap();
    chain.act("carol", stake("carol", 7)).unwrap();
    chain.act("carol", offer_proxy_action(name("carol"), true)).unwrap();
    chain.act("carol", vote("carol", &["prod-b"])).unwrap();
    chain.act("bob", registration(&chain, "bob", 2_000)).unwrap();
    chain.run_to(7);
    let actions = vec![
        vote("alice", &["prod-a", "bob"]),
        unstake("alice", 5),
        proxy_action(name("alice"), name("carol")),
        report_action(name("alice"), evidence::two_slices("prod-a", Epoch(0))),
    ];
    let transaction = chain.transaction("alice", actions);
    let mut below = BTreeMap::new();
    chain.ledger.visit(&chain.head.id, |key, value| {
        below.insert(Bytes::from(key), Bytes::from(value));
    });
    // One slice that settles an epoch, fixes a schedule and runs all actions.
    let context = chain.context(19);
    let run = |below: &BTreeMap<Bytes, Bytes>, fails_after| {
        let state = Faulty { below, asked: AtomicUsize::new(0), fails_after };
        let parent = crate::apply::Parent { slot: chain.head.height.slot, queue: Vec::new() };
        let rules = chain.ledger.rules();
        let transactions = core::slice::from_ref(&transaction);
        let outcome = crate::apply::execute(rules, &state, &parent, &context, transactions, &crate::parallel::Alone);
        (outcome, state.asked.into_inner())
    };
    let (outcome, asked) = run(&below, usize::MAX);
    let executed = outcome.unwrap();
    assert_eq!(executed.receipts[0].outcome, Outcome::Applied);
    assert!(executed.next.is_some() && asked > 20, "{asked}");
    for fails_after in 0..asked {
        let (outcome, _) = run(&below, fails_after);
        assert!(matches!(outcome, Err(ExecuteError::State(_))), "at read {fails_after}: {outcome:?}");
    }
    for (account, table) in [
        (name("alice"), key::STAKE),
        (name("carol"), key::STAKE),
        (name("prod-a"), PRODUCER),
        (name("prod-b"), key::VOTES),
        (DPOS, ROSTER),
        (DPOS, POOL),
        (DPOS, BEACON),
        (DPOS, TERM),
        (DPOS, ACTIVITY),
    ] {
        let mut damaged = below.clone();
        damaged.insert(key::of(account, table), Bytes::from(&[9][..])).unwrap();
        let (outcome, _) = run(&damaged, usize::MAX);
        assert!(matches!(outcome, Err(ExecuteError::State(_))), "{account} {table:?}: {outcome:?}");
    }
}
