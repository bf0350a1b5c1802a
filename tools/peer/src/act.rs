//! `hpb peer disconnect|ban|unban|bans`: what an operator does about a peer.

use std::net::IpAddr;

use hpb_types::PublicKey;
use hpb_types::message::diagnose::{Ask, BanRow, Banned, Network, Tell};

use crate::ask::{AskError, Asker};

/// Who is meant by an address, a network as ADDRESS/BITS, or an identity in hexadecimal digits.
///
/// # Errors
/// What would be one, in a line.
pub fn banned(text: &str) -> Result<Banned, String> {
    let wrong = || format!("`{text}` is no address, no network (10.0.0.0/8) and no identity (64 hexadecimal digits)");
    let (address, prefix_len) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let all = if address.is_ipv4() { 32 } else { 128 };
        return Network::new(address, prefix_len.unwrap_or(all)).map(Banned::Network).ok_or_else(wrong);
    }
    PublicKey::from_hex(text).map(Banned::Identity).map_err(|_| wrong())
}

/// Asks for something to be done.
///
/// # Errors
/// The node refuses, or does not answer.
pub fn act(asker: &mut dyn Asker, what: Ask) -> Result<(), AskError> {
    match asker.ask(what)? {
        Tell::Done => Ok(()),
        _ => Err(AskError::Unexpected),
    }
}

/// Who is banned.
///
/// # Errors
/// The node refuses, or does not answer.
pub fn bans(asker: &mut dyn Asker) -> Result<Vec<BanRow>, AskError> {
    match asker.ask(Ask::Bans)? {
        Tell::Bans(told) => Ok(told.rows),
        _ => Err(AskError::Unexpected),
    }
}

/// The bans as lines.
pub fn bans_text(rows: &[BanRow]) -> String {
    let line = |row: &BanRow| {
        let time =
            if row.seconds == 0 { "until the process ends".to_owned() } else { format!("for {} s yet", row.seconds) };
        format!("{}  {time}  kept out {} times\n", row.who, row.hits)
    };
    if rows.is_empty() { "Nobody is banned.\n".to_owned() } else { rows.iter().map(line).collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_meant_is_read_from_text() {
        assert_eq!(banned("10.1.2.3").unwrap().to_string(), "10.1.2.3");
        assert_eq!(banned("10.1.2.3/24").unwrap().to_string(), "10.1.2.0/24");
        assert_eq!(banned("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
        for wrong in ["", "10.1.2.3/33", "10.1.2", "abc", "10.0.0.0/x"] {
            assert!(banned(wrong).is_err(), "{wrong}");
        }
    }
}
