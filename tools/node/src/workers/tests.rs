#![allow(clippy::unwrap_used)]

mod lanes;
mod local;
mod world;

use hpb_base::Instant;
use hpb_base::limits::LAST_GOODBYE_MS_MAX;
use hpb_ledger::FinalPoint;
use hpb_ledger::chainlog::{MemoryFolder, Record};
use hpb_net::wire::WireBuilder;
use hpb_toe::{Class, Group, SessionId};
use hpb_types::message::diagnose::{Goodbye, Parting};
use hpb_types::message::{Message, Status};
use hpb_types::{Confirm, ConfirmBody, Height, RejectReason, Signature, SliceRef};

use super::*;
use crate::runtime::{Activity, Options, Parker, StopFlag, Worker, cores_allowed, link};
use crate::topology::{Demand, Topology, WhenFull};
use crate::verify::{Origin, Request, Verdict};
use world::{Disk, World, address, core, core_config, failures, genesis, lane_config, listen, log, transfer};

fn small<T>(depth: usize) -> (Sender<T>, Receiver<T>) {
    let parker = Parker::new().unwrap();
    link(depth, WhenFull::BackPressure, parker.clone(), parker)
}

/// A number of milliseconds after the start.
fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn a_transaction_goes_the_whole_way_through_the_workers_of_all_validators() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_500));
    for handle in &world.handles {
        assert_eq!(handle.chain.read().validators_open, 3);
    }
    let transactions: Vec<_> = (0..20).map(|salt| transfer(&world.genesis, salt)).collect();
    for transaction in &transactions {
        world.outbox.borrow_mut().push_back(Message::SubmitTransaction(Box::new(transaction.clone())));
        world.run_for(Duration::from_millis(30));
    }
    let mut unsigned = transactions[0].clone();
    unsigned.signatures.clear();
    world.outbox.borrow_mut().push_back(Message::SubmitTransaction(Box::new(unsigned)));
    world.run_for(Duration::from_secs(2));
    world.finish();
    assert!(world.failures.borrow().is_empty(), "{:?}", world.failures.borrow());

    let seen = world.seen.borrow();
    let told = |wanted| {
        let statuses = seen.iter().filter_map(move |message| match message {
            Message::TransactionStatus(told) if told.id == wanted => Some(told.status),
            _ => None,
        });
        statuses.collect::<Vec<_>>()
    };
    let final_told = seen.iter().rev().find_map(|message| match message {
        Message::Digest(digest) => Some(digest.final_slice),
        _ => None,
    });
    for transaction in &transactions[1..] {
        let statuses = told(transaction.id());
        let [Status::Received, Status::Included(slice, _)] = statuses[..] else { panic!("{statuses:?}") };
        assert!(final_told.unwrap().height >= slice.height);
    }
    assert_eq!(told(transactions[0].id()).last(), Some(&Status::Rejected(RejectReason::BadSignature)));

    let closing: Vec<Closing> = world.handles.iter().map(|handle| handle.chain.read().closing.unwrap()).collect();
    for (handle, closing) in world.handles.iter().zip(&closing) {
        let chain = handle.chain.read();
        assert_eq!((chain.stats.final_transactions, chain.stats.executed), (20, 20), "each executes its own");
        assert!(chain.final_told.height <= chain.final_known.height && chain.waiting_count == 0);
        assert!(closing.supply.is_conserved());
        let verify = handle.verifiers[0].read();
        assert!(verify.counters.transactions >= 20 && verify.handshake_steps >= 3, "{verify:?}");
        let (log, store) = (handle.log.read(), handle.store.read());
        assert!(log.last_batch > 20 && log.times.count() == log.last_batch);
        assert!(store.times.count() >= 2 && store.keys > 0);
        let lane = handle.lanes[0].read();
        assert_eq!((lane.validators, lane.jobs, lane.digest_interval), (3, 0, Duration::from_millis(50)));
    }
    let same_place = closing.iter().filter(|other| other.slice == closing[0].slice);
    assert!(same_place.clone().all(|other| other.root == closing[0].root) && same_place.count() >= 1);
    assert_eq!(world.handles[0].lanes[0].read().terminals, 1);
}

#[test]
fn a_validator_that_ends_tells_its_peers_why_and_they_go_on_without_it() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_500));
    let before = world.handles[1].chain.read().final_told;
    let took = world.end_first();
    assert!(took < Duration::from_millis(LAST_GOODBYE_MS_MAX), "{took:?}");
    let goodbye = Message::Goodbye(Goodbye::because(Parting::SHUTDOWN));
    assert_eq!(world.seen.borrow().last(), Some(&goodbye), "the terminal");
    world.finish_first();
    let lane = world.handles[0].lanes[0].read();
    assert_eq!((lane.sessions, lane.validators, lane.terminals), (0, 0, 0));
    world.run_for(Duration::from_secs(2));
    for handle in &world.handles[1..] {
        assert_eq!(handle.chain.read().validators_open, 2);
        assert_eq!(handle.lanes[0].read().counters.resets, 0);
        assert!(handle.chain.read().final_told > before, "three of four go on");
    }
}

#[test]
fn the_same_turns_give_the_same_chain() {
    let run = || {
        let mut world = World::new(2);
        world.run_for(Duration::from_secs(2));
        world.handles[0].chain.read()
    };
    let first = run();
    assert!(first.stats.final_slices > 5, "{first:?}");
    assert_eq!(first, run());
}

fn bad_confirm(slot: u64) -> Request {
    let genesis = genesis(1);
    let target = SliceRef { height: Height::new(slot, 0), id: genesis.genesis_slice().id };
    let body = ConfirmBody {
        version: ConfirmBody::VERSION,
        chain: genesis.chain_id(),
        epoch: genesis.schedule().epoch,
        source: genesis.genesis_slice(),
        target,
        producer: world::producer_name(0),
    };
    Request::Confirm(Box::new(Confirm { body, signature: Signature([0; 64]) }))
}

#[test]
fn verdicts_come_in_order_and_wait_for_room() {
    let genesis = genesis(1);
    let (mut requests_out, requests) = small(256);
    let (verdicts_out, mut verdicts) = small(1);
    let links = VerifyLinks { requests, verdicts: verdicts_out, lanes: Vec::new() };
    let (publisher, readout) = Publisher::new(VerifyReadout::default());
    let mut worker = VerifyWorker::new(Verify::new(&genesis), links, publisher);
    assert_eq!(worker.turn(at(1)), Activity::Idle);
    let good = transfer(&genesis, 1);
    let mut forged = transfer(&genesis, 2);
    forged.signatures.clone_from(&good.signatures);
    requests_out.try_send(Request::Transactions(Origin::Gossip, vec![good, forged])).unwrap();
    for slot in 0..100 {
        requests_out.try_send(bad_confirm(slot)).unwrap();
    }
    for turn in 0..200 {
        let found = worker.turn(at(200 + turn));
        if turn < 5 {
            assert_eq!(requests_out.depth() - requests_out.room(), 101 - 63, "one batch, then none without room");
            assert_eq!(found, if turn == 0 { Activity::Busy } else { Activity::Idle });
        }
        if turn < 5 {
            continue;
        }
        match verdicts.pop() {
            Some(Input::Verdict(Verdict::Transactions(Origin::Gossip, judged))) => {
                assert_eq!((turn, judged.len()), (5, 2));
                assert!(judged[0].is_ok() && judged[1].is_err());
            }
            Some(Input::Verdict(Verdict::Refused)) => assert!(turn > 5),
            Some(_) => panic!("another verdict"),
            None => assert!(turn > 105, "turn {turn}"),
        }
    }
    worker.finish(at(1_000));
    let counters = readout.read().counters;
    assert_eq!((counters.transactions, counters.confirms, counters.refused), (2, 100, 100));
    assert_eq!(readout.read().batches, 2);
}

/// A validator alone, its two lanes, log and store played by the test.
struct Alone {
    chain: ChainWorker<Disk>,
    commands: Receiver<Command>,
    inputs: Sender<Input>,
    second_commands: Receiver<Command>,
    second_inputs: Sender<Input>,
    /// What the second lane was told.
    second_told: Vec<Command>,
    local: (Sender<Input>, Receiver<super::ToApi>),
    requests: Receiver<Request>,
    _verdicts: Sender<Input>,
    entries: Receiver<LogEntry>,
    synced: Sender<Input>,
    _store: (Receiver<Box<FinalBatch>>, Sender<Input>),
    disk: Disk,
    said: std::rc::Rc<std::cell::RefCell<Vec<String>>>,
    readout: Readout<ChainReadout>,
}

impl Alone {
    fn new(commands_depth: usize, requests_depth: usize) -> Self {
        let (genesis, disk) = (genesis(1), Disk::default());
        let mut log = log(&genesis, 0, &MemoryFolder::new());
        let core = core(&genesis, 0, &mut log, &disk, at(0));
        let (commands_out, commands) = small(commands_depth);
        let (inputs, inputs_in) = small(64);
        let (second_out, second_commands) = small(1_024);
        let (second_inputs, second_in) = small(64);
        let (requests_out, requests) = small(requests_depth);
        let (verdicts, verdicts_in) = small(64);
        let (entries_out, entries) = small(4);
        let (synced, synced_in) = small(4);
        let (store, batches) = small(4);
        let (committed, committed_in) = small(4);
        let (local_inputs, local_in) = small(64);
        let (local_out, local_commands) = small(2);
        let links = ChainLinks {
            lanes: vec![(inputs_in, commands_out), (second_in, second_out)],
            local: (local_in, local_out),
            verifiers: vec![(requests_out, verdicts_in)],
            log: entries_out,
            synced: synced_in,
            store,
            committed: committed_in,
        };
        let (fail, said) = failures();
        let (publisher, readout) = Publisher::new(ChainReadout::starting(genesis.genesis_slice()));
        let chain = ChainWorker::new(core, links, fail, publisher);
        Self {
            chain,
            commands,
            inputs,
            second_commands,
            second_inputs,
            second_told: Vec::new(),
            local: (local_inputs, local_commands),
            requests,
            _verdicts: verdicts,
            entries,
            synced,
            _store: (batches, committed),
            disk,
            said,
            readout,
        }
    }

    /// Turns of a millisecond each, with a disk that takes no time.
    fn run(&mut self, millis: std::ops::Range<u64>) {
        for now in millis {
            self.chain.turn(at(now));
            self.second_told.extend(std::iter::from_fn(|| self.second_commands.pop()));
            while let Some(entry) = self.entries.pop() {
                let LogEntry::Write { number, .. } = entry else { panic!("nobody asks for slices") };
                self.synced.try_send(Input::Synced { number }).unwrap();
            }
        }
    }

    /// Index and slot of every slice sent to the validators since the last time.
    fn slices(&mut self) -> Vec<(u64, u32)> {
        let commands = std::iter::from_fn(|| self.commands.pop());
        let slices = commands.filter_map(|command| match command {
            Command::Broadcast { group: Group::Validators, message, .. } => {
                Message::decode(message[4], &message[5..]).ok()
            }
            _ => None,
        });
        let heights = slices.filter_map(|message| match message {
            Message::SliceBundle(bundle) => Some((bundle.slice.body.slot.0, bundle.slice.body.index)),
            _ => None,
        });
        heights.collect()
    }
}

#[test]
fn a_core_waits_for_room_on_its_lane_and_nothing_it_said_is_lost() {
    let mut alone = Alone::new(1, 64);
    alone.run(0..2_000);
    assert!(alone.commands.watch().read().refused > 0, "the link was full");
    assert_eq!(alone.chain.wake_at().filter(|wish| *wish <= at(2_000)), None, "no spinning while it is");
    let mut slices = Vec::new();
    for now in 2_000..4_000 {
        alone.run(now..now + 1);
        slices.extend(alone.slices());
    }
    assert!(slices.len() > 20, "{slices:?}");
    for pair in slices.windows(2) {
        let next_index = pair[1] == (pair[0].0, pair[0].1 + 1);
        let next_slot = pair[1].0 > pair[0].0 && pair[1].1 == 0;
        assert!(next_index || next_slot, "{pair:?}");
    }
    alone.chain.finish(at(4_000));
    let readout = alone.readout.read();
    assert!(readout.stats.final_slices > 10 && readout.closing.is_some(), "{readout:?}");
}

#[test]
fn a_full_verifier_makes_terminals_wait_and_not_the_chain() {
    let mut alone = Alone::new(1_024, 1);
    alone.run(0..1);
    let first = alone.requests.pop();
    assert!(matches!(first, Some(Request::Schedules(_))), "by whose keys to judge comes first");
    let session = SessionId { index: 3, generation: 0 };
    alone.inputs.try_send(Input::Opened { session, peer: None, class: Class::Terminal }).unwrap();
    let genesis = genesis(1);
    for salt in 0..40 {
        let message = Message::SubmitTransaction(Box::new(transfer(&genesis, salt)));
        let input = Input::Message { session, kind: message.kind(), body: message.encode() };
        alone.inputs.try_send(input).unwrap();
    }
    alone.run(1..1_500);
    // One is in the link, one waits for room, one found that out.
    let waiting = alone.inputs.depth() - alone.inputs.room();
    assert_eq!(waiting, 38, "what does not fit stays in the lane's link");
    assert!(alone.slices().len() > 10, "the chain goes on");
    let mut taken = 0;
    for now in 1_500..1_600 {
        taken += alone.requests.drain(usize::MAX).count();
        alone.run(now..now + 1);
    }
    assert_eq!(taken, 40);
}

#[test]
fn each_session_is_answered_by_its_lane_and_broadcasts_go_to_all() {
    let mut alone = Alone::new(1_024, 64);
    let of_lane = |lane| lane::outside(lane, SessionId { index: 3, generation: 0 });
    let opened = |lane| Input::Opened { session: of_lane(lane), peer: None, class: Class::Terminal };
    alone.second_inputs.try_send(opened(1)).unwrap();
    alone.run(1..2);
    let sessions = |told: &[Command]| {
        let sessions = told.iter().filter_map(|command| match command {
            Command::Send { session, .. } | Command::Join { session, .. } => Some(*session),
            _ => None,
        });
        sessions.collect::<Vec<_>>()
    };
    assert_eq!(sessions(&alone.second_told), [of_lane(1); 2]);
    alone.inputs.try_send(opened(0)).unwrap();
    alone.run(2..2_000);
    let first_told: Vec<Command> = std::iter::from_fn(|| alone.commands.pop()).collect();
    assert_eq!((sessions(&first_told), sessions(&alone.second_told)), (vec![of_lane(0); 2], vec![of_lane(1); 2]));
    let broadcasts = |told: &[Command]| {
        let messages = told.iter().filter_map(|command| match command {
            Command::Broadcast { message, .. } => Some(message.clone()),
            _ => None,
        });
        messages.collect::<Vec<_>>()
    };
    assert!(broadcasts(&first_told).len() > 20);
    assert_eq!(broadcasts(&first_told), broadcasts(&alone.second_told));
}

#[test]
fn digests_keep_the_pace_of_the_slowest_lane() {
    let mut alone = Alone::new(1_024, 64);
    let told = |alone: &mut Alone, second: bool, millis| {
        let lane = if second { &mut alone.second_inputs } else { &mut alone.inputs };
        lane.try_send(Input::DigestInterval(Duration::from_millis(millis))).unwrap();
        alone.run(1..2);
        alone.chain.finish(at(2));
        alone.readout.read().digest_interval.as_millis()
    };
    assert_eq!(told(&mut alone, false, 100), 100);
    assert_eq!(told(&mut alone, true, 70), 100);
    assert_eq!(told(&mut alone, false, 60), 70);
}

#[test]
fn a_core_that_must_stop_ends_the_runtime_with_its_words() {
    let mut alone = Alone::new(1_024, 64);
    alone.disk.break_it();
    alone.run(0..3_000);
    assert_eq!(alone.said.borrow().len(), 1);
    assert!(alone.said.borrow()[0].contains("full"), "{:?}", alone.said.borrow());
    assert_eq!((alone.chain.turn(at(3_001)), alone.chain.wake_at()), (Activity::Idle, None));
}

fn log_entry(number: u64) -> LogEntry {
    let mut batch = Box::new(hpb_ledger::chainlog::LogBatch::new());
    batch.push(&Record::Final(genesis(1).genesis_slice())).unwrap();
    LogEntry::Write { number, batch }
}

#[test]
fn the_log_answers_what_is_durable_and_nothing_after_a_refusal() {
    let (genesis, folder) = (genesis(1), MemoryFolder::new());
    let (mut entries_out, entries) = small(8);
    let (synced_out, mut synced) = small(1);
    let (fail, said) = failures();
    let (publisher, readout) = Publisher::new(LogReadout::default());
    let mut worker = LogWorker::new(log(&genesis, 0, &folder), entries, synced_out, fail, publisher);
    for number in 1..=3 {
        entries_out.try_send(log_entry(number)).unwrap();
    }
    for number in 1..=3 {
        while worker.turn(at(number)) == Activity::Busy {}
        let Some(Input::Synced { number: answered }) = synced.pop() else { panic!("no answer") };
        assert_eq!(answered, number);
    }
    folder.set_room(Some(100));
    entries_out.try_send(log_entry(4)).unwrap();
    entries_out.try_send(log_entry(5)).unwrap();
    while worker.turn(at(10)) == Activity::Busy {}
    assert!(synced.pop().is_none());
    assert_eq!(said.borrow().len(), 1, "{:?}", said.borrow());
    worker.finish(at(11));
    assert_eq!((readout.read().last_batch, readout.read().times.count()), (3, 3));
}

#[test]
fn a_log_whose_chain_is_gone_still_writes_what_was_sent() {
    let (mut entries_out, entries) = small(8);
    let (synced_out, synced) = small(1);
    let (fail, said) = failures();
    let (publisher, readout) = Publisher::new(LogReadout::default());
    let log = log(&genesis(1), 0, &MemoryFolder::new());
    let mut worker = LogWorker::new(log, entries, synced_out, fail, publisher);
    for number in 1..=5 {
        entries_out.try_send(log_entry(number)).unwrap();
    }
    worker.turn(at(1));
    worker.turn(at(2));
    drop((synced, entries_out));
    while worker.turn(at(3)) == Activity::Busy {}
    worker.finish(at(4));
    assert_eq!((readout.read().last_batch, said.borrow().len()), (5, 0));
}

#[test]
fn the_store_answers_what_is_committed_and_stops_at_a_refusal() {
    let disk = Disk::default();
    let (mut batches_out, batches) = small(8);
    let (committed_out, mut committed) = small(8);
    let (fail, said) = failures();
    let (publisher, readout) = Publisher::new(StoreReadout::default());
    let writer = StoreWriter::new(disk.clone(), Box::new(|| Instant::ZERO));
    let mut worker = StoreWorker::new(writer, batches, committed_out, fail, publisher);
    let batch = |commit: u64| {
        let slice = SliceRef { height: Height::new(commit, 0), id: genesis(1).genesis_slice().id };
        let changes = [(vec![1, 2], Some(vec![3]))].into();
        Box::new(FinalBatch { point: FinalPoint { slice, commit, receipts_root: None }, changes, history: Vec::new() })
    };
    batches_out.try_send(batch(1)).unwrap();
    while worker.turn(at(1)) == Activity::Busy {}
    assert!(matches!(committed.pop(), Some(Input::Committed { commit: 1 })));
    disk.break_it();
    batches_out.try_send(batch(2)).unwrap();
    while worker.turn(at(2)) == Activity::Busy {}
    assert!(committed.pop().is_none());
    assert!(said.borrow()[0].contains("full") && said.borrow().len() == 1, "{:?}", said.borrow());
    worker.finish(at(3));
    assert_eq!((readout.read().keys, readout.read().bytes), (1, 3));
}

fn runtime(nodes: usize) -> RuntimeBuilder {
    let cores = cores_allowed().unwrap().into_iter().take(2).collect();
    let topology = Topology::lay_out(&Demand::devnet(cores, nodes, 0)).unwrap();
    RuntimeBuilder::new(topology, Options::default(), Clock::start(), StopFlag::new().unwrap()).unwrap()
}

fn parts(index: usize, port: WirePort) -> NodeParts<WirePort, Disk> {
    let (genesis, disk) = (genesis(2), Disk::default());
    let mut log = log(&genesis, index, &MemoryFolder::new());
    let recovered = Recovered::read(&genesis, disk.clone(), &mut log, Some(&world::producer_name(index))).unwrap();
    let config = lane_config(&genesis, index);
    NodeParts {
        lanes: vec![LaneParts { config, port, frames_max: 4_096, announced: true, commands: listen() }],
        core: core_config(&genesis, index),
        recovered,
        log,
        store: StoreWriter::new(disk, Box::new(|| Instant::ZERO)),
        digests: Vec::new(),
        outgoing: None,
        socket: None,
    }
}

#[test]
fn a_node_is_made_from_its_parts_and_shows_itself_to_the_end() {
    let mut wire = WireBuilder::new(1);
    wire.port(&[address(0)]);
    wire.port(&[address(1)]);
    let mut ports = wire.build().unwrap();
    let mut builder = runtime(2);
    let seats = [0, 1].map(|node| Seat { node, role: Role::Lane(0) });
    wake_wire(&builder, &mut ports, &seats).unwrap();
    let nowhere = Seat { node: 0, role: Role::Terminals(0) };
    assert!(matches!(wake_wire(&builder, &mut ports, &[nowhere]), Err(StartError::NoSeat { .. })));
    let mut handles = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        handles.push(node(&mut builder, index, parts(index, port)).unwrap());
    }
    for name in
        ["lane0_chain", "chain_lane0", "lane0_verify0", "verify0_lane0", "chain_log", "store_chain", "api_chain"]
    {
        assert!(matches!(builder.link::<u8>(1, name), Err(StartError::LinkTaken { .. })), "{name}");
    }
    let running = builder.start().unwrap();
    running.stop();
    let reports = running.join().unwrap();
    let workers: usize = reports.iter().map(|report| report.workers.len()).sum();
    assert_eq!(workers, 2 * 6);
    for handle in &handles {
        assert!(handle.chain.read().closing.unwrap().supply.is_conserved(), "the last copy is there");
        assert_eq!(handle.lanes.len() + handle.verifiers.len(), 2);
        assert_eq!(handle.lanes[0].read().digest_interval, Duration::from_millis(50));
    }
}

#[test]
fn a_node_without_parts_for_each_lane_is_refused() {
    let mut builder = runtime(2);
    let mut wire = WireBuilder::new(1);
    wire.port(&[address(0)]);
    let mut incomplete = parts(0, wire.build().unwrap().remove(0));
    incomplete.lanes.clear();
    let error = node(&mut builder, 0, incomplete).unwrap_err().to_string();
    assert!(error.contains("1 lanes, and there are parts for 0"), "{error}");
}
