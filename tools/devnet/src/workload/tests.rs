#![allow(clippy::unwrap_used)]

use core::num::{NonZeroU32, NonZeroU64};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hpb_base::Instant;

use super::*;

/// The mainnet file; `None`, with a word, where the data are absent and nobody said where they are.
fn mainnet() -> Option<Workload> {
    let named = std::env::var_os("HPB_DATA");
    let demanded = named.is_some();
    let data =
        named.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = data.join("mainnet/transfers.csv");
    if !path.exists() && !demanded {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(Workload::from_file(&path).unwrap())
}

fn small() -> Workload {
    let mut builder = Builder::new("small".to_owned());
    for (from, to, amount) in [(1, 2, 10), (2, 3, 0), (1, 1, 5), (4, 2, 7), (2, 3, 1)] {
        assert!(builder.push([from; 20], [to; 20], Amount(amount)).is_ok());
    }
    builder.finish().unwrap()
}

#[test]
fn the_mainnet_file_reads_whole() {
    let Some(workload) = mainnet() else { return };
    assert_eq!((workload.transfers().len(), workload.rows_skipped()), (FITTED_TRANSFERS, 32));
    assert_eq!((workload.parties().len(), workload.sender_count()), (23_943, 15_343));
    let itself = workload.transfers().iter().filter(|transfer| transfer.from == transfer.to).count();
    let nothing = workload.transfers().iter().filter(|transfer| transfer.amount == Amount::ZERO).count();
    assert_eq!((itself, nothing), (95, 6_219));
    let sent: u128 = workload.transfers().iter().map(|transfer| transfer.amount.0).sum();
    assert_eq!(sent, workload.parties().iter().map(|party| party.outgoing.0).sum());
}

#[test]
fn the_constants_are_the_fit_of_the_file() {
    let Some(workload) = mainnet() else { return };
    let fitted = fit(&workload);
    // Logarithms of another library may move the likelihoods' last digits, and with them a flat maximum by a step.
    for (fitted, constant) in [(fitted.senders, FITTED.senders), (fitted.receivers, FITTED.receivers)] {
        assert_eq!((fitted.distinct_ppm, fitted.active_ppm), (constant.distinct_ppm, constant.active_ppm));
        assert!(fitted.exponent_milli.abs_diff(constant.exponent_milli) <= 20, "{fitted:?}");
        assert!(fitted.shift_tenths.abs_diff(constant.shift_tenths) <= 2, "{fitted:?}");
    }
    assert_eq!(Model { senders: FITTED.senders, receivers: FITTED.receivers, ..fitted }, FITTED);
}

#[test]
fn a_drawn_workload_fits_the_model_it_was_drawn_from() {
    let fitted = fit(&Workload::drawn(&FITTED, 7, FITTED_TRANSFERS).unwrap());
    let near = |got: u32, wanted: u32, per_cent: u32| got.abs_diff(wanted) * 100 <= wanted * per_cent;
    assert!(near(fitted.senders.distinct_ppm, FITTED.senders.distinct_ppm, 1), "{fitted:?}");
    assert!(near(fitted.receivers.distinct_ppm, FITTED.receivers.distinct_ppm, 5), "{fitted:?}");
    assert!(near(fitted.senders.exponent_milli, FITTED.senders.exponent_milli, 10), "{fitted:?}");
    assert!(near(fitted.receivers.exponent_milli, FITTED.receivers.exponent_milli, 10), "{fitted:?}");
    assert!(near(fitted.zero_ppm, FITTED.zero_ppm, 5), "{fitted:?}");
    assert!(near(fitted.self_ppm, FITTED.self_ppm, 30), "{fitted:?}");
    assert!(near(fitted.repeat_ppm, FITTED.repeat_ppm, 5), "{fitted:?}");
    let drawn: u32 = fitted.amount_digits.iter().sum();
    let constant: u32 = FITTED.amount_digits.iter().sum();
    for (digits, (got, wanted)) in fitted.amount_digits.iter().zip(FITTED.amount_digits).enumerate() {
        let wanted = u64::from(wanted) * u64::from(drawn) / u64::from(constant);
        // Four standard deviations of a count, and one for the rounding.
        let slack = 4 * wanted.isqrt() + 1;
        assert!(u64::from(*got).abs_diff(wanted) <= slack, "{digits} digits: {got}, not about {wanted}");
    }
}

#[test]
fn the_hottest_accounts_are_about_as_hot_as_in_the_file() {
    let workload = Workload::drawn(&FITTED, 3, FITTED_TRANSFERS).unwrap();
    let mut sends: Vec<u32> = workload.parties().iter().map(|party| party.sends).collect();
    sends.sort_unstable_by(|a, b| b.cmp(a));
    let top: u32 = sends[..4].iter().sum();
    // 3,727 in the file.
    assert!((2_600..4_200).contains(&top), "{:?}", &sends[..4]);
}

#[test]
fn one_seed_one_workload() {
    let draw = |seed| Workload::drawn(&FITTED, seed, 500).unwrap();
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7).transfers(), draw(8).transfers());
    // A golden digest: integer arithmetic gives the same list on every machine.
    let mut bytes = Vec::new();
    for transfer in draw(7).transfers() {
        bytes.extend(transfer.from.to_le_bytes());
        bytes.extend(transfer.to.to_le_bytes());
        bytes.extend(transfer.amount.0.to_le_bytes());
    }
    assert_eq!(hpb_types::Hash::of(&bytes).0[..8], [248, 78, 24, 237, 72, 10, 122, 139]);
}

#[test]
fn any_length_can_be_drawn_but_none_and_too_many() {
    for transfers in [1, 2, 3, 10] {
        let workload = Workload::drawn(&FITTED, 1, transfers).unwrap();
        assert_eq!(workload.transfers().len(), transfers);
    }
    assert!(matches!(Workload::drawn(&FITTED, 1, 0), Err(WorkloadError::Empty { .. })));
    let too_many = Workload::drawn(&FITTED, 1, WORKLOAD_TRANSFERS_MAX + 1);
    assert!(matches!(too_many, Err(WorkloadError::TooLong { .. })));
}

#[test]
fn the_list_is_repeated_with_other_salts() {
    let workload = Arc::new(small());
    let run: Vec<Submission> = Source::new(Arc::clone(&workload), 9).take(12).collect();
    for (place, submission) in run.iter().enumerate() {
        assert_eq!(submission.sequence, place as u64);
        assert_eq!(submission.pass, place as u64 / 5);
        assert_eq!(submission.transfer, workload.transfers()[place % 5]);
    }
    let salts: BTreeSet<u64> = run.iter().map(|submission| submission.salt).collect();
    assert_eq!(salts.len(), run.len());
    let again: Vec<Submission> = Source::new(Arc::clone(&workload), 9).take(12).collect();
    assert_eq!(run, again);
    let other = Source::new(workload, 10).take_next();
    assert_ne!(run[0].salt, other.salt);
}

#[test]
fn no_transfer_of_a_run_can_be_overdrawn() {
    let workload = Arc::new(small());
    let (transfers, fee) = (13, 3);
    let endowments = workload.endow(transfers, Amount(fee)).unwrap();
    // The hardest order: nobody receives anything before all have sent everything.
    let mut balances: BTreeMap<u32, u128> = (0..).zip(endowments.iter().map(|entry| entry.balance.0)).collect();
    for submission in Source::new(Arc::clone(&workload), 1).take(transfers as usize) {
        let balance = balances.get_mut(&submission.transfer.from).unwrap();
        *balance = balance.checked_sub(submission.transfer.amount.0 + fee).unwrap();
    }
    let receives_only = workload.parties().iter().position(|party| party.sends == 0).unwrap();
    assert_eq!(endowments[receives_only].balance, Amount::ZERO);
    assert_eq!(workload.endow(0, Amount(fee)).unwrap()[0].balance, Amount::ZERO);
    let error = workload.endow(10, Amount(u128::MAX)).unwrap_err().to_string();
    assert!(error.contains("small") && error.contains("do not fit"), "{error}");
}

#[test]
fn a_sender_belongs_to_one_terminal() {
    let workload = Workload::drawn(&FITTED, 2, 1_000).unwrap();
    for terminals in [1, 3, 100, 5_000] {
        let assignment = Assignment::new(&workload, NonZeroU32::new(terminals).unwrap());
        let mut held = BTreeSet::new();
        for terminal in 0..terminals {
            for sender in assignment.senders_of(terminal) {
                assert!(held.insert(*sender));
                assert_eq!(assignment.terminal_of(*sender), Some(terminal));
            }
        }
        assert_eq!(held.len(), workload.sender_count());
        let counts: Vec<usize> = (0..terminals).map(|terminal| assignment.senders_of(terminal).len()).collect();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        for (party, facts) in (0..).zip(workload.parties()) {
            assert_eq!(assignment.terminal_of(party).is_some(), facts.sends > 0);
        }
        assert_eq!(assignment.terminal_of(u32::MAX), None);
        assert!(assignment.senders_of(terminals).is_empty());
    }
}

#[test]
fn the_schedule_does_not_drift() {
    let start = Instant::from_millis(5);
    for rate in [1, 3, 7, 1_000, 999_983, 3_000_000_000] {
        let schedule = RateSchedule::new(start, NonZeroU64::new(rate).unwrap());
        // An hour on, the time is exact to the nanosecond.
        assert_eq!(schedule.intended_at(schedule.total(3_600)), start + hpb_base::Duration::from_secs(3_600));
        for sequence in [0, 1, 2, 3, 10, 999, 1_000_000_007] {
            let at = schedule.intended_at(sequence);
            let due = schedule.due_count(at);
            assert!(due > sequence && schedule.intended_at(due) > at, "{rate} {sequence} {due}");
            if at > start {
                assert!(schedule.due_count(Instant::from_nanos(at.as_nanos() - 1)) <= sequence);
            }
        }
        assert_eq!(schedule.due_count(Instant::ZERO), 0);
    }
    let slowest = RateSchedule::new(start, NonZeroU64::MIN);
    assert_eq!(slowest.intended_at(u64::MAX), Instant::from_nanos(u64::MAX));
    assert_eq!(RateSchedule::new(Instant::ZERO, NonZeroU64::MAX).due_count(Instant::from_nanos(u64::MAX)), u64::MAX);
}
