//! Packet sockets (packet(7), `linux/if_packet.h`): options, and bursts of frames in one system call.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use hpb_base::limits::BURST_LEN_MAX;

use super::checked;

/// How many parts a received message is scattered over: the offload header, a frame, and what is larger than a frame.
pub(crate) const RECEIVE_PARTS: usize = 3;
/// How many parts one burst of messages is gathered from: for each frame a header, headers of its own, and its bytes.
pub(crate) const SEND_PARTS_MAX: usize = 3 * BURST_LEN_MAX;

/// One instruction of a classic BPF program (`struct sock_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Instruction {
    /// The operation.
    pub(crate) code: u16,
    /// Instructions to skip if a comparison holds.
    pub(crate) jump_true: u8,
    /// Instructions to skip if it does not.
    pub(crate) jump_false: u8,
    /// The operand.
    pub(crate) operand: u32,
}

/// What came of one received message.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Arrival {
    /// Bytes written, over all parts.
    pub(crate) len: usize,
    /// There were more than the parts hold.
    pub(crate) is_cut: bool,
    /// The VLAN tag that the kernel took out of the frame, as it stood there.
    pub(crate) tag: Option<[u8; 4]>,
    /// When the kernel had it, in nanoseconds since 1970; `None` unless the socket stamps.
    pub(crate) unix_ns: Option<NonZeroU64>,
}

/// A packet socket for whole frames. It receives nothing until it is bound.
pub(crate) struct PacketSocket {
    socket: OwnedFd,
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl PacketSocket {
    /// A socket that never blocks.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes integers only.
        let socket = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(socket) } })
    }

    fn set<T: Copy>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast::<libc::c_void>();
        // SAFETY: `value` points to `len` bytes, alive for the call; each option of this module reads such a value.
        checked(unsafe { libc::setsockopt(self.socket.as_raw_fd(), level, option, value, len) })?;
        Ok(())
    }

    /// Sets an integer option of the packet family.
    pub(crate) fn set_packet(&self, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        self.set(libc::SOL_PACKET, option, &value)
    }

    /// Has the kernel say of each message when it came (socket(7), `SO_TIMESTAMPNS`).
    pub(crate) fn stamp_arrivals(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on)
    }

    /// Asks for buffers of `len` bytes; without the privilege to go past the host's bound it is held there.
    pub(crate) fn set_buffers(&self, len: usize) -> io::Result<()> {
        let len = libc::c_int::try_from(len).unwrap_or(libc::c_int::MAX);
        for (force, ask) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
            if self.set(libc::SOL_SOCKET, force, &len).is_err() {
                self.set(libc::SOL_SOCKET, ask, &len)?;
            }
        }
        Ok(())
    }

    /// Lets through only what `program` returns more than 0 for.
    pub(crate) fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> = program
            .iter()
            .map(|at| libc::sock_filter { code: at.code, jt: at.jump_true, jf: at.jump_false, k: at.operand })
            .collect();
        let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &libc::sock_fprog { len, filter: filter.as_mut_ptr() })
    }

    /// Receives from and sends to the interface of number `index`, frames of every protocol.
    pub(crate) fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: `sockaddr_ll` is plain integers; all zeros is a value of it.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let len = size_of_val(&address) as libc::socklen_t;
        let address = std::ptr::from_ref(&address).cast::<libc::sockaddr>();
        // SAFETY: `address` points to `len` bytes, alive for the call.
        checked(unsafe { libc::bind(self.socket.as_raw_fd(), address, len) })?;
        Ok(())
    }

    /// Joins the group of sockets that share the interface's frames: an own new one, or that which another socket's
    /// [`fanout`](Self::fanout) named.
    pub(crate) fn join_fanout(&self, group: libc::c_int) -> io::Result<()> {
        self.set_packet(libc::PACKET_FANOUT, group)
    }

    /// The name of this socket's group, for others to join.
    pub(crate) fn fanout(&self) -> io::Result<libc::c_int> {
        self.get(libc::PACKET_FANOUT, 0)
    }

    /// Frames lost for want of a place since the last call.
    pub(crate) fn take_drops(&self) -> io::Result<u64> {
        let none = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        Ok(u64::from(self.get(libc::PACKET_STATISTICS, none)?.tp_drops))
    }

    /// Reads an option of the packet family; each option of this module writes a `T` of integers.
    fn get<T: Copy>(&self, option: libc::c_int, mut value: T) -> io::Result<T> {
        let mut len = size_of::<T>() as libc::socklen_t;
        let place = std::ptr::from_mut(&mut value).cast::<libc::c_void>();
        // SAFETY: `place` points to `len` bytes, alive for the call; any bytes are a value of these options' types.
        checked(unsafe { libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_PACKET, option, place, &raw mut len) })?;
        Ok(value)
    }

    /// Receives one message into each of `buffers`, of which there are at most [`BURST_LEN_MAX`] and no more than
    /// `arrivals`; returns how many came.
    pub(crate) fn receive<'a>(
        &self,
        buffers: impl Iterator<Item = [IoSliceMut<'a>; RECEIVE_PARTS]>,
        arrivals: &mut [Arrival],
    ) -> io::Result<usize> {
        let mut parts = [const { MaybeUninit::<[libc::iovec; RECEIVE_PARTS]>::uninit() }; BURST_LEN_MAX];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; BURST_LEN_MAX];
        let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BURST_LEN_MAX];
        let mut count = 0;
        for buffer in buffers.take(BURST_LEN_MAX.min(arrivals.len())) {
            let parts = parts[count]
                .write(buffer.map(|mut part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() }));
            let message = messages[count].write(empty_message());
            message.msg_hdr.msg_iov = parts.as_mut_ptr();
            message.msg_hdr.msg_iovlen = RECEIVE_PARTS as _;
            message.msg_hdr.msg_control = controls[count].as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = size_of::<Control>() as _;
            count += 1;
        }
        let first = messages.as_mut_ptr().cast::<libc::mmsghdr>();
        let (socket, flags, no_timeout) = (self.socket.as_raw_fd(), libc::MSG_DONTWAIT, std::ptr::null_mut());
        // SAFETY: the first `count` messages are written, and their parts and controls are alive for the call: the
        // buffers are borrowed for `'a`, which outlives it.
        let received = checked(unsafe { libc::recvmmsg(socket, first, count as _, flags as _, no_timeout) })?;
        let received = usize::try_from(received).unwrap_or(0).min(count);
        for (arrival, message) in arrivals.iter_mut().zip(&messages[..received]) {
            // SAFETY: the first `count` messages are written.
            let message = unsafe { message.assume_init_ref() };
            *arrival = Arrival {
                len: message.msg_len as usize,
                is_cut: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                ..told(&message.msg_hdr)
            };
        }
        Ok(received)
    }

    /// Sends messages, each the next so many of `parts` that `counts` says; returns how many left. An error is that of
    /// the first message.
    pub(crate) fn send(&self, parts: &[IoSlice<'_>], counts: impl Iterator<Item = usize>) -> io::Result<usize> {
        let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BURST_LEN_MAX];
        let (mut count, mut at) = (0, 0);
        for part_count in counts.take(BURST_LEN_MAX) {
            let Some(parts) = parts.get(at..at + part_count) else { break };
            let message = messages[count].write(empty_message());
            // An `IoSlice` has the layout of an `iovec` (its documentation); the kernel only reads it.
            message.msg_hdr.msg_iov = parts.as_ptr().cast::<libc::iovec>().cast_mut();
            message.msg_hdr.msg_iovlen = part_count as _;
            at += part_count;
            count += 1;
        }
        let first = messages.as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the first `count` messages are written, and their parts are borrowed for longer than the call.
        let sent =
            checked(unsafe { libc::sendmmsg(self.socket.as_raw_fd(), first, count as _, libc::MSG_DONTWAIT as _) })?;
        Ok(usize::try_from(sent).unwrap_or(0))
    }
}

/// Room for a control message with a `tpacket_auxdata` and one with a `timespec`: 16 bytes of header and 20, or 16, of
/// data each, with room to spare.
#[repr(C, align(8))]
struct Control([u8; 96]);

fn empty_message() -> libc::mmsghdr {
    // SAFETY: `mmsghdr` is integers and pointers; all zeros is a value of it.
    unsafe { std::mem::zeroed() }
}

/// What a received message's control data tell: its VLAN tag, and when it came.
fn told(message: &libc::msghdr) -> Arrival {
    let mut arrival = Arrival::default();
    // SAFETY: the kernel has filled the message's control data, whose place is alive.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: not null, so it points to a whole header in the control data.
        let header = unsafe { control.read() };
        // SAFETY: the header is in the control data, and its data follows.
        let data = unsafe { libc::CMSG_DATA(control) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                #[allow(clippy::cast_ptr_alignment, reason = "it is read as unaligned")]
                // SAFETY: the kernel wrote a whole `tpacket_auxdata` there.
                let auxiliary = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
                arrival.tag = tag(&auxiliary);
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => {
                #[allow(clippy::cast_ptr_alignment, reason = "it is read as unaligned")]
                // SAFETY: the kernel wrote a whole `timespec` there.
                let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                arrival.unix_ns = NonZeroU64::new(since_1970_ns(&time));
            }
            _ => {}
        }
        // SAFETY: `control` is in the control data of `message`.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    arrival
}

fn tag(auxiliary: &libc::tpacket_auxdata) -> Option<[u8; 4]> {
    if auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let protocol = if auxiliary.tp_status & libc::TP_STATUS_VLAN_TPID_VALID == 0 {
        libc::ETH_P_8021Q as u16
    } else {
        auxiliary.tp_vlan_tpid
    };
    let [p, q] = protocol.to_be_bytes();
    let [r, s] = auxiliary.tp_vlan_tci.to_be_bytes();
    Some([p, q, r, s])
}

fn since_1970_ns(time: &libc::timespec) -> u64 {
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
