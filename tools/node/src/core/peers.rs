//! Who is at the other end of each session, and so what it may say.

use std::collections::BTreeMap;

use hpb_toe::{Class, Group, SessionId};
use hpb_types::PublicKey;
use hpb_types::message::Roles;

/// The sessions that are open.
pub(super) struct Peers {
    validators: Vec<PublicKey>,
    /// Those who may look and measure.
    onlookers: Vec<PublicKey>,
    roles: BTreeMap<SessionId, Roles>,
    keys: BTreeMap<SessionId, PublicKey>,
    mesh: Vec<SessionId>,
    asked: usize,
}

impl Peers {
    pub(super) fn new(validators: Vec<PublicKey>, onlookers: Vec<PublicKey>) -> Self {
        Self { validators, onlookers, roles: BTreeMap::new(), keys: BTreeMap::new(), mesh: Vec::new(), asked: 0 }
    }

    /// Notes a session; the group that it belongs to, and the session that it takes the place of. A session that came in
    /// as a validator's but is not one of the known validators' has no role and no group: it may say hello.
    ///
    /// A validator has one session. A second one takes the first one's place: a validator that has started anew calls
    /// long before its old session is known to be dead.
    pub(super) fn open(
        &mut self,
        session: SessionId,
        peer: Option<PublicKey>,
        class: Class,
    ) -> (Option<Group>, Option<SessionId>) {
        let known = peer.is_some_and(|peer| self.validators.contains(&peer));
        let (roles, group) = match class {
            Class::Validator if known => (Roles::VALIDATOR, Some(Group::Validators)),
            Class::Terminal => (Roles::TERMINAL, Some(Group::Terminals)),
            Class::Validator | Class::Uplink | Class::Stream => (Roles::default(), None),
        };
        let looks = peer.is_some_and(|peer| self.onlookers.contains(&peer));
        self.roles.insert(session, if looks { roles | Roles::DIAGNOSTICS } else { roles });
        let mut replaced = None;
        if group == Some(Group::Validators) {
            replaced = self.mesh.iter().copied().find(|other| *other != session && self.key(*other) == peer);
            self.mesh.push(session);
            self.keys.extend(peer.map(|peer| (session, peer)));
        }
        (group, replaced)
    }

    pub(super) fn close(&mut self, session: SessionId) {
        self.roles.remove(&session);
        self.keys.remove(&session);
        self.mesh.retain(|other| *other != session);
    }

    pub(super) fn roles(&self, session: SessionId) -> Option<Roles> {
        self.roles.get(&session).copied()
    }

    /// Which validator a session is with.
    pub(super) fn key(&self, session: SessionId) -> Option<PublicKey> {
        self.keys.get(&session).copied()
    }

    /// A validator to ask, another each time.
    pub(super) fn next_to_ask(&mut self) -> Option<SessionId> {
        self.asked = self.asked.wrapping_add(1);
        self.mesh.get(self.asked.checked_rem(self.mesh.len())?).copied()
    }

    /// Sessions that are open.
    pub(super) fn open_count(&self) -> usize {
        self.roles.len()
    }

    /// Other validators, whether there is a session with them or not.
    pub(super) fn validators_known(&self) -> usize {
        self.validators.len()
    }

    pub(super) fn validators_open(&self) -> usize {
        self.mesh.len()
    }
}
