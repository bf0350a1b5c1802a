//! Slices and blocks: the chain's content.
//!
//! Whether a slice is valid where it stands is consensus' business; here are its bytes, its id and its signature.

use core::fmt;
use core::str::FromStr;

use hpb_base::limits::{SLICE_LEN_MAX, SLICES_PER_SLOT_MAX};

use crate::certificate::Certificate;
use crate::codec::Canonical;
use crate::keys::{Domain, Hash, PublicKey, Signature, Signer};
use crate::merkle::merkle_root;
use crate::name::AccountName;
use crate::schedule::Schedule;
use crate::units::{ChainId, Epoch, Height, Slot};
use crate::verify::verify;
use crate::vrf::VrfProof;

/// Names one slice: what confirms and certificates link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SliceRef {
    /// The slice's slot and index.
    pub height: Height,
    /// The slice's id.
    pub id: Hash,
}

/// What the execution of a slice came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResultsCommitment {
    /// 0: BLAKE3 over the ordered receipts and the change set. Later schemes add state roots.
    pub scheme: u8,
    /// The commitment.
    pub hash: Hash,
}

/// A slot's part of the beacon, which orders the producers of coming epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beacon {
    /// None: every slice but a slot's first, and all slices of engines without a beacon.
    None,
    /// The producer's proof of [`Schedule::beacon_input`].
    Proof(VrfProof),
}

/// Whether a slice fixes the schedule of the epoch after its own ([`crate::Epochs::fixes`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NextSchedule {
    /// It does not.
    None,
    /// It does: this one.
    Fixed(Schedule),
}

/// What a slice's id covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceBody {
    /// Format version: 2.
    pub version: u8,
    /// The chain it belongs to.
    pub chain: ChainId,
    /// The epoch of the schedule that is in force: its own epoch's, or an earlier one's that stayed.
    pub epoch: Epoch,
    /// Its slot.
    pub slot: Slot,
    /// Its index in the slot, from 0.
    pub index: u32,
    /// Whether its producer marks it as the slot's last.
    pub last: bool,
    /// The id of the slice it builds on.
    pub parent: Hash,
    /// Who made it.
    pub producer: AccountName,
    /// The [`transactions_root`] of its transactions' ids.
    pub transactions_root: Hash,
    /// What their execution came to.
    pub results: ResultsCommitment,
    /// The highest certificate that the producer knows on this chain: the source of every confirm of this slice.
    pub source: Certificate,
    /// Its slot's part of the beacon.
    pub beacon: Beacon,
    /// The schedule that it fixes.
    pub next: NextSchedule,
}

/// What a slice's signature covers: short, so that two of them prove a fault whatever the slices hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceStatement {
    /// Format version: 1.
    pub version: u8,
    /// The epoch of the schedule in force.
    pub epoch: Epoch,
    /// The slice: its id covers the body.
    pub slice: SliceRef,
}

/// A hash-chained piece of a slot's block. Its transactions travel beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// What its id covers.
    pub body: SliceBody,
    /// The producer's signature of the statement that names it.
    pub signature: Signature,
}

/// The slices of one slot that the next block builds on. Its own certificate is never hashed into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The slot.
    pub slot: Slot,
    /// The previous block's id: its last slice's.
    pub previous: Hash,
    /// The slices' ids, in order; the last is the block's id.
    pub slices: Vec<Hash>,
}

crate::layout!(SliceRef { height, id });
crate::layout!(ResultsCommitment { scheme, hash });
crate::tagged!(Beacon { 0 => None, 1 => Proof(proof) });
crate::tagged!(NextSchedule { 0 => None, 1 => Fixed(schedule) });
crate::layout!(SliceStatement { version: version(SliceStatement::VERSION), epoch, slice });
crate::layout!(
    SliceBody
        <= SLICE_LEN_MAX {
            version: version(SliceBody::VERSION),
            chain,
            epoch,
            slot,
            index,
            last,
            parent,
            producer,
            transactions_root,
            results,
            source,
            beacon,
            next,
        }
);
crate::layout!(Slice <= SLICE_LEN_MAX { body, signature });
crate::layout!(Block { slot, previous, slices: list(1..=SLICES_PER_SLOT_MAX as usize) });

impl fmt::Display for SliceRef {
    /// `slot.index:id`, the id shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.id)
    }
}

impl SliceRef {
    /// The text form with the whole id, `slot.index:id`: what [`FromStr`] reads.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.height, self.id.to_hex())
    }
}

/// Why a text names no slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected slot.index:id, the id as 64 hex digits")]
pub struct SliceRefError;

impl FromStr for SliceRef {
    type Err = SliceRefError;

    /// Reads `slot.index:id`, the id in full.
    fn from_str(text: &str) -> Result<Self, SliceRefError> {
        let (height, id) = text.split_once(':').ok_or(SliceRefError)?;
        let (slot, index) = height.split_once('.').ok_or(SliceRefError)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(slot) || !is_number(index) {
            return Err(SliceRefError);
        }
        let slot = slot.parse().map_err(|_| SliceRefError)?;
        let index = index.parse().map_err(|_| SliceRefError)?;
        let id = Hash::from_hex(id).map_err(|_| SliceRefError)?;
        Ok(Self { height: Height::new(slot, index), id })
    }
}

impl SliceBody {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 2;

    /// Its slot and index.
    pub fn height(&self) -> Height {
        Height { slot: self.slot, index: self.index }
    }

    /// The slice's id.
    pub fn id(&self) -> Hash {
        Hash::of_parts("slice", &[&self.to_bytes()])
    }

    /// What its signature covers.
    pub fn statement(&self) -> SliceStatement {
        let slice = SliceRef { height: self.height(), id: self.id() };
        SliceStatement { version: SliceStatement::VERSION, epoch: self.epoch, slice }
    }
}

impl SliceStatement {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 1;

    /// Whether `signature` is `key`'s of this statement on `chain`.
    pub fn verify(&self, chain: &ChainId, key: &PublicKey, signature: &Signature) -> bool {
        verify(Domain::Slice, chain, &self.to_bytes(), key, signature)
    }
}

impl Slice {
    /// Signs `body` by its producer's key.
    pub fn sign(body: SliceBody, key: &dyn Signer) -> Self {
        let signature = key.sign(Domain::Slice, &body.chain, &body.statement().to_bytes());
        Self { body, signature }
    }

    /// Whether the signature is `key`'s, for the chain that the body names (which the caller compares with its own).
    pub fn verify(&self, key: &PublicKey) -> bool {
        self.body.statement().verify(&self.body.chain, key, &self.signature)
    }

    /// The body's id: the signature does not change it.
    pub fn id(&self) -> Hash {
        self.body.id()
    }

    /// Its height and id.
    pub fn reference(&self) -> SliceRef {
        SliceRef { height: self.body.height(), id: self.id() }
    }
}

impl Block {
    /// The last slice's id. A block has at least one slice, as decoding ensures; one without would not differ from its
    /// parent.
    pub fn id(&self) -> Hash {
        self.slices.last().copied().unwrap_or(self.previous)
    }
}

/// What a slice says about its transactions: the root, in the domain `transactions`, over their ids in order.
pub fn transactions_root(ids: impl IntoIterator<Item = Hash>) -> Hash {
    let ids: Vec<Hash> = ids.into_iter().collect();
    merkle_root(TRANSACTIONS, &ids)
}

/// The domain of the root over a slice's transactions.
pub const TRANSACTIONS: &str = "transactions";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyPair;
    use crate::samples;

    #[test]
    fn a_slice_is_its_producers() {
        let key = KeyPair::from_seed([1; 32]);
        let slice = Slice::sign(samples::slice_body(), &key);
        assert!(slice.verify(&key.public()));
        assert!(!slice.verify(&KeyPair::from_seed([2; 32]).public()));
        assert_eq!(slice.reference(), SliceRef { height: Height::new(7, 3), id: slice.id() });
    }

    #[test]
    fn every_field_of_the_body_is_signed_and_named() {
        let key = KeyPair::from_seed([1; 32]);
        let good = Slice::sign(samples::slice_body(), &key);
        let changes: [fn(&mut SliceBody); 12] = [
            |body| body.chain.0.0[0] ^= 1,
            |body| body.epoch.0 += 1,
            |body| body.slot.0 += 1,
            |body| body.index += 1,
            |body| body.last = !body.last,
            |body| body.parent.0[0] ^= 1,
            |body| body.producer = AccountName::literal("mallory"),
            |body| body.transactions_root.0[0] ^= 1,
            |body| body.results.scheme += 1,
            |body| body.source.quorums[0].epoch = Epoch(9),
            |body| body.beacon = Beacon::None,
            |body| body.next = NextSchedule::None,
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed.body);
            assert!(!changed.verify(&key.public()));
            assert_ne!(changed.id(), good.id());
        }
    }

    #[test]
    fn the_id_covers_the_body_alone() {
        let (one, other) = (KeyPair::from_seed([1; 32]), KeyPair::from_seed([2; 32]));
        assert_eq!(Slice::sign(samples::slice_body(), &one).id(), Slice::sign(samples::slice_body(), &other).id());
    }

    #[test]
    fn a_block_is_named_by_its_last_slice() {
        let block = samples::block();
        assert_eq!(Some(&block.id()), block.slices.last());
        let empty = Block { slices: Vec::new(), ..block };
        assert_eq!(Block::from_bytes(&empty.to_bytes()), Err(crate::CodecError::Count));
    }

    #[test]
    fn a_slices_name_is_read_back_from_its_text_and_nothing_else_is() {
        let slice = SliceRef { height: Height::new(7, 3), id: Hash::of(b"slice") };
        assert_eq!(slice.to_text().parse(), Ok(slice));
        let id = slice.id.to_hex();
        let wrong = [
            slice.to_string(),
            String::new(),
            format!("7:{id}"),
            format!("7.3.{id}"),
            format!("+7.3:{id}"),
            format!("7.-3:{id}"),
            format!(".3:{id}"),
            format!("7.:{id}"),
            format!("7.3:{id}0"),
            format!("7.4294967296:{id}"),
            format!(" 7.3:{id}"),
        ];
        for text in wrong {
            assert_eq!(text.parse::<SliceRef>(), Err(SliceRefError), "{text:?}");
        }
    }

    #[test]
    fn the_root_knows_order_and_number() {
        let (a, b) = (Hash::of(b"a"), Hash::of(b"b"));
        let roots =
            [transactions_root([]), transactions_root([a]), transactions_root([a, b]), transactions_root([b, a])];
        for (index, root) in roots.iter().enumerate() {
            assert!(!roots[..index].contains(root));
        }
    }
}
