//! The port over a packet socket: any Ethernet interface of Linux, shared with the host. (packet(7).)
//!
//! Each queue is a socket of its own, one of a fanout group. A burst is one system call; received frames land in pooled
//! frames without a copy of ours. Checksums may stay open and super-frames whole on both ways. The host sees received
//! frames too: what its own stack makes of them is not this port's business.

mod filter;

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use hpb_base::limits::{BURST_LEN_MAX, FRAME_LEN_MAX, PACKET_BUFFER_LEN, PORT_QUEUES_MAX};
use hpb_base::{Duration, Instant};

use crate::frame::Bursts;
use crate::offload::{Departure, ETHERNET_LEN, Slots, TAG_LEN};
use crate::open::{OpenError, OpenOptions};
use crate::port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
use crate::sys::interface::{self, Control};
use crate::sys::packet::{PacketSocket, SEND_PARTS_MAX};

/// The largest IP packet that a frame of ours holds, behind an Ethernet header with up to two tags.
pub(crate) const MTU_MAX: usize = FRAME_LEN_MAX - ETHERNET_LEN - 2 * TAG_LEN;

/// How many frames an idle port is ready for; a burst that fills them is followed by one of full length.
const IDLE_SLOTS: usize = 4;
/// An interface that cannot cut super-frames loses each, and says the same as one that is full: the sending path past
/// the queueing discipline cuts nothing by itself (`__dev_direct_xmit`). So many in a row are no chance.
const JOIN_FAILURES_MAX: u32 = 8;
/// How often the kernel is asked for what it dropped.
const STATISTICS_INTERVAL: Duration = Duration::from_millis(100);

const FIX: &str = "run `sudo setcap cap_net_raw,cap_net_admin+ep` on the hpb program, or see `hpb tune check`";

/// One queue of a packet port.
pub struct PacketPort {
    socket: PacketSocket,
    descriptors: [RawFd; 1],
    control: Control,
    interface: String,
    capabilities: Capabilities,
    slots: Slots,
    /// How many slots the next receive call offers.
    wanted: usize,
    departures: Vec<Departure>,
    /// How often in a row a super-frame did not leave and its segments then did; at [`JOIN_FAILURES_MAX`] the port
    /// joins no more.
    join_failures: u32,
    statistics_at: Instant,
    counters: PortCounters,
}

/// What became of a send call that sent nothing.
enum Failure {
    /// No room now.
    Full,
    /// The link takes nothing at all.
    Down,
    /// The first message is not taken.
    Refused,
}

impl PacketPort {
    /// Opens `queues` queues on an interface, 1 to [`PORT_QUEUES_MAX`].
    ///
    /// Frames are told apart by `fanout_program`, a loaded socket filter whose result is the queue, or else by the
    /// kernel's own hash of a flow. A frame that is not for `options`' addresses and ports is not copied by the kernel.
    ///
    /// # Errors
    /// No such interface, not Ethernet, not up (with more than one queue), not permitted, or what the kernel says.
    pub fn open(
        interface: &str,
        queues: usize,
        options: &OpenOptions,
        fanout_program: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<Self>, OpenError> {
        let index =
            interface::index(interface).ok_or_else(|| OpenError::NoInterface { interface: interface.to_owned() })?;
        let (hardware, mtu) = identity(interface)?;
        check_queues(interface, queues)?;
        let filter = filter::program(options);
        let mut ports: Vec<Self> = Vec::with_capacity(queues);
        for queue in 0..queues {
            let failed = |what: &str, source: io::Error| {
                OpenError::os(format!("packet socket on {interface}: {what}"), source, FIX)
            };
            let socket = PacketSocket::open().map_err(|error| failed("open", error))?;
            let set =
                |what: &str, option: libc::c_int| socket.set_packet(option, 1).map_err(|error| failed(what, error));
            set("offload headers", libc::PACKET_VNET_HDR)?;
            set("VLAN tags", libc::PACKET_AUXDATA)?;
            set("leave out what this host sends", libc::PACKET_IGNORE_OUTGOING)?;
            set("send past the queueing discipline", libc::PACKET_QDISC_BYPASS)?;
            if options.stamps {
                socket.stamp_arrivals().map_err(|error| failed("stamps", error))?;
            }
            socket.set_buffers(PACKET_BUFFER_LEN).map_err(|error| failed("buffers", error))?;
            // Before it is bound, so that nothing comes unfiltered.
            socket.attach_filter(&filter).map_err(|error| failed("filter", error))?;
            socket.bind(index).map_err(|error| failed("bind", error))?;
            if queues > 1 {
                let first = ports.first().map_or(&socket, |port: &Self| &port.socket);
                join_fanout(interface, queue, &socket, first, fanout_program)?;
            }
            let capabilities = Capabilities {
                medium: Medium::Ethernet,
                hardware,
                mtu,
                queues,
                queue,
                checksum_rx: true,
                checksum_tx: true,
                tso: true,
                twin: false,
            };
            ports.push(Self {
                descriptors: [socket.as_raw_fd()],
                socket,
                control: Control::open().map_err(|error| failed("control socket", error))?,
                interface: interface.to_owned(),
                capabilities,
                slots: Slots::new(BURST_LEN_MAX, hardware),
                wanted: IDLE_SLOTS,
                departures: Vec::with_capacity(BURST_LEN_MAX),
                join_failures: 0,
                statistics_at: Instant::ZERO,
                counters: PortCounters::default(),
            });
        }
        Ok(ports)
    }

    /// One receive call; returns how many frames it handed on, and whether more may wait.
    fn receive(&mut self, bursts: &mut Bursts) -> (usize, bool) {
        let offered = self.slots.stock(self.wanted.min(bursts.rx_room()), &mut bursts.pool);
        if offered == 0 {
            return (0, false);
        }
        let (places, arrivals) = self.slots.places(offered);
        // An error is "nothing there", or that the link went down, which sending tells.
        let count = self.socket.receive(places, arrivals).unwrap_or(0);
        if count == 0 {
            self.wanted = IDLE_SLOTS;
            self.slots.release(IDLE_SLOTS, &mut bursts.pool);
            return (0, false);
        }
        if count == offered {
            self.wanted = BURST_LEN_MAX;
        }
        self.slots.fill(count);
        (self.slots.drain(bursts, &mut self.counters), count == offered)
    }

    /// Plans messages for the whole burst, up to a frame that cannot leave.
    fn plan(&mut self, bursts: &mut Bursts, joins: bool) {
        self.departures.clear();
        let mut frames = &*bursts.tx.make_contiguous();
        while !frames.is_empty()
            && let Ok(departure) = Departure::plan(frames, self.capabilities.mtu, joins)
        {
            frames = &frames[departure.count()..];
            self.departures.push(departure);
            if self.departures.len() == BURST_LEN_MAX {
                break;
            }
        }
    }

    /// Sends the planned messages; returns how many left.
    fn send(&self, bursts: &mut Bursts) -> io::Result<usize> {
        let mut parts = [IoSlice::new(&[]); SEND_PARTS_MAX];
        let mut frames = &*bursts.tx.make_contiguous();
        let mut at = 0;
        for departure in &self.departures {
            let (leaving, rest) = frames.split_at(departure.count());
            frames = rest;
            at += departure.gather(leaving, &mut parts[at..]);
        }
        self.socket.send(&parts[..at], self.departures.iter().map(Departure::parts_count))
    }

    /// Why nothing left.
    fn failure(&self, error: &io::Error) -> Failure {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Failure::Full,
            // Also what a link without a carrier says, for as long as it lasts; the kernel notes that within a second.
            Some(libc::ENOBUFS) => match self.control.is_running(&self.interface) {
                Ok(true) => Failure::Full,
                _ => Failure::Down,
            },
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => Failure::Down,
            _ => Failure::Refused,
        }
    }

    fn refuse(&mut self, count: usize, bursts: &mut Bursts) {
        bursts.recycle_tx(count);
        self.counters.tx_refused += count as u64;
    }
}

impl Port for PacketPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        let mut received = self.slots.drain(bursts, &mut self.counters);
        while !self.slots.is_waiting() && bursts.rx_room() > 0 {
            let (count, is_more) = self.receive(bursts);
            received += count;
            if !is_more {
                break;
            }
        }
        if now >= self.statistics_at {
            self.statistics_at = now + STATISTICS_INTERVAL;
            self.counters.rx_dropped += self.socket.take_drops().unwrap_or(0);
        }
        received
    }

    fn tx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        let mut sent = 0;
        let mut joins = self.join_failures < JOIN_FAILURES_MAX;
        // A super-frame did not leave, and its segments are tried one by one.
        let mut is_retry = false;
        while !bursts.tx.is_empty() {
            self.plan(bursts, joins);
            let Some(first_count) = self.departures.first().map(Departure::count) else {
                self.refuse(1, bursts);
                continue;
            };
            let error = match self.send(bursts) {
                Ok(messages) => {
                    let left = &self.departures[..messages];
                    if is_retry {
                        self.join_failures += 1;
                        is_retry = false;
                    } else if left.iter().any(|departure| departure.count() > 1) {
                        self.join_failures = 0;
                    }
                    let count = left.iter().map(Departure::count).sum();
                    self.counters.tx_frames += count as u64;
                    self.counters.tx_bytes += bursts.recycle_tx(count);
                    sent += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            match self.failure(&error) {
                Failure::Down => self.refuse(bursts.tx.len(), bursts),
                _ if first_count > 1 => (joins, is_retry) = (false, true),
                Failure::Full => {
                    self.counters.tx_full += 1;
                    break;
                }
                Failure::Refused => self.refuse(1, bursts),
            }
        }
        sent
    }

    fn wake_at(&self) -> Option<Instant> {
        // Received frames that found no room wait for the next burst, and no descriptor tells of them.
        self.slots.is_waiting().then_some(Instant::ZERO)
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

/// An interface's Ethernet address, and the largest IP packet that it and a frame of ours hold; once it has its carrier.
pub(crate) fn identity(interface: &str) -> Result<(HardwareAddress, usize), OpenError> {
    let failed = |source: io::Error| OpenError::os(format!("read the address and MTU of {interface}"), source, FIX);
    let control = Control::open().map_err(failed)?;
    let hardware = control.hardware(interface).map_err(failed)?.ok_or_else(|| OpenError::Unsupported {
        operation: format!("open {interface}"),
        reason: "it is not an Ethernet interface".to_owned(),
        fix: "`ip link` shows those that are, as link/ether".to_owned(),
    })?;
    control.await_carrier(interface).map_err(failed)?;
    Ok((hardware, control.mtu(interface).map_err(failed)?.min(MTU_MAX)))
}

/// Refuses a number of queues out of range.
pub(crate) fn check_queues(interface: &str, queues: usize) -> Result<(), OpenError> {
    if (1..=PORT_QUEUES_MAX).contains(&queues) {
        return Ok(());
    }
    Err(OpenError::Unsupported {
        operation: format!("open {queues} queues of {interface}"),
        reason: format!("a device has 1 to {PORT_QUEUES_MAX} queues here"),
        fix: "give another number with `?queues=`".to_owned(),
    })
}

/// Joins the sockets of one port into a group of which each gets its share of the frames. The kernel picks the group's
/// number, so that no two processes share one.
fn join_fanout(
    interface: &str,
    queue: usize,
    socket: &PacketSocket,
    first: &PacketSocket,
    program: Option<BorrowedFd<'_>>,
) -> Result<(), OpenError> {
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(libc::EINVAL) => OpenError::Unsupported {
            operation: format!("share {interface} among the queues"),
            reason: "the kernel does so only while the interface is up".to_owned(),
            fix: format!("run `sudo ip link set {interface} up`"),
        },
        _ => OpenError::os(format!("share {interface} among the queues"), source, FIX),
    };
    if queue > 0 {
        return first.fanout().and_then(|group| socket.join_fanout(group)).map_err(failed);
    }
    let kind = if program.is_some() { libc::PACKET_FANOUT_EBPF } else { libc::PACKET_FANOUT_HASH };
    socket.join_fanout(((kind | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16).cast_signed()).map_err(failed)?;
    let Some(program) = program else { return Ok(()) };
    socket
        .set_packet(libc::PACKET_FANOUT_DATA, program.as_raw_fd())
        .map_err(|source| OpenError::os(format!("steer the frames of {interface} by program"), source, FIX))
}
