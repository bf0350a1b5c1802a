//! What stands between strangers and the sessions: it decides about segments of no session, and about those of a session
//! that its owner's peer may not have sent. It holds no buffers and costs a stranger's segment no memory that the
//! stranger can make grow.
//!
//! Sequence numbers that nobody can guess ([`numbers`], RFC 6528), SYN cookies when too many sessions are half open
//! ([`cookie`], RFC 4987 section 3.6), the reset, SYN and ACK rules of RFC 5961 ([`verdict`]), TIME-WAIT without a
//! session ([`time_wait`]), caps a source ([`sources`]), bans ([`bans`]) and rates (a token bucket).

pub mod bans;
pub mod cookie;
pub mod numbers;
pub mod sources;
pub mod time_wait;
pub mod verdict;

use hpb_base::limits::TIME_WAIT_MAX;
use hpb_base::{Duration, Instant};

use crate::rate::RateLimit;
use bans::Bans;
use cookie::Cookies;
use sources::Sources;
use time_wait::TimeWait;

/// How the guard is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuardConfig {
    /// SYNs a second that may open a session at once; those beyond it get a cookie, as when too many are half open.
    pub syns_per_second_max: u32,
    /// Sessions that one address may open.
    pub sessions_per_source_max: u32,
    /// Sessions that one prefix may open: an IPv4 /24, an IPv6 /48.
    pub sessions_per_prefix_max: u32,
    /// Resets a second that answer segments of no session, where the mode register asks for them.
    pub resets_per_second_max: u32,
    /// How close together two challenge ACKs of one session may be (RFC 5961 section 7; a bound over all sessions would
    /// tell strangers about each other's, CVE-2016-5696).
    pub challenge_interval: Duration,
    /// How long a closed session's old duplicates are waited out (RFC 9293 section 3.4.2: twice the segment lifetime,
    /// taken as 30 s).
    pub time_wait: Duration,
    /// Closed sessions that are remembered that long; one more forgets the oldest.
    pub time_wait_max: usize,
}

impl Default for GuardConfig {
    /// No cap a source, because the terminals of a lab's card share one address; a node that faces strangers sets them.
    fn default() -> Self {
        Self {
            syns_per_second_max: 50_000,
            sessions_per_source_max: u32::MAX,
            sessions_per_prefix_max: u32::MAX,
            resets_per_second_max: 10_000,
            challenge_interval: Duration::from_millis(100),
            time_wait: Duration::from_secs(60),
            time_wait_max: TIME_WAIT_MAX,
        }
    }
}

/// One lane's guard.
pub(crate) struct Guard {
    pub(crate) config: GuardConfig,
    pub(crate) numbers: numbers::Numbers,
    pub(crate) cookies: Cookies,
    pub(crate) time_wait: TimeWait,
    pub(crate) sources: Sources,
    pub(crate) bans: Bans,
    pub(crate) syns: RateLimit,
    pub(crate) resets: RateLimit,
}

impl Guard {
    /// A guard whose secrets come from `secret`.
    pub(crate) fn new(config: GuardConfig, secret: &[u8; 32], now: Instant) -> Self {
        let hash_key = |purpose: &str| {
            let key = blake3::derive_key(purpose, secret);
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| key[at + byte]));
            [word(0), word(8)]
        };
        Self {
            config,
            numbers: numbers::Numbers::new(blake3::derive_key("hpb lane initial sequence numbers v1", secret)),
            cookies: Cookies::new(blake3::derive_key("hpb lane syn cookies v1", secret)),
            time_wait: TimeWait::new(config.time_wait, config.time_wait_max, hash_key("hpb lane time-wait v1")),
            sources: Sources::new(
                config.sessions_per_source_max,
                config.sessions_per_prefix_max,
                hash_key("hpb lane sources v1"),
            ),
            bans: Bans::default(),
            syns: RateLimit::new(config.syns_per_second_max, config.syns_per_second_max, now),
            resets: RateLimit::new(config.resets_per_second_max, config.resets_per_second_max, now),
        }
    }
}
