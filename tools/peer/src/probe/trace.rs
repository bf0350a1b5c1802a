//! `hpb peer trace`: the routers on the way to a peer's port, by SYNs whose hops are used up on the way. What a firewall
//! lets through to the port is what is traced, and an ordinary user may do it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use super::connect::{self, How, TcpOutcome};
use super::session::Target;
use super::text::{Paint, line, micros};

/// SYNs of one hop.
const SYNS_PER_HOP: usize = 3;
/// The farthest hop that may be asked for.
pub const HOPS_MAX: u8 = 64;
/// Hops in a row that say nothing before the rest is given up.
const SILENT_MAX: usize = 8;

/// One hop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hop {
    /// How far it is.
    pub number: u8,
    /// Who answered; a path may branch.
    pub by: Vec<IpAddr>,
    /// What each SYN took, in microseconds; none where nothing came back.
    pub took_us: Vec<Option<u64>>,
    /// What the end of the way said, where this is it.
    pub end: Option<TcpOutcome>,
}

/// The way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TraceReport {
    /// To where.
    pub address: String,
    /// The hops.
    pub hops: Vec<Hop>,
    /// Whether the peer's host answered.
    pub reached: bool,
}

/// Traces the way to the target's port, `hops_max` hops at most; each hop is waited for as long as `patience`.
pub fn trace(target: &Target, hops_max: u8, patience: Duration) -> TraceReport {
    let mut report = TraceReport { address: target.address.to_string(), hops: Vec::new(), reached: false };
    for number in 1..=hops_max.min(HOPS_MAX) {
        let hop = ask(target.address, number, patience);
        report.reached = hop.end.as_ref().is_some_and(|end| matches!(end, TcpOutcome::Open | TcpOutcome::Refused));
        let is_end = hop.end.is_some();
        report.hops.push(hop);
        let silent = report.hops.iter().rev().take_while(|hop| hop.by.is_empty()).count();
        if is_end || silent >= SILENT_MAX {
            break;
        }
    }
    report
}

fn ask(address: SocketAddr, number: u8, patience: Duration) -> Hop {
    let how = How { hops: Some(number), ..How::usual(patience) };
    let mut hop = Hop { number, by: Vec::new(), took_us: vec![None; SYNS_PER_HOP], end: None };
    for (index, answer) in connect::answers(&[address; SYNS_PER_HOP], &how).into_iter().enumerate() {
        if let Some((took_us, outcome)) = answer {
            hop.answered(index, took_us, address.ip(), outcome);
        }
    }
    hop
}

impl Hop {
    fn answered(&mut self, index: usize, took_us: u64, peer: IpAddr, outcome: TcpOutcome) {
        let by = match &outcome {
            TcpOutcome::Expired { by } | TcpOutcome::Prohibited { by, .. } => Some(*by),
            TcpOutcome::Open | TcpOutcome::Refused => Some(peer),
            TcpOutcome::Unreachable { by, .. } => *by,
            TcpOutcome::Silent | TcpOutcome::Failed { .. } => None,
        };
        if !matches!(outcome, TcpOutcome::Expired { .. }) {
            self.end = Some(outcome);
        }
        self.took_us[index] = Some(took_us);
        if let Some(by) = by.filter(|by| !self.by.contains(by)) {
            self.by.push(by);
        }
    }
}

impl TraceReport {
    /// The hops, a line each, and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        line(&mut text, "peer", &self.address);
        for hop in &self.hops {
            let by: Vec<String> = hop.by.iter().map(ToString::to_string).collect();
            let took = hop.took_us.iter().map(|took| took.map_or_else(|| "*".to_owned(), micros)).collect::<Vec<_>>();
            let by = if by.is_empty() { "no answer".to_owned() } else { by.join(", ") };
            let end = hop.end.as_ref().map_or_else(String::new, |end| {
                let words = end.words();
                format!("  {}", if self.reached { paint.good(&words) } else { paint.bad(&words) })
            });
            line(&mut text, &format!("hop {}", hop.number), &format!("{by:<24} {}{end}", took.join("  ")));
        }
        text.push('\n');
        text.push_str(&self.explanation());
        text.push('\n');
        text
    }

    fn explanation(&self) -> String {
        let last = self.hops.iter().rev().find(|hop| !hop.by.is_empty());
        match (self.reached, last) {
            (true, Some(hop)) if hop.number == 1 => "The peer is on this link: no router stands between.".to_owned(),
            (true, Some(hop)) => format!("The peer is {} hops away.", hop.number),
            (false, Some(Hop { end: Some(TcpOutcome::Prohibited { by, .. }), .. })) => {
                format!("SYNs for the port get as far as {by}, which says that a rule forbids them.")
            }
            (false, Some(hop)) => format!(
                "SYNs for the port get as far as {}, and nothing answers behind it: what follows drops them.",
                hop.by[0]
            ),
            _ => "Nobody on the way answers, and neither does the peer: see `hpb peer doctor`.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_hop_knows_who_answered_and_whether_the_way_ends_there() {
        let (peer, router): (IpAddr, IpAddr) = ("10.0.0.9".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let mut hop = Hop { number: 1, by: Vec::new(), took_us: vec![None; SYNS_PER_HOP], end: None };
        hop.answered(0, 70, peer, TcpOutcome::Expired { by: router });
        hop.answered(2, 90, peer, TcpOutcome::Expired { by: router });
        assert_eq!(
            (hop.by.as_slice(), hop.took_us.as_slice(), &hop.end),
            (&[router][..], &[Some(70), None, Some(90)][..], &None)
        );
        hop.answered(1, 80, peer, TcpOutcome::Refused);
        assert_eq!((hop.by.len(), hop.end.clone()), (2, Some(TcpOutcome::Refused)));
        let report = TraceReport { address: "10.0.0.9:7".to_owned(), hops: vec![hop], reached: true };
        assert!(report.text(Paint(false)).contains("on this link"));
    }
}
