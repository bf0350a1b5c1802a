//! From what the machines counted to the report.

use std::collections::BTreeMap;

use hpb_base::Duration;
use hpb_node::core::CoreStats;
use hpb_types::{Amount, SliceRef, Slot};

use super::{Arguments, Prepared};
use crate::plan::Plan;
use crate::producers::{History, Producers};
use crate::report::{
    Blocks, Charts, EpochRow, Liar, Measurements, Report, Run, Sessions, Supply, Transactions, WorkloadFacts,
};
use crate::terminals::{Counters, Terminals, broadcast_us};

/// What a run came to.
pub struct Outcome {
    /// Every figure.
    pub report: Report,
    /// The curves and series of the page.
    pub charts: Charts,
}

/// What the driver of a run knows at its end beside the terminals.
pub(super) struct Ends {
    /// Each validator's core.
    pub(super) cores: Vec<CoreStats>,
    /// Transactions that each verified.
    pub(super) verified: Vec<u64>,
    /// Slots that passed while the chain could have grown.
    pub(super) slots: u64,
    /// Slots with at least one final slice.
    pub(super) filled_slots: u64,
    /// Where validator 0 stands.
    pub(super) final_slice: SliceRef,
    /// The supply by genesis and by a walk over validator 0's state.
    pub(super) supply: (Amount, Amount),
    /// Handshakes of all cards, each counted on both sides.
    pub(super) handshakes: u64,
    /// Their Diffie-Hellman operations.
    pub(super) diffie_hellmans: u64,
}

/// What became of those who lied by script, and of every other producer whose bond was cut.
pub(super) fn liars_of(plan: &Plan, producers: &Producers) -> Vec<Liar> {
    let scripted = |name: &str| {
        let place = plan.validators.iter().position(|validator| validator.name.as_str() == name);
        place.is_some_and(|index| plan.lies(index))
    };
    let too_few_left = producers.are_too_few();
    let liars = producers.producers.iter().map(|row| Liar {
        producer: row.name.clone(),
        scripted: scripted(&row.name),
        offences: row.offences.clone(),
        out_from_epoch: row.out_from_epoch,
        too_few_left,
    });
    liars.filter(|liar| liar.scripted || !liar.offences.is_empty()).collect()
}

impl Outcome {
    /// Adds who had which slot, from `first` on.
    pub(super) fn add_turns(&mut self, history: &History, first: Slot) {
        self.charts.turns = history.rotation().since(first);
        self.report.epochs = self.charts.turns.iter().map(EpochRow::new).collect();
    }

    /// Puts the figures together; what only a host knows (CPU, memory, disk) is left at nothing.
    pub(super) fn new(arguments: &Arguments, prepared: &Prepared, cards: &[&Terminals], ends: &Ends) -> Self {
        let mut counters = Counters::default();
        let mut sessions = crate::terminals::SessionCounters::default();
        let mut rejections: BTreeMap<String, u64> = BTreeMap::new();
        let mut measurements: Option<Measurements> = None;
        for card in cards {
            counters.merge(card.counters());
            sessions.merge(card.sessions());
            for (reason, count) in card.rejections() {
                *rejections.entry(reason.to_string()).or_default() += count;
            }
            match &mut measurements {
                Some(all) => all.merge(card.measurements()),
                None => measurements = Some(card.measurements().clone()),
            }
        }
        let establish_ms =
            cards.iter().map(|card| card.established_after().map_or(0, Duration::as_millis)).max().unwrap_or(0);
        let workload = &prepared.workload;
        let latency_us = measurements.as_ref().map(Measurements::latencies).unwrap_or_default();
        let charts = measurements.as_ref().map(Measurements::charts).unwrap_or_default();
        let digests: Vec<_> = cards.iter().map(|card| card.digests()).collect();
        let report = Report {
            run: Run {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                arguments: arguments.named(),
                seed: arguments.seed,
                confirm_k: cards.first().map_or(0, |card| u32::from(card.confirm_k())),
                handshakes: ends.handshakes,
                handshake_dhs: ends.diffie_hellmans,
                shed: counters.shed,
                rejections,
                workload: WorkloadFacts {
                    origin: workload.origin().to_owned(),
                    transfers: workload.transfers().len() as u64,
                    accounts: workload.parties().len() as u64,
                    senders: workload.sender_count() as u64,
                    passes: workload.passes(counters.submitted),
                },
                ..Run::default()
            },
            sessions: Sessions {
                target: sessions.target,
                established: sessions.established,
                lost: sessions.lost,
                reconnected: sessions.reconnected,
                establish_ms,
                bytes_per_session: 0,
            },
            transactions: Transactions {
                submitted: counters.submitted,
                accepted: counters.accepted,
                rejected: counters.rejected,
                finals: counters.finals,
                expired: counters.expired,
                retracted: counters.retracted,
                rows_skipped: workload.rows_skipped(),
            },
            verified: ends.verified.clone(),
            executed: ends.cores.iter().map(|core| core.executed).collect(),
            latency_us,
            broadcast_us: broadcast_us(&digests),
            blocks: Blocks {
                produced: ends.filled_slots,
                skipped: ends.slots.saturating_sub(ends.filled_slots),
                final_height: ends.final_slice.height.slot.0,
                final_index: ends.final_slice.height.index,
                unfinal_slots_max: cards.iter().map(|card| card.unfinal_slots_max()).max().unwrap_or(0),
            },
            digest_interval_ms: cards.iter().map(|card| u64::from(card.digest_interval_ms_max())).max().unwrap_or(0),
            supply: Supply { genesis: ends.supply.0.0, now: ends.supply.1.0 },
            ..Report::default()
        };
        Self { report, charts }
    }
}
