//! Why one side ends a session.

use core::fmt;

/// A session's last message: why it ends. Its layout stays the same in every version, so that strangers can tell each
/// other why they part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Goodbye {
    /// Why. Unknown reasons are to be shown by their number.
    pub reason: Parting,
    /// What belongs to the reason: of [`Parting::VERSION_TOO_OLD`] the oldest version that is understood, of
    /// [`Parting::BANNED`] the seconds that the ban still lasts (0 for no end), otherwise 0.
    pub detail: u32,
}

/// Why one side ends a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Parting(pub u8);

crate::layout!(Goodbye <= GOODBYE_LEN { reason, detail });
crate::layout!(Parting(number));

/// Bytes of a goodbye: reason, detail.
const GOODBYE_LEN: usize = 1 + 4;

impl Parting {
    /// The other side is of another chain.
    pub const WRONG_CHAIN: Self = Self(1);
    /// The other side speaks messages of a version that is not understood any more.
    pub const VERSION_TOO_OLD: Self = Self(2);
    /// The other side's identity is banned.
    pub const BANNED: Self = Self(3);
    /// There is no room for one more session of its kind.
    pub const FULL: Self = Self(4);
    /// A newer session has the same identity.
    pub const DUPLICATE_IDENTITY: Self = Self(5);
    /// The other side takes too little of what it is sent.
    pub const SLOW: Self = Self(6);
    /// The process ends.
    pub const SHUTDOWN: Self = Self(7);
    /// An operator ended it.
    pub const OPERATOR: Self = Self(8);
    /// The other side said what it may not say, or what is no message.
    pub const BROKEN: Self = Self(9);
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::WRONG_CHAIN => "other chain",
            Self::VERSION_TOO_OLD => "version too old",
            Self::BANNED => "banned",
            Self::FULL => "no room",
            Self::DUPLICATE_IDENTITY => "a newer session has the same identity",
            Self::SLOW => "too slow",
            Self::SHUTDOWN => "the process ends",
            Self::OPERATOR => "ended by an operator",
            Self::BROKEN => "broke a rule",
            Self(number) => return write!(f, "reason {number}"),
        })
    }
}

impl Goodbye {
    /// A goodbye with nothing to add to its reason.
    pub const fn because(reason: Parting) -> Self {
        Self { reason, detail: 0 }
    }
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match (self.reason, self.detail) {
            (Parting::VERSION_TOO_OLD, oldest) => write!(f, " (the oldest that is understood is {oldest})"),
            (Parting::BANNED, seconds @ 1..) => write!(f, " (for {seconds} s yet)"),
            _ => Ok(()),
        }
    }
}
