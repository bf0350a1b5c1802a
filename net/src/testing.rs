//! A network of its own for a test of devices: the test's thread in a fresh network namespace, virtual cables and TAP
//! interfaces in it, and a packet socket as the far end. Nothing on the host is touched.
//!
//! It needs root, or a host that gives ordinary users namespaces, and the `ip` tool; a test without skips, and says
//! why.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpb_base::limits::{BURST_LEN_MAX, PACKET_BUFFER_LEN};

use crate::conformance::FarEnd;
use crate::frame::Bursts;
use crate::offload::{HEADER_LEN, Slots, VirtioHeader, complete_checksum};
use crate::port::{HardwareAddress, PortCounters};
use crate::sys::interface::{self, Control};
use crate::sys::packet::PacketSocket;
use crate::sys::testing as sys;

/// Set in the process that runs one test again in a user namespace of its own.
const INSIDE: &str = "HPB_SANDBOX_INSIDE";

/// How long a test waits for what must come. Far longer than any device takes: the host may be busy with something else.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Tests of one process take turns. A program that one starts holds copies of all the process' descriptors until it runs:
/// for that long the ports and interfaces of another would outlive their end.
static TURN: Mutex<()> = Mutex::new(());

/// Somebody who waits, for at most [`PATIENCE`].
pub(crate) struct Waiter {
    started_at: std::time::Instant,
}

impl Waiter {
    #[allow(clippy::disallowed_methods, reason = "a test waits for a real device")]
    pub(crate) fn new() -> Self {
        Self { started_at: std::time::Instant::now() }
    }

    /// Lets others run; false once it has waited in vain.
    pub(crate) fn wait(&self) -> bool {
        std::thread::yield_now();
        self.started_at.elapsed() < PATIENCE
    }
}

/// Tries until `attempt` has a result: a device needs a moment, and so does the host.
///
/// # Panics
/// If [`PATIENCE`] is at its end: `what` was waited for.
pub fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let waiter = Waiter::new();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(waiter.wait(), "waited in vain for {what}");
    }
}

/// Why a test cannot run here.
#[derive(Debug, thiserror::Error)]
#[error("skipped: {0}")]
pub struct Skip(pub String);

impl Skip {
    fn new(what: &str, error: &io::Error) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// A fresh network namespace around this thread, until it is dropped; one at a time in a process.
pub struct Sandbox {
    before: File,
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A thread that cannot go back stays in its namespace, which ends with it.
        let _ = sys::enter(&self.before);
    }
}

impl Sandbox {
    /// Moves this thread into a network namespace of its own, without IPv6 so that the kernel itself sends nothing.
    ///
    /// # Errors
    /// [`Skip`] if this process may not.
    pub fn enter() -> Result<Self, Skip> {
        // A test that failed in its turn left nothing behind but its own sandbox, which is gone.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sys::leave().map_err(|error| Skip::new("a network namespace needs root", &error))?;
        let sandbox = Self { before, _turn: turn };
        for scope in ["all", "default"] {
            // Absent where the kernel has no IPv6 at all.
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
        }
        sandbox.ip("link set lo up")?;
        Ok(sandbox)
    }

    /// Runs `body` in a sandbox, or prints why not. `test` is the calling test's own full name: an ordinary user's test
    /// runs again in a process of its own, in a user namespace in which it is root.
    ///
    /// # Panics
    /// If the test fails in that process.
    pub fn run(test: &str, body: impl FnOnce(&Self)) {
        let entered = if sys::is_root() { Self::enter() } else { Err(Skip("needs root or user namespaces".into())) };
        match entered {
            Ok(sandbox) => body(&sandbox),
            Err(skip) if std::env::var_os(INSIDE).is_some() => report(test, &skip),
            Err(_) => run_again(test),
        }
    }

    /// Runs `ip` with these arguments.
    ///
    /// # Errors
    /// [`Skip`] if there is no such tool, or it refuses.
    pub fn ip(&self, arguments: &str) -> Result<(), Skip> {
        let output = Command::new("ip")
            .args(arguments.split_whitespace())
            .output()
            .map_err(|error| Skip::new("the tool `ip` (package iproute2)", &error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Skip(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Lays a virtual cable between two new interfaces, both up.
    ///
    /// # Errors
    /// [`Skip`] if the kernel has none, or the names are taken.
    pub fn veth(&self, near: &str, far: &str) -> Result<(), Skip> {
        self.ip(&format!("link add name {near} type veth peer name {far}"))?;
        for name in [near, far] {
            self.ip(&format!("link set dev {name} up"))?;
        }
        [near, far].into_iter().try_for_each(await_carrier)
    }

    /// Makes a TAP interface that outlives its users, up.
    ///
    /// # Errors
    /// [`Skip`] if the kernel has none, or the name is taken.
    pub fn tap(&self, name: &str) -> Result<(), Skip> {
        if !fs::exists("/dev/net/tun").unwrap_or(false) {
            return Err(Skip("there is no /dev/net/tun: `modprobe tun`".into()));
        }
        self.ip(&format!("tuntap add dev {name} mode tap vnet_hdr"))?;
        self.ip(&format!("link set dev {name} up"))
    }

    /// Whether the interface completes checksums and cuts super-frames by itself; if not, the kernel does before.
    ///
    /// # Errors
    /// [`Skip`] if the interface cannot.
    pub fn set_offloads(&self, name: &str, on: bool) -> Result<(), Skip> {
        sys::set_offloads(name, on).map_err(|error| Skip::new("the interface's offloads", &error))
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// [`Skip`] if there is no such interface.
    pub fn set_up(&self, name: &str, up: bool) -> Result<(), Skip> {
        set_up(name, up).map_err(|error| Skip::new("an interface's state", &error))
    }
}

fn await_carrier(name: &str) -> Result<(), Skip> {
    Control::open()
        .and_then(|control| control.await_carrier(name))
        .map_err(|error| Skip::new("an interface's carrier", &error))
}

fn set_up(name: &str, up: bool) -> io::Result<()> {
    Control::open()?.set_up(name, up)
}

#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn report(test: &str, skip: &Skip) {
    eprintln!("{test} {skip}");
}

/// Runs this test alone in a process that is root in a user namespace of its own.
fn run_again(test: &str) {
    let namespaces = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !namespaces.is_ok_and(|output| output.status.success()) {
        return report(test, &Skip("needs root, or user namespaces and the tool `unshare`".into()));
    }
    let Ok(program) = std::env::current_exe() else { return report(test, &Skip("the test has no program".into())) };
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(program)
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{test} failed in its own namespace");
}

/// A packet socket on an interface, as the far end of a port: of the other interface of a cable, or of a TAP's own.
/// It takes and sends what a cable would carry: checksums are completed, super-frames cut.
pub struct PacketFarEnd {
    socket: PacketSocket,
    hardware: HardwareAddress,
    links: Vec<String>,
    slots: Slots,
    bursts: Bursts,
    counters: PortCounters,
    taken: VecDeque<Vec<u8>>,
    has_offloads: bool,
}

impl PacketFarEnd {
    /// Opens one on `interface`; `links` are the interfaces that pull the cable out when they go down.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(interface: &str, links: &[&str]) -> io::Result<Self> {
        let index = interface::index(interface).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        let hardware = Control::open()?.hardware(interface)?.unwrap_or_default();
        let socket = PacketSocket::open()?;
        socket.set_packet(libc::PACKET_VNET_HDR, 1)?;
        socket.set_packet(libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set_buffers(PACKET_BUFFER_LEN)?;
        socket.bind(index)?;
        Ok(Self {
            socket,
            hardware,
            links: links.iter().map(ToString::to_string).collect(),
            slots: Slots::new(BURST_LEN_MAX, hardware),
            bursts: Bursts::new(4 * BURST_LEN_MAX),
            counters: PortCounters::default(),
            taken: VecDeque::new(),
            has_offloads: true,
        })
    }

    /// It sends nothing with a checksum left open, and no super-frame: for a port below which nobody completes them.
    #[must_use]
    pub fn without_offloads(mut self) -> Self {
        self.has_offloads = false;
        self
    }

    fn send(&mut self, header: VirtioHeader, frame: &[u8]) -> bool {
        let header: [u8; HEADER_LEN] = header.to_bytes();
        self.socket.send(&[IoSlice::new(&header), IoSlice::new(frame)], std::iter::once(2)).is_ok_and(|sent| sent == 1)
    }

    fn receive(&mut self) {
        if !self.slots.is_waiting() {
            let stocked = self.slots.stock(BURST_LEN_MAX, &mut self.bursts.pool);
            let (places, arrivals) = self.slots.places(stocked);
            let Ok(count) = self.socket.receive(places, arrivals) else { return };
            self.slots.fill(count);
        }
        self.slots.drain(&mut self.bursts, &mut self.counters);
        for mut frame in self.bursts.rx.drain(..) {
            if let Some(partial) = frame.partial() {
                // A frame whose checksum lies outside of it was not handed on.
                let _ = complete_checksum(frame.bytes_mut(), partial);
            }
            self.taken.push_back(frame.bytes().to_vec());
            self.bursts.pool.give(frame);
        }
    }
}

impl FarEnd for PacketFarEnd {
    fn hardware(&self) -> HardwareAddress {
        self.hardware
    }

    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2))
    }

    fn inject(&mut self, frame: &[u8]) -> bool {
        self.send(VirtioHeader::default(), frame)
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        if self.taken.is_empty() {
            self.receive();
        }
        self.taken.pop_front()
    }

    fn inject_offloaded(&mut self, header: VirtioHeader, frame: &[u8]) -> bool {
        self.has_offloads && self.send(header, frame)
    }

    fn link_count(&self) -> usize {
        self.links.len()
    }

    fn set_link(&mut self, link: usize, up: bool) {
        let set = set_up(&self.links[link], up);
        assert!(set.is_ok(), "{}: {set:?}", self.links[link]);
    }
}
