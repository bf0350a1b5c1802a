//! Canonical bytes: what is hashed, signed, sent and stored (PROTOCOL.md, "Fields"; FORMAT.md beside this crate).
//!
//! Fixed-width little-endian integers, enum tags u8, lengths u32, no padding, no optional trailing parts. Every value
//! has one encoding. Decoding refuses truncated, trailing, over-long and over-full input before it allocates for it,
//! then encodes the value again and compares. bincode writes and reads the integers; it is configured and called in
//! this module alone.
//!
//! A type states its layout once, beside its definition, with [`layout!`](crate::layout) (structs) or
//! [`tagged!`](crate::tagged) (enums).

use core::ops::RangeInclusive;

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use hpb_base::limits::MESSAGE_LEN_MAX;

use crate::name::NameError;

/// Integers as FORMAT.md has them. The byte limit is each type's own [`Canonical::LEN_MAX`].
const INTEGERS: Configuration<LittleEndian, Fixint, NoLimit> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_no_limit();

/// Elements that a list reserves room for before the first of them is read; it grows with what is really there.
const LIST_RESERVED_MAX: usize = 32;

/// Room that an encoding gets before it is asked for: most values fit, and what grows from nothing grows often.
const BYTES_USUAL: usize = 128;

/// A value with exactly one encoding.
pub trait Canonical: Sized {
    /// The most bytes that a value may take; longer input is refused unread.
    const LEN_MAX: usize = MESSAGE_LEN_MAX;

    /// Appends the value's bytes.
    fn put(&self, writer: &mut Writer);

    /// Reads the value's bytes.
    ///
    /// # Errors
    /// The first departure from the layout or from its bounds.
    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError>;

    /// The canonical bytes. A value beyond its type's bounds has bytes too, but nobody decodes them.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::with_capacity(BYTES_USUAL) };
        self.put(&mut writer);
        writer.bytes
    }

    /// The value that `bytes` are the one encoding of.
    ///
    /// # Errors
    /// The first departure from the layout or from its bounds; [`CodecError::NotCanonical`] if the value has other
    /// bytes than these.
    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > Self::LEN_MAX {
            return Err(CodecError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        if reader.remaining() != 0 {
            return Err(CodecError::Trailing);
        }
        let mut again = Writer { bytes: Vec::with_capacity(bytes.len()) };
        value.put(&mut again);
        if again.bytes != bytes {
            return Err(CodecError::NotCanonical);
        }
        Ok(value)
    }
}

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes end inside the value.
    #[error("the bytes end inside the value")]
    Truncated,
    /// Bytes follow the value.
    #[error("bytes follow the value")]
    Trailing,
    /// The value is longer than its type allows.
    #[error("longer than the type allows")]
    TooLong,
    /// A list, text or byte string has more or fewer elements than its field allows.
    #[error("a length outside its field's bounds")]
    Count,
    /// An enum's tag or a message's kind that is not assigned.
    #[error("unknown tag {0}")]
    Tag(u8),
    /// A format version that this code does not speak.
    #[error("unknown version {0}")]
    Version(u8),
    /// A text that is not UTF-8.
    #[error("not UTF-8")]
    Text,
    /// A name against the rules of names.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// A field outside its range.
    #[error("a field outside its range")]
    Range,
    /// The value has other canonical bytes.
    #[error("not the value's canonical bytes")]
    NotCanonical,
}

/// Gathers canonical bytes.
#[derive(Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was appended.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes back what was appended, and keeps the room for what comes next.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends `value`.
    pub fn put<T: Canonical>(&mut self, value: &T) {
        value.put(self);
    }

    /// Appends bytes without a length.
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a u32 count of bytes, then the bytes.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_len(bytes.len());
        self.put_raw(bytes);
    }

    /// Appends a u32 count of elements, then the elements.
    pub fn put_list<T: Canonical>(&mut self, list: &[T]) {
        self.put_len(list.len());
        for element in list {
            element.put(self);
        }
    }

    fn put_len(&mut self, len: usize) {
        assert!(u32::try_from(len).is_ok(), "a list of 2^32 elements was never built");
        self.put_integer(len as u32);
    }

    fn put_integer<T: bincode::Encode>(&mut self, value: T) {
        let written = bincode::encode_into_std_write(value, &mut self.bytes, INTEGERS);
        assert!(written.is_ok(), "writing an integer to memory does not fail");
    }
}

/// Hands out the values of canonical bytes, front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next value.
    ///
    /// # Errors
    /// As [`Canonical::take`]; [`CodecError::TooLong`] if it takes more than its type's `LEN_MAX`.
    pub fn take<T: Canonical>(&mut self) -> Result<T, CodecError> {
        let before = self.remaining();
        let value = T::take(self)?;
        if before - self.remaining() > T::LEN_MAX { Err(CodecError::TooLong) } else { Ok(value) }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] if there are fewer.
    pub fn take_raw(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] if there are fewer.
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A u32 count within `bounds`, then as many bytes.
    ///
    /// # Errors
    /// [`CodecError::Count`] outside `bounds`, [`CodecError::Truncated`] if there are fewer bytes.
    pub fn take_bytes(&mut self, bounds: RangeInclusive<usize>) -> Result<&'a [u8], CodecError> {
        let len = self.take_len(bounds)?;
        self.take_raw(len)
    }

    /// A u32 count of bytes within `bounds`, then as many bytes of UTF-8.
    ///
    /// # Errors
    /// As [`take_bytes`](Self::take_bytes); [`CodecError::Text`] if they are not UTF-8.
    pub fn take_text(&mut self, bounds: RangeInclusive<usize>) -> Result<&'a str, CodecError> {
        core::str::from_utf8(self.take_bytes(bounds)?).map_err(|_| CodecError::Text)
    }

    /// A u32 count within `bounds`, then as many elements.
    ///
    /// # Errors
    /// [`CodecError::Count`] outside `bounds`, [`CodecError::Truncated`] if that many cannot be there, and what an
    /// element's decoding says.
    pub fn take_list<T: Canonical>(&mut self, bounds: RangeInclusive<usize>) -> Result<Vec<T>, CodecError> {
        let len = self.take_len(bounds)?;
        // No element is empty: a count above the bytes that remain is a lie.
        if len > self.remaining() {
            return Err(CodecError::Truncated);
        }
        let mut list = Vec::with_capacity(len.min(LIST_RESERVED_MAX));
        for _ in 0..len {
            list.push(self.take()?);
        }
        Ok(list)
    }

    /// A version byte, which is `version`.
    ///
    /// # Errors
    /// [`CodecError::Version`] for another one: its layout is not known here.
    pub fn take_version(&mut self, version: u8) -> Result<u8, CodecError> {
        let found = self.take()?;
        if found == version { Ok(found) } else { Err(CodecError::Version(found)) }
    }

    fn take_len(&mut self, bounds: RangeInclusive<usize>) -> Result<usize, CodecError> {
        let len = self.take::<u32>()? as usize;
        if bounds.contains(&len) { Ok(len) } else { Err(CodecError::Count) }
    }

    fn take_integer<T: bincode::Decode<()>>(&mut self) -> Result<T, CodecError> {
        let (value, len) = bincode::decode_from_slice(self.rest, INTEGERS).map_err(|error| match error {
            bincode::error::DecodeError::UnexpectedEnd { .. } => CodecError::Truncated,
            _ => CodecError::Range,
        })?;
        self.take_raw(len)?;
        Ok(value)
    }
}

macro_rules! integers {
    ($($integer:ty),+) => {
        $(impl Canonical for $integer {
            const LEN_MAX: usize = size_of::<$integer>();

            fn put(&self, writer: &mut Writer) {
                writer.put_integer(*self);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                reader.take_integer()
            }
        })+
    };
}

// `bool` is a u8 that is 0 or 1.
integers!(bool, u8, u16, u32, u64, u128);

impl<const N: usize> Canonical for [u8; N] {
    const LEN_MAX: usize = N;

    fn put(&self, writer: &mut Writer) {
        writer.put_raw(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.take_array()
    }
}

/// States a struct's layout: its fields in order, each as its type has it, or as a bounded list, byte string or text,
/// or as a version byte that has one value. `<= limit` bounds the whole.
///
/// ```
/// use hpb_types::{Amount, Canonical};
///
/// #[derive(PartialEq, Debug)]
/// struct Payment {
///     version: u8,
///     amount: Amount,
///     memo: Vec<u8>,
///     splits: Vec<u64>,
/// }
/// hpb_types::layout!(Payment <= 1_024 { version: version(1), amount, memo: bytes(0..=256), splits: list(0..=8) });
///
/// let payment = Payment { version: 1, amount: Amount::ONE, memo: b"tea".to_vec(), splits: vec![2] };
/// assert_eq!(Payment::from_bytes(&payment.to_bytes()), Ok(payment));
/// ```
#[macro_export]
macro_rules! layout {
    ($name:ident($field:ident)) => {
        impl $crate::codec::Canonical for $name {
            fn put(&self, writer: &mut $crate::codec::Writer) {
                let Self($field) = self;
                writer.put($field);
            }

            fn take(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                Ok(Self(reader.take()?))
            }
        }
    };
    ($name:ident $(<= $len_max:literal)? { $($field:ident $(: $form:ident($bound:expr))?),+ $(,)? }) => {
        $crate::layout!(@struct $name [$($len_max)?] { $($field $(: $form($bound))?),+ });
    };
    ($name:ident <= $len_max:ident { $($field:ident $(: $form:ident($bound:expr))?),+ $(,)? }) => {
        $crate::layout!(@struct $name [$len_max] { $($field $(: $form($bound))?),+ });
    };
    (@struct $name:ident [$($len_max:expr)?] { $($field:ident $(: $form:ident($bound:expr))?),+ }) => {
        impl $crate::codec::Canonical for $name {
            $(const LEN_MAX: usize = $len_max;)?

            fn put(&self, writer: &mut $crate::codec::Writer) {
                let Self { $($field),+ } = self;
                $($crate::layout!(@put writer $field $($form)?);)+
            }

            fn take(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                $(let $field = $crate::layout!(@take reader $($form($bound))?);)+
                Ok(Self { $($field),+ })
            }
        }
    };
    (@put $writer:ident $field:ident) => { $writer.put($field) };
    (@put $writer:ident $field:ident list) => { $writer.put_list($field) };
    (@put $writer:ident $field:ident bytes) => { $writer.put_bytes($field) };
    (@put $writer:ident $field:ident text) => { $writer.put_bytes($field.as_bytes()) };
    (@put $writer:ident $field:ident version) => { $writer.put($field) };
    (@take $reader:ident) => { $reader.take()? };
    (@take $reader:ident list($bounds:expr)) => { $reader.take_list($bounds)? };
    (@take $reader:ident bytes($bounds:expr)) => { $reader.take_bytes($bounds)?.to_vec() };
    (@take $reader:ident text($bounds:expr)) => { $reader.take_text($bounds)?.to_owned() };
    (@take $reader:ident version($version:expr)) => { $reader.take_version($version)? };
}

/// States an enum's layout: its tags, each with its variant and the variant's fields in order. Tags are append only.
///
/// ```
/// use hpb_types::{Amount, Canonical};
///
/// #[derive(PartialEq, Debug)]
/// enum Answer {
///     No,
///     Price(Amount),
///     Offer { amount: Amount, salt: u64 },
/// }
/// hpb_types::tagged!(Answer { 0 => No, 1 => Price(amount), 2 => Offer { amount, salt } });
///
/// assert_eq!(Answer::No.to_bytes(), [0]);
/// assert!(Answer::from_bytes(&[3]).is_err());
/// ```
#[macro_export]
macro_rules! tagged {
    ($name:ident {
        $($tag:literal => $variant:ident $(($($item:ident),+))? $({ $($field:ident),+ })?),+ $(,)?
    }) => {
        impl $crate::codec::Canonical for $name {
            fn put(&self, writer: &mut $crate::codec::Writer) {
                match self {
                    $(Self::$variant $(($($item),+))? $({ $($field),+ })? => {
                        let tag: u8 = $tag;
                        writer.put(&tag);
                        $($(writer.put($item);)+)?
                        $($(writer.put($field);)+)?
                    })+
                }
            }

            fn take(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                match reader.take::<u8>()? {
                    $($tag => {
                        $($(let $item = reader.take()?;)+)?
                        $($(let $field = reader.take()?;)+)?
                        Ok(Self::$variant $(($($item),+))? $({ $($field),+ })?)
                    })+
                    tag => Err($crate::codec::CodecError::Tag(tag)),
                }
            }
        }
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod golden;
#[cfg(test)]
mod tests;
