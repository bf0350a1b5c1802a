//! `hpb genesis`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hpb_genesis::preset::gxn;
use hpb_genesis::{parse, text};
use hpb_types::{Amount, Canonical as _, EngineChoice};
use serde::Serialize;

use crate::bench::print;
use crate::command_line::Genesis;
use crate::failure::Failure;
use crate::producer::print_json;

/// A genesis file's largest length: a million accounts with room to spare.
const FILE_LEN_MAX: u64 = 512 << 20;

/// What a genesis comes to. Amounts are in tokens.
#[derive(Serialize)]
struct Summary {
    chain: String,
    label: String,
    start_unix_ms: u64,
    slot_ms: u32,
    engine: &'static str,
    producers: usize,
    accounts: usize,
    supply: String,
    balances: String,
    vesting: String,
    bonded: String,
    reward_pool: String,
}

pub(crate) fn run(what: Genesis) -> Result<(), Failure> {
    match what {
        Genesis::Preset { name: _, start, producers } => match gxn(start, producers) {
            Some(genesis) => print(&text(&genesis)),
            None => {
                Err(Failure::input(format_args!("--start {start}: the last release would come after the year 9999")))
            }
        },
        Genesis::Check { file, json } => {
            let genesis = read(&file)?;
            let summary = Summary::of(&genesis);
            if json { print_json(&summary) } else { print(&summary.text()) }
        }
    }
}

fn read(path: &Path) -> Result<hpb_types::Genesis, Failure> {
    let no_text =
        |_| Failure::input(format_args!("reading {} failed: stream did not contain valid UTF-8", path.display()));
    let held = String::from_utf8(bytes_of(path)?).map_err(no_text)?;
    parse(&held).map_err(|error| Failure::input(format_args!("{}: {error}", path.display())))
}

/// A genesis as people write it, or as a data folder has it: its canonical bytes.
pub(crate) fn read_any(path: &Path) -> Result<hpb_types::Genesis, Failure> {
    let bytes = bytes_of(path)?;
    // No text begins so: the version is a control character.
    if bytes.first() != Some(&hpb_types::Genesis::VERSION) {
        return read(path);
    }
    let genesis = hpb_types::Genesis::from_bytes(&bytes);
    let genesis = genesis.map_err(|error| Failure::input(format_args!("{}: {error}", path.display())))?;
    genesis.validate().map_err(|error| Failure::input(format_args!("{}: {error}", path.display())))?;
    Ok(genesis)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut held = Vec::new();
    let file = File::open(path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut held));
    file.map_err(|error| Failure::input(format_args!("reading {} failed: {error}", path.display())))?;
    if held.len() as u64 > FILE_LEN_MAX {
        return Err(Failure::input(format_args!("{} is longer than {FILE_LEN_MAX} bytes", path.display())));
    }
    Ok(held)
}

impl Summary {
    fn of(genesis: &hpb_types::Genesis) -> Self {
        // Their sum was found to be an amount.
        let sum = |parts: &mut dyn Iterator<Item = Amount>| Amount(parts.map(|part| part.0).sum()).to_string();
        let vesting = genesis.accounts.iter().flat_map(|account| &account.vesting);
        let (engine, pool) = match &genesis.engine {
            EngineChoice::Dpos(parameters) => ("dpos", parameters.reward_pool),
            EngineChoice::Authority => ("authority", Amount::ZERO),
        };
        Self {
            chain: genesis.chain_id().0.to_hex(),
            label: genesis.label.clone(),
            start_unix_ms: genesis.time_ms,
            slot_ms: genesis.slot_ms,
            engine,
            producers: genesis.producers.len(),
            accounts: genesis.accounts.len(),
            supply: genesis.supply().unwrap_or_default().to_string(),
            balances: sum(&mut genesis.accounts.iter().map(|account| account.balance)),
            vesting: sum(&mut vesting.map(|part| part.amount)),
            bonded: sum(&mut genesis.producers.iter().map(|producer| producer.bond)),
            reward_pool: pool.to_string(),
        }
    }

    fn text(&self) -> String {
        // A label is anyone's text: nothing of it may move the cursor.
        let label: String = self.label.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect();
        let start = hpb_devnet::report::format::utc(self.start_unix_ms);
        format!(
            "chain      {}\nlabel      {label}\nstart      {start}\nslots      {} ms\nengine     {}, {} producers\n\
             accounts   {}\nsupply     {} tokens: {} in balances, {} vesting, {} bonded, {} in the reward pool\n",
            self.chain,
            self.slot_ms,
            self.engine,
            self.producers,
            self.accounts,
            self.supply,
            self.balances,
            self.vesting,
            self.bonded,
            self.reward_pool,
        )
    }
}
