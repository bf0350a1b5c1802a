//! This node as a producer: its keys, and the right one for the schedule in force.
//!
//! A producer that changes its keys holds the old and the new ones until the schedule with the new ones is in force
//! (PROTOCOL.md, "Changing the producers"). With none that fits it is silent.

use std::sync::Arc;

use hpb_types::{AccountName, Beacon, ChainId, PublicKey, Schedule, Signer, Slot, VrfSecret};

/// A producer's name and keys.
#[derive(Clone, Debug)]
pub struct Producer {
    /// Its account.
    pub name: AccountName,
    /// The keys of its slices and confirms.
    pub signers: Vec<Arc<dyn Signer>>,
    /// The keys of its part of the beacon.
    pub beacons: Vec<VrfSecret>,
}

impl Producer {
    /// A producer with one key of each kind.
    pub fn new(name: AccountName, signer: Arc<dyn Signer>, beacon: VrfSecret) -> Self {
        Self { name, signers: vec![signer], beacons: vec![beacon] }
    }

    /// What signs under `key`.
    pub(super) fn signer(&self, key: &PublicKey) -> Option<&Arc<dyn Signer>> {
        self.signers.iter().find(|signer| signer.public() == *key)
    }

    /// What signs its slices where `schedule` is in force.
    pub(super) fn slice_signer(&self, schedule: &Schedule) -> Option<&Arc<dyn Signer>> {
        self.signer(&schedule.producer(&self.name)?.key)
    }

    /// Its part of the beacon in `slot`, where `schedule` is in force.
    pub(super) fn beacon(&self, schedule: &Schedule, chain: &ChainId, slot: Slot) -> Option<Beacon> {
        let key = schedule.producer(&self.name)?.beacon;
        let secret = self.beacons.iter().find(|secret| secret.public() == key)?;
        Some(Beacon::Proof(secret.prove(&schedule.beacon_input(chain, slot).0)))
    }
}
