//! DPDK as C functions: a shim of our own with opaque pointers, one call a burst, no generated bindings.
//!
//! Empty unless the feature `dpdk` is on; then DPDK must be installed, and is linked. Nothing here is safe to call by
//! itself: `hpb_net::dpdk` is the one user and keeps the rules. It refuses to cover more of DPDK than a port needs.
#![cfg(feature = "dpdk")]
#![allow(unsafe_code, reason = "declarations of C functions")]

use std::ffi::{c_char, c_int, c_void};

/// Frames of one burst at most; the shim's `BURST_LEN_MAX`.
pub const BURST_LEN_MAX: usize = 64;
/// Bytes that [`hpb_dpdk_next`] may write of a name, its closing zero included (`RTE_ETH_NAME_MAX_LEN`).
pub const NAME_LEN_MAX: usize = 64;

/// What a device is and does.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// Its Ethernet address.
    pub hardware: [u8; 6],
    /// Pairs of a receive and a send queue.
    pub queues_max: u16,
    /// Bytes of its hash key; zero if it does not spread TCP over queues by a hash.
    pub rss_key_len: u16,
    /// One if it verifies the IPv4 header's and TCP's checksums.
    pub checksum_rx: u8,
    /// One if it completes them.
    pub checksum_tx: u8,
}

/// A received frame, valid until its mbuf is released.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The first segment's bytes.
    pub data: *const u8,
    /// Bytes of all segments.
    pub len: u32,
    /// Segments; one as a rule.
    pub segments: u16,
    /// What the device says of the TCP checksum: [`CHECKSUM_UNKNOWN`], [`CHECKSUM_GOOD`] or [`CHECKSUM_BAD`].
    pub checksum: u8,
}

/// The device has not looked.
pub const CHECKSUM_UNKNOWN: u8 = 0;
/// The checksum is right, or the frame never left its host.
pub const CHECKSUM_GOOD: u8 = 1;
/// The checksum is wrong.
pub const CHECKSUM_BAD: u8 = 2;

/// A frame to send.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Its bytes.
    pub data: *const u8,
    /// How many.
    pub len: u16,
    /// Bytes of the Ethernet header; for `checksum` only.
    pub l2_len: u16,
    /// Bytes of the IP header; for `checksum` only.
    pub l3_len: u16,
    /// 4 or 6 if the device is to complete the TCP checksum over that version of IP, else 0.
    pub checksum: u16,
}

const _: () = assert!(size_of::<Info>() == 12 && size_of::<Received>() == 16 && size_of::<Outgoing>() == 16);

unsafe extern "C" {
    /// `rte_eal_init`, once a process: `count` arguments, the program's name first, which live for ever. It binds the
    /// calling thread to a core. A negated error number on failure.
    pub fn hpb_dpdk_init(count: c_int, arguments: *mut *mut c_char) -> c_int;
    /// Gives the calling thread an id, and with it a cache of each pool. A negated error number on failure.
    pub fn hpb_dpdk_thread_register() -> c_int;
    /// Takes the id back; on the registered thread.
    pub fn hpb_dpdk_thread_unregister();

    /// A pool of `count` mbufs of `room` data bytes each, `cache` of them kept by each thread; null on failure.
    pub fn hpb_dpdk_pool_create(name: *const c_char, count: u32, cache: u32, room: u16) -> *mut c_void;
    /// Mbufs that are free.
    pub fn hpb_dpdk_pool_available(pool: *const c_void) -> u32;
    /// Frees a pool that no device and no ring uses any more.
    pub fn hpb_dpdk_pool_free(pool: *mut c_void);

    /// The first port from `from` on, or -1; its name goes to `name`, which has room for [`NAME_LEN_MAX`] bytes.
    pub fn hpb_dpdk_next(from: u16, name: *mut c_char) -> c_int;
    /// Fills `info`. A negated error number on failure.
    pub fn hpb_dpdk_info(port: u16, info: *mut Info) -> c_int;
    /// Configures and starts a port; `step` gets a static string that completes "could not". A negated error number
    /// on failure.
    pub fn hpb_dpdk_start(
        port: u16,
        queues: u16,
        descriptors: u16,
        pool: *mut c_void,
        key: *const u8,
        key_len: u8,
        step: *mut *const c_char,
    ) -> c_int;
    /// The length of the table behind the hash, or zero if the device does not follow this key.
    pub fn hpb_dpdk_rss(port: u16, queues: u16, key: *const u8, key_len: u8) -> u16;
    /// The MTU in bytes of a port that was started.
    pub fn hpb_dpdk_mtu(port: u16) -> u16;
    /// One if the link is up.
    pub fn hpb_dpdk_link(port: u16) -> c_int;
    /// Frames lost for want of a descriptor or an mbuf.
    pub fn hpb_dpdk_missed(port: u16) -> u64;
    /// Stops and closes a port; removes its device too if `detach` is not zero.
    pub fn hpb_dpdk_close(port: u16, detach: c_int);

    /// A ring of `depth` mbufs for one sender and one receiver; null on failure.
    pub fn hpb_dpdk_ring_create(name: *const c_char, depth: u32) -> *mut c_void;
    /// A port that receives from one ring and sends to another. A negated error number on failure.
    pub fn hpb_dpdk_ring_port(name: *const c_char, rx: *mut c_void, tx: *mut c_void) -> c_int;
    /// Frees a ring that no port uses any more, and the mbufs in it.
    pub fn hpb_dpdk_ring_free(ring: *mut c_void);

    /// Receives up to `count` frames into both arrays; how many.
    pub fn hpb_dpdk_receive(port: u16, queue: u16, mbufs: *mut *mut c_void, received: *mut Received, count: u16)
    -> u16;
    /// Copies the first `len` bytes of a received frame of any number of segments; zero if it has fewer.
    pub fn hpb_dpdk_gather(mbuf: *const c_void, to: *mut u8, len: u32) -> c_int;
    /// Frees received frames.
    pub fn hpb_dpdk_release(mbufs: *mut *mut c_void, count: u16);
    /// Copies and sends up to [`BURST_LEN_MAX`] frames; how many were taken. `refused` becomes one if the frame after
    /// them can never be sent.
    pub fn hpb_dpdk_send(
        port: u16,
        queue: u16,
        pool: *mut c_void,
        frames: *const Outgoing,
        count: u16,
        refused: *mut u8,
    ) -> u16;
}
