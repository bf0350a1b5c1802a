//! Validators that lie by script, so that a run shows what becomes of them (`--byzantine`).
//!
//! Once in a run such a validator makes two slices of one (slot, index): in the first slot of its own after its first
//! one, from the slot's second slice on, half of the other validators get what its core made, and the others a sibling
//! that says otherwise whether it is the slot's last. Both are valid and signed, and either may become final: only who
//! sees both has the proof. In all else it does what its core says.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_node::core::{Input, Outgoing};
use hpb_toe::framing::{MESSAGE_HEADER_LEN, framed};
use hpb_toe::{Class, Command, Group, SessionId};
use hpb_types::message::{Message, SliceBundle, kind};
use hpb_types::{KeyPair, PublicKey, Slice, Slot};

/// Slots in which it is honest first: its word is known, and every session is up.
const HONEST_SLOTS: u32 = 1;

/// Which of two slices a validator gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    /// The core's.
    Own,
    /// Its sibling.
    Sibling,
}

/// A validator's words on their way to its card, with a lie among them.
pub(crate) struct Equivocator {
    signer: KeyPair,
    versions: BTreeMap<PublicKey, Version>,
    sessions: BTreeMap<SessionId, Version>,
    /// The slot of its own whose slices left last, and how many there were before.
    slot: Option<Slot>,
    slots_before: u32,
    /// The slot in which it lies.
    lie: Option<Slot>,
}

impl Equivocator {
    /// The validator that signs with `signer`; `others` are the node identities of the others, in their order: the first
    /// half gets its core's slices, the second half the siblings.
    pub(crate) fn new(signer: KeyPair, others: &[PublicKey]) -> Self {
        let (first, second) = others.split_at(others.len() / 2);
        let of = |half: &[PublicKey], version| half.iter().map(move |peer| (*peer, version)).collect::<Vec<_>>();
        let versions = of(first, Version::Own).into_iter().chain(of(second, Version::Sibling)).collect();
        Self { signer, versions, sessions: BTreeMap::new(), slot: None, slots_before: 0, lie: None }
    }

    /// The bundle, if a sibling of it is to leave as well.
    fn lied_about(&mut self, message: &[u8]) -> Option<SliceBundle> {
        let (header, body) = message.split_at_checked(MESSAGE_HEADER_LEN)?;
        if header.last() != Some(&kind::SLICE_BUNDLE) {
            return None;
        }
        let Ok(Message::SliceBundle(bundle)) = Message::decode(kind::SLICE_BUNDLE, body) else { return None };
        let (slot, index) = (bundle.slice.body.slot, bundle.slice.body.index);
        if self.slot != Some(slot) {
            self.slots_before = self.slots_before.saturating_add(u32::from(self.slot.is_some()));
            self.slot = Some(slot);
        }
        let hears = |version| self.sessions.values().any(|other| *other == version);
        if self.lie.is_none()
            && self.slots_before >= HONEST_SLOTS
            && index > 0
            && hears(Version::Own)
            && hears(Version::Sibling)
        {
            self.lie = Some(slot);
        }
        (self.lie == Some(slot) && index > 0).then_some(*bundle)
    }

    /// The sibling of a slice.
    fn sibling(&self, bundle: SliceBundle) -> Arc<[u8]> {
        let SliceBundle { slice, transactions } = bundle;
        let mut body = slice.body;
        body.last = !body.last;
        let slice = Slice::sign(body, &self.signer);
        let message = Message::SliceBundle(Box::new(SliceBundle { slice, transactions }));
        framed(message.kind(), &message.encode()).into()
    }
}

impl Outgoing for Equivocator {
    fn heard(&mut self, input: &Input) {
        match input {
            Input::Opened { session, peer: Some(peer), class: Class::Validator } => {
                if let Some(version) = self.versions.get(peer) {
                    self.sessions.insert(*session, *version);
                }
            }
            Input::Closed { session } => {
                self.sessions.remove(session);
            }
            _ => {}
        }
    }

    fn leaving(&mut self, command: Command) -> Vec<Command> {
        let Command::Broadcast { group: Group::Validators, priority, message } = &command else { return vec![command] };
        let Some(bundle) = self.lied_about(message) else { return vec![command] };
        let sibling = self.sibling(bundle);
        let sent = self.sessions.iter().map(|(session, version)| {
            let message = if *version == Version::Own { message } else { &sibling };
            Command::Send { session: *session, priority: *priority, message: Arc::clone(message) }
        });
        sent.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_toe::Priority;
    use hpb_types::{
        AccountName, Beacon, Certificate, ChainId, Epoch, Hash, Height, NextSchedule, ResultsCommitment, SliceBody,
        SliceRef,
    };

    use super::*;

    fn key(number: u8) -> KeyPair {
        KeyPair::from_seed([number; 32])
    }

    fn session(index: u32) -> SessionId {
        SessionId { index, generation: 0 }
    }

    /// One of four validators; the others' sessions are up.
    fn liar() -> Equivocator {
        let others = [1, 2, 3].map(|number| key(number).public());
        let mut liar = Equivocator::new(key(9), &others);
        for (index, peer) in others.into_iter().enumerate() {
            let session = session(index as u32);
            liar.heard(&Input::Opened { session, peer: Some(peer), class: Class::Validator });
        }
        liar
    }

    fn broadcast(slot: u64, index: u32) -> Command {
        let parent = SliceRef { height: Height::default(), id: Hash([1; 32]) };
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: ChainId(Hash([2; 32])),
            epoch: Epoch(0),
            slot: Slot(slot),
            index,
            last: false,
            parent: parent.id,
            producer: AccountName::new("liar").unwrap(),
            transactions_root: Hash([3; 32]),
            results: ResultsCommitment { scheme: 0, hash: Hash([4; 32]) },
            source: Certificate::genesis(parent),
            beacon: Beacon::None,
            next: NextSchedule::None,
        };
        let slice = Slice::sign(body, &key(9));
        let message = Message::SliceBundle(Box::new(SliceBundle { slice, transactions: Vec::new() }));
        let message = framed(message.kind(), &message.encode()).into();
        Command::Broadcast { group: Group::Validators, priority: Priority::Critical, message }
    }

    fn slices(commands: &[Command]) -> Vec<(u32, Slice)> {
        let of = |command: &Command| {
            let Command::Send { session, message, .. } = command else { return None };
            match Message::decode(kind::SLICE_BUNDLE, &message[MESSAGE_HEADER_LEN..]) {
                Ok(Message::SliceBundle(bundle)) => Some((session.index, bundle.slice)),
                _ => None,
            }
        };
        commands.iter().filter_map(of).collect()
    }

    #[test]
    fn it_lies_in_its_second_slot_alone_from_the_second_slice_on() {
        let mut liar = liar();
        for (slot, index, lies) in [
            (3, 0, false),
            (3, 1, false),
            (7, 0, false),
            (7, 1, true),
            (7, 2, true),
            (11, 0, false),
            (11, 1, false),
            (15, 3, false),
        ] {
            let commands = liar.leaving(broadcast(slot, index));
            let sent = slices(&commands);
            assert_eq!(sent.len(), if lies { 3 } else { 0 }, "{slot}.{index}");
            assert_eq!(commands.len(), if lies { 3 } else { 1 }, "{slot}.{index}");
            let [(0, own), (1, sibling), (2, again)] = &sent[..] else { continue };
            assert_eq!(sibling, again);
            assert_ne!(own.id(), sibling.id());
            assert_eq!(
                (own.body.height(), own.body.parent, own.body.last),
                (sibling.body.height(), sibling.body.parent, !sibling.body.last)
            );
            assert_eq!(*sibling, Slice::sign(sibling.body.clone(), &key(9)), "signed by its own key");
        }
    }

    #[test]
    fn it_waits_until_both_halves_hear_it() {
        let mut liar = liar();
        liar.heard(&Input::Closed { session: session(0) });
        for slot in [3, 7, 11] {
            assert_eq!(liar.leaving(broadcast(slot, 1)).len(), 1, "nobody would get its own");
        }
        liar.heard(&Input::Opened { session: session(8), peer: Some(key(7).public()), class: Class::Validator });
        assert_eq!(liar.leaving(broadcast(15, 1)).len(), 1, "a stranger is no half");
        liar.heard(&Input::Opened { session: session(9), peer: Some(key(1).public()), class: Class::Validator });
        assert_eq!(slices(&liar.leaving(broadcast(19, 1))).len(), 3);
    }

    #[test]
    fn all_else_leaves_as_it_is() {
        let mut liar = liar();
        liar.leaving(broadcast(3, 1));
        let close = Command::Close { session: session(1) };
        assert!(matches!(liar.leaving(close)[..], [Command::Close { .. }]));
        let message: Arc<[u8]> = framed(kind::SLICE_BUNDLE, &[1, 2]).into();
        for group in [Group::Validators, Group::Terminals] {
            let word = Command::Broadcast { group, priority: Priority::Normal, message: Arc::clone(&message) };
            assert!(matches!(liar.leaving(word)[..], [Command::Broadcast { .. }]));
        }
    }
}
