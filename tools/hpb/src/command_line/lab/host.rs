//! Options of the lab's verbs that measure this machine.

use std::path::PathBuf;

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

/// Options of `hpb lab sockperf`.
#[derive(Args, Debug)]
pub(crate) struct Sockperf {
    /// Repeats of each tool in each mode, in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) repeats: u32,

    /// Seconds of each repeat
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=65_507))]
    pub(crate) message_len: u32,

    /// Messages a second under load
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hpb lab repeat`.
#[derive(Args, Debug)]
pub(crate) struct Repeat {
    /// The scenario's file
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: PathBuf,

    /// Which of its targets
    #[arg(long, value_name = "NAME")]
    pub(crate) target: String,

    /// Which repeat, from 0 on
    #[arg(long, value_name = "N")]
    pub(crate) number: u32,

    /// Print JSON, which is all there is
    #[arg(long, required = true)]
    pub(crate) json: bool,
}
