//! The lab's verbs that measure this machine.

use hpb_base::Duration;
use hpb_lab::noise;

use crate::bench::print;
use crate::command_line::Noise;
use crate::failure::Failure;

/// `hpb lab noise`.
pub(super) fn noise(options: &Noise) -> Result<(), Failure> {
    let report = noise::report(Duration::from_secs(options.seconds), options.core).map_err(Failure::input)?;
    if options.json { print(&report.to_json().map_err(Failure::work)?) } else { print(&report.terminal()) }
}
