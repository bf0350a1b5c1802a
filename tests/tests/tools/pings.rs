//! ping: small and nearly full packets come back, fragments are met by silence and counted.

use super::stage::{BOTH, CARD_V4, CARD_V6, PING, count, on};

#[test]
fn pings_come_back_and_fragments_do_not() {
    on(BOTH, &[PING], |stage| {
        let card = stage.start(&stage.config(100));
        for address in [CARD_V4, CARD_V6] {
            for len in [56, 1_400] {
                stage.assert_pings(address, len);
            }
            // Three packets each, which nobody puts together.
            let said = stage.run(PING, &format!("-n -c 3 -i 0.05 -W 0.3 -s 4000 {address}"));
            said.shows("3 packets transmitted, 0 received, 100% packet loss");
        }
        let report = stage.finish(card);
        assert!(count(&report, "link: echoed") >= 20, "{stage}: {:?}", report.counters);
        assert_eq!(count(&report, "link dropped: fragment"), 18, "{stage}: {:?}", report.counters);
    });
}
