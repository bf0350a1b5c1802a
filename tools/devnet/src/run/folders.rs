//! Where the validators of a devnet keep what must outlive them: `genesis`, and a folder a validator.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use hpb_base::Instant;
use hpb_ledger::chainlog::{ChainLog, LogOptions};
use hpb_ledger::folder::{DataFolder, sync_folder};
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_node::core::{Indexed, Kept, Recovered, keep_index};
use hpb_node::runtime::Clock;
use hpb_node::runtime::log::{LogIo, log_folder};
use hpb_node::workers::LocalSocket;
use hpb_types::{AccountName, Amount, Canonical, Genesis, SliceRef};

use super::{Arguments, DevnetError, Prepared};
use crate::plan::{EngineKind, Plan};
use crate::report::format::counted;
use crate::terminals::{party_keys, transfer_fee_max};

const SOCKET_FILE: &str = "node.sock";
/// The file that a devnet's folder has its chain's genesis in.
pub(crate) const GENESIS_FILE: &str = "genesis";
/// A genesis whose chain has not begun: its producers' logs may still be missing.
const DRAFT_FILE: &str = "genesis.draft";

/// The folder of a run; one that nobody named goes when the run ends.
pub(super) struct RunFolder {
    pub(super) path: PathBuf,
    temporary: bool,
    keeps_index: bool,
}

/// One validator's disk, held by whoever reads it after a run.
pub(crate) struct Held {
    pub(crate) genesis: Genesis,
    pub(crate) recovered: Recovered<LmdbStore>,
    pub(crate) log: ChainLog,
}

/// One validator's disk, opened.
pub(super) struct Opened {
    pub(super) recovered: Recovered<LmdbStore>,
    pub(super) log: ChainLog,
    pub(super) store: LmdbStore,
}

impl RunFolder {
    pub(super) fn open(arguments: &Arguments) -> Result<Self, DevnetError> {
        let (path, temporary) = match &arguments.data {
            Some(path) => (path.clone(), false),
            None => (arguments.report.join(format!("data-{}", std::process::id())), true),
        };
        fs::create_dir_all(&path).map_err(failed("creating", &path))?;
        Ok(Self { path, temporary, keeps_index: arguments.keeps_index })
    }

    /// The genesis that an earlier run wrote down, if it fits the arguments, and whether its chain has not begun: that
    /// run ended before every producer had its log, so nobody has confirmed anything.
    pub(super) fn genesis(
        &self,
        arguments: &Arguments,
        prepared: &Prepared,
    ) -> Result<Option<(Genesis, bool)>, DevnetError> {
        let (bytes, fresh) = match (self.read(GENESIS_FILE)?, self.read(DRAFT_FILE)?) {
            (Some(bytes), _) => (bytes, false),
            // One that is cut short was never used: folders are made after its sync.
            (None, Some(bytes)) if Genesis::from_bytes(&bytes).is_ok() => (bytes, true),
            (None, _) => return Ok(None),
        };
        let refuse = |reason: String| DevnetError::Folder { path: self.path.display().to_string(), reason };
        let genesis =
            Genesis::from_bytes(&bytes).map_err(|error| refuse(format!("its genesis does not read back: {error}")))?;
        let made = [
            ("validators", genesis.producers.len() as u64, arguments.validators as u64),
            ("slot-ms", genesis.slot_ms.into(), arguments.slot_ms.into()),
            ("slice-ms", genesis.slice_ms.into(), arguments.slice_ms.into()),
        ];
        for (option, then, now) in made {
            if then != now {
                return Err(refuse(format!("it was made with --{option} {then}, not {now}")));
            }
        }
        if EngineKind::of(&genesis) != arguments.engine {
            let (then, now) = (EngineKind::of(&genesis).name(), arguments.engine.name());
            return Err(refuse(format!("it was made with --engine {then}, not {now}")));
        }
        let fee_each = transfer_fee_max(genesis.fees).unwrap_or(Amount(u128::MAX));
        let needed = prepared.workload.endow(arguments.transfers(), fee_each)?;
        let fits = needed.iter().all(|needed| {
            let found = genesis.accounts.binary_search_by(|account| account.name.cmp(&needed.name));
            found.is_ok_and(|index| {
                let account = &genesis.accounts[index];
                account.key == party_keys(arguments.seed, &needed.name).public() && account.balance >= needed.balance
            })
        });
        if !fits {
            return Err(refuse(
                "it was made with another --seed, --workload, --rate or --seconds: its accounts are others or hold less than this run needs".into(),
            ));
        }
        Ok(Some((genesis, fresh)))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DevnetError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("reading", &path)(error)),
        }
    }

    /// Writes a new chain's genesis down, before anything is made that belongs to it.
    pub(super) fn keep(&self, genesis: &Genesis) -> Result<(), DevnetError> {
        let draft = self.path.join(DRAFT_FILE);
        let written = File::create(&draft)
            .and_then(|mut file| file.write_all(&genesis.to_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| sync_folder(&self.path));
        written.map_err(failed("writing", &draft))
    }

    /// Notes that every producer has its log: from now on one without a log has lost it, and stays silent
    /// (PROTOCOL.md, "Watermark"). Without this note a set-up that was cut short would silence them all for good.
    pub(super) fn begin(&self) -> Result<(), DevnetError> {
        let path = self.path.join(GENESIS_FILE);
        let begun = fs::rename(self.path.join(DRAFT_FILE), &path).and_then(|()| sync_folder(&self.path));
        begun.map_err(failed("writing", &path))
    }

    /// Opens validator `index`'s disk. `fresh` says that the chain has not begun: no confirm of this producer can
    /// exist.
    pub(super) fn validator(
        &self,
        (plan, index): (&Plan, usize),
        fresh: bool,
        checkpoint: Option<SliceRef>,
        clock: &Clock,
        log_io: &LogIo,
    ) -> Result<Opened, DevnetError> {
        let name = plan.validators[index].name;
        let folder = DataFolder::open(&self.path.join(name.as_str()))?;
        let options = LmdbOptions { keeps_history: self.keeps_index, ..LmdbOptions::default() };
        let store = LmdbStore::open(&folder, &plan.chain(), options)?;
        let mut segments: Box<dyn hpb_ledger::chainlog::LogFolder> =
            Box::new(log_folder(&folder.log_path(), log_io).map_err(failed("opening", &folder.log_path()))?);
        let ticks = || {
            let clock = clock.clone();
            Box::new(move || clock.now())
        };
        let options = LogOptions::new(plan.chain());
        let mut log = if ChainLog::exists(&mut *segments)? {
            ChainLog::open(segments, options, ticks())?.0
        } else {
            let watermark = if fresh {
                WatermarkState::Known(Watermark::never_confirmed(name, plan.genesis.genesis_slice()))
            } else {
                WatermarkState::Unknown
            };
            ChainLog::create(segments, options, os_random()?, watermark, ticks())?
        };
        if self.keeps_index {
            say_kept(&name, keep_index(&plan.genesis, &mut log, &mut store.clone())?);
        }
        let recovered =
            Recovered::read(&plan.genesis, store.clone(), &mut log, Some(&name))?.hold_to(checkpoint, &mut log)?;
        Ok(Opened { recovered, log, store })
    }
}

impl RunFolder {
    /// Where the validator of that name takes sessions of programs of this host; none where the folder goes with the run,
    /// so that nobody would find it, or where its path is too long for a socket's, which is said.
    pub(super) fn socket(&self, name: &AccountName) -> Option<LocalSocket> {
        if self.temporary {
            return None;
        }
        let path = socket_path(&self.path, name);
        LocalSocket::bind(&path)
            .inspect_err(|error| eprintln!("programs of this host can't reach {name} at {}: {error}", path.display()))
            .ok()
    }
}

/// Says what it took to keep an index, if anything.
fn say_kept(name: &AccountName, kept: Kept) {
    match kept {
        Kept::Made(Indexed { slices, transactions }) if slices > 0 => {
            let (slices, transactions) = (counted(slices, "slice"), counted(transactions, "transaction"));
            eprintln!("{name}: its index of history was off or damaged, and is made anew: {slices}, {transactions}");
        }
        Kept::BeginsAfter(slice) => {
            eprintln!("{name}: its log lacks its beginning: its index of history begins after slice {slice}");
        }
        Kept::InStep | Kept::Made(_) => {}
    }
}

/// Where the validator of that name of a run in the folder `path` takes sessions of programs of this host.
pub(crate) fn socket_path(path: &Path, name: &AccountName) -> PathBuf {
    path.join(name.as_str()).join(SOCKET_FILE)
}

/// Where validator `validator` of a devnet with the data folder `data` takes sessions of programs of this host, while it
/// runs.
///
/// # Errors
/// No such folder, none of a devnet, or one without that validator.
pub fn socket_of(data: &Path, validator: usize) -> Result<PathBuf, DevnetError> {
    let genesis = read_genesis(data)?;
    place_of(data, &genesis, validator)?;
    Ok(socket_path(data, &genesis.producers[validator].name))
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.temporary {
            // What can't be removed is left; the run itself is over.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Takes validator `index`'s disk from the data folder that a run has left, as a start would; a folder without a chain is
/// left as it is.
pub(crate) fn hold(path: &Path, index: usize) -> Result<Held, DevnetError> {
    let genesis = read_genesis(path)?;
    let folder = DataFolder::open(&place_of(path, &genesis, index)?)?;
    let store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default())?;
    let plain = LogIo::Plain { reason: "nothing is written".to_owned() };
    let segments = log_folder(&folder.log_path(), &plain).map_err(failed("opening", &folder.log_path()))?;
    let options = LogOptions::new(genesis.chain_id());
    let (mut log, _) = ChainLog::open(Box::new(segments), options, Box::new(|| Instant::ZERO))?;
    let recovered = Recovered::read(&genesis, store, &mut log, None)?;
    Ok(Held { genesis, recovered, log })
}

/// The genesis of the chain whose data a run has left in the folder `path`.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis, DevnetError> {
    let refuse = |reason: String| DevnetError::Folder { path: path.display().to_string(), reason };
    let genesis_path = path.join(GENESIS_FILE);
    let bytes = match fs::read(&genesis_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.join(DRAFT_FILE).exists() => {
            return Err(refuse("its chain has not begun".to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_dir() => {
            return Err(refuse("it holds no devnet's chain: `hpb devnet --data` leaves one".to_owned()));
        }
        Err(error) => return Err(failed("reading", &genesis_path)(error)),
    };
    Genesis::from_bytes(&bytes).map_err(|error| refuse(format!("its genesis does not read back: {error}")))
}

/// Where validator `index` of a chain keeps its data in the folder `path`.
pub(crate) fn place_of(path: &Path, genesis: &Genesis, index: usize) -> Result<PathBuf, DevnetError> {
    let refuse = |reason: String| DevnetError::Folder { path: path.display().to_string(), reason };
    let Some(producer) = genesis.producers.get(index) else {
        return Err(refuse(format!("it has validators 0 to {}, not {index}", genesis.producers.len() - 1)));
    };
    let place = path.join(producer.name.as_str());
    if place.is_dir() { Ok(place) } else { Err(refuse(format!("it lacks the folder of {}", producer.name))) }
}

/// 32 bytes of the operating system's randomness.
pub(crate) fn os_random() -> Result<[u8; 32], DevnetError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed("reading", path))?;
    Ok(bytes)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DevnetError {
    let path = path.display().to_string();
    move |error| DevnetError::Io { action, path, error }
}
