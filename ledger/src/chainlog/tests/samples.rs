//! Records and logs that the tests share.

use hpb_base::Instant;
use hpb_types::{
    AccountName, Action, ActionName, Amount, Authorisation, Beacon, Bitmap, Certificate, ChainId, Confirm, ConfirmBody,
    Epoch, Hash, Height, NextSchedule, PermissionName, PublicKey, Quorum, ResultsCommitment, Signature, Slice,
    SliceBody, SliceRef, Slot, Transaction, TransactionBody, TransactionSignature,
};
use proptest::prelude::*;

use super::super::*;
use crate::watermark::Watermark;

pub(super) const CHAIN: ChainId = ChainId(Hash([7; 32]));
pub(super) const SALT: Salt = [42; 32];
pub(super) const BLOCK: u64 = BLOCK_LEN;

pub(super) fn clock() -> Clock {
    Box::new(|| Instant::ZERO)
}

pub(super) fn options(blocks: u64) -> LogOptions {
    LogOptions { chain: CHAIN, segment_len: blocks * BLOCK }
}

/// A new log in `disk` whose segments have `blocks` blocks and whose producer has never confirmed.
pub(super) fn memory_log(disk: &MemoryFolder, blocks: u64) -> ChainLog {
    ChainLog::create(Box::new(disk.clone()), options(blocks), SALT, known(0), clock()).unwrap()
}

/// Opens what `disk` holds, with segments of 4 blocks from now on.
pub(super) fn reopen(disk: &MemoryFolder) -> Result<(ChainLog, Recovery), LogError> {
    ChainLog::open(Box::new(disk.clone()), options(4), clock())
}

pub(super) fn replayed(log: &mut ChainLog, from: Option<SliceRef>) -> Result<Vec<Entry>, LogError> {
    let mut entries = Vec::new();
    let count = log.replay(from, &mut |entry| entries.push(entry))?;
    assert_eq!(count, entries.len() as u64);
    Ok(entries)
}

pub(super) fn mark(slot: u64) -> Watermark {
    let at = |slot: u64| SliceRef { height: Height { slot: Slot(slot), index: 0 }, id: Hash([slot as u8; 32]) };
    let producer = AccountName::new("alice").unwrap();
    Watermark { producer, source: at(slot.saturating_sub(1)), target: at(slot) }
}

pub(super) fn known(slot: u64) -> WatermarkState {
    WatermarkState::Known(mark(slot))
}

/// A batch that holds nothing but the watermark of `slot`.
pub(super) fn mark_batch(slot: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.set_watermark(mark(slot));
    batch
}

/// A slice whose one transaction carries `padding` bytes, and its name.
pub(super) fn slice(slot: u64, index: u32, padding: usize) -> (Record, SliceRef) {
    let slice = slice_of(slot, index, [slot as u8; 32], certificate_of(slot.saturating_sub(1), &[0, 9]));
    let reference = slice.reference();
    (Record::Slice { slice, transactions: vec![transaction_of(vec![0xEE; padding], slot)] }, reference)
}

/// That slice, and that it is final.
pub(super) fn slice_batch(slot: u64, index: u32, padding: usize) -> LogBatch {
    let mut batch = LogBatch::new();
    let (record, reference) = slice(slot, index, padding);
    batch.push(&record).unwrap();
    batch.push(&Record::Final(reference)).unwrap();
    batch
}

pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let height = (1_u64..1_000, 0_u32..50);
    prop_oneof![
        (height.clone(), any::<[u8; 32]>(), prop::collection::vec(any_transaction(), 0..4)).prop_map(
            |((slot, index), parent, transactions)| {
                let slice = slice_of(slot, index, parent, certificate_of(slot, &[1, 2, 100]));
                Record::Slice { slice, transactions }
            }
        ),
        (height.clone(), any::<[u8; 32]>())
            .prop_map(|((slot, index), id)| Record::Confirm(confirm_of(slot, index, id))),
        (1_u64..1_000, prop::collection::btree_set(0_usize..101, 0..9)).prop_map(|(slot, signers)| {
            Record::Certificate(certificate_of(slot, &signers.into_iter().collect::<Vec<_>>()))
        }),
        (height, any::<[u8; 32]>()).prop_map(|((slot, index), id)| {
            Record::Final(SliceRef { height: Height { slot: Slot(slot), index }, id: Hash(id) })
        }),
    ]
}

fn any_transaction() -> impl Strategy<Value = Transaction> {
    (prop::collection::vec(any::<u8>(), 0..400), any::<u64>())
        .prop_map(|(arguments, salt)| transaction_of(arguments, salt))
}

fn slice_of(slot: u64, index: u32, parent: [u8; 32], source: Certificate) -> Slice {
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: CHAIN,
        epoch: Epoch(0),
        slot: Slot(slot),
        index,
        last: index > 40,
        parent: Hash(parent),
        producer: AccountName::new("alice").unwrap(),
        transactions_root: Hash([3; 32]),
        results: ResultsCommitment { scheme: 0, hash: Hash([4; 32]) },
        source,
        beacon: Beacon::None,
        next: NextSchedule::None,
    };
    Slice { body, signature: Signature([5; 64]) }
}

fn transaction_of(arguments: Vec<u8>, salt: u64) -> Transaction {
    let alice = AccountName::new("alice").unwrap();
    let permission = PermissionName::new("active").unwrap();
    let action = ActionName::new("transfer").unwrap();
    let body = TransactionBody {
        version: 1,
        chain: CHAIN,
        payer: alice,
        authorisations: vec![Authorisation { account: alice, permission }],
        actions: vec![Action { contract: AccountName::new("token").unwrap(), action, arguments }],
        expiry_ms: 1,
        fee_limit: Amount(1),
        salt,
    };
    let signature = TransactionSignature::Ed25519 { key: PublicKey([6; 32]), signature: Signature([7; 64]) };
    Transaction { body, signatures: vec![signature] }
}

fn confirm_of(slot: u64, index: u32, id: [u8; 32]) -> Confirm {
    let target = SliceRef { height: Height { slot: Slot(slot), index }, id: Hash(id) };
    let source = SliceRef { height: Height::default(), id: Hash([1; 32]) };
    let producer = AccountName::new("bob").unwrap();
    let body = ConfirmBody { version: 1, chain: CHAIN, epoch: Epoch(2), source, target, producer };
    Confirm { body, signature: Signature([8; 64]) }
}

fn certificate_of(slot: u64, signers: &[usize]) -> Certificate {
    let at = |slot: u64| SliceRef { height: Height { slot: Slot(slot), index: 0 }, id: Hash([slot as u8; 32]) };
    let mut producers = Bitmap::default();
    for signer in signers {
        assert!(producers.insert(*signer));
    }
    let signatures = vec![Signature([9; 64]); signers.len()];
    Certificate {
        source: at(slot),
        target: at(slot + 1),
        quorums: vec![Quorum { epoch: Epoch(0), producers, signatures }],
    }
}
