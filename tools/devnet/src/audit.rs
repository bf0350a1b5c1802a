//! Looks through what the validators of a devnet have on their disks, and compares their chains: `hpb ledger verify`.
//!
//! Nothing is changed there. A folder that a run holds is refused, and so is one that is no devnet's.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use hpb_base::limits::TOLD_FILE_LEN_MAX;
use hpb_ledger::Checked;
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogOptions, Tail};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::history::HistoryRead;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::watermark::WatermarkState;
use hpb_node::core::{AuditError, Audited, Disk, audit};
use hpb_types::{Genesis, Hash, SliceRef};
use serde::{Deserialize, Serialize};

use crate::report::decimal;
use crate::report::format::{counted, grouped, tokens};
use crate::run::{DevnetError, place_of, read_genesis};

/// What a look through a chain's data came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The validators that were found good, in their order.
    pub validators: Vec<ValidatorRow>,
    /// The first fault; what stands behind it was not looked at.
    pub fault: Option<FaultRow>,
    /// Transactions told final that were looked for, and found.
    pub told: u64,
}

/// One validator's data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValidatorRow {
    /// Its name.
    pub name: String,
    /// The slice behind which its log begins; none where that is genesis.
    pub root: Option<String>,
    /// Whether the log's root proves that slice from genesis; else whoever restored it trusted it.
    pub root_proven: bool,
    /// Segments of its log.
    pub segments: usize,
    /// Slices in its log, forks included.
    pub slices: u64,
    /// Final ones, which were executed.
    pub final_slices: u64,
    /// Slots with a final slice.
    pub blocks: u64,
    /// Final transactions.
    pub transactions: u64,
    /// Certificates that final slices carry.
    pub certificates: u64,
    /// Keys of the state.
    pub keys: u64,
    /// What the state holds of the token, in the smallest unit: as much as genesis states.
    #[serde(with = "decimal")]
    pub supply: u128,
    /// The last final slice, as `slot.index:id`.
    pub last_final: String,
    /// The last slice that certificates in the log prove final.
    pub proven: String,
    /// Where the store stands; none where it has not begun.
    pub store: Option<String>,
    /// The last slice of its index of history, which was held against the log; none where there is no index.
    pub index: Option<String>,
    /// The last confirm's target; none where it is not known, and the producer stays silent for a slot.
    pub watermark: Option<String>,
    /// Whether the log ends in part of a batch that nobody was told of: the next start cuts it off.
    pub torn: bool,
}

/// The first fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FaultRow {
    /// Whose data.
    pub validator: String,
    /// What is wrong, and where.
    pub what: String,
}

/// Looks through the data of all validators of a devnet, or of `validator` alone. `data` is the devnet's folder, or that of
/// one validator in it. `told` is a file of transactions that were told final by validator 0, an id a line as `hpb devnet
/// --final-fd` writes them: each of them must be final in the first log that is looked through.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator or in use; a file of ids that does not read.
pub fn verify(data: &Path, validator: Option<usize>, told: Option<&Path>) -> Result<AuditRow, DevnetError> {
    let (data, alone) = devnet_of(data);
    let genesis = read_genesis(&data)?;
    let index_of = |name: &str| genesis.producers.iter().position(|producer| producer.name.as_str() == name);
    let chosen = validator.or_else(|| alone.as_deref().and_then(index_of));
    let indexes = chosen.map_or(0..genesis.producers.len(), |index| index..index.saturating_add(1));
    let mut told = told.map_or(Ok(BTreeSet::new()), read_told)?;
    let mut row =
        AuditRow { chain: genesis.chain_id().0.to_hex(), validators: Vec::new(), fault: None, told: told.len() as u64 };
    // Ascending; a log that begins later than another is held against its part of it.
    let mut chain: Vec<SliceRef> = Vec::new();
    for index in indexes {
        let place = place_of(&data, &genesis, index)?;
        let name = genesis.producers[index].name;
        let folder = DataFolder::open_to_read(&place)?;
        let mut other = None;
        let audited = look(&genesis, index, &folder, &mut |slice, transactions| {
            let at = chain.binary_search_by_key(&slice.height, |known| known.height).unwrap_or_else(|at| at);
            match chain.get(at) {
                None => chain.push(slice),
                // The same, or before all that the first log has.
                Some(known) if *known == slice || (at == 0 && slice.height < known.height) => {}
                Some(known) => other = other.or(Some((*known, slice))),
            }
            for transaction in transactions {
                told.remove(&transaction.id());
            }
        });
        let what = match (audited, other) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), Some((known, slice))) => {
                let first = &row.validators[0].name;
                Some(format!("its slice {slice} is final, and so is {known} of {first}: they are two chains"))
            }
            (Ok((_, audited)), None) => {
                row.validators.push(ValidatorRow::new(name.as_str(), &audited));
                missing(&told, audited.root.map(|(root, _)| root))
            }
        };
        if let Some(what) = what {
            row.fault = Some(FaultRow { validator: name.to_string(), what });
            return Ok(row);
        }
    }
    Ok(row)
}

/// What was told final and was not found in a log that begins behind `root`.
fn missing(told: &BTreeSet<Hash>, root: Option<SliceRef>) -> Option<String> {
    let first = told.first()?;
    let begins = root.map_or_else(String::new, |root| {
        format!("; it begins behind slice {root}: look through a validator that keeps the whole chain")
    });
    Some(format!("{} transactions that were told final are not in its log; the first is {first}{begins}", told.len()))
}

/// The devnet's folder, and the name of the validator if `data` is one validator's folder in it.
pub(crate) fn devnet_of(data: &Path) -> (PathBuf, Option<String>) {
    let is_validators = DataFolder::is_one(data);
    let name = data.file_name().and_then(|name| name.to_str()).filter(|_| is_validators);
    match (data.parent(), name) {
        (Some(parent), Some(name)) => (parent.to_path_buf(), Some(name.to_owned())),
        _ => (data.to_path_buf(), None),
    }
}

/// Audits one validator's data, and hands out its log, which has been read.
pub(crate) fn look(
    genesis: &Genesis,
    index: usize,
    folder: &DataFolder,
    each: &mut dyn FnMut(SliceRef, &[Checked]),
) -> Result<(ChainLog, Audited), AuditError> {
    let segments = DirectoryFolder::open_to_read(&folder.log_path());
    let (mut log, recovery) = ChainLog::open_to_read(Box::new(segments), LogOptions::new(genesis.chain_id()))?;
    let store = LmdbStore::open_to_read(folder, &genesis.chain_id(), LmdbOptions::default())?;
    let history = store.as_ref().map(|store| store as &dyn HistoryRead);
    let disk = Disk { log: &mut log, recovery, store: store.as_ref(), history };
    let audited = audit(genesis, &genesis.producers[index].name, disk, &mut |slice, transactions| {
        each(slice.reference(), transactions);
    })?;
    Ok((log, audited))
}

/// The ids in a file, a line each; a last line that was cut off was told to nobody.
fn read_told(path: &Path) -> Result<BTreeSet<Hash>, DevnetError> {
    let failed = |error: io::Error| DevnetError::Io { action: "reading", path: path.display().to_string(), error };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?.take(TOLD_FILE_LEN_MAX));
    let (mut told, mut line) = (BTreeSet::new(), String::new());
    while lines.read_line(&mut line).map_err(failed)? > 0 {
        if let Some(text) = line.strip_suffix('\n') {
            let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is no transaction's id"));
            told.insert(Hash::from_hex(text).map_err(|_| failed(invalid()))?);
        }
        line.clear();
    }
    Ok(told)
}

impl ValidatorRow {
    fn new(name: &str, audited: &Audited) -> Self {
        Self {
            name: name.to_owned(),
            root: audited.root.map(|(slice, _)| slice.to_text()),
            root_proven: audited.root.is_some_and(|(_, is_proven)| is_proven),
            segments: audited.segments,
            slices: audited.slices,
            final_slices: audited.final_slices,
            blocks: audited.blocks,
            transactions: audited.transactions,
            certificates: audited.certificates,
            keys: audited.keys,
            supply: audited.supply.now.0,
            last_final: audited.last_final.to_text(),
            proven: audited.proven.to_text(),
            store: audited.store.map(|slice| slice.to_text()),
            index: audited.history.map(|span| span.to.to_text()),
            watermark: match audited.watermark {
                WatermarkState::Known(mark) => Some(mark.target.to_text()),
                WatermarkState::Unknown => None,
            },
            torn: audited.tail != Tail::Clean,
        }
    }

    fn lines(&self, text: &mut String) {
        let short = |slice: &str| slice.split(':').next().unwrap_or_default().to_owned();
        let store = self.store.as_deref().map_or("not begun".to_owned(), short);
        let index = self.index.as_deref().map_or("none".to_owned(), short);
        let watermark = self.watermark.as_deref().map_or("not known: silent for a slot".to_owned(), short);
        let torn = if self.torn { "; its last batch was cut short by a crash, and nobody was told of it" } else { "" };
        let root = self.root.as_deref().map_or_else(String::new, |root| {
            let how = if self.root_proven { "proven from genesis" } else { "which was trusted when it was restored" };
            format!("    begins behind {}, {how}: blocks up to there are not kept\n", short(root))
        });
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "ok  {}: final up to {}, proven by certificates up to {}, store at {store}, index at {index}, confirmed up to {watermark}{torn}\n\
             {root}    {}, {} slices of which {} final in {} blocks, {} transactions, {} certificates, {} keys",
            self.name,
            short(&self.last_final),
            short(&self.proven),
            counted(self.segments as u64, "segment"),
            grouped(self.slices),
            grouped(self.final_slices),
            grouped(self.blocks),
            grouped(self.transactions),
            grouped(self.certificates),
            grouped(self.keys),
        );
    }
}

impl AuditRow {
    /// Lines for each validator, and what holds of them together.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for validator in &self.validators {
            validator.lines(&mut text);
        }
        if let (None, Some(first)) = (&self.fault, self.validators.first()) {
            // Writing to a string does not fail.
            let _ =
                writeln!(text, "ok  one chain, {}; supply {} tokens, as at genesis", self.chain, tokens(first.supply));
            if self.told > 0 {
                let _ = writeln!(text, "ok  all {} transactions told final are there", grouped(self.told));
            }
        }
        text
    }
}
