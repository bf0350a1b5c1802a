//! When a slice is final (PROTOCOL.md, "Confirms, justification, finality").
//!
//! A function of two growing sets, slices and certificates: it is asked again whenever either gains a member, and no
//! answer depends on which came first. A certificate counts the same whether a slice carried it or it was counted up
//! here from confirms: it holds the same signatures and convinces anyone who is shown it. What must bind all nodes at
//! the same slice (how many slots may pass without finality) asks the chain's carried certificates alone
//! (`progress`).

use hpb_base::canary::{self, Canary};

use super::tree::{Key, Tree};

/// The highest slice that is final because `key` is justified now: as the target of a link, or as the last missing slice
/// of a run. `None` if there is no such slice.
pub(super) fn proven_by(tree: &Tree, key: Key) -> Option<Key> {
    let slot = tree.node(key).height().slot;
    let mut best = None;
    let mut stack = vec![key];
    while let Some(target) = stack.pop() {
        if let Some(source) = dense_source(tree, target)
            && best.is_none_or(|best| tree.node(best).height() < tree.node(source).height())
        {
            best = Some(source);
        }
        stack.extend(tree.node(target).children.iter().copied().filter(|child| {
            let node = tree.node(*child);
            // A run that starts above `key` was dense before.
            node.height().slot == slot
                && tree.is_justified(*child)
                && node.link_source().height <= tree.node(key).height()
        }));
    }
    best.filter(|key| *key != tree.root())
}

/// The source of justified `target`'s link, if it lies in the target's slot and all from one to the other are justified.
fn dense_source(tree: &Tree, target: Key) -> Option<Key> {
    let source = tree.node(target).link_source();
    if canary::is(Canary::FinalityAcrossGap) {
        return tree.upward(target).find(|key| tree.node(*key).reference == source);
    }
    if source.height.slot != tree.node(target).height().slot {
        return None;
    }
    tree.upward(target)
        .take_while(|key| tree.is_justified(*key) && tree.node(*key).height() >= source.height)
        .find(|key| tree.node(*key).reference == source)
}
