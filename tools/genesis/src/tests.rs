#![allow(clippy::unwrap_used)]

use hpb_types::{Amount, EngineChoice, Genesis, KeyPair, VrfSecret};
use proptest::prelude::*;

use crate::date::Date;
use crate::preset::{self, gxn};
use crate::{parse, text};

fn start() -> Date {
    "2027-01-31".parse().unwrap()
}

/// The preset with keys put in.
fn keyed() -> Genesis {
    let mut genesis = gxn(start(), 4).unwrap();
    let key = |number: usize| KeyPair::from_seed([number as u8 + 1; 32]).public();
    for (number, account) in genesis.accounts.iter_mut().enumerate() {
        account.key = key(number);
    }
    for (number, producer) in genesis.producers.iter_mut().enumerate() {
        producer.key = key(100 + number);
        producer.beacon = VrfSecret::from_seed([number as u8 + 1; 32]).public();
    }
    genesis
}

#[test]
fn the_papers_shares_sum_to_all() {
    let shares = [preset::CROWD, preset::EARLY, preset::FOUNDERS, preset::RESERVE, preset::INCENTIVES];
    assert_eq!(shares.iter().sum::<u128>(), 100);
    let genesis = keyed();
    assert_eq!(genesis.validate(), Ok(()));
    assert_eq!(genesis.supply(), Some(Amount(preset::TOKENS * Amount::ONE.0)));
    let million = |millions: u128| Amount(millions * 1_000_000 * Amount::ONE.0);
    let account = |name: &str| genesis.accounts.iter().find(|account| account.name.as_str() == name).unwrap();
    assert_eq!((account("crowd").balance, account("early").balance), (million(36), million(10)));
    let dates = |name: &str| -> Vec<(String, Amount)> {
        let parts = account(name).vesting.iter();
        parts.map(|part| (Date::of_unix_ms(part.free_at_ms).unwrap().to_string(), part.amount)).collect()
    };
    let founders = ["2028-07-31", "2029-01-31", "2029-07-31", "2030-01-31"].map(|date| (date.to_owned(), million(5)));
    assert_eq!((account("founders").balance, dates("founders")), (Amount::ZERO, founders.to_vec()));
    assert_eq!(dates("reserve"), [("2029-01-31".to_owned(), million(19))]);
    let EngineChoice::Dpos(parameters) = &genesis.engine else { panic!("{:?}", genesis.engine) };
    let bonds = genesis.producers.iter().fold(0, |sum, producer| sum + producer.bond.0);
    assert_eq!(parameters.reward_pool.0 + bonds, million(15).0);
    for producers in [1, 21, 101] {
        let genesis = gxn(start(), producers).unwrap();
        assert_eq!((genesis.producers.len(), genesis.supply()), (producers.into(), Some(million(100))));
    }
    assert_eq!(gxn("9998-01-01".parse().unwrap(), 4), None);
}

#[test]
fn a_file_reads_back() {
    let genesis = keyed();
    assert_eq!(parse(&text(&genesis)), Ok(genesis.clone()));
    let mut other = genesis;
    other.engine = EngineChoice::Authority;
    other.label = "a \"word\" \\ and\ttab".to_owned();
    other.time_ms += 1;
    other.accounts[0].balance = Amount(1);
    other.accounts[2].vesting[0].free_at_ms += 1;
    assert_eq!(parse(&text(&other)), Ok(other));
}

#[test]
fn accounts_may_stand_in_any_order() {
    let genesis = keyed();
    let mut shuffled = genesis.clone();
    shuffled.accounts.reverse();
    assert_eq!(parse(&text(&shuffled)), Ok(genesis));
}

/// The line of the file on which `what` stands first.
fn line_of(file: &str, what: &str) -> usize {
    1 + file.lines().position(|line| line.contains(what)).unwrap()
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let file = text(&keyed());
    let crowd = "balance = \"36000000\"";
    let producer = "name = \"producer-002\"";
    for (from, to, at, what) in [
        ("slot_ms = 3000", "slot_ms = 99", "slot_ms", "slot_ms: expected 100 to 60000, found 99"),
        ("slot_ms = 3000", "slot_ms = \"x\"", "slot_ms", "invalid type"),
        ("slot_ms = 3000", "slots = 3000", "slots", "unknown field `slots`"),
        ("slot_ms = 3000", "slot_ms = 3000 3000", "slot_ms", ""),
        ("delta_ms = 100", "delta_ms = 501", "delta_ms", "delta_ms: expected 1 to slot_ms / 6, found 501"),
        (crowd, "balance = \"36000000.0000000000000000001\"", "36000000", "an amount is tokens"),
        (crowd, "balance = \"-1\"", "\"-1\"", "an amount is tokens"),
        (crowd, "balance = \"\"", "balance = \"\"", "an amount is tokens"),
        (crowd, "balance = 36000000", "36000000", "invalid type"),
        ("start = 2027-01-31T00:00:00Z", "start = 1969-01-01", "start = ", "a time is a date in UTC"),
        ("start = 2027-01-31T00:00:00Z", "start = 2027-01-31T00:00:00+01:00", "start = ", "a time is a date in UTC"),
        ("start = 2027-01-31T00:00:00Z", "start = 2027-01-31T00:00:00", "start = ", "a time is a date in UTC"),
        ("kind = \"dpos\"", "kind = \"raft\"", "kind = \"raft\"", "unknown variant `raft`"),
        ("cut_permille = 500", "cut_permille = 1001", "cut_permille = 1001", "expected at most 1000, found 1001"),
        ("bond_min = \"10000\"", "bond_min = \"ten\"", "bond_min = \"ten\"", "an amount is tokens"),
        ("release_slots = 201600", "release_slots = 2400", "release_slots = 2400", "expected more than two epochs"),
        ("bond_min = \"10000\"\n", "", "kind = \"dpos\"", "missing field `bond_min` of the engine dpos"),
        ("kind = \"dpos\"", "kind = \"authority\"", "producers_max = ", "authority has no parameters"),
        (producer, "name = \"Producer\"", "name = \"Producer\"", "`Producer`: only a-z"),
    ] {
        assert!(file.contains(from), "{from}");
        let bad = file.replacen(from, to, 1);
        let error = parse(&bad).unwrap_err();
        assert_eq!(error.line, Some(line_of(&bad, at)), "{to}: {error}");
        assert!(error.to_string().contains(what), "{to}: {error}");
    }
    assert!(parse("").unwrap_err().to_string().contains("missing field"));
}

#[test]
fn a_rule_that_an_account_breaks_is_told_at_the_account() {
    let mut genesis = keyed();
    genesis.accounts[1].key = hpb_types::PublicKey([0; 32]);
    let file = text(&genesis);
    let error = parse(&file).unwrap_err();
    assert_eq!(error.line, Some(line_of(&file, "name = \"early\"") - 1), "{error}");
    assert!(error.to_string().ends_with("account early: its key is small-order or not canonical"), "{error}");
    let mut genesis = keyed();
    genesis.producers[2].bond = Amount(1);
    let file = text(&genesis);
    let error = parse(&file).unwrap_err();
    assert_eq!(error.line, Some(line_of(&file, "name = \"producer-003\"") - 1), "{error}");
    // The preset has no keys: whoever starts the chain puts them in.
    assert!(parse(&text(&gxn(start(), 4).unwrap())).unwrap_err().to_string().contains("its key is small-order"));
}

#[test]
fn amounts_are_read_exactly() {
    let genesis = keyed();
    let file = text(&genesis);
    for (written, amount) in [
        ("0", Some(0)),
        ("0.000000000000000001", Some(1)),
        ("1.5", Some(1_500_000_000_000_000_000)),
        ("340282366920938463463.374607431768211455", Some(u128::MAX)),
        ("340282366920938463463.374607431768211456", None),
        ("1.", None),
        (".5", None),
        ("1e3", None),
        ("1_000", None),
        (" 1", None),
    ] {
        let changed = file.replacen("fee_per_byte = \"0.000000001\"", &format!("fee_per_byte = \"{written}\""), 1);
        assert_ne!(changed, file);
        assert_eq!(parse(&changed).ok().map(|genesis| genesis.fees.per_byte.0), amount, "{written}");
    }
}

proptest! {
    /// Whatever is cut out of a file or put into it, it reads or is refused at a line that it has.
    #[test]
    fn a_bent_file_is_refused_where_it_is_bent(at in 0..3_000_usize, cut in 0..40_usize, put in "\\PC{0,8}") {
        let file = text(&keyed());
        let letters: Vec<char> = file.chars().collect();
        let at = at.min(letters.len());
        let rest = &letters[(at + cut).min(letters.len())..];
        let bent: String = letters[..at].iter().copied().chain(put.chars()).chain(rest.iter().copied()).collect();
        match parse(&bent) {
            Ok(genesis) => prop_assert_eq!(genesis.validate(), Ok(())),
            Err(error) => prop_assert!(error.line.is_none_or(|line| (1..=1 + bent.lines().count()).contains(&line))),
        }
    }
}
