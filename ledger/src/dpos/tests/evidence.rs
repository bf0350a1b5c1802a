use hpb_types::{
    ChainId, Confirm, ConfirmBody, Domain, Evidence, Fault, Height, KeyPair, SignedSlice, SliceRef, SliceStatement,
};

use super::*;

fn chain_id() -> ChainId {
    Chain::new().genesis.chain_id()
}

fn at(slot: u64, id: u8) -> SliceRef {
    SliceRef { height: Height::new(slot, 1), id: Hash([id; 32]) }
}

fn confirm(chain: ChainId, producer: &str, key: &KeyPair, epoch: Epoch, source: SliceRef, target: SliceRef) -> Confirm {
    let body = ConfirmBody { version: ConfirmBody::VERSION, chain, epoch, source, target, producer: name(producer) };
    Confirm::sign(body, key)
}

fn signed_slice(key: &KeyPair, epoch: Epoch, slice: SliceRef) -> SignedSlice {
    let statement = SliceStatement { version: SliceStatement::VERSION, epoch, slice };
    SignedSlice { statement, signature: key.sign(Domain::Slice, &chain_id(), &statement.to_bytes()) }
}

pub(super) fn two_slices(producer: &str, epoch: Epoch) -> Evidence {
    let slice = |id| signed_slice(&slices_key_of(producer), epoch, at(5, id));
    Evidence::TwoSlices { producer: name(producer), first: slice(1), second: slice(2) }
}

pub(super) fn two_confirms(producer: &str, epoch: Epoch) -> Evidence {
    let confirm = |id| confirm(chain_id(), producer, &slices_key_of(producer), epoch, at(4, 9), at(5, id));
    Evidence::TwoConfirms { first: confirm(1), second: confirm(2) }
}

pub(super) fn surround(producer: &str, epoch: Epoch) -> Evidence {
    let confirm =
        |source, target| confirm(chain_id(), producer, &slices_key_of(producer), epoch, at(source, 1), at(target, 1));
    Evidence::Surround { outer: confirm(1, 6), inner: confirm(2, 5) }
}

fn report(evidence: Evidence) -> Action {
    report_action(name("alice"), evidence)
}

#[test]
fn each_fault_is_cut_once() {
    let mut chain = Chain::new();
    let evidences = [two_slices, two_confirms, surround].map(|evidence| evidence("prod-a", Epoch(0)));
    let mut bond = 1_000;
    let mut pool = 100_000;
    let mut reporter = ENDOWMENT.0;
    for (index, evidence) in evidences.iter().enumerate() {
        let told = chain.act_telling("alice", report(evidence.clone())).unwrap();
        let cut = bond * 400 / 1_000;
        let reward = cut * 100 / 1_000;
        (bond, pool, reporter) = (bond - cut, pool + cut - reward, reporter + reward);
        let done = CutDone {
            producer: name("prod-a"),
            fault: evidence.fault(),
            cut: Amount(cut),
            reporter: name("alice"),
            reward: Amount(reward),
        };
        assert_eq!(CutDone::from_bytes(&told), Ok(done));
        let producer = chain.producer("prod-a").unwrap();
        assert_eq!((producer.status, producer.bond), (Status::Expelled, Amount(bond)));
        assert_eq!((chain.pool(), chain.balance("alice")), (pool, reporter));
        let hash = Hash::of_parts("evidence", &[&evidence.to_bytes()]);
        let expected = Cut { fault: evidence.fault(), epoch: Epoch(0), evidence: hash, amount: Amount(cut) };
        assert_eq!((producer.cuts.len(), producer.cuts[index]), (index + 1, expected));
        assert_eq!(chain.act("bob", report_action(name("bob"), evidence.clone())), Err(RejectReason::AlreadyCut));
    }
    let other = Evidence::TwoSlices {
        producer: name("prod-a"),
        first: signed_slice(&slices_key_of("prod-a"), Epoch(0), at(7, 1)),
        second: signed_slice(&slices_key_of("prod-a"), Epoch(0), at(7, 2)),
    };
    assert_eq!(chain.act("alice", report(other)), Err(RejectReason::AlreadyCut), "another one of the kind");
    assert_eq!(chain.status("prod-b"), Status::Active);
}

#[test]
fn what_does_not_count() {
    let mut chain = Chain::new();
    chain.run_to(3);
    chain.register("bob").unwrap();
    let stranger = slices_key_of("stranger");
    let key = slices_key_of("prod-a");
    let id = chain_id();
    let link = |chain, key: &KeyPair, source: u64, target, id| {
        confirm(chain, "prod-a", key, Epoch(0), at(source, 1), at(target, id))
    };
    let good = link(id, &key, 4, 5, 1);
    let other_chain = link(ChainId(Hash([7; 32])), &key, 4, 5, 2);
    let resigned = Confirm { signature: stranger.sign(Domain::Confirm, &id, &good.body.to_bytes()), ..good.clone() };
    let prod_b = confirm(id, "prod-b", &slices_key_of("prod-b"), Epoch(0), at(4, 1), at(5, 2));
    let slice = |key: &KeyPair, id| signed_slice(key, Epoch(0), at(5, id));
    let slices = |producer: &str, first, second| Evidence::TwoSlices { producer: name(producer), first, second };
    let twice = |second| Evidence::TwoConfirms { first: good.clone(), second };
    for (case, evidence, reason) in [
        ("no producer", two_slices("zelda", Epoch(0)), RejectReason::NoSuchProducer),
        ("one slice twice", slices("prod-a", slice(&key, 1), slice(&key, 1)), RejectReason::BadEvidence),
        ("one confirm twice", twice(resigned), RejectReason::BadEvidence),
        ("two heights", twice(link(id, &key, 4, 6, 2)), RejectReason::BadEvidence),
        ("two producers", twice(prod_b), RejectReason::BadEvidence),
        ("two chains", twice(other_chain), RejectReason::BadEvidence),
        ("a stranger's second", twice(link(id, &stranger, 4, 5, 2)), RejectReason::BadSignature),
        ("a stranger's slice", slices("prod-a", slice(&stranger, 1), slice(&key, 2)), RejectReason::BadSignature),
        ("another's slices", slices("prod-b", slice(&key, 1), slice(&key, 2)), RejectReason::BadSignature),
        ("before it registered", two_confirms("bob", Epoch(0)), RejectReason::BadEvidence),
        (
            "no surround",
            Evidence::Surround { outer: link(id, &key, 4, 5, 1), inner: link(id, &key, 4, 5, 2) },
            RejectReason::BadEvidence,
        ),
    ] {
        assert_eq!(chain.act("alice", report(evidence)), Err(reason), "{case}");
    }
    assert_eq!(chain.status("prod-a"), Status::Active);
    assert_eq!(chain.act("alice", report(two_confirms("bob", Epoch(1)))), Ok(()));
}

#[test]
fn evidence_is_judged_by_the_key_of_its_epoch() {
    let (old, new) = (slices_key_of("prod-a"), slices_key_of("renewed"));
    let words = |first: (&KeyPair, u64), second: (&KeyPair, u64)| {
        let word = |(key, epoch), id| confirm(chain_id(), "prod-a", key, Epoch(epoch), at(14, 9), at(15, id));
        report(Evidence::TwoConfirms { first: word(first, 1), second: word(second, 2) })
    };
    let renewed = || {
        let mut chain = Chain::new();
        chain.run_to(9);
        let update = update_action(name("prod-a"), keys_of(&chain, "prod-a", "renewed", "prod-a"), "");
        chain.act("prod-a", update).unwrap();
        chain.run_to(25);
        assert_eq!(chain.schedule.producer(&name("prod-a")).unwrap().key, new.public());
        chain
    };
    // The schedule of epoch 1 was fixed when the key changed: the new key is epoch 2's.
    let mut chain = renewed();
    for (first, second) in [((&old, 2), (&old, 2)), ((&new, 1), (&new, 1)), ((&new, 0), (&new, 2))] {
        assert_eq!(chain.act("alice", words(first, second)), Err(RejectReason::BadSignature));
    }
    for (first, second) in
        [((&old, 1), (&old, 1)), ((&new, 2), (&new, 2)), ((&old, 0), (&new, 2)), ((&new, 9), (&old, 1))]
    {
        assert_eq!(renewed().act("alice", words(first, second)), Ok(()));
    }
}

#[test]
fn evidence_counts_until_the_bond_is_withdrawn() {
    let mut chain = Chain::new();
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.run_to(24);
    assert_eq!(chain.act("alice", report(two_slices("prod-a", Epoch(0)))), Ok(()), "while it is released");
    assert_eq!(chain.status("prod-a"), Status::Expelled);
    chain.run_to(26);
    let told = chain.act_telling("prod-a", withdraw_action(name("prod-a"))).unwrap();
    assert_eq!(Withdrawn::from_bytes(&told).unwrap().amount, Amount(600), "what is left of it");
    assert_eq!(chain.act("alice", report(surround("prod-a", Epoch(0)))), Err(RejectReason::NoSuchProducer));
}

#[test]
fn no_fault_from_before_a_registration_is_held_against_it() {
    let mut chain = Chain::new();
    chain.act("prod-a", retire_action(name("prod-a"))).unwrap();
    chain.run_to(26);
    chain.act("prod-a", withdraw_action(name("prod-a"))).unwrap();
    chain.act("alice", crate::token::transfer_action(name("alice"), name("prod-a"), Amount(5_000))).unwrap();
    assert_eq!(chain.register("prod-a"), Ok(()), "with the same key");
    assert_eq!(chain.act("alice", report(two_slices("prod-a", Epoch(0)))), Err(RejectReason::BadEvidence));
    assert_eq!(chain.act("alice", report(two_slices("prod-a", Epoch(3)))), Ok(()), "but a new one is");
}

#[test]
fn an_expelled_producer_is_out_of_the_next_schedule_that_is_not_fixed() {
    let mut chain = Chain::new();
    chain.register("alice").unwrap();
    chain.run_to(6);
    chain.act("bob", report_action(name("bob"), two_slices("prod-a", Epoch(0)))).unwrap();
    chain.run_to(8);
    assert_eq!(chain.next_names(), ["alice", "prod-b", "prod-c", "prod-d"], "fixed after it");
    chain.act("bob", report_action(name("bob"), two_slices("prod-b", Epoch(0)))).unwrap();
    chain.register("carol").unwrap();
    chain.run_to(16);
    assert_eq!(Chain::names(&chain.schedule), ["alice", "prod-b", "prod-c", "prod-d"], "fixed before it");
    chain.run_to(18);
    assert_eq!(chain.next_names(), ["alice", "carol", "prod-c", "prod-d"]);
    assert_eq!(chain.act("prod-b", resume_action(name("prod-b"))), Err(RejectReason::WrongStatus));
    assert_eq!(chain.act("prod-b", retire_action(name("prod-b"))), Ok(()));
    assert_eq!(chain.status("prod-b"), Status::Expelled, "and stays it");
    assert_eq!(chain.act("prod-b", withdraw_action(name("prod-b"))), Err(RejectReason::NothingFree));
    chain.run_to(18 + 25);
    assert_eq!(chain.act("prod-b", withdraw_action(name("prod-b"))), Ok(()));
}

#[test]
fn a_simulation_may_judge_by_its_own_rule() {
    let mut chain = Chain::new();
    let forged = |producer: &str| {
        let key = slices_key_of("stranger");
        let slice = |id| signed_slice(&key, Epoch(0), at(5, id));
        report(Evidence::TwoSlices { producer: name(producer), first: slice(1), second: slice(2) })
    };
    assert_eq!(chain.act("alice", forged("prod-a")), Err(RejectReason::BadSignature));
    chain.ledger = chain.ledger.with_judge(|_, _, _, _, _| true);
    assert_eq!(chain.act("alice", forged("prod-a")), Ok(()));
    assert_eq!(chain.producer("prod-a").unwrap().cuts[0].fault, Fault::TwoSlices);
}
