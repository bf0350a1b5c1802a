//! The runtime: the threads, cores, links and clocks that drive the machines of a node.
//!
//! A [`RuntimeBuilder`] takes a [`Topology`](crate::topology::Topology), hands out its links, is given a maker for
//! each worker, and starts one thread for each executor that has workers. [`Running`] reads what they cost, stops and
//! joins them. The order of an end: the hot executors stop first, each at once; then the service executors (store,
//! log, api) finish what their links still hold.
//!
//! It refuses to decide anything: that is the machines' work. Only this module knows threads, descriptors and clocks.

pub mod clock;
pub mod crew;
pub mod executor;
mod glommio;
pub mod host;
pub mod link;
pub mod log;
pub mod meter;
pub mod park;
pub mod signal;
pub mod start;
mod sys;
mod threads;

pub use clock::Clock;
pub use crew::Crew;
pub use executor::{Activity, Context, Failure, IdlePolicy, Worker};
pub use host::{
    Backend, BackendChoice, BackendWish, FILES_PER_EXECUTOR_MAX, HostLimits, LimitError, heap_trim, limits_check,
};
pub use link::{LinkCounters, LinkWatch, Receiver, SendError, Sender, link};
pub use meter::{ExecutorReport, TURN_BUCKETS, WorkerReport, turn_bucket_bound};
pub use park::{Parker, Woken};
pub use signal::{StopFlag, stop_on_signals};
pub use start::{MakeError, Options, RunError, Running, RuntimeBuilder, StartError, cores_allowed};
