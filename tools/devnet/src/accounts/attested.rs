//! What a chain attested of an account, in words: the records of which people ask.

use hpb_ledger::Account;
use hpb_ledger::key::{ACCOUNT, BALANCE};
use hpb_ledger::records::load;
use hpb_ledger::system::{Attested, Found};
use hpb_types::{Amount, to_hex};

use super::tree;

/// What was attested, on one line.
pub(crate) fn says(attested: &Attested) -> String {
    let account = attested.place.account;
    let plain = attested.place.sub_key.is_empty();
    match &attested.found {
        Found::Nothing if plain && attested.place.table == ACCOUNT.0 => format!("there is no account {account}"),
        Found::Nothing if plain && attested.place.table == BALANCE.0 => format!("{account} holds nothing"),
        Found::Nothing => format!("nothing lies at {}", place(attested)),
        Found::Hash(hash) => format!("at {} lies a record whose hash is {}", place(attested), hash.to_hex()),
        Found::Value(value) => known(attested, &value.bytes)
            .unwrap_or_else(|| format!("at {} lies {}", place(attested), to_hex(&value.bytes))),
    }
}

/// A record whose form is known here.
fn known(attested: &Attested, bytes: &[u8]) -> Option<String> {
    let account = attested.place.account;
    if !attested.place.sub_key.is_empty() {
        return None;
    }
    if attested.place.table == BALANCE.0 {
        return Some(format!("{account} holds {}", load::<Amount>(bytes)?));
    }
    if attested.place.table != ACCOUNT.0 {
        return None;
    }
    let rows = tree(&load::<Account>(bytes)?.permissions);
    let rows = rows.iter().map(|row| {
        let parts: Vec<String> = row.parts.iter().map(ToString::to_string).collect();
        format!("{}: {} of {}", row.name, row.threshold, parts.join(" + "))
    });
    Some(format!("{account} is {}", rows.collect::<Vec<_>>().join("; ")))
}

fn place(attested: &Attested) -> String {
    let sub_key = if attested.place.sub_key.is_empty() { String::new() } else { to_hex(&attested.place.sub_key) };
    format!("{}/{}/{sub_key}", attested.place.account, attested.place.table)
}

#[cfg(test)]
mod tests {
    use hpb_ledger::records::{store, store_amount};
    use hpb_ledger::system::{AttestArguments, Value};
    use hpb_types::{AccountName, Hash, PublicKey};

    use super::*;

    fn told(table: u8, sub_key: &[u8], found: Found) -> String {
        let place = AttestArguments { account: AccountName::literal("carol"), table, sub_key: sub_key.to_vec() };
        says(&Attested { place, found })
    }

    fn value(bytes: &[u8]) -> Found {
        Found::Value(Value { bytes: bytes.to_vec() })
    }

    #[test]
    fn records_are_told() {
        assert_eq!(told(1, &[], Found::Nothing), "there is no account carol");
        assert_eq!(told(2, &[], Found::Nothing), "carol holds nothing");
        assert_eq!(told(2, &[1], Found::Nothing), "nothing lies at carol/2/01");
        assert_eq!(told(2, &[], value(&store_amount(Amount::ONE))), "carol holds 1");
        assert_eq!(told(2, &[7], value(&[1, 2])), "at carol/2/07 lies 0102");
        assert_eq!(told(2, &[], value(&[9])), "at carol/2/ lies 09", "what is no balance");
        let key = PublicKey([5; 32]);
        let text = told(1, &[], value(&store(&Account::with_keys(key, key))));
        let key = key.to_hex();
        assert_eq!(text, format!("carol is owner: 1 of key {key} (1); active: 1 of key {key} (1)"));
        let hash = Hash([3; 32]);
        assert_eq!(
            told(4, &[], Found::Hash(hash)),
            format!("at carol/4/ lies a record whose hash is {}", hash.to_hex())
        );
    }
}
