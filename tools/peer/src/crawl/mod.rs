//! A walk over the network: from one node to those that it has sessions with, and on from these, until nobody new is
//! named. The machine decides whom to ask next and what the answers come to; it has no I/O.
//!
//! A node that called another knows where that one listens. Where nobody did, the address of a session is tried with the
//! port of the first node, and the node says so if that leads nowhere.

mod network;
mod picture;
mod walk;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hpb_base::limits::CRAWL_NODES_MAX;
use hpb_types::PublicKey;

pub use network::{Edge, Network, Node, NodeState, VERSION};
pub use picture::picture;
pub use walk::walk;

use crate::probe::info::InfoReport;

/// A session that a node told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTold {
    /// Who is at its other end.
    pub peer: PublicKey,
    /// That end's address.
    pub remote: SocketAddr,
    /// Whether the teller called: then the other one listens there.
    pub called: bool,
    /// The smoothed round trip in microseconds; 0 before the first was measured.
    pub round_trip_us: u32,
}

/// What is known of a node.
#[derive(Default)]
struct Known {
    /// Where it listens, by somebody who called it.
    listens: Option<SocketAddr>,
    /// Where it may listen.
    may_listen: Option<SocketAddr>,
    /// Where it was called.
    called: Option<SocketAddr>,
    found: Option<Result<InfoReport, String>>,
}

/// The walk. See the module.
pub struct Crawl {
    asker: PublicKey,
    port: u16,
    order: Vec<PublicKey>,
    nodes: BTreeMap<PublicKey, Known>,
    /// By the two ends, the lower key first: the round trip that each end tells, and which of the two called.
    edges: BTreeMap<(PublicKey, PublicKey), EdgeKnown>,
    /// Nodes that found no room.
    left_out: u64,
}

#[derive(Clone, Copy, Default)]
struct EdgeKnown {
    round_trips_us: [Option<u32>; 2],
    caller: Option<usize>,
}

impl Crawl {
    /// A walk of `asker`, whose own sessions are left out, that begins at the node with this key, which listens there.
    pub fn new(asker: PublicKey, key: PublicKey, address: SocketAddr) -> Self {
        let known = Known { listens: Some(address), ..Known::default() };
        Self {
            asker,
            port: address.port(),
            order: vec![key],
            nodes: BTreeMap::from([(key, known)]),
            edges: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// Whom to ask next; `None` when nobody is left who can be.
    pub fn next_call(&mut self) -> Option<(PublicKey, SocketAddr)> {
        for key in &self.order {
            let known = self.nodes.get_mut(key)?;
            let is_answered = matches!(known.found, Some(Ok(_)));
            let at = known.listens.or(known.may_listen);
            // One that was tried at a guessed place is tried again where it does listen.
            if let Some(at) = at.filter(|at| !is_answered && known.called != Some(*at)) {
                known.called = Some(at);
                return Some((*key, at));
            }
        }
        None
    }

    /// The node answered: who it is, and its sessions with nodes.
    pub fn answered(&mut self, key: PublicKey, info: InfoReport, sessions: &[SessionTold]) {
        for told in sessions.iter().filter(|told| told.peer != key && told.peer != self.asker) {
            let is_known = self.nodes.contains_key(&told.peer);
            if !is_known && self.order.len() == CRAWL_NODES_MAX {
                self.left_out += 1;
                continue;
            }
            if !is_known {
                self.order.push(told.peer);
            }
            let peer = self.nodes.entry(told.peer).or_default();
            if told.called {
                peer.listens.get_or_insert(told.remote);
            } else {
                peer.may_listen.get_or_insert(SocketAddr::new(told.remote.ip(), self.port));
            }
            let own = usize::from(key > told.peer);
            let ends = if own == 0 { (key, told.peer) } else { (told.peer, key) };
            let edge = self.edges.entry(ends).or_default();
            edge.round_trips_us[own] = Some(told.round_trip_us);
            edge.caller = edge.caller.or(Some(if told.called { own } else { 1 - own }));
        }
        if let Some(known) = self.nodes.get_mut(&key) {
            known.found = Some(Ok(info));
        }
    }

    /// The node could not be asked.
    pub fn failed(&mut self, key: PublicKey, reason: String) {
        if let Some(known) = self.nodes.get_mut(&key) {
            known.found = Some(Err(reason));
        }
    }

    /// How many nodes are known.
    pub fn known(&self) -> usize {
        self.order.len()
    }

    /// What was found.
    pub fn finish(mut self) -> Network {
        let place: BTreeMap<PublicKey, usize> = self.order.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        let nodes =
            self.order.iter().map(|key| network::node(key, self.nodes.remove(key).unwrap_or_default())).collect();
        let edges = self.edges.iter().filter_map(|((low, high), edge)| {
            let (a, b) = (*place.get(low)?, *place.get(high)?);
            let [a_round_trip_us, b_round_trip_us] = edge.round_trips_us;
            let caller = edge.caller.map(|caller| if caller == 0 { a } else { b });
            Some(Edge { a, b, a_round_trip_us, b_round_trip_us, caller })
        });
        Network { version: VERSION, edges: edges.collect(), nodes, left_out: self.left_out }
    }
}

#[cfg(test)]
pub(crate) mod tests;
