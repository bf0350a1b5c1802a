//! Verbs of `hpb peer` that look at a peer from the outside, by its address.

use std::path::PathBuf;

use clap::Args;
use hpb_peer::probe::{bandwidth, clock, ping, trace};
use hpb_types::{Hash, PublicKey};

use crate::command_line::values::{hash, public_key};

/// Who is called, how its session is opened, and how the result is shown.
#[derive(Args, Debug)]
pub(crate) struct Called {
    /// Where it listens; a host name is resolved
    #[arg(value_name = "ADDRESS:PORT", required_unless_present = "data")]
    pub(crate) address: Option<String>,

    /// The peer's key: with it, and the chain, a session is opened; without it TCP alone is looked at
    #[arg(long, value_name = "KEY", value_parser = public_key, requires = "of_chain")]
    pub(crate) peer: Option<PublicKey>,

    /// The genesis of the peer's chain: a TOML file, or the one in a devnet's folder
    #[arg(long, value_name = "FILE", group = "of_chain")]
    pub(crate) genesis: Option<PathBuf>,

    /// The id of the peer's chain, in place of its genesis
    #[arg(long, value_name = "ID", value_parser = hash, group = "of_chain")]
    pub(crate) chain: Option<Hash>,

    /// Call with the key of this file; a new one is drawn if none is named
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// The data folder of a devnet that runs with --reach: address, key and chain are read there
    #[arg(long, value_name = "DIR", group = "of_chain")]
    pub(crate) data: Option<PathBuf>,

    /// Which of its validators
    #[arg(long, value_name = "N", default_value_t = 0, requires = "data")]
    pub(crate) validator: usize,

    /// Where it takes terminals, not where it takes validators
    #[arg(long, requires = "data")]
    pub(crate) terminals: bool,

    /// How long each answer is waited for, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub(crate) patience_ms: u64,

    /// Do it again and again, so many seconds apart, until Ctrl-C
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) watch: Option<u64>,

    /// Print JSON instead of text, a line a round
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hpb peer ping`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hpb peer ping example.org:443\n  hpb peer ping --data chain --count 100 --flood")]
pub(crate) struct PeerPing {
    #[command(flatten)]
    pub(crate) called: Called,

    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(ping::COUNT_MAX)))]
    pub(crate) count: u32,

    /// From one round to the next, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub(crate) interval_ms: u64,

    /// Each round as soon as the last is done
    #[arg(long, conflicts_with = "interval_ms")]
    pub(crate) flood: bool,

    /// By connections, though a session could be opened
    #[arg(long)]
    pub(crate) tcp: bool,
}

/// Options of `hpb peer handshake`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer handshake 10.0.0.1:30303 --peer KEY --genesis genesis.toml")]
pub(crate) struct PeerHandshake {
    #[command(flatten)]
    pub(crate) called: Called,
}

/// Options of `hpb peer trace`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer trace example.org:443")]
pub(crate) struct PeerTrace {
    #[command(flatten)]
    pub(crate) called: Called,

    /// The farthest hop
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..=i64::from(trace::HOPS_MAX)))]
    pub(crate) hops: u8,
}

/// Options of `hpb peer info`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer info --data chain --validator 2")]
pub(crate) struct PeerInfo {
    #[command(flatten)]
    pub(crate) called: Called,
}

/// Options of `hpb peer path-mtu`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer path-mtu example.org:443")]
pub(crate) struct PeerPathMtu {
    #[command(flatten)]
    pub(crate) called: Called,
}

/// Options of `hpb peer bandwidth`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer bandwidth --data chain --seconds 5")]
pub(crate) struct PeerBandwidth {
    #[command(flatten)]
    pub(crate) called: Called,

    /// How long each direction is measured
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=bandwidth::SECONDS_MAX))]
    pub(crate) seconds: u64,
}

/// Options of `hpb peer clock`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer clock --data chain --count 20 --interval-ms 500")]
pub(crate) struct PeerClock {
    #[command(flatten)]
    pub(crate) called: Called,

    /// Answers
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(clock::COUNT_MAX)))]
    pub(crate) count: u32,

    /// From one answer to the next, in milliseconds; drift shows from two seconds on
    #[arg(long, value_name = "MS", default_value_t = 250)]
    pub(crate) interval_ms: u64,
}

/// Options of `hpb peer doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hpb peer doctor --data chain --validator 2\n  hpb peer doctor 10.0.0.1:30303 --peer KEY --chain ID"
)]
pub(crate) struct PeerDoctor {
    #[command(flatten)]
    pub(crate) called: Called,
}
