//! The kernel's calls that the standard library lacks: connecting without waiting, options, `TCP_INFO`, the error queue
//! with what ICMP said (`ip(7)`), echo sockets. Each function is one call with its result checked.
#![allow(unsafe_code, reason = "socket calls have no safe binding among the dependencies")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

/// Bytes of `struct tcp_info` that are asked for; a kernel that has fewer gives fewer.
const TCP_INFO_LEN: usize = 256;
/// Bytes for the control messages of one entry of the error queue.
const CONTROL_LEN: usize = 512;

/// What the network said about a packet of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reported {
    /// Whether an ICMP message said it; otherwise this host did.
    pub(crate) by_icmp: bool,
    /// ICMP's type.
    pub(crate) kind: u8,
    /// ICMP's code.
    pub(crate) code: u8,
    /// The MTU where a packet was too big.
    pub(crate) info: u32,
    /// What a call would fail with.
    pub(crate) errno: i32,
    /// Who said it.
    pub(crate) offender: Option<IpAddr>,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A socket that waits for nothing.
pub(crate) fn socket(is_v4: bool, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let family = if is_v4 { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: takes integers only.
    let descriptor =
        checked(unsafe { libc::socket(family, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the call above gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sets an integer option.
pub(crate) fn set_option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is valid for the read of `len` bytes and outlives the call.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) })?;
    Ok(())
}

/// Reads an integer option.
pub(crate) fn option(socket: &impl AsRawFd, level: i32, name: i32) -> io::Result<i32> {
    let (mut value, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: both are valid for the writes that the call makes and outlive it.
    checked(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

/// What the kernel knows of a TCP connection: the bytes of its `struct tcp_info`.
pub(crate) fn tcp_info(socket: &impl AsRawFd) -> io::Result<Vec<u8>> {
    let (mut bytes, mut len) = (vec![0_u8; TCP_INFO_LEN], TCP_INFO_LEN as libc::socklen_t);
    // SAFETY: `bytes` is valid for the write of `len` bytes, which the call keeps to.
    checked(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, bytes.as_mut_ptr().cast(), &raw mut len)
    })?;
    bytes.truncate(len as usize);
    Ok(bytes)
}

/// An address as the kernel takes it, and its length.
fn raw(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: `sockaddr_storage` is plain integers; all zeros is a value of it.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = match address {
        SocketAddr::V4(v4) => {
            let own = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_storage` is aligned for every address and larger than this one.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(own) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let own = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(own) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, len as libc::socklen_t)
}

/// Connects; of TCP the answer is still to come, and the socket is writable then.
pub(crate) fn connect(socket: &impl AsRawFd, address: &SocketAddr) -> io::Result<()> {
    let (storage, len) = raw(address);
    // SAFETY: `storage` is valid for the read of `len` bytes and outlives the call.
    match checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const storage).cast(), len) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}

/// Sends a datagram on a connected socket.
pub(crate) fn send(socket: &impl AsRawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `bytes` is valid for the read of its length and outlives the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a datagram.
pub(crate) fn receive(socket: &impl AsRawFd, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `bytes` is valid for the write of its length and outlives the call.
    let len = unsafe { libc::recv(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    usize::try_from(len).map_err(|_| io::Error::last_os_error())
}

/// Waits until a socket of `sockets` is readable, writable as `events` (`POLLIN`, `POLLOUT`) says, or has an error; what
/// each has. Empty answers after `patience`.
pub(crate) fn wait(sockets: &[RawFd], events: i16, patience: Duration) -> io::Result<Vec<i16>> {
    let mut entries: Vec<libc::pollfd> =
        sockets.iter().map(|descriptor| libc::pollfd { fd: *descriptor, events, revents: 0 }).collect();
    // Rounded up: a wait that is too short would turn into a busy loop.
    let timeout_ms = i32::try_from(patience.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
    // SAFETY: the entries are valid for as many as are said and outlive the call.
    match checked(unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout_ms) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
        _ => {}
    }
    Ok(entries.iter().map(|entry| entry.revents).collect())
}

/// The next entry of a socket's error queue; `None` if there is none.
pub(crate) fn reported(socket: &impl AsRawFd) -> Option<Reported> {
    let mut control = [0_u64; CONTROL_LEN / 8];
    let mut quoted = [0_u8; 64];
    let mut part = libc::iovec { iov_base: quoted.as_mut_ptr().cast(), iov_len: quoted.len() };
    // SAFETY: `msghdr` is plain integers and pointers; all zeros is a value of it.
    let mut head: libc::msghdr = unsafe { mem::zeroed() };
    head.msg_iov = &raw mut part;
    head.msg_iovlen = 1;
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = CONTROL_LEN;
    // SAFETY: all that `head` points to is valid for the writes it allows and outlives the call.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut head, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if len < 0 {
        return None;
    }
    // SAFETY: `head` and its control bytes are as the kernel has just left them.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const head) };
    while !message.is_null() {
        // SAFETY: the macros gave a header inside the control bytes.
        let of = unsafe { message.read() };
        let is_error = matches!(
            (of.cmsg_level, of.cmsg_type),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        if is_error {
            // SAFETY: as above; the data follows its header.
            let data = unsafe { libc::CMSG_DATA(message) };
            // SAFETY: the length of the data is the header's, and lies inside the control bytes.
            let bytes = unsafe { std::slice::from_raw_parts(data, of.cmsg_len - (data as usize - message as usize)) };
            return parse(bytes);
        }
        // SAFETY: `message` is one of `head`'s.
        message = unsafe { libc::CMSG_NXTHDR(&raw const head, message) };
    }
    None
}

/// Reads a `sock_extended_err` and the address that follows it.
fn parse(bytes: &[u8]) -> Option<Reported> {
    const ERROR_LEN: usize = size_of::<libc::sock_extended_err>();
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (origin, kind, code) = (*bytes.get(4)?, *bytes.get(5)?, *bytes.get(6)?);
    let offender = bytes.get(ERROR_LEN..).and_then(|address| {
        let family = u16::from_ne_bytes(address.get(..2)?.try_into().ok()?);
        match libc::c_int::from(family) {
            libc::AF_INET => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address.get(4..8)?).ok()?))),
            libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address.get(8..24)?).ok()?))),
            _ => None,
        }
    });
    Some(Reported {
        by_icmp: matches!(origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6),
        kind,
        code,
        info: word(8)?,
        errno: word(0)?.cast_signed(),
        offender,
    })
}

/// Nanoseconds on the monotonic clock, from an origin of the kernel's choice.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970 by this host's clock.
pub(crate) fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the write and outlives the call; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_icmp_error_is_read_with_its_sender_and_nothing_panics_on_less() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&(libc::EHOSTUNREACH as u32).to_ne_bytes());
        bytes.extend_from_slice(&[libc::SO_EE_ORIGIN_ICMP, 11, 0, 0]);
        bytes.extend_from_slice(&1_400_u32.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        bytes.extend_from_slice(&[0, 0, 10, 1, 2, 3]);
        let read = parse(&bytes).unwrap();
        assert!(read.by_icmp && (read.kind, read.code, read.info) == (11, 0, 1_400));
        assert_eq!(read.offender, Some("10.1.2.3".parse().unwrap()));
        for len in 0..bytes.len() {
            let cut = parse(&bytes[..len]);
            assert!(cut.is_none_or(|cut| cut.offender.is_none() || len >= bytes.len()), "{len}");
        }
    }

    #[test]
    fn a_connection_within_this_host_is_described() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket(true, libc::SOCK_STREAM, 0).unwrap();
        connect(&socket, &listener.local_addr().unwrap()).unwrap();
        let ready = wait(&[socket.as_raw_fd()], libc::POLLOUT, Duration::from_secs(5)).unwrap();
        assert!(ready[0] & libc::POLLOUT != 0);
        assert_eq!(option(&socket, libc::SOL_SOCKET, libc::SO_ERROR).unwrap(), 0);
        assert!(tcp_info(&socket).unwrap().len() >= 104);
        assert!(reported(&socket).is_none());
    }
}
