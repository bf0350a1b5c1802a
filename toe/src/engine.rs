//! The TCP engine behind a narrow seam: smoltcp, one socket in a set of its own, all over one interface.
//!
//! smoltcp appears here alone. A set is given only segments of its own session (another's would be answered by a
//! reset), is polled for output only while a frame is free (a segment without a frame would count as sent and cost a
//! retransmission time-out), and computes no checksums: the edge does.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use hpb_base::{Duration, Instant};
use hpb_net::frame::{Bursts, Frame, FramePool};
use hpb_net::sys::prefetch;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use crate::class::Class;
use crate::segment::FlowKey;

/// Where a session stands, as far as the card cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TcpState {
    /// No SYN of ours or theirs is acknowledged yet.
    Opening,
    /// Both ways are open, or only ours to write.
    Open,
    /// One side has said FIN.
    Closing,
    /// All that is left is to wait out old duplicates.
    TimeWait,
    /// Nothing is left.
    Closed,
}

/// When an engine's socket wants to be polled again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wake {
    Now,
    At(Instant),
    Never,
}

/// The largest packet that a session's path takes: which of the lane's classes. The engine knows no size a session, only
/// one an interface (RFC 8201, RFC 1191), so there is an interface for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct PathClass(u8);

/// The sizes below a port's own: those of tunnels and of lines that wrap Ethernet, IPv6's smallest (RFC 8200 section 5), IPv4's (RFC 791).
const PATH_MTUS: [usize; 4] = [1_492, 1_400, 1_280, 576];

/// The engine's longest time-out.
const ENGINE_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// What all sessions of a lane share.
pub(crate) struct Stack {
    /// By class, from the largest packet down.
    interfaces: Vec<(usize, Interface)>,
}

/// One session's TCP.
pub(crate) struct Socket {
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// Received bytes that were taken, modulo 2^32.
    taken: u32,
    /// How far ahead of the clock its time-out was made to ring.
    rewound_at: Instant,
    /// What its path takes.
    pub(crate) path: PathClass,
}

/// Where emitted frames go.
pub(crate) struct TxPath<'a> {
    pub(crate) tx: &'a mut VecDeque<Frame>,
    pub(crate) pool: &'a mut FramePool,
    pub(crate) room: usize,
}

impl<'a> TxPath<'a> {
    pub(crate) fn of(bursts: &'a mut Bursts) -> Self {
        let room = bursts.tx_room();
        Self { tx: &mut bursts.tx, pool: &mut bursts.pool, room }
    }

    fn take(&mut self) -> Option<Frame> {
        if self.room == 0 {
            return None;
        }
        let frame = self.pool.take()?;
        self.room -= 1;
        Some(frame)
    }
}

impl Stack {
    /// A stack that owns `addresses` with their prefix lengths, on a port that takes packets of `mtu` bytes. Its sequence
    /// numbers are anyone's guess; the edge moves them (RFC 6528).
    pub(crate) fn new(addresses: &[(IpAddr, u8)], mtu: usize) -> Self {
        let mtus = std::iter::once(mtu).chain(PATH_MTUS.into_iter().filter(|smaller| *smaller < mtu));
        let interface = |mtu| {
            let mut device = Pass { rx: None, tx: None, mtu };
            let config = Config::new(HardwareAddress::Ip);
            (mtu, Interface::new(config, &mut device, smoltcp::time::Instant::ZERO))
        };
        let mut stack = Self { interfaces: mtus.map(interface).collect() };
        stack.set_addresses(addresses);
        stack
    }

    /// Owns these addresses from now on; a socket of another one is closed without a word at its next poll.
    pub(crate) fn set_addresses(&mut self, addresses: &[(IpAddr, u8)]) {
        for (_, interface) in &mut self.interfaces {
            interface.update_ip_addrs(|own| {
                own.clear();
                for (address, prefix_len) in addresses {
                    // The caller checked their number against `ADDRESSES_MAX`.
                    let _ = own.push(IpCidr::new((*address).into(), *prefix_len));
                }
            });
        }
    }

    /// The class of a path that takes packets of `mtu` bytes.
    pub(crate) fn class_of(&self, mtu: usize) -> PathClass {
        let fits = self.interfaces.iter().position(|(own, _)| *own <= mtu);
        PathClass(fits.unwrap_or(self.interfaces.len() - 1) as u8)
    }

    /// The largest packet of a class in bytes.
    pub(crate) fn mtu_of(&self, class: PathClass) -> usize {
        self.interfaces[usize::from(class.0)].0
    }

    /// A socket that calls `flow.remote()`.
    pub(crate) fn connect(&mut self, class: Class, flow: &FlowKey, options: &SocketOptions) -> Option<Socket> {
        let mut socket = new_socket(class, options);
        let (remote, local) = (endpoint(flow.remote()), listen_endpoint(flow.local()));
        socket.connect(self.interfaces[0].1.context(), remote, local).ok()?;
        Some(Socket::alone(socket))
    }

    /// A socket that takes the SYN which is fed next.
    pub(crate) fn accept(class: Class, flow: &FlowKey, options: &SocketOptions) -> Option<Socket> {
        let mut socket = new_socket(class, options);
        socket.listen(listen_endpoint(flow.local())).ok()?;
        Some(Socket::alone(socket))
    }

    /// Feeds one packet of the socket's own session; a reply goes to `tx`, or is dropped if there is no frame.
    pub(crate) fn ingress(&mut self, now: Instant, socket: &mut Socket, packet: &[u8], tx: TxPath<'_>) {
        let (mtu, interface) = &mut self.interfaces[usize::from(socket.path.0)];
        let mut device = Pass { rx: Some(packet), tx: Some(tx), mtu: *mtu };
        interface.poll_ingress_single(engine_time(now), &mut device, &mut socket.set);
    }

    /// Emits at most one segment; `tx` has room.
    pub(crate) fn egress(&mut self, now: Instant, socket: &mut Socket, tx: TxPath<'_>) {
        let (mtu, interface) = &mut self.interfaces[usize::from(socket.path.0)];
        let mut device = Pass { rx: None, tx: Some(tx), mtu: *mtu };
        interface.poll_egress(engine_time(now), &mut device, &mut socket.set);
    }

    /// Has the socket say all that is not acknowledged once more, from the oldest byte on, a segment at each
    /// [`egress`](Self::egress); the first is emitted now. Which of them leave is the edge's business.
    ///
    /// The engine goes back by its time-out and in no other way, so that is made to ring: it is shown a time at which it
    /// must have. Its peer does not fall silent by that.
    pub(crate) fn rewind(&mut self, now: Instant, socket: &mut Socket, tx: TxPath<'_>) {
        let at = now.max(socket.rewound_at) + ENGINE_TIMEOUT_MAX + ENGINE_TIMEOUT_MAX;
        socket.rewound_at = at;
        let timeout = socket.get().timeout();
        socket.get_mut().set_timeout(None);
        self.egress(at, socket, tx);
        socket.get_mut().set_timeout(timeout);
    }

    /// When to call [`egress`](Self::egress) next.
    pub(crate) fn wake_at(&mut self, now: Instant, socket: &Socket) -> Wake {
        let (_, interface) = &mut self.interfaces[usize::from(socket.path.0)];
        match interface.poll_at(engine_time(now), &socket.set) {
            None => Wake::Never,
            Some(at) if at.total_micros() <= 0 => Wake::Now,
            Some(at) => Wake::At(Instant::from_micros(at.total_micros().cast_unsigned())),
        }
    }
}

/// What every socket of a lane is set to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ack_delay: Option<Duration>,
}

fn new_socket(class: Class, options: &SocketOptions) -> tcp::Socket<'static> {
    let receive = tcp::SocketBuffer::new(vec![0; class.rx_len()]);
    let send = tcp::SocketBuffer::new(vec![0; class.tx_len()]);
    let mut socket = tcp::Socket::new(receive, send);
    socket.set_nagle_enabled(false);
    socket.set_keep_alive(options.keep_alive.map(engine_span));
    socket.set_timeout(options.timeout.map(engine_span));
    socket.set_ack_delay(options.ack_delay.map(engine_span));
    socket
}

impl Socket {
    fn alone(socket: tcp::Socket<'static>) -> Self {
        let mut set = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = set.add(socket);
        Self { set, handle, taken: 0, rewound_at: Instant::ZERO, path: PathClass::default() }
    }

    fn get(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    fn get_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Asks for the memory that the next poll will need.
    pub(crate) fn prefetch(&self) {
        prefetch(self.get());
    }

    /// Asks for the send buffer's next `len` bytes.
    pub(crate) fn prefetch_send(&mut self, len: usize) {
        // Nothing is written; a socket that may not send has nothing to ask for.
        let _ = self.get_mut().send(|free| {
            prefetch(&free[..len.min(free.len())]);
            (0, ())
        });
    }

    pub(crate) fn state(&self) -> TcpState {
        match self.get().state() {
            tcp::State::Closed => TcpState::Closed,
            tcp::State::Listen | tcp::State::SynSent | tcp::State::SynReceived => TcpState::Opening,
            tcp::State::Established => TcpState::Open,
            tcp::State::TimeWait => TcpState::TimeWait,
            tcp::State::FinWait1
            | tcp::State::FinWait2
            | tcp::State::CloseWait
            | tcp::State::Closing
            | tcp::State::LastAck => TcpState::Closing,
        }
    }

    /// The state's name in RFC 9293.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.get().state() {
            tcp::State::Closed => "CLOSED",
            tcp::State::Listen => "LISTEN",
            tcp::State::SynSent => "SYN-SENT",
            tcp::State::SynReceived => "SYN-RECEIVED",
            tcp::State::Established => "ESTABLISHED",
            tcp::State::FinWait1 => "FIN-WAIT-1",
            tcp::State::FinWait2 => "FIN-WAIT-2",
            tcp::State::CloseWait => "CLOSE-WAIT",
            tcp::State::Closing => "CLOSING",
            tcp::State::LastAck => "LAST-ACK",
            tcp::State::TimeWait => "TIME-WAIT",
        }
    }

    /// Bytes received and not taken.
    pub(crate) fn recv_len(&self) -> usize {
        self.get().recv_queue()
    }

    /// How far the peer's numbers have come past its SYN, modulo 2^32: its contiguous bytes, taken or not, and its FIN.
    pub(crate) fn received_len(&self) -> u32 {
        let fin = matches!(
            self.get().state(),
            tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing | tcp::State::TimeWait
        );
        self.taken.wrapping_add(self.recv_len() as u32).wrapping_add(u32::from(fin))
    }

    /// Bytes that the receive buffer still takes.
    pub(crate) fn recv_room(&self) -> usize {
        self.get().recv_capacity() - self.recv_len()
    }

    /// Whether both sides have said SYN and ours is not acknowledged.
    pub(crate) fn is_syn_received(&self) -> bool {
        self.get().state() == tcp::State::SynReceived
    }

    /// Whether the peer has said FIN and all its bytes were taken.
    pub(crate) fn is_drained(&self) -> bool {
        let socket = self.get();
        !socket.may_recv() && socket.recv_queue() == 0
    }

    /// The first `out.len()` received bytes, not taken; false if there are fewer.
    pub(crate) fn peek(&mut self, out: &mut [u8]) -> bool {
        self.get_mut().peek_slice(out).is_ok_and(|len| len == out.len())
    }

    /// Hands the contiguous received bytes to `take`, which says how many it took.
    pub(crate) fn recv<R>(&mut self, take: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        let mut taken = 0;
        let result = self.get_mut().recv(|bytes| {
            let (len, result) = take(bytes);
            taken = len;
            (len, result)
        });
        self.taken = self.taken.wrapping_add(taken as u32);
        result.ok()
    }

    /// Takes exactly `out.len()` bytes, which are there.
    pub(crate) fn recv_exact(&mut self, out: &mut [u8]) -> bool {
        let mut filled = 0;
        while filled < out.len() {
            match self.get_mut().recv_slice(&mut out[filled..]) {
                Ok(len) if len > 0 => {
                    filled += len;
                    self.taken = self.taken.wrapping_add(len as u32);
                }
                _ => return false,
            }
        }
        true
    }

    /// Bytes in the send buffer: sent and not acknowledged, or not sent.
    pub(crate) fn send_len(&self) -> usize {
        self.get().send_queue()
    }

    /// Bytes that the send buffer still takes; zero when nothing may be sent.
    pub(crate) fn send_room(&self) -> usize {
        let socket = self.get();
        if socket.may_send() { socket.send_capacity() - socket.send_queue() } else { 0 }
    }

    /// Takes as much of `bytes` as there is room for; returns how much.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.get_mut().send_slice(&bytes[taken..]) {
                Ok(len) if len > 0 => taken += len,
                _ => break,
            }
        }
        taken
    }

    /// Hands the contiguous free part of the send buffer to `write`, which says how many bytes it wrote.
    pub(crate) fn send_in_place<R>(&mut self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        self.get_mut().send(write).ok()
    }

    /// Says FIN after what waits.
    pub(crate) fn close(&mut self) {
        self.get_mut().close();
    }

    /// Says RST.
    pub(crate) fn abort(&mut self) {
        self.get_mut().abort();
    }
}

struct Pass<'a> {
    rx: Option<&'a [u8]>,
    tx: Option<TxPath<'a>>,
    mtu: usize,
}

struct Received<'a>(&'a [u8]);

/// A frame to be filled; without one the segment is lost, as on a wire.
struct Emitted<'a, 'b>(Option<&'b mut TxPath<'a>>);

impl<'a> Device for Pass<'a> {
    type RxToken<'t>
        = Received<'a>
    where
        Self: 't;
    type TxToken<'t>
        = Emitted<'a, 't>
    where
        Self: 't;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received<'a>, Emitted<'a, '_>)> {
        let packet = self.rx.take()?;
        Some((Received(packet), Emitted(self.tx.as_mut())))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Emitted<'a, '_>> {
        let tx = self.tx.as_mut()?;
        (tx.room > 0).then_some(Emitted(Some(tx)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Emitted<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        if let Some(path) = self.0
            && let Some(mut frame) = path.take()
        {
            frame.set_len(len);
            let result = write(frame.bytes_mut());
            path.tx.push_back(frame);
            return result;
        }
        write(&mut vec![0; len])
    }
}

fn engine_time(now: Instant) -> smoltcp::time::Instant {
    // Zero means "at once" to the engine.
    smoltcp::time::Instant::from_micros(now.as_micros().max(1).cast_signed())
}

fn engine_span(span: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(span.as_micros())
}

fn endpoint(address: SocketAddr) -> IpEndpoint {
    IpEndpoint::new(address.ip().into(), address.port())
}

fn listen_endpoint(address: SocketAddr) -> IpListenEndpoint {
    IpListenEndpoint { addr: Some(address.ip().into()), port: address.port() }
}
