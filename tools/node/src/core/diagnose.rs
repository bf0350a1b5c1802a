//! Questions about this node that its peers ask: clock, standing and bytes to fill a path with are answered here, to
//! whoever has said hello; the rest goes to the card's desk if the peer has the diagnostics role.

use hpb_base::Instant;
use hpb_base::limits::QUESTIONS_PER_SECOND_MAX;
use hpb_ledger::Store;
use hpb_toe::SessionId;
use hpb_types::message::Message;
use hpb_types::message::diagnose::{
    Answer, Ask, ClockReading, Filling, NodeInfo, PeerKey, Question, Refusal, Tell, Text,
};
use hpb_types::message::{PROTOCOL_VERSION, Roles};

use super::Core;
use super::io::Output;

/// Bounds what is answered to peers without the diagnostics role.
#[derive(Default)]
pub(super) struct Questions {
    /// Answered in the present second, and when it began.
    answered: (u32, Instant),
}

impl Questions {
    /// Whether one more may be answered; if so, it is counted.
    fn take(&mut self, now: Instant) -> bool {
        let (count, since) = &mut self.answered;
        if now.since(*since).as_millis() >= 1_000 {
            (*count, *since) = (0, now);
        }
        let may = *count < QUESTIONS_PER_SECOND_MAX;
        *count += u32::from(may);
        may
    }
}

impl<S: Store> Core<S> {
    /// A peer asks something.
    pub(super) fn question(&mut self, session: SessionId, question: Question) {
        let Some(roles) = self.peers.roles(session) else { return };
        let is_trusted = roles.contains(Roles::DIAGNOSTICS);
        if !is_trusted && !self.questions.take(self.now) {
            return self.answer(session, question.number, Tell::Refused(Refusal::Busy));
        }
        let told = match question.what {
            Ask::Clock => Tell::Clock(self.clock_reading()),
            Ask::Info => Tell::Info(Box::new(self.info(roles))),
            Ask::Fill(len) => Tell::Filling(Filling::zeros(len)),
            Ask::Absorb(Filling(bytes)) => Tell::Absorbed(bytes.len() as u32),
            _ if is_trusted => return self.outputs.push_back(Output::Ask { session, question: Box::new(question) }),
            _ => Tell::Refused(Refusal::Role),
        };
        self.answer(session, question.number, told);
    }

    /// What the card's desk says to a peer's question.
    pub(super) fn answered(&mut self, session: SessionId, answer: Answer) {
        // One who is gone meanwhile, or who asked before it lost its role, is told nothing.
        if self.peers.roles(session).is_some_and(|roles| roles.contains(Roles::DIAGNOSTICS)) {
            self.send(session, &Message::Answer(Box::new(answer)));
        }
    }

    fn answer(&mut self, session: SessionId, number: u64, what: Tell) {
        self.send(session, &Message::Answer(Box::new(Answer { number, what })));
    }

    /// The clock by which this node counts slots.
    fn clock_reading(&self) -> ClockReading {
        let at_ns = self.wall_at_zero.0.saturating_mul(1_000_000).saturating_add(self.now.as_nanos());
        ClockReading { received_at_ns: at_ns, answered_at_ns: at_ns }
    }

    fn info(&self, roles: Roles) -> NodeInfo {
        let validators = self.peers.validators_open();
        NodeInfo {
            software: Text::new(concat!("hpb ", env!("CARGO_PKG_VERSION"))),
            protocol: PROTOCOL_VERSION,
            identity: PeerKey::from(self.identity),
            chain: self.chain,
            roles,
            head: self.head.height,
            final_slice: self.final_told,
            validators: validators as u32,
            terminals: (self.peers.open_count() - validators) as u32,
            mesh: self.peers.validators_known() as u32,
            uptime_ms: self.now.since(self.started_at).as_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_answers_for_all_peers_together() {
        let (mut questions, now) = (Questions::default(), Instant::from_millis(5_000));
        let taken =
            |questions: &mut Questions, at| (0..3 * QUESTIONS_PER_SECOND_MAX).filter(|_| questions.take(at)).count();
        assert_eq!(taken(&mut questions, now), QUESTIONS_PER_SECOND_MAX as usize);
        assert_eq!(taken(&mut questions, now + hpb_base::Duration::from_millis(999)), 0);
        assert_eq!(
            taken(&mut questions, now + hpb_base::Duration::from_millis(1_000)),
            QUESTIONS_PER_SECOND_MAX as usize
        );
    }
}
