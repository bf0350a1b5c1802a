#![allow(clippy::unwrap_used)]

use hpb_base::Duration;

use super::*;
use crate::conformance::{Conformance, FarEnd};
use crate::port::HardwareAddress;

/// The second port of a pair, as the far end of the first.
struct WireFarEnd {
    port: WirePort,
    bursts: Bursts,
    taken: std::collections::VecDeque<Vec<u8>>,
}

impl FarEnd for WireFarEnd {
    fn hardware(&self) -> HardwareAddress {
        [0; 6]
    }

    fn addresses(&self) -> (std::net::Ipv4Addr, std::net::Ipv4Addr) {
        ([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
    }

    fn inject(&mut self, frame: &[u8]) -> bool {
        let Some(mut spare) = self.bursts.pool.take() else { return false };
        spare.copy_from(frame);
        self.bursts.tx.push_back(spare);
        self.port.tx_burst(Instant::ZERO, &mut self.bursts);
        // A frame that found no room is taken back.
        self.bursts.tx.pop_back().is_none_or(|frame| {
            self.bursts.pool.give(frame);
            false
        })
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        if self.taken.is_empty() {
            self.port.rx_burst(Instant::ZERO, &mut self.bursts);
            self.taken.extend(self.bursts.rx.iter().map(|frame| frame.bytes().to_vec()));
            self.bursts.recycle_rx();
        }
        self.taken.pop_front()
    }

    fn held_count(&self) -> usize {
        usize::MAX
    }
}

#[test]
fn it_is_a_port_like_any_other() {
    let (mut port, far) = pair(1, LinkConfig::default());
    let mut far = WireFarEnd { port: far, bursts: Bursts::new(4_096), taken: std::collections::VecDeque::new() };
    Conformance::new(&mut port, &mut far).all();
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn pair(seed: u64, config: LinkConfig) -> (WirePort, WirePort) {
    let mut builder = WireBuilder::new(seed);
    let from = builder.port(&[address(1)]);
    let to = builder.port(&[address(2)]);
    builder.link(from, to, config);
    let mut ports = builder.build().unwrap();
    let second = ports.pop().unwrap();
    (ports.pop().unwrap(), second)
}

fn packet(bursts: &mut Bursts, to: u8, tag: u16) {
    let mut frame = bursts.pool.take().unwrap();
    let mut bytes = [0; 40];
    bytes[0] = 0x45;
    bytes[16..20].copy_from_slice(&[10, 0, 0, to]);
    bytes[38..].copy_from_slice(&tag.to_be_bytes());
    frame.copy_from(&bytes);
    bursts.tx.push_back(frame);
}

fn tag(frame: &Frame) -> u16 {
    u16::from_be_bytes([frame.bytes()[38], frame.bytes()[39]])
}

/// Sends `count` frames a millisecond apart and returns (tag, arrival in ms) in order of arrival.
fn run(seed: u64, config: LinkConfig, count: u16) -> (Vec<(u16, u64)>, LinkCounters) {
    let (mut a, mut b) = pair(seed, config);
    let (mut out, mut inn) = (Bursts::new(64), Bursts::new(64));
    let mut seen = Vec::new();
    for ms in 0..u64::from(count) + 500 {
        let now = Instant::from_millis(ms);
        if ms < u64::from(count) {
            packet(&mut out, 2, ms as u16);
            a.tx_burst(now, &mut out);
        }
        b.rx_burst(now, &mut inn);
        seen.extend(inn.rx.iter().map(|frame| (tag(frame), ms)));
        inn.recycle_rx();
    }
    (seen, b.link_counters(0).unwrap())
}

#[test]
fn a_perfect_link_delivers_at_once_and_in_order() {
    let (seen, _) = run(1, LinkConfig::default(), 300);
    assert_eq!(seen, (0..300).map(|n| (n, u64::from(n))).collect::<Vec<_>>());
}

#[test]
fn delay_is_exact() {
    let config = LinkConfig { delay: Duration::from_millis(7), ..LinkConfig::default() };
    let (seen, _) = run(1, config, 50);
    assert_eq!(seen, (0..50).map(|n| (n, u64::from(n) + 7)).collect::<Vec<_>>());
}

#[test]
fn jitter_keeps_the_order() {
    let config = LinkConfig { jitter: Jitter::Uniform(Duration::from_millis(20)), ..LinkConfig::default() };
    let (seen, _) = run(3, config, 200);
    assert!(seen.iter().map(|(tag, _)| *tag).eq(0..200));
    assert!(seen.iter().any(|(tag, at)| at - u64::from(*tag) > 10));
}

#[test]
fn one_seed_one_fate_and_another_seed_another() {
    let config = LinkConfig {
        loss_ppm: 100_000,
        duplicate_ppm: 50_000,
        reorder_ppm: 50_000,
        reorder_delay: Duration::from_millis(5),
        jitter: Jitter::Uniform(Duration::from_millis(3)),
        ..LinkConfig::default()
    };
    assert_eq!(run(7, config, 400), run(7, config, 400));
    assert_ne!(run(7, config, 400).0, run(8, config, 400).0);
}

#[test]
fn every_impairment_happens_and_is_counted() {
    let config = LinkConfig {
        loss_ppm: 100_000,
        duplicate_ppm: 100_000,
        reorder_ppm: 100_000,
        reorder_delay: Duration::from_millis(5),
        corrupt_ppm: 100_000,
        ..LinkConfig::default()
    };
    let (seen, counters) = run(11, config, 1_000);
    assert_eq!(seen.len() as u64, counters.delivered);
    assert_eq!(counters.delivered, 1_000 - counters.lost + counters.duplicated);
    for count in [counters.lost, counters.duplicated, counters.reordered, counters.corrupted] {
        assert!((50..200).contains(&count), "{counters:?}");
    }
}

#[test]
fn a_rate_spaces_frames_and_a_full_queue_loses_them() {
    // 40 bytes at 32,000 bits/s take 10 ms; one comes each ms, and the queue holds 80 bytes.
    let config = LinkConfig { rate_bits_per_s: 32_000, queue_len_max: 80, ..LinkConfig::default() };
    let (seen, counters) = run(1, config, 100);
    assert!(seen.windows(2).all(|pair| pair[1].1 - pair[0].1 == 10));
    assert_eq!(counters.overflowed + counters.delivered, 100);
    assert!(counters.overflowed > 80);
}

#[test]
fn a_cut_link_passes_nothing_one_way() {
    let config = LinkConfig { cut: true, ..LinkConfig::default() };
    let (seen, counters) = run(1, config, 20);
    assert_eq!((seen.len(), counters.lost), (0, 20));
}

#[test]
fn a_full_link_holds_the_sender_back_and_loses_nothing() {
    let (mut a, mut b) = pair(1, LinkConfig::default());
    let (mut out, mut inn) = (Bursts::new(4_096), Bursts::new(4_096));
    let mut sent = 0;
    for n in 0..WIRE_LINK_DEPTH as u16 + 10 {
        packet(&mut out, 2, n);
        sent += a.tx_burst(Instant::ZERO, &mut out);
    }
    assert_eq!(sent, WIRE_LINK_DEPTH);
    assert_eq!(out.tx.len(), 10);
    let mut received = 0;
    while received < WIRE_LINK_DEPTH + 10 {
        received += b.rx_burst(Instant::ZERO, &mut inn);
        inn.recycle_rx();
        a.tx_burst(Instant::ZERO, &mut out);
    }
    assert!(out.tx.is_empty());
}

#[test]
fn a_one_way_stream_makes_no_new_frames() {
    let (mut a, mut b) = pair(1, LinkConfig::default());
    let (mut out, mut inn) = (Bursts::new(256), Bursts::new(256));
    for n in 0..20_000_u32 {
        packet(&mut out, 2, n as u16);
        a.tx_burst(Instant::ZERO, &mut out);
        b.rx_burst(Instant::ZERO, &mut inn);
        inn.recycle_rx();
    }
    assert!(out.pool.owned() + inn.pool.owned() <= 8, "{} + {}", out.pool.owned(), inn.pool.owned());
}

#[test]
fn nobody_answers_for_an_unknown_address() {
    let (mut a, _b) = pair(1, LinkConfig::default());
    let mut out = Bursts::new(8);
    packet(&mut out, 99, 0);
    assert_eq!(a.tx_burst(Instant::ZERO, &mut out), 0);
    assert_eq!((a.counters().tx_unroutable, out.tx.len()), (1, 0));
}

#[test]
fn a_bad_layout_is_refused() {
    let mut twice = WireBuilder::new(0);
    twice.port(&[address(1)]);
    twice.port(&[address(1)]);
    assert_eq!(twice.build().err(), Some(WireError::AddressTaken(address(1))));
    let mut lost = WireBuilder::new(0);
    lost.port(&[address(1)]);
    lost.link(0, 5, LinkConfig::default());
    assert_eq!(lost.build().err(), Some(WireError::NoSuchPort(0, 5)));
}

#[test]
fn a_full_link_does_not_keep_another_waiting() {
    let mut builder = WireBuilder::new(0);
    for last in 1..=3 {
        builder.port(&[address(last)]);
    }
    let mut ports = builder.build().unwrap();
    let (mut a, mut b, mut to) = (Bursts::new(512), Bursts::new(8), Bursts::new(512));
    for n in 0..200 {
        packet(&mut a, 3, n);
    }
    packet(&mut b, 3, 999);
    ports[0].tx_burst(Instant::ZERO, &mut a);
    ports[1].tx_burst(Instant::ZERO, &mut b);
    assert_eq!(ports[2].rx_burst(Instant::ZERO, &mut to), BURST_LEN_MAX);
    assert!(to.rx.iter().any(|frame| tag(frame) == 999), "the one frame of the quiet link is in the first burst");
}

#[test]
fn a_port_tells_what_the_links_did_to_each_frame() {
    let jitter = Jitter::Exponential(Duration::from_millis(2));
    let impaired = LinkConfig { delay: Duration::from_millis(1), jitter, ..LinkConfig::default() };
    for config in [impaired, LinkConfig::default()] {
        let (mut a, mut b) = pair(5, config);
        b.note_applied();
        let (mut out, mut inn) = (Bursts::new(64), Bursts::new(64));
        let mut told = 0;
        for step in 0..4_000_u64 {
            let now = Instant::from_micros(step * 50);
            if step % 20 == 0 && step < 2_000 {
                packet(&mut out, 2, (step / 20) as u16);
                a.tx_burst(now, &mut out);
            }
            b.rx_burst(now, &mut inn);
            assert_eq!(b.applied().len(), inn.rx.len());
            for (frame, applied) in inn.rx.iter().zip(b.applied()) {
                assert_eq!(applied.sent_at, Instant::from_millis(u64::from(tag(frame))));
                assert!(applied.due_at <= now && now.since(applied.due_at) < Duration::from_micros(50));
                told += 1;
            }
            inn.recycle_rx();
        }
        assert_eq!(told, 100);
    }
}

#[test]
fn losses_in_bursts_shift_no_other_dice() {
    let delayed = LinkConfig { jitter: Jitter::Uniform(Duration::from_millis(3)), ..LinkConfig::default() };
    let burst_loss = Some(BurstLoss { enter_ppm: 50_000, leave_ppm: 200_000, good_ppm: 0, bad_ppm: 1_000_000 });
    let (all, _) = run(9, LinkConfig { reorder_ppm: 1, ..delayed }, 400);
    let (some, counters) = run(9, LinkConfig { reorder_ppm: 1, burst_loss, ..delayed }, 400);
    assert_eq!(some.len() as u64 + counters.lost, 400);
    assert!(counters.lost > 20);
    assert!(some.iter().filter(|seen| all.contains(seen)).count() > some.len() * 9 / 10, "the same delays");
}
