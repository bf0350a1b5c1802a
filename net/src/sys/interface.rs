//! What the kernel knows of a network interface, and its flags (netdevice(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{checked, ethtool};
use crate::port::HardwareAddress;

/// How often a carrier is looked for, and how far apart: an older kernel may take a second to note one.
const CARRIER_LOOKS_MAX: u32 = 750;
const CARRIER_LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(2);

/// A socket to ask about interfaces; it carries no data.
pub(crate) struct Control {
    socket: OwnedFd,
}

/// An interface's name as the kernel takes it: at most 15 bytes and a zero.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain integers and a union of such; all zeros is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(request)
}

/// An interface's number; `None` if there is no such interface.
pub(crate) fn index(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` is a string with its zero, alive for the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

impl Control {
    /// Opens the socket.
    pub(crate) fn open() -> io::Result<Self> {
        // SAFETY: takes integers only.
        let socket = checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(socket) } })
    }

    pub(super) fn ask(&self, operation: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: all operations of `sys` read and write one `ifreq` and what it points to, alive for the call.
        checked(unsafe { libc::ioctl(self.socket.as_raw_fd(), operation as _, std::ptr::from_mut(request)) })?;
        Ok(())
    }

    /// The interface's Ethernet address; `None` if it is of another kind.
    pub(crate) fn hardware(&self, name: &str) -> io::Result<Option<HardwareAddress>> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: the kernel has just written this member.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        let is_ethernet = address.sa_family == libc::ARPHRD_ETHER;
        Ok(is_ethernet.then(|| std::array::from_fn(|at| address.sa_data[at].cast_unsigned())))
    }

    /// The largest IP packet in bytes that the interface takes.
    pub(crate) fn mtu(&self, name: &str) -> io::Result<usize> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the kernel has just written this member.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        Ok(usize::try_from(mtu).unwrap_or(0))
    }

    /// Gives the interface another Ethernet address.
    pub(crate) fn set_hardware(&self, name: &str, hardware: HardwareAddress) -> io::Result<()> {
        let mut request = request(name)?;
        let mut sa_data = [0; 14];
        for (place, byte) in sa_data.iter_mut().zip(hardware) {
            *place = byte.cast_signed();
        }
        request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data };
        self.ask(libc::SIOCSIFHWADDR, &mut request)
    }

    /// Sets the largest IP packet in bytes that the interface takes.
    pub(crate) fn set_mtu(&self, name: &str, mtu: usize) -> io::Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_mtu = libc::c_int::try_from(mtu).unwrap_or(libc::c_int::MAX);
        self.ask(libc::SIOCSIFMTU, &mut request)
    }

    fn flags(&self, name: &str) -> io::Result<libc::ifreq> {
        let mut request = request(name)?;
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        Ok(request)
    }

    /// Whether the interface is up and has a carrier.
    pub(crate) fn is_running(&self, name: &str) -> io::Result<bool> {
        let request = self.flags(name)?;
        // SAFETY: the kernel has just written this member.
        let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        Ok(flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0)
    }

    /// Waits until an interface that is up has its carrier: a worker of the kernel notes that a while after both ends
    /// are there, late on a busy host, and what is sent before is lost without a word. One that gets none in time, or is
    /// down, is left as it is.
    #[allow(clippy::disallowed_methods, reason = "an interface is opened by a person's order, once")]
    pub(crate) fn await_carrier(&self, name: &str) -> io::Result<()> {
        for _ in 0..CARRIER_LOOKS_MAX {
            let request = self.flags(name)?;
            // SAFETY: the kernel has just written this member.
            let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
            // After the look: the flag shows before queues and bridges know, and these are through once this is answered.
            let _ = ethtool::settle_link(self, name);
            if flags & libc::IFF_UP == 0 || flags & libc::IFF_RUNNING != 0 {
                break;
            }
            std::thread::sleep(CARRIER_LOOK_EVERY);
        }
        Ok(())
    }

    /// Sets the interface up or down.
    pub(crate) fn set_up(&self, name: &str, up: bool) -> io::Result<()> {
        let mut request = self.flags(name)?;
        // SAFETY: the kernel has just written this member.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        let bit = libc::IFF_UP as libc::c_short;
        request.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
        self.ask(libc::SIOCSIFFLAGS, &mut request)
    }
}
