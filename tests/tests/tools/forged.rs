//! scapy: segments that no kernel would send, from an address that no kernel answers for; `forged.py` has them.

use super::stage::{BOTH, CARD_V4, CARD_V6, SCAPY, count, on_beside_others};

const SCRIPT: &str = include_str!("forged.py");

#[test]
fn forged_segments_are_met_by_silence_and_counted() {
    on_beside_others(BOTH, &[SCAPY], |stage| {
        let card = stage.start(&stage.config(100));
        std::thread::scope(|scope| {
            for (own, address) in [("10.8.0.66", CARD_V4), ("2001:db8:8::66", CARD_V6)] {
                scope.spawn(move || {
                    let said = stage.run_with(SCAPY, ["-c", SCRIPT, stage.interface, own, address], &[]).ended_well();
                    let cases = said.text.lines().count();
                    assert!(cases > 15 && said.text.lines().all(|line| line.starts_with("ok ")), "{said}");
                });
            }
        });
        let report = stage.finish(card);
        let at_least = |name: &str, least: u64| {
            assert!(count(&report, name) >= least, "{stage}: {name} < {least}: {:?}", report.counters);
        };
        at_least("dropped: checksum", 2);
        at_least("dropped: malformed", 4);
        at_least("dropped: unknown_flow", 8);
        at_least("link dropped: fragment", 8);
        at_least("challenge ACKs", 2);
        at_least("segments out of order", 2);
    });
}
