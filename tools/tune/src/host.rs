//! The seam to the host: everything that is read or changed goes through [`Host`]. It decides nothing.
//!
//! [`crate::system::System`] is the host itself; tests have one in memory.

use std::io;

use serde::{Deserialize, Serialize};

/// What an interface is asked for by number, named as `ethtool` names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Queues that receive and send.
    ChannelsCombined,
    /// Queues that only receive.
    ChannelsRx,
    /// Queues that only send.
    ChannelsTx,
    /// Frames that one receiving queue holds.
    RingRx,
    /// Frames that one sending queue holds.
    RingTx,
    /// Microseconds that an interrupt for received frames is held back.
    CoalesceRxMicros,
    /// Whether the driver chooses that time by itself: 0 or 1.
    CoalesceAdaptiveRx,
}

impl Field {
    /// The option and the word of `ethtool` that set it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ChannelsCombined => ("-L", "combined"),
            Self::ChannelsRx => ("-L", "rx"),
            Self::ChannelsTx => ("-L", "tx"),
            Self::RingRx => ("-G", "rx"),
            Self::RingTx => ("-G", "tx"),
            Self::CoalesceRxMicros => ("-C", "rx-usecs"),
            Self::CoalesceAdaptiveRx => ("-C", "adaptive-rx"),
        }
    }
}

/// A [`Field`]'s value on one interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    /// What it is.
    pub value: u32,
    /// The most that the device takes, where it says so.
    pub most: Option<u32>,
}

/// An offload of one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feature {
    /// The kernel's name: `rx-gro`, `tx-checksum-ip-generic`.
    pub name: String,
    /// Whether it can be changed on this interface.
    pub changeable: bool,
    /// Whether it was asked for. One that depends on another can be wanted and not active.
    pub wanted: bool,
    /// Whether it is at work.
    pub active: bool,
}

/// The other end of a virtual cable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The interface is no `veth`.
    None,
    /// This interface.
    Here(String),
    /// One in another network namespace.
    Elsewhere,
}

/// A limit of this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Limit {
    /// `RLIMIT_MEMLOCK`, in bytes.
    LockedMemory,
    /// `RLIMIT_NOFILE`, in descriptors.
    OpenFiles,
}

/// Everything that tuning reads and changes. Paths are absolute.
pub trait Host {
    /// A file's text.
    ///
    /// # Errors
    /// As of [`std::fs::read_to_string`].
    fn read(&self, path: &str) -> io::Result<String>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// As of [`std::fs::read_dir`].
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// The last part of a symbolic link's target.
    ///
    /// # Errors
    /// As of [`std::fs::read_link`].
    fn link(&self, path: &str) -> io::Result<String>;

    /// Writes to a file of the kernel's, which exists.
    ///
    /// # Errors
    /// What the kernel says.
    fn write(&mut self, path: &str, text: &str) -> io::Result<()>;

    /// Writes an ordinary file whole and durably, or removes it.
    ///
    /// # Errors
    /// What the file system says.
    fn replace(&mut self, path: &str, text: Option<&str>) -> io::Result<()>;

    /// Makes an empty folder, or removes it.
    ///
    /// # Errors
    /// What the file system says.
    fn set_folder(&mut self, path: &str, present: bool) -> io::Result<()>;

    /// Mounts hugetlbfs with 2 MiB pages on a folder, or unmounts what is there.
    ///
    /// # Errors
    /// What the kernel says.
    fn set_hugetlbfs(&mut self, folder: &str, mounted: bool) -> io::Result<()>;

    /// A limit of this process, soft and hard; `u64::MAX` is none.
    ///
    /// # Errors
    /// What the kernel says.
    fn limit(&self, limit: Limit) -> io::Result<(u64, u64)>;

    /// Whether this process may open a file for reading and writing.
    ///
    /// # Errors
    /// Why not.
    fn may_open(&self, path: &str) -> io::Result<()>;

    /// This program's path.
    ///
    /// # Errors
    /// It is gone.
    fn program(&self) -> io::Result<String>;

    /// The attribute `security.capability` of a file, if it has one (`linux/capability.h`).
    ///
    /// # Errors
    /// What the kernel says.
    fn file_capabilities(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// A number of an interface.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the driver has no such thing.
    fn number(&self, interface: &str, field: Field) -> io::Result<Number>;

    /// Changes a number of an interface.
    ///
    /// # Errors
    /// What the driver says.
    fn set_number(&mut self, interface: &str, field: Field, value: u32) -> io::Result<()>;

    /// The offloads of an interface.
    ///
    /// # Errors
    /// What the kernel says.
    fn features(&self, interface: &str) -> io::Result<Vec<Feature>>;

    /// Asks for an offload, or asks to be without.
    ///
    /// # Errors
    /// What the kernel says; [`io::ErrorKind::Unsupported`] for one that cannot be changed.
    fn set_feature(&mut self, interface: &str, name: &str, wanted: bool) -> io::Result<()>;

    /// What is at the other end of an interface.
    ///
    /// # Errors
    /// What the kernel says.
    fn peer(&self, interface: &str) -> io::Result<Peer>;
}

impl dyn Host + '_ {
    /// A file's text without the white space around it; `None` if it cannot be read.
    pub fn word(&self, path: &str) -> Option<String> {
        self.read(path).ok().map(|text| text.trim().to_owned())
    }

    /// A file's text as a value; `None` if it cannot be read or is none.
    pub fn value<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.word(path)?.parse().ok()
    }
}
