//! The desk: who asked what, which lanes are to answer, and what their answers come to together. A machine but for its
//! links.

use std::collections::BTreeMap;

use hpb_base::limits::DESK_QUESTIONS_MAX;
use hpb_toe::SessionId;
use hpb_types::message::diagnose::{
    Answer, Ask, BansTold, CaptureAsked, Question, Refusal, SessionName, SessionsAsked, Tell,
};

use super::lane::{LaneAsk, LaneTold};
use crate::runtime::{Receiver, Sender};

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A program at the local socket, by the number of its connection.
    Local(u64),
    /// A peer with the diagnostics role.
    Remote(SessionId),
}

/// The desk's ends of the links with one lane.
pub struct LaneEnds {
    /// To the lane.
    pub questions: Sender<LaneAsk>,
    /// From the lane.
    pub answers: Receiver<LaneTold>,
}

struct Pending {
    asked: Asked,
    /// The asker's number.
    number: u64,
    /// Lanes that have not answered.
    left: usize,
    /// What the others said, put together.
    said: Option<Tell>,
}

/// The desk. See the module.
pub struct Desk {
    lanes: Vec<LaneEnds>,
    /// By the desk's own number.
    pending: BTreeMap<u64, Pending>,
    next: u64,
}

impl Desk {
    /// A desk before these lanes, by number.
    pub fn new(lanes: Vec<LaneEnds>) -> Self {
        Self { lanes, pending: BTreeMap::new(), next: 0 }
    }

    /// Passes a question on to whom it concerns. The answer comes by [`take`](Self::take), but for a refusal of the desk
    /// itself, which comes at once.
    pub fn ask(&mut self, asked: Asked, question: Question) -> Option<Answer> {
        let Question { number, what } = question;
        let refused = |refusal| Some(Answer { number, what: Tell::Refused(refusal) });
        let concerned = match self.concerned(&what) {
            Ok(concerned) => concerned,
            Err(refusal) => return refused(refusal),
        };
        let has_room = self.lanes[concerned.clone()].iter().all(|lane| lane.questions.room() > 0);
        if !has_room || self.pending.len() >= DESK_QUESTIONS_MAX {
            return refused(Refusal::Busy);
        }
        let own = self.next;
        self.next += 1;
        self.pending.insert(own, Pending { asked, number, left: concerned.len(), said: None });
        for lane in &mut self.lanes[concerned] {
            // There is room; a lane that is gone takes the whole process with it.
            let _ = lane.questions.try_send(LaneAsk { number: own, asked, what: what.clone() });
        }
        None
    }

    /// The lanes that a question is for.
    fn concerned(&self, what: &Ask) -> Result<std::ops::Range<usize>, Refusal> {
        let one = match what {
            Ask::Clock | Ask::Info | Ask::Fill(_) | Ask::Absorb(_) => return Err(Refusal::NotHere),
            Ask::SetRegister { .. } | Ask::Ban { .. } | Ask::Unban(_) | Ask::Bans => return Ok(0..self.lanes.len()),
            Ask::Sessions(SessionsAsked { lane, .. })
            | Ask::Counters { lane }
            | Ask::Registers { lane }
            | Ask::Events { lane, .. }
            | Ask::Disconnect(SessionName { lane, .. })
            | Ask::Capture(CaptureAsked { lane, .. })
            | Ask::Captured { lane, .. }
            | Ask::CaptureEnd { lane, .. } => usize::from(*lane),
        };
        if one < self.lanes.len() { Ok(one..one + 1) } else { Err(Refusal::NotFound) }
    }

    /// The next question that is answered, and who asked it.
    pub fn take(&mut self) -> Option<(Asked, Answer)> {
        for lane in &mut self.lanes {
            while let Some(LaneTold { number, what }) = lane.answers.pop() {
                let Some(pending) = self.pending.get_mut(&number) else { continue };
                pending.said = Some(match pending.said.take() {
                    None => what,
                    Some(said) => together(said, what),
                });
                pending.left -= 1;
                if pending.left > 0 {
                    continue;
                }
                if let Some(Pending { asked, number, said: Some(what), .. }) = self.pending.remove(&number) {
                    return Some((asked, Answer { number, what }));
                }
            }
        }
        None
    }

    /// Questions that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }
}

/// What two lanes' answers to one question come to. Whoever is not found on one lane may be on another; no other refusal
/// of a single lane is hidden by the others' consent.
fn together(first: Tell, second: Tell) -> Tell {
    match (first, second) {
        (Tell::Bans(mut first), Tell::Bans(second)) => {
            add(&mut first, second);
            Tell::Bans(first)
        }
        (Tell::Refused(Refusal::NotFound), other) | (other, Tell::Refused(Refusal::NotFound)) => other,
        (Tell::Refused(refusal), _) | (_, Tell::Refused(refusal)) => Tell::Refused(refusal),
        (_, second) => second,
    }
}

/// Adds another lane's hits to the same bans.
fn add(bans: &mut BansTold, others: BansTold) {
    for other in others.rows {
        if let Some(row) = bans.rows.iter_mut().find(|row| row.who == other.who) {
            row.hits += other.hits;
        }
    }
}
