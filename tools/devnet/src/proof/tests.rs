//! Proofs of what a devnet on virtual time did, checked with its genesis alone.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;
use std::path::PathBuf;

use hpb_base::Instant;
use hpb_node::core::WantedProof;
use hpb_node::proof::ContentProof;
use hpb_types::{Genesis, Hash, Outcome};

use crate::plan::EngineKind;
use crate::run::{Arguments, Network};
use crate::terminals::{Pace, Terminals};
use crate::virtual_time::{VirtualDevnet, WALL_AT_ZERO};

/// Final transactions of a run of 13 s, one of many, each with its proof from a validator's log; and the chain's genesis.
fn proofs(validators: usize, byzantine: usize, engine: EngineKind) -> (Genesis, Vec<(Hash, ContentProof)>) {
    let arguments = Arguments {
        validators,
        byzantine,
        sessions: 20,
        pace: Pace::Fixed(NonZeroU64::new(30).unwrap()),
        seconds: 10,
        slot_ms: 400,
        slice_ms: 50,
        epoch_slots: None,
        delay_ms: 0,
        engine,
        workload: None,
        data: None,
        report: PathBuf::from("never written"),
        capture: None,
        seed: 7,
        network: Network::Wire,
        checkpoint: None,
        onlookers: Vec::new(),
        keeps_index: true,
        reach: None,
        clock_offset: None,
    };
    let prepared = arguments.prepare().unwrap();
    let plan = arguments.plan(&prepared, WALL_AT_ZERO.0 + 1_500).unwrap();
    let config = |card| plan.terminals(card, &prepared.source, &prepared.assignment, arguments.pace, WALL_AT_ZERO);
    let terminals = (0..plan.cards.len()).map(|card| Terminals::new(&plan.genesis, config(card)).unwrap()).collect();
    let mut devnet = VirtualDevnet::new(&plan, terminals).unwrap();
    let at = Instant::from_millis;
    devnet.run(at(3_000), |_| false).unwrap();
    for card in &mut devnet.cards {
        card.terminals.begin(at(3_000), at(13_000));
    }
    devnet.run(at(15_000), |_| false).unwrap();
    let mut told = Vec::new();
    for card in &mut devnet.cards {
        card.terminals.take_told_final(&mut told);
    }
    assert_eq!(told.len(), 300);
    let mut prove = |id| devnet.validators[0].prove(&plan.genesis, WantedProof::Transaction(id)).unwrap().unwrap();
    let proofs = told.into_iter().step_by(37).map(|id| (id, prove(id))).collect();
    (plan.genesis, proofs)
}

/// Every proof holds, and is of its transaction. Gives how many runs and quorums each has.
fn check(genesis: &Genesis, proofs: &[(Hash, ContentProof)]) -> Vec<(usize, usize)> {
    let checked = proofs.iter().map(|(id, proof)| {
        let read = ContentProof::from_file(&proof.to_file()).unwrap();
        let certified = read.check(genesis).unwrap().certified;
        let receipt = &read.claim.receipt().unwrap().receipt;
        assert_eq!((receipt.transaction, receipt.outcome), (*id, Outcome::Applied));
        let quorum = certified.quorums.last().unwrap();
        assert!(2 * quorum.signers > quorum.producers, "{quorum:?}");
        let quorums = proof.runs.iter().flat_map(|run| &run.certificates).map(|link| link.quorums.len());
        (proof.runs.len(), quorums.max().unwrap())
    });
    checked.collect()
}

#[test]
fn proofs_lead_through_an_expulsion() {
    let (genesis, proofs) = proofs(5, 1, EngineKind::Dpos);
    let found = check(&genesis, &proofs);
    // The liar is gone on the way: those before and those after it both signed there.
    assert!(found.iter().any(|(runs, quorums)| *runs >= 4 && *quorums == 2), "{found:?}");
    assert!(found.iter().any(|(_, quorums)| *quorums == 1), "{found:?}");
}

#[test]
fn proofs_of_a_chain_of_fixed_authorities_are_one_run() {
    let (genesis, proofs) = proofs(3, 0, EngineKind::Authority);
    assert!(check(&genesis, &proofs).iter().all(|found| *found == (1, 1)));
}
