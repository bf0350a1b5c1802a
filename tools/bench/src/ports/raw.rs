//! Ports without the card: pairs of them joined by whatever they are made for.

use std::net::IpAddr;

use hdrhistogram::Histogram;
use hpb_base::Instant;
use hpb_base::limits::BURST_LEN_MAX;
use hpb_host::sys::wall_ns;
use hpb_net::frame::Bursts;
use hpb_net::wire::WireBuilder;
use hpb_net::{HardwareAddress, Medium, OpenOptions, Port, PortUrl};
use hpb_sandbox::{Host, cable};

use super::{Failed, Options, RawRow};
use crate::target::{Meter, StallGuard};

/// The bare ones among the targets.
pub(super) const NAMES: [&str; 5] = ["wire", "packet", "tap", "xdp", "ring"];

const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 1));
const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 2));
/// A small frame, Ethernet header included where there is one; a large one fills the MTU.
const SMALL_LEN: usize = 64;

/// One end.
struct End {
    port: Box<dyn Port>,
    bursts: Bursts,
    small: Vec<u8>,
    large: Vec<u8>,
}

/// Two ends, and the hosts that they live in.
struct Pair {
    near: End,
    far: End,
    _hosts: Vec<Host>,
}

/// Measures one pair.
pub(super) fn measure(name: &'static str, options: &Options) -> Result<RawRow, Failed> {
    let mut pair = Pair::open(name)?;
    let (frames_per_second, cpu_ns_per_frame) = pair.rate(options.frames, false)?;
    let (large_frames_per_second, _) = pair.rate(options.frames / 4, true)?;
    let histogram = pair.round_trips(options.round_trips)?;
    let us = |quantile: f64| f64::from(u32::try_from(histogram.value_at_quantile(quantile)).unwrap_or(u32::MAX)) / 1e3;
    Ok(RawRow {
        name,
        frames_per_second,
        cpu_ns_per_frame,
        large_frames_per_second,
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
    })
}

impl Pair {
    fn open(name: &str) -> Result<Self, Failed> {
        match name {
            "wire" => {
                let mut wire = WireBuilder::new(0);
                wire.port(&[NEAR]);
                wire.port(&[FAR]);
                let ports = wire.build().map_err(|error| Failed::Other(error.to_string()))?;
                let mut ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>);
                Self::of(&mut ports, Vec::new())
            }
            "packet" => Self::over_cable("packet:cable0", true),
            "xdp" => Self::over_cable("xdp:cable0", false),
            "tap" => {
                let host = Host::new()?;
                let open = |url: &str, own| {
                    let url = PortUrl::parse(url)?;
                    hpb_net::open(&url, &OpenOptions { addresses: vec![own], ..OpenOptions::default() })
                };
                let ports = host.run(|| Ok::<_, Failed>([open("tap:tap0", NEAR)?, open("packet:tap0", FAR)?]))??;
                Self::of(&mut ports.into_iter().flatten(), vec![host])
            }
            "ring" => Self::ring(),
            other => Err(Failed::Other(format!("{other} is no bare port"))),
        }
    }

    #[cfg(feature = "dpdk")]
    fn ring() -> Result<Self, Failed> {
        let (near, far) = hpb_net::dpdk::DpdkPort::ring_pair()?;
        Self::of(&mut [Box::new(near) as Box<dyn Port>, Box::new(far)].into_iter(), Vec::new())
    }

    #[cfg(not(feature = "dpdk"))]
    fn ring() -> Result<Self, Failed> {
        Err(Failed::Other("built without DPDK (`--features dpdk`)".to_owned()))
    }

    fn over_cable(url: &str, offloads: bool) -> Result<Self, Failed> {
        let hosts = [Host::new()?, Host::new()?];
        cable((&hosts[0], "cable0"), (&hosts[1], "cable0"), 1)?;
        let mut ports = Vec::new();
        for (host, own) in hosts.iter().zip([NEAR, FAR]) {
            if !offloads {
                host.set_offloads("cable0", false)?;
            }
            let options = OpenOptions { addresses: vec![own], ..OpenOptions::default() };
            let url = PortUrl::parse(url)?;
            ports.extend(host.run(|| hpb_net::open(&url, &options))??);
        }
        Self::of(&mut ports.into_iter(), hosts.into())
    }

    fn of(ports: &mut dyn Iterator<Item = Box<dyn Port>>, hosts: Vec<Host>) -> Result<Self, Failed> {
        let (Some(near), Some(far)) = (ports.next(), ports.next()) else {
            return Err(Failed::Other("a pair has two ports".to_owned()));
        };
        let [near_hardware, far_hardware] = [&near, &far].map(|port| port.capabilities().hardware);
        Ok(Self {
            near: End::new(near, (NEAR, FAR), (near_hardware, far_hardware)),
            far: End::new(far, (FAR, NEAR), (far_hardware, near_hardware)),
            _hosts: hosts,
        })
    }

    /// Full bursts from the near end to the far one: frames a second, and CPU nanoseconds a frame of both ends.
    fn rate(&mut self, frames: u64, large: bool) -> Result<(f64, f64), Failed> {
        let (mut guard, mut arrived) = (StallGuard::default(), 0);
        let meter = Meter::start();
        while arrived < frames {
            self.near.offer(BURST_LEN_MAX, large);
            self.near.transmit();
            let count = self.far.receive();
            arrived += count;
            guard.turn(count > 0)?;
        }
        let sample = meter.stop(arrived);
        // What is still on its way is not the next measurement's.
        self.near.drop_unsent();
        let until_ns = wall_ns() + 2_000_000;
        while wall_ns() < until_ns {
            self.far.receive();
            self.near.receive();
        }
        Ok((sample.per_second(), sample.cpu_ns_each()))
    }

    fn round_trips(&mut self, count: u64) -> Result<Histogram<u64>, Failed> {
        let mut histogram =
            Histogram::new_with_bounds(1, 10_000_000_000, 3).map_err(|error| Failed::Other(error.to_string()))?;
        let mut guard = StallGuard::default();
        for _ in 0..count {
            let start_ns = wall_ns();
            for outward in [true, false] {
                let (from, to) =
                    if outward { (&mut self.near, &mut self.far) } else { (&mut self.far, &mut self.near) };
                from.offer(1, false);
                from.transmit();
                while to.receive() == 0 {
                    from.transmit();
                    guard.turn(false)?;
                }
            }
            guard.turn(true)?;
            histogram.saturating_record(wall_ns() - start_ns);
        }
        Ok(histogram)
    }
}

impl End {
    fn new(
        port: Box<dyn Port>,
        (source, destination): (IpAddr, IpAddr),
        (source_hardware, destination_hardware): (HardwareAddress, HardwareAddress),
    ) -> Self {
        let capabilities = port.capabilities();
        let header = match capabilities.medium {
            Medium::Ethernet => [&destination_hardware[..], &source_hardware[..], &[8, 0]].concat(),
            Medium::Ip => Vec::new(),
        };
        let frame = |len: usize| {
            let mut frame = header.clone();
            let ip_len = (len - header.len()) as u16;
            frame.extend_from_slice(&[0x45, 0]);
            frame.extend_from_slice(&ip_len.to_be_bytes());
            frame.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
            for address in [source, destination] {
                if let IpAddr::V4(address) = address {
                    frame.extend_from_slice(&address.octets());
                }
            }
            frame.resize(len, 0);
            frame
        };
        Self {
            small: frame(SMALL_LEN),
            large: frame(capabilities.mtu.min(1_500) + header.len()),
            port,
            bursts: Bursts::new(4 * BURST_LEN_MAX),
        }
    }

    /// Fills the send burst up to `count` frames.
    fn offer(&mut self, count: usize, large: bool) {
        let bytes = if large { &self.large } else { &self.small };
        while self.bursts.tx.len() < count {
            let Some(mut frame) = self.bursts.pool.take() else { return };
            frame.copy_from(bytes);
            self.bursts.tx.push_back(frame);
        }
    }

    fn transmit(&mut self) {
        self.port.tx_burst(now(), &mut self.bursts);
    }

    fn receive(&mut self) -> u64 {
        let count = self.port.rx_burst(now(), &mut self.bursts);
        self.bursts.recycle_rx();
        count as u64
    }

    fn drop_unsent(&mut self) {
        while let Some(frame) = self.bursts.tx.pop_front() {
            self.bursts.pool.give(frame);
        }
    }
}

fn now() -> Instant {
    Instant::from_nanos(wall_ns())
}
