//! Signatures, away from the chain's own core: what comes in raw goes out judged, in the order in which it came.
//!
//! One machine a validator: nobody else's verdict counts. Transactions of all requests of a turn are verified as one
//! batch, and so are its confirms; what was verified before (a gossiped transaction that comes again inside a slice) is
//! recognised by id and signatures and not verified again.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::limits::VERIFIED_TRANSACTIONS_MAX;
use hpb_consensus::{Schedules, Verified, Verifier, Verify as _, VerifyError};
use hpb_ledger::Checked;
use hpb_toe::SessionId;
use hpb_types::message::SliceBundle;
use hpb_types::{
    Canonical, Confirm, Genesis, Hash, PublicKey, RejectReason, Slice, SliceRef, Transaction, transactions_root,
};

/// Where transactions came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// One of the node's terminals, which is told what becomes of them.
    Terminal(SessionId),
    /// Another validator.
    Gossip,
}

/// What is to be judged.
pub enum Request {
    /// Transactions by themselves.
    Transactions(Origin, Vec<Transaction>),
    /// A slice with its transactions.
    Slice(SessionId, Box<SliceBundle>),
    /// A slice that a peer says is final, with its transactions, by the number that it was handed on with.
    Final(u64, Box<SliceBundle>),
    /// A confirm.
    Confirm(Box<Confirm>),
    /// The schedules to judge the following requests by. No verdict answers it.
    Schedules(Schedules),
}

/// What came of it.
pub enum Verdict {
    /// Each transaction, or its id and why not.
    Transactions(Origin, Vec<Result<Checked, (Hash, RejectReason)>>),
    /// A slice whose every signature is good, its transactions beside it.
    Slice(Box<Verified<Slice>>, Vec<Checked>),
    /// What was asked as final, if all of it is good and the transactions are those of its root.
    Final(u64, Option<(Box<Verified<Slice>>, Vec<Checked>)>),
    /// A confirm whose signature is good.
    Confirm(Box<Verified<Confirm>>),
    /// A slice of a schedule that is not known yet.
    Ahead(SliceRef),
    /// A slice or confirm that is not its producer's, or carries a bad transaction or certificate.
    Refused,
}

/// What a verifier did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VerifyCounters {
    /// Transactions whose signatures were verified.
    pub transactions: u64,
    /// Transactions recognised.
    pub recognised: u64,
    /// Slices verified.
    pub slices: u64,
    /// Confirms verified.
    pub confirms: u64,
    /// Refused.
    pub refused: u64,
}

/// The verifier of one validator.
pub struct Verify {
    verifier: Verifier,
    /// Id to the hash of the signatures that were good under it.
    known: BTreeMap<Hash, Hash>,
    known_order: VecDeque<Hash>,
    counters: VerifyCounters,
}

impl Verify {
    /// A verifier for the chain of `genesis`.
    pub fn new(genesis: &Genesis) -> Self {
        Self {
            verifier: crate::engine::verifier(genesis),
            known: BTreeMap::new(),
            known_order: VecDeque::new(),
            counters: VerifyCounters::default(),
        }
    }

    /// What it did so far.
    pub fn counters(&self) -> &VerifyCounters {
        &self.counters
    }

    /// Judges requests; a verdict each, in order, but for [`Request::Schedules`].
    pub fn judge(&mut self, requests: Vec<Request>) -> Vec<Verdict> {
        self.judge_confirms(&requests);
        let good = self.judge_transactions(&requests);
        let mut good = good.into_iter();
        requests.into_iter().filter_map(|request| self.judge_one(request, &mut good)).collect()
    }

    /// One batch over the confirms of all requests: the verifier recognises the good ones afterwards. Each validator
    /// confirms each slice, so they come by as many as there are producers.
    fn judge_confirms(&mut self, requests: &[Request]) {
        let confirms = requests.iter().filter_map(|request| match request {
            Request::Confirm(confirm) => Some(confirm.as_ref()),
            _ => None,
        });
        let fresh = confirms.filter(|confirm| !self.verifier.is_known(&confirm.signature, &confirm.body));
        let claims: Vec<(PublicKey, &Confirm)> =
            fresh.filter_map(|confirm| Some((self.verifier.confirm_key(&confirm.body).ok()?, confirm))).collect();
        if claims.len() < 2 {
            return;
        }
        let good = hpb_types::verify_confirms(claims.iter().map(|(key, confirm)| (key, *confirm)));
        for ((_, confirm), good) in claims.into_iter().zip(good) {
            if good {
                self.verifier.note(confirm);
            }
        }
    }

    /// One batch over the transactions of all requests, in order: whether each one's signatures are good.
    fn judge_transactions(&mut self, requests: &[Request]) -> Vec<bool> {
        let all = requests.iter().flat_map(|request| match request {
            Request::Transactions(_, list) => list.as_slice(),
            Request::Slice(_, bundle) | Request::Final(_, bundle) => bundle.transactions.as_slice(),
            Request::Confirm(_) | Request::Schedules(_) => &[],
        });
        let marked: Vec<(&Transaction, Hash, Hash)> =
            all.map(|transaction| (transaction, transaction.id(), signatures_hash(transaction))).collect();
        let mut good: Vec<bool> = marked.iter().map(|(_, id, mark)| self.known.get(id) == Some(mark)).collect();
        let fresh: Vec<usize> = (0..good.len()).filter(|index| !good[*index]).collect();
        self.counters.recognised += (good.len() - fresh.len()) as u64;
        self.counters.transactions += fresh.len() as u64;
        let verdicts = hpb_types::verify_transactions(fresh.iter().map(|index| marked[*index].0));
        for (index, verdict) in fresh.into_iter().zip(verdicts) {
            good[index] = verdict;
            if verdict {
                self.remember(marked[index].1, marked[index].2);
            }
        }
        good
    }

    fn judge_one(&mut self, request: Request, good: &mut impl Iterator<Item = bool>) -> Option<Verdict> {
        Some(match request {
            Request::Schedules(schedules) => {
                self.verifier.set_schedules(schedules);
                return None;
            }
            Request::Transactions(origin, list) => {
                let judged = list.into_iter().zip(good).map(|(transaction, good)| {
                    let id = transaction.id();
                    let checked = if good { Checked::verified(transaction) } else { Err(RejectReason::BadSignature) };
                    checked.map_err(|reason| (id, reason))
                });
                Verdict::Transactions(origin, judged.collect())
            }
            Request::Slice(_, bundle) => {
                let SliceBundle { slice, transactions } = *bundle;
                self.counters.slices += 1;
                let checked = checked(transactions, good);
                let reference = slice.reference();
                match (checked, self.verifier.slice(slice)) {
                    (Some(checked), Ok(slice)) => Verdict::Slice(Box::new(slice), checked),
                    (_, Err(VerifyError::UnknownSchedule)) => Verdict::Ahead(reference),
                    _ => self.refuse(),
                }
            }
            Request::Final(number, bundle) => {
                let SliceBundle { slice, transactions } = *bundle;
                self.counters.slices += 1;
                let root = slice.body.transactions_root;
                let checked = checked(transactions, good)
                    .filter(|checked| transactions_root(checked.iter().map(Checked::id)) == root);
                let judged = checked.and_then(|checked| Some((Box::new(self.verifier.slice(slice).ok()?), checked)));
                self.counters.refused += u64::from(judged.is_none());
                Verdict::Final(number, judged)
            }
            Request::Confirm(confirm) => {
                self.counters.confirms += 1;
                match self.verifier.confirm(*confirm) {
                    Ok(confirm) => Verdict::Confirm(Box::new(confirm)),
                    Err(_) => self.refuse(),
                }
            }
        })
    }

    fn refuse(&mut self) -> Verdict {
        self.counters.refused += 1;
        Verdict::Refused
    }

    fn remember(&mut self, id: Hash, mark: Hash) {
        if self.known.insert(id, mark).is_none() {
            self.known_order.push_back(id);
        }
        if self.known_order.len() > VERIFIED_TRANSACTIONS_MAX
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The transactions of one slice, if every one is good. All flags are taken, so that the next request finds its own.
fn checked(transactions: Vec<Transaction>, good: &mut impl Iterator<Item = bool>) -> Option<Vec<Checked>> {
    let checked: Vec<Option<Checked>> = transactions
        .into_iter()
        .zip(good)
        .map(|(transaction, good)| good.then(|| Checked::verified(transaction).ok()).flatten())
        .collect();
    checked.into_iter().collect()
}

/// Tells two signings of one transaction apart: its id covers no signature.
fn signatures_hash(transaction: &Transaction) -> Hash {
    let bytes: Vec<Vec<u8>> = transaction.signatures.iter().map(Canonical::to_bytes).collect();
    let parts: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    Hash::of_parts("verified signatures", &parts)
}
