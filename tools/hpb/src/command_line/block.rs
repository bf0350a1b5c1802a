//! `hpb block`, and which part of the chain a page is of.

use clap::{Args, Subcommand};
use hpb_base::limits::HISTORY_PAGE_MAX;
use hpb_devnet::history::When;
use hpb_ledger::history::Place;

use super::ChainSource;
use super::values::{place, up_to, when};

/// Which part of the chain's transactions.
#[derive(Args, Clone, Debug)]
pub(crate) struct Part {
    /// From when on: a slot's number, or a moment as 2027-01-31 or 2027-01-31T12:00:00Z
    #[arg(long, value_name = "SLOT|TIME", value_parser = when)]
    pub(crate) from: Option<When>,

    /// Before when: a slot's number, or a moment
    #[arg(long, value_name = "SLOT|TIME", value_parser = when)]
    pub(crate) until: Option<When>,

    /// The newest first
    #[arg(long)]
    pub(crate) newest: bool,

    /// Only after this place, in the order that is asked for, as the last line of a page says it
    #[arg(long, value_name = "SLOT.SLICE.NUMBER", value_parser = place)]
    pub(crate) after: Option<Place>,

    /// As many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = up_to(HISTORY_PAGE_MAX))]
    pub(crate) limit: usize,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Block {
    /// A slot's block: who produced it, its slices, what its transactions came to, what its certificate proves
    #[command(
        after_help = "Examples:\n  hpb block show 1234 --data chain\n  hpb block show 1234 --after 1234.5.6 --limit \
                            100 --data chain"
    )]
    Show {
        /// The slot
        #[arg(value_name = "SLOT")]
        slot: u64,

        /// Only transactions after this place, as the last line of a page says it
        #[arg(long, value_name = "SLOT.SLICE.NUMBER", value_parser = place)]
        after: Option<Place>,

        /// As many transactions at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = up_to(HISTORY_PAGE_MAX))]
        limit: usize,

        #[command(flatten)]
        source: ChainSource,
    },
    /// The blocks of a time, in the chain's order
    #[command(
        after_help = "Examples:\n  hpb block list --data chain\n  hpb block list --from 2027-01-31T12:00:00Z --until \
                            2027-01-31T13:00:00Z --limit 50 --data chain\n  hpb block list --after 1234 --data chain"
    )]
    List {
        /// From when on: a slot's number, or a moment as 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "SLOT|TIME", value_parser = when)]
        from: Option<When>,

        /// Before when: a slot's number, or a moment
        #[arg(long, value_name = "SLOT|TIME", value_parser = when)]
        until: Option<When>,

        /// Only after this slot, as the last line of a page says it
        #[arg(long, value_name = "SLOT")]
        after: Option<u64>,

        /// As many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = up_to(HISTORY_PAGE_MAX))]
        limit: usize,

        #[command(flatten)]
        source: ChainSource,
    },
}
