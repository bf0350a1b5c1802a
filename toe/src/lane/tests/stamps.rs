//! Stamps of both ends of a session, side by side.

use super::*;
use crate::stamps::{Stage, Stamps};

/// Gives both lanes stamps whose clock stands still: what is looked at is what they say, not when.
fn stamp(world: &mut World) {
    for host in &mut world.hosts {
        assert!(host.lane.set_stamps(Some(Stamps::new(1_000, 8, 1, || Instant::ZERO))).is_none());
    }
}

/// Sends `count` messages of `len` bytes from the one who called.
fn send_stamped(world: &mut World, count: usize, len: usize) {
    let near = world.opened(1)[0];
    for _ in 0..count {
        world.send(1, near, 1, &body(len, 1)).unwrap();
    }
    world.run_for(Duration::from_secs(1));
}

fn stages(world: &mut World, host: usize) -> Vec<Stage> {
    world.hosts[host].lane.stamps().unwrap().iter().map(|stamp| stamp.stage).collect()
}

#[test]
fn a_message_is_stamped_at_each_stage_and_both_ends_name_its_bytes_alike() {
    for encrypted in [false, true] {
        let mut world = open_pair(3, LinkConfig::default(), Class::Terminal, encrypted);
        stamp(&mut world);
        send_stamped(&mut world, 1, 100);
        let out = stages(&mut world, 1);
        let [Stage::Taken { number: 0, stream_len: 105 }, Stage::Sealed { stream_len: 105, sequence }, emitted] =
            out[..]
        else {
            panic!("{out:?}")
        };
        let Stage::Emitted { from, to, .. } = emitted else { panic!("{emitted:?}") };
        assert_eq!(to, sequence);
        let into = stages(&mut world, 0);
        let [Stage::Received { from: came_from, to: came_to, whole_to, .. }, Stage::Opened { count: 1 }] = into[..]
        else {
            panic!("{into:?}")
        };
        assert_eq!((came_from, came_to, whole_to), (from, to, to), "encrypted: {encrypted}");
    }
}

#[test]
fn messages_that_wait_in_the_outbox_are_sealed_as_there_is_room() {
    let mut world = open_pair(4, LinkConfig::default(), Class::Uplink, true);
    stamp(&mut world);
    send_stamped(&mut world, 40, 1_000);
    let out = stages(&mut world, 1);
    let taken = out.iter().filter(|stage| matches!(stage, Stage::Taken { .. })).count();
    let sealed: Vec<u64> = out
        .iter()
        .filter_map(|stage| match stage {
            Stage::Sealed { stream_len, .. } => Some(*stream_len),
            _ => None,
        })
        .collect();
    assert_eq!((taken, sealed.last()), (40, Some(&(40 * 1_005))));
    assert!(sealed.is_sorted() && sealed.len() > 1);
    let into = stages(&mut world, 0);
    assert_eq!(into.last(), Some(&Stage::Opened { count: 40 }));
    let wholes = |stages: &[Stage]| {
        let last = stages.iter().rev().find_map(|stage| match stage {
            Stage::Received { whole_to, .. } => Some(*whole_to),
            _ => None,
        });
        last.unwrap()
    };
    let end = out.iter().rev().find_map(|stage| match stage {
        Stage::Sealed { sequence, .. } => Some(*sequence),
        _ => None,
    });
    assert_eq!(Some(wholes(&into)), end);
}

#[test]
fn a_lane_gives_its_stamps_back() {
    let mut world = open_pair(5, LinkConfig::default(), Class::Terminal, false);
    stamp(&mut world);
    send_stamped(&mut world, 1, 10);
    let lane = &mut world.hosts[1].lane;
    assert_eq!(lane.set_stamps(None).unwrap().iter().count(), 3);
    assert!(lane.stamps().is_none());
}
