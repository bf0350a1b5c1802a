//! One link layer over two lanes.

use super::*;

fn pair(config: &NeighborConfig) -> [Card; 2] {
    [0, 1].map(|lane| Card::new(NeighborConfig { lane, lanes: 2, ..config.clone() }))
}

/// Carries what crosses, both ways; returns what leaves of the first lane, then of the other, which has the time of the
/// first.
fn cross(cards: &mut [Card; 2]) -> [Vec<Vec<u8>>; 2] {
    let [first, other] = cards;
    other.now = first.now;
    let mut frames = Vec::new();
    while let Some(frame) = other.neighbor.take_for_first() {
        frames.push(frame.bytes().to_vec());
        other.bursts.pool.give(frame);
    }
    let sent = first.receive(&frames);
    while let Some(told) = first.neighbor.take_told() {
        other.neighbor.heed(other.now, told, &mut other.bursts);
    }
    assert!(first.neighbor.take_for_first().is_none() && other.neighbor.take_told().is_none());
    [sent, other.receive(&[])]
}

#[test]
fn one_lane_speaks_for_the_card_and_the_other_learns() {
    let mut cards = pair(&config());
    assert_eq!(cards[1].neighbor.wake_at(), None);
    assert!(cards[1].receive(&[]).is_empty(), "the first lane announces");
    assert!(!cards[0].receive(&[]).is_empty());
    // A question that came to the other lane's queue.
    assert!(cards[1].receive(&[question(FAR, 1)]).is_empty());
    let answer = framed(FAR, NEAR, ethernet::ARP, &arp(2, (NEAR, [10, 0, 0, 1]), (FAR, [10, 0, 0, 9])));
    assert_eq!(cross(&mut cards), [vec![answer], vec![]]);
    let packet = segment_to("10.0.0.9:80");
    for card in &mut cards {
        let sent = card.transmit(std::slice::from_ref(&packet));
        assert_eq!(sent, [framed(FAR, NEAR, ethernet::IPV4, &packet)], "both know who asked");
    }
    // A question of the other lane's own, whose answer comes to the first, which did not ask.
    let packet = segment_to("10.0.0.8:80");
    let asked = cards[1].transmit(std::slice::from_ref(&packet));
    assert_eq!(asked, [framed(ALL, NEAR, ethernet::ARP, &arp(1, (NEAR, [10, 0, 0, 1]), ([0; 6], [10, 0, 0, 8])))]);
    cards[0].receive(&[reply(FAR, [10, 0, 0, 8])]);
    assert_eq!(cross(&mut cards), [vec![], vec![framed(FAR, NEAR, ethernet::IPV4, &packet)]]);
    assert_eq!((cards[0].neighbor.neighbors(), cards[1].neighbor.neighbors()), (1, 2));
    assert_eq!(cards[0].dropped(NeighborDrop::Unsolicited), 0);
}

#[test]
fn what_is_a_sessions_or_the_hosts_stays_with_its_lane() {
    let [_, mut other] = pair(&NeighborConfig { twin: true, ..config() });
    let session = framed(NEAR, FAR, ethernet::IPV4, &segment_between("10.0.0.9:80", "10.0.0.1:1"));
    let hosts = framed(NEAR, FAR, ethernet::IPV4, &segment_between("10.0.0.9:80", "10.0.0.2:1"));
    let ping = framed(NEAR, FAR, ethernet::IPV4, &written(ip::ICMP, "10.0.0.9", "10.0.0.1", &[&[8; 30]]));
    other.receive(&[session, hosts, ping.clone()]);
    assert_eq!((other.taken().len(), other.bursts.host.len()), (1, 1));
    assert_eq!(other.neighbor.take_for_first().map(|frame| frame.bytes().to_vec()), Some(ping.clone()));
    // Two whole bursts of them while the first lane takes none.
    other.receive(&vec![ping.clone(); BURST_LEN_MAX]);
    other.receive(&vec![ping; BURST_LEN_MAX]);
    assert_eq!(other.dropped(NeighborDrop::LanesFull), BURST_LEN_MAX as u64);
}

#[test]
fn what_nobody_takes_is_bounded() {
    let [mut first, _] = pair(&config());
    for _ in 0..=NEIGHBOR_TOLD_MAX {
        first.receive(&[question(FAR, 1)]);
    }
    assert_eq!(first.dropped(NeighborDrop::LanesFull), 1);
}

#[test]
fn a_lease_is_every_lanes() {
    let mut cards = pair(&NeighborConfig { dhcp: true, ..NeighborConfig::new(NEAR, Vec::new(), 7) });
    let address = (ip("10.0.0.77"), 24);
    let mut discover = Vec::new();
    while discover.is_empty() {
        cards[0].now = cards[0].neighbor.wake_at().unwrap();
        discover = cards[0].receive(&[]);
        assert!(cross(&mut cards)[1].is_empty(), "one client a card");
    }
    // The server's answers come to the other lane's queue.
    cards[1].receive(&[served(&discover[0], 2, 3_600)]);
    cross(&mut cards);
    let request = cards[0].receive(&[]);
    cards[1].receive(&[served(&request[0], 5, 3_600)]);
    cross(&mut cards);
    for card in &mut cards {
        assert_eq!(card.neighbor.addresses().collect::<Vec<_>>(), [address]);
        assert!(matches!(card.notices()[..], [Notice::AddressAcquired { .. }]));
    }
    // A lane that missed it is told again.
    let [_, late] = pair(&NeighborConfig { dhcp: true, ..NeighborConfig::new(NEAR, Vec::new(), 7) });
    cards[1] = late;
    cards[0].now += Duration::from_secs(5);
    cards[0].receive(&[]);
    cross(&mut cards);
    assert_eq!(cards[1].neighbor.addresses().collect::<Vec<_>>(), [address]);
    assert_eq!((cards[0].neighbor.counters().leases, cards[1].neighbor.counters().leases), (1, 0));
    // Nobody renews it: it ends for both.
    while cards[0].neighbor.addresses().next().is_some() {
        cards[0].now = cards[0].neighbor.wake_at().unwrap();
        cards[0].receive(&[]);
        cross(&mut cards);
    }
    assert_eq!(cards[1].neighbor.addresses().count(), 0);
}
