//! A simulator of the whole chain: the node's own machines, 4 to 100 nodes in one thread, on virtual time, from one seed.
//!
//! A seed draws a schedule of faults (crashes, disks, partitions, weather, clocks) and runs it; checkers look after every
//! step. The same seed gives the same trace on every machine. What fails is cut down to the few faults that matter and
//! can be run again.

pub mod audience;
pub mod auditor;
pub mod byzantine;
#[cfg(feature = "canary")]
pub mod canaries;
pub mod cards;
pub mod cast;
pub mod checkers;
pub mod clock;
pub mod crowd;
pub mod disk;
pub mod electorate;
pub mod faults;
pub mod link;
pub mod minimise;
pub mod node;
pub mod paper;
pub mod queue;
pub mod run;
pub mod scenario;
pub mod signing;
pub mod trace;
pub mod workload;
pub mod world;
