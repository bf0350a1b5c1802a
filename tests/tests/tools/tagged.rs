//! The card on a VLAN: its frames carry the tag, and only those that carry it are its own.
//!
//! The kernel's end of the link has no tags: `trunk.py` is the switch that puts them on and takes them off, because not
//! every kernel has 802.1Q.

use super::stage::{CARD_V4, CARD_V6, NCAT, PING, PYTHON, Stage, Way, count, noise, on};
use super::streams::assert_echoes;

const SWITCH: &str = include_str!("trunk.py");

/// Has the switch run until its holder goes.
fn switch(stage: &Stage, tag: &str) -> super::stage::Background {
    let mut switch = stage.background_with(PYTHON, ["-c", SWITCH, "access0", stage.interface, tag]);
    assert_eq!(switch.read(6), b"ready\n");
    switch
}

#[test]
fn a_tagged_card_is_on_its_vlan_only() {
    on(&[Way::Trunk], &[PING, NCAT, PYTHON], |stage| {
        let mut config = stage.config(100);
        config.vlan = Some(7);
        let elsewhere = switch(stage, "8");
        let card = stage.start(&config);
        for address in [CARD_V4, CARD_V6] {
            let said = stage.run(PING, &format!("-n -c 2 -i 0.05 -W 0.3 {address}"));
            said.shows("2 packets transmitted, 0 received");
        }
        drop(elsewhere);
        let _here = switch(stage, "7");
        for address in [CARD_V4, CARD_V6] {
            stage.assert_pings(address, 1_400);
            assert_echoes(stage, address, &noise(1 << 20));
        }
        let report = stage.finish(card);
        assert!(count(&report, "link dropped: vlan") >= 2, "{:?}", report.counters);
    });
}
