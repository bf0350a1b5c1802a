//! Hosts of our own on this machine: network namespaces with cables, bridges and TAP interfaces between them, for tests,
//! benches and devnets over the kernel's network. What is made here goes when its last holder goes; nothing of the
//! machine's own network is touched.
//!
//! It needs root, or a machine that gives ordinary users namespaces ([`become_root`]), and the `ip` tool (iproute2).

mod sys;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;

pub use sys::is_root;

/// Why there is no such host.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel refused something.
    #[error("{0}: {1}; run it as root, or allow user namespaces (`sysctl user.max_user_namespaces`)")]
    Namespace(&'static str, io::Error),
    /// The tool is missing.
    #[error("the tool `{0}` is missing: install the package {1}")]
    Tool(&'static str, &'static str),
    /// The tool refused something.
    #[error("{command}: {said}")]
    Refused {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
}

/// A network of its own: interfaces, addresses, routes and sockets that see nothing of other hosts but by cable.
#[derive(Debug)]
pub struct Host {
    namespace: File,
}

impl Host {
    /// A host whose loopback is up, and whose kernel says nothing by IPv6 unless it is given such an address.
    ///
    /// # Errors
    /// [`SandboxError::Namespace`] if this process may not.
    pub fn new() -> Result<Self, SandboxError> {
        let before = sys::namespace().map_err(|error| SandboxError::Namespace("opening a namespace", error))?;
        sys::leave().map_err(|error| SandboxError::Namespace("a network namespace of its own", error))?;
        let host = sys::namespace().map(|namespace| Self { namespace });
        // Absent where the kernel has no IPv6 at all: then there is nothing to keep quiet.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/router_solicitations", "0");
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1");
        sys::enter(&before).map_err(|error| SandboxError::Namespace("going back to a namespace", error))?;
        let host = host.map_err(|error| SandboxError::Namespace("opening a namespace", error))?;
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// The host that this thread is in now.
    ///
    /// # Errors
    /// [`SandboxError::Namespace`] if the kernel does not show it.
    pub fn here() -> Result<Self, SandboxError> {
        let namespace = sys::namespace().map_err(|error| SandboxError::Namespace("opening a namespace", error))?;
        Ok(Self { namespace })
    }

    /// Runs `work` on this thread inside the host: sockets that it opens belong there for good.
    ///
    /// # Errors
    /// [`SandboxError::Namespace`] if the thread cannot enter, or cannot go back (then it stays inside).
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Result<R, SandboxError> {
        let failed = |error| SandboxError::Namespace("entering a namespace", error);
        let before = sys::namespace().map_err(failed)?;
        sys::enter(&self.namespace).map_err(failed)?;
        let result = work();
        sys::enter(&before).map_err(failed)?;
        Ok(result)
    }

    /// Runs `ip` inside with these arguments.
    ///
    /// # Errors
    /// [`SandboxError`]: there is no such tool, or it refuses.
    pub fn ip(&self, arguments: &str) -> Result<(), SandboxError> {
        self.command("ip", "iproute2", arguments)
    }

    /// Turns an interface's checksum and segmentation offloads on or off: a port that sees raw frames (`AF_XDP`) needs
    /// those of the cable's other end off.
    ///
    /// # Errors
    /// [`SandboxError`]: there is no such tool, or it refuses.
    pub fn set_offloads(&self, interface: &str, on: bool) -> Result<(), SandboxError> {
        let state = if on { "on" } else { "off" };
        self.command("ethtool", "ethtool", &format!("-K {interface} tx {state} tso {state} gso {state} gro {state}"))
    }

    /// A program that will run inside, with this thread's other surroundings.
    ///
    /// # Errors
    /// [`SandboxError::Namespace`] if the thread cannot enter or go back.
    pub fn spawn(&self, command: &mut Command) -> Result<io::Result<std::process::Child>, SandboxError> {
        self.run(|| command.spawn())
    }

    fn command(&self, tool: &'static str, package: &'static str, arguments: &str) -> Result<(), SandboxError> {
        let output = self
            .run(|| Command::new(tool).args(arguments.split_whitespace()).output())?
            .map_err(|_| SandboxError::Tool(tool, package))?;
        if output.status.success() {
            return Ok(());
        }
        Err(SandboxError::Refused {
            command: format!("{tool} {arguments}"),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Gives an interface an address, as `10.0.0.1/24`.
    ///
    /// # Errors
    /// [`SandboxError`] if `ip` refuses.
    pub fn address(&self, interface: &str, address: &str) -> Result<(), SandboxError> {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface}{nodad}"))
    }
}

impl AsFd for Host {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// Lays a virtual cable between an interface of one host and one of another (or of the same), both up, with `queues`
/// queues at each end.
///
/// # Errors
/// [`SandboxError`] if `ip` refuses: a name is taken or longer than 15 bytes.
pub fn cable(near: (&Host, &str), far: (&Host, &str), queues: usize) -> Result<(), SandboxError> {
    use std::os::fd::AsRawFd as _;
    let ((near_host, near_name), (far_host, far_name)) = (near, far);
    let process = std::process::id();
    let far_descriptor = far_host.namespace.as_raw_fd();
    let count = format!("numrxqueues {queues} numtxqueues {queues}");
    near_host.ip(&format!(
        "link add {near_name} {count} type veth peer name {far_name} {count} netns /proc/{process}/fd/{far_descriptor}"
    ))?;
    near_host.ip(&format!("link set {near_name} up"))?;
    far_host.ip(&format!("link set {far_name} up"))
}

/// Makes an ordinary user root in a user namespace of its own, so that the process can make hosts. Does nothing for
/// root. The process must have a single thread, and sees nothing of the machine's network afterwards.
///
/// # Errors
/// [`SandboxError::Namespace`] if the machine gives ordinary users none.
pub fn become_root() -> Result<(), SandboxError> {
    if sys::is_root() {
        return Ok(());
    }
    let failed = |error| SandboxError::Namespace("a user namespace of its own", error);
    let (user, group) = sys::ids();
    sys::leave_user().map_err(failed)?;
    fs::write("/proc/self/setgroups", "deny").map_err(failed)?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).map_err(failed)?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1")).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]

    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn two_hosts_talk_over_a_cable_and_no_other_hears() {
        let (Ok(near), Ok(far)) = (Host::new(), Host::new()) else {
            return eprintln!("skipped: making network namespaces needs root");
        };
        cable((&near, "cable0"), (&far, "cable0"), 1).unwrap();
        near.address("cable0", "10.77.0.1/24").unwrap();
        far.address("cable0", "10.77.0.2/24").unwrap();
        let listener = near.run(|| TcpListener::bind("10.77.0.1:7").unwrap()).unwrap();
        let mut client = far.run(|| TcpStream::connect("10.77.0.1:7").unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"over the cable").unwrap();
        let mut heard = [0; 14];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"over the cable");
        assert!(TcpListener::bind("10.77.0.1:7").is_err(), "this thread is back where that address is not known");
        assert!(matches!(near.ip("link set cable9 up"), Err(SandboxError::Refused { .. })));
    }
}
