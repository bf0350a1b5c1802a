//! What a walk found: nodes and the sessions between them, as JSON, as Graphviz, and in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hpb_types::PublicKey;
use serde::{Deserialize, Serialize};

use super::Known;
use crate::sessions::micros;

/// The version of the layout.
pub const VERSION: u32 = 1;
/// Nodes up to which round trips stand in a square.
const SQUARE_NODES_MAX: usize = 16;
/// Digits of a key where it names a node.
const KEY_DIGITS: usize = 8;

/// Whether a node told of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It did.
    Answered,
    /// It was called, and did not.
    Silent,
    /// Nobody knows where it listens.
    Unplaced,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its identity.
    pub key: String,
    /// Where it was called, or would be.
    pub address: Option<String>,
    /// Whether it told of itself.
    pub state: NodeState,
    /// Why it did not.
    pub reason: Option<String>,
    /// Its software and that software's version.
    pub software: Option<String>,
    /// The version of its messages.
    pub version: Option<u8>,
    /// Its chain.
    pub chain: Option<String>,
    /// Its head: slot and index.
    pub head: Option<(u64, u32)>,
    /// Its clock beyond the asker's, in microseconds.
    pub clock_offset_us: Option<i64>,
}

/// A session between two nodes, named by their places in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Edge {
    /// One end.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// The round trip that the one end tells, in microseconds; none if it told of no session.
    pub a_round_trip_us: Option<u32>,
    /// The same of the other end.
    pub b_round_trip_us: Option<u32>,
    /// Which of them called.
    pub caller: Option<usize>,
}

/// All that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Network {
    /// [`VERSION`].
    pub version: u32,
    /// The nodes, in the order in which they were named.
    pub nodes: Vec<Node>,
    /// The sessions between them.
    pub edges: Vec<Edge>,
    /// Nodes that found no room.
    pub left_out: u64,
}

pub(super) fn node(key: &PublicKey, known: Known) -> Node {
    let address = known.called.or(known.listens).or(known.may_listen).map(|address| address.to_string());
    let is_called = known.called.is_some();
    let (info, reason) = match known.found {
        Some(Ok(info)) => (Some(info), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, (!is_called).then(|| "nobody who was asked knows where it listens".to_owned())),
    };
    let state = match (&info, is_called) {
        (Some(_), _) => NodeState::Answered,
        (None, true) => NodeState::Silent,
        (None, false) => NodeState::Unplaced,
    };
    let info = info.as_ref();
    Node {
        key: key.to_hex(),
        address,
        state,
        reason,
        software: info.and_then(|info| info.software.clone()),
        version: info.and_then(|info| info.version),
        chain: info.and_then(|info| info.chain.clone()),
        head: info.and_then(|info| info.head),
        clock_offset_us: info.and_then(|info| info.clock.as_ref()).map(|clock| clock.offset_us),
    }
}

impl Edge {
    /// The shorter of the two round trips that were measured, in microseconds.
    pub fn round_trip_us(&self) -> Option<u32> {
        [self.a_round_trip_us, self.b_round_trip_us].into_iter().flatten().filter(|us| *us > 0).min()
    }
}

impl Network {
    /// Whether every node told of itself, of one chain and one version.
    pub fn is_well(&self) -> bool {
        let all = self.nodes.iter().all(|node| node.state == NodeState::Answered);
        all && self.left_out == 0 && self.kinds(|node| node.chain.clone()).len() <= 1
    }

    /// A node's short name: the first digits of its key.
    pub fn name(&self, place: usize) -> &str {
        self.nodes.get(place).map_or("", |node| node.key.get(..KEY_DIGITS).unwrap_or(&node.key))
    }

    /// As Graphviz reads it.
    pub fn dot(&self) -> String {
        let mut dot = "graph network {\n  node [shape=box, fontname=\"sans-serif\"];\n".to_owned();
        for (place, node) in self.nodes.iter().enumerate() {
            let style = if node.state == NodeState::Answered { "solid" } else { "dashed" };
            let at = node.address.as_deref().unwrap_or("");
            let _ = writeln!(dot, "  n{place} [label=\"{}\\n{at}\", style={style}];", self.name(place));
        }
        for edge in &self.edges {
            let label = edge.round_trip_us().map_or(String::new(), |us| micros(us.into()));
            let _ = writeln!(dot, "  n{} -- n{} [label=\"{label}\"];", edge.a, edge.b);
        }
        dot + "}\n"
    }

    /// The nodes, the round trips between them, and what is odd, in words.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:>3}  {:<10}{:<26}{:<10}{:<14}{:<12}{}\n",
            "", "node", "address", "", "head", "clock", "software"
        );
        for (place, node) in self.nodes.iter().enumerate() {
            let head = node.head.map_or(String::new(), |(slot, index)| format!("{slot}.{index}"));
            let clock = node
                .clock_offset_us
                .map_or(String::new(), |us| format!("{}{}", if us < 0 { "-" } else { "+" }, micros(us.unsigned_abs())));
            let state = match node.state {
                NodeState::Answered => "answered",
                NodeState::Silent => "silent",
                NodeState::Unplaced => "unplaced",
            };
            let rest = node.reason.as_deref().or(node.software.as_deref()).unwrap_or("");
            let address = node.address.as_deref().unwrap_or("-");
            let name = self.name(place);
            let _ = writeln!(text, "{place:>3}  {name:<10}{address:<26}{state:<10}{head:<14}{clock:<12}{rest}");
        }
        text.push('\n');
        if self.nodes.len() <= SQUARE_NODES_MAX {
            self.square(&mut text);
        } else {
            self.list(&mut text);
        }
        text.push('\n');
        text.push_str(&self.words());
        text
    }

    /// Round trips from each row's node to each column's, as the row's node tells them.
    fn square(&self, text: &mut String) {
        let _ = write!(text, "round trips{:<4}", "");
        for place in 0..self.nodes.len() {
            let _ = write!(text, "{place:>9}");
        }
        text.push('\n');
        for from in 0..self.nodes.len() {
            let _ = write!(text, "{from:>3}  {:<10}", self.name(from));
            for to in 0..self.nodes.len() {
                let cell = self.edges.iter().find_map(|edge| match (edge.a == from, edge.b == to) {
                    (true, true) => Some(edge.a_round_trip_us),
                    _ if edge.a == to && edge.b == from => Some(edge.b_round_trip_us),
                    _ => None,
                });
                let cell = match cell {
                    Some(Some(0)) => "open".to_owned(),
                    Some(Some(us)) => micros(us.into()),
                    Some(None) => "?".to_owned(),
                    None => if from == to { "·" } else { "-" }.to_owned(),
                };
                let _ = write!(text, "{cell:>9}");
            }
            text.push('\n');
        }
    }

    fn list(&self, text: &mut String) {
        for edge in &self.edges {
            let told = |us: Option<u32>| us.map_or("?".to_owned(), |us| micros(us.into()));
            let (a, b) = (told(edge.a_round_trip_us), told(edge.b_round_trip_us));
            let _ = writeln!(text, "{:>4} - {:<4}  {a:>9} {b:>9}", edge.a, edge.b);
        }
    }

    fn words(&self) -> String {
        let count = |state| self.nodes.iter().filter(|node| node.state == state).count();
        let (answered, silent, unplaced) =
            (count(NodeState::Answered), count(NodeState::Silent), count(NodeState::Unplaced));
        let mut text = format!(
            "{} nodes: {answered} answered, {silent} were called and did not, {unplaced} are known by name alone; {} sessions \
             between them.\n",
            self.nodes.len(),
            self.edges.len()
        );
        if self.left_out > 0 {
            let _ = writeln!(text, "{} more were named and found no room.", self.left_out);
        }
        // An end that answered and did not name the session.
        let is_one_sided = |edge: &&Edge| {
            let misses = |place: usize, told: Option<u32>| {
                told.is_none() && self.nodes.get(place).is_some_and(|node| node.state == NodeState::Answered)
            };
            misses(edge.a, edge.a_round_trip_us) || misses(edge.b, edge.b_round_trip_us)
        };
        for edge in self.edges.iter().filter(is_one_sided) {
            let (a, b) = (self.name(edge.a), self.name(edge.b));
            let _ = writeln!(
                text,
                "Only one of {a} and {b} has a session with the other: it opened or ended just now, or hangs."
            );
        }
        let chains = self.kinds(|node| node.chain.clone());
        if chains.len() > 1 {
            let _ = writeln!(text, "They are of {} chains: {}.", chains.len(), chains.join(", "));
        }
        let versions = self.kinds(|node| node.software.clone());
        if versions.len() > 1 {
            let _ = writeln!(text, "They run {} versions: {}.", versions.len(), versions.join(", "));
        }
        let slots: Vec<u64> = self.nodes.iter().filter_map(|node| Some(node.head?.0)).collect();
        if let (Some(low), Some(high)) = (slots.iter().min(), slots.iter().max()) {
            let _ = writeln!(text, "Heads lie in slots {low} to {high}; each was asked at a time of its own.");
        }
        text
    }

    fn kinds(&self, of: impl Fn(&Node) -> Option<String>) -> Vec<String> {
        let kinds: BTreeSet<String> = self.nodes.iter().filter_map(of).collect();
        kinds.into_iter().collect()
    }
}
