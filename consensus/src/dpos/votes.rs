//! The confirms of one slice, counted towards its certificate (PROTOCOL.md, "Changing the producers": at a change more
//! than two thirds of both sets).

use std::collections::BTreeMap;

use hpb_types::{AccountName, Certificate, Quorum, Signature, SliceRef};

use super::regime::Regime;

/// The signatures so far, by name: a word counts in each set that its producer is of.
#[derive(Debug, Default)]
pub(super) struct Votes {
    signatures: BTreeMap<AccountName, Signature>,
    weight: u64,
    previous_weight: u64,
}

impl Votes {
    /// Counts a producer's word for a slice where `regime` holds; false if it was counted before.
    pub(super) fn insert(&mut self, regime: &Regime, producer: AccountName, signature: Signature) -> bool {
        if self.signatures.insert(producer, signature).is_some() {
            return false;
        }
        let weight_in = |schedule: &hpb_types::Schedule| schedule.producer(&producer).map_or(0, |member| member.weight);
        self.weight = self.weight.saturating_add(weight_in(&regime.current));
        let previous = regime.previous.as_ref().map_or(0, |schedule| weight_in(schedule));
        self.previous_weight = self.previous_weight.saturating_add(previous);
        true
    }

    /// The certificate of the link, once each schedule that `regime` asks for has more than two thirds of its weight here.
    pub(super) fn certificate(&self, regime: &Regime, source: SliceRef, target: SliceRef) -> Option<Certificate> {
        let enough = regime.current.is_quorum(self.weight)
            && regime.previous.as_ref().is_none_or(|schedule| schedule.is_quorum(self.previous_weight));
        let quorum = |schedule: &hpb_types::Schedule| {
            let named = schedule.producers.iter().enumerate();
            let signed = named.filter_map(|(index, member)| Some((index, *self.signatures.get(&member.name)?)));
            Quorum::new(schedule.epoch, &signed.collect())
        };
        enough.then(|| Certificate {
            source,
            target,
            quorums: regime.schedules().map(|schedule| quorum(schedule)).collect(),
        })
    }
}
