//! When the next transaction leaves: at a fixed rate, or as fast as the node takes them.
//!
//! Open loop: an intended time never depends on a reply to an earlier transaction. [`Pace::Max`] changes its rate by
//! what it sees over whole windows, and the times that follow from the rate are the intended ones.

use core::num::NonZeroU64;
use core::ops::Range;
use std::sync::Arc;

use hpb_base::{Duration, Instant};

use crate::workload::{Assignment, RateSchedule, Source, Submission};

/// Submissions of other cards' terminals that a turn passes over.
const WALK_STEPS_PER_TURN: usize = 1_024;
/// The rate that the search starts from, in transactions a second.
const RATE_TPS_START: u64 = 1_000;
/// The highest rate that is tried.
const RATE_TPS_MAX: u64 = 10_000_000;
/// A rate is judged over this long.
const WINDOW: Duration = Duration::from_millis(500);
/// A backlog of what is submitted in this time is too much: slices leave ten times as often.
const BACKLOG_HIGH: Duration = Duration::from_millis(500);
/// A backlog of what is submitted in this time is what is on its way into the next slices.
const BACKLOG_LOW: Duration = Duration::from_millis(250);
/// A backlog of so many transactions is nothing.
const BACKLOG_COUNT_MIN: u64 = 64;
/// The backlog may not grow by half of what a window submits; a fifth is what the cut between slices makes.
const GROWTH_HIGH: Duration = Duration::from_millis(250);
const GROWTH_LOW: Duration = Duration::from_millis(100);
/// Terminals that are later than this with their submissions have reached their own limit.
const LAG_MAX: Duration = Duration::from_millis(250);
/// Windows after a cut that are not judged: what was sent before it still takes effect.
const REST_WINDOWS: u32 = 2;

/// How fast the terminals submit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many transactions a second, over all cards: the i-th leaves i / rate after the start.
    Fixed(NonZeroU64),
    /// The highest rate at which nothing is shed. With several cards each finds its own share.
    Max,
}

/// What tells that a rate is too high.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Signs {
    /// Transactions that the mempool had no room for or that the terminals had to shed, so far.
    pub(super) refused: u64,
    /// Transactions that are submitted and in no slice.
    pub(super) backlog: u64,
}

/// Gives each submission its intended time.
pub(super) enum Pacer {
    Fixed(RateSchedule),
    Max(Controller),
}

impl Pacer {
    pub(super) fn new(pace: Pace, start: Instant) -> Self {
        match pace {
            Pace::Fixed(rate_tps) => Self::Fixed(RateSchedule::new(start, rate_tps)),
            Pace::Max => Self::Max(Controller::new(start)),
        }
    }

    /// When the next submission, which is number `sequence` of all cards', is meant to leave.
    pub(super) fn intended_at(&self, sequence: u64) -> Instant {
        match self {
            Self::Fixed(schedule) => schedule.intended_at(sequence),
            Self::Max(controller) => controller.due_at,
        }
    }

    /// A submission was taken.
    pub(super) fn took(&mut self) {
        if let Self::Max(controller) = self {
            controller.due_at += Duration::from_nanos(1_000_000_000 / controller.rate_tps);
        }
    }

    /// Looks at how the last window went, if it is over.
    pub(super) fn judge(&mut self, now: Instant, signs: Signs) {
        if let Self::Max(controller) = self
            && now >= controller.window_ends_at
        {
            controller.judge(now, signs);
        }
    }

    pub(super) fn rate_tps(&self) -> u64 {
        match self {
            Self::Fixed(schedule) => schedule.rate_tps(),
            Self::Max(controller) => controller.rate_tps,
        }
    }

    /// The highest rate that was held; a fixed one is not searched for.
    pub(super) fn found_tps(&self) -> Option<u64> {
        match self {
            Self::Fixed(_) => None,
            Self::Max(controller) => Some(controller.found_tps),
        }
    }
}

/// Searches the highest rate: up by a quarter a window until the first sign of too much, down by three tenths at each
/// sign, then up by a sixty-fourth of the rate that was too high. Between calm and too much the rate stays.
pub(super) struct Controller {
    rate_tps: u64,
    found_tps: u64,
    due_at: Instant,
    window_ends_at: Instant,
    before: Signs,
    /// The rate of the last window, if nothing spoke against it: a rate counts as held when the window after it, in
    /// which its last transactions are answered, is good as well.
    good_before: Option<u64>,
    /// The last rate that was too high; 0 before the first.
    peak_tps: u64,
    rest: u32,
}

impl Controller {
    fn new(start: Instant) -> Self {
        Self {
            rate_tps: RATE_TPS_START,
            found_tps: 0,
            due_at: start,
            window_ends_at: start + WINDOW,
            before: Signs::default(),
            good_before: None,
            peak_tps: 0,
            rest: 0,
        }
    }

    fn judge(&mut self, now: Instant, signs: Signs) {
        self.window_ends_at = now + WINDOW;
        let before = core::mem::replace(&mut self.before, signs);
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let growth = signs.backlog.saturating_sub(before.backlog);
        let passes = |backlog_max: Duration, growth_max: Duration| {
            signs.backlog <= BACKLOG_COUNT_MIN
                || signs.backlog <= self.submitted_in(backlog_max) && growth <= self.submitted_in(growth_max)
        };
        let overdue = now.since(self.due_at) > LAG_MAX;
        // A backlog that shrinks is an older rate's.
        let overfull = signs.backlog >= before.backlog && !passes(BACKLOG_HIGH, GROWTH_HIGH);
        if signs.refused > before.refused || overdue || overfull {
            self.peak_tps = self.rate_tps;
            self.rate_tps = (self.rate_tps * 7 / 10).max(1);
            self.good_before = None;
            self.rest = REST_WINDOWS;
            return;
        }
        if !passes(BACKLOG_LOW, GROWTH_LOW) {
            self.good_before = None;
            return;
        }
        if let Some(held) = self.good_before.replace(self.rate_tps) {
            self.found_tps = self.found_tps.max(held);
        }
        let step = if self.peak_tps == 0 { self.rate_tps / 4 } else { self.peak_tps / 64 };
        self.rate_tps = self.rate_tps.saturating_add(step.max(1)).min(RATE_TPS_MAX);
    }

    /// What the rate submits in `span`.
    fn submitted_in(&self, span: Duration) -> u64 {
        self.rate_tps.saturating_mul(span.as_millis()) / 1_000
    }
}

/// Goes through the run's submissions and stops at those of this card's terminals.
pub(super) struct Walk {
    source: Source,
    assignment: Arc<Assignment>,
    terminals: Range<u32>,
    next: Option<(Submission, u32)>,
    sends_nothing: bool,
}

impl Walk {
    pub(super) fn new(source: Source, assignment: Arc<Assignment>, terminals: Range<u32>) -> Self {
        let sends_nothing = terminals.clone().all(|terminal| assignment.senders_of(terminal).is_empty());
        Self { source, assignment, terminals, next: None, sends_nothing }
    }

    /// Whether no terminal of this card ever sends.
    pub(super) fn sends_nothing(&self) -> bool {
        self.sends_nothing
    }

    /// The next submission of this card and its terminal, counted from the card's first; `None` if it lies further
    /// ahead than a turn looks.
    pub(super) fn peek(&mut self) -> Option<(Submission, u32)> {
        let mut steps = 0;
        while self.next.is_none() && steps < WALK_STEPS_PER_TURN {
            steps += 1;
            let submission = self.source.take_next();
            self.next = self
                .assignment
                .terminal_of(submission.transfer.from)
                .filter(|terminal| self.terminals.contains(terminal))
                .map(|terminal| (submission, terminal - self.terminals.start));
        }
        self.next
    }

    /// The submission that [`peek`](Self::peek) has found, without looking further.
    pub(super) fn found(&self) -> Option<&Submission> {
        self.next.as_ref().map(|(submission, _)| submission)
    }

    /// The submission that was peeked at is dealt with.
    pub(super) fn pass(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use core::num::NonZeroU32;

    use super::*;
    use crate::workload::{FITTED, Workload};

    /// A node that includes `capacity_tps` and holds `pool` more; returns the pacer after `seconds`.
    fn search(capacity_tps: u64, pool: u64, seconds: u64) -> Pacer {
        let mut pacer = Pacer::new(Pace::Max, Instant::ZERO);
        let (mut now, mut signs) = (Instant::ZERO, Signs::default());
        let (mut room, step) = (0, Duration::from_millis(10));
        while now < Instant::ZERO + Duration::from_secs(seconds) {
            now += step;
            while pacer.intended_at(0) <= now {
                pacer.took();
                if signs.backlog < pool { signs.backlog += 1 } else { signs.refused += 1 }
            }
            room += capacity_tps * step.as_millis();
            let included = signs.backlog.min(room / 1_000);
            signs.backlog -= included;
            room %= 1_000;
            pacer.judge(now, signs);
        }
        pacer
    }

    #[test]
    fn the_search_finds_what_a_node_takes() {
        for capacity_tps in [300, 5_000, 80_000] {
            // One node refuses, the other lets its backlog grow.
            for pool in [capacity_tps / 10, u64::MAX] {
                let found = search(capacity_tps, pool, 60).found_tps().unwrap();
                let near = capacity_tps * 8 / 10..=capacity_tps * 12 / 10;
                assert!(near.contains(&found), "{found} for {capacity_tps} with {pool}");
            }
        }
    }

    #[test]
    fn a_rate_that_nothing_speaks_against_grows_and_one_that_does_falls() {
        let mut controller = Controller::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut judge = |controller: &mut Controller, signs: Signs| {
            now += WINDOW;
            controller.due_at = now;
            controller.judge(now, signs);
            controller.rate_tps
        };
        let calm = Signs::default();
        assert_eq!(judge(&mut controller, calm), 1_250);
        assert_eq!(controller.found_tps, 0, "its last transactions are not answered");
        assert_eq!(judge(&mut controller, calm), 1_562);
        assert_eq!(controller.found_tps, 1_000);
        let refused = Signs { refused: 1, backlog: 0 };
        assert_eq!(judge(&mut controller, refused), 1_093);
        assert_eq!(controller.found_tps, 1_000);
        // What was sent before the cut may still be refused.
        let later = Signs { refused: 9, backlog: 0 };
        assert_eq!([0; 2].map(|_| judge(&mut controller, later)), [1_093; 2]);
        assert_eq!(judge(&mut controller, later), 1_093 + 1_562 / 64, "one old refusal does not count twice");
        let backlog = Signs { refused: 9, backlog: 2_000 };
        assert_eq!(judge(&mut controller, backlog), 1_117 * 7 / 10);
    }

    #[test]
    fn a_rate_stays_while_its_backlog_is_neither_calm_nor_too_much() {
        let mut controller = Controller::new(Instant::ZERO);
        // Each window of 500 ms: the backlog at its end, the rate after it.
        let windows =
            [(90, 1_250), (290, 1_250), (320, 1_250), (300, 1_562), (150, 1_952), (400, 1_952), (1_000, 1_366)];
        let mut now = Instant::ZERO;
        for (backlog, rate_tps) in windows {
            now += WINDOW;
            controller.due_at = now;
            controller.judge(now, Signs { refused: 0, backlog });
            assert_eq!(controller.rate_tps, rate_tps, "after a backlog of {backlog}");
        }
        assert_eq!(controller.found_tps, 1_250);
    }

    #[test]
    fn terminals_that_are_late_have_reached_their_own_limit() {
        let mut controller = Controller::new(Instant::ZERO);
        controller.judge(Instant::ZERO + WINDOW, Signs::default());
        assert_eq!(controller.rate_tps, 700);
    }

    #[test]
    fn cards_deal_a_run_among_them() {
        let workload = Arc::new(Workload::drawn(&FITTED, 3, 200).unwrap());
        let assignment = Arc::new(Assignment::new(&workload, NonZeroU32::new(30).unwrap()));
        let mut all = Vec::new();
        for terminals in [0..10, 10..30] {
            let source = Source::new(Arc::clone(&workload), 1);
            let mut walk = Walk::new(source, Arc::clone(&assignment), terminals.clone());
            assert!(!walk.sends_nothing());
            while let Some((submission, terminal)) = walk.peek()
                && submission.sequence < 400
            {
                assert_eq!(walk.found(), Some(&submission));
                assert_eq!(assignment.terminal_of(submission.transfer.from), Some(terminals.start + terminal));
                all.push(submission.sequence);
                walk.pass();
            }
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..400));
        let mut idle = Walk::new(Source::new(workload, 1), assignment, 30..40);
        assert!(idle.sends_nothing() && idle.peek().is_none());
    }
}
