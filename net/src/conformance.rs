//! What every port must do, whatever is below it: the same checks for each, over the port and its far end.
//!
//! A check that fails panics with what it saw. All frames are TCP segments in IPv4, each different, so that a lost, a
//! doubled, a swapped and a damaged one are told apart; frames of others are passed over.

use std::net::Ipv4Addr;

use hpb_base::limits::{BURST_LEN_MAX, FRAME_LEN_MAX};
use hpb_base::{Duration, Instant};

use crate::frame::{Bursts, Partial};
use crate::offload::{ETHERNET_LEN, Segmentation, TAG_LEN, VirtioHeader, complete_checksum};
use crate::port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
use crate::sys::testing::is_readable;
use crate::testing::{PATIENCE, Waiter};

const IP_LEN: usize = 20;
const TCP_LEN: usize = 20;
/// What tells these frames from others'.
const PORTS: [u8; 4] = [0x9c, 0x40, 0x9c, 0x41];
const ACK: u8 = 0x10;

/// The other end of the cable of a port under test.
pub trait FarEnd {
    /// Its Ethernet address; all zeros where frames start with an IP header.
    fn hardware(&self) -> HardwareAddress;

    /// The card's address, then its own.
    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr);

    /// Sends a frame to the port; false if there is no room for it now.
    fn inject(&mut self, frame: &[u8]) -> bool;

    /// The next frame that the port sent, as a cable would carry it; `None` if none has come yet.
    fn take(&mut self) -> Option<Vec<u8>>;

    /// Sends a frame with an offload header; false if it cannot.
    fn inject_offloaded(&mut self, header: VirtioHeader, frame: &[u8]) -> bool {
        let _ = (header, frame);
        false
    }

    /// How many ways it has to pull the cable out.
    fn link_count(&self) -> usize {
        0
    }

    /// Pulls the cable out, one way of [`link_count`](Self::link_count), or puts it back.
    fn set_link(&mut self, link: usize, up: bool) {
        let _ = (link, up);
    }

    /// How many frames it surely holds while nobody takes them.
    fn held_count(&self) -> usize {
        256
    }
}

/// A port under test with its far end.
pub struct Conformance<'a> {
    port: &'a mut dyn Port,
    far: &'a mut dyn FarEnd,
    bursts: Bursts,
    capabilities: Capabilities,
    now: Instant,
    /// The sequence number of the next frame.
    sequence: u32,
    /// What the port must have counted.
    expected: PortCounters,
}

impl<'a> Conformance<'a> {
    /// Puts a port to the test.
    pub fn new(port: &'a mut dyn Port, far: &'a mut dyn FarEnd) -> Self {
        let (capabilities, expected) = (port.capabilities(), port.counters());
        let bursts = Bursts::new(16 * BURST_LEN_MAX);
        Self { port, far, bursts, capabilities, now: Instant::ZERO, sequence: 1, expected }
    }

    /// Every check.
    pub fn all(&mut self) {
        self.says_what_it_is();
        self.passes_bursts_both_ways();
        self.passes_every_length();
        self.holds_back_and_loses_nothing();
        self.refuses_what_is_too_large();
        self.completes_checksums();
        self.vouches_for_partial_checksums();
        self.passes_streams_whole();
        self.cuts_super_frames();
        self.wakes_a_sleeper();
        self.outlives_its_link();
        self.leaks_nothing(frame_count());
        self.counts_what_it_did();
    }

    /// Its capabilities make sense.
    pub fn says_what_it_is(&mut self) {
        let Capabilities { medium, hardware, mtu, queues, queue, .. } = self.capabilities;
        assert!((576..=FRAME_LEN_MAX - ETHERNET_LEN - 2 * TAG_LEN).contains(&mtu), "MTU {mtu}");
        assert!(queue < queues, "queue {queue} of {queues}");
        let has_address = hardware != [0; 6] && hardware[0] & 1 == 0;
        assert_eq!(has_address, medium == Medium::Ethernet, "{hardware:x?}");
        assert!(!self.capabilities.tso || self.capabilities.checksum_tx, "a cut segment needs a checksum of its own");
    }

    /// Full bursts arrive, in order and unchanged, from each side at the other.
    pub fn passes_bursts_both_ways(&mut self) {
        for _ in 0..4 {
            let sent: Vec<Vec<u8>> = (0..BURST_LEN_MAX).map(|_| self.sample(200)).collect();
            self.send_all(&sent);
            self.takes_at_far_end(&sent);
            let sent: Vec<Vec<u8>> = (0..BURST_LEN_MAX).map(|_| self.sample(200)).collect();
            self.inject_all(&sent);
            self.receives(&sent);
        }
    }

    /// Frames of every length from the shortest to the MTU pass both ways.
    pub fn passes_every_length(&mut self) {
        let lens: Vec<usize> = (self.header_len() + IP_LEN + TCP_LEN + 6..=self.frame_len_max()).collect();
        for lens in lens.chunks(BURST_LEN_MAX) {
            let sent: Vec<Vec<u8>> = lens.iter().map(|len| self.sample(*len)).collect();
            self.send_all(&sent);
            self.takes_at_far_end(&sent);
            self.inject_all(&sent);
            self.receives(&sent);
        }
    }

    /// A device without room leaves the rest waiting, in order; all of it arrives when there is room again.
    pub fn holds_back_and_loses_nothing(&mut self) {
        let limit = self.far.held_count().min(16 * 1_024);
        let mut sent = Vec::new();
        while sent.len() < limit {
            let burst: Vec<Vec<u8>> = (0..BURST_LEN_MAX.min(limit - sent.len())).map(|_| self.sample(100)).collect();
            self.put(&burst);
            sent.extend(burst);
            self.tx();
            if !self.bursts.tx.is_empty() {
                break;
            }
        }
        let before = self.port.counters();
        if !self.bursts.tx.is_empty() {
            let waiting: Vec<Vec<u8>> = self.bursts.tx.iter().map(|frame| frame.bytes().to_vec()).collect();
            assert!(waiting == sent[sent.len() - waiting.len()..], "what waits is the end of what was sent");
            self.tx();
            assert!(self.port.counters().tx_full > before.tx_full, "a full device is counted");
        }
        let mut arrived = Vec::new();
        self.patiently("the rest of a full device", |this| {
            this.tx();
            while let Some(frame) = this.take() {
                arrived.push(frame);
            }
            arrived.len() >= sent.len()
        });
        assert_same(&arrived, &sent);
    }

    /// Frames larger than the MTU, shorter than their headers or with a checksum outside of themselves leave the burst,
    /// are counted and go nowhere.
    pub fn refuses_what_is_too_large(&mut self) {
        let good = self.sample(300);
        let mut bad = vec![vec![0xff; FRAME_LEN_MAX], vec![0x45; 5], Vec::new()];
        let too_long = self.sample(self.frame_len_max() + 1);
        bad.push(too_long);
        let before = self.port.counters();
        for bytes in &bad {
            self.put(std::slice::from_ref(bytes));
        }
        let mut bad_count = bad.len();
        if self.capabilities.checksum_tx {
            let frame = self.sample(100);
            self.put(&[frame]);
            if let Some(frame) = self.bursts.tx.back_mut() {
                frame.set_partial(Some(Partial { start: 90, offset: 16 }));
            }
            bad_count += 1;
        }
        self.put(std::slice::from_ref(&good));
        self.tx_all();
        let after = self.port.counters();
        let refused = after.tx_refused + after.tx_unroutable - before.tx_refused - before.tx_unroutable;
        assert_eq!(refused, bad_count as u64, "{after:?}");
        self.takes_at_far_end(&[good]);
    }

    /// A checksum that is left to the port arrives whole.
    pub fn completes_checksums(&mut self) {
        if !self.capabilities.checksum_tx {
            return;
        }
        let sent: Vec<Vec<u8>> = (0..BURST_LEN_MAX).map(|at| self.sample(100 + 21 * at)).collect();
        self.put(&sent);
        self.leave_checksums_open(sent.len());
        self.tx_all();
        self.takes_at_far_end(&sent);
    }

    /// A frame whose checksum the far end left open is received as verified, and carries where it is open.
    pub fn vouches_for_partial_checksums(&mut self) {
        let mut bytes = self.sample(777);
        self.address(&mut bytes, false);
        let partial = self.partial();
        open_checksum(&mut bytes, partial, self.header_len());
        let header = VirtioHeader { partial: Some(partial), ..VirtioHeader::default() };
        if !self.far.inject_offloaded(header, &bytes) {
            return;
        }
        let received = self.receive(1);
        assert_eq!(received, [bytes]);
        // Others' frames may stand around it.
        let Some(frame) = self.bursts.rx.iter().find(|frame| frame.bytes() == received[0]) else { panic!("no frame") };
        assert!(frame.is_verified());
        assert_eq!(frame.partial(), Some(partial));
        self.bursts.recycle_rx();
    }

    /// Segments of one stream, which a port may join, arrive as they were.
    pub fn passes_streams_whole(&mut self) {
        let len = self.frame_len_max();
        for _ in 0..4 {
            let mut sent: Vec<Vec<u8>> = (0..BURST_LEN_MAX - 1).map(|_| self.sample(len)).collect();
            sent.push(self.sample(len / 2));
            self.put(&sent);
            if self.capabilities.checksum_tx {
                self.leave_checksums_open(sent.len());
            }
            self.tx_all();
            let arrived = self.take_count(sent.len());
            let tcp_at = self.header_len() + IP_LEN;
            // Whoever cuts a super-frame numbers its packets anew.
            let segments = |frames: &[Vec<u8>]| frames.iter().map(|frame| frame[tcp_at..].to_vec()).collect::<Vec<_>>();
            assert_same(&segments(&arrived), &segments(&sent));
        }
    }

    /// Super-frames of the far end arrive as segments, in order, though they are more than a burst holds.
    pub fn cuts_super_frames(&mut self) {
        const SUPER_FRAMES: usize = 5;
        let (header_len, tcp_at) = (self.header_len(), self.header_len() + IP_LEN);
        let payload_at = tcp_at + TCP_LEN;
        let segment_len = self.capabilities.mtu - IP_LEN - TCP_LEN;
        let before = self.port.counters().rx_split;
        let (mut stream, start) = (Vec::new(), self.sequence);
        for _ in 0..SUPER_FRAMES {
            let mut bytes = self.sample(header_len + 64_000);
            stream.extend_from_slice(&bytes[payload_at..]);
            self.address(&mut bytes, false);
            let partial = self.partial();
            open_checksum(&mut bytes, partial, header_len);
            let header = VirtioHeader {
                partial: Some(partial),
                is_valid: false,
                segmentation: Segmentation::Tcp4,
                headers_len: payload_at as u16,
                segment_len: segment_len as u16,
            };
            if !self.far.inject_offloaded(header, &bytes) {
                return;
            }
        }
        let segments = (64_000 - IP_LEN - TCP_LEN).div_ceil(segment_len);
        let received = self.receive(SUPER_FRAMES * segments);
        self.bursts.recycle_rx();
        let mut arrived = Vec::new();
        for bytes in &received {
            assert!(bytes.len() <= self.frame_len_max());
            let sequence =
                u32::from_be_bytes([bytes[tcp_at + 4], bytes[tcp_at + 5], bytes[tcp_at + 6], bytes[tcp_at + 7]]);
            assert_eq!(sequence.wrapping_sub(start) as usize, arrived.len(), "in order");
            arrived.extend_from_slice(&bytes[payload_at..]);
        }
        assert!(arrived == stream, "the stream is whole");
        let split = self.port.counters().rx_split - before;
        assert!(split == 0 || split == SUPER_FRAMES as u64, "{split}: cut here, or below");
    }

    /// A frame that waits makes one of the descriptors readable.
    pub fn wakes_a_sleeper(&mut self) {
        let descriptors = self.port.descriptors().to_vec();
        if descriptors.is_empty() {
            return;
        }
        self.receive(0);
        let frame = self.sample(150);
        self.inject_all(std::slice::from_ref(&frame));
        let readable = is_readable(&descriptors, PATIENCE.as_millis() as i32);
        assert!(readable.is_ok_and(|readable| readable), "a frame waits and no descriptor says so");
        self.receives(&[frame]);
    }

    /// A link that goes down is no panic and no standstill; when it is back, frames pass again.
    pub fn outlives_its_link(&mut self) {
        for link in 0..self.far.link_count() {
            self.far.set_link(link, false);
            for _ in 0..8 {
                let burst: Vec<Vec<u8>> = (0..4).map(|_| self.sample(120)).collect();
                self.put(&burst);
                self.tx();
                self.receive(0);
            }
            self.far.set_link(link, true);
            // What was sent meanwhile is lost or comes late: both are a cable's ways.
            self.patiently("a frame to the far end after the link came back", |this| {
                if this.bursts.tx.is_empty() {
                    let frame = this.sample(130);
                    this.put(&[frame]);
                }
                this.tx();
                this.take().is_some()
            });
            self.patiently("a frame from the far end after the link came back", |this| {
                let mut frame = this.sample(130);
                this.address(&mut frame, false);
                this.far.inject(&frame);
                !this.receive_now().is_empty()
            });
            self.settle();
        }
    }

    /// After `count` frames each way the pool answers for no more frames than before.
    pub fn leaks_nothing(&mut self, count: usize) {
        let mut owned = 0;
        let rounds = count.div_ceil(BURST_LEN_MAX);
        let warm = rounds.div_ceil(10);
        for round in 0..rounds {
            let sent: Vec<Vec<u8>> = (0..BURST_LEN_MAX).map(|_| self.sample(64)).collect();
            self.send_all(&sent);
            self.takes_at_far_end(&sent);
            self.inject_all(&sent);
            self.receives(&sent);
            if round == warm {
                owned = self.bursts.pool.owned();
            }
        }
        let now = self.bursts.pool.owned();
        assert!(now <= owned + BURST_LEN_MAX, "{owned} frames after {warm} rounds, {now} after {rounds}");
    }

    /// Its counters are what went through in all checks before this one.
    pub fn counts_what_it_did(&mut self) {
        let counted = self.port.counters();
        assert_eq!((counted.rx_frames, counted.rx_bytes), (self.expected.rx_frames, self.expected.rx_bytes));
        assert_eq!(counted.tx_frames, self.expected.tx_frames);
        let left = self.expected.tx_bytes - counted.tx_bytes;
        let refused = counted.tx_refused + counted.tx_unroutable;
        assert!(left <= refused * FRAME_LEN_MAX as u64, "{left} bytes in {refused} refused frames");
        assert_eq!(counted.rx_malformed, self.expected.rx_malformed);
    }

    fn header_len(&self) -> usize {
        match self.capabilities.medium {
            Medium::Ip => 0,
            Medium::Ethernet => ETHERNET_LEN,
        }
    }

    fn frame_len_max(&self) -> usize {
        self.header_len() + self.capabilities.mtu
    }

    fn partial(&self) -> Partial {
        Partial { start: (self.header_len() + IP_LEN) as u16, offset: 16 }
    }

    /// The next frame of the stream, of `len` bytes: the same both ways but for its addresses, which the sender sets.
    fn sample(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let ip_at = self.header_len();
        let payload_at = ip_at + IP_LEN + TCP_LEN;
        if ip_at > 0 {
            bytes[12..14].copy_from_slice(&[8, 0]);
        }
        let ip = &mut bytes[ip_at..];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&((len - ip_at) as u16).to_be_bytes());
        ip[6] = 0x40;
        ip[8..10].copy_from_slice(&[64, 6]);
        let tcp = &mut bytes[ip_at + IP_LEN..];
        tcp[..4].copy_from_slice(&PORTS);
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[12..16].copy_from_slice(&[0x50, ACK, 0xff, 0xff]);
        for (at, byte) in bytes[payload_at..].iter_mut().enumerate() {
            *byte = (self.sequence as usize + at) as u8;
        }
        self.sequence = self.sequence.wrapping_add((len - payload_at) as u32);
        self.address(&mut bytes, true);
        bytes
    }

    /// Writes who sends the frame to whom, and the checksums.
    fn address(&self, bytes: &mut [u8], to_far: bool) {
        let ip_at = self.header_len();
        let (mut ends, mut addresses) = ([self.capabilities.hardware, self.far.hardware()], self.far.addresses());
        if !to_far {
            ends.reverse();
            addresses = (addresses.1, addresses.0);
        }
        if ip_at > 0 {
            bytes[..6].copy_from_slice(&ends[1]);
            bytes[6..12].copy_from_slice(&ends[0]);
        }
        bytes[ip_at + 12..ip_at + 16].copy_from_slice(&addresses.0.octets());
        bytes[ip_at + 16..ip_at + 20].copy_from_slice(&addresses.1.octets());
        bytes[ip_at + 10..ip_at + 12].fill(0);
        let header = Partial { start: 0, offset: 10 };
        let partial = self.partial();
        open_checksum(bytes, partial, ip_at);
        let completed =
            complete_checksum(&mut bytes[ip_at..ip_at + IP_LEN], header).and(complete_checksum(bytes, partial));
        assert_eq!(completed, Ok(()));
    }

    fn step(&mut self) -> Instant {
        self.now += Duration::from_micros(1);
        self.now
    }

    /// Puts frames into the send burst.
    fn put(&mut self, frames: &[Vec<u8>]) {
        for bytes in frames {
            let Some(mut frame) = self.bursts.pool.take() else { panic!("the pool ran dry") };
            frame.copy_from(bytes);
            self.bursts.tx.push_back(frame);
        }
    }

    /// Opens the checksums of the last `count` frames of the send burst.
    fn leave_checksums_open(&mut self, count: usize) {
        let (partial, ip_at) = (self.partial(), self.header_len());
        for frame in self.bursts.tx.iter_mut().rev().take(count) {
            open_checksum(frame.bytes_mut(), partial, ip_at);
            frame.set_partial(Some(partial));
        }
    }

    /// One send burst; what it says must fit what is left.
    fn tx(&mut self) {
        let now = self.step();
        let (waiting, bytes) = (self.bursts.tx.len(), self.waiting_len());
        let before = self.port.counters();
        let sent = self.port.tx_burst(now, &mut self.bursts);
        let after = self.port.counters();
        let refused = after.tx_refused + after.tx_unroutable - before.tx_refused - before.tx_unroutable;
        assert_eq!(sent as u64 + refused, (waiting - self.bursts.tx.len()) as u64, "{after:?}");
        self.expected.tx_frames += sent as u64;
        self.expected.tx_bytes += bytes - self.waiting_len();
    }

    fn waiting_len(&self) -> u64 {
        self.bursts.tx.iter().map(|frame| frame.len() as u64).sum()
    }

    /// Send bursts until nothing waits.
    fn tx_all(&mut self) {
        self.patiently("the device to take a burst", |this| {
            this.tx();
            this.bursts.tx.is_empty()
        });
    }

    fn send_all(&mut self, frames: &[Vec<u8>]) {
        self.put(frames);
        self.tx_all();
    }

    /// The far end sends frames to the card.
    fn inject_all(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            let mut frame = frame.clone();
            self.address(&mut frame, false);
            self.patiently("room at the far end", |this| this.far.inject(&frame));
        }
    }

    /// The next of our frames at the far end.
    fn take(&mut self) -> Option<Vec<u8>> {
        while let Some(frame) = self.far.take() {
            if self.is_ours(&frame) {
                return Some(frame);
            }
        }
        None
    }

    fn is_ours(&self, frame: &[u8]) -> bool {
        let tcp_at = self.header_len() + IP_LEN;
        frame.get(tcp_at..tcp_at + 4) == Some(&PORTS)
    }

    fn take_count(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        self.patiently("frames at the far end", |this| {
            while let Some(frame) = this.take() {
                arrived.push(frame);
            }
            arrived.len() >= count
        });
        arrived
    }

    fn takes_at_far_end(&mut self, sent: &[Vec<u8>]) {
        let arrived = self.take_count(sent.len());
        assert_same(&arrived, sent);
    }

    /// One receive burst: our frames' bytes. The frames stay in the burst until the next.
    fn receive_now(&mut self) -> Vec<Vec<u8>> {
        self.bursts.recycle_rx();
        let now = self.step();
        let count = self.port.rx_burst(now, &mut self.bursts);
        assert_eq!(count, self.bursts.rx.len(), "what it says is what is there");
        self.expected.rx_frames += count as u64;
        self.expected.rx_bytes += self.bursts.rx.iter().map(|frame| frame.len() as u64).sum::<u64>();
        self.bursts.rx.iter().map(|frame| frame.bytes().to_vec()).filter(|frame| self.is_ours(frame)).collect()
    }

    /// Receive bursts until `count` of our frames came; at least one burst.
    fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        self.patiently("frames from the far end", |this| {
            received.extend(this.receive_now());
            received.len() >= count
        });
        received
    }

    fn receives(&mut self, sent: &[Vec<u8>]) {
        let received = self.receive(sent.len());
        let sent: Vec<Vec<u8>> = sent
            .iter()
            .map(|frame| {
                let mut frame = frame.clone();
                self.address(&mut frame, false);
                frame
            })
            .collect();
        assert_same(&received, &sent);
        self.bursts.recycle_rx();
    }

    /// Takes what is still on its way: frames keep their order, so that nothing is once a last one has come.
    fn settle(&mut self) {
        let mut last = self.sample(140);
        self.send_all(std::slice::from_ref(&last));
        self.patiently("the last frame at the far end", |this| std::iter::from_fn(|| this.take()).any(|at| at == last));
        self.address(&mut last, false);
        self.inject_all(std::slice::from_ref(&last));
        self.patiently("the last frame from the far end", |this| this.receive_now().contains(&last));
        self.bursts.recycle_rx();
    }

    /// Tries until it is done. A try in vain is a while on the port's clock, whatever it is on the host's: a port that
    /// leaves its device alone for some milliseconds need not be asked for thousands of times.
    fn patiently(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let waiter = Waiter::new();
        while !done(self) {
            assert!(waiter.wait(), "waited in vain for {what}: {:?}", self.port.counters());
            self.now += Duration::from_millis(1);
        }
    }
}

/// Writes the pseudo-header's sum into the checksum's field (RFC 9293 section 3.1).
fn open_checksum(bytes: &mut [u8], partial: Partial, ip_at: usize) {
    let at = usize::from(partial.start) + usize::from(partial.offset);
    let tcp_len = (bytes.len() - usize::from(partial.start)) as u32;
    let mut sum = 6 + tcp_len;
    for word in bytes[ip_at + 12..ip_at + 20].chunks_exact(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
}

fn assert_same(arrived: &[Vec<u8>], sent: &[Vec<u8>]) {
    for (at, (arrived, sent)) in arrived.iter().zip(sent).enumerate() {
        assert!(arrived == sent, "frame {at}: {arrived:02x?} is not {sent:02x?}");
    }
    assert_eq!(arrived.len(), sent.len());
}

/// How many frames a check for leaks sends: a million where that is quick, or wanted.
fn frame_count() -> usize {
    let is_long = std::env::var_os("HPB_LONG").is_some_and(|value| value == "1");
    if is_long || !cfg!(debug_assertions) { 1_000_000 } else { 20_000 }
}
