//! The slices that are not final, as a tree on the last final one.
//!
//! Data only: which slices follow which, what is known of each. The rules stand in `check`, `finality` and `fork`.
//! Nodes live in a table and are named by [`Key`]; a key is good until its node is final or discarded, so nothing keeps
//! one across inputs but the tree itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hpb_base::limits::UNFINAL_SLICES_MAX;
use hpb_types::{AccountName, Certificate, Hash, Height, Signature, SignedSlice, SliceRef};

use super::anchor::Anchor;
use super::regime::{Regime, Standing};
use super::votes::Votes;
use crate::desk::word;
use crate::engine::Anchor as _;
use crate::verdict::Verdict;

/// A node's place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key(usize);

/// One slice.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) reference: SliceRef,
    pub(super) signature: Signature,
    pub(super) parent: Option<Key>,
    pub(super) children: Vec<Key>,
    /// Slices between it and genesis or the engine's first anchor.
    pub(super) depth: u64,
    pub(super) last: bool,
    /// Whether it and its ancestors within the slot came in time.
    pub(super) timely: bool,
    /// What it carries.
    pub(super) carried: Arc<Certificate>,
    /// What justifies it, if known.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// The highest certificate known on its chain up to itself.
    pub(super) best: Arc<Certificate>,
    /// What its chain says, its carried certificate included.
    pub(super) standing: Standing,
    pub(super) verdict: Verdict,
    /// Whether it is proven final, and only its execution is waited for.
    pub(super) proven: bool,
    /// Filled slots on its chain, counted from the engine's first anchor.
    pub(super) filled: u64,
    /// The most filled slots on any settled chain through it.
    pub(super) filled_max: u64,
    /// Slices with transactions on its chain, counted from the engine's first anchor.
    pub(super) with_transactions: u64,
    /// The confirms counted so far, until it is justified.
    pub(super) votes: Votes,
}

/// What a new node starts with.
pub(super) struct NewNode {
    pub(super) reference: SliceRef,
    pub(super) signature: Signature,
    pub(super) standing: Standing,
    pub(super) last: bool,
    pub(super) timely: bool,
    pub(super) carried: Arc<Certificate>,
    pub(super) carries_transactions: bool,
}

/// Where a reference stands relative to a chain.
#[derive(Clone, Debug)]
pub(super) enum OnChain {
    /// It is this node, the last final slice included.
    Node(Key),
    /// It is below the last final slice.
    Final {
        /// The source that it carries.
        source: SliceRef,
        /// What a certificate of it takes.
        regime: Arc<Regime>,
    },
    /// It is not on the chain.
    No,
}

/// What a step of finality did to the tree.
pub(super) struct Rebased {
    pub(super) newly: Vec<SliceRef>,
    pub(super) discarded: Vec<SliceRef>,
}

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    vacant: Vec<Key>,
    by_id: BTreeMap<Hash, Key>,
    by_height: BTreeMap<Height, Vec<Key>>,
    /// Settled and justified nodes, the root included; the last is the highest, of those the one with the lowest id.
    tops: BTreeSet<(Height, Reverse<Hash>, Key)>,
    anchor: Anchor,
    root: Key,
    /// The slice to build on: settled, of the root's descendants or the root.
    pub(super) head: Key,
}

impl Node {
    pub(super) fn height(&self) -> Height {
        self.reference.height
    }

    /// The source of every confirm of it.
    pub(super) fn link_source(&self) -> SliceRef {
        self.carried.target
    }

    /// What a certificate of it takes, and who may confirm it.
    pub(super) fn regime(&self) -> &Arc<Regime> {
        &self.standing.regime
    }

    /// Its producer; on another fork with another schedule, slices of one height may be of several.
    pub(super) fn producer(&self) -> AccountName {
        self.regime().current.producer_at(self.height().slot).name
    }

    /// Its producer's word for it.
    pub(super) fn word(&self) -> SignedSlice {
        word(self.regime().current.epoch, self.reference, self.signature)
    }
}

impl Tree {
    pub(super) fn new(anchor: Anchor) -> Self {
        let root = Key(0);
        let reference = anchor.tip();
        let node = Node {
            reference,
            signature: anchor.find(reference.height).map_or(Signature([0; 64]), |link| link.signature),
            parent: None,
            children: Vec::new(),
            depth: 0,
            last: anchor.last,
            timely: true,
            carried: Arc::clone(&anchor.carried),
            certificate: anchor.certificate.clone(),
            best: Arc::clone(anchor.best()),
            standing: anchor.standing.clone(),
            verdict: Verdict::Settled,
            proven: true,
            filled: 0,
            filled_max: 0,
            with_transactions: 0,
            votes: Votes::default(),
        };
        Self {
            nodes: vec![node],
            vacant: Vec::new(),
            by_id: BTreeMap::from([(reference.id, root)]),
            by_height: BTreeMap::from([(reference.height, vec![root])]),
            tops: BTreeSet::from([(reference.height, Reverse(reference.id), root)]),
            anchor,
            root,
            head: root,
        }
    }

    pub(super) fn node(&self, key: Key) -> &Node {
        &self.nodes[key.0]
    }

    pub(super) fn node_mut(&mut self, key: Key) -> &mut Node {
        &mut self.nodes[key.0]
    }

    pub(super) fn key(&self, id: &Hash) -> Option<Key> {
        self.by_id.get(id).copied()
    }

    /// The last final slice.
    pub(super) fn root(&self) -> Key {
        self.root
    }

    /// The last final slice.
    pub(super) fn final_ref(&self) -> SliceRef {
        self.node(self.root).reference
    }

    pub(super) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    pub(super) fn at_height(&self, height: Height) -> &[Key] {
        self.by_height.get(&height).map_or(&[], Vec::as_slice)
    }

    /// Slices that are not final.
    pub(super) fn len(&self) -> usize {
        self.by_id.len() - 1
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= UNFINAL_SLICES_MAX
    }

    /// `key` and its ancestors up to the root.
    pub(super) fn upward(&self, key: Key) -> impl Iterator<Item = Key> + '_ {
        std::iter::successors(Some(key), |key| self.node(*key).parent)
    }

    /// Where `reference` stands on the chain that ends at `tip`.
    pub(super) fn find_on_chain(&self, tip: Key, reference: &SliceRef) -> OnChain {
        if reference.height < self.final_ref().height {
            return match self.anchor.find(reference.height) {
                Some(link) if link.reference == *reference => {
                    OnChain::Final { source: link.source, regime: Arc::clone(&link.regime) }
                }
                _ => OnChain::No,
            };
        }
        // The common case first: most slices carry a certificate of the last few before them.
        match self.upward(tip).find(|key| self.node(*key).height() <= reference.height) {
            Some(key) if self.node(key).reference == *reference => OnChain::Node(key),
            _ => OnChain::No,
        }
    }

    /// Whether `ancestor` is `key` or one of its ancestors.
    pub(super) fn is_on_chain(&self, key: Key, ancestor: Key) -> bool {
        let depth = self.node(ancestor).depth;
        self.upward(key).find(|key| self.node(*key).depth <= depth) == Some(ancestor)
    }

    /// Adds a checked slice whose certificate was noted before.
    pub(super) fn insert(&mut self, parent: Key, new: NewNode) -> Key {
        let above = self.node(parent);
        let fills = u64::from(above.height().slot != new.reference.height.slot);
        let node = Node {
            reference: new.reference,
            signature: new.signature,
            parent: Some(parent),
            children: Vec::new(),
            depth: above.depth + 1,
            last: new.last,
            timely: new.timely,
            standing: new.standing,
            carried: new.carried,
            certificate: None,
            best: Arc::clone(&above.best),
            verdict: Verdict::Unknown,
            proven: false,
            filled: above.filled + fills,
            filled_max: above.filled + fills,
            with_transactions: above.with_transactions + u64::from(new.carries_transactions),
            votes: Votes::default(),
        };
        let reference = node.reference;
        let key = if let Some(key) = self.vacant.pop() {
            self.nodes[key.0] = node;
            key
        } else {
            self.nodes.push(node);
            Key(self.nodes.len() - 1)
        };
        self.node_mut(parent).children.push(key);
        self.by_id.insert(reference.id, key);
        self.by_height.entry(reference.height).or_default().push(key);
        key
    }

    /// Notes that `certificate` justifies `key`, and makes it the best of all chains through `key` that know none higher.
    pub(super) fn justify(&mut self, key: Key, certificate: &Arc<Certificate>) {
        let node = self.node_mut(key);
        node.certificate = Some(Arc::clone(certificate));
        node.votes = Votes::default();
        let height = certificate.target.height;
        let mut stack = vec![key];
        while let Some(key) = stack.pop() {
            let node = self.node_mut(key);
            // A chain that knows a higher one passed it on to all its descendants.
            if node.best.target.height < height {
                node.best = Arc::clone(certificate);
                stack.extend_from_slice(&self.nodes[key.0].children);
            }
        }
        self.note_top(key);
    }

    /// Whether `key` is justified; the last final slice is.
    pub(super) fn is_justified(&self, key: Key) -> bool {
        key == self.root || self.node(key).certificate.is_some()
    }

    /// Marks `key` as executed with all its ancestors.
    pub(super) fn settle(&mut self, key: Key) {
        let filled = self.node(key).filled;
        self.node_mut(key).verdict = Verdict::Settled;
        let mut above = self.node(key).parent;
        while let Some(key) = above {
            let node = self.node_mut(key);
            if node.filled_max >= filled {
                break;
            }
            node.filled_max = filled;
            above = node.parent;
        }
        self.note_top(key);
    }

    /// Marks `key` and its descendants as invalid.
    pub(super) fn refuse(&mut self, key: Key) {
        let mut stack = vec![key];
        while let Some(key) = stack.pop() {
            self.node_mut(key).verdict = Verdict::Invalid;
            stack.extend_from_slice(&self.node(key).children);
        }
    }

    /// Settled and justified nodes, the highest first, then the one with the lower id. Never empty.
    pub(super) fn tops(&self) -> impl Iterator<Item = Key> + '_ {
        self.tops.iter().rev().map(|(_, _, key)| *key)
    }

    /// Forgets the confirms counted for slices at heights in `from..to`.
    pub(super) fn forget_votes(&mut self, from: Height, to: Height) {
        let keys: Vec<Key> = self.by_height.range(from..to).flat_map(|(_, keys)| keys).copied().collect();
        for key in keys {
            self.node_mut(key).votes = Votes::default();
        }
    }

    /// Makes `key`, a settled descendant of the root, the root: all that does not descend from it goes. The head must be
    /// `key` or its descendant.
    pub(super) fn rebase(&mut self, key: Key) -> Rebased {
        let mut newly = Vec::new();
        let mut discarded = Vec::new();
        let path: Vec<Key> = self.upward(key).collect();
        for pair in path.windows(2).rev() {
            let (below, above) = (pair[0], pair[1]);
            for sibling in std::mem::take(&mut self.node_mut(above).children) {
                if sibling != below {
                    self.discard(sibling, &mut discarded);
                }
            }
            self.free(above);
            let node = &self.nodes[below.0];
            let (carried, standing) = (Arc::clone(&node.carried), node.standing.clone());
            self.anchor.push(node.reference, node.signature, carried, node.last, standing);
            newly.push(node.reference);
        }
        self.anchor.certificate.clone_from(&self.nodes[key.0].certificate);
        self.root = key;
        self.node_mut(key).parent = None;
        self.note_top(key);
        Rebased { newly, discarded }
    }

    fn note_top(&mut self, key: Key) {
        let node = &self.nodes[key.0];
        if node.verdict == Verdict::Settled && self.is_justified(key) {
            self.tops.insert((node.reference.height, Reverse(node.reference.id), key));
        }
    }

    fn discard(&mut self, key: Key, discarded: &mut Vec<SliceRef>) {
        let mut stack = vec![key];
        while let Some(key) = stack.pop() {
            stack.append(&mut self.node_mut(key).children);
            discarded.push(self.node(key).reference);
            self.free(key);
        }
    }

    fn free(&mut self, key: Key) {
        let reference = self.node(key).reference;
        self.by_id.remove(&reference.id);
        if let Some(keys) = self.by_height.get_mut(&reference.height) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_height.remove(&reference.height);
            }
        }
        self.tops.remove(&(reference.height, Reverse(reference.id), key));
        self.node_mut(key).votes = Votes::default();
        self.vacant.push(key);
    }
}
