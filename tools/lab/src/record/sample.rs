//! A run that never was, for tests: a kernel's target and a card's, five repeats each, with everything a record can hold.

#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures of a test")]

use std::sync::LazyLock;

use hpb_base::{Duration, Instant, random::Random};

use super::{
    AgentRecord, Buckets, ClockFound, Cost, Counts, Excess, Hop, LimitRecord, Machine, Mark, Noise, Record, Repeat,
    SCHEMA,
};
use super::{ScenarioRecord, TargetRecord};
use crate::measure::{Distribution, Recorder};
use crate::stats::comparisons;

const REPEATS: u64 = 5;
const MESSAGES: u64 = 12_000;
const MEASURED: Duration = Duration::from_secs(10);
const HOPS: [&str; 5] = ["application", "encryption", "tcp", "port", "wire"];

/// One target's ways: medians of hops in nanoseconds, and how far all of it spreads.
struct Ways {
    name: &'static str,
    about: &'static str,
    hop_ns: [f64; 5],
    spread: f64,
    cpu_ns: u64,
}

const KERNEL: Ways = Ways {
    name: "kernel",
    about: "the kernel's TCP over a virtual cable, readiness by epoll",
    hop_ns: [1_800.0, 900.0, 7_200.0, 3_100.0, 1_400.0],
    spread: 0.32,
    cpu_ns: 9_400,
};
const CARD: Ways = Ways {
    name: "card",
    about: "the card on a packet port over a virtual cable",
    hop_ns: [700.0, 850.0, 1_300.0, 3_300.0, 1_400.0],
    spread: 0.22,
    cpu_ns: 5_200,
};

static RECORD: LazyLock<Record> = LazyLock::new(run);

/// The run.
pub(crate) fn record() -> Record {
    RECORD.clone()
}

fn run() -> Record {
    let targets: Vec<TargetRecord> = [&KERNEL, &CARD].into_iter().map(target).collect();
    let limit = |target: &str, found, holds| LimitRecord {
        text: "p99_us < 1000".to_owned(),
        target: target.to_owned(),
        found,
        holds,
    };
    Record {
        schema: SCHEMA,
        version: "0.1.0".to_owned(),
        scenario: ScenarioRecord {
            name: "wan-loss".to_owned(),
            about: "Questions and answers over a cable that turns long and lossy for three seconds.".to_owned(),
            seed: 7,
            is_virtual: false,
            text: "name = \"wan-loss\"\nclock = \"real\"\nseed = 7\nassert = [\"p99_us < 1000\"]\n".to_owned(),
            marks: vec![
                Mark { at_ns: 4_000_000_000, label: "200 µs more, 1 % lost".to_owned() },
                Mark { at_ns: 7_000_000_000, label: "as before".to_owned() },
            ],
        },
        began_unix_ms: 1_790_000_000_000,
        machine: Some(Machine {
            processor: "Xeon of some kind".to_owned(),
            processors: 2,
            kernel: "6.8.0".to_owned(),
            clock_source: "kvm-clock".to_owned(),
            governor: "performance".to_owned(),
            hypervisor: "kvm".to_owned(),
            isolated: "1".to_owned(),
            congestion_control: "cubic".to_owned(),
        }),
        noise: Some(noise(1_000)),
        comparisons: comparisons(&targets),
        limits: vec![limit("kernel", 1_420.0, false), limit("card", 310.5, true)],
        agents: vec![agent("north", "server", Vec::new()), agent("south", "client", vec![clock(0), clock(1)])],
        targets,
        notes: vec!["Two processors: sender and receiver share them with everything else.".to_owned()],
    }
}

fn agent(name: &str, role: &str, clocks: Vec<ClockFound>) -> AgentRecord {
    AgentRecord {
        name: name.to_owned(),
        role: role.to_owned(),
        host: format!("{name}.example (10.0.0.9)"),
        machine: "2 x Xeon of some kind, Linux 6.8.0".to_owned(),
        discipline: "none that is known (no chrony, no PTP clock)".to_owned(),
        planted_offset_ns: -40_000_000,
        planted_drift_ppb: 50_000,
        clocks,
    }
}

fn clock(repeat: i64) -> ClockFound {
    let offset_ns = -40_000_120 + 250_000 * repeat;
    ClockFound { offset_ns, drift_ppb: 50_012, error_ns: 23_000, exchanges: 300, round_trip_ns: 41_000 }
}

/// The smallest run: virtual time, one target, one repeat, nothing that need not be there.
pub(crate) fn small() -> Record {
    let mut record = record();
    record.targets.truncate(1);
    record.targets[0].clock_error_ns = None;
    record.agents.clear();
    record.targets[0].repeats.truncate(1);
    let repeat = &mut record.targets[0].repeats[0];
    (repeat.hops, repeat.excess, repeat.noise, repeat.cost) = (Vec::new(), None, None, Cost::default());
    record.scenario = ScenarioRecord { is_virtual: true, marks: Vec::new(), ..record.scenario };
    (record.machine, record.noise, record.began_unix_ms) = (None, None, 0);
    (record.comparisons, record.limits, record.notes) = (Vec::new(), Vec::new(), Vec::new());
    record
}

fn target(ways: &Ways) -> TargetRecord {
    let repeats = (0..REPEATS).map(|number| repeat(ways, number)).collect();
    TargetRecord { name: ways.name.to_owned(), about: ways.about.to_owned(), clock_error_ns: Some(23_000), repeats }
}

fn repeat(ways: &Ways, number: u64) -> Repeat {
    let mut random = Random::stream(7, number + if ways.name == "card" { 100 } else { 0 });
    let begin = Instant::from_millis(1_000 + number * 25_000);
    let mut recorder = Recorder::new(begin, MEASURED);
    let mut hops = vec![Distribution::new(); HOPS.len() * 2];
    let mut excess = [(); 4].map(|()| Distribution::new());
    let own = 1.0 + 0.03 * normal(&mut random);
    for message in 0..MESSAGES {
        let intended = begin + Duration::from_nanos(MEASURED.as_nanos() / MESSAGES * message);
        recorder.expects(intended, 1);
        let far = (4_000..7_000).contains(&(intended.since(begin).as_nanos() / 1_000_000));
        if far && random.chance(10_000) {
            continue;
        }
        let mut total = 0.0;
        for (hop, time) in hops.iter_mut().enumerate() {
            let taken = ways.hop_ns[hop % HOPS.len()] * own * (ways.spread * normal(&mut random)).exp();
            time.take(Duration::from_nanos(taken as u64));
            total += taken;
        }
        let stalled = if random.chance(1_500) { 90_000.0 * (0.8 * normal(&mut random)).exp() } else { 0.0 };
        let applied = if far { 200_000.0 + 4_000.0 * normal(&mut random).abs() } else { 0.0 };
        for (distribution, value) in excess.iter_mut().zip([applied, total + stalled, 0.0, stalled / 20.0 + 120.0]) {
            if value > 0.0 {
                distribution.take(Duration::from_nanos(value as u64));
            }
        }
        let sent = intended + Duration::from_nanos(stalled as u64);
        recorder.arrived(intended, sent, sent + Duration::from_nanos((total + applied) as u64));
    }
    recorder.counts = Counts {
        intended: MESSAGES,
        sent: MESSAGES,
        duplicated: number,
        out_of_order: 3 * number,
        retransmitted: if ways.name == "card" { 0 } else { 31 + number },
        frames_lost: 35,
        ..recorder.counts
    };
    let arrived = recorder.counts.arrived;
    let [applied, above, below, late] = excess.map(|distribution| distribution.buckets());
    Repeat {
        hops: HOPS
            .iter()
            .cycle()
            .zip(hops)
            .enumerate()
            .map(|(place, (name, time))| Hop {
                name: (*name).to_owned(),
                is_back: place >= HOPS.len(),
                time: time.buckets(),
            })
            .collect(),
        excess: Some(Excess { applied, above, below, late }),
        cost: Cost { cpu_ns: arrived * (ways.cpu_ns + 40 * number), stamp_ns: 24, stamps: arrived * 10 },
        noise: Some(noise(10_000)),
        ..recorder.finish(Instant::ZERO)
    }
}

fn noise(spun_ms: u64) -> Noise {
    let count = spun_ms * 1_000_000 / 30;
    let gaps =
        vec![(29, count), (61, count / 50), (2_100, spun_ms / 2), (18_000, spun_ms / 20), (260_000, spun_ms / 400)];
    Noise { spun_ns: spun_ms * 1_000_000, gaps: Buckets(gaps), stolen_ms: spun_ms / 500, clock_read_ns: 22 }
}

/// A value of the standard normal distribution, nearly: twelve even ones less their mean.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.below(1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
}
