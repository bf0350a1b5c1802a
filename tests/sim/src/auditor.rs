//! Whom all that correct nodes heard proves guilty.
//!
//! One engine, a stranger without a slot, is told every confirm that came to a correct node, alone or within a
//! certificate, and is asked for its [`Evidence`](hpb_consensus::dpos::Evidence): whatever else becomes of a conflict,
//! what the correct nodes hold together must convict a third of the weight.

use std::collections::BTreeSet;

use hpb_base::{Instant, Machine as _};
use hpb_consensus::Verified;
use hpb_consensus::dpos::{Anchor, Config, Dpos, Input, Memory};
use hpb_node::verify::Verdict;
use hpb_types::{AccountName, Certificate, Confirm, Genesis, Schedule, SliceRef};

use crate::cast::{EPOCH_SLOTS, WALL_AT_ZERO};

/// The stranger.
pub struct Auditor {
    engine: Dpos,
    genesis: Genesis,
    schedule: Schedule,
    certificates: BTreeSet<(SliceRef, SliceRef)>,
}

impl Auditor {
    /// One who has heard nothing yet.
    pub fn new(genesis: &Genesis) -> Self {
        let anchor = Anchor::genesis(genesis.genesis_slice());
        let config = Config::new(genesis, None, WALL_AT_ZERO);
        Self {
            engine: Dpos::new(config, anchor, Memory::Never, Instant::ZERO),
            genesis: genesis.clone(),
            schedule: genesis.schedule(),
            certificates: BTreeSet::new(),
        }
    }

    /// A correct node's verifier found this good.
    pub fn heard(&mut self, now: Instant, verdict: &Verdict) {
        match verdict {
            Verdict::Confirm(confirm) => self.confirm(now, confirm.get().clone()),
            Verdict::Slice(slice, _) => self.certificate(now, &slice.get().body.source),
            Verdict::Transactions(..) | Verdict::Refused => {}
        }
    }

    /// Who is proven guilty.
    pub fn guilty(&self) -> BTreeSet<AccountName> {
        self.engine.accused().iter().map(|(name, _)| *name).collect()
    }

    fn certificate(&mut self, now: Instant, certificate: &Certificate) {
        if !self.certificates.insert((certificate.source, certificate.target)) {
            return;
        }
        let epoch = hpb_types::Epoch(certificate.target.height.slot.0 / EPOCH_SLOTS);
        let schedule = Schedule { epoch, ..self.schedule.clone() };
        for (_, confirm) in certificate.confirms(&self.genesis.chain_id(), &[&schedule]).unwrap_or_default() {
            self.confirm(now, confirm);
        }
    }

    fn confirm(&mut self, now: Instant, confirm: Confirm) {
        self.engine.handle(now, Input::Confirm(Verified::vouch(confirm)));
        while self.engine.poll(now).is_some() {}
    }
}
