//! The host behind the card's device: a port that shares its device with the host's own network stack, by a TAP
//! interface that has the device's Ethernet address and the host's IP addresses. So `ping`, ssh and the rest go on
//! working on a device that the host itself no longer sees (DPDK), or is not to see (a packet socket).
//!
//! What the card leaves in [`Bursts::host`] goes to the host: frames for other addresses, fragments, other protocols.
//! What the host sends leaves by the device, every other turn before the card's own frames while those wait. Both ways
//! hold a burst at most. Towards the host, what finds it full is lost and counted; from the host, the kernel's own
//! queue in front of the TAP fills up.
//!
//! Card and host do not hear each other over it: neither's frames come back from the cable. An interface under a packet
//! socket must be kept from the host's stack, or the host hears everything twice: no address on it, and
//! `sysctl net.ipv4.conf.IFACE.rp_filter=1 net.ipv4.conf.IFACE.arp_ignore=8 net.ipv6.conf.IFACE.disable_ipv6=1`.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use hpb_base::limits::BURST_LEN_MAX;
use hpb_base::{Duration, Instant};

use crate::frame::{Bursts, Frame};
use crate::offload::{TCP_CHECKSUM_AT, complete_checksum};
use crate::open::OpenError;
use crate::port::{Capabilities, Port, PortCounters};
use crate::steer::Steering;
use crate::tap::TapPort;

/// A host that had nothing to send is not asked again sooner: each time is a system call.
const LOOK_INTERVAL: Duration = Duration::from_micros(20);

/// One queue of a device, with the host behind it at `T`.
pub struct Twinned<P, T> {
    device: P,
    host: T,
    capabilities: Capabilities,
    descriptors: Vec<RawFd>,
    /// To the host and from it. While they are moved the lane's pool stands in for its own, which owns nothing.
    side: Bursts,
    /// From the host, for the device.
    leaving: VecDeque<Frame>,
    /// While the card's frames wait too: whether the host's were last.
    host_was_last: bool,
    look_at: Instant,
    dropped: u64,
}

impl<P: Port> Twinned<P, TapPort> {
    /// Opens the TAP interface `interface` behind the queues of a device, with as many queues.
    ///
    /// # Errors
    /// As [`TapPort::open_twin`].
    pub fn open(devices: Vec<P>, interface: &str) -> Result<Vec<Self>, OpenError> {
        let Some(capabilities) = devices.first().map(Port::capabilities) else { return Ok(Vec::new()) };
        let hosts = TapPort::open_twin(interface, &capabilities)?;
        Ok(devices.into_iter().zip(hosts).map(|(device, host)| Self::new(device, host)).collect())
    }
}

impl<P: Port, T: Port> Twinned<P, T> {
    /// A device with the host behind it at `host`, which speaks Ethernet as the device does.
    pub fn new(device: P, host: T) -> Self {
        let capabilities = Capabilities { twin: true, ..device.capabilities() };
        // A device that announces nothing must be looked at, whatever the host announces.
        let mut descriptors = device.descriptors().to_vec();
        if !descriptors.is_empty() {
            descriptors.extend(host.descriptors());
        }
        Self {
            device,
            host,
            capabilities,
            descriptors,
            side: Bursts::new(0),
            leaving: VecDeque::with_capacity(BURST_LEN_MAX),
            host_was_last: false,
            look_at: Instant::ZERO,
            dropped: 0,
        }
    }

    /// Passes on what the card left for the host.
    fn send_to_host(&mut self, now: Instant, bursts: &mut Bursts) {
        let completes = self.host.capabilities().checksum_tx;
        while let Some(mut frame) = bursts.host.pop_front() {
            if self.side.tx_room() > 0 && is_whole_for(&mut frame, completes) {
                self.side.tx.push_back(frame);
            } else {
                self.dropped += 1;
                bursts.pool.give(frame);
            }
        }
        if !self.side.tx.is_empty() {
            std::mem::swap(&mut self.side.pool, &mut bursts.pool);
            self.host.tx_burst(now, &mut self.side);
            std::mem::swap(&mut self.side.pool, &mut bursts.pool);
        }
    }

    /// Takes what the host sends.
    fn receive_from_host(&mut self, now: Instant, bursts: &mut Bursts) {
        if !self.leaving.is_empty() || now < self.look_at {
            return;
        }
        std::mem::swap(&mut self.side.pool, &mut bursts.pool);
        let count = self.host.rx_burst(now, &mut self.side);
        std::mem::swap(&mut self.side.pool, &mut bursts.pool);
        if count == 0 {
            self.look_at = now + LOOK_INTERVAL;
        }
        for mut frame in self.side.rx.drain(..) {
            if is_whole_for(&mut frame, self.capabilities.checksum_tx) {
                self.leaving.push_back(frame);
            } else {
                self.dropped += 1;
                bursts.pool.give(frame);
            }
        }
    }

    /// Sends the host's frames, unless it is the card's turn.
    fn send_for_host(&mut self, now: Instant, bursts: &mut Bursts) {
        self.host_was_last = !bursts.tx.is_empty() && !self.host_was_last;
        if self.leaving.is_empty() || (!bursts.tx.is_empty() && !self.host_was_last) {
            return;
        }
        std::mem::swap(&mut bursts.tx, &mut self.leaving);
        self.device.tx_burst(now, bursts);
        std::mem::swap(&mut bursts.tx, &mut self.leaving);
    }
}

impl<P: Port, T: Port> Port for Twinned<P, T> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        self.send_to_host(now, bursts);
        self.receive_from_host(now, bursts);
        self.send_for_host(now, bursts);
        self.device.rx_burst(now, bursts)
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        self.send_to_host(now, bursts);
        self.device.tx_burst(now, bursts)
    }

    fn wake_at(&self) -> Option<Instant> {
        // What found the device or the host full is tried again at once: no descriptor tells of room.
        let waits = !self.leaving.is_empty() || !self.side.tx.is_empty();
        [waits.then_some(Instant::ZERO), self.device.wake_at(), self.host.wake_at()].into_iter().flatten().min()
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn steering(&self) -> Option<Steering> {
        self.device.steering()
    }

    /// The device's, the host's frames among them, and what went to the host.
    fn counters(&self) -> PortCounters {
        let host = self.host.counters();
        PortCounters {
            host_frames: host.tx_frames,
            host_dropped: self.dropped + host.tx_refused + host.rx_malformed,
            ..self.device.counters()
        }
    }
}

/// Completes a frame's open checksum, unless who is to send it does so; a port promises that of TCP alone. False if the
/// frame contradicts itself.
fn is_whole_for(frame: &mut Frame, completes: bool) -> bool {
    let Some(partial) = frame.partial() else { return true };
    if completes && usize::from(partial.offset) == TCP_CHECKSUM_AT {
        return true;
    }
    frame.set_partial(None);
    complete_checksum(frame.bytes_mut(), partial).is_ok()
}

#[cfg(test)]
mod tests;
