//! What tests of devices ask of the kernel: a network namespace of their own (`network_namespaces(7)`), an interface's
//! offloads (`linux/ethtool.h`), and to wait for a descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::checked;
use super::interface::{Control, request};

/// Moves this thread into a network namespace of its own; returns the one that it left.
pub(crate) fn leave() -> io::Result<File> {
    let before = File::open("/proc/thread-self/ns/net")?;
    // SAFETY: takes integers only, and concerns this thread alone.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    Ok(before)
}

/// Moves this thread into a namespace that it has been in.
pub(crate) fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: takes integers only, and concerns this thread alone.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Whether this process may do as root does, if only in its own user namespace.
pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Waits until one of `descriptors` is readable, at most `timeout_ms`; whether one is.
pub(crate) fn is_readable(descriptors: &[RawFd], timeout_ms: i32) -> io::Result<bool> {
    let mut polled: Vec<libc::pollfd> =
        descriptors.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: `polled` is that many entries, alive for the call.
    checked(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, timeout_ms) })?;
    Ok(polled.iter().any(|entry| entry.revents & libc::POLLIN != 0))
}

/// Lets the interface complete checksums and cut super-frames by itself, or has the kernel do both before.
pub(crate) fn set_offloads(name: &str, on: bool) -> io::Result<()> {
    /// `ETHTOOL_STXCSUM`, `ETHTOOL_STSO`, `ETHTOOL_SGSO`, `ETHTOOL_SGRO`.
    const SETTINGS: [u32; 4] = [0x17, 0x1f, 0x24, 0x2c];
    let control = Control::open()?;
    for setting in SETTINGS {
        // `struct ethtool_value`: what is set, and to what.
        let mut value = [setting, u32::from(on)];
        let mut request = request(name)?;
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        control.ask(libc::SIOCETHTOOL, &mut request)?;
    }
    Ok(())
}
