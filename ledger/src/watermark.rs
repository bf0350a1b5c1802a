//! How far a producer has confirmed: what keeps it from ever confirming twice at one height, or around itself.
//!
//! The log writes the watermark twice in the very batch that holds the slice (see [`chainlog`](crate::chainlog)), so
//! that one data sync covers both, and a confirm leaves only after it (PROTOCOL.md, "Confirms"). A watermark belongs
//! to the producer's identity, never to one of its keys. One that is unreadable or absent is
//! [`WatermarkState::Unknown`] and stays so on disk until a new one is set: a second restart must not take an older one
//! for the last.

use hpb_types::{AccountName, Hash, Height, SliceRef, Slot};

/// The last link that a producer confirmed, or was about to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watermark {
    /// Whose it is.
    pub producer: AccountName,
    /// The last confirm's source.
    pub source: SliceRef,
    /// The last confirm's target.
    pub target: SliceRef,
}

/// What is known about a producer's last confirm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatermarkState {
    /// Nothing: it may have confirmed anything. It stays silent until the chain's carried source lies in a slot after
    /// the restart (PROTOCOL.md, "Watermark").
    Unknown,
    /// The last confirm, or a later one that never left.
    Known(Watermark),
}

impl Watermark {
    /// That of an identity which has never confirmed: source and target are the genesis slice. True only where no
    /// confirm can exist: before the genesis time, or for a producer that is registered for the first time.
    pub fn never_confirmed(producer: AccountName, genesis: SliceRef) -> Self {
        Self { producer, source: genesis, target: genesis }
    }

    /// Whether a confirm `source -> target` neither repeats a height nor surrounds this one: its target lies higher
    /// than the last target, its source not lower than the last source.
    pub fn allows(&self, source: &SliceRef, target: &SliceRef) -> bool {
        target.height > self.target.height && source.height >= self.source.height
    }

    /// Whether `later` may follow this one: equal, or of the same producer and allowed.
    pub fn may_become(&self, later: &Self) -> bool {
        self == later || (self.producer == later.producer && self.allows(&later.source, &later.target))
    }
}

impl WatermarkState {
    /// The watermark for `producer`: one of another identity says nothing about this one.
    #[must_use]
    pub fn of(self, producer: &AccountName) -> Self {
        match self {
            Self::Known(watermark) if watermark.producer == *producer => self,
            Self::Known(_) | Self::Unknown => Self::Unknown,
        }
    }

    /// Whether a confirm `source -> target` may leave from a node that was last started in `restart_slot`.
    pub fn allows(&self, restart_slot: Slot, source: &SliceRef, target: &SliceRef) -> bool {
        match self {
            Self::Known(watermark) => watermark.allows(source, target),
            Self::Unknown => source.height.slot > restart_slot && target.height > source.height,
        }
    }

    /// Whether `later` may be written after this one. What is unknown may become known; what is known never lower,
    /// another's, or unknown.
    pub fn may_become(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Unknown, _) => true,
            (Self::Known(_), Self::Unknown) => false,
            (Self::Known(own), Self::Known(later)) => own.may_become(later),
        }
    }

    /// The higher of two copies: a watermark that is too high costs a confirm, one that is too low a fork.
    #[must_use]
    pub(crate) fn higher(self, other: Self) -> Self {
        let rank = |state: &Self| match state {
            Self::Unknown => None,
            Self::Known(watermark) => Some((watermark.target.height, watermark.source.height)),
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Bytes of a watermark's copy in the log, whatever it says.
pub(crate) const WATERMARK_LEN: usize = 1 + 1 + NAME_LEN + 2 * SLICE_REF_LEN;
/// Bytes of a slice's name in the log.
pub(crate) const SLICE_REF_LEN: usize = 8 + 4 + 32;
const NAME_LEN: usize = 32;

/// A copy of fixed length, so that it can be found by its length alone in a damaged batch: tag u8 (0 unknown, 1
/// known), name length u8, name in 32 bytes filled with zeros, source, target.
pub(crate) fn encode_watermark(state: &WatermarkState, out: &mut Vec<u8>) {
    let start = out.len();
    if let WatermarkState::Known(watermark) = state {
        let name = watermark.producer.as_str().as_bytes();
        assert!(name.len() <= NAME_LEN, "an account name has at most 32 characters");
        out.push(1);
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        out.resize(start + 2 + NAME_LEN, 0);
        encode_slice_ref(&watermark.source, out);
        encode_slice_ref(&watermark.target, out);
    }
    out.resize(start + WATERMARK_LEN, 0);
}

/// The inverse of [`encode_watermark`]; `None` for bytes that it never writes.
pub(crate) fn decode_watermark(bytes: &[u8]) -> Option<WatermarkState> {
    if bytes.len() != WATERMARK_LEN {
        return None;
    }
    let state = if bytes[0] == 1 {
        let name = bytes.get(2..2 + usize::from(bytes[1]).min(NAME_LEN))?;
        let producer = AccountName::try_from(core::str::from_utf8(name).ok()?).ok()?;
        let (source, target) = bytes[2 + NAME_LEN..].split_at(SLICE_REF_LEN);
        WatermarkState::Known(Watermark {
            producer,
            source: decode_slice_ref(source)?,
            target: decode_slice_ref(target)?,
        })
    } else {
        WatermarkState::Unknown
    };
    let mut again = Vec::with_capacity(WATERMARK_LEN);
    encode_watermark(&state, &mut again);
    (again == bytes).then_some(state)
}

/// Slot u64, index u32, id 32, little-endian.
pub(crate) fn encode_slice_ref(reference: &SliceRef, out: &mut Vec<u8>) {
    out.extend_from_slice(&reference.height.slot.0.to_le_bytes());
    out.extend_from_slice(&reference.height.index.to_le_bytes());
    out.extend_from_slice(&reference.id.0);
}

/// The inverse of [`encode_slice_ref`]; `None` unless there are exactly its bytes.
pub(crate) fn decode_slice_ref(bytes: &[u8]) -> Option<SliceRef> {
    let (slot, rest) = bytes.split_first_chunk::<8>()?;
    let (index, id) = rest.split_first_chunk::<4>()?;
    let height = Height { slot: Slot(u64::from_le_bytes(*slot)), index: u32::from_le_bytes(*index) };
    Some(SliceRef { height, id: Hash(id.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn slice(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([slot as u8; 32]) }
    }

    fn mark(name: &str, source: SliceRef, target: SliceRef) -> WatermarkState {
        WatermarkState::Known(Watermark { producer: AccountName::try_from(name).unwrap(), source, target })
    }

    #[test]
    fn never_twice_at_one_height_and_never_around() {
        let WatermarkState::Known(last) = mark("alice", slice(3, 1), slice(5, 2)) else { unreachable!() };
        for (source, target, allowed) in [
            (slice(3, 1), slice(5, 3), true),
            (slice(4, 0), slice(6, 0), true),
            (slice(3, 1), slice(5, 2), false),
            (slice(3, 1), slice(5, 1), false),
            (slice(3, 0), slice(6, 0), false),
            (slice(2, 9), slice(9, 0), false),
        ] {
            assert_eq!(last.allows(&source, &target), allowed, "{source:?} -> {target:?}");
        }
    }

    #[test]
    fn unknown_is_silent_until_the_source_lies_after_the_restart() {
        let unknown = WatermarkState::Unknown;
        assert!(!unknown.allows(Slot(7), &slice(6, 0), &slice(8, 0)));
        assert!(!unknown.allows(Slot(7), &slice(7, 5), &slice(8, 0)));
        assert!(unknown.allows(Slot(7), &slice(8, 0), &slice(8, 1)));
    }

    #[test]
    fn what_may_follow_what() {
        let unknown = WatermarkState::Unknown;
        let low = mark("alice", slice(1, 0), slice(2, 0));
        let high = mark("alice", slice(2, 0), slice(3, 0));
        let other = mark("bob", slice(2, 0), slice(3, 0));
        assert!(unknown.may_become(&low) && unknown.may_become(&unknown));
        assert!(low.may_become(&low) && low.may_become(&high));
        assert!(!high.may_become(&low) && !low.may_become(&other) && !low.may_become(&unknown));
        assert_eq!(high.higher(low), high);
        assert_eq!(unknown.higher(low), low);
        let alice = AccountName::try_from("alice").unwrap();
        assert_eq!(low.of(&alice), low);
        assert_eq!(other.of(&alice), unknown);
    }

    #[test]
    fn copies_come_back_and_nothing_else_does() {
        for state in [WatermarkState::Unknown, mark("a.long-name.of-thirty-two.letter", slice(0, 0), slice(0, 0))]
            .into_iter()
            .chain([mark("bob", slice(u64::MAX, u32::MAX), slice(1, 2))])
        {
            let mut bytes = Vec::new();
            encode_watermark(&state, &mut bytes);
            assert_eq!(bytes.len(), WATERMARK_LEN);
            assert_eq!(decode_watermark(&bytes), Some(state));
            assert_eq!(decode_watermark(&bytes[1..]), None);
            for (at, value) in [(0, 2), (1, 33), (1, 40), (2 + NAME_LEN - 1, b'!')] {
                let mut bad = bytes.clone();
                bad[at] = value;
                assert_eq!(decode_watermark(&bad), None, "byte {at} = {value}");
            }
        }
    }
}
