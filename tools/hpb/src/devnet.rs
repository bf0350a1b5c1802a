//! `hpb devnet`.

use std::io::{self, IsTerminal as _, Write as _};
use std::num::{NonZeroU64, NonZeroUsize};
use std::thread;

use hpb_devnet::plan::epoch_slots;
use hpb_devnet::report;
use hpb_devnet::run::{Arguments, Network, SECONDS_MAX, run_live, run_virtual};
use hpb_devnet::terminals::Pace;

use crate::command_line::Devnet;
use crate::failure::Failure;

/// How long a devnet's terminals submit that is not told, if an epoch is not longer.
const SECONDS: u32 = 30;
/// Transactions a second of a devnet that is not told how many, where the cores carry them.
const RATE_TPS: u64 = 1_000;
/// Transactions a second, times validators, that a core carries with ease: half of where 21 validators on two cores were
/// seen to fall behind.
const CORE_TPS: u64 = 2_000;
/// Validators of a devnet that is not told how many.
const VALIDATORS: usize = 4;

pub(crate) fn run(options: Devnet) -> Result<(), Failure> {
    if options.reach.is_some() && !hpb_sandbox::is_root() {
        let reason = "--reach gives this host an interface: run it as root";
        return Err(Failure::input(reason));
    }
    if options.port != Network::Wire {
        // Before any thread: an ordinary user gets a network of his own in a user namespace of his own.
        hpb_sandbox::become_root().map_err(Failure::input)?;
    }
    let arguments = Arguments {
        validators: options.validators.unwrap_or_else(|| validators_of(options.byzantine)),
        byzantine: options.byzantine,
        sessions: options.sessions,
        pace: options.rate.unwrap_or_else(|| pace_of(&options)),
        seconds: options.seconds.unwrap_or_else(|| seconds_of(&options)),
        slot_ms: options.slot_ms,
        slice_ms: options.slice_ms,
        epoch_slots: options.epoch_slots,
        delay_ms: options.delay_ms,
        engine: options.engine,
        workload: options.workload,
        data: options.data,
        report: options.report,
        capture: options.capture,
        seed: options.seed,
        network: options.port,
        reach: options.reach,
        clock_offset: options.clock_offset_ms,
        checkpoint: options.checkpoint,
        onlookers: options.onlookers,
        keeps_index: !options.no_index,
    };
    let outcome = if options.virtual_time { run_virtual(&arguments) } else { run_live(&arguments, options.final_fd) };
    let outcome =
        outcome.map_err(|error| if error.is_of_the_run() { Failure::work(error) } else { Failure::input(error) })?;
    report::write(&arguments.report, &outcome.report, &outcome.charts).map_err(Failure::input)?;
    let text = if options.json {
        outcome.report.to_json().map_err(Failure::work)?
    } else {
        report::summary(&outcome.report, io::stdout().is_terminal())
    };
    // A reader that went away has what it wanted.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
        _ => Ok(()),
    }
}

/// Half a minute, or two epochs where one is longer: then the order of the producers is seen to change. Where some lie by
/// script, four epochs: they do so in the second slot of their own, and then leave.
fn seconds_of(options: &Devnet) -> u32 {
    let validators = options.validators.unwrap_or_else(|| validators_of(options.byzantine));
    let epoch_ms = epoch_slots(options.epoch_slots, validators).saturating_mul(options.slot_ms.into());
    let epochs = if options.byzantine > 0 { 4 } else { 2 };
    let is_longer = options.byzantine > 0 || epoch_ms > 1_000 * u64::from(SECONDS);
    let seconds = if is_longer { epoch_ms.saturating_mul(epochs).div_ceil(1_000) } else { SECONDS.into() };
    seconds.min(SECONDS_MAX.into()) as u32
}

/// A thousand transactions a second, or what the cores carry with ease: each validator verifies and executes all. On
/// virtual time, for which no machine is too slow, the same everywhere.
fn pace_of(options: &Devnet) -> Pace {
    let validators = options.validators.unwrap_or_else(|| validators_of(options.byzantine)) as u64;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    let carried = if options.virtual_time { RATE_TPS } else { CORE_TPS * cores / validators.max(1) };
    Pace::Fixed(NonZeroU64::new(carried.min(RATE_TPS)).unwrap_or(NonZeroU64::MIN))
}

/// So many that the chain can spare those that lie: as many as usual are left, and those that lie are fewer than a third.
fn validators_of(byzantine: usize) -> usize {
    VALIDATORS.saturating_add(byzantine).max(byzantine.saturating_mul(3).saturating_add(1))
}
