//! `hpb lab` and its options.

mod agents;
mod host;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use agents::{LabAgent, MeetingPlace, OverHosts};
pub(crate) use host::{Noise, Repeat, Sockperf};
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
    /// Be an agent of a measurement over several hosts: wait for a conductor, carry a part of its scenario
    ///
    /// Agents and their conductor (`hpb lab run --nats URL --agents N`) meet over NATS; the messages themselves go between
    /// the agents' hosts by the kernel's TCP, and clocks are compared over UDP, both on ports that the server's host chooses.
    #[command(after_help = "Examples:\n  hpb lab agent --nats nats://10.0.0.1:4222\n  \
                            hpb lab agent --nats 10.0.0.1 --name north --plant-offset-ms 5 --plant-drift-ppm 50")]
    Agent(LabAgent),
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
    /// Measure what this machine does by itself: how long and how often an idle spin is held up
    #[command(after_help = "Examples:\n  hpb lab noise\n  hpb lab noise --seconds 10 --core 1 --json")]
    Noise(Noise),
    /// Run one repeat of one target for another build of this program
    #[command(hide = true)]
    Repeat(Repeat),
    /// Put the lab beside sockperf: the same messages over the same kind of cable, in turn
    ///
    /// Exit code 0: the medians lie within 10 % and the intervals of the 99th percentiles overlap; 1: they do not. Needs
    /// the package sockperf, and root or user namespaces.
    #[command(after_help = "Examples:\n  hpb lab sockperf\n  hpb lab sockperf --repeats 10 --rate 10000 --json")]
    Sockperf(Sockperf),
    /// Replay a capture: bit for bit by the tape beside it, or what a session in it said to a program of now
    ///
    /// `hpb card --capture` leaves a tape. Any other capture (pcapng, pcap) is replayed at stream level: the caller's bytes
    /// over a session of now, with its own sequence numbers, and the answers compared. Without a tape and without --to the
    /// sessions of the capture are listed. The exit code is 1 where the replay parts from the capture.
    #[command(after_help = "Examples:\n  hpb lab replay card.pcapng\n  hpb lab replay foreign.pcap\n  \
                            hpb lab replay foreign.pcap --session 3 --to 10.9.0.2:7")]
    Replay(LabReplay),
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

/// Options of `hpb lab replay`.
#[derive(Args, Debug)]
pub(crate) struct LabReplay {
    /// The capture
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,

    /// Its tape, in place of CAPTURE.tape
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub(crate) tape: Option<PathBuf>,

    /// Say a session of it again to a program that listens there
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) to: Option<SocketAddr>,

    /// Which session, by its number in the list
    #[arg(long, value_name = "N", default_value_t = 0, requires = "to")]
    pub(crate) session: usize,

    /// Do not wait for the capture's times
    #[arg(long, requires = "to")]
    pub(crate) hurry: bool,

    /// How long an answer is waited for, in seconds
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) patience_s: u64,

    /// Print what came of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
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

    #[command(flatten)]
    pub(crate) far: OverHosts,

    /// Set a key of the file, as `load.rate_per_s=2000`; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}
