//! The slices that are not final: a bounded tree of change sets in memory, over final changes on their way to the store,
//! over the store.
//!
//! A state is read as of any slice of the tree. Finality moves the root: what leads to the new root joins the final
//! changes, forks that do not spring from it are dropped. Nothing here knows what a record means, but for the ids of
//! included transactions, which are found again by hash: their records in the state are the truth, the index beside them
//! is rebuilt from them.

use core::cell::{OnceCell, RefCell};
use core::mem;
use core::ops::ControlFlow;
use std::collections::BTreeMap;

use hpb_base::limits::{RESIDENT_RECORDS_MAX, TREE_BYTES_MAX, TREE_SLICES_MAX};
use hpb_types::{Event, Hash, Receipt, ScheduledProducer, SliceRef};

use crate::apply::Executed;
use crate::bytes::Bytes;
use crate::changes::{Change, ChangeSet};
use crate::hashed::{HashMap, HashSet};
use crate::history::SliceResults;
use crate::key::{self, INCLUDED, SYSTEM};
use crate::records::{self, Included};
use crate::resident::Residents;
use crate::store::{FinalBatch, Reader, Store, StoreError};
use crate::versions::{Path, Spot, Versions};
use crate::view::{SharedState, State, StateError};

/// Why a slice can't join the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InsertError {
    /// It is there already.
    #[error("the slice is known")]
    Known,
    /// Its parent is unknown, or on a fork that finality ended.
    #[error("the parent is not known, or dead")]
    NoSuchParent,
    /// Its place does not come after its parent's.
    #[error("the slice does not come after its parent")]
    NotAfterParent,
    /// The tree is full until something becomes final or is committed.
    #[error("the tree of slices is full")]
    Full,
}

/// Why finality can't move.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FinaliseError {
    /// The slice is unknown, final already, or on a fork that finality ended.
    #[error("the slice does not come after the final one in this tree")]
    NoSuchSlice,
    /// This node can't read its state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a step of finality brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Finalised {
    /// The slices that are newly final, in order.
    pub slices: Vec<FinalSlice>,
    /// Slices of forks that are dead now.
    pub dropped: Vec<SliceRef>,
}

/// A slice that is newly final.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalSlice {
    /// The slice.
    pub reference: SliceRef,
    /// Its transactions, in order.
    pub ids: Vec<Hash>,
    /// Their receipts, in order.
    pub receipts: Vec<Receipt>,
}

/// The way from one head to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Switch {
    /// Slices that are left, the last one first.
    pub retracted: Vec<Hash>,
    /// Slices that are joined, the first one first.
    pub adopted: Vec<Hash>,
}

#[derive(Debug)]
struct Node {
    reference: SliceRef,
    parent: Hash,
    spot: Spot,
    children: Vec<Hash>,
    bytes: usize,
    executed: Executed,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree<S> {
    store: S,
    residents: Residents,
    root: SliceRef,
    root_spot: Spot,
    root_children: Vec<Hash>,
    nodes: HashMap<Hash, Node>,
    /// Where each branch springs from, but for the first.
    forks: HashMap<u64, Fork>,
    next_branch: u64,
    ids: Versions<Hash, ()>,
    final_ids: HashSet<Hash>,
    bytes: usize,
}

#[derive(Debug)]
struct Fork {
    from: Spot,
    nodes_count: usize,
}

impl<S: Store> Tree<S> {
    /// The tree whose final state is the store's with `initial` on top of it.
    ///
    /// # Errors
    /// A store that can't be read or is damaged.
    pub(crate) fn open(store: S, root: SliceRef, next_commit: u64, initial: ChangeSet) -> Result<Self, StateError> {
        let root_spot = Spot { branch: 0, depth: 0 };
        let mut residents = Residents::new(next_commit);
        if !initial.is_empty() {
            residents.settle(root, None, initial, root_spot);
        }
        let mut tree = Self {
            store,
            residents,
            root,
            root_spot,
            root_children: Vec::new(),
            nodes: HashMap::default(),
            forks: HashMap::default(),
            next_branch: 1,
            ids: Versions::default(),
            final_ids: HashSet::default(),
            bytes: 0,
        };
        tree.final_ids = tree.read_final_ids()?;
        Ok(tree)
    }

    fn read_final_ids(&self) -> Result<HashSet<Hash>, StateError> {
        let (mut ids, mut damaged) = (HashSet::default(), None);
        self.store.scan(&key::of(SYSTEM, INCLUDED), &mut |key, value| {
            match records::load::<Included>(value) {
                Some(included) => ids.extend(included.ids),
                None => damaged = Some(StateError::damaged(key)),
            }
            if damaged.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        damaged.map_or(Ok(ids), Err)
    }

    /// The final slice.
    pub(crate) fn root(&self) -> SliceRef {
        self.root
    }

    /// The store, for reading.
    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    /// The store.
    pub(crate) fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Slices that are not final.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The slice of that id: in the tree, or its root.
    pub(crate) fn reference(&self, id: &Hash) -> Option<SliceRef> {
        if *id == self.root.id { Some(self.root) } else { self.nodes.get(id).map(|node| node.reference) }
    }

    /// What the execution of a slice of the tree came to.
    pub(crate) fn executed(&self, id: &Hash) -> Option<&Executed> {
        self.nodes.get(id).map(|node| &node.executed)
    }

    /// The state after the slice of that id.
    pub(crate) fn at(&self, id: &Hash) -> Option<StateAt<'_, S>> {
        Some(StateAt::new(self, *id, self.path(self.spot(id)?)))
    }

    /// The same for several workers.
    pub(crate) fn shared_at(&self, id: &Hash) -> Option<SharedStateAt<'_, S>> {
        Some(SharedStateAt { tree: self, id: *id, path: self.path(self.spot(id)?) })
    }

    /// Adds a slice with what its execution on its parent came to.
    pub(crate) fn insert(&mut self, reference: SliceRef, parent: Hash, executed: Executed) -> Result<(), InsertError> {
        if self.reference(&reference.id).is_some() {
            return Err(InsertError::Known);
        }
        let above = self.reference(&parent).ok_or(InsertError::NoSuchParent)?;
        if reference.height <= above.height {
            return Err(InsertError::NotAfterParent);
        }
        let bytes = executed_len(&executed);
        let held = self.held_bytes();
        if self.nodes.len() >= TREE_SLICES_MAX || held.saturating_add(bytes) > TREE_BYTES_MAX {
            return Err(InsertError::Full);
        }
        let Some(spot) = self.grow(&parent, reference.id) else {
            return Err(InsertError::NoSuchParent);
        };
        self.residents.add(&executed.changes, spot);
        for id in &executed.ids {
            self.ids.insert(*id, spot, ());
        }
        self.bytes += bytes;
        let node = Node { reference, parent, spot, children: Vec::new(), bytes, executed };
        self.nodes.insert(reference.id, node);
        Ok(())
    }

    /// Finds a new child of `parent` its spot: its parent's branch goes on with the first child, each further one
    /// starts a branch.
    fn grow(&mut self, parent: &Hash, child: Hash) -> Option<Spot> {
        let (from, children) = if *parent == self.root.id {
            (self.root_spot, &mut self.root_children)
        } else {
            let node = self.nodes.get_mut(parent)?;
            (node.spot, &mut node.children)
        };
        children.push(child);
        let depth = from.depth + 1;
        if children.len() == 1 {
            if let Some(fork) = self.forks.get_mut(&from.branch) {
                fork.nodes_count += 1;
            }
            return Some(Spot { branch: from.branch, depth });
        }
        let branch = self.next_branch;
        self.next_branch += 1;
        self.forks.insert(branch, Fork { from, nodes_count: 1 });
        Some(Spot { branch, depth })
    }

    fn spot(&self, id: &Hash) -> Option<Spot> {
        if *id == self.root.id { Some(self.root_spot) } else { self.nodes.get(id).map(|node| node.spot) }
    }

    fn path(&self, from: Spot) -> Path {
        let mut path = Vec::new();
        let mut next = Some(from);
        // At the root's depth and below everything is final.
        while let Some(spot) = next.filter(|spot| spot.depth > self.root_spot.depth) {
            path.push(spot);
            next = self.forks.get(&spot.branch).map(|fork| fork.from);
        }
        path
    }

    /// Makes the slice of that id and its ancestors final.
    pub(crate) fn finalise(&mut self, id: &Hash) -> Result<Finalised, FinaliseError> {
        let line = self.line(id).ok_or(FinaliseError::NoSuchSlice)?;
        let mut finalised = Finalised::default();
        for id in line {
            let siblings = core::mem::take(&mut self.root_children);
            for sibling in siblings.into_iter().filter(|sibling| *sibling != id) {
                self.drop_fork(sibling, &mut finalised.dropped);
            }
            let expired = self.expired_ids(&id)?;
            let Some(node) = self.take(&id) else {
                return Err(FinaliseError::NoSuchSlice);
            };
            (self.root, self.root_spot, self.root_children) = (node.reference, node.spot, node.children);
            for id in expired {
                self.final_ids.remove(&id);
            }
            let Executed { ids, receipts, receipts_root, changes, .. } = node.executed;
            self.final_ids.extend(ids.iter().copied());
            self.residents.settle(node.reference, Some(receipts_root), changes, node.spot);
            finalised.slices.push(FinalSlice { reference: node.reference, ids, receipts });
        }
        Ok(finalised)
    }

    /// The slices after the root up to `id`, in order; `None` if it does not come after the root.
    fn line(&self, id: &Hash) -> Option<Vec<Hash>> {
        let mut line = Vec::new();
        let mut at = *id;
        while at != self.root.id {
            line.push(at);
            at = self.nodes.get(&at)?.parent;
        }
        line.reverse();
        (!line.is_empty()).then_some(line)
    }

    /// The ids whose records the slice, a child of the root, takes away.
    fn expired_ids(&self, id: &Hash) -> Result<Vec<Hash>, StateError> {
        let (Some(node), Some(state)) = (self.nodes.get(id), self.at(&self.root.id)) else {
            return Ok(Vec::new());
        };
        let mut expired = Vec::new();
        for (key, value) in node.executed.changes.within(&key::of(SYSTEM, INCLUDED)) {
            if value.is_none()
                && let Some(record) = state.get(key)?
            {
                let included: Included = records::load(&record).ok_or_else(|| StateError::damaged(key))?;
                expired.extend(included.ids);
            }
        }
        Ok(expired)
    }

    fn drop_fork(&mut self, top: Hash, dropped: &mut Vec<SliceRef>) {
        let mut next = vec![top];
        while let Some(id) = next.pop() {
            if let Some(node) = self.take(&id) {
                self.residents.drop_unsettled(&node.executed.changes, node.spot);
                dropped.push(node.reference);
                next.extend(node.children);
            }
        }
    }

    /// Takes a slice out of the tree, and its ids out of sight.
    fn take(&mut self, id: &Hash) -> Option<Node> {
        let node = self.nodes.remove(id)?;
        for id in &node.executed.ids {
            self.ids.remove(id, node.spot);
        }
        self.bytes -= node.bytes;
        if let Some(fork) = self.forks.get_mut(&node.spot.branch) {
            fork.nodes_count -= 1;
            if fork.nodes_count == 0 {
                self.forks.remove(&node.spot.branch);
            }
        }
        Some(node)
    }

    /// The way from one slice to another; `None` if one of them is not in the tree.
    pub(crate) fn switch(&self, from: &Hash, to: &Hash) -> Option<Switch> {
        let mut switch = Switch::default();
        let (mut left, mut joined) = (*from, *to);
        while left != joined {
            let (left_spot, joined_spot) = (self.spot(&left)?, self.spot(&joined)?);
            if left_spot.depth >= joined_spot.depth {
                switch.retracted.push(left);
                left = self.nodes.get(&left)?.parent;
            }
            if joined_spot.depth >= left_spot.depth {
                switch.adopted.push(joined);
                joined = self.nodes.get(&joined)?.parent;
            }
        }
        self.spot(&left)?;
        switch.adopted.reverse();
        Some(switch)
    }

    /// Bytes of what is not final and of final changes that are not committed.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes + self.residents.uncommitted_bytes_len()
    }

    /// Hands gathered final changes to the writer.
    pub(crate) fn hand_over(&mut self) -> Option<FinalBatch> {
        self.residents.hand_over()
    }

    /// Adds what a slice that has just become final came to, for the next batch.
    pub(crate) fn remember(&mut self, slice: SliceResults) {
        self.residents.remember(slice);
    }

    /// Learns that the store holds every batch up to number `commit`.
    pub(crate) fn committed(&mut self, commit: u64) {
        self.residents.committed(commit);
    }
}

/// Bytes that a slice takes in the tree.
fn executed_len(executed: &Executed) -> usize {
    let events = executed.receipts.iter().flat_map(|receipt| &receipt.events);
    let events: usize = events.map(|event| size_of::<Event>() + event.data.len()).sum();
    let each = size_of::<Hash>() + size_of::<Receipt>();
    let next = executed.next.as_ref().map_or(0, |next| next.producers.len() * size_of::<ScheduledProducer>());
    size_of::<Node>() + executed.changes.bytes_len() + events + next + each * executed.ids.len()
}

/// The state after one slice of the tree, for several workers.
pub(crate) struct SharedStateAt<'t, S> {
    tree: &'t Tree<S>,
    id: Hash,
    path: Path,
}

impl<S: Store> SharedState for SharedStateAt<'_, S> {
    fn reader(&self) -> Box<dyn State + '_> {
        Box::new(StateAt::new(self.tree, self.id, self.path.clone()))
    }
}

/// The state after one slice of the tree, for one piece of work on one thread.
pub(crate) struct StateAt<'t, S> {
    tree: &'t Tree<S>,
    id: Hash,
    path: Path,
    /// Made when the store is asked first. What was handed over stays in the tree until the tree is told that the store
    /// holds it, which nobody can while this stands: whether the reader sees it already makes no difference.
    reader: OnceCell<Box<dyn Reader + 't>>,
    /// What the store said: the tree keeps it when this goes.
    read: RefCell<Vec<Change>>,
}

impl<'t, S: Store> StateAt<'t, S> {
    fn new(tree: &'t Tree<S>, id: Hash, path: Path) -> Self {
        Self { tree, id, path, reader: OnceCell::new(), read: RefCell::default() }
    }

    fn stored(&self, key: &Bytes) -> Result<Option<Bytes>, StoreError> {
        let value = if let Some(reader) = self.reader.get() {
            reader.get(key)?
        } else {
            let reader = self.tree.store.reader()?;
            self.reader.get_or_init(|| reader).get(key)?
        };
        let mut read = self.read.borrow_mut();
        if read.len() < RESIDENT_RECORDS_MAX {
            read.push((key.clone(), value.clone()));
        }
        Ok(value)
    }

    /// Visits every record whose key starts with `prefix`, ascending, until `visit` breaks.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let overlay = self.overlay(prefix);
        let mut above = overlay.into_iter().peekable();
        let mut flow = ControlFlow::Continue(());
        self.tree.store.scan(prefix, &mut |key, value| {
            while let Some((key, value)) = above.next_if(|(above, _)| *above < key) {
                if let Some(value) = value {
                    flow = visit(key, value);
                    flow?;
                }
            }
            let value = above.next_if(|(above, _)| *above == key).map_or(Some(value), |(_, value)| value);
            if let Some(value) = value {
                flow = visit(key, value);
            }
            flow
        })?;
        for (key, value) in above {
            if flow.is_break() {
                break;
            }
            if let Some(value) = value {
                flow = visit(key, value);
            }
        }
        Ok(())
    }

    /// What lies above the store within `prefix`, in order.
    fn overlay(&self, prefix: &[u8]) -> BTreeMap<&[u8], Option<&[u8]>> {
        let mut overlay = BTreeMap::new();
        self.tree.residents.overlay(prefix, &mut overlay);
        for id in self.tree.line(&self.id).unwrap_or_default() {
            if let Some(node) = self.tree.nodes.get(&id) {
                let within = node.executed.changes.within(prefix).iter();
                overlay.extend(within.map(|(key, value)| (key.as_slice(), value.as_ref().map(Bytes::as_slice))));
            }
        }
        overlay
    }
}

impl<S> Drop for StateAt<'_, S> {
    fn drop(&mut self) {
        let read = mem::take(self.read.get_mut());
        if !read.is_empty() {
            self.tree.residents.note(read);
        }
    }
}

impl<S: Store> State for StateAt<'_, S> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        match self.tree.residents.find(key, &self.path) {
            Some(value) => Ok(value.cloned()),
            None => Ok(self.stored(key)?),
        }
    }

    fn includes(&self, id: &Hash) -> bool {
        self.tree.ids.find(id, &self.path).is_some() || self.tree.final_ids.contains(id)
    }
}

#[cfg(test)]
mod tests;
