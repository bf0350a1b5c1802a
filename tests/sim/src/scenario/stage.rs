//! What scenarios are played on: a world with users, looked at slot by slot, and a list of what was measured and what did
//! not come as expected.

use std::collections::BTreeSet;
use std::sync::Arc;

use hpb_base::Duration;
use hpb_types::{AccountName, SliceRef, Slot};

use super::{Report, Scale, Scenario, ScenarioError};
use crate::audience::{Audience, Ends, View};
use crate::cast::{Cast, Times};
use crate::checkers::{Checkers, Known};
use crate::crowd::Crowd;
use crate::electorate::Electorate;
use crate::faults::{Fault, Kind, Schedule};
use crate::node::owner_of;
use crate::signing::Signing;
use crate::world::{Plan, Script, World};

/// The first slot of what goes wrong: the chain is in full swing by then.
pub(super) const FROM_SLOT: u64 = 8;
/// Things that did not come as expected which are told; more of one kind tell nothing new.
const FAILURES_MAX: usize = 8;
/// What the scenarios' delays and hours are drawn from.
const SEED: u64 = 1;
/// How finely times after a heal are measured.
const FINE: Duration = Duration::from_millis(10);

/// What a stage is set with.
pub(super) struct Setting {
    pub(super) nodes: usize,
    /// What every message takes; none draws it.
    pub(super) delay: Option<Duration>,
    /// What goes wrong from [`FROM_SLOT`] until another slot.
    pub(super) kinds: Vec<Kind>,
    pub(super) until_slot: u64,
    /// The slot from which on nobody submits any more.
    pub(super) quiet_slot: u64,
}

/// See the module.
pub(super) struct Stage {
    world: World,
    figures: Vec<(&'static str, String)>,
    failures: Vec<String>,
}

impl Stage {
    pub(super) fn new(scale: &Scale, setting: Setting, trace: bool) -> Result<Self, ScenarioError> {
        let Setting { nodes, delay, kinds, until_slot, quiet_slot } = setting;
        let (times, electorate) = (scale.times, Electorate::all(nodes));
        let cast = Arc::new(Cast::with_times(nodes, &electorate, Signing::Paper, times)?);
        let (from, until) = (times.slot_start(FROM_SLOT), times.slot_start(until_slot));
        let faults = kinds.into_iter().map(|kind| Fault { from, until, kind }).collect();
        let plan = Plan { seed: SEED, nodes, whole_cards: false, electorate, schedule: Schedule { faults } };
        let crowd = Crowd::new(scale.submit_every, times.slot_start(quiet_slot), scale.expiry);
        let script = Script { delay, crowd, audience: Audience::new(nodes) };
        let mut world = World::scripted(cast, plan, script, trace);
        world.set_going();
        Ok(Self { world, figures: Vec::new(), failures: Vec::new() })
    }

    pub(super) fn times(&self) -> Times {
        self.world.cast().times
    }

    /// Goes on to the start of a slot.
    pub(super) fn to(&mut self, slot: u64) {
        self.world.go_on(self.times().slot_start(slot));
    }

    /// Goes on from the start of slot `from` until `is_so`, and gives how long that took; none if it has not come to be by
    /// the start of slot `until`.
    pub(super) fn wait(&mut self, from: u64, until: u64, is_so: impl Fn(&Self) -> bool) -> Option<Duration> {
        let (from, until) = (self.times().slot_start(from), self.times().slot_start(until));
        let mut at = from.max(self.world.now());
        while at <= until {
            self.world.go_on(at);
            if is_so(self) {
                return Some(at.since(from));
            }
            at += FINE;
        }
        None
    }

    pub(super) fn checkers(&self) -> &Checkers {
        self.world.checkers()
    }

    /// The last final slot that a node told; none while it is down.
    pub(super) fn final_slot(&self, node: usize) -> Option<u64> {
        self.world.node(node).core.as_ref().map(|core| core.last_final().height.slot.0)
    }

    /// The lowest of those of some nodes; none while one of them is down.
    pub(super) fn final_slot_of(&self, nodes: &[usize]) -> Option<u64> {
        nodes.iter().map(|node| self.final_slot(*node)).min().flatten()
    }

    /// A node's head.
    pub(super) fn head(&self, node: usize) -> Option<SliceRef> {
        self.world.node(node).core.as_ref().map(hpb_node::core::Core::head)
    }

    /// Slots from a node's last final one to its head's.
    pub(super) fn lag_slots(&self, node: usize) -> u64 {
        let head = self.head(node).map_or(0, |head| head.height.slot.0);
        head.saturating_sub(self.final_slot(node).unwrap_or(0))
    }

    pub(super) fn name(&self, node: usize) -> AccountName {
        self.world.cast().nodes[node].name
    }

    /// Whose slot it is, as a node knows.
    pub(super) fn owner(&self, node: usize, slot: u64) -> Option<AccountName> {
        self.world.node(node).core.as_ref().map(|core| owner_of(core, Slot(slot)))
    }

    /// Slots with a final slice.
    pub(super) fn filled(&self) -> BTreeSet<u64> {
        self.checkers().final_chain().iter().map(|slice| slice.height.slot.0).collect()
    }

    /// The slices of a node's chain that are not final, the newest first.
    pub(super) fn unfinal(&self, node: usize) -> Vec<Known> {
        let next = |known: &Known| self.checkers().sent(&known.parent);
        let head = self.head(node).and_then(|head| self.checkers().sent(&head.id));
        let chain = std::iter::successors(head, |known| next(known));
        chain.take_while(|known| !self.checkers().is_final(&known.reference)).cloned().collect()
    }

    /// Slices below the last final one that were sent and are not final.
    pub(super) fn lost_slices(&self) -> usize {
        let checkers = self.checkers();
        let Some(last) = checkers.final_chain().last() else { return 0 };
        let below = checkers.all_sent().filter(|known| known.reference.height <= last.height);
        below.filter(|known| !checkers.is_final(&known.reference)).count()
    }

    /// What the users beside a node see.
    pub(super) fn view(&self, node: usize) -> View {
        self.world.audience().map(|audience| audience.view(node).clone()).unwrap_or_default()
    }

    /// What became of the transactions that were sent to some nodes.
    pub(super) fn ends(&self, nodes: &[usize]) -> Ends {
        self.world.audience().map(|audience| audience.ends(|node| nodes.contains(&node))).unwrap_or_default()
    }

    /// The audience's figures, read by `read`.
    pub(super) fn audience<T: Default>(&self, read: impl Fn(&Audience) -> T) -> T {
        self.world.audience().map(read).unwrap_or_default()
    }

    pub(super) fn figure(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.figures.push((name, value.to_string()));
    }

    /// What is not so is told.
    pub(super) fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so && self.failures.len() < FAILURES_MAX {
            self.failures.push(otherwise());
        }
    }

    /// That some time was measured and is not above `most`; what it is as a figure, in slots too.
    pub(super) fn expect_within(&mut self, name: &'static str, took: Option<Duration>, most_slots: u64) {
        let slot = self.times().slot;
        match took {
            Some(took) => {
                self.figure(name, Slots { took, slot });
                self.expect(took <= slot.saturating_mul(most_slots), || {
                    format!("{name} {}: at most {most_slots} slots were to pass", Slots { took, slot })
                });
            }
            None => self.expect(false, || format!("{name}: never, as long as was waited")),
        }
    }

    /// The end, at the start of slot `end`: all nodes are up, agree, and are final beyond slot `healed`; every transaction
    /// came to an end.
    pub(super) fn end(&mut self, healed: u64, end: u64) {
        self.to(end);
        self.world.judge(healed);
        self.world.judge_audience();
    }

    pub(super) fn into_report(self, scenario: Scenario) -> Report {
        let Self { world, figures, mut failures } = self;
        let outcome = world.into_outcome();
        if let Some(failure) = outcome.failure {
            failures.insert(0, failure.to_string());
        }
        Report { scenario, figures, failures, lines: outcome.lines }
    }
}

/// A time in seconds and slots.
struct Slots {
    took: Duration,
    slot: Duration,
}

impl std::fmt::Display for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (millis, hundredths) = (self.took.as_millis(), self.took.as_nanos() * 100 / self.slot.as_nanos().max(1));
        write!(f, "{millis} ms ({}.{:02} slots)", hundredths / 100, hundredths % 100)
    }
}

/// The value below which `percent` of the sorted values lie; zero of none.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or(0)
}
