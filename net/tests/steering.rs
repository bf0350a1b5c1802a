//! The steering program where the kernel calls it: in a packet socket's fanout and in a TAP. Every segment must come to
//! the very queue that `steer` names. Without the privilege each test says so and passes.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use hpb_base::{Instant, Random};
use hpb_net::bpf::{BpfError, Program, steering_program};
use hpb_net::conformance::FarEnd;
use hpb_net::testing::{PacketFarEnd, Sandbox, patiently};
use hpb_net::{Bursts, HardwareAddress, OpenOptions, PacketPort, Port, Steering, TapPort};

const QUEUES: usize = 4;
const FLOWS: u16 = 200;

fn program(steering: &Steering) -> Option<Program> {
    match steering_program(steering) {
        Ok(program) => Some(program),
        Err(BpfError::Call { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: loading programs needs cap_bpf and cap_net_admin");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A segment of a flow, behind a VLAN tag or not.
fn segment(ends: (SocketAddr, SocketAddr), hardware: [HardwareAddress; 2], is_tagged: bool) -> Vec<u8> {
    let mut bytes = hardware.concat();
    if is_tagged {
        bytes.extend([0x81, 0, 0, 5]);
    }
    match ends {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
            bytes.extend([from.ip().octets(), to.ip().octets()].concat());
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            bytes.extend([from.ip().octets(), to.ip().octets()].concat());
        }
        _ => panic!("no frame has ends of both families"),
    }
    bytes.extend([ends.0.port().to_be_bytes(), ends.1.port().to_be_bytes()].concat());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes
}

/// Sends flows to the ports and looks where each comes out.
fn every_flow_comes_to_its_queue<P: Port>(ports: &mut [P], far: &mut PacketFarEnd, steering: &Steering) {
    let hardware = [ports[0].capabilities().hardware, far.hardware()];
    let mut random = Random::new(5);
    let mut bursts = Bursts::new(64);
    let mut seen = [false; QUEUES];
    for flow in 0..FLOWS {
        let stranger = random.next_u64();
        let ends: (SocketAddr, SocketAddr) = if flow % 2 == 0 {
            (
                (Ipv4Addr::from_bits(stranger as u32 | 0x0100_0000), flow).into(),
                (Ipv4Addr::new(10, 0, 0, 1), 9_000).into(),
            )
        } else {
            let from = Ipv6Addr::from_bits(0xfd << 120 | u128::from(stranger));
            ((from, flow).into(), (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), 9_000).into())
        };
        let frame = segment(ends, hardware, flow % 3 == 0);
        assert!(far.inject(&frame));
        let expected = steering.queue(ends.0, ends.1);
        let came_to = patiently("a segment", || {
            ports.iter_mut().position(|port| {
                port.rx_burst(Instant::ZERO, &mut bursts);
                let is_here = bursts.rx.iter().any(|received| received.bytes() == frame);
                bursts.recycle_rx();
                is_here
            })
        });
        assert_eq!(came_to, expected, "flow {flow}");
        seen[expected] = true;
    }
    assert_eq!(seen, [true; QUEUES]);
}

#[test]
fn a_fanout_gives_each_flow_its_queue() {
    Sandbox::run("a_fanout_gives_each_flow_its_queue", |sandbox| {
        if let Err(skip) = sandbox.veth("steer0", "steer1") {
            return println!("{skip}");
        }
        let steering = Steering::keyed(&[9; 32], QUEUES);
        let Some(program) = program(&steering) else { return };
        let mut far = PacketFarEnd::open("steer1", &[]).unwrap();
        let options = OpenOptions::default();
        let mut ports = PacketPort::open("steer0", QUEUES, &options, Some(program.as_fd())).unwrap();
        every_flow_comes_to_its_queue(&mut ports, &mut far, &steering);
    });
}

#[test]
fn a_tap_gives_each_flow_its_queue() {
    Sandbox::run("a_tap_gives_each_flow_its_queue", |_| {
        let steering = Steering::keyed(&[10; 32], QUEUES);
        let Some(program) = program(&steering) else { return };
        let mut ports = match TapPort::open("steer2", QUEUES, Some(program.as_fd())) {
            Ok(ports) => ports,
            Err(error) => return println!("skipped: {error}"),
        };
        let mut far = PacketFarEnd::open("steer2", &[]).unwrap();
        every_flow_comes_to_its_queue(&mut ports, &mut far, &steering);
    });
}
