//! Sessions between the machines of a world, and the messages that cross them.

use std::sync::Arc;

use hpb_base::Duration;
use hpb_node::core::Input;
use hpb_toe::{Class, SessionId};
use hpb_types::Message;
use hpb_types::message::kind;

use super::{MESH_EVERY, World};
use crate::byzantine::{Behaviour, Liar, Words};
use crate::cast::Cast;
use crate::faults::{Kind, Nodes};
use crate::queue::Event;
use crate::trace::Tag;

impl World {
    pub(super) fn link(&self, from: usize, to: usize) -> usize {
        from * self.nodes.len() + to
    }

    /// Every pair without a session tries to open one.
    pub(super) fn mesh(&mut self) {
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                let (there, back) = (self.link(one, other), self.link(other, one));
                if self.may_talk(one, other)
                    && !self.links[there].open
                    && !self.links[back].open
                    && !self.dialing[there]
                {
                    self.dialing[there] = true;
                    let took = Duration::from_micros(2_000 + self.random.below(80_000));
                    self.queue.put(self.now + took, Event::Opened { one, other });
                }
            }
        }
        self.queue.put(self.now + MESH_EVERY, Event::Mesh);
    }

    /// Whether a session between the two can come up.
    fn may_talk(&self, one: usize, other: usize) -> bool {
        let (there, back) = (&self.links[self.link(one, other)], &self.links[self.link(other, one)]);
        let is_up = |index: usize| self.nodes[index].core.is_some();
        is_up(one) && is_up(other) && self.know_each_other(one, other) && there.stop.is_none() && back.stop.is_none()
    }

    /// Whether a session between two machines can be: a twin's cores each have their own part of the others, and none
    /// with each other; two twins' first cores talk, and so do their second ones.
    pub(super) fn know_each_other(&self, one: usize, other: usize) -> bool {
        let talks_to_second = |machine: usize, peer: usize| {
            let (own, peer) = (self.nodes[machine].number, self.nodes[peer].number);
            self.behaviours(peer).any(|behaviour| match behaviour {
                Behaviour::Twin { second } => {
                    if self.second.contains_key(&own)
                        && self.behaviours(own).any(|own| matches!(own, Behaviour::Twin { .. }))
                    {
                        machine >= self.plan.nodes
                    } else {
                        second.contains(own)
                    }
                }
                _ => false,
            })
        };
        let is_second = |machine: usize| machine >= self.plan.nodes;
        self.nodes[one].number != self.nodes[other].number
            && talks_to_second(one, other) == is_second(other)
            && talks_to_second(other, one) == is_second(one)
    }

    /// How a node lies now.
    pub(super) fn behaviours(&self, number: usize) -> impl Iterator<Item = Behaviour> + '_ {
        let faults = self.active.iter().zip(&self.plan.schedule.faults).filter(|(active, _)| **active);
        faults.filter_map(move |(_, fault)| match fault.kind {
            Kind::Byzantine { node, behaviour } if node == number => Some(behaviour),
            _ => None,
        })
    }

    /// Ends the sessions between machines that don't know each other any more.
    pub(super) fn part(&mut self) {
        self.refresh_wire();
        for one in 0..self.nodes.len() {
            for other in 0..self.nodes.len() {
                if one != other && !self.know_each_other(one, other) {
                    self.break_session(one, other);
                }
            }
        }
    }

    pub(super) fn opened(&mut self, one: usize, other: usize) {
        let (there, back) = (self.link(one, other), self.link(other, one));
        self.dialing[there] = false;
        if !self.may_talk(one, other) || self.links[there].open || self.links[back].open {
            return;
        }
        let generation = self.links[there].generation.max(self.links[back].generation) + 1;
        for (own, peer, link) in [(one, other, there), (other, one, back)] {
            self.links[link].open = true;
            self.links[link].generation = generation;
            self.trace.note(self.now, Tag::Opened, own, peer as u64, &[]);
            let identity = self.cast.nodes[self.nodes[peer].number].identity;
            let session = SessionId { index: peer as u32, generation };
            self.give(own, Input::Opened { session, peer: Some(identity), class: Class::Validator });
        }
        self.trace.line(self.now, || format!("nodes {one} and {other} have a session"));
    }

    /// `peer` learns a little later that its session with `index` is gone.
    pub(super) fn break_session(&mut self, index: usize, peer: usize) {
        let link = self.link(peer, index);
        if self.links[link].open {
            let generation = self.links[link].generation;
            let after = Duration::from_micros(self.random.below(60_000));
            self.queue.put(self.now + after, Event::Closed { machine: peer, peer: index, generation });
        }
    }

    pub(super) fn closed(&mut self, index: usize, peer: usize, generation: u32) {
        let link = self.link(index, peer);
        if !self.links[link].open || self.links[link].generation != generation {
            return;
        }
        self.links[link].close();
        self.trace.note(self.now, Tag::Closed, index, peer as u64, &[]);
        self.give(index, Input::Closed { session: SessionId { index: peer as u32, generation } });
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: &Arc<[u8]>) {
        let index = self.link(from, to);
        if !self.links[index].open {
            return;
        }
        let is_confirm = message.get(4) == Some(&kind::CONFIRM);
        if is_confirm && self.next_alone_hear.is_some_and(|nodes| !nodes.contains(self.nodes[to].number)) {
            return self.unheard.push((from, to, Arc::clone(message)));
        }
        let link = &mut self.links[index];
        let (queue, generation) = (&mut self.queue, link.generation);
        link.send(self.now, message, &mut |at, message| {
            queue.put(at, Event::Deliver { from, to, generation, message });
        });
    }

    /// Sends a message to those of the nodes that are among a machine's validators.
    pub(super) fn broadcast(&mut self, from: usize, nodes: Nodes, message: &Arc<[u8]>) {
        if self.cards.is_some() {
            return self.send_over_card(from, nodes, message);
        }
        for to in 0..self.nodes.len() {
            let link = self.link(from, to);
            if self.links[link].joined && nodes.contains(self.nodes[to].number) {
                self.send(from, to, message);
            }
        }
    }

    /// Sends what a liar says.
    pub(super) fn lie(&mut self, index: usize, words: impl FnOnce(&mut Liar, &Cast, &[Behaviour]) -> Words) {
        let number = self.nodes[index].number;
        let behaviours: Vec<Behaviour> = self.behaviours(number).collect();
        let Some(liar) = self.liars.get_mut(&number) else { return };
        for (nodes, message) in words(liar, &self.cast, &behaviours) {
            self.observe(index, &message);
            self.broadcast(index, nodes, &message);
        }
    }

    pub(super) fn deliver(&mut self, from: usize, to: usize, generation: u32, message: &[u8]) {
        let link = &self.links[self.link(to, from)];
        if !link.open || link.generation != generation {
            return;
        }
        let Some((kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { return };
        self.trace.note(self.now, Tag::Arrived, to, from as u64, &message[4..5]);
        if !self.is_correct(to) {
            self.lie(to, |liar, cast, behaviours| liar.heard(cast, behaviours, message));
        }
        let session = SessionId { index: from as u32, generation };
        self.give(to, Input::Message { session, kind: *kind, body: body.to_vec() });
    }

    /// What a node sends, if it is a slice that none has sent before. One that was on disk when its producer ended leaves
    /// when that shows a peer what it builds on.
    pub(super) fn observe(&mut self, index: usize, message: &[u8]) {
        let Some((kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { return };
        if *kind == kind::SLICE_BUNDLE
            && let Ok(Message::SliceBundle(bundle)) = Message::decode(*kind, body)
            && self.checkers.sent(&bundle.slice.id()).is_none()
        {
            self.trace.line(self.now, || {
                let transactions = bundle.transactions.len();
                let (slice, source) = (bundle.slice.reference(), bundle.slice.body.source.target);
                format!("node {index} sends slice {slice} with {transactions} transactions, source {source}")
            });
            self.checkers.slice(&bundle);
        }
    }
}
