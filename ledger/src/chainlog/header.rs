//! A segment's first block: what it is, where the segment before it ends, and the watermark at its start.
//!
//! Layout, little-endian: magic 8, format u32, segment u32, chain 32, salt 32, length u64, first batch's number u64,
//! highest slice in the segments before (slot u64, index u32), end of the segment before u64 (0 for the first),
//! watermark 122; then BLAKE3 over all of it cut to 8 bytes, then zeros to the end of the block.

use hpb_types::{ChainId, Hash, Height, Slot};

use super::LogError;
use super::record::{BLOCK_LEN, Salt};
use crate::watermark::{WATERMARK_LEN, WatermarkState, decode_watermark, encode_watermark};

/// The newest format that this program reads and the one that it writes.
pub const LOG_FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"HPB-LOG\n";
const FIELDS_LEN: usize = 8 + 4 + 4 + 32 + 32 + 8 + 8 + 12 + 8 + WATERMARK_LEN;
const CHECKSUM_LEN: usize = 8;

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) segment: u32,
    pub(super) chain: ChainId,
    pub(super) salt: Salt,
    /// The segment's whole length in bytes.
    pub(super) length: u64,
    /// The number of its first batch.
    pub(super) first_batch: u64,
    /// The highest slice in all segments before; the lowest height where there is none.
    pub(super) height_before: Height,
    /// Where the good bytes of the segment before end.
    pub(super) previous_end: u64,
    /// The watermark before its first batch.
    pub(super) watermark: WatermarkState,
}

impl Header {
    /// The whole first block.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_LEN as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&LOG_FORMAT.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.chain.0.0);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.first_batch.to_le_bytes());
        out.extend_from_slice(&self.height_before.slot.0.to_le_bytes());
        out.extend_from_slice(&self.height_before.index.to_le_bytes());
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        encode_watermark(&self.watermark, &mut out);
        let sum = blake3::hash(&out);
        out.extend_from_slice(&sum.as_bytes()[..CHECKSUM_LEN]);
        out.resize(BLOCK_LEN as usize, 0);
        out
    }

    /// Reads the first block of `segment` in the folder called `path`. The format is judged before anything that
    /// another format may have changed.
    ///
    /// # Errors
    /// [`LogError::NewerFormat`]; [`LogError::Damaged`] for bytes that [`encode`](Self::encode) never writes.
    pub(super) fn decode(block: &[u8], segment: u32, path: &str) -> Result<Self, LogError> {
        let damaged = |what| LogError::Damaged { path: path.to_owned(), segment, offset: 0, what };
        let (magic, rest) = block.split_first_chunk::<8>().ok_or_else(|| damaged("its header is cut off"))?;
        if *magic != MAGIC {
            return Err(damaged("it does not begin as a segment does"));
        }
        let (format, _) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("its header is cut off"))?;
        let format = u32::from_le_bytes(*format);
        if format > LOG_FORMAT {
            return Err(LogError::NewerFormat { path: path.to_owned(), segment, found: format, known: LOG_FORMAT });
        }
        let header = Self::fields(block).filter(|header| header.segment == segment && header.encode() == block);
        header.ok_or_else(|| damaged("its header's checksum does not hold"))
    }

    fn fields(block: &[u8]) -> Option<Self> {
        let mut rest = block.get(12..FIELDS_LEN)?;
        let header = Self {
            segment: u32::from_le_bytes(take(&mut rest)?),
            chain: ChainId(Hash(take(&mut rest)?)),
            salt: take(&mut rest)?,
            length: u64::from_le_bytes(take(&mut rest)?),
            first_batch: u64::from_le_bytes(take(&mut rest)?),
            height_before: Height {
                slot: Slot(u64::from_le_bytes(take(&mut rest)?)),
                index: u32::from_le_bytes(take(&mut rest)?),
            },
            previous_end: u64::from_le_bytes(take(&mut rest)?),
            watermark: decode_watermark(rest)?,
        };
        Some(header)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let header = Header {
            segment: 3,
            chain: ChainId(Hash([7; 32])),
            salt: [9; 32],
            length: 1 << 20,
            first_batch: 77,
            height_before: Height { slot: Slot(5), index: 6 },
            previous_end: 8_192,
            watermark: WatermarkState::Unknown,
        };
        let block = header.encode();
        assert_eq!(block.len() as u64, BLOCK_LEN);
        assert_eq!(Header::decode(&block, 3, "p").unwrap(), header);
        assert!(Header::decode(&block, 4, "p").is_err());
        for at in 0..block.len() {
            let mut bad = block.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(Header::decode(&bad, 3, "p").is_err(), "byte {at}");
            assert!(Header::decode(&block[..at], 3, "p").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_named_before_its_fields_are_judged() {
        let mut block = vec![0xFF; BLOCK_LEN as usize];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&(LOG_FORMAT + 1).to_le_bytes());
        let refusal = Header::decode(&block, 1, "p").unwrap_err();
        assert!(matches!(refusal, LogError::NewerFormat { found: 2, known: 1, .. }), "{refusal}");
    }
}
