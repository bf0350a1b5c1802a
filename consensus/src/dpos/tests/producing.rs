//! How far a chain may go without finality.

use hpb_base::limits::UNFINAL_SLOTS_MAX;
use hpb_types::slice::transactions_root;
use hpb_types::{Hash, SliceBody};

use super::{Kit, SLOT_MS, genesis};
use crate::engine::{DropReason, Engine};

#[test]
fn too_far_from_finality_a_slice_with_transactions_is_invalid() {
    let mut kit = Kit::observer();
    let limit = UNFINAL_SLOTS_MAX;
    let with_transactions = |body: &mut SliceBody| body.transactions_root = transactions_root([Hash::ZERO]);
    let at_limit = kit.make_with((limit, 0), genesis(), genesis(), with_transactions);
    kit.at(limit * SLOT_MS + 300).give(&at_limit);
    assert_eq!(kit.engine.head(), at_limit.reference());
    let beyond = kit.make_with((limit + 1, 0), at_limit.reference(), genesis(), with_transactions);
    kit.at((limit + 1) * SLOT_MS + 300).give(&beyond);
    assert_eq!(kit.dropped(DropReason::TooFarFromFinal), 1);
    let empty = kit.slice((limit + 1, 0), at_limit.reference(), genesis());
    assert_eq!(kit.engine.head(), empty);
}
