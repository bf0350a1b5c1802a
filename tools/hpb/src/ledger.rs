//! `hpb ledger`: a chain's data as a devnet has left it: `verify`, `index`, `export`, `import`, `snapshot`, `restore`,
//! `prune`.

use hpb_devnet::archive::{TransferError, TransferRow, export, import};
use hpb_devnet::audit::verify;
use hpb_devnet::index::{IndexRow, index};
use hpb_devnet::prune::{PruneRow, prune};
use hpb_devnet::snapshot::{SnapshotRow, restore, snapshot};
use serde::Serialize;

use crate::bench::print;
use crate::command_line::LedgerVerb;
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn run(what: LedgerVerb) -> Result<(), Failure> {
    match what {
        LedgerVerb::Verify { data, validator, told, json } => {
            let row = verify(&data, validator, told.as_deref()).map_err(Failure::input)?;
            if json { print_json(&row) } else { print(&row.detail()) }?;
            match row.fault {
                None => Ok(()),
                Some(fault) => Err(Failure::work(format_args!("{}: {}", fault.validator, fault.what))),
            }
        }
        LedgerVerb::Index { data, validator, json } => {
            let rows = index(&data, validator).map_err(Failure::input)?;
            if json { print_json(&rows) } else { print(&rows.iter().map(IndexRow::detail).collect::<String>()) }
        }
        LedgerVerb::Export { data, validator, to, json } => show(export(&data, validator, &to), json),
        LedgerVerb::Import { from, data, validator, json } => show(import(&from, &data, validator), json),
        LedgerVerb::Snapshot { to, data, validator, json } => show(snapshot(&data, validator, &to), json),
        LedgerVerb::Restore { from, data, validator, trust, json } => {
            show(restore(&from, &data, validator, trust), json)
        }
        LedgerVerb::Prune { data, validator, keep, json } => show(prune(&data, validator, keep), json),
    }
}

fn show<R: Row>(made: Result<R, TransferError>, json: bool) -> Result<(), Failure> {
    let row =
        made.map_err(|error| if error.is_of_the_work() { Failure::work(error) } else { Failure::input(error) })?;
    if json { print_json(&row) } else { print(&row.detail()) }
}

/// What a verb tells.
trait Row: Serialize {
    fn detail(&self) -> String;
}

impl Row for TransferRow {
    fn detail(&self) -> String {
        self.detail()
    }
}

impl Row for SnapshotRow {
    fn detail(&self) -> String {
        self.detail()
    }
}

impl Row for PruneRow {
    fn detail(&self) -> String {
        self.detail()
    }
}
