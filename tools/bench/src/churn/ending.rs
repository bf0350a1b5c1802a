//! How a session of the churn ends, and what both sides must hear of it.

use hpb_base::Random;
use hpb_toe::CloseReason;
use hpb_toe::stats::Drop;

/// One way for a session to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// After the messages the client closes, and waits out the old duplicates.
    ClientFirst,
    /// After the messages the server closes, and waits; the client's port may come back while it does.
    ServerFirst,
    /// Both close at the same moment: their FINs cross, and both wait.
    BothAtOnce,
    /// The client breaks the framing, and the server resets the session.
    ResetByServer,
    /// The same the other way round.
    ResetByClient,
    /// A call to a port where nobody listens.
    Refused,
    /// TCP opens, the caller never begins the handshake, and the server gives it up.
    Mute,
    /// A call to an address that nobody has, which the client gives up.
    Unanswered,
    /// A SYN whose sender never answers the SYN|ACK, and which the server gives up.
    Abandoned,
}

/// What a side hears at the end: why, and whether the session had been open.
pub(super) type Heard = (CloseReason, bool);

impl Ending {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::ClientFirst,
        Self::ServerFirst,
        Self::BothAtOnce,
        Self::ResetByServer,
        Self::ResetByClient,
        Self::Refused,
        Self::Mute,
        Self::Unanswered,
        Self::Abandoned,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientFirst => "client_first",
            Self::ServerFirst => "server_first",
            Self::BothAtOnce => "both_at_once",
            Self::ResetByServer => "reset_by_server",
            Self::ResetByClient => "reset_by_client",
            Self::Refused => "refused",
            Self::Mute => "mute",
            Self::Unanswered => "unanswered",
            Self::Abandoned => "abandoned",
        }
    }

    /// How many of 100 sessions end so. Those that die by a time-out hold their places for long: they are few.
    const fn weight(self) -> u64 {
        match self {
            Self::ClientFirst => 32,
            Self::ServerFirst => 26,
            Self::BothAtOnce => 12,
            Self::ResetByServer | Self::ResetByClient | Self::Refused => 9,
            Self::Mute | Self::Unanswered | Self::Abandoned => 1,
        }
    }

    /// One of them, by chance.
    pub(super) fn drawn(random: &mut Random) -> Self {
        let mut place = random.below(Self::ALL.iter().map(|ending| ending.weight()).sum());
        for ending in Self::ALL {
            match place.checked_sub(ending.weight()) {
                None => return ending,
                Some(rest) => place = rest,
            }
        }
        Self::ClientFirst
    }

    /// Whether messages pass before it.
    pub(super) fn has_messages(self) -> bool {
        !matches!(self, Self::Refused | Self::Mute | Self::Unanswered | Self::Abandoned)
    }

    /// Whether the server gives it up in the handshake, and has nothing to know the session by.
    pub(super) fn times_out_at_server(self) -> bool {
        matches!(self, Self::Mute | Self::Abandoned)
    }

    /// What the client must hear; `None` for what is no call of its.
    pub(super) fn client_hears(self) -> Option<Heard> {
        match self {
            Self::ClientFirst | Self::BothAtOnce => Some((CloseReason::Local, true)),
            Self::ServerFirst | Self::ResetByServer | Self::Mute => Some((CloseReason::Remote, true)),
            Self::ResetByClient => Some((CloseReason::Broken(Drop::Framing), true)),
            Self::Refused => Some((CloseReason::Remote, false)),
            Self::Unanswered => Some((CloseReason::HandshakeTimeout, false)),
            Self::Abandoned => None,
        }
    }

    /// What the server must hear of a session whose messages it has seen; `None` without messages.
    pub(super) fn server_hears(self) -> Option<Heard> {
        match self {
            Self::ClientFirst | Self::ResetByClient => Some((CloseReason::Remote, true)),
            Self::ServerFirst | Self::BothAtOnce => Some((CloseReason::Local, true)),
            Self::ResetByServer => Some((CloseReason::Broken(Drop::Framing), true)),
            Self::Refused | Self::Mute | Self::Unanswered | Self::Abandoned => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_drawn_by_its_weight() {
        let mut random = Random::new(1);
        let mut counts = [0_u64; Ending::ALL.len()];
        for _ in 0..100_000 {
            counts[Ending::drawn(&mut random) as usize] += 1;
        }
        for (ending, count) in Ending::ALL.into_iter().zip(counts) {
            let expected = ending.weight() * 1_000;
            assert!(count.abs_diff(expected) < expected / 5, "{}: {count}, not {expected}", ending.name());
        }
    }
}
