//! The digests that terminals hear: each is decoded once however many hear it, and its first and last arrival noted.
//!
//! A broadcast brings the same bytes to every terminal, and a session brings them in order: an arrival is the next one
//! of its session that has the same bytes. Digests that are equal byte for byte are told apart by that order alone.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::Instant;
use hpb_base::limits::{DIGESTS_MEASURED_MAX, DIGESTS_WATCHED_MAX};
use hpb_types::{Canonical, CodecError, Digest, Hash, Height, SliceRef, SliceStatus};

use crate::report::{Broadcast, LatencyRecorder};

/// When one digest left its node and reached one card's terminals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestTimes {
    /// BLAKE3 of the message's body.
    pub digest: Hash,
    /// When the node gave it to its card; `None` if the driver did not say.
    pub sent_at: Option<Instant>,
    /// The first terminal's arrival.
    pub first_at: Instant,
    /// The last terminal's arrival so far.
    pub last_at: Instant,
    /// Terminals that it reached.
    pub arrivals: u32,
}

/// The medians over the digests of a run, each measured from its sending, or from its first arrival where the sending
/// is not known. `cards` has each card's [`Terminals::digests`](super::Terminals::digests): a digest that reached
/// several cards counts once, from its first arrival on any to its last on any.
pub fn broadcast_us(cards: &[Vec<DigestTimes>]) -> Broadcast {
    let mut merged: BTreeMap<(Hash, u32), DigestTimes> = BTreeMap::new();
    for times in cards {
        // Equal digests are matched by their order.
        let mut repeats: BTreeMap<Hash, u32> = BTreeMap::new();
        for one in times {
            let repeat = repeats.entry(one.digest).or_default();
            let all = merged.entry((one.digest, *repeat)).or_insert(*one);
            *repeat += 1;
            all.sent_at = all.sent_at.or(one.sent_at);
            all.first_at = all.first_at.min(one.first_at);
            all.last_at = all.last_at.max(one.last_at);
        }
    }
    let (mut first, mut last) = (LatencyRecorder::new(), LatencyRecorder::new());
    for times in merged.values() {
        let from = times.sent_at.unwrap_or(times.first_at);
        first.record(times.first_at.since(from));
        last.record(times.last_at.since(from));
    }
    Broadcast { first: first.quantile_us(0.5), last: last.quantile_us(0.5) }
}

/// What one digest says, ready to be asked.
pub(super) struct Told {
    slices: Vec<SliceStatus>,
    final_slice: SliceRef,
}

impl Told {
    fn new(digest: Digest) -> Self {
        let mut slices = digest.slices;
        slices.sort_by_key(|status| status.reference.height);
        Self { slices, final_slice: digest.final_slice }
    }

    /// What it says of one slice.
    pub(super) fn status_of(&self, slice: &SliceRef) -> Option<&SliceStatus> {
        let from = self.slices.partition_point(|status| status.reference.height < slice.height);
        self.slices[from..]
            .iter()
            .take_while(|status| status.reference.height == slice.height)
            .find(|status| status.reference.id == slice.id)
    }

    /// The height up to which all of the chain is final.
    pub(super) fn final_height(&self) -> Height {
        self.final_slice.height
    }
}

struct Watched {
    body: Box<[u8]>,
    told: Told,
    times: DigestTimes,
}

/// Watches the latest digests.
pub(super) struct DigestWatch {
    watched: VecDeque<Watched>,
    /// The number of the next digest that is seen for the first time; the first is 1.
    serial_next: u64,
    /// What the node sent and no terminal has yet.
    sent: VecDeque<(Hash, Instant)>,
    measured: Vec<DigestTimes>,
    measure_from: Option<Instant>,
    interval_ms_max: u32,
    unfinal_slots_max: u64,
    final_height: Height,
}

impl DigestWatch {
    pub(super) fn new() -> Self {
        Self {
            watched: VecDeque::new(),
            serial_next: 1,
            sent: VecDeque::new(),
            measured: Vec::new(),
            measure_from: None,
            interval_ms_max: 0,
            unfinal_slots_max: 0,
            final_height: Height::default(),
        }
    }

    /// From now on arrivals are kept for the report.
    pub(super) fn measure_from(&mut self, at: Instant) {
        self.measure_from = Some(at);
    }

    /// The number that a session starts from which opens now. The latest digest may still be on its way to it.
    pub(super) fn serial_at_opening(&self) -> u64 {
        self.serial_next.saturating_sub(2)
    }

    /// A digest came to a terminal; `serial` is the number of the last one that it heard.
    pub(super) fn arrive(&mut self, now: Instant, body: &[u8], serial: &mut u64) -> Result<&Told, CodecError> {
        let serial_first = self.serial_next - self.watched.len() as u64;
        let from = usize::try_from((*serial + 1).saturating_sub(serial_first)).unwrap_or(usize::MAX);
        let known = self.watched.iter().skip(from).position(|watched| *watched.body == *body);
        let place = match known {
            Some(place) => from + place,
            None => self.watch(now, body)?,
        };
        *serial = self.serial_next - (self.watched.len() - place) as u64;
        let watched = &mut self.watched[place];
        watched.times.last_at = now;
        watched.times.arrivals += 1;
        Ok(&watched.told)
    }

    /// Takes a digest that nobody here had before; returns its place.
    fn watch(&mut self, now: Instant, body: &[u8]) -> Result<usize, CodecError> {
        let digest = Digest::from_bytes(body)?;
        let hash = Hash::of(body);
        self.interval_ms_max = self.interval_ms_max.max(digest.interval_ms);
        if self.measure_from.is_some() {
            self.unfinal_slots_max = self.unfinal_slots_max.max(digest.unfinal_slots());
        }
        self.final_height = self.final_height.max(digest.final_slice.height);
        let sent = self.sent.iter().position(|(sent, _)| *sent == hash).and_then(|place| self.sent.remove(place));
        if self.watched.len() == DIGESTS_WATCHED_MAX
            && let Some(oldest) = self.watched.pop_front()
            && self.is_measured(&oldest.times)
            && self.measured.len() < DIGESTS_MEASURED_MAX
        {
            self.measured.push(oldest.times);
        }
        let sent_at = sent.map(|(_, at)| at);
        let times = DigestTimes { digest: hash, sent_at, first_at: now, last_at: now, arrivals: 0 };
        self.watched.push_back(Watched { body: body.into(), told: Told::new(digest), times });
        self.serial_next += 1;
        Ok(self.watched.len() - 1)
    }

    /// The node gave a digest with this hash to its card.
    pub(super) fn sent(&mut self, hash: Hash, at: Instant) {
        let unsent = |times: &DigestTimes| times.digest == hash && times.sent_at.is_none();
        if let Some(watched) = self.watched.iter_mut().find(|watched| unsent(&watched.times)) {
            watched.times.sent_at = Some(at);
            return;
        }
        if self.sent.len() == DIGESTS_WATCHED_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((hash, at));
    }

    /// The times of the digests so far, oldest first.
    pub(super) fn times(&self) -> Vec<DigestTimes> {
        let watched = self.watched.iter().map(|watched| watched.times).filter(|times| self.is_measured(times));
        self.measured.iter().copied().chain(watched).take(DIGESTS_MEASURED_MAX).collect()
    }

    pub(super) fn interval_ms_max(&self) -> u32 {
        self.interval_ms_max
    }

    /// The most slots without finality that a digest told of.
    pub(super) fn unfinal_slots_max(&self) -> u64 {
        self.unfinal_slots_max
    }

    pub(super) fn final_height(&self) -> Height {
        self.final_height
    }

    fn is_measured(&self, times: &DigestTimes) -> bool {
        self.measure_from.is_some_and(|from| times.first_at >= from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn slice(index: u32, tag: u8) -> SliceRef {
        SliceRef { height: Height::new(1, index), id: Hash([tag; 32]) }
    }

    fn digest(final_index: u32, interval_ms: u32) -> Vec<u8> {
        let status = |reference, confirmers| SliceStatus { reference, confirmers, weight: 0, flags: 0 };
        let slices = vec![status(slice(9, 9), 1), status(slice(9, 8), 2), status(slice(10, 7), 0)];
        Digest { slices, final_slice: slice(final_index, 1), interval_ms }.to_bytes()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_slice_is_found_by_height_and_id() {
        let told = Told::new(Digest::from_bytes(&digest(3, 50)).unwrap());
        let confirmers = |reference| told.status_of(&reference).map(|status| status.confirmers);
        assert_eq!([slice(9, 9), slice(9, 8), slice(10, 7)].map(confirmers), [Some(1), Some(2), Some(0)]);
        assert_eq!([slice(9, 7), slice(8, 9), slice(11, 7)].map(confirmers), [None; 3]);
        assert_eq!(told.final_height(), Height::new(1, 3));
    }

    #[test]
    fn the_first_and_the_last_arrival_are_noted() {
        let mut watch = DigestWatch::new();
        let (one, two) = (digest(1, 50), digest(2, 100));
        let mut serials = [0; 3];
        watch.arrive(at(1), &one, &mut serials[0]).unwrap();
        assert!(watch.times().is_empty(), "nothing is measured before the start");
        watch.measure_from(at(2));
        watch.sent(Hash::of(&two), at(9));
        watch.arrive(at(10), &two, &mut serials[0]).unwrap();
        watch.arrive(at(11), &one, &mut serials[1]).unwrap();
        watch.arrive(at(12), &two, &mut serials[1]).unwrap();
        watch.arrive(at(14), &two, &mut serials[2]).unwrap();
        assert_eq!(serials, [2; 3]);
        let times = watch.times();
        let wanted = DigestTimes {
            digest: Hash::of(&two),
            sent_at: Some(at(9)),
            first_at: at(10),
            last_at: at(14),
            arrivals: 3,
        };
        assert_eq!(times, [wanted]);
        assert_eq!(broadcast_us(&[times]), Broadcast { first: 1_000, last: 5_000 });
        assert_eq!((watch.interval_ms_max(), watch.final_height()), (100, Height::new(1, 2)));
    }

    #[test]
    fn equal_digests_are_told_apart_by_their_order() {
        let mut watch = DigestWatch::new();
        watch.measure_from(at(0));
        let body = digest(1, 50);
        let mut serials = [0; 2];
        for serial in &mut serials {
            watch.arrive(at(10), &body, serial).unwrap();
        }
        watch.sent(Hash::of(&body), at(9));
        watch.sent(Hash::of(&body), at(59));
        for serial in &mut serials {
            watch.arrive(at(60), &body, serial).unwrap();
        }
        let times: Vec<_> = watch.times().iter().map(|times| (times.sent_at, times.last_at, times.arrivals)).collect();
        assert_eq!(times, [(Some(at(9)), at(10), 2), (Some(at(59)), at(60), 2)]);
    }

    #[test]
    fn only_the_latest_are_watched_and_a_latecomer_starts_anew() {
        let mut watch = DigestWatch::new();
        watch.measure_from(at(0));
        let (mut serial, mut late) = (0, 0);
        for n in 0..=DIGESTS_WATCHED_MAX as u32 {
            watch.arrive(at(u64::from(n) + 1), &digest(n, 50), &mut serial).unwrap();
        }
        assert_eq!((watch.watched.len(), watch.measured.len()), (DIGESTS_WATCHED_MAX, 1));
        assert_eq!(serial, DIGESTS_WATCHED_MAX as u64 + 1);
        watch.arrive(at(900), &digest(0, 50), &mut late).unwrap();
        assert_eq!(late, serial + 1);
        assert_eq!(watch.serial_at_opening(), late - 1);
        assert_eq!(watch.times().len(), DIGESTS_WATCHED_MAX + 2);
        assert!(watch.arrive(at(901), b"no digest", &mut late).is_err());
        assert_eq!(late, serial + 1);
    }

    #[test]
    fn several_cards_hear_one_digest() {
        let times = |sent: Option<u64>, first, last| DigestTimes {
            digest: Hash::ZERO,
            sent_at: sent.map(at),
            first_at: at(first),
            last_at: at(last),
            arrivals: 1,
        };
        let cards = [vec![times(Some(1), 5, 8)], vec![times(None, 3, 6)]];
        assert_eq!(broadcast_us(&cards), Broadcast { first: 2_000, last: 7_000 });
        let unknown = [vec![times(None, 5, 8)]];
        assert_eq!(broadcast_us(&unknown).last, 3_000);
        assert_eq!(broadcast_us(&[]), Broadcast::default());
    }
}
