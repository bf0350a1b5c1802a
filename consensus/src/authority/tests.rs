//! What this engine alone has; what it shares with all engines stands in the conformance suite.

use hpb_base::limits::UNFINAL_SLOTS_MAX;
use hpb_base::{Instant, Random};
use hpb_types::slice::transactions_root;
use hpb_types::{Epoch, Evidence, Hash, SliceRef, Slot};

use super::{Authority, Output};
use crate::conformance::kit::{self, SLOT_MS, config, evidence, genesis, is_justified, name, schedules};
use crate::conformance::runs::{final_height, final_slots, steady};
use crate::conformance::world::{self, EPOCH_SLOTS, Links};
use crate::engine::{DropReason, Engine};
use crate::voter::Voter;
use crate::watermark::Memory;

type Kit = kit::Kit<Authority>;
type World = world::World<Authority>;

/// Three members, of whom this node is none.
fn three() -> Kit {
    Kit::with(config(None), schedules(3), Memory::Never, Instant::ZERO)
}

/// Three slices of slot 3, whose producer is member 0, each confirmed by the two others before the next; the last carries
/// the certificate of the first.
fn run_of_three(kit: &mut Kit) -> Vec<SliceRef> {
    let mut run = vec![genesis()];
    kit.at(3 * SLOT_MS + 300);
    for (index, source) in [(0, 0), (1, 0), (2, 1)] {
        let slice = kit.make_with((3, index), run[index as usize], run[source], |body| body.producer = name(0));
        let slice = kit.give(&slice);
        run.push(slice);
        kit.confirm(1, slice);
        assert!(!is_justified(kit, slice), "one of three");
        kit.confirm(2, slice);
        assert!(is_justified(kit, slice));
    }
    run.split_off(1)
}

#[test]
fn two_of_three_decide() {
    let mut kit = three();
    let run = run_of_three(&mut kit);
    assert_eq!(kit.last_final(), run[0]);
}

#[test]
fn half_is_no_majority() {
    let mut kit = Kit::with(config(None), schedules(2), Memory::Never, Instant::ZERO);
    let slice = kit.make_with((2, 0), genesis(), genesis(), |body| body.producer = name(0));
    let slice = kit.at(2 * SLOT_MS + 300).give(&slice);
    kit.confirm(0, slice);
    assert!(!is_justified(&kit, slice));
    kit.confirm(1, slice);
    assert!(is_justified(&kit, slice));
}

/// Without the run: a producer whose clock was set back while it was down begins slot 2 again. No member breaks its vow,
/// and yet a0 would be final by the link to a2, and b1, which does not follow it, by the next slot.
#[test]
fn a_link_over_a_hole_proves_nothing() {
    let mut kit = three();
    let give = |kit: &mut Kit, at: (u64, u32), parent, source, salt| {
        let slice = kit.make_with(at, parent, source, |body| {
            (body.producer, body.results.hash) = (name((at.0 % 3) as usize), Hash([salt; 32]));
        });
        kit.at(at.0 * SLOT_MS + 300).give(&slice)
    };
    let a0 = give(&mut kit, (2, 0), genesis(), genesis(), 1);
    let a1 = give(&mut kit, (2, 1), a0, genesis(), 1);
    let b0 = give(&mut kit, (2, 0), genesis(), genesis(), 2);
    let b1 = give(&mut kit, (2, 1), b0, genesis(), 2);
    let a2 = give(&mut kit, (2, 2), a1, a0, 1);
    let mut voter = Voter::new(name(0), Memory::Never, Slot(0));
    let mut confirm = |kit: &mut Kit, source, target| {
        assert!(voter.consider(source, target, true, Epoch(0)).is_ok(), "{source} -> {target} is honest");
        kit.confirm(0, target);
        kit.confirm(1, target);
    };
    confirm(&mut kit, genesis(), a0);
    confirm(&mut kit, genesis(), b1);
    confirm(&mut kit, a0, a2);
    assert!([a0, b1, a2].iter().all(|slice| is_justified(&kit, *slice)));
    assert_eq!(kit.last_final(), genesis(), "(2,1) of this chain is a hole");
    let c0 = give(&mut kit, (3, 0), b1, b1, 3);
    let c1 = give(&mut kit, (3, 1), c0, b1, 3);
    let c2 = give(&mut kit, (3, 2), c1, c0, 3);
    for (source, target) in [(b1, c0), (b1, c1), (c0, c2)] {
        confirm(&mut kit, source, target);
    }
    assert_eq!(kit.last_final(), c0, "and the other chain goes on");
}

/// The latest slice, not the most: a member without a majority may have filled many slots alone.
#[test]
fn of_chains_that_know_one_certificate_the_latest_slice_is_the_head() {
    let mut kit = Kit::observer();
    let mut alone = genesis();
    for slot in [1, 5, 9] {
        alone = kit.run(slot, 0..=2, alone, genesis())[2];
        assert_eq!(kit.engine.head(), alone);
    }
    let latest = kit.slice((10, 0), genesis(), genesis());
    assert_eq!(kit.engine.head(), latest);
    let more = kit.make((9, 3), alone, genesis(), 0);
    kit.give(&more);
    assert_eq!(kit.engine.head(), latest);
    kit.justify(more.reference());
    assert_eq!(kit.engine.head(), more.reference(), "what is justified comes first");
}

#[test]
fn a_member_that_lies_is_found_and_goes_on() {
    let mut kit = Kit::observer();
    kit.at(SLOT_MS + 300);
    let twins = [1, 2].map(|salt| kit.make((1, 0), genesis(), genesis(), salt));
    let [first, second] = twins.map(|slice| kit.give(&slice));
    let words = [first, second].map(kit::word);
    assert_eq!(evidence(&kit), [Evidence::TwoSlices { producer: name(1), first: words[0], second: words[1] }]);
    kit.confirm(3, first);
    kit.confirm(3, second);
    assert!(matches!(&evidence(&kit)[1..], [Evidence::TwoConfirms { .. }]));
    kit.justify(second);
    assert!(is_justified(&kit, second), "its words count as before");
    let next = kit.slice((5, 0), second, second);
    assert_eq!(kit.engine.head(), next);
}

#[test]
fn a_second_slice_of_a_final_height_is_evidence_while_its_height_is_kept() {
    let mut kit = three();
    run_of_three(&mut kit);
    let twin = kit.make_with((3, 0), genesis(), genesis(), |body| {
        (body.producer, body.results.hash) = (name(0), Hash([9; 32]));
    });
    kit.give(&twin);
    assert_eq!(kit.dropped(DropReason::BelowFinal), 1);
    assert_eq!(evidence(&kit).len(), 1);
}

#[test]
fn too_far_from_finality_a_producer_asks_for_no_transactions_and_yet_takes_them() {
    let mut kit = Kit::new(Some(1), Memory::Never);
    let slot = UNFINAL_SLOTS_MAX + 4;
    let slice = kit.make_with((slot, 0), genesis(), genesis(), |body| {
        body.transactions_root = transactions_root([Hash::ZERO]);
    });
    kit.at(slot * SLOT_MS + 300).give(&slice);
    assert_eq!(kit.engine.head(), slice.reference(), "a function of the slice and its chain");
    kit.run_to((slot + 1) * SLOT_MS + SLOT_MS / 2);
    assert!(!kit.proposals().is_empty() && kit.proposals().iter().all(|proposal| !proposal.may_carry_transactions));
}

#[test]
fn final_slices_are_kept_back_to_the_last_ones_source_and_no_further() {
    let mut world = World::new(3, 1, steady(20));
    world.run_until(30 * SLOT_MS + SLOT_MS / 2);
    for node in &world.nodes {
        let chain = &node.engine.as_ref().unwrap().chain;
        let source = chain.node(chain.root()).carried.target;
        assert_eq!(chain.upward(chain.root()).last(), Some(source));
        assert!(chain.find(&genesis().id).is_none());
        assert!(chain.upward(chain.root()).count() < 20 && chain.unfinal_count() < 20);
    }
}

// --- Worlds ---

#[test]
fn genesis_schedule_stays_for_ever() {
    let mut world = World::new(4, 2, steady(30));
    world.run_until(4 * EPOCH_SLOTS * SLOT_MS + SLOT_MS / 2);
    assert_eq!(final_slots(&world), (1..=4 * EPOCH_SLOTS).collect::<Vec<_>>());
    for node in &world.nodes {
        assert!(node.in_force.is_empty() && node.engine.as_ref().unwrap().in_force().epoch.0 == 0);
    }
}

/// Three members of whom one at a time is down or cut off, while messages are late and lost.
#[test]
fn three_members_bear_one_fault_at_a_time() {
    for seed in 0..12 {
        let mut random = Random::stream(seed, 3);
        let links = Links { delay_ms: (1, 80), loss_per_million: 10_000, twice_per_million: 10_000 };
        let mut world = World::new(3, seed, links);
        let mut until = 2 * SLOT_MS;
        for _ in 0..8 {
            world.run_until(until);
            let (node, before) = (random.below(3) as usize, world.chain.len());
            let crashes = random.below(2) == 0;
            if crashes {
                world.crash(node);
            } else {
                world.groups[node] = 1;
            }
            until += 4 * SLOT_MS + random.below(SLOT_MS);
            world.run_until(until);
            assert!(world.chain.len() > before + 5, "seed {seed}: the other two stand still at {until}");
            if crashes {
                world.restart(node);
            }
            world.heal();
            until += 3 * SLOT_MS;
        }
        world.links = steady(30);
        world.run_until(until + 3 * SLOT_MS);
        for node in 0..3 {
            assert!(final_height(&world, node).slot >= Slot(until / SLOT_MS), "seed {seed}: {node}");
            assert_eq!(world.nodes[node].evidence, 0);
        }
    }
}

/// Any partition, any crash, any delay and loss: the world holds all final chains to be one, and every word to be kept.
#[test]
fn five_members_in_every_kind_of_trouble_make_one_chain() {
    let mut total = 0;
    for seed in 0..20 {
        let mut random = Random::stream(seed, 4);
        let mut world = World::new(5, seed, steady(0));
        let mut until = SLOT_MS;
        for _ in 0..10 {
            let (delay, loss) = (random.below(500), random.below(100_000) as u32);
            world.links = Links { delay_ms: (1, 10 + delay), loss_per_million: loss, twice_per_million: 50_000 };
            world.groups = (0..5).map(|_| random.below(5).min(1) as usize).collect();
            let node = random.below(5) as usize;
            world.crash(node);
            until += random.below(SLOT_MS);
            world.run_until(until);
            world.restart(node);
            until += random.below(3 * SLOT_MS);
            world.run_until(until);
        }
        world.heal();
        world.links = steady(20);
        world.run_until(until + 4 * SLOT_MS);
        for node in 0..5 {
            assert!(final_height(&world, node).slot.0 + 3 > world.now.as_millis() / SLOT_MS, "seed {seed}: {node}");
            assert_eq!(world.nodes[node].evidence, 0);
        }
        total += world.chain.len();
    }
    assert!(total > 1_000, "{total}");
}

#[test]
fn nothing_is_said_of_schedules() {
    let mut kit = Kit::new(Some(1), Memory::Never);
    kit.run_to(40 * SLOT_MS);
    assert!(kit.proposals().iter().all(|proposal| !proposal.beacon && proposal.fixes.is_none()));
    assert!(!kit.outputs.iter().any(|output| matches!(output, Output::Schedules(_) | Output::InForce { .. })));
}
