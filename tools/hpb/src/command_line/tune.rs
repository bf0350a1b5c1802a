//! Options of `hpb tune`.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use hpb_tune::cores::Cores;
use hpb_tune::item;
use hpb_tune::journal::STATE_PATH;
use hpb_tune::plan::{HUGEPAGES_MIB, HUGEPAGES_MIB_MAX, QUEUES_MAX};

#[derive(Subcommand, Debug)]
pub(crate) enum Tune {
    /// Say what is, what should be, why it matters and which command mends it; change nothing
    ///
    /// Exit code 0: nothing is to fix; 1: something is.
    Check(TuneHost),
    /// Change what can be changed while the host runs, each change noted in the state file first
    ///
    /// Exit code 0: all that can be applied is in place; 1: a change failed, and the others were made.
    Apply(TuneHost),
    /// Put every changed value back, the last one first; leave alone what somebody else has changed since
    ///
    /// Exit code 0: all is put back or left for a reason; 1: something could not be put back and is kept for another try.
    Undo(TuneState),
}

/// What the validator will use of the host.
#[derive(Args, Debug)]
pub(crate) struct TuneHost {
    /// An interface that the card uses; once for each
    #[arg(long = "interface", value_name = "IF")]
    pub(crate) interfaces: Vec<String>,

    /// Cores for lanes and their like, as in 2-5,8 [default: the isolated ones, or all but the first]
    #[arg(long, value_name = "LIST")]
    pub(crate) cores: Option<Cores>,

    /// Hugepages for DPDK in MiB; 0 for none
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = HUGEPAGES_MIB,
        value_parser = RangedU64ValueParser::<u32>::new().range(0..=u64::from(HUGEPAGES_MIB_MAX))
    )]
    pub(crate) hugepages_mib: u32,

    /// Queues of each interface, one for each lane [default: as they are]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=u64::from(QUEUES_MAX)))]
    pub(crate) queues: Option<u32>,

    /// Only these items: offloads,interrupts
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = item::name)]
    pub(crate) only: Vec<&'static str>,

    #[command(flatten)]
    pub(crate) state: TuneState,
}

#[derive(Args, Debug)]
pub(crate) struct TuneState {
    /// The state file: what was changed, with the values before
    #[arg(long, value_name = "FILE", default_value = STATE_PATH)]
    pub(crate) state: PathBuf,

    /// Print JSON instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}
