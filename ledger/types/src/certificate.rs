//! More than two thirds of the weight on one link; more than half where producers do not lie.
//!
//! What is judged here is the certificate alone: its form, its weight, its signatures. Which schedules it must satisfy,
//! and whether its link exists on the chain, is consensus' business.

use std::collections::BTreeMap;

use hpb_base::limits::{PRODUCERS_MAX, QUORUMS_MAX};

use crate::codec::{Canonical, CodecError, Reader, Writer};
use crate::confirm::{Confirm, ConfirmBody};
use crate::keys::{Domain, PublicKey, Signature};
use crate::name::AccountName;
use crate::schedule::{Schedule, Suffices};
use crate::slice::SliceRef;
use crate::units::{ChainId, Epoch};
use crate::verify::Batch;

/// Bytes of the largest bitmap.
const BITMAP_LEN_MAX: usize = PRODUCERS_MAX.div_ceil(8);

/// Which producers of a schedule, by their index in it: bit i is bit i % 8 of byte i / 8.
/// Canonical: no trailing zero byte.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Bitmap(Vec<u8>);

/// One producer set's part of a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Whose schedule the bitmap indexes.
    pub epoch: Epoch,
    /// Who signed.
    pub producers: Bitmap,
    /// Their confirms' signatures, in the order of the bitmap.
    pub signatures: Vec<Signature>,
}

/// Proof that as much of the weight as the chain's engine asks for confirmed `source -> target`. Two quorums at a change
/// of the producers, one otherwise, none at genesis (where source and target are the genesis slice). Quorums ascend by epoch;
/// the last is that of the schedule in force at the target, whose epoch every one of the confirms names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The link's start.
    pub source: SliceRef,
    /// The slice that is justified.
    pub target: SliceRef,
    /// The signers, ascending by epoch.
    pub quorums: Vec<Quorum>,
}

impl Bitmap {
    /// Sets bit `index`, which is below [`PRODUCERS_MAX`]; false if it was set already.
    pub fn insert(&mut self, index: usize) -> bool {
        assert!(index < PRODUCERS_MAX, "a schedule has no producer {index}");
        let (byte, mask) = (index / 8, 1 << (index % 8));
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        let fresh = self.0[byte] & mask == 0;
        self.0[byte] |= mask;
        fresh
    }

    /// Whether bit `index` is set.
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// The set bits, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 8).filter(|index| self.contains(*index))
    }

    /// How many bits are set.
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether the last byte carries a bit, as the canonical form asks.
    pub fn is_canonical(&self) -> bool {
        self.0.last() != Some(&0)
    }
}

impl Canonical for Bitmap {
    const LEN_MAX: usize = 4 + BITMAP_LEN_MAX;

    fn put(&self, writer: &mut Writer) {
        writer.put_bytes(&self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bitmap = Self(reader.take_bytes(0..=BITMAP_LEN_MAX)?.to_vec());
        let is_in_range = bitmap.iter().all(|index| index < PRODUCERS_MAX);
        if bitmap.is_canonical() && is_in_range { Ok(bitmap) } else { Err(CodecError::Range) }
    }
}

crate::layout!(Quorum { epoch, producers, signatures: list(0..=PRODUCERS_MAX) });
crate::layout!(Certificate { source, target, quorums: list(0..=QUORUMS_MAX) });

impl Quorum {
    /// The quorum of these signatures, each by the producer at its index in the schedule of `epoch`.
    pub fn new(epoch: Epoch, signatures: &BTreeMap<usize, Signature>) -> Self {
        let mut producers = Bitmap::default();
        for index in signatures.keys() {
            producers.insert(*index);
        }
        Self { epoch, producers, signatures: signatures.values().copied().collect() }
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// The target is not above the source.
    #[error("the target is not above the source")]
    Backward,
    /// The quorums are not those of the schedules that it must satisfy, in their order.
    #[error("not the quorums of the schedules in force")]
    Quorums,
    /// The bitmap is not canonical, names a producer that the schedule has not, or does not match the signatures.
    #[error("the bitmap of epoch {0} fits neither its schedule nor its signatures")]
    Bitmap(Epoch),
    /// The weight does not suffice.
    #[error("too little of the weight of epoch {0}")]
    Weight(Epoch),
    /// A signature is not its producer's.
    #[error("the signature of {0} does not verify")]
    Signature(AccountName),
}

impl Certificate {
    /// The certificate that the chain starts from: the genesis slice, justified and final by definition.
    pub fn genesis(genesis: SliceRef) -> Self {
        Self { source: genesis, target: genesis, quorums: Vec::new() }
    }

    /// The confirms that the certificate is made of, each with the key that it must verify under: its form and weight
    /// judged, its signatures not. `schedules` are those that it must satisfy, ascending by epoch, the one in force at the
    /// target last; of each it holds a weight that `suffices`. A producer of several confirms once, with the key that it
    /// has in the last one.
    ///
    /// # Errors
    /// The first fault of form or weight.
    pub fn confirms(
        &self,
        chain: &ChainId,
        schedules: &[&Schedule],
        suffices: Suffices,
    ) -> Result<Vec<(PublicKey, Confirm)>, CertificateError> {
        if self.target.height <= self.source.height {
            return Err(CertificateError::Backward);
        }
        let expected = schedules.iter().map(|schedule| schedule.epoch);
        let Some(in_force) = schedules.last() else {
            return Err(CertificateError::Quorums);
        };
        if !self.quorums.iter().map(|quorum| quorum.epoch).eq(expected) {
            return Err(CertificateError::Quorums);
        }
        let mut confirms = Vec::with_capacity(self.quorums.iter().map(|quorum| quorum.signatures.len()).sum());
        for (quorum, schedule) in self.quorums.iter().zip(schedules) {
            if !quorum.producers.is_canonical() || quorum.producers.count() != quorum.signatures.len() {
                return Err(CertificateError::Bitmap(quorum.epoch));
            }
            let mut weight = 0_u64;
            for (index, signature) in quorum.producers.iter().zip(&quorum.signatures) {
                let producer = schedule.producers.get(index).ok_or(CertificateError::Bitmap(quorum.epoch))?;
                weight = weight.saturating_add(producer.weight);
                let body = ConfirmBody {
                    version: ConfirmBody::VERSION,
                    chain: *chain,
                    epoch: in_force.epoch,
                    source: self.source,
                    target: self.target,
                    producer: producer.name,
                };
                let key = in_force.producer(&producer.name).map_or(producer.key, |now| now.key);
                confirms.push((key, Confirm { body, signature: *signature }));
            }
            if !suffices(schedule, weight) {
                return Err(CertificateError::Weight(quorum.epoch));
            }
        }
        Ok(confirms)
    }

    /// Judges the whole certificate: form, a weight that `suffices` of each of `schedules` (ascending by epoch, the one in
    /// force at the target last), every signature. A confirm that `known` vouches for (these very bytes were verified
    /// before, under the same key) is not verified again.
    ///
    /// The genesis certificate carries no proof and is refused here: compare with [`Certificate::genesis`].
    ///
    /// # Errors
    /// The first fault.
    pub fn verify(
        &self,
        chain: &ChainId,
        schedules: &[&Schedule],
        suffices: Suffices,
        known: &dyn Fn(&Signature, &ConfirmBody) -> bool,
    ) -> Result<(), CertificateError> {
        let mut unknown = self.confirms(chain, schedules, suffices)?;
        unknown.retain(|(_, confirm)| !known(&confirm.signature, &confirm.body));
        let mut batch = Batch::new();
        for (key, confirm) in &unknown {
            batch.push(Domain::Confirm, chain, &confirm.body.to_bytes(), key, &confirm.signature);
        }
        match batch.verify().iter().position(|good| !good) {
            Some(index) => Err(CertificateError::Signature(unknown[index].1.body.producer)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
