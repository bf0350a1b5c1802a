//! Signature checks for an engine, done outside of it: on the executors that the host gives to signatures.
//!
//! A verifier remembers, within bounds, which confirms it found valid, by signature and body. A certificate is made of
//! confirms that mostly came alone before, so each is verified once; a certificate that a run of slices carries is
//! judged once. Several executors may each have a verifier; what one has verified another learns by
//! [`Verifier::note`].

use std::collections::{BTreeMap, VecDeque};

use hpb_base::limits::{VERIFIED_CERTIFICATES_MAX, VERIFIED_CONFIRMS_MAX};
use hpb_types::certificate::CertificateError;
use hpb_types::{
    Beacon, Certificate, ChainId, Confirm, ConfirmBody, PublicKey, Quorum, Schedule, ScheduledProducer, Signature,
    Slice, SliceRef, Suffices,
};

use crate::engine::{Verified, Verify};
use crate::proof::Checker;
use crate::schedules::Schedules;

/// Why something was not vouched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// It belongs to another chain.
    #[error("it belongs to another chain")]
    WrongChain,
    /// It is of a schedule later than those known here.
    #[error("its schedule is not known yet")]
    UnknownSchedule,
    /// Its signer is not in its schedule, or is not the producer of its slot.
    #[error("its signer is not scheduled")]
    NotScheduled,
    /// Its signature is not its signer's.
    #[error("its signature does not verify")]
    Signature,
    /// Its part of the beacon is not proven.
    #[error("its part of the beacon is not proven")]
    Beacon,
    /// It is or carries a certificate that proves nothing.
    #[error("its certificate: {0}")]
    Certificate(#[from] CertificateError),
}

/// Checks what an engine takes as [`Verified`].
#[derive(Clone, Debug)]
pub struct Verifier {
    chain: ChainId,
    genesis: SliceRef,
    schedules: Schedules,
    suffices: Suffices,
    confirms: BTreeMap<Signature, ConfirmBody>,
    confirm_order: VecDeque<Signature>,
    certificates: VecDeque<Certificate>,
}

impl Verifier {
    /// A verifier for `chain`, whose genesis slice is `genesis` and where a certificate proves something by a weight that
    /// `suffices`.
    pub fn new(chain: ChainId, genesis: SliceRef, schedules: Schedules, suffices: Suffices) -> Self {
        Self {
            chain,
            genesis,
            schedules,
            suffices,
            confirms: BTreeMap::new(),
            confirm_order: VecDeque::new(),
            certificates: VecDeque::new(),
        }
    }

    /// Who judges proofs of finality by the same rule, from the latest schedule known here on.
    pub fn checker(&self) -> Checker {
        Checker::new(self.chain, &self.schedules, self.suffices)
    }

    /// Checks a certificate that came by itself.
    ///
    /// # Errors
    /// If it proves nothing.
    pub fn certificate(&mut self, certificate: Certificate) -> Result<Verified<Certificate>, VerifyError> {
        self.judge(&certificate)?;
        Ok(Verified::vouch(certificate))
    }

    /// The key that a confirm must verify under.
    ///
    /// # Errors
    /// If it is of another chain, or its producer is in neither its epoch's schedule nor one before, or that is unknown.
    pub fn confirm_key(&self, body: &ConfirmBody) -> Result<PublicKey, VerifyError> {
        if body.chain != self.chain {
            return Err(VerifyError::WrongChain);
        }
        if body.epoch > self.schedules.epochs().of(body.target.height.slot) {
            return Err(VerifyError::NotScheduled);
        }
        self.schedules.confirm_key(body.epoch, &body.producer).ok_or(VerifyError::NotScheduled)
    }

    /// Whose slice it must be, with the schedule that says so.
    ///
    /// # Errors
    /// If it is of another chain, or its producer is not its slot's by the schedule that it names, or that is unknown.
    pub fn slice_producer(&self, slice: &Slice) -> Result<(&Schedule, &ScheduledProducer), VerifyError> {
        let body = &slice.body;
        if body.chain != self.chain {
            return Err(VerifyError::WrongChain);
        }
        if body.epoch > self.schedules.latest().epoch {
            return Err(VerifyError::UnknownSchedule);
        }
        let schedule = self.schedules.of_producer(body.epoch, body.slot, &body.producer);
        schedule.map(|schedule| (&**schedule, schedule.producer_at(body.slot))).ok_or(VerifyError::NotScheduled)
    }

    /// What must still be verified before `certificate` proves anything: the confirms not seen before, each with its
    /// key. A host may check these in batches, [`note`](Self::note) them, and then let the certificate pass at no cost.
    ///
    /// # Errors
    /// If its form or weight is wrong already.
    pub fn outstanding(&self, certificate: &Certificate) -> Result<Vec<(PublicKey, Confirm)>, VerifyError> {
        if self.is_judged(certificate) {
            return Ok(Vec::new());
        }
        let mut confirms =
            certificate.confirms(&self.chain, &self.schedules_of(&certificate.quorums), self.suffices)?;
        confirms.retain(|(_, confirm)| !self.is_known(&confirm.signature, &confirm.body));
        Ok(confirms)
    }

    /// Takes over that `confirm` was verified, with [`confirm_key`](Self::confirm_key).
    pub fn note(&mut self, confirm: &Confirm) {
        if self.confirms.insert(confirm.signature, confirm.body.clone()).is_none() {
            self.confirm_order.push_back(confirm.signature);
        }
        if self.confirm_order.len() > VERIFIED_CONFIRMS_MAX
            && let Some(oldest) = self.confirm_order.pop_front()
        {
            self.confirms.remove(&oldest);
        }
    }

    /// Whether this very signature on this very body was verified.
    pub fn is_known(&self, signature: &Signature, body: &ConfirmBody) -> bool {
        self.confirms.get(signature) == Some(body)
    }

    fn judge(&mut self, certificate: &Certificate) -> Result<(), VerifyError> {
        if self.is_judged(certificate) {
            return Ok(());
        }
        let schedules = self.schedules_of(&certificate.quorums);
        let known = |signature: &Signature, body: &ConfirmBody| self.is_known(signature, body);
        certificate.verify(&self.chain, &schedules, self.suffices, &known)?;
        self.certificates.push_back(certificate.clone());
        if self.certificates.len() > VERIFIED_CERTIFICATES_MAX {
            self.certificates.pop_front();
        }
        Ok(())
    }

    fn is_judged(&self, certificate: &Certificate) -> bool {
        // The newest first: a run of slices carries one certificate.
        self.certificates.iter().rev().any(|judged| judged == certificate)
            || *certificate == Certificate::genesis(self.genesis)
    }

    /// The known ones among the schedules that the quorums name. Whether the chain asks for these is the engine's to say.
    fn schedules_of(&self, quorums: &[Quorum]) -> Vec<&Schedule> {
        quorums.iter().filter_map(|quorum| self.schedules.get(quorum.epoch)).map(|schedule| &**schedule).collect()
    }
}

impl Verify<Confirm> for Verifier {
    fn set_schedules(&mut self, schedules: Schedules) {
        self.schedules = schedules;
    }

    fn confirm(&mut self, confirm: Confirm) -> Result<Verified<Confirm>, VerifyError> {
        let key = self.confirm_key(&confirm.body)?;
        if !self.is_known(&confirm.signature, &confirm.body) {
            if !confirm.verify(&key) {
                return Err(VerifyError::Signature);
            }
            self.note(&confirm);
        }
        Ok(Verified::vouch(confirm))
    }

    fn slice(&mut self, slice: Slice) -> Result<Verified<Slice>, VerifyError> {
        let (schedule, producer) = self.slice_producer(&slice)?;
        if !slice.verify(&producer.key) {
            return Err(VerifyError::Signature);
        }
        if let Beacon::Proof(proof) = &slice.body.beacon {
            let input = schedule.beacon_input(&self.chain, slice.body.slot);
            producer.beacon.verify(&input.0, proof).ok_or(VerifyError::Beacon)?;
        }
        self.judge(&slice.body.source)?;
        Ok(Verified::vouch(slice))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::{
        AccountName, Epoch, Hash, Height, KeyPair, NextSchedule, ResultsCommitment, SliceBody, Slot, VrfSecret,
    };

    use super::*;

    const COUNT: usize = 4;

    fn key(index: usize) -> KeyPair {
        KeyPair::from_seed([index as u8 + 1; 32])
    }

    fn name(index: usize) -> AccountName {
        format!("producer{index}").parse().unwrap()
    }

    fn at(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([slot as u8; 32]) }
    }

    fn chain() -> ChainId {
        ChainId(Hash([3; 32]))
    }

    fn schedule() -> Schedule {
        let producers = (0..COUNT)
            .map(|index| ScheduledProducer {
                name: name(index),
                key: key(index).public(),
                beacon: secret(index).public(),
                weight: 1,
            })
            .collect();
        Schedule { epoch: Epoch(0), seed: Hash([5; 32]), producers }
    }

    fn verifier() -> Verifier {
        Verifier::new(chain(), at(0, 0), Schedules::new(schedule(), 4), Schedule::is_quorum)
    }

    fn secret(index: usize) -> VrfSecret {
        VrfSecret::from_seed([index as u8 + 101; 32])
    }

    fn confirm(index: usize, target: SliceRef) -> Confirm {
        let source = at(0, 0);
        let body = ConfirmBody { version: 1, chain: chain(), epoch: Epoch(0), source, target, producer: name(index) };
        Confirm::sign(body, &key(index))
    }

    fn certificate(signers: &[usize], target: SliceRef) -> Certificate {
        let signatures = signers.iter().map(|index| (*index, confirm(*index, target).signature)).collect();
        let quorum = Quorum::new(Epoch(0), &signatures);
        Certificate { source: at(0, 0), target, quorums: vec![quorum] }
    }

    fn slice(slot: u64, signer: usize, source: Certificate) -> Slice {
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: chain(),
            epoch: Epoch(0),
            slot: Slot(slot),
            index: 0,
            last: false,
            parent: Hash::ZERO,
            producer: name(signer),
            transactions_root: Hash::ZERO,
            results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
            source,
            beacon: Beacon::Proof(secret(signer).prove(&schedule().beacon_input(&chain(), Slot(slot)).0)),
            next: NextSchedule::None,
        };
        Slice::sign(body, &key(signer))
    }

    #[test]
    fn a_confirm_is_its_producers_in_its_epoch() {
        let mut verifier = verifier();
        let good = confirm(1, at(6, 0));
        assert!(verifier.confirm(good.clone()).is_ok());
        let mut forged = good.clone();
        forged.signature = confirm(2, at(6, 0)).signature;
        assert_eq!(verifier.confirm(forged), Err(VerifyError::Signature));
        let mut other_epoch = good.clone();
        other_epoch.body.epoch = Epoch(1);
        assert_eq!(verifier.confirm(other_epoch), Err(VerifyError::NotScheduled));
        let mut other_chain = good;
        other_chain.body.chain = ChainId(Hash::ZERO);
        assert_eq!(verifier.confirm(other_chain), Err(VerifyError::WrongChain));
    }

    #[test]
    fn a_slice_is_its_slots_producers_and_carries_proof() {
        let mut verifier = verifier();
        assert!(verifier.slice(slice(6, 2, Certificate::genesis(at(0, 0)))).is_ok());
        assert!(verifier.slice(slice(6, 2, certificate(&[0, 1, 3], at(5, 0)))).is_ok());
        let wrong = slice(6, 3, Certificate::genesis(at(0, 0)));
        assert_eq!(verifier.slice(wrong), Err(VerifyError::NotScheduled));
        let weak = slice(6, 2, certificate(&[0, 1], at(5, 1)));
        assert_eq!(verifier.slice(weak), Err(VerifyError::Certificate(CertificateError::Weight(Epoch(0)))));
        let other_genesis = slice(6, 2, Certificate::genesis(at(1, 0)));
        assert!(matches!(verifier.slice(other_genesis), Err(VerifyError::Certificate(_))));
    }

    #[test]
    fn a_slice_proves_its_slots_part_of_the_beacon() {
        let mut verifier = verifier();
        let good = slice(6, 2, Certificate::genesis(at(0, 0)));
        assert!(verifier.slice(good.clone()).is_ok());
        for proof in [slice(7, 3, Certificate::genesis(at(0, 0))), slice(10, 2, Certificate::genesis(at(0, 0)))] {
            let body = SliceBody { beacon: proof.body.beacon, ..good.body.clone() };
            assert_eq!(
                verifier.slice(Slice::sign(body, &key(2))),
                Err(VerifyError::Beacon),
                "another's, or another slot's"
            );
        }
    }

    #[test]
    fn another_schedules_word_counts_once_that_schedule_is_known() {
        let mut verifier = verifier();
        let mut later = schedule();
        later.epoch = Epoch(1);
        later.producers.swap(0, 1);
        let mut confirm = confirm(0, at(6, 1));
        confirm.body.epoch = Epoch(1);
        let confirm = Confirm::sign(confirm.body, &key(0));
        assert_eq!(verifier.confirm(confirm.clone()), Err(VerifyError::NotScheduled));
        let mut schedules = Schedules::new(schedule(), 4);
        schedules.learn(std::sync::Arc::new(later));
        verifier.set_schedules(schedules);
        assert!(verifier.confirm(confirm.clone()).is_ok());
        let mut early = confirm;
        early.body.target = at(3, 1);
        assert_eq!(verifier.confirm(early), Err(VerifyError::NotScheduled), "not before its epoch");
    }

    #[test]
    fn what_was_verified_alone_is_not_outstanding_in_a_certificate() {
        let mut verifier = verifier();
        let target = at(6, 1);
        let certificate = certificate(&[0, 1, 2], target);
        verifier.confirm(confirm(0, target)).unwrap();
        verifier.note(&confirm(2, target));
        let outstanding = verifier.outstanding(&certificate).unwrap();
        assert_eq!(outstanding, vec![(key(1).public(), confirm(1, target))]);
        verifier.certificate(certificate.clone()).unwrap();
        assert!(verifier.outstanding(&certificate).unwrap().is_empty());
    }

    #[test]
    fn a_known_signature_on_another_body_is_not_known() {
        let mut verifier = verifier();
        let good = confirm(0, at(6, 1));
        verifier.confirm(good.clone()).unwrap();
        let stolen = Confirm { signature: good.signature, body: confirm(0, at(6, 2)).body };
        assert_eq!(verifier.confirm(stolen), Err(VerifyError::Signature));
        let mut certificate = certificate(&[0, 1, 2], at(6, 2));
        certificate.quorums[0].signatures[0] = good.signature;
        assert_eq!(
            verifier.certificate(certificate),
            Err(VerifyError::Certificate(CertificateError::Signature(name(0))))
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut verifier = verifier();
        let template = confirm(0, at(6, 1));
        for count in 0..VERIFIED_CONFIRMS_MAX as u64 + 10 {
            let mut confirm = template.clone();
            confirm.signature.0[..8].copy_from_slice(&count.to_le_bytes());
            verifier.note(&confirm);
        }
        assert_eq!(verifier.confirms.len(), VERIFIED_CONFIRMS_MAX);
        assert_eq!(verifier.confirm_order.len(), VERIFIED_CONFIRMS_MAX);
    }
}
