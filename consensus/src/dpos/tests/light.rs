//! Light terminals (`crate::light`) on chains with elections: what they say, from where they may start, what they refuse.

use hpb_base::limits::LIGHT_FINALS_MAX;
use hpb_base::{Instant, Machine as _};
use hpb_types::certificate::CertificateError;
use hpb_types::{
    Beacon, Bitmap, Canonical, ChainId, Confirm, Epoch, Hash, Height, NextSchedule, Slice, SliceRef, Slot, VrfProof,
};

use super::World;
use crate::conformance::kit::{SLOT_MS, chain, config, genesis, name, schedule};
use crate::conformance::runs::steady;
use crate::conformance::world::{EPOCH_SLOTS, Links};
use crate::dpos::{Anchor, Dpos, TrustError};
use crate::engine::{Anchor as _, DropReason, Engine as _, Verified, Verify};
use crate::light::{Finality, Light, LightError, Output};
use crate::schedules::Schedules;
use crate::verify::{Verifier, VerifyError};

/// All that a verifier looks at but signatures, which are names here.
struct Paper(Verifier);

impl Verify<Confirm> for Paper {
    fn set_schedules(&mut self, schedules: Schedules) {
        self.0.set_schedules(schedules);
    }

    fn slice(&mut self, slice: Slice) -> Result<Verified<Slice>, VerifyError> {
        self.0.slice_producer(&slice)?;
        self.0.outstanding(&slice.body.source)?;
        Ok(Verified::vouch(slice))
    }

    fn confirm(&mut self, confirm: Confirm) -> Result<Verified<Confirm>, VerifyError> {
        Ok(Verified::vouch(confirm))
    }
}

type Terminal = Light<Dpos, Paper>;

const NOW: Instant = Instant::from_millis(1_000 * SLOT_MS);

fn on(anchor: Anchor) -> Terminal {
    let schedules = Schedules::new(schedule(0, &[0]), EPOCH_SLOTS);
    Light::start(config(None), anchor, Paper(Dpos::verifier(chain(), genesis(), schedules)), NOW)
}

fn start(elect: Elect, count: usize) -> Terminal {
    on(Anchor::genesis(genesis(), Schedules::new(schedule(0, &elect(0, count)), EPOCH_SLOTS)))
}

pub(super) type Elect = fn(u64, usize) -> Vec<usize>;

pub(super) const TURNS: Elect = |epoch, count| (0..count).map(|index| (3 * index + epoch as usize) % count).collect();
pub(super) const GROWS: Elect = |epoch, _| (0..[4, 7, 5, 7][epoch as usize % 4]).collect();
pub(super) const PARTS: Elect = |epoch, _| if epoch.is_multiple_of(2) { vec![0, 1, 2, 3] } else { vec![7, 6, 5, 4] };

/// The final headers of a chain of that many slots.
pub(super) fn headers(elect: Elect, count: usize, slots: u64) -> Vec<Slice> {
    let mut world = World::electing(count, 7, steady(30), elect);
    world.run_until((slots + 1) * SLOT_MS);
    world.nodes[0].log.clone()
}

fn tell(light: &mut Terminal, headers: &[Slice]) -> Vec<Output> {
    light.handle(NOW, headers.to_vec());
    std::iter::from_fn(|| light.poll(NOW)).collect()
}

/// Goes over a chain header by header: at each the terminal says the same as the chain's own content, reckoned without an
/// engine, and nothing that the validators did not make final.
fn assert_agrees(elect: Elect, count: usize, headers: &[Slice]) {
    let mut light = start(elect, count);
    let mut anchor = Anchor::genesis(genesis(), Schedules::new(schedule(0, &elect(0, count)), EPOCH_SLOTS));
    for (at, slice) in headers.iter().enumerate() {
        let told = tell(&mut light, std::slice::from_ref(slice));
        assert!(told.iter().all(|output| matches!(output, Output::Final(_))), "{told:?} at {}", slice.reference());
        anchor.extend(slice).unwrap();
        assert_eq!(light.last_final().height, anchor.standing.progress.last_final, "after {}", slice.reference());
        assert_eq!(light.in_force(), &anchor.standing.regime.current);
        let last = light.last_final();
        assert!(last == genesis() || headers[..at].iter().any(|slice| slice.reference() == last));
    }
    for slice in headers {
        let (reference, other) = (slice.reference(), SliceRef { id: Hash::ZERO, ..slice.reference() });
        let passed = reference.height <= light.last_final().height;
        assert_eq!(light.finality(&reference), if passed { Finality::Final } else { Finality::NotYet });
        assert_eq!(light.finality(&other), if passed { Finality::Never } else { Finality::NotYet });
    }
    let behind = headers.iter().filter(|slice| slice.body.height() > light.last_final().height).count();
    assert!(behind <= 8, "{behind} final slices are not proven by those after them");
}

#[test]
fn it_says_what_the_chain_says_through_all_elections() {
    let cases: [(Elect, usize); 3] = [(TURNS, 4), (GROWS, 7), (PARTS, 8)];
    for (elect, count) in cases {
        let headers = headers(elect, count, 6 * EPOCH_SLOTS);
        assert!(headers.iter().any(|slice| slice.body.epoch >= Epoch(5)));
        assert_agrees(elect, count, &headers);
    }
}

#[test]
fn it_says_what_the_chain_says_after_partitions_at_the_boundary() {
    for seed in 0..12_u64 {
        let links = Links { delay_ms: (5, 60), loss_per_million: 2_000, twice_per_million: 2_000 };
        let mut world = World::electing(8, seed, links, PARTS);
        world.run_until(6 * SLOT_MS + 90 * seed);
        world.groups = if seed.is_multiple_of(2) { vec![0, 0, 0, 0, 1, 1, 1, 1] } else { vec![0, 0, 0, 1, 1, 1, 1, 1] };
        world.run_until((14 + seed % 8) * SLOT_MS);
        world.heal();
        world.run_until(40 * SLOT_MS);
        assert_agrees(PARTS, 8, &world.nodes[0].log);
    }
}

/// Where a chain is spoilt, how, and what is said of it.
type Attack = (&'static str, fn(&[Slice]) -> usize, fn(&mut Slice), fn(&Slice) -> LightError);

fn unverified(header: &Slice, error: VerifyError) -> LightError {
    LightError::Unverified { header: header.reference(), error }
}

fn invalid(header: &Slice, reason: DropReason) -> LightError {
    LightError::Invalid { header: header.reference(), reason }
}

/// The first header that carries two quorums: of a change of the producers.
fn at_change(headers: &[Slice]) -> usize {
    headers.iter().position(|slice| slice.body.source.quorums.len() == 2).unwrap()
}

/// The first header of the new set that carries a certificate of it alone.
fn behind_change(headers: &[Slice]) -> usize {
    headers.iter().position(|slice| matches!(&slice.body.source.quorums[..], [one] if one.epoch == Epoch(1))).unwrap()
}

#[test]
fn the_first_wrong_header_is_refused_by_name_and_the_rest_comes_from_another() {
    let honest = headers(PARTS, 8, 3 * EPOCH_SLOTS);
    let attacks: [Attack; 13] = [
        (
            "another chain's",
            |_| 40,
            |slice| slice.body.chain = ChainId(Hash([1; 32])),
            |slice| unverified(slice, VerifyError::WrongChain),
        ),
        (
            "another producer's",
            |_| 40,
            |slice| slice.body.producer = name(9),
            |slice| unverified(slice, VerifyError::NotScheduled),
        ),
        (
            "a gap",
            |_| 40,
            |slice| slice.body.parent = Hash([5; 32]),
            |slice| LightError::Gap { header: slice.reference(), parent: Hash([5; 32]) },
        ),
        ("a height left out", |_| 40, |slice| slice.body.index += 1, |slice| invalid(slice, DropReason::Height)),
        (
            "too little weight",
            |_| 40,
            |slice| {
                let quorum = &mut slice.body.source.quorums[0];
                let kept: Vec<usize> = quorum.producers.iter().take(2).collect();
                quorum.producers = Bitmap::default();
                for index in kept {
                    assert!(quorum.producers.insert(index));
                }
                quorum.signatures.truncate(2);
            },
            |slice| unverified(slice, VerifyError::Certificate(CertificateError::Weight(Epoch(0)))),
        ),
        (
            "a signature cut off",
            |_| 40,
            |slice| slice.body.source.quorums[0].signatures.truncate(1),
            |slice| unverified(slice, VerifyError::Certificate(CertificateError::Bitmap(Epoch(0)))),
        ),
        (
            "the old set's word alone, at the change",
            at_change,
            |slice| slice.body.source.quorums.truncate(1),
            |slice| invalid(slice, DropReason::Source),
        ),
        (
            "the new set's word alone, at the change",
            at_change,
            |slice| drop(slice.body.source.quorums.remove(0)),
            |slice| invalid(slice, DropReason::Source),
        ),
        (
            "the old set's word, after the change",
            behind_change,
            |slice| {
                let quorum = &mut slice.body.source.quorums[0];
                quorum.epoch = Epoch(0);
            },
            |slice| invalid(slice, DropReason::Source),
        ),
        (
            "a schedule that nobody fixed",
            |_| 40,
            |slice| slice.body.epoch = Epoch(3),
            |slice| unverified(slice, VerifyError::UnknownSchedule),
        ),
        (
            "a schedule fixed out of time",
            |_| 40,
            |slice| slice.body.next = NextSchedule::Fixed(schedule(1, &[9, 9, 9, 9])),
            |slice| invalid(slice, DropReason::NextSchedule),
        ),
        (
            "a certificate of no slice here",
            |_| 40,
            |slice| slice.body.source.target.id = Hash([8; 32]),
            |slice| invalid(slice, DropReason::Source),
        ),
        (
            "from a slot that has not come",
            |_| 40,
            |slice| {
                (slice.body.slot, slice.body.index, slice.body.producer) = (Slot(4_000), 0, name(0));
                slice.body.beacon = Beacon::Proof(VrfProof([0; 80]));
            },
            |slice| invalid(slice, DropReason::Early),
        ),
    ];
    for (what, place, spoil, expected) in attacks {
        let at = place(&honest);
        let mut light = start(PARTS, 8);
        let mut spoilt = honest.clone();
        spoil(&mut spoilt[at]);
        let told = tell(&mut light, &spoilt);
        let (refused, finals): (Vec<&Output>, Vec<&Output>) =
            told.iter().partition(|output| matches!(output, Output::Refused(_)));
        assert_eq!(refused, [&Output::Refused(expected(&spoilt[at]))], "{what}");
        let before = honest[at - 1].reference();
        assert_eq!(light.wanted(), Height { index: before.height.index + 1, ..before.height }, "{what}");
        let mut told_by_good = start(PARTS, 8);
        assert_eq!(finals, tell(&mut told_by_good, &honest[..at]).iter().collect::<Vec<_>>(), "{what}: nothing more");
        tell(&mut light, &honest[at..]);
        tell(&mut told_by_good, &honest[at..]);
        assert_eq!(light.last_final(), told_by_good.last_final(), "{what}");
        assert!(light.last_final().height.slot >= Slot(3 * EPOCH_SLOTS - 1));
    }
}

#[test]
fn a_schedule_is_not_in_force_before_its_fixing_slice_is_proven_final() {
    let honest = headers(PARTS, 8, 2 * EPOCH_SLOTS);
    let fixing = honest.iter().position(|slice| matches!(slice.body.next, NextSchedule::Fixed(_))).unwrap();
    let taken = honest.iter().find(|slice| slice.body.epoch == Epoch(1)).unwrap();
    for after in 0..3 {
        let mut light = start(PARTS, 8);
        assert!(tell(&mut light, &honest[..=fixing + after]).iter().all(|told| matches!(told, Output::Final(_))));
        let mut early = taken.clone();
        early.body.parent = honest[fixing + after].id();
        early.body.source = honest[fixing + after].body.source.clone();
        let refused = unverified(&early, VerifyError::UnknownSchedule);
        assert_eq!(tell(&mut light, &[early]), [Output::Refused(refused)], "{after} behind the fixing slice");
    }
    // Known to be final here, but not proven so by the chain before the boundary: the old one stays.
    let mut light = start(PARTS, 8);
    let proven = honest.iter().position(|slice| {
        slice.body.source.source.height == honest[fixing].body.height() && slice.body.slot == honest[fixing].body.slot
    });
    let proven = proven.unwrap();
    tell(&mut light, &honest[..=proven]);
    let mut beside = taken.clone();
    beside.body.parent = honest[proven - 1].id();
    beside.body.source = honest[proven - 1].body.source.clone();
    let refused = invalid(&beside, DropReason::Schedule);
    assert_eq!(tell(&mut light, &[beside]), [Output::Refused(refused)]);
}

#[test]
fn a_header_beside_the_final_chain_is_refused_and_one_that_never_becomes_final_holds_nobody_up() {
    let honest = headers(TURNS, 4, 12);
    let mut light = start(TURNS, 4);
    tell(&mut light, &honest[..60]);
    let mut beside = honest[20].clone();
    beside.body.results.hash = Hash([9; 32]);
    let last_final = light.last_final();
    let refused = LightError::NotFinal { header: beside.reference(), last_final };
    assert_eq!(tell(&mut light, &[beside]), [Output::Refused(refused)]);
    assert_eq!(tell(&mut light, &honest[10..60]), [], "what is known is passed over");
    let mut fork = honest[60].clone();
    fork.body.results.hash = Hash([9; 32]);
    // Right as far as it goes, and the certificate that it carries is true.
    assert!(!tell(&mut light, &[fork.clone()]).iter().any(|told| matches!(told, Output::Refused(_))));
    assert_eq!(light.finality(&fork.reference()), Finality::NotYet);
    light.rewind();
    assert!(light.wanted().slot <= honest[60].body.slot);
    tell(&mut light, &honest[50..]);
    assert!(light.last_final().height > fork.body.height());
    assert_eq!(light.finality(&fork.reference()), Finality::Never);
}

#[test]
fn a_truncated_header_is_no_header() {
    let honest = headers(PARTS, 8, 2 * EPOCH_SLOTS);
    let bytes = honest[at_change(&honest)].to_bytes();
    for len in 0..bytes.len() {
        assert!(Slice::from_bytes(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn it_starts_from_a_trusted_slice_where_one_schedule_says_all() {
    let honest = headers(PARTS, 8, 6 * EPOCH_SLOTS);
    let mut whole = start(PARTS, 8);
    tell(&mut whole, &honest);
    let (mut good, mut near) = (0, 0);
    for at in (0..honest.len()).filter(|at| honest[*at].body.height() < whole.last_final().height) {
        let trusted = honest[at].reference();
        let source = honest[at].body.source.target;
        let Some(from) = honest.iter().position(|slice| slice.reference() == source) else { continue };
        let epoch = honest[at].body.epoch;
        let run = &honest[from..=at];
        match Anchor::trusted(trusted, run, schedule(epoch.0, &PARTS(epoch.0, 8)), EPOCH_SLOTS) {
            Ok(anchor) => {
                good += 1;
                let mut light = on(anchor);
                assert_eq!(light.finality(&trusted), Finality::Final);
                let told = tell(&mut light, &honest[at + 1..]);
                assert!(told.iter().all(|told| matches!(told, Output::Final(_))), "from {trusted}: {told:?}");
                assert_eq!(light.last_final(), whole.last_final(), "from {trusted}");
                assert_eq!(light.in_force(), whole.in_force());
            }
            Err(TrustError::NearChange { .. } | TrustError::Schedule { .. }) => near += 1,
            Err(error) => panic!("{trusted}: {error}"),
        }
    }
    assert!(good > honest.len() / 4 && near > honest.len() / 4, "{good} and {near} of {}", honest.len());
}

#[test]
fn a_run_that_does_not_lead_to_the_trusted_slice_is_refused() {
    let honest = headers(PARTS, 8, EPOCH_SLOTS - 1);
    let at = honest.iter().position(|slice| slice.body.height() == Height::new(4, 6)).unwrap();
    let trusted = honest[at].reference();
    let source = honest[at].body.source.target;
    let from = honest.iter().position(|slice| slice.reference() == source).unwrap();
    assert!(at - from >= 2);
    let of = |run: &[Slice]| Anchor::trusted(trusted, run, schedule(0, &PARTS(0, 8)), EPOCH_SLOTS).map(|_| ());
    let run = honest[from..=at].to_vec();
    assert_eq!(of(&run), Ok(()));
    let mut holed = run.clone();
    holed.remove(1);
    let mut forged = run.clone();
    forged[0].body.results.hash = Hash([1; 32]);
    let runs = [&[][..], &run[1..], &run[..run.len() - 1], &honest[from - 1..=at], &holed, &forged];
    for run in runs {
        assert_eq!(of(run), Err(TrustError::Run { trusted }));
    }
    let other = Anchor::trusted(trusted, &run, schedule(1, &PARTS(1, 8)), EPOCH_SLOTS).map(|_| ());
    assert_eq!(other, Err(TrustError::Schedule { found: run[0].reference(), epoch: Epoch(1) }));
}

#[test]
fn it_remembers_no_more_than_it_may() {
    let slots = LIGHT_FINALS_MAX as u64 / 11 + 60;
    let honest = headers(TURNS, 4, slots);
    let mut light = start(TURNS, 4);
    tell(&mut light, &honest);
    assert!(honest.len() > LIGHT_FINALS_MAX + 100, "{}", honest.len());
    assert_eq!(light.finality(&honest[50].reference()), Finality::Forgotten);
    let recent = honest[honest.len() - 100].reference();
    assert_eq!(light.finality(&recent), Finality::Final);
    assert_eq!(light.wake_at(), None);
}
