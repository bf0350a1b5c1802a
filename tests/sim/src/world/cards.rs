//! What cards tell cores and cores command cards, in a world whose cards are whole.

use std::sync::Arc;

use hpb_net::wire::LinkConfig;
use hpb_node::core::Input;
use hpb_toe::framing::framed;
use hpb_toe::{Command, Group, Identity, Priority, SessionId};

use super::{USERS, World};
use crate::cards::{Cards, Start, Told};
use crate::cast::identity_seed;
use crate::checkers::Checker;
use crate::faults::Nodes;
use crate::trace::Tag;

impl World {
    /// Lays the wire, if the plan has whole cards.
    pub(super) fn lay_wire(&mut self) {
        if !self.plan.whole_cards {
            return;
        }
        match Cards::new(self.plan.seed, self.nodes.len()) {
            Ok(cards) => self.cards = Some(cards),
            Err(error) => self.checkers.fail(Checker::Runs, self.now, || format!("no wire: {error}")),
        }
        self.refresh_wire();
    }

    /// Sets the wire to what the faults in force make of it. Machines that don't know each other hear nothing of each
    /// other.
    pub(super) fn refresh_wire(&mut self) {
        let Some(mut cards) = self.cards.take() else { return };
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                let config = self.links[self.link(from, to)].wire();
                let cut = config.cut || !self.know_each_other(from, to);
                cards.set_link(from, to, LinkConfig { cut, ..config });
            }
        }
        for machine in 0..self.nodes.len() {
            cards.ring(machine, self.now);
        }
        self.cards = Some(cards);
    }

    /// Powers up a machine's card. Of each pair, the one with the higher number calls.
    pub(super) fn start_card(&mut self, index: usize) {
        let Some(cards) = &mut self.cards else { return };
        let number = self.nodes[index].number;
        let others = (0..index).filter(|other| self.nodes[*other].number != number);
        let calls: Vec<_> = others.map(|other| (other, self.cast.nodes[self.nodes[other].number].identity)).collect();
        let identity = Arc::new(Identity::new(identity_seed(number), self.cast.genesis.chain_id()));
        let start = Start { identity, calls: &calls };
        if let Err(error) = cards.start(index, self.now, &self.nodes[index].clock, &start) {
            self.checkers.fail(Checker::Runs, self.now, || format!("the card of node {index} does not start: {error}"));
        }
    }

    /// A turn of a machine's card.
    pub(super) fn turn_card(&mut self, index: usize) {
        let Some(cards) = &mut self.cards else { return };
        let mut told = std::mem::take(&mut self.told);
        cards.turn(index, self.now, &self.nodes[index].clock, &mut told, &mut self.trace);
        for Told { peer, input } in told.drain(..) {
            match &input {
                Input::Opened { .. } => {
                    self.trace.note(self.now, Tag::Opened, index, peer as u64, &[]);
                    self.trace.line(self.now, || format!("node {index} has a session with node {peer}"));
                }
                Input::Closed { .. } => {
                    self.trace.note(self.now, Tag::Closed, index, peer as u64, &[]);
                    self.trace.line(self.now, || format!("node {index} has lost a session with node {peer}"));
                }
                Input::Message { kind, body, .. } => {
                    self.trace.note(self.now, Tag::Arrived, index, peer as u64, &[*kind]);
                    if !self.is_correct(index) {
                        let message = framed(*kind, body);
                        self.lie(index, |liar, cast, behaviours| liar.heard(cast, behaviours, &message));
                    }
                }
                _ => {}
            }
            self.give(index, input);
        }
        self.told = told;
    }

    /// What a core commands its card; a liar's own words take the place of what it broadcasts.
    pub(super) fn command_card(&mut self, index: usize, command: Command) {
        match &command {
            Command::Send { session, .. }
            | Command::Join { session, .. }
            | Command::Close { session }
            | Command::Part { session, .. }
                if *session == USERS =>
            {
                return;
            }
            Command::Send { session, message, .. } => {
                self.trace.note(self.now, Tag::Sent, index, session.index.into(), message);
                self.observe(index, message);
            }
            Command::Broadcast { group: Group::Validators, message, .. } => {
                self.trace.note(self.now, Tag::Sent, index, u64::MAX, message);
                self.observe(index, message);
                if !self.is_correct(index) {
                    return self.lie(index, |liar, cast, behaviours| liar.broadcast(cast, behaviours, message));
                }
            }
            _ => {}
        }
        if let Some(cards) = &mut self.cards {
            cards.command(index, self.now, &self.nodes[index].clock, command);
        }
    }

    /// Sends a message to those of the nodes that are among a machine's validators.
    pub(super) fn send_over_card(&mut self, from: usize, nodes: Nodes, message: &Arc<[u8]>) {
        let Some(cards) = &mut self.cards else { return };
        let sessions: Vec<SessionId> = cards
            .validators(from)
            .filter(|(_, to)| nodes.contains(self.nodes[*to].number))
            .map(|(session, _)| session)
            .collect();
        for session in sessions {
            let command = Command::Send { session, priority: Priority::Critical, message: Arc::clone(message) };
            cards.command(from, self.now, &self.nodes[from].clock, command);
        }
    }
}
