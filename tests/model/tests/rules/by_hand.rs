//! Runs of the model step by step, as a person writes them.

use hpb_model::model::{Action, FixedBy, Model, Order, State};
use hpb_model::producers::Producers;
use hpb_model::rules::Rules;
use hpb_model::slice::{Fork, Slice};
use hpb_model::tree::Tree;

/// Where both chains start.
pub(crate) const ROOT: Slice = Slice::ROOT;

/// A slice of fork A.
pub(crate) const fn a(slot: u8, index: u8) -> Slice {
    Slice::at(Fork::A, slot, index)
}

/// A slice of fork B.
pub(crate) const fn b(slot: u8, index: u8) -> Slice {
    Slice::at(Fork::B, slot, index)
}

/// Honest producers, and the link source -> target that each of them confirms.
pub(crate) type Step<'a> = (&'a [usize], Slice, Slice);

/// Two slots of three slices on two chains that part at the root, explored by height.
pub(crate) fn model(producers: Producers, rules: Rules) -> Model {
    let tree = Tree::new([[3, 3, 0]; 2], 0);
    Model { tree, producers, fixed_by: FixedBy::Root, rules, order: Order::ByHeight, start: Vec::new() }
}

/// Does `steps` one after the other, in this order. A target is created when it is first named, and carries the link's
/// source; its ancestors before it, each with what its parent carries. Gives the first action that the rules refuse.
pub(crate) fn play(model: &Model, steps: &[Step<'_>]) -> Result<State, Action> {
    let model = Model { order: Order::Any, ..model.clone() };
    let mut state = model.first();
    for (producers, source, target) in steps {
        for slice in model.tree.chain_to(*target).without(state.created().with(ROOT)).iter() {
            let parent = model.tree.ancestors(slice).last().unwrap_or(ROOT);
            let source = if slice == *target { *source } else { state.carried().source(parent).unwrap_or(ROOT) };
            state = act(&model, &state, Action::Create { slice, source })?;
        }
        for producer in *producers {
            let (producer, source, target) = (*producer, *source, *target);
            state = act(&model, &state, Action::Confirm { producer, source, target })?;
        }
    }
    Ok(state)
}

/// Does `action` if the rules allow it.
fn act(model: &Model, state: &State, action: Action) -> Result<State, Action> {
    let mut allowed = Vec::new();
    model.actions(state, &mut allowed);
    if allowed.contains(&action) { Ok(model.next(state, action)) } else { Err(action) }
}
