//! `hpb tx`, and what every verb that sends a transaction takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hpb_ledger::history::Kind;
use hpb_types::{AccountName, ActionName, Amount, Authorisation, Hash, PermissionName};

use super::ChainSource;
use super::block::Part;
use super::values::{amount, authorisation, hash, hexadecimal, kind};

/// How a transaction is signed, sent and followed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sending {
    /// A key file that signs; once for each
    #[arg(long = "key", value_name = "FILE", global = true)]
    pub(crate) keys: Vec<PathBuf>,

    /// A permission that stands behind it; once for each [default: `active` of the account that acts]
    #[arg(long = "by", value_name = "NAME[@PERMISSION]", value_parser = authorisation, global = true)]
    pub(crate) by: Vec<Authorisation>,

    /// Who pays the fee [default: the account of the first --by]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) payer: Option<AccountName>,

    /// The most that it may cost, in tokens [default: four times what it is likely to]
    #[arg(long, value_name = "TOKENS", value_parser = amount, global = true)]
    pub(crate) fee_max: Option<Amount>,

    /// How long it may wait for a slice
    #[arg(long, value_name = "S", default_value_t = 60, global = true)]
    pub(crate) expires_s: u64,

    /// How far it is followed
    #[arg(long, value_name = "STEP", value_enum, default_value_t = Until::Final, global = true)]
    pub(crate) until: Until,

    /// The data folder of a devnet that is running
    #[arg(long, value_name = "DIR", default_value = "report/chain", global = true)]
    pub(crate) data: PathBuf,

    /// Which validator is told
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub(crate) validator: usize,

    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// How far a transaction is followed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// The node has it.
    Received,
    /// It is in a slice.
    Included,
    /// A third of the producers confirm that slice, and one more.
    Confirmed,
    /// It stays.
    Final,
}

/// What is done.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Act {
    /// Move tokens
    Transfer {
        /// Whose balance goes down
        #[arg(value_name = "FROM")]
        from: AccountName,

        /// Whose goes up
        #[arg(value_name = "TO")]
        to: AccountName,

        /// By how many tokens, with up to 18 decimals
        #[arg(value_name = "TOKENS", value_parser = amount)]
        amount: Amount,

        /// A note, at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        memo: String,
    },
    /// Move what has vested to its account's balance
    Release {
        /// Whose
        #[arg(value_name = "NAME")]
        account: AccountName,
    },
    /// Any action of any contract, by its arguments' bytes
    Call {
        /// The contract
        #[arg(value_name = "CONTRACT")]
        contract: AccountName,

        /// The action
        #[arg(value_name = "ACTION")]
        action: ActionName,

        /// Its arguments, in hexadecimal digits
        #[arg(value_name = "HEX", value_parser = hexadecimal)]
        arguments: Vec<u8>,
    },
}

/// Which proposal.
#[derive(Args, Clone, Debug)]
pub(crate) struct Proposed {
    /// Who proposed it
    #[arg(value_name = "PROPOSER")]
    pub(crate) proposer: AccountName,

    /// Its name among its proposer's
    #[arg(value_name = "PROPOSAL")]
    pub(crate) name: PermissionName,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Tx {
    /// Sign a transaction, send it to a running devnet, and follow it
    #[command(after_help = "Examples:\n  hpb tx send transfer alice bob 12.5 --key alice.key --data chain\n  \
                            hpb tx send transfer alice bob 1 --by alice@pays --key cashier.key --data chain")]
    Send {
        #[command(flatten)]
        sending: Sending,

        #[command(subcommand)]
        act: Act,
    },
    /// Find a transaction in the chain: where it stands, what it cost and came to
    ///
    /// From the index that the validator keeps; without one the chain is executed from its genesis until it is found.
    #[command(after_help = "Example:\n  hpb tx show 7ada581a99e6e9bc8a1fa06fb3e7b95b54caf88473ffb3285562b940db4c4db9 \
                            --data chain")]
    Show {
        /// Its id, or that of a proposal
        #[arg(value_name = "ID", value_parser = hash)]
        id: Hash,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Write a proof of a transaction into a file: that it stands in a final slice, and what it came to
    ///
    /// Whoever checks it needs the chain's genesis and nothing else. Executes the chain from its genesis until it is found.
    #[command(
        after_help = "Example:\n  hpb tx proof 7ada581a99e6e9bc8a1fa06fb3e7b95b54caf88473ffb3285562b940db4c4db9 \
                            --data chain --out paid.proof"
    )]
    Proof {
        /// Its id, or that of a proposal
        #[arg(value_name = "ID", value_parser = hash)]
        id: Hash,

        /// The file; there is none of that name [default: `ID.proof`, of the id its first 16 digits]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Check such a file by the chain's genesis alone, and say what it proves
    ///
    /// Nothing in the file is believed. Who produces is followed from the genesis on, through each change of the producers,
    /// by the certificates of those who were in office. Exit code 1 if something does not hold; the first such thing is
    /// named. It can't tell that keys of producers of old were not sold after their stake was free: for a chain of years,
    /// compare with a slice of the last days that you trust.
    #[command(after_help = "Example:\n  hpb tx check paid.proof --genesis genesis.toml")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// The genesis that you trust: a file that `hpb genesis check` reads, or the file `genesis` of a data folder
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,

        /// The transaction that it must be about
        #[arg(long, value_name = "ID", value_parser = hash)]
        id: Option<Hash>,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// The transactions of the chain, of a kind or a time, in the chain's order
    ///
    /// From the index that the validator keeps; without one the chain is executed from its genesis. A page goes on from a
    /// place in the chain, so that what comes meanwhile is neither skipped nor told twice.
    #[command(
        after_help = "Examples:\n  hpb tx list --kind token/transfer --newest --limit 20 --data chain\n  hpb tx list \
                            --from 1000 --until 2000 --after 1234.5.6 --json --data chain"
    )]
    List {
        /// Only what was asked for or happened so
        #[arg(long, value_name = "CONTRACT/ACTION", value_parser = kind)]
        kind: Option<Kind>,

        #[command(flatten)]
        part: Part,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Propose that several people do something together, each approving at their own time
    #[command(after_help = "Example:\n  hpb tx propose alice rent --for club --ask alice --ask bob --key alice.key \
                            --data chain transfer club carol 500")]
    Propose {
        #[command(flatten)]
        what: Proposed,

        /// A permission that stands behind the action once it is approved; once for each [default: `active` of the account
        /// that acts]
        #[arg(long = "for", value_name = "NAME[@PERMISSION]", value_parser = authorisation)]
        authorisations: Vec<Authorisation>,

        /// A permission whose approval is asked for; once for each
        #[arg(long = "ask", value_name = "NAME[@PERMISSION]", value_parser = authorisation, required = true)]
        asked: Vec<Authorisation>,

        /// How long it waits from `execute` on, in seconds; waits of a permission that are not longer count
        #[arg(long, value_name = "S", default_value_t = 0)]
        delay_s: u64,

        /// Until when it can be executed, in hours from now
        #[arg(long, value_name = "H", default_value_t = 72)]
        hours: u64,

        /// The most that its proposer pays when it is done, in tokens
        #[arg(long, value_name = "TOKENS", value_parser = amount, default_value = "0.01")]
        deed_fee_max: Amount,

        #[command(flatten)]
        sending: Sending,

        #[command(subcommand)]
        act: Act,
    },
    /// Approve a proposal
    #[command(after_help = "Example:\n  hpb tx approve alice rent --by bob --key bob.key --data chain")]
    Approve {
        #[command(flatten)]
        what: Proposed,

        #[command(flatten)]
        sending: Sending,
    },
    /// Take an approval back
    #[command(after_help = "Example:\n  hpb tx withdraw alice rent --by bob --key bob.key --data chain")]
    Withdraw {
        #[command(flatten)]
        what: Proposed,

        #[command(flatten)]
        sending: Sending,
    },
    /// Have a proposal done that enough have approved: by the next block, or after its delay
    #[command(after_help = "Example:\n  hpb tx execute alice rent --by carol --key carol.key --data chain")]
    Execute {
        #[command(flatten)]
        what: Proposed,

        #[command(flatten)]
        sending: Sending,
    },
    /// Take a proposal away, also while it waits for its time
    #[command(after_help = "Example:\n  hpb tx cancel alice rent --by alice --key alice.key --data chain")]
    Cancel {
        #[command(flatten)]
        what: Proposed,

        #[command(flatten)]
        sending: Sending,
    },
    /// List what an account proposes, and who approves
    #[command(after_help = "Example:\n  hpb tx proposals alice --data chain")]
    Proposals {
        /// Who proposes
        #[arg(value_name = "PROPOSER")]
        proposer: AccountName,

        #[command(flatten)]
        source: ChainSource,
    },
}
