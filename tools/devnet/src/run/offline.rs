//! The main job on virtual time.

use hpb_base::{Duration, Instant};
use hpb_types::Slot;

use super::summary::{Ends, liars_of};
use super::{Arguments, DevnetError, Outcome};
use crate::producers::Producers;
use crate::terminals::Terminals;
use crate::virtual_time::{Card, Validator, VirtualDevnet, WALL_AT_ZERO};

/// The genesis is this far ahead of the start.
const GENESIS_AHEAD_MS: u64 = 1_500;
/// All sessions must be open after this much virtual time.
const ESTABLISH_MAX: Duration = Duration::from_secs(120);

/// Runs the main job on virtual time from its seed.
///
/// # Errors
/// Arguments out of range, a workload that can't be read, or a validator that stops itself.
pub fn run_virtual(arguments: &Arguments) -> Result<Outcome, DevnetError> {
    arguments.check()?;
    let prepared = arguments.prepare()?;
    let plan = arguments.plan(&prepared, WALL_AT_ZERO.0 + GENESIS_AHEAD_MS)?;
    let terminals = (0..plan.cards.len())
        .map(|card| {
            let config = plan.terminals(card, &prepared.source, &prepared.assignment, arguments.pace, WALL_AT_ZERO);
            Terminals::new(&plan.genesis, config)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut devnet = VirtualDevnet::new(&plan, terminals)?;
    let established = |devnet: &VirtualDevnet| {
        devnet.cards.iter().all(|card| card.terminals.sessions().established == card.terminals.sessions().target)
    };
    let deadline = devnet.now() + ESTABLISH_MAX;
    devnet.run(deadline, established)?;
    // The chain has begun by then, and the first slot is behind.
    let chain_at = Instant::from_millis(GENESIS_AHEAD_MS + u64::from(arguments.slot_ms) * 2);
    let begin_at = devnet.now().max(chain_at);
    devnet.run(begin_at, |_| false)?;
    let submit_until = begin_at + Duration::from_secs(arguments.seconds.into());
    for card in &mut devnet.cards {
        card.terminals.begin(begin_at, submit_until);
    }
    devnet.run(submit_until, |_| false)?;
    let drain_until = submit_until + Duration::from_millis(u64::from(arguments.slot_ms) * 2);
    devnet.run(drain_until, |devnet| devnet.cards.iter().all(|card| card.terminals.outstanding() == 0))?;

    let core = &devnet.validators[0].core;
    let at = core.ledger().final_slice();
    let supply = core.ledger().supply(&at.id).map(|supply| (supply.genesis, supply.now)).unwrap_or_default();
    let lanes = || {
        let cards = devnet.cards.iter().map(Card::lane);
        devnet.validators.iter().map(Validator::lane).chain(cards)
    };
    let ends = Ends {
        cores: devnet.validators.iter().map(|validator| validator.core.stats().clone()).collect(),
        verified: devnet.validators.iter().map(|validator| validator.verify.counters().transactions).collect(),
        slots: at.height.slot.0,
        filled_slots: core.stats().filled_slots,
        final_slice: at,
        supply,
        handshakes: lanes().map(|lane| lane.counters().handshakes).sum(),
        diffie_hellmans: lanes().map(|lane| lane.counters().diffie_hellmans).sum(),
    };
    let history = devnet.validators[0].history(&plan.genesis)?;
    let liars = liars_of(&plan, &Producers::new(devnet.validators[0].core.ledger(), &history)?);
    let cards: Vec<&Terminals> = devnet.cards.iter().map(|card| &card.terminals).collect();
    let mut outcome = Outcome::new(arguments, &prepared, &cards, &ends);
    let seconds = devnet.now().since(begin_at).as_millis();
    outcome.report.liars = liars;
    outcome.add_turns(&history, Slot(0));
    outcome.report.run.virtual_time = true;
    outcome.report.run.trace_hash = Some(devnet.trace_hash().to_hex());
    "virtual time, one thread".clone_into(&mut outcome.report.run.runtime);
    #[allow(clippy::cast_precision_loss, reason = "a run is far below 2^53 milliseconds and transactions")]
    {
        outcome.report.run.seconds = seconds as f64 / 1e3;
        outcome.report.rate_tps = outcome.report.transactions.finals as f64 / f64::from(arguments.seconds);
    }
    Ok(outcome)
}
