//! The records of elected producers, and where they lie. Their bytes are those of [`crate::records`].

use hpb_base::limits::{
    CANDIDATES_MAX, PRODUCER_ABOUT_LEN_MAX, PRODUCER_KEYS_MAX, PRODUCERS_MAX, RELEASES_MAX, VOTES_MAX,
};
use hpb_types::{AccountName, Amount, Epoch, Fault, Hash, PublicKey, Slot, VrfPublic};

/// What an account has staked, and how it votes with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stake {
    /// What it has staked.
    pub staked: Amount,
    /// What the accounts that name it as their proxy have staked together. It counts while the account is a proxy.
    pub proxied: Amount,
    /// Whether it votes for others.
    pub is_proxy: bool,
    /// How it votes.
    pub vote: Vote,
    /// What it has unstaked and not withdrawn, the earliest first.
    pub releases: Vec<Release>,
}

/// How an account votes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Vote {
    /// Not at all.
    #[default]
    None,
    /// For producers, each with the whole of its weight.
    Producers(Ballot),
    /// As that proxy does. A proxy never votes so: there are no chains.
    Proxy(AccountName),
}

/// The producers that an account votes for, ascending by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ballot {
    /// Their accounts.
    pub producers: Vec<AccountName>,
}

/// An amount of stake on its way back to its account's balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// How much.
    pub amount: Amount,
    /// From which slot on it can be withdrawn.
    pub free_at: Slot,
}

/// A registered producer, or one that was expelled. Its votes lie beside it and outlast its registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Producer {
    /// Its keys, ascending by epoch: those that it will have, has, and had for as long as evidence may count.
    pub keys: Vec<KeyFrom>,
    /// The key of its part of the beacon, in the next schedule that is fixed.
    pub beacon: VrfPublic,
    /// What it says about itself: at most 256 bytes.
    pub about: String,
    /// What it has bonded, less what was cut.
    pub bond: Amount,
    /// Whether its bond is on its way back.
    pub unbonding: Unbonding,
    /// Whether it can be scheduled.
    pub status: Status,
    /// The faults for which its bond was cut, at most one of a kind.
    pub cuts: Vec<Cut>,
    /// What it has done since it registered, up to the last settled epoch.
    pub service: Service,
}

/// A producer's key, and the first epoch whose schedule may have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyFrom {
    /// The first epoch.
    pub epoch: Epoch,
    /// The key of slices and confirms.
    pub key: PublicKey,
}

/// Whether a bond is on its way back. Evidence counts against it until it is withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unbonding {
    /// It is held.
    Held,
    /// It can be withdrawn from that slot on.
    FreeAt(Slot),
    /// It is withdrawn, and its producer, which was expelled, registered no more.
    Withdrawn,
}

/// Whether a producer can be scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// If it has votes enough.
    Active,
    /// Not before it resumes: it was silent in a whole epoch in which others were heard.
    Standby {
        /// That epoch.
        since: Epoch,
    },
    /// Not any more: it said so.
    Retired,
    /// Never again: it broke a rule.
    Expelled,
}

/// A fault for which a bond was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// What kind of fault.
    pub fault: Fault,
    /// The epoch in which it was reported.
    pub epoch: Epoch,
    /// The tagged hash, domain `evidence`, of the evidence.
    pub evidence: Hash,
    /// What was cut.
    pub amount: Amount,
}

/// What a producer has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Service {
    /// Slots that it filled.
    pub blocks: u64,
    /// Certificates that it signed.
    pub confirms: u64,
    /// Slots of its own that it left empty.
    pub missed_slots: u64,
    /// What the pool has paid it.
    pub rewards: Amount,
}

/// The registered producers, in order of registration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// Their accounts.
    pub producers: Vec<AccountName>,
}

/// Whose epoch it is: written at its first slice, read when it is settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// The accounts of the schedule in force, in its order.
    pub producers: Vec<AccountName>,
}

/// What the producers of an epoch have done so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activity {
    /// The epoch.
    pub epoch: Epoch,
    /// Certificates counted.
    pub certificates: u64,
    /// Slots filled.
    pub filled: u64,
    /// One a producer, in the order of [`Term`].
    pub deeds: Vec<Deeds>,
}

/// What one producer has done in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deeds {
    /// Slots that it filled.
    pub blocks: u64,
    /// Certificates that it signed.
    pub confirms: u64,
}

hpb_types::layout!(Stake { staked, proxied, is_proxy, vote, releases: list(0..=RELEASES_MAX) });
hpb_types::tagged!(Vote { 0 => None, 1 => Producers(ballot), 2 => Proxy(account) });
hpb_types::layout!(Ballot { producers: list(1..=VOTES_MAX) });
hpb_types::layout!(Release { amount, free_at });
hpb_types::layout!(Producer {
    keys: list(1..=PRODUCER_KEYS_MAX),
    beacon,
    about: text(0..=PRODUCER_ABOUT_LEN_MAX),
    bond,
    unbonding,
    status,
    cuts: list(0..=FAULT_KINDS),
    service,
});
hpb_types::layout!(KeyFrom { epoch, key });
hpb_types::tagged!(Unbonding { 0 => Held, 1 => FreeAt(slot), 2 => Withdrawn });
hpb_types::tagged!(Status { 0 => Active, 1 => Standby { since }, 2 => Retired, 3 => Expelled });
hpb_types::layout!(Cut { fault, epoch, evidence, amount });
hpb_types::layout!(Service { blocks, confirms, missed_slots, rewards });
hpb_types::layout!(Roster { producers: list(0..=CANDIDATES_MAX) });
hpb_types::layout!(Term { producers: list(1..=PRODUCERS_MAX) });
hpb_types::layout!(Activity { epoch, certificates, filled, deeds: list(1..=PRODUCERS_MAX) });
hpb_types::layout!(Deeds { blocks, confirms });

/// How many kinds of faults there are.
const FAULT_KINDS: usize = 3;

impl Stake {
    /// The weight of its vote: what it has staked, and while it is a proxy what it is given. `None` past every amount.
    pub fn power(&self) -> Option<Amount> {
        let given = if self.is_proxy { self.proxied } else { Amount::ZERO };
        self.staked.checked_add(given)
    }

    /// What of the supply lies here; `None` past every amount.
    pub fn held(&self) -> Option<Amount> {
        self.releases.iter().try_fold(self.staked, |sum, release| sum.checked_add(release.amount))
    }
}

impl Producer {
    /// A producer that registers with these keys for the schedules from `epoch` on.
    pub fn new(epoch: Epoch, key: PublicKey, beacon: VrfPublic, bond: Amount, about: String) -> Self {
        Self {
            keys: vec![KeyFrom { epoch, key }],
            beacon,
            about,
            bond,
            unbonding: Unbonding::Held,
            status: Status::Active,
            cuts: Vec::new(),
            service: Service::default(),
        }
    }

    /// The key that it has in the schedule of `epoch`; `None` if it had not registered for it, or too long ago.
    pub fn key_at(&self, epoch: Epoch) -> Option<PublicKey> {
        self.keys.iter().rev().find(|from| from.epoch <= epoch).map(|from| from.key)
    }

    /// Whether it produces, or may again once it says so: whether it can be voted for and change what is its own.
    pub fn is_serving(&self) -> bool {
        matches!(self.status, Status::Active | Status::Standby { .. })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::VrfSecret;

    use super::*;
    use crate::records::{load, store};
    use crate::testing::{key_of, name};

    fn producer() -> Producer {
        let beacon = VrfSecret::from_seed([1; 32]).public();
        Producer::new(Epoch(3), key_of("a").public(), beacon, Amount(7), "at home".to_owned())
    }

    #[test]
    fn records_read_back() {
        let stake = Stake {
            staked: Amount(1),
            proxied: Amount(2),
            is_proxy: true,
            vote: Vote::Producers(Ballot { producers: vec![name("alice"), name("bob")] }),
            releases: vec![Release { amount: Amount(3), free_at: Slot(4) }],
        };
        assert_eq!(load(&store(&stake)), Some(stake.clone()));
        assert_eq!((stake.power(), stake.held()), (Some(Amount(3)), Some(Amount(4))));
        let mut full = producer();
        full.unbonding = Unbonding::FreeAt(Slot(8));
        full.cuts = [Fault::TwoSlices, Fault::TwoConfirms, Fault::Surround]
            .map(|fault| Cut { fault, epoch: Epoch(1), evidence: Hash([2; 32]), amount: Amount(1) })
            .to_vec();
        for status in [Status::Active, Status::Standby { since: Epoch(2) }, Status::Retired, Status::Expelled] {
            full.status = status;
            assert_eq!(load(&store(&full)), Some(full.clone()));
        }
        for unbonding in [Unbonding::Held, Unbonding::Withdrawn] {
            full.unbonding = unbonding;
            assert_eq!(load(&store(&full)), Some(full.clone()));
        }
        let activity = Activity {
            epoch: Epoch(2),
            certificates: 9,
            filled: 4,
            deeds: vec![Deeds { blocks: 1, confirms: 2 }, Deeds::default()],
        };
        assert_eq!(load(&store(&activity)), Some(activity));
        let term = Term { producers: vec![name("alice")] };
        assert_eq!(load(&store(&term)), Some(term));
        assert_eq!(load(&store(&Roster::default())), Some(Roster::default()));
    }

    #[test]
    fn what_is_given_counts_while_one_is_a_proxy() {
        let mut stake = Stake { staked: Amount(5), proxied: Amount(2), ..Stake::default() };
        assert_eq!(stake.power(), Some(Amount(5)));
        stake.is_proxy = true;
        assert_eq!(stake.power(), Some(Amount(7)));
        stake.proxied = Amount(u128::MAX);
        assert_eq!(stake.power(), None);
    }

    #[test]
    fn a_key_is_found_by_the_epoch_of_its_schedule() {
        let mut producer = producer();
        producer.keys.push(KeyFrom { epoch: Epoch(5), key: key_of("b").public() });
        let (old, new) = (Some(key_of("a").public()), Some(key_of("b").public()));
        for (epoch, key) in [(0, None), (2, None), (3, old), (4, old), (5, new), (900, new)] {
            assert_eq!(producer.key_at(Epoch(epoch)), key, "{epoch}");
        }
    }
}
