//! Proofs of what a log holds, checked with the genesis alone.

use hpb_consensus::ProofError;
use hpb_types::certificate::CertificateError;
use hpb_types::{Canonical as _, Hash, MerkleProof};

use super::*;
use crate::core::prove::{ProvingError, Wanted, prove};
use crate::proof::{CheckError, Claim, ContentProof, ProofFileError};

/// A chain of many short epochs, the transactions that are final on it, in order, and node 0's log.
fn chain(seconds: u64) -> (World, Vec<Transaction>) {
    let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
    let mut sent = Vec::new();
    for salt in 0..seconds {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        sent.push(transaction);
        world.run_for(Duration::from_secs(1));
    }
    world.run_for(Duration::from_secs(3));
    (world, sent)
}

fn made(world: &mut World, wanted: Wanted) -> Option<ContentProof> {
    let genesis = world.genesis.clone();
    prove(&genesis, &mut world.nodes[0].as_mut().unwrap().log, wanted).unwrap()
}

fn proof_of(world: &mut World, transaction: &Transaction) -> ContentProof {
    made(world, Wanted::Transaction(transaction.id())).unwrap()
}

#[test]
fn every_transaction_of_many_epochs_is_proven_to_whom_has_the_genesis_alone() {
    let (mut world, sent) = chain(40);
    let mut runs = BTreeSet::new();
    for transaction in &sent {
        let proof = proof_of(&mut world, transaction);
        let file = proof.to_file();
        assert_eq!(ContentProof::from_file(&file), Ok(proof.clone()));
        let proven = proof.check(&world.genesis).unwrap();
        assert_eq!(proof.claim.transaction(), Some(&transaction.body));
        let receipt = &proof.claim.receipt().unwrap().receipt;
        assert_eq!((receipt.transaction, receipt.outcome), (transaction.id(), Outcome::Applied));
        assert_eq!(receipt.fee, Amount(10 * transaction.to_bytes().len() as u128));
        let slice = proven.certified.slice;
        assert_eq!(proven.unix_ms, WALL_AT_ZERO + 600 * slice.height.slot.0);
        assert!(world.holds_final(1, slice), "another node has it too");
        let quorum = proven.certified.quorums.last().unwrap();
        assert!(quorum.signers >= 3 && quorum.producers == 4, "{quorum:?}");
        runs.insert(proof.runs.len());
    }
    // One set, its order alone is drawn: a run an epoch, and the last.
    assert!(runs.len() >= 7 && runs.first() == Some(&1), "{runs:?}");
    let none = made(&mut world, Wanted::Transaction(Hash([3; 32])));
    assert_eq!(none, None);
}

#[test]
fn a_state_is_proven_and_is_the_one_that_the_nodes_have() {
    let (mut world, _) = chain(12);
    let proof = made(&mut world, Wanted::State(Slot(9))).unwrap();
    let proven = proof.check(&world.genesis).unwrap();
    assert_eq!(proven.certified.slice.height.slot, Slot(9));
    assert!(proof.claim.receipt().is_none() && proof.claim.transaction().is_none());
    let mut forged = proof.clone();
    let Claim::State { state } = &mut forged.claim else { panic!() };
    state.state = Hash([1; 32]);
    let refused = forged.check(&world.genesis);
    assert_eq!(refused, Err(CheckError::OtherResults { slice: proven.certified.slice }));
    assert_eq!(made(&mut world, Wanted::State(Slot(1_000))), None);
}

#[test]
fn what_is_not_proven_in_the_log_yet_is_said() {
    let (mut world, _) = chain(6);
    let genesis = world.genesis.clone();
    let log = &mut world.nodes[0].as_mut().unwrap().log;
    let tip = log.last_final();
    // The last final slices may be proven by those that are not final; past them nothing is.
    let mut refusals = 0;
    for slot in (1..=tip.height.slot.0).map(Slot) {
        match prove(&genesis, log, Wanted::State(slot)) {
            Ok(proof) => assert!(proof.unwrap().check(&genesis).is_ok()),
            Err(ProvingError::NotYet { slice }) => {
                assert!(slice.height.slot.0 + 1 >= tip.height.slot.0, "{slice} of {tip}");
                refusals += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refusals <= 1);
}

/// Whether a changed file is refused, or proves the same.
fn is_refused_or_the_same(genesis: &Genesis, honest: &ContentProof, changed: &[u8]) -> bool {
    let Ok(proof) = ContentProof::from_file(changed) else { return true };
    match (proof.check(genesis), honest.check(genesis)) {
        (Ok(proven), Ok(honestly)) => proven == honestly && proof.claim == honest.claim,
        (refused, _) => refused.is_err(),
    }
}

/// A genesis, and a proof on its chain.
fn sample() -> &'static (Genesis, ContentProof) {
    static SAMPLE: std::sync::OnceLock<(Genesis, ContentProof)> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (mut world, sent) = chain(9);
        let proof = proof_of(&mut world, &sent[8]);
        assert!(proof.runs.len() > 1, "a change of the producers is on the way");
        (world.genesis.clone(), proof)
    })
}

#[test]
fn each_byte_counts() {
    let (genesis, honest) = sample();
    let file = honest.to_file();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(is_refused_or_the_same(genesis, honest, &changed), "byte {at}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(500))]

    #[test]
    fn a_changed_file_is_refused_or_proves_the_same(
        at in proptest::num::usize::ANY,
        mask in 1_u8..,
        second in proptest::option::of((proptest::num::usize::ANY, 1_u8..)),
    ) {
        let (genesis, honest) = sample();
        let mut changed = honest.to_file();
        for (at, mask) in [Some((at, mask)), second].into_iter().flatten() {
            let at = at % changed.len();
            changed[at] ^= mask;
        }
        proptest::prop_assert!(is_refused_or_the_same(genesis, honest, &changed));
    }
}

/// What is done to a proof, and what is said of it.
type Forgery<'a> = (&'a str, &'a dyn Fn(&mut ContentProof), &'a dyn Fn(&CheckError) -> bool);

fn finality(error: &CheckError) -> Option<&ProofError> {
    match error {
        CheckError::Finality(error) => Some(error),
        _ => None,
    }
}

#[test]
fn what_does_not_hold_is_refused_by_name() {
    let (mut world, sent) = chain(20);
    let (early, late) = (proof_of(&mut world, &sent[2]), proof_of(&mut world, &sent[18]));
    assert!(early.runs.len() < late.runs.len());
    let other = Genesis { label: "another".to_owned(), ..world.genesis.clone() };
    assert!(matches!(late.check(&other), Err(CheckError::WrongChain { .. })));
    let relabelled = ContentProof { chain: other.chain_id(), ..late.clone() };
    assert!(
        matches!(relabelled.check(&other).unwrap_err(), error if matches!(finality(&error), Some(ProofError::WrongChain { .. })))
    );
    let forgeries: [Forgery<'_>; 11] = [
        ("nothing", &|proof| proof.runs.clear(), &|error| *error == CheckError::NoRun),
        (
            "another slice's certificates",
            &|proof| *proof.runs.last_mut().unwrap() = early.runs.last().unwrap().clone(),
            &|error| matches!(finality(error), Some(ProofError::Schedule { .. })),
        ),
        ("another slice of the same epoch", &|proof| proof.claim = early.claim.clone(), &|error| {
            matches!(error, CheckError::NotInSlice { .. })
        }),
        (
            "another transaction",
            &|proof| {
                let Claim::Transaction { body, .. } = &mut proof.claim else { panic!() };
                body.salt += 1;
            },
            &|error| matches!(error, CheckError::NotInSlice { .. }),
        ),
        (
            "another place",
            &|proof| {
                let Claim::Transaction { place, .. } = &mut proof.claim else { panic!() };
                *place = MerkleProof { index: place.index + 1, ..place.clone() };
            },
            &|error| matches!(error, CheckError::NotInSlice { .. }),
        ),
        (
            "another's receipt",
            &|proof| {
                let Claim::Transaction { receipt, .. } = &mut proof.claim else { panic!() };
                *receipt = early.claim.receipt().unwrap().clone();
            },
            &|error| matches!(error, CheckError::OtherReceipt { .. }),
        ),
        (
            "another fee",
            &|proof| {
                let Claim::Transaction { receipt, .. } = &mut proof.claim else { panic!() };
                receipt.receipt.fee.0 -= 1;
            },
            &|error| matches!(error, CheckError::OtherResults { .. }),
        ),
        ("an old schedule", &|proof| drop(proof.runs.remove(proof.runs.len() - 2)), &|error| {
            matches!(finality(error), Some(ProofError::Schedule { .. }))
        }),
        (
            "a confirm that nobody signed",
            &|proof| {
                let link = proof.runs.last_mut().unwrap().certificates.last_mut().unwrap();
                link.quorums[0].signatures[1].0[7] ^= 1;
            },
            &|error| {
                let of = finality(error);
                matches!(of, Some(ProofError::Certificate { error: CertificateError::Signature(_), .. }))
            },
        ),
        (
            "a word less than two thirds of four",
            &|proof| {
                let quorum = &mut proof.runs[0].certificates[0].quorums[0];
                let kept: Vec<usize> = quorum.producers.iter().take(2).collect();
                quorum.producers = hpb_types::Bitmap::default();
                assert!(kept.into_iter().all(|index| quorum.producers.insert(index)));
                quorum.signatures.truncate(2);
            },
            &|error| {
                let of = finality(error);
                matches!(of, Some(ProofError::Certificate { error: CertificateError::Weight(Epoch(0)), .. }))
            },
        ),
        (
            "a receipt alone is of whom it names",
            &|proof| {
                let mut receipt = proof.claim.receipt().unwrap().clone();
                receipt.receipt.transaction = Hash([7; 32]);
                proof.claim = Claim::Receipt { receipt };
            },
            &|error| matches!(error, CheckError::OtherResults { .. }),
        ),
    ];
    for (what, forge, is_named) in forgeries {
        let mut forged = late.clone();
        forge(&mut forged);
        let error = forged.check(&world.genesis).unwrap_err();
        assert!(is_named(&error), "{what}: {error}");
    }
    let receipt = late.claim.receipt().unwrap().clone();
    let alone = ContentProof { claim: Claim::Receipt { receipt }, ..late.clone() };
    assert!(alone.check(&world.genesis).is_ok());
}

#[test]
fn a_file_that_is_none_is_refused_by_name() {
    let (mut world, sent) = chain(3);
    let file = proof_of(&mut world, &sent[0]).to_file();
    assert_eq!(ContentProof::from_file(b"HPB-ARC\nand so on"), Err(ProofFileError::Magic));
    assert_eq!(ContentProof::from_file(&[]), Err(ProofFileError::Magic));
    let mut newer = file.clone();
    newer[8] = 2;
    assert_eq!(ContentProof::from_file(&newer), Err(ProofFileError::Format { found: 2 }));
    let cut = ContentProof::from_file(&file[..file.len() - 1]);
    assert!(matches!(cut, Err(ProofFileError::Damaged(_))), "{cut:?}");
    let mut longer = file.clone();
    longer.push(0);
    assert!(matches!(ContentProof::from_file(&longer), Err(ProofFileError::Damaged(_))));
    longer.resize(9 + hpb_base::limits::PROOF_LEN_MAX, 0);
    assert_eq!(ContentProof::from_file(&longer), Err(ProofFileError::TooLong));
}
