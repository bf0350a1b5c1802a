//! Namespaces of threads and processes (`namespaces(7)`), and who this process is.
#![allow(unsafe_code, reason = "the system calls of namespaces have no safe binding among the dependencies")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// This thread's network namespace.
pub(crate) fn namespace() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Moves this thread into a new network namespace.
pub(crate) fn leave() -> io::Result<()> {
    // SAFETY: takes integers only, and concerns this thread alone.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Moves this thread into a network namespace.
pub(crate) fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: takes integers only, and concerns this thread alone.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Moves this process, which has one thread, into a new user namespace, and into a network namespace that belongs to it:
/// into the one before it could not go back.
pub(crate) fn leave_user() -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })
}

/// Whether this process may do as root does, if only in its own user namespace.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The user and the group.
pub(crate) fn ids() -> (u32, u32) {
    // SAFETY: both take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}
