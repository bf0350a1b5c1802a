//! `hpb lab` and its options.

use std::path::PathBuf;

use clap::{Args, Subcommand};

mod show;

pub(crate) use show::{LabCompare, LabPlot};

#[derive(Subcommand, Debug)]
pub(crate) enum Lab {
    /// Run a scenario: its targets take turns, each message is measured from the moment at which it was meant to leave
    ///
    /// Ratios to the first target have an interval with 95 % confidence over the repeats, and a verdict only where it leaves
    /// 1 out. The exit code is 1 when a limit that the scenario states does not hold.
    #[command(
        after_help = "Examples:\n  hpb lab run under-load --report report\n  hpb lab run mine.toml --set link.delay=1ms --json\n  \
                            hpb lab run fan-out-10k --set sessions=100000 --repeats 1"
    )]
    Run(LabRun),
    /// List the ready scenarios
    #[command(after_help = "Example:\n  hpb lab list")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a ready scenario's file, to be changed and run
    #[command(after_help = "Example:\n  hpb lab show incast > mine.toml")]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check a scenario's file, and tell the line on which it is wrong
    #[command(after_help = "Example:\n  hpb lab check mine.toml")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Compare two runs of one scenario: what differs, each figure of B as a multiple of A's, and verdicts
    ///
    /// A and B are result.json files, or folders that hold one. Targets are met by their names.
    #[command(
        after_help = "Examples:\n  hpb lab compare before after\n  hpb lab compare before after --report both --fail-on-slower"
    )]
    Compare(LabCompare),
    /// Draw the pictures of a run again, as SVG files and as the page
    #[command(
        after_help = "Examples:\n  hpb lab plot report\n  hpb lab plot report/result.json --out pictures --kind percentiles,hops"
    )]
    Plot(LabPlot),
}

/// Options of `hpb lab run`.
#[derive(Args, Debug)]
pub(crate) struct LabRun {
    /// A ready scenario's name, or a file
    #[arg(value_name = "NAME|FILE")]
    pub(crate) scenario: String,

    /// Where result.json, the page report.html, and tables for other programs go
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,

    /// Print the record as JSON in place of the table
    #[arg(long)]
    pub(crate) json: bool,

    /// How often each target runs, in place of the file's number
    #[arg(long, value_name = "N")]
    pub(crate) repeats: Option<u32>,

    /// How long each repeat measures, in place of the file's time
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u32>,

    /// Where all dice start, in place of the file's seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Set a key of the file, as `load.rate_per_s=2000`; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}
