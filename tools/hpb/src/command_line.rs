//! The verbs and their options. It refuses what contradicts itself before anything is begun.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use hpb_bench::{churn, flood, loss, reconnect, sessions, sync};
use hpb_devnet::plan::EngineKind;
use hpb_devnet::run::Network;
use hpb_devnet::terminals::Pace;
use hpb_net::PortUrl;
use hpb_sim::scenario::Scenario;
use hpb_toe::registers::Register;
use hpb_tune::cores::Cores;
use hpb_tune::item;
use hpb_tune::journal::STATE_PATH;
use hpb_tune::plan::{HUGEPAGES_MIB, HUGEPAGES_MIB_MAX, QUEUES_MAX};
use hpb_types::{AccountName, Authorisation, PublicKey, SliceRef};

/// The highest rate that can be asked for.
const RATE_TPS_MAX: u64 = 1_000_000;

/// A validator node with a software network card.
#[derive(Parser, Debug)]
#[command(name = "hpb", version, subcommand_required = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run validators and thousands of terminals on one virtual wire, and report how soon transactions are confirmed
    ///
    /// Two roles. Validators produce in turn, one slot each, and send each other slices and confirms (critical: never
    /// shed) and users' transactions (normal: shed only for a slow peer). Every terminal is a TCP session of its own with
    /// validator 0's card, with keys and a handshake of its own; it sends signed transfers, and is sent the status of
    /// its own transactions (normal) and one digest a slice with the confirms so far (sheddable: the next one replaces
    /// it). The digest interval stretches, and is reported, where it would cost more than half a core.
    Devnet(Devnet),
    /// Run the card by itself on a device of this host, with plain services that any program can talk to
    ///
    /// While it runs, lines on standard input are orders: `counters`, `table [ROWS]`, `set REGISTER VALUE` (the mode
    /// registers of the original card, each a fault to inject), `quit`.
    Card(Card),
    /// Measure the card, and the kernel's TCP beside it
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Tell what an account of a devnet's chain holds, and who may act for it
    ///
    /// Reads the final state that one validator's data folder holds (`hpb devnet --data`). A folder that a run holds is
    /// refused: it can be read when the run has ended.
    Account {
        #[command(subcommand)]
        what: Account,
    },
    /// Tell who produces on a devnet's chain, who does not, and why
    ///
    /// Reads the final state that one validator's data folder holds (`hpb devnet --data`). A folder that a run holds is
    /// refused: it can be read when the run has ended.
    Producer {
        #[command(subcommand)]
        what: Producer,
    },
    /// Simulate whole chains on virtual time, with faults drawn from seeds, and check after every step what must hold
    ///
    /// The same seed gives the same run on every machine. A seed that fails is told with the checker that found it and
    /// the few faults that it needs, and can be run again. Ctrl-C ends the run after the seeds that are begun.
    ///
    /// With `--scenario` or `--scenarios` no faults are drawn: validators are stopped, parted or far apart as the name
    /// says, under a chain's default times (3 s slots), and each scenario is one line of figures. What its users are told
    /// is looked at too. One that does not come as expected says why, and the exit code is 1.
    Sim(Sim),
    /// Check what a validator needs of this host, apply what can be changed while it runs, and undo all of it
    Tune {
        #[command(subcommand)]
        what: Tune,
    },
}

/// Options of `hpb devnet`.
#[derive(Args, Debug)]
pub(crate) struct Devnet {
    /// Validators, each with a card, an address, a ledger and a disk folder of its own; with `--byzantine` so many more
    /// that the chain can spare those [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) validators: Option<usize>,

    /// How many of them, those with the highest numbers, lie by script: each makes two slices of one (slot, index), for
    /// one half of the others each, and is expelled for it. Fewer than a third
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) byzantine: usize,

    /// Terminals
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) sessions: u32,

    /// Transactions a second over all terminals, or `max`: the highest rate at which nothing is shed [default: 1000, or
    /// what this machine's cores carry with ease where validators are many: each of them verifies and executes all]
    #[arg(long, value_name = "TPS", value_parser = rate)]
    pub(crate) rate: Option<Pace>,

    /// How long the terminals submit; then at most two slots of drain [default: 30, two epochs if one is
    /// longer, four epochs if some lie]
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u32>,

    /// A slot's length in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    pub(crate) slot_ms: u32,

    /// The time between two slices in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) slice_ms: u32,

    /// Slots of an epoch, at whose end the producers' order changes; as many as validators, and at least 8, if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..))]
    pub(crate) epoch_slots: Option<u64>,

    /// How much longer a frame takes between two validators, one way, in milliseconds: as if they were far apart, each
    /// with its terminals beside it
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) delay_ms: u32,

    /// Who decides: `dpos`, producers elected by votes, of whom up to a third may lie; or `authority`, the same
    /// validators for ever, a majority of whom decides, for members who do not lie
    #[arg(long, value_name = "NAME", default_value = "dpos")]
    pub(crate) engine: EngineKind,

    /// Transfers to replay (CSV: `block,index,from,to,value_wei,gas_limit,input_bytes`), again and again if the run is
    /// longer; without it they are drawn from a model that was fitted to Ethereum's
    #[arg(long, value_name = "FILE")]
    pub(crate) workload: Option<PathBuf>,

    /// Where the validators keep their data, to go on from; a folder that goes with the run if none is named
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Where report.json and report.html go
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub(crate) report: PathBuf,

    /// Write the frames of validator 0's card to this file (pcap, at most 1 GiB; opens in Wireshark)
    #[arg(long, value_name = "FILE", conflicts_with = "virtual_time")]
    pub(crate) capture: Option<PathBuf>,

    /// Keys, workload and choices follow from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// What joins the cards: `wire:` in this process, `packet:` (packet sockets on virtual cables) or `tap:`, both over a
    /// bridge of the kernel's in network namespaces that go with the run (root, or a host with user namespaces)
    #[arg(
        long,
        value_name = "SCHEME",
        default_value = "wire:",
        conflicts_with = "virtual_time",
        hide_default_value = true
    )]
    pub(crate) port: Network,

    /// A slice that you know to be final, as `slot.index:id`, by another way than the chain's own word: no validator
    /// takes a chain without it, and none starts on a log without it
    #[arg(long, value_name = "SLICE", requires = "data", conflicts_with = "virtual_time")]
    pub(crate) checkpoint: Option<SliceRef>,

    /// Write the id of each transaction that is told final to this open descriptor, a line each
    #[arg(long, value_name = "FD", conflicts_with = "virtual_time")]
    pub(crate) final_fd: Option<i32>,

    /// Run on virtual time from the seed, and print a hash over all that the machines were told and said
    #[arg(long = "virtual")]
    pub(crate) virtual_time: bool,

    /// Print the report as JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Producer {
    /// All registered producers by rank: status, votes, bond, and what they did up to the last settled epoch
    List(ChainSource),
    /// One producer in full
    Show {
        /// Its account
        #[arg(value_name = "NAME")]
        name: String,

        #[command(flatten)]
        source: ChainSource,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Account {
    /// Its balance, permissions, roles, and to whom they are granted
    #[command(after_help = "Example:\n  hpb account show validator-0 --data chain")]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AccountName,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Why keys satisfy a permission, or do not: key by key
    #[command(after_help = "Example:\n  hpb account explain validator-0@owner --key \
                            8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c --data chain")]
    Explain {
        /// The permission; `active` if none is named
        #[arg(value_name = "NAME[@PERMISSION]", value_parser = authorisation)]
        permission: Authorisation,

        /// A key that signs, in hexadecimal digits; once for each
        #[arg(long = "key", value_name = "KEY", value_parser = public_key)]
        keys: Vec<PublicKey>,

        #[command(flatten)]
        source: ChainSource,
    },
}

/// Where a chain is read from.
#[derive(Args, Debug)]
pub(crate) struct ChainSource {
    /// The data folder of a devnet that has ended
    #[arg(long, value_name = "DIR", default_value = "report/chain")]
    pub(crate) data: PathBuf,

    /// Whose disk is read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) validator: usize,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hpb sim`.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("one_run").args(["replay", "scenario"]).multiple(true))]
#[command(group = ArgGroup::new("played").args(["scenario", "scenarios"]).multiple(true))]
pub(crate) struct Sim {
    /// The seeds, from the first to before the end
    #[arg(long, value_name = "FIRST..END", default_value = "0..1000", value_parser = seeds)]
    pub(crate) seeds: Range<u64>,

    /// Nodes of each chain; in half of the seeds some of them come to produce by election
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) nodes: usize,

    /// In every seed whole nodes, with cards over a wire, handshakes and real signatures; one seed in twenty, the last,
    /// has them anyway for at most 21 nodes
    #[arg(long)]
    pub(crate) whole_cards: bool,

    /// Run this one seed
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub(crate) replay: Option<u64>,

    /// Print what happened
    #[arg(long, requires = "one_run")]
    pub(crate) trace: bool,

    /// Put a deliberate bug in, or `all` one after the other, and run seeds from 0 on until its checker finds it
    #[cfg(feature = "canary")]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "replay"])]
    pub(crate) canary: Option<String>,

    /// Play a scenario instead: one-stopped, two-stopped, split-2-2, split-3-1 or far-apart; may be given again
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "nodes", "replay"])]
    pub(crate) scenario: Vec<Scenario>,

    /// Play all scenarios
    #[arg(long, conflicts_with_all = ["scenario", "seeds", "nodes", "replay", "trace"])]
    pub(crate) scenarios: bool,

    /// Slots of what a scenario is about, in place of its own number: how long validators are stopped or parted, or of all
    /// of far-apart
    #[arg(long, value_name = "N", requires = "played")]
    pub(crate) slots: Option<u64>,
}

/// Options of `hpb card`.
#[derive(Args, Debug)]
pub(crate) struct Card {
    /// Where its frames go: `packet:eth1`, `tap:hpb0`, `xdp:eth1?queues=2`, `dpdk:--vdev=...`
    #[arg(long, value_name = "URL", value_parser = port_url)]
    pub(crate) port: PortUrl,

    /// An address of the card's own, not one of the host's; at most one IPv4 and one IPv6 address
    #[arg(long = "address", value_name = "ADDRESS/PREFIX", value_parser = address)]
    pub(crate) addresses: Vec<(IpAddr, u8)>,

    /// Where packets for other networks go
    #[arg(long = "gateway", value_name = "ADDRESS")]
    pub(crate) gateways: Vec<IpAddr>,

    /// Lease an IPv4 address
    #[arg(long)]
    pub(crate) dhcp: bool,

    /// Tag its frames with this VLAN
    #[arg(long, value_name = "N")]
    pub(crate) vlan: Option<u16>,

    /// Send back what comes to this TCP port
    #[arg(long, value_name = "PORT")]
    pub(crate) echo: Option<u16>,

    /// Take what comes to this TCP port
    #[arg(long, value_name = "PORT")]
    pub(crate) discard: Option<u16>,

    /// Send characters without end to whoever calls this TCP port
    #[arg(long, value_name = "PORT")]
    pub(crate) chargen: Option<u16>,

    /// Answer HTTP at this TCP port with a page
    #[arg(long, value_name = "PORT")]
    pub(crate) http: Option<u16>,

    /// The page; without it a line of text
    #[arg(long, value_name = "FILE", requires = "http")]
    pub(crate) page: Option<PathBuf>,

    /// Open sessions to this echo server, and check every byte that comes back
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) call: Option<SocketAddr>,

    /// How many sessions to open
    #[arg(long, value_name = "N", default_value_t = 1, requires = "call")]
    pub(crate) sessions: usize,

    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 64, requires = "call")]
    pub(crate) message_len: usize,

    /// Milliseconds between two messages of a session
    #[arg(long, value_name = "MS", default_value_t = 1_000, requires = "call")]
    pub(crate) every_ms: u64,

    /// Messages of each session; 0 for no end
    #[arg(long, value_name = "N", default_value_t = 0, requires = "call")]
    pub(crate) messages: u64,

    /// Set a mode register at the start
    #[arg(long = "register", value_name = "NAME=VALUE", value_parser = register)]
    pub(crate) registers: Vec<(Register, u32)>,

    /// Sessions that the card holds at most
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub(crate) sessions_max: usize,

    /// Sessions that one address may open
    #[arg(long, value_name = "N")]
    pub(crate) source_sessions_max: Option<u32>,

    /// Seconds between two probes of an idle session
    #[arg(long, value_name = "S", default_value_t = 15)]
    pub(crate) keep_alive_s: u64,

    /// End a session that brings no data for this long
    #[arg(long, value_name = "S")]
    pub(crate) idle_s: Option<u64>,

    /// Cores for its lanes, one for each queue of the port
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,

    /// Never sleep: for a core of its own
    #[arg(long)]
    pub(crate) spin: bool,

    /// End after this long; without it, at Ctrl-C
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u64>,

    /// Print the counters as JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

fn port_url(text: &str) -> Result<PortUrl, String> {
    PortUrl::parse(text).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<(IpAddr, u8), String> {
    let parts = text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    parts.ok_or_else(|| "an address comes with the length of its prefix: 10.0.0.2/24, 2001:db8::2/64".to_owned())
}

fn register(text: &str) -> Result<(Register, u32), String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((Register::by_name(name)?, value.parse().ok()?)));
    parts.ok_or_else(|| {
        format!("a register is NAME=VALUE, NAME one of {}", Register::ALL.map(Register::name).join(", "))
    })
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    ends.ok_or_else(|| "seeds are FIRST..END, as in 0..1000".to_owned())
}

fn authorisation(text: &str) -> Result<Authorisation, String> {
    let (account, permission) = text.split_once('@').unwrap_or((text, "active"));
    let account = account.parse().map_err(|error| format!("`{account}` is no account: {error}"))?;
    let permission = permission.parse().map_err(|error| format!("`{permission}` is no permission: {error}"))?;
    Ok(Authorisation { account, permission })
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_hex(text).map_err(|error| format!("a key is 64 hexadecimal digits: {error}"))
}

fn rate(text: &str) -> Result<Pace, String> {
    if text == "max" {
        return Ok(Pace::Max);
    }
    let rate = text.parse().ok().filter(|rate: &NonZeroU64| rate.get() <= RATE_TPS_MAX);
    rate.map(Pace::Fixed).ok_or_else(|| format!("a rate is 1 to {RATE_TPS_MAX} transactions a second, or `max`"))
}

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

#[derive(Subcommand, Debug)]
pub(crate) enum Tune {
    /// Say what is, what should be, why it matters and which command mends it; change nothing
    ///
    /// Exit code 0: nothing is to fix; 1: something is.
    Check(TuneHost),
    /// Change what can be changed while the host runs, each change noted in the state file first
    ///
    /// Exit code 0: all that can be applied is in place; 1: a change failed, and the others were made.
    Apply(TuneHost),
    /// Put every changed value back, the last one first; leave alone what somebody else has changed since
    ///
    /// Exit code 0: all is put back or left for a reason; 1: something could not be put back and is kept for another try.
    Undo(TuneState),
}

/// What the validator will use of the host.
#[derive(Args, Debug)]
pub(crate) struct TuneHost {
    /// An interface that the card uses; once for each
    #[arg(long = "interface", value_name = "IF")]
    pub(crate) interfaces: Vec<String>,

    /// Cores for lanes and their like, as in 2-5,8 [default: the isolated ones, or all but the first]
    #[arg(long, value_name = "LIST")]
    pub(crate) cores: Option<Cores>,

    /// Hugepages for DPDK in MiB; 0 for none
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = HUGEPAGES_MIB,
        value_parser = RangedU64ValueParser::<u32>::new().range(0..=u64::from(HUGEPAGES_MIB_MAX))
    )]
    pub(crate) hugepages_mib: u32,

    /// Queues of each interface, one for each lane [default: as they are]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=u64::from(QUEUES_MAX)))]
    pub(crate) queues: Option<u32>,

    /// Only these items: offloads,interrupts
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = item::name)]
    pub(crate) only: Vec<&'static str>,

    #[command(flatten)]
    pub(crate) state: TuneState,
}

#[derive(Args, Debug)]
pub(crate) struct TuneState {
    /// The state file: what was changed, with the values before
    #[arg(long, value_name = "FILE", default_value = STATE_PATH)]
    pub(crate) state: PathBuf,

    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

fn up_to(most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Failure;
    use clap::CommandFactory as _;

    fn parse(text: &str) -> Result<Bench, Failure> {
        let words = std::iter::once("hpb").chain(text.split_whitespace());
        match CommandLine::try_parse_from(words) {
            Ok(CommandLine { verb: Verb::Bench { what } }) => Ok(what),
            Ok(_) => panic!("another verb"),
            Err(error) => Err(Failure::of_command_line(&error).unwrap_err()),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn options_of_sessions() {
        let Bench::Sessions(all) = parse("bench sessions").unwrap() else { panic!() };
        assert_eq!((all.count, all.repeats, all.targets.len(), all.scale.len()), (10_000, 5, 0, 0));
        let Bench::Sessions(some) =
            parse("bench sessions --count 7 --targets kernel-epoll,card --json --markdown x.md").unwrap()
        else {
            panic!()
        };
        assert_eq!((some.count, some.targets), (7, vec!["kernel-epoll", "card"]));
        assert_eq!(some.output, Output { json: true, markdown: Some("x.md".into()) });
        let Bench::Sessions(scale) = parse("bench sessions --scale 100,10000,50000").unwrap() else { panic!() };
        assert_eq!(scale.scale, [100, 10_000, 50_000]);
    }

    #[test]
    fn options_of_reconnect() {
        let Bench::Reconnect(all) = parse("bench reconnect").unwrap() else { panic!() };
        assert_eq!((all.sessions, all.quiet, all.seconds), (10_000, 1_000, 5));
    }

    #[test]
    fn options_of_churn() {
        let Bench::Churn(all) = parse("bench churn").unwrap() else { panic!() };
        assert_eq!((all.cycles, all.encrypted), (1_000_000, false));
        let Bench::Churn(all) = parse("bench churn --cycles 5 --encrypted").unwrap() else { panic!() };
        assert_eq!((all.cycles, all.encrypted), (5, true));
    }

    #[test]
    fn options_of_flood() {
        let Bench::Flood(all) = parse("bench flood").unwrap() else { panic!() };
        assert_eq!((all.sessions, all.seconds, all.output.json), (1_000, 5, false));
        let Bench::Flood(some) = parse("bench flood --sessions 10 --seconds 1 --json").unwrap() else { panic!() };
        assert_eq!((some.sessions, some.seconds, some.output.json), (10, 1, true));
        for wrong in ["--sessions 0", "--sessions 9001", "--seconds 0", "--seconds 601"] {
            assert!(parse(&format!("bench flood {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_of_devnet() {
        let devnet = |text: &str| {
            let words = std::iter::once("hpb").chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Devnet(devnet)) => Ok(devnet),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let all = devnet("devnet").unwrap();
        assert_eq!((all.validators, all.byzantine), (None, 0));
        assert_eq!((all.sessions, all.seconds, all.slot_ms), (10_000, None, 3_000));
        assert_eq!(all.rate, None);
        assert_eq!(devnet("devnet --rate max --virtual").unwrap().rate, Some(Pace::Max));
        assert!(devnet("devnet --rate 0").unwrap_err().contains("or `max`"));
        assert!(devnet("devnet --virtual --final-fd 3").is_err());
    }

    #[test]
    fn options_of_producer() {
        let producer = |text: &str| {
            let words = ["hpb", "producer"].into_iter().chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Producer { what }) => Ok(what),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let Producer::List(source) = producer("list").unwrap() else { panic!() };
        assert_eq!((source.data.to_str(), source.validator, source.json), (Some("report/chain"), 0, false));
        let Producer::Show { name, source } = producer("show alice --data x --validator 2 --json").unwrap() else {
            panic!()
        };
        assert_eq!((name.as_str(), source.data.to_str()), ("alice", Some("x")));
        assert_eq!((source.validator, source.json), (2, true));
        assert!(producer("show").unwrap_err().contains("<NAME>"));
        assert!(producer("list --validator x").unwrap_err().contains("'x' for '--validator <N>'"));
    }

    #[test]
    fn options_of_sim() {
        let sim = |text: &str| {
            let words = std::iter::once("hpb").chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Sim(sim)) => Ok(sim),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let all = sim("sim").unwrap();
        assert_eq!((all.seeds, all.nodes, all.replay, all.trace), (0..1_000, 7, None, false));
        assert!(!all.whole_cards && sim("sim --whole-cards").unwrap().whole_cards);
        let one = sim("sim --nodes 4 --replay 17 --trace").unwrap();
        assert_eq!((one.nodes, one.replay, one.trace), (4, Some(17), true));
        let played = sim("sim --scenario split-2-2 --scenario far-apart --slots 90 --trace").unwrap();
        assert_eq!(played.scenario, [Scenario::SplitTwoTwo, Scenario::FarApart]);
        assert_eq!((played.slots, played.trace, played.scenarios), (Some(90), true, false));
        assert!(sim("sim --scenarios --slots 90").unwrap().scenarios);
        for (text, part) in [
            ("sim --seeds 5", "seeds are FIRST..END, as in 0..1000"),
            ("sim --seeds 1..x", "seeds are FIRST..END, as in 0..1000"),
            ("sim --trace", "--replay <SEED>"),
            ("sim --replay 1 --seeds 0..2", "cannot be used with"),
            ("sim --scenario split-2-3", "scenarios are one-stopped, two-stopped"),
            ("sim --scenario far-apart --nodes 4", "cannot be used with"),
            ("sim --scenarios --trace", "cannot be used with"),
            ("sim --slots 9", "--scenario <NAME>"),
        ] {
            let error = sim(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn options_of_tune() {
        let tune = |text: &str| {
            let words = ["hpb", "tune"].into_iter().chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Tune { what: Tune::Check(host) | Tune::Apply(host) }) => Ok(host),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let usual = tune("check").unwrap();
        assert_eq!((usual.interfaces.len(), usual.cores, usual.hugepages_mib, usual.queues), (0, None, 512, None));
        assert_eq!((usual.only.len(), usual.state.state.to_str(), usual.state.json), (0, Some(STATE_PATH), false));
        let all =
            "apply --interface a --interface b --cores 2-3,1 --hugepages-mib 0 --queues 2 --only thp,limits --json";
        let all = tune(all).unwrap();
        assert_eq!(all.interfaces, ["a", "b"]);
        assert_eq!(all.cores.unwrap().to_string(), "1-3");
        assert_eq!((all.hugepages_mib, all.queues, all.only), (0, Some(2), vec!["thp", "limits"]));
        for (text, part) in [
            ("check --cores 3-1", "`3-1` is no list of cores"),
            ("check --only thp,tph", "there is no item `tph`: the items are kernel, "),
            ("apply --queues 0", "0 is not in 1..="),
            ("apply --hugepages-mib 2000000", "2000000 is not in 0..=1048576"),
            ("undo --cores 1", "unexpected argument '--cores'"),
        ] {
            let error = tune(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let table = [
            ("", "a verb is missing"),
            ("bench", "a verb is missing"),
            ("frobnicate", "unrecognized subcommand 'frobnicate'"),
            ("bench sessions --cuont 5", "unexpected argument '--cuont' found"),
            ("bench sessions --count", "a value is required for '--count <N>'"),
            ("bench sessions --count 0", "0 is not in 1..=60000"),
            ("bench sessions --count ten", "'ten' for '--count <N>'"),
            ("bench sessions --targets card,crad", "there is no target `crad`: the targets are card, card-encrypted"),
            ("bench sessions --scale 1,x", "'x' for '--scale <N,N,N>'"),
            ("bench sessions --scale 1 --count 1", "'--scale <N,N,N>' cannot be used with '--count <N>'"),
            ("bench reconnect --seconds 601", "601 is not in 1..=600"),
            ("bench churn --cycles 0", "0 is not in 1..=100000000"),
            ("bench sync --slots 19", "19 is not in 20..=20000"),
            ("bench reconnect extra", "unexpected argument 'extra' found"),
        ];
        for (text, part) in table {
            let failure = parse(text).unwrap_err();
            let line = failure.to_string();
            assert!(line.contains(part) && !line.contains('\n'), "{text}: {line}");
            assert_eq!(failure, Failure::input(&line), "exit code 2");
        }
    }
}
