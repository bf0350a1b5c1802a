//! The verbs and their options. It refuses what contradicts itself before anything is begun.

mod account;
mod bench;
mod block;
mod card;
mod key;
mod lab;
mod ledger;
mod peer;
mod transaction;
mod tune;
mod values;

use std::ops::Range;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use hpb_devnet::plan::EngineKind;
use hpb_devnet::run::{Network, Reach};
use hpb_devnet::terminals::Pace;
use hpb_genesis::date::Date;
use hpb_sim::scenario::Scenario;
use hpb_types::{PublicKey, SliceRef};

pub(crate) use account::{Account, PolicyOptions};
pub(crate) use bench::{Accounts, Bench, Churn, Flood, Ledger, Loss, Output, Ports, Reconnect, Sessions, Sync};
pub(crate) use block::{Block, Part};
pub(crate) use card::Card;
pub(crate) use key::Key;
pub(crate) use lab::{
    Lab, LabAgent, LabCompare, LabPlot, LabReplay, LabRun, MeetingPlace, Noise, OverHosts, Repeat, Sockperf,
};
pub(crate) use ledger::LedgerVerb;
pub(crate) use peer::{
    Called, CardLook, CardVerb, Node, Peer, PeerBan, PeerBandwidth, PeerCapture, PeerClock, PeerCrawl, PeerDisconnect,
    PeerDoctor, PeerEvents, PeerGraph, PeerHandshake, PeerInfo, PeerPathMtu, PeerPing, PeerSessions, PeerTop,
    PeerTrace, Shown,
};
pub(crate) use transaction::{Act, Proposed, Sending, Tx, Until};
pub(crate) use tune::{Tune, TuneHost, TuneState};
use values::{clock_offset, public_key, rate, seeds};

/// A validator node with a software network card.
#[derive(Parser, Debug)]
#[command(name = "hpb", version, subcommand_required = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run validators and thousands of terminals on one virtual wire, and report how soon transactions are confirmed
    ///
    /// Two roles. Validators produce in turn, one slot each, and send each other slices and confirms (critical: never
    /// shed) and users' transactions (normal: shed only for a slow peer). Every terminal is a TCP session of its own with
    /// validator 0's card, with keys and a handshake of its own; it sends signed transfers, and is sent the status of
    /// its own transactions (normal) and one digest a slice with the confirms so far (sheddable: the next one replaces
    /// it). The digest interval stretches, and is reported, where it would cost more than half a core.
    Devnet(Devnet),
    /// Run the card by itself on a device of this host, with plain services that any program can talk to
    ///
    /// While it runs, lines on standard input are orders: `counters`, `table [ROWS]`, `set REGISTER VALUE` (the mode
    /// registers of the original card, each a fault to inject), `quit`. `regs`, `stats` and `inject` are about a card that
    /// runs: one that was given `--control`, or a devnet's validator's.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Card(Box<Card>),
    /// Measure the card, and the kernel's TCP beside it
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Tell which blocks a devnet's chain has, and what is in them
    ///
    /// Reads what one validator's data folder holds (`hpb devnet --data`): all that is final, or, while the devnet runs, what
    /// was committed last, a few seconds old. From the index that the validator keeps; without one the chain is executed from
    /// its genesis.
    Block {
        #[command(subcommand)]
        what: Block,
    },
    /// Make an account of a devnet's chain, change who may act for it, tell what it holds and did
    ///
    /// Reads the state that one validator's data folder holds (`hpb devnet --data`): all that is final, or, while the
    /// devnet runs, what was committed last, a few seconds old. What changes something is a transaction, and goes to a
    /// devnet that runs.
    Account {
        #[command(subcommand)]
        what: Account,
    },
    /// Write what a shell needs to complete the verbs and options of this program
    #[command(after_help = "Example:\n  hpb completion bash > ~/.local/share/bash-completion/completions/hpb")]
    Completion {
        /// The shell
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// Write the file that a chain starts from, and check one
    Genesis {
        #[command(subcommand)]
        what: Genesis,
    },
    /// Look through what a devnet's validators have on their disks, and carry a chain from disk to disk
    ///
    /// Nothing that is there is changed but by `index`. A folder that a run holds is refused: it can be read when the run has ended.
    Ledger {
        #[command(subcommand)]
        what: LedgerVerb,
    },
    /// Measure network latency: scenarios of load, links and faults, on the card and what is to stand beside it
    Lab {
        #[command(subcommand)]
        what: Lab,
    },
    /// Write a manual page of this program and of each of its verbs
    #[command(after_help = "Example:\n  hpb man ~/.local/share/man/man1 && man hpb-lab-run")]
    Man {
        /// Where they go; the folder is made if need be
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Make key files, and tell their public halves
    Key {
        #[command(subcommand)]
        what: Key,
    },
    /// Look at the sessions of a running node or card, and at what is between them and their peers
    Peer {
        #[command(subcommand)]
        what: Peer,
    },
    /// Tell who produces on a devnet's chain, who does not, and why
    ///
    /// Reads the final state that one validator's data folder holds (`hpb devnet --data`). A folder that a run holds is
    /// refused: it can be read when the run has ended.
    Producer {
        #[command(subcommand)]
        what: Producer,
    },
    /// Simulate whole chains on virtual time, with faults drawn from seeds, and check after every step what must hold
    ///
    /// The same seed gives the same run on every machine. A seed that fails is told with the checker that found it and
    /// the few faults that it needs, and can be run again. Ctrl-C ends the run after the seeds that are begun.
    ///
    /// With `--scenario` or `--scenarios` no faults are drawn: validators are stopped, parted or far apart as the name
    /// says, under a chain's default times (3 s slots), and each scenario is one line of figures. What its users are told
    /// is looked at too. One that does not come as expected says why, and the exit code is 1.
    Sim(Sim),
    /// Tell where a devnet's token lies, and what comes to whom later
    ///
    /// Reads the state that one validator's data folder holds (`hpb devnet --data`): all that is final, or, while the
    /// devnet runs, what was committed last, a few seconds old.
    Token {
        #[command(subcommand)]
        what: Token,
    },
    /// Send transactions to a running devnet, follow them, find them again; propose and approve together
    Tx {
        #[command(subcommand)]
        what: Tx,
    },
    /// Check what a validator needs of this host, apply what can be changed while it runs, and undo all of it
    Tune {
        #[command(subcommand)]
        what: Tune,
    },
}

/// Options of `hpb devnet`.
#[derive(Args, Debug)]
pub(crate) struct Devnet {
    /// Validators, each with a card, an address, a ledger and a disk folder of its own; with `--byzantine` so many more
    /// that the chain can spare those [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) validators: Option<usize>,

    /// How many of them, those with the highest numbers, lie by script: each makes two slices of one (slot, index), for
    /// one half of the others each, and is expelled for it. Fewer than a third
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) byzantine: usize,

    /// Terminals
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) sessions: u32,

    /// Transactions a second over all terminals, or `max`: the highest rate at which nothing is shed [default: 1000, or
    /// what this machine's cores carry with ease where validators are many: each of them verifies and executes all]
    #[arg(long, value_name = "TPS", value_parser = rate)]
    pub(crate) rate: Option<Pace>,

    /// How long the terminals submit; then at most two slots of drain [default: 30, two epochs if one is
    /// longer, four epochs if some lie]
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u32>,

    /// A slot's length in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    pub(crate) slot_ms: u32,

    /// The time between two slices in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) slice_ms: u32,

    /// Slots of an epoch, at whose end the producers' order changes; as many as validators, and at least 8, if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4..))]
    pub(crate) epoch_slots: Option<u64>,

    /// How much longer a frame takes between two validators, one way, in milliseconds: as if they were far apart, each
    /// with its terminals beside it
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) delay_ms: u32,

    /// Who decides: `dpos`, producers elected by votes, of whom up to a third may lie; or `authority`, the same
    /// validators for ever, a majority of whom decides, for members who do not lie
    #[arg(long, value_name = "NAME", default_value = "dpos")]
    pub(crate) engine: EngineKind,

    /// Transfers to replay (CSV: `block,index,from,to,value_wei,gas_limit,input_bytes`), again and again if the run is
    /// longer; without it they are drawn from a model that was fitted to Ethereum's
    #[arg(long, value_name = "FILE")]
    pub(crate) workload: Option<PathBuf>,

    /// Where the validators keep their data, to go on from; a folder that goes with the run if none is named
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Let whoever proves to have this identity look at the validators' cards from afar, end sessions and ban; once for
    /// each
    #[arg(long = "diagnostics", value_name = "KEY", value_parser = public_key)]
    pub(crate) onlookers: Vec<PublicKey>,

    /// Where report.json and report.html go
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub(crate) report: PathBuf,

    /// Write the frames of validator 0's card to this file (pcap, at most 1 GiB; opens in Wireshark)
    #[arg(long, value_name = "FILE", conflicts_with = "virtual_time")]
    pub(crate) capture: Option<PathBuf>,

    /// Keys, workload and choices follow from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// What joins the cards: `wire:` in this process, `packet:` (packet sockets on virtual cables) or `tap:`, both over a
    /// bridge of the kernel's in network namespaces that go with the run (root, or a host with user namespaces)
    #[arg(
        long,
        value_name = "SCHEME",
        default_value = "wire:",
        conflicts_with = "virtual_time",
        hide_default_value = true
    )]
    pub(crate) port: Network,

    /// Give this host an interface on the cards' network, with this address and prefix (10.0.255.1/16), and say how each
    /// validator is called, in DIR/peers.json too: for `hpb peer` and any other program. It goes with the run (root)
    #[arg(long, value_name = "ADDRESS/BITS", conflicts_with = "virtual_time")]
    pub(crate) reach: Option<Reach>,

    /// Put a validator's clock off, as `5000@2` or `-5000@2`: what the others and `hpb peer clock` make of it
    #[arg(
        long,
        value_name = "MS@VALIDATOR",
        value_parser = clock_offset,
        allow_hyphen_values = true,
        conflicts_with = "virtual_time"
    )]
    pub(crate) clock_offset_ms: Option<(usize, i64)>,

    /// A slice that you know to be final, as `slot.index:id`, by another way than the chain's own word: no validator
    /// takes a chain without it, and none starts on a log without it
    #[arg(long, value_name = "SLICE", requires = "data", conflicts_with = "virtual_time")]
    pub(crate) checkpoint: Option<SliceRef>,

    /// Write the id of each transaction that is told final to this open descriptor, a line each
    #[arg(long, value_name = "FD", conflicts_with = "virtual_time")]
    pub(crate) final_fd: Option<i32>,

    /// Keep no index of what became final: `hpb tx show`, `hpb account history` and others then execute the chain anew, until
    /// a run without this option, or `hpb ledger index`, makes one
    #[arg(long)]
    pub(crate) no_index: bool,

    /// Run on virtual time from the seed, and print a hash over all that the machines were told and said
    #[arg(long = "virtual")]
    pub(crate) virtual_time: bool,

    /// Print the report as JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Producer {
    /// All registered producers by rank: status, votes, bond, and what they did up to the last settled epoch
    List(ChainSource),
    /// One producer in full
    Show {
        /// Its account
        #[arg(value_name = "NAME")]
        name: String,

        #[command(flatten)]
        source: ChainSource,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Genesis {
    /// Print a genesis to begin with: `gxn`, the white paper's allocation. Its keys are zeros, to be put in
    #[command(after_help = "Example:\n  hpb genesis preset gxn --start 2027-01-31 --producers 21 >genesis.toml")]
    Preset {
        /// Which
        #[arg(value_name = "NAME", value_parser = ["gxn"])]
        name: String,

        /// The day on which the chain starts, at 00:00 UTC; what is locked is released by its months
        #[arg(long, value_name = "YYYY-MM-DD")]
        start: Date,

        /// Its first producers
        #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u8).range(1..=101))]
        producers: u8,
    },
    /// Read a genesis file: what is wrong in which line, or the chain that starts from it
    #[command(after_help = "Example:\n  hpb genesis check genesis.toml")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Token {
    /// All of it: balances, stake, bonds, what vests, deposits, the pool of rewards, fees on their way
    #[command(after_help = "Example:\n  hpb token supply --data chain --json")]
    Supply(ChainSource),
    /// What is locked, and when it is free
    #[command(after_help = "Example:\n  hpb token vesting --data chain")]
    Vesting(ChainSource),
}

/// Where a chain is read from.
#[derive(Args, Debug)]
pub(crate) struct ChainSource {
    /// The data folder of a devnet
    #[arg(long, value_name = "DIR", default_value = "report/chain")]
    pub(crate) data: PathBuf,

    /// Whose disk is read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) validator: usize,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hpb sim`.
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("one_run").args(["replay", "scenario"]).multiple(true))]
#[command(group = ArgGroup::new("played").args(["scenario", "scenarios"]).multiple(true))]
pub(crate) struct Sim {
    /// The seeds, from the first to before the end
    #[arg(long, value_name = "FIRST..END", default_value = "0..1000", value_parser = seeds)]
    pub(crate) seeds: Range<u64>,

    /// Nodes of each chain; in half of the seeds some of them come to produce by election
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) nodes: usize,

    /// In every seed whole nodes, with cards over a wire, handshakes and real signatures; one seed in twenty, the last,
    /// has them anyway for at most 21 nodes
    #[arg(long)]
    pub(crate) whole_cards: bool,

    /// Run this one seed
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub(crate) replay: Option<u64>,

    /// Print what happened
    #[arg(long, requires = "one_run")]
    pub(crate) trace: bool,

    /// Put a deliberate bug in, or `all` one after the other, and run seeds from 0 on until its checker finds it
    #[cfg(feature = "canary")]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "replay"])]
    pub(crate) canary: Option<String>,

    /// Play a scenario instead: one-stopped, two-stopped, split-2-2, split-3-1 or far-apart; may be given again
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "nodes", "replay"])]
    pub(crate) scenario: Vec<Scenario>,

    /// Play all scenarios
    #[arg(long, conflicts_with_all = ["scenario", "seeds", "nodes", "replay", "trace"])]
    pub(crate) scenarios: bool,

    /// Slots of what a scenario is about, in place of its own number: how long validators are stopped or parted, or of all
    /// of far-apart
    #[arg(long, value_name = "N", requires = "played")]
    pub(crate) slots: Option<u64>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_tune::journal::STATE_PATH;

    use super::*;
    use crate::failure::Failure;
    use clap::CommandFactory as _;

    fn parse(text: &str) -> Result<Bench, Failure> {
        let words = std::iter::once("hpb").chain(text.split_whitespace());
        match CommandLine::try_parse_from(words) {
            Ok(CommandLine { verb: Verb::Bench { what } }) => Ok(what),
            Ok(_) => panic!("another verb"),
            Err(error) => Err(Failure::of_command_line(&error).unwrap_err()),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn options_of_sessions() {
        let Bench::Sessions(all) = parse("bench sessions").unwrap() else { panic!() };
        assert_eq!((all.count, all.repeats, all.targets.len(), all.scale.len()), (10_000, 5, 0, 0));
        let Bench::Sessions(some) =
            parse("bench sessions --count 7 --targets kernel-epoll,card --json --markdown x.md").unwrap()
        else {
            panic!()
        };
        assert_eq!((some.count, some.targets), (7, vec!["kernel-epoll", "card"]));
        assert_eq!(some.output, Output { json: true, markdown: Some("x.md".into()) });
        let Bench::Sessions(scale) = parse("bench sessions --scale 100,10000,50000").unwrap() else { panic!() };
        assert_eq!(scale.scale, [100, 10_000, 50_000]);
    }

    #[test]
    fn options_of_reconnect() {
        let Bench::Reconnect(all) = parse("bench reconnect").unwrap() else { panic!() };
        assert_eq!((all.sessions, all.quiet, all.seconds), (10_000, 1_000, 5));
    }

    #[test]
    fn options_of_churn() {
        let Bench::Churn(all) = parse("bench churn").unwrap() else { panic!() };
        assert_eq!((all.cycles, all.encrypted), (1_000_000, false));
        let Bench::Churn(all) = parse("bench churn --cycles 5 --encrypted").unwrap() else { panic!() };
        assert_eq!((all.cycles, all.encrypted), (5, true));
    }

    #[test]
    fn options_of_flood() {
        let Bench::Flood(all) = parse("bench flood").unwrap() else { panic!() };
        assert_eq!((all.sessions, all.seconds, all.output.json), (1_000, 5, false));
        let Bench::Flood(some) = parse("bench flood --sessions 10 --seconds 1 --json").unwrap() else { panic!() };
        assert_eq!((some.sessions, some.seconds, some.output.json), (10, 1, true));
        for wrong in ["--sessions 0", "--sessions 9001", "--seconds 0", "--seconds 601"] {
            assert!(parse(&format!("bench flood {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_of_devnet() {
        let devnet = |text: &str| {
            let words = std::iter::once("hpb").chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Devnet(devnet)) => Ok(devnet),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let all = devnet("devnet").unwrap();
        assert_eq!((all.validators, all.byzantine), (None, 0));
        assert_eq!((all.sessions, all.seconds, all.slot_ms), (10_000, None, 3_000));
        assert_eq!(all.rate, None);
        assert_eq!(devnet("devnet --rate max --virtual").unwrap().rate, Some(Pace::Max));
        assert!(devnet("devnet --rate 0").unwrap_err().contains("or `max`"));
        assert!(devnet("devnet --virtual --final-fd 3").is_err());
    }

    #[test]
    fn options_of_producer() {
        let producer = |text: &str| {
            let words = ["hpb", "producer"].into_iter().chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Producer { what }) => Ok(what),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let Producer::List(source) = producer("list").unwrap() else { panic!() };
        assert_eq!((source.data.to_str(), source.validator, source.json), (Some("report/chain"), 0, false));
        let Producer::Show { name, source } = producer("show alice --data x --validator 2 --json").unwrap() else {
            panic!()
        };
        assert_eq!((name.as_str(), source.data.to_str()), ("alice", Some("x")));
        assert_eq!((source.validator, source.json), (2, true));
        assert!(producer("show").unwrap_err().contains("<NAME>"));
        assert!(producer("list --validator x").unwrap_err().contains("'x' for '--validator <N>'"));
    }

    #[test]
    fn options_of_sim() {
        let sim = |text: &str| {
            let words = std::iter::once("hpb").chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Sim(sim)) => Ok(sim),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let all = sim("sim").unwrap();
        assert_eq!((all.seeds, all.nodes, all.replay, all.trace), (0..1_000, 7, None, false));
        assert!(!all.whole_cards && sim("sim --whole-cards").unwrap().whole_cards);
        let one = sim("sim --nodes 4 --replay 17 --trace").unwrap();
        assert_eq!((one.nodes, one.replay, one.trace), (4, Some(17), true));
        let played = sim("sim --scenario split-2-2 --scenario far-apart --slots 90 --trace").unwrap();
        assert_eq!(played.scenario, [Scenario::SplitTwoTwo, Scenario::FarApart]);
        assert_eq!((played.slots, played.trace, played.scenarios), (Some(90), true, false));
        assert!(sim("sim --scenarios --slots 90").unwrap().scenarios);
        for (text, part) in [
            ("sim --seeds 5", "seeds are FIRST..END, as in 0..1000"),
            ("sim --seeds 1..x", "seeds are FIRST..END, as in 0..1000"),
            ("sim --trace", "--replay <SEED>"),
            ("sim --replay 1 --seeds 0..2", "cannot be used with"),
            ("sim --scenario split-2-3", "scenarios are one-stopped, two-stopped"),
            ("sim --scenario far-apart --nodes 4", "cannot be used with"),
            ("sim --scenarios --trace", "cannot be used with"),
            ("sim --slots 9", "--scenario <NAME>"),
        ] {
            let error = sim(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn options_of_tune() {
        let tune = |text: &str| {
            let words = ["hpb", "tune"].into_iter().chain(text.split_whitespace());
            match CommandLine::try_parse_from(words).map(|line| line.verb) {
                Ok(Verb::Tune { what: Tune::Check(host) | Tune::Apply(host) }) => Ok(host),
                Ok(_) => panic!("another verb"),
                Err(error) => Err(error.to_string()),
            }
        };
        let usual = tune("check").unwrap();
        assert_eq!((usual.interfaces.len(), usual.cores, usual.hugepages_mib, usual.queues), (0, None, 512, None));
        assert_eq!((usual.only.len(), usual.state.state.to_str(), usual.state.json), (0, Some(STATE_PATH), false));
        let all =
            "apply --interface a --interface b --cores 2-3,1 --hugepages-mib 0 --queues 2 --only thp,limits --json";
        let all = tune(all).unwrap();
        assert_eq!(all.interfaces, ["a", "b"]);
        assert_eq!(all.cores.unwrap().to_string(), "1-3");
        assert_eq!((all.hugepages_mib, all.queues, all.only), (0, Some(2), vec!["thp", "limits"]));
        for (text, part) in [
            ("check --cores 3-1", "`3-1` is no list of cores"),
            ("check --only thp,tph", "there is no item `tph`: the items are kernel, "),
            ("apply --queues 0", "0 is not in 1..="),
            ("apply --hugepages-mib 2000000", "2000000 is not in 0..=1048576"),
            ("undo --cores 1", "unexpected argument '--cores'"),
        ] {
            let error = tune(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let table = [
            ("", "a verb is missing"),
            ("bench", "a verb is missing"),
            ("frobnicate", "unrecognized subcommand 'frobnicate'"),
            ("bench sessions --cuont 5", "unexpected argument '--cuont' found"),
            ("bench sessions --count", "a value is required for '--count <N>'"),
            ("bench sessions --count 0", "0 is not in 1..=60000"),
            ("bench sessions --count ten", "'ten' for '--count <N>'"),
            ("bench sessions --targets card,crad", "there is no target `crad`: the targets are card, card-encrypted"),
            ("bench sessions --scale 1,x", "'x' for '--scale <N,N,N>'"),
            ("bench sessions --scale 1 --count 1", "'--scale <N,N,N>' cannot be used with '--count <N>'"),
            ("bench reconnect --seconds 601", "601 is not in 1..=600"),
            ("bench churn --cycles 0", "0 is not in 1..=100000000"),
            ("bench sync --slots 19", "19 is not in 20..=20000"),
            ("bench ledger --transfers 0", "0 is not in 1..=2000000"),
            ("bench reconnect extra", "unexpected argument 'extra' found"),
        ];
        for (text, part) in table {
            let failure = parse(text).unwrap_err();
            let line = failure.to_string();
            assert!(line.contains(part) && !line.contains('\n'), "{text}: {line}");
            assert_eq!(failure, Failure::input(&line), "exit code 2");
        }
    }
}
