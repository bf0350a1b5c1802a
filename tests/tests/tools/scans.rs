//! nmap and hping3: what a scanner sees of the card, and a flood of SYNs.

use hpb_toe::registers::Register;

use super::stage::{
    BOTH, CARD_V4, CARD_V6, CURL, HPING, NMAP, Stage, Way, acted, count, on, on_beside_others, pause, until,
};

const PAGE_LEN: usize = 1_000;
/// Local and lossless: no need to wait long or to ask often.
const NMAP_QUICK: &str = "-n -T4 --max-retries 1 --max-rtt-timeout 50ms -p 1-100";
const OPEN: [&str; 4] = ["7/open/tcp", "9/open/tcp", "19/open/tcp", "80/open/tcp"];

/// The open ports that nmap lists, and what it says of all others; in its "grepable" form.
#[track_caller]
fn assert_ports(stage: &Stage, scan: &str, others: &str) {
    for target in [CARD_V4.to_owned(), format!("-6 {CARD_V6}")] {
        let said = stage.run(NMAP, &format!("{NMAP_QUICK} {scan} -oG - {target}")).ended_well();
        let ports = said.text.lines().find_map(|line| line.split_once("Ports: "));
        let listed = ports.and_then(|(_, rest)| rest.split('\t').next());
        let listed: Vec<_> = listed.into_iter().flat_map(|list| list.split(", ")).collect();
        let as_expected = listed.len() == OPEN.len() && listed.iter().zip(OPEN).all(|(it, open)| it.starts_with(open));
        assert!(as_expected, "{said}");
        said.shows(&format!("Ignored State: {others} (96)"));
    }
}

#[test]
fn nmap_sees_the_services_and_silence() {
    on_beside_others(&[Way::Packet], &[NMAP], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        assert_ports(stage, "-sS", "filtered");
        let report = stage.finish(card);
        assert_eq!(count(&report, "resets"), 0, "{:?}", report.counters);
        assert!(count(&report, "dropped: unknown_flow") >= 96, "{:?}", report.counters);
    });
}

#[test]
fn nmap_sees_closed_ports_where_the_register_says_so() {
    on_beside_others(BOTH, &[NMAP], |stage| {
        let mut config = stage.config(PAGE_LEN);
        config.registers = vec![(Register::NoSession, 1)];
        let card = stage.start(&config);
        assert_ports(stage, "-sS", "closed");
        // By the kernel's own sockets.
        assert_ports(stage, "-sT", "closed");
        let report = stage.finish(card);
        let resets = count(&report, "resets");
        assert!(resets >= 4 * 96 && acted(&report, Register::NoSession) >= resets, "{:?}", report.counters);
    });
}

#[test]
fn nmap_asks_who_it_is_and_the_card_survives() {
    on_beside_others(&[Way::Packet], &[NMAP], |stage| {
        let card = stage.start(&stage.config(50));
        std::thread::scope(|scope| {
            for target in [CARD_V4.to_owned(), format!("-6 {CARD_V6}")] {
                scope.spawn(move || {
                    let said = stage.run(NMAP, &format!("-n -T4 -sV -p 80 -oX - {target}")).ended_well();
                    said.shows(r#"<service name="http" "#).shows(r#"method="probed" conf="10""#);
                    let said = stage.run(NMAP, &format!("{NMAP_QUICK} -O --max-os-tries 1 {target}")).ended_well();
                    said.shows("OS detection performed").shows("80/tcp open");
                });
            }
        });
        stage.finish(card);
    });
}

#[test]
fn scans_without_a_syn_hear_nothing() {
    on_beside_others(&[Way::Packet], &[NMAP, HPING], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        std::thread::scope(|scope| {
            for scan in ["-sF", "-sN", "-sX"] {
                for target in [CARD_V4.to_owned(), format!("-6 {CARD_V6}")] {
                    scope.spawn(move || {
                        let said = stage.run(NMAP, &format!("{NMAP_QUICK} {scan} -oG - {target}")).ended_well();
                        said.shows("Ignored State: open|filtered (100)");
                    });
                }
            }
            let hping = |flags: &str| stage.run(HPING, &format!("-n -c 3 -i u10000 -p 80 {flags} {CARD_V4}"));
            for flags in ["-S", "-S --data 100"] {
                hping(flags).ended_well().shows("flags=SA").shows("3 packets transmitted, 3 packets received");
            }
            for flags in ["-F", "-F -P -U", "", "--data 1400", "-S -F", "-A --data 100", "-S --badcksum"] {
                hping(flags).shows("3 packets transmitted, 0 packets received");
            }
        });
        let report = stage.finish(card);
        assert!(count(&report, "dropped: unknown_flow") > 600, "{:?}", report.counters);
        assert!(count(&report, "dropped: checksum") >= 3, "{:?}", report.counters);
    });
}

#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    on(&[Way::Packet], &[HPING, CURL], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        // From the peer itself, whose kernel resets what it did not ask for; then from somebody who is not there.
        for source in ["", "-a 10.8.0.200"] {
            let flood = stage.background(HPING, &format!("-n --flood -S -p 80 {source} {CARD_V4}"));
            pause(1_000);
            drop(flood);
            let before = card.report();
            for page in 0..10 {
                stage.run(CURL, &format!("-sS --fail --max-time 5 http://{CARD_V4}/{page}")).ended_well();
            }
            assert!(count(&before, "segments received") > 1_000, "no flood: {:?}", before.counters);
        }
        let flooded = card.report();
        eprintln!("after the floods: {} sessions, {:?}", flooded.sessions, flooded.counters);
        assert!(count(&flooded, "cookies sent") > 0, "{:?}", flooded.counters);
        // Whoever never answered is given up.
        until(&card, "the half-open sessions go", |report| report.sessions == 0);
        stage.finish(card);
    });
}
