//! Which chain to build on (PROTOCOL.md, "Fork choice"): the one that carries the highest justified slice, then the most
//! filled slots after it, then the lower id.
//!
//! Only settled slices count: nobody can build on what was not executed. The id that decides between two chains is that
//! of the slice where they part, not of their tips: by the tips, two branches of equal weight would take the head from
//! each other with every slice, and each time retract the other's transactions.

use super::tree::{Key, Tree};
use crate::engine::HeadChange;
use crate::verdict::Verdict;

/// The best tip among the chains through `base`.
pub(super) fn tip_above(tree: &Tree, base: Key) -> Key {
    let mut tip = base;
    loop {
        let children = tree.node(tip).children.iter().copied();
        let settled = children.filter(|child| tree.node(*child).verdict == Verdict::Settled);
        let best = settled.min_by(|a, b| {
            let (a, b) = (tree.node(*a), tree.node(*b));
            b.filled_max.cmp(&a.filled_max).then(a.reference.id.cmp(&b.reference.id))
        });
        match best {
            Some(child) => tip = child,
            None => return tip,
        }
    }
}

/// The slice to build on, among the descendants of `base`.
pub(super) fn choose(tree: &Tree, base: Key) -> Key {
    let top = tree.tops().find(|top| tree.is_on_chain(*top, base)).unwrap_or(base);
    tip_above(tree, top)
}

/// Moves the head after `settled` was settled. `None` if it stays.
pub(super) fn grown(tree: &mut Tree, settled: Key) -> Option<HeadChange> {
    let (node, head) = (tree.node(settled), tree.node(tree.head));
    // A chain that grows at its head stays the best: every choice on the way there was for a subtree that gained.
    if node.parent == Some(tree.head) {
        return switch(tree, settled);
    }
    // A fork that is caught up slice by slice, and may be long, changes nothing until it has as many filled slots.
    if node.filled < head.filled && tree.tops().next() != Some(settled) {
        return None;
    }
    let next = choose(tree, tree.root());
    switch(tree, next)
}

/// Moves the head after a settled slice was justified. `None` if it stays.
pub(super) fn justified(tree: &mut Tree) -> Option<HeadChange> {
    let top = tree.tops().next().filter(|top| !tree.is_on_chain(tree.head, *top))?;
    let next = tip_above(tree, top);
    switch(tree, next)
}

/// Makes `next` the head. `None` if it was.
pub(super) fn switch(tree: &mut Tree, next: Key) -> Option<HeadChange> {
    let old = tree.head;
    if old == next {
        return None;
    }
    let (mut left, mut right) = (old, next);
    let (mut retracted, mut adopted) = (Vec::new(), Vec::new());
    while left != right {
        let (a, b) = (tree.node(left), tree.node(right));
        let (a_depth, b_depth) = (a.depth, b.depth);
        if a_depth >= b_depth {
            retracted.push(a.reference);
            left = a.parent.unwrap_or(right);
        }
        if b_depth >= a_depth {
            adopted.push(b.reference);
            right = b.parent.unwrap_or(left);
        }
    }
    adopted.reverse();
    tree.head = next;
    Some(HeadChange { old: tree.node(old).reference, new: tree.node(next).reference, retracted, adopted })
}
