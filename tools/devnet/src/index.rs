//! The index of history of a devnet's validators, made anew from their logs: `hpb ledger index`.
//!
//! A folder that a run holds is refused. One that is cut short is made anew by the next, or by the next run.

use std::path::Path;

use hpb_ledger::history::HistoryRead as _;
use hpb_node::core::{Indexed, build_index};
use serde::{Deserialize, Serialize};

use crate::audit::devnet_of;
use crate::report::format::{counted, grouped};
use crate::run::{DevnetError, Held, hold, read_genesis};

/// What was put into a validator's index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexRow {
    /// The validator.
    pub name: String,
    /// Slices.
    pub slices: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Rows of the index.
    pub rows: u64,
    /// The last slice, as `slot.index:id`.
    pub last: String,
}

impl IndexRow {
    /// One line.
    pub fn detail(&self) -> String {
        let Self { name, slices, transactions, rows, last } = self;
        let (slices, transactions) = (counted(*slices, "slice"), counted(*transactions, "transaction"));
        format!("ok  {name}: {slices}, {transactions}, {} rows, up to {last}\n", grouped(*rows))
    }
}

/// Makes the index of all validators of a devnet anew, or that of `validator` alone. `data` is the devnet's folder, or that
/// of one validator in it. Executes each chain from its genesis.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator or in use; a log that can't be read or lacks its beginning.
pub fn index(data: &Path, validator: Option<usize>) -> Result<Vec<IndexRow>, DevnetError> {
    let (data, alone) = devnet_of(data);
    let genesis = read_genesis(&data)?;
    let index_of = |name: &str| genesis.producers.iter().position(|producer| producer.name.as_str() == name);
    let chosen = validator.or_else(|| alone.as_deref().and_then(index_of));
    let indexes = chosen.map_or(0..genesis.producers.len(), |index| index..index.saturating_add(1));
    let mut rows = Vec::new();
    for index in indexes {
        let Held { recovered, mut log, .. } = hold(&data, index)?;
        let (last, ledger) = (recovered.last_final(), recovered.into_ledger());
        let mut store = ledger.store().clone();
        let Indexed { slices, transactions } = build_index(&genesis, &mut log, &mut store)?;
        rows.push(IndexRow {
            name: genesis.producers[index].name.to_string(),
            slices,
            transactions,
            rows: store.rows_count()?,
            last: last.to_text(),
        });
    }
    Ok(rows)
}
