//! The verbs of `hpb ledger` and their options.

use std::path::PathBuf;

use clap::Subcommand;
use hpb_types::SliceRef;

#[derive(Subcommand, Debug)]
pub(crate) enum LedgerVerb {
    /// Walk everything from genesis on, and name the first fault
    ///
    /// Of each validator's log: every segment and record by its checksum, every final slice by the chain's rules (its
    /// place, its producer, its signature, the certificate that it carries), every signature of its transactions. Each
    /// is executed again in memory, and must come to what it says; the store must hold, key by key, what that comes to
    /// where it stands; an index of history must say what each slice came to, row by row; no token may be made or lost; and
    /// the validators' chains must be one. Exit code 1 if something is wrong.
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
    /// Make the index of history anew that `hpb tx`, `hpb block` and `hpb account history` are answered from
    ///
    /// Executes each validator's chain from its genesis. One that was off for a while (`hpb devnet --no-index`) is made anew
    /// so, and one that is damaged.
    #[command(after_help = "Examples:\n  hpb ledger index --data chain\n  hpb ledger index --data chain/validator-2")]
    Index {
        /// The data folder of a devnet that has ended, or that of one validator in it
        #[arg(long, value_name = "DIR", default_value = "report/chain")]
        data: PathBuf,

        /// Whose index; all if none is named
        #[arg(long, value_name = "N")]
        validator: Option<usize>,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write the final chain that a validator holds into one file, when all of it was found good
    ///
    /// The file holds the genesis and every final slice with its transactions, under a checksum each. It proves itself:
    /// whoever imports it need not trust where it came from.
    #[command(after_help = "Example:\n  hpb ledger export --data chain --to chain.hpb")]
    Export {
        /// The data folder of a devnet that has ended, or that of one validator in it
        #[arg(long, value_name = "DIR", default_value = "report/chain")]
        data: PathBuf,

        /// Whose disk is read
        #[arg(long, value_name = "N", default_value_t = 0)]
        validator: usize,

        /// The file; there is none of that name
        #[arg(long, value_name = "FILE")]
        to: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make a validator's data from such a file: every slice is judged, and executed, as if a stranger had sent it
    ///
    /// What the certificates in the file prove final is taken; the slices at its end, whose proof would stand in those
    /// after them, are left out. The validator does not know what it has confirmed before, and stays silent until the
    /// chain has gone on by a slot: make one of a chain's validators anew and not all of them.
    #[command(
        after_help = "Example, of a validator that has lost its disk:\n  hpb ledger export --data chain --to chain.hpb\n  \
                            rm -r chain/validator-2\n  hpb ledger import --from chain.hpb --data chain --validator 2"
    )]
    Import {
        /// The file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,

        /// The folder of the devnet, or one that is empty or is not there
        #[arg(long, value_name = "DIR")]
        data: PathBuf,

        /// Whose data is made; it has none
        #[arg(long, value_name = "N", default_value_t = 0)]
        validator: usize,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write the state that a validator has committed into one file, with what proves it
    ///
    /// Of a devnet that has ended, or beside one that runs, which does not wait for it. The file holds the state at one
    /// final slice, and headers from genesis to that slice: those by which each epoch's producers were fixed, and those
    /// that prove the slice final. A slice commits to the whole state, so whoever restores it need not trust where it came
    /// from. Of a devnet that was killed, the last slice may be final by confirms that nobody keeps: it is said then that
    /// the file does not prove it.
    #[command(after_help = "Example:\n  hpb ledger snapshot state.hpb --data chain")]
    Snapshot {
        /// The file; there is none of that name
        #[arg(value_name = "FILE")]
        to: PathBuf,

        /// The data folder of a devnet, or that of one validator in it
        #[arg(long, value_name = "DIR", default_value = "report/chain")]
        data: PathBuf,

        /// Whose disk is read
        #[arg(long, value_name = "N", default_value_t = 0)]
        validator: usize,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make a validator's data from a snapshot: its proof is followed from genesis, and its records are summed
    ///
    /// The validator's log begins behind the snapshot's slice: it catches up from the others with what came after, and can
    /// give nobody what came before. It does not know what it has confirmed before, and stays silent until the chain has
    /// gone on by a slot: make one of a chain's validators anew and not all of them.
    #[command(
        after_help = "Example, of a validator that has lost its disk:\n  hpb ledger snapshot state.hpb --data chain\n  \
                            rm -r chain/validator-2\n  hpb ledger restore state.hpb --data chain --validator 2"
    )]
    Restore {
        /// The file
        #[arg(value_name = "FILE")]
        from: PathBuf,

        /// The folder of the devnet, or one that is empty or is not there
        #[arg(long, value_name = "DIR")]
        data: PathBuf,

        /// Whose data is made; it has none
        #[arg(long, value_name = "N", default_value_t = 0)]
        validator: usize,

        /// A slice that is known to be final by another way, as `slot.index:id`: the snapshot must be of it, and need not
        /// prove it final
        #[arg(long, value_name = "SLICE-ID")]
        trust: Option<SliceRef>,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Remove the older blocks of a validator's log: the segments that hold none of its last blocks
    ///
    /// The state stays whole, and with it the ids of past transactions. What the log begins from then is proven from
    /// genesis by the headers that stay, as a snapshot is. Blocks that are gone can be given to nobody and looked at no
    /// more: keep the whole chain on one validator at least. It may be killed at any time and called again.
    #[command(after_help = "Example:\n  hpb ledger prune --data chain --validator 2 --keep 100000")]
    Prune {
        /// The data folder of a devnet that has ended, or that of one validator in it
        #[arg(long, value_name = "DIR")]
        data: PathBuf,

        /// Whose log
        #[arg(long, value_name = "N", default_value_t = 0)]
        validator: usize,

        /// Blocks that stay, at least
        #[arg(long, value_name = "N")]
        keep: u64,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}
