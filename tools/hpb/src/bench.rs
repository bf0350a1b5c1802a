//! `hpb bench`: runs a bench, prints its figures, writes its section.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use hpb_base::Duration;
use hpb_bench::flood::FloodError;
use hpb_bench::kernel::KernelOptions;
use hpb_bench::ledger::{LedgerError, RevmError};
use hpb_bench::page::Page;
use hpb_bench::runner::RunError;
use hpb_bench::{accounts, churn, flood, ledger, loss, ports, reconnect, scale, sessions, sync};
use hpb_node::runtime::{StopFlag, stop_on_signals};

use crate::command_line::{Accounts, Bench, Churn, Flood, Ledger, Loss, Output, Ports, Reconnect, Sessions, Sync};
use crate::failure::Failure;

/// Targets whose sessions may grow past the descriptor limit.
const CARDS: [&str; 2] = ["card", "card-encrypted"];

/// A run's figures in every form that was asked for.
struct Printed {
    /// Its section's name in the page.
    section: String,
    terminal: String,
    markdown: String,
    json: serde_json::Result<String>,
}

pub(crate) fn run(what: Bench) -> Result<(), Failure> {
    match what {
        Bench::Sessions(options) if options.scale.is_empty() => run_sessions(options),
        Bench::Sessions(options) => run_scale(options),
        Bench::Reconnect(options) => run_reconnect(options),
        Bench::Churn(options) => run_churn(options),
        Bench::Sync(options) => run_sync(options),
        Bench::Ledger(options) => run_ledger(options),
        Bench::Accounts(options) => run_accounts(options),
        Bench::Ports(options) => run_ports(options),
        Bench::Loss(options) => run_loss(options),
        Bench::Flood(options) => run_flood(options),
    }
}

fn run_sessions(options: Sessions) -> Result<(), Failure> {
    let Sessions { count, targets, repeats, congestion_control, without_cross_check, output, .. } = options;
    let mut command = format!("hpb bench sessions --count {count} --repeats {repeats}");
    let mut section = format!("sessions {count}");
    if !targets.is_empty() {
        let _ = write!(command, " --targets {}", targets.join(","));
        let _ = write!(section, " {}", targets.join(","));
    }
    if let Some(name) = &congestion_control {
        let _ = write!(command, " --congestion-control {name}");
        let _ = write!(section, " {name}");
    }
    let targets = if targets.is_empty() { sessions::NAMES.to_vec() } else { targets };
    let kernel = match congestion_control {
        Some(name) if let Err(error) = sessions::congestion_control_check(&name) => {
            return Err(Failure::input(format_args!("congestion control `{name}`: {error}")));
        }
        Some(name) => KernelOptions { congestion_control: Some(name) },
        None => KernelOptions::lightest(),
    };
    let options = sessions::Options {
        count,
        targets: sessions::in_order(&targets).map_err(Failure::input)?,
        repeats,
        kernel,
        cross_check: !without_cross_check,
    };
    put(&output, |progress| {
        let report = sessions::run(&options, command, progress).map_err(run_failed)?;
        Ok(Printed { section, terminal: report.terminal(), markdown: report.markdown(), json: report.to_json() })
    })
}

fn run_scale(options: Sessions) -> Result<(), Failure> {
    let Sessions { scale: counts, targets, repeats, output, .. } = options;
    let targets = if targets.is_empty() { vec!["card"] } else { targets };
    if let Some(other) = targets.iter().find(|name| !CARDS.contains(name)) {
        return Err(Failure::input(format_args!("--scale measures card and card-encrypted, not {other}")));
    }
    let (sizes, names) = (list(&counts), targets.join(","));
    let command = format!("hpb bench sessions --scale {sizes} --targets {names} --repeats {repeats}");
    let targets = sessions::in_order(&targets).map_err(Failure::input)?;
    let options = scale::Options { counts, targets, repeats };
    put(&output, |progress| {
        let report = scale::run(&options, command, progress).map_err(run_failed)?;
        Ok(Printed {
            section: format!("scale {names}"),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_reconnect(options: Reconnect) -> Result<(), Failure> {
    let Reconnect { sessions, quiet, seconds, output } = options;
    let command = format!("hpb bench reconnect --sessions {sessions} --quiet {quiet} --seconds {seconds}");
    let options = reconnect::Options {
        sessions,
        quiet,
        quiet_phase: Duration::from_secs(seconds),
        ..reconnect::Options::DEFAULT
    };
    options.check().map_err(Failure::input)?;
    put(&output, |progress| {
        let report = reconnect::run(&options, command, progress).map_err(Failure::work)?;
        Ok(Printed {
            section: "reconnect".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_churn(options: Churn) -> Result<(), Failure> {
    let Churn { cycles, encrypted, output } = options;
    let mut command = format!("hpb bench churn --cycles {cycles}");
    let mut section = String::from("churn");
    if encrypted {
        command.push_str(" --encrypted");
        section.push_str(" encrypted");
    }
    put(&output, |progress| {
        let report = churn::run(&churn::Options { cycles, encrypted }, command, progress).map_err(Failure::work)?;
        Ok(Printed { section, terminal: report.terminal(), markdown: report.markdown(), json: report.to_json() })
    })
}

fn run_sync(options: Sync) -> Result<(), Failure> {
    let Sync { slots, output } = options;
    let command = format!("hpb bench sync --slots {slots}");
    put(&output, |progress| {
        let report = sync::run(slots, command, progress).map_err(Failure::work)?;
        Ok(Printed {
            section: "sync".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_ledger(options: Ledger) -> Result<(), Failure> {
    let Ledger { transfers, mainnet, revm, repeats, folder, index, output } = options;
    let mut command = format!("hpb bench ledger --transfers {transfers} --repeats {repeats}");
    if let Some(file) = &mainnet {
        let _ = write!(command, " --mainnet {}", file.display());
    }
    if let Some(program) = &revm {
        let _ = write!(command, " --revm {}", program.display());
    }
    if index {
        command.push_str(" --index");
    }
    let options = ledger::Options { transfers, mainnet, revm, repeats, folder, keeps_index: index };
    put(&output, |progress| {
        let report = ledger::run(&options, command, progress).map_err(|error| match error {
            LedgerError::Revm(RevmError::Missing { .. }) => Failure::input(error),
            _ => Failure::work(error),
        })?;
        Ok(Printed {
            section: "ledger".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_accounts(options: Accounts) -> Result<(), Failure> {
    let Accounts { counts, transfers, repeats, folder, output } = options;
    let sizes = list(&counts);
    let command = format!("hpb bench accounts --counts {sizes} --transfers {transfers} --repeats {repeats}");
    let options = accounts::Options { counts, transfers, repeats, folder };
    options.check().map_err(Failure::input)?;
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    put(&output, |progress| {
        let report = accounts::run(&options, command, &|| stop.is_raised(), progress).map_err(Failure::work)?;
        Ok(Printed {
            section: "accounts".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_ports(options: Ports) -> Result<(), Failure> {
    let Ports { targets, repeats, output } = options;
    let mut command = format!("hpb bench ports --repeats {repeats}");
    if !targets.is_empty() {
        let _ = write!(command, " --targets {}", targets.join(","));
    }
    let targets = ports::in_order(&targets).map_err(Failure::input)?;
    // Before any thread; where it is not to be had, the targets that need it say so.
    let _ = hpb_sandbox::become_root();
    put(&output, |progress| {
        let report = ports::run(&ports::Options::new(targets, repeats), command, progress).map_err(Failure::input)?;
        Ok(Printed {
            section: "ports".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_loss(options: Loss) -> Result<(), Failure> {
    let Loss { targets, losses, delays, seconds, output } = options;
    let mut command = format!("hpb bench loss --seconds {seconds}");
    if !targets.is_empty() {
        let _ = write!(command, " --targets {}", targets.join(","));
    }
    for (option, asked, usual) in
        [("--losses", list(&losses), list(&loss::LOSSES_PPM)), ("--delays", list(&delays), list(&loss::DELAYS_MS))]
    {
        if asked != usual {
            let _ = write!(command, " {option} {asked}");
        }
    }
    let targets = loss::in_order(&targets).map_err(Failure::input)?;
    // Before any thread; where it is not to be had, the targets say so.
    let _ = hpb_sandbox::become_root();
    let options = loss::Options { losses_ppm: losses, delays_ms: delays, ..loss::Options::new(targets, seconds) };
    put(&output, |progress| {
        let report = loss::run(&options, command, progress).map_err(Failure::input)?;
        Ok(Printed {
            section: "loss".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn run_flood(options: Flood) -> Result<(), Failure> {
    let Flood { sessions, seconds, output } = options;
    let command = format!("hpb bench flood --sessions {sessions} --seconds {seconds}");
    let options = flood::Options { sessions, phase: Duration::from_secs(seconds), ..flood::Options::DEFAULT };
    put(&output, |progress| {
        let report = flood::run(&options, command, progress).map_err(|error| match error {
            FloodError::Root | FloodError::Cores | FloodError::Program(_) | FloodError::Descriptors { .. } => {
                Failure::input(error)
            }
            _ => Failure::work(error),
        })?;
        Ok(Printed {
            section: "flood".into(),
            terminal: report.terminal(),
            markdown: report.markdown(),
            json: report.to_json(),
        })
    })
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn run_failed(error: RunError) -> Failure {
    match error {
        RunError::Nothing | RunError::Descriptors { .. } => Failure::input(error),
        RunError::Target { .. } | RunError::Proc(_) => Failure::work(error),
    }
}

/// Runs `bench` and puts its figures where they were asked for. The page is opened first: one that cannot be written
/// is known before the run.
fn put(
    output: &Output,
    bench: impl FnOnce(&mut (dyn FnMut(&str) + Send)) -> Result<Printed, Failure>,
) -> Result<(), Failure> {
    let page = output.markdown.as_deref().map(Page::open).transpose().map_err(Failure::input)?;
    let mut progress = Progress::new();
    let printed = bench(&mut |line| progress.show(line));
    progress.clear();
    let printed = printed?;
    let text = if output.json { printed.json.map_err(Failure::work)? } else { printed.terminal };
    print(&text)?;
    if let Some(page) = page {
        page.write(&printed.section, &printed.markdown).map_err(Failure::work)?;
    }
    Ok(())
}

/// Puts a text on the standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Failure::work(format_args!("standard output: {error}"))),
    }
}

/// One line on the terminal that says what is under way; nothing where there is no terminal.
pub(crate) struct Progress {
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }

    pub(crate) fn show(&mut self, line: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        }
    }

    pub(crate) fn clear(&mut self) {
        self.show("");
    }
}
