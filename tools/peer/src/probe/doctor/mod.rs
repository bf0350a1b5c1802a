//! `hpb peer doctor`: what is most likely wrong with a peer, what speaks for it, and what to do next.
//!
//! What was seen is gathered first ([`gather`]); what it means is decided by [`diagnose`], which does no I/O: a table of
//! rules, each of which reads the observations and names a cause or says nothing.

mod gather;
mod rules;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use hpb_types::message::diagnose::Goodbye;
use serde::Serialize;

pub use gather::gather;
pub use rules::diagnose;

use super::bandwidth::Flow;
use super::connect::{TcpAttempt, TcpOutcome};
use super::handshake::{Failure, HelloSeen};
use super::host::HostSeen;
use super::path_mtu::Through;
use super::ping::Rounds;
use super::text::{Paint, line};

/// What can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody listens at that port of a host that is there.
    WrongPort,
    /// Something drops or forbids what calls the port.
    SynBlocked,
    /// The host does not answer at all.
    HostDown,
    /// This host has no way there.
    NoRoute,
    /// The peer has another key than the one that was called.
    WrongKey,
    /// What listens there is no node.
    NotANode,
    /// The peer is of another chain.
    WrongChain,
    /// The two speak versions that do not meet.
    VersionTooOld,
    /// The peer has banned this identity, or this address.
    Banned,
    /// The peer has no room for one more session.
    Full,
    /// Somebody else has this identity.
    DuplicateIdentity,
    /// The clocks are apart.
    ClockOff,
    /// Large packets vanish.
    MtuBlackHole,
    /// Packets are lost.
    Loss,
    /// The peer takes bytes slowly.
    SlowReader,
    /// The peer ended the session for another reason.
    Parted,
    /// The peer is connected and says nothing.
    Mute,
}

/// How sure a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// It cannot be told from others.
    Possible,
    /// Others would show it too, and are rarer.
    Likely,
    /// Nothing else shows what was seen.
    Certain,
}

/// A cause that the observations speak for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub cause: Cause,
    /// How sure that is.
    pub certainty: Certainty,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// What to do next.
    pub next: String,
}

/// What was seen of a peer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Observations {
    /// Who was looked at.
    pub address: String,
    /// Its IP address.
    #[serde(skip)]
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// The connection to its port.
    pub tcp: TcpAttempt,
    /// The host.
    pub host: HostSeen,
    /// What other ports of the host answered, where its own did not open.
    pub other_ports: Vec<(u16, TcpOutcome)>,
    /// The last router that SYNs for the port got to, where the peer is behind one.
    pub last_hop: Option<String>,
    /// Whether a list of its chain's peers says that it listens there.
    pub is_listed: bool,
    /// Why the session came to nothing, if one was asked for and did.
    pub failure: Option<Failure>,
    /// The peer that the key belongs to which it answers to instead.
    pub answers_to: Option<String>,
    /// What it said of itself.
    pub hello: Option<HelloSeen>,
    /// Its goodbye, whenever it came.
    #[serde(skip)]
    pub goodbye: Option<Goodbye>,
    /// Its clock less this host's, and how much that may be wrong, in microseconds.
    pub clock_us: Option<(i64, u64)>,
    /// Round trips of messages.
    pub rounds: Option<Rounds>,
    /// Whether packets of the agreed size get through, and what that size is.
    #[serde(skip)]
    pub(crate) whole: Option<(u32, Through)>,
    /// Whether small ones do, where those do not.
    #[serde(skip)]
    pub(crate) small: Option<Through>,
    /// The largest that do get through each way, where those do not.
    pub largest: Option<(Option<u32>, Option<u32>)>,
    /// What was carried to the peer.
    pub up: Option<Flow>,
    /// What was carried from it.
    pub down: Option<Flow>,
    /// Whether a session was asked for.
    pub with_session: bool,
}

/// What the doctor has to say.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Diagnosis {
    /// The causes, the most likely first; none where nothing is wrong.
    pub findings: Vec<Finding>,
    /// What was seen.
    pub seen: Observations,
}

impl Diagnosis {
    /// What follows from what was seen.
    pub fn of(seen: Observations) -> Self {
        Self { findings: diagnose(&seen), seen }
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }

    /// The most likely cause with what speaks for it and the next step; then the others.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        line(&mut text, "peer", &self.seen.address);
        let Some((first, others)) = self.findings.split_first() else {
            line(&mut text, "diagnosis", &paint.good("nothing is wrong"));
            text.push_str(if self.seen.with_session {
                "\nThe peer answers, has its key and its chain, keeps time, and packets of all sizes get through both ways.\n"
            } else {
                "\nThe port takes connections. With --peer and --chain the session is looked at too.\n"
            });
            return text;
        };
        line(&mut text, "diagnosis", &format!("{} ({})", paint.bad(first.cause.words()), first.certainty.words()));
        for evidence in &first.evidence {
            line(&mut text, "seen", evidence);
        }
        line(&mut text, "next step", &first.next);
        for other in others {
            let evidence = other.evidence.first().map_or("", String::as_str);
            let certainty = other.certainty.words();
            line(&mut text, "or else", &format!("{} ({certainty}): {evidence}", paint.odd(other.cause.words())));
        }
        text
    }
}

impl Cause {
    /// In plain words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::WrongPort => "wrong port: nobody listens there",
            Self::SynBlocked => "SYN blocked: something drops what calls the port",
            Self::HostDown => "the host does not answer",
            Self::NoRoute => "this host has no way there",
            Self::WrongKey => "wrong key: the peer is another than the one that was called",
            Self::NotANode => "what listens there is no node of this kind",
            Self::WrongChain => "wrong chain: the peer is of another",
            Self::VersionTooOld => "version too old: the two do not understand each other",
            Self::Banned => "banned: the peer keeps this identity or address out",
            Self::Full => "full peer table: the peer has no room for one more session",
            Self::DuplicateIdentity => "duplicate identity: somebody else calls with the same key",
            Self::ClockOff => "clock off: the peer's clock and this one's are apart",
            Self::MtuBlackHole => "MTU black hole: large packets vanish without a word",
            Self::Loss => "packets are lost",
            Self::SlowReader => "slow reader: the peer takes bytes more slowly than they come",
            Self::Parted => "the peer ended the session",
            Self::Mute => "the peer is connected and says nothing",
        }
    }
}

impl Certainty {
    /// In plain words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}
