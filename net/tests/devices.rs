//! Ports over real interfaces of the kernel, each test in a network namespace of its own. Without root or user
//! namespaces a test skips, and says so.

use std::net::IpAddr;

use hpb_base::Instant;
use hpb_base::limits::BURST_LEN_MAX;
use hpb_net::conformance::{Conformance, FarEnd};
use hpb_net::testing::{PacketFarEnd, Sandbox, Skip, patiently};
use hpb_net::{Bursts, HardwareAddress, OpenError, OpenOptions, PacketPort, Port, TapPort};

/// Runs `body` in a sandbox; a part that the host lacks is a skip.
fn sandboxed(test: &str, body: impl FnOnce(&Sandbox) -> Result<(), Skip>) {
    Sandbox::run(test, |sandbox| {
        if let Err(skip) = body(sandbox) {
            eprintln!("{test} {skip}");
        }
    });
}

fn packet_port(interface: &str, queues: usize, options: &OpenOptions) -> Vec<PacketPort> {
    PacketPort::open(interface, queues, options, None).unwrap_or_else(|error| panic!("{error}"))
}

fn tap_port(interface: &str, queues: usize) -> Vec<TapPort> {
    TapPort::open(interface, queues, None).unwrap_or_else(|error| panic!("{error}"))
}

fn far_end(interface: &str, links: &[&str]) -> PacketFarEnd {
    PacketFarEnd::open(interface, links).unwrap_or_else(|error| panic!("{error}"))
}

/// A UDP packet from port `from` in an Ethernet frame.
fn udp(to: HardwareAddress, destination: [u8; 4], from: u16) -> Vec<u8> {
    let mut frame = [&to[..], &[2, 0, 0, 0, 0, 9], &[8, 0]].concat();
    frame.extend([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 2]);
    frame.extend(destination);
    frame.extend(from.to_be_bytes());
    frame.extend([0, 7, 0, 26, 0, 0]);
    frame.resize(60, 0x5a);
    frame
}

/// What comes to each of several ports, until all together have `count` frames or more.
fn received_by<P: Port>(ports: &mut [P], count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut bursts = Bursts::new(4 * BURST_LEN_MAX);
    let mut frames = vec![Vec::new(); ports.len()];
    patiently("frames", || {
        for (port, frames) in ports.iter_mut().zip(&mut frames) {
            port.rx_burst(Instant::ZERO, &mut bursts);
            frames.extend(bursts.rx.iter().map(|frame| frame.bytes().to_vec()));
            bursts.recycle_rx();
        }
        (frames.iter().map(Vec::len).sum::<usize>() >= count).then_some(())
    });
    frames
}

/// What comes to a port, until it has `count` frames or more.
fn received<P: Port>(port: &mut P, count: usize) -> Vec<Vec<u8>> {
    received_by(std::slice::from_mut(port), count).remove(0)
}

#[test]
fn a_packet_port_is_a_port_like_any_other() {
    sandboxed("a_packet_port_is_a_port_like_any_other", |sandbox| {
        sandbox.veth("near", "far")?;
        let mut port = packet_port("near", 1, &OpenOptions::default()).remove(0);
        let mut far = far_end("far", &["near", "far"]);
        Conformance::new(&mut port, &mut far).all();
        Ok(())
    });
}

#[test]
fn an_interface_that_cuts_nothing_still_takes_all() {
    sandboxed("an_interface_that_cuts_nothing_still_takes_all", |sandbox| {
        sandbox.veth("near", "far")?;
        sandbox.set_offloads("near", false)?;
        let mut port = packet_port("near", 1, &OpenOptions::default()).remove(0);
        let mut far = far_end("far", &["near", "far"]);
        Conformance::new(&mut port, &mut far).all();
        Ok(())
    });
}

#[test]
fn the_kernel_cuts_what_a_tap_port_joins_as_it_was() {
    sandboxed("the_kernel_cuts_what_a_tap_port_joins_as_it_was", |sandbox| {
        sandbox.tap("tap0")?;
        sandbox.veth("near", "far")?;
        // Behind the bridge is a cable that carries only whole checksums and single segments.
        sandbox.set_offloads("near", false)?;
        sandbox.ip("link add bridge0 type bridge")?;
        for arguments in ["tap0 master bridge0", "near master bridge0", "bridge0 up"] {
            sandbox.ip(&format!("link set {arguments}"))?;
        }
        let mut port = tap_port("tap0", 1).remove(0);
        let mut far = far_end("far", &["tap0"]);
        Conformance::new(&mut port, &mut far).all();
        Ok(())
    });
}

#[test]
fn a_tap_port_is_a_port_like_any_other() {
    sandboxed("a_tap_port_is_a_port_like_any_other", |sandbox| {
        sandbox.tap("tap0")?;
        let mut port = tap_port("tap0", 1).remove(0);
        let mut far = far_end("tap0", &["tap0"]);
        Conformance::new(&mut port, &mut far).all();
        Ok(())
    });
}

#[test]
fn a_tap_interface_that_is_not_there_is_made_and_goes_with_its_port() {
    sandboxed("a_tap_interface_that_is_not_there_is_made_and_goes_with_its_port", |sandbox| {
        sandbox.tap("other")?;
        let mut port = tap_port("made", 1).remove(0);
        let mut far = far_end("made", &[]);
        let burst: Vec<u8> = udp(port.capabilities().hardware, [10, 0, 0, 1], 1);
        assert!(far.inject(&burst), "it is up");
        assert_eq!(received(&mut port, 1), [burst]);
        assert_ne!(port.capabilities().hardware, far.hardware());
        drop(port);
        assert!(PacketFarEnd::open("made", &[]).is_err(), "it is gone");
        Ok(())
    });
}

#[test]
fn what_a_link_that_is_down_does_not_take_is_refused_and_counted() {
    sandboxed("what_a_link_that_is_down_does_not_take_is_refused_and_counted", |sandbox| {
        sandbox.veth("near", "far")?;
        sandbox.tap("tap0")?;
        let mut packet = packet_port("near", 1, &OpenOptions::default()).remove(0);
        let mut tap = tap_port("tap0", 1).remove(0);
        let mut bursts = Bursts::new(BURST_LEN_MAX);
        let mut refuses = |port: &mut dyn Port, why: &str| {
            let before = port.counters().tx_refused;
            for _ in 0..3 {
                let mut frame = bursts.pool.take().unwrap_or_else(|| panic!("a frame"));
                frame.copy_from(&udp([2, 0, 0, 0, 0, 8], [10, 0, 0, 2], 1));
                bursts.tx.push_back(frame);
            }
            // The kernel takes up to a second to say that a carrier is gone.
            patiently(why, || {
                assert_eq!(port.tx_burst(Instant::ZERO, &mut bursts), 0, "{why}");
                bursts.tx.is_empty().then_some(())
            });
            assert_eq!(port.counters().tx_refused - before, 3, "{why}");
        };
        sandbox.set_up("tap0", false)?;
        refuses(&mut tap, "a TAP interface that is down");
        sandbox.set_up("far", false)?;
        refuses(&mut packet, "an interface without a carrier");
        sandbox.set_up("near", false)?;
        refuses(&mut packet, "an interface that is down");
        sandbox.ip("link del near")?;
        refuses(&mut packet, "an interface that is gone");
        Ok(())
    });
}

#[test]
fn a_device_that_is_full_holds_a_packet_port_back() {
    sandboxed("a_device_that_is_full_holds_a_packet_port_back", |sandbox| {
        sandbox.tap("tap0")?;
        // What the packet port sends waits in the TAP interface's own queue until its other end takes it.
        let mut far = tap_port("tap0", 1).remove(0);
        let mut port = packet_port("tap0", 1, &OpenOptions::default()).remove(0);
        let mut bursts = Bursts::new(4_096);
        let (to, count) = (far.capabilities().hardware, 3_000);
        let mut sent = 0;
        for from in 0..count {
            let mut frame = bursts.pool.take().unwrap_or_else(|| panic!("a frame"));
            frame.copy_from(&udp(to, [10, 0, 0, 1], from));
            bursts.tx.push_back(frame);
            if bursts.tx_room() == 0 && sent < usize::from(count) {
                sent += port.tx_burst(Instant::ZERO, &mut bursts);
            }
        }
        assert!(sent < usize::from(count) && port.counters().tx_full > 0, "{:?}", port.counters());
        let mut frames = Vec::new();
        while !bursts.tx.is_empty() {
            frames.extend(received(&mut far, BURST_LEN_MAX));
            sent += port.tx_burst(Instant::ZERO, &mut bursts);
        }
        frames.extend(received(&mut far, usize::from(count) - frames.len()));
        assert_eq!((sent, frames.len()), (usize::from(count), usize::from(count)));
        for (from, frame) in (0..count).zip(&frames) {
            assert_eq!(frame[34..36], from.to_be_bytes(), "in order");
        }
        Ok(())
    });
}

#[test]
fn a_filter_takes_the_cards_frames_and_no_others() {
    sandboxed("a_filter_takes_the_cards_frames_and_no_others", |sandbox| {
        sandbox.veth("near", "far")?;
        let options = OpenOptions {
            addresses: vec![IpAddr::from([10, 0, 0, 1]), "fd00::1".parse().unwrap_or_else(|_| panic!())],
            ..OpenOptions::default()
        };
        let mut port = packet_port("near", 1, &options).remove(0);
        let mut far = far_end("far", &[]);
        let ours = port.capabilities().hardware;
        assert!(far.inject(&udp(ours, [10, 0, 0, 9], 1)), "another's IP address");
        assert!(far.inject(&udp([2, 0, 0, 0, 0, 7], [10, 0, 0, 1], 2)), "another's Ethernet address");
        let good = udp(ours, [10, 0, 0, 1], 3);
        assert!(far.inject(&good));
        assert_eq!(received(&mut port, 1), [good], "the others came before it");
        Ok(())
    });
}

#[test]
fn a_vlan_tag_is_where_it_was() {
    sandboxed("a_vlan_tag_is_where_it_was", |sandbox| {
        sandbox.veth("near", "far")?;
        let mut port = packet_port("near", 1, &OpenOptions::default()).remove(0);
        let mut far = far_end("far", &[]);
        let mut tagged = udp(port.capabilities().hardware, [10, 0, 0, 1], 1);
        tagged.splice(12..12, [0x81, 0, 0x60, 42]);
        assert!(far.inject(&tagged));
        assert_eq!(received(&mut port, 1), [tagged]);
        Ok(())
    });
}

#[test]
fn frames_say_when_the_kernel_had_them_where_that_was_asked_for() {
    sandboxed("frames_say_when_the_kernel_had_them_where_that_was_asked_for", |sandbox| {
        sandbox.veth("near", "far")?;
        let stamping = OpenOptions { stamps: true, ..OpenOptions::default() };
        let mut ports =
            [packet_port("near", 1, &stamping).remove(0), packet_port("near", 1, &<_>::default()).remove(0)];
        let mut far = far_end("far", &[]);
        let mut tagged = udp(ports[0].capabilities().hardware, [10, 0, 0, 1], 1);
        tagged.splice(12..12, [0x81, 0, 0x60, 42]);
        let began = unix_ns();
        for _ in 0..2 {
            assert!(far.inject(&tagged));
        }
        let [stamped, plain] = ports.each_mut().map(|port| {
            let (mut bursts, mut arrivals) = (Bursts::new(4 * BURST_LEN_MAX), Vec::new());
            patiently("frames", || {
                port.rx_burst(Instant::ZERO, &mut bursts);
                assert!(bursts.rx.iter().all(|frame| frame.bytes() == tagged), "its tag stands where it was");
                arrivals.extend(bursts.rx.iter().map(hpb_net::Frame::arrived_unix_ns));
                bursts.recycle_rx();
                (arrivals.len() == 2).then_some(())
            });
            arrivals
        });
        let ended = unix_ns();
        let times: Vec<u64> = stamped.into_iter().flatten().collect();
        assert_eq!(times.len(), 2);
        assert!(began <= times[0] && times[0] <= times[1] && times[1] <= ended, "{began} {times:?} {ended}");
        assert_eq!(plain, [None, None]);
        Ok(())
    });
}

#[allow(clippy::disallowed_methods, reason = "the kernel's stamps are held against the clock that it reads")]
fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

#[test]
fn queues_share_the_flows_and_each_flow_keeps_to_one() {
    sandboxed("queues_share_the_flows_and_each_flow_keeps_to_one", |sandbox| {
        const FLOWS: u16 = 64;
        sandbox.veth("near", "far")?;
        let mut first = packet_port("near", 2, &OpenOptions::default());
        // Another process' port on the same interface is a group of its own.
        let mut second = packet_port("near", 2, &OpenOptions::default());
        let mut far = far_end("far", &[]);
        let ours = first[0].capabilities().hardware;
        for _ in 0..3 {
            for flow in 0..FLOWS {
                assert!(far.inject(&udp(ours, [10, 0, 0, 1], flow)));
            }
        }
        for ports in [&mut first, &mut second] {
            let counts: Vec<[u32; FLOWS as usize]> = received_by(ports, 3 * usize::from(FLOWS))
                .iter()
                .map(|frames| {
                    let mut counts = [0; FLOWS as usize];
                    for frame in frames {
                        counts[usize::from(u16::from_be_bytes([frame[34], frame[35]]))] += 1;
                    }
                    counts
                })
                .collect();
            for (flow, (one, other)) in counts[0].iter().zip(&counts[1]).enumerate() {
                assert!((*one, *other) == (3, 0) || (*one, *other) == (0, 3), "flow {flow}: {one} and {other}");
            }
            assert!(counts.iter().all(|counts| counts.iter().any(|count| *count > 0)), "both have some");
        }
        let capabilities = first[1].capabilities();
        assert_eq!((capabilities.queues, capabilities.queue), (2, 1));
        Ok(())
    });
}

#[test]
fn a_tap_port_has_several_queues() {
    sandboxed("a_tap_port_has_several_queues", |sandbox| {
        sandbox.tap("single")?;
        let mut ports = tap_port("many", 2);
        let mut far = far_end("many", &[]);
        let ours = ports[0].capabilities().hardware;
        for flow in 0..64 {
            assert!(far.inject(&udp(ours, [10, 0, 0, 1], flow)));
        }
        let counts: Vec<usize> = received_by(&mut ports, 64).iter().map(Vec::len).collect();
        assert_eq!(counts.iter().sum::<usize>(), 64, "{counts:?}");
        assert!(matches!(TapPort::open("single", 2, None), Err(OpenError::Unsupported { .. })), "made for one queue");
        assert!(matches!(TapPort::open("many", 0, None), Err(OpenError::Unsupported { .. })), "no queue");
        Ok(())
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    sandboxed("what_cannot_be_opened_says_why", |sandbox| {
        sandbox.veth("near", "far")?;
        let open = |interface: &str, queues| PacketPort::open(interface, queues, &OpenOptions::default(), None).err();
        assert!(matches!(open("nowhere", 1), Some(OpenError::NoInterface { .. })));
        assert!(matches!(open("lo", 1), Some(OpenError::Unsupported { .. })), "not Ethernet");
        assert!(matches!(open("near", 65), Some(OpenError::Unsupported { .. })), "more queues than there may be");
        assert!(TapPort::open("near", 1, None).is_err(), "a cable is no TAP interface");
        Ok(())
    });
}
