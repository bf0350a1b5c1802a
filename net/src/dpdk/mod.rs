//! Ports over DPDK: cards that it drives by itself, and its virtual devices. Only with the cargo feature `dpdk`.
//!
//! - Frames are copied between DPDK's buffers (mbufs) and the lane's frames. A lane keeps frames for longer than a
//!   burst, rewrites them in place, and hands them back to its own pool; an mbuf belongs to its device, is scarce to
//!   it, and must be released on a thread that DPDK knows. A copy of 64 to 1,514 bytes costs less than that coupling.
//! - DPDK starts once in a process ([`DpdkPort::open`]). It binds the thread that starts it to a core, so a thread of
//!   its own does that and ends. A lane's thread makes itself known at its first burst, which binds nothing.
//! - It takes any of DPDK's arguments. Without root and huge pages: `--no-huge --no-pci --no-shconf -m 256`. Where
//!   nothing is said it adds `--in-memory` (huge pages that leave no files; if there are none, the error says what to
//!   run), `--lcores` with one core, `--no-telemetry` and `--log-level=warning`.
//! - It has no descriptors to sleep on: it must be looked at.
//! - A frame of several buffers is gathered into one. One that no frame holds is dropped and counted, and so is all that
//!   is sent while the link is down.
//!
//! It refuses jumbo frames and segmentation offload. Known of the virtual devices: `net_af_packet` has the kernel join
//! IP fragments, `net_null` always has a full burst, and a `net_memif` has no link until its peer is there.

mod arguments;
mod device;
mod eal;
mod sys;

use std::sync::Arc;

use hpb_base::limits::{BURST_LEN_MAX, FRAME_LEN_MAX};
use hpb_base::{Duration, Instant};

pub use device::RssKey;

use crate::frame::{Bursts, Frame, Partial};
use crate::open::{OpenError, OpenOptions};
use crate::port::{Capabilities, Medium, Port, PortCounters};
use crate::steer::Steering;
use arguments::Arguments;
use device::{Device, ETHERNET_LEN_MAX, MBUF_LEN};
use sys::{Checksum, Outgoing};

/// How often a port that sends looks whether its link is up: some drivers ask the card, which takes microseconds.
const LINK_LOOK_INTERVAL: Duration = Duration::from_millis(10);
const ETHERNET_LEN: usize = 14;
/// The type of a VLAN tag (IEEE 802.1Q).
const VLAN: [u8; 2] = [0x81, 0x00];
/// Where the checksum stands in a TCP header (RFC 9293, section 3.1).
const TCP_CHECKSUM_OFFSET: u16 = 16;

/// One queue of a device. The device closes with the last of its ports.
pub struct DpdkPort {
    queue: sys::Queue,
    index: usize,
    is_up: bool,
    look_at: Instant,
    counters: PortCounters,
    /// After `queue`, which stands for a part of it.
    device: Arc<Device>,
}

impl DpdkPort {
    /// Opens a device with `queues` queues (at least one), a port each.
    ///
    /// `arguments` are DPDK's own, the same at each call in one process, but for `port=NAME`: it opens the port of that
    /// name (`0000:3b:00.0`, `net_memif0`) instead of the first that is not open yet. A device that was closed does not
    /// open again in the same process.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what to do: there are no huge pages, DPDK runs with other arguments, there is no such port,
    /// or it has too few queues.
    pub fn open(arguments: &[String], queues: usize, options: &OpenOptions) -> Result<Vec<Self>, OpenError> {
        let arguments = Arguments::parse(arguments);
        eal::start(Some(&arguments.eal))?;
        let device = Device::open(arguments.port.as_deref(), queues, &options.steer_secret, MBUF_LEN)?;
        Ok(Self::queues(device))
    }

    /// Two ports joined by rings in memory; needs no privilege. DPDK starts without huge pages if it does not run yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if DPDK does not start, or has no memory left.
    pub fn ring_pair() -> Result<(Self, Self), OpenError> {
        eal::start(None)?;
        let [left, right] = Device::ring_pair()?.map(|device| Self::new(Arc::new(device), 0));
        Ok((left, right))
    }

    fn queues(device: Device) -> Vec<Self> {
        let device = Arc::new(device);
        (0..device.queues).map(|index| Self::new(Arc::clone(&device), index)).collect()
    }

    fn new(device: Arc<Device>, index: usize) -> Self {
        Self {
            queue: device.queue(index),
            index,
            is_up: true,
            look_at: Instant::ZERO,
            counters: PortCounters::default(),
            device,
        }
    }

    /// How the device spreads TCP over its queues; `None` if it has one queue, or does so in a way of its own.
    pub fn rss(&self) -> Option<&RssKey> {
        self.device.rss.as_ref()
    }

    /// Buffers of the device that are free; all of them if nothing is under way. It counts each time: not for a loop.
    pub fn mbufs_free(&self) -> usize {
        self.device.pool().available()
    }

    fn link_is_up(&mut self, now: Instant) -> bool {
        if now >= self.look_at {
            self.is_up = self.device.look_at_link();
            self.look_at = now + LINK_LOOK_INTERVAL;
        }
        self.is_up
    }

    fn refuse(&mut self, bursts: &mut Bursts, count: usize) {
        for frame in bursts.tx.drain(..count.min(bursts.tx.len())) {
            self.counters.tx_refused += 1;
            bursts.pool.give(frame);
        }
    }
}

impl Port for DpdkPort {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ethernet,
            hardware: self.device.hardware,
            queues: self.device.queues,
            queue: self.index,
            checksum_rx: self.device.checksum_rx,
            checksum_tx: self.device.checksum_tx,
            ..Capabilities::plain(self.device.mtu)
        }
    }

    fn rx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        eal::register_thread();
        let room = bursts.rx_room();
        if room == 0 {
            return 0;
        }
        let before = bursts.rx.len();
        let burst = self.queue.receive(room);
        for received in burst.frames() {
            let len = received.len();
            if len > FRAME_LEN_MAX {
                self.counters.rx_malformed += 1;
                continue;
            }
            let Some(mut frame) = bursts.pool.take() else {
                self.counters.rx_dropped += 1;
                continue;
            };
            frame.set_len(len);
            if !received.copy_to(frame.bytes_mut()) {
                self.counters.rx_malformed += 1;
                bursts.pool.give(frame);
                continue;
            }
            frame.set_verified(received.is_verified());
            self.counters.rx_frames += 1;
            self.counters.rx_bytes += len as u64;
            bursts.rx.push(frame);
        }
        bursts.rx.len() - before
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        eal::register_thread();
        let mut total = 0;
        while !bursts.tx.is_empty() {
            if !self.link_is_up(now) {
                self.refuse(bursts, usize::MAX);
                break;
            }
            let waiting = bursts.tx.len().min(BURST_LEN_MAX);
            let device = &self.device;
            let fit = bursts.tx.iter().map_while(|frame| outgoing(frame, device.mtu, device.checksum_tx));
            let sent = self.queue.send(device.pool(), fit.take(BURST_LEN_MAX));
            for frame in bursts.tx.drain(..sent.taken) {
                self.counters.tx_frames += 1;
                self.counters.tx_bytes += frame.len() as u64;
                bursts.pool.give(frame);
            }
            total += sent.taken;
            if sent.refused || (sent.taken == sent.offered && sent.offered < waiting) {
                self.refuse(bursts, 1);
            } else if sent.taken < sent.offered {
                self.counters.tx_full += 1;
                break;
            }
        }
        total
    }

    fn steering(&self) -> Option<Steering> {
        let rss = self.device.rss.as_ref()?;
        let queues = self.device.queues;
        let table = (0..rss.table_len).map(|entry| (entry % queues) as u16).collect();
        Some(Steering::Rss { key: *rss.key.first_chunk()?, table, ports: true })
    }

    fn counters(&self) -> PortCounters {
        let mut counters = self.counters;
        // The device counts what it lost for all its queues together; the first one tells it.
        if self.index == 0 {
            counters.rx_dropped += self.device.missed();
        }
        counters
    }
}

/// A frame as the device takes it; `None` if it never will.
fn outgoing(frame: &Frame, mtu: usize, checksum_tx: bool) -> Option<Outgoing<'_>> {
    let bytes = frame.bytes();
    let is_tagged = bytes.get(12..14)? == VLAN;
    let ethernet_len = if is_tagged { ETHERNET_LEN_MAX } else { ETHERNET_LEN };
    if bytes.len() < ethernet_len || bytes.len() > ethernet_len + mtu {
        return None;
    }
    let checksum = match frame.partial() {
        None => None,
        Some(partial) if checksum_tx => Some(checksum(bytes, ethernet_len, partial)?),
        Some(_) => return None,
    };
    Some(Outgoing { bytes, checksum })
}

/// What DPDK wants to know of a checksum to complete (`rte_mbuf_core.h`, `RTE_MBUF_F_TX_TCP_CKSUM`): the lengths of the
/// headers in front. The pseudo-header's sum stands in the field, as DPDK wants it too.
fn checksum(bytes: &[u8], ethernet_len: usize, partial: Partial) -> Option<Checksum> {
    let version = u16::from(*bytes.get(ethernet_len)? >> 4);
    let ip_len = partial.start.checked_sub(ethernet_len as u16)?;
    let is_header = match version {
        4 => (20..=60).contains(&ip_len),
        // Nine bits hold the length in an mbuf.
        6 => (40..512).contains(&ip_len),
        _ => false,
    };
    let is_whole = bytes.len() >= partial.start as usize + TCP_CHECKSUM_OFFSET as usize + 2;
    let is_tcp = partial.offset == TCP_CHECKSUM_OFFSET && is_header && is_whole;
    is_tcp.then_some(Checksum { ethernet_len: ethernet_len as u16, ip_len, version })
}

#[cfg(test)]
mod tests;
