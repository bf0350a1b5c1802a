//! Invalid slices, remembered so that their descendants are not asked for again and again.

use std::collections::{BTreeSet, VecDeque};

use hpb_base::limits::REFUSED_SLICES_MAX;
use hpb_types::Hash;

/// Their ids; the oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct Refused {
    order: VecDeque<Hash>,
    ids: BTreeSet<Hash>,
}

impl Refused {
    pub(super) fn contains(&self, id: &Hash) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn insert(&mut self, id: Hash) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > REFUSED_SLICES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut refused = Refused::default();
        let id = |number: usize| Hash::of(&number.to_le_bytes());
        for number in 0..=REFUSED_SLICES_MAX {
            refused.insert(id(number));
            refused.insert(id(number));
        }
        assert!(!refused.contains(&id(0)) && refused.contains(&id(1)) && refused.contains(&id(REFUSED_SLICES_MAX)));
        assert_eq!((refused.order.len(), refused.ids.len()), (REFUSED_SLICES_MAX, REFUSED_SLICES_MAX));
    }
}
