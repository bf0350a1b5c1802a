//! A lane's side of the desk: it takes one question a turn and answers it from what the lane has at hand.

use hpb_base::Instant;
use hpb_net::PortCounters;
use hpb_toe::registers::Register;
use hpb_toe::tape::Operated;
use hpb_toe::{CaptureFor, Command, Lane, SessionId};
use hpb_types::message::diagnose::{
    Ask, BansTold, CountersTold, Refusal, RegisterRow, RegistersTold, SessionName, Tell, Text,
};

use super::{Asked, counters};
use crate::runtime::{Receiver, SendError, Sender};
use crate::workers::inside_of;

/// A question for one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneAsk {
    /// The desk's own number for it.
    pub number: u64,
    /// Who asks.
    pub asked: Asked,
    /// What is asked.
    pub what: Ask,
}

/// A lane's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneTold {
    /// The question's number.
    pub number: u64,
    /// What the lane says.
    pub what: Tell,
}

/// The lane's side. See the module.
pub struct LaneDesk {
    lane: u16,
    lanes: u16,
    questions: Receiver<LaneAsk>,
    answers: Sender<LaneTold>,
    /// An answer that found no room.
    held: Option<LaneTold>,
}

impl LaneDesk {
    /// The desk of lane `lane` of `lanes`.
    pub fn new((lane, lanes): (usize, usize), questions: Receiver<LaneAsk>, answers: Sender<LaneTold>) -> Self {
        Self { lane: lane as u16, lanes: lanes as u16, questions, answers, held: None }
    }

    /// Answers one question, if there is one and room for the answer; whether there was anything to do.
    pub fn serve(&mut self, now: Instant, lane: &mut impl Operated, port: &PortCounters) -> bool {
        let had = self.held.is_some();
        if let Some(held) = self.held.take() {
            self.tell(held);
        }
        if self.held.is_some() {
            return false;
        }
        let Some(LaneAsk { number, asked, what }) = self.questions.pop() else { return had };
        let what = self.answer(now, lane, port, (asked, what));
        self.tell(LaneTold { number, what });
        true
    }

    fn tell(&mut self, told: LaneTold) {
        match self.answers.try_send(told) {
            Err(SendError::Full(told)) => self.held = Some(told),
            // Without a desk nobody waits for it.
            Ok(()) | Err(SendError::Dropped | SendError::Closed(_)) => {}
        }
    }

    fn answer(&self, now: Instant, lane: &mut impl Operated, port: &PortCounters, (asked, what): (Asked, Ask)) -> Tell {
        let lanes = self.lanes;
        let done = |is_done: bool, otherwise: Refusal| if is_done { Tell::Done } else { Tell::Refused(otherwise) };
        match what {
            Ask::Sessions(asked) => Tell::Sessions(lane.as_ref().page(now, &asked, lanes)),
            Ask::Counters { .. } => Tell::Counters(CountersTold { lanes, rows: counters::rows(lane.as_ref(), port) }),
            Ask::Registers { .. } => Tell::Registers(RegistersTold { lanes, rows: registers(lane.as_ref()) }),
            Ask::Events { after, .. } => Tell::Events(lane.as_ref().notables(now, after, (self.lane, lanes))),
            Ask::SetRegister { name, value } => match Register::by_name(&name.0) {
                Some(register) => {
                    lane.handle(now, Command::SetRegister { register, value });
                    Tell::Done
                }
                None => Tell::Refused(Refusal::NotFound),
            },
            Ask::Disconnect(SessionName { index, generation, .. }) => {
                done(lane.disconnect(SessionId { index, generation }), Refusal::NotFound)
            }
            Ask::Ban { who, seconds } => done(lane.ban(now, who, seconds), Refusal::Full),
            Ask::Unban(who) => done(lane.unban(now, &who), Refusal::NotFound),
            Ask::Bans => Tell::Bans(BansTold { rows: lane.as_ref().bans(now) }),
            Ask::Capture(what) => {
                let begun = lane.capturing().capture(now, what, self.capture_for(asked), lanes);
                begun.map_or_else(Tell::Refused, Tell::Capturing)
            }
            Ask::Captured { id, after, .. } => {
                let page = lane.capturing().captured(now, id, after, self.capture_for(asked));
                page.map_or_else(Tell::Refused, Tell::Captured)
            }
            Ask::CaptureEnd { id, .. } => {
                done(lane.capturing().end_capture(id, self.capture_for(asked)), Refusal::NotFound)
            }
            Ask::Clock | Ask::Info | Ask::Fill(_) | Ask::Absorb(_) => Tell::Refused(Refusal::NotHere),
        }
    }
}

impl LaneDesk {
    /// Who asks, as the lane's captures know it.
    fn capture_for(&self, asked: Asked) -> CaptureFor {
        match asked {
            Asked::Local(_) => CaptureFor::Local,
            Asked::Remote(session) => CaptureFor::Afar { own: inside_of(usize::from(self.lane), session) },
        }
    }
}

fn registers(lane: &Lane) -> Vec<RegisterRow> {
    let row = |register: Register| {
        let (value, acted) = lane.register(register);
        RegisterRow { name: Text::new(register.name()), value, acted }
    };
    Register::ALL.into_iter().map(row).collect()
}
