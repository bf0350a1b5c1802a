//! DPDK's calls behind types that keep their rules: what is created is freed once, what is received is released, and
//! no pointer outlives what it points to.
#![allow(unsafe_code, reason = "calls of C functions")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use hpb_base::limits::BURST_LEN_MAX;
use hpb_dpdk_sys as dpdk;

pub(super) use dpdk::Info;

const _: () = assert!(BURST_LEN_MAX <= dpdk::BURST_LEN_MAX);

/// Starts DPDK with `arguments`; once a process, and it binds the calling thread.
pub(super) fn init(arguments: &[String]) -> io::Result<()> {
    let mut strings = vec![c"hpb".to_owned()];
    for argument in arguments {
        strings.push(text(argument)?);
    }
    // DPDK keeps pointers into them and permutes the array: both live as long as the process.
    let pointers: Vec<*mut c_char> = strings.into_iter().map(CString::into_raw).collect();
    let count = c_int::try_from(pointers.len()).map_err(io::Error::other)?;
    let pointers = pointers.leak();
    // SAFETY: `pointers` holds `count` strings that are never freed.
    result(unsafe { dpdk::hpb_dpdk_init(count, pointers.as_mut_ptr()) }).map(|_| ())
}

fn text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a zero byte in a name or argument"))
}

fn result(value: c_int) -> io::Result<u16> {
    u16::try_from(value).map_err(|_| io::Error::from_raw_os_error(value.wrapping_neg()))
}

/// The calling thread's id; given back when dropped.
pub(super) struct Registration {
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Registration {
    /// `None` if DPDK has no id left. DPDK runs.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: called on any thread; refuses one that is registered.
        (unsafe { dpdk::hpb_dpdk_thread_register() } == 0).then_some(Self { _thread: PhantomData })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: this thread is registered, for a registration does not leave it.
        unsafe { dpdk::hpb_dpdk_thread_unregister() }
    }
}

/// A pool of mbufs.
pub(super) struct Pool(NonNull<c_void>);

// SAFETY: a pool is taken from and given to by any thread (rte_mempool.h).
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// `count` mbufs with `room` bytes each.
    pub(super) fn new(name: &str, count: u32, cache: u32, room: u16) -> io::Result<Self> {
        let name = text(name)?;
        // SAFETY: `name` is a string, and is copied.
        let pool = unsafe { dpdk::hpb_dpdk_pool_create(name.as_ptr(), count, cache, room) };
        NonNull::new(pool).map(Self).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// Mbufs that are free.
    pub(super) fn available(&self) -> usize {
        // SAFETY: the pool exists.
        unsafe { dpdk::hpb_dpdk_pool_available(self.0.as_ptr()) as usize }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: devices and rings that use a pool are dropped before it (`super::device::Stock`).
        unsafe { dpdk::hpb_dpdk_pool_free(self.0.as_ptr()) }
    }
}

/// A ring of mbufs.
pub(super) struct Ring(NonNull<c_void>);

// SAFETY: only the two devices use it, each end by one thread.
unsafe impl Send for Ring {}
// SAFETY: as above; a shared reference can do nothing but make a device.
unsafe impl Sync for Ring {}

impl Ring {
    /// A ring for `depth` mbufs.
    pub(super) fn new(name: &str, depth: usize) -> io::Result<Self> {
        let name = text(name)?;
        // SAFETY: `name` is a string, and is copied.
        let ring = unsafe { dpdk::hpb_dpdk_ring_create(name.as_ptr(), depth as u32) };
        NonNull::new(ring).map(Self).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the devices that use a ring are dropped before it (`super::device::Stock`).
        unsafe { dpdk::hpb_dpdk_ring_free(self.0.as_ptr()) }
    }
}

/// Makes a device that receives from `rx` and sends to `tx`, which outlive it; its port.
pub(super) fn ring_port(name: &str, rx: &Ring, tx: &Ring) -> io::Result<u16> {
    let name = text(name)?;
    // SAFETY: `name` is copied; the rings exist.
    result(unsafe { dpdk::hpb_dpdk_ring_port(name.as_ptr(), rx.0.as_ptr(), tx.0.as_ptr()) })
}

/// All ports and their names.
pub(super) fn ports() -> Vec<(u16, String)> {
    let mut ports = Vec::new();
    let mut from = 0;
    loop {
        let mut name = [0; dpdk::NAME_LEN_MAX];
        // SAFETY: `name` has the room that is asked for.
        let port = unsafe { dpdk::hpb_dpdk_next(from, name.as_mut_ptr()) };
        let Ok(port) = u16::try_from(port) else { return ports };
        // SAFETY: it was filled with a string that ends within its room.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        ports.push((port, name.to_string_lossy().into_owned()));
        from = port + 1;
    }
}

/// What a port is and does.
pub(super) fn info(port: u16) -> io::Result<Info> {
    let mut info = Info::default();
    // SAFETY: `info` is there to be filled; a port that does not exist is an error.
    result(unsafe { dpdk::hpb_dpdk_info(port, &raw mut info) }).map(|_| info)
}

/// Configures and starts a port over `pool`, which outlives it; the error names the step that failed.
pub(super) fn start(
    port: u16,
    queues: u16,
    descriptors: u16,
    pool: &Pool,
    key: &[u8],
) -> Result<(), (String, io::Error)> {
    let mut step: *const c_char = ptr::null();
    let pool = pool.0.as_ptr();
    let key_len = key.len() as u8;
    // SAFETY: `key` has `key_len` bytes and is copied; the pool exists; `step` is there to be filled.
    let started =
        unsafe { dpdk::hpb_dpdk_start(port, queues, descriptors, pool, key.as_ptr(), key_len, &raw mut step) };
    result(started).map(|_| ()).map_err(|error| {
        // SAFETY: it was set to a static string.
        let step = unsafe { CStr::from_ptr(step) };
        (step.to_string_lossy().into_owned(), error)
    })
}

/// The length of a started port's table behind its hash; zero if it does not follow `key`.
pub(super) fn rss(port: u16, queues: u16, key: &[u8]) -> usize {
    // SAFETY: `key` has as many bytes as is said, and is copied.
    unsafe { dpdk::hpb_dpdk_rss(port, queues, key.as_ptr(), key.len() as u8) as usize }
}

/// A started port's MTU.
pub(super) fn mtu(port: u16) -> usize {
    // SAFETY: reads; a port that does not exist has the usual MTU.
    unsafe { dpdk::hpb_dpdk_mtu(port) as usize }
}

/// Whether a port's link is up.
pub(super) fn link_is_up(port: u16) -> bool {
    // SAFETY: reads; a port that does not exist has no link.
    unsafe { dpdk::hpb_dpdk_link(port) == 1 }
}

/// Frames that a port lost for want of a descriptor or an mbuf.
pub(super) fn missed(port: u16) -> u64 {
    // SAFETY: reads; a port that does not exist has lost nothing.
    unsafe { dpdk::hpb_dpdk_missed(port) }
}

/// Stops and closes a port, and removes its device if `detach`. Nobody receives from it or sends to it any more.
pub(super) fn close(port: u16, detach: bool) {
    // SAFETY: the device that owns the port is being dropped, and each of its queues holds that device.
    unsafe { dpdk::hpb_dpdk_close(port, c_int::from(detach)) }
}

/// One receive and one send queue of a started port, and the arrays that its bursts cross in.
pub(super) struct Queue {
    port: u16,
    index: u16,
    mbufs: [*mut c_void; BURST_LEN_MAX],
    received: [dpdk::Received; BURST_LEN_MAX],
    outgoing: [dpdk::Outgoing; BURST_LEN_MAX],
}

// SAFETY: the pointers are used within one call of `receive` or `send` and its burst only; a queue may change threads.
unsafe impl Send for Queue {}

impl Queue {
    /// Queue `index` of `port`, which no other `Queue` stands for and which stays open as long as this.
    pub(super) fn new(port: u16, index: u16) -> Self {
        let received = dpdk::Received { data: ptr::null(), len: 0, segments: 0, checksum: 0 };
        let outgoing = dpdk::Outgoing { data: ptr::null(), len: 0, l2_len: 0, l3_len: 0, checksum: 0 };
        Self {
            port,
            index,
            mbufs: [ptr::null_mut(); BURST_LEN_MAX],
            received: [received; BURST_LEN_MAX],
            outgoing: [outgoing; BURST_LEN_MAX],
        }
    }

    /// Receives up to `count` frames (held at [`BURST_LEN_MAX`]).
    pub(super) fn receive(&mut self, count: usize) -> Burst<'_> {
        let count = count.min(BURST_LEN_MAX) as u16;
        let mbufs = self.mbufs.as_mut_ptr();
        let received = self.received.as_mut_ptr();
        // SAFETY: both arrays have room for `count`; the queue is open and this thread's.
        let count = unsafe { dpdk::hpb_dpdk_receive(self.port, self.index, mbufs, received, count) };
        Burst { queue: self, count: count as usize }
    }

    /// Sends copies of up to [`BURST_LEN_MAX`] frames through mbufs of `pool`.
    pub(super) fn send<'frames>(&mut self, pool: &Pool, frames: impl Iterator<Item = Outgoing<'frames>>) -> Sent {
        let mut offered = 0;
        for (place, frame) in self.outgoing.iter_mut().zip(frames) {
            let (l2_len, l3_len, checksum) = match frame.checksum {
                Some(Checksum { ethernet_len, ip_len, version }) => (ethernet_len, ip_len, version),
                None => (0, 0, 0),
            };
            let len = frame.bytes.len() as u16;
            *place = dpdk::Outgoing { data: frame.bytes.as_ptr(), len, l2_len, l3_len, checksum };
            offered += 1;
        }
        if offered == 0 {
            return Sent { offered, taken: 0, refused: false };
        }
        let mut refused = 0;
        let pool = pool.0.as_ptr();
        let outgoing = self.outgoing.as_ptr();
        // SAFETY: the first `offered` places describe frames that are borrowed until the end of this call.
        let taken =
            unsafe { dpdk::hpb_dpdk_send(self.port, self.index, pool, outgoing, offered as u16, &raw mut refused) };
        Sent { offered, taken: taken as usize, refused: refused != 0 }
    }
}

/// A frame to send.
pub(super) struct Outgoing<'frame> {
    /// Its bytes; fewer than 64 Ki.
    pub(super) bytes: &'frame [u8],
    /// What of its checksum the device completes.
    pub(super) checksum: Option<Checksum>,
}

/// A TCP checksum that the device completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Checksum {
    /// Bytes in front of the IP header.
    pub(super) ethernet_len: u16,
    /// Bytes of the IP header and its extensions.
    pub(super) ip_len: u16,
    /// 4 or 6.
    pub(super) version: u16,
}

/// What became of frames to send.
pub(super) struct Sent {
    /// Frames that were given.
    pub(super) offered: usize,
    /// The first of them, which are on their way.
    pub(super) taken: usize,
    /// The one after those can never be sent.
    pub(super) refused: bool,
}

/// Received frames; released when dropped.
pub(super) struct Burst<'queue> {
    queue: &'queue mut Queue,
    count: usize,
}

impl Burst<'_> {
    /// The frames, oldest first.
    pub(super) fn frames(&self) -> impl Iterator<Item = Received<'_>> {
        let received = &self.queue.received[..self.count];
        received.iter().zip(&self.queue.mbufs).map(|(received, mbuf)| Received { received, mbuf: *mbuf })
    }
}

impl Drop for Burst<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            // SAFETY: the first `count` mbufs were received by this burst and are released here only.
            unsafe { dpdk::hpb_dpdk_release(self.queue.mbufs.as_mut_ptr(), self.count as u16) }
        }
    }
}

/// One received frame.
pub(super) struct Received<'burst> {
    received: &'burst dpdk::Received,
    mbuf: *mut c_void,
}

impl Received<'_> {
    /// Bytes of all its segments.
    pub(super) fn len(&self) -> usize {
        self.received.len as usize
    }

    /// Whether the device says that its TCP checksum is right.
    pub(super) fn is_verified(&self) -> bool {
        self.received.checksum == dpdk::CHECKSUM_GOOD
    }

    /// Copies all its bytes to `to`, which is as long; false if its segments contradict their sum.
    pub(super) fn copy_to(&self, to: &mut [u8]) -> bool {
        debug_assert_eq!(to.len(), self.len(), "a frame is copied whole");
        if self.received.segments == 1 && to.len() == self.len() {
            // SAFETY: the only segment holds all `len` bytes, and lives as long as the burst.
            let bytes = unsafe { std::slice::from_raw_parts(self.received.data, self.len()) };
            to.copy_from_slice(bytes);
            return true;
        }
        // SAFETY: the mbuf lives as long as the burst; `to` has room for as many bytes as are asked for.
        unsafe { dpdk::hpb_dpdk_gather(self.mbuf, to.as_mut_ptr(), to.len() as u32) == 1 }
    }
}
