//! Whom all that correct nodes heard proves guilty.
//!
//! It is told every confirm that came to a correct node, alone or within a certificate, and compares the words of each
//! producer by [`Evidence::check`]: whatever else becomes of a conflict, what the correct nodes hold together must convict
//! a third of the weight. It knows nothing of the nodes' own search for faults.

use std::collections::{BTreeMap, BTreeSet};

use hpb_node::verify::Verdict;
use hpb_types::{
    AccountName, Certificate, Confirm, ConfirmBody, Epoch, Evidence, Genesis, Height, NextSchedule, Schedule, SliceRef,
};

use crate::signing::Signing;

/// The auditor of one run.
pub struct Auditor {
    genesis: Genesis,
    signing: Signing,
    /// The schedules that slices fixed; of two final chains each may have fixed its own for one epoch.
    schedules: BTreeMap<Epoch, Vec<Schedule>>,
    certificates: BTreeSet<(SliceRef, SliceRef)>,
    words: BTreeMap<AccountName, BTreeMap<Height, Confirm>>,
    guilty: BTreeSet<AccountName>,
}

impl Auditor {
    /// One who has heard nothing yet.
    pub fn new(genesis: &Genesis, signing: Signing) -> Self {
        let first = genesis.schedule();
        Self {
            genesis: genesis.clone(),
            signing,
            schedules: BTreeMap::from([(first.epoch, vec![first])]),
            certificates: BTreeSet::new(),
            words: BTreeMap::new(),
            guilty: BTreeSet::new(),
        }
    }

    /// A correct node's verifier found this good.
    pub fn heard(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Confirm(confirm) => self.confirm(confirm.get().clone()),
            Verdict::Slice(slice, _) | Verdict::Final(_, Some((slice, _))) => {
                let body = &slice.get().body;
                if let NextSchedule::Fixed(schedule) = &body.next {
                    let known = self.schedules.entry(schedule.epoch).or_default();
                    if !known.contains(schedule) {
                        known.push(schedule.clone());
                    }
                }
                self.certificate(&body.source);
            }
            Verdict::Transactions(..) | Verdict::Final(_, None) | Verdict::Ahead(_) | Verdict::Refused => {}
        }
    }

    /// Who is proven guilty.
    pub fn guilty(&self) -> &BTreeSet<AccountName> {
        &self.guilty
    }

    fn certificate(&mut self, certificate: &Certificate) {
        let Some(epoch) = certificate.quorums.last().map(|quorum| quorum.epoch) else { return };
        if !self.certificates.insert((certificate.source, certificate.target)) {
            return;
        }
        let mut confirms = Vec::new();
        for quorum in &certificate.quorums {
            for schedule in self.schedules.get(&quorum.epoch).into_iter().flatten() {
                for (index, signature) in quorum.producers.iter().zip(&quorum.signatures) {
                    let Some(producer) = schedule.producers.get(index) else { continue };
                    let body = ConfirmBody {
                        version: ConfirmBody::VERSION,
                        chain: self.genesis.chain_id(),
                        epoch,
                        source: certificate.source,
                        target: certificate.target,
                        producer: producer.name,
                    };
                    let confirm = Confirm { body, signature: *signature };
                    if self.signing.is_good_confirm(&confirm, &producer.key) {
                        confirms.push(confirm);
                    }
                }
            }
        }
        for confirm in confirms {
            self.confirm(confirm);
        }
    }

    fn confirm(&mut self, confirm: Confirm) {
        let (producer, chain) = (confirm.body.producer, self.genesis.chain_id());
        let words = self.words.entry(producer).or_default();
        let faults = words.values().flat_map(|other| {
            let (first, second) = (other.clone(), confirm.clone());
            let surround = |outer: &Confirm, inner: &Confirm| {
                let (outer, inner) = (outer.clone(), inner.clone());
                Evidence::Surround { outer, inner }
            };
            [surround(&first, &second), surround(&second, &first), Evidence::TwoConfirms { first, second }]
        });
        if !self.guilty.contains(&producer) && faults.into_iter().any(|fault| fault.check(&chain).is_ok()) {
            self.guilty.insert(producer);
        }
        words.entry(confirm.body.target.height).or_insert(confirm);
    }
}
