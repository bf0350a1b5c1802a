//! Each deliberate bug is found by the checker that is there for it, within 300 seeds.

#![cfg(feature = "canary")]

use hpb_sim::canaries::{ALL, hunt};

#[test]
fn every_canary_is_found_by_its_checker() {
    let hunts = ALL.map(|caged| hunt(caged, 7, &|| false));
    let told: Vec<String> = hunts.iter().map(ToString::to_string).collect();
    println!("{}", told.join("\n"));
    assert!(hunts.iter().all(hpb_sim::canaries::Hunt::is_caught), "{}", told.join("\n"));
}
