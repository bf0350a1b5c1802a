//! Names of accounts, permissions and actions (PROTOCOL.md, "Names and amounts").
//!
//! Lower-case ASCII within fixed bounds, so that a name is a small value that copies and compares without a heap. What
//! breaks a rule is refused here; look-alikes are the tools' business, not consensus.

use core::fmt;
use core::str::FromStr;

use crate::codec::{Canonical, CodecError, Reader, Writer};

/// The longest name of any kind in characters.
pub const NAME_LEN_MAX: usize = 32;
/// The shortest account name in characters.
pub const ACCOUNT_NAME_LEN_MIN: usize = 3;

/// RFC 4648's base32 alphabet (section 6) in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why a text is not a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error("a name of this kind has {len_min} to {NAME_LEN_MAX} characters")]
    Length {
        /// The fewest characters of this kind of name.
        len_min: usize,
    },
    /// A character outside the alphabet.
    #[error("only a-z, 0-9, dot and dash may stand in a name")]
    Character,
    /// A dot or dash first, last or beside another.
    #[error("a dot or dash may be neither first nor last nor beside another")]
    Punctuation,
}

/// The characters of a name, padded with zero bytes. The derived order is the strings' own: zero sorts before every
/// character of the alphabet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Text {
    bytes: [u8; NAME_LEN_MAX],
    len: u8,
}

impl Text {
    const fn new(text: &str, len_min: usize) -> Result<Self, NameError> {
        let source = text.as_bytes();
        if source.len() < len_min || source.len() > NAME_LEN_MAX {
            return Err(NameError::Length { len_min });
        }
        let mut bytes = [0; NAME_LEN_MAX];
        let mut index = 0;
        // Dot and dash may not stand where the previous character is one of them, and not at the start.
        let mut after_mark = true;
        while index < source.len() {
            let is_mark = matches!(source[index], b'.' | b'-');
            if !is_mark && !matches!(source[index], b'a'..=b'z' | b'0'..=b'9') {
                return Err(NameError::Character);
            }
            if is_mark && after_mark {
                return Err(NameError::Punctuation);
            }
            bytes[index] = source[index];
            after_mark = is_mark;
            index += 1;
        }
        if after_mark {
            return Err(NameError::Punctuation);
        }
        Ok(Self { bytes, len: source.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn as_str(&self) -> &str {
        let text = core::str::from_utf8(self.as_bytes());
        assert!(text.is_ok(), "a name is ASCII by construction");
        text.unwrap_or_default()
    }
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $len_min:expr) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// The name that `text` spells.
            ///
            /// # Errors
            /// The first rule that `text` breaks.
            pub const fn new(text: &str) -> Result<Self, NameError> {
                match Text::new(text, $len_min) {
                    Ok(text) => Ok(Self(text)),
                    Err(error) => Err(error),
                }
            }

            /// A name that the source code spells out; in a `const` a bad one fails the build.
            pub const fn literal(text: &'static str) -> Self {
                let name = Self::new(text);
                assert!(name.is_ok(), "a name in the source code follows the rules");
                match name {
                    Ok(name) => name,
                    Err(_) => Self(Text { bytes: [0; NAME_LEN_MAX], len: 0 }),
                }
            }

            /// The name's characters.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name's characters as bytes, each one of ASCII.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Canonical for $name {
            const LEN_MAX: usize = 4 + NAME_LEN_MAX;

            fn put(&self, writer: &mut Writer) {
                writer.put_bytes(self.as_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(Self::new(reader.take_text($len_min..=NAME_LEN_MAX)?)?)
            }
        }
    };
}

name! {
    /// An account's name: 3 to 32 characters of `a-z 0-9 . -`, no dot or dash first, last or beside another.
    AccountName, ACCOUNT_NAME_LEN_MIN
}

name! {
    /// A permission's name within its account: 1 to 32 characters, otherwise as an account's.
    PermissionName, 1
}

name! {
    /// An action's or event's name within its contract: 1 to 32 characters, otherwise as an account's.
    ActionName, 1
}

impl AccountName {
    /// The name of a 20-byte address: its lower-case base32 (RFC 4648, section 6, without padding), 32 characters.
    pub fn from_address(address: [u8; 20]) -> Self {
        let mut bytes = [0; NAME_LEN_MAX];
        // Five bytes are eight characters of five bits; 20 bytes come out even.
        for (group, characters) in address.chunks_exact(5).zip(bytes.chunks_exact_mut(8)) {
            let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for (place, character) in characters.iter_mut().rev().enumerate() {
                *character = BASE32[(bits >> (5 * place)) as usize % 32];
            }
        }
        Self(Text { bytes, len: NAME_LEN_MAX as u8 })
    }

    /// The address that the name stands for; `None` if it is not of that form.
    pub fn address(&self) -> Option<[u8; 20]> {
        if usize::from(self.0.len) != NAME_LEN_MAX {
            return None;
        }
        let mut address = [0; 20];
        for (group, characters) in address.chunks_exact_mut(5).zip(self.0.bytes.chunks_exact(8)) {
            let mut bits = 0_u64;
            for character in characters {
                let value = BASE32.iter().position(|letter| letter == character)?;
                bits = bits << 5 | value as u64;
            }
            group.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Some(address)
    }

    /// Whether the name is of the form that addresses have. Such names are reserved: only the owner of the address may
    /// have one, so nobody chooses them.
    pub fn is_address_form(&self) -> bool {
        self.address().is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rules() {
        let long = "a".repeat(32);
        for good in ["abc", "a.b", "a-b", "0x9", "a1.b2-c3", long.as_str()] {
            assert_eq!(AccountName::new(good).unwrap().as_str(), good);
            assert_eq!(good.parse::<AccountName>().unwrap().to_string(), good);
        }
        let too_long = "a".repeat(33);
        let length = NameError::Length { len_min: 3 };
        for (bad, error) in [
            ("", length),
            ("ab", length),
            (too_long.as_str(), length),
            ("Abc", NameError::Character),
            ("a_b", NameError::Character),
            ("a b", NameError::Character),
            ("caf\u{e9}", NameError::Character),
            ("a\0b", NameError::Character),
            (".ab", NameError::Punctuation),
            ("-ab", NameError::Punctuation),
            ("ab.", NameError::Punctuation),
            ("ab-", NameError::Punctuation),
            ("a..b", NameError::Punctuation),
            ("a--b", NameError::Punctuation),
            ("a.-b", NameError::Punctuation),
            ("a-.b", NameError::Punctuation),
            ("...", NameError::Punctuation),
        ] {
            assert_eq!(AccountName::new(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn permissions_and_actions_may_be_short() {
        assert_eq!(PermissionName::new("x").unwrap().as_str(), "x");
        assert_eq!(ActionName::new("x").unwrap().as_str(), "x");
        assert_eq!(ActionName::new(""), Err(NameError::Length { len_min: 1 }));
        assert_eq!(PermissionName::new("-"), Err(NameError::Punctuation));
        assert_eq!(ActionName::new("a.-b"), Err(NameError::Punctuation));
    }

    #[test]
    fn order_is_the_strings_own() {
        let words = ["a-b", "a.b", "a0b", "aab", "aaba", "abc", "b-c", "bcd", "zzz"];
        for left in words {
            for right in words {
                let names = (AccountName::new(left).unwrap(), AccountName::new(right).unwrap());
                assert_eq!(names.0.cmp(&names.1), left.cmp(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn literals_are_names_at_build_time() {
        const TOKEN: AccountName = AccountName::literal("token");
        assert_eq!(TOKEN, AccountName::new("token").unwrap());
    }

    #[test]
    fn addresses_are_base32() {
        // RFC 4648, section 10: BASE32("fooba") is "MZXW6YTB".
        let address = *b"foobafoobafoobafooba";
        let name = AccountName::from_address(address);
        assert_eq!(name.as_str(), "mzxw6ytbmzxw6ytbmzxw6ytbmzxw6ytb");
        assert_eq!(name.address(), Some(address));
        for address in [[0; 20], [0xff; 20], core::array::from_fn(|index| index as u8 * 13)] {
            let name = AccountName::from_address(address);
            assert_eq!(AccountName::new(name.as_str()), Ok(name));
            assert_eq!(name.address(), Some(address));
            assert!(name.is_address_form());
        }
    }

    #[test]
    fn only_thirty_two_base32_characters_are_an_address() {
        for text in ["alice", &"a".repeat(31), &format!("{}1", "a".repeat(31)), &format!("a.{}", "a".repeat(30))] {
            assert!(!AccountName::new(text).unwrap().is_address_form(), "{text}");
        }
        assert!(AccountName::new(&"a".repeat(32)).unwrap().is_address_form());
    }

    #[test]
    fn decoding_judges() {
        let bytes = |text: &str| {
            let mut writer = (text.len() as u32).to_le_bytes().to_vec();
            writer.extend_from_slice(text.as_bytes());
            writer
        };
        assert_eq!(AccountName::from_bytes(&bytes("alice")), Ok(AccountName::new("alice").unwrap()));
        assert_eq!(AccountName::from_bytes(&bytes("al")), Err(CodecError::Count));
        assert_eq!(AccountName::from_bytes(&bytes("al..ce")), Err(CodecError::Name(NameError::Punctuation)));
        assert_eq!(PermissionName::from_bytes(&bytes("a")), Ok(PermissionName::new("a").unwrap()));
    }
}
