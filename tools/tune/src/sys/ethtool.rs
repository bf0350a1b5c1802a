//! The `SIOCETHTOOL` call (`linux/ethtool.h`). All its structures here are rows of 32-bit words, the command first.
#![allow(unsafe_code, reason = "one system call over memory that the caller owns")]

use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

use crate::host::{Feature, Field, Number};

const GET_COALESCE: u32 = 0x0e;
const SET_COALESCE: u32 = 0x0f;
const GET_RINGS: u32 = 0x10;
const SET_RINGS: u32 = 0x11;
const GET_STRINGS: u32 = 0x1b;
const GET_STRING_SETS: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;
const GET_CHANNELS: u32 = 0x3c;
const SET_CHANNELS: u32 = 0x3d;

/// `ETH_SS_FEATURES`: the set of strings that names features.
const FEATURE_NAMES: u32 = 4;
/// `ETH_GSTRING_LEN`: bytes of one of them.
const NAME_LEN: usize = 32;
/// The most features that are believed; Linux 6.12 has 64.
const FEATURES_MAX: usize = 1_024;
/// `ETHTOOL_F_UNSUPPORTED`: a feature could not be changed.
const UNSUPPORTED: i32 = 1;

/// Words of the longest structure of numbers, `struct ethtool_coalesce`.
const NUMBERS_LEN: usize = 23;

/// Where a number stands in the words of its structure.
struct Place {
    get: u32,
    set: u32,
    value: usize,
    most: Option<usize>,
}

fn place(field: Field) -> Place {
    let (get, set, value, most) = match field {
        Field::ChannelsRx => (GET_CHANNELS, SET_CHANNELS, 5, Some(1)),
        Field::ChannelsTx => (GET_CHANNELS, SET_CHANNELS, 6, Some(2)),
        Field::ChannelsCombined => (GET_CHANNELS, SET_CHANNELS, 8, Some(4)),
        Field::RingRx => (GET_RINGS, SET_RINGS, 5, Some(1)),
        Field::RingTx => (GET_RINGS, SET_RINGS, 8, Some(4)),
        Field::CoalesceRxMicros => (GET_COALESCE, SET_COALESCE, 1, None),
        Field::CoalesceAdaptiveRx => (GET_COALESCE, SET_COALESCE, 10, None),
    };
    Place { get, set, value, most }
}

/// Reads a number.
pub(crate) fn number(interface: &str, field: Field) -> io::Result<Number> {
    let place = place(field);
    let words = numbers(interface, place.get)?;
    Ok(Number { value: words[place.value], most: place.most.map(|most| words[most]) })
}

/// Changes a number, and gives back the others of its structure as they are.
pub(crate) fn set_number(interface: &str, field: Field, value: u32) -> io::Result<()> {
    let place = place(field);
    let mut words = numbers(interface, place.get)?;
    words[0] = place.set;
    words[place.value] = value;
    call(interface, &mut words).map(drop)
}

fn numbers(interface: &str, command: u32) -> io::Result<[u32; NUMBERS_LEN]> {
    let mut words = [0; NUMBERS_LEN];
    words[0] = command;
    call(interface, &mut words)?;
    Ok(words)
}

/// Reads all features.
pub(crate) fn features(interface: &str) -> io::Result<Vec<Feature>> {
    let names = feature_names(interface)?;
    let block_count = names.len().div_ceil(32);
    let mut words = vec![0; 2 + 4 * block_count];
    words[0] = GET_FEATURES;
    words[1] = block_count as u32;
    call(interface, &mut words)?;
    let bit = |index: usize, of: usize| words[2 + 4 * (index / 32) + of] >> (index % 32) & 1 == 1;
    let named = names.into_iter().enumerate().filter(|(_, name)| !name.is_empty());
    Ok(named
        .map(|(index, name)| Feature { name, changeable: bit(index, 0), wanted: bit(index, 1), active: bit(index, 2) })
        .collect())
}

/// Asks for a feature, or asks to be without.
pub(crate) fn set_feature(interface: &str, name: &str, wanted: bool) -> io::Result<()> {
    let names = feature_names(interface)?;
    let index = names.iter().position(|other| other == name).ok_or(io::ErrorKind::NotFound)?;
    let block_count = names.len().div_ceil(32);
    let mut words = vec![0; 2 + 2 * block_count];
    words[0] = SET_FEATURES;
    words[1] = block_count as u32;
    let (block, bit) = (2 + 2 * (index / 32), 1 << (index % 32));
    words[block] = bit;
    words[block + 1] = if wanted { bit } else { 0 };
    if call(interface, &mut words)? & UNSUPPORTED != 0 { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

fn feature_names(interface: &str) -> io::Result<Vec<String>> {
    // The command, a gap, the wanted sets as a bit each in 64, then their lengths.
    let mut words = [GET_STRING_SETS, 0, 0, 0, 0];
    let mask = (1_u64 << FEATURE_NAMES).to_ne_bytes();
    for (word, bytes) in words[2..4].iter_mut().zip(mask.chunks_exact(4)) {
        *word = u32::from_ne_bytes(bytes.try_into().unwrap_or_default());
    }
    call(interface, &mut words)?;
    let count = (words[4] as usize).min(FEATURES_MAX);
    let mut words = vec![0; 3 + count * NAME_LEN / 4];
    words[0] = GET_STRINGS;
    words[1] = FEATURE_NAMES;
    words[2] = count as u32;
    call(interface, &mut words)?;
    let bytes: Vec<u8> = words[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = |bytes: &[u8]| {
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    Ok(bytes.chunks_exact(NAME_LEN).map(name).collect())
}

/// One call. `words` must be as long as its command's structure, or longer.
fn call(interface: &str, words: &mut [u32]) -> io::Result<i32> {
    // Any socket carries the call; this kind opens nothing on a network.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: all bytes zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // One byte stays zero behind the name.
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the name ends with a zero, and the callers' words hold all that their command writes; both outlive the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}
