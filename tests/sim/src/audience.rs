//! What users are told, read as a terminal reads it, and compared with what is so: final is told of nothing but what is
//! final, nothing is taken back after it, and every transaction that was accepted comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use hpb_base::Instant;
use hpb_types::message::{Digest, Status, TransactionStatus};
use hpb_types::{Hash, Height, RejectReason, SliceRef, Transaction};

use crate::checkers::Checkers;

/// Where a transaction stands, as its user knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing was answered yet.
    Sent,
    /// It waits.
    Received,
    /// It is in that slice.
    Included(SliceRef),
    /// A digest told that its slice is final.
    Final(SliceRef),
    /// Told to be expired.
    Expired,
    /// Told to be refused.
    Rejected,
    /// It was sent again after its node came back, and is on the chain already.
    OnChain,
    /// It was sent again after its expiry: what became of it was said to nobody.
    Unsaid,
}

/// A transaction that its user follows.
struct Followed {
    node: usize,
    /// Kept to be sent again, until its end is known.
    transaction: Option<Transaction>,
    sent_at: Instant,
    sent_again: bool,
    confirmed: bool,
    /// It was included and then told retracted.
    retracted: bool,
    stage: Stage,
}

/// What the users beside one node see.
#[derive(Clone, Default, Debug)]
pub struct View {
    /// Slots without finality, as the last digest with news of slices told.
    pub unfinal_slots: u64,
    /// The most of those.
    pub unfinal_slots_max: u64,
    /// The last final slice that a digest told.
    pub final_slice: Option<SliceRef>,
    /// Where their included transactions are.
    included: BTreeSet<(Height, Hash, Hash)>,
}

/// What became of the transactions, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// Submitted.
    pub submitted: u64,
    /// Told final.
    pub finals: u64,
    /// Told expired.
    pub expired: u64,
    /// Refused.
    pub rejected: u64,
    /// Told retracted, at least once.
    pub retracted: u64,
    /// Of those, told final in the end.
    pub retracted_final: u64,
    /// Of those, told expired in the end.
    pub retracted_expired: u64,
    /// Sent again, when its node came back, after its expiry: it may be final, but nobody said so.
    pub unsaid: u64,
    /// Not at an end.
    pub open: u64,
}

/// The users of a run.
pub struct Audience {
    /// Confirmations of others that count as confirmed.
    threshold: u16,
    views: Vec<View>,
    followed: BTreeMap<Hash, Followed>,
    /// What was told final and not compared yet.
    unchecked: Vec<(Option<Hash>, SliceRef)>,
    failure: Option<String>,
    /// From submission to confirmed and to final, in microseconds.
    confirmed_us: Vec<u64>,
    final_us: Vec<u64>,
    retractions: u64,
    rejections: BTreeMap<RejectReason, u64>,
}

impl Audience {
    /// Users beside `nodes` nodes.
    pub fn new(nodes: usize) -> Self {
        Self {
            threshold: (nodes / 3 + 1) as u16,
            views: vec![View::default(); nodes],
            followed: BTreeMap::new(),
            unchecked: Vec::new(),
            failure: None,
            confirmed_us: Vec::new(),
            final_us: Vec::new(),
            retractions: 0,
            rejections: BTreeMap::new(),
        }
    }

    /// What those beside a node see.
    pub fn view(&self, node: usize) -> &View {
        &self.views[node]
    }

    /// Retractions told.
    pub fn retractions(&self) -> u64 {
        self.retractions
    }

    /// Refusals told, by reason.
    pub fn rejections(&self) -> &BTreeMap<RejectReason, u64> {
        &self.rejections
    }

    /// From submission to the threshold of confirmations, of every transaction that came to it, in microseconds.
    pub fn confirmed_us(&self) -> &[u64] {
        &self.confirmed_us
    }

    /// From submission to final, in microseconds.
    pub fn final_us(&self) -> &[u64] {
        &self.final_us
    }

    /// What became of the transactions of the nodes that `of` names.
    pub fn ends(&self, of: impl Fn(usize) -> bool) -> Ends {
        let mut ends = Ends::default();
        for followed in self.followed.values().filter(|followed| of(followed.node)) {
            ends.submitted += 1;
            ends.retracted += u64::from(followed.retracted);
            match followed.stage {
                Stage::Final(_) | Stage::OnChain => {
                    ends.finals += 1;
                    ends.retracted_final += u64::from(followed.retracted);
                }
                Stage::Expired => {
                    ends.expired += 1;
                    ends.retracted_expired += u64::from(followed.retracted);
                }
                Stage::Rejected => ends.rejected += 1,
                Stage::Unsaid => ends.unsaid += 1,
                Stage::Sent | Stage::Received | Stage::Included(_) => ends.open += 1,
            }
        }
        ends
    }

    /// A user submits a transaction at a node.
    pub fn submitted(&mut self, now: Instant, node: usize, transaction: &Transaction) {
        let followed = Followed {
            node,
            transaction: Some(transaction.clone()),
            sent_at: now,
            sent_again: false,
            confirmed: false,
            retracted: false,
            stage: Stage::Sent,
        };
        self.followed.insert(transaction.id(), followed);
    }

    /// What the users of a node send again when it comes back, as they don't know its end.
    pub fn send_again(&mut self, node: usize) -> Vec<Transaction> {
        let view = &mut self.views[node];
        view.included.clear();
        let open = self.followed.values_mut().filter(|followed| followed.node == node);
        open.filter_map(|followed| {
            let transaction = followed.transaction.clone()?;
            followed.sent_again = true;
            followed.stage = Stage::Sent;
            Some(transaction)
        })
        .collect()
    }

    /// A node tells where a transaction stands.
    pub fn status(&mut self, node: usize, told: &TransactionStatus) {
        let Some(followed) = self.followed.get_mut(&told.id) else {
            return self.wrong(format!("node {node} tells of transaction {}, which nobody sent", told.id));
        };
        let view = &mut self.views[node];
        let is_over = !matches!(followed.stage, Stage::Sent | Stage::Received | Stage::Included(_));
        if is_over || followed.node != node {
            let stage = followed.stage;
            return self.wrong(format!("transaction {} is {stage:?}, and node {node} tells {told:?}", told.id));
        }
        match told.status {
            Status::Received => followed.stage = Stage::Received,
            Status::Included(slice, _) => {
                if let Stage::Included(before) = followed.stage
                    && before != slice
                {
                    return self.wrong(format!("transaction {} was in {before} and is in {slice}", told.id));
                }
                followed.stage = Stage::Included(slice);
                view.included.insert((slice.height, slice.id, told.id));
            }
            Status::Retracted(slice) => {
                if followed.stage != Stage::Included(slice) {
                    let stage = followed.stage;
                    return self.wrong(format!("transaction {} is {stage:?}, and told out of {slice}", told.id));
                }
                followed.stage = Stage::Received;
                followed.retracted = true;
                view.included.remove(&(slice.height, slice.id, told.id));
                self.retractions += 1;
            }
            Status::Rejected(RejectReason::Duplicate) if followed.sent_again => {
                followed.stage = Stage::OnChain;
                followed.transaction = None;
            }
            Status::Rejected(RejectReason::Expired) if followed.sent_again => {
                followed.stage = Stage::Unsaid;
                followed.transaction = None;
            }
            Status::Rejected(reason) => {
                *self.rejections.entry(reason).or_default() += 1;
                followed.stage = Stage::Rejected;
                followed.transaction = None;
            }
            Status::Expired => {
                followed.stage = Stage::Expired;
                followed.transaction = None;
            }
        }
    }

    /// A node's digest.
    pub fn digest(&mut self, now: Instant, node: usize, digest: &Digest) {
        let view = &mut self.views[node];
        for status in digest.slices.iter().filter(|status| status.confirmers >= self.threshold) {
            let SliceRef { height, id } = status.reference;
            let from = (height, id, Hash::ZERO);
            for (_, _, transaction) in
                view.included.range(from..).take_while(|place| (place.0, place.1) == (height, id))
            {
                if let Some(followed) = self.followed.get_mut(transaction).filter(|followed| !followed.confirmed) {
                    followed.confirmed = true;
                    self.confirmed_us.push(now.since(followed.sent_at).as_micros());
                }
            }
        }
        if !digest.slices.is_empty() {
            view.unfinal_slots = digest.unfinal_slots();
            view.unfinal_slots_max = view.unfinal_slots_max.max(view.unfinal_slots);
        }
        if view.final_slice != Some(digest.final_slice) {
            self.unchecked.push((None, digest.final_slice));
            view.final_slice = Some(digest.final_slice);
        }
        let final_slice = digest.final_slice;
        while let Some((height, slice, id)) =
            view.included.first().copied().filter(|(at, ..)| *at <= final_slice.height)
        {
            view.included.pop_first();
            let Some(followed) = self.followed.get_mut(&id) else { continue };
            let slice = SliceRef { height, id: slice };
            let took = now.since(followed.sent_at).as_micros();
            if !followed.confirmed {
                followed.confirmed = true;
                self.confirmed_us.push(took);
            }
            self.final_us.push(took);
            followed.stage = Stage::Final(slice);
            followed.transaction = None;
            self.unchecked.push((Some(id), slice));
        }
    }

    /// Compares what was told since with what is so; what is not.
    pub fn check(&mut self, checkers: &Checkers) -> Option<String> {
        for (transaction, slice) in std::mem::take(&mut self.unchecked) {
            if !checkers.is_final(&slice) {
                self.wrong(format!("users were told that {slice} is final, and it is not"));
            }
            if let Some(id) = transaction
                && !checkers.sent(&slice.id).is_some_and(|known| known.transactions.contains(&id))
            {
                self.wrong(format!(
                    "a user was told that transaction {id} is final in {slice}, which does not hold it"
                ));
            }
        }
        self.failure.take()
    }

    /// At the end: every transaction that was accepted is final or expired, as it was told.
    pub fn judge_ends(&mut self, checkers: &Checkers) -> Option<String> {
        for (id, followed) in &self.followed {
            let is_final = checkers.is_transaction_final(id);
            let holds = match followed.stage {
                Stage::Final(_) | Stage::OnChain => is_final,
                Stage::Expired | Stage::Rejected => !is_final,
                Stage::Unsaid => true,
                Stage::Sent | Stage::Received | Stage::Included(_) => false,
            };
            if !holds {
                let (node, stage, at) = (followed.node, followed.stage, followed.sent_at.as_millis());
                let so = if is_final { "final" } else { "not final" };
                return Some(format!("transaction {id}, sent to node {node} at {at} ms, ends {stage:?} and is {so}"));
            }
        }
        None
    }

    fn wrong(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }
}
