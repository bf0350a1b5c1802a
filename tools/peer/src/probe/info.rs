//! `hpb peer info`: who and what a peer is, by its own word.

use hpb_types::message::diagnose::{Ask, Tell};
use serde::Serialize;

use super::clock::{self, ClockReport};
use super::handshake::{HandshakeReport, role_names};
use super::session::{NoAnswer, Session, Target};
use super::text::{Paint, line, micros};

/// Answers of the peer's clock.
const CLOCK_COUNT: u32 = 3;

/// A peer by its own word, but for its identity, which it has proven.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InfoReport {
    /// Where.
    pub address: String,
    /// Its identity, proven by the handshake.
    pub identity: String,
    /// Its software and that software's version.
    pub software: Option<String>,
    /// The version of its messages.
    pub version: Option<u8>,
    /// Its chain.
    pub chain: Option<String>,
    /// What it is.
    pub roles: Vec<&'static str>,
    /// What this program is to it.
    pub asker_roles: Vec<&'static str>,
    /// Its head: slot and index.
    pub head: Option<(u64, u32)>,
    /// Its latest final slice: slot and index.
    pub final_slice: Option<(u64, u32)>,
    /// Its open sessions with other validators, and how many others it knows.
    pub validators: Option<(u32, u32)>,
    /// Its other open sessions.
    pub terminals: Option<u32>,
    /// Since it started, in milliseconds.
    pub uptime_ms: Option<u64>,
    /// Its clock.
    pub clock: Option<ClockReport>,
    /// Why something is missing.
    pub missing: Option<String>,
}

/// Asks the peer who it is.
pub fn info(target: &Target, handshake: &HandshakeReport, session: &mut Session) -> InfoReport {
    let hello = handshake.hello.as_ref();
    let identity = target.credentials.as_ref().map(|credentials| credentials.peer.to_hex()).unwrap_or_default();
    let mut report = InfoReport {
        address: target.address.to_string(),
        identity,
        software: None,
        version: hello.map(|hello| hello.version),
        chain: hello.map(|hello| hello.chain.clone()),
        roles: hello.map(|hello| hello.roles.clone()).unwrap_or_default(),
        asker_roles: Vec::new(),
        head: None,
        final_slice: None,
        validators: None,
        terminals: None,
        uptime_ms: None,
        clock: None,
        missing: None,
    };
    match session.ask(&Ask::Info, target.patience) {
        Ok(Tell::Info(info)) => {
            report.software = Some(info.software.0.clone());
            report.asker_roles = role_names(info.roles);
            report.head = Some((info.head.slot.0, info.head.index));
            report.final_slice = Some((info.final_slice.height.slot.0, info.final_slice.height.index));
            report.validators = Some((info.validators, info.mesh));
            report.terminals = Some(info.terminals);
            report.uptime_ms = Some(info.uptime_ms);
        }
        Ok(_) => report.missing = Some("the peer answers what was not asked".to_owned()),
        Err(no) => report.missing = Some(no.words()),
    }
    match clock::clock(target, session, CLOCK_COUNT, std::time::Duration::ZERO) {
        Ok(clock) => report.clock = Some(clock),
        Err(NoAnswer::Silent) => {}
        Err(no) => report.missing = Some(no.words()),
    }
    report
}

impl InfoReport {
    /// Whether the peer said all of it.
    pub fn is_well(&self) -> bool {
        self.missing.is_none() && self.software.is_some()
    }

    /// A line each, and what it is worth.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut show = |label: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                line(&mut text, label, &value);
            }
        };
        let place = |(slot, index): (u64, u32)| format!("slot {slot}, slice {index}");
        show("peer", Some(self.address.clone()));
        show("identity", Some(self.identity.clone()));
        show("software", self.software.clone());
        show("version", self.version.map(|version| format!("{version} of the messages")));
        show("chain", self.chain.clone());
        show("roles", Some(self.roles.join(", ")));
        show("to it we are", Some(self.asker_roles.join(", ")));
        show("head", self.head.map(place));
        show("final", self.final_slice.map(place));
        show("validators", self.validators.map(|(open, known)| format!("{open} open of {known} others")));
        show("terminals", self.terminals.map(|count| count.to_string()));
        show("up for", self.uptime_ms.map(|ms| micros(ms.saturating_mul(1_000))));
        show(
            "clock",
            self.clock.as_ref().map(|clock| {
                let side = if clock.offset_us < 0 { "behind" } else { "ahead" };
                format!("{} {side}, within {}", micros(clock.offset_us.unsigned_abs()), micros(clock.within_us))
            }),
        );
        show("missing", self.missing.as_ref().map(|missing| paint.odd(missing)));
        text.push_str(
            "\nThe identity is proven; the rest is the peer's own word. Peers keep no scores of each other yet.\n",
        );
        text
    }
}
