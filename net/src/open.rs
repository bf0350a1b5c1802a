//! Opening a port on this host, and why that fails: every failure says what to do about it.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// What a port must know of the card above it, to take the card's frames and leave the host's alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// The card's addresses.
    pub addresses: Vec<IpAddr>,
    /// The TCP ports that the card takes at those addresses; empty for all. Fewer than all where the host lives at the
    /// same address.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Keys the hash that steers flows to queues; the same for every port of one card.
    pub steer_secret: [u8; 32],
}

/// Why a port did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A URL that names no port.
    #[error("{url}: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// There is no such interface.
    #[error("there is no network interface {interface}: `ip link` lists them")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// This process may not.
    #[error("{operation}: not permitted; {fix}")]
    Permission {
        /// What was tried.
        operation: String,
        /// What to run.
        fix: String,
    },
    /// The device or the kernel lacks something.
    #[error("{operation}: {reason}; {fix}")]
    Unsupported {
        /// What was tried.
        operation: String,
        /// What is missing.
        reason: String,
        /// What to run instead.
        fix: String,
    },
    /// A system call failed.
    #[error("{operation}: {source}")]
    Os {
        /// What was tried.
        operation: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl OpenError {
    /// The failure of a system call: what was tried, and what to run if it was not permitted.
    pub fn os(operation: impl Into<String>, source: io::Error, fix: &str) -> Self {
        let operation = operation.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { operation, fix: fix.to_owned() },
            _ => Self::Os { operation, source },
        }
    }
}
