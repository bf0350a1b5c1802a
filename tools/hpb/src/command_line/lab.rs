//! Options of `hpb lab`.

mod host;

use clap::Subcommand;

pub(crate) use host::{Noise, Repeat, Sockperf};

#[derive(Subcommand, Debug)]
pub(crate) enum Lab {
    /// Measure what this machine does by itself: how long and how often an idle spin is held up
    #[command(after_help = "Examples:\n  hpb lab noise\n  hpb lab noise --seconds 10 --core 1 --json")]
    Noise(Noise),
    /// Run one repeat of one target for another build of this program
    #[command(hide = true)]
    Repeat(Repeat),
    /// Put the lab beside sockperf: the same messages over the same kind of cable, in turn
    ///
    /// Exit code 0: the medians lie within 10 % and the intervals of the 99th percentiles overlap; 1: they do not. Needs
    /// the package sockperf, and root or user namespaces.
    #[command(after_help = "Examples:\n  hpb lab sockperf\n  hpb lab sockperf --repeats 10 --rate 10000 --json")]
    Sockperf(Sockperf),
}
