#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn tariff(per_byte: u128, per_signature: u128, per_unit: u128, slot_units: u64) -> Tariff {
    let fees = Fees {
        per_byte: Amount(per_byte),
        per_signature: Amount(per_signature),
        per_unit: Amount(per_unit),
        slot_units,
    };
    Tariff { fees, deposit_per_byte: Amount::ZERO }
}

fn work(bytes: u64, signatures: u64, units: u64) -> Work {
    Work { bytes, signatures, units }
}

#[test]
fn everything_is_paid_for_and_rounded_up() {
    let tariff = tariff(3, 50, 7, 0);
    for (done, price, fee) in [
        (work(200, 0, 0), PRICE_ONE, 600),
        (work(200, 2, 10), PRICE_ONE, 770),
        (work(200, 2, 10), 2 * PRICE_ONE, 1_540),
        (work(1, 0, 0), PRICE_ONE + 1, 4),
        (work(0, 0, 0), PRICE_MAX, 0),
    ] {
        assert_eq!(tariff.fee(&done, price), Some(Amount(fee)), "{done:?} at {price}");
    }
}

#[test]
fn a_fee_does_not_wrap() {
    let dear = tariff(u128::MAX, 1, 1, 0);
    assert_eq!(dear.fee(&work(2, 0, 0), PRICE_ONE), None);
    assert_eq!(dear.fee(&work(1, 1, 0), PRICE_ONE), None);
    assert_eq!(dear.fee(&work(1, 0, 0), PRICE_ONE), Some(Amount(u128::MAX)));
    assert_eq!(dear.fee(&work(1, 0, 0), PRICE_ONE + 1), None);
    assert_eq!(dear.units_for(Amount(u128::MAX), &work(2, 0, 0), PRICE_ONE, 10), None);
}

#[test]
fn work_weighs_as_its_parts_take_time() {
    assert_eq!(work(300, 2, 800).load(), 300 + 2 * SIGNATURE_UNITS + 800);
    assert_eq!(work(u64::MAX, u64::MAX, u64::MAX).load(), u64::MAX);
}

#[test]
fn the_price_follows_load() {
    let fees = tariff(1, 1, 1, 1_000).fees;
    let load = |slot, price, units| Load { slot: Slot(slot), price, units };
    let price_after = |units, slots| load(5, 8 * PRICE_ONE, units).at(Slot(5 + slots), &fees).price;
    assert_eq!(load(5, 8 * PRICE_ONE, 7).at(Slot(5), &fees), load(5, 8 * PRICE_ONE, 7), "it holds for the slot");
    assert_eq!(price_after(1_000, 1), 8 * PRICE_ONE, "what is aimed at leaves it");
    assert_eq!(price_after(2_000, 1), 9 * PRICE_ONE, "an eighth at most");
    assert_eq!(price_after(u64::MAX, 1), 9 * PRICE_ONE);
    assert_eq!(price_after(1_500, 1), 8 * PRICE_ONE + PRICE_ONE / 2);
    assert_eq!(price_after(1_001, 1), 8 * PRICE_ONE + 1, "any more is felt");
    assert_eq!(price_after(0, 1), 7 * PRICE_ONE);
    assert_eq!(price_after(2_000, 2), 9 * PRICE_ONE - 9 * PRICE_ONE / 8, "a slot without a block did nothing");
    assert_eq!(price_after(0, u64::MAX - 5), PRICE_ONE, "it ends at one, and at once");
    assert_eq!(load(5, PRICE_MAX - 1, u64::MAX).at(Slot(6), &fees).price, PRICE_MAX);
    assert_eq!(load(0, PRICE_ONE, u64::MAX).at(Slot(1), &tariff(1, 1, 1, 0).fees).price, PRICE_ONE, "it stays");
}

#[test]
fn full_slots_lead_to_the_highest_price_in_minutes() {
    let fees = tariff(1, 1, 1, 1_000).fees;
    let (mut load, mut slots) = (Load::default(), 0);
    while load.price < PRICE_MAX {
        slots += 1;
        load = Load { units: 2_000, ..load.at(Slot(slots), &fees) };
    }
    assert_eq!(slots, 60);
}

proptest! {
    #[test]
    fn a_purse_buys_as_much_as_it_covers(
        (per_byte, per_signature, per_unit) in (0..1_000_u128, 0..1_000_u128, 0..1_000_u128),
        (bytes, signatures) in (0..1_000_u64, 0..64_u64),
        purse in 0..10_000_000_u128,
        price in PRICE_ONE..=PRICE_MAX,
        most in 0..100_000_u64,
    ) {
        let tariff = tariff(per_byte, per_signature, per_unit, 0);
        let rest = work(bytes, signatures, 0);
        let covers = |units| tariff.fee(&Work { units, ..rest }, price).unwrap() <= Amount(purse);
        match tariff.units_for(Amount(purse), &rest, price, most) {
            None => prop_assert!(!covers(0)),
            Some(units) => {
                prop_assert!(units <= most && covers(units));
                prop_assert!(units == most || !covers(units + 1));
            }
        }
    }
}
