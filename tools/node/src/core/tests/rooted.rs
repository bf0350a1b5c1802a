//! Nodes whose log does not begin at genesis: made of a state and its proof.

use core::ops::ControlFlow;

use hpb_ledger::chainlog::{Keep, LogBatch, LogError, LogFolder as _};
use hpb_ledger::commitment::StateProof;
use hpb_ledger::key::{self, SUM, SYSTEM};
use hpb_ledger::lattice::LatticeSum;
use hpb_ledger::snapshot::{Part, Root, SnapshotWriter};

use super::*;
use crate::core::{RecoverError, RootError, Rooting, cut_for, prove_root};

/// A state with its proof.
struct Carried {
    parts: Vec<Part>,
    state: FinalBatch,
    is_proven: bool,
}

impl World {
    /// The state that a node's store holds, with its proof.
    fn carry(&self, index: usize) -> Carried {
        let node = self.nodes[index].as_ref().unwrap();
        let point = node.disk.final_point().unwrap().unwrap();
        let mut state = FinalBatch { point, changes: BTreeMap::new(), history: Vec::new() };
        node.disk
            .scan(&[], &mut |key, value| {
                state.changes.insert(key.to_vec(), Some(value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
        let sum = state.changes[key::of(SYSTEM, SUM).as_slice()].as_deref().and_then(LatticeSum::from_record);
        let proof = StateProof { receipts: point.receipts_root.unwrap(), state: sum.unwrap().root() };
        let options = LogOptions::new(self.genesis.chain_id());
        let (mut log, _) = ChainLog::open_to_read(Box::new(node.folder.copy()), options).unwrap();
        let mut parts = Vec::new();
        let is_proven = prove_root(&self.genesis, &mut log, point.slice, Some(proof), &mut |part| {
            parts.push(part.clone());
            Ok(())
        });
        Carried { parts, state, is_proven: is_proven.unwrap() }
    }

    /// Starts a node on what another carried.
    fn restore(&mut self, index: usize, carried: &Carried) {
        let folder = self.rooted(carried);
        let mut disk = SharedStore::default();
        disk.commit(&FinalBatch { point: FinalPoint { commit: 1, ..carried.state.point }, ..carried.state.clone() })
            .unwrap();
        self.start(index, folder, disk);
        self.mesh();
    }

    fn rooted(&self, carried: &Carried) -> MemoryFolder {
        let mut folder = MemoryFolder::new();
        folder
            .put_root(&mut |out| {
                let mut writer = SnapshotWriter::new(out, &self.genesis)?;
                carried.parts.iter().try_for_each(|part| writer.part(part))?;
                writer.finish().map(|_| ())
            })
            .unwrap();
        let options = LogOptions::new(self.genesis.chain_id());
        let (log, root) = (Box::new(folder.clone()), carried.state.point.slice);
        drop(ChainLog::create_after(log, options, [7; 32], &root, Box::new(|| Instant::ZERO)).unwrap());
        folder
    }

    fn judge(&self, parts: &[Part], trusted: Option<SliceRef>) -> Result<SliceRef, RootError> {
        let mut rooting = Rooting::new(&self.genesis);
        parts.iter().try_for_each(|part| rooting.take(part.clone()))?;
        rooting.end(trusted).map(|rooted| rooted.slice)
    }
}

fn walks(parts: &[Part]) -> usize {
    parts.iter().filter(|part| matches!(part, Part::Base { .. })).count()
}

fn headers(parts: &[Part]) -> usize {
    parts.iter().filter(|part| matches!(part, Part::Header(_))).count()
}

/// Runs a world whose last node is away, restores that one, and lets it catch up.
fn restored(genesis: Genesis, seconds: u64) -> (World, Carried, Vec<Transaction>) {
    let mut world = World::of(genesis);
    let _lost = world.kill(3);
    let mut sent = Vec::new();
    for salt in 0..seconds {
        sent.push(world.transfer(salt));
        world.submit(&sent[sent.len() - 1]);
        world.run_for(Duration::from_secs(1));
    }
    let carried = world.carry(0);
    assert!(carried.is_proven);
    world.run_for(Duration::from_secs(3));
    world.restore(3, &carried);
    world.run_for(Duration::from_secs(6));
    (world, carried, sent)
}

#[test]
fn one_that_is_made_from_a_state_rejoins_and_takes_no_transaction_twice() {
    let (mut world, carried, sent) = restored(Genesis { epoch_slots: 8, ..genesis(4) }, 60);
    let (root, finals) = (carried.state.point.slice, world.core(0).stats().final_slices as usize);
    assert!(walks(&carried.parts) >= 8, "a walk an epoch: {}", walks(&carried.parts));
    assert!(headers(&carried.parts) < finals / 2, "{} of {finals}", headers(&carried.parts));
    let level = |world: &World, index: usize| {
        let (own, others) = (world.core(index), world.core(0));
        assert!(own.last_final().height.slot.0 + 2 >= others.last_final().height.slot.0);
        let at = own.ledger.final_slice();
        assert_eq!(own.ledger.state_root(&at.id).unwrap(), others.ledger.state_root(&at.id).unwrap());
    };
    level(&world, 3);
    assert!(world.core(3).stats().produced > 0, "it has found its voice");
    assert_eq!(world.core(3).kept_from, Slot(root.height.slot.0 + 1));
    let again = Checked::verified(sent[sent.len() - 4].clone()).unwrap();
    let (head, slot) = (world.core(3).head(), Slot(world.core(3).head().height.slot.0 + 1));
    assert_eq!(world.core(3).ledger.check(&head.id, slot, &again).unwrap(), Err(RejectReason::Duplicate));

    // Again from its own disk; then another that is new, to which it can't give what it does not have.
    let (folder, disk) = world.kill(3);
    world.start(3, folder.clone(), disk.clone());
    world.mesh();
    world.run_for(Duration::from_secs(3));
    level(&world, 3);
    let _lost = world.kill(2);
    let mark = Watermark::never_confirmed(producer_name(2), world.genesis.genesis_slice());
    let (new, options) = (MemoryFolder::new(), LogOptions::new(world.genesis.chain_id()));
    let known = WatermarkState::Known(mark);
    drop(ChainLog::create(Box::new(new.clone()), options, [2; 32], known, Box::new(|| Instant::ZERO)).unwrap());
    world.start(2, new, SharedStore::default());
    world.mesh();
    world.run_for(Duration::from_secs(12));
    level(&world, 2);
    assert!(world.core(2).stats().sync.banned == 0 && world.core(2).stats().sync.pruned == 0);

    // What it carries is what a whole log carries.
    world.run_for(Duration::from_millis(1_500));
    let (own, whole) = (world.carry(3), world.carry(0));
    assert!(own.is_proven && walks(&own.parts) > walks(&carried.parts));
    assert_eq!(world.judge(&own.parts, None).unwrap(), own.state.point.slice);
    if own.state.point.slice == whole.state.point.slice {
        assert_eq!((&own.parts, own.state.changes), (&whole.parts, whole.state.changes));
    }

    // A log that begins later needs its state, and says what it can't tell.
    let (mut log, _) = ChainLog::open(Box::new(folder.copy()), options, Box::new(|| Instant::ZERO)).unwrap();
    let refusal = Recovered::read(&world.genesis, SharedStore::default(), &mut log, None).err().unwrap();
    assert!(matches!(refusal, RecoverError::StoreBehind { found: None, .. }), "{refusal}");
    let recovered = Recovered::read(&world.genesis, disk, &mut log, None).unwrap();
    let early = SliceRef { height: Height::new(1, 0), id: Hash::ZERO };
    let refusal = recovered.hold_to(Some(early), &mut log).err().unwrap();
    assert!(matches!(refusal, RecoverError::CheckpointPruned { .. }), "{refusal}");
}

#[test]
fn fixed_authorities_carry_their_state_too() {
    let (world, carried, _) = restored(Genesis { engine: EngineChoice::Authority, ..genesis(4) }, 20);
    assert_eq!(walks(&carried.parts), 1);
    assert!(headers(&carried.parts) < 20, "{}", headers(&carried.parts));
    assert_eq!(world.roots().len(), 1, "{:?}", world.roots());
    assert!(world.core(3).stats().produced > 0);
}

#[test]
fn a_proof_with_a_part_missing_or_changed_proves_nothing() {
    let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
    world.run_for(Duration::from_secs(20));
    let Carried { parts, state, .. } = world.carry(1);
    let root = state.point.slice;
    assert_eq!(world.judge(&parts, None).unwrap(), root);
    assert_eq!(world.judge(&parts, Some(root)).unwrap(), root);
    let other = SliceRef { id: Hash([9; 32]), ..root };
    assert!(matches!(world.judge(&parts, Some(other)), Err(RootError::OtherRoot { .. })));
    for index in 0..parts.len() {
        let mut missing = parts.clone();
        missing.remove(index);
        assert!(world.judge(&missing, None).is_err(), "without part {index}");
        let mut twisted = parts.clone();
        match &mut twisted[index] {
            Part::Header(slice) => slice.body.results.hash.0[0] ^= 1,
            Part::Root(root) => root.state.state.0[0] ^= 1,
            Part::Base { epoch, .. } => epoch.0 += 1,
            Part::Certificate(certificate) => certificate.target.id.0[0] ^= 1,
            Part::Start | Part::Cut(_) | Part::Chunk(_) => continue,
        }
        assert!(world.judge(&twisted, None).is_err(), "part {index} changed");
    }
    // Whoever trusts the slice needs no proof of its finality, and all that leads to it.
    let at = parts.iter().position(|part| matches!(part, Part::Root(_))).unwrap();
    assert!(matches!(world.judge(&parts[..=at], None), Err(RootError::Unproven { .. })));
    assert_eq!(world.judge(&parts[..=at], Some(root)).unwrap(), root);
    assert!(matches!(world.judge(&parts[..at], Some(root)), Err(RootError::Order(_))));
    let base = parts.iter().rposition(|part| matches!(part, Part::Base { .. })).unwrap();
    assert!(matches!(world.judge(&parts[base..], Some(root)), Err(RootError::Schedule(_))));
    // A base that is called the root proves nothing of itself.
    let run = match parts[base] {
        Part::Base { run, .. } => run as usize,
        _ => unreachable!(),
    };
    let mut short = parts[..=base + run].to_vec();
    let Part::Header(last) = &short[base + run] else { unreachable!() };
    let state = StateProof { receipts: Hash::ZERO, state: Hash::ZERO };
    short.push(Part::Root(Root { slice: last.reference(), state }));
    assert!(matches!(world.judge(&short, None), Err(RootError::Walk(_))));
}

impl World {
    /// The same log in short segments.
    fn in_short_segments(&self, folder: &MemoryFolder) -> MemoryFolder {
        let options = LogOptions::new(self.genesis.chain_id());
        let (mut log, recovery) = ChainLog::open_to_read(Box::new(folder.copy()), options).unwrap();
        let short = MemoryFolder::new();
        let options = LogOptions { segment_len: 1 << 18, ..options };
        let (to, clock) = (Box::new(short.clone()), Box::new(|| Instant::ZERO));
        let mut again = ChainLog::create(to, options, [8; 32], recovery.watermark, clock).unwrap();
        log.replay(None, &mut |entry| {
            let mut batch = LogBatch::new();
            batch.push(&entry.record).unwrap();
            again.append(&batch).unwrap();
        })
        .unwrap();
        short
    }
}

#[test]
fn a_log_whose_older_blocks_went_goes_on_wherever_that_was_cut_short() {
    const KEPT: u64 = 20;
    let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
    for salt in 0..40 {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_secs(1));
    }
    let (folder, disk) = world.kill(3);
    let mut folder = world.in_short_segments(&folder);
    let options = LogOptions { segment_len: 1 << 18, ..LogOptions::new(world.genesis.chain_id()) };
    let open = |folder: MemoryFolder| ChainLog::open(Box::new(folder), options, Box::new(|| Instant::ZERO)).unwrap().0;
    let read = |log: &mut ChainLog| Recovered::read(&world.genesis, disk.clone(), log, None).unwrap().last_final();
    let mut log = open(folder.clone());
    let tip = read(&mut log);
    assert!(cut_for(&mut log, 10_000).unwrap().is_none());
    let root = cut_for(&mut log, KEPT).unwrap().unwrap();
    let mut blocks = BTreeSet::new();
    let mut walk = log.walk_finals(Height { index: root.height.index + 1, ..root.height }, tip.height.slot).unwrap();
    loop {
        match log.step_finals(&mut walk).unwrap() {
            hpb_ledger::chainlog::WalkStep::Slice(found) => blocks.insert(found.slice.body.slot),
            hpb_ledger::chainlog::WalkStep::Walked => continue,
            hpb_ledger::chainlog::WalkStep::End => break,
        };
    }
    assert_eq!(blocks.len() as u64, KEPT);

    let mut parts = Vec::new();
    let proven = prove_root(&world.genesis, &mut log, root, None, &mut |part| {
        parts.push(part.clone());
        Ok(())
    });
    assert!(proven.unwrap());
    let put = log.put_root(&mut |out| {
        let mut writer = SnapshotWriter::new(out, &world.genesis)?;
        parts.iter().try_for_each(|part| writer.part(part))?;
        writer.finish().map(|_| ())
    });
    put.unwrap();
    let removable = log.prunable(&root);
    assert!(removable > 2, "{removable}");
    // Cut short at every place: a root and all segments, then one segment less each time.
    for removed in 0..=removable as u32 {
        let mut log = open(folder.copy());
        assert_eq!(read(&mut log), tip, "{removed} segments removed");
        assert_eq!(log.is_whole(), removed == 0);
        if removed > 0 {
            assert!(matches!(log.check_whole(), Err(LogError::Pruned { .. })));
            assert_eq!((log.root_slice(), log.finals_from()), (Some(root), Slot(root.height.slot.0 + 1)));
            assert!(log.walk_finals(root.height, root.height.slot).is_none(), "older blocks are asked of another");
            assert!(log.walk_finals(Height { index: root.height.index + 1, ..root.height }, tip.height.slot).is_some());
        }
        if removed < removable as u32 {
            folder.remove(removed + 1).unwrap();
        }
    }
    let mut log = open(folder.clone());
    read(&mut log);
    assert_eq!(log.prune(&root, Keep::Segments(0)).unwrap(), 0);
    drop(log);

    world.start(3, folder, disk);
    world.mesh();
    world.run_for(Duration::from_secs(6));
    let (own, others) = (world.core(3), world.core(0));
    assert!(own.last_final().height.slot.0 + 2 >= others.last_final().height.slot.0 && own.stats().produced > 0);
    assert_eq!(own.kept_from, Slot(root.height.slot.0 + 1));
    // Its proof goes on from the root.
    let carried = world.carry(3);
    assert_eq!(world.judge(&carried.parts, None).unwrap(), carried.state.point.slice);
    assert!(walks(&carried.parts) >= walks(&parts));
}
