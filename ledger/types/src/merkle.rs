//! Trees of hashes over lists: one hash for all, and a short proof that a list holds something at a place.
//!
//! The tree has the shape of RFC 6962, section 2.1: a list is split at the largest power of two below its length. An
//! inner node is the tagged hash `node` of its two halves; the leaves are what the caller hashed. The root says how many
//! leaves there are, so that a proof's length follows from the place and nothing else fits in a leaf's place.

use hpb_base::limits::MERKLE_LEAVES_MAX;

use crate::keys::Hash;

/// The root over `leaves`, in order, in `domain`: the tagged hash of their number (u32) and the tree's top, or of zeroes
/// where there is no leaf.
pub fn merkle_root(domain: &str, leaves: &[Hash]) -> Hash {
    root_of(domain, leaves.len() as u32, merkle_top(leaves))
}

/// Leaves that several workers hash apart. A power of two: so many in a row, from a multiple of it on, have an inner node
/// of the tree to themselves, and so have those that are left at the end.
pub const MERKLE_PART_LEN: usize = 64;

/// The root over `count` leaves whose parts of [`MERKLE_PART_LEN`] have these tops ([`merkle_top`]), in order.
pub fn merkle_root_of_parts(domain: &str, count: usize, tops: &[Hash]) -> Hash {
    root_of(domain, count as u32, merkle_top(tops))
}

fn root_of(domain: &str, count: u32, top: Hash) -> Hash {
    Hash::of_parts(domain, &[&count.to_le_bytes(), &top.0])
}

/// The top of the tree over `leaves`: zeroes where there is no leaf.
pub fn merkle_top(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(merkle_top(left), merkle_top(right))
        }
    }
}

/// Where a list of `len` leaves, at least two, is split.
fn split(len: usize) -> usize {
    len.next_power_of_two() / 2
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of_parts("node", &[&left.0, &right.0])
}

/// That a leaf stands at a place of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MerkleProof {
    /// The place, from 0.
    pub index: u32,
    /// The leaves of the list.
    pub count: u32,
    /// The other halves on the way from the leaf to the top.
    pub path: Vec<Hash>,
}

crate::layout!(MerkleProof { index, count, path: list(0..=MERKLE_PATH_MAX) });

/// The longest way from a leaf to the top.
pub const MERKLE_PATH_MAX: usize = MERKLE_LEAVES_MAX.ilog2() as usize;

impl MerkleProof {
    /// The proof of the leaf at `index`; `None` if there is none, or the list is longer than proofs are made for.
    pub fn new(leaves: &[Hash], index: usize) -> Option<Self> {
        if index >= leaves.len() || leaves.len() > MERKLE_LEAVES_MAX {
            return None;
        }
        let (mut path, mut rest, mut at) = (Vec::new(), leaves, index);
        while rest.len() > 1 {
            let (left, right) = rest.split_at(split(rest.len()));
            if at < left.len() {
                path.push(merkle_top(right));
                rest = left;
            } else {
                at -= left.len();
                path.push(merkle_top(left));
                rest = right;
            }
        }
        path.reverse();
        Some(Self { index: index as u32, count: leaves.len() as u32, path })
    }

    /// The root of the list that this proves `leaf` to be in; `None` if the path is not that of the place.
    pub fn root(&self, domain: &str, leaf: Hash) -> Option<Hash> {
        let sides = sides(self.index, self.count)?;
        if sides.len() != self.path.len() {
            return None;
        }
        let climb = |below: Hash, (is_left, other): (&bool, &Hash)| {
            if *is_left { node(below, *other) } else { node(*other, below) }
        };
        Some(root_of(domain, self.count, sides.iter().zip(&self.path).fold(leaf, climb)))
    }
}

/// From a leaf to the top: whether the way stands on the left. `None` for a place that is none.
fn sides(index: u32, count: u32) -> Option<Vec<bool>> {
    let (mut at, mut len) = (index as usize, count as usize);
    if at >= len || len > MERKLE_LEAVES_MAX {
        return None;
    }
    let mut sides = Vec::new();
    while len > 1 {
        let left = split(len);
        let is_left = at < left;
        sides.push(is_left);
        (at, len) = if is_left { (at, left) } else { (at - left, len - left) };
    }
    sides.reverse();
    Some(sides)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| Hash::of_parts("test leaf", &[&number.to_le_bytes()])).collect()
    }

    #[test]
    fn the_shape_is_that_of_the_rfc() {
        let all = leaves(5);
        let (first, second) = (node(all[0], all[1]), node(all[2], all[3]));
        assert_eq!(merkle_root("list", &all), root_of("list", 5, node(node(first, second), all[4])));
        assert_eq!(merkle_root("list", &all[..1]), root_of("list", 1, all[0]));
        assert_eq!(merkle_root("list", &[]), root_of("list", 0, Hash::ZERO));
        assert_ne!(merkle_root("list", &all), merkle_root("other", &all));
        assert_ne!(merkle_root("list", &all[..2]), merkle_root("list", &[first]), "a node is no leaf");
    }

    #[test]
    fn parts_come_to_the_root_of_the_whole() {
        for count in (0..300).chain([1_024, 1_025, 10_000]) {
            let list = leaves(count);
            let tops: Vec<Hash> = list.chunks(MERKLE_PART_LEN).map(merkle_top).collect();
            assert_eq!(merkle_root_of_parts("list", count, &tops), merkle_root("list", &list), "{count}");
        }
    }

    #[test]
    fn every_leaf_has_a_proof_and_nothing_else_does() {
        for count in 1..40 {
            let list = leaves(count);
            let root = merkle_root("list", &list);
            for (index, leaf) in list.iter().enumerate() {
                let proof = MerkleProof::new(&list, index).unwrap();
                assert_eq!(proof.root("list", *leaf), Some(root), "{index} of {count}");
                assert_ne!(proof.root("list", Hash::ZERO), Some(root));
                assert_ne!(proof.root("other", *leaf), Some(root));
                for other in (0..count as u32 + 2).filter(|other| *other != index as u32) {
                    assert_ne!(MerkleProof { index: other, ..proof.clone() }.root("list", *leaf), Some(root));
                }
                assert_ne!(MerkleProof { count: count as u32 + 1, ..proof.clone() }.root("list", *leaf), Some(root));
                let mut longer = proof.clone();
                longer.path.push(Hash::ZERO);
                assert_eq!(longer.root("list", *leaf), None);
            }
            assert_eq!(MerkleProof::new(&list, count), None);
        }
    }

    #[test]
    fn a_list_of_all_sizes_has_a_path_within_the_limit() {
        assert_eq!(sides(0, MERKLE_LEAVES_MAX as u32).unwrap().len(), MERKLE_PATH_MAX);
        assert_eq!(sides(0, MERKLE_LEAVES_MAX as u32 + 1), None);
        assert_eq!(sides(0, 0), None);
        assert_eq!(sides(u32::MAX, u32::MAX), None);
    }
}
