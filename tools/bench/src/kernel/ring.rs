//! A set of stream sockets on one `io_uring`: multishot receives into a ring of provided buffers, batched sends from one
//! slot a socket, one system call a batch.
//!
//! It refuses nothing of the sockets' content; an end of stream and every error of the kernel end the benchmark, since
//! no peer here ever closes. All memory that the kernel reads or writes is owned by [`Ring`] and outlives its requests:
//! the drop cancels them first.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

/// Sizes of a [`Ring`].
#[derive(Clone, Copy, Debug)]
pub struct RingSizes {
    /// Bytes of one socket's send slot.
    pub slot_len: usize,
    /// Bytes of one receive buffer.
    pub buffer_len: usize,
    /// Receive buffers: a power of two, at most 32,768.
    pub buffer_count: u16,
    /// Submissions in one system call: a power of two.
    pub batch_len: u32,
    /// Seconds without the wanted completions after which a turn gives up.
    pub wait_s_max: u64,
}

/// Bytes that one socket received: a handle into the ring's buffers until [`Ring::recycle`].
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The socket's index in the list that the ring was built with.
    pub socket: usize,
    buffer: u16,
    len: u32,
}

/// The ring, its memory and the completions of its last turn.
pub struct Ring {
    kernel: IoUring,
    sizes: RingSizes,
    /// The ring of provided buffers: `buffer_count` entries, the tail inside the first.
    entries: Pages,
    buffers: Pages,
    slots: Pages,
    shared: Pages,
    socket_count: usize,
    tail: u16,
    received: Vec<Received>,
    /// Sockets whose multishot receive ended and starts again at the next turn.
    ended: Vec<usize>,
}

const BUFFER_GROUP: u16 = 0;
const SEND: u64 = 1 << 32;

impl Ring {
    /// A ring over `sockets` (blocking ones: the kernel itself waits for bytes), each with a receive started.
    ///
    /// Deferred task work with a single issuer is taken where the kernel has it (6.1), cooperative task work (5.19)
    /// elsewhere. The ring belongs to the calling thread.
    ///
    /// # Errors
    /// `io_uring` is forbidden or too old, or a limit (descriptors, locked memory) is too small.
    pub fn new(sockets: &[RawFd], sizes: RingSizes) -> io::Result<Self> {
        assert!(sizes.buffer_count.is_power_of_two() && sizes.batch_len.is_power_of_two(), "sizes of a ring");
        let ring = Self::build(sizes)?;
        if !ring.params().is_feature_skip_cqe_on_success() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "io_uring without skipped completions (Linux 5.17)",
            ));
        }
        ring.submitter().register_files(sockets)?;
        let count = usize::from(sizes.buffer_count);
        let mut this = Self {
            kernel: ring,
            sizes,
            entries: Pages::new(count * size_of::<BufRingEntry>())?,
            buffers: Pages::new(count * sizes.buffer_len)?,
            slots: Pages::new(sockets.len() * sizes.slot_len)?,
            shared: Pages::new(sizes.buffer_len)?,
            socket_count: sockets.len(),
            tail: 0,
            received: Vec::with_capacity(count),
            ended: (0..sockets.len()).collect(),
        };
        // SAFETY: the entries are page-aligned, `buffer_count` long and live until the ring is gone.
        unsafe {
            this.kernel.submitter().register_buf_ring_with_flags(
                this.entries.pointer as u64,
                sizes.buffer_count,
                BUFFER_GROUP,
                0,
            )?;
        }
        for buffer in 0..sizes.buffer_count {
            this.provide(buffer);
        }
        this.publish();
        this.restart_ended()?;
        this.kernel.submit()?;
        Ok(this)
    }

    fn build(sizes: RingSizes) -> io::Result<IoUring> {
        // Every buffer can stand in the completion queue at once, with errors of one batch of sends beside it.
        let completions = (u32::from(sizes.buffer_count) + sizes.batch_len).next_power_of_two();
        let deferred = IoUring::builder()
            .setup_cqsize(completions)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(sizes.batch_len);
        match deferred {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::builder()
                .setup_cqsize(completions)
                .setup_submit_all()
                .setup_coop_taskrun()
                .build(sizes.batch_len),
            result => result,
        }
    }

    /// Submits what is queued and waits for nothing.
    ///
    /// # Errors
    /// The kernel refuses the submission.
    pub fn submit(&mut self) -> io::Result<()> {
        if self.kernel.submission().is_empty() {
            return Ok(());
        }
        self.kernel.submit().map(drop)
    }

    /// Submits what is queued, waits until `want` completions are there, and takes all that are.
    ///
    /// Gives the number of [`Received`], to be read with [`Ring::received`] until the next turn.
    ///
    /// # Errors
    /// `TimedOut` when the completions do not come; `UnexpectedEof` when a peer closed; a failed send or receive.
    pub fn turn(&mut self, want: usize) -> io::Result<usize> {
        self.publish();
        self.restart_ended()?;
        let limit = Timespec::new().sec(self.sizes.wait_s_max);
        match self.kernel.submitter().submit_with_args(want, &SubmitArgs::new().timespec(&limit)) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the completions did not come"));
            }
            Err(error) => return Err(error),
        }
        self.received.clear();
        for completion in self.kernel.completion() {
            let socket = (completion.user_data() & u64::from(u32::MAX)) as usize;
            let (result, flags) = (completion.result(), completion.flags());
            if completion.user_data() & SEND != 0 {
                // A send that succeeded posts nothing.
                return Err(io::Error::from_raw_os_error(-result));
            }
            if !cqueue::more(flags) {
                self.ended.push(socket);
            }
            match (result, cqueue::buffer_select(flags)) {
                (1.., Some(buffer)) => {
                    self.received.push(Received { socket, buffer, len: result.unsigned_abs() });
                }
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // Starts again when the buffers of this turn are back; the bytes stay in the socket until then.
                _ if result == -libc::ENOBUFS => {}
                _ => return Err(io::Error::from_raw_os_error(-result)),
            }
        }
        Ok(self.received.len())
    }

    /// The item `index` of the last turn.
    pub fn received(&self, index: usize) -> Received {
        self.received[index]
    }

    /// The bytes of `received`.
    pub fn bytes(&self, received: Received) -> &[u8] {
        self.buffers.slice(usize::from(received.buffer) * self.sizes.buffer_len, received.len as usize)
    }

    /// Lets `answer` write what `socket` sends next into its slot, from the bytes of `received`; 0 bytes send nothing.
    /// The slot must not be in use by an earlier send, which holds where its answer has arrived.
    ///
    /// # Errors
    /// That of `answer`, or the kernel refuses a full submission queue.
    pub fn answer<E: From<io::Error>>(
        &mut self,
        received: Received,
        socket: usize,
        answer: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let (start, len) = (usize::from(received.buffer) * self.sizes.buffer_len, received.len as usize);
        let slot = self.slots.slice_mut(socket * self.sizes.slot_len, self.sizes.slot_len);
        let filled = answer(self.buffers.slice(start, len), slot)?;
        Ok(self.send_slot(socket, filled)?)
    }

    /// Lets `fill` write what `socket` sends next into its slot; 0 bytes send nothing. As [`Ring::answer`].
    ///
    /// # Errors
    /// That of `fill`, or the kernel refuses a full submission queue.
    pub fn send<E: From<io::Error>>(
        &mut self,
        socket: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let filled = fill(self.slots.slice_mut(socket * self.sizes.slot_len, self.sizes.slot_len))?;
        Ok(self.send_slot(socket, filled)?)
    }

    fn send_slot(&mut self, socket: usize, len: usize) -> io::Result<()> {
        assert!(socket < self.socket_count && len <= self.sizes.slot_len, "a slot's bounds");
        if len == 0 {
            return Ok(());
        }
        let start = self.slots.at(socket * self.sizes.slot_len);
        self.push(&send_entry(socket, start, len))
    }

    /// Writes the bytes that [`Ring::send_shared`] sends; at most a receive buffer long.
    pub fn share(&mut self, bytes: &[u8]) {
        self.shared.slice_mut(0, bytes.len()).copy_from_slice(bytes);
    }

    /// `socket` sends the first `len` shared bytes, without a copy of its own.
    ///
    /// # Errors
    /// The kernel refuses a full submission queue.
    pub fn send_shared(&mut self, socket: usize, len: usize) -> io::Result<()> {
        assert!(socket < self.socket_count && len <= self.sizes.buffer_len, "the shared bytes' bounds");
        self.push(&send_entry(socket, self.shared.at(0), len))
    }

    /// Gives the buffer of `received` back to the kernel.
    pub fn recycle(&mut self, received: Received) {
        self.provide(received.buffer);
    }

    fn provide(&mut self, buffer: u16) {
        let index = usize::from(self.tail & (self.sizes.buffer_count - 1));
        let start = self.buffers.at(usize::from(buffer) * self.sizes.buffer_len);
        #[allow(clippy::cast_ptr_alignment, reason = "pages are aligned for any entry")]
        let entry = self.entries.at(index * size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        // SAFETY: the entry lies inside the pages, is aligned, and is not the kernel's until the tail is published;
        // the three setters leave the tail, which shares the first entry, alone.
        let entry = unsafe { &mut *entry };
        entry.set_addr(start as u64);
        entry.set_len(self.sizes.buffer_len as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the pointer is the base of the entries registered with the kernel, page-aligned and initialised.
        let tail = unsafe { BufRingEntry::tail(self.entries.pointer.cast()) };
        // SAFETY: the tail is two aligned bytes inside the pages, written by this thread alone and read by the kernel.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }.store(self.tail, Ordering::Release);
    }

    fn restart_ended(&mut self) -> io::Result<()> {
        while let Some(socket) = self.ended.pop() {
            let entry = opcode::RecvMulti::new(Fixed(socket as u32), BUFFER_GROUP).build().user_data(socket as u64);
            self.push(&entry)?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the entry names memory of this ring alone, which outlives the request (see `drop`).
            if unsafe { self.kernel.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.kernel.submit()?;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let cancelled = self.kernel.submitter().register_sync_cancel(None, CancelBuilder::any());
        let idle = match cancelled {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let unregistered = self.kernel.submitter().unregister_buf_ring(BUFFER_GROUP).is_ok();
        // Closing the ring would drop its sockets too, but at a later moment of the kernel's choice. It fails only where
        // none are registered.
        let _ = self.kernel.submitter().unregister_files();
        if !(idle && unregistered) {
            // The kernel may still hold a request: its memory is left to it.
            for pages in [&mut self.entries, &mut self.buffers, &mut self.slots, &mut self.shared] {
                pages.leak();
            }
        }
    }
}

fn send_entry(socket: usize, start: *mut u8, len: usize) -> squeue::Entry {
    opcode::Send::new(Fixed(socket as u32), start, len as u32)
        .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(SEND | socket as u64)
}

/// Zeroed pages of our own, shared with the kernel by address.
struct Pages {
    pointer: *mut u8,
    len: usize,
}

impl Pages {
    fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice.
        let pointer = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if pointer == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pointer: pointer.cast(), len })
    }

    fn at(&self, start: usize) -> *mut u8 {
        assert!(start < self.len, "inside the pages");
        // SAFETY: the offset lies inside the mapping.
        unsafe { self.pointer.add(start) }
    }

    fn slice(&self, start: usize, len: usize) -> &[u8] {
        assert!(start + len <= self.len, "inside the pages");
        // SAFETY: the range lies inside the mapping, and the kernel writes no buffer that it has handed out.
        unsafe { slice::from_raw_parts(self.pointer.add(start), len) }
    }

    fn slice_mut(&mut self, start: usize, len: usize) -> &mut [u8] {
        assert!(start + len <= self.len, "inside the pages");
        // SAFETY: the range lies inside the mapping; the kernel only reads it.
        unsafe { slice::from_raw_parts_mut(self.pointer.add(start), len) }
    }

    fn leak(&mut self) {
        self.len = 0;
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the mapping is ours, of this length, and no slice of it is left.
            unsafe { libc::munmap(self.pointer.cast(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    const SIZES: RingSizes = RingSizes { slot_len: 64, buffer_len: 64, buffer_count: 4, batch_len: 8, wait_s_max: 10 };

    fn ring(sockets: &[UnixStream]) -> Option<Ring> {
        let descriptors: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        match Ring::new(&descriptors, SIZES) {
            Ok(ring) => Some(ring),
            Err(error) => {
                println!("skipped: io_uring: {error}");
                None
            }
        }
    }

    #[test]
    fn more_arrivals_than_buffers_lose_nothing() {
        let (near, mut far): (Vec<_>, Vec<_>) = (0..32).map(|_| UnixStream::pair().unwrap()).unzip();
        let Some(mut ring) = ring(&near) else { return };
        for (index, stream) in far.iter_mut().enumerate() {
            stream.write_all(&[index as u8; 40]).unwrap();
        }
        let mut seen = vec![0; near.len()];
        while seen.iter().sum::<usize>() < 40 * near.len() {
            for index in 0..ring.turn(1).unwrap() {
                let received = ring.received(index);
                assert!(ring.bytes(received).iter().all(|byte| usize::from(*byte) == received.socket));
                seen[received.socket] += ring.bytes(received).len();
                ring.recycle(received);
            }
        }
        assert!(seen.iter().all(|len| *len == 40));
    }

    #[test]
    fn answers_and_shared_bytes_arrive_whole() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let Some(mut ring) = ring(&[near]) else { return };
        far.write_all(b"abc").unwrap();
        assert_eq!(ring.turn(1).unwrap(), 1);
        let received = ring.received(0);
        let turned = ring.answer(received, 0, |arrived, slot| {
            slot[..arrived.len()].copy_from_slice(arrived);
            slot[..arrived.len()].reverse();
            Ok::<_, io::Error>(arrived.len())
        });
        turned.unwrap();
        ring.recycle(received);
        ring.share(b"to all");
        ring.send_shared(0, 6).unwrap();
        ring.submit().unwrap();
        let mut bytes = [0; 9];
        far.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"cbato all");
    }

    #[test]
    fn a_closed_peer_is_an_error() {
        let (near, far) = UnixStream::pair().unwrap();
        let Some(mut ring) = ring(&[near]) else { return };
        drop(far);
        assert_eq!(ring.turn(1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
