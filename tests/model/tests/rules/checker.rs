//! The model as the checker sees it: what two states have in common, and what is asked of each.

use std::hash::{Hash, Hasher};

use hpb_model::class::Class;
use hpb_model::model::{Action, FixedBy, Model, State};
use hpb_model::producers::Set;
use hpb_model::slice::{Fork, Slice, Slices};
use stateright::{Checker, HasDiscoveries, Property};

/// Always: no two conflicting slices are final.
pub(crate) const ONE_CHAIN: &str = "all final slices lie on one chain";
/// Always: what is final stays final.
pub(crate) const FOR_EVER: &str = "final is never undone";
/// Sometimes.
pub(crate) const FINAL: &str = "a slice is final";
/// Sometimes.
pub(crate) const NEW_EPOCH: &str = "a slice of the new epoch is final";
/// Sometimes, on the chain that parts from the first.
pub(crate) const OTHER_CHAIN: &str = "a slice of fork B is final";
/// Sometimes: the overlap ends.
pub(crate) const NEW_SET_ALONE: &str = "the new set alone justifies a slice";
/// Sometimes: the proof that the schedule's block is final is missing.
pub(crate) const OLD_SET_STAYS: &str = "the old set alone justifies a slice of the new epoch";

/// When two states count as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Same {
    /// When their futures are the same.
    Class,
    /// When everything in them is.
    State,
}

/// A state, and what it is told apart by.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) state: State,
    class: Option<Class>,
}

/// What the checker explores.
pub(crate) struct Checked {
    model: Model,
    same: Same,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match &self.class {
            Some(_) => self.class == other.class,
            None => self.state == other.state,
        }
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match &self.class {
            Some(class) => class.hash(hasher),
            None => self.state.hash(hasher),
        }
    }
}

impl Checked {
    fn node(&self, state: State) -> Node {
        Node { class: (self.same == Same::Class).then(|| self.model.class(&state)), state }
    }
}

impl stateright::Model for Checked {
    type State = Node;
    type Action = Action;

    fn init_states(&self) -> Vec<Node> {
        vec![self.node(self.model.first())]
    }

    fn actions(&self, node: &Node, actions: &mut Vec<Action>) {
        self.model.actions(&node.state, actions);
    }

    fn next_state(&self, node: &Node, action: Action) -> Option<Node> {
        Some(self.node(self.model.next(&node.state, action)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONE_CHAIN, |checked: &Self, node: &Node| !checked.model.is_torn(&node.state)),
            Property::always(FOR_EVER, |_, node: &Node| !node.state.is_undone()),
            Property::sometimes(FINAL, |_, node: &Node| node.state.finals() != Slices::ROOT),
            Property::sometimes(NEW_EPOCH, |_, node: &Node| !node.state.finals().and(new_epoch()).is_empty()),
        ];
        let of_b = self.model.tree.chain(Fork::B).without(self.model.tree.chain(Fork::A));
        // The highest slice of a chain has none after it to make it final.
        if of_b.iter().count() > 1 {
            properties.push(Property::sometimes(OTHER_CHAIN, |_, node: &Node| {
                node.state.finals().iter().any(|slice| slice.fork() == Fork::B)
            }));
        }
        properties
            .push(Property::sometimes(NEW_SET_ALONE, |_, node: &Node| justified_by(&node.state, Set::New, Set::Old)));
        if self.model.fixed_by == FixedBy::FirstSlice {
            properties.push(Property::sometimes(OLD_SET_STAYS, |_, node: &Node| {
                justified_by(&node.state, Set::Old, Set::New)
            }));
        }
        properties
    }
}

fn new_epoch() -> Slices {
    Fork::ALL
        .into_iter()
        .flat_map(|fork| (2..=3).flat_map(move |slot| (0..3).map(move |index| Slice::at(fork, slot, index))))
        .collect()
}

/// Whether a slice of the new epoch is justified that needs one set without the other.
fn justified_by(state: &State, set: Set, other: Set) -> bool {
    !state.justified().and(new_epoch()).and(state.needs(set)).without(state.needs(other)).is_empty()
}

/// Explores all of `model`, requires all properties, and returns the number of classes of states.
pub(crate) fn explore(model: Model) -> usize {
    let checker = stateright::Model::checker(Checked { model, same: Same::Class }).spawn_dfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

/// A way to a state that breaks the property `name`, or shows it if it is one that holds sometimes; `None` if
/// all was explored and there is none.
pub(crate) fn find(model: &Model, same: Same, name: &'static str) -> Option<Vec<Action>> {
    let checked = Checked { model: model.clone(), same };
    let until = HasDiscoveries::AnyOf([name].into());
    let checker = stateright::Model::checker(checked).finish_when(until).spawn_bfs().join();
    checker.discovery(name).map(stateright::Path::into_actions)
}
