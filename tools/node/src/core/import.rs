//! Slices from anybody, in the chain's order from its genesis on: taken as far as they prove themselves final.
//!
//! As little is believed of them as of a peer's. Each is followed as a light terminal follows headers, and what their
//! certificates prove final has its transactions' signatures verified and is executed, in memory. The slices at the end,
//! whose proof would stand in those after them, are left out.

use core::ops::ControlFlow;
use std::collections::BTreeMap;

use hpb_ledger::commitment::receipts_root;
use hpb_ledger::{Checked, FinalBatch, FinalPoint, Ledger, SharedStore, Store as _};
use hpb_types::message::SliceBundle;
use hpb_types::{Genesis, Hash, Receipt, Slice, SliceRef};

use super::audit::{AuditError, Place, check_forms, check_signatures, check_state};
use super::recover::Reading;
use crate::engine::ChainLight;

/// An import that is under way.
pub struct Import {
    reading: Reading<SharedStore>,
    state: SharedStore,
    light: ChainLight,
    /// Where the slices stand that are not final.
    places: BTreeMap<Hash, Place>,
    /// What the last final slice came to.
    receipts: Option<Vec<Receipt>>,
}

/// What an import came to.
pub struct Imported {
    /// The last slice that is proven final.
    pub last_final: SliceRef,
    /// Slices that were not, and are left out.
    pub unproven: usize,
    /// The state at that slice, whole.
    pub state: FinalBatch,
}

impl Import {
    /// One that begins at the genesis of a chain.
    ///
    /// # Errors
    /// [`AuditError::Open`] if no ledger starts from it.
    pub fn new(genesis: &Genesis) -> Result<Self, AuditError> {
        let state = SharedStore::default();
        let mut ledger = Ledger::open(genesis, state.clone())?;
        ledger.commit_here()?;
        Ok(Self {
            reading: Reading::new(genesis, ledger),
            state,
            light: ChainLight::genesis(genesis),
            places: BTreeMap::new(),
            receipts: None,
        })
    }

    /// Takes the next slice, which stands at byte `at` of its file; `each` is shown every slice that it proves final.
    ///
    /// # Errors
    /// The first fault.
    pub fn take(
        &mut self,
        at: u64,
        bundle: SliceBundle,
        each: &mut dyn FnMut(&Slice, &[Checked]),
    ) -> Result<(), AuditError> {
        let SliceBundle { slice, transactions } = bundle;
        let (reference, at) = (slice.reference(), Place::File(at));
        let checked = check_forms(reference, at, transactions)?;
        self.light.follow(slice.clone()).map_err(|error| AuditError::Header {
            slice: reference,
            at,
            error: Box::new(error),
        })?;
        self.places.insert(reference.id, at);
        self.reading.hold(slice, checked);
        let chain = self.reading.chain_to(self.light.last_final());
        for body in chain.map_err(|error| AuditError::Chain { at, error: Box::new(error) })? {
            let slice = body.slice.reference();
            let at = self.places.remove(&slice.id).unwrap_or(at);
            check_signatures(&body, at)?;
            let advanced = self.reading.advance(body);
            let (body, receipts) =
                advanced.map_err(|error| AuditError::Executed { slice, at, error: Box::new(error) })?;
            self.receipts = Some(receipts);
            each(&body.slice, &body.transactions);
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`AuditError::Supply`]; a state that can't be read.
    pub fn end(self) -> Result<Imported, AuditError> {
        let last_final = self.reading.tip();
        check_state(self.reading.ledger(), last_final)?;
        let receipts_root = self.receipts.as_deref().map(receipts_root);
        let point = FinalPoint { slice: last_final, commit: 1, receipts_root };
        let mut state = FinalBatch { point, changes: BTreeMap::new(), history: Vec::new() };
        self.state.scan(&[], &mut |key, value| {
            state.changes.insert(key.to_vec(), Some(value.to_vec()));
            ControlFlow::Continue(())
        })?;
        Ok(Imported { last_final, unproven: self.places.len(), state })
    }
}
