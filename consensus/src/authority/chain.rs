//! The slices that matter: those that are not final, as a tree, and below it the final ones back to the last one's source,
//! because a slice that follows may carry a certificate of any of those.
//!
//! One ordered table. A slice is higher than its parent, so its order by height is an order from parents to children.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::limits::UNFINAL_SLICES_MAX;
use hpb_types::slice::transactions_root;
use hpb_types::{Certificate, Hash, Height, Signature, Slice, SliceRef};

use crate::engine::HeadChange;
use crate::verdict::Verdict;

/// One slice.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// None for genesis.
    pub(super) parent: Option<SliceRef>,
    pub(super) children: Vec<SliceRef>,
    pub(super) signature: Signature,
    pub(super) last: bool,
    /// Whether it and its ancestors within the slot came in time.
    pub(super) timely: bool,
    /// What it carries: the target is the source of every confirm of it.
    pub(super) carried: Arc<Certificate>,
    /// What justifies it, if known.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// The highest certificate known on its chain up to itself.
    pub(super) best: Arc<Certificate>,
    pub(super) verdict: Verdict,
    /// Whether it is proven final, and only its execution is waited for.
    pub(super) proven: bool,
    /// Slices with transactions on its chain.
    pub(super) with_transactions: u64,
    /// The confirms counted so far, until it is justified: by place in the schedule.
    pub(super) signatures: BTreeMap<usize, Signature>,
}

/// The tree and the final slices below it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    slices: BTreeMap<SliceRef, Node>,
    heights: BTreeMap<Hash, Height>,
    /// The last final slice.
    root: SliceRef,
    /// How many of the slices are final.
    final_count: usize,
    /// The slice to build on: settled, the root or above it.
    head: SliceRef,
}

impl Chain {
    /// Genesis alone: its own source, and the last slice of its slot.
    pub(super) fn genesis(genesis: SliceRef) -> Self {
        let certificate = Arc::new(Certificate::genesis(genesis));
        let node = Node {
            parent: None,
            children: Vec::new(),
            signature: Signature([0; 64]),
            last: true,
            timely: true,
            carried: Arc::clone(&certificate),
            certificate: Some(Arc::clone(&certificate)),
            best: certificate,
            verdict: Verdict::Settled,
            proven: true,
            with_transactions: 0,
            signatures: BTreeMap::new(),
        };
        Self {
            slices: BTreeMap::from([(genesis, node)]),
            heights: BTreeMap::from([(genesis.id, genesis.height)]),
            root: genesis,
            final_count: 1,
            head: genesis,
        }
    }

    /// The end of a chain: `run` are its slices from the one that the last of them carries as its source up to that, which
    /// is final. `None` if they are no such run.
    pub(super) fn trusted(run: &[Slice]) -> Option<Self> {
        let (first, last) = (run.first()?, run.last()?);
        let linked = run
            .windows(2)
            .all(|pair| pair[1].body.parent == pair[0].id() && pair[1].body.height() > pair[0].body.height());
        let source = first.reference();
        if !linked || last.body.source.target != source || run.len() < 2 {
            return None;
        }
        let carried = Arc::new(first.body.source.clone());
        let lowest = Node {
            parent: None,
            children: Vec::new(),
            signature: first.signature,
            last: first.body.last,
            timely: true,
            carried: Arc::clone(&carried),
            certificate: None,
            best: carried,
            verdict: Verdict::Settled,
            proven: true,
            with_transactions: 0,
            signatures: BTreeMap::new(),
        };
        let mut chain = Self {
            slices: BTreeMap::from([(source, lowest)]),
            heights: BTreeMap::from([(source.id, source.height)]),
            root: source,
            final_count: 1,
            head: source,
        };
        chain.justify(source, &Arc::new(last.body.source.clone()));
        let mut above = source;
        for slice in &run[1..] {
            let at = slice.reference();
            let (carried, best) = (Arc::new(slice.body.source.clone()), Arc::clone(&chain.node(source).best));
            let with_transactions =
                chain.node(above).with_transactions + u64::from(slice.body.transactions_root != transactions_root([]));
            let node = Node {
                parent: Some(above),
                children: Vec::new(),
                signature: slice.signature,
                last: slice.body.last,
                timely: true,
                carried,
                certificate: None,
                best,
                verdict: Verdict::Settled,
                proven: true,
                with_transactions,
                signatures: BTreeMap::new(),
            };
            chain.node_mut(above)?.children.push(at);
            chain.heights.insert(at.id, at.height);
            chain.slices.insert(at, node);
            above = at;
        }
        (chain.root, chain.head, chain.final_count) = (above, above, run.len());
        Some(chain)
    }

    pub(super) fn root(&self) -> SliceRef {
        self.root
    }

    pub(super) fn head(&self) -> SliceRef {
        self.head
    }

    /// Final slices that are kept: from the last one's source to itself.
    pub(super) fn final_count(&self) -> usize {
        self.final_count
    }

    /// Slices that are not final.
    pub(super) fn unfinal_count(&self) -> usize {
        self.slices.len() - self.final_count
    }

    pub(super) fn is_full(&self) -> bool {
        self.unfinal_count() >= UNFINAL_SLICES_MAX
    }

    /// The slice called `id`, if it is here.
    pub(super) fn find(&self, id: &Hash) -> Option<SliceRef> {
        self.heights.get(id).map(|height| SliceRef { height: *height, id: *id })
    }

    /// One that is here: found before, or named by one that is.
    pub(super) fn node(&self, at: SliceRef) -> &Node {
        &self.slices[&at]
    }

    pub(super) fn node_mut(&mut self, at: SliceRef) -> Option<&mut Node> {
        self.slices.get_mut(&at)
    }

    /// The slices at one height.
    pub(super) fn at_height(&self, height: Height) -> impl Iterator<Item = (SliceRef, &Node)> {
        let at = |id| SliceRef { height, id };
        self.slices.range(at(Hash([0; 32]))..=at(Hash([255; 32]))).map(|(reference, node)| (*reference, node))
    }

    /// `at` and its ancestors, as far as they are kept.
    pub(super) fn upward(&self, at: SliceRef) -> impl Iterator<Item = SliceRef> + '_ {
        std::iter::successors(Some(at), |at| {
            self.slices.get(at)?.parent.filter(|above| self.slices.contains_key(above))
        })
    }

    /// Whether `ancestor` is `at` or one of its ancestors.
    pub(super) fn is_on_chain(&self, at: SliceRef, ancestor: SliceRef) -> bool {
        self.upward(at).find(|at| at.height <= ancestor.height) == Some(ancestor)
    }

    /// Whether `source`, carried by a slice on `parent`, is of that chain, no lower than the parent's, and links from what
    /// its target carries.
    pub(super) fn fits(&self, parent: SliceRef, source: &Certificate) -> bool {
        let above = &self.node(parent).carried;
        *source == **above
            || source.target.height >= above.target.height
                && self.is_on_chain(parent, source.target)
                && self.node(source.target).carried.target == source.source
    }

    /// Adds a slice on `parent`, which is here and which it fits; what it carries is noted.
    pub(super) fn insert(&mut self, parent: SliceRef, at: SliceRef, slice: &Slice, timely: bool) {
        let (body, above) = (&slice.body, self.node(parent));
        let noted = self.node(body.source.target).certificate.iter();
        let known = noted.chain([&above.carried]).find(|known| ***known == body.source);
        let node = Node {
            parent: Some(parent),
            children: Vec::new(),
            signature: slice.signature,
            last: body.last,
            timely,
            carried: known.map_or_else(|| Arc::new(body.source.clone()), Arc::clone),
            certificate: None,
            best: Arc::clone(&above.best),
            verdict: Verdict::Unknown,
            proven: false,
            with_transactions: above.with_transactions + u64::from(body.transactions_root != transactions_root([])),
            signatures: BTreeMap::new(),
        };
        if let Some(above) = self.node_mut(parent) {
            above.children.push(at);
        }
        self.heights.insert(at.id, at.height);
        self.slices.insert(at, node);
    }

    /// Notes that `certificate` justifies `at`, and makes it the best of all chains through it that know none higher.
    pub(super) fn justify(&mut self, at: SliceRef, certificate: &Arc<Certificate>) {
        let Some(node) = self.node_mut(at) else { return };
        node.certificate = Some(Arc::clone(certificate));
        node.signatures.clear();
        let mut stack = vec![at];
        while let Some(node) = stack.pop().and_then(|at| self.node_mut(at)) {
            // A chain that knows a higher one passed it on to all its descendants.
            if node.best.target.height < at.height {
                node.best = Arc::clone(certificate);
                stack.extend_from_slice(&node.children);
            }
        }
    }

    /// Marks `at` and its descendants as invalid.
    pub(super) fn refuse(&mut self, at: SliceRef) {
        let mut stack = vec![at];
        while let Some(node) = stack.pop().and_then(|at| self.node_mut(at)) {
            node.verdict = Verdict::Invalid;
            stack.extend_from_slice(&node.children);
        }
    }

    /// Forgets the confirms counted for slices at heights in `from..to`.
    pub(super) fn forget_confirms(&mut self, from: Height, to: Height) {
        let start = |height| SliceRef { height, id: Hash([0; 32]) };
        self.slices.range_mut(start(from)..start(to)).for_each(|(_, node)| node.signatures.clear());
    }

    /// Which of two slices to build on rather, the higher: the one whose chain knows the higher certificate, then the later
    /// one.
    pub(super) fn rank(&self, at: SliceRef) -> (Height, Height, Reverse<Hash>) {
        (self.node(at).best.target.height, at.height, Reverse(at.id))
    }

    /// The slice to build on, of `base` and its descendants.
    pub(super) fn choose(&self, base: SliceRef) -> SliceRef {
        let (mut best, mut stack) = (base, vec![base]);
        while let Some(at) = stack.pop() {
            if self.rank(at) > self.rank(best) {
                best = at;
            }
            let children = self.node(at).children.iter();
            stack.extend(children.filter(|child| self.node(**child).verdict == Verdict::Settled));
        }
        best
    }

    /// Makes `next` the head. `None` if it was.
    pub(super) fn switch(&mut self, next: SliceRef) -> Option<HeadChange> {
        let (mut left, mut right) = (self.head, next);
        let (mut retracted, mut adopted) = (Vec::new(), Vec::new());
        while left != right {
            let (higher, passed) = if left > right { (&mut left, &mut retracted) } else { (&mut right, &mut adopted) };
            passed.push(*higher);
            *higher = self.node(*higher).parent?;
        }
        adopted.reverse();
        let old = std::mem::replace(&mut self.head, next);
        (old != next).then_some(HeadChange { old, new: next, retracted, adopted })
    }

    /// Makes `to`, settled and above the root, final with its ancestors; the head is `to` or its descendant. Gives what is
    /// newly final, ascending, and what can't be any more.
    pub(super) fn finalise(&mut self, to: SliceRef) -> (Vec<SliceRef>, Vec<SliceRef>) {
        let mut newly: Vec<SliceRef> = self.upward(to).take_while(|at| *at != self.root).collect();
        newly.reverse();
        let mut discarded = Vec::new();
        let mut above = self.root;
        for next in &newly {
            let children =
                self.node_mut(above).map_or_else(Vec::new, |node| std::mem::replace(&mut node.children, vec![*next]));
            let mut stack: Vec<SliceRef> = children.into_iter().filter(|child| child != next).collect();
            while let Some(at) = stack.pop() {
                stack.extend(self.remove(at).map_or_else(Vec::new, |node| node.children));
                discarded.push(at);
            }
            above = *next;
        }
        self.root = to;
        self.final_count += newly.len();
        let source = self.node(to).carried.target;
        while let Some(lowest) = self.slices.keys().next().copied().filter(|lowest| *lowest < source) {
            self.remove(lowest);
            self.final_count -= 1;
        }
        (newly, discarded)
    }

    fn remove(&mut self, at: SliceRef) -> Option<Node> {
        self.heights.remove(&at.id);
        self.slices.remove(&at)
    }
}
