//! Options of the lab's verbs that measure this machine.

use clap::Args;

/// Seconds that an idle spin may take.
const SPIN_S_MAX: u64 = 600;

/// Options of `hpb lab noise`.
#[derive(Args, Debug)]
pub(crate) struct Noise {
    /// How long to spin
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=SPIN_S_MAX))]
    pub(crate) seconds: u64,

    /// On which core [default: the last one that this process may use]
    #[arg(long, value_name = "N")]
    pub(crate) core: Option<usize>,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
