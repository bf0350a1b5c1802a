//! The card beside the kernel: on the same interface the host's own addresses go on answering, and tcpdump finds every
//! checksum of the card's right.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};

use hpb_tests::kernel::{ClientsDone, ClientsPlan, clients, echo_server};

use super::stage::{CARD_V4, CARD_V6, CURL, ECHO, ETHTOOL, PING, Stage, TCPDUMP, Way, on_beside_others, pause};

const HOST_V4: &str = "10.8.0.3";
const HOST_V6: &str = "2001:db8:8::3";
/// As a host keeps for its operators.
const HOST_PORT: u16 = 22;

/// A server ends with its test, also with one that fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn talk(stage: &Stage, address: &str, port: u16) -> ClientsDone {
    let plan = ClientsPlan {
        remote: SocketAddr::new(address.parse::<IpAddr>().unwrap(), port),
        sessions: 20,
        messages: 100,
        message_len: 200,
        keep_alive_secs: 0,
    };
    stage.peer.run(|| clients(&plan)).unwrap().unwrap()
}

#[test]
fn the_hosts_own_addresses_answer_on_the_cards_interface() {
    on_beside_others(&[Way::Packet], &[PING], |stage| {
        stage.card.address(stage.interface, &format!("{HOST_V4}/24")).unwrap();
        stage.card.address(stage.interface, &format!("{HOST_V6}/64")).unwrap();
        let bind = |address: &str| TcpListener::bind((address.parse::<IpAddr>().unwrap(), HOST_PORT));
        let listeners = [HOST_V4, HOST_V6].map(|address| stage.card.run(|| bind(address)).unwrap().unwrap());
        let card = stage.start(&stage.config(100));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop_at_end = StopOnDrop(&stop);
            let servers = listeners.each_ref().map(|listener| scope.spawn(|| echo_server(listener, &stop)));
            let targets = [(CARD_V4, ECHO), (CARD_V6, ECHO), (HOST_V4, HOST_PORT), (HOST_V6, HOST_PORT)];
            let talks = targets.map(|(address, port)| scope.spawn(move || talk(stage, address, port)));
            for (talk, (address, _)) in talks.into_iter().zip(targets) {
                let done = talk.join().unwrap();
                assert_eq!((done.opened, done.returned, done.wrong, done.lost), (20, 2_000, 0, 0), "{address}");
                assert_eq!(done.sent_hash, done.returned_hash, "{address}");
                stage.assert_pings(address, 56);
            }
            drop(stop_at_end);
            for server in servers {
                let served = server.join().unwrap().unwrap();
                assert_eq!((served.accepted, served.broken), (20, 0));
            }
        });
        stage.finish(card);
    });
}

#[test]
fn tcpdump_finds_every_checksum_right() {
    const PAGE_LEN: usize = 100_000;
    on_beside_others(&[Way::Packet], &[TCPDUMP, ETHTOOL, CURL, PING], |stage| {
        // The card leaves checksums to the interface; this one then has its kernel fill them in.
        stage.card.set_offloads(stage.interface, false).unwrap();
        let card = stage.start(&stage.config(PAGE_LEN));
        let filter = format!("(src host {CARD_V4} or src host {CARD_V6}) and (tcp or icmp or icmp6)");
        let dump = stage.background(TCPDUMP, &format!("-i {} -n -vv --immediate-mode -c 60 {filter}", stage.interface));
        pause(500);
        for address in [CARD_V4, CARD_V6] {
            stage.assert_pings(address, 56);
        }
        for url in [format!("http://{CARD_V4}/"), format!("-g http://[{CARD_V6}]/")] {
            stage.run(CURL, &format!("-sS --fail -o /dev/null {url}")).ended_well();
        }
        let (text, errors) = dump.rest();
        assert!(text.matches("(correct)").count() >= 40, "{text}{errors}");
        assert!(text.matches("ICMP echo reply").count() >= 5 && !text.contains("wrong icmp"), "{text}");
        for wrong in ["incorrect", "bad cksum", "bad-len", "trunc"] {
            assert!(!text.contains(wrong), "{wrong}: {text}");
        }
        stage.finish(card);
    });
}
