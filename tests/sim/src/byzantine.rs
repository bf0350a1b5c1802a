//! Producers that lie: what a Byzantine node makes of its own core's words before they leave.
//!
//! It signs with its own key alone. A twin goes further: it runs two cores under one key, each of which talks to a part
//! of the others and believes itself honest; so it makes two slices of one (slot, index), and confirms both.

use std::fmt;
use std::sync::Arc;

use hpb_base::Random;
use hpb_toe::framing::framed;
use hpb_types::message::{SliceBundle, kind};
use hpb_types::{Confirm, ConfirmBody, Epoch, Hash, Message, PublicKey, Slice, SliceRef};

use crate::cast::Cast;
use crate::faults::Nodes;

/// A way to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// It runs two cores; these nodes talk to the second one.
    Twin {
        /// Who hears the second core.
        second: Nodes,
    },
    /// It keeps the last slices of its slots to itself.
    Withhold {
        /// How many, of as many as a slot can have.
        last: u32,
    },
    /// It sends its slices to these nodes alone.
    Partial {
        /// Who gets them.
        to: Nodes,
    },
    /// It sends these nodes other slices of the same (slot, index).
    Equivocate {
        /// Who gets the others.
        to: Nodes,
    },
    /// Its slices commit to results that nobody else finds, for some of the nodes.
    WrongResults,
    /// With each confirm it sends another at the same height to some of the nodes.
    TwoConfirms,
    /// Some of its confirms name genesis as their source, and so surround those before them.
    Surround,
    /// It confirms every slice as soon as it comes, valid or not.
    ConfirmAll,
    /// It sends old confirms again, its own and others'.
    Replay,
}

/// Words and who gets them.
pub type Words = Vec<(Nodes, Arc<[u8]>)>;

/// Old confirms that a liar keeps to send again.
const OLD_MAX: usize = 64;

/// One Byzantine node's own memory.
pub struct Liar {
    number: usize,
    random: Random,
    /// Which of its keys its core signs with.
    key: usize,
    old: Vec<Arc<[u8]>>,
}

impl Liar {
    /// The liar in node `number`.
    pub fn new(seed: u64, number: usize) -> Self {
        Self { number, random: Random::stream(seed, 500 + number as u64), key: 0, old: Vec::new() }
    }

    /// What leaves in place of `message`, which its core broadcasts.
    pub fn broadcast(&mut self, cast: &Cast, behaviours: &[Behaviour], message: &Arc<[u8]>) -> Words {
        let all = Nodes::all(cast.nodes.len());
        let mut words = vec![(all, Arc::clone(message))];
        match decode(message) {
            Some(Message::SliceBundle(bundle)) => {
                self.note_key(cast, |key| cast.signing.is_good_slice(&bundle.slice, key));
                for behaviour in behaviours {
                    self.slice(cast, *behaviour, &bundle, &mut words);
                }
            }
            Some(Message::Confirm(confirm)) => {
                self.note_key(cast, |key| cast.signing.is_good_confirm(&confirm, key));
                for behaviour in behaviours {
                    self.confirm(cast, *behaviour, &confirm, &mut words);
                }
            }
            _ => {}
        }
        words
    }

    /// What leaves because `message` came.
    pub fn heard(&mut self, cast: &Cast, behaviours: &[Behaviour], message: &[u8]) -> Words {
        let all = Nodes::all(cast.nodes.len());
        let mut words = Vec::new();
        if behaviours.contains(&Behaviour::ConfirmAll)
            && let Some(Message::SliceBundle(bundle)) = decode(message)
        {
            let (target, source) = (bundle.slice.reference(), bundle.slice.body.source.target);
            words.push((all, self.signed(cast, bundle.slice.body.epoch, source, target)));
        }
        if behaviours.contains(&Behaviour::Replay) && message.get(4) == Some(&kind::CONFIRM) {
            if self.old.len() < OLD_MAX {
                self.old.push(message.into());
            } else {
                let place = self.random.below(OLD_MAX as u64) as usize;
                if self.random.below(8) == 0 {
                    words.push((all, Arc::clone(&self.old[place])));
                    self.old[place] = message.into();
                }
            }
        }
        words
    }

    fn slice(&mut self, cast: &Cast, behaviour: Behaviour, bundle: &SliceBundle, words: &mut Words) {
        let all = Nodes::all(cast.nodes.len());
        match behaviour {
            Behaviour::Withhold { last } => {
                let most = (cast.times.slot.as_nanos() / cast.times.slice.as_nanos()) as u32;
                if bundle.slice.body.index + last >= most || bundle.slice.body.last {
                    words.clear();
                }
            }
            Behaviour::Partial { to } => keep_from(words, to.others(cast.nodes.len())),
            Behaviour::Equivocate { to } => {
                // Whether it is the slot's last is for its producer to say: both are valid.
                let mut other = bundle.clone();
                other.slice.body.last = !other.slice.body.last;
                keep_from(words, to);
                words.push((to, self.resigned(cast, other)));
            }
            Behaviour::WrongResults if self.random.below(3) == 0 => {
                let mut other = bundle.clone();
                other.slice.body.results.hash = Hash::of(&other.slice.body.results.hash.0);
                let to = Nodes::draw(&mut self.random, cast.nodes.len());
                keep_from(words, to);
                words.push((to, self.resigned(cast, other)));
                let (target, source) = (bundle.slice.reference(), bundle.slice.body.source.target);
                words.push((all, self.signed(cast, bundle.slice.body.epoch, source, target)));
            }
            _ => {}
        }
    }

    fn confirm(&mut self, cast: &Cast, behaviour: Behaviour, confirm: &Confirm, words: &mut Words) {
        let ConfirmBody { epoch, source, target, .. } = confirm.body;
        match behaviour {
            Behaviour::TwoConfirms => {
                let other = SliceRef { id: Hash::of(&target.id.0), ..target };
                let to = Nodes::draw(&mut self.random, cast.nodes.len());
                words.push((to, self.signed(cast, epoch, source, other)));
            }
            Behaviour::Surround if self.random.below(4) == 0 => {
                let outer = self.signed(cast, epoch, cast.genesis.genesis_slice(), target);
                for (_, message) in words.iter_mut() {
                    *message = Arc::clone(&outer);
                }
            }
            _ => {}
        }
    }

    /// Notes which of its keys a word of its core is signed with, to lie under the same.
    fn note_key(&mut self, cast: &Cast, is_signed_with: impl Fn(&PublicKey) -> bool) {
        let signers = &cast.nodes[self.number].signers;
        self.key = signers.iter().position(|signer| is_signed_with(&signer.public())).unwrap_or(self.key);
    }

    fn signed(&self, cast: &Cast, epoch: Epoch, source: SliceRef, target: SliceRef) -> Arc<[u8]> {
        let part = &cast.nodes[self.number];
        let body = ConfirmBody {
            version: ConfirmBody::VERSION,
            chain: cast.genesis.chain_id(),
            epoch,
            source,
            target,
            producer: part.name,
        };
        encode(&Message::Confirm(Box::new(Confirm::sign(body, &*part.signers[self.key]))))
    }

    fn resigned(&self, cast: &Cast, bundle: SliceBundle) -> Arc<[u8]> {
        let SliceBundle { slice, transactions } = bundle;
        let slice = Slice::sign(slice.body, &*cast.nodes[self.number].signers[self.key]);
        encode(&Message::SliceBundle(Box::new(SliceBundle { slice, transactions })))
    }
}

/// These nodes get none of the words so far.
fn keep_from(words: &mut Words, nodes: Nodes) {
    for (to, _) in words {
        *to = to.without(nodes);
    }
}

fn decode(message: &[u8]) -> Option<Message> {
    let (kind, body) = message.get(4..)?.split_first()?;
    Message::decode(*kind, body).ok()
}

fn encode(message: &Message) -> Arc<[u8]> {
    framed(message.kind(), &message.encode()).into()
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twin { second } => write!(f, "runs two cores, the second for {second}"),
            Self::Withhold { last } => write!(f, "withholds the last {last} slices"),
            Self::Partial { to } => write!(f, "sends slices to {to} alone"),
            Self::Equivocate { to } => write!(f, "sends {to} other slices"),
            Self::WrongResults => f.write_str("commits to wrong results"),
            Self::TwoConfirms => f.write_str("confirms twice"),
            Self::Surround => f.write_str("surrounds its confirms"),
            Self::ConfirmAll => f.write_str("confirms whatever comes"),
            Self::Replay => f.write_str("replays confirms"),
        }
    }
}
