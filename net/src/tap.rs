//! The port over a TAP interface: a cable whose other end is an interface of the host. (`linux/if_tun.h`,
//! Documentation/networking/tuntap.rst.)
//!
//! The card is the far end of that cable, so it has an address of its own: the interface's, made locally administered
//! and with one more bit flipped. The same interface gives the same address. Frames to other addresses, which a bridge
//! sends, are left out. A frame is a system call; what the kernel sends as a super-frame is cut here, and consecutive
//! segments of the card leave as one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use hpb_base::Instant;
use hpb_base::limits::BURST_LEN_MAX;

use crate::frame::Bursts;
use crate::offload::{Departure, HEADER_LEN, Slots};
use crate::open::OpenError;
use crate::packet::{check_queues, identity};
use crate::port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
use crate::sys::interface::{self, Control};
use crate::sys::packet::Arrival;
use crate::sys::tun;

const DEVICE: &str = "/dev/net/tun";
/// The locally administered bit of an address's first byte (IEEE 802, section 8.4).
const LOCAL: u8 = 0x02;
/// What tells the card's address from the interface's.
const FLIPPED: u8 = 0x04;

/// One queue of a TAP port.
pub struct TapPort {
    device: File,
    descriptors: [RawFd; 1],
    capabilities: Capabilities,
    /// One place: a super-frame is cut before the next frame is read.
    slots: Slots,
    /// Consecutive segments leave as super-frames, until the kernel refuses one.
    joins: bool,
    counters: PortCounters,
}

impl TapPort {
    /// Opens `queues` queues, 1 to [`hpb_base::limits::PORT_QUEUES_MAX`], of a TAP interface, which is made if it is not
    /// there, set up, and gone with its last queue. One that was there is left as it is.
    ///
    /// The kernel sends a flow where the flow's own frames last came from, or where `steering_program` says, a loaded
    /// socket filter whose result is the queue.
    ///
    /// # Errors
    /// No TAP driver, not permitted, the interface in use or of another kind, or what the kernel says.
    pub fn open(
        interface: &str,
        queues: usize,
        steering_program: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<Self>, OpenError> {
        check_queues(interface, queues)?;
        let is_new = interface::index(interface).is_none();
        let devices = (0..queues).map(|_| attach(interface, queues > 1)).collect::<Result<Vec<File>, OpenError>>()?;
        if let (Some(program), Some(device)) = (steering_program, devices.first()) {
            tun::steer(device, program)
                .map_err(|source| OpenError::os(format!("steer {interface} by program"), source, &fix(interface)))?;
        }
        if is_new {
            set_up(interface)?;
        }
        let (near, mtu) = identity(interface)?;
        let hardware = far_address(near);
        let ports = devices.into_iter().enumerate().map(|(queue, device)| Self {
            descriptors: [device.as_raw_fd()],
            device,
            capabilities: Capabilities {
                medium: Medium::Ethernet,
                hardware,
                mtu,
                queues,
                queue,
                checksum_rx: true,
                checksum_tx: true,
                tso: true,
                twin: false,
            },
            slots: Slots::new(1, hardware),
            joins: true,
            counters: PortCounters::default(),
        });
        Ok(ports.collect())
    }

    /// Opens an interface as the host's end of a device that the card has for itself ([`crate::twin`]): it gets the
    /// device's address and MTU, and all that the host sends on it is received, whoever it is for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_twin(interface: &str, device: &Capabilities) -> Result<Vec<Self>, OpenError> {
        let mut ports = Self::open(interface, device.queues, None)?;
        let failed = |what: &str, source| {
            OpenError::os(format!("give {interface} the device's {what}"), source, &fix(interface))
        };
        let (hardware, mtu) = identity(interface)?;
        let control = Control::open().map_err(|source| failed("address", source))?;
        if hardware != device.hardware {
            control.set_hardware(interface, device.hardware).map_err(|source| failed("address", source))?;
        }
        if mtu != device.mtu {
            control.set_mtu(interface, device.mtu).map_err(|source| failed("MTU", source))?;
        }
        for port in &mut ports {
            port.slots = Slots::to_all(1);
            port.capabilities.mtu = device.mtu;
        }
        Ok(ports)
    }

    /// Reads one frame into its place; false if none waits.
    fn read(&mut self) -> bool {
        let (mut places, arrivals) = self.slots.places(1);
        let Some(mut parts) = places.next() else { return false };
        let room_len: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            match (&self.device).read_vectored(&mut parts) {
                Ok(len) => {
                    // The kernel cuts what does not fit without a word.
                    arrivals[0] = Arrival { len, is_cut: len == room_len, ..Arrival::default() };
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Writes the next message of the burst; returns how many frames left.
    fn write(&self, departure: &Departure, bursts: &mut Bursts) -> io::Result<()> {
        let mut parts = [IoSlice::new(&[]); BURST_LEN_MAX + 2];
        let frames = &bursts.tx.make_contiguous()[..departure.count()];
        let count = departure.gather(frames, &mut parts);
        (&self.device).write_vectored(&parts[..count]).map(|_| ())
    }

    fn refuse(&mut self, count: usize, bursts: &mut Bursts) {
        bursts.recycle_tx(count);
        self.counters.tx_refused += count as u64;
    }
}

impl Port for TapPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn rx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        let mut received = self.slots.drain(bursts, &mut self.counters);
        while !self.slots.is_waiting()
            && bursts.rx_room() > 0
            && self.slots.stock(1, &mut bursts.pool) == 1
            && self.read()
        {
            self.slots.fill(1);
            received += self.slots.drain(bursts, &mut self.counters);
        }
        received
    }

    fn tx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        let mut sent = 0;
        while !bursts.tx.is_empty() {
            let planned = Departure::plan(bursts.tx.make_contiguous(), self.capabilities.mtu, self.joins);
            let Ok(departure) = planned else {
                self.refuse(1, bursts);
                continue;
            };
            let count = departure.count();
            let Err(error) = self.write(&departure, bursts) else {
                self.counters.tx_frames += count as u64;
                self.counters.tx_bytes += bursts.recycle_tx(count);
                sent += count;
                continue;
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => {
                    self.counters.tx_full += 1;
                    break;
                }
                // The interface is down or gone.
                Some(libc::EIO | libc::EBADFD | libc::ENODEV) => self.refuse(bursts.tx.len(), bursts),
                // Its segments may pass one by one.
                _ if count > 1 => self.joins = false,
                _ => self.refuse(1, bursts),
            }
        }
        sent
    }

    fn wake_at(&self) -> Option<Instant> {
        // A super-frame that found no room for all of its segments waits for the next burst.
        self.slots.is_waiting().then_some(Instant::ZERO)
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

/// The card's address at the far end of an interface's cable.
fn far_address(near: HardwareAddress) -> HardwareAddress {
    let mut far = near;
    far[0] = (far[0] | LOCAL) ^ FLIPPED;
    far
}

fn fix(interface: &str) -> String {
    format!(
        "run `sudo setcap cap_net_admin+ep` on the hpb program, or once \
         `sudo ip tuntap add dev {interface} mode tap user $USER vnet_hdr` and `sudo ip link set {interface} up` \
         (with `multi_queue` for more than one queue)"
    )
}

/// One queue of the interface, with all offloads.
fn attach(interface: &str, multi_queue: bool) -> Result<File, OpenError> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
    let device = device.map_err(|source| match source.kind() {
        ErrorKind::NotFound => OpenError::Unsupported {
            operation: format!("open {DEVICE}"),
            reason: "the kernel's tun driver is not there".to_owned(),
            fix: "run `sudo modprobe tun`".to_owned(),
        },
        _ => OpenError::os(format!("open {DEVICE}"), source, &fix(interface)),
    })?;
    tun::attach(&device, interface, multi_queue, HEADER_LEN as u16).map_err(|source| {
        let operation = format!("attach to the TAP interface {interface}");
        match source.raw_os_error() {
            Some(libc::EBUSY) => OpenError::Unsupported {
                operation,
                reason: "another process has it".to_owned(),
                fix: "end that process, or name another interface".to_owned(),
            },
            Some(libc::EINVAL) => OpenError::Unsupported {
                operation,
                reason: "there is one of that name and another kind, or another number of queues".to_owned(),
                fix: format!("run `ip -d link show {interface}`; name another, or make it anew: {}", fix(interface)),
            },
            _ => OpenError::os(operation, source, &fix(interface)),
        }
    })?;
    tun::accept_offloads(&device)
        .map_err(|source| OpenError::os(format!("take offloads from {interface}"), source, &fix(interface)))?;
    Ok(device)
}

/// Sets an interface up that this process has made; whoever may make one but not that does it by hand.
fn set_up(interface: &str) -> Result<(), OpenError> {
    let result = Control::open().and_then(|control| control.set_up(interface, true));
    match result {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => {
            Err(OpenError::os(format!("set {interface} up"), error, &fix(interface)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::far_address;

    #[test]
    fn the_far_end_has_an_address_of_its_own_that_is_no_group() {
        for first in (0..=u8::MAX).filter(|first| first & 1 == 0) {
            let near = [first, 1, 2, 3, 4, 5];
            let far = far_address(near);
            assert_ne!(far, near);
            assert_eq!((far[0] & 3, &far[1..]), (2, &near[1..]));
        }
    }
}
