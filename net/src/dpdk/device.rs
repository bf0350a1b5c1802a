//! One started device: its mbufs, its hash, its link. Its ports share it, and it closes with the last of them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hpb_base::Random;
use hpb_base::limits::{BURST_LEN_MAX, DPDK_DESCRIPTORS_MAX, DPDK_QUEUES_MAX, FRAME_LEN_MAX, WIRE_LINK_DEPTH};

use super::sys;
use crate::open::OpenError;
use crate::port::HardwareAddress;

/// Bytes of the longest Ethernet header that is sent: one VLAN tag.
pub(super) const ETHERNET_LEN_MAX: usize = 18;
/// Data bytes of one mbuf: what a device fills at once, a power of two as devices like it.
pub(super) const MBUF_LEN: u16 = 2_048;
/// Mbufs that each thread keeps at hand.
const MBUF_CACHE_LEN: u32 = 256;
/// Mbufs of a device at least: a queue of `AF_XDP` wants 4,096 for the kernel's rings however few are asked for.
const MBUFS_MIN: u32 = 8_191;

const _: () = assert!(FRAME_LEN_MAX <= MBUF_LEN as usize);

/// How a device spreads TCP over its queues: Toeplitz over (source address, destination address, source port,
/// destination port) as they stand in a received packet. With `entry = hash % table_len`, it goes to queue
/// `entry % queues`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RssKey {
    /// The key of the hash: 40 bytes or more, derived from [`crate::OpenOptions::steer_secret`].
    pub key: Vec<u8>,
    /// Entries of the table behind the hash.
    pub table_len: usize,
}

/// What devices stand on, freed after them: the rings between two of them first, for they may hold mbufs.
pub(super) struct Stock {
    rings: Vec<sys::Ring>,
    pool: sys::Pool,
}

/// A started device.
pub(super) struct Device {
    port: u16,
    /// It stands on nothing of the host and goes as a whole when it closes.
    is_ring: bool,
    pub(super) queues: usize,
    pub(super) mtu: usize,
    pub(super) hardware: HardwareAddress,
    pub(super) checksum_rx: bool,
    pub(super) checksum_tx: bool,
    pub(super) rss: Option<RssKey>,
    up: AtomicBool,
    look: Mutex<()>,
    stock: Arc<Stock>,
}

/// Ports that are open here. DPDK wants one caller at a time to open and close: who does so holds this.
static OPEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
/// Names of what is created are never used twice.
static NAMES: AtomicU64 = AtomicU64::new(0);

impl Device {
    /// Starts the port called `name`, or the first that is not open, with `queues` queues and mbufs of `room` bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if there is no such port, or it does not start so.
    pub(super) fn open(name: Option<&str>, queues: usize, secret: &[u8; 32], room: u16) -> Result<Self, OpenError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = sys::ports();
        free.retain(|(port, _)| !open.contains(port));
        let Some((port, name)) = free.iter().find(|(_, port)| name.is_none_or(|name| name == port)) else {
            return Err(missing(name, &free));
        };
        let queues = queues.max(1);
        let info = ask(*port, name, queues)?;
        let stock = stock(queues, Vec::new(), room).map_err(|error| out_of_memory(name, &error))?;
        let device = Self::start(*port, name, info, queues, secret, Arc::new(stock), false)?;
        open.push(*port);
        Ok(device)
    }

    /// Two devices, each of which receives what the other sends.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if DPDK has no memory left for them.
    pub(super) fn ring_pair() -> Result<[Self; 2], OpenError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let names = [unique("ring"), unique("ring")];
        let rings = names.iter().map(|name| sys::Ring::new(name, WIRE_LINK_DEPTH)).collect::<io::Result<Vec<_>>>();
        let stock = rings.and_then(|rings| stock(1, rings, MBUF_LEN));
        let stock = Arc::new(stock.map_err(|error| out_of_memory("a ring pair", &error))?);
        let mut start = |name: &str, rx: usize, tx: usize| {
            let port = sys::ring_port(name, &stock.rings[rx], &stock.rings[tx]).map_err(|error| OpenError::Os {
                operation: format!("making the DPDK device {name}"),
                source: error,
            })?;
            let info = ask(port, name, 1)?;
            let device = Self::start(port, name, info, 1, &[0; 32], Arc::clone(&stock), true)?;
            open.push(port);
            Ok::<_, OpenError>(device)
        };
        let first: Result<Device, OpenError> = start(&names[0], 0, 1);
        let second = start(&names[1], 1, 0);
        // A device that has started locks the list when it is dropped.
        drop(open);
        Ok([first?, second?])
    }

    fn start(
        port: u16,
        name: &str,
        info: sys::Info,
        queues: usize,
        secret: &[u8; 32],
        stock: Arc<Stock>,
        is_ring: bool,
    ) -> Result<Self, OpenError> {
        let key = if queues > 1 { key(secret, info.rss_key_len as usize) } else { Vec::new() };
        if let Err((step, source)) = sys::start(port, queues as u16, DPDK_DESCRIPTORS_MAX, &stock.pool, &key) {
            sys::close(port, is_ring);
            return Err(OpenError::os(
                opening(name, &step),
                source,
                "run as root, or give this user the device's file",
            ));
        }
        let table_len = if key.is_empty() { 0 } else { sys::rss(port, queues as u16, &key) };
        Ok(Self {
            port,
            is_ring,
            queues,
            mtu: sys::mtu(port).min(FRAME_LEN_MAX - ETHERNET_LEN_MAX),
            hardware: hardware(info.hardware, port),
            checksum_rx: info.checksum_rx != 0,
            checksum_tx: info.checksum_tx != 0,
            rss: (table_len > 0).then_some(RssKey { key, table_len }),
            up: AtomicBool::new(sys::link_is_up(port)),
            look: Mutex::new(()),
            stock,
        })
    }

    /// Queue `queue` of it, for one port.
    pub(super) fn queue(&self, queue: usize) -> sys::Queue {
        sys::Queue::new(self.port, queue as u16)
    }

    /// Its mbufs.
    pub(super) fn pool(&self) -> &sys::Pool {
        &self.stock.pool
    }

    /// Looks at the link, one thread at a time (who comes meanwhile takes what was seen last); whether it is up.
    pub(super) fn look_at_link(&self) -> bool {
        if let Ok(_looking) = self.look.try_lock() {
            self.up.store(sys::link_is_up(self.port), Ordering::Relaxed);
        }
        self.up.load(Ordering::Relaxed)
    }

    /// Frames that it lost for want of a descriptor or an mbuf.
    pub(super) fn missed(&self) -> u64 {
        let _looking = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        sys::missed(self.port)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        sys::close(self.port, self.is_ring);
        open.retain(|port| *port != self.port);
    }
}

/// What a port is and does, if it has as many queues as are wanted.
fn ask(port: u16, name: &str, queues: usize) -> Result<sys::Info, OpenError> {
    let info = sys::info(port)
        .map_err(|source| OpenError::Os { operation: opening(name, "ask it what it can do"), source })?;
    let queues_max = (info.queues_max as usize).min(DPDK_QUEUES_MAX);
    if queues <= queues_max {
        return Ok(info);
    }
    Err(OpenError::Unsupported {
        operation: opening(name, &format!("set up {queues} queues")),
        reason: format!("it has {queues_max}"),
        fix: "give it fewer lanes, or more queues where its driver takes an argument for them".to_owned(),
    })
}

fn opening(name: &str, step: &str) -> String {
    format!("opening the DPDK port {name}: {step}")
}

fn unique(what: &str) -> String {
    format!("hpb_{what}{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// Mbufs enough that no queue goes short while all others and all caches are full.
fn stock(queues: usize, rings: Vec<sys::Ring>, room: u16) -> io::Result<Stock> {
    let in_queues = queues * (4 * DPDK_DESCRIPTORS_MAX as usize + 2 * BURST_LEN_MAX);
    // A cache is flushed when it is half as full again as its size; the thread that opens has one too.
    let in_caches = (queues + 1) * MBUF_CACHE_LEN as usize * 3 / 2;
    let in_rings = rings.len() * WIRE_LINK_DEPTH;
    let count = ((in_queues + in_caches + in_rings) as u32).max(MBUFS_MIN);
    Ok(Stock { rings, pool: sys::Pool::new(&unique("pool"), count, MBUF_CACHE_LEN, room)? })
}

/// A key of `len` bytes that depends on every byte of the secret, and is never all zeros.
fn key(secret: &[u8; 32], len: usize) -> Vec<u8> {
    let mut key = vec![0; len];
    let mut part = vec![0; len];
    for (stream, word) in secret.as_chunks::<8>().0.iter().enumerate() {
        Random::stream(u64::from_le_bytes(*word), stream as u64).fill(&mut part);
        for (byte, part) in key.iter_mut().zip(&part) {
            *byte ^= part;
        }
    }
    key
}

/// A device's address; one of our own (locally administered) for a device without.
fn hardware(address: HardwareAddress, port: u16) -> HardwareAddress {
    if address != [0; 6] {
        return address;
    }
    let [high, low] = port.to_be_bytes();
    [0x02, b'h', b'p', b'b', high, low]
}

fn missing(name: Option<&str>, free: &[(u16, String)]) -> OpenError {
    let names: Vec<&str> = free.iter().map(|(_, name)| name.as_str()).collect();
    let (operation, reason) = match name {
        Some(name) if names.is_empty() => (format!("opening the DPDK port {name}"), "no port is free".to_owned()),
        Some(name) => {
            (format!("opening the DPDK port {name}"), format!("the ports that are free are {}", names.join(", ")))
        }
        None => ("opening a DPDK port".to_owned(), "none is free".to_owned()),
    };
    OpenError::Unsupported {
        operation,
        reason,
        fix: "give a card to DPDK (`dpdk-devbind.py --bind=vfio-pci ADDRESS`), or name a device such as \
              `--vdev=net_af_packet0,iface=eth0`"
            .to_owned(),
    }
}

fn out_of_memory(name: &str, source: &io::Error) -> OpenError {
    OpenError::Unsupported {
        operation: format!("making the packet buffers of {name}"),
        reason: source.to_string(),
        fix: "give DPDK more memory (`-m 512`), or more huge pages".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_secret_counts() {
        let plain = key(&[0; 32], 40);
        assert_eq!(plain.len(), 40);
        assert!(plain.iter().any(|byte| *byte != plain[0]), "a secret of zeros makes no key of zeros");
        for index in 0..32 {
            let mut secret = [0; 32];
            secret[index] = 1;
            assert_ne!(key(&secret, 40), plain, "byte {index}");
        }
        assert_eq!(key(&[7; 32], 52)[..40], key(&[7; 32], 40), "a longer key begins like a shorter one");
        assert!(key(&[7; 32], 0).is_empty());
    }

    #[test]
    fn a_device_without_an_address_gets_a_local_one() {
        assert_eq!(hardware([2, 0, 0, 0, 0, 9], 1), [2, 0, 0, 0, 0, 9]);
        let own = hardware([0; 6], 258);
        assert_eq!((own[0] & 3, own[4], own[5]), (2, 1, 2), "one station's, locally administered");
    }
}
