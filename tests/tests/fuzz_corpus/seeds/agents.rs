//! Seeds of what measurements over several hosts read.

use std::net::SocketAddr;

use hpb_lab::agent::clock::{AgentClock, Exchange, Line};
use hpb_lab::agent::parts::cut;
use hpb_lab::agent::words::{AgentFacts, Order, SentTold, Told, WORDS};
use hpb_lab::record::{Buckets, Counts, Repeat, Series, Step};

use super::{Seeds, named};

/// Streams of a server's, behind the places to cut at; and servers' places.
pub(super) fn nats() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 10] = [
        b"INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true}\r\nPING\r\n+OK\r\n\
          MSG a.b 1 5\r\nhello\r\nmsg a.b 2 re.ply 0\r\n\r\nPONG\r\n-ERR 'Authorization Violation'\r\n",
        b"INFO {\"max_payload\":1024,\"tls_required\":true,\"auth_required\":true}\r\nMSG hpb.lab.default.agents 1 3\n{}\n\r\n",
        b"MSG a 1 8388609\r\n",
        b"MSG a 1 5\r\nhelloPING\r\n",
        b"HMSG a 1 5 9\r\n",
        b"INFO [1]\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"nats://me:secret@[fd00::1]:4222",
        b"nats://token@host",
        b"10.0.0.1:4222/",
    ];
    streams.iter().map(|stream| [&[2, 3, 0][..], stream].concat()).collect()
}

fn line() -> Line {
    let (reference_ns, offset_ns, drift_ppb) = (5_000_000_000, -40_000_120, 50_012.5);
    Line { reference_ns, offset_ns, drift_ppb, error_ns: 23_000, exchanges: 300, round_trip_ns: 41_000 }
}

fn repeat() -> Repeat {
    let step = Step { expected: 4, arrived: 3, p50_ns: 50_000, p99_ns: 90_000, max_ns: 90_000, bands: vec![(62, 3)] };
    Repeat {
        measured_ns: 2_000_000,
        latency: Buckets(vec![(50_000, 2), (90_000, 1)]),
        service: Buckets(vec![(40_000, 3)]),
        counts: Counts { intended: 4, sent: 4, expected: 4, arrived: 3, lost: 1, ..Counts::default() },
        series: Series { step_ns: 1_000_000, steps: vec![step, Step::default()] },
        ..Repeat::default()
    }
}

pub(super) fn agents() -> Seeds {
    let json = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let order = |order: Order| json(0, serde_json::to_vec(&order).unwrap());
    let told = |told: Told| json(1, serde_json::to_vec(&told).unwrap());
    let (job, conductor) = (1, "5e1f".to_owned());
    let scenario = "name = \"far\"\nclock = \"real\"\nduration = \"1s\"\nrepeats = 1\nsessions = 2\n[load]\n\
                    pattern = \"one-way\"\narrivals = \"fixed\"\nrate_per_s = 50\n[[target]]\nname = \"kernel\"\n\
                    kind = \"kernel-epoll\"\n"
        .to_owned();
    let place = |port: u16| SocketAddr::from(([10, 0, 0, 1], port));
    let facts = AgentFacts {
        name: "north".to_owned(),
        instance: "a1".to_owned(),
        version: "0.1.0".to_owned(),
        words: WORDS,
        host: "north.example".to_owned(),
        address: [10, 0, 0, 2].into(),
        machine: "2 x Xeon, Linux 6.8.0".to_owned(),
        discipline: "none that is known".to_owned(),
        planted: AgentClock { offset_ns: -40_000_000, drift_ppb: 50_000, since_ns: 7 },
    };
    let sent = SentTold { job, line: line(), host_line: line(), begin_ns: 6_000_000_000, repeat: repeat() };
    let parts = cut("a1", 9, &[b'x'; 90], 250).concat();
    let exchange = |at: i64| [at, at + 7_000, at + 7_500, at + 20_000].map(i64::to_le_bytes).concat();
    named([
        ("order-call", order(Order::Call { conductor: conductor.clone() })),
        (
            "order-serve",
            order(Order::Serve { job, conductor: conductor.clone(), scenario: scenario.clone(), clients: 2 }),
        ),
        (
            "order-send",
            order(Order::Send {
                job,
                conductor,
                scenario,
                number: 0,
                client: 1,
                server: place(7_000),
                exchanges: place(7_001),
            }),
        ),
        ("order-start", order(Order::Start { job, at_server_ns: 5_500_000_000 })),
        ("order-judge", order(Order::Judge { job, clients: vec![(line(), 6_000_000_000)] })),
        ("order-end", order(Order::End { job, is_last: true })),
        ("told-here", told(Told::Here(facts))),
        ("told-serving", told(Told::Serving { job, port: 7_000, exchanges: 7_001 })),
        ("told-ready", told(Told::Ready { job, line: line(), server_ns: 5_000_000_000 })),
        ("told-sent", told(Told::Sent(Box::new(sent)))),
        ("told-judged", told(Told::Judged { job, repeats: vec![repeat(), repeat()], cpu_ns: 70_000 })),
        ("told-failed", told(Told::Failed { job, reason: "no cable".to_owned() })),
        ("parts", [&[2, parts.len() as u8][..], &parts].concat()),
        ("answer", [vec![3], Exchange::answer(Exchange::question(1, 1_000_000), 5, 6).to_vec()].concat()),
        ("numbers", json(4, (0..64u64).flat_map(|number| (number * 1_000).to_le_bytes()).collect())),
        ("exchanges", json(3, (0..24).flat_map(|number| exchange(1_000_000 * number)).collect())),
    ])
}
