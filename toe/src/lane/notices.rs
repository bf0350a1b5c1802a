//! What the link layer tells a lane: paths that are narrower than was thought, peers that cannot be reached, addresses
//! that come and go. Anyone can send an ICMP error, so each is held against what is in flight (RFC 5927).

use hpb_net::frame::Bursts;

use super::{Lane, TcpState, mark};
use crate::card::CloseReason;
use crate::neighbor::Notice;
use crate::segment::FlowKey;

impl Lane {
    /// Does what the link layer's notices ask for.
    pub(super) fn take_notices(&mut self, bursts: &mut Bursts) {
        while let Some(notice) = self.neighbor.take_notice() {
            let Some(notice) = self.own_notice(notice, bursts) else { continue };
            match notice {
                Notice::PacketTooBig { flow, seq, mtu } => self.narrow(&flow, seq, mtu),
                Notice::Unreachable { flow, seq, hard } => {
                    // Of a session that is open it may be forged, or pass (RFC 5927 section 5.2).
                    if hard
                        && let Some(index) = self.in_flight(&flow, seq)
                        && let Some(session) = self.slots[index as usize].session.as_ref()
                        && session.socket.state() == TcpState::Opening
                    {
                        self.end(index, None, CloseReason::Unreachable);
                    }
                }
                Notice::AddressAcquired { .. } | Notice::AddressLost { .. } => {
                    let addresses: Vec<_> = self.neighbor.addresses().collect();
                    self.stack.set_addresses(&addresses);
                }
                // It is defended and counted there.
                Notice::Conflict { .. } => {}
            }
        }
    }

    /// A router's word that packets of this session are too large: they are made smaller, and the one that was lost is
    /// sent again at once (RFC 1191 section 6, RFC 8201 section 4).
    fn narrow(&mut self, flow: &FlowKey, seq: u32, mtu: usize) {
        let Some(index) = self.in_flight(flow, seq) else { return };
        let class = self.stack.class_of(mtu);
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        // One that says what is known already, or that a path grew, says nothing.
        if class <= session.socket.path {
            return;
        }
        session.socket.path = class;
        self.counters.paths_narrowed += 1;
        session.edge.repeat_first();
        mark(&mut self.dirty, session);
    }

    /// The session of a flow, if a segment with this sequence number of the wire's is in flight.
    fn in_flight(&self, flow: &FlowKey, seq: u32) -> Option<u32> {
        let of_flow = |index: u32| {
            let session = self.slots.get(index as usize).and_then(|slot| slot.session.as_ref());
            session.is_some_and(|session| session.flow == *flow)
        };
        let index = self.flows.find(self.flows.hash(flow), of_flow)?;
        let session = self.slots[index as usize].session.as_ref()?;
        let seq = seq.wrapping_sub(session.edge.offset?);
        let scoreboard = &session.edge.scoreboard;
        // A SYN's number lies one below the first that counts.
        let ahead = seq.wrapping_sub(scoreboard.first());
        let is_syn = session.socket.state() == TcpState::Opening && ahead == u32::MAX;
        (is_syn || ahead < scoreboard.flight_len()).then_some(index)
    }
}
