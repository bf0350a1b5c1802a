//! What is lost on the way comes again, and soon.

use super::*;

#[test]
fn nothing_is_lost_or_reordered_on_a_bad_wire() {
    for seed in 0..6 {
        let link = LinkConfig {
            delay: Duration::from_millis(5),
            jitter: hpb_net::wire::Jitter::Uniform(Duration::from_millis(2)),
            loss_ppm: 20_000,
            duplicate_ppm: 20_000,
            corrupt_ppm: 20_000,
            reorder_ppm: 20_000,
            reorder_delay: Duration::from_millis(3),
            ..LinkConfig::default()
        };
        let mut world = World::new(seed, link);
        world.listen(Class::Validator, true);
        world.call(Class::Validator, true, true, 0);
        world.run_for(Duration::from_secs(30));
        let near = world.opened(1)[0];
        let mut random = Random::new(seed);
        let sent: Vec<Vec<u8>> = (0..60).map(|n| body(random.below(9_000) as usize, n)).collect();
        for message in &sent {
            world.send(1, near, 1, message).unwrap();
            world.run_for(Duration::from_millis(50));
        }
        world.run_for(Duration::from_secs(60));
        let got: Vec<Vec<u8>> = world.messages(0).into_iter().map(|(_, body)| body).collect();
        assert!(got == sent, "seed {seed}: {} of {}", got.len(), sent.len());
        let counters = world.hosts[0].lane.counters();
        assert!(counters.drops.get(Reason::Checksum) > 0 && world.hosts[1].lane.counters().retransmitted > 0);
    }
}

/// The time of each of `count` echoes, one in flight, in milliseconds, ascending.
fn echo_times_ms(seed: u64, link: LinkConfig, count: usize) -> Vec<u64> {
    let mut world = World::new(seed, link);
    world.hosts[0].echo = true;
    world.listen(Class::Validator, false);
    world.call(Class::Validator, false, false, 0);
    world.run_for(Duration::from_secs(30));
    let near = world.opened(1)[0];
    let mut times = Vec::new();
    for round in 0..count {
        let sent_at = world.now;
        world.send(1, near, 1, &body(64, 1)).unwrap();
        while world.messages(1).len() <= round {
            world.run_for(Duration::from_millis(1));
        }
        times.push(world.now.since(sent_at).as_nanos() / 1_000_000);
    }
    times.sort_unstable();
    times
}

#[test]
fn a_lost_tail_comes_again_after_round_trips_and_not_after_a_second() {
    let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm: 50_000, ..LinkConfig::default() };
    let times = echo_times_ms(36, link, 1_000);
    assert!(times[500] <= 11, "p50 {}", times[500]);
    // One loss: two round trips, what the peer may delay its ACK by, and the margin.
    assert!(times[950] <= 80, "p95 {}", times[950]);
    // Two in a row: the shortest time-out as well.
    assert!(times[990] <= 300, "p99 {}", times[990]);
}

#[test]
fn a_hole_under_later_messages_is_repaired_at_once() {
    let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm: 10_000, ..LinkConfig::default() };
    let mut world = open_pair(39, link, Class::Validator, false);
    let near = world.opened(1)[0];
    let began = world.now;
    let every = Duration::from_millis(10);
    let mut late_ms = Vec::new();
    let mut sent = 0;
    while late_ms.len() < 3_000 {
        if sent < 3_000 && world.now.since(began) >= every.saturating_mul(sent) {
            world.send(1, near, 1, &body(256, sent as u8)).unwrap();
            sent += 1;
        }
        world.run_for(Duration::from_millis(1));
        let arrived = world.hosts[0].seen.iter().filter(|seen| matches!(seen, Seen::Message { .. })).count();
        while late_ms.len() < arrived {
            let meant_at = began + every.saturating_mul(late_ms.len() as u64);
            late_ms.push(world.now.since(meant_at).as_nanos() / 1_000_000);
        }
    }
    late_ms.sort_unstable();
    let [p50_ms, p99_ms, p999_ms] = [500, 990, 999].map(|thousandth| late_ms[thousandth * 3]);
    // The next message, 10 ms later, shows the loss after a round trip; the repeat takes half a one.
    assert!(p50_ms <= 6 && p99_ms <= 30, "p50 {p50_ms}, p99 {p99_ms}");
    // The repeat is lost, too.
    assert!(p999_ms <= 60, "p99.9 {p999_ms}");
}

#[test]
fn what_is_repeated_is_what_was_lost() {
    for (seed, loss_ppm) in [(40, 1_000), (41, 10_000), (42, 50_000)] {
        let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm, ..LinkConfig::default() };
        let mut world = open_pair(seed, link, Class::Validator, false);
        let near = world.opened(1)[0];
        let before = world.hosts[0].port.link_counters(1).unwrap().lost;
        for tag in 0..8 {
            world.send(1, near, 1, &body(500_000, tag)).unwrap();
        }
        while world.messages(0).len() < 8 {
            world.run_for(Duration::from_millis(100));
        }
        let lost = world.hosts[0].port.link_counters(1).unwrap().lost - before;
        let repeated = world.hosts[1].lane.counters().retransmitted;
        assert!(lost > 0 && repeated >= lost && repeated <= lost + lost / 2 + 5, "{repeated} for {lost}");
        assert!(world.messages(0).iter().enumerate().all(|(tag, (_, got))| *got == body(500_000, tag as u8)));
    }
}

#[test]
fn a_path_that_swallows_large_packets_is_narrowed() {
    for (hole_len, encrypted) in [(1_492, false), (1_300, true), (576, false)] {
        let link = LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() };
        let mut world = open_pair(37, link, Class::Validator, encrypted);
        let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
        world.hole_len = hole_len;
        world.send(1, near, 1, &body(200_000, 1)).unwrap();
        world.send(0, far, 1, &body(200_000, 2)).unwrap();
        world.run_for(Duration::from_secs(30));
        assert!(
            world.messages(0) == [(1, body(200_000, 1))] && world.messages(1) == [(1, body(200_000, 2))],
            "{hole_len}"
        );
        assert!(world.hosts[1].lane.counters().paths_narrowed >= 1);
    }
    let world = open_pair(38, LinkConfig::default(), Class::Validator, true);
    assert_eq!(world.hosts[1].lane.counters().paths_narrowed, 0);
}
