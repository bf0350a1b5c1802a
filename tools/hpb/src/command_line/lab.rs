//! Options of `hpb lab`.

mod host;

use clap::Subcommand;

pub(crate) use host::Noise;

#[derive(Subcommand, Debug)]
pub(crate) enum Lab {
    /// Measure what this machine does by itself: how long and how often an idle spin is held up
    #[command(after_help = "Examples:\n  hpb lab noise\n  hpb lab noise --seconds 10 --core 1 --json")]
    Noise(Noise),
}
