//! Whom to ask: what each validator says it has, who is set aside, and whose word counts for nothing at present.

use std::collections::BTreeMap;

use hpb_base::limits::SYNC_ASKED_PER_PEER_MAX;
use hpb_base::{Duration, Instant};
use hpb_toe::SessionId;
use hpb_types::message::Standing;
use hpb_types::{Height, PublicKey, Slot};

/// The first pause of a peer that did not answer.
const ASIDE_MIN: Duration = Duration::from_secs(1);
/// The first pause of a peer whose height nothing bore out.
const DOUBT_MIN: Duration = Duration::from_secs(10);
/// The first pause of a peer whose answers were wrong.
const BAN_MIN: Duration = Duration::from_secs(60);
/// Doublings of a pause.
const DOUBLINGS_MAX: u32 = 6;

/// A pause that doubles each time.
#[derive(Clone, Copy, Default)]
struct Pause {
    until: Instant,
    times: u32,
}

impl Pause {
    fn begin(&mut self, now: Instant, least: Duration) {
        self.until = now + least.saturating_mul(1 << self.times.min(DOUBLINGS_MAX));
        self.times += 1;
    }

    fn is_over(self, now: Instant) -> bool {
        self.until <= now
    }
}

/// What is remembered of a validator over its sessions.
#[derive(Default)]
struct Record {
    doubt: Pause,
    ban: Pause,
}

struct Peer {
    key: PublicKey,
    standing: Standing,
    aside: Pause,
}

/// The peers.
#[derive(Default)]
pub(super) struct Peers {
    open: BTreeMap<SessionId, Peer>,
    /// As many as there are known validators at most: only these are let in.
    records: BTreeMap<PublicKey, Record>,
    turn: u64,
}

impl Peers {
    pub(super) fn stand(&mut self, session: SessionId, key: PublicKey, standing: Standing) {
        self.records.entry(key).or_default();
        let peer = self.open.entry(session).or_insert(Peer { key, standing, aside: Pause::default() });
        peer.standing = standing;
    }

    pub(super) fn close(&mut self, session: SessionId) {
        self.open.remove(&session);
    }

    pub(super) fn key(&self, session: SessionId) -> Option<PublicKey> {
        self.open.get(&session).map(|peer| peer.key)
    }

    pub(super) fn session(&self, key: &PublicKey) -> Option<SessionId> {
        self.open.iter().find(|(_, peer)| peer.key == *key).map(|(session, _)| *session)
    }

    /// The highest final slot that a peer speaks of, of those that may be asked and are not doubted. A slot that has not
    /// come yet is no such.
    pub(super) fn goal(&self, now: Instant, present: Slot) -> Slot {
        let claims = self.credible(now).map(|peer| peer.standing.final_slice.height.slot);
        claims.filter(|slot| *slot <= present).max().unwrap_or_default()
    }

    /// The highest final slot of which more than a third of the peers speak.
    pub(super) fn borne_out(&self, now: Instant) -> Slot {
        let mut claims: Vec<Slot> = self.credible(now).map(|peer| peer.standing.final_slice.height.slot).collect();
        claims.sort_unstable_by(|one, other| other.cmp(one));
        claims.get(claims.len() / 3).copied().unwrap_or_default()
    }

    fn credible(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        self.open.values().filter(move |peer| {
            self.records.get(&peer.key).is_none_or(|record| record.doubt.is_over(now) && record.ban.is_over(now))
        })
    }

    /// A round ended, and these peers' final slots are still above `slot`: their word counts for nothing for a while.
    /// Gives their number.
    pub(super) fn doubt(&mut self, now: Instant, slot: Slot) -> u64 {
        let mut count = 0;
        for peer in self.open.values() {
            let record = self.records.entry(peer.key).or_default();
            if peer.standing.final_slice.height.slot <= slot {
                record.doubt.times = 0;
            } else if record.doubt.is_over(now) {
                record.doubt.begin(now, DOUBT_MIN);
                count += 1;
            }
        }
        count
    }

    /// Whom to ask for a range: who has it all, has the least to do (of what `asked` says is out), and is neither set
    /// aside nor banned. Another than `parties` if there is one, and then always the same.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        from: Slot,
        to: Slot,
        parties: &[PublicKey],
        asked: &BTreeMap<SessionId, usize>,
    ) -> Option<SessionId> {
        let asked = |session: &SessionId| asked.get(session).copied().unwrap_or_default();
        let fits = |session: &SessionId, peer: &Peer| {
            peer.standing.from <= from
                && peer.standing.final_slice.height.slot > to
                && asked(session) < SYNC_ASKED_PER_PEER_MAX
                && peer.aside.is_over(now)
                && self.records.get(&peer.key).is_none_or(|record| record.ban.is_over(now))
        };
        let candidates: Vec<(SessionId, &Peer)> = self
            .open
            .iter()
            .filter(|(session, peer)| fits(session, peer))
            .map(|(session, peer)| (*session, peer))
            .collect();
        if !parties.is_empty() {
            let is_party = |peer: &Peer| parties.contains(&peer.key);
            return candidates
                .iter()
                .min_by_key(|(session, peer)| (is_party(peer), *session))
                .map(|(session, _)| *session);
        }
        self.turn = self.turn.wrapping_add(1);
        let least = candidates.iter().map(|(session, _)| asked(session)).min()?;
        let idle: Vec<SessionId> =
            candidates.iter().filter(|(session, _)| asked(session) == least).map(|(session, _)| *session).collect();
        idle.get((self.turn % idle.len() as u64) as usize).copied()
    }

    /// Who has all that is final from `from` to `to`, and is neither set aside nor banned.
    pub(super) fn holders(&self, now: Instant, from: Slot, to: Height) -> Vec<SessionId> {
        let holds = |peer: &Peer| {
            peer.standing.from <= from
                && peer.standing.final_slice.height >= to
                && peer.aside.is_over(now)
                && self.records.get(&peer.key).is_none_or(|record| record.ban.is_over(now))
        };
        self.open.iter().filter(|(_, peer)| holds(peer)).map(|(session, _)| *session).collect()
    }

    /// Whether there are peers, and none of them keeps `slot` any more.
    pub(super) fn all_pruned(&self, slot: Slot) -> bool {
        !self.open.is_empty() && self.open.values().all(|peer| peer.standing.from > slot)
    }

    /// A piece came: it answers.
    pub(super) fn answered(&mut self, session: SessionId) {
        if let Some(peer) = self.open.get_mut(&session) {
            peer.aside.times = 0;
        }
    }

    /// It did not answer, or has not what it said.
    pub(super) fn set_aside(&mut self, session: SessionId, now: Instant) {
        if let Some(peer) = self.open.get_mut(&session).filter(|peer| peer.aside.is_over(now)) {
            peer.aside.begin(now, ASIDE_MIN);
        }
    }

    pub(super) fn ban(&mut self, session: SessionId, now: Instant) {
        if let Some(peer) = self.open.remove(&session) {
            self.records.entry(peer.key).or_default().ban.begin(now, BAN_MIN);
        }
    }

    /// When the next pause is over.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let aside = self.open.values().map(|peer| peer.aside.until);
        let records = self.records.values().flat_map(|record| [record.doubt.until, record.ban.until]);
        aside.chain(records).filter(|until| *until > now).min()
    }
}
