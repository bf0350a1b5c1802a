//! What an interface is and what it is linked to, by `RTM_GETLINK` (`rtnetlink(7)`): `/sys` cannot tell an index of this
//! network namespace from one of another.
#![allow(unsafe_code, reason = "one system call; what it gives is owned at once")]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};

const MESSAGE_ERROR: u16 = libc::NLMSG_ERROR as u16;
/// `struct nlmsghdr` and `struct ifinfomsg`, in bytes.
const HEADER_LEN: usize = 16;
const INFO_LEN: usize = 16;
/// The longest answer that is read: one link with all its attributes takes a tenth.
const ANSWER_LEN_MAX: usize = 32 << 10;
/// `IFLA_INFO_KIND`, within `IFLA_LINKINFO`.
const INFO_KIND: u16 = 1;

/// A link as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Link {
    /// Its kind: `veth`, `tun`; empty for a device.
    pub(crate) kind: String,
    /// The index of what it is linked to.
    pub(crate) other: Option<u32>,
    /// Whether that index is one of another network namespace.
    pub(crate) elsewhere: bool,
}

/// Asks for the interface with this index.
pub(crate) fn link(index: u32) -> io::Result<Link> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointer is passed.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let mut socket = File::from(unsafe { OwnedFd::from_raw_fd(socket) });
    socket.write_all(&question(index))?;
    let mut answer = vec![0; ANSWER_LEN_MAX];
    let len = socket.read(&mut answer)?;
    parse(&answer[..len])
}

fn question(index: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + INFO_LEN);
    bytes.extend(((HEADER_LEN + INFO_LEN) as u32).to_ne_bytes());
    bytes.extend(libc::RTM_GETLINK.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence and sender stay zero, and so does all of the description but the index.
    bytes.extend([0; 8 + 4]);
    bytes.extend(index.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn parse(bytes: &[u8]) -> io::Result<Link> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    let len = word(bytes, 0).ok_or_else(short)? as usize;
    let message = bytes.get(..len).ok_or_else(short)?;
    if half(message, 4) == Some(MESSAGE_ERROR) {
        let number = word(message, HEADER_LEN).ok_or_else(short)?;
        return Err(io::Error::from_raw_os_error(number.cast_signed().wrapping_neg()));
    }
    let mut link = Link::default();
    for (kind, value) in attributes(message.get(HEADER_LEN + INFO_LEN..).ok_or_else(short)?) {
        match kind {
            libc::IFLA_LINK => link.other = word(value, 0),
            libc::IFLA_LINK_NETNSID => link.elsewhere = true,
            libc::IFLA_LINKINFO => {
                let name = attributes(value).find(|(kind, _)| *kind == INFO_KIND).map_or(&[][..], |(_, name)| name);
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                link.kind = String::from_utf8_lossy(name).into_owned();
            }
            _ => {}
        }
    }
    Ok(link)
}

/// `struct rtattr`s with their values, to the end or to the first that is none.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const NESTED: u16 = 1 << 15;
    std::iter::from_fn(move || {
        let len = half(bytes, 0)? as usize;
        let kind = half(bytes, 2)? & !NESTED;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER_LEN + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_cable_with_its_other_end() {
        let mut body = vec![0; INFO_LEN];
        body.extend(attribute(3, b"veth0\0"));
        body.extend(attribute(libc::IFLA_LINK, &7_u32.to_ne_bytes()));
        body.extend(attribute(libc::IFLA_LINKINFO, &attribute(INFO_KIND, b"veth\0")));
        let here = Link { kind: "veth".to_owned(), other: Some(7), elsewhere: false };
        assert_eq!(parse(&message(16, &body)).unwrap(), here);
        body.extend(attribute(libc::IFLA_LINK_NETNSID, &0_u32.to_ne_bytes()));
        assert_eq!(parse(&message(16, &body)).unwrap(), Link { elsewhere: true, ..here });
    }

    #[test]
    fn the_kernels_refusal() {
        let body = (-libc::ENODEV).to_ne_bytes();
        let error = parse(&message(MESSAGE_ERROR, &body)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(link(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(link(1).unwrap(), Link::default(), "the loopback device");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), fits: bool) {
            if fits && bytes.len() > 4 {
                let len = (bytes.len() as u32).to_ne_bytes();
                bytes[..4].copy_from_slice(&len);
            }
            let _ = parse(&bytes);
        }
    }
}
