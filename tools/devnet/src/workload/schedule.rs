//! From where and when each transfer is sent.

use core::num::{NonZeroU32, NonZeroU64};

use hpb_base::{Duration, Instant};

use super::Workload;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Which terminal sends for whom.
///
/// A terminal may hold many senders; a sender belongs to exactly one terminal, so that its transfers leave on one
/// session in their order, in every pass. Senders are dealt round in the order of their first transfer; with fewer
/// senders than terminals, the last terminals send nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    terminal_of: Vec<Option<u32>>,
    senders_of: Vec<Vec<u32>>,
}

/// When each submission of a run is meant to leave: the i-th at start + floor(i x 10^9 / rate) nanoseconds.
///
/// Each time is computed from i, never from the one before, so that nothing drifts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateSchedule {
    start: Instant,
    rate_tps: NonZeroU64,
}

impl Assignment {
    /// Deals the senders of `workload` to `terminals` terminals.
    pub fn new(workload: &Workload, terminals: NonZeroU32) -> Self {
        let mut terminal_of = vec![None; workload.parties().len()];
        let mut senders_of = vec![Vec::new(); terminals.get() as usize];
        let mut dealt: u32 = 0;
        for transfer in workload.transfers() {
            let place = &mut terminal_of[transfer.from as usize];
            if place.is_none() {
                let terminal = dealt % terminals.get();
                *place = Some(terminal);
                senders_of[terminal as usize].push(transfer.from);
                dealt += 1;
            }
        }
        Self { terminal_of, senders_of }
    }

    /// The terminal of a party, from 0; `None` if it sends nothing or is not of the workload.
    pub fn terminal_of(&self, party: u32) -> Option<u32> {
        self.terminal_of.get(party as usize).copied().flatten()
    }

    /// The parties that a terminal sends for, in the order of their first transfer.
    pub fn senders_of(&self, terminal: u32) -> &[u32] {
        self.senders_of.get(terminal as usize).map_or(&[], Vec::as_slice)
    }
}

impl RateSchedule {
    /// `rate_tps` submissions a second from `start` on.
    pub fn new(start: Instant, rate_tps: NonZeroU64) -> Self {
        Self { start, rate_tps }
    }

    /// The rate, in submissions a second.
    pub fn rate_tps(&self) -> u64 {
        self.rate_tps.get()
    }

    /// When submission `sequence` (from 0) is meant to leave; held at the end of time.
    pub fn intended_at(&self, sequence: u64) -> Instant {
        let nanos = u128::from(sequence) * NANOS_PER_SECOND / u128::from(self.rate_tps.get());
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many submissions are meant to have left by `now`, that one at `now` included.
    pub fn due_count(&self, now: Instant) -> u64 {
        if now < self.start {
            return 0;
        }
        let elapsed_ns = u128::from(now.since(self.start).as_nanos());
        let due = ((elapsed_ns + 1) * u128::from(self.rate_tps.get())).div_ceil(NANOS_PER_SECOND);
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// How many submissions are meant to leave in the first `seconds`: those whose time lies before their end.
    pub fn total(&self, seconds: u64) -> u64 {
        seconds.saturating_mul(self.rate_tps.get())
    }
}
