//! A run that never was, for the tests of the reports.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use hpb_base::{Duration, Instant, Random};
use hpb_types::{AccountName, Epoch, Slot};

use super::{
    Blocks, Broadcast, Charts, EpochRow, Fdatasync, Level, Liar, Measurements, Report, Run, Sessions, Supply,
    Transactions, WorkloadFacts,
};
use crate::producers::{EpochTurns, Offence, Turn};

const SECONDS: u64 = 30;
const RATE_TPS: u64 = 1_000;

/// Thirty seconds at a thousand transactions a second, with a stall of 80 ms in the middle.
pub(super) fn run() -> (Report, Charts) {
    let mut random = Random::new(11);
    let mut measurements = Measurements::new(Instant::ZERO);
    for sequence in 0..SECONDS * RATE_TPS {
        let intended = Instant::from_micros(sequence * 1_000_000 / RATE_TPS);
        measurements.submitted(intended);
        let stall =
            if (17_000..17_080).contains(&(sequence % 30_000)) { 80_000 - (sequence - 17_000) * 1_000 } else { 0 };
        // A tail: the product of two draws reaches far now and then.
        let mut spread = |us: u64| us * (1 + random.below(1_000) * random.below(1_000) / 60_000) / 8 + random.below(us);
        let received = 900 + spread(700) + stall;
        let included = received + 4_000 + spread(42_000);
        let confirmed = included + 22_000 + spread(18_000);
        let justified = confirmed + 48_000 + spread(12_000);
        let told_final = justified + 50_000 + spread(14_000);
        let reached = [received, included, confirmed, justified, told_final];
        for (level, us) in Level::ALL.into_iter().zip(reached) {
            measurements.told(level, intended, intended + Duration::from_micros(us));
        }
    }
    let submitted = SECONDS * RATE_TPS;
    let report = Report {
        run: facts(),
        sessions: Sessions {
            target: 10_000,
            established: 10_000,
            lost: 0,
            reconnected: 0,
            establish_ms: 8_214,
            bytes_per_session: 9_848,
        },
        transactions: Transactions {
            submitted,
            accepted: submitted - 3,
            rejected: 3,
            finals: submitted - 3,
            expired: 0,
            retracted: 0,
            rows_skipped: 32,
        },
        verified: vec![29_997, 29_998, 29_999, 30_000],
        executed: vec![29_991, 29_992, 29_993, 29_994],
        latency_us: measurements.latencies(),
        broadcast_us: Broadcast { first: 61, last: 19_402 },
        blocks: Blocks { produced: 13, skipped: 1, final_height: 14, final_index: 57, unfinal_slots_max: 1 },
        rate_tps: 999.9,
        cpu_seconds: 58.31,
        rss_bytes: 231_735_296,
        fdatasync_us: Fdatasync { p50: 71, p99: 158 },
        digest_interval_ms: 50,
        liars: vec![Liar {
            producer: "validator-3".to_owned(),
            scripted: true,
            offences: vec![Offence {
                fault: "two slices".to_owned(),
                slot: Some(12),
                index: Some(3),
                reported_by: Some("validator-0".to_owned()),
                epoch: 1,
                cut: 5_000 * 10u128.pow(18),
                evidence: "b3".repeat(32),
            }],
            out_from_epoch: Some(3),
            too_few_left: false,
        }],
        supply: Supply { genesis: 100_000_000 * 10u128.pow(18), now: 100_000_000 * 10u128.pow(18) },
        epochs: turns().iter().map(EpochRow::new).collect(),
        ..Report::default()
    };
    (report, Charts { turns: turns(), ..measurements.charts() })
}

/// Two epochs of seven slots: slot 6 was skipped, and a slice of slot 9 was lost.
fn turns() -> Vec<EpochTurns> {
    let name = |index| AccountName::new(&format!("validator-{index}")).unwrap();
    let epoch = |number: u64, order: [usize; 4]| {
        let slots = (1 + 7 * number..8 + 7 * number).map(|slot| {
            let producer = name(order[(slot % 4) as usize]);
            let finals = if slot == 6 { 0 } else { 60 };
            let senders = if finals == 0 { Vec::new() } else { vec![producer] };
            Turn { slot: Slot(slot), producer, finals, lost: u32::from(slot == 9), senders }
        });
        let slots = slots.collect();
        EpochTurns { epoch: Epoch(number), schedule: Epoch(number), order: order.map(name).to_vec(), slots }
    };
    vec![epoch(0, [0, 1, 2, 3]), epoch(1, [2, 0, 3, 1])]
}

fn facts() -> Run {
    let arguments = [
        ("validators", "4"),
        ("sessions", "10000"),
        ("rate", "1000"),
        ("seconds", "30"),
        ("slot-ms", "3000"),
        ("slice-ms", "50"),
        ("workload", "transfers <mainnet> & more.csv"),
        ("seed", "7"),
    ];
    Run {
        version: "0.1.0".to_owned(),
        arguments: arguments.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        seed: 7,
        virtual_time: false,
        trace_hash: None,
        started_unix_ms: Some(1_767_225_600_000),
        seconds: 44.72,
        cores: 2,
        cpu: "Sapphire Rapids".to_owned(),
        kernel: "Linux 6.18".to_owned(),
        runtime: "glommio, 2 executors".to_owned(),
        confirm_k: 2,
        handshakes: 20_012,
        handshake_dhs: 80_048,
        shed: 0,
        rejections: BTreeMap::from([("duplicate".to_owned(), 2), ("overdrawn".to_owned(), 1)]),
        workload: WorkloadFacts {
            origin: "transfers.csv".to_owned(),
            transfers: 21_674,
            accounts: 23_943,
            senders: 15_343,
            passes: 2,
        },
        notes: vec!["every terminal is sent one digest a slice".to_owned()],
    }
}
