//! Who is kept out.

use core::fmt;

use hpb_base::limits::BANS_MAX;

use super::Network;
use crate::keys::PublicKey;

/// Who is kept out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Banned {
    /// Whoever calls from there: its SYN is met by a reset.
    Network(Network),
    /// Whoever proves to be this, wherever it calls from: it is told so, and the session ends.
    Identity(PublicKey),
}

/// One ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BanRow {
    /// Whom.
    pub who: Banned,
    /// For how many seconds yet; 0 for as long as the process lives.
    pub seconds: u32,
    /// How often it kept somebody out, on the lane that says so.
    pub hits: u64,
}

/// Who is banned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BansTold {
    /// The bans.
    pub rows: Vec<BanRow>,
}

crate::tagged!(Banned { 0 => Network(network), 1 => Identity(key) });
crate::layout!(BanRow { who, seconds, hits });
crate::layout!(BansTold { rows: list(0..=BANS_MAX) });

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Identity(key) => f.write_str(&key.to_hex()),
        }
    }
}
