//! Who is kept out: networks before a session exists, identities once they are proven. A short list, looked through for
//! strangers alone, so that what a ban costs is bounded and no session pays for it.

use hpb_base::limits::BANS_MAX;
use hpb_base::{Duration, Instant};
use hpb_types::keys::PublicKey;
use hpb_types::message::diagnose::{BanRow, Banned};
use std::net::IpAddr;

/// One ban.
struct Ban {
    who: Banned,
    until: Option<Instant>,
    hits: u64,
}

/// The bans of one lane.
#[derive(Default)]
pub struct Bans {
    list: Vec<Ban>,
}

impl Bans {
    /// Bans somebody for `seconds`, 0 for ever; whoever is banned already from now on for so long. False if there is no
    /// room for one more.
    pub fn add(&mut self, now: Instant, who: Banned, seconds: u32) -> bool {
        let until = (seconds > 0).then(|| now + Duration::from_secs(seconds.into()));
        self.forget(now);
        if let Some(ban) = self.list.iter_mut().find(|ban| ban.who == who) {
            ban.until = until;
            return true;
        }
        if self.list.len() >= BANS_MAX {
            return false;
        }
        self.list.push(Ban { who, until, hits: 0 });
        true
    }

    /// Takes a ban back; false if there is none.
    pub fn remove(&mut self, now: Instant, who: &Banned) -> bool {
        self.forget(now);
        let before = self.list.len();
        self.list.retain(|ban| ban.who != *who);
        self.list.len() < before
    }

    /// Whether calls from `address` are kept out; counts that one was.
    pub fn keeps_out(&mut self, now: Instant, address: IpAddr) -> bool {
        if self.list.is_empty() {
            return false;
        }
        self.hit(now, |who| matches!(who, Banned::Network(network) if network.contains(address))).is_some()
    }

    /// For how many seconds yet sessions with `peer` are kept out, 0 for ever; counts that one was. `None` if they are
    /// not.
    pub fn refuses(&mut self, now: Instant, peer: &PublicKey) -> Option<u32> {
        self.hit(now, |who| matches!(who, Banned::Identity(key) if key == peer))
    }

    /// Whether a session that is open is one of those that a ban ends. Counts nothing.
    pub fn concerns(&self, now: Instant, address: IpAddr, peer: Option<&PublicKey>) -> Option<u32> {
        let found = self.list.iter().find(|ban| {
            let is_meant = match &ban.who {
                Banned::Network(network) => network.contains(address),
                Banned::Identity(key) => Some(key) == peer,
            };
            is_meant && ban.is_in_force(now)
        });
        found.map(|ban| ban.seconds(now))
    }

    /// The bans in force.
    pub fn rows(&self, now: Instant) -> Vec<BanRow> {
        let in_force = self.list.iter().filter(|ban| ban.is_in_force(now));
        in_force.map(|ban| BanRow { who: ban.who, seconds: ban.seconds(now), hits: ban.hits }).collect()
    }

    fn hit(&mut self, now: Instant, is_meant: impl Fn(&Banned) -> bool) -> Option<u32> {
        let ban = self.list.iter_mut().find(|ban| is_meant(&ban.who) && ban.is_in_force(now))?;
        ban.hits += 1;
        Some(ban.seconds(now))
    }

    fn forget(&mut self, now: Instant) {
        self.list.retain(|ban| ban.is_in_force(now));
    }
}

impl Ban {
    fn is_in_force(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// How long it lasts yet, in whole seconds and at least one; 0 for ever.
    fn seconds(&self, now: Instant) -> u32 {
        self.until
            .map_or(0, |until| until.since(now).as_nanos().div_ceil(1_000_000_000).clamp(1, u32::MAX.into()) as u32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::message::diagnose::Network;

    use super::*;

    fn network(prefix_len: u8) -> Banned {
        Banned::Network(Network::new([10, 1, 2, 3].into(), prefix_len).unwrap())
    }

    #[test]
    fn a_network_is_kept_out_until_its_time_is_over() {
        let (mut bans, start) = (Bans::default(), Instant::from_millis(5_000));
        assert!(bans.add(start, network(24), 10));
        let (inside, outside) = (IpAddr::from([10, 1, 2, 9]), IpAddr::from([10, 1, 3, 9]));
        assert!(bans.keeps_out(start, inside) && !bans.keeps_out(start, outside));
        assert_eq!(bans.rows(start), [BanRow { who: network(24), seconds: 10, hits: 1 }]);
        let later = start + Duration::from_millis(9_500);
        assert_eq!(bans.rows(later)[0].seconds, 1, "a part of a second is one");
        assert!(!bans.keeps_out(start + Duration::from_secs(10), inside));
        assert!(bans.rows(start + Duration::from_secs(10)).is_empty());
    }

    #[test]
    fn an_identity_is_refused_for_ever_or_until_it_is_pardoned() {
        let (mut bans, now) = (Bans::default(), Instant::from_millis(5_000));
        let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert!(bans.add(now, Banned::Identity(key), 0));
        assert_eq!((bans.refuses(now, &key), bans.refuses(now, &other)), (Some(0), None));
        assert_eq!(bans.concerns(now, [10, 0, 0, 1].into(), Some(&key)), Some(0));
        assert!(bans.remove(now, &Banned::Identity(key)) && !bans.remove(now, &Banned::Identity(key)));
        assert_eq!(bans.refuses(now, &key), None);
    }

    #[test]
    fn there_are_so_many_bans_and_no_more_and_those_that_are_over_make_room() {
        let (mut bans, now) = (Bans::default(), Instant::from_millis(5_000));
        let who = |number: u8| Banned::Network(Network::new([10, 1, number, 0].into(), 24).unwrap());
        assert!((0..=u8::MAX).all(|number| bans.add(now, who(number), 9)));
        assert_eq!(bans.rows(now).len(), BANS_MAX);
        assert!(!bans.add(now, network(8), 9), "there is no room");
        assert!(bans.add(now, who(7), 99), "one that is there is made longer");
        assert!(bans.add(now + Duration::from_secs(9), network(8), 9), "the others are over");
        assert_eq!(bans.rows(now + Duration::from_secs(9)).len(), 2);
    }
}
