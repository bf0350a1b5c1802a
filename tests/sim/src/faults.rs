//! The schedule of faults: data that is drawn from a seed, printed, cut down to what matters, and run again.

mod draw;

use std::fmt;

use hpb_base::{Duration, Instant, Random};

use crate::byzantine::Behaviour;
use crate::cast::slot_start;
use crate::link::Weather;

/// Slots of a seed.
pub const SLOTS: u64 = 40;
/// The slot by whose start every fault has ended.
const FAULTS_UNTIL: u64 = 26;
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

impl Schedule {
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

/// When the producer of `slot` becomes deaf, of slots `slot_time` long: that much after the begin of the slot before. Half
/// of them before they hear anything of that slot.
pub fn deaf_after(salt: u64, slot: u64, slot_time: Duration) -> Duration {
    let random = &mut Random::stream(salt, slot);
    let most = if random.below(2) == 0 { slot_time.div(6) } else { slot_time };
    Duration::from_nanos(random.below(most.as_nanos()))
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
