//! What sessions, ends, networks and peers are called, and short texts.

use core::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hpb_base::limits::{ANSWER_TEXT_LEN_MAX, PROBE_LEN_MAX};

use crate::codec::{Canonical, CodecError, Reader, Writer};
use crate::keys::PublicKey;

/// Bytes that fill a message. What they are does not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filling(pub Vec<u8>);

/// A name or a reason: at most [`ANSWER_TEXT_LEN_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Text(pub String);

/// The identity at the other end, where it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum PeerKey {
    /// No identity was proven.
    #[default]
    Unknown,
    /// It is this.
    Known(PublicKey),
}

/// Names one session of a node or card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionName {
    /// Its lane.
    pub lane: u16,
    /// Its place in the lane's table.
    pub index: u32,
    /// How many sessions had that place before.
    pub generation: u32,
}

/// An address and a port. An IPv4 address stands as an IPv6 one that maps it (RFC 4291, section 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Endpoint {
    /// The address.
    pub address: [u8; 16],
    /// The port.
    pub port: u16,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: [u8; 16],
    prefix_len: u8,
}

crate::tagged!(PeerKey { 0 => Unknown, 1 => Known(key) });
crate::layout!(SessionName { lane, index, generation });
crate::layout!(Endpoint { address, port });

impl Canonical for Filling {
    fn put(&self, writer: &mut Writer) {
        writer.put_bytes(&self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(reader.take_bytes(0..=PROBE_LEN_MAX)?.to_vec()))
    }
}

impl Filling {
    /// So many zero bytes, [`PROBE_LEN_MAX`] at most.
    pub fn zeros(len: u32) -> Self {
        Self(vec![0; (len as usize).min(PROBE_LEN_MAX)])
    }
}

impl Canonical for Text {
    fn put(&self, writer: &mut Writer) {
        writer.put_bytes(self.0.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(reader.take_text(0..=ANSWER_TEXT_LEN_MAX)?.to_owned()))
    }
}

impl Text {
    /// The text, cut to what fits.
    pub fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(ANSWER_TEXT_LEN_MAX)].to_owned())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PeerKey {
    /// The identity, where it is known.
    pub const fn key(self) -> Option<PublicKey> {
        match self {
            Self::Known(key) => Some(key),
            Self::Unknown => None,
        }
    }
}

impl From<Option<PublicKey>> for PeerKey {
    fn from(key: Option<PublicKey>) -> Self {
        key.map_or(Self::Unknown, Self::Known)
    }
}

impl SessionName {
    /// The index of no session.
    pub const NONE: u32 = u32::MAX;
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.lane, self.index, self.generation))
    }
}

impl std::str::FromStr for SessionName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let (lane, index, generation) = (part(), part(), part());
        match (lane.and_then(|lane| u16::try_from(lane).ok()), index, generation, parts.next()) {
            (Some(lane), Some(index), Some(generation), None) => Ok(Self { lane, index, generation }),
            _ => Err("a session is named LANE.PLACE.GENERATION, as `hpb peer sessions` shows it"),
        }
    }
}

impl Endpoint {
    /// The endpoint of a socket's address.
    pub fn of(address: std::net::SocketAddr) -> Self {
        Self { address: mapped(address.ip()), port: address.port() }
    }

    /// As a socket's address.
    pub fn socket(self) -> std::net::SocketAddr {
        (Ipv6Addr::from(self.address).to_canonical(), self.port).into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.socket().to_string())
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Canonical for Network {
    fn put(&self, writer: &mut Writer) {
        writer.put(&self.address);
        writer.put(&self.prefix_len);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (address, prefix_len) = (reader.take()?, reader.take()?);
        let network = Self { address, prefix_len };
        let is_sound = prefix_len <= 128 && Self::masked(address, prefix_len) == address;
        if is_sound { Ok(network) } else { Err(CodecError::Range) }
    }
}

impl Network {
    /// Everybody.
    pub const ALL: Self = Self { address: [0; 16], prefix_len: 0 };

    /// The addresses that share the first `prefix_len` bits of `address`; `None` if it has not so many.
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        let (bits, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let all = (prefix_len <= bits).then_some(before + prefix_len)?;
        Some(Self { address: Self::masked(mapped(address), all), prefix_len: all })
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::masked(mapped(address), self.prefix_len) == self.address
    }

    fn masked(address: [u8; 16], prefix_len: u8) -> [u8; 16] {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
        (u128::from_be_bytes(address) & mask).to_be_bytes()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.address).to_canonical();
        let (bits, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix_len = self.prefix_len.saturating_sub(before);
        if prefix_len == bits { write!(f, "{address}") } else { write!(f, "{address}/{prefix_len}") }
    }
}
