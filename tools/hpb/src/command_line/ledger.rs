//! The verbs of `hpb ledger` and their options.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand, Debug)]
pub(crate) enum LedgerVerb {
    /// Walk everything from genesis on, and name the first fault
    ///
    /// Of each validator's log: every segment and record by its checksum, every final slice by the chain's rules (its
    /// place, its producer, its signature, the certificate that it carries), every signature of its transactions. Each
    /// is executed again in memory, and must come to what it says; the store must hold, key by key, what that comes to
    /// where it stands; no token may be made or lost; and the validators' chains must be one. Exit code 1 if something is
    /// wrong.
    #[command(
        after_help = "Examples:\n  hpb ledger verify --data chain\n  hpb ledger verify --data chain/validator-2 \
                            --json\n  hpb devnet --data chain --final-fd 3 3>told && hpb ledger verify --data chain --told told"
    )]
    Verify {
        /// The data folder of a devnet that has ended, or that of one validator in it
        #[arg(long, value_name = "DIR", default_value = "report/chain")]
        data: PathBuf,

        /// Whose disk is looked through; all if none is named
        #[arg(long, value_name = "N")]
        validator: Option<usize>,

        /// A file of transactions that `hpb devnet --final-fd` has told final: each must be in the first log that is
        /// looked through
        #[arg(long, value_name = "FILE")]
        told: Option<PathBuf>,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}
