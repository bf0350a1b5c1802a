//! Ports over DPDK against rings, shared memory, the kernel's packet sockets, XDP sockets and TCP.
//!
//! DPDK starts once in a process, so each test runs itself again in a process of its own, some in a network namespace
//! of their own, which vanishes with them. What this host does not allow is skipped, and the reason printed.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Output, Stdio};

use hpb_base::limits::{BURST_LEN_MAX, WIRE_LINK_DEPTH};
use hpb_base::{Duration, Instant, Random};
use hpb_net::conformance::{Conformance, FarEnd};
use hpb_net::dpdk::DpdkPort;
use hpb_net::frame::Partial;
use hpb_net::{Bursts, HardwareAddress, Medium, OpenError, OpenOptions, Port};

/// Names the test that this process runs for another.
const CHILD: &str = "HPB_DPDK_TEST";
/// The other end's part, and what the two share.
const PEER: &str = "HPB_DPDK_PEER";
const UNPRIVILEGED: &str = "--no-huge --no-pci --no-shconf -m 256";
/// An Ethernet type for experiments (IEEE 802, local experimental 1); the kernel's own frames have others.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];
/// Looks at a port that brings nothing, a millisecond apart, before a test gives up.
const LOOKS_MAX: usize = 10_000;

/// One port, its bursts, and a clock that the test moves.
struct Side {
    port: DpdkPort,
    bursts: Bursts,
    now: Instant,
}

impl Side {
    fn new(port: DpdkPort) -> Self {
        Self { port, bursts: Bursts::new(4 * BURST_LEN_MAX), now: Instant::ZERO }
    }

    /// Looks at the link anew at each burst.
    fn tick(&mut self) -> Instant {
        self.now += Duration::from_millis(100);
        self.now
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut frame = self.bursts.pool.take().expect("a free frame");
        frame.copy_from(bytes);
        self.bursts.tx.push_back(frame);
    }

    fn send(&mut self) -> usize {
        let now = self.tick();
        self.port.tx_burst(now, &mut self.bursts)
    }

    /// One burst, without the kernel's own frames.
    fn receive(&mut self) -> Vec<Vec<u8>> {
        let now = self.tick();
        self.port.rx_burst(now, &mut self.bursts);
        let frames = self.bursts.rx.iter().map(|frame| frame.bytes().to_vec());
        let frames = frames.filter(|bytes| bytes.get(12..14) == Some(&EXPERIMENT)).collect();
        self.bursts.recycle_rx();
        frames
    }

    /// Waits until the port has a link: what is sent before is refused.
    fn connect(&mut self) {
        for _ in 0..LOOKS_MAX {
            let refused = self.port.counters().tx_refused;
            self.push(&experiment(60, 0));
            self.send();
            if self.port.counters().tx_refused == refused {
                return;
            }
            wait();
        }
        panic!("the link never came up");
    }

    /// Receives until something comes, and sends what waits.
    fn await_frames(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..LOOKS_MAX {
            self.send();
            let frames = self.receive();
            if !frames.is_empty() {
                return frames;
            }
            wait();
        }
        panic!("nothing came");
    }
}

#[allow(clippy::disallowed_methods, reason = "the kernel and other processes take their own time")]
fn wait() {
    std::thread::sleep(core::time::Duration::from_millis(1));
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn open(arguments: &str, queues: usize) -> Result<Vec<DpdkPort>, OpenError> {
    let options = OpenOptions { steer_secret: [7; 32], ..OpenOptions::default() };
    DpdkPort::open(&words(&format!("{UNPRIVILEGED} {arguments}")), queues, &options)
}

fn open_one(arguments: &str) -> Side {
    Side::new(open(arguments, 1).expect("the port").remove(0))
}

fn ring_pair() -> (Side, Side) {
    let (left, right) = DpdkPort::ring_pair().expect("a ring pair");
    (Side::new(left), Side::new(right))
}

/// A broadcast frame of `len` bytes, whose content depends on `number`.
fn experiment(len: usize, number: u64) -> Vec<u8> {
    let mut bytes = vec![0xff; len];
    Random::new(number).fill(&mut bytes[6..]);
    // From a station of its own: a group address is not a sender's.
    bytes[6] = 0x02;
    bytes[12..14].copy_from_slice(&EXPERIMENT);
    bytes
}

/// Sends frames of all lengths from one to the other and checks that they come whole and in order.
fn cross(from: &mut Side, to: &mut Side, lens: impl Iterator<Item = usize>) {
    let frames: Vec<Vec<u8>> = lens.enumerate().map(|(number, len)| experiment(len, number as u64 + 1)).collect();
    for burst in frames.chunks(BURST_LEN_MAX) {
        for frame in burst {
            from.push(frame);
        }
        let mut received = Vec::new();
        let mut looks = 0;
        while received.len() < burst.len() {
            from.send();
            let some = to.receive();
            if some.is_empty() {
                looks += 1;
                assert!(looks < LOOKS_MAX, "{} of {} frames came", received.len(), burst.len());
                wait();
            }
            received.extend(some);
        }
        assert!(received == burst, "the same frames in the same order");
    }
}

/// Runs `body` in a process of its own, by running the test called `name` there.
fn in_own_process(name: &str, body: impl FnOnce()) {
    run(name, &[], body);
}

/// As [`in_own_process`], with a network of its own.
fn in_own_network(name: &str, body: impl FnOnce()) {
    let quiet = |arguments: &[&str]| {
        Command::new(arguments[0])
            .args(&arguments[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|end| end.success())
    };
    for prefix in [&["unshare", "--net"][..], &["unshare", "--user", "--map-root-user", "--net"]] {
        if is_child(name) || quiet(&[prefix, &["ip", "link"]].concat()) {
            return run(name, prefix, body);
        }
    }
    println!("skipped: this user may not make a network namespace");
}

fn is_child(name: &str) -> bool {
    env::var(CHILD).is_ok_and(|child| child == name)
}

fn run(name: &str, prefix: &[&str], body: impl FnOnce()) {
    if is_child(name) {
        return body();
    }
    let output = command(name, prefix).output().expect("this program runs");
    print_output(&output);
    assert!(output.status.success(), "{name} failed in its own process: {}", output.status);
}

fn command(name: &str, prefix: &[&str]) -> Command {
    let program = env::current_exe().expect("this program");
    let mut command = match prefix {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        [] => Command::new(program),
    };
    command.args([name, "--exact", "--nocapture"]).env(CHILD, name);
    command
}

fn print_output(output: &Output) {
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// Runs `ip` with `line`; the network is this test's own.
fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status().expect("ip runs");
    assert!(status.success(), "ip {line}");
}

fn veth() {
    ip("link add dpdkleft type veth peer name dpdkright");
    ip("link set dpdkleft up");
    ip("link set dpdkright up");
}

/// Whether this process is root of the host, and not only of a user namespace.
fn is_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").expect("proc");
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn cpus_allowed() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
    status.lines().find(|line| line.starts_with("Cpus_allowed_list")).expect("a list").to_owned()
}

#[test]
fn a_ring_pair_carries_every_length_both_ways() {
    in_own_process("a_ring_pair_carries_every_length_both_ways", || {
        let cpus = cpus_allowed();
        let (mut left, mut right) = ring_pair();
        cross(&mut left, &mut right, 14..=1_514);
        cross(&mut right, &mut left, (14..=1_514).rev());
        assert_eq!(cpus_allowed(), cpus, "the caller is bound to no core");
        let (one, other) = (left.port.capabilities(), right.port.capabilities());
        assert_eq!((one.medium, one.mtu, one.queues, one.queue), (Medium::Ethernet, 1_500, 1, 0));
        assert!(!one.checksum_tx && !one.checksum_rx && left.port.rss().is_none(), "rings look at no frame");
        assert_ne!(one.hardware, other.hardware);
        assert!(left.port.descriptors().is_empty());
        let (sent, received) = (left.port.counters(), right.port.counters());
        assert_eq!((sent.tx_frames, received.rx_frames), (1_501, 1_501));
        assert_eq!((sent.tx_bytes, received.rx_bytes), (1_501 * 764, 1_501 * 764));
    });
}

/// The other end of a pair, as the far end of a cable.
struct FarSide(Side);

impl FarEnd for FarSide {
    fn hardware(&self) -> HardwareAddress {
        self.0.port.capabilities().hardware
    }

    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        (Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 77, 0, 1))
    }

    fn inject(&mut self, frame: &[u8]) -> bool {
        self.0.push(frame);
        let is_sent = self.0.send() == 1;
        self.0.bursts.recycle_tx(1);
        is_sent
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        if self.0.bursts.rx.is_empty() {
            let now = self.0.tick();
            self.0.port.rx_burst(now, &mut self.0.bursts);
        }
        let bursts = &mut self.0.bursts;
        let frame = (!bursts.rx.is_empty()).then(|| bursts.rx.remove(0))?;
        let bytes = frame.bytes().to_vec();
        bursts.pool.give(frame);
        Some(bytes)
    }

    fn held_count(&self) -> usize {
        WIRE_LINK_DEPTH
    }
}

#[test]
fn a_ring_pair_is_a_port_like_any_other() {
    in_own_process("a_ring_pair_is_a_port_like_any_other", || {
        let (mut left, right) = ring_pair();
        Conformance::new(&mut left.port, &mut FarSide(right)).all();
    });
}

#[test]
fn a_full_ring_keeps_frames_waiting() {
    in_own_process("a_full_ring_keeps_frames_waiting", || {
        let (mut left, mut right) = ring_pair();
        let mut sent = 0;
        while sent < 10 * WIRE_LINK_DEPTH as u64 && left.port.counters().tx_full == 0 {
            while left.bursts.tx_room() > 0 {
                left.push(&experiment(60, sent + left.bursts.tx.len() as u64));
            }
            sent += left.send() as u64;
        }
        assert_eq!(sent, WIRE_LINK_DEPTH as u64, "the ring's depth");
        let waiting = left.bursts.tx.len();
        assert!(waiting > 0, "what did not fit waits");
        for _ in 0..100 {
            assert_eq!(left.send(), 0);
        }
        assert_eq!(left.bursts.tx.len(), waiting);
        let mut expected = 0;
        while expected < sent + waiting as u64 {
            for frame in right.await_frames() {
                assert!(frame == experiment(60, expected), "frame {expected} in its place");
                expected += 1;
            }
            left.send();
        }
        assert_eq!(left.port.counters().tx_frames, expected);
        assert_eq!(left.port.counters().tx_refused, 0);
    });
}

#[test]
fn misfits_are_refused_and_the_others_leave() {
    in_own_process("misfits_are_refused_and_the_others_leave", || {
        let (mut left, mut right) = ring_pair();
        for len in [60, 1_515, 61, 1_792, 1_700, 62] {
            left.push(&experiment(len, len as u64));
        }
        left.push(&[0xff; 13]);
        left.push(&experiment(63, 63));
        left.bursts.tx.back_mut().expect("the last").set_partial(Some(Partial { start: 34, offset: 16 }));
        assert_eq!(left.send(), 3);
        assert!(left.bursts.tx.is_empty());
        assert_eq!(left.port.counters().tx_refused, 5);
        let lens: Vec<usize> = right.await_frames().iter().map(Vec::len).collect();
        assert_eq!(lens, [60, 61, 62]);
    });
}

#[test]
fn nothing_leaks() {
    in_own_process("nothing_leaks", || {
        let (mut left, mut right) = ring_pair();
        let frame = experiment(1_001, 1);
        let free = left.port.mbufs_free();
        let mut received = 0;
        // The sender fills the ring before each look of the receiver, so that mbufs come back by both ways: from the
        // receiver, and unsent.
        while received < 200_000 {
            let full = left.port.counters().tx_full;
            while left.port.counters().tx_full == full {
                while left.bursts.tx_room() > 0 {
                    left.push(&frame);
                }
                left.send();
            }
            received += right.receive().len();
        }
        left.bursts.tx.drain(..).for_each(|frame| left.bursts.pool.give(frame));
        while !right.receive().is_empty() {}
        assert_eq!(left.port.mbufs_free(), free, "every mbuf is free again");
        assert!(left.bursts.pool.owned() <= BURST_LEN_MAX && right.bursts.pool.owned() <= BURST_LEN_MAX);
        // A pool without a free frame drops and counts; the mbufs are free all the same.
        right.bursts = Bursts::new(3);
        for _ in 0..5 {
            left.push(&frame);
        }
        left.send();
        assert_eq!(right.receive().len(), 3);
        assert_eq!(right.port.counters().rx_dropped, 2);
        assert_eq!(left.port.mbufs_free(), free);
    });
}

#[test]
fn closed_pairs_give_their_memory_back() {
    in_own_process("closed_pairs_give_their_memory_back", || {
        // Each takes more than 20 of the 256 MiB, and is dropped with frames under way, in either order.
        for turn in 0..40 {
            let (mut left, mut right) = ring_pair();
            for number in 0..10 {
                left.push(&experiment(100, number));
                right.push(&experiment(100, number));
            }
            assert_eq!((left.send(), right.send()), (10, 10), "turn {turn}");
            if turn % 2 == 0 {
                drop(left);
                assert_eq!(right.receive().len(), 10, "what was sent arrives though its sender is gone");
            } else {
                drop(right);
                assert_eq!(left.receive().len(), 10);
            }
        }
    });
}

#[test]
fn each_side_may_have_a_thread_of_its_own() {
    in_own_process("each_side_may_have_a_thread_of_its_own", || {
        let (mut left, mut right) = ring_pair();
        let free = left.port.mbufs_free();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut expected = 0;
                while expected < 20_000 {
                    for frame in right.receive() {
                        assert!(frame == experiment(64, expected), "frame {expected}");
                        expected += 1;
                    }
                }
            });
            scope.spawn(|| {
                for number in 0..20_000 {
                    left.push(&experiment(64, number));
                    while left.send() == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        });
        assert_eq!(left.port.mbufs_free(), free, "no mbuf stayed with a thread that ended");
    });
}

#[test]
fn dpdk_starts_once_in_a_process() {
    in_own_process("dpdk_starts_once_in_a_process", || {
        let (left, _right) = ring_pair();
        let error = open("--vdev=net_null0", 1).err().expect("other arguments").to_string();
        assert!(error.contains("starts once") && error.contains("port=NAME"), "{error}");
        let error = open("", 1).err().expect("no device but the pair's").to_string();
        assert!(error.contains("none is free") && error.contains("--vdev"), "{error}");
        let error = open("port=net_tap7", 1).err().expect("no such device").to_string();
        assert!(error.contains("net_tap7"), "{error}");
        assert!(left.port.mbufs_free() > 0);
    });
}

#[test]
fn arguments_that_dpdk_refuses_are_an_error() {
    in_own_process("arguments_that_dpdk_refuses_are_an_error", || {
        let error = open("--no-such-option", 1).err().expect("an unknown option").to_string();
        assert!(error.contains("--no-such-option"), "{error}");
    });
}

#[test]
fn flows_are_spread_by_the_key_that_is_told() {
    in_own_process("flows_are_spread_by_the_key_that_is_told", || {
        let device = "--vdev=net_null0 --vdev=net_null1";
        let error = open(&format!("{device} port=net_null0"), 65).err().expect("too many queues").to_string();
        assert!(error.contains("65 queues"), "{error}");
        let mut ports = open(&format!("{device} port=net_null1"), 4).expect("four queues");
        let indices: Vec<usize> = ports.iter().map(|port| port.capabilities().queue).collect();
        assert_eq!((indices, ports[0].capabilities().queues), (vec![0, 1, 2, 3], 4));
        let rss = ports[3].rss().expect("this driver takes a key").clone();
        assert_eq!((rss.key.len(), rss.table_len), (40, 128));
        assert_eq!(ports[0].rss(), Some(&rss));
        assert_eq!(ports[0].steering().map(|steering| steering.queue_count()), Some(4));
        // Its bursts are always full: one look takes one burst.
        let mut side = Side::new(ports.remove(2));
        side.port.rx_burst(Instant::ZERO, &mut side.bursts);
        assert_eq!(side.bursts.rx.len(), BURST_LEN_MAX);
        assert_eq!(side.port.rx_burst(Instant::ZERO, &mut side.bursts), 0, "no room, no look");
    });
}

#[test]
fn two_processes_share_memory() {
    let name = "two_processes_share_memory";
    in_own_process(name, || {
        let port =
            |role: &str, socket: &str| format!("--vdev=net_memif0,role={role},socket={socket},socket-abstract=no");
        if let Ok(socket) = env::var(PEER) {
            // The other process sends everything back until it is ended.
            let mut side = open_one(&port("client", &socket));
            side.connect();
            loop {
                for frame in side.await_frames() {
                    side.push(&frame);
                }
                side.send();
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("memif").display().to_string();
        let mut side = open_one(&port("server", &socket));
        // Without a peer there is no link: what is sent is refused, and nothing hangs.
        side.push(&experiment(60, 0));
        assert_eq!((side.send(), side.port.counters().tx_refused, side.bursts.tx.len()), (0, 1, 0));
        let peer = Peer(command(name, &[]).env(PEER, &socket).spawn().expect("the other process"));
        side.connect();
        // Both sides' first frames came with the link.
        let mut first = 0;
        while first < 2 {
            first += side.await_frames().len();
        }
        for len in 14..=1_514 {
            let frame = experiment(len, len as u64);
            side.push(&frame);
            side.send();
            assert!(side.await_frames() == [frame], "{len} bytes, there and back");
        }
        // With the peer goes the link.
        drop(peer);
        for _ in 0..LOOKS_MAX {
            side.push(&experiment(60, 0));
            if side.send() == 0 && side.bursts.tx.is_empty() {
                return;
            }
            wait();
        }
        panic!("the link stayed up");
    });
}

/// The other process; ended when dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have failed by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn packet_sockets_carry_frames_over_a_veth() {
    in_own_network("packet_sockets_carry_frames_over_a_veth", || {
        veth();
        ip("link set dpdkright mtu 1400");
        let devices = "--vdev=net_af_packet0,iface=dpdkleft --vdev=net_af_packet1,iface=dpdkright,qpairs=2";
        let mut left = open_one(devices);
        let mut right: Vec<Side> = open(devices, 2).expect("two queues").into_iter().map(Side::new).collect();
        let capabilities = right[1].port.capabilities();
        assert_eq!((capabilities.queues, capabilities.queue, capabilities.mtu), (2, 1, 1_400), "the interface's MTU");
        assert_eq!(left.port.capabilities().mtu, 1_500);
        assert!(right[0].port.rss().is_none(), "the kernel spreads flows in a way of its own");
        left.connect();
        let mut count = 0;
        while count < 1 {
            count += right.iter_mut().map(|side| side.receive().len()).sum::<usize>();
            wait();
        }
        // Towards two queues, frames of several lengths; back from each of the two, in order.
        for len in (60..=1_400).step_by(13) {
            left.push(&experiment(len, len as u64));
            left.send();
            let mut received = Vec::new();
            for _ in 0..LOOKS_MAX {
                received.extend(right.iter_mut().flat_map(Side::receive));
                if !received.is_empty() {
                    break;
                }
                wait();
            }
            assert!(received == [experiment(len, len as u64)], "{len} bytes");
        }
        for side in &mut right {
            cross(side, &mut left, (60..=1_414).step_by(7));
        }
        ip("link set dpdkleft down");
        left.push(&experiment(60, 1));
        left.send();
        assert!(left.bursts.tx.len() <= 1, "an interface that is down is no hang");
    });
}

#[test]
fn xdp_sockets_carry_frames_over_a_veth() {
    in_own_network("xdp_sockets_carry_frames_over_a_veth", || {
        veth();
        let devices = "--vdev=net_af_xdp0,iface=dpdkleft --vdev=net_af_xdp1,iface=dpdkright";
        let mut sides = Vec::new();
        for _ in 0..2 {
            match open(devices, 1) {
                Ok(mut ports) => sides.push(Side::new(ports.remove(0))),
                Err(error) if !is_root() => return println!("skipped: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
        let [left, right] = &mut sides[..] else { unreachable!("two were opened") };
        left.connect();
        right.await_frames();
        cross(left, right, (60..=1_514).step_by(3));
        cross(right, left, (60..=1_514).step_by(3));
    });
}

#[test]
fn checksums_are_completed_and_verified_by_the_device() {
    in_own_network("checksums_are_completed_and_verified_by_the_device", || {
        let ports = match open("--vdev=net_tap0,iface=dpdktap,mac=02:00:00:00:00:07", 1) {
            Ok(ports) => ports,
            Err(error) if !is_root() => return println!("skipped: {error}"),
            Err(error) => panic!("{error}"),
        };
        let mut side = ports.into_iter().map(Side::new).next().expect("one port");
        let capabilities = side.port.capabilities();
        assert!(capabilities.checksum_rx && capabilities.checksum_tx, "this driver does both, in software");
        ip("addr add 10.77.0.1/24 dev dpdktap");
        ip("link set dpdktap up");
        ip("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:08 dev dpdktap");
        let listener = TcpListener::bind("10.77.0.1:4000").expect("the kernel listens");
        let syn = syn(capabilities.hardware);
        for _ in 0..LOOKS_MAX {
            side.push(&syn);
            side.bursts.tx.back_mut().expect("the SYN").set_partial(Some(Partial { start: 34, offset: 16 }));
            side.send();
            let now = side.tick();
            side.port.rx_burst(now, &mut side.bursts);
            let answer = side.bursts.rx.iter().find(|frame| {
                let bytes = frame.bytes();
                bytes.get(12..14) == Some(&[8, 0]) && bytes.get(34..38) == Some(&[0x0f, 0xa0, 0x0b, 0xb8])
            });
            if let Some(answer) = answer {
                assert_eq!(answer.bytes()[47] & 0x3f, 0x12, "SYN|ACK: the kernel found the checksum right");
                assert!(answer.is_verified(), "and the device found the kernel's right");
                return drop(listener);
            }
            side.bursts.recycle_rx();
            wait();
        }
        panic!("no answer to a SYN whose checksum the device completes");
    });
}

/// A SYN from 10.77.0.2:3000 to 10.77.0.1:4000 in whose checksum field the pseudo-header's sum stands.
fn syn(to: [u8; 6]) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    bytes[..6].copy_from_slice(&to);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 8]);
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..34].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]);
    let header = !sum(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&header.to_be_bytes());
    bytes[34..54].copy_from_slice(&[0x0b, 0xb8, 0x0f, 0xa0, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0]);
    let pseudo = sum(&[&bytes[26..34], &[0, 6, 0, 20][..]].concat());
    bytes[50..52].copy_from_slice(&pseudo.to_be_bytes());
    bytes
}

/// The sum of an even number of bytes (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}
