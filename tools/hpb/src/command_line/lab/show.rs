//! Options of `hpb lab compare` and `hpb lab plot`.

use std::path::PathBuf;

use clap::Args;
use hpb_lab::report::Kind;

/// Options of `hpb lab compare`.
#[derive(Args, Debug)]
pub(crate) struct LabCompare {
    /// The run that is the base: a result.json, or a folder that holds one
    #[arg(value_name = "A")]
    pub(crate) base: PathBuf,

    /// The run that is held against it
    #[arg(value_name = "B")]
    pub(crate) other: PathBuf,

    /// Compare runs of different scenarios all the same
    #[arg(long)]
    pub(crate) force: bool,

    /// Exit with code 1 if a figure got slower, or dearer, for certain
    #[arg(long)]
    pub(crate) fail_on_slower: bool,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a page with both runs into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// Options of `hpb lab plot`.
#[derive(Args, Debug)]
pub(crate) struct LabPlot {
    /// A result.json, or a folder that holds one
    #[arg(value_name = "RESULT")]
    pub(crate) result: PathBuf,

    /// Where the pictures and the page go [default: beside result.json]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Which pictures: percentiles, ratios, distribution, excess, series, heat, hops [default: all that the run has]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
    pub(crate) kind: Vec<Kind>,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        format!("there is no picture `{text}`: the pictures are {}", Kind::ALL.map(Kind::name).join(", "))
    })
}
