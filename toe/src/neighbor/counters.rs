//! What the card's link layer counts: why it did not take a frame or send a packet, and what it did.

macro_rules! drops {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a frame was not taken or a packet not sent. Each is counted; none is logged one by one.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum NeighborDrop { $($(#[$doc])* $name,)* }

        impl NeighborDrop {
            /// Every reason, in order.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// The reason's name in counters and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

drops! {
    /// Shorter than its headers say.
    Truncated = "truncated",
    /// A header or a message that contradicts itself.
    Malformed = "malformed",
    /// A checksum that does not hold.
    Checksum = "checksum",
    /// Neighbour discovery that has crossed a router: its hop limit is not 255.
    HopLimit = "hop_limit",
    /// Another tag than the card's, or none where it has one.
    Vlan = "vlan",
    /// For another hardware address.
    OtherHardware = "other_hardware",
    /// Neither ARP nor IP.
    NotIp = "not_ip",
    /// For an IP address that is not the card's.
    NotOurs = "not_ours",
    /// An IP fragment.
    Fragment = "fragment",
    /// A protocol or message that the card does not serve.
    NotServed = "not_served",
    /// Sent to many at once where only one may be meant.
    ToMany = "to_many",
    /// From an address that no one host can have.
    BadSource = "bad_source",
    /// Says of an address that is the card's that it is elsewhere.
    Conflict = "conflict",
    /// An answer that nobody asked for, about a neighbour that the card does not know.
    Unsolicited = "unsolicited",
    /// An ICMP message beyond the allowed rate, not sent.
    RateLimited = "rate_limited",
    /// For the host, which is behind with its frames.
    HostFull = "host_full",
    /// For another lane, to which as much is under way as may be.
    LanesFull = "lanes_full",
    /// An answer or a question that found no free frame.
    NoFrame = "no_frame",
    /// An answer or a question that found the send burst and the queue behind it full.
    SendFull = "send_full",
    /// A packet for an address that no route leads to.
    NoRoute = "no_route",
    /// A packet for a broadcast, multicast, loopback or own address.
    NotUnicast = "not_unicast",
    /// A packet that waited for a neighbour that did not answer.
    Unresolved = "unresolved",
    /// A packet for a neighbour that did not answer a moment ago.
    Unreachable = "unreachable",
    /// A packet for a neighbour for whom enough packets wait.
    WaitingFull = "waiting_full",
    /// A neighbour that found the table full of those in use.
    TableFull = "table_full",
    /// A notice that the lane had no room for.
    NoticesFull = "notices_full",
}

impl NeighborDrop {
    /// Whether a frame of this kind may be the host's, where one lives behind the same device.
    pub(super) const fn may_be_hosts(self) -> bool {
        matches!(
            self,
            Self::Vlan | Self::OtherHardware | Self::NotIp | Self::NotOurs | Self::Fragment | Self::NotServed
        )
    }
}

/// Counts by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NeighborDropCounters([u64; NeighborDrop::ALL.len()]);

impl NeighborDropCounters {
    /// Counts one.
    pub fn count(&mut self, reason: NeighborDrop) {
        self.0[reason as usize] += 1;
    }

    /// How many for `reason`.
    pub fn get(&self, reason: NeighborDrop) -> u64 {
        self.0[reason as usize]
    }

    /// Those that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (NeighborDrop, u64)> + '_ {
        NeighborDrop::ALL.iter().map(|reason| (*reason, self.get(*reason))).filter(|(_, count)| *count > 0)
    }
}

/// What one card's link layer did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NeighborCounters {
    /// TCP packets passed to the lane.
    pub rx_packets: u64,
    /// Frames passed to the host.
    pub host_frames: u64,
    /// The lane's packets that left as frames, those that waited included.
    pub tx_packets: u64,
    /// The lane's packets that had to wait for a neighbour.
    pub waited: u64,
    /// Questions for a neighbour's hardware address sent: ARP requests and neighbour solicitations.
    pub asked: u64,
    /// Answers about the card's own addresses sent: ARP replies and neighbour advertisements.
    pub answered: u64,
    /// The card's own addresses announced to all.
    pub announced: u64,
    /// Reports of the multicast groups that the card listens to (MLD).
    pub reported: u64,
    /// Echo replies sent.
    pub echoed: u64,
    /// Port-unreachable messages sent.
    pub refused: u64,
    /// Callers told that they are kept out.
    pub prohibited: u64,
    /// ICMP errors about the card's flows that became notices.
    pub noticed: u64,
    /// Neighbours learned from their questions.
    pub learned: u64,
    /// Neighbours whose hardware address was replaced by another.
    pub overridden: u64,
    /// Neighbours that gave way to others.
    pub evicted: u64,
    /// Claims of others to an address of the card.
    pub conflicts: u64,
    /// DHCP messages sent.
    pub dhcp_sent: u64,
    /// DHCP messages taken.
    pub dhcp_taken: u64,
    /// Leases acquired, renewals not counted.
    pub leases: u64,
    /// Not taken or not sent, by reason.
    pub drops: NeighborDropCounters,
}
