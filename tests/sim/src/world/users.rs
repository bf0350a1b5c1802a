//! The users of a scripted world: what they send to their nodes, and what these tell them.

use hpb_base::Instant;
use hpb_node::core::Input;
use hpb_types::message::kind;
use hpb_types::{Message, Transaction};

use super::{USERS, World};
use crate::audience::Audience;
use crate::cast::Cast;
use crate::checkers::{Checker, Checkers};
use crate::node::Node;
use crate::queue::Event;

impl World {
    /// Who takes part.
    pub fn cast(&self) -> &Cast {
        &self.cast
    }

    /// How far it is, on the true clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// What is looked at.
    pub fn checkers(&self) -> &Checkers {
        &self.checkers
    }

    /// What users were told, in a scripted world.
    pub fn audience(&self) -> Option<&Audience> {
        self.script.as_ref().map(|script| &script.audience)
    }

    /// Judges whether every accepted transaction came to an end, and notes it as a failure if not.
    pub fn judge_audience(&mut self) {
        let Some(script) = &mut self.script else { return };
        if let Some(what) = script.audience.judge_ends(&self.checkers) {
            self.checkers.fail(Checker::Told, self.now, || what);
        }
    }

    /// A user's turn.
    pub(super) fn submit_by_script(&mut self) {
        let Some(script) = &mut self.script else { return };
        if let Some(at) = script.crowd.next_at(self.now) {
            self.queue.put(at, Event::Submit);
        }
        let nodes = &self.nodes;
        let is_up = |index: usize| nodes.get(index).is_some_and(|node| node.core.is_some());
        let Some((index, transaction)) = script.crowd.transaction(&self.cast, self.now, is_up) else { return };
        script.audience.submitted(self.now, index, &transaction);
        self.hand_in(index, transaction);
    }

    /// A node is back: its users send again what they don't know the end of.
    pub(super) fn send_again(&mut self, index: usize) {
        let open = self.script.as_mut().map_or_else(Vec::new, |script| script.audience.send_again(index));
        for transaction in open {
            self.hand_in(index, transaction);
        }
    }

    fn hand_in(&mut self, index: usize, transaction: Transaction) {
        let body = Message::SubmitTransaction(Box::new(transaction)).encode();
        self.give(index, Input::Message { session: USERS, kind: kind::SUBMIT_TRANSACTION, body });
    }

    /// A node tells its users something.
    pub(super) fn hear(&mut self, index: usize, message: &[u8]) {
        let Some(script) = &mut self.script else { return };
        let Some((kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { return };
        match Message::decode(*kind, body) {
            Ok(Message::Digest(digest)) => script.audience.digest(self.now, index, &digest),
            Ok(Message::TransactionStatus(status)) => {
                script.audience.status(index, &status);
                self.trace
                    .line(self.now, || format!("node {index} tells of transaction {}: {:?}", status.id, status.status));
            }
            _ => {}
        }
    }

    /// Compares what users were told with what the checkers know.
    pub(super) fn look_at_audience(&mut self) {
        let Some(script) = &mut self.script else { return };
        if let Some(what) = script.audience.check(&self.checkers) {
            self.checkers.fail(Checker::Told, self.now, || what);
        }
    }
}
