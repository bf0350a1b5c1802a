//! Seeds of the chain's words: canonical bytes, messages, names, signatures, proofs of randomness, records of the state.

use hpb_ledger::account::{ACTIVE, Account, Authority, Parent, Permission, WeightedAccount, WeightedKey, WeightedWait};
use hpb_ledger::authority::delegation::{
    ActionPattern, Allowance, Bound, Delegation, Grant, Policy, Role, Window as WeekWindow,
};
use hpb_ledger::commitment::{ReceiptProof, StateProof};
use hpb_ledger::deposit::Deposit;
use hpb_ledger::dpos::{
    Activity, Ballot, BondArguments, Cut, Deeds, OfferProxyArguments, Producer, ProducerArguments, ProvenKeys,
    ProxyArguments, RegisterArguments, Release, ReportArguments, Roster, Stake, StakeArguments, Status as Standing,
    Term, Unbonding, UpdateArguments, Vote, VoteArguments, WithdrawArguments,
};
use hpb_ledger::fees::Load;
use hpb_ledger::key;
use hpb_ledger::records::{self, Included, SlotFees, Tariff, Window};
use hpb_ledger::system::{
    Approval, ApproveArguments, CreateArguments, DeletePermissionArguments, DeleteRoleArguments, Due, GrantArguments,
    Proposal, ProposalArguments, ProposeArguments, SetPermissionArguments, SetRoleArguments, Terms,
};
use hpb_ledger::token::{ReleaseArguments, TransferArguments, Vesting};
use hpb_types::message::diagnose::{
    Answer, Ask, Banned, CaptureAsked, CaptureKind, CapturePage, CaptureRow, CaptureWay, CaptureWhat, Endpoint,
    EventKind, EventRow, EventsPage, Filling, Goodbye, Network, Parting, PeerKey, Question, SessionFilter, SessionName,
    SessionsAsked, Tell, Text,
};
use hpb_types::{
    AccountName, Action, ActionName, Amount, Authorisation, Beacon, Bitmap, Block, Canonical, Certificate, ChainId,
    Confirm, ConfirmBody, Digest, Domain, DposParameters, EngineChoice, Epoch, Event, Evidence, Fault, Fees, Genesis,
    GenesisAccount, GenesisProducer, Gossip, Hash, Height, Hello, KeyPair, MerkleProof, Message, NextSchedule, Outcome,
    PermissionName, Quorum, Receipt, RejectReason, ResultsCommitment, Roles, Schedule, ScheduledProducer, Signature,
    SignedSlice, Slice, SliceBody, SliceBundle, SliceRef, SliceRequest, SliceStatement, SliceStatus, Slot, Status,
    Transaction, TransactionBody, TransactionStatus, VestingPart, VrfProof, VrfSecret, Weighting,
};

use super::{Seeds, named};

const ROLE: PermissionName = PermissionName::literal("cashier");
const PURCHASE: PermissionName = PermissionName::literal("purchase");
const CHAIN: ChainId = ChainId(Hash([0x11; 32]));
const ALICE: AccountName = AccountName::literal("alice");
const BOB: AccountName = AccountName::literal("bob");

fn keys(byte: u8) -> KeyPair {
    KeyPair::from_seed([byte; 32])
}

/// Of other seeds than [`keys`].
fn beacon_keys(byte: u8) -> VrfSecret {
    VrfSecret::from_seed([byte ^ 0x80; 32])
}

pub(super) fn slice_ref() -> SliceRef {
    SliceRef { height: Height::new(7, 2), id: Hash([0x22; 32]) }
}

fn transfer() -> TransferArguments {
    TransferArguments { from: ALICE, to: BOB, amount: Amount(5), memo: b"tea".to_vec() }
}

pub(super) fn transaction() -> Transaction {
    let permission = PermissionName::literal("active");
    let body = TransactionBody {
        version: TransactionBody::VERSION,
        chain: CHAIN,
        payer: ALICE,
        authorisations: vec![Authorisation { account: ALICE, permission }],
        actions: vec![Action {
            contract: AccountName::literal("token"),
            action: ActionName::literal("transfer"),
            arguments: transfer().to_bytes(),
        }],
        expiry_ms: 1_700_000_000_000,
        fee_limit: Amount::ONE,
        salt: 5,
    };
    Transaction::sign(body, &[&keys(1), &keys(2)])
}

pub(super) fn certificate() -> Certificate {
    let mut producers = Bitmap::default();
    assert!(producers.insert(0) && producers.insert(9));
    let signatures = vec![Signature([0x61; 64]), Signature([0x62; 64])];
    let source = SliceRef { height: Height::new(5, 0), id: Hash([0x51; 32]) };
    Certificate { source, target: slice_ref(), quorums: vec![Quorum { epoch: Epoch(1), producers, signatures }] }
}

fn schedule() -> Schedule {
    let producer = |name, byte, weight| ScheduledProducer {
        name,
        key: keys(byte).public(),
        beacon: beacon_keys(byte).public(),
        weight,
    };
    Schedule { epoch: Epoch(2), seed: Hash([0x92; 32]), producers: vec![producer(ALICE, 5, 3), producer(BOB, 2, 1)] }
}

pub(super) fn slice() -> Slice {
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: CHAIN,
        epoch: Epoch(1),
        slot: Slot(7),
        index: 3,
        last: true,
        parent: Hash([0x22; 32]),
        producer: BOB,
        transactions_root: Hash([0x33; 32]),
        results: ResultsCommitment { scheme: 0, hash: Hash([0x44; 32]) },
        source: certificate(),
        beacon: Beacon::Proof(beacon_keys(2).prove(&[0x91; 32])),
        next: NextSchedule::Fixed(schedule()),
    };
    Slice::sign(body, &keys(2))
}

pub(super) fn confirm() -> Confirm {
    link(5, 7)
}

/// A confirm of a slice of the slot `target`, from one of the slot `source`.
fn link(source: u64, target: u64) -> Confirm {
    let body = ConfirmBody {
        version: ConfirmBody::VERSION,
        chain: CHAIN,
        epoch: Epoch(1),
        source: SliceRef { height: Height::new(source, 0), id: Hash([0x51; 32]) },
        target: SliceRef { height: Height::new(target, 2), ..slice_ref() },
        producer: BOB,
    };
    Confirm::sign(body, &keys(3))
}

/// One of each fault.
fn evidence() -> [Evidence; 3] {
    let word = |id| {
        let slice = SliceRef { id: Hash([id; 32]), ..slice_ref() };
        let statement = SliceStatement { version: SliceStatement::VERSION, epoch: Epoch(1), slice };
        SignedSlice { statement, signature: keys(2).sign(Domain::Slice, &CHAIN, &statement.to_bytes()) }
    };
    [
        Evidence::TwoSlices { producer: BOB, first: word(0x22), second: word(0x23) },
        Evidence::TwoConfirms { first: link(5, 7), second: link(6, 7) },
        Evidence::Surround { outer: link(4, 9), inner: link(5, 8) },
    ]
}

pub(super) fn genesis() -> Genesis {
    let account = |name, byte, balance| GenesisAccount {
        name,
        key: keys(byte).public(),
        balance: Amount(balance),
        vesting: Vec::new(),
    };
    Genesis {
        version: Genesis::VERSION,
        label: "test".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 1_200,
        fees: Fees { per_byte: Amount(1_000), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters {
            producers_max: 21,
            weighting: Weighting::Bond,
            bond_min: Amount(50),
            release_slots: 9_600,
            cut_permille: 500,
            reporter_permille: 100,
            reward_per_slot: Amount(7),
            reward_pool: Amount(900),
        }),
        producers: vec![GenesisProducer {
            name: BOB,
            key: keys(2).public(),
            beacon: beacon_keys(2).public(),
            bond: Amount(50),
        }],
        accounts: vec![account(ALICE, 1, 700), account(BOB, 4, 0)],
    }
}

fn receipt() -> Receipt {
    let event = Event { contract: BOB, name: ActionName::literal("transfer"), data: vec![0xd1] };
    let outcome = Outcome::Failed(RejectReason::Overdrawn);
    Receipt { transaction: Hash([0x71; 32]), outcome, fee: Amount(300), units: 800, events: vec![event] }
}

pub(super) fn bundle() -> SliceBundle {
    SliceBundle { slice: slice(), transactions: vec![transaction()] }
}

fn gossip() -> Gossip {
    Gossip { transactions: vec![transaction(), transaction()] }
}

fn digest() -> Digest {
    let status = SliceStatus { reference: slice_ref(), confirmers: 3, weight: 30, flags: SliceStatus::JUSTIFIED };
    Digest { slices: vec![status, status], final_slice: slice_ref(), interval_ms: 50 }
}

fn hello() -> Hello {
    Hello { version: 1, chain: CHAIN, roles: Roles::VALIDATOR, head: Height::new(7, 3), final_slice: slice_ref() }
}

fn status() -> TransactionStatus {
    TransactionStatus {
        id: Hash([0x71; 32]),
        status: Status::Included(slice_ref(), Outcome::Failed(RejectReason::Overdrawn)),
    }
}

fn request() -> SliceRequest {
    SliceRequest { from: slice_ref(), want: Hash([0x24; 32]) }
}

fn create() -> CreateArguments {
    CreateArguments { creator: ALICE, name: BOB, owner: keys(1).public().into(), active: authority() }
}

/// A part of each kind.
fn authority() -> Authority {
    Authority {
        threshold: 3,
        keys: vec![WeightedKey { key: keys(2).public(), weight: 2 }],
        accounts: vec![WeightedAccount {
            authorisation: Authorisation { account: BOB, permission: ACTIVE },
            weight: 1,
        }],
        waits: vec![WeightedWait { wait_ms: 60_000, weight: 1 }],
    }
}

fn permission() -> Permission {
    Permission { name: ROLE, parent: Parent::Under(ACTIVE), authority: authority() }
}

fn role() -> Role {
    let policy = Policy {
        contract: AccountName::literal("token"),
        action: ActionPattern::One(ActionName::literal("transfer")),
        counterparties: vec![ALICE, BOB],
        per_transaction_max: Bound::AtMost(Amount(7)),
        per_day_max: Bound::None,
        from_ms: 1,
        until_ms: 2,
        windows: vec![WeekWindow { days: 31, from_minute: 540, until_minute: 1_020 }],
    };
    Role { name: ROLE, policies: vec![policy] }
}

fn grant() -> Grant {
    Grant { role: ROLE, to: Authorisation { account: BOB, permission: ACTIVE } }
}

fn active(account: AccountName) -> Authorisation {
    Authorisation { account, permission: ACTIVE }
}

fn proposal() -> Proposal {
    let terms = Terms {
        actions: transaction().body.actions,
        authorisations: vec![active(ALICE)],
        asked: vec![active(ALICE), active(BOB)],
        delay_ms: 86_400_000,
        expiry_ms: 1_700_000_000_000,
        fee_limit: Amount::ONE,
    };
    let approval = |by, authority| Approval { by: active(by), authority };
    let approvals = vec![approval(ALICE, Hash([4; 32])), approval(BOB, Hash::ZERO)];
    Proposal { id: Hash([5; 32]), terms, approvals, due_ms: 7 }
}

/// In the order of the target's selectors.
pub(super) fn codec() -> Seeds {
    let block = Block { slot: Slot(7), previous: Hash([0x21; 32]), slices: vec![Hash([0x22; 32]), Hash([0x23; 32])] };
    let [slices, confirms, surround] = evidence();
    let (slices, confirms) = (slices.to_bytes(), confirms.to_bytes());
    let values = [
        ("transaction", transaction().to_bytes()),
        ("slice", slice().to_bytes()),
        ("confirm", confirm().to_bytes()),
        ("certificate", certificate().to_bytes()),
        ("block", block.to_bytes()),
        ("genesis", genesis().to_bytes()),
        ("receipt", receipt().to_bytes()),
        ("schedule", schedule().to_bytes()),
        ("bundle", bundle().to_bytes()),
        ("gossip", gossip().to_bytes()),
        ("digest", digest().to_bytes()),
        ("hello", hello().to_bytes()),
        ("status", status().to_bytes()),
        ("request", request().to_bytes()),
        ("transfer", transfer().to_bytes()),
        ("create", create().to_bytes()),
        ("slices", slices),
        ("stake", StakeArguments { account: ALICE, amount: Amount(5) }.to_bytes()),
        ("withdraw", WithdrawArguments { account: ALICE }.to_bytes()),
        ("vote", VoteArguments { voter: ALICE, producers: vec![ALICE, BOB] }.to_bytes()),
        ("proxy", ProxyArguments { voter: ALICE, proxy: BOB }.to_bytes()),
        ("offer-proxy", OfferProxyArguments { account: ALICE, offers: true }.to_bytes()),
        ("register", register().to_bytes()),
        ("bond", BondArguments { producer: BOB, amount: Amount(5) }.to_bytes()),
        ("update", update().to_bytes()),
        ("producer", ProducerArguments { producer: BOB }.to_bytes()),
        ("report", ReportArguments { reporter: ALICE, evidence: surround.clone() }.to_bytes()),
        ("set-permission", SetPermissionArguments { account: ALICE, permission: permission() }.to_bytes()),
        ("delete-permission", DeletePermissionArguments { account: ALICE, permission: ROLE }.to_bytes()),
        ("set-role", SetRoleArguments { account: ALICE, role: role() }.to_bytes()),
        ("delete-role", DeleteRoleArguments { account: ALICE, role: ROLE }.to_bytes()),
        ("grant", GrantArguments { account: ALICE, grant: grant() }.to_bytes()),
        ("release", ReleaseArguments { account: ALICE }.to_bytes()),
        ("propose", ProposeArguments { proposer: ALICE, name: PURCHASE, terms: proposal().terms }.to_bytes()),
        (
            "approve",
            ApproveArguments { proposer: ALICE, name: PURCHASE, id: Hash([5; 32]), by: active(BOB) }.to_bytes(),
        ),
        ("execute", ProposalArguments { proposer: ALICE, name: PURCHASE, id: Hash([5; 32]) }.to_bytes()),
    ];
    let mut selectors = 0_u8..;
    let mut seeds = named(values.map(|(name, bytes)| (name, selected(selectors.next().unwrap(), &bytes))));
    // The other kinds of evidence.
    seeds.extend(named([("confirms", selected(16, &confirms)), ("surround", selected(16, &surround.to_bytes()))]));
    seeds
}

fn selected(selector: u8, bytes: &[u8]) -> Vec<u8> {
    [&[selector], bytes].concat()
}

fn register() -> RegisterArguments {
    let keys = ProvenKeys::prove(&genesis().chain_id(), &BOB, &keys(2), &beacon_keys(2));
    RegisterArguments { producer: BOB, keys, bond: Amount(50), about: "bob's".to_owned() }
}

fn update() -> UpdateArguments {
    let keys = ProvenKeys::prove(&genesis().chain_id(), &BOB, &keys(6), &beacon_keys(6));
    UpdateArguments { producer: BOB, keys, about: String::new() }
}

fn sessions_asked() -> SessionsAsked {
    let filter = SessionFilter { classes: 1, peer: PeerKey::Known(keys(1).public()), ..SessionFilter::ALL };
    SessionsAsked { lane: 0, from: 64, most: 256, filter }
}

fn ban() -> Ask {
    let network = Network::new([10, 1, 2, 3].into(), 24).unwrap();
    Ask::Ban { who: Banned::Network(network), seconds: 600 }
}

fn events() -> Tell {
    let row = EventRow {
        number: 7,
        ago_ms: 20,
        kind: EventKind::Closed,
        session: SessionName { lane: 0, index: 5, generation: 1 },
        remote: Endpoint::of(([10, 1, 2, 3], 99).into()),
        peer: PeerKey::Unknown,
        reason: Text::new("idle"),
    };
    Tell::Events(EventsPage { lanes: 1, lost: 0, rows: vec![row] })
}

fn capture() -> Ask {
    let names = vec![SessionName { lane: 0, index: 5, generation: 1 }];
    let (near, peer, what) = (Network::ALL, PeerKey::Unknown, CaptureWhat::Both);
    Ask::Capture(CaptureAsked { lane: 0, names, near, peer, what, snap_len: 96, seconds: 60 })
}

fn captured() -> Tell {
    let row = CaptureRow {
        at_ns: 20,
        session: SessionName { lane: 0, index: 5, generation: 1 },
        remote: Endpoint::of(([10, 1, 2, 3], 99).into()),
        local: Endpoint::of(([10, 1, 2, 4], 98).into()),
        way: CaptureWay::In,
        kind: CaptureKind::Message,
        whole_len: 13,
        offset: 0,
        bytes: vec![8, 0, 0, 0, 9],
    };
    Tell::Captured(CapturePage { now_ns: 30, first: 7, lost: 0, is_over: true, rows: vec![row] })
}

pub(super) fn message() -> Vec<Vec<u8>> {
    let messages = [
        Message::Hello(hello()),
        Message::SubmitTransaction(Box::new(transaction())),
        Message::Transactions(gossip()),
        Message::SliceBundle(Box::new(bundle())),
        Message::Confirm(Box::new(confirm())),
        Message::Digest(digest()),
        Message::TransactionStatus(status()),
        Message::SliceRequest(request()),
        Message::Ping(7),
        Message::Pong(7),
        Message::Question(Question { number: 3, what: Ask::Sessions(sessions_asked()) }),
        Message::Question(Question { number: 4, what: Ask::Absorb(Filling::zeros(9)) }),
        Message::Question(Question { number: 5, what: ban() }),
        Message::Question(Question { number: 6, what: capture() }),
        Message::Answer(Box::new(Answer { number: 3, what: events() })),
        Message::Answer(Box::new(Answer { number: 6, what: captured() })),
        Message::Answer(Box::new(Answer { number: 4, what: Tell::Absorbed(9) })),
        Message::Goodbye(Goodbye { reason: Parting::BANNED, detail: 599 }),
    ];
    messages.iter().map(|message| [&[message.kind()], message.encode().as_slice()].concat()).collect()
}

pub(super) fn name() -> Vec<Vec<u8>> {
    let texts = ["alice", "a.b-c0", "mzxw6ytbmzxw6ytbmzxw6ytbmzxw6ytb", "a..b", "-ab", "x", "caf\u{e9}"];
    let mut inputs: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    inputs.extend([ALICE.to_bytes(), AccountName::from_address([9; 20]).to_bytes()]);
    inputs.push(Hash([0xa5; 32]).to_hex().into_bytes());
    inputs.push(slice_ref().to_text().into_bytes());
    inputs
}

/// Good signatures, one of another message, and points of small order (the encodings of y = 1 and y = -1).
pub(super) fn signature() -> Vec<Vec<u8>> {
    let claim = |key: [u8; 32], signature: [u8; 64], message: &[u8]| {
        [&key[..], &signature, &[message.len() as u8], message].concat()
    };
    let good = |byte: u8, message: &[u8]| claim(keys(byte).public().0, keys(byte).sign_raw(message).0, message);
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let small = |point: [u8; 32]| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point);
        claim(one, signature, b"anything")
    };
    let bad = claim(keys(1).public().0, keys(1).sign_raw(b"another").0, b"message");
    vec![
        good(1, b""),
        [good(1, b"message"), good(2, b"message"), small(one)].concat(),
        [small(one), small(minus_one)].concat(),
        [good(3, b"x"), bad].concat(),
    ]
}

/// Good proofs, one by a holder who cheats, one of another input, and a key and a proof of small order.
pub(super) fn vrf() -> Vec<Vec<u8>> {
    // Of the same key, input and output as the good one, with the nonce 1 and a Gamma with a part of order two.
    let cheat = "9be25376a52de2c50bebf9f9cfef58612d2be03e9f9bcc55643b0e02cefeaf7288611d59f46e3e9ecd0a544fb886ea38\
                 c608f829d48b3f6132a40cd4b1ee66e2c35eadd1c5e3c397de611e45fb977d0e";
    let secret = VrfSecret::from_seed([6; 32]);
    let good = secret.prove(b"beacon");
    let claim = |key: [u8; 32], alpha: &[u8], proofs: &[VrfProof]| {
        let proofs: Vec<u8> = proofs.iter().flat_map(|proof| proof.0).collect();
        [&key[..], &[alpha.len() as u8], alpha, &proofs].concat()
    };
    let mut one = [0; 32];
    one[0] = 1;
    let mut small = VrfProof([0; 80]);
    small.0[0] = 1;
    vec![
        claim(secret.public().0, b"", &[secret.prove(b"")]),
        claim(secret.public().0, b"beacon", &[good, VrfProof::from_hex(cheat).unwrap(), secret.prove(b"another")]),
        claim(one, b"anything", &[small, good]),
        claim([6; 32], b"beacon", &[]),
    ]
}

pub(super) fn state() -> Vec<Vec<u8>> {
    let account = Account::with_keys(keys(1).public(), keys(2).public());
    let stake = Stake {
        staked: Amount(7),
        proxied: Amount(3),
        is_proxy: true,
        vote: Vote::Producers(Ballot { producers: vec![ALICE, BOB] }),
        releases: vec![Release { amount: Amount(2), free_at: Slot(9) }],
    };
    let (key, beacon) = (keys(2).public(), beacon_keys(2).public());
    let mut producer = Producer::new(Epoch(3), key, beacon, Amount(50), "bob's".to_owned());
    producer.unbonding = Unbonding::FreeAt(Slot(90));
    producer.status = Standing::Standby { since: Epoch(4) };
    producer.cuts.push(Cut { fault: Fault::Surround, epoch: Epoch(4), evidence: Hash([2; 32]), amount: Amount(9) });
    let deeds = vec![Deeds { blocks: 2, confirms: 80 }];
    let activity = Activity { epoch: Epoch(4), certificates: 99, filled: 4, deeds };
    let included = Included { slot: Slot(7), ids: vec![Hash([1; 32]), Hash([2; 32])] };
    let records = [
        records::store(&account),
        records::store(&included),
        records::store(&SlotFees { slot: Slot(1), producer: ALICE, amount: Amount(5) }),
        records::store(&Window { first: 3, next: 9 }),
        records::store(&Tariff { fees: genesis().fees, deposit_per_byte: Amount(7) }),
        records::store(&Load { slot: Slot(3), price: 2_048, units: 900 }),
        records::store(&proposal()),
        records::store(&Due { proposer: ALICE, name: PURCHASE }),
        records::store(&stake),
        records::store(&Stake { vote: Vote::Proxy(BOB), releases: Vec::new(), ..stake }),
        records::store(&producer),
        records::store(&Roster { producers: vec![BOB, ALICE] }),
        records::store(&Term { producers: vec![BOB] }),
        records::store(&activity),
        records::store(&Delegation { roles: vec![role()], grants: vec![grant()] }),
        records::store(&Deposit { bytes: 7, amount: Amount(14) }),
        records::store(&Allowance { day: 20_780, used: Amount(5) }),
        records::store(&Vesting { parts: vec![VestingPart { free_at_ms: 5, amount: Amount(6) }] }),
        key::of(ALICE, key::ACCOUNT),
        key::of_included(9),
    ];
    records.iter().map(|record| record.as_slice().to_vec()).collect()
}

/// Proofs of a place as they are, and lists to prove one of.
pub(super) fn merkle() -> Vec<Vec<u8>> {
    let leaves: Vec<Hash> = (0..9_u8).map(|number| Hash([number; 32])).collect();
    let proofs = [0, 5, 8].into_iter().filter_map(|index| MerkleProof::new(&leaves, index));
    let alone = MerkleProof::new(&leaves[..1], 0);
    let decoded = proofs.chain(alone).map(|proof| [vec![0], proof.to_bytes()].concat());
    let lists = [(1_u16, 0_u16), (9, 5), (256, 255)];
    let proven = lists.map(|(count, index)| [&[1][..], &count.to_le_bytes(), &index.to_le_bytes()].concat());
    decoded.chain(proven).collect()
}

/// A file of a proof and its parts, and changes of one.
pub(super) fn proof() -> Seeds {
    let proof = hpb_tests::fuzz::honest_proof();
    let receipts: Vec<Receipt> = (0..5).map(|fee| Receipt { fee: Amount(fee), ..receipt() }).collect();
    let of_receipt = ReceiptProof::new(&receipts, 3, Hash([5; 32])).unwrap();
    let of_state = StateProof::new(&receipts, Hash([5; 32]));
    named([
        ("file", [vec![0], proof.to_file()].concat()),
        ("receipt", [vec![1], of_receipt.to_bytes()].concat()),
        ("state", [vec![2], of_state.to_bytes()].concat()),
        ("run", [vec![3], proof.runs[2].to_bytes()].concat()),
        ("honest", vec![4]),
        ("changed", [&[4][..], &90_u16.to_le_bytes(), &[1], &900_u16.to_le_bytes(), &[0x80]].concat()),
    ])
}
