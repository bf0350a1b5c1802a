//! Proofs of finality (`crate::proof`) on chains with elections: every slice that a light terminal finds final is proven by
//! a few headers, and nothing else is.

use hpb_types::certificate::CertificateError;
use hpb_types::{
    Beacon, Bitmap, Canonical as _, Certificate, ChainId, Epoch, Hash, NextSchedule, ResultsCommitment, Slice,
    SliceBody, SliceRef, Slot,
};

use super::World;
use super::light::{Elect, GROWS, PARTS, TURNS, headers};
use crate::conformance::kit::{SLOT_MS, certificate, chain, genesis, name, schedule};
use crate::conformance::world::{EPOCH_SLOTS, Links};
use crate::dpos::{Anchor, Dpos};
use crate::engine::{Anchor as _, Engine as _};
use crate::proof::{Certified, Checker, FinalRun, ProofError, ProveError, Prover};
use crate::schedules::Schedules;

fn schedules(elect: Elect, count: usize) -> Schedules {
    Schedules::new(schedule(0, &elect(0, count)), EPOCH_SLOTS)
}

fn checker(elect: Elect, count: usize) -> Checker {
    Dpos::verifier(chain(), genesis(), schedules(elect, count)).checker()
}

/// The proof of the slice at `at` of a chain, if what follows proves it final.
fn prove(elect: Elect, count: usize, chain: &[Slice], at: usize) -> Result<Option<Vec<FinalRun>>, ProveError> {
    let mut prover = Prover::new(&schedules(elect, count));
    for (index, slice) in chain.iter().enumerate() {
        prover.take(&slice.body)?;
        if index == at {
            prover.aim();
        }
    }
    Ok(prover.into_runs())
}

/// Judges a proof; signatures are names here.
fn check(mut checker: Checker, runs: &[FinalRun]) -> Result<Certified, ProofError> {
    let mut last = Err(ProofError::Form { headers: 0, certificates: 0 });
    for run in runs {
        last = Ok(checker.follow_knowing(run, &|_, _| true)?);
    }
    last
}

/// How far a chain proves itself final, by its content.
fn proven_height(elect: Elect, count: usize, chain: &[Slice]) -> hpb_types::Height {
    let mut anchor = Anchor::genesis(genesis(), schedules(elect, count));
    for slice in chain {
        anchor.extend(slice).unwrap();
    }
    anchor.standing.progress.last_final
}

/// Every `step`th slice that is final by the chain's content has a proof of runs of at most `len_max` headers that holds,
/// and no other has one.
fn assert_proves(elect: Elect, count: usize, chain: &[Slice], step: usize, len_max: usize) {
    let proven = proven_height(elect, count, chain);
    for (at, slice) in chain.iter().enumerate().rev().step_by(step) {
        let runs = prove(elect, count, chain, at).unwrap();
        assert_eq!(runs.is_some(), slice.body.height() <= proven, "{}", slice.reference());
        let Some(runs) = runs else { continue };
        let certified = check(checker(elect, count), &runs);
        let certified = certified.unwrap_or_else(|error| panic!("{}: {error}", slice.reference()));
        assert_eq!(certified.slice, slice.reference());
        let quorum = certified.quorums.last().unwrap();
        assert!(3 * quorum.signers > 2 * quorum.producers, "{certified:?}");
        assert!(runs.iter().all(|run| run.headers.len() <= len_max), "{}", slice.reference());
        let changes = chain[..=at].iter().filter(|slice| matches!(slice.body.next, NextSchedule::Fixed(_))).count();
        assert!(runs.len() <= 2 * changes + 1, "{} runs for {changes} changes", runs.len());
    }
}

#[test]
fn every_final_slice_is_proven_through_all_elections() {
    let cases: [(Elect, usize); 3] = [(TURNS, 4), (GROWS, 7), (PARTS, 8)];
    for (elect, count) in cases {
        let chain = headers(elect, count, 6 * EPOCH_SLOTS);
        assert!(chain.iter().any(|slice| slice.body.epoch >= Epoch(5)));
        assert_proves(elect, count, &chain, 1, 16);
    }
}

#[test]
fn every_final_slice_is_proven_after_partitions_at_the_boundary() {
    for seed in 0..12_u64 {
        let links = Links { delay_ms: (5, 60), loss_per_million: 2_000, twice_per_million: 2_000 };
        let mut world = World::electing(8, seed, links, PARTS);
        world.run_until(6 * SLOT_MS + 90 * seed);
        world.groups = if seed.is_multiple_of(2) { vec![0, 0, 0, 0, 1, 1, 1, 1] } else { vec![0, 0, 0, 1, 1, 1, 1, 1] };
        world.run_until((14 + seed % 8) * SLOT_MS);
        world.heal();
        world.run_until(40 * SLOT_MS);
        assert_proves(PARTS, 8, &world.nodes[0].log, 3, usize::MAX);
    }
}

#[test]
fn a_run_has_its_bytes() {
    let chain = headers(PARTS, 8, 2 * EPOCH_SLOTS);
    let runs = prove(PARTS, 8, &chain, chain.len() / 2).unwrap().unwrap();
    for run in runs {
        assert_eq!(FinalRun::from_bytes(&run.to_bytes()), Ok(run.clone()));
        let cut = FinalRun { certificates: Vec::new(), ..run };
        assert!(FinalRun::from_bytes(&cut.to_bytes()).is_err());
    }
}

/// What is done to a proof, and what is said of it.
type Attack = (&'static str, fn(&mut Vec<FinalRun>), fn(&ProofError) -> bool);

fn last(runs: &mut [FinalRun]) -> &mut FinalRun {
    runs.last_mut().unwrap()
}

fn two_of(certificate: &mut Certificate, quorum: usize) {
    let quorum = &mut certificate.quorums[quorum];
    let kept: Vec<usize> = quorum.producers.iter().take(2).collect();
    quorum.producers = Bitmap::default();
    assert!(kept.into_iter().all(|index| quorum.producers.insert(index)));
    quorum.signatures.truncate(2);
}

/// Changes the last header of a run, which nothing but its certificate binds, and that certificate with it.
fn remake(run: &mut FinalRun, change: impl FnOnce(&mut SliceBody)) {
    let header = run.headers.last_mut().unwrap();
    change(header);
    run.certificates.last_mut().unwrap().target.id = header.id();
}

#[test]
fn what_does_not_hold_is_named() {
    let chain = headers(PARTS, 8, 3 * EPOCH_SLOTS);
    let at = chain.iter().position(|slice| slice.body.epoch == Epoch(1) && slice.body.slot.0 == 12).unwrap();
    let honest = prove(PARTS, 8, &chain, at).unwrap().unwrap();
    // What fixes epoch 1's, what the change takes, the slice.
    assert_eq!(honest.len(), 3);
    assert_eq!(honest[1].certificates[0].quorums.len(), 2);
    let attacks: [Attack; 15] = [
        ("no certificate", |runs| last(runs).certificates.clear(), |error| matches!(error, ProofError::Form { .. })),
        ("no second header", |runs| last(runs).headers.truncate(1), |error| matches!(error, ProofError::Form { .. })),
        (
            "another chain's",
            |runs| last(runs).headers[0].chain = ChainId(Hash([1; 32])),
            |error| matches!(error, ProofError::WrongChain { .. }),
        ),
        (
            "another slice in its place",
            |runs| last(runs).headers[0].results.hash = Hash([9; 32]),
            |error| matches!(error, ProofError::Broken { .. }),
        ),
        (
            "another slice's certificate",
            |runs| last(runs).certificates = runs[0].certificates.clone(),
            |error| matches!(error, ProofError::Target { .. }),
        ),
        (
            "a link from elsewhere",
            |runs| {
                let other = runs[0].certificates[0].source;
                last(runs).certificates.last_mut().unwrap().source = other;
            },
            |error| matches!(error, ProofError::Source { .. }),
        ),
        (
            "a target nobody made",
            |runs| last(runs).headers.last_mut().unwrap().results.hash = Hash([9; 32]),
            |error| matches!(error, ProofError::Target { .. }),
        ),
        (
            "a target that carries no certificate of the source",
            |runs| {
                let other = runs[0].headers.last().unwrap().source.clone();
                remake(last(runs), |header| header.source = other);
            },
            |error| matches!(error, ProofError::Target { .. }),
        ),
        (
            "too few signatures",
            |runs| two_of(&mut last(runs).certificates[0], 0),
            |error| matches!(error, ProofError::Certificate { error: CertificateError::Weight(Epoch(1)), .. }),
        ),
        (
            "too few of the old set's, at the change",
            |runs| two_of(&mut runs[1].certificates[0], 0),
            |error| matches!(error, ProofError::Certificate { error: CertificateError::Weight(Epoch(0)), .. }),
        ),
        (
            "none of the old set's, at the change",
            |runs| drop(runs[1].certificates[0].quorums.remove(0)),
            |error| matches!(error, ProofError::Certificate { error: CertificateError::Quorums, .. }),
        ),
        (
            "nothing of the change",
            |runs| drop(runs.remove(1)),
            |error| matches!(error, ProofError::Certificate { error: CertificateError::Quorums, .. }),
        ),
        (
            "the old schedule alone",
            |runs| drop(runs.drain(..2)),
            |error| matches!(error, ProofError::Schedule { named: Epoch(1), known: Epoch(0), .. }),
        ),
        (
            "the old set's word, after the change",
            |runs| last(runs).certificates[0].quorums[0].epoch = Epoch(0),
            |error| matches!(error, ProofError::Certificate { error: CertificateError::Quorums, .. }),
        ),
        (
            "a schedule before its epoch",
            |runs| {
                let run = runs[0].clone();
                runs[1] = run;
                remake(&mut runs[1], |header| header.epoch = Epoch(1));
            },
            |error| matches!(error, ProofError::Schedule { named: Epoch(1), known: Epoch(0), .. }),
        ),
    ];
    assert!(check(checker(PARTS, 8), &honest).is_ok());
    for (what, spoil, is_named) in attacks {
        let mut runs = honest.clone();
        spoil(&mut runs);
        let error = check(checker(PARTS, 8), &runs).unwrap_err();
        assert!(is_named(&error), "{what}: {error:?}");
    }
    // With signatures verified, names are no signatures.
    let refused = checker(PARTS, 8).follow(&honest[0]).unwrap_err();
    assert!(matches!(refused, ProofError::Certificate { error: CertificateError::Signature(_), .. }), "{refused:?}");
}

/// A link over the end of a slot justifies its target, and makes its source no more final.
#[test]
fn a_link_that_spans_slots_makes_nothing_final() {
    let chain = headers(TURNS, 4, 12);
    let spans = |slice: &&Slice| slice.body.slot.0 > 1 && slice.body.source.target.height.slot < slice.body.slot;
    let target = chain.iter().find(spans).unwrap();
    let link = chain.iter().map(|slice| &slice.body.source).find(|link| link.target == target.reference()).unwrap();
    let source = chain.iter().position(|slice| slice.reference() == link.source).unwrap();
    let run = chain[source..].iter().take_while(|slice| slice.body.height() <= target.body.height());
    let headers: Vec<SliceBody> = run.map(|slice| slice.body.clone()).collect();
    let certificates = vec![link.clone(); headers.len() - 1];
    let refused = checker(TURNS, 4).follow_knowing(&FinalRun { headers, certificates }, &|_, _| true).unwrap_err();
    assert_eq!(refused, ProofError::Gap { source_slice: link.source, target: link.target });
}

/// A run by hand: a slice that fixes the schedule of epoch 1, and a link between two slices of `slot` behind it.
fn fixing_run(slot: u64) -> FinalRun {
    let body = |at: (u64, u32), parent: SliceRef, source: Certificate| SliceBody {
        version: SliceBody::VERSION,
        chain: chain(),
        epoch: Epoch(0),
        slot: Slot(at.0),
        index: at.1,
        last: false,
        parent: parent.id,
        producer: name(0),
        transactions_root: Hash::ZERO,
        results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
        source,
        beacon: Beacon::None,
        next: NextSchedule::None,
    };
    let named = |body: &SliceBody| SliceRef { height: body.height(), id: body.id() };
    let mut fixing = body((6, 0), genesis(), certificate(genesis(), genesis()));
    fixing.next = NextSchedule::Fixed(schedule(1, &[7, 6, 5, 4]));
    let first = body((slot, 1), named(&fixing), certificate(genesis(), genesis()));
    let second = body((slot, 2), named(&first), certificate(genesis(), named(&first)));
    let link = certificate(named(&first), named(&second));
    FinalRun { headers: vec![fixing, first, second], certificates: vec![link] }
}

/// The rule of the boundary: a fixing slice that becomes final in a later epoch fixes nothing.
#[test]
fn a_schedule_counts_only_if_its_fixing_slice_was_final_in_time() {
    let mut of_next = fixing_run(12);
    of_next.headers.iter_mut().for_each(|header| header.epoch = Epoch(1));
    for slot in [7, 8] {
        let mut checker = checker(PARTS, 8);
        checker.follow_knowing(&fixing_run(slot), &|_, _| true).unwrap();
        let refused =
            checker.follow_knowing(&FinalRun { headers: relinked(&of_next), ..of_next.clone() }, &|_, _| true);
        let is_schedule = matches!(refused, Err(ProofError::Schedule { named: Epoch(1), known: Epoch(0), .. }));
        assert_eq!(is_schedule, slot == 8, "proven final in slot {slot}: {refused:?}");
    }
}

/// The same headers, each on the one before it again.
fn relinked(run: &FinalRun) -> Vec<SliceBody> {
    let mut headers: Vec<SliceBody> = Vec::new();
    for header in &run.headers {
        let parent = headers.last().map_or(header.parent, SliceBody::id);
        headers.push(SliceBody { parent, ..header.clone() });
    }
    headers
}
