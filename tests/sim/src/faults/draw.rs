//! What is drawn from a seed: which faults there are, when, and how they come together.

use std::collections::BTreeMap;
use std::iter;

use hpb_base::{Duration, Instant, Random};
use hpb_types::{Epoch, Epochs, Slot};

use super::{FAULTS_UNTIL, Fault, Kind, Loss, Nodes, SLOTS, Schedule, deaf_after};
use crate::byzantine::Behaviour;
use crate::cast::{DELTA, EPOCH_SLOTS, SLICE, SLOT, slot_start};
use crate::electorate::{Campaign, Electorate};
use crate::link::Weather;

/// The first slot in which a fault may begin.
const FAULTS_FROM: u64 = 2;
/// Faults of one schedule, the Byzantine nodes not counted.
const FAULTS_MAX: u64 = 8;

impl Kind {
    /// Whether a producer makes two slices of one place.
    fn splits(&self) -> bool {
        matches!(self, Self::Byzantine { behaviour: Behaviour::Twin { .. } | Behaviour::Equivocate { .. }, .. })
    }
}

impl Schedule {
    /// The schedule of a seed for `count` nodes: calm, with nothing but partings of old and new producers, with faults, with
    /// faults and up to a third Byzantine, or with more than a third Byzantine.
    pub fn draw(seed: u64, count: usize, electorate: &Electorate) -> Self {
        let random = &mut Random::stream(seed, 1);
        // A third of the smallest schedule that there may be.
        let least = if electorate.changes() { electorate.fewest() } else { count };
        let mut draw = Draw { random, count, liars_max: (least - 1) / 3, power_left: (least - 1) / 3 };
        let mut faults = match draw.random.below(13) {
            0 => Vec::new(),
            1 => draw.conspiracy(),
            2..=4 if electorate.changes() => draw.partings(electorate),
            kind => {
                let mut faults = if kind < 9 { draw.byzantine() } else { Vec::new() };
                let number = draw.random.below(FAULTS_MAX + 1);
                faults.extend((0..number).map(|_| draw.fault()));
                if draw.random.below(4) == 0 {
                    faults.extend(draw.storm());
                }
                faults.extend(draw.partings(electorate));
                faults.extend(deafness(seed));
                faults.extend(deaths(seed, count));
                if faults.iter().any(|fault| fault.kind.splits()) {
                    faults.extend(shocks(seed, count));
                }
                faults
            }
        };
        faults.sort_by_key(|fault| fault.from);
        Self { faults }
    }
}

/// In one of six seeds, producers are deaf for some slots.
fn deafness(seed: u64) -> Option<Fault> {
    let random = &mut Random::stream(seed, 4);
    let first = FAULTS_FROM + random.below(FAULTS_UNTIL - FAULTS_FROM - 4);
    let last = (first + 4 + random.below(10)).min(FAULTS_UNTIL);
    let kind = Kind::Deaf { salt: random.next_u64(), alone_hear: random.below(3) > 0 };
    (random.below(6) == 0).then(|| Fault { from: slot_start(first), until: slot_start(last), kind })
}

/// In one of four seeds, node after node is killed while its disk is slow: each has said much that it did not write.
fn deaths(seed: u64, count: usize) -> Vec<Fault> {
    let random = &mut Random::stream(seed, 5);
    if random.below(4) > 0 {
        return Vec::new();
    }
    let (first, last) = (slot_start(FAULTS_FROM), slot_start(FAULTS_UNTIL));
    let span = last.since(first).as_nanos();
    let number = 4 + random.below(12);
    let mut draw = Draw { random, count, liars_max: 0, power_left: 0 };
    let mut death = || {
        let from = first + Duration::from_nanos(draw.random.below(span - SLOT.as_nanos()));
        draw.brownout(from, last)
    };
    (0..number).flat_map(|_| death()).collect()
}

/// Where a producer makes two slices of one place, in two of three seeds nodes are killed about the begin of every slot, in
/// the middle of a write, and are back while the slot lasts: what they confirmed then may have another beside it.
fn shocks(seed: u64, count: usize) -> Vec<Fault> {
    let random = &mut Random::stream(seed, 6);
    if random.below(3) == 0 {
        return Vec::new();
    }
    let most = SLICE.as_millis();
    let mut draw = Draw { random, count, liars_max: 0, power_left: 0 };
    let mut shock = |slot: u64| {
        let node = draw.node();
        let from = slot_start(slot) + Duration::from_millis(draw.random.below(2 * most)) - SLICE;
        let until = from + Duration::from_millis(most + draw.random.below(2 * most));
        Fault { from, until, kind: Kind::Crash { node, loss: Loss::Kill, mid_write: true } }
    };
    (FAULTS_FROM..FAULTS_UNTIL).flat_map(|slot| [slot; 2]).map(&mut shock).collect()
}

struct Draw<'a> {
    random: &'a mut Random,
    count: usize,
    /// How many nodes may lie.
    liars_max: usize,
    /// How many nodes may still lose power: more than a third that lose their watermark may be silent for good.
    power_left: usize,
}

impl Draw<'_> {
    fn fault(&mut self) -> Fault {
        let (first, last) = (slot_start(FAULTS_FROM), slot_start(FAULTS_UNTIL));
        let span = last.since(first).as_nanos();
        let from = first + Duration::from_nanos(self.random.below(span - SLOT.as_nanos()));
        // Half of them are over within a slot.
        let most = if self.random.below(2) == 0 { SLOT.as_millis() / 2 } else { 8 * SLOT.as_millis() };
        let length = Duration::from_millis(20 + self.random.below(most));
        let until = (from + length).min(last);
        Fault { from, until, kind: self.kind() }
    }

    /// Spell after spell another part of the nodes is cut off, so that what one part knows the next one does not; and in
    /// some spells a node whose disk is slow ends in the middle of a write.
    fn storm(&mut self) -> Vec<Fault> {
        let (first, last) = (slot_start(FAULTS_FROM), slot_start(FAULTS_UNTIL));
        let spell_ms_max = [150, 400, SLOT.as_millis()][self.random.below(3) as usize];
        let mut at = first + Duration::from_nanos(self.random.below(last.since(first).as_nanos() / 2));
        let end = (at + SLOT.saturating_mul(4 + self.random.below(10))).min(last);
        // Cut off, or so far away that a slot is over before its slices are confirmed, or both.
        let (is_slow, is_far) = (self.random.below(3) == 0, self.random.below(2) == 0);
        let mut faults = Vec::new();
        if is_far {
            let all = Nodes::all(self.count);
            let weather = Weather { delay: self.lag_delay(), ..Weather::default() };
            faults.push(Fault { from: at, until: end, kind: Kind::Weather { from: all, to: all, weather } });
        }
        while at < end {
            let until = (at + Duration::from_millis(40 + self.random.below(spell_ms_max))).min(end);
            let kind = if is_slow { self.lag() } else { self.cut() };
            faults.push(Fault { from: at, until, kind });
            if self.random.below(4) == 0 {
                faults.extend(self.brownout(at, end));
            }
            at = until;
        }
        faults
    }

    fn lag_delay(&mut self) -> Duration {
        Duration::from_millis(DELTA.as_millis() / 2 + self.random.below(4 * DELTA.as_millis()))
    }

    /// Messages take up to most of a slot.
    fn lag(&mut self) -> Kind {
        let count = self.count;
        let mut some = || if self.random.below(2) == 0 { Nodes::all(count) } else { Nodes::draw(self.random, count) };
        let (from, to) = (some(), some());
        let delay = self.lag_delay();
        let jitter = Duration::from_millis(self.random.below(DELTA.as_millis()));
        Kind::Weather { from, to, weather: Weather { delay, jitter, ..Weather::default() } }
    }

    /// A node's disk becomes slow, and then the node ends while many writes are on their way.
    fn brownout(&mut self, from: Instant, end: Instant) -> [Fault; 2] {
        let (node, loss) = (self.node(), self.loss());
        let by = Duration::from_millis(100 + self.random.below(500));
        let crash_at = (from + by).min(end);
        let back_at = (crash_at + Duration::from_millis(20 + self.random.below(200))).min(end);
        let slow = Kind::Slow { node, by };
        let crash = Kind::Crash { node, loss, mid_write: true };
        [Fault { from, until: back_at, kind: slow }, Fault { from: crash_at, until: back_at, kind: crash }]
    }

    /// Up to a third of the nodes lie, each in up to three ways, for a part of the run or all of it.
    fn byzantine(&mut self) -> Vec<Fault> {
        let collude = self.random.below(3) == 0;
        let number = if collude { self.liars_max } else { 1 + self.random.below(self.liars_max as u64) as usize };
        // Who lies and who forgets are a third together.
        self.power_left -= number;
        let mut faults = Vec::new();
        for node in self.some(number).iter() {
            if collude {
                // With their help fewer of the others make a certificate.
                let kind = Kind::Byzantine { node, behaviour: Behaviour::ConfirmAll };
                faults.push(Fault { from: slot_start(0), until: slot_start(SLOTS), kind });
            }
            for _ in 0..=self.random.below(3) {
                let (from, until) = if self.random.below(2) == 0 {
                    (slot_start(0), slot_start(SLOTS))
                } else {
                    let begin = self.random.below(SLOTS - 1);
                    (slot_start(begin), slot_start(begin + 1 + self.random.below(SLOTS - begin)))
                };
                faults.push(Fault { from, until, kind: Kind::Byzantine { node, behaviour: self.behaviour() } });
            }
        }
        faults
    }

    /// Old and new producers part where the one set takes the other's place: after the new one is fixed, over the boundary.
    fn partings(&mut self, electorate: &Electorate) -> Vec<Fault> {
        let epochs = Epochs::new(EPOCH_SLOTS);
        // The last vote before it counts.
        let fixed_in = |campaign: &Campaign| {
            let epoch = epochs.of(Slot(campaign.slot));
            if Slot(campaign.slot) < epochs.fixing_from(epoch) { epoch } else { Epoch(epoch.0 + 1) }
        };
        let elected: BTreeMap<Epoch, Nodes> =
            electorate.campaigns.iter().map(|campaign| (fixed_in(campaign), campaign.members)).collect();
        elected.into_iter().flat_map(|(epoch, new)| self.parting(epochs, epoch, new)).collect()
    }

    fn parting(&mut self, epochs: Epochs, epoch: Epoch, new: Nodes) -> Vec<Fault> {
        let (fixed, boundary) = (epochs.fixing_from(epoch).0, epochs.start_of(Epoch(epoch.0 + 1)).0);
        let until = slot_start(boundary + 1 + self.random.below(5)).min(slot_start(FAULTS_UNTIL));
        let breaks = self.random.below(2) == 0;
        let mut faults = match self.random.below(6) {
            0 => Vec::new(),
            1 => {
                let span = slot_start(boundary).since(slot_start(fixed)).as_nanos();
                let from = slot_start(fixed) + Duration::from_nanos(self.random.below(span));
                // Some of the new ones may be on the other side.
                let new = (0..self.random.below(2)).fold(new, |new, _| new.without(Nodes::one(self.node())));
                let kind = Kind::Cut { from: new, to: new.others(self.count), both_ways: true, breaks };
                vec![Fault { from, until, kind }]
            }
            _ => {
                // Who fixes the new set hears nobody; who has the last slot before it shows that it is fixed for good, as soon
                // as its first slice is confirmed, and not to all.
                let last = slot_start(boundary - 1);
                let from = last + SLICE + Duration::from_millis(20 + self.random.below(SLICE.as_millis() * 2 / 3));
                let hears = |salt: &u64| deaf_after(*salt, boundary - 1, SLOT) >= SLOT - SLICE;
                let salt = iter::repeat_with(|| self.random.next_u64()).find(hears).unwrap_or_default();
                let deaf = Kind::Deaf { salt, alone_hear: false };
                vec![
                    Fault { from: slot_start(fixed), until: last - SLICE, kind: deaf },
                    Fault { from, until, kind: Kind::Part { new, breaks } },
                ]
            }
        };
        // A vote may be so late that its set comes when all faults are over.
        if faults.iter().any(|fault| fault.from >= fault.until) {
            faults.clear();
        }
        faults
    }

    /// More than a third are twins, and the others are cut in two: each side with the twins is a quorum.
    fn conspiracy(&mut self) -> Vec<Fault> {
        let quorum = 2 * self.count / 3 + 1;
        let number = (1..self.count).find(|number| number + (self.count - number) / 2 >= quorum).unwrap_or(self.count);
        let twins = self.some(number);
        let honest = twins.others(self.count);
        let first: Nodes =
            honest.iter().take(honest.count() / 2).fold(Nodes::default(), |nodes, node| nodes.or(Nodes::one(node)));
        let second = honest.without(first);
        let from = slot_start(1 + self.random.below(4));
        let until = from + Duration::from_millis(6 * SLOT.as_millis() + self.random.below(10 * SLOT.as_millis()));
        let cut = Kind::Cut { from: first, to: second, both_ways: true, breaks: true };
        let twin = |node| Kind::Byzantine { node, behaviour: Behaviour::Twin { second } };
        let kinds = twins.iter().map(twin).chain([cut]);
        kinds.map(|kind| Fault { from, until, kind }).collect()
    }

    /// `number` nodes.
    fn some(&mut self, number: usize) -> Nodes {
        let mut nodes = Nodes::default();
        while nodes.count() < number {
            nodes = nodes.or(Nodes::one(self.node()));
        }
        nodes
    }

    fn behaviour(&mut self) -> Behaviour {
        let nodes = Nodes::draw(self.random, self.count);
        match self.random.below(9) {
            0 => Behaviour::Twin { second: nodes },
            1 => Behaviour::Withhold { last: 1 + self.random.below(12) as u32 },
            2 => Behaviour::Partial { to: nodes },
            3 => Behaviour::Equivocate { to: nodes },
            4 => Behaviour::WrongResults,
            5 => Behaviour::TwoConfirms,
            6 => Behaviour::Surround,
            7 => Behaviour::ConfirmAll,
            _ => Behaviour::Replay,
        }
    }

    fn node(&mut self) -> usize {
        self.random.below(self.count as u64) as usize
    }

    fn kind(&mut self) -> Kind {
        match self.random.below(11) {
            10 => {
                let by = 1 + self.random.below(4 * SLOT.as_millis());
                let error_ms = if self.random.below(2) == 0 { by.cast_signed() } else { -by.cast_signed() };
                Kind::WrongHour { node: self.node(), error_ms }
            }
            0..=2 => {
                let (node, loss) = (self.node(), self.loss());
                Kind::Crash { node, loss, mid_write: self.random.below(2) == 0 }
            }
            3 => Kind::FullDisk { node: self.node(), room: self.random.below(200_000) },
            4..=5 => self.cut(),
            6..=7 => self.weather(),
            8 => {
                // Faster than the slots' own time, or slower than many slices.
                let most = if self.random.below(3) == 0 { 500 } else { 80 };
                let by = Duration::from_millis(1 + self.random.below(most));
                Kind::Slow { node: self.node(), by }
            }
            _ if self.random.below(2) == 0 => {
                // Over the longest run of a fault this stays within half of Delta.
                let ppm = self.random.below(16_000) as i32 - 8_000;
                Kind::Drift { node: self.node(), ppm }
            }
            _ => {
                let by = Duration::from_millis(1 + self.random.below(3 * SLOT.as_millis()));
                Kind::Leap { node: self.node(), by }
            }
        }
    }

    fn loss(&mut self) -> Loss {
        if self.power_left == 0 || self.random.below(2) == 0 {
            return Loss::Kill;
        }
        self.power_left -= 1;
        if self.random.below(3) == 0 { Loss::Rot } else { Loss::Power }
    }

    fn cut(&mut self) -> Kind {
        let (count, breaks) = (self.count, self.random.below(2) == 0);
        let side = Nodes::draw(self.random, count);
        match self.random.below(4) {
            // Two halves.
            0 => Kind::Cut { from: side, to: side.others(count), both_ways: true, breaks },
            // One alone.
            1 => {
                let one = Nodes::one(self.node());
                Kind::Cut { from: one, to: one.others(count), both_ways: true, breaks }
            }
            // One way only.
            2 => Kind::Cut { from: side, to: side.others(count), both_ways: false, breaks },
            // Some from some; others see both.
            _ => {
                let to = Nodes::draw(self.random, count);
                Kind::Cut { from: side, to, both_ways: self.random.below(2) == 0, breaks }
            }
        }
    }

    fn weather(&mut self) -> Kind {
        let count = self.count;
        let mut some = || if self.random.below(2) == 0 { Nodes::all(count) } else { Nodes::draw(self.random, count) };
        let (from, to) = (some(), some());
        let mut up_to = |most: u64| if self.random.below(2) == 0 { 0 } else { self.random.below(most) };
        let weather = Weather {
            delay: Duration::from_millis(up_to(3 * DELTA.as_millis())),
            jitter: Duration::from_millis(up_to(DELTA.as_millis())),
            loss_ppm: up_to(300_000) as u32,
            reorder_ppm: up_to(300_000) as u32,
            duplicate_ppm: up_to(300_000) as u32,
            corrupt_ppm: up_to(20_000) as u32,
        };
        Kind::Weather { from, to, weather }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> (Schedule, Electorate) {
        let electorate = Electorate::draw(seed, 7);
        (Schedule::draw(seed, 7, &electorate), electorate)
    }

    #[test]
    fn faults_that_are_not_lies_leave_time_to_heal() {
        for seed in 0..400 {
            let (schedule, _) = drawn(seed);
            for fault in &schedule.faults {
                assert!(fault.from <= fault.until, "seed {seed}: {fault}");
                let is_lie = matches!(fault.kind, Kind::Byzantine { .. });
                assert!(is_lie || fault.until <= slot_start(FAULTS_UNTIL), "seed {seed}: {fault}");
            }
            assert_eq!(schedule, drawn(seed).0);
        }
    }

    #[test]
    fn old_and_new_part_only_where_there_is_a_vote_and_nodes_are_shot_only_where_words_are_doubled() {
        let (mut parted, mut shot) = (0, 0);
        for seed in 0..400 {
            let (schedule, electorate) = drawn(seed);
            let parts = schedule.faults.iter().any(|fault| matches!(fault.kind, Kind::Part { .. }));
            assert!(!parts || !electorate.campaigns.is_empty(), "seed {seed}");
            parted += u32::from(parts);
            let deaths = schedule.faults.iter().filter(|fault| matches!(fault.kind, Kind::Crash { .. })).count();
            shot += u32::from(deaths >= 48 && schedule.faults.iter().any(|fault| fault.kind.splits()));
        }
        assert!(parted >= 80 && shot >= 20, "{parted} {shot}");
    }
}
