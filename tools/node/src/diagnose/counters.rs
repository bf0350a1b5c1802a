//! A lane's counters by their names in reports and answers.

use hpb_base::limits::COUNTERS_TOLD_MAX;
use hpb_net::PortCounters;
use hpb_toe::Lane;
use hpb_toe::neighbor::NeighborCounters;
use hpb_toe::stats::LaneCounters;
use hpb_types::message::diagnose::{CounterRow, Text};

/// The counters of a lane, its port and its link layer; of drops those alone that are not zero.
pub fn named(card: &LaneCounters, port: &PortCounters, link: &NeighborCounters) -> Vec<(String, u64)> {
    let mut named: Vec<(String, u64)> = [
        ("segments received", card.rx_segments),
        ("segments sent", card.tx_segments),
        ("segments sent again", card.retransmitted),
        ("probes", card.probes),
        ("segments out of order", card.out_of_order),
        ("sessions opened", card.opened),
        ("sessions closed", card.closed),
        ("SYNs", card.syns),
        ("cookies sent", card.cookies_sent),
        ("cookies taken", card.cookies_taken),
        ("waits cut short by a new SYN", card.reopened),
        ("challenge ACKs", card.challenges),
        ("resets", card.resets),
        ("strays sent", card.strays_sent),
        ("strays taken", card.strays_taken),
        ("frames received", port.rx_frames),
        ("frames sent", port.tx_frames),
        ("frames that waited for the port", port.tx_full),
        ("frames the port refused", port.tx_refused),
        ("frames the port lost", port.rx_dropped),
        ("frames malformed for the port", port.rx_malformed),
        ("large frames cut", port.rx_split),
        ("frames to the host", port.host_frames),
        ("frames lost to the host", port.host_dropped),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .to_vec();
    named.extend(card.drops.iter().map(|(reason, count)| (format!("dropped: {}", reason.name()), count)));
    named.extend(
        [
            ("asked for neighbours", link.asked),
            ("answered for the card", link.answered),
            ("announced", link.announced),
            ("echoed", link.echoed),
            ("ports refused", link.refused),
            ("callers told that they are banned", link.prohibited),
            ("packets that waited for a neighbour", link.waited),
            ("ICMP errors about sessions", link.noticed),
            ("neighbours evicted", link.evicted),
            ("address conflicts", link.conflicts),
            ("leases", link.leases),
        ]
        .map(|(name, count)| (format!("link: {name}"), count)),
    );
    named.extend(link.drops.iter().map(|(reason, count)| (format!("link dropped: {}", reason.name()), count)));
    named
}

/// All that a lane counts, and what it holds now, as it is told.
pub(super) fn rows(lane: &Lane, port: &PortCounters) -> Vec<CounterRow> {
    let card = lane.counters();
    let mut all = named(card, port, lane.link_counters());
    let more = [
        ("messages received", card.rx_messages),
        ("messages sent", card.tx_messages),
        ("messages shed", card.shed_messages),
        ("handshakes", card.handshakes),
        ("reconnects", card.reconnects),
        ("paths narrowed", card.paths_narrowed),
        ("bytes received", port.rx_bytes),
        ("bytes sent", port.tx_bytes),
    ];
    all.extend(more.map(|(name, count)| (name.to_owned(), count)));
    all.extend(lane.holdings().named().map(|(name, count)| (format!("held: {name}"), count as u64)));
    all.truncate(COUNTERS_TOLD_MAX);
    all.into_iter().map(|(name, value)| CounterRow { name: Text::new(&name), value }).collect()
}
