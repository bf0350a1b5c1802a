//! `AF_XDP`'s system calls and shared memory (`linux/if_xdp.h`, the kernel's `Documentation/networking/af_xdp.rst`):
//! sockets and their options. It decides nothing.
//!
//! What is shared with the kernel has a module of its own, [`shared`].
#![allow(unsafe_code, reason = "system calls, and memory that is shared with the kernel")]

pub(super) mod shared;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

pub(super) use libc::{xdp_desc as Descriptor, xdp_statistics as Statistics};

use shared::FrameMemory;

/// A socket, closed when it is dropped.
pub(crate) struct Socket {
    descriptor: OwnedFd,
}

impl Socket {
    fn new(family: libc::c_int, kind: libc::c_int) -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let descriptor = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the call just gave this descriptor to us alone.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }

    /// An `AF_XDP` socket without memory, rings and queue.
    pub(crate) fn xdp() -> io::Result<Self> {
        Self::new(libc::AF_XDP, libc::SOCK_RAW)
    }

    /// A packet socket that receives nothing: it holds memberships.
    pub(super) fn membership() -> io::Result<Self> {
        Self::new(libc::AF_PACKET, libc::SOCK_RAW)
    }

    pub(super) fn raw(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Sets a socket option.
    pub(super) fn set_option<T: Plain>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` is valid for the length given and outlives the call.
        let returned = unsafe { libc::setsockopt(self.raw(), level, option, std::ptr::from_ref(value).cast(), len) };
        check(returned).map(|_| ())
    }

    fn option<T: Plain>(&self, level: libc::c_int, option: libc::c_int) -> io::Result<T> {
        let mut value = T::zeroed();
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` is valid for writes of the length given, and whatever is written is a value of its type.
        let returned = unsafe { libc::getsockopt(self.raw(), level, option, (&raw mut value).cast(), &raw mut len) };
        check(returned)?;
        Ok(value)
    }

    /// Gives the socket the memory that its frames lie in; the kernel keeps its pages until the socket is closed.
    pub(super) fn register(&self, memory: &FrameMemory) -> io::Result<()> {
        let registration = libc::xdp_umem_reg {
            addr: memory.address() as u64,
            len: memory.len() as u64,
            chunk_size: memory.chunk_len(),
            ..libc::xdp_umem_reg::zeroed()
        };
        self.set_option(libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
    }

    /// Puts the socket on a queue of an interface; `flags` are those of `sxdp_flags`.
    pub(super) fn bind(&self, interface_index: u32, queue: u32, flags: u16) -> io::Result<()> {
        self.bind_beside(interface_index, queue, flags, 0)
    }

    /// Puts the socket on the same queue as `first`, whose memory, fill ring and completion ring it shares.
    pub(super) fn bind_shared(&self, interface_index: u32, queue: u32, first: &Self) -> io::Result<()> {
        self.bind_beside(interface_index, queue, libc::XDP_SHARED_UMEM, first.raw().cast_unsigned())
    }

    fn bind_beside(&self, interface_index: u32, queue: u32, flags: u16, shared: u32) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface_index,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: shared,
        };
        let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // SAFETY: `address` is valid for the length given and outlives the call.
        check(unsafe { libc::bind(self.raw(), (&raw const address).cast(), len) }).map(|_| ())
    }

    /// Whether the device works on the frame memory itself.
    pub(super) fn is_zero_copy(&self) -> io::Result<bool> {
        let options: libc::xdp_options = self.option(libc::SOL_XDP, libc::XDP_OPTIONS)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// What the kernel lost.
    pub(super) fn statistics(&self) -> io::Result<Statistics> {
        self.option(libc::SOL_XDP, libc::XDP_STATISTICS)
    }

    /// Has the kernel look at the send ring.
    pub(super) fn wake_send(&self) -> io::Result<()> {
        // SAFETY: the buffer's length is zero, so that its pointer is not followed.
        let returned =
            unsafe { libc::sendto(self.raw(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        check(returned as libc::c_int).map(|_| ())
    }

    /// Has the kernel look at the fill ring, and poll the device if the socket polls.
    pub(super) fn wake_receive(&self) {
        // SAFETY: the buffer's length is zero, so that its pointer is not followed; no address is asked for.
        unsafe {
            libc::recvfrom(
                self.raw(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What a structure of an option or a request is: plain integers, for which all bits zero, and any other, is a value.
///
/// # Safety
/// Only for such types.
pub(crate) unsafe trait Plain: Sized {
    /// All zeros.
    fn zeroed() -> Self {
        // SAFETY: zeros are a value of a type with this trait.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! plain {
    ($($type:ty),+) => { $(
        // SAFETY: it is made of integers, and of arrays and structures of them.
        unsafe impl Plain for $type {}
    )+ };
}

plain!(
    u32,
    i32,
    u64,
    Descriptor,
    libc::xdp_mmap_offsets,
    libc::xdp_umem_reg,
    libc::xdp_options,
    libc::xdp_statistics,
    libc::packet_mreq
);

/// Raises how much memory this process may lock: without bound, or as far as its hard limit.
pub(super) fn raise_locked_memory() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the write and outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return;
    }
    for cur in [libc::RLIM_INFINITY, limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: cur, rlim_max: cur };
        // SAFETY: `raised` is valid for the read and outlives the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const raised) } == 0 {
            return;
        }
    }
}

fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
