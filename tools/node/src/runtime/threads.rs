//! The plain loop: a pinned thread and nothing else. Service executors run here always, the others where `io_uring`
//! is forbidden or not wanted.

use hpb_base::Duration;

use super::executor::{Flow, Rotation};

/// How long a slice is, in microseconds: nothing else wants this thread, so it only bounds how far a panic's guard
/// reaches.
const SLICE_US: u64 = 10_000;

/// Gives turns until the end.
pub(super) fn run(rotation: &mut Rotation) {
    while rotation.slice(Duration::from_micros(SLICE_US)) == Flow::Continue {}
}
