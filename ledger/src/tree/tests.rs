#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use hpb_types::{Height, ResultsCommitment, Slot};
use proptest::prelude::*;

use super::*;
use crate::records::Window;
use crate::store::MemoryStore;
use crate::testing::slice;

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

fn executed(changes: ChangeSet, ids: Vec<Hash>) -> Executed {
    let results = ResultsCommitment { scheme: 0, hash: Hash::ZERO };
    Executed {
        ids,
        receipts: Vec::new(),
        receipts_root: Hash::ZERO,
        changes,
        transactions_root: Hash::ZERO,
        results,
        next: None,
    }
}

fn change(key: &str, value: Option<&str>) -> Executed {
    executed(ChangeSet::from([(bytes(key), value.map(bytes))]), Vec::new())
}

/// A tree that keeps two records of what its store holds.
fn empty_tree() -> Tree<MemoryStore> {
    let mut tree = Tree::open(MemoryStore::new(), slice(0, 0, 0), 1, ChangeSet::new()).unwrap();
    tree.residents = Residents::new(1).with_spare_max(2);
    tree
}

fn see(tree: &Tree<MemoryStore>, at: SliceRef, key: &str) -> Option<Bytes> {
    tree.at(&at.id).unwrap().get(&bytes(key)).unwrap()
}

#[test]
fn a_slice_sees_its_own_line_only() {
    let mut tree = empty_tree();
    let root = tree.root();
    let (left, right, above) = (slice(1, 0, 0), slice(1, 0, 1), slice(2, 0, 0));
    tree.insert(left, root.id, change("a", Some("left"))).unwrap();
    tree.insert(right, root.id, change("a", Some("right"))).unwrap();
    tree.insert(above, right.id, change("b", Some("above"))).unwrap();
    assert_eq!(see(&tree, left, "a"), Some(bytes("left")));
    assert_eq!(see(&tree, above, "a"), Some(bytes("right")));
    assert_eq!(see(&tree, right, "b"), None);
    assert_eq!(see(&tree, root, "a"), None);
    let finalised = tree.finalise(&right.id).unwrap();
    assert_eq!(finalised.slices.iter().map(|slice| slice.reference).collect::<Vec<_>>(), [right]);
    assert_eq!(finalised.dropped, [left]);
    assert!(tree.at(&left.id).is_none() && tree.at(&root.id).is_none());
    assert_eq!(see(&tree, above, "a"), Some(bytes("right")));
    assert_eq!(tree.residents.unsettled_count(), 1, "only what is not final has versions");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut tree = empty_tree();
    let root = tree.root();
    let first = slice(1, 0, 0);
    tree.insert(first, root.id, change("a", None)).unwrap();
    let insert =
        |tree: &mut Tree<MemoryStore>, reference, parent: Hash| tree.insert(reference, parent, change("a", Some("x")));
    assert_eq!(insert(&mut tree, first, root.id), Err(InsertError::Known));
    assert_eq!(insert(&mut tree, root, root.id), Err(InsertError::Known));
    assert_eq!(insert(&mut tree, slice(1, 0, 7), first.id), Err(InsertError::NotAfterParent));
    assert_eq!(insert(&mut tree, slice(2, 0, 0), slice(9, 9, 9).id), Err(InsertError::NoSuchParent));
    assert_eq!(tree.finalise(&root.id), Err(FinaliseError::NoSuchSlice), "final already");
    assert_eq!(tree.finalise(&slice(9, 9, 9).id), Err(FinaliseError::NoSuchSlice));
    assert_eq!(tree.len(), 1);
    tree.bytes = TREE_BYTES_MAX;
    assert_eq!(insert(&mut tree, slice(2, 0, 0), first.id), Err(InsertError::Full));
}

#[test]
fn the_way_between_heads_turns_at_the_last_common_slice() {
    let mut tree = empty_tree();
    let root = tree.root();
    let add = |tree: &mut Tree<MemoryStore>, slot, fork, parent: SliceRef| {
        let reference = slice(slot, 0, fork);
        tree.insert(reference, parent.id, change("a", None)).unwrap();
        reference
    };
    let common = add(&mut tree, 1, 0, root);
    let left_one = add(&mut tree, 2, 0, common);
    let left_two = add(&mut tree, 3, 0, left_one);
    let right = add(&mut tree, 4, 1, common);
    let way = |tree: &Tree<MemoryStore>, from: SliceRef, to: SliceRef| {
        tree.switch(&from.id, &to.id).map(|switch| (switch.retracted, switch.adopted))
    };
    assert_eq!(way(&tree, left_two, right), Some((vec![left_two.id, left_one.id], vec![right.id])));
    assert_eq!(way(&tree, right, left_two), Some((vec![right.id], vec![left_one.id, left_two.id])));
    assert_eq!(way(&tree, common, left_two), Some((vec![], vec![left_one.id, left_two.id])));
    assert_eq!(way(&tree, left_two, root), Some((vec![left_two.id, left_one.id, common.id], vec![])));
    assert_eq!(way(&tree, right, right), Some((vec![], vec![])));
    assert_eq!(way(&tree, right, slice(9, 9, 9)), None);
}

#[test]
fn ids_go_with_their_record() {
    let id = |number: u8| Hash([number; 32]);
    let mut tree = empty_tree();
    let mut parent = tree.root();
    for sequence in 0..3_u64 {
        let ids = vec![id(sequence as u8), id(100 + sequence as u8)];
        let included = Included { slot: Slot(1), ids: ids.clone() };
        let window = Window { first: 0, next: sequence + 1 };
        let changes = ChangeSet::from([
            (key::of_included(sequence), Some(records::store(&included))),
            (key::of(SYSTEM, key::WINDOW), Some(records::store(&window))),
        ]);
        let reference = slice(1, sequence as u32, 0);
        tree.insert(reference, parent.id, executed(changes, ids)).unwrap();
        parent = reference;
    }
    let removal = slice(300, 0, 0);
    let gone = (0..2).map(|sequence| (key::of_included(sequence), None)).collect();
    tree.insert(removal, parent.id, executed(gone, Vec::new())).unwrap();
    tree.finalise(&parent.id).unwrap();
    let held = |tree: &Tree<MemoryStore>, at: SliceRef| -> Vec<u8> {
        let state = tree.at(&at.id).unwrap();
        (0..103).filter(|number| state.includes(&id(*number))).collect()
    };
    assert_eq!(held(&tree, parent), [0, 1, 2, 100, 101, 102]);
    let batch = tree.hand_over().unwrap();
    tree.store_mut().commit(&batch).unwrap();
    let reopened = Tree::open(tree.store.clone(), parent, 2, ChangeSet::new()).unwrap();
    assert_eq!(held(&reopened, parent), [0, 1, 2, 100, 101, 102], "the index is rebuilt from the state");
    tree.finalise(&removal.id).unwrap();
    assert_eq!(held(&tree, removal), [2, 102]);
    assert_eq!(tree.final_ids.len(), 2);
    let batch = tree.hand_over().unwrap();
    tree.store_mut().commit(&batch).unwrap();
    let reopened = Tree::open(tree.store.clone(), removal, 3, ChangeSet::new()).unwrap();
    assert_eq!(held(&reopened, removal), [2, 102]);
}

#[test]
fn a_long_line_is_not_walked_for_a_read() {
    let mut tree = empty_tree();
    let mut parent = tree.root();
    tree.insert(slice(1, 0, 0), parent.id, change("old", Some("x"))).unwrap();
    parent = slice(1, 0, 0);
    for index in 1..2_000 {
        let reference = slice(1, index, 0);
        tree.insert(reference, parent.id, change("hot", Some("y"))).unwrap();
        parent = reference;
    }
    let state = tree.at(&parent.id).unwrap();
    assert_eq!(state.path.len(), 1, "one branch, however long");
    assert_eq!(state.get(&bytes("old")).unwrap(), Some(bytes("x")));
    assert_eq!(state.get(&bytes("hot")).unwrap(), Some(bytes("y")));
}

#[derive(Clone, Debug)]
enum Step {
    /// On which known slice, and what changes: key, and value or removal.
    Insert(usize, Vec<(u8, Option<u8>)>),
    Finalise(usize),
    HandOver,
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    let changes = proptest::collection::vec((0..8_u8, proptest::option::of(any::<u8>())), 0..4);
    prop_oneof![
        8 => (any::<usize>(), changes).prop_map(|(on, changes)| Step::Insert(on, changes)),
        1 => any::<usize>().prop_map(Step::Finalise),
        1 => Just(Step::HandOver),
        1 => Just(Step::Commit),
    ]
}

/// A slice with its whole state, and its line down to the first.
#[derive(Clone)]
struct Known {
    reference: SliceRef,
    line: Vec<Hash>,
    state: BTreeMap<Bytes, Bytes>,
    ids: BTreeSet<Hash>,
}

fn scanned(tree: &Tree<MemoryStore>, at: &Hash, prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut found = Vec::new();
    let state = tree.at(at).unwrap();
    let visit = |key: &[u8], value: &[u8]| {
        found.push((Bytes::from(key), Bytes::from(value)));
        ControlFlow::Continue(())
    };
    state.scan(prefix, visit).unwrap();
    found
}

proptest! {
    #[test]
    fn reads_are_those_of_a_replay(steps in proptest::collection::vec(step(), 1..60)) {
        let mut tree = empty_tree();
        let root = tree.root();
        let mut model = vec![Known { reference: root, line: vec![root.id], state: BTreeMap::new(), ids: BTreeSet::new() }];
        let mut handed = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(on, changes) => {
                    let mut known = model[on % model.len()].clone();
                    let parent = known.reference;
                    let height = Height::new(parent.height.slot.0 + 1, 0);
                    known.reference = SliceRef { height, id: Hash::of(&number.to_le_bytes()) };
                    let changes: ChangeSet = changes
                        .into_iter()
                        .map(|(key, value)| (Bytes::from(&[b'k', key % 2, key][..]), value.map(|value| Bytes::from(&[value][..]))))
                        .collect();
                    for (key, value) in &changes {
                        match value {
                            Some(value) => known.state.insert(key.clone(), value.clone()),
                            None => known.state.remove(key),
                        };
                    }
                    // The same transaction may be included on several forks, once on each.
                    let id = Hash([(number % 5) as u8; 32]);
                    let ids = if known.ids.insert(id) { vec![id] } else { Vec::new() };
                    known.line.push(known.reference.id);
                    tree.insert(known.reference, parent.id, executed(changes, ids)).unwrap();
                    model.push(known);
                }
                Step::Finalise(which) => {
                    let target = model[which % model.len()].clone();
                    let root = tree.root();
                    let result = tree.finalise(&target.reference.id);
                    if target.reference == root {
                        prop_assert_eq!(result, Err(FinaliseError::NoSuchSlice));
                    } else {
                        let finalised = result.unwrap();
                        let from = target.line.iter().position(|id| *id == root.id).unwrap() + 1;
                        let order: Vec<Hash> = finalised.slices.iter().map(|slice| slice.reference.id).collect();
                        prop_assert_eq!(&order, &target.line[from..]);
                        let stays = |known: &Known| known.line.contains(&target.reference.id);
                        let gone: BTreeSet<Hash> =
                            model.iter().filter(|known| !stays(known)).map(|known| known.reference.id).collect();
                        model.retain(stays);
                        let dropped = finalised.dropped.iter().map(|reference| reference.id);
                        let left: BTreeSet<Hash> =
                            dropped.chain(order).chain([root.id]).filter(|id| *id != target.reference.id).collect();
                        prop_assert_eq!(left, gone);
                    }
                }
                Step::HandOver => handed.extend(tree.hand_over()),
                Step::Commit => if !handed.is_empty() {
                    let batch: FinalBatch = handed.remove(0);
                    tree.store_mut().commit(&batch).unwrap();
                    tree.committed(batch.point.commit);
                },
            }
            prop_assert_eq!(tree.len() + 1, model.len());
            for known in &model {
                let state = tree.at(&known.reference.id).unwrap();
                for key in 0..8_u8 {
                    let key = Bytes::from(&[b'k', key % 2, key][..]);
                    prop_assert_eq!(state.get(&key).unwrap(), known.state.get(&key).cloned());
                }
                for id in 0..5_u8 {
                    prop_assert_eq!(state.includes(&Hash([id; 32])), known.ids.contains(&Hash([id; 32])));
                }
                let pairs = |prefix: &[u8]| -> Vec<(Bytes, Bytes)> {
                    let within = known.state.iter().filter(|(key, _)| key.starts_with(prefix));
                    within.map(|(key, value)| (key.clone(), value.clone())).collect()
                };
                for prefix in [&b""[..], b"k\0", b"k\x01\x05", b"z"] {
                    prop_assert_eq!(scanned(&tree, &known.reference.id, prefix), pairs(prefix));
                }
            }
        }
        let last = model.last().unwrap().reference.id;
        if last != tree.root().id {
            tree.finalise(&last).unwrap();
        }
        prop_assert!(tree.len() == 0 && tree.bytes == 0 && tree.residents.unsettled_count() == 0 && tree.ids.len() == 0);
        prop_assert!(tree.forks.is_empty(), "no branch outlives its slices");
    }

    #[test]
    fn a_scan_stops_where_it_is_told(stop in 0..6_usize) {
        let mut tree = empty_tree();
        let root = tree.root();
        let all = |keys: &[&str]| {
            executed(keys.iter().map(|key| (bytes(key), Some(bytes("v")))).collect(), Vec::new())
        };
        let (first, second) = (slice(1, 0, 0), slice(1, 1, 0));
        tree.insert(first, root.id, all(&["b", "d"])).unwrap();
        tree.finalise(&first.id).unwrap();
        let batch = tree.hand_over().unwrap();
        tree.store_mut().commit(&batch).unwrap();
        tree.committed(batch.point.commit);
        tree.insert(second, first.id, all(&["a", "c", "d", "e"])).unwrap();
        let mut seen = String::new();
        tree.at(&second.id).unwrap().scan(b"", |key, _| {
            seen.push(char::from(key[0]));
            if seen.len() > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }).unwrap();
        prop_assert_eq!(seen.as_str(), &"abcde"[..5.min(stop + 1)]);
    }
}
