//! A workload in the shape of the mainnet file, drawn from a seed when no file is given.
//!
//! **The model.** In n transfers a fixed share of n are distinct senders (and receivers). Each of them occurs once; the
//! occurrences left over go to the *active* ones among them by a Zipf-Mandelbrot law: rank r weighs (r + shift)^-s.
//! (Plain Zipf over everyone fits badly: 96 % of the file's senders occur once, while its four largest send 17 %.) Then
//! the shares of transfers to oneself, of no value, and that repeat an earlier (from, to, amount), the share of
//! receivers that are among the senders, and the number of decimal digits of an amount, uniform within one number of
//! digits.
//!
//! **The fit.** [`fit`] measures the shares by counting and finds shift (in tenths) and exponent (in thousandths) by
//! maximum likelihood over the occurrences beyond the first. [`FITTED`] is its result on the 21,674 transfers of the
//! file; a test fits again.
//!
//! **What it leaves out.** The order is shuffled: no bursts of one sender within a block. Who pays whom, and whether
//! with value, is independent of rank. Amounts have no round figures.
//!
//! Drawing is integer arithmetic alone, so that a seed draws the same on every machine; only [`fit`] uses floats.

use std::collections::{BTreeMap, BTreeSet};

use hpb_base::Random;
use hpb_base::limits::WORKLOAD_TRANSFERS_MAX;
use hpb_types::Amount;

use super::fixed::Cumulative;
use super::{Address, Builder, PushError, Transfer, Workload, WorkloadError};

/// Digits of the largest amount that the model tells apart, and one place for none.
const DIGITS_COUNT: usize = 24;
const MILLION: u64 = 1_000_000;
/// Streams of [`Random`]: one a purpose, then one a party.
const SENDER_STREAM: u64 = 1;
const RECEIVER_STREAM: u64 = 2;
const TRANSFER_STREAM: u64 = 3;
const PARTY_STREAM: u64 = 1 << 32;
/// The largest shift that the fit looks at, in tenths.
const SHIFT_TENTHS_MAX: u32 = 100;
/// The largest exponent that the fit looks at.
const EXPONENT_MAX: f64 = 6.0;

/// How often the members of one side occur.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parties {
    /// Distinct members a million transfers.
    pub distinct_ppm: u32,
    /// Members that occur more than once, a million members.
    pub active_ppm: u32,
    /// The exponent s, in thousandths.
    pub exponent_milli: u32,
    /// The shift of the rank, in tenths.
    pub shift_tenths: u32,
}

/// The shape of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Model {
    /// Who sends.
    pub senders: Parties,
    /// Who receives.
    pub receivers: Parties,
    /// Receivers that send as well (not counting those that only they themselves pay), a million receivers.
    pub receivers_sending_ppm: u32,
    /// Transfers to their own sender, a million.
    pub self_ppm: u32,
    /// Transfers of no value, a million.
    pub zero_ppm: u32,
    /// Transfers that repeat an earlier (from, to, amount), a million.
    pub repeat_ppm: u32,
    /// Weights of the number of decimal digits of an amount that is not zero; index 0 is unused.
    pub amount_digits: [u32; DIGITS_COUNT],
}

/// Transfers in the file that [`FITTED`] was fitted to: the natural length of a list drawn from it.
pub const FITTED_TRANSFERS: usize = 21_674;

/// [`fit`] of the mainnet file: 77 blocks of Ethereum, 21,674 transfers, 15,343 senders, 8,791 receivers.
pub const FITTED: Model = Model {
    senders: Parties { distinct_ppm: 707_899, active_ppm: 43_212, exponent_milli: 1_303, shift_tenths: 1 },
    receivers: Parties { distinct_ppm: 405_601, active_ppm: 92_936, exponent_milli: 1_580, shift_tenths: 33 },
    receivers_sending_ppm: 12_513,
    self_ppm: 4_383,
    zero_ppm: 286_934,
    repeat_ppm: 32_712,
    amount_digits: [0, 4, 1, 5, 4, 30, 3, 3, 13, 9, 5, 3, 8, 28, 441, 1_857, 2_723, 2_777, 6_473, 715, 169, 109, 73, 2],
};

pub(super) fn draw(model: &Model, seed: u64, transfers: usize) -> Result<Workload, WorkloadError> {
    let mut builder = Builder::new(format!("seeded Zipf model (seed {seed})"));
    if transfers > WORKLOAD_TRANSFERS_MAX {
        return Err(WorkloadError::TooLong { origin: builder.origin });
    }
    let senders = occurrences(&model.senders, transfers, &mut Random::stream(seed, SENDER_STREAM));
    let receivers = occurrences(&model.receivers, transfers, &mut Random::stream(seed, RECEIVER_STREAM));
    let sender_count = member_count(&model.senders, transfers);
    let mut drawer = Drawer {
        model,
        random: Random::stream(seed, TRANSFER_STREAM),
        digits: Cumulative::new(model.amount_digits.iter().map(|weight| u64::from(*weight))),
        receivers: receivers.into_iter(),
        receiver_party: BTreeMap::new(),
        sender_count,
        last_of: vec![None; sender_count],
        seen: BTreeSet::new(),
        drawn: 0,
        repeats: 0,
    };
    for sender in senders {
        let transfer = drawer.next(sender);
        let (from, to) = (address(seed, transfer.from), address(seed, transfer.to));
        if let Err(PushError::TooLong | PushError::SumTooLarge) = builder.push(from, to, transfer.amount) {
            return Err(WorkloadError::TooLong { origin: builder.origin });
        }
    }
    builder.finish()
}

struct Drawer<'a> {
    model: &'a Model,
    random: Random,
    digits: Option<Cumulative>,
    receivers: std::vec::IntoIter<u32>,
    receiver_party: BTreeMap<u32, u32>,
    sender_count: usize,
    last_of: Vec<Option<Transfer>>,
    seen: BTreeSet<(u32, u32, u128)>,
    drawn: u64,
    repeats: u64,
}

impl Drawer<'_> {
    fn next(&mut self, from: u32) -> Transfer {
        self.drawn += 1;
        // Some repeats happen by themselves; the rest are made whenever the count falls behind the share.
        let repeats_due = self.drawn * u64::from(self.model.repeat_ppm) / MILLION;
        let last = self.last_of[from as usize].filter(|_| self.repeats < repeats_due);
        let transfer = last.unwrap_or_else(|| Transfer { from, to: self.receiver(from), amount: self.amount() });
        if !self.seen.insert((transfer.from, transfer.to, transfer.amount.0)) {
            self.repeats += 1;
        }
        self.last_of[from as usize] = Some(transfer);
        transfer
    }

    fn receiver(&mut self, from: u32) -> u32 {
        if self.random.chance(self.model.self_ppm) {
            return from;
        }
        let Some(receiver) = self.receivers.next() else { return from };
        if let Some(party) = self.receiver_party.get(&receiver) {
            return *party;
        }
        let party = if self.random.chance(self.model.receivers_sending_ppm) {
            self.random.below(self.sender_count as u64) as u32
        } else {
            self.sender_count as u32 + receiver
        };
        self.receiver_party.insert(receiver, party);
        party
    }

    fn amount(&mut self) -> Amount {
        if self.random.chance(self.model.zero_ppm) {
            return Amount::ZERO;
        }
        let Some(digits) = &self.digits else { return Amount::ZERO };
        let least = 10u128.pow(digits.draw(&mut self.random).saturating_sub(1) as u32);
        let span = 9 * least;
        let drawn = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
        Amount(least + drawn % span)
    }
}

/// The members of one side, each as often as it occurs, in random order.
fn occurrences(parties: &Parties, transfers: usize, random: &mut Random) -> Vec<u32> {
    let members = member_count(parties, transfers);
    let active = scaled(members, parties.active_ppm).clamp(1, members.max(1));
    let mut list: Vec<u32> = (0..members as u32).collect();
    if let Some(table) = Cumulative::zipf(active, parties.exponent_milli, parties.shift_tenths) {
        list.extend((members..transfers).map(|_| table.draw(random) as u32));
    }
    for place in (1..list.len()).rev() {
        list.swap(place, random.below(place as u64 + 1) as usize);
    }
    list
}

fn member_count(parties: &Parties, transfers: usize) -> usize {
    scaled(transfers, parties.distinct_ppm).clamp(1, transfers.max(1)).min(transfers)
}

fn scaled(count: usize, per_million: u32) -> usize {
    (count as u64 * u64::from(per_million) / MILLION) as usize
}

fn address(seed: u64, party: u32) -> Address {
    let mut address = Address::default();
    Random::stream(seed, PARTY_STREAM + u64::from(party)).fill(&mut address);
    address
}

/// The model of a workload: see the module for how.
pub fn fit(workload: &Workload) -> Model {
    let transfers = workload.transfers();
    let mut sent = vec![0u32; workload.parties().len()];
    let mut received = sent.clone();
    let mut seen = BTreeSet::new();
    let mut paid_by_others = vec![false; sent.len()];
    let (mut to_self, mut zero, mut repeats) = (0, 0, 0);
    let mut amount_digits = [0; DIGITS_COUNT];
    for transfer in transfers {
        sent[transfer.from as usize] += 1;
        received[transfer.to as usize] += 1;
        to_self += usize::from(transfer.from == transfer.to);
        paid_by_others[transfer.to as usize] |= transfer.from != transfer.to;
        repeats += usize::from(!seen.insert((transfer.from, transfer.to, transfer.amount.0)));
        match transfer.amount.0.checked_ilog10() {
            None => zero += 1,
            Some(log) => amount_digits[(log as usize + 1).min(DIGITS_COUNT - 1)] += 1,
        }
    }
    let receivers_sending = (0..sent.len()).filter(|party| sent[*party] > 0 && paid_by_others[*party]).count();
    let receiver_count = received.iter().filter(|count| **count > 0).count();
    Model {
        senders: fit_parties(sent, transfers.len()),
        receivers: fit_parties(received, transfers.len()),
        receivers_sending_ppm: share(receivers_sending, receiver_count),
        self_ppm: share(to_self, transfers.len()),
        zero_ppm: share(zero, transfers.len()),
        repeat_ppm: share(repeats, transfers.len()),
        amount_digits,
    }
}

fn fit_parties(mut counts: Vec<u32>, transfers: usize) -> Parties {
    counts.retain(|count| *count > 0);
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let extra: Vec<u32> = counts.iter().map(|count| count - 1).take_while(|extra| *extra > 0).collect();
    let best = (0..=SHIFT_TENTHS_MAX)
        .map(|shift_tenths| (shift_tenths, fit_exponent(&extra, f64::from(shift_tenths) / 10.0)))
        .max_by(|a, b| a.1.likelihood.total_cmp(&b.1.likelihood));
    let (shift_tenths, fitted) = best.unwrap_or_default();
    Parties {
        distinct_ppm: share(counts.len(), transfers),
        active_ppm: share(extra.len(), counts.len()),
        exponent_milli: rounded(fitted.exponent * 1_000.0),
        shift_tenths,
    }
}

#[derive(Clone, Copy, Default)]
struct Exponent {
    exponent: f64,
    /// Mean log-likelihood of an occurrence.
    likelihood: f64,
}

/// The exponent of the largest likelihood at a given shift: there the mean of ln(rank + shift) over the law equals that
/// over the counts. It falls as the exponent grows, so halving finds it.
fn fit_exponent(counts: &[u32], shift: f64) -> Exponent {
    let logs: Vec<f64> = (1..=counts.len() as u32).map(|rank| (f64::from(rank) + shift).ln()).collect();
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    if total <= 0.0 {
        return Exponent::default();
    }
    let measured = counts.iter().zip(&logs).map(|(count, log)| f64::from(*count) * log).sum::<f64>() / total;
    let law = |exponent: f64| {
        let (mut sum, mut sum_logs) = (0.0, 0.0);
        for log in &logs {
            let weight = (-exponent * log).exp();
            sum += weight;
            sum_logs += weight * log;
        }
        (sum, sum_logs / sum)
    };
    let (mut low, mut high) = (0.0, EXPONENT_MAX);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if law(middle).1 > measured { low = middle } else { high = middle }
    }
    Exponent { exponent: low, likelihood: -low * measured - law(low).0.ln() }
}

fn share(part: usize, whole: usize) -> u32 {
    if whole == 0 { 0 } else { ((part as u64 * MILLION + whole as u64 / 2) / whole as u64) as u32 }
}

#[allow(clippy::cast_sign_loss)] // exponents are not negative
fn rounded(value: f64) -> u32 {
    value.round() as u32
}
