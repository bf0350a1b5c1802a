//! What a devnet's data folder holds, read by the same calls as at a start, and once more from the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hpb_base::Instant;
use hpb_ledger::chainlog::{ChainLog, LogOptions, Record};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::{Checked, Ledger, MemoryStore};
use hpb_node::core::{Recovered, context_of};
use hpb_node::engine::ChainAnchor;
use hpb_node::runtime::log::{LogIo, log_folder};
use hpb_types::{Canonical as _, Genesis, Hash, NextSchedule, Slice, SliceRef, Transaction};

/// One validator's disk.
pub(crate) struct Disk {
    /// The last final slice, by the recovery that a start begins with.
    pub(crate) last_final: SliceRef,
    /// The state's root there, by the recovered store.
    pub(crate) root: Hash,
    /// The final slices in their order, by the log alone.
    chain: Vec<Found>,
}

struct Found {
    slice: Slice,
    transactions: Vec<Transaction>,
}

/// All validators' disks of one devnet.
pub(crate) struct Disks {
    genesis: Genesis,
    pub(crate) disks: Vec<Disk>,
}

impl Disks {
    /// Reads all disks in the data folder `path`, whose devnet has ended.
    pub(crate) fn read(path: &Path) -> Self {
        let genesis = Genesis::from_bytes(&fs::read(path.join("genesis")).unwrap()).unwrap();
        let disks = genesis.producers.iter().map(|producer| {
            let folder = DataFolder::open(&path.join(producer.name.as_str())).unwrap();
            let store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default()).unwrap();
            let plain = LogIo::Plain { reason: "nothing is written".to_owned() };
            let segments = log_folder(&folder.log_path(), &plain).unwrap();
            let options = LogOptions::new(genesis.chain_id());
            let (mut log, _) = ChainLog::open(Box::new(segments), options, Box::new(|| Instant::ZERO)).unwrap();
            let recovered = Recovered::read(&genesis, store, &mut log, Some(&producer.name)).unwrap();
            let last_final = recovered.last_final();
            let root = recovered.ledger().state_root(&last_final.id).unwrap();
            let chain = final_chain(&mut log, genesis.genesis_slice().id);
            assert_eq!(chain.last().map(|found| found.slice.reference()), Some(last_final), "log and recovery");
            Disk { last_final, root, chain }
        });
        let disks = disks.collect();
        Self { genesis, disks }
    }

    /// The validators' final chains are one chain, some further than others; its slices executed from genesis on give
    /// each validator's root at its last final slice; and no value was made or lost.
    pub(crate) fn check_agreement(&self) {
        let longest = self.disks.iter().max_by_key(|disk| disk.chain.len()).unwrap();
        for disk in &self.disks {
            let ids = |disk: &Disk| disk.chain.iter().map(|found| found.slice.id()).collect::<Vec<_>>();
            assert_eq!(ids(disk), ids(longest)[..disk.chain.len()], "two final chains");
        }
        let at: BTreeSet<Hash> = self.disks.iter().map(|disk| disk.last_final.id).collect();
        let roots = self.executed(&longest.chain, &at);
        for (index, disk) in self.disks.iter().enumerate() {
            assert_eq!(roots[&disk.last_final.id], disk.root, "validator {index} at {}", disk.last_final);
        }
    }

    /// Executes `chain` from genesis on in memory; the roots at the slices `at`.
    fn executed(&self, chain: &[Found], at: &BTreeSet<Hash>) -> BTreeMap<Hash, Hash> {
        let mut ledger = Ledger::open(&self.genesis, MemoryStore::default()).unwrap();
        let mut roots = BTreeMap::new();
        let mut anchor = ChainAnchor::genesis(&self.genesis);
        for Found { slice, transactions } in chain {
            let (of, reference) = (&slice.body, slice.reference());
            let checked: Vec<Checked> =
                transactions.iter().map(|transaction| Checked::verified(transaction.clone()).unwrap()).collect();
            let context = context_of(of, anchor.extend(slice).unwrap());
            let executed = ledger.execute(&of.parent, &context, &checked).unwrap();
            assert_eq!((executed.transactions_root, &executed.results), (of.transactions_root, &of.results));
            assert_eq!(executed.next.clone().map_or(NextSchedule::None, NextSchedule::Fixed), of.next);
            ledger.insert(reference, of.parent, executed).unwrap();
            ledger.finalise(&reference.id).unwrap();
            ledger.commit_here().unwrap();
            if at.contains(&reference.id) {
                roots.insert(reference.id, ledger.state_root(&reference.id).unwrap());
                assert!(ledger.supply(&reference.id).unwrap().is_conserved(), "the supply at {reference}");
            }
        }
        roots
    }
}

impl Disk {
    /// The ids of all final transactions.
    pub(crate) fn final_transactions(&self) -> BTreeSet<Hash> {
        self.chain.iter().flat_map(|found| found.transactions.iter().map(Transaction::id)).collect()
    }
}

/// The chain from `genesis` to the last slice that the log calls final.
fn final_chain(log: &mut ChainLog, genesis: Hash) -> Vec<Found> {
    let mut slices = BTreeMap::new();
    let mut last = None;
    log.replay(None, &mut |entry| match entry.record {
        Record::Slice { slice, transactions } => {
            slices.insert(slice.id(), Found { slice, transactions });
        }
        Record::Final(reference) => last = Some(reference.id),
        Record::Confirm(_) | Record::Certificate(_) => {}
    })
    .unwrap();
    let mut chain = Vec::new();
    let mut id = last.unwrap_or(genesis);
    while id != genesis {
        let found = slices.remove(&id).unwrap_or_else(|| panic!("the log lacks the final slice {id}"));
        id = found.slice.body.parent;
        chain.push(found);
    }
    chain.reverse();
    chain
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}
