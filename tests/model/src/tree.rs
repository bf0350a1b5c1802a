//! The slices that can come to be: two chains that part somewhere.

use crate::slice::{Fork, SLOTS, Slice, Slices};

/// Two chains from one root.
#[derive(Clone, Debug)]
pub struct Tree {
    /// By fork, the root included.
    chains: [Slices; 2],
}

impl Tree {
    /// Chains of `lens[fork][slot - 1]` slices in each slot, at most
    /// [`SLICES_PER_SLOT_MAX`](crate::slice::SLICES_PER_SLOT_MAX); the first `shared` slices
    /// after the root belong to both, which must have them at the same heights.
    pub fn new(lens: [[u8; SLOTS as usize]; 2], shared: usize) -> Self {
        let heights = |fork: Fork| {
            let lens = lens[fork as usize];
            (1..=SLOTS).flat_map(move |slot| (0..lens[slot as usize - 1]).map(move |index| (slot, index)))
        };
        assert!(
            heights(Fork::A).take(shared).eq(heights(Fork::B).take(shared)) && heights(Fork::A).count() >= shared,
            "the chains have no {shared} heights in common"
        );
        let chain = |fork| {
            let fork_at = |position| if position < shared { Fork::A } else { fork };
            let slices = heights(fork).enumerate();
            slices
                .map(|(position, (slot, index))| Slice::at(fork_at(position), slot, index))
                .fold(Slices::ROOT, Slices::with)
        };
        Self { chains: Fork::ALL.map(chain) }
    }

    /// The slices of both chains, the root included.
    pub fn slices(&self) -> Slices {
        self.chains[0].or(self.chains[1])
    }

    /// The slices of one chain, the root included.
    pub fn chain(&self, fork: Fork) -> Slices {
        self.chains[fork as usize]
    }

    /// The ancestors of `slice`.
    pub fn ancestors(&self, slice: Slice) -> Slices {
        self.chain(slice.fork()).below(slice.rank())
    }

    /// `slice` and its ancestors.
    pub fn chain_to(&self, slice: Slice) -> Slices {
        self.ancestors(slice).with(slice)
    }

    /// The slices from `source`, an ancestor of `target`, to `target`, both included.
    pub fn run(&self, source: Slice, target: Slice) -> Slices {
        self.chain_to(target).from(source.rank())
    }

    /// Slices between the root and `slice`, `slice` counted.
    pub fn depth(&self, slice: Slice) -> u8 {
        self.ancestors(slice).iter().count() as u8
    }

    /// Whether two of `slices` lie on no common chain.
    pub fn is_torn(&self, slices: Slices) -> bool {
        self.chains.iter().all(|chain| !slices.is_subset(*chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_part_after_what_they_share() {
        let tree = Tree::new([[2, 2, 0], [2, 1, 0]], 3);
        let [first, second, third] = [Slice::at(Fork::A, 1, 0), Slice::at(Fork::A, 1, 1), Slice::at(Fork::A, 2, 0)];
        let last = Slice::at(Fork::A, 2, 1);
        assert!(tree.chain(Fork::A).iter().eq([Slice::ROOT, first, second, third, last]));
        assert!(tree.chain(Fork::B).iter().eq([Slice::ROOT, first, second, third]));

        let tree = Tree::new([[3, 3, 0], [1, 0, 1]], 1);
        let lone = Slice::at(Fork::B, 3, 0);
        assert!(tree.chain_to(lone).iter().eq([Slice::ROOT, first, lone]));
        assert!(tree.run(first, lone).iter().eq([first, lone]));
        assert_eq!((tree.depth(lone), tree.depth(Slice::ROOT)), (2, 0));
    }

    #[test]
    fn slices_after_the_parting_conflict() {
        let tree = Tree::new([[2, 0, 0]; 2], 1);
        let [shared, a, b] = [Slice::at(Fork::A, 1, 0), Slice::at(Fork::A, 1, 1), Slice::at(Fork::B, 1, 1)];
        let root = Slices::ROOT.with(shared);
        let table = [(root, false), (root.with(a), false), (root.with(b), false), (Slices::of(a).with(b), true)];
        for (slices, expected) in table {
            assert_eq!(tree.is_torn(slices), expected, "{slices:?}");
        }
    }

    #[test]
    #[should_panic(expected = "no 3 heights in common")]
    fn what_is_shared_has_one_height() {
        let _ = Tree::new([[3, 1, 0], [2, 2, 0]], 3);
    }
}
