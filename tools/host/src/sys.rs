//! The operating system's calls that the standard library does not offer: clocks of one thread, epoll, socket options,
//! limits, the heap's trim. It decides nothing; each function is one call with its result checked.
//!
//! The cores of a thread have a module of their own, [`cores`], and so have what the heap keeps, [`heap`], and what lies
//! on a disk or before it, [`disk`].
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

pub mod cores;
pub mod disk;
pub mod heap;

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::Child;

/// Nanoseconds on the monotonic clock, from an origin of the kernel's choice.
pub fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970 on the host's clock, which somebody may set.
pub fn unix_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// Nanoseconds of CPU time that the calling thread has used, kernel time included.
///
/// Loopback's receive path runs in the sender's system call, so that both ends of the kernel's TCP are in it. A kernel
/// built with `CONFIG_IRQ_TIME_ACCOUNTING` leaves that part out: compare with [`wall_ns`] before a figure is believed.
pub fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the write and outlives the call.
    let status = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert!(status == 0, "these clocks exist on every Linux");
    since_origin_ns(&time)
}

fn since_origin_ns(time: &libc::timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Raises the soft limit of open descriptors to the hard one, and gives the limit that then holds.
///
/// # Errors
/// The limit cannot be read.
pub fn descriptor_limit_raise() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the write and outlives the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` is valid for the read and outlives the call.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    Ok(if status == 0 { raised.rlim_cur } else { limit.rlim_cur })
}

/// Gives the heap's free pages back, so that a later growth of the process is seen as growth.
pub fn heap_trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call touches only the allocator's own free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Waits until everything that the kernel had set aside before this call, to be freed once no core reads it, is freed or
/// under way (one RCU grace period, by `membarrier(2)`). Where the call is forbidden it does nothing.
pub fn grace_period() {
    // SAFETY: no pointer is passed.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

/// Makes the socket's close a reset: no TIME-WAIT keeps its port from the next repeat.
///
/// # Errors
/// The kernel refuses the option.
pub fn set_linger_zero(socket: &impl AsRawFd) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: `linger` is valid for the length given and outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            mem::size_of::<libc::linger>() as libc::socklen_t,
        )
    })
}

/// Has the kernel say when what is read had come ([`read_stamped`]; socket(7), `SO_TIMESTAMPNS`). While anybody on the
/// host asks for it the kernel stamps each packet.
///
/// # Errors
/// The kernel refuses the option.
pub fn stamp_arrivals(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: `on` is valid for the length given and outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

/// Reads what has come, as `read` does: how many bytes, and when the kernel had the packet with the last of them, in
/// nanoseconds since 1970; `None` if it did not stamp that one.
///
/// # Errors
/// As `read`.
pub fn read_stamped(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    /// Room for a control message with a `timespec`, and for others that nobody asked for.
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `msghdr` is integers and pointers; all zeros is a value of it.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of::<Control>() as _;
    // SAFETY: `message` and what it points to are valid for the call.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let Ok(len) = usize::try_from(len) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has filled the message's control data, whose place is alive.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok((len, None));
    }
    // SAFETY: not null, so it points to a whole header in the control data.
    let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
    if (level, kind) != (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) {
        return Ok((len, None));
    }
    #[allow(clippy::cast_ptr_alignment, reason = "it is read as unaligned")]
    // SAFETY: the kernel wrote a whole `timespec` behind that header.
    let time = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
    Ok((len, Some(since_origin_ns(&time))))
}

/// Calls `remote` from the address `local` without waiting for the answer: the stream is writable once it has come.
///
/// # Errors
/// The address is not this host's, there is no way to the other one, or the descriptors or ports are used up.
pub fn call_from(local: Ipv4Addr, remote: SocketAddrV4) -> io::Result<TcpStream> {
    // SAFETY: takes integers only.
    let socket =
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: the call above gave this descriptor to us alone.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let address_len = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let own = address(local, 0);
    // SAFETY: `own` is valid for the length given and outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const own).cast(), address_len) })?;
    let other = address(*remote.ip(), remote.port());
    // SAFETY: `other` is valid for the length given and outlives the call.
    match check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const other).cast(), address_len) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

fn address(ip: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    }
}

/// Asks a program that was started here to end, as Ctrl-C does.
///
/// # Errors
/// It has been waited for already.
pub fn interrupt(child: &Child) -> io::Result<()> {
    let process = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(process, libc::SIGINT) })
}

/// Sets the socket's congestion control by its kernel name (`cubic`, `bbr`, `reno`).
///
/// # Errors
/// The kernel does not have it, or not for this user.
pub fn set_congestion_control(socket: &impl AsRawFd, name: &str) -> io::Result<()> {
    // SAFETY: `name` is valid for the length given and outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    })
}

/// Segments that the kernel sent again over a TCP socket (`TCP_INFO`).
///
/// # Errors
/// It is no TCP socket.
pub fn retransmitted(socket: &impl AsRawFd) -> io::Result<u32> {
    // SAFETY: zeros are a valid `tcp_info`.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` is as long as `len` says, and both outlive the call.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut len)
    };
    check(status).map(|()| info.tcpi_total_retrans)
}

/// One epoll instance and the events of its last wait.
pub struct Epoll {
    descriptor: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An instance that reports up to `events_max` events a wait.
    ///
    /// # Errors
    /// The kernel gives no instance (descriptor limit).
    pub fn new(events_max: usize) -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        check(descriptor)?;
        // SAFETY: the call above gave this descriptor to us alone.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor, events: vec![libc::epoll_event { events: 0, u64: 0 }; events_max] })
    }

    /// Watches `socket` for bytes to read, as long as there are any; its events carry `token`.
    ///
    /// # Errors
    /// The descriptor is watched already, or the kernel has no room.
    pub fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.watch(socket, token, libc::EPOLLIN)
    }

    /// Watches a `socket` that is still calling: its events, which carry `token`, come once each time that it can be
    /// written or read anew.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_calling(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.watch(socket, token, libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET)
    }

    fn watch(&self, socket: &impl AsRawFd, token: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: token };
        // SAFETY: `event` is valid for the read and outlives the call.
        check(unsafe { libc::epoll_ctl(self.raw(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) })
    }

    /// Watches `socket` no longer.
    ///
    /// # Errors
    /// It was not watched.
    pub fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        // SAFETY: no pointer is read for this operation.
        check(unsafe { libc::epoll_ctl(self.raw(), libc::EPOLL_CTL_DEL, socket.as_raw_fd(), std::ptr::null_mut()) })
    }

    /// Waits up to `timeout_ms` (0: only looks) and gives the number of events; an interrupted wait gives 0.
    ///
    /// # Errors
    /// The kernel refuses the wait, which is a bug of ours.
    pub fn wait(&mut self, timeout_ms: i32) -> io::Result<usize> {
        let events_max = i32::try_from(self.events.len()).unwrap_or(i32::MAX);
        // SAFETY: `events` is valid for the length given and outlives the call.
        let count = unsafe { libc::epoll_wait(self.raw(), self.events.as_mut_ptr(), events_max, timeout_ms) };
        match check(count) {
            Ok(()) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The token of the event `index` of the last wait.
    pub fn token(&self, index: usize) -> usize {
        self.events[index].u64 as usize
    }

    fn raw(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Waits until one of the descriptors has something to read, up to `wait_ns`; an interrupted wait ends early.
///
/// # Errors
/// The kernel refuses the wait, which is a bug of ours.
pub fn wait_readable(descriptors: &[RawFd], wait_ns: u64) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let wait = libc::timespec {
        tv_sec: (wait_ns / 1_000_000_000).cast_signed(),
        tv_nsec: (wait_ns % 1_000_000_000).cast_signed(),
    };
    // SAFETY: `polled` and `wait` are valid for the lengths given and outlive the call; no signal mask is passed.
    let count =
        unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &raw const wait, std::ptr::null()) };
    match check(count) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Lets the calling thread's timed waits end at most a microsecond late (`PR_SET_TIMERSLACK`), as far as the kernel can.
pub fn wake_punctually() {
    // SAFETY: takes integers only, and concerns this thread alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong) };
}

fn check(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn clocks_go_forward() {
        let (wall, cpu) = (wall_ns(), thread_cpu_ns());
        let mut sum = 0_u64;
        for number in 0..100_000_u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        assert!(wall_ns() > wall && thread_cpu_ns() > cpu, "{sum}");
    }

    #[test]
    fn epoll_reports_the_readable_one() {
        let mut epoll = Epoll::new(4).unwrap();
        let (mut left, right) = UnixStream::pair().unwrap();
        epoll.add(&left, 7).unwrap();
        epoll.add(&right, 9).unwrap();
        assert_eq!(epoll.wait(0).unwrap(), 0);
        left.write_all(b"x").unwrap();
        assert_eq!(epoll.wait(0).unwrap(), 1);
        assert_eq!(epoll.token(0), 9);
        assert!(epoll.add(&right, 9).is_err(), "watched twice");
        epoll.remove(&right).unwrap();
        assert_eq!(epoll.wait(0).unwrap(), 0);
        assert!(epoll.remove(&right).is_err(), "it is not watched");
    }

    #[test]
    fn a_call_comes_from_the_address_that_was_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(remote) = listener.local_addr().unwrap() else { panic!("no IPv4 address") };
        let mut epoll = Epoll::new(4).unwrap();
        let mut stream = call_from(Ipv4Addr::new(127, 0, 0, 9), remote).unwrap();
        epoll.add_calling(&stream, 3).unwrap();
        let (_server, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 9));
        assert_eq!((epoll.wait(1_000).unwrap(), epoll.token(0)), (1, 3));
        stream.write_all(b"x").unwrap();
        assert!(call_from(Ipv4Addr::new(192, 0, 2, 1), remote).is_err(), "an address of nobody's");
    }

    #[test]
    fn a_program_ends_when_it_is_asked_to() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        interrupt(&child).unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn an_unknown_congestion_control_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(set_congestion_control(&listener, "no-such").is_err());
        set_congestion_control(&listener, "reno").unwrap();
        set_linger_zero(&listener).unwrap();
    }

    #[test]
    fn the_descriptor_limit_is_at_least_what_is_open() {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        assert!(descriptor_limit_raise().unwrap() >= open);
    }

    #[test]
    fn a_fresh_session_has_sent_nothing_again() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(retransmitted(&stream).unwrap(), 0);
        assert!(retransmitted(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }
}
