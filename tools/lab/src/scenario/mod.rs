//! What a scenario says: who sends what to whom, over which links, for how long, and what is asked of the figures.
//!
//! Here are its words as values. Shares are in parts per million, rates a second, sizes in bytes.

pub mod file;
pub mod library;
mod reader;
mod units;

use hpb_base::Duration;
use hpb_net::wire::LinkConfig;

/// A whole scenario.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Its name: lowercase letters, digits, hyphens.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Where all its dice start.
    pub seed: u64,
    /// On which clock it runs.
    pub clock: ClockKind,
    /// Time under load before measuring, at the start of each repeat.
    pub warm_up: Duration,
    /// Time under load that is measured, in each repeat.
    pub duration: Duration,
    /// How long stragglers are waited for, after it. What comes later is lost.
    pub drain: Duration,
    /// How often each target runs, taking turns.
    pub repeats: u32,
    /// Sessions of each target.
    pub sessions: u32,
    /// What is sent.
    pub load: Load,
    /// What the links do, from the clients to the server.
    pub there: LinkConfig,
    /// What they do on the way back.
    pub back: LinkConfig,
    /// What changes while it is measured.
    pub changes: Vec<Change>,
    /// Faults of the clients' or the server's own making.
    pub faults: Vec<Fault>,
    /// What it runs on; the first is the base of each ratio.
    pub targets: Vec<TargetSpec>,
    /// What is asked of the figures.
    pub limits: Vec<Limit>,
}

/// On which clock a scenario runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// Virtual time: one thread, exact, the same on every machine.
    Virtual,
    /// This machine's clock.
    Real,
}

/// What is sent, and when.
#[derive(Clone, PartialEq, Debug)]
pub struct Load {
    /// Who sends to whom.
    pub pattern: Pattern,
    /// When messages are meant to leave.
    pub arrivals: Arrivals,
    /// Bytes of a message that asks, its number and time included; at least [`MESSAGE_LEN_MIN`].
    pub request_len: u32,
    /// Bytes of the answer; 0 where nothing is answered.
    pub reply_len: u32,
}

/// The least bytes of a measured message: its number and the instant at which it was meant to leave.
pub const MESSAGE_LEN_MIN: u32 = 16;

/// Messages longer than this need the deep buffers of validators' sessions.
pub const SHORT_LEN_MAX: u32 = 1_024;

/// Who sends to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// A client asks over one session, the server answers: latency is from the intended asking to the answer.
    RequestReply,
    /// The server sends one message to all sessions: latency is from the intended sending to each arrival.
    FanOut,
    /// All sessions send to the server at the same moment: latency is from that moment to each arrival.
    Incast,
    /// Clients send one way without an answer: latency is from the intended sending to the arrival.
    OneWay,
    /// Sessions close and open again: latency is from the intended call to the open session.
    Reconnect,
    /// Transactions through validators: latency is from the intended submission to each level of confirmation.
    Confirm,
}

/// When messages are meant to leave. Open loops never wait for answers. Where all send or all are sent to
/// ([`Pattern::FanOut`], [`Pattern::Incast`]), what is counted here are rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Arrivals {
    /// Open loop at even distances, over all sessions in turn.
    Fixed {
        /// Messages a second, over all sessions together.
        per_s: f64,
    },
    /// Open loop with exponential distances, over sessions drawn at random.
    Poisson {
        /// Messages a second, over all sessions together.
        per_s: f64,
    },
    /// Open loop: so many at one instant, again and again.
    Bursts {
        /// Messages of a burst.
        count: u32,
        /// From one burst to the next.
        every: Duration,
    },
    /// Closed loop: each session asks again when it has its answer, so many in flight.
    Closed {
        /// Messages in flight a session.
        in_flight: u32,
    },
}

/// What changes at a moment of each repeat.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// From the beginning of what is measured.
    pub at: Duration,
    /// The way there from then on, if that changes.
    pub there: Option<LinkConfig>,
    /// The way back from then on, if that changes.
    pub back: Option<LinkConfig>,
    /// Its word in pictures.
    pub label: String,
}

/// What one side does wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// The server stands still, again and again.
    Stall {
        /// From one stall's beginning to the next one's.
        every: Duration,
        /// How long one lasts.
        pause: Duration,
    },
    /// So many sessions read nothing.
    SlowReaders {
        /// How many.
        count: u32,
    },
    /// Sessions are closed and called again, evenly over all of them.
    Churn {
        /// Sessions a second.
        per_s: f64,
    },
}

/// What a scenario runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSpec {
    /// Its name in figures.
    pub name: String,
    /// Which carrier.
    pub kind: TargetKind,
    /// Whether sessions are encrypted.
    pub encrypted: bool,
    /// Another build of this program that runs it, by its path; none for this one.
    pub program: Option<String>,
}

/// Which carrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetKind {
    /// The card on the wire in this process.
    CardWire,
    /// The card on a port of this host, in namespaces of its own, named as ports are (`packet:`, `tap:`, `xdp:`).
    CardPort(String),
    /// The kernel's TCP over a virtual cable between namespaces.
    Kernel(KernelWay),
    /// Validators of a devnet.
    Validators {
        /// How many.
        count: u32,
    },
}

/// How a program asks the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelWay {
    /// Blocking calls, one session.
    Blocking,
    /// Readiness by epoll.
    Epoll,
}

/// A percentile or a share that a scenario asks to lie below or above a bound.
#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    /// As it is written: `p99_us < 50`.
    pub text: String,
    /// For which target; all of them without one.
    pub target: Option<String>,
    /// What is looked at.
    pub figure: LimitFigure,
    /// Whether it must lie below the bound, or else above.
    pub below: bool,
    /// The bound, in the figure's unit.
    pub bound: f64,
}

/// What a limit looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LimitFigure {
    /// A percentile of latency, in microseconds; 100 is the largest.
    PercentileUs(f64),
    /// Messages lost, in parts per million of those meant to leave.
    LostPpm,
    /// Messages answered a second.
    PerSecond,
}
