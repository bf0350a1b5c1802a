#![allow(clippy::unwrap_used)]

use super::*;
use crate::frame::Partial;

/// A device that sends as much as it is told to.
struct Fake {
    room: usize,
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    completes: bool,
    descriptors: Vec<RawFd>,
    counters: PortCounters,
}

fn fake(descriptors: &[RawFd]) -> Fake {
    Fake {
        room: usize::MAX,
        received: VecDeque::new(),
        sent: Vec::new(),
        completes: false,
        descriptors: descriptors.to_vec(),
        counters: PortCounters::default(),
    }
}

impl Port for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities { checksum_tx: self.completes, ..Capabilities::plain(1_500) }
    }

    fn rx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        let before = bursts.rx.len();
        while bursts.rx_room() > 0
            && let Some(bytes) = self.received.pop_front()
        {
            let mut frame = bursts.pool.take().unwrap();
            frame.copy_from(&bytes);
            // The second byte says that the last two are a checksum left open.
            if bytes[1] == 1 {
                frame.set_partial(Some(Partial { start: 0, offset: bytes.len() as u16 - 2 }));
            }
            bursts.rx.push(frame);
        }
        bursts.rx.len() - before
    }

    fn tx_burst(&mut self, _now: Instant, bursts: &mut Bursts) -> usize {
        let count = bursts.tx.len().min(self.room);
        self.room -= count;
        assert!(bursts.tx.iter().all(|frame| self.completes || frame.partial().is_none()), "nobody completes it");
        self.sent.extend(bursts.tx.iter().take(count).map(|frame| frame.bytes().to_vec()));
        bursts.recycle_tx(count);
        self.counters.tx_frames += count as u64;
        count
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

fn leave(bursts: &mut Bursts, to_host: bool, byte: u8) {
    let mut frame = bursts.pool.take().unwrap();
    frame.copy_from(&[byte, 0, 0, 0]);
    if to_host { bursts.host.push_back(frame) } else { bursts.tx.push_back(frame) }
}

#[test]
fn what_the_card_leaves_goes_to_the_host_and_a_full_host_loses_it() {
    let mut port = Twinned::new(fake(&[3]), fake(&[4]));
    let mut bursts = Bursts::new(4 * BURST_LEN_MAX);
    assert!(port.capabilities().twin);
    assert_eq!(port.descriptors(), [3, 4]);
    port.device.received.push_back(vec![1, 0]);
    assert_eq!(port.rx_burst(Instant::ZERO, &mut bursts), 1, "what the device brings is the card's to judge");
    bursts.recycle_rx();
    leave(&mut bursts, true, 7);
    port.tx_burst(Instant::ZERO, &mut bursts);
    assert_eq!(port.host.sent, [[7, 0, 0, 0]]);
    port.host.room = 0;
    for byte in 0..=BURST_LEN_MAX as u8 {
        leave(&mut bursts, true, byte);
        port.tx_burst(Instant::ZERO, &mut bursts);
    }
    assert_eq!(port.wake_at(), Some(Instant::ZERO), "what waits for the host is not slept over");
    let counters = port.counters();
    assert_eq!((counters.host_frames, counters.host_dropped), (1, 1));
    port.host.room = usize::MAX;
    port.rx_burst(Instant::ZERO, &mut bursts);
    assert_eq!(port.host.sent.len(), 1 + BURST_LEN_MAX);
    assert_eq!((port.wake_at(), bursts.host.len()), (None, 0));
    let free = std::iter::from_fn(|| bursts.pool.take_spare()).count();
    assert_eq!(free, bursts.pool.owned(), "every frame came back");
}

#[test]
fn what_the_host_sends_leaves_by_the_device_in_turns_with_the_card() {
    let mut port = Twinned::new(fake(&[]), fake(&[4]));
    assert!(port.descriptors().is_empty(), "a device that announces nothing must be looked at");
    let mut bursts = Bursts::new(4 * BURST_LEN_MAX);
    port.host.received.push_back(vec![8, 0]);
    port.rx_burst(Instant::ZERO, &mut bursts);
    assert_eq!(port.device.sent, [[8, 0]]);
    // Both have more than the device takes: one frame a burst.
    (0..8).for_each(|_| leave(&mut bursts, false, 1));
    port.host.received.extend((0..8).map(|_| vec![8, 0]));
    let mut now = Instant::ZERO;
    for _ in 0..8 {
        now += LOOK_INTERVAL;
        port.device.room = 1;
        port.rx_burst(now, &mut bursts);
        port.tx_burst(now, &mut bursts);
    }
    let hosts = port.device.sent[1..].iter().filter(|frame| frame[0] == 8).count();
    assert_eq!((hosts, port.device.sent.len()), (4, 9));
    assert!(bursts.tx.iter().all(|frame| frame.bytes()[0] == 1), "the card's own frames are not mixed with them");
    port.device.room = usize::MAX;
    for _ in 0..2 {
        now += LOOK_INTERVAL;
        port.rx_burst(now, &mut bursts);
        port.tx_burst(now, &mut bursts);
    }
    assert_eq!((port.device.sent.len(), port.wake_at()), (17, None));
}

#[test]
fn a_checksum_that_the_sender_left_open_is_completed() {
    let mut port = Twinned::new(fake(&[]), fake(&[]));
    let mut bursts = Bursts::new(BURST_LEN_MAX);
    port.host.received.push_back(vec![0x12, 1, 0, 0]);
    port.rx_burst(Instant::ZERO, &mut bursts);
    assert_eq!(port.device.sent, [[0x12, 1, 0xed, 0xfe]]);
    // Whoever completes TCP's is not trusted with others.
    port.device.completes = true;
    port.capabilities.checksum_tx = true;
    for len in [6, TCP_CHECKSUM_AT + 2] {
        let mut bytes = vec![0; len];
        bytes[1] = 1;
        port.host.received.push_back(bytes);
    }
    port.rx_burst(Instant::ZERO + LOOK_INTERVAL, &mut bursts);
    assert_eq!(port.device.sent[1], [0, 1, 0, 0, 0xff, 0xfe]);
    assert_eq!(port.device.sent[2][TCP_CHECKSUM_AT..], [0, 0]);
    // The checksum lies outside of the frame.
    let mut frame = bursts.pool.take().unwrap();
    frame.copy_from(&[0; 4]);
    frame.set_partial(Some(Partial { start: 3, offset: 0 }));
    bursts.host.push_back(frame);
    port.tx_burst(Instant::ZERO, &mut bursts);
    assert_eq!((port.host.sent.len(), port.counters().host_dropped), (0, 1));
}
