#![allow(clippy::unwrap_used)]

use hpb_base::Instant;
use hpb_ledger::chainlog::{LogBatch, LogOptions, MemoryFolder};
use hpb_ledger::dpos::report_action;
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_types::{
    Amount, Beacon, Certificate, Genesis, KeyPair, ResultsCommitment, ScheduledProducer, SignedSlice, SliceBody,
    SliceStatement, Slot, TransactionBody,
};

use super::*;
use crate::plan::{EngineKind, Plan, Times};
use crate::workload::{FITTED, Workload};

/// A chain of four that a log is written for.
struct Writer {
    genesis: Genesis,
    log: ChainLog,
    signer: KeyPair,
}

impl Writer {
    fn new() -> Self {
        let times = Times { genesis_ms: 1, slot_ms: 600, slice_ms: 50, epoch_slots: None, delay_ms: 0 };
        let genesis =
            Plan::new(1, 4, 1, times, EngineKind::Dpos, &Workload::drawn(&FITTED, 1, 1).unwrap(), 1).unwrap().genesis;
        let mark = Watermark::never_confirmed(name(0), genesis.genesis_slice());
        let log = ChainLog::create(
            Box::new(MemoryFolder::new()),
            LogOptions::new(genesis.chain_id()),
            [1; 32],
            WatermarkState::Known(mark),
            Box::new(|| Instant::ZERO),
        );
        Self { log: log.unwrap(), signer: KeyPair::from_seed([9; 32]), genesis }
    }

    /// Writes a slice on `parent` that fixes a schedule or carries reports.
    fn slice(
        &mut self,
        parent: SliceRef,
        slot: u64,
        next: Option<(u64, &[usize])>,
        reports: &[(usize, u64)],
    ) -> SliceRef {
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: self.genesis.chain_id(),
            epoch: Epoch(0),
            slot: Slot(slot),
            index: 0,
            last: false,
            parent: parent.id,
            producer: name(0),
            transactions_root: Hash::ZERO,
            results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
            source: Certificate::genesis(self.genesis.genesis_slice()),
            beacon: Beacon::None,
            next: next
                .map_or(NextSchedule::None, |(epoch, members)| NextSchedule::Fixed(self.schedule(epoch, members))),
        };
        let slice = Slice::sign(body, &self.signer);
        let transactions: Vec<Transaction> = reports.iter().map(|(by, place)| self.report(*by, *place)).collect();
        let mut batch = LogBatch::new();
        batch.push_slice(&slice, &transactions).unwrap();
        self.log.append(&batch).unwrap();
        slice.reference()
    }

    fn finalise(&mut self, slice: SliceRef) {
        let mut batch = LogBatch::new();
        batch.push(&Record::Final(slice)).unwrap();
        self.log.append(&batch).unwrap();
    }

    fn schedule(&self, epoch: u64, members: &[usize]) -> Schedule {
        let members = members.iter().map(|index| {
            let producer = &self.genesis.producers[*index];
            ScheduledProducer { name: producer.name, key: producer.key, beacon: producer.beacon, weight: 1 }
        });
        Schedule::draw(Epoch(epoch), Hash::ZERO, members.collect())
    }

    fn report(&self, by: usize, place: u64) -> Transaction {
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: self.genesis.chain_id(),
            payer: name(by),
            authorisations: Vec::new(),
            actions: vec![report_action(name(by), evidence(place))],
            expiry_ms: 1,
            fee_limit: Amount(1),
            salt: by as u64,
        };
        Transaction::sign(body, &[&self.signer])
    }

    fn read(&mut self) -> History {
        History::read(&self.genesis, &mut self.log).unwrap()
    }
}

fn name(index: usize) -> AccountName {
    AccountName::new(&format!("validator-{index}")).unwrap()
}

/// Two slices of validator 3 in that slot.
fn evidence(slot: u64) -> Evidence {
    let word = |id| {
        let slice = SliceRef { height: Height { slot: Slot(slot), index: 2 }, id: Hash([id; 32]) };
        let statement = SliceStatement { version: SliceStatement::VERSION, epoch: Epoch(0), slice };
        SignedSlice { statement, signature: hpb_types::Signature([0; 64]) }
    };
    Evidence::TwoSlices { producer: name(3), first: word(1), second: word(2) }
}

fn hash(slot: u64) -> Hash {
    Hash::of_parts("evidence", &[&evidence(slot).to_bytes()])
}

#[test]
fn the_first_report_on_the_final_chain_counts() {
    let mut writer = Writer::new();
    let genesis = writer.genesis.genesis_slice();
    let first = writer.slice(genesis, 1, None, &[]);
    let fork = writer.slice(first, 2, None, &[(2, 7), (2, 8)]);
    let main = writer.slice(first, 3, None, &[(0, 7), (1, 7)]);
    let later = writer.slice(main, 4, None, &[(1, 7)]);
    let open = writer.slice(later, 5, None, &[(1, 9)]);
    assert_eq!(writer.read().report(&hash(7)), None, "nothing is final");
    writer.finalise(later);
    let history = writer.read();
    let place = Height { slot: Slot(7), index: 2 };
    assert_eq!(history.report(&hash(7)), Some(&Reported { reporter: name(0), place }));
    assert_eq!(history.report(&hash(8)), None, "a fork's: {fork}");
    assert_eq!(history.report(&hash(9)), None, "not final: {open}");
    writer.finalise(open);
    assert_eq!(writer.read().report(&hash(9)).map(|report| report.reporter), Some(name(1)));
}

#[test]
fn one_is_out_from_the_first_of_the_schedules_without_it() {
    let mut writer = Writer::new();
    let mut parent = writer.genesis.genesis_slice();
    let table: [(u64, &[usize], Option<u64>); 5] = [
        // Genesis has it: the very first schedule may be without it.
        (1, &[0, 1, 2], Some(1)),
        (2, &[0, 1, 2], Some(1)),
        (3, &[0, 1, 2, 3], None),
        (4, &[0, 1, 3], None),
        (5, &[0, 1, 2], Some(5)),
    ];
    for (epoch, members, expected) in table {
        writer.slice(parent, 10 * epoch, Some((epoch, &[0])), &[]);
        parent = writer.slice(parent, 10 * epoch + 1, Some((epoch, members)), &[]);
        writer.finalise(parent);
        let history = writer.read();
        assert_eq!(history.out_from(&name(3)), expected.map(Epoch), "{epoch}");
        assert_eq!(history.out_from(&name(0)), None, "{epoch}");
    }
    assert_eq!(writer.read().out_from(&name(2)), None, "it came back");
    assert_eq!(writer.read().out_from(&name(9)), None, "never in one");
}
