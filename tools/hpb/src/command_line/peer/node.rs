//! Verbs of `hpb peer` and `hpb card` that look at a running node or card from its inside.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hpb_peer::sessions::Column;
use hpb_types::PublicKey;
use hpb_types::message::diagnose::{Banned, Network, SessionClass, SessionName, SessionState};

use super::Node;
use crate::command_line::values::{banned, column, network, public_key, session_class, session_state};

/// How what is found is shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct Shown {
    /// Print JSON instead of text; with --watch one line each time
    #[arg(long)]
    pub(crate) json: bool,

    /// Look again every so many seconds, until Ctrl-C
    #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "1",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) watch: Option<u64>,
}

/// Options of `hpb peer sessions`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hpb peer sessions --data chain --sort queue --limit 20\n  hpb peer sessions --data chain \
                  --class validator --json\n  hpb peer sessions --control /run/card.sock --table"
)]
pub(crate) struct PeerSessions {
    #[command(flatten)]
    pub(crate) node: Node,

    #[command(flatten)]
    pub(crate) shown: Shown,

    /// Only sessions of this class: validator, terminal, uplink, stream
    #[arg(long, value_name = "CLASS", value_parser = session_class)]
    pub(crate) class: Option<SessionClass>,

    /// Only sessions in this TCP state, as in ESTABLISHED
    #[arg(long, value_name = "STATE", value_parser = session_state)]
    pub(crate) state: Option<SessionState>,

    /// Only sessions with this address, or with addresses of this network
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = network)]
    pub(crate) near: Option<Network>,

    /// Only sessions with whoever has this identity
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    pub(crate) identity: Option<PublicKey>,

    /// Sort by this column; amounts with the largest first
    #[arg(long, value_name = "COLUMN", default_value = "session", value_parser = column)]
    pub(crate) sort: Column,

    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,

    /// So many rows at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,

    /// The layout of the original card's session table
    #[arg(long, conflicts_with = "json")]
    pub(crate) table: bool,
}

/// Options of `hpb peer top`.
#[derive(Args, Debug)]
#[command(
    after_help = "Keys: q quits; arrows, page up and down, home and end move; < and > (or F6) choose the column to sort by, \
                  r turns it round; / (or F4) filters by address, state, class or identity; space freezes; k disconnects and \
                  b bans the chosen peer, after a question.\n\nExamples:\n  hpb peer top --data chain\n  hpb peer top --once \
                  --sort queue --data chain"
)]
pub(crate) struct PeerTop {
    #[command(flatten)]
    pub(crate) node: Node,

    /// Sort by this column at first
    #[arg(long, value_name = "COLUMN", default_value = "out", value_parser = column)]
    pub(crate) sort: Column,

    /// Seconds between two looks
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) every: u64,

    /// Print one frame and end, as where there is no terminal
    #[arg(long)]
    pub(crate) once: bool,

    /// Draw so many frames unseen, one a second, and tell what they took
    #[arg(long, value_name = "N", conflicts_with = "once", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) measure: Option<u32>,

    /// Print JSON instead of text
    #[arg(long, requires = "measure")]
    pub(crate) json: bool,
}

/// Options of `hpb peer events`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer events --data chain --watch")]
pub(crate) struct PeerEvents {
    #[command(flatten)]
    pub(crate) node: Node,

    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Options of `hpb peer capture`.
#[derive(Args, Debug)]
#[command(
    after_help = "Frames are what crosses the port: of an encrypted session they stay sealed. Messages (--plain) are what the \
                  node sealed and opened; they are told at its control socket alone, never from afar. No key is told. A \
                  capture ends with Ctrl-C, with --seconds, or by itself ten seconds after its reader is gone.\n\nExamples:\n  \
                  hpb peer capture --data chain --session 0.17.0 --both -o session.pcapng\n  hpb peer capture --control \
                  /run/card.sock --near 10.1.2.0/24 -o - | wireshark -k -i -\n  hpb peer capture --data chain --plain --seconds \
                  60 --file-size-mb 10 --files 5 -o last.pcapng"
)]
pub(crate) struct PeerCapture {
    #[command(flatten)]
    pub(crate) node: Node,

    /// Only this session, as `hpb peer sessions` names it; again for each
    #[arg(long = "session", value_name = "SESSION")]
    pub(crate) sessions: Vec<SessionName>,

    /// Only with this address, or with addresses of this network; without a session or an identity also frames of no
    /// session
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = network)]
    pub(crate) near: Option<Network>,

    /// Only with whoever has proven this identity
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    pub(crate) identity: Option<PublicKey>,

    /// Frames as they crossed the port; the default
    #[arg(long, conflicts_with_all = ["plain", "both"])]
    pub(crate) frames: bool,

    /// Messages, before they were sealed and after they were opened; by the control socket alone
    #[arg(long, conflicts_with = "both")]
    pub(crate) plain: bool,

    /// Frames and messages
    #[arg(long)]
    pub(crate) both: bool,

    /// For so many seconds; without it until Ctrl-C, a day at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: Option<u32>,

    /// Keep so many bytes of each frame and message
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) snap: Option<u32>,

    /// The file; - for standard output
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Go on to a next file after so many MB: FILE-00001.pcapng and so on
    #[arg(long, value_name = "N", requires = "files", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) file_size_mb: Option<u64>,

    /// Keep so many of them, the last ones
    #[arg(long, value_name = "N", requires = "file_size_mb", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) files: Option<u32>,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hpb peer disconnect`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer disconnect 0.17.0 --data chain")]
pub(crate) struct PeerDisconnect {
    /// The session, as `hpb peer sessions` names it
    #[arg(value_name = "SESSION")]
    pub(crate) session: SessionName,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) node: Node,
}

/// Options of `hpb peer ban`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hpb peer ban 10.1.2.0/24 --seconds 600 --data chain\n  hpb peer ban --list --data chain"
)]
pub(crate) struct PeerBan {
    /// An address, a network, or an identity in hexadecimal digits
    #[arg(value_name = "WHO", value_parser = banned, required_unless_present = "list")]
    pub(crate) who: Option<Banned>,

    /// For how long; without it until the process ends
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seconds: u32,

    /// Let them in again
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) lift: bool,

    /// Tell who is banned
    #[arg(long, conflicts_with_all = ["who", "seconds", "lift"])]
    pub(crate) list: bool,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) node: Node,
}

/// Verbs of `hpb card` about one that runs.
#[derive(Subcommand, Debug)]
pub(crate) enum CardVerb {
    /// The mode registers of a running card: each a fault to inject
    #[command(after_help = "Example:\n  hpb card regs --data chain --validator 1")]
    Regs(CardLook),
    /// The counters of a running card's lanes
    #[command(after_help = "Example:\n  hpb card stats --control /run/card.sock --json")]
    Stats(CardLook),
    /// Set a mode register of a running card, on all its lanes
    #[command(after_help = "Example:\n  hpb card inject cfg_toe_mode_ins_err 1000 --data chain")]
    Inject {
        /// The register
        #[arg(value_name = "REGISTER")]
        register: String,

        /// Its value; 0 behaves
        #[arg(value_name = "VALUE")]
        value: u32,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        node: Node,
    },
}

/// A running card, and how it is shown.
#[derive(Args, Debug)]
pub(crate) struct CardLook {
    #[command(flatten)]
    pub(crate) node: Node,

    #[command(flatten)]
    pub(crate) shown: Shown,
}
