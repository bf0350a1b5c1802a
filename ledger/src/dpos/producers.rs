//! Producers: `register`, `bond`, `update`, `retire`, `resume`, and the bond's part of `withdraw`.
//!
//! A registration lasts from `register` until the bond is withdrawn, and evidence counts for as long. New keys are those
//! of the first schedule that is not fixed yet; the old ones stay on record, and nobody else's, so that evidence of
//! either's time is judged by the right key. A history that is full lets go of keys that no evidence is held against any
//! more, and refuses a change if there are none. Each key comes with proof, bound to chain and name, that whoever registers
//! it holds it.
//!
//! Who was expelled stays on record when its bond is gone, and never registers again: votes outlast a registration, so it
//! would be elected again without anyone voting anew.

use core::mem;

use hpb_base::limits::{CANDIDATES_MAX, PRODUCER_ABOUT_LEN_MAX, PRODUCER_KEYS_MAX};
use hpb_types::evidence::Judge;
use hpb_types::{
    AccountName, Action, ActionName, Amount, Canonical, ChainId, Domain, Hash, PublicKey, RejectReason, Signature,
    Signer, VrfProof, VrfPublic, VrfSecret,
};
use hpb_vm::{Call, Place};

use super::Desk;
use super::records::{KeyFrom, Producer, Roster, Status, Unbonding};
use crate::key::{DPOS, PRODUCER, PRODUCER_KEY, ROSTER};
use crate::native::Stop;
use crate::records::store;
use crate::system::KEY_UNITS;

/// The action that registers a producer, and its event.
pub const REGISTER: ActionName = ActionName::literal("register");
/// The action that adds to a bond, and its event.
pub const BOND: ActionName = ActionName::literal("bond");
/// The action that changes a producer's keys and what it says about itself, and its event.
pub const UPDATE: ActionName = ActionName::literal("update");
/// The action that ends a producer's service and begins its bond's release, and its event.
pub const RETIRE: ActionName = ActionName::literal("retire");
/// The action that brings back a producer that was silent, and its event.
pub const RESUME: ActionName = ActionName::literal("resume");

/// A producer's keys, with proof that it holds them: else one could register another's key before its owner, and answer for
/// what the owner signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvenKeys {
    /// The key of its slices and confirms.
    pub key: PublicKey,
    /// That key's signature of the producer's name ([`Domain::ProducerKey`]).
    pub key_proof: Signature,
    /// The key of its part of the beacon.
    pub beacon: VrfPublic,
    /// That key's proof of [`ProvenKeys::beacon_input`].
    pub beacon_proof: VrfProof,
}

impl ProvenKeys {
    /// The keys of `producer` on `chain`.
    pub fn prove(chain: &ChainId, producer: &AccountName, key: &dyn Signer, beacon: &VrfSecret) -> Self {
        Self {
            key: key.public(),
            key_proof: key.sign(Domain::ProducerKey, chain, &producer.to_bytes()),
            beacon: beacon.public(),
            beacon_proof: beacon.prove(&Self::beacon_input(chain, producer).0),
        }
    }

    /// What the beacon key proves: the tagged hash, domain `beacon key`, of the chain id and the producer's name. No slot
    /// asks for it, so no part of the beacon is shown by it.
    pub fn beacon_input(chain: &ChainId, producer: &AccountName) -> Hash {
        Hash::of_parts("beacon key", &[&chain.0.0, producer.as_str().as_bytes()])
    }

    /// Whether `producer` holds them; `judge` judges the signature.
    pub fn are_held_by(&self, producer: &AccountName, chain: &ChainId, judge: Judge) -> bool {
        judge(Domain::ProducerKey, chain, &producer.to_bytes(), &self.key, &self.key_proof)
            && self.beacon.verify(&Self::beacon_input(chain, producer).0, &self.beacon_proof).is_some()
    }
}

/// The arguments of `register`. Needs `active` of `producer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterArguments {
    /// Who registers.
    pub producer: AccountName,
    /// Its keys.
    pub keys: ProvenKeys,
    /// What it bonds: at least the genesis' `bond_min`.
    pub bond: Amount,
    /// What it says about itself: at most 256 bytes.
    pub about: String,
}

/// The arguments of `bond`. Needs `active` of `producer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BondArguments {
    /// Whose bond grows.
    pub producer: AccountName,
    /// By how much; nothing is valid.
    pub amount: Amount,
}

/// The arguments of `update`. Needs `active` of `producer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateArguments {
    /// Who changes.
    pub producer: AccountName,
    /// Its keys, new or as they were.
    pub keys: ProvenKeys,
    /// What it says about itself: at most 256 bytes.
    pub about: String,
}

/// The arguments of `retire` and `resume`. Needs `active` of `producer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerArguments {
    /// Who goes or comes back.
    pub producer: AccountName,
}

hpb_types::layout!(ProvenKeys { key, key_proof, beacon, beacon_proof });
hpb_types::layout!(RegisterArguments { producer, keys, bond, about: text(0..=PRODUCER_ABOUT_LEN_MAX) });
hpb_types::layout!(BondArguments { producer, amount });
hpb_types::layout!(UpdateArguments { producer, keys, about: text(0..=PRODUCER_ABOUT_LEN_MAX) });
hpb_types::layout!(ProducerArguments { producer });

/// The action by which `producer` registers with these keys and `bond` of its balance.
pub fn register_action(producer: AccountName, keys: ProvenKeys, bond: Amount, about: impl Into<String>) -> Action {
    let arguments = RegisterArguments { producer, keys, bond, about: about.into() };
    Action { contract: DPOS, action: REGISTER, arguments: arguments.to_bytes() }
}

/// The action by which `producer` adds `amount` of its balance to its bond.
pub fn bond_action(producer: AccountName, amount: Amount) -> Action {
    Action { contract: DPOS, action: BOND, arguments: BondArguments { producer, amount }.to_bytes() }
}

/// The action by which `producer` has these keys from the next schedule on that is not fixed, and this text at once.
pub fn update_action(producer: AccountName, keys: ProvenKeys, about: impl Into<String>) -> Action {
    let arguments = UpdateArguments { producer, keys, about: about.into() };
    Action { contract: DPOS, action: UPDATE, arguments: arguments.to_bytes() }
}

/// The action by which `producer` ends its service and has its bond released.
pub fn retire_action(producer: AccountName) -> Action {
    Action { contract: DPOS, action: RETIRE, arguments: ProducerArguments { producer }.to_bytes() }
}

/// The action by which `producer` comes back after it was silent.
pub fn resume_action(producer: AccountName) -> Action {
    Action { contract: DPOS, action: RESUME, arguments: ProducerArguments { producer }.to_bytes() }
}

/// What a signature and a proof of the beacon's kind cost: about three signatures' work.
const PROOFS_UNITS: u64 = 30_000;

/// A kind of key, then the key: where [`PRODUCER_KEY`] has whose it is.
type KeySubKey = [u8; 33];

/// Where a key of slices lies.
pub(super) fn slice_sub_key(key: &PublicKey) -> KeySubKey {
    sub_key(0, &key.0)
}

/// Where a key of the beacon lies.
pub(super) fn beacon_sub_key(key: &VrfPublic) -> KeySubKey {
    sub_key(1, &key.0)
}

fn sub_key(kind: u8, key: &[u8; 32]) -> KeySubKey {
    let mut bytes = [kind; 33];
    bytes[1..].copy_from_slice(key);
    bytes
}

impl Desk<'_> {
    pub(super) fn register(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let RegisterArguments { producer: name, keys, bond, about } =
            self.arguments(call, |arguments: &RegisterArguments| arguments.producer)?;
        match self.read::<Producer>(name, PRODUCER)? {
            Some(producer) if producer.status == Status::Expelled => return Err(RejectReason::WrongStatus.into()),
            Some(_) => return Err(RejectReason::ProducerExists.into()),
            None => {}
        }
        if bond < self.parameters.bond_min {
            return Err(RejectReason::BondTooSmall.into());
        }
        let mut roster: Roster = self.read(DPOS, ROSTER)?.ok_or(Stop::Damaged)?;
        if roster.producers.len() >= CANDIDATES_MAX {
            return Err(RejectReason::ListFull.into());
        }
        let (key, beacon) = self.judge_keys(name, &keys)?;
        self.claim(name, &slice_sub_key(&key))?;
        self.claim(name, &beacon_sub_key(&beacon))?;
        self.take(name, bond)?;
        roster.producers.push(name);
        self.write(DPOS, ROSTER, &roster)?;
        let epoch = self.open_epoch()?;
        self.write(name, PRODUCER, &Producer::new(epoch, key, beacon, bond, about))?;
        self.tell(call)
    }

    pub(super) fn bond(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let BondArguments { producer: name, amount } =
            self.arguments(call, |arguments: &BondArguments| arguments.producer)?;
        let mut producer = self.serving(name)?;
        self.take(name, amount)?;
        producer.bond = producer.bond.checked_add(amount).ok_or(Stop::Damaged)?;
        self.write(name, PRODUCER, &producer)?;
        self.tell(call)
    }

    pub(super) fn update(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let UpdateArguments { producer: name, keys, about } =
            self.arguments(call, |arguments: &UpdateArguments| arguments.producer)?;
        let mut producer = self.serving(name)?;
        let (key, beacon) = self.judge_keys(name, &keys)?;
        self.change_key(name, &mut producer, key)?;
        if producer.beacon != beacon {
            self.claim(name, &beacon_sub_key(&beacon))?;
            self.release(&beacon_sub_key(&producer.beacon))?;
            producer.beacon = beacon;
        }
        producer.about = about;
        self.write(name, PRODUCER, &producer)?;
        self.tell(call)
    }

    pub(super) fn retire(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let ProducerArguments { producer: name } =
            self.arguments(call, |arguments: &ProducerArguments| arguments.producer)?;
        let mut producer = self.registered(name)?;
        if producer.unbonding != Unbonding::Held {
            return Err(RejectReason::WrongStatus.into());
        }
        producer.unbonding = Unbonding::FreeAt(self.free_at());
        if producer.is_serving() {
            producer.status = Status::Retired;
        }
        self.write(name, PRODUCER, &producer)?;
        self.tell(call)
    }

    pub(super) fn resume(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let ProducerArguments { producer: name } =
            self.arguments(call, |arguments: &ProducerArguments| arguments.producer)?;
        let mut producer = self.registered(name)?;
        if !matches!(producer.status, Status::Standby { .. }) {
            return Err(RejectReason::WrongStatus.into());
        }
        producer.status = Status::Active;
        self.write(name, PRODUCER, &producer)?;
        self.tell(call)
    }

    /// Takes a bond that is free out of the account's registration, and ends it; `None` if there is none.
    pub(super) fn withdraw_bond(&mut self, name: AccountName) -> Result<Option<Amount>, Stop> {
        let Some(mut producer) = self.read::<Producer>(name, PRODUCER)? else { return Ok(None) };
        match producer.unbonding {
            Unbonding::FreeAt(slot) if slot <= self.slot => {}
            Unbonding::FreeAt(_) | Unbonding::Held | Unbonding::Withdrawn => return Ok(None),
        }
        for from in &producer.keys {
            self.release(&slice_sub_key(&from.key))?;
        }
        self.release(&beacon_sub_key(&producer.beacon))?;
        let mut roster: Roster = self.read(DPOS, ROSTER)?.ok_or(Stop::Damaged)?;
        roster.producers.retain(|registered| *registered != name);
        self.write(DPOS, ROSTER, &roster)?;
        let bond = mem::take(&mut producer.bond);
        if producer.status == Status::Expelled {
            producer.unbonding = Unbonding::Withdrawn;
            self.write(name, PRODUCER, &producer)?;
        } else {
            self.remove(name, PRODUCER)?;
        }
        Ok(Some(bond))
    }

    pub(super) fn registered(&mut self, name: AccountName) -> Result<Producer, Stop> {
        let producer: Option<Producer> = self.read(name, PRODUCER)?;
        let registered = producer.filter(|producer| producer.unbonding != Unbonding::Withdrawn);
        registered.ok_or(Stop::Refused(RejectReason::NoSuchProducer))
    }

    fn serving(&mut self, name: AccountName) -> Result<Producer, Stop> {
        let producer = self.registered(name)?;
        if producer.is_serving() { Ok(producer) } else { Err(RejectReason::WrongStatus.into()) }
    }

    fn judge_keys(&mut self, name: AccountName, keys: &ProvenKeys) -> Result<(PublicKey, VrfPublic), Stop> {
        self.host.charge(KEY_UNITS)?;
        if !keys.key.is_acceptable_for_registration() || !keys.beacon.is_acceptable_for_registration() {
            return Err(RejectReason::BadKey.into());
        }
        self.host.charge(PROOFS_UNITS)?;
        if !keys.are_held_by(&name, &self.rules.chain, self.rules.judge) {
            return Err(RejectReason::BadSignature.into());
        }
        Ok((keys.key, keys.beacon))
    }

    fn change_key(&mut self, name: AccountName, producer: &mut Producer, key: PublicKey) -> Result<(), Stop> {
        let last = *producer.keys.last().ok_or(Stop::Damaged)?;
        if last.key == key {
            return Ok(());
        }
        let epoch = self.open_epoch()?;
        if last.epoch == epoch {
            // No schedule has had it.
            producer.keys.pop();
            self.forget(producer, &last.key)?;
        }
        if producer.keys.last().is_some_and(|last| last.key == key) {
            return Ok(());
        }
        self.forget_old_keys(producer)?;
        if producer.keys.len() >= PRODUCER_KEYS_MAX {
            return Err(RejectReason::ListFull.into());
        }
        self.claim(name, &slice_sub_key(&key))?;
        producer.keys.push(KeyFrom { epoch, key });
        Ok(())
    }

    /// Makes room in a full history: the first key goes while the next one's schedules began as long ago as a release
    /// takes.
    fn forget_old_keys(&mut self, producer: &mut Producer) -> Result<(), Stop> {
        while producer.keys.len() >= PRODUCER_KEYS_MAX {
            let replaced_at = self.rules.epochs.start_of(producer.keys[1].epoch);
            if replaced_at.0.saturating_add(self.parameters.release_slots) > self.slot.0 {
                break;
            }
            let first = producer.keys.remove(0);
            self.forget(producer, &first.key)?;
        }
        Ok(())
    }

    /// Lets go of a key that left the history, unless it stands there once more.
    fn forget(&mut self, producer: &Producer, key: &PublicKey) -> Result<(), Stop> {
        if producer.keys.iter().any(|from| from.key == *key) { Ok(()) } else { self.release(&slice_sub_key(key)) }
    }

    /// Has a key belong to a producer, which may have it already.
    fn claim(&mut self, name: AccountName, sub_key: &KeySubKey) -> Result<(), Stop> {
        let place = Place { account: DPOS, table: PRODUCER_KEY, sub_key };
        match self.read_at::<AccountName>(place)? {
            Some(owner) if owner != name => Err(RejectReason::KeyTaken.into()),
            Some(_) => Ok(()),
            None => Ok(self.host.write(place, &store(&name))?),
        }
    }

    fn release(&mut self, sub_key: &KeySubKey) -> Result<(), Stop> {
        Ok(self.host.remove(Place { account: DPOS, table: PRODUCER_KEY, sub_key })?)
    }
}
