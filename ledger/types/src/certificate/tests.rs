use std::collections::BTreeSet;

use super::*;
use crate::samples::{self, key, schedule};
use crate::units::Height;

const QUORUM: Suffices = Schedule::is_quorum;
const NOTHING_KNOWN: &dyn Fn(&Signature, &ConfirmBody) -> bool = &|_, _| false;

fn link() -> (SliceRef, SliceRef) {
    let source = SliceRef { height: Height::new(5, 0), id: samples::hash(0x51) };
    (source, samples::slice_ref())
}

/// The quorum of `schedule` by the producers at `signers`, for a target of `epoch`.
fn quorum(schedule: &Schedule, first_key: u8, signers: &[usize], epoch: u64) -> Quorum {
    let (source, target) = link();
    let sign = |index: &usize| {
        let producer = schedule.producers[*index].name;
        let body = ConfirmBody { version: 1, chain: samples::chain(), epoch: Epoch(epoch), source, target, producer };
        (*index, Confirm::sign(body, &key(first_key + *index as u8)).signature)
    };
    Quorum::new(schedule.epoch, &signers.iter().map(sign).collect())
}

fn certificate(quorums: Vec<Quorum>) -> Certificate {
    let (source, target) = link();
    Certificate { source, target, quorums }
}

/// What a certificate of `signers` among producers of `weights` is judged to be.
fn judge(weights: &[u64], signers: &[usize]) -> Result<(), CertificateError> {
    let schedule = schedule(1, 10, weights);
    certificate(vec![quorum(&schedule, 10, signers, 1)]).verify(&samples::chain(), &[&schedule], QUORUM, NOTHING_KNOWN)
}

#[test]
fn more_than_two_thirds_of_the_weight() {
    let too_light = Err(CertificateError::Weight(Epoch(1)));
    for (weights, signers, verdict) in [
        (&[1, 1, 1, 1][..], &[0, 1, 3][..], Ok(())),
        (&[1, 1, 1, 1], &[0, 1, 2, 3], Ok(())),
        (&[1, 1, 1, 1], &[0, 1], too_light),
        (&[1, 1, 1, 1], &[], too_light),
        // Exactly two thirds is not more.
        (&[1, 1, 1], &[0, 1], too_light),
        (&[1, 1, 1], &[0, 1, 2], Ok(())),
        (&[7], &[0], Ok(())),
        // Weight counts, not heads.
        (&[1, 1, 1, 7], &[3], Ok(())),
        (&[1, 1, 1, 7], &[0, 1, 2], too_light),
        (&[u64::MAX / 2, u64::MAX / 2], &[0], too_light),
        (&[u64::MAX / 2, u64::MAX / 2], &[0, 1], Ok(())),
    ] {
        assert_eq!(judge(weights, signers), verdict, "{weights:?} {signers:?}");
    }
}

#[test]
fn the_weight_that_suffices_is_the_engines_to_say() {
    for (signers, verdict) in [(&[0, 1][..], Err(CertificateError::Weight(Epoch(1)))), (&[0, 1, 3], Ok(()))] {
        let schedule = schedule(1, 10, &[1, 1, 1, 1]);
        let certificate = certificate(vec![quorum(&schedule, 10, signers, 1)]);
        let judged = certificate.verify(&samples::chain(), &[&schedule], Schedule::is_majority, NOTHING_KNOWN);
        assert_eq!(judged, verdict);
    }
    let schedule = schedule(1, 10, &[1, 1, 1]);
    let two = certificate(vec![quorum(&schedule, 10, &[0, 2], 1)]);
    assert_eq!(two.verify(&samples::chain(), &[&schedule], Schedule::is_majority, NOTHING_KNOWN), Ok(()));
}

#[test]
fn both_sets_at_a_change_of_the_producers() {
    let (old, mut new) = (schedule(1, 10, &[1, 1, 1, 1]), schedule(2, 20, &[1, 1, 1]));
    new.producers.iter_mut().zip([samples::ALICE, samples::BOB, samples::CAROL]).for_each(|(at, name)| at.name = name);
    let chain = samples::chain();
    let both = [&old, &new];
    let judge = |old_signers: &[usize], new_signers: &[usize]| {
        certificate(vec![quorum(&old, 10, old_signers, 2), quorum(&new, 20, new_signers, 2)]).verify(
            &chain,
            &both,
            QUORUM,
            NOTHING_KNOWN,
        )
    };
    assert_eq!(judge(&[0, 1, 2], &[0, 1, 2]), Ok(()));
    assert_eq!(judge(&[0, 1], &[0, 1, 2]), Err(CertificateError::Weight(Epoch(1))));
    assert_eq!(judge(&[0, 1, 2], &[0, 1]), Err(CertificateError::Weight(Epoch(2))));

    let only_new = certificate(vec![quorum(&new, 20, &[0, 1, 2], 2)]);
    assert_eq!(only_new.verify(&chain, &both, QUORUM, NOTHING_KNOWN), Err(CertificateError::Quorums));
    assert_eq!(only_new.verify(&chain, &[&new], QUORUM, NOTHING_KNOWN), Ok(()));
    assert_eq!(only_new.verify(&chain, &[&old], QUORUM, NOTHING_KNOWN), Err(CertificateError::Quorums));

    let swapped = certificate(vec![quorum(&new, 20, &[0, 1, 2], 2), quorum(&old, 10, &[0, 1, 2], 2)]);
    assert_eq!(swapped.verify(&chain, &both, QUORUM, NOTHING_KNOWN), Err(CertificateError::Quorums));

    // The old set's confirms name the target's epoch, not its own.
    let own_epoch = certificate(vec![quorum(&old, 10, &[0, 1, 2], 1), quorum(&new, 20, &[0, 1, 2], 2)]);
    let first = old.producers[0].name;
    assert_eq!(own_epoch.verify(&chain, &both, QUORUM, NOTHING_KNOWN), Err(CertificateError::Signature(first)));
}

#[test]
fn who_stays_in_office_signs_for_both_sets_by_its_present_key() {
    let (old, new) = (schedule(1, 10, &[1, 1, 1]), schedule(2, 20, &[1, 1, 1]));
    let judge = |old_key| {
        certificate(vec![quorum(&old, old_key, &[0, 1, 2], 2), quorum(&new, 20, &[0, 1, 2], 2)]).verify(
            &samples::chain(),
            &[&old, &new],
            QUORUM,
            NOTHING_KNOWN,
        )
    };
    assert_eq!(judge(20), Ok(()));
    assert_eq!(judge(10), Err(CertificateError::Signature(old.producers[0].name)));
}

#[test]
fn no_schedule_no_proof() {
    let genesis = Certificate::genesis(samples::slice_ref());
    assert_eq!(genesis.verify(&samples::chain(), &[], QUORUM, NOTHING_KNOWN), Err(CertificateError::Backward));
    assert_eq!(
        certificate(vec![]).verify(&samples::chain(), &[], QUORUM, NOTHING_KNOWN),
        Err(CertificateError::Quorums)
    );
}

#[test]
fn the_target_is_above_the_source() {
    let schedule = schedule(1, 10, &[1]);
    let mut level = certificate(vec![quorum(&schedule, 10, &[0], 1)]);
    level.source.height = level.target.height;
    assert_eq!(level.verify(&samples::chain(), &[&schedule], QUORUM, NOTHING_KNOWN), Err(CertificateError::Backward));
}

#[test]
fn every_signature_is_judged_and_the_culprit_named() {
    let schedule = schedule(1, 10, &[1, 1, 1, 1]);
    let good = certificate(vec![quorum(&schedule, 10, &[0, 1, 2, 3], 1)]);
    let judge = |certificate: &Certificate| certificate.verify(&samples::chain(), &[&schedule], QUORUM, NOTHING_KNOWN);
    assert_eq!(judge(&good), Ok(()));
    for index in 0..4 {
        let mut bad = good.clone();
        bad.quorums[0].signatures[index].0[40] ^= 1;
        assert_eq!(judge(&bad), Err(CertificateError::Signature(schedule.producers[index].name)));
    }
    for change in [
        (|certificate| certificate.target.id.0[0] ^= 1) as fn(&mut Certificate),
        |certificate| certificate.source.id.0[0] ^= 1,
        |certificate| certificate.source.height.index += 1,
        |certificate| certificate.quorums[0].signatures.swap(0, 1),
    ] {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(judge(&bad), Err(CertificateError::Signature(schedule.producers[0].name)));
    }
    let other_chain = ChainId(samples::hash(0x12));
    let culprit = Err(CertificateError::Signature(schedule.producers[0].name));
    assert_eq!(good.verify(&other_chain, &[&schedule], QUORUM, NOTHING_KNOWN), culprit);
}

#[test]
fn bitmaps_that_fit_nothing_are_refused() {
    let schedule = schedule(1, 10, &[1, 1, 1, 1]);
    let good = certificate(vec![quorum(&schedule, 10, &[0, 1, 2], 1)]);
    for change in [
        (|quorum| quorum.producers.0.push(0)) as fn(&mut Quorum),
        |quorum| assert!(quorum.producers.insert(3)),
        |quorum| {
            assert!(quorum.producers.insert(4));
            quorum.signatures.push(quorum.signatures[0]);
        },
        |quorum| assert!(quorum.signatures.pop().is_some()),
    ] {
        let mut bad = good.clone();
        change(&mut bad.quorums[0]);
        let verdict = bad.verify(&samples::chain(), &[&schedule], QUORUM, NOTHING_KNOWN);
        assert_eq!(verdict, Err(CertificateError::Bitmap(Epoch(1))));
    }
}

#[test]
fn what_is_known_is_not_verified_again_and_nothing_else_is_spared() {
    let schedule = schedule(1, 10, &[1, 1, 1, 1]);
    let mut certificate = certificate(vec![quorum(&schedule, 10, &[0, 1, 2, 3], 1)]);
    certificate.quorums[0].signatures[2].0[40] ^= 1;
    let culprit = schedule.producers[2].name;
    let judge = |known: &dyn Fn(&Signature, &ConfirmBody) -> bool| {
        certificate.verify(&samples::chain(), &[&schedule], QUORUM, known)
    };
    assert_eq!(judge(&|_, body| body.producer == culprit), Ok(()));
    assert_eq!(judge(&|_, body| body.producer != culprit), Err(CertificateError::Signature(culprit)));
}

#[test]
fn confirms_are_those_that_were_signed() {
    let schedule = schedule(1, 10, &[1, 1, 1, 1]);
    let certificate = certificate(vec![quorum(&schedule, 10, &[0, 2, 3], 1)]);
    let confirms = certificate.confirms(&samples::chain(), &[&schedule], QUORUM).unwrap();
    assert!(confirms.iter().all(|(key, confirm)| confirm.verify(key)));
    let names: Vec<&str> = confirms.iter().map(|(_, confirm)| confirm.body.producer.as_str()).collect();
    assert_eq!(names, ["p00", "p02", "p03"]);
}

#[test]
fn bitmap_is_a_set() {
    let mut bitmap = Bitmap::default();
    let members = BTreeSet::from([0, 7, 8, 63, PRODUCERS_MAX - 1]);
    for member in &members {
        assert!(bitmap.insert(*member));
        assert!(!bitmap.insert(*member));
    }
    assert_eq!(bitmap.iter().collect::<BTreeSet<_>>(), members);
    assert_eq!(bitmap.count(), members.len());
    assert!(!bitmap.contains(1) && !bitmap.contains(usize::MAX));
    assert_eq!(Bitmap::from_bytes(&bitmap.to_bytes()), Ok(bitmap));
}

#[test]
fn bitmaps_with_a_zero_tail_or_a_stranger_do_not_decode() {
    let bytes = |bitmap: &[u8]| [&(bitmap.len() as u32).to_le_bytes()[..], bitmap].concat();
    assert_eq!(Bitmap::from_bytes(&bytes(&[])), Ok(Bitmap::default()));
    assert_eq!(Bitmap::from_bytes(&bytes(&[1, 0])), Err(CodecError::Range));
    assert_eq!(Bitmap::from_bytes(&bytes(&[1; 14])), Err(CodecError::TooLong));
    let mut stranger = [0; BITMAP_LEN_MAX];
    stranger[PRODUCERS_MAX / 8] = 1 << (PRODUCERS_MAX % 8);
    assert_eq!(Bitmap::from_bytes(&bytes(&stranger)), Err(CodecError::Range));
}
