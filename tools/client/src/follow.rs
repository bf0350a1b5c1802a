//! What becomes of one transaction, by what its node tells: a machine that is fed messages and says each step once.

use hpb_types::message::{Message, Status};
use hpb_types::{Hash, Outcome, RejectReason, SliceRef, SliceStatus};

/// A step on the way of a transaction (PROTOCOL.md, "What a user is told").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It waits for a slice.
    Received,
    /// It is in that slice, and came to that.
    Included(SliceRef, Outcome),
    /// So many producers other than the slice's own confirm it: as many as count.
    Confirmed(u16),
    /// More than two thirds of the weight do.
    Justified,
    /// It stays.
    Final,
    /// The slice left the chain; it waits again.
    Retracted(SliceRef),
    /// It is refused. An end.
    Rejected(RejectReason),
    /// It was not included in time. An end.
    Expired,
}

impl Step {
    /// Whether nothing follows.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Final | Self::Rejected(_) | Self::Expired)
    }
}

/// Follows one transaction.
#[derive(Clone, Debug)]
pub struct Follow {
    id: Hash,
    confirm_k: u16,
    included: Option<(SliceRef, Outcome)>,
    is_received: bool,
    is_confirmed: bool,
    is_justified: bool,
    is_over: bool,
}

impl Follow {
    /// Follows the transaction of that id; `confirm_k` confirmers are enough.
    pub fn new(id: Hash, confirm_k: u16) -> Self {
        Self {
            id,
            confirm_k,
            included: None,
            is_received: false,
            is_confirmed: false,
            is_justified: false,
            is_over: false,
        }
    }

    /// Where it stands and what it came to, while it is in a slice.
    pub fn included(&self) -> Option<(SliceRef, Outcome)> {
        self.included
    }

    /// Learns what the node says; the steps that this is, in order.
    pub fn hear(&mut self, message: &Message) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.is_over {
            return steps;
        }
        match message {
            Message::TransactionStatus(told) if told.id == self.id => self.status(&told.status, &mut steps),
            Message::Digest(digest) => {
                if let Some((slice, _)) = self.included {
                    let status = digest.slices.iter().find(|status| status.reference == slice);
                    // A slice of another branch below the final one was told retracted before.
                    let is_final = slice.height <= digest.final_slice.height;
                    self.digest(status, is_final, &mut steps);
                }
            }
            _ => {}
        }
        self.is_over = steps.iter().any(Step::is_end);
        steps
    }

    fn status(&mut self, status: &Status, steps: &mut Vec<Step>) {
        match *status {
            Status::Received => {
                if !core::mem::replace(&mut self.is_received, true) {
                    steps.push(Step::Received);
                }
            }
            Status::Included(slice, outcome) => {
                self.included = Some((slice, outcome));
                (self.is_confirmed, self.is_justified) = (false, false);
                steps.push(Step::Included(slice, outcome));
            }
            Status::Retracted(slice) => {
                if self.included.is_some_and(|(at, _)| at == slice) {
                    self.included = None;
                    steps.push(Step::Retracted(slice));
                }
            }
            Status::Rejected(reason) => steps.push(Step::Rejected(reason)),
            Status::Expired => steps.push(Step::Expired),
        }
    }

    fn digest(&mut self, status: Option<&SliceStatus>, is_final: bool, steps: &mut Vec<Step>) {
        let confirmers = status.map_or(0, |status| status.confirmers);
        if confirmers >= self.confirm_k && !self.is_confirmed {
            self.is_confirmed = true;
            steps.push(Step::Confirmed(confirmers));
        }
        let is_final = is_final || status.is_some_and(SliceStatus::is_final);
        if (is_final || status.is_some_and(SliceStatus::is_justified)) && !self.is_justified {
            self.is_justified = true;
            steps.push(Step::Justified);
        }
        if is_final {
            steps.push(Step::Final);
        }
    }
}

#[cfg(test)]
mod tests {
    use hpb_types::message::{Digest, TransactionStatus};
    use hpb_types::{Height, SliceStatus};

    use super::*;

    const ID: Hash = Hash([7; 32]);

    fn slice(slot: u64) -> SliceRef {
        SliceRef { height: Height::new(slot, 0), id: Hash([slot as u8; 32]) }
    }

    fn told(status: Status) -> Message {
        Message::TransactionStatus(TransactionStatus { id: ID, status })
    }

    fn digest(confirmers: u16, flags: u8, final_slot: u64) -> Message {
        let status = SliceStatus { reference: slice(5), confirmers, weight: 0, flags };
        Message::Digest(Digest { slices: vec![status], final_slice: slice(final_slot), interval_ms: 50 })
    }

    #[test]
    fn each_step_is_told_once() {
        let mut follow = Follow::new(ID, 2);
        let applied = Status::Included(slice(5), Outcome::Applied);
        let heard: Vec<Step> = [
            digest(9, SliceStatus::JUSTIFIED, 9),
            told(Status::Received),
            told(Status::Received),
            told(applied),
            digest(1, 0, 4),
            digest(2, 0, 4),
            digest(3, 0, 4),
            digest(3, SliceStatus::JUSTIFIED, 4),
            digest(3, SliceStatus::JUSTIFIED, 4),
            digest(3, SliceStatus::JUSTIFIED, 6),
            digest(3, SliceStatus::JUSTIFIED, 7),
            told(Status::Expired),
        ]
        .iter()
        .flat_map(|message| follow.hear(message))
        .collect();
        let included = Step::Included(slice(5), Outcome::Applied);
        assert_eq!(heard, [Step::Received, included, Step::Confirmed(2), Step::Justified, Step::Final]);
        assert_eq!(follow.included(), Some((slice(5), Outcome::Applied)));
    }

    #[test]
    fn what_is_retracted_starts_again() {
        let mut follow = Follow::new(ID, 1);
        let failed = Outcome::Failed(RejectReason::Overdrawn);
        let mut hear = |message: &Message| follow.hear(message);
        hear(&told(Status::Included(slice(5), Outcome::Applied)));
        assert_eq!(hear(&digest(1, 0, 4)), [Step::Confirmed(1)]);
        assert_eq!(hear(&told(Status::Retracted(slice(6)))), [], "another slice");
        assert_eq!(hear(&told(Status::Retracted(slice(5)))), [Step::Retracted(slice(5))]);
        assert_eq!(hear(&digest(1, 0, 9)), [], "it is in none");
        assert_eq!(hear(&told(Status::Included(slice(5), failed))), [Step::Included(slice(5), failed)]);
        assert_eq!(hear(&digest(1, 0, 5)), [Step::Confirmed(1), Step::Justified, Step::Final]);
    }

    #[test]
    fn another_transactions_words_are_not_its_own() {
        let mut follow = Follow::new(Hash([8; 32]), 1);
        assert_eq!(follow.hear(&told(Status::Expired)), []);
        let refused = TransactionStatus { id: Hash([8; 32]), status: Status::Rejected(RejectReason::FeeLimit) };
        assert_eq!(follow.hear(&Message::TransactionStatus(refused)), [Step::Rejected(RejectReason::FeeLimit)]);
    }
}
