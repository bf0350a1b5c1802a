//! `hpb peer handshake`: each phase of a session's beginning with its time, what was agreed, and why it failed.

use std::time::Duration;

use hpb_toe::secure::{HandshakeError, StreamError};
use hpb_types::message::diagnose::Goodbye;
use hpb_types::message::{Hello, Message, PROTOCOL_VERSION, Roles};
use serde::Serialize;

use super::connect::{self, How, TcpAttempt, TcpOutcome};
use super::host::{self, Neighbor};
use super::session::{Ended, Session, Target, chain_of};
use super::sys;
use super::text::{Paint, counted, line, micros};

/// A handshake from the outside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HandshakeReport {
    /// Where.
    pub address: String,
    /// The next hop.
    pub neighbor: Neighbor,
    /// The connection.
    pub tcp: TcpAttempt,
    /// What the two TCPs agreed on.
    pub agreed: Option<Agreed>,
    /// From the first handshake message to the last, in microseconds; none where no session was asked for, or it failed.
    pub keys_us: Option<u64>,
    /// From the peer's proof of its identity to its hello, in microseconds.
    pub hello_us: Option<u64>,
    /// What the peer said of itself.
    pub hello: Option<HelloSeen>,
    /// Why it came to nothing.
    pub failure: Option<Failure>,
}

/// What two TCPs agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Agreed {
    /// The largest segment that is sent, in bytes.
    pub segment_len_max: u32,
    /// What the path is taken to carry, in bytes.
    pub path_mtu: u32,
    /// The first round trip, in microseconds.
    pub round_trip_us: u64,
    /// The congestion window at the start, in segments.
    pub congestion_window: u32,
}

/// A peer's hello.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HelloSeen {
    /// The version of its messages.
    pub version: u8,
    /// Its chain.
    pub chain: String,
    /// What it is.
    pub roles: Vec<&'static str>,
    /// The slot of its head.
    pub head_slot: u64,
    /// The slot of its latest final slice.
    pub final_slot: u64,
}

/// Where and why a handshake failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Failure {
    /// TCP did not open.
    Tcp,
    /// The first handshake message was met by the connection's end: the peer has another identity, or is no node.
    Stranger,
    /// The first handshake message was met by silence.
    KeysSilent,
    /// What came is no handshake.
    Foreign {
        /// The first bytes, as text where they are.
        begins: String,
    },
    /// The peer has the identity that was called, and does not understand what was sealed: it is of another chain.
    OtherChain,
    /// The peer does not prove the identity that was called.
    Unproven,
    /// The peer ended the connection when it knew who calls.
    ClosedAtLast,
    /// The peer knows who calls, and says nothing.
    HelloSilent,
    /// The peer's hello names another chain.
    HelloChain {
        /// Which.
        chain: String,
    },
    /// The peer says why it ends the session.
    Goodbye {
        /// Its reason's number.
        reason: u8,
        /// What belongs to it.
        detail: u32,
        /// In words.
        text: String,
    },
    /// The peer's messages are older than any that this program understands.
    VersionTooOld {
        /// The peer's version.
        version: u8,
    },
    /// Something else.
    Other {
        /// What.
        reason: String,
    },
}

/// Opens a session with the target, or as much of one as comes about; the session, if it is open.
pub fn open(target: &Target) -> (HandshakeReport, Option<Session>) {
    open_with(target, &How::usual(target.patience), true)
}

pub(crate) fn open_with(target: &Target, how: &How, with_neighbor: bool) -> (HandshakeReport, Option<Session>) {
    let neighbor = if with_neighbor { host::neighbor(target.address.ip()) } else { Neighbor::Unknown };
    let (tcp, stream) = connect::connect(target.address, how);
    let mut report = HandshakeReport {
        address: target.address.to_string(),
        neighbor,
        tcp,
        agreed: None,
        keys_us: None,
        hello_us: None,
        hello: None,
        failure: None,
    };
    let Some(stream) = stream else {
        report.failure = Some(Failure::Tcp);
        return (report, None);
    };
    report.agreed = super::tcp_info::TcpInfo::of(&stream).ok().map(|info| Agreed {
        segment_len_max: info.send_mss,
        path_mtu: info.path_mtu,
        round_trip_us: info.round_trip.as_micros() as u64,
        congestion_window: info.congestion_window,
    });
    let Some(credentials) = &target.credentials else { return (report, None) };
    let began_ns = sys::monotonic_ns();
    let mut session = match Session::begin(stream, credentials) {
        Ok(session) => session,
        Err(ended) => {
            report.failure = Some(Failure::Other { reason: ended.words() });
            return (report, None);
        }
    };
    let deadline_ns = began_ns + how.patience.as_nanos() as u64;
    match keys(&mut session, deadline_ns) {
        Ok(()) => report.keys_us = Some(sys::monotonic_ns().saturating_sub(began_ns) / 1_000),
        Err(failure) => {
            report.failure = Some(failure);
            return (report, None);
        }
    }
    let proven_ns = sys::monotonic_ns();
    if let Err(ended) = session.greet(credentials) {
        report.failure = Some(after_keys(&ended));
        return (report, None);
    }
    match hello(&mut session, proven_ns + how.patience.as_nanos() as u64) {
        Ok((hello, at_ns)) => {
            report.hello_us = Some(at_ns.saturating_sub(proven_ns) / 1_000);
            report.failure = judged(target, &hello);
            report.hello = Some(HelloSeen::of(&hello));
        }
        Err(failure) => report.failure = Some(failure),
    }
    if report.failure.is_none()
        && let Some(failure) = parting(&mut session)
    {
        report.failure = Some(failure);
    }
    let open = report.failure.is_none().then_some(session);
    (report, open)
}

/// Carries the key exchange to its end.
fn keys(session: &mut Session, deadline_ns: u64) -> Result<(), Failure> {
    while !session.is_open() {
        let left = deadline_ns.saturating_sub(sys::monotonic_ns());
        if left == 0 {
            return Err(Failure::KeysSilent);
        }
        if let Err(ended) = session.turn(Duration::from_nanos(left)) {
            return Err(before_keys(&ended, &session.begins));
        }
    }
    Ok(())
}

/// What the end of a session that has no keys yet means.
fn before_keys(ended: &Ended, begins: &[u8]) -> Failure {
    match ended {
        Ended::Closed { .. } if begins.is_empty() => Failure::Stranger,
        Ended::Unreadable(StreamError::Handshake(HandshakeError::Noise)) => Failure::OtherChain,
        Ended::Unreadable(StreamError::Handshake(_)) => Failure::Unproven,
        Ended::Unreadable(_) | Ended::Closed { .. } => Failure::Foreign { begins: shown(begins) },
        Ended::Goodbye(goodbye) => Failure::goodbye(*goodbye),
        Ended::Failed(reason) => Failure::Other { reason: reason.clone() },
    }
}

/// What the end of a session whose both sides are known means.
fn after_keys(ended: &Ended) -> Failure {
    match ended {
        Ended::Closed { .. } => Failure::ClosedAtLast,
        Ended::Goodbye(goodbye) => Failure::goodbye(*goodbye),
        ended => Failure::Other { reason: ended.words() },
    }
}

fn hello(session: &mut Session, deadline_ns: u64) -> Result<(Hello, u64), Failure> {
    loop {
        match session.hear(deadline_ns) {
            Ok(Some(heard)) => {
                if let Message::Hello(hello) = heard.message {
                    return Ok((hello, heard.at_ns));
                }
            }
            Ok(None) => return Err(Failure::HelloSilent),
            Err(ended) => return Err(after_keys(&ended)),
        }
    }
}

/// A goodbye, or an end without one, that follows the hello at once. A pong says that the peer has read our hello.
fn parting(session: &mut Session) -> Option<Failure> {
    const NONCE: u64 = 0x6865_6C6C_6F21;
    const PATIENCE_NS: u64 = 500_000_000;
    if let Err(ended) = session.say(&Message::Ping(NONCE)) {
        return Some(after_keys(&ended));
    }
    let deadline_ns = sys::monotonic_ns() + PATIENCE_NS;
    loop {
        match session.hear(deadline_ns) {
            Ok(Some(heard)) if heard.message == Message::Pong(NONCE) => return None,
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(ended) => return Some(after_keys(&ended)),
        }
    }
}

fn judged(target: &Target, hello: &Hello) -> Option<Failure> {
    if hello.version < PROTOCOL_VERSION {
        return Some(Failure::VersionTooOld { version: hello.version });
    }
    let is_other = chain_of(target).is_some_and(|chain| chain != hello.chain);
    is_other.then(|| Failure::HelloChain { chain: hello.chain.0.to_hex() })
}

/// The first bytes of something foreign, as text.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Failure {
    fn goodbye(goodbye: Goodbye) -> Self {
        Self::Goodbye { reason: goodbye.reason.0, detail: goodbye.detail, text: goodbye.to_string() }
    }

    /// In plain words.
    pub fn words(&self) -> String {
        match self {
            Self::Tcp => "TCP did not open".to_owned(),
            Self::Stranger => "the peer ended the connection at the first handshake message: it has another key than \
                               the one that was called, or is no node of this kind"
                .to_owned(),
            Self::KeysSilent => "the peer took the connection and does not answer the handshake".to_owned(),
            Self::Foreign { begins } => format!("the peer is no node: it begins with `{begins}`"),
            Self::OtherChain => {
                "the peer has the key that was called, and speaks for another chain: what it seals does \
                                 not open here"
                    .to_owned()
            }
            Self::Unproven => "the peer does not prove that it has the key that was called".to_owned(),
            Self::ClosedAtLast => "the peer ended the connection, without a word, when it knew who calls".to_owned(),
            Self::HelloSilent => "the peer finished the handshake and says no hello".to_owned(),
            Self::HelloChain { chain } => format!("the peer's hello names another chain: {chain}"),
            Self::Goodbye { text, .. } => format!("the peer says goodbye: {text}"),
            Self::VersionTooOld { version } => {
                format!("the peer speaks version {version} of the messages, this program {PROTOCOL_VERSION}")
            }
            Self::Other { reason } => reason.clone(),
        }
    }
}

impl HelloSeen {
    fn of(hello: &Hello) -> Self {
        Self {
            version: hello.version,
            chain: hello.chain.0.to_hex(),
            roles: role_names(hello.roles),
            head_slot: hello.head.slot.0,
            final_slot: hello.final_slice.height.slot.0,
        }
    }
}

/// The names of roles.
pub(crate) fn role_names(roles: Roles) -> Vec<&'static str> {
    let all = [(Roles::VALIDATOR, "validator"), (Roles::TERMINAL, "terminal"), (Roles::DIAGNOSTICS, "diagnostics")];
    all.into_iter().filter(|(role, _)| roles.contains(*role)).map(|(_, name)| name).collect()
}

impl HandshakeReport {
    /// Whether all that was asked for came about.
    pub fn is_well(&self) -> bool {
        self.failure.is_none()
    }

    /// The phases, a line each, and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        line(&mut text, "peer", &self.address);
        line(&mut text, "next hop", &self.neighbor.words());
        let tcp = &self.tcp;
        let syns = if tcp.syns > 1 { format!(", {}", counted(tcp.syns.into(), "SYN")) } else { String::new() };
        let outcome = tcp.outcome.words();
        let outcome = if tcp.outcome == TcpOutcome::Open { paint.good(&outcome) } else { paint.bad(&outcome) };
        line(&mut text, "TCP", &format!("{outcome} after {}{syns}", micros(tcp.took_us)));
        if let Some(agreed) = &self.agreed {
            let figures = format!(
                "segments of {} bytes, path MTU {}, congestion window {}",
                agreed.segment_len_max, agreed.path_mtu, agreed.congestion_window
            );
            line(&mut text, "agreed", &figures);
        }
        if let Some(us) = self.keys_us {
            line(&mut text, "key exchange", &format!("{} after {} (Noise XX)", paint.good("done"), micros(us)));
        }
        if let (Some(us), Some(hello)) = (self.hello_us, &self.hello) {
            line(&mut text, "hello", &format!("after {}: {}", micros(us), hello.words()));
            line(&mut text, "chain", &hello.chain);
        }
        match &self.failure {
            Some(failure) => line(&mut text, "failed", &paint.bad(&failure.words())),
            None if self.keys_us.is_none() => {
                text.push_str("\nTCP alone was asked for: with --peer and --chain the session is tried too.\n");
            }
            None => {
                text.push_str("\nThe peer takes connections, has the key that was called, and is of the same chain.\n");
            }
        }
        text
    }
}

impl HelloSeen {
    fn words(&self) -> String {
        let Self { version, roles, head_slot, final_slot, .. } = self;
        format!("version {version}, {}, head in slot {head_slot}, final up to slot {final_slot}", roles.join(" and "))
    }
}

impl Neighbor {
    /// In plain words.
    pub fn words(&self) -> String {
        let what = |router: bool| if router { "the router" } else { "the peer" };
        match self {
            Self::Here => "this host itself".to_owned(),
            Self::Found { hop, router, hardware, took_us } => {
                let took = took_us.map_or_else(|| "known before".to_owned(), |us| format!("asked for {}", micros(us)));
                format!("{} {hop} at {hardware}, {took}", what(*router))
            }
            Self::Missing { hop, router } => format!("{} {hop} does not answer on this link", what(*router)),
            Self::Unknown => "not known here".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_session_means_what_was_heard_before_it() {
        let closed = Ended::Closed { reset: true };
        assert_eq!(before_keys(&closed, &[]), Failure::Stranger);
        assert_eq!(before_keys(&closed, b"HTTP"), Failure::Foreign { begins: "HTTP".to_owned() });
        let noise = Ended::Unreadable(StreamError::Handshake(HandshakeError::Noise));
        assert_eq!(before_keys(&noise, &[1]), Failure::OtherChain);
        let stranger = Ended::Unreadable(StreamError::Stranger);
        assert_eq!(before_keys(&stranger, b"\0a"), Failure::Foreign { begins: "\\x00a".to_owned() });
        assert_eq!(after_keys(&closed), Failure::ClosedAtLast);
    }
}
