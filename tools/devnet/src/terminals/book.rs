//! What became of each transaction: from its submission to `final`, `rejected` or `expired`, as its terminal is told.
//!
//! Only what is told counts. Levels that follow from another are told with it: what is included was received, what is
//! final was justified. Each level counts once a transaction, also when it is retracted and included again.

use std::collections::BTreeMap;

use hpb_base::Instant;
use hpb_base::limits::{TERMINALS_OUTSTANDING_MAX, TOLD_FINAL_MAX};
use hpb_types::{Genesis, Hash, RejectReason, SliceRef, SliceStatus, Status, TransactionStatus};

use super::digests::Told;
use crate::report::{Level, Measurements};
use crate::workload::Submission;

/// What became of the transactions of one card's terminals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Handed to a session, each counted once.
    pub submitted: u64,
    /// Told received.
    pub accepted: u64,
    /// Told rejected.
    pub rejected: u64,
    /// Told final.
    pub finals: u64,
    /// Told expired.
    pub expired: u64,
    /// Times that one was told retracted.
    pub retracted: u64,
    /// Due, but never sent: too many were open, or waited for one session.
    pub shed: u64,
    /// Sent again on a session that came back.
    pub resent: u64,
    /// Digests that came, counted at each terminal.
    pub digests: u64,
    /// Statuses that came.
    pub statuses: u64,
    /// Statuses of no open transaction of the terminal that got them.
    pub unknown: u64,
    /// Messages that are no canonical ones, or that a node does not send to a terminal.
    pub malformed: u64,
    /// Ids told final that the driver did not take in time.
    pub finals_unlisted: u64,
}

impl Counters {
    /// Takes in what another card's terminals counted.
    pub fn merge(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.finals += other.finals;
        self.expired += other.expired;
        self.retracted += other.retracted;
        self.shed += other.shed;
        self.resent += other.resent;
        self.digests += other.digests;
        self.statuses += other.statuses;
        self.unknown += other.unknown;
        self.malformed += other.malformed;
        self.finals_unlisted += other.finals_unlisted;
    }
}

/// The producers, other than a slice's own, whose confirms make what it holds `confirmed`: floor(n / 3) + 1 of n
/// (PROTOCOL.md, "What a user is told").
pub fn confirm_k(producers: usize) -> u16 {
    u16::try_from(producers / 3 + 1).unwrap_or(u16::MAX)
}

/// When a slice is confirmed.
#[derive(Clone, Copy)]
struct Threshold {
    k: u16,
    /// Whether every certificate has k producers other than the slice's own.
    certificate_confirms: bool,
}

impl Threshold {
    fn new(genesis: &Genesis) -> Self {
        let schedule = genesis.schedule();
        let k = confirm_k(schedule.producers.len());
        let mut weights: Vec<u64> = schedule.producers.iter().map(|producer| producer.weight).collect();
        weights.sort_unstable_by(|a, b| b.cmp(a));
        let mut weight = 0_u64;
        let fewest = weights.iter().position(|more| {
            weight = weight.saturating_add(*more);
            schedule.is_quorum(weight)
        });
        // The position counts those before: the quorum without one of its members.
        let certificate_confirms = fewest.is_some_and(|others| others >= usize::from(k));
        Self { k, certificate_confirms }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for its session.
    Due,
    /// Sent, and nothing told since its session opened.
    Sent,
    /// In the mempool.
    Received,
    /// In a slice.
    Included(SliceRef),
}

/// One transaction whose end is open.
pub(super) struct Open {
    id: Hash,
    terminal: u32,
    pub(super) submission: Submission,
    pub(super) intended_at: Instant,
    pub(super) expiry_ms: u64,
    stage: Stage,
    /// Levels told so far: bit n is that of `Level::ALL[n]`.
    told: u8,
    sent: bool,
    resent: bool,
}

impl Open {
    pub(super) fn new(id: Hash, terminal: u32, submission: Submission, intended_at: Instant, expiry_ms: u64) -> Self {
        Self {
            id,
            terminal,
            submission,
            intended_at,
            expiry_ms,
            stage: Stage::Due,
            told: 0,
            sent: false,
            resent: false,
        }
    }
}

/// What a status did to its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Its end is still open.
    Open,
    /// It came to its end; it had this place.
    Ended(u32),
}

/// All transactions of one card's terminals whose end is open, and the counts of all.
pub(super) struct Book {
    threshold: Threshold,
    places: Vec<Option<Open>>,
    free: Vec<u32>,
    by_id: BTreeMap<Hash, u32>,
    /// In no slice, sent or not.
    backlog: u64,
    /// Not sent yet.
    unsent: u64,
    pub(super) counters: Counters,
    pub(super) rejections: BTreeMap<RejectReason, u64>,
    pub(super) measurements: Measurements,
    pub(super) told_final: Vec<Hash>,
}

impl Book {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            threshold: Threshold::new(genesis),
            places: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            backlog: 0,
            unsent: 0,
            counters: Counters::default(),
            rejections: BTreeMap::new(),
            measurements: Measurements::new(Instant::ZERO),
            told_final: Vec::new(),
        }
    }

    pub(super) fn confirm_k(&self) -> u16 {
        self.threshold.k
    }

    /// Transactions whose end is open.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Those of them that are in no slice.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog
    }

    /// Those of them that were never sent.
    pub(super) fn unsent(&self) -> u64 {
        self.unsent
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= TERMINALS_OUTSTANDING_MAX
    }

    /// Enters a transaction; returns its place.
    pub(super) fn enter(&mut self, open: Open) -> u32 {
        let id = open.id;
        self.backlog += 1;
        self.unsent += 1;
        let place = if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(open);
            place
        } else {
            self.places.push(Some(open));
            (self.places.len() - 1) as u32
        };
        let before = self.by_id.insert(id, place);
        assert!(before.is_none(), "no two submissions of a run have one salt");
        place
    }

    pub(super) fn id_at(&self, place: u32) -> Option<Hash> {
        self.places.get(place as usize)?.as_ref().map(|open| open.id)
    }

    /// The open transaction with this id.
    pub(super) fn get(&self, id: &Hash) -> Option<&Open> {
        self.places.get(*self.by_id.get(id)? as usize)?.as_ref()
    }

    /// A transaction was handed to its session.
    pub(super) fn sent(&mut self, now: Instant, id: &Hash) {
        let Some(open) = self.by_id.get(id).and_then(|place| self.places[*place as usize].as_mut()) else { return };
        if open.sent {
            open.resent = true;
            self.counters.resent += 1;
        } else {
            open.sent = true;
            open.stage = Stage::Sent;
            self.unsent -= 1;
            self.counters.submitted += 1;
            self.measurements.submitted(now);
        }
    }

    /// The session of the terminal that these belong to is gone. What is told from now on is missed, a retraction too:
    /// nothing counts as included until it is told again.
    pub(super) fn session_lost(&mut self, places: &[u32]) {
        for place in places {
            let Some(open) = self.places.get_mut(*place as usize).and_then(Option::as_mut) else { continue };
            if matches!(open.stage, Stage::Included(_)) {
                self.backlog += 1;
            }
            if open.stage != Stage::Due {
                open.stage = Stage::Sent;
            }
        }
    }

    /// A terminal was told where a transaction stands.
    pub(super) fn status(&mut self, now: Instant, terminal: u32, told: &TransactionStatus) -> Verdict {
        self.counters.statuses += 1;
        let place = self.by_id.get(&told.id).copied();
        let found = place.and_then(|place| Some((place, self.places[place as usize].as_mut()?)));
        let Some((place, open)) = found.filter(|(_, open)| open.terminal == terminal && open.sent) else {
            self.counters.unknown += 1;
            return Verdict::Open;
        };
        match told.status {
            Status::Received => {
                if open.stage == Stage::Sent {
                    open.stage = Stage::Received;
                }
                self.tell(now, place, Level::Received);
            }
            Status::Included(slice, _) => {
                if !matches!(open.stage, Stage::Included(_)) {
                    self.backlog -= 1;
                }
                open.stage = Stage::Included(slice);
                self.tell(now, place, Level::Received);
                self.tell(now, place, Level::Included);
            }
            Status::Retracted(slice) => {
                if open.stage == Stage::Included(slice) {
                    open.stage = Stage::Received;
                    self.backlog += 1;
                    self.counters.retracted += 1;
                } else {
                    self.counters.unknown += 1;
                }
            }
            // The first sending arrived after all.
            Status::Rejected(RejectReason::Duplicate) if open.resent => {
                if open.stage == Stage::Sent {
                    open.stage = Stage::Received;
                }
                self.tell(now, place, Level::Received);
            }
            Status::Rejected(reason) => {
                *self.rejections.entry(reason).or_default() += 1;
                self.counters.rejected += 1;
                return self.end(place);
            }
            Status::Expired => {
                self.counters.expired += 1;
                return self.end(place);
            }
        }
        Verdict::Open
    }

    /// A terminal heard a digest: takes from `places`, the terminal's open transactions, those that are final.
    pub(super) fn hear(&mut self, now: Instant, places: &mut Vec<u32>, digest: &Told) {
        places.retain(|place| !self.is_final(now, *place, digest));
    }

    /// Tells a transaction what `digest` says of its slice; ends it if that is final.
    fn is_final(&mut self, now: Instant, place: u32, digest: &Told) -> bool {
        let Some(open) = self.places.get(place as usize).and_then(Option::as_ref) else { return true };
        let (Stage::Included(slice), id) = (open.stage, open.id) else { return false };
        let status = digest.status_of(&slice);
        // A slice of another branch below the final one was told retracted before.
        let is_final = slice.height <= digest.final_height() || status.is_some_and(SliceStatus::is_final);
        let is_justified = is_final || status.is_some_and(SliceStatus::is_justified);
        let Threshold { k, certificate_confirms } = self.threshold;
        let is_confirmed = is_justified && certificate_confirms || status.is_some_and(|status| status.confirmers >= k);
        let levels = [(is_confirmed, Level::ConfirmedK), (is_justified, Level::Justified), (is_final, Level::Final)];
        for (_, level) in levels.into_iter().filter(|(reached, _)| *reached) {
            self.tell(now, place, level);
        }
        if is_final {
            self.counters.finals += 1;
            if self.told_final.len() < TOLD_FINAL_MAX {
                self.told_final.push(id);
            } else {
                self.counters.finals_unlisted += 1;
            }
            self.end(place);
        }
        is_final
    }

    /// Records a level at its first telling.
    fn tell(&mut self, now: Instant, place: u32, level: Level) {
        let Some(open) = self.places[place as usize].as_mut() else { return };
        let bit = 1 << level as u8;
        if open.told & bit != 0 {
            return;
        }
        open.told |= bit;
        self.measurements.told(level, open.intended_at, now);
        if level == Level::Received {
            self.counters.accepted += 1;
        }
    }

    fn end(&mut self, place: u32) -> Verdict {
        if let Some(open) = self.places[place as usize].take() {
            if !matches!(open.stage, Stage::Included(_)) {
                self.backlog -= 1;
            }
            self.by_id.remove(&open.id);
            self.free.push(place);
        }
        Verdict::Ended(place)
    }
}

#[cfg(test)]
mod tests;
