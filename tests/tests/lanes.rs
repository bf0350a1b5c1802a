//! A card of several lanes against the Linux kernel's TCP, one lane a queue of a device, in network namespaces of the
//! test's own. Without root each test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use hpb_base::Duration;
use hpb_card::{CardConfig, LoadConfig, Report, Running, start, start_on};
use hpb_host::sys::descriptor_limit_raise;
use hpb_net::{OpenError, OpenOptions, PacketPort, Port, PortUrl};
use hpb_node::runtime::{StopFlag, cores_allowed};
use hpb_sandbox::{Host, SandboxError, cable};
use hpb_tests::kernel::{ClientsDone, ClientsPlan, clients, echo_server};
use hpb_toe::Service;

const ECHO_PORT: u16 = 7;
const LANES: usize = 2;
const SESSIONS: u64 = 500;
const MESSAGES: u64 = 10;

/// Tests of devices take turns: each wants both cores.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Packet,
    Tap,
    Xdp,
}

/// Two hosts and a way between them, with a queue for each lane at the card's end.
struct Link {
    kernel: Host,
    card: Host,
    way: Way,
    kernel_address: IpAddr,
    card_address: IpAddr,
}

impl Link {
    fn lay(way: Way, is_v6: bool) -> Result<Self, SandboxError> {
        let (kernel, card) = (Host::new()?, Host::new()?);
        let (kernel_address, card_address, prefix_len) =
            if is_v6 { ("2001:db8:8::1", "2001:db8:8::2", 64) } else { ("10.8.0.1", "10.8.0.2", 24) };
        if way == Way::Tap {
            kernel.ip("tuntap add dev cable0 mode tap vnet_hdr multi_queue")?;
            kernel.ip("link set cable0 up")?;
        } else {
            cable((&kernel, "cable0"), (&card, "cable0"), LANES)?;
        }
        if way == Way::Xdp {
            kernel.set_offloads("cable0", false)?;
        }
        kernel.address("cable0", &format!("{kernel_address}/{prefix_len}"))?;
        let (kernel_address, card_address) = (kernel_address.parse().unwrap(), card_address.parse().unwrap());
        Ok(Self { kernel, card, way, kernel_address, card_address })
    }

    fn config(&self) -> CardConfig {
        let scheme = format!("{:?}", self.way).to_lowercase();
        let mut config = CardConfig::new(PortUrl::parse(&format!("{scheme}:cable0?queues={LANES}")).unwrap());
        config.addresses = vec![(self.card_address, if self.card_address.is_ipv4() { 24 } else { 64 })];
        config
    }

    /// The host in which the card's port is: a TAP's other end is the card itself.
    fn card_host(&self) -> &Host {
        if self.way == Way::Tap { &self.kernel } else { &self.card }
    }

    fn start(&self, config: &CardConfig) -> Result<Running, SandboxError> {
        Ok(self.card_host().run(|| start(config, StopFlag::new().unwrap()))?.unwrap())
    }

    /// The kernel's clients against the card's echo.
    fn clients(&self, sessions: u64) -> ClientsDone {
        let plan = ClientsPlan {
            remote: SocketAddr::new(self.card_address, ECHO_PORT),
            sessions: sessions as usize,
            messages: MESSAGES,
            message_len: 700,
            keep_alive_secs: 0,
        };
        self.kernel.run(|| clients(&plan)).unwrap().unwrap()
    }
}

/// Runs `body` on each of these ways and both families, or says why not.
fn on_every(ways: &[Way], body: impl Fn(&Link, &str)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    descriptor_limit_raise().unwrap();
    if cores_allowed().unwrap().len() < LANES {
        return eprintln!("skipped: {LANES} lanes want a core each");
    }
    for &way in ways {
        for is_v6 in [false, true] {
            match Link::lay(way, is_v6) {
                Ok(link) => body(&link, &format!("{way:?} {}", link.card_address)),
                Err(error) if std::env::var_os("HPB_NET").is_some() => panic!("{way:?}: {error}"),
                Err(error) => eprintln!("skipped: {way:?}: {error}"),
            }
        }
    }
}

fn counter(report: &Report, name: &str) -> u64 {
    report.counters.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count)
}

/// Every session opened, every byte right, nothing lost that a counter would show, and each lane had its share.
fn assert_whole(done: &ClientsDone, report: &Report, what: &str) {
    eprintln!(
        "{what}: {} sessions in {} ms, {} messages in {} ms, by lane {:?}, {:?}",
        done.opened,
        done.opening_ns / 1_000_000,
        done.returned,
        done.talking_ns / 1_000_000,
        report.lane_opened,
        report.counters
    );
    assert_eq!((done.opened, done.wrong, done.lost, done.returned), (SESSIONS, 0, 0, SESSIONS * MESSAGES), "{what}");
    assert_eq!(done.sent_hash, done.returned_hash, "{what}");
    assert_shared(report, what);
}

fn assert_shared(report: &Report, what: &str) {
    assert_eq!(report.lane_opened.iter().sum::<u64>(), SESSIONS, "{what}");
    assert!(report.lane_opened.iter().all(|opened| *opened > SESSIONS / 10), "{what}: {:?}", report.lane_opened);
    let bad =
        ["dropped: checksum", "dropped: malformed", "dropped: unknown_flow", "dropped: strays_full", "strays lost"];
    let found: Vec<_> = bad.iter().filter(|name| counter(report, name) > 0).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {:?}", report.counters);
}

#[test]
fn kernel_sockets_call_a_card_of_two_lanes() {
    on_every(&[Way::Packet, Way::Tap, Way::Xdp], |link, what| {
        let mut config = link.config();
        config.services = vec![(ECHO_PORT, Service::Echo)];
        let card = link.start(&config).unwrap();
        let done = link.clients(SESSIONS);
        let report = card.end().unwrap();
        assert_whole(&done, &report, what);
        let strays = counter(&report, "strays sent");
        // Some were on their way when the card stopped.
        assert!(counter(&report, "strays taken") >= strays * 9 / 10, "{what}");
        match link.way {
            // The kernel spreads what it sends over a cable's queues in its own way, and each queue is a lane's.
            Way::Xdp => assert!(strays > SESSIONS, "{what}: {strays} strays"),
            // Only words of the link cross where the program decides.
            Way::Packet | Way::Tap => assert!((1..SESSIONS).contains(&strays), "{what}: {strays} strays"),
        }
    });
}

#[test]
fn frames_that_the_device_steers_otherwise_find_their_lane() {
    on_every(&[Way::Packet], |link, what| {
        let mut config = link.config();
        config.services = vec![(ECHO_PORT, Service::Echo)];
        let secret = [7; 32];
        let options =
            OpenOptions { addresses: vec![link.card_address], steer_secret: secret, ..OpenOptions::default() };
        // Without the program, the kernel's own hash decides.
        let open = || -> Result<Vec<Box<dyn Port>>, OpenError> {
            let ports = PacketPort::open("cable0", LANES, &options, None)?;
            Ok(ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect())
        };
        let card = link.card.run(|| start_on(&config, open().unwrap(), secret, StopFlag::new().unwrap()));
        let card = card.unwrap().unwrap();
        let done = link.clients(SESSIONS);
        let report = card.end().unwrap();
        assert_whole(&done, &report, what);
        let (strays, received) = (counter(&report, "strays sent"), counter(&report, "frames received"));
        assert!(strays > received / 4, "{what}: {strays} strays of {received} frames");
    });
}

#[test]
fn a_card_of_two_lanes_calls_a_kernel_server() {
    on_every(&[Way::Packet, Way::Tap, Way::Xdp], |link, what| {
        let listener = link.kernel.run(|| TcpListener::bind((link.kernel_address, ECHO_PORT))).unwrap().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stopped = StopOnDrop(&stop);
            let server = scope.spawn(|| echo_server(&listener, &stop));
            let mut config = link.config();
            config.load = Some(LoadConfig {
                sessions: SESSIONS as usize,
                messages: MESSAGES,
                message_len: 700,
                every: Duration::from_millis(100),
                together: true,
                ..LoadConfig::new(SocketAddr::new(link.kernel_address, ECHO_PORT))
            });
            let card = link.start(&config).unwrap();
            let report =
                until(&card, |report| report.load.complete == SESSIONS || report.load.refused + report.load.lost > 0);
            stop.store(true, Ordering::Relaxed);
            let served = server.join().unwrap().unwrap();
            card.end().unwrap();
            let load = &report.load;
            eprintln!(
                "{what}: {:.1} s, by lane {:?}, {load:?}, {served:?}, {:?}",
                report.seconds, report.lane_opened, report.counters
            );
            assert_eq!((load.opened, load.lost, load.refused, load.wrong), (SESSIONS, 0, 0, 0), "{what}");
            assert_eq!((load.complete, load.returned), (SESSIONS, SESSIONS * MESSAGES), "{what}");
            assert_eq!((served.accepted, served.broken), (SESSIONS, 0), "{what}");
            assert_shared(&report, what);
            if link.way != Way::Xdp {
                let strays = counter(&report, "strays sent");
                assert!(strays < SESSIONS, "{what}: ports lead back to their lanes, and yet {strays} strays");
            }
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
        assert!(!card.is_stopped(), "a lane failed: {:?}", report.counters);
        let moved = report.load.returned + report.load.opened;
        still = if moved == last { still + 1 } else { 0 };
        last = moved;
        assert!(still < 600, "nothing moves: {:?}, {:?}", report.load, report.counters);
        #[allow(clippy::disallowed_methods, reason = "a real device takes real time")]
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
