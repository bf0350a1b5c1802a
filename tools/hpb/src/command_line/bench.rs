//! Options of `hpb bench`.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use hpb_bench::{accounts, churn, flood, ledger, loss, reconnect, sessions, sync};

use super::values::up_to;

#[derive(Subcommand, Debug)]
pub(crate) enum Bench {
    /// Echo and broadcast over many sessions: the card against the kernel, one thread each, in one run
    Sessions(Sessions),
    /// Echoes of some sessions while all others close and reconnect with full handshakes
    Reconnect(Reconnect),
    /// Sessions that open and end in every way, on virtual time: whether memory, flows, timers or frames grow
    Churn(Churn),
    /// A node without the chain that catches up with it from one peer, two and four, on virtual time
    Sync(Sync),
    /// Transfers executed and committed, serially and on two workers, with signatures and without, beside LMDB and revm
    Ledger(Ledger),
    /// The ledger at several numbers of accounts: lookups, transfers, commits, a walk over a snapshot, disk, memory
    ///
    /// Each state is filled, measured and removed again; one of ten million accounts takes some gigabytes of disk and
    /// some minutes. Ctrl-C ends the run without figures.
    #[command(after_help = "Examples:\n  hpb bench accounts\n  hpb bench accounts --counts 10000,1000000 --repeats 1 \
                            --folder /var/tmp --json")]
    Accounts(Accounts),
    /// Every port that this machine can open, bare and under the card, beside the kernel's TCP over the same cables
    ///
    /// Cables lie in network namespaces of the run's own: root, or a host that gives ordinary users namespaces.
    Ports(Ports),
    /// The card as a sender beside the kernel's CUBIC and BBR, over a wire that delays and loses frames
    ///
    /// Goodput of one session, latency of messages over several. The wire lies between network namespaces of the run's
    /// own: root, or a host that gives ordinary users namespaces.
    Loss(Loss),
    /// Echoes of some sessions, and the opening of others, while hping3 floods the card with SYNs
    ///
    /// Beside it the same with the flood dropped by XDP before the card. Clients, flood and card lie in network
    /// namespaces of the run's own; it needs root, hping3, ethtool and two cores.
    Flood(Flood),
}

/// Where figures go, the same for every bench.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Output {
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Write or replace the run's section in this page as well, as in BENCHMARKS.md
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Sessions {
    /// Sessions of each target; lowered for all where a kernel target finds too few descriptors
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = up_to(sessions::SESSIONS_MAX))]
    pub(crate) count: usize,

    /// Targets to measure: card, card-encrypted, kernel-epoll, kernel-uring, kernel-uring-encrypted
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = sessions::name)]
    pub(crate) targets: Vec<&'static str>,

    /// How often each target is set up and measured; the medians are printed
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = up_to(100))]
    pub(crate) repeats: usize,

    /// Measure the card at each of these numbers of sessions instead, and what a round trip costs relative to 10,000
    #[arg(
        long,
        value_name = "N,N,N",
        value_delimiter = ',',
        value_parser = up_to(sessions::SESSIONS_MAX),
        conflicts_with_all = ["count", "congestion_control", "without_cross_check"]
    )]
    pub(crate) scale: Vec<usize>,

    /// Congestion control of kernel sockets: cubic, reno, bbr [default: the cheapest that may be chosen]
    #[arg(long, value_name = "NAME")]
    pub(crate) congestion_control: Option<String>,

    /// Do not compare kernel-epoll with sockperf
    #[arg(long)]
    pub(crate) without_cross_check: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Ports {
    /// Which: wire, packet, tap, xdp, ring (bare); kernel, card-packet, card-tap, card-xdp, kernel-no-offload (TCP)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) targets: Vec<String>,

    /// How often each is set up and measured; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = up_to(100))]
    pub(crate) repeats: usize,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Loss {
    /// Which senders: kernel-cubic, kernel-bbr, card
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) targets: Vec<String>,

    /// Frames of a million that the wire loses each way
    #[arg(
        long,
        value_name = "PPM,PPM",
        value_delimiter = ',',
        default_values_t = loss::LOSSES_PPM,
        value_parser = RangedU64ValueParser::<u32>::new().range(0..=500_000)
    )]
    pub(crate) losses: Vec<u32>,

    /// Milliseconds that a frame takes each way
    #[arg(
        long,
        value_name = "MS,MS",
        value_delimiter = ',',
        default_values_t = loss::DELAYS_MS,
        value_parser = RangedU64ValueParser::<u64>::new().range(0..=1_000)
    )]
    pub(crate) delays: Vec<u64>,

    /// How long each measurement takes: of each sender, loss and delay there are two
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = RangedU64ValueParser::<u64>::new().range(1..=600))]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Flood {
    /// Sessions that echo, and as many that open in each phase
    #[arg(long, value_name = "N", default_value_t = flood::Options::DEFAULT.sessions, value_parser = up_to(flood::SESSIONS_MAX))]
    pub(crate) sessions: usize,

    /// How long each of the four phases is
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=600))]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Reconnect {
    /// All sessions
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = up_to(2 * reconnect::SESSIONS_OF_A_KIND_MAX))]
    pub(crate) sessions: usize,

    /// Those that stay and echo; all others reconnect
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = up_to(reconnect::SESSIONS_OF_A_KIND_MAX))]
    pub(crate) quiet: usize,

    /// How long the quiet sessions echo alone; the storm lasts until everyone is back
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=600))]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Sync {
    /// Slots of the chain
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = RangedU64ValueParser::<u64>::new().range(20..=sync::SLOTS_MAX)
    )]
    pub(crate) slots: u64,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Ledger {
    /// Transfers of each way, rounded up to whole slices of 1,024
    #[arg(
        long,
        value_name = "N",
        default_value_t = 131_072,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=ledger::TRANSFERS_MAX)
    )]
    pub(crate) transfers: u64,

    /// Transfers of a real chain: columns block, index, from, to, `value_wei`, `gas_limit`, `input_bytes` [default: uniform ones alone]
    #[arg(long, value_name = "FILE")]
    pub(crate) mainnet: Option<PathBuf>,

    /// The program that executes the same transfers in revm, one run a repeat: `make bench` builds it at
    /// tools/bench/peers/revm/target/release/hpb-peer-revm [default: without revm]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) revm: Option<PathBuf>,

    /// How often everything is measured; the medians are printed
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = up_to(100))]
    pub(crate) repeats: usize,

    /// Where stores are made and removed again: commits are measured on its disk. A run that is interrupted leaves a folder
    /// hpb-bench-ledger-* there
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,

    /// Keep an index of history in every store, as a node does unless it is told not to
    #[arg(long)]
    pub(crate) index: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Accounts {
    /// Accounts of each state; figures are compared with the first's
    #[arg(
        long,
        value_name = "N,N,N",
        value_delimiter = ',',
        default_values_t = accounts::COUNTS,
        value_parser = RangedU64ValueParser::<u64>::new().range(accounts::ACCOUNTS_MIN..=accounts::ACCOUNTS_MAX)
    )]
    pub(crate) counts: Vec<u64>,

    /// Transfers of each way, rounded up to whole slices of 1,024
    #[arg(
        long,
        value_name = "N",
        default_value_t = 131_072,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=accounts::TRANSFERS_MAX)
    )]
    pub(crate) transfers: u64,

    /// How often lookups and transfers are measured; the medians are printed
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = up_to(100))]
    pub(crate) repeats: usize,

    /// Where states are made and removed again: commits are measured on its disk. A run that is killed leaves a folder
    /// hpb-bench-accounts-* there
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Churn {
    /// Sessions to open and close; growth is judged from some 800,000 on
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=churn::CYCLES_MAX)
    )]
    pub(crate) cycles: u64,

    /// Encrypt the sessions that exchange messages: a handshake each, and a run many times as long
    #[arg(long)]
    pub(crate) encrypted: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}
