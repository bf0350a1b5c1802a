//! The chain's words and their canonical bytes (PROTOCOL.md, "Words" and "Fields").
//!
//! Everything here is a value: no I/O, no clock. What two nodes must agree on is encoded by [`codec`] alone.

pub mod certificate;
pub mod codec;
pub mod confirm;
pub mod evidence;
pub mod genesis;
pub mod keys;
pub mod merkle;
pub mod message;
pub mod name;
pub mod receipt;
pub mod schedule;
pub mod slice;
pub mod transaction;
pub mod units;
pub mod verify;
pub mod vrf;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod samples;

pub use certificate::{Bitmap, Certificate, CertificateError, Quorum};
pub use codec::{Canonical, CodecError, Reader, Writer};
pub use confirm::{Confirm, ConfirmBody, verify_confirms};
pub use evidence::{Evidence, EvidenceError, Fault, SignedSlice};
pub use genesis::{
    DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisError, GenesisProducer, VestingPart, Weighting,
};
pub use keys::{Domain, Hash, HexError, KeyPair, PublicKey, Signature, Signer, to_hex};
pub use merkle::{MERKLE_PART_LEN, MERKLE_PATH_MAX, MerkleProof, merkle_root, merkle_root_of_parts, merkle_top};
pub use message::{
    ChainPiece, Digest, Gossip, Headers, Hello, Message, PieceEnd, RangeRequest, Roles, SliceBundle, SliceRequest,
    SliceStatus, Standing, Status, TransactionStatus,
};
pub use name::{AccountName, ActionName, NameError, PermissionName};
pub use receipt::{Event, Outcome, Receipt, RejectReason};
pub use schedule::{Epochs, Schedule, ScheduledProducer, Suffices};
pub use slice::{
    Beacon, Block, NextSchedule, ResultsCommitment, Slice, SliceBody, SliceRef, SliceRefError, SliceStatement,
    transactions_root,
};
pub use transaction::{Action, Authorisation, Transaction, TransactionBody, TransactionSignature, verify_transactions};
pub use units::{Amount, AmountError, ChainId, Epoch, Height, Slot};
pub use verify::{Batch, verify, verify_raw};
pub use vrf::{VrfOutput, VrfProof, VrfPublic, VrfSecret};
