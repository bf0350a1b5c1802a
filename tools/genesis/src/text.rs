//! A genesis as a file that people read.

use core::fmt::Write as _;

use hpb_types::{EngineChoice, Genesis, Weighting};

use crate::date::Date;

/// The file of a genesis: [`crate::parse`] reads it back.
pub fn text(genesis: &Genesis) -> String {
    let mut out = String::new();
    let time = |unix_ms: u64| match Date::of_unix_ms(unix_ms) {
        Some(date) if date.unix_ms() == unix_ms => format!("{date}T00:00:00Z"),
        _ => unix_ms.to_string(),
    };
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "# Where a chain starts: its id is the hash of all this. Amounts are tokens, with up to 18 decimals. Times are\n\
         # dates, or milliseconds since 1970.\n\
         label = {}\n\
         start = {}           # the start of slot 0\n\
         slot_ms = {}         # 100 to 60000\n\
         slice_ms = {}        # the time between slices\n\
         delta_ms = {}        # the bound on the one-way delay between producers; a slot is at least 6 of it\n\
         epoch_slots = {}     # the order of the producers changes so often\n\
         fee_per_byte = \"{}\"        # what transactions cost at the lowest price: a byte,\n\
         fee_per_signature = \"{}\"   # a signature,\n\
         fee_per_unit = \"{}\"        # a unit of execution\n\
         slot_units = {}        # what a slot is meant to do: above it the price rises, below it falls; 0: it stays\n\
         deposit_per_byte = \"{}\"   # of an account's record and roles, for as long as they lie in the state\n",
        quoted(&genesis.label),
        time(genesis.time_ms),
        genesis.slot_ms,
        genesis.slice_ms,
        genesis.delta_ms,
        genesis.epoch_slots,
        genesis.fees.per_byte,
        genesis.fees.per_signature,
        genesis.fees.per_unit,
        genesis.fees.slot_units,
        genesis.deposit_per_byte,
    );
    match &genesis.engine {
        EngineChoice::Authority => out.push_str("\n[engine]\nkind = \"authority\"\n"),
        EngineChoice::Dpos(parameters) => {
            let weighting = match parameters.weighting {
                Weighting::Equal => "equal",
                Weighting::Bond => "bond",
            };
            let _ = write!(
                out,
                "\n[engine]\n\
                 kind = \"dpos\"\n\
                 producers_max = {}   # 4 to 101\n\
                 weighting = \"{weighting}\"   # what weighs in a certificate: equal, or bond\n\
                 bond_min = \"{}\"\n\
                 release_slots = {}   # until stake or a bond is free; more than two epochs\n\
                 cut_permille = {}    # of a bond, for one kind of fault\n\
                 reporter_permille = {}   # of what is cut\n\
                 reward_per_slot = \"{}\"\n\
                 reward_pool = \"{}\"\n",
                parameters.producers_max,
                parameters.bond_min,
                parameters.release_slots,
                parameters.cut_permille,
                parameters.reporter_permille,
                parameters.reward_per_slot,
                parameters.reward_pool,
            );
        }
    }
    for producer in &genesis.producers {
        let _ = write!(
            out,
            "\n[[producers]]\nname = \"{}\"\nkey = \"{}\"\nbeacon = \"{}\"\nbond = \"{}\"\n",
            producer.name,
            producer.key.to_hex(),
            producer.beacon.to_hex(),
            producer.bond,
        );
    }
    for account in &genesis.accounts {
        let _ = write!(
            out,
            "\n[[accounts]]\nname = \"{}\"\nkey = \"{}\"\nbalance = \"{}\"\n",
            account.name,
            account.key.to_hex(),
            account.balance,
        );
        if !account.vesting.is_empty() {
            out.push_str("vesting = [\n");
            for part in &account.vesting {
                let _ = writeln!(out, "    {{ free_at = {}, amount = \"{}\" }},", time(part.free_at_ms), part.amount);
            }
            out.push_str("]\n");
        }
    }
    out
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
