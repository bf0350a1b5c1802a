//! What the fuzzers run: one function for each decoder of foreign bytes. `cargo fuzz` calls them with what it invents
//! (`tests/fuzz/`), and `make test` with the corpora and seeded mutations of them (`tests/tests/fuzz_corpus/`).
//!
//! Each takes any bytes, and panics only where an invariant of the decoder is broken: positions in bounds, what is
//! decoded encodes to the same bytes, cutting a stream elsewhere changes nothing, no frame is lost, nothing is believed
//! that nobody said. Machines run on virtual time, so an input does the same every time.
//!
//! A new decoder gets a function here, a row in [`TARGETS`], a wrapper of three lines in `tests/fuzz/fuzz_targets/` with
//! its `[[bin]]`, and seeds; a test asks for all of them.
#![allow(clippy::unwrap_used, reason = "a fuzz target reports by panicking")]

mod agents;
mod capture;
mod chain;
mod input;
mod lane;
mod log;
mod neighbor;
mod packet;
mod pool;
mod ports;
mod proof;
mod secure;
mod segment;
mod store;
mod stream;
mod workload;

pub use agents::{agents, nats};
pub use capture::{capture, tape};
pub use chain::{codec, message, name, signature, state, vrf};
pub use lane::{LaneRun, lane_ethernet, lane_ip, run_lane};
pub use log::chainlog;
pub use neighbor::{answer_ip, neighbor, run_neighbor};
pub use packet::{TcpPacket, ethernet, repair};
pub use ports::{offload, url};
pub use proof::{honest_proof, merkle, proof};
pub use secure::{Eavesdropped, run_secure, secure};
pub use segment::segment;
pub use store::{archive, pages, snapshot};
pub use stream::{framing, http};
pub use workload::workload;

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its wrapper and of its corpus' folder.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Mutations of its corpus that `make test` runs: a second or two of them.
    pub mutations: u32,
}

/// Every target.
pub const TARGETS: [Target; 27] = [
    Target { name: "agents", run: agents, mutations: 2_000 },
    Target { name: "answer_ip", run: answer_ip, mutations: 4_000 },
    Target { name: "archive", run: archive, mutations: 4_000 },
    Target { name: "capture", run: capture, mutations: 4_000 },
    Target { name: "chainlog", run: chainlog, mutations: 2_000 },
    Target { name: "codec", run: codec, mutations: 4_000 },
    Target { name: "framing", run: framing, mutations: 4_000 },
    Target { name: "http", run: http, mutations: 500 },
    Target { name: "lane_ethernet", run: lane_ethernet, mutations: 500 },
    Target { name: "lane_ip", run: lane_ip, mutations: 500 },
    Target { name: "merkle", run: merkle, mutations: 2_000 },
    Target { name: "message", run: message, mutations: 4_000 },
    Target { name: "name", run: name, mutations: 4_000 },
    Target { name: "nats", run: nats, mutations: 4_000 },
    Target { name: "neighbor", run: neighbor, mutations: 2_000 },
    Target { name: "offload", run: offload, mutations: 4_000 },
    Target { name: "pages", run: pages, mutations: 4_000 },
    Target { name: "proof", run: proof, mutations: 2_000 },
    Target { name: "secure", run: secure, mutations: 200 },
    Target { name: "segment", run: segment, mutations: 4_000 },
    Target { name: "signature", run: signature, mutations: 500 },
    Target { name: "snapshot", run: snapshot, mutations: 4_000 },
    Target { name: "state", run: state, mutations: 4_000 },
    Target { name: "tape", run: tape, mutations: 500 },
    Target { name: "url", run: url, mutations: 4_000 },
    Target { name: "vrf", run: vrf, mutations: 500 },
    Target { name: "workload", run: workload, mutations: 4_000 },
];
