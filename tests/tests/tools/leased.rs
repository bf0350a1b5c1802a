//! dnsmasq: the card leases its address, and is found there.

use std::net::IpAddr;

use super::stage::{BOTH, CARD_V6, CURL, DNSMASQ, PING, count, on, until};

const FIRST: [u8; 4] = [10, 8, 0, 100];
const LAST: [u8; 4] = [10, 8, 0, 110];

#[test]
fn the_card_leases_its_address() {
    on(BOTH, &[DNSMASQ, PING, CURL], |stage| {
        let dotted = |address: [u8; 4]| IpAddr::from(address).to_string();
        let range = format!("{},{},255.255.255.0,1h", dotted(FIRST), dotted(LAST));
        let _server = stage.background(
            DNSMASQ,
            &format!(
                "--no-daemon --conf-file=/dev/null --port=0 --user=root --pid-file= --dhcp-leasefile=/dev/null \
                 --dhcp-authoritative --no-ping --interface={} --bind-interfaces --dhcp-range={range}",
                stage.interface
            ),
        );
        let mut config = stage.config(1_000);
        // One address is leased, the other one is the card's own.
        config.addresses.retain(|(address, _)| address.is_ipv6());
        config.dhcp = true;
        let card = stage.start(&config);
        let report = until(&card, "a lease", |report| report.addresses.len() == 2);
        let leased = report.addresses.iter().find(|address| !address.contains(':')).unwrap().clone();
        let IpAddr::V4(address) = leased.parse().unwrap() else { panic!("{leased}") };
        assert!((FIRST..=LAST).contains(&address.octets()), "{stage}: {leased}");
        for address in [leased.as_str(), CARD_V6] {
            stage.assert_pings(address, 56);
        }
        stage.run(CURL, &format!("-sS --fail -o /dev/null http://{leased}/")).ended_well();
        until(&card, "the session goes", |report| report.sessions == 0);
        let report = card.end().unwrap();
        assert_eq!(count(&report, "link: leases"), 1, "{stage}: {:?}", report.counters);
    });
}
