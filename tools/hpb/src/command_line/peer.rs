//! `hpb peer`, and how a running node is named.

mod node;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use node::{CardLook, CardVerb, PeerBan, PeerDisconnect, PeerEvents, PeerSessions, Shown};

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
}

#[derive(Subcommand, Debug)]
pub(crate) enum Peer {
    /// The session table: state, round trip, congestion window, repeats, queue and bytes of each session
    Sessions(PeerSessions),
    /// What was notable: sessions that opened and ended and why, goodbyes, bans
    Events(PeerEvents),
    /// End a session, and tell its peer that an operator did
    Disconnect(PeerDisconnect),
    /// Keep an address, a network or an identity out, and end what sessions there are with them
    Ban(PeerBan),
}
