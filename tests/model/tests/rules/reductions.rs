//! Whether the exploration may leave out what it leaves out: smaller trees are explored in every order and without
//! classes, and come to the same.
//!
//! Each comparison also meets a reduction that is unsound, and says so.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use hpb_model::model::{FixedBy, Model, Order, State};
use hpb_model::producers::Producers;
use hpb_model::rules::{Heights, PerHeight, Rules, Source, Watermark};
use hpb_model::slice::{Links, Slices};
use hpb_model::tree::Tree;

fn model(lens: [[u8; 3]; 2], shared: usize, producers: Producers) -> Model {
    let tree = Tree::new(lens, shared);
    let (fixed_by, rules, order) = (FixedBy::Root, Rules::PROTOCOL, Order::ByHeight);
    Model { tree, producers, fixed_by, rules, order, start: Vec::new() }
}

/// Shows every state, told apart by everything in it, with those that can follow it; returns how many there are.
fn walk(model: &Model, mut visit: impl FnMut(&State, &[State])) -> usize {
    let mut seen = HashSet::from([model.first()]);
    let mut left = vec![model.first()];
    let mut actions = Vec::new();
    while let Some(state) = left.pop() {
        model.actions(&state, &mut actions);
        let next: Vec<State> = actions.drain(..).map(|action| model.next(&state, action)).collect();
        visit(&state, &next);
        left.extend(next.into_iter().filter(|state| seen.insert(state.clone())));
    }
    seen.len()
}

/// Every set of certificates that can come to be, with what is final and whether something was undone on the way; and the
/// number of states.
fn ends(model: &Model) -> (HashSet<(Links, Slices, bool)>, usize) {
    let mut ends = HashSet::new();
    let count = walk(model, |state, _| {
        let certificates = state.carried().iter().filter(|(_, target)| state.justified().contains(*target)).collect();
        ends.insert((certificates, state.finals(), state.is_undone()));
    });
    (ends, count)
}

/// Whether all states with one `class` can be followed by the same classes; and the numbers of states and of classes.
fn decides<C: Hash + Eq>(model: &Model, class: impl Fn(&State) -> C) -> (bool, usize, usize) {
    let mut futures: HashMap<C, HashSet<C>> = HashMap::new();
    let mut is_decided = true;
    let count = walk(model, |state, next| {
        let future: HashSet<C> = next.iter().map(&class).collect();
        match futures.get(&class(state)) {
            Some(known) => is_decided &= *known == future,
            None => drop(futures.insert(class(state), future)),
        }
    });
    (is_decided, count, futures.len())
}

#[test]
fn the_order_by_height_comes_to_the_same_ends() {
    let table = [
        (model([[3, 0, 0]; 2], 0, Producers::UNCHANGED), 89_856, 56_428),
        (model([[2, 1, 0]; 2], 1, Producers::UNCHANGED), 54_301, 38_593),
        (model([[1, 2, 0]; 2], 2, Producers::TWO_STAY), 63_185, 53_017),
        (model([[0, 2, 0]; 2], 0, Producers::ONE_STAYS), 92_447, 72_686),
    ];
    for (by_height, any_count, by_height_count) in table {
        let any = ends(&Model { order: Order::Any, ..by_height.clone() });
        let ordered = ends(&by_height);
        assert!(ordered.0 == any.0, "{by_height:?}");
        assert!(any.0.iter().all(|(_, _, is_undone)| !is_undone), "{by_height:?}");
        assert_eq!((any.1, ordered.1), (any_count, by_height_count), "{by_height:?}");
    }
}

#[test]
fn an_order_that_the_rules_do_not_follow_loses_ends() {
    let rules = Rules { heights: Heights::Depth, ..Rules::PROTOCOL };
    let by_height = Model { rules, ..model([[2, 0, 0], [0, 2, 0]], 0, Producers::UNCHANGED) };
    let (any, _) = ends(&Model { order: Order::Any, ..by_height.clone() });
    let (ordered, _) = ends(&by_height);
    assert!(ordered.is_subset(&any) && ordered != any);
}

#[test]
fn a_class_decides_the_future() {
    let own_view = Rules { source: Source::OwnView, ..Rules::PROTOCOL };
    let silent = Producers::UNCHANGED.with_silence();
    let table = [
        (model([[3, 0, 0]; 2], 0, Producers::UNCHANGED), 56_428, 355),
        (model([[2, 1, 0]; 2], 0, Producers::UNCHANGED), 56_428, 367),
        (model([[1, 2, 0]; 2], 2, Producers::TWO_STAY), 53_017, 972),
        (model([[0, 3, 0]; 2], 2, Producers::TWO_STAY), 86_809, 1_122),
        (model([[0, 2, 1]; 2], 2, Producers::TWO_STAY), 86_809, 1_122),
        (
            Model { fixed_by: FixedBy::FirstSlice, ..model([[3, 1, 0], [2, 1, 0]], 2, Producers::TWO_STAY) },
            167_017,
            1_673,
        ),
        (Model { rules: own_view, ..model([[3, 0, 0]; 2], 0, silent) }, 24_870, 490),
    ];
    for (model, count, class_count) in table {
        assert_eq!(decides(&model, |state| model.class(state)), (true, count, class_count), "{model:?}");
    }
}

#[test]
fn certificates_alone_do_not_decide_the_future() {
    let model = model([[2, 0, 0]; 2], 0, Producers::UNCHANGED);
    let (is_decided, _, _) = decides(&model, |state| (state.carried(), state.justified(), state.finals()));
    assert!(!is_decided, "the producers' watermarks were not missed");
}

#[test]
fn honest_producers_sign_nothing_that_proves_a_fault() {
    let has_fault = |lens, shared, rules| {
        let model = Model { rules, order: Order::Any, ..model(lens, shared, Producers::UNCHANGED) };
        let mut has_fault = false;
        walk(&model, |state, _| has_fault |= state.has_fault());
        has_fault
    };
    assert!(!has_fault([[3, 0, 0]; 2], 0, Rules::PROTOCOL));
    assert!(has_fault([[3, 0, 0]; 2], 1, Rules { watermark: Watermark::Target, ..Rules::PROTOCOL }));
    assert!(has_fault([[2, 0, 0]; 2], 0, Rules { per_height: PerHeight::Any, ..Rules::PROTOCOL }));
}
