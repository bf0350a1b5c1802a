#![allow(clippy::unwrap_used)]

use hpb_base::Duration;

use super::*;
use crate::scenario::file::parse;

/// A scenario on virtual time, plain, of one repeat; `rest` is the rest of its file.
fn scenario(rest: &str) -> Scenario {
    let text = format!(
        "name = \"test\"\nclock = \"virtual\"\nwarm_up = \"100ms\"\ndrain = \"10s\"\nrepeats = 1\n{rest}\n\
         [[target]]\nname = \"card\"\nkind = \"card\"\nencrypted = false\n"
    );
    parse(&text).unwrap()
}

fn run(rest: &str) -> Repeat {
    let scenario = scenario(rest);
    CardWire::new(&scenario.targets[0]).repeat(&scenario, 0, &|| false).unwrap()
}

/// Within what a histogram of three digits tells apart.
fn about(found: Option<u64>, expected: Duration) {
    let (found, expected) = (found.unwrap(), expected.as_nanos());
    assert!(found.abs_diff(expected) <= expected / 1_000 + 1, "{found} is not {expected}");
}

const REQUESTS: &str = "[load]\npattern = \"request-reply\"\narrivals = \"fixed\"\nrate_per_s = 1000\n";

#[test]
fn a_constant_delay_is_there_twice_at_every_percentile() {
    let repeat = run(&format!("duration = \"500ms\"\nsessions = 7\n{REQUESTS}[link]\ndelay = \"250us\""));
    for percent in [0.0, 50.0, 99.0, 99.99, 100.0] {
        about(repeat.latency.percentile(percent), Duration::from_micros(500));
    }
    assert_eq!(repeat.service, repeat.latency);
    assert_eq!(
        (repeat.counts.intended, repeat.counts.sent, repeat.counts.arrived, repeat.counts.lost),
        (500, 500, 500, 0)
    );
    let excess = repeat.excess.unwrap();
    assert_eq!(excess.applied.count(), 1_000, "both ways");
    assert_eq!((excess.above.max(), excess.below.count()), (Some(0), 0), "nothing beyond the wire");
}

#[test]
fn with_jitter_every_message_takes_what_the_wire_applied_and_nothing_else() {
    for jitter in ["uniform 300us", "exponential 100us", "normal 200us", "pareto 50us 2.5"] {
        let load = "[load]\npattern = \"one-way\"\narrivals = \"poisson\"\nrate_per_s = 2000\n";
        let link = format!("[link]\ndelay = \"1ms\"\njitter = \"{jitter}\"");
        let repeat = run(&format!("duration = \"1s\"\nsessions = 5\n{load}{link}"));
        let excess = repeat.excess.clone().unwrap();
        assert_eq!(excess.applied, repeat.latency, "{jitter}");
        assert_eq!((excess.above.max(), excess.below.count()), (Some(0), 0), "{jitter}");
        assert!(repeat.latency.0.first().unwrap().0 >= 1_000_000 && repeat.latency.0.len() > 100, "{jitter}");
    }
}

#[test]
fn a_line_s_rate_is_in_the_latency_frame_by_frame() {
    // 40 bytes of headers, 5 of a message's own, 3 of a plain record's or none: what the line carries is measured, not
    // guessed, and must be one time a burst for the first, two for the second, and so on.
    let load = "[load]\npattern = \"incast\"\narrivals = \"fixed\"\nrate_per_s = 10\nrequest_len = 500\n";
    let link = "[link.there]\ndelay = \"1ms\"\nrate = \"10 Mbit/s\"";
    let repeat = run(&format!("duration = \"1s\"\nsessions = 20\n{load}{link}"));
    let times: Vec<u64> = repeat.latency.0.iter().map(|(value, _)| *value).collect();
    assert_eq!((times.len(), repeat.latency.count()), (20, 200));
    let line = times[0] - 1_000_000;
    let frame_len = line * 10_000_000 / 8_000_000_000;
    assert!((540..580).contains(&frame_len), "{frame_len} bytes");
    assert!(times.iter().zip(1..).all(|(time, number)| *time == 1_000_000 + number * line), "{times:?}");
}

#[test]
fn all_that_are_sent_to_at_once_hear_it_at_once() {
    let load = "[load]\npattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 20\nrequest_len = 100\n";
    let repeat = run(&format!("duration = \"500ms\"\nsessions = 300\n{load}[link]\ndelay = \"2ms\""));
    assert_eq!(repeat.latency.0, [(2_000_000, 3_000)]);
    assert_eq!((repeat.counts.intended, repeat.counts.expected, repeat.counts.lost), (10, 3_000, 0));
}

#[test]
fn a_closed_loop_asks_again_when_it_has_its_answer() {
    let load = "[load]\npattern = \"request-reply\"\narrivals = \"closed\"\nin_flight = 2\n";
    let repeat = run(&format!("duration = \"100ms\"\nsessions = 3\n{load}[link]\ndelay = \"500us\""));
    assert_eq!(repeat.latency.0, [(1_000_000, 600)], "two under way over each of three, a millisecond each");
}

#[test]
fn stalls_are_read_in_full_because_messages_are_measured_from_their_own_moment() {
    let fault = "[link]\ndelay = \"10us\"\n[[fault]]\nkind = \"stall\"\nevery = \"1s\"\npause = \"100ms\"\n";
    let repeat = run(&format!("duration = \"5s\"\nsessions = 50\n{REQUESTS}{fault}"));
    let at = |percent| repeat.latency.percentile(percent).unwrap();
    // A tenth of all meets a stall, and waits for the rest of it.
    assert_eq!(at(50.0), 20_000);
    assert!(at(95.0).abs_diff(50_000_000) < 2_000_000, "{}", at(95.0));
    assert!(at(99.0).abs_diff(90_000_000) < 2_000_000, "{}", at(99.0));
    assert_eq!(repeat.counts.lost, 0);
}

#[test]
fn what_is_lost_on_the_way_is_sent_again_and_counted() {
    let link = "[link]\ndelay = \"1ms\"\nloss = \"1 %\"";
    let repeat = run(&format!("duration = \"4s\"\nsessions = 10\n{REQUESTS}{link}"));
    assert_eq!((repeat.counts.arrived, repeat.counts.lost, repeat.counts.out_of_order), (4_000, 0, 0));
    assert!(repeat.counts.frames_lost > 20 && repeat.counts.retransmitted > 20, "{:?}", repeat.counts);
    about(repeat.latency.percentile(50.0), Duration::from_millis(2));
    assert!(repeat.latency.max().unwrap() > 3_000_000);
}

#[test]
fn those_who_read_nothing_delay_nobody() {
    let load = "[load]\npattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 100\nrequest_len = 900\n";
    let fault = "[link]\ndelay = \"1ms\"\n[[fault]]\nkind = \"slow-readers\"\ncount = 3\n";
    let repeat = run(&format!("duration = \"3s\"\nsessions = 10\n{load}{fault}"));
    assert_eq!(repeat.latency.0, [(1_000_000, 2_100)]);
    assert_eq!((repeat.counts.expected, repeat.counts.lost), (2_100, 0));
}

#[test]
fn a_cut_is_felt_by_those_that_were_meant_for_it_and_healed_for_the_rest() {
    let changes = "[link]\ndelay = \"1ms\"\n[[change]]\nat = \"1s\"\nlink = { cut = true }\n\
                   [[change]]\nat = \"2s\"\nlink = { cut = false }\n";
    let repeat = run(&format!("duration = \"4s\"\nsessions = 4\n{REQUESTS}{changes}"));
    assert_eq!((repeat.counts.lost, repeat.counts.sessions_lost), (0, 0));
    about(repeat.latency.percentile(50.0), Duration::from_millis(2));
    let longest = repeat.latency.max().unwrap();
    assert!((1_000_000_000..3_000_000_000).contains(&longest), "{longest}");
}

#[test]
fn sessions_close_and_open_again_under_churn_and_by_themselves() {
    let fault = "[link]\ndelay = \"1ms\"\n[[fault]]\nkind = \"churn\"\nrate_per_s = 50\n";
    let repeat = run(&format!("duration = \"2s\"\nsessions = 20\n{REQUESTS}{fault}"));
    assert_eq!(repeat.counts.sessions_lost, 0);
    assert!(repeat.counts.lost <= 100 && repeat.counts.arrived >= 1_900, "{:?}", repeat.counts);
    let load =
        "[load]\npattern = \"reconnect\"\narrivals = \"bursts\"\nburst = 8\nevery = \"200ms\"\n[link]\ndelay = \"1ms\"";
    let repeat = run(&format!("duration = \"1s\"\nsessions = 8\n{load}"));
    // SYN, SYN|ACK: a plain session is open when its call is answered.
    assert_eq!(repeat.latency.0, [(2_000_000, 40)]);
}

/// The time that all messages spent in the hops of one name.
fn spent(repeat: &Repeat, name: &str) -> f64 {
    repeat.hops.iter().filter(|hop| hop.name == name).map(|hop| hop.time.sum()).sum()
}

#[test]
fn hops_tell_where_the_time_of_every_pattern_went() {
    let link = "[link]\ndelay = \"1ms\"\njitter = \"exponential 200us\"";
    for (pattern, ways, messages) in
        [("request-reply", 2, 100), ("one-way", 1, 100), ("incast", 1, 300), ("fan-out", 1, 300)]
    {
        let load = format!("[load]\npattern = \"{pattern}\"\narrivals = \"fixed\"\nrate_per_s = 100\n");
        let repeat = run(&format!("duration = \"1s\"\nsessions = 3\n{load}{link}"));
        assert_eq!(repeat.hops.len(), 1 + 7 * ways, "{pattern}");
        assert!(repeat.hops.iter().all(|hop| hop.time.count() == messages), "{pattern}");
        // On virtual time nothing but the wire takes time: all of the latency is there.
        let (wire, latency) = (spent(&repeat, "wire"), repeat.latency.sum());
        assert!((wire / latency - 1.0).abs() < 1e-3, "{pattern}: {wire} of {latency}");
    }
}

#[test]
fn what_waits_to_be_sent_again_waits_in_tcp() {
    let link = "[link.there]\ndelay = \"1ms\"\nloss = \"2 %\"";
    let load = "[load]\npattern = \"one-way\"\narrivals = \"fixed\"\nrate_per_s = 500\n";
    let repeat = run(&format!("duration = \"2s\"\nsessions = 4\n{load}{link}"));
    let tcp = spent(&repeat, "tcp") + spent(&repeat, "tcp-in");
    assert!(tcp > 0.5 * (repeat.latency.sum() - spent(&repeat, "wire")), "{:?}", repeat.counts);
    about(repeat.hops[4].time.max(), Duration::from_millis(1));
}

#[test]
fn of_many_sessions_some_are_looked_at_and_the_same_at_both_ends() {
    let load = "[load]\npattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 20\n";
    let repeat = run(&format!("duration = \"100ms\"\nsessions = 9000\n{load}[link]\ndelay = \"1ms\""));
    let looked_at = repeat.hops[4].time.count() / 2;
    assert!((30..=128).contains(&looked_at), "{looked_at} of 9,000");
}

#[test]
fn more_sessions_than_a_card_has_room_for_share_several() {
    let load = "[load]\npattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 10\n";
    let repeat = run(&format!("duration = \"100ms\"\nsessions = 9000\n{load}[link]\ndelay = \"1ms\""));
    assert_eq!(repeat.latency.0, [(1_000_000, 9_000)]);
}

#[test]
fn one_seed_one_repeat_and_another_seed_another() {
    let link = "[link]\ndelay = \"1ms\"\njitter = \"exponential 1ms\"\nloss = \"1 %\"";
    let text = |seed: u64| format!("seed = {seed}\nduration = \"500ms\"\nsessions = 5\n{REQUESTS}{link}");
    assert_eq!(run(&text(1)), run(&text(1)));
    assert_ne!(run(&text(1)).latency, run(&text(2)).latency);
    let scenario = scenario(&text(1));
    let mut target = CardWire::new(&scenario.targets[0]);
    let [first, second] = [0, 1].map(|number| target.repeat(&scenario, number, &|| false).unwrap());
    assert_ne!(first.latency, second.latency, "each repeat has dice of its own");
}

#[test]
fn on_this_machine_s_clock_nothing_comes_before_its_time() {
    let text = "duration = \"50ms\"\nsessions = 4\n[load]\npattern = \"request-reply\"\narrivals = \"fixed\"\n\
                rate_per_s = 500\n[link]\ndelay = \"200us\"";
    let scenario = Scenario { clock: ClockKind::Real, ..scenario(text) };
    let repeat = CardWire::new(&scenario.targets[0]).repeat(&scenario, 0, &|| false).unwrap();
    assert_eq!((repeat.counts.intended, repeat.counts.lost), (25, 0));
    let excess = repeat.excess.unwrap();
    assert_eq!((excess.applied.0.as_slice(), excess.below.count()), (&[(200_000, 50)][..], 0));
    assert_eq!(excess.late.count(), 50);
    assert!(excess.late.percentile(50.0) <= excess.above.percentile(50.0), "the wire is a part of the way");
    assert_eq!(repeat.hops[4].time.count(), 25);
    let noise = repeat.noise.unwrap();
    assert!(noise.gaps.count() > 1_000 && noise.spun_ns < 2_000_000_000, "{}", noise.gaps.count());
    assert!(repeat.latency.0.first().unwrap().0 >= 400_000);
}
