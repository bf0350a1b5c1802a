//! The card on device ports against the Linux kernel's TCP, in network namespaces of the test's own. Nothing of the
//! machine's network is touched. Without root each test says why it was skipped; with `HPB_NET=1` a skip is a failure.
//!
//! `HPB_SESSIONS` (default 1,000) and `HPB_MESSAGES` (default 20) are the size: 10,000 and 3,600 is the message count of
//! an hour at one a second. `HPB_LINKS` names the links to try, as `packet4,tap6` (default: all).
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use hpb_base::Duration;
use hpb_card::{CardConfig, LoadConfig, Report, Running, start};
use hpb_host::sys::descriptor_limit_raise;
use hpb_net::PortUrl;
use hpb_node::runtime::StopFlag;
use hpb_sandbox::{Host, SandboxError, cable};
use hpb_tests::kernel::{ClientsPlan, clients, echo_server};
use hpb_toe::Service;

const ECHO_PORT: u16 = 7;

/// Tests of devices take turns: each wants both cores.
static TURN: Mutex<()> = Mutex::new(());

/// Two hosts and a way between them: the kernel's end has an address, the card's end has none but the card's.
struct Link {
    kernel: Host,
    card: Host,
    port: PortUrl,
    kernel_address: IpAddr,
    card_address: IpAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Packet,
    Tap,
    Xdp,
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

impl Link {
    fn lay(way: Way, is_v6: bool) -> Result<Self, SandboxError> {
        let (kernel, card) = (Host::new()?, Host::new()?);
        let (kernel_address, card_address, prefix_len) =
            if is_v6 { ("2001:db8:9::1", "2001:db8:9::2", 64) } else { ("10.9.0.1", "10.9.0.2", 24) };
        let (card, interface, port) = match way {
            Way::Packet => {
                cable((&kernel, "cable0"), (&card, "cable0"), 1)?;
                (card, "cable0", "packet:cable0")
            }
            Way::Xdp => {
                cable((&kernel, "cable0"), (&card, "cable0"), 1)?;
                // The port sees frames as they were put on the cable: sums and sizes must be whole.
                kernel.set_offloads("cable0", false)?;
                card.set_offloads("cable0", false)?;
                (card, "cable0", "xdp:cable0")
            }
            // A TAP's other end is the card itself: both are of the kernel's host.
            Way::Tap => {
                kernel.ip("tuntap add dev tap0 mode tap vnet_hdr")?;
                kernel.ip("link set tap0 up")?;
                (card, "tap0", "tap:tap0")
            }
        };
        kernel.address(interface, &format!("{kernel_address}/{prefix_len}"))?;
        Ok(Self {
            kernel,
            card,
            port: PortUrl::parse(port).unwrap(),
            kernel_address: kernel_address.parse().unwrap(),
            card_address: card_address.parse().unwrap(),
        })
    }

    fn config(&self) -> CardConfig {
        let mut config = CardConfig::new(self.port.clone());
        config.addresses = vec![(self.card_address, if self.card_address.is_ipv4() { 24 } else { 64 })];
        config.keep_alive = Duration::from_secs(1);
        config
    }

    fn start(&self, config: &CardConfig) -> Running {
        let host = if matches!(self.port, PortUrl::Tap { .. }) { &self.kernel } else { &self.card };
        host.run(|| start(config, StopFlag::new().unwrap())).unwrap().unwrap()
    }
}

/// Runs `body` on each way and family, or says why not.
fn on_every_link(body: impl Fn(&Link, &str)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    descriptor_limit_raise().unwrap();
    let wanted = std::env::var("HPB_LINKS").ok();
    let mut tried = 0;
    for (way, name) in [(Way::Packet, "packet"), (Way::Tap, "tap"), (Way::Xdp, "xdp")] {
        for (is_v6, family) in [(false, 4), (true, 6)] {
            let name = format!("{name}{family}");
            if wanted.as_ref().is_some_and(|wanted| !wanted.split(',').any(|other| other == name)) {
                continue;
            }
            tried += 1;
            match Link::lay(way, is_v6) {
                Ok(link) => body(&link, &format!("{} {}", link.port, link.card_address)),
                Err(error) if std::env::var_os("HPB_NET").is_some() => panic!("{name}: {error}"),
                Err(error) => eprintln!("skipped: {name}: {error}"),
            }
        }
    }
    assert!(tried > 0, "HPB_LINKS names no link");
}

/// Nothing was lost on the way that a checksum or a full table would show.
fn assert_clean(report: &Report, what: &str) {
    let bad = ["dropped: checksum", "dropped: malformed", "dropped: table_full", "dropped: framing"];
    let found: Vec<_> = report.counters.iter().filter(|(name, _)| bad.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
}

#[test]
fn kernel_sockets_call_the_card_and_lose_nothing() {
    let (sessions, messages) = (number("HPB_SESSIONS", 1_000), number("HPB_MESSAGES", 20) as u64);
    on_every_link(|link, what| {
        let mut config = link.config();
        config.services = vec![(ECHO_PORT, Service::Echo)];
        let card = link.start(&config);
        let plan = ClientsPlan {
            remote: SocketAddr::new(link.card_address, ECHO_PORT),
            sessions,
            messages,
            message_len: 32,
            keep_alive_secs: 1,
        };
        let done = link.kernel.run(|| clients(&plan)).unwrap().unwrap();
        let report = card.end().unwrap();
        eprintln!(
            "{what}: {} sessions in {} ms, {} messages in {} ms; {:?}",
            done.opened,
            done.opening_ns / 1_000_000,
            done.returned,
            done.talking_ns / 1_000_000,
            report.counters
        );
        assert_eq!((done.opened, done.wrong, done.lost), (sessions as u64, 0, 0), "{what}");
        assert_eq!(done.returned, sessions as u64 * messages, "{what}");
        assert_eq!(done.sent_hash, done.returned_hash, "{what}");
        assert_clean(&report, what);
    });
}

#[test]
fn the_card_calls_a_kernel_server_and_loses_nothing() {
    let (sessions, messages) = (number("HPB_SESSIONS", 1_000), number("HPB_MESSAGES", 20) as u64);
    on_every_link(|link, what| {
        let listener = link.kernel.run(|| TcpListener::bind((link.kernel_address, ECHO_PORT))).unwrap().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stopped = StopOnDrop(&stop);
            let server = scope.spawn(|| echo_server(&listener, &stop));
            let mut config = link.config();
            config.load = Some(LoadConfig {
                sessions,
                messages,
                message_len: 32,
                every: Duration::from_millis(100),
                together: true,
                ..LoadConfig::new(SocketAddr::new(link.kernel_address, ECHO_PORT))
            });
            let card = link.start(&config);
            let wanted = sessions as u64;
            let report = until(&card, |report| report.load.complete == wanted || report.load.refused > 0);
            stop.store(true, Ordering::Relaxed);
            let served = server.join().unwrap().unwrap();
            drop(card);
            eprintln!("{what}: {:.1} s, {:?}, {served:?}", report.seconds, report.load);
            let load = &report.load;
            assert_eq!((load.opened, load.lost, load.refused, load.wrong), (wanted, 0, 0, 0), "{what}");
            assert_eq!((load.complete, load.returned), (wanted, wanted * messages), "{what}");
            assert_eq!((served.accepted, served.broken), (wanted, 0), "{what}");
            assert_clean(&report, what);
        });
    });
}

/// A server ends with its test, also with one that fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until the card's report says so, as long as its load moves.
fn until(card: &Running, done: impl Fn(&Report) -> bool) -> Report {
    let (mut last, mut still) = (0, 0);
    loop {
        let report = card.report();
        if done(&report) {
            return report;
        }
        let moved = report.load.returned + report.load.opened;
        still = if moved == last { still + 1 } else { 0 };
        last = moved;
        assert!(still < 600, "nothing moves: {report:?}");
        #[allow(clippy::disallowed_methods, reason = "a real device takes real time")]
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
