//! What words on the command line stand for. Each refusal says what is expected.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::Range;

use clap::builder::RangedU64ValueParser;
use hpb_devnet::history::When;
use hpb_devnet::terminals::Pace;
use hpb_genesis::date::{Date, moment_ms};
use hpb_ledger::account::{Authority, WeightedAccount, WeightedKey, WeightedWait};
use hpb_ledger::authority::delegation::{ActionPattern, Window};
use hpb_ledger::history::{Kind, KindError, Place, PlaceError};
use hpb_net::PortUrl;
use hpb_peer::sessions::Column;
use hpb_toe::registers::Register;
use hpb_types::message::diagnose::{Banned, Network, SessionClass, SessionState};
use hpb_types::name::NAME_LEN_MAX;
use hpb_types::{AccountName, Amount, AmountError, Authorisation, Hash, PublicKey};

/// The highest rate that can be asked for.
const RATE_TPS_MAX: u64 = 1_000_000;

pub(super) fn port_url(text: &str) -> Result<PortUrl, String> {
    PortUrl::parse(text).map_err(|error| error.to_string())
}

pub(super) fn address(text: &str) -> Result<(IpAddr, u8), String> {
    let parts = text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    parts.ok_or_else(|| "an address comes with the length of its prefix: 10.0.0.2/24, 2001:db8::2/64".to_owned())
}

pub(super) fn register(text: &str) -> Result<(Register, u32), String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((Register::by_name(name)?, value.parse().ok()?)));
    parts.ok_or_else(|| {
        format!("a register is NAME=VALUE, NAME one of {}", Register::ALL.map(Register::name).join(", "))
    })
}

/// A validator's number and how far its clock is off, in milliseconds: `5000@2`.
pub(super) fn clock_offset(text: &str) -> Result<(usize, i64), String> {
    let parts = text.split_once('@').and_then(|(offset, number)| Some((number.parse().ok()?, offset.parse().ok()?)));
    parts.ok_or_else(|| "expected milliseconds and a validator's number, as 5000@2".to_owned())
}

pub(super) fn seeds(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    ends.ok_or_else(|| "seeds are FIRST..END, as in 0..1000".to_owned())
}

pub(super) fn authorisation(text: &str) -> Result<Authorisation, String> {
    let (account, permission) = text.split_once('@').unwrap_or((text, "active"));
    let account = account.parse().map_err(|error| format!("`{account}` is no account: {error}"))?;
    let permission = permission.parse().map_err(|error| format!("`{permission}` is no permission: {error}"))?;
    Ok(Authorisation { account, permission })
}

pub(super) fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_hex(text).map_err(|error| format!("a key is 64 hexadecimal digits: {error}"))
}

/// An address, or a network as ADDRESS/BITS.
pub(super) fn network(text: &str) -> Result<Network, String> {
    match hpb_peer::act::banned(text)? {
        Banned::Network(network) => Ok(network),
        Banned::Identity(_) => Err(format!("`{text}` is no address and no network")),
    }
}

/// Who is to be banned.
pub(super) fn banned(text: &str) -> Result<Banned, String> {
    hpb_peer::act::banned(text)
}

/// A column of the session table.
pub(super) fn column(text: &str) -> Result<Column, String> {
    let names = || Column::ALL.map(Column::name).join(", ");
    Column::by_name(text).ok_or_else(|| format!("the columns are {}", names()))
}

/// A class of sessions.
pub(super) fn session_class(text: &str) -> Result<SessionClass, String> {
    let names = || SessionClass::ALL.map(SessionClass::name).join(", ");
    SessionClass::ALL
        .into_iter()
        .find(|class| class.name() == text)
        .ok_or_else(|| format!("the classes are {}", names()))
}

/// A TCP state.
pub(super) fn session_state(text: &str) -> Result<SessionState, String> {
    let names = || SessionState::ALL.map(SessionState::name).join(", ");
    SessionState::by_name(text).ok_or_else(|| format!("the states are {}", names()))
}

/// A key, a permission, or several parts with weights: `2 of KEY, NAME@PERMISSION*2, wait:SECONDS`.
pub(super) fn authority(text: &str) -> Result<Authority, String> {
    let (threshold, parts) = match text.split_once(" of ") {
        Some((threshold, parts)) => {
            let threshold = threshold.trim().parse();
            (threshold.map_err(|_| format!("`{text}` begins with no number: as in 2 of alice, bob"))?, parts)
        }
        None => (1, text),
    };
    let mut authority = Authority { threshold, keys: Vec::new(), accounts: Vec::new(), waits: Vec::new() };
    for part in parts.split(',').map(str::trim) {
        let (part, weight) = part.split_once('*').unwrap_or((part, "1"));
        let weight = weight.parse().map_err(|_| format!("`{weight}` is no weight: 1 to 65535"))?;
        if let Some(seconds) = part.strip_prefix("wait:") {
            let wait_ms = seconds.parse().ok().and_then(|seconds: u64| seconds.checked_mul(1_000));
            let wait_ms = wait_ms.ok_or_else(|| format!("`{part}` is no wait: wait:SECONDS"))?;
            authority.waits.push(WeightedWait { wait_ms, weight });
        } else if let Ok(key) = PublicKey::from_hex(part) {
            authority.keys.push(WeightedKey { key, weight });
        } else {
            authority.accounts.push(WeightedAccount { authorisation: authorisation(part)?, weight });
        }
    }
    authority.keys.sort_by_key(|part| part.key);
    authority.accounts.sort_by(|one, other| one.authorisation.cmp(&other.authorisation));
    authority.waits.sort_by_key(|part| part.wait_ms);
    authority.validate().map_err(|fault| format!("`{text}` satisfies nobody, or anybody: {fault}"))?;
    Ok(authority)
}

pub(super) fn amount(text: &str) -> Result<Amount, String> {
    text.parse().map_err(|error: AmountError| error.to_string())
}

pub(super) fn hash(text: &str) -> Result<Hash, String> {
    Hash::from_hex(text).map_err(|error| format!("an id is 64 hexadecimal digits: {error}"))
}

pub(super) fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0);
    let pairs = pairs.ok_or_else(|| "arguments are hexadecimal digits, two a byte".to_owned())?;
    Ok(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

pub(super) fn action_pattern(text: &str) -> Result<(AccountName, ActionPattern), String> {
    let (contract, action) = text.split_once('/').map_or((text, None), |(contract, action)| (contract, Some(action)));
    let contract = contract.parse().map_err(|error| format!("`{contract}` is no contract: {error}"))?;
    let Some(action) = action else { return Ok((contract, ActionPattern::Any)) };
    let action = action.parse().map_err(|error| format!("`{action}` is no action: {error}"))?;
    Ok((contract, ActionPattern::One(action)))
}

/// The start of a day, in milliseconds since 1970.
pub(super) fn time_ms(text: &str) -> Result<u64, String> {
    let date: Date = text.parse().map_err(|_| format!("`{text}` is no date from 1970 on: as in 2027-01-01"))?;
    Ok(date.unix_ms())
}

/// Days and hours of each week, UTC: `mon-fri/09:00-17:00`, `sat/00:00-24:00`.
pub(super) fn week(text: &str) -> Result<Window, String> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let parsed = text.split_once('/').and_then(|(days, hours)| {
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, until) = hours.split_once('-')?;
        Some((day(first)?, day(last)?, minute(from)?, minute(until)?))
    });
    let in_order = parsed.filter(|(first, last, from, until)| first <= last && from < until && *until <= 1_440);
    let (first, last, from_minute, until_minute) =
        in_order.ok_or_else(|| format!("`{text}` is no part of a week: as in mon-fri/09:00-17:00"))?;
    let days = (first..=last).fold(0, |days, day| days | 1 << day);
    Ok(Window { days, from_minute, until_minute })
}

/// A place in the chain: slot, slice, the transaction's number in it.
pub(super) fn place(text: &str) -> Result<Place, String> {
    text.parse().map_err(|error: PlaceError| format!("`{text}` is none: {error}"))
}

/// A contract and a word of it.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    text.parse().map_err(|error: KindError| error.to_string())
}

/// A slot, or a moment.
pub(super) fn when(text: &str) -> Result<When, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(When::Slot).map_err(|error| format!("`{text}` is no slot: {error}"));
    }
    let moment = moment_ms(text).map(When::UnixMs);
    moment.map_err(|error| format!("`{text}` is neither a slot's number nor a moment: {error}"))
}

/// The beginning of an account's name.
pub(super) fn name_prefix(text: &str) -> Result<String, String> {
    let is_of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if text.len() <= NAME_LEN_MAX && text.bytes().all(is_of_a_name) {
        return Ok(text.to_owned());
    }
    Err(format!("no name begins with `{text}`: names have a-z, 0-9, dot and dash, at most {NAME_LEN_MAX} of them"))
}

pub(super) fn rate(text: &str) -> Result<Pace, String> {
    if text == "max" {
        return Ok(Pace::Max);
    }
    let rate = text.parse().ok().filter(|rate: &NonZeroU64| rate.get() <= RATE_TPS_MAX);
    rate.map(Pace::Fixed).ok_or_else(|| format!("a rate is 1 to {RATE_TPS_MAX} transactions a second, or `max`"))
}

pub(super) fn up_to(most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_authority_is_read_as_it_is_written() {
        let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        let one = authority(key).unwrap();
        assert_eq!((one.threshold, one.keys.len(), one.keys[0].weight), (1, 1, 1));
        let several = authority(&format!("3 of bob, alice@owner*2, {key}, wait:86400")).unwrap();
        assert_eq!(several.threshold, 3);
        let accounts: Vec<(String, u16)> = several
            .accounts
            .iter()
            .map(|part| (format!("{}@{}", part.authorisation.account, part.authorisation.permission), part.weight))
            .collect();
        assert_eq!(accounts, [("alice@owner".to_owned(), 2), ("bob@active".to_owned(), 1)]);
        assert_eq!((several.waits[0].wait_ms, several.waits[0].weight), (86_400_000, 1));
        for wrong in ["", "x of alice", "3 of alice, bob", "0 of alice", "1 of alice*0", "1 of wait:x", "2 of bob, bob"]
        {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_of_a_week_are_days_and_hours() {
        let window = |days, from_minute, until_minute| Ok(Window { days, from_minute, until_minute });
        assert_eq!(week("mon-fri/09:00-17:00"), window(0b1_1111, 540, 1_020));
        assert_eq!(week("sun/00:00-24:00"), window(0b100_0000, 0, 1_440));
        for wrong in ["", "mon", "fri-mon/09:00-17:00", "mon/17:00-09:00", "mon/09:00-24:01", "day/09:00-17:00"] {
            assert!(week(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_words_are_what_they_say() {
        assert_eq!(hexadecimal("00ffA1"), Ok(vec![0, 255, 0xa1]));
        assert!(hexadecimal("0").is_err() && hexadecimal("0g").is_err());
        assert_eq!(place("7.2.0"), Ok(Place { slot: 7, slice: 2, number: 0 }));
        assert!(place("7.2").is_err() && place("7.2.0.1").is_err() && place("7.-2.0").is_err());
        assert_eq!(when("12"), Ok(When::Slot(12)));
        assert_eq!(when("1970-01-02T00:00:01Z"), Ok(When::UnixMs(86_401_000)));
        assert!(when("12:00").unwrap_err().contains("YYYY-MM-DDTHH:MM:SSZ") && when("").is_err());
        assert!(when("99999999999999999999").unwrap_err().contains("no slot"));
        assert_eq!(name_prefix("al"), Ok("al".to_owned()));
        assert!(name_prefix("Al").is_err() && name_prefix(&"a".repeat(33)).is_err());
        assert_eq!(kind("token/transfer").unwrap().to_string(), "token/transfer");
        assert!(kind("token").unwrap_err().contains("CONTRACT/ACTION"));
        let token = "token".parse().unwrap();
        assert_eq!(action_pattern("token"), Ok((token, ActionPattern::Any)));
        assert_eq!(action_pattern("token/transfer"), Ok((token, ActionPattern::One("transfer".parse().unwrap()))));
        assert_eq!(time_ms("1970-01-02"), Ok(86_400_000));
        assert_eq!(amount("1.5"), Ok(Amount(1_500_000_000_000_000_000)));
    }
}
