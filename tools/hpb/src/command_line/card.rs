//! Options of `hpb card`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use hpb_net::PortUrl;
use hpb_toe::registers::Register;

use super::CardVerb;
use super::values::{address, port_url, register};

/// Options of `hpb card`.
#[derive(Args, Debug)]
pub(crate) struct Card {
    /// Where its frames go: `packet:eth1`, `tap:hpb0`, `xdp:eth1?queues=2`, `dpdk:--vdev=...`
    #[arg(long, value_name = "URL", value_parser = port_url, required = true)]
    pub(crate) port: Option<PortUrl>,

    #[command(subcommand)]
    pub(crate) what: Option<CardVerb>,

    /// Take questions of `hpb peer` and `hpb card` at this Unix socket, which is for this user alone
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,

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

    /// Keep all its frames in this file (pcapng), and in FILE.tape the calls by which `hpb lab replay` makes them again;
    /// the tape holds the card's secret
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,

    /// End the capture at about this many MiB
    #[arg(long, value_name = "MIB", default_value_t = 1_024, requires = "capture")]
    pub(crate) capture_mib: u64,

    /// End after this long; without it, at Ctrl-C
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u64>,

    /// Print the counters as JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}
