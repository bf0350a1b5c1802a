//! `AF_XDP`: a card on an interface that the host goes on using. A program in the driver ([`crate::bpf::takeover`])
//! takes the frames of the card before the host's network stack sees them, and they come through memory that is shared
//! with the kernel.
//!
//! One socket serves one receive queue of the interface, and so does one port; the card has as many as the interface
//! has queues, because the program can give a frame only to the queue on which it came. The program stands as long as
//! one of the ports does, and goes with the process however that ends.
//!
//! **Frames are copied** between the shared memory and pooled [`Frame`](crate::Frame)s, once each way. A chunk of
//! shared memory belongs to one queue, and each one that a session, a reorder buffer or another port holds is one less
//! to receive into; a pooled frame can stay where it is needed. The copy is small beside the rest: over a veth a frame
//! takes more than 1 µs (0.85 million a second; 3.6 µs there and back at the median, 6.5 µs at p99).
//!
//! **Calls have a ring of their own.** What comes with SYN and without ACK goes to a second socket on the same queue, with
//! the same memory and a short ring, and takes what room the sessions leave in a burst, a few places at least: a flood of SYNs that is more than the
//! card can answer is lost there, and takes no place from what belongs to sessions.
//!
//! **Checksums are the card's work**, both ways: nothing here verifies or completes one. A kernel at the other end of a
//! veth pair sends frames whose TCP checksum is not complete, and segments of up to 64 KiB, trusting its device to
//! finish them. This port gets them unfinished (the former fail the card's check and are counted there; the latter do
//! not fit and are lost). The remedy is at that end, before the port opens: `ethtool -K PEER tx off tso off gso off`.
//! [`XdpPort::advice`] says so for a veth.
//!
//! It refuses interfaces that are not Ethernet, and a number of queues other than the interface's. Frames with a VLAN
//! tag never come: see [`crate::bpf::takeover`]. What goes wrong while it opens says what to run.

mod sys;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, RawFd};
use std::sync::Arc;

use hpb_base::limits::{BURST_LEN_MAX, FRAME_LEN_MAX, PORT_QUEUES_MAX, XDP_RX_CALLS, XDP_RX_FRAMES, XDP_TX_FRAMES};
use hpb_base::{Duration, Instant};

use crate::bpf::{Attachment, CAPABILITIES_FIX, Link, Rules, SocketMap, Take, takeover_program};
use crate::frame::Bursts;
use crate::offload::{ETHERNET_LEN, TAG_LEN};
use crate::open::{OpenError, OpenOptions};
use crate::port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
use crate::sys::ethtool;
use crate::sys::interface::{self, Control};
use crate::url::XdpMode;

use sys::shared::{Consumer, FrameMemory, Producer, RingKind};
use sys::{Descriptor, Socket, Statistics};

#[cfg(test)]
pub(crate) use sys::Socket as TestSocket;

/// The calling thread does the device's work itself when it looks for frames, in place of interrupts
/// (`Documentation/networking/napi.rst`, "Busy polling").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BusyPoll {
    /// How long one look may take, in microseconds.
    pub poll_us: u32,
    /// How many frames one look may bring.
    pub frames_max: u32,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self { poll_us: 20, frames_max: BURST_LEN_MAX as u32 }
    }
}

/// What the ports of one interface hold together; it goes with the last of them.
struct Takeover {
    link: Link,
    _sockets: SocketMap,
    /// Memberships in the groups to which others send their questions for the card's IPv6 addresses.
    _groups: Socket,
    /// What is to be told of the interface.
    advice: Option<String>,
}

/// One receive queue of an interface, for one lane.
pub struct XdpPort {
    fill: Producer<u64>,
    completion: Consumer<u64>,
    received: Consumer<Descriptor>,
    /// Calls, received by a socket of their own.
    calls: Consumer<Descriptor>,
    to_send: Producer<Descriptor>,
    memory: FrameMemory,
    /// Chunks to send from that hold nothing.
    chunks: Vec<u64>,
    /// Chunks to receive into that the fill ring lacks.
    emptied: Vec<u64>,
    socket: Socket,
    calls_socket: Socket,
    descriptors: [RawFd; 2],
    takeover: Arc<Takeover>,
    capabilities: Capabilities,
    zero_copy: bool,
    busy_poll: bool,
    /// The interface is down: what is to be sent is refused until it is up again.
    down: bool,
    /// When the kernel is asked again to take what the send ring holds.
    retry_at: Option<Instant>,
    /// When the kernel is asked again what it lost.
    statistics_at: Instant,
    counters: PortCounters,
}

/// Where a queue's frames are received.
#[derive(Clone, Copy)]
enum Ring {
    /// What belongs to sessions, and all that is no TCP.
    Sessions,
    /// Calls.
    Calls,
}

impl XdpPort {
    /// Takes the card's frames from `interface`: one port for each of its `queues` receive queues, in their order.
    ///
    /// # Errors
    /// There is no such interface, it has another number of queues, it is not Ethernet or cannot do what `mode` asks,
    /// or the process may not. Each says what to run.
    pub fn open(
        interface: &str,
        queues: usize,
        mode: XdpMode,
        busy_poll: Option<BusyPoll>,
        options: &OpenOptions,
    ) -> Result<Vec<Self>, OpenError> {
        let take = Take { addresses: options.addresses.clone(), ports: options.ports.clone(), dhcp: false };
        Self::open_with_rules(interface, queues, mode, busy_poll, &Rules { take, drop: Vec::new() })
    }

    /// As [`open`](Self::open), with rules of its own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_rules(
        interface: &str,
        queues: usize,
        mode: XdpMode,
        busy_poll: Option<BusyPoll>,
        rules: &Rules,
    ) -> Result<Vec<Self>, OpenError> {
        let device = Device::ask(interface)?;
        check_device(interface, &device, queues)?;
        let sockets = SocketMap::new(queues as u32)?;
        let program = takeover_program(rules, &sockets)?;
        let mut halves = Vec::with_capacity(queues);
        for queue in 0..queues as u32 {
            let half = Half::open(interface, &device, queue, mode, busy_poll)?;
            sockets.set(queue, half.socket.as_fd())?;
            sockets.set_calls(queue, half.calls_socket.as_fd())?;
            halves.push(half);
        }
        let groups = join_groups(&device, rules)
            .map_err(|error| OpenError::os(format!("joining groups on {interface}"), error, CAPABILITIES_FIX))?;
        // Last, so that no frame is taken before there is a socket for it.
        let link = Link::attach(&program, device.index).map_err(|error| attach_error(interface, error.into()))?;
        let takeover =
            Arc::new(Takeover { link, _sockets: sockets, _groups: groups, advice: advice(interface, &device) });
        let mtu = device.mtu.min(FRAME_LEN_MAX - ETHERNET_LEN - 2 * TAG_LEN);
        let ports = halves.into_iter().enumerate().map(|(queue, half)| {
            let capabilities = Capabilities {
                medium: Medium::Ethernet,
                hardware: device.hardware,
                queues,
                queue,
                ..Capabilities::plain(mtu)
            };
            half.into_port(Arc::clone(&takeover), capabilities, busy_poll.is_some())
        });
        Ok(ports.collect())
    }

    /// Whether the device works on the shared memory itself, without the kernel's copy.
    pub fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Where in the receive path the program stands.
    pub fn attachment(&self) -> Attachment {
        self.takeover.link.attachment()
    }

    /// What the user is to be told of the interface, if anything.
    pub fn advice(&self) -> Option<&str> {
        self.takeover.advice.as_deref()
    }

    /// Takes what there is in one of the rings: at most `most` frames, as long as the burst has room.
    fn take(&mut self, ring: Ring, most: usize, bursts: &mut Bursts) {
        let ring = match ring {
            Ring::Sessions => &mut self.received,
            Ring::Calls => &mut self.calls,
        };
        let (ready, mut taken) = (most.min(ring.ready() as usize), 0);
        while taken < ready
            && bursts.rx_room() > 0
            && let Some(mut frame) = bursts.pool.take()
        {
            let Some(descriptor) = ring.pop() else {
                bursts.pool.give(frame);
                break;
            };
            taken += 1;
            let len = descriptor.len as usize;
            frame.set_len(len);
            if len <= FRAME_LEN_MAX && self.memory.read(descriptor.addr, frame.bytes_mut()) {
                self.counters.rx_bytes += len as u64;
                bursts.rx.push(frame);
            } else {
                self.counters.rx_malformed += 1;
                bursts.pool.give(frame);
            }
            self.emptied.push(self.memory.chunk_of(descriptor.addr));
        }
        if taken > 0 {
            ring.release();
        }
    }

    /// Gives the fill ring the chunks that were received from. It has a place for each, and yet may lack one for a
    /// moment: the kernel shows what it received before it shows what it took (`xsk_flush`).
    fn refill(&mut self) {
        let before = self.emptied.len();
        while let Some(chunk) = self.emptied.pop() {
            if !self.fill.push(chunk) {
                self.emptied.push(chunk);
                break;
            }
        }
        if self.emptied.len() < before {
            self.fill.publish();
        }
    }

    /// Takes back the chunks that have been sent from.
    fn reap(&mut self) {
        if self.completion.ready() == 0 {
            return;
        }
        while let Some(chunk) = self.completion.pop() {
            self.chunks.push(chunk);
        }
        self.completion.release();
    }

    /// Has the kernel take what the send ring holds, where it does not look by itself. What it cannot take now stays
    /// in the ring, and is offered again when that falls due.
    fn wake_send(&mut self, now: Instant) {
        self.retry_at = None;
        self.down = false;
        let mut waiting = self.to_send.waiting();
        while waiting > 0 && self.to_send.needs_wakeup() {
            let result = self.socket.wake_send();
            self.down = matches!(&result, Err(error) if is_down(error));
            let before = waiting;
            waiting = self.to_send.waiting();
            // A call takes some tens of frames and says "again" when there are more, or nothing when it has no memory;
            // a call that took none would take none again.
            if waiting == before {
                let pause = if self.down { DOWN_RETRY } else { BUSY_RETRY };
                self.retry_at = Some(now + pause);
                return;
            }
        }
    }

    fn wake_send_if_due(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.wake_send(now);
        }
    }

    /// Gives the frame at the front of the send burst back, refused.
    fn refuse(&mut self, bursts: &mut Bursts) {
        if let Some(frame) = bursts.tx.pop_front() {
            self.counters.tx_refused += 1;
            bursts.pool.give(frame);
        }
    }

    /// Looks at what the kernel lost: a system call, and so not in every burst.
    fn look_at_statistics(&mut self, now: Instant) {
        if now < self.statistics_at {
            return;
        }
        self.statistics_at = now + STATISTICS_PAUSE;
        if let (Ok(statistics), Ok(calls)) = (self.socket.statistics(), self.calls_socket.statistics()) {
            let lost = |statistics: Statistics| statistics.rx_dropped + statistics.rx_ring_full;
            self.counters.rx_dropped = lost(statistics) + lost(calls);
        }
    }
}

impl Port for XdpPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        self.wake_send_if_due(now);
        if self.received.ready() == 0 && (self.busy_poll || self.fill.needs_wakeup()) {
            self.socket.wake_receive();
        }
        let before = bursts.rx.len();
        let calls = self.calls.ready().min(CALLS_PER_BURST_MIN);
        let room = bursts.rx_room();
        self.take(Ring::Sessions, room.saturating_sub(calls as usize), bursts);
        self.take(Ring::Calls, room, bursts);
        self.refill();
        self.look_at_statistics(now);
        let received = bursts.rx.len() - before;
        self.counters.rx_frames += received as u64;
        received
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        self.wake_send_if_due(now);
        self.reap();
        let mut sent = 0;
        while let Some(frame) = bursts.tx.front() {
            let len = frame.len();
            let frame_len_max = self.capabilities.mtu + ETHERNET_LEN;
            if self.down || !(ETHERNET_LEN..=frame_len_max).contains(&len) {
                self.refuse(bursts);
                continue;
            }
            if !self.to_send.has_room() {
                self.counters.tx_full += 1;
                break;
            }
            let Some(chunk) = self.chunks.pop() else {
                self.counters.tx_full += 1;
                break;
            };
            let Some(frame) = bursts.tx.pop_front() else { break };
            let written = self.memory.write(chunk, frame.bytes());
            debug_assert!(written, "a chunk is longer than a frame");
            self.to_send.push(Descriptor { addr: chunk, len: len as u32, options: 0 });
            self.counters.tx_frames += 1;
            self.counters.tx_bytes += len as u64;
            bursts.pool.give(frame);
            sent += 1;
        }
        if sent > 0 {
            self.to_send.publish();
            self.wake_send(now);
        }
        sent
    }

    fn wake_at(&self) -> Option<Instant> {
        self.retry_at
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

/// An interface, as the kernel describes it.
struct Device {
    index: u32,
    hardware: HardwareAddress,
    mtu: usize,
    /// Its receive queues, if its driver counts them.
    queues: Option<usize>,
    /// Its driver's name, if it has one.
    driver: Option<String>,
}

impl Device {
    fn ask(name: &str) -> Result<Self, OpenError> {
        let index = interface::index(name).ok_or_else(|| OpenError::NoInterface { interface: name.to_owned() })?;
        let ask = || {
            let control = Control::open()?;
            control.await_carrier(name)?;
            io::Result::Ok(Self {
                index,
                hardware: control.hardware(name)?.unwrap_or_default(),
                mtu: control.mtu(name)?,
                queues: ethtool::receive_queue_count(&control, name).ok(),
                driver: ethtool::driver(&control, name).ok(),
            })
        };
        ask().map_err(|error| OpenError::os(format!("asking {name} what it is"), error, CAPABILITIES_FIX))
    }

    fn is_veth(&self) -> bool {
        self.driver.as_deref() == Some(VETH)
    }
}

/// A socket on its queue, before the program sends it frames.
struct Half {
    fill: Producer<u64>,
    completion: Consumer<u64>,
    received: Consumer<Descriptor>,
    calls: Consumer<Descriptor>,
    to_send: Producer<Descriptor>,
    memory: FrameMemory,
    socket: Socket,
    calls_socket: Socket,
    zero_copy: bool,
}

impl Half {
    fn open(
        interface: &str,
        device: &Device,
        queue: u32,
        mode: XdpMode,
        busy_poll: Option<BusyPoll>,
    ) -> Result<Self, OpenError> {
        let failed = |what: &str| {
            let operation = format!("{what} of an AF_XDP socket on {interface}");
            move |error| OpenError::os(operation, error, CAPABILITIES_FIX)
        };
        let socket = Socket::xdp().map_err(socket_error)?;
        let frame_len = device.mtu + ETHERNET_LEN;
        let chunk_len = if frame_len > SMALL_CHUNK_ROOM { LARGE_CHUNK_LEN } else { SMALL_CHUNK_LEN };
        let memory = FrameMemory::new(RX_CHUNKS + XDP_TX_FRAMES, chunk_len).map_err(failed("mapping the memory"))?;
        register(&socket, &memory).map_err(|error| memory_error(interface, error))?;
        let rings = failed("mapping the rings");
        let (rx_len, tx_len) = (XDP_RX_FRAMES as u32, XDP_TX_FRAMES as u32);
        let (mut fill, completion, received, to_send) = (|| {
            io::Result::Ok((
                Producer::new(&socket, RingKind::Fill, RX_CHUNKS.next_power_of_two() as u32)?,
                Consumer::new(&socket, RingKind::Completion, tx_len)?,
                Consumer::new(&socket, RingKind::Receive, rx_len)?,
                Producer::new(&socket, RingKind::Send, tx_len)?,
            ))
        })()
        .map_err(rings)?;
        for chunk in memory.chunks(0..RX_CHUNKS) {
            fill.push(chunk);
        }
        fill.publish();
        let mode_flag = match mode {
            XdpMode::Auto => 0,
            XdpMode::Copy => libc::XDP_COPY,
            XdpMode::ZeroCopy => libc::XDP_ZEROCOPY,
        };
        bind(&socket, device.index, queue, mode_flag | libc::XDP_USE_NEED_WAKEUP)
            .map_err(|error| bind_error(interface, queue, mode, error))?;
        let calls_socket = Socket::xdp().map_err(socket_error)?;
        let calls = Consumer::new(&calls_socket, RingKind::Receive, XDP_RX_CALLS as u32)
            .map_err(failed("mapping the ring for calls"))?;
        calls_socket
            .bind_shared(device.index, queue, &socket)
            .map_err(|error| bind_error(interface, queue, mode, error))?;
        let zero_copy = socket.is_zero_copy().map_err(failed("asking the mode"))?;
        // A hint that older kernels do not know: how many frames of a send one call takes.
        let _ = socket.set_option(libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &(BURST_LEN_MAX as u32));
        if let Some(BusyPoll { poll_us, frames_max }) = busy_poll {
            for (option, value) in
                [(libc::SO_PREFER_BUSY_POLL, 1), (libc::SO_BUSY_POLL, poll_us), (libc::SO_BUSY_POLL_BUDGET, frames_max)]
            {
                socket.set_option(libc::SOL_SOCKET, option, &value).map_err(failed("busy polling"))?;
            }
        }
        Ok(Self { fill, completion, received, calls, to_send, memory, socket, calls_socket, zero_copy })
    }

    fn into_port(self, takeover: Arc<Takeover>, capabilities: Capabilities, busy_poll: bool) -> XdpPort {
        let mut chunks = Vec::with_capacity(XDP_TX_FRAMES);
        chunks.extend(self.memory.chunks(RX_CHUNKS..RX_CHUNKS + XDP_TX_FRAMES));
        XdpPort {
            descriptors: [self.socket.raw(), self.calls_socket.raw()],
            fill: self.fill,
            completion: self.completion,
            received: self.received,
            calls: self.calls,
            to_send: self.to_send,
            memory: self.memory,
            chunks,
            emptied: Vec::with_capacity(RX_CHUNKS),
            socket: self.socket,
            calls_socket: self.calls_socket,
            takeover,
            capabilities,
            zero_copy: self.zero_copy,
            busy_poll,
            down: false,
            retry_at: None,
            statistics_at: Instant::ZERO,
            counters: PortCounters::default(),
        }
    }
}

/// Puts the socket on its queue. The kernel lets go of a queue only some time after its last socket was closed, so that
/// one that is taken is tried again for a while: a node that starts anew must not fail on what it was before.
#[allow(clippy::disallowed_methods, reason = "only here, while a port is opened, the kernel is to be waited for")]
fn bind(socket: &Socket, interface_index: u32, queue: u32, flags: u16) -> io::Result<()> {
    for _ in 0..BIND_RETRIES {
        match socket.bind(interface_index, queue, flags) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(BIND_PAUSE),
            result => return result,
        }
    }
    socket.bind(interface_index, queue, flags)
}

/// Registers the memory; where the limit of locked memory is in the way, raises that first.
fn register(socket: &Socket, memory: &FrameMemory) -> io::Result<()> {
    match socket.register(memory) {
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
            sys::raise_locked_memory();
            socket.register(memory)
        }
        result => result,
    }
}

fn check_device(interface: &str, device: &Device, queues: usize) -> Result<(), OpenError> {
    let refused = |reason: String, fix: String| {
        Err(OpenError::Unsupported { operation: format!("opening AF_XDP on {interface}"), reason, fix })
    };
    if device.hardware == [0; 6] {
        return refused("it has no Ethernet address".to_owned(), "choose one from `ip link`".to_owned());
    }
    if !(1..=PORT_QUEUES_MAX).contains(&queues) {
        return refused(format!("a card has 1 to {PORT_QUEUES_MAX} queues, not {queues}"), "ask for fewer".to_owned());
    }
    if let Some(found) = device.queues.filter(|found| *found != queues) {
        let option = if device.is_veth() { "rx" } else { "combined" };
        return refused(
            format!("it has {found} receive queues, and the card {queues}; frames of the others would be lost to it"),
            format!("run `ethtool -L {interface} {option} {queues}`, or give the card {found} lanes"),
        );
    }
    Ok(())
}

/// Memberships in the solicited-node groups of the card's IPv6 addresses, without which the device would not let
/// neighbours' questions through (RFC 4291, section 2.7.1; RFC 2464, section 7).
fn join_groups(device: &Device, rules: &Rules) -> io::Result<Socket> {
    let socket = Socket::membership()?;
    for address in &rules.take.addresses {
        let IpAddr::V6(address) = address else { continue };
        let [.., a, b, c] = address.octets();
        let membership = libc::packet_mreq {
            mr_ifindex: device.index.cast_signed(),
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: size_of::<HardwareAddress>() as u16,
            mr_address: [0x33, 0x33, 0xff, a, b, c, 0, 0],
        };
        socket.set_option(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
    }
    Ok(socket)
}

fn advice(interface: &str, device: &Device) -> Option<String> {
    device.is_veth().then(|| {
        format!(
            "{interface} is a veth: if a kernel is at its other end, run `ethtool -K PEER tx off tso off gso off` \
             there, or its TCP checksums come unfinished and its long segments are lost"
        )
    })
}

fn is_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV))
}

fn socket_error(error: io::Error) -> OpenError {
    let operation = "opening an AF_XDP socket".to_owned();
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => OpenError::Unsupported {
            operation,
            reason: "the kernel has no AF_XDP (CONFIG_XDP_SOCKETS)".to_owned(),
            fix: "take the port `packet` instead".to_owned(),
        },
        _ => OpenError::os(operation, error, CAPABILITIES_FIX),
    }
}

fn memory_error(interface: &str, error: io::Error) -> OpenError {
    let operation = format!("locking the frame memory of {interface}");
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => OpenError::Permission {
            operation,
            fix: format!("{CAPABILITIES_FIX}; or raise the limit of locked memory: `ulimit -l unlimited`"),
        },
        _ => OpenError::os(operation, error, CAPABILITIES_FIX),
    }
}

fn bind_error(interface: &str, queue: u32, mode: XdpMode, error: io::Error) -> OpenError {
    let operation = format!("putting an AF_XDP socket on queue {queue} of {interface}");
    let (reason, fix) = match error.raw_os_error() {
        Some(libc::EBUSY) => {
            ("another process has it", format!("end that process: `ss --xdp` or `ip link show {interface}`"))
        }
        Some(libc::EINVAL | libc::EOPNOTSUPP) if mode == XdpMode::ZeroCopy => {
            ("its driver has no zero-copy for it", "take the mode `copy` or `auto`".to_owned())
        }
        Some(libc::EINVAL) => {
            ("it has no such queue", format!("give the card fewer lanes; `ethtool -l {interface}` counts them"))
        }
        Some(libc::ENETDOWN) => ("it is down", format!("run `ip link set {interface} up`")),
        _ => return OpenError::os(operation, error, CAPABILITIES_FIX),
    };
    OpenError::Unsupported { operation, reason: reason.to_owned(), fix }
}

fn attach_error(interface: &str, error: OpenError) -> OpenError {
    match error {
        OpenError::Os { source, .. } if matches!(source.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) => {
            OpenError::Unsupported {
                operation: format!("attaching the card's program to {interface}"),
                reason: "another XDP program stands there".to_owned(),
                fix: format!("end its owner, or run `ip link set dev {interface} xdp off`"),
            }
        }
        other => other,
    }
}

/// A chunk for frames of an ordinary MTU, and what the kernel leaves of it for a frame (`XDP_PACKET_HEADROOM` is 256).
const SMALL_CHUNK_LEN: u32 = 2_048;
const SMALL_CHUNK_ROOM: usize = SMALL_CHUNK_LEN as usize - 256;
/// A chunk for a larger MTU, so that a frame that is too long comes and is counted.
const LARGE_CHUNK_LEN: u32 = 4_096;
/// How often a queue that is taken is tried again, and how far that is apart.
const BIND_RETRIES: u32 = 30;
const BIND_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
/// Chunks to receive into: as many as both rings of a queue hold.
const RX_CHUNKS: usize = XDP_RX_FRAMES + XDP_RX_CALLS;
/// Places of a burst that are kept for calls when any wait: sessions that fill every burst keep nobody out.
const CALLS_PER_BURST_MIN: u32 = 8;
/// How long the kernel is left alone when it takes no frame.
const BUSY_RETRY: Duration = Duration::from_micros(20);
/// How long an interface is left alone that is down.
const DOWN_RETRY: Duration = Duration::from_millis(10);
/// How far looks at what the kernel lost are apart.
const STATISTICS_PAUSE: Duration = Duration::from_millis(100);
/// The driver of a veth pair.
const VETH: &str = "veth";
/// `linux/if_xdp.h`, since Linux 6.18.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

const _: () = assert!(FRAME_LEN_MAX <= SMALL_CHUNK_ROOM, "every frame that we send or take fits a chunk");
const _: () = assert!(XDP_RX_FRAMES.is_power_of_two() && XDP_RX_CALLS.is_power_of_two(), "rings have such lengths");
const _: () = assert!(XDP_TX_FRAMES.is_power_of_two(), "rings have such lengths");
