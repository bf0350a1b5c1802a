//! What must hold whatever happens, looked at after every step of every correct node.
//!
//! They know no more than a careful stranger: the slices that were sent, and what each node says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hpb_base::{Duration, Instant};
use hpb_ledger::Store;
use hpb_ledger::dpos::Status;
use hpb_node::core::Core;
use hpb_types::genesis::PRODUCERS_MIN;
use hpb_types::message::SliceBundle;
use hpb_types::{AccountName, Epoch, Genesis, Hash, Height, NextSchedule, Schedule, SliceRef, Transaction};

use crate::cast::{EPOCH_SLOTS, SLOT, slot_start};

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Checker {
    /// All correct nodes have one final chain.
    OneChain,
    /// What a node told to be final stays final, also over a restart.
    FinalGrows,
    /// No transaction is final twice.
    FinalOnce,
    /// Nothing is made or lost.
    Supply,
    /// Equal final heights have equal state roots.
    StateRoot,
    /// Final advances within a stated number of slots after the last fault.
    Liveness,
    /// No correct node stops itself, refuses its own disk, or finds that it diverged.
    Runs,
    /// Nobody holds proof of a fault against a correct producer.
    Innocence,
    /// Two final chains convict producers of a third of the weight.
    Evidence,
    /// Whoever is proven guilty loses its bond and its place.
    Expelled,
    /// Users are told what is so, and of every transaction what became of it.
    Told,
}

/// What did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Who found it.
    pub checker: Checker,
    /// When, on the true clock.
    pub at: Instant,
    /// What was seen.
    pub what: String,
}

/// A slice that was sent by someone.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which.
    pub reference: SliceRef,
    /// What it follows.
    pub parent: Hash,
    /// Whose it is.
    pub producer: AccountName,
    /// The ids of its transactions.
    pub transactions: Vec<Hash>,
    /// The members of the schedule that it fixes.
    next: Option<(Epoch, BTreeSet<AccountName>)>,
}

/// How far one machine is.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// How many slices of the chain it holds final.
    finals: usize,
    /// How many it told to be.
    told: usize,
    engine_final: Option<SliceRef>,
    told_final: Option<SliceRef>,
    rooted: u64,
    accused: usize,
}

/// The checkers of one run.
pub struct Checkers {
    known: BTreeMap<Hash, Known>,
    genesis: SliceRef,
    /// The one final chain, without genesis.
    chain: Vec<SliceRef>,
    places: BTreeMap<Hash, usize>,
    final_transactions: BTreeSet<Hash>,
    roots: BTreeMap<Height, Hash>,
    progress: Vec<Progress>,
    innocent: BTreeSet<AccountName>,
    /// Whom correct nodes ever accused.
    accused: BTreeSet<AccountName>,
    /// Whom each machine has accused since its last start, and when: what it knew before, it has forgotten.
    held_against: BTreeMap<(AccountName, usize), Instant>,
    /// The members of each schedule on the final chain.
    fixed: BTreeMap<Epoch, BTreeSet<AccountName>>,
    schedule_min: usize,
    /// At some look fewer could be scheduled than a schedule has at least.
    too_few: bool,
    overrun: bool,
    /// More than a third lie: two final chains are noted, and what follows from them is no failure.
    conspiracy: bool,
    conflict: Option<Failure>,
    failure: Option<Failure>,
}

impl Checkers {
    /// For `machines` machines of a chain that starts from `genesis`. Nobody may accuse the `innocent`; in a
    /// `conspiracy` there may be two final chains.
    pub fn new(machines: usize, genesis: &Genesis, innocent: BTreeSet<AccountName>, conspiracy: bool) -> Self {
        let (first, genesis_slice) = (genesis.schedule(), genesis.genesis_slice());
        let schedule_min = first.producers.len().min(PRODUCERS_MIN as usize);
        Self {
            fixed: BTreeMap::from([(first.epoch, members(&first))]),
            schedule_min,
            too_few: false,
            overrun: false,
            known: BTreeMap::new(),
            genesis: genesis_slice,
            chain: Vec::new(),
            places: BTreeMap::from([(genesis_slice.id, 0)]),
            final_transactions: BTreeSet::new(),
            roots: BTreeMap::new(),
            progress: vec![Progress::default(); machines],
            innocent,
            accused: BTreeSet::new(),
            held_against: BTreeMap::new(),
            conspiracy,
            conflict: None,
            failure: None,
        }
    }

    /// Whether liars came to be a third of a schedule that was fixed, because others were silent: nothing is promised from
    /// then on.
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// Schedules on the final chain with other members than the one before.
    pub fn changes_count(&self) -> usize {
        self.fixed.values().zip(self.fixed.values().skip(1)).filter(|(one, other)| one != other).count()
    }

    /// Two final chains, in a conspiracy.
    pub fn conflict(&self) -> Option<&Failure> {
        self.conflict.as_ref()
    }

    /// What did not hold, the first of it.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The one final chain, without genesis.
    pub fn final_chain(&self) -> &[SliceRef] {
        &self.chain
    }

    /// Whether a slice is final anywhere.
    pub fn is_final(&self, slice: &SliceRef) -> bool {
        self.places.contains_key(&slice.id)
    }

    /// Whether a transaction is final anywhere.
    pub fn is_transaction_final(&self, id: &Hash) -> bool {
        self.final_transactions.contains(id)
    }

    /// The slice with that id, if it was sent.
    pub fn sent(&self, id: &Hash) -> Option<&Known> {
        self.known.get(id)
    }

    /// All slices that were sent.
    pub fn all_sent(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Slices final anywhere.
    pub fn finals_count(&self) -> usize {
        self.chain.len()
    }

    /// Slices that were sent.
    pub fn slices_count(&self) -> usize {
        self.known.len()
    }

    /// Transactions final anywhere.
    pub fn final_transactions_count(&self) -> usize {
        self.final_transactions.len()
    }

    /// Producers that some correct node holds proof against.
    pub fn accused_count(&self) -> usize {
        self.accused.len()
    }

    /// Notes what does not hold.
    pub fn fail(&mut self, checker: Checker, at: Instant, what: impl FnOnce() -> String) {
        if self.conspiracy && checker != Checker::Evidence && checker != Checker::Innocence {
            if self.conflict.is_none() && checker == Checker::OneChain {
                self.conflict = Some(Failure { checker, at, what: what() });
            }
            return;
        }
        if self.failure.is_none() {
            self.failure = Some(Failure { checker, at, what: what() });
        }
    }

    /// A slice is sent for the first time.
    pub fn slice(&mut self, bundle: &SliceBundle) {
        let body = &bundle.slice.body;
        let reference = SliceRef { height: body.height(), id: body.id() };
        let transactions = bundle.transactions.iter().map(Transaction::id).collect();
        let next = match &body.next {
            NextSchedule::None => None,
            NextSchedule::Fixed(schedule) => {
                let members = members(schedule);
                let liars = members.iter().filter(|name| !self.innocent.contains(name)).count();
                self.overrun |= !self.conspiracy && 3 * liars >= members.len();
                Some((schedule.epoch, members))
            }
        };
        let (parent, producer) = (body.parent, body.producer);
        self.known.insert(reference.id, Known { reference, parent, producer, transactions, next });
    }

    /// A machine starts on what its disk held; `forgotten` if that was nothing, for good reason.
    pub fn started<S: Store>(&mut self, now: Instant, machine: usize, core: &Core<S>, forgotten: bool) {
        if forgotten {
            self.progress[machine] = Progress::default();
        }
        let told = self.progress[machine].told;
        // Its engine starts from what the log held.
        self.progress[machine].finals = 0;
        self.progress[machine].engine_final = None;
        self.progress[machine].told_final = None;
        self.progress[machine].accused = 0;
        self.held_against.retain(|(_, other), _| *other != machine);
        self.stepped(now, machine, core);
        if self.progress[machine].told < told {
            let tip = self.chain.get(told - 1).copied();
            self.fail(Checker::FinalGrows, now, || {
                format!("machine {machine} told {tip:?} and starts again on {}", core.last_final())
            });
        }
    }

    /// A machine of a correct node made a step.
    pub fn stepped<S: Store>(&mut self, now: Instant, machine: usize, core: &Core<S>) {
        let (engine, told) = (core.engine_final(), core.last_final());
        let progress = self.progress[machine];
        if progress.engine_final != Some(engine) {
            self.advanced(now, machine, engine);
            self.progress[machine].engine_final = Some(engine);
            self.look_at_state(now, machine, core);
        }
        let accused = core.engine().accused();
        if accused.len() > progress.accused {
            self.progress[machine].accused = accused.len();
            for (name, fault) in accused {
                self.accused.insert(*name);
                self.held_against.entry((*name, machine)).or_insert(now);
                if self.innocent.contains(name) {
                    self.fail(Checker::Innocence, now, || format!("machine {machine} accuses {name} of {fault:?}"));
                }
            }
        }
        if progress.told_final != Some(told) {
            match self.places.get(&told.id) {
                Some(place) if *place >= progress.told && *place <= self.progress[machine].finals => {
                    self.progress[machine].told = *place;
                    self.progress[machine].told_final = Some(told);
                }
                _ => self.fail(Checker::FinalGrows, now, || {
                    format!("machine {machine} told {:?} and then {told}", progress.told_final)
                }),
            }
        }
    }

    /// Walks from a machine's new final slice down to its last one, and compares the way with the one chain.
    fn advanced(&mut self, now: Instant, machine: usize, tip: SliceRef) {
        let before = self.progress[machine].finals;
        let base = before.checked_sub(1).and_then(|last| self.chain.get(last)).unwrap_or(&self.genesis).id;
        let mut newly = Vec::new();
        let mut id = tip.id;
        while id != base {
            let Some(known) = self.known.get(&id) else {
                return self.fail(Checker::FinalGrows, now, || {
                    format!("machine {machine} holds {tip} final, which does not follow what it held final before")
                });
            };
            newly.push(known.reference);
            id = known.parent;
        }
        for slice in newly.into_iter().rev() {
            let place = self.progress[machine].finals;
            match self.chain.get(place) {
                Some(other) if *other == slice => {}
                Some(other) => {
                    let other = *other;
                    return self.fail(Checker::OneChain, now, || {
                        format!("machine {machine} holds {slice} final where another holds {other}")
                    });
                }
                None => self.extend(now, slice),
            }
            self.progress[machine].finals += 1;
        }
    }

    fn extend(&mut self, now: Instant, slice: SliceRef) {
        self.chain.push(slice);
        self.places.insert(slice.id, self.chain.len());
        let known = self.known.get(&slice.id);
        if let Some((epoch, members)) = known.and_then(|known| known.next.clone()) {
            self.fixed.insert(epoch, members);
        }
        let transactions = known.map(|known| known.transactions.clone()).unwrap_or_default();
        for id in transactions {
            if !self.final_transactions.insert(id) {
                self.fail(Checker::FinalOnce, now, || format!("transaction {id} is final again in {slice}"));
            }
        }
    }

    /// Once in some slots: the state's root and the supply, at the final slice.
    fn look_at_state<S: Store>(&mut self, now: Instant, machine: usize, core: &Core<S>) {
        let at = core.ledger().final_slice();
        let turn = at.height.slot.0 / STATE_EVERY_SLOTS;
        if turn <= self.progress[machine].rooted {
            return;
        }
        self.progress[machine].rooted = turn;
        self.compare_state(now, machine, core);
        self.look_at_producers(now, machine, core);
    }

    /// Looks at the registered producers at a machine's final slice: who is expelled was proven guilty, and has no place in
    /// the schedules that were still to be fixed.
    pub fn look_at_producers<S: Store>(&mut self, now: Instant, machine: usize, core: &Core<S>) {
        let at = core.ledger().final_slice();
        let producers = match core.ledger().producers(&at.id) {
            Ok(producers) => producers,
            Err(error) => return self.fail(Checker::Expelled, now, || format!("machine {machine} at {at}: {error}")),
        };
        let active = producers.iter().filter(|state| state.producer.status == Status::Active).count();
        self.too_few |= active < self.schedule_min;
        for state in &producers {
            let (name, cuts) = (state.name, &state.producer.cuts);
            let is_expelled = state.producer.status == Status::Expelled;
            if is_expelled && self.innocent.contains(&name) {
                self.fail(Checker::Innocence, now, || {
                    format!("machine {machine} at {at} has {name} expelled: {cuts:?}")
                });
            }
            // The next epoch's schedule may have been fixed before.
            let out_from = cuts.iter().map(|cut| Epoch(cut.epoch.0 + 2)).min();
            let still = out_from.and_then(|from| self.fixed.range(from..).find(|(_, members)| members.contains(&name)));
            if let Some((epoch, _)) = still.filter(|_| !self.too_few) {
                let epoch = *epoch;
                self.fail(Checker::Expelled, now, || {
                    format!("{name} was cut at {cuts:?}, and has a place in the schedule of epoch {}", epoch.0)
                });
            }
        }
    }

    /// Whoever was proven guilty long enough ago, with no fault in force since `healed_at`, has had its bond cut, or is no
    /// producer any more.
    pub fn look_at_guilty<S: Store>(&mut self, now: Instant, healed_at: Instant, machine: usize, core: &Core<S>) {
        let at = core.ledger().final_slice();
        let Ok(producers) = core.ledger().producers(&at.id) else { return };
        for state in producers.iter().filter(|state| state.producer.cuts.is_empty()) {
            // Registered since the proof, it is another producer: what it was held to then was withdrawn in time.
            let name = state.name;
            let since = state.producer.keys.first().map_or(Epoch(0), |first| first.epoch);
            let registered = slot_start(since.0 * EPOCH_SLOTS);
            let mut held = self.held_against.range((name, 0)..=(name, usize::MAX));
            if held.any(|(_, since)| *since >= registered && healed_at.max(*since) + REPORTED_WITHIN <= now) {
                self.fail(Checker::Expelled, now, || {
                    format!("{name} was proven guilty, and machine {machine} at {at} has it unpunished")
                });
            }
        }
    }

    /// Compares the state at a machine's final slice with that of others there.
    pub fn compare_state<S: Store>(&mut self, now: Instant, machine: usize, core: &Core<S>) {
        let at = core.ledger().final_slice();
        match core.ledger().state_root(&at.id) {
            Ok(root) => {
                let summed = core.ledger().summed_root(&at.id);
                if summed != Ok(root) {
                    self.fail(Checker::StateRoot, now, || {
                        format!("machine {machine} keeps the root {root} at {at}, its state comes to {summed:?}")
                    });
                }
                let other = *self.roots.entry(at.height).or_insert(root);
                if other != root {
                    self.fail(Checker::StateRoot, now, || {
                        format!("machine {machine} has state {root} at {at}, another has {other}")
                    });
                }
            }
            Err(error) => self.fail(Checker::StateRoot, now, || format!("machine {machine} at {at}: {error}")),
        }
        match core.ledger().supply(&at.id) {
            Ok(supply) if supply.is_conserved() => {}
            Ok(supply) => self.fail(Checker::Supply, now, || format!("machine {machine} at {at}: {supply:?}")),
            Err(error) => self.fail(Checker::Supply, now, || format!("machine {machine} at {at}: {error}")),
        }
    }
}

/// How long it takes at most, in good times, from the proof of a fault to the cut of the bond in a final state: some
/// reporters may be down, and each waits for those before it.
const REPORTED_WITHIN: Duration = SLOT.saturating_mul(12);

fn members(schedule: &Schedule) -> BTreeSet<AccountName> {
    schedule.producers.iter().map(|producer| producer.name).collect()
}

/// How often the whole state is looked at.
const STATE_EVERY_SLOTS: u64 = 8;

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneChain => "one-chain",
            Self::FinalGrows => "final-grows",
            Self::FinalOnce => "final-once",
            Self::Supply => "supply",
            Self::StateRoot => "state-root",
            Self::Liveness => "liveness",
            Self::Runs => "runs",
            Self::Innocence => "innocence",
            Self::Evidence => "evidence",
            Self::Told => "told",
            Self::Expelled => "expelled",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.checker, self.at.as_millis(), self.what)
    }
}
