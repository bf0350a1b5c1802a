//! Who may produce in a seed, who does from the start, and what is asked of the chain about it: stakes, votes in
//! campaigns, registrations, new keys, farewells and returns.
//!
//! In half of the seeds all nodes produce from the start, with places for all, and nobody asks for anything; what changes
//! the schedule then is silence and evidence.

use hpb_base::Random;
use hpb_types::genesis::PRODUCERS_MIN;

use crate::cast::{EPOCH_SLOTS, NODES_MIN, USERS};
use crate::faults::{Nodes, SLOTS};

/// The first slot in which something is asked for.
const ASKED_FROM: u64 = 1;
/// Campaigns of one seed at most.
const CAMPAIGNS_MAX: u64 = 3;

/// Whom the chain of a seed can be produced by, and how that changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Electorate {
    /// The nodes that produce from the start: the first ones.
    pub founders: usize,
    /// Places of a schedule.
    pub seats: usize,
    /// What is asked for, ascending by slot.
    pub agenda: Vec<Ask>,
    /// The votes that all voters change together.
    pub campaigns: Vec<Campaign>,
}

/// Something that an account asks for in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// When.
    pub slot: u64,
    /// What.
    pub deed: Deed,
}

/// All voters vote for the same nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Campaign {
    /// When.
    pub slot: u64,
    /// For whom.
    pub members: Nodes,
}

/// What an account can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A user stakes.
    Stake(usize),
    /// A user votes.
    Vote(usize, Nodes),
    /// A node registers as a producer, under its second keys if so.
    Register(usize, bool),
    /// A node produces under other keys: its second ones, or its first again.
    Update(usize, bool),
    /// A node ends its service.
    Retire(usize),
    /// A node comes back after it was silent.
    Resume(usize),
    /// A node gets back its bond.
    Withdraw(usize),
}

impl Electorate {
    /// All of `count` nodes produce, and nobody asks for anything.
    pub fn all(count: usize) -> Self {
        Self { founders: count, seats: count, agenda: Vec::new(), campaigns: Vec::new() }
    }

    /// That of a seed for `count` nodes.
    pub fn draw(seed: u64, count: usize) -> Self {
        let random = &mut Random::stream(seed, 3);
        if random.below(2) == 0 {
            return Self::all(count);
        }
        let mut up_to_all = || {
            // Few at the start and few places are where sets can change as a whole.
            let spare = (count - NODES_MIN) as u64;
            if random.below(2) == 0 { NODES_MIN } else { NODES_MIN + random.below(spare + 1) as usize }
        };
        let founders = up_to_all();
        let seats = up_to_all().max(founders);
        let mut drawn = Self { founders, seats, agenda: Vec::new(), campaigns: Vec::new() };
        drawn.draw_agenda(random, count);
        drawn.agenda.sort_by_key(|ask| ask.slot);
        drawn.campaigns.sort_by_key(|campaign| campaign.slot);
        drawn
    }

    /// The fewest producers that a schedule can come to have.
    pub fn fewest(&self) -> usize {
        self.founders.min(PRODUCERS_MIN as usize)
    }

    /// Whether sets change by more than silence and evidence.
    pub fn changes(&self) -> bool {
        !self.agenda.is_empty()
    }

    fn draw_agenda(&mut self, random: &mut Random, count: usize) {
        let agenda = &mut self.agenda;
        let mut ask = |slot, deed| agenda.push(Ask { slot, deed });
        for user in 0..USERS {
            ask(ASKED_FROM + random.below(2), Deed::Stake(user));
        }
        let all_register = random.below(3) > 0;
        for node in self.founders..count {
            if all_register || random.below(2) == 0 {
                ask(ASKED_FROM + random.below(4), Deed::Register(node, false));
            }
        }
        for _ in 0..=random.below(CAMPAIGNS_MAX) {
            let campaign =
                Campaign { slot: 4 + random.below(22), members: campaign(random, count, self.founders, self.seats) };
            for user in 0..USERS {
                ask(campaign.slot, Deed::Vote(user, campaign.members));
            }
            self.campaigns.push(campaign);
        }
        for _ in 0..random.below(4) {
            let node = random.below(count as u64) as usize;
            let slot = 2 + random.below(24);
            ask(slot, Deed::Update(node, true));
            if random.below(2) == 0 {
                ask(slot + 1 + random.below(12), Deed::Update(node, false));
            }
        }
        if random.below(2) == 0 {
            let node = random.below(count as u64) as usize;
            let slot = 2 + random.below(10);
            ask(slot, Deed::Retire(node));
            let back = slot + release_slots(EPOCH_SLOTS) + 1;
            ask(back, Deed::Withdraw(node));
            ask(back + 1, Deed::Register(node, true));
        }
        for slot in (EPOCH_SLOTS..SLOTS).step_by(4) {
            ask(slot, Deed::Resume(random.below(count as u64) as usize));
        }
    }
}

/// How long a bond is held after a farewell: a little more than two epochs.
pub const fn release_slots(epoch_slots: u64) -> u64 {
    2 * epoch_slots + 2
}

/// As many as there are places: any nodes, or such that were not there from the start before those that were.
fn campaign(random: &mut Random, count: usize, founders: usize, seats: usize) -> Nodes {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        order.swap(place, random.below(place as u64 + 1) as usize);
    }
    if random.below(2) == 0 {
        order.sort_by_key(|node| *node < founders);
    }
    order.into_iter().take(seats).fold(Nodes::default(), |nodes, node| nodes.or(Nodes::one(node)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_can_be_a_chain() {
        for (seed, count) in (0..400).zip([4, 7, 21, 100].into_iter().cycle()) {
            let drawn = Electorate::draw(seed, count);
            assert!((NODES_MIN..=count).contains(&drawn.founders));
            assert!((drawn.founders..=count).contains(&drawn.seats), "{drawn:?}");
            assert!(drawn.agenda.is_sorted_by_key(|ask| ask.slot), "{drawn:?}");
            assert!(drawn.campaigns.iter().all(|campaign| campaign.members.count() == drawn.seats), "{drawn:?}");
            assert_eq!(drawn, Electorate::draw(seed, count));
        }
    }

    #[test]
    fn sets_change_as_a_whole_in_some_seeds() {
        let outsiders = |drawn: &Electorate| {
            drawn
                .campaigns
                .iter()
                .any(|campaign| campaign.members.iter().filter(|node| *node < drawn.founders).count() <= 1)
        };
        let found = (0..200).filter(|seed| outsiders(&Electorate::draw(*seed, 7))).count();
        assert!(found >= 10, "{found}");
    }
}
