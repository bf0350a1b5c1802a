//! What a socket shares with the kernel: the memory that holds frames, and the rings that say whose each piece is.
//!
//! No reference leads into either: bytes are copied in and out, counters are atomic.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Plain, Socket};

/// Memory from mmap(2), until it is dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to the process and not to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes: of a socket's ring at `offset`, or new ones of this process.
    fn new(socket: Option<BorrowedFd<'_>>, offset: libc::off_t, len: usize) -> io::Result<Self> {
        let (sharing, descriptor) = match socket {
            Some(socket) => (libc::MAP_SHARED, socket.as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, sharing | libc::MAP_POPULATE, descriptor, offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, len })
    }

    /// Where `len` bytes at `at` begin; `None` if they are not all inside.
    fn at(&self, at: usize, len: usize) -> Option<NonNull<u8>> {
        let end = at.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `at` was found to lie within the mapping.
        Some(unsafe { self.start.add(at) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone, and all pointers into it die with it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The memory that holds frames: chunks of one length, whose address is their distance from the start.
pub(in crate::xdp) struct FrameMemory {
    mapping: Mapping,
    chunk_len: u32,
}

impl FrameMemory {
    /// `chunks` chunks of `chunk_len` bytes, a power of two.
    pub(in crate::xdp) fn new(chunks: usize, chunk_len: u32) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(None, 0, chunks * chunk_len as usize)?, chunk_len })
    }

    /// Where it is in this process.
    pub(super) fn address(&self) -> usize {
        self.mapping.start.as_ptr().expose_provenance()
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.mapping.len
    }

    /// A chunk's length in bytes.
    pub(super) fn chunk_len(&self) -> u32 {
        self.chunk_len
    }

    /// The addresses of the chunks `range`.
    pub(in crate::xdp) fn chunks(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = u64> + use<> {
        let chunk_len = u64::from(self.chunk_len);
        range.map(move |chunk| chunk as u64 * chunk_len)
    }

    /// The chunk that holds the byte at `address`.
    pub(in crate::xdp) fn chunk_of(&self, address: u64) -> u64 {
        address & !(u64::from(self.chunk_len) - 1)
    }

    /// Copies the bytes at `address` out; false if they are not all inside.
    pub(in crate::xdp) fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(start) = usize::try_from(address).ok().and_then(|at| self.mapping.at(at, bytes.len())) else {
            return false;
        };
        // SAFETY: all the bytes lie within the mapping, which no reference points into. The kernel gave the chunk back
        // and does not write to it before it is in the fill ring again.
        unsafe { start.as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies `bytes` to `address`; false if they do not fit.
    pub(in crate::xdp) fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let Some(start) = usize::try_from(address).ok().and_then(|at| self.mapping.at(at, bytes.len())) else {
            return false;
        };
        // SAFETY: all the bytes lie within the mapping, which no reference points into. The kernel does not read the
        // chunk before it is in the send ring.
        unsafe { start.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }
}

/// One of a socket's four rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::xdp) enum RingKind {
    /// Chunks for the kernel to receive into.
    Fill,
    /// Chunks that the kernel has sent from.
    Completion,
    /// Received frames.
    Receive,
    /// Frames to send.
    Send,
}

/// A ring of `T`, which is what the kernel has in it: plain integers, any bits of which are a value.
struct Ring<T> {
    mapping: Mapping,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    len: u32,
}

// SAFETY: the pointers lead into the ring's own mapping, which belongs to the process and not to a thread.
unsafe impl<T> Send for Ring<T> {}

impl<T: Plain + Copy> Ring<T> {
    fn new(socket: &Socket, kind: RingKind, len: u32) -> io::Result<Self> {
        assert!(len.is_power_of_two(), "the kernel takes no other length");
        let offsets: libc::xdp_mmap_offsets = socket.option(libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        let (option, page_offset, offsets) = match kind {
            RingKind::Fill => (libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed(), offsets.fr),
            RingKind::Completion => {
                (libc::XDP_UMEM_COMPLETION_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING.cast_signed(), offsets.cr)
            }
            RingKind::Receive => (libc::XDP_RX_RING, libc::XDP_PGOFF_RX_RING, offsets.rx),
            RingKind::Send => (libc::XDP_TX_RING, libc::XDP_PGOFF_TX_RING, offsets.tx),
        };
        socket.set_option(libc::SOL_XDP, option, &len)?;
        let entries_at = offsets.desc as usize;
        let entries_len = len as usize * size_of::<T>();
        let mapping = Mapping::new(Some(socket.as_fd()), page_offset, entries_at + entries_len)?;
        let missing = || io::Error::other("a ring of AF_XDP is not laid out as the kernel says");
        let counter = |at: u64| {
            mapping.at(at as usize, size_of::<AtomicU32>()).map(NonNull::cast::<AtomicU32>).filter(|at| at.is_aligned())
        };
        Ok(Self {
            producer: counter(offsets.producer).ok_or_else(missing)?,
            consumer: counter(offsets.consumer).ok_or_else(missing)?,
            flags: counter(offsets.flags).ok_or_else(missing)?,
            entries: mapping
                .at(entries_at, entries_len)
                .map(NonNull::cast::<T>)
                .filter(|entries| entries.is_aligned())
                .ok_or_else(missing)?,
            mapping,
            len,
        })
    }

    fn counter(&self, counter: NonNull<AtomicU32>) -> &AtomicU32 {
        debug_assert!(counter.as_ptr().addr() - self.mapping.start.as_ptr().addr() < self.mapping.len);
        // SAFETY: `new` found the counter inside the mapping, which lives as long as `self`, and aligned; all access to
        // it, by the kernel too, is atomic.
        unsafe { counter.as_ref() }
    }

    fn entry(&self, index: u32) -> NonNull<T> {
        // SAFETY: the masked index is below the ring's length, and `new` found that many entries inside the mapping.
        unsafe { self.entries.add((index & (self.len - 1)) as usize) }
    }

    fn needs_wakeup(&self) -> bool {
        self.counter(self.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that this side fills: what is pushed is the kernel's once it is published.
pub(in crate::xdp) struct Producer<T> {
    ring: Ring<T>,
    /// Where the next entry goes.
    next: u32,
    /// How far the kernel was when this side last looked.
    consumed: u32,
}

impl<T: Plain + Copy> Producer<T> {
    pub(in crate::xdp) fn new(socket: &Socket, kind: RingKind, len: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::new(socket, kind, len)?, next: 0, consumed: 0 })
    }

    /// Puts an entry in; false if the ring is full.
    pub(in crate::xdp) fn push(&mut self, entry: T) -> bool {
        if !self.has_room() {
            return false;
        }
        // SAFETY: the place is inside the mapping and free: the kernel reads it only once it is published.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Whether another entry fits.
    pub(in crate::xdp) fn has_room(&mut self) -> bool {
        if self.next.wrapping_sub(self.consumed) < self.ring.len {
            return true;
        }
        self.consumed = self.ring.counter(self.ring.consumer).load(Ordering::Acquire);
        self.next.wrapping_sub(self.consumed) < self.ring.len
    }

    /// Shows the kernel what was pushed.
    pub(in crate::xdp) fn publish(&mut self) {
        self.ring.counter(self.ring.producer).store(self.next, Ordering::Release);
    }

    /// How many entries the kernel has not taken yet.
    pub(in crate::xdp) fn waiting(&mut self) -> u32 {
        self.consumed = self.ring.counter(self.ring.consumer).load(Ordering::Acquire);
        self.next.wrapping_sub(self.consumed)
    }

    /// Whether the kernel looks at the ring only when it is called.
    pub(in crate::xdp) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel fills: what is popped is its again once it is released.
pub(in crate::xdp) struct Consumer<T> {
    ring: Ring<T>,
    /// Where the next entry is.
    next: u32,
    /// How far the kernel was when this side last looked.
    produced: u32,
}

impl<T: Plain + Copy> Consumer<T> {
    pub(in crate::xdp) fn new(socket: &Socket, kind: RingKind, len: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::new(socket, kind, len)?, next: 0, produced: 0 })
    }

    /// How many entries there are.
    pub(in crate::xdp) fn ready(&mut self) -> u32 {
        self.produced = self.ring.counter(self.ring.producer).load(Ordering::Acquire);
        self.produced.wrapping_sub(self.next)
    }

    /// Takes the oldest of the entries that [`ready`](Self::ready) found.
    pub(in crate::xdp) fn pop(&mut self) -> Option<T> {
        if self.next == self.produced {
            return None;
        }
        // SAFETY: the place is inside the mapping; the kernel has written it before it moved its counter, and leaves it
        // alone until it is released.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Gives the kernel the places of what was popped.
    pub(in crate::xdp) fn release(&mut self) {
        self.ring.counter(self.ring.consumer).store(self.next, Ordering::Release);
    }
}
