//! The goodbyes at the end of a process.

use hpb_base::limits::LAST_GOODBYE_MS_MAX;
use hpb_base::{Duration, Instant};
use hpb_toe::tape::Operated;
use hpb_types::message::diagnose::{Goodbye, Parting};

/// Tells a lane that the process ends, and it tells its peers. To be called before each turn of its end.
pub fn part_all<L: Operated>(now: Instant, lane: &mut L) {
    if !lane.as_ref().is_leaving() {
        lane.leave(now, Goodbye::because(Parting::SHUTDOWN), Duration::from_millis(LAST_GOODBYE_MS_MAX));
    }
}
