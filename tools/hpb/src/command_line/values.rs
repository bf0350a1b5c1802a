//! What words on the command line stand for. Each refusal says what is expected.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::Range;

use clap::builder::RangedU64ValueParser;
use hpb_devnet::terminals::Pace;
use hpb_net::PortUrl;
use hpb_toe::registers::Register;
use hpb_types::{Authorisation, PublicKey};

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
