//! What a conductor and its agents say to each other: JSON, in parts where it is long.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::clock::{AgentClock, Line};
use crate::record::{Repeat, is_sound};

/// The first word of every subject.
const ROOT: &str = "hpb.lab";
/// The version of these words. Agents of another one are not asked.
pub const WORDS: u32 = 1;

/// The subject to which all agents of a meeting listen.
pub(super) fn to_all(meeting: &str) -> String {
    format!("{ROOT}.{meeting}.agents")
}

/// The subject to which one agent listens.
pub(super) fn to_agent(meeting: &str, instance: &str) -> String {
    format!("{ROOT}.{meeting}.agent.{instance}")
}

/// The subject to which a conductor listens.
pub(super) fn to_conductor(meeting: &str, conductor: &str) -> String {
    format!("{ROOT}.{meeting}.conductor.{conductor}")
}

/// What a conductor says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Who is there? Answered by [`Told::Here`].
    Call {
        /// To whom the answer goes.
        conductor: String,
    },
    /// Be the server of one repeat. Answered by [`Told::Serving`].
    Serve {
        /// The conductor's number for the repeat.
        job: u64,
        /// To whom answers go.
        conductor: String,
        /// The scenario's file.
        scenario: String,
        /// How many clients call.
        clients: u32,
    },
    /// Be a client of one repeat. Answered by [`Told::Ready`].
    Send {
        /// The conductor's number for the repeat.
        job: u64,
        /// To whom answers go.
        conductor: String,
        /// The scenario's file.
        scenario: String,
        /// Which repeat.
        number: u32,
        /// Which of the clients.
        client: u32,
        /// Where the server listens for sessions.
        server: SocketAddr,
        /// Where it answers exchanges.
        exchanges: SocketAddr,
    },
    /// Begin, at this reading of the server's clock.
    Start {
        /// Which repeat.
        job: u64,
        /// When.
        at_server_ns: i64,
    },
    /// Measure what came one way, by these clocks. Answered by [`Told::Judged`].
    Judge {
        /// Which repeat.
        job: u64,
        /// Of each client its [`SentTold::host_line`], and when it began to measure, by its host's own clock.
        clients: Vec<(Line, u64)>,
    },
    /// Let go of the repeat, whatever it came to.
    End {
        /// Which repeat.
        job: u64,
        /// Whether that was the last one: an agent that came for one measurement leaves.
        is_last: bool,
    },
}

/// What an agent says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its name.
    pub name: String,
    /// A word that no other agent has.
    pub instance: String,
    /// The program's version.
    pub version: String,
    /// [`WORDS`].
    pub words: u32,
    /// Its host's name.
    pub host: String,
    /// The address at which others reach it.
    pub address: std::net::IpAddr,
    /// Processor and kernel.
    pub machine: String,
    /// What keeps its clock right.
    pub discipline: String,
    /// What was planted in its clock.
    pub planted: AgentClock,
}

/// What an agent says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Told {
    /// It is there.
    Here(AgentFacts),
    /// It listens.
    Serving {
        /// Which repeat.
        job: u64,
        /// The port for sessions.
        port: u16,
        /// The port for exchanges.
        exchanges: u16,
    },
    /// Its sessions are open.
    Ready {
        /// Which repeat.
        job: u64,
        /// What its clock says of the server's.
        line: Line,
        /// What the server's clock reads now, by that.
        server_ns: i64,
    },
    /// A client's repeat is over.
    Sent(Box<SentTold>),
    /// The server measured what came one way: a repeat for each client.
    Judged {
        /// Which repeat.
        job: u64,
        /// The clients'.
        repeats: Vec<Repeat>,
        /// Processor time of the server's thread, in nanoseconds.
        cpu_ns: u64,
    },
    /// It came to nothing.
    Failed {
        /// Which repeat.
        job: u64,
        /// Why.
        reason: String,
    },
}

impl Order {
    /// Reads one; none of what is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Told {
    /// Reads one; none of what is none, or tells of a repeat that no record may hold.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let told: Self = serde_json::from_slice(bytes).ok()?;
        let is_sound = match &told {
            Self::Sent(sent) => is_sound(&sent.repeat),
            Self::Judged { repeats, .. } => repeats.iter().all(is_sound),
            Self::Here(_) | Self::Serving { .. } | Self::Ready { .. } | Self::Failed { .. } => true,
        };
        is_sound.then_some(told)
    }

    /// Which repeat it is about.
    pub(super) fn job(&self) -> Option<u64> {
        match self {
            Self::Here(_) => None,
            Self::Serving { job, .. }
            | Self::Ready { job, .. }
            | Self::Judged { job, .. }
            | Self::Failed { job, .. } => Some(*job),
            Self::Sent(sent) => Some(sent.job),
        }
    }
}

/// What a client says of its repeat.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SentTold {
    /// Which repeat.
    pub job: u64,
    /// Its clock against the server's, by all exchanges.
    pub line: Line,
    /// From a reading of its host's own clock to the server's: the same line, without what was planted.
    pub host_line: Line,
    /// When it began to measure, by its host's own clock.
    pub begin_ns: u64,
    /// What was answered, measured by its own clock; of what goes one way only what it counted.
    pub repeat: Repeat,
}
