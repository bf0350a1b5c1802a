//! A chain that a devnet made, and a node's disk as that chain fills it.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use hpb_base::Instant;
use hpb_devnet::plan::EngineKind;
use hpb_devnet::run::{Arguments, Network, run_live};
use hpb_devnet::terminals::Pace;
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogBatch, LogError, LogOptions, Record};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{Checked, ExecuteError, FinalBatch, FinaliseError, Ledger, MemoryStore, Store, StoreError};
use hpb_node::core::context_of;
use hpb_node::engine::ChainAnchor;
use hpb_types::{AccountName, Canonical as _, Genesis, Hash, Slice, SliceRef};

/// Short segments, so that the log goes over to a new one every second.
const SEGMENT_LEN: u64 = 160 << 10;
/// Log batches between two that are handed to the store.
const STORE_EVERY: usize = 5;

/// A chain as one validator's log has it.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) name: AccountName,
    batches: Vec<Batch>,
    /// The final slices, and the state's root after each.
    pub(crate) finals: Vec<(SliceRef, Hash)>,
}

struct Batch {
    records: Vec<Record>,
    mark: Option<Watermark>,
}

/// What was told: the chain is final up to the slice of that place in [`Chain::finals`].
pub(crate) type Told = u64;

impl Chain {
    /// Runs a devnet in `place` for a moment, and takes validator 0's chain from its log.
    pub(crate) fn made_in(place: &Path, seconds: u32) -> Self {
        let data = place.join("made");
        let arguments = Arguments {
            validators: 4,
            byzantine: 0,
            sessions: 20,
            pace: Pace::Fixed(NonZeroU64::new(60).unwrap()),
            seconds,
            slot_ms: 300,
            slice_ms: 50,
            epoch_slots: None,
            delay_ms: 0,
            engine: EngineKind::Dpos,
            workload: None,
            data: Some(data.clone()),
            checkpoint: None,
            report: place.join("report"),
            capture: None,
            seed: 11,
            network: Network::Wire,
            onlookers: Vec::new(),
            keeps_index: true,
            reach: None,
            clock_offset: None,
        };
        run_live(&arguments, None).unwrap();
        let genesis = Genesis::from_bytes(&fs::read(data.join("genesis")).unwrap()).unwrap();
        let chain = Self::of_log(&data.join(genesis.producers[0].name.as_str()).join("log"), genesis);
        fs::remove_dir_all(&data).unwrap();
        chain
    }

    /// Puts it where [`read`](Self::read) finds it.
    pub(crate) fn write(&self, place: &Path) {
        fs::create_dir_all(place.join("log")).unwrap();
        fs::write(place.join("genesis"), self.genesis.to_bytes()).unwrap();
        let segments = DirectoryFolder::open(&place.join("log")).unwrap();
        let options = LogOptions::new(self.genesis.chain_id());
        let clock = Box::new(|| Instant::ZERO);
        let mut log = ChainLog::create(Box::new(segments), options, [3; 32], WatermarkState::Unknown, clock).unwrap();
        for batch in &self.batches {
            let mut entry = LogBatch::new();
            for record in &batch.records {
                entry.push(record).unwrap();
            }
            log.append(&entry).unwrap();
        }
    }

    /// The chain that [`write`](Self::write) has put there, not executed.
    pub(crate) fn read(place: &Path) -> Self {
        let genesis = Genesis::from_bytes(&fs::read(place.join("genesis")).unwrap()).unwrap();
        Self::read_log(&place.join("log"), genesis)
    }

    fn of_log(path: &Path, genesis: Genesis) -> Self {
        let mut chain = Self::read_log(path, genesis);
        chain.finals = chain.execute();
        chain
    }

    fn read_log(path: &Path, genesis: Genesis) -> Self {
        let name = genesis.producers[0].name;
        let segments = DirectoryFolder::open_to_read(path);
        let options = LogOptions::new(genesis.chain_id());
        let (mut log, _) = ChainLog::open_to_read(Box::new(segments), options).unwrap();
        let mut read: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        log.replay(None, &mut |entry| read.entry(entry.batch).or_default().push(entry.record)).unwrap();
        let mut last = Watermark::never_confirmed(name, genesis.genesis_slice());
        let batches = read.into_values().map(|records| {
            let mut mark = None;
            for record in &records {
                let Record::Slice { slice, .. } = record else { continue };
                let next = Watermark { producer: name, source: slice.body.source.target, target: slice.reference() };
                if last.may_become(&next) {
                    (last, mark) = (next, Some(next));
                }
            }
            Batch { records, mark }
        });
        let batches = batches.collect();
        Self { genesis, name, batches, finals: Vec::new() }
    }

    /// Executes the chain in memory.
    fn execute(&self) -> Vec<(SliceRef, Hash)> {
        let mut state = State::new(&self.genesis, MemoryStore::new());
        let mut finals = Vec::new();
        for batch in &self.batches {
            let taken = state.take(&batch.records, &mut |slice, ledger| {
                finals.push((slice, ledger.state_root(&slice.id).unwrap()));
            });
            taken.unwrap();
        }
        finals
    }

    /// Fills the disk in `place` as a node does: the log batch by batch, each told when it is durable, and the store on a
    /// thread of its own. Ends at the first refusal.
    pub(crate) fn fill(&self, place: &Path, tell: &mut dyn FnMut(Told)) -> Result<(), Refusal> {
        let folder = DataFolder::open(place).unwrap();
        let chain = self.genesis.chain_id();
        let store = LmdbStore::open(&folder, &chain, LmdbOptions::default())?;
        let segments = DirectoryFolder::open(&folder.log_path()).unwrap();
        let options = LogOptions { chain, segment_len: SEGMENT_LEN };
        let mark = WatermarkState::Known(Watermark::never_confirmed(self.name, self.genesis.genesis_slice()));
        let clock = Box::new(|| Instant::ZERO);
        let mut log = ChainLog::create(Box::new(segments), options, [9; 32], mark, clock)?;
        let mut state = State::new(&self.genesis, store.clone());
        state.ledger.commit_here()?;
        let (batches, taken) = mpsc::channel::<FinalBatch>();
        let (answers, committed) = mpsc::channel::<Result<u64, StoreError>>();
        std::thread::scope(|scope| {
            let mut store = store;
            scope.spawn(move || {
                for batch in taken {
                    let done = store.commit(&batch).map(|()| batch.point.commit);
                    if answers.send(done).is_err() {
                        break;
                    }
                }
            });
            let mut count = 0;
            for (index, batch) in self.batches.iter().enumerate() {
                let mut entry = LogBatch::new();
                for record in &batch.records {
                    entry.push(record).unwrap();
                }
                if let Some(mark) = batch.mark {
                    entry.set_watermark(mark);
                }
                log.append(&entry)?;
                state.take(&batch.records, &mut |_, _| count += 1)?;
                if count > 0 {
                    tell(count - 1);
                }
                while let Ok(done) = committed.try_recv() {
                    state.ledger.committed(done?);
                }
                if index % STORE_EVERY == STORE_EVERY - 1
                    && let Some(batch) = state.ledger.hand_over()
                {
                    let _sent = batches.send(batch);
                }
                log.prepare_next()?;
            }
            drop(batches);
            for done in committed {
                state.ledger.committed(done?);
            }
            Ok(())
        })
    }
}

/// Why a disk takes no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Finalise(#[from] FinaliseError),
}

/// A ledger that follows a log's records.
struct State<S> {
    ledger: Ledger<S>,
    anchor: ChainAnchor,
    slices: BTreeMap<Hash, (Slice, Vec<Checked>)>,
}

impl<S: Store> State<S> {
    fn new(genesis: &Genesis, store: S) -> Self {
        let ledger = Ledger::open(genesis, store).unwrap();
        Self { ledger, anchor: ChainAnchor::genesis(genesis), slices: BTreeMap::new() }
    }

    /// Takes the records of a batch; `each` is shown the slices that are final by it.
    fn take(&mut self, records: &[Record], each: &mut dyn FnMut(SliceRef, &Ledger<S>)) -> Result<(), Refusal> {
        for record in records {
            match record {
                Record::Slice { slice, transactions } => {
                    let checked = transactions.iter().map(|one| Checked::verified(one.clone()).unwrap()).collect();
                    self.slices.insert(slice.id(), (slice.clone(), checked));
                }
                Record::Final(reference) => self.finalise(*reference, each)?,
                Record::Confirm(_) | Record::Certificate(_) => {}
            }
        }
        Ok(())
    }

    fn finalise(&mut self, reference: SliceRef, each: &mut dyn FnMut(SliceRef, &Ledger<S>)) -> Result<(), Refusal> {
        let (mut chain, mut id) = (Vec::new(), reference.id);
        while id != self.anchor.tip().id {
            let (slice, transactions) = self.slices.remove(&id).unwrap();
            id = slice.body.parent;
            chain.push((slice, transactions));
        }
        for (slice, transactions) in chain.into_iter().rev() {
            let context = context_of(&slice.body, self.anchor.extend(&slice).unwrap());
            let executed = self.ledger.execute(&slice.body.parent, &context, &transactions)?;
            self.ledger.insert(slice.reference(), slice.body.parent, executed).unwrap();
            self.ledger.finalise(&slice.id())?;
            each(slice.reference(), &self.ledger);
        }
        Ok(())
    }
}

/// A folder for tests below the target folder, empty at first.
pub(crate) fn place(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}
