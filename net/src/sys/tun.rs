//! The tun driver's requests (`linux/if_tun.h`).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::checked;
use super::interface::request;

/// Binds an open `/dev/net/tun` to the TAP interface `name`, which is made if it is not there, with a virtio-net header
/// of `header_len` bytes in front of each frame.
pub(crate) fn attach(device: &File, name: &str, multi_queue: bool, header_len: u16) -> io::Result<()> {
    let mut request = request(name)?;
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if multi_queue {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the operation reads and writes one `ifreq`, which is alive for the call.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, std::ptr::from_mut(&mut request)) })?;
    let header_len = libc::c_int::from(header_len);
    // SAFETY: the operation reads one integer, which is alive for the call.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, std::ptr::from_ref(&header_len)) })?;
    Ok(())
}

/// Lets the kernel hand over partial checksums and TCP super-frames.
pub(crate) fn accept_offloads(device: &File) -> io::Result<()> {
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    // SAFETY: the operation takes the flags themselves as its argument.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::c_ulong::from(offloads)) })?;
    Ok(())
}

/// Lets a loaded socket-filter program say which queue a frame goes to.
pub(crate) fn steer(device: &File, program: BorrowedFd<'_>) -> io::Result<()> {
    let program = program.as_raw_fd();
    // SAFETY: the operation reads one integer, which is alive for the call.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETSTEERINGEBPF as _, std::ptr::from_ref(&program)) })?;
    Ok(())
}
