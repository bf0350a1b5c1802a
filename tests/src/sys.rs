//! Three system calls of the kernel's peers that the standard library lacks.
#![allow(unsafe_code, reason = "socket options and poll have no safe binding among the dependencies")]

use std::io;
use std::os::fd::RawFd;

/// Sets an integer option of a socket.
pub(crate) fn set_option(descriptor: RawFd, level: i32, name: i32, value: u32) -> io::Result<()> {
    let len = size_of::<u32>() as libc::socklen_t;
    // SAFETY: `value` is valid for the read of `len` bytes and outlives the call.
    let status = unsafe { libc::setsockopt(descriptor, level, name, (&raw const value).cast(), len) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets `backlog` sessions wait to be accepted by a listener.
pub(crate) fn listen(descriptor: RawFd, backlog: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    if unsafe { libc::listen(descriptor, backlog) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until a socket takes bytes.
pub(crate) fn wait_writable(descriptor: RawFd, timeout_ms: i32) -> io::Result<()> {
    let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid entry that outlives the call.
    match unsafe { libc::poll(&raw mut entry, 1, timeout_ms) } {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        status if status < 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
