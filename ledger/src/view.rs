//! The tracked view: the one way by which execution reads and writes state.
//!
//! Reads go to the parent state once and are remembered, so that a parallel executor can tell whether what a
//! transaction saw still holds; writes gather in order. Scopes nest: what a failed transaction wrote is undone, what it
//! read stays on record. A view knows no rule and refuses nothing.

mod cells;

#[cfg(test)]
use std::collections::BTreeMap;

use hpb_types::Hash;

use crate::bytes::Bytes;
use crate::changes::ChangeSet;
use crate::store::StoreError;
use cells::{Cell, Cells};

pub(crate) use cells::Known;

/// What was read where: the value that the parent state held.
#[cfg(test)]
type ReadSet = BTreeMap<Bytes, Option<Bytes>>;

/// Why a state can't be read. It is this node's failure and never an outcome of execution.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not what this program writes.
    #[error("the state is damaged: {what}; restore the data folder, or move it away and let the node catch up")]
    Damaged {
        /// Which record.
        what: String,
    },
}

impl StateError {
    /// The record at `key` does not read back.
    pub fn damaged(key: &[u8]) -> Self {
        Self::Damaged { what: format!("the record at {} does not read back", key.escape_ascii()) }
    }

    /// A sum of parts of the supply would be more than an amount holds, or less than nothing. The supply is an amount and
    /// never grows, so the state is not what this program wrote.
    pub fn overflow(what: &str) -> Self {
        Self::Damaged { what: format!("{what} would be no amount") }
    }
}

/// A parent state: what one slice's execution starts from. It does not change while a view stands on it.
pub trait State {
    /// The value at `key`.
    ///
    /// # Errors
    /// A store that can't be read.
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError>;

    /// Whether a transaction of this id was included before and its id is still held.
    fn includes(&self, id: &Hash) -> bool;
}

impl<S: State + ?Sized> State for &S {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        (**self).get(key)
    }

    fn includes(&self, id: &Hash) -> bool {
        (**self).includes(id)
    }
}

/// A parent state that several workers read at once, each by a reader of its own.
pub trait SharedState: Sync {
    /// A reader for one piece of work on one thread: what it holds on to meanwhile goes with it.
    fn reader(&self) -> Box<dyn State + '_>;
}

impl<S: State + Sync> SharedState for S {
    fn reader(&self) -> Box<dyn State + '_> {
        Box::new(self)
    }
}

/// What one view read and wrote, to be held against another one of the same parent state.
pub(crate) struct Tracked(Cells);

/// A key whose value a view changes.
pub(crate) struct Difference<'v> {
    pub(crate) key: &'v Bytes,
    /// What lies there in the parent state.
    pub(crate) before: Option<&'v Bytes>,
    /// What is written.
    pub(crate) after: Option<&'v Bytes>,
}

impl<'v> Difference<'v> {
    fn of(cell: &'v Cell) -> Self {
        Self { key: &cell.key, before: cell.read.value(), after: cell.written.value() }
    }
}

/// Reads and writes on top of a parent state.
pub struct View<'s> {
    state: &'s dyn State,
    cells: Cells,
    /// What stood in `written` of which cell before each write within an open scope.
    undo: Vec<(usize, Known)>,
    scopes_open: usize,
    /// Where the cells of what is taken over lie here; kept for its room.
    places: Vec<usize>,
}

/// An open scope of a view, to be handed back to [`View::keep`] or [`View::undo`], inner ones first.
#[must_use]
#[derive(Debug)]
pub struct Scope {
    undo_len: usize,
}

impl<'s> View<'s> {
    /// A view that has read and written nothing.
    pub fn new(state: &'s dyn State) -> Self {
        Self { state, cells: Cells::default(), undo: Vec::new(), scopes_open: 0, places: Vec::new() }
    }

    /// The parent state.
    pub fn state(&self) -> &'s dyn State {
        self.state
    }

    /// The value at `key`, writes of this view included.
    ///
    /// # Errors
    /// A parent state that can't be read.
    pub fn get(&mut self, key: &Bytes) -> Result<Option<&Bytes>, StateError> {
        let place = self.cells.find(key).unwrap_or_else(|| self.cells.add(key.clone()));
        let cell = self.cells.at(place);
        if cell.written == Known::Nothing && cell.read == Known::Nothing {
            cell.read = Known::of(self.state.get(key)?);
        }
        let seen = if cell.written == Known::Nothing { &cell.read } else { &cell.written };
        Ok(if let Known::Present(value) = seen { Some(value) } else { None })
    }

    /// Puts `value` at `key`, or removes what lies there.
    pub fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        let place = match self.cells.find(&key) {
            Some(place) => place,
            None => self.cells.add(key),
        };
        let before = core::mem::replace(&mut self.cells.at(place).written, Known::of(value));
        if self.scopes_open > 0 {
            self.undo.push((place, before));
        }
    }

    /// Opens a scope.
    pub fn open(&mut self) -> Scope {
        self.scopes_open += 1;
        Scope { undo_len: self.undo.len() }
    }

    /// Closes the innermost scope; its writes become those of the scope around it.
    #[allow(clippy::needless_pass_by_value, reason = "a scope is closed once")]
    pub fn keep(&mut self, scope: Scope) {
        self.close(&scope);
        if self.scopes_open == 0 {
            self.undo.clear();
        }
    }

    /// Closes the innermost scope and undoes its writes.
    #[allow(clippy::needless_pass_by_value, reason = "a scope is closed once")]
    pub fn undo(&mut self, scope: Scope) {
        self.close(&scope);
        for (place, before) in self.undo.drain(scope.undo_len..).rev() {
            self.cells.at(place).written = before;
        }
    }

    fn close(&mut self, scope: &Scope) {
        assert!(self.scopes_open > 0 && scope.undo_len <= self.undo.len(), "scopes close inner ones first");
        self.scopes_open -= 1;
    }

    /// What was read from the parent state, and what was written.
    #[cfg(test)]
    fn into_sets(self) -> (ReadSet, ChangeSet) {
        let reads = self.cells.iter().filter_map(|cell| Some((cell.key.clone(), cell.read.clone().into_value()?)));
        (reads.collect(), self.into_changes())
    }

    /// What differs from the parent state: each key with what lies there and what is written.
    ///
    /// # Errors
    /// A parent state that can't be read.
    pub(crate) fn differences(&mut self) -> Result<Vec<Difference<'_>>, StateError> {
        let state = self.state;
        for cell in self.cells.iter_mut().filter(|cell| cell.written != Known::Nothing) {
            if cell.read == Known::Nothing {
                cell.read = Known::of(state.get(&cell.key)?);
            }
        }
        let different = self.cells.iter().filter(|cell| cell.written != Known::Nothing && cell.read != cell.written);
        Ok(different.map(Difference::of).collect())
    }

    /// What was written.
    pub fn into_changes(self) -> ChangeSet {
        let changes = self.cells.into_iter().filter_map(|cell| Some((cell.key, cell.written.into_value()?)));
        ChangeSet::of_distinct(changes.collect())
    }

    /// What was read and written.
    pub(crate) fn into_tracked(self) -> Tracked {
        Tracked(self.cells)
    }

    /// Takes over what another view came to that stands on the parent state itself: writes what it wrote, if it would have
    /// read here what it read there; whether it would. What it read there is known here then, and need not be asked again.
    pub(crate) fn take_over(&mut self, other: &mut Tracked) -> bool {
        assert!(self.scopes_open == 0, "what is taken over is not undone");
        let mut is_alike = true;
        self.places.clear();
        for cell in other.0.iter_mut() {
            let place = self.cells.find(&cell.key).unwrap_or_else(|| self.cells.add(cell.key.clone()));
            self.places.push(place);
            let own = self.cells.at(place);
            if cell.read == Known::Nothing {
                continue;
            }
            is_alike &= own.written == Known::Nothing || own.written == cell.read;
            if own.read == Known::Nothing {
                own.read = core::mem::take(&mut cell.read);
            }
        }
        if is_alike {
            for (cell, place) in other.0.iter_mut().zip(&self.places) {
                if cell.written != Known::Nothing {
                    self.cells.at(*place).written = core::mem::take(&mut cell.written);
                }
            }
        }
        is_alike
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell as Counter;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct MapState {
        values: BTreeMap<Bytes, Bytes>,
        gets: Counter<usize>,
    }

    impl State for MapState {
        fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
            self.gets.set(self.gets.get() + 1);
            Ok(self.values.get(key).cloned())
        }
        fn includes(&self, _: &Hash) -> bool {
            false
        }
    }

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn state(pairs: &[(&str, &str)]) -> MapState {
        let values = pairs.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        MapState { values, gets: Counter::new(0) }
    }

    #[test]
    fn the_parent_is_asked_once_and_remembered() {
        let parent = state(&[("a", "1")]);
        let mut view = View::new(&parent);
        assert_eq!(view.get(&bytes("a")).unwrap(), Some(&bytes("1")));
        view.set(bytes("a"), Some(bytes("2")));
        assert_eq!(view.get(&bytes("a")).unwrap(), Some(&bytes("2")));
        assert_eq!(view.get(&bytes("b")).unwrap(), None);
        assert_eq!(view.get(&bytes("b")).unwrap(), None);
        view.set(bytes("c"), Some(bytes("3")));
        assert_eq!(view.get(&bytes("c")).unwrap(), Some(&bytes("3")));
        assert_eq!(parent.gets.get(), 2, "a blind write reads nothing");
        let (reads, changes) = view.into_sets();
        assert_eq!(reads, ReadSet::from([(bytes("a"), Some(bytes("1"))), (bytes("b"), None)]));
        assert_eq!(changes, ChangeSet::from([(bytes("a"), Some(bytes("2"))), (bytes("c"), Some(bytes("3")))]));
    }

    #[test]
    fn an_undone_scope_leaves_reads_and_no_writes() {
        let parent = state(&[("a", "1")]);
        let mut view = View::new(&parent);
        view.set(bytes("a"), Some(bytes("2")));
        let outer = view.open();
        view.set(bytes("a"), None);
        let inner = view.open();
        view.set(bytes("a"), Some(bytes("4")));
        view.set(bytes("b"), Some(bytes("5")));
        view.keep(inner);
        assert_eq!(view.get(&bytes("a")).unwrap(), Some(&bytes("4")));
        view.undo(outer);
        assert_eq!(view.get(&bytes("a")).unwrap(), Some(&bytes("2")));
        assert_eq!(view.get(&bytes("b")).unwrap(), None);
        let (reads, changes) = view.into_sets();
        assert_eq!(reads, ReadSet::from([(bytes("b"), None)]));
        assert_eq!(changes, ChangeSet::from([(bytes("a"), Some(bytes("2")))]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, Option<u8>),
        Open,
        Keep,
        Undo,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_u8, proptest::option::of(any::<u8>())).prop_map(|(key, value)| Step::Set(key, value)),
            2 => Just(Step::Open),
            1 => Just(Step::Keep),
            1 => Just(Step::Undo),
        ]
    }

    proptest! {
        #[test]
        fn scopes_are_those_of_a_stack_of_copies(steps in proptest::collection::vec(step(), 0..60)) {
            let parent = state(&[]);
            let mut view = View::new(&parent);
            let mut scopes = Vec::new();
            let mut model: Vec<BTreeMap<Bytes, Option<Bytes>>> = vec![BTreeMap::new()];
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        let (key, value) = (Bytes::from([key].as_slice()), value.map(|value| Bytes::from([value].as_slice())));
                        view.set(key.clone(), value.clone());
                        model.last_mut().unwrap().insert(key, value);
                    }
                    Step::Open => {
                        scopes.push(view.open());
                        model.push(model.last().unwrap().clone());
                    }
                    Step::Keep => if let Some(scope) = scopes.pop() {
                        view.keep(scope);
                        let top = model.pop().unwrap();
                        *model.last_mut().unwrap() = top;
                    },
                    Step::Undo => if let Some(scope) = scopes.pop() {
                        view.undo(scope);
                        model.pop();
                    },
                }
                for key in 0..12_u8 {
                    let key = Bytes::from([key].as_slice());
                    let expected = model.last().unwrap().get(&key).and_then(Option::as_ref);
                    prop_assert_eq!(view.get(&key).unwrap(), expected);
                }
            }
            prop_assert_eq!(view.into_changes(), model.pop().unwrap().into_iter().collect());
        }
    }
}
