//! `hpb peer`, and how a running node is named.

mod crawl;
mod node;
mod probe;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hpb_types::{Hash, PublicKey};

use super::values::{hash, public_key};

pub(crate) use crawl::{PeerCrawl, PeerGraph};
pub(crate) use node::{
    CardLook, CardVerb, PeerBan, PeerCapture, PeerDisconnect, PeerEvents, PeerSessions, PeerTop, Shown,
};
pub(crate) use probe::{
    Called, PeerBandwidth, PeerClock, PeerDoctor, PeerHandshake, PeerInfo, PeerPathMtu, PeerPing, PeerTrace,
};

/// A running node or card of this host.
#[derive(Args, Clone, Debug)]
pub(crate) struct Node {
    /// The data folder of a devnet that is running
    #[arg(long, value_name = "DIR", default_value = "report/chain")]
    pub(crate) data: PathBuf,

    /// Which of its validators
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) validator: usize,

    /// The control socket of a node or card, in place of a data folder
    #[arg(long, value_name = "PATH", conflicts_with_all = ["data", "validator"])]
    pub(crate) control: Option<PathBuf>,

    /// From afar in place of a folder: where the node listens. Its operator has named this onlooker's key (`hpb devnet
    /// --diagnostics KEY`)
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["data", "validator", "control"])]
    pub(crate) remote: Option<SocketAddr>,

    /// The node's key, from afar
    #[arg(long = "peer", value_name = "KEY", value_parser = public_key, requires = "remote")]
    pub(crate) peer: Option<PublicKey>,

    /// The file of the onlooker's key, from afar
    #[arg(long = "key", value_name = "FILE", requires = "remote")]
    pub(crate) key: Option<PathBuf>,

    /// The genesis of the node's chain, from afar
    #[arg(long, value_name = "FILE", requires = "remote", conflicts_with = "chain")]
    pub(crate) genesis: Option<PathBuf>,

    /// The id of the node's chain, in place of its genesis
    #[arg(long, value_name = "ID", value_parser = hash, requires = "remote")]
    pub(crate) chain: Option<Hash>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Peer {
    /// How much a session with a peer carries each way, and what had to be sent again
    Bandwidth(PeerBandwidth),
    /// Frames and messages of chosen sessions of a running node or card, as a file that Wireshark opens
    Capture(PeerCapture),
    /// How far a peer's clock is off, and how fast it drifts
    Clock(PeerClock),
    /// Walk the network from a node: who has sessions with whom, how far apart they are, and what differs
    ///
    /// Each node is asked as an onlooker: its operator has named the key of --key (`hpb devnet --diagnostics KEY`). Exit
    /// code 0: all that were named answered, of one chain; 1: some did not.
    Crawl(PeerCrawl),
    /// Print what Wireshark needs to show sessions between nodes: a script in Lua
    #[command(after_help = "Example:\n  hpb peer dissector > ~/.local/lib/wireshark/plugins/hpb.lua")]
    Dissector,
    /// Look at a peer in every way: the most likely cause of trouble, what speaks for it, and the next step
    ///
    /// Exit code 0: nothing is wrong; 1: something is; 2: it could not be looked at. The other verbs that look at a peer
    /// from the outside do the same.
    Doctor(PeerDoctor),
    /// Draw what a walk found: nodes, the sessions between them, and their round trips, as an SVG
    Graph(PeerGraph),
    /// Each phase of a session's beginning with its time, what was agreed, and why it failed
    Handshake(PeerHandshake),
    /// Who a peer is: identity, version, chain, head, roles, clock
    Info(PeerInfo),
    /// How large a packet gets through each way, and whether larger ones vanish
    PathMtu(PeerPathMtu),
    /// Round trips by messages of a session, or by connections to any TCP service
    Ping(PeerPing),
    /// The session table: state, round trip, congestion window, repeats, queue and bytes of each session
    Sessions(PeerSessions),
    /// The session table as it lives: sorted, filtered and scrolled, with keys as in htop
    Top(PeerTop),
    /// What was notable: sessions that opened and ended and why, goodbyes, bans
    Events(PeerEvents),
    /// End a session, and tell its peer that an operator did
    Disconnect(PeerDisconnect),
    /// Keep an address, a network or an identity out, and end what sessions there are with them
    Ban(PeerBan),
    /// The routers on the way to a peer's port, by SYNs whose hops are used up there
    Trace(PeerTrace),
}
