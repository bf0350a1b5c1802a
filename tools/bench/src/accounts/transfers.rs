//! Transfers between accounts drawn at random, executed and committed as `hpb bench ledger` does it, without signatures.

use hpb_base::Random;
use hpb_host::sys::wall_ns;
use hpb_ledger::account::ACTIVE;
use hpb_ledger::lmdb::LmdbStore;
use hpb_ledger::token::transfer_action;
use hpb_ledger::{Checked, FinalBatch};
use hpb_types::{
    Amount, Authorisation, ChainId, Genesis, Signature, Transaction, TransactionBody, TransactionSignature,
};
use serde::Serialize;

use super::fill::Population;
use super::{AccountsError, Watch};
use crate::ledger::chain::{COMMIT_SLICES, Chain, Slices};
use crate::ledger::load::{EXPIRY_MS, SLICE_TRANSFERS, SLOT_MS, UNIFORM_AMOUNT, fee_max};
use crate::ledger::{LedgerError, seconds_since};
use crate::memory::thread_written;
use crate::runner::median;

/// Every way: workers, and whether what is final is committed.
const WAYS: [(usize, bool); 4] = [(1, false), (2, false), (1, true), (2, true)];

/// Transfers worked off in one way.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Transfers {
    /// Threads.
    pub workers: usize,
    /// Whether they were committed with syncs.
    pub durable: bool,
    /// Transfers a second, the median of all repeats.
    pub per_s: f64,
    /// Commits of the last repeat.
    pub commits: u64,
    /// Keys that they changed.
    pub keys: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
}

/// Seconds of each repeat, by way, and what the last one wrote.
pub(super) struct Rates {
    count: usize,
    took_s: [Vec<f64>; WAYS.len()],
    wrote: [Wrote; WAYS.len()],
}

#[derive(Clone, Copy, Default)]
struct Wrote {
    commits: u64,
    keys: u64,
    bytes: u64,
}

/// What all transfers of one way share.
struct Form {
    chain: ChainId,
    expiry_ms: u64,
    fee_limit: Amount,
}

impl Rates {
    /// Of so many transfers a way, rounded up to whole slices.
    pub(super) fn new(transfers: usize) -> Self {
        Self {
            count: transfers.next_multiple_of(SLICE_TRANSFERS),
            took_s: Default::default(),
            wrote: Default::default(),
        }
    }

    /// Every way once, each with transfers of its own.
    pub(super) fn measure(
        &mut self,
        population: &Population,
        store: &LmdbStore,
        random: &mut Random,
        watch: &Watch<'_>,
    ) -> Result<(), AccountsError> {
        let genesis = population.genesis()?;
        for (index, (workers, durable)) in WAYS.into_iter().enumerate() {
            let mut chain = Chain::over(&genesis, store.clone(), workers)?;
            let slices = self.slices(population, &genesis, &chain, random)?;
            let mut wrote = Wrote::default();
            let written_before = thread_written().map_err(AccountsError::Proc)?;
            let began_ns = wall_ns();
            for part in slices.chunks(COMMIT_SLICES) {
                watch.go_on()?;
                chain.run(&Slices::Checked(part), durable.then_some(COMMIT_SLICES), &mut |batch: FinalBatch| {
                    wrote.commits += 1;
                    wrote.keys += batch.changes.len() as u64;
                })?;
            }
            self.took_s[index].push(seconds_since(began_ns));
            wrote.bytes = thread_written().map_err(AccountsError::Proc)? - written_before;
            self.wrote[index] = wrote;
        }
        Ok(())
    }

    /// By way.
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(super) fn figures(mut self) -> Vec<Transfers> {
        let count = self.count as f64;
        let ways = WAYS.into_iter().zip(&mut self.took_s).zip(self.wrote);
        ways.map(|(((workers, durable), took_s), wrote)| Transfers {
            workers,
            durable,
            per_s: count / median(took_s),
            commits: wrote.commits,
            keys: wrote.keys,
            written_bytes: wrote.bytes,
        })
        .collect()
    }

    fn slices(
        &self,
        population: &Population,
        genesis: &Genesis,
        chain: &Chain<LmdbStore>,
        random: &mut Random,
    ) -> Result<Vec<Vec<Checked>>, LedgerError> {
        let time_ms = genesis.time_ms + chain.tip().height.slot.0 * u64::from(SLOT_MS);
        let form = Form { chain: genesis.chain_id(), expiry_ms: time_ms + EXPIRY_MS, fee_limit: fee_max()? };
        let slice = |_| (0..SLICE_TRANSFERS).map(|_| transfer(population, &form, random)).collect();
        (0..self.count / SLICE_TRANSFERS).map(slice).collect()
    }
}

/// A transfer whose signature has the right form and nothing more: nobody looks at it here.
fn transfer(population: &Population, form: &Form, random: &mut Random) -> Result<Checked, LedgerError> {
    let [payer, to] = [(); 2].map(|()| population.name(random.below(population.count())));
    let body = TransactionBody {
        version: TransactionBody::VERSION,
        chain: form.chain,
        payer,
        authorisations: vec![Authorisation { account: payer, permission: ACTIVE }],
        actions: vec![transfer_action(payer, to, UNIFORM_AMOUNT)],
        expiry_ms: form.expiry_ms,
        fee_limit: form.fee_limit,
        salt: random.next_u64(),
    };
    let signature = TransactionSignature::Ed25519 { key: population.key(), signature: Signature([0; 64]) };
    let checked = Checked::verified(Transaction { body, signatures: vec![signature] });
    checked.map_err(|reason| LedgerError::Failed(reason.to_string()))
}
