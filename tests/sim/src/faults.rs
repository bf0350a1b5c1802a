//! The schedule of faults: data that is drawn from a seed, printed, cut down to what matters, and run again.

use std::collections::BTreeMap;
use std::{fmt, iter};

use hpb_base::{Duration, Instant, Random};

use crate::byzantine::Behaviour;
use hpb_types::{Epoch, Epochs, Slot};

use crate::cast::{DELTA, EPOCH_SLOTS, SLICE, SLOT, slot_start};
use crate::electorate::{Campaign, Electorate};
use crate::link::Weather;

/// Slots of a seed.
pub const SLOTS: u64 = 40;
/// The first slot in which a fault may begin.
const FAULTS_FROM: u64 = 2;
/// The slot by whose start every fault has ended.
const FAULTS_UNTIL: u64 = 26;
/// Faults of one schedule, the Byzantine nodes not counted.
const FAULTS_MAX: u64 = 8;

/// A set of nodes, by number; a world has at most 100.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Nodes(u128);

/// What is left of what was on its way to the disk when a node ends at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The process is killed: what it wrote, up to some block.
    Kill,
    /// Power is lost: any blocks of it.
    Power,
    /// Power is lost, and while it is off a bit turns in what was synced.
    Rot,
}

/// A fault's kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A node ends at once, and starts again at the fault's end.
    Crash {
        /// Which.
        node: usize,
        /// What its disk loses.
        loss: Loss,
        /// Whether it ends when its next write is on its way to the disk, and all is said that it says meanwhile.
        mid_write: bool,
    },
    /// A node's disk is full, but for `room` bytes. It stops when it finds out, and starts again at the fault's end.
    FullDisk {
        /// Which.
        node: usize,
        /// What still fits.
        room: u64,
    },
    /// Nothing passes from some nodes to others.
    Cut {
        /// Who is not heard.
        from: Nodes,
        /// Who does not hear.
        to: Nodes,
        /// Whether the other direction is cut too.
        both_ways: bool,
        /// Whether the sessions break, and what is sent is lost; else it waits for the fault's end. Whole cards lose the
        /// frames either way, and find out for themselves whether a session outlasts it.
        breaks: bool,
    },
    /// The new producers, with who has the slot in which it begins, part from all who produced before.
    Part {
        /// Who was elected.
        new: Nodes,
        /// As of a cut.
        breaks: bool,
    },
    /// Messages from some nodes to others are late, lost, out of order, doubled, damaged.
    Weather {
        /// Who sends.
        from: Nodes,
        /// Who receives.
        to: Nodes,
        /// What the links do.
        weather: Weather,
    },
    /// Whoever is to produce hears nobody, from some time in the slot before its own until its own is over: it builds on
    /// what is old, and carries what it knew then. What is sent to it waits.
    Deaf {
        /// What the times are drawn from, slot by slot.
        salt: u64,
        /// Whether of the others, too, those alone hear confirms who produce in one of the next two slots, and the rest
        /// when it is over. Whole cards can't be told so: a wire does not see what passes.
        alone_hear: bool,
    },
    /// A node's verifier and disk are slow.
    Slow {
        /// Which.
        node: usize,
        /// What every request to its verifier, and every sync, takes longer.
        by: Duration,
    },
    /// A node's clock runs fast or slow.
    Drift {
        /// Which.
        node: usize,
        /// Parts in a million; negative is slow.
        ppm: i32,
    },
    /// A node's clock leaps ahead, as when its host was suspended; it starts again with the right hour at the fault's
    /// end.
    Leap {
        /// Which.
        node: usize,
        /// How far.
        by: Duration,
    },
    /// A node is started again by a clock that is set wrong, and again with the right hour at the fault's end.
    WrongHour {
        /// Which.
        node: usize,
        /// How far its clock is ahead, in milliseconds; negative is behind.
        error_ms: i64,
    },
    /// A node lies.
    Byzantine {
        /// Which.
        node: usize,
        /// How.
        behaviour: Behaviour,
    },
}

/// A fault and its time on the true clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Its begin.
    pub from: Instant,
    /// Its end.
    pub until: Instant,
    /// What it is.
    pub kind: Kind,
}

/// All faults of one run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// The faults, by their begin.
    pub faults: Vec<Fault>,
}

impl Nodes {
    /// All of `count` nodes.
    pub fn all(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    /// One node.
    pub fn one(node: usize) -> Self {
        Self(1 << node)
    }

    /// Whether `node` is among them.
    pub fn contains(self, node: usize) -> bool {
        self.0 >> node & 1 == 1
    }

    /// The others among `count` nodes.
    #[must_use]
    pub fn others(self, count: usize) -> Self {
        Self(Self::all(count).0 & !self.0)
    }

    /// The nodes, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..128).filter(move |node| self.contains(*node))
    }

    /// Those that are not among `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in either set.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many they are.
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Each of `count` nodes with the chance of a half, but neither all nor none.
    pub fn draw(random: &mut Random, count: usize) -> Self {
        loop {
            let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
            let drawn = Self(bits & Self::all(count).0);
            if drawn.0 != 0 && drawn != Self::all(count) {
                return drawn;
            }
        }
    }
}

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

    /// Who lies at some time.
    pub fn byzantine(&self) -> Nodes {
        self.faults.iter().fold(Nodes::default(), |nodes, fault| match fault.kind {
            Kind::Byzantine { node, .. } => nodes.or(Nodes::one(node)),
            _ => nodes,
        })
    }

    /// Whether so many of `count` nodes lie that two chains may become final.
    pub fn is_conspiracy(&self, count: usize) -> bool {
        3 * self.byzantine().count() >= count
    }

    /// The instants at which faults have ended after which none is in force for `span`, the last of them included; what
    /// Byzantine nodes do does not count, as the others must live with it.
    pub fn heals(&self, span: Duration) -> Vec<Instant> {
        let mut faults: Vec<(Instant, Instant)> = self
            .faults
            .iter()
            .filter(|fault| !matches!(fault.kind, Kind::Byzantine { .. }))
            .map(|fault| (fault.from, fault.until))
            .collect();
        faults.sort_unstable();
        let mut heals = Vec::new();
        let mut until = slot_start(0);
        for (from, to) in faults {
            if from >= until + span {
                heals.push(until);
            }
            until = until.max(to);
        }
        heals.push(until);
        heals
    }

    /// The same in a shorter run: every fault comes earlier and lasts shorter in proportion, so that the last one has ended
    /// when slot `until` begins.
    #[must_use]
    pub fn shortened(&self, until: u64) -> Self {
        let origin = slot_start(0);
        let short = |at: Instant| {
            let nanos = u128::from(at.since(origin).as_nanos()) * u128::from(until) / u128::from(FAULTS_UNTIL);
            origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        let faults = self.faults.iter();
        let faults = faults.map(|fault| Fault { from: short(fault.from), until: short(fault.until), ..fault.clone() });
        Self { faults: faults.collect() }
    }

    /// The same without the faults at `indexes`.
    #[must_use]
    pub fn without(&self, indexes: std::ops::Range<usize>) -> Self {
        let kept = self.faults.iter().enumerate().filter(|(index, _)| !indexes.contains(index));
        Self { faults: kept.map(|(_, fault)| fault.clone()).collect() }
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

/// When the producer of `slot` becomes deaf, of slots `slot_time` long: that much after the begin of the slot before. Half
/// of them before they hear anything of that slot.
pub fn deaf_after(salt: u64, slot: u64, slot_time: Duration) -> Duration {
    let random = &mut Random::stream(salt, slot);
    let most = if random.below(2) == 0 { slot_time.div(6) } else { slot_time };
    Duration::from_nanos(random.below(most.as_nanos()))
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
        faults.retain(|fault| fault.from < fault.until);
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

impl fmt::Display for Nodes {
    /// `{0 3 4}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|node| node.to_string()).collect();
        write!(f, "{{{}}}", names.join(" "))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { node, loss, mid_write } => {
                let when = if *mid_write { ", while it writes" } else { "" };
                match loss {
                    Loss::Kill => write!(f, "node {node} is killed{when}"),
                    Loss::Power => write!(f, "node {node} loses power{when}"),
                    Loss::Rot => write!(f, "node {node} loses power{when}, and its disk rots"),
                }
            }
            Self::FullDisk { node, room } => write!(f, "the disk of node {node} is full but for {room} bytes"),
            Self::Cut { from, to, both_ways, breaks } => {
                let (ways, what) = (if *both_ways { "<->" } else { "->" }, if *breaks { "lost" } else { "held" });
                write!(f, "nothing passes {from} {ways} {to}; it is {what}")
            }
            Self::Part { new, breaks } => {
                let what = if *breaks { "lost" } else { "held" };
                write!(f, "nothing passes between the new of {new}, with who has the slot, and the old; it is {what}")
            }
            Self::Weather { from, to, weather } => write!(f, "weather {from} -> {to}: {weather}"),
            Self::Deaf { alone_hear, .. } => {
                let confirms = if *alone_hear { ", and before that it alone hears confirms" } else { "" };
                write!(f, "whoever is to produce hears nobody{confirms}")
            }
            Self::Slow { node, by } => write!(f, "node {node} is slow by {by:?}"),
            Self::Drift { node, ppm } => write!(f, "the clock of node {node} drifts by {ppm} ppm"),
            Self::WrongHour { node, error_ms } => {
                let way = if *error_ms < 0 { "behind" } else { "ahead" };
                write!(f, "the clock of node {node} is {} ms {way}", error_ms.unsigned_abs())
            }
            Self::Byzantine { node, behaviour } => write!(f, "node {node} {behaviour}"),
            Self::Leap { node, by } => write!(f, "the clock of node {node} leaps ahead by {by:?}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} ms: {}", self.from.as_millis(), self.until.as_millis(), self.kind)
    }
}

impl fmt::Display for Schedule {
    /// A line a fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.faults.is_empty() {
            return writeln!(f, "no fault");
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}
