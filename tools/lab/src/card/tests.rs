#![allow(clippy::unwrap_used)]

use hpb_base::Duration;

use super::*;
use crate::scenario::file::parse;

/// A scenario on virtual time, plain, of one repeat; `rest` is the rest of its file.
fn scenario(rest: &str) -> Scenario {
    let text = format!(
        "name = \"test\"\nclock = \"virtual\"\nwarm_up = \"100ms\"\ndrain = \"2s\"\nrepeats = 1\n{rest}\n\
         [[target]]\nname = \"card\"\nkind = \"card\"\nencrypted = false\n"
    );
    parse(&text).unwrap()
}

fn run(rest: &str) -> Repeat {
    let scenario = scenario(rest);
    CardWire::new(&scenario.targets[0]).repeat(&scenario, 0).unwrap()
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
    assert_eq!((excess.above.max(), excess.below.count()), (Some(1), 0), "nothing beyond the wire");
}
