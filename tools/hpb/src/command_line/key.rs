//! `hpb key`.

use std::path::PathBuf;

use clap::Subcommand;
use hpb_types::AccountName;

#[derive(Subcommand, Debug)]
pub(crate) enum Key {
    /// Draw a key, and write it to a file for its owner alone
    #[command(after_help = "Example:\n  hpb key new --file alice.key")]
    New {
        /// The file; one that is there is never written over
        #[arg(long, value_name = "FILE")]
        file: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Tell the public half of a key file
    #[command(after_help = "Example:\n  hpb key show alice.key --json")]
    Show {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write the key of an account that a devnet made: it is drawn from the devnet's seed and no secret
    #[command(after_help = "Example:\n  hpb key devnet validator-0 --file validator-0.key")]
    Devnet {
        /// The account
        #[arg(value_name = "NAME")]
        name: AccountName,

        /// The seed of the devnet
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,

        /// The file; one that is there is never written over
        #[arg(long, value_name = "FILE")]
        file: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}
