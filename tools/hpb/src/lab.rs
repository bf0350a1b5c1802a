//! `hpb lab`: network latency, measured.

mod host;

use crate::command_line::Lab;
use crate::failure::Failure;

pub(crate) fn run(what: Lab) -> Result<(), Failure> {
    match what {
        Lab::Noise(options) => host::noise(&options),
        Lab::Repeat(options) => host::repeat(&options),
        Lab::Sockperf(options) => host::sockperf(&options),
    }
}
