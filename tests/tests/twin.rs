//! The host behind the card's device: a card and its host share one cable, each at its own IP address and both at one
//! Ethernet address. Without root each test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use hpb_card::{CardConfig, Report, start};
use hpb_host::sys::descriptor_limit_raise;
use hpb_net::PortUrl;
use hpb_node::runtime::{StopFlag, cores_allowed};
use hpb_sandbox::{Host, SandboxError, cable};
use hpb_tests::kernel::{ClientsDone, ClientsPlan, Served, clients, echo_server};
use hpb_toe::Service;

const ECHO_PORT: u16 = 7;
const FAR: &str = "10.7.0.1";
const CARD: &str = "10.7.0.2";
const HOST: &str = "10.7.0.3";

/// Tests of devices take turns: each wants both cores.
static TURN: Mutex<()> = Mutex::new(());

/// A far host with an address, and a near one whose end of the cable is the card's.
struct Link {
    far: Host,
    near: Host,
}

impl Link {
    fn lay(queues: usize) -> Result<Self, SandboxError> {
        let (far, near) = (Host::new()?, Host::new()?);
        cable((&far, "cable0"), (&near, "cable0"), queues)?;
        far.address("cable0", &format!("{FAR}/24"))?;
        // The near host is to hear the cable through the card alone.
        let settings = [("ipv4/conf/cable0/rp_filter", "1"), ("ipv4/conf/cable0/arp_ignore", "8")];
        for (name, value) in settings {
            near.run(|| fs::write(format!("/proc/sys/net/{name}"), value))?.unwrap();
        }
        near.run(|| fs::write("/proc/sys/net/ipv6/conf/cable0/disable_ipv6", "1").unwrap_or_default())?;
        Ok(Self { far, near })
    }
}

/// Kernel clients on `from` against an echo server at `remote`.
fn talk(from: &Host, remote: &str, sessions: usize, message_len: usize) -> ClientsDone {
    let remote = SocketAddr::new(remote.parse().unwrap(), ECHO_PORT);
    let plan = ClientsPlan { remote, sessions, messages: 10, message_len, keep_alive_secs: 0 };
    from.run(|| clients(&plan)).unwrap().unwrap()
}

fn assert_right(done: &ClientsDone, sessions: usize, what: &str) {
    let all = sessions as u64;
    assert_eq!((done.opened, done.wrong, done.lost, done.returned), (all, 0, 0, all * 10), "{what}");
    assert_eq!(done.sent_hash, done.returned_hash, "{what}");
}

/// Pings three times: none may be lost or come twice, and on a busy machine each may take half a second.
fn ping(from: &Host, to: &str, len: usize) {
    let mut command = Command::new("ping");
    command.args(["-n", "-c", "3", "-i", "0.5", "-w", "10", "-s", &len.to_string(), to]).stdout(Stdio::piped());
    let child = from.spawn(&mut command).unwrap().unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let is_clean = said.contains("3 packets transmitted, 3 received") && !said.contains("DUP");
    assert!(is_clean, "{to}, {len} bytes: {said}");
}

fn hardware(host: &Host, interface: &str) -> String {
    // The file system shows the interfaces of whoever mounted it: the tool asks the kernel.
    let mut command = Command::new("ip");
    command.args(["-o", "link", "show", interface]).stdout(Stdio::piped());
    let output = host.spawn(&mut command).unwrap().unwrap().wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    line.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned()
}

/// Runs an echo server at `address` of `host` around `body`.
fn served(host: &Host, address: &str, body: impl FnOnce()) -> io::Result<Served> {
    let listener = host.run(|| TcpListener::bind((address, ECHO_PORT))).unwrap()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| echo_server(&listener, &stop));
        let body = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.store(true, Ordering::Relaxed);
        let served = server.join().unwrap();
        body.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        served
    })
}

fn counter(report: &Report, name: &str) -> u64 {
    report.counters.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count)
}

fn share(queues: usize) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    descriptor_limit_raise().unwrap();
    if cores_allowed().unwrap().len() < queues {
        return eprintln!("skipped: {queues} lanes want a core each");
    }
    let has_ping = Command::new("ping").arg("-V").stdout(Stdio::null()).status().is_ok();
    let link = if has_ping { Link::lay(queues) } else { Err(SandboxError::Tool("ping", "iputils-ping")) };
    let link = match link {
        Ok(link) => link,
        Err(error) if std::env::var_os("HPB_NET").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("skipped: {error}"),
    };
    let Link { far, near } = &link;
    let url = if queues == 1 { "packet:cable0?twin=hpb0" } else { "packet:cable0?queues=2&twin=hpb0" };
    let mut config = CardConfig::new(PortUrl::parse(url).unwrap());
    config.addresses = vec![(CARD.parse().unwrap(), 24)];
    config.services = vec![(ECHO_PORT, Service::Echo)];
    let card = near.run(|| start(&config, StopFlag::new().unwrap())).unwrap().unwrap();
    near.address("hpb0", &format!("{HOST}/24")).unwrap();
    assert_eq!(hardware(near, "hpb0"), hardware(near, "cable0"));

    // The host and the card are both talked to at once, in small messages and in super-frames.
    let inward = served(near, HOST, || {
        std::thread::scope(|scope| {
            let to_card = scope.spawn(|| talk(far, CARD, 100, 700));
            assert_right(&talk(far, HOST, 100, 700), 100, "to the host");
            assert_right(&to_card.join().unwrap(), 100, "to the card");
        });
        assert_right(&talk(far, HOST, 4, 30_000), 4, "to the host, large");
    });
    // The host calls out.
    let outward = served(far, FAR, || {
        assert_right(&talk(near, FAR, 50, 700), 50, "from the host");
        assert_right(&talk(near, FAR, 4, 30_000), 4, "from the host, large");
    });
    assert_eq!((inward.unwrap().accepted, outward.unwrap().accepted), (104, 54));
    for (to, len) in [(HOST, 56), (HOST, 4_000), (CARD, 56)] {
        ping(far, to, len);
    }
    ping(near, FAR, 4_000);

    let report = card.end().unwrap();
    eprintln!("{queues} queues: by lane {:?}, {:?}", report.lane_opened, report.counters);
    assert_eq!(report.lane_opened.iter().sum::<u64>(), 100, "the host's sessions are not the card's");
    assert!(counter(&report, "frames to the host") > 1_000);
    for lost in ["frames lost to the host", "frames the port lost", "dropped: checksum"] {
        assert_eq!(counter(&report, lost), 0, "{lost}");
    }
}

#[test]
fn a_card_and_its_host_share_a_device() {
    share(1);
}

#[test]
fn a_card_of_two_lanes_and_its_host_share_a_device() {
    share(2);
}
