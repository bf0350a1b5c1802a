//! Values that the tests share. Those of the golden bytes are the examples of FORMAT.md.

use std::path::PathBuf;

use crate::certificate::{Bitmap, Certificate, Quorum};
use crate::confirm::{Confirm, ConfirmBody};
use crate::evidence::{Evidence, SignedSlice};
use crate::genesis::{
    DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisProducer, VestingPart, Weighting,
};
use crate::keys::{Hash, KeyPair, Signature};
use crate::message::diagnose::{
    Answer, Ask, Banned, CaptureAsked, CaptureKind, CapturePage, CaptureRow, CaptureWay, CaptureWhat, Endpoint,
    EventKind, EventRow, EventsPage, Goodbye, Network, NodeInfo, Parting, PeerKey, Question, SessionClass,
    SessionFilter, SessionName, SessionRow, SessionState, SessionsAsked, SessionsPage, Tell, Text,
};
use crate::message::{
    ChainPiece, Digest, Gossip, Headers, Hello, PieceEnd, RangeRequest, Roles, SliceBundle, SliceRequest, SliceStatus,
    Standing, Status, TransactionStatus,
};
use crate::name::{AccountName, ActionName, PermissionName};
use crate::receipt::{Event, Outcome, Receipt, RejectReason};
use crate::schedule::{Schedule, ScheduledProducer};
use crate::slice::{Beacon, Block, NextSchedule, ResultsCommitment, Slice, SliceBody, SliceRef, SliceStatement};
use crate::transaction::{Action, Authorisation, Transaction, TransactionBody};
use crate::units::{Amount, ChainId, Epoch, Height, Slot};
use crate::vrf::{VrfProof, VrfSecret};

pub(crate) const ALICE: AccountName = AccountName::literal("alice");
pub(crate) const BOB: AccountName = AccountName::literal("bob");
pub(crate) const CAROL: AccountName = AccountName::literal("carol");

/// The key pair of the secret key whose 32 bytes are all `byte`.
pub(crate) fn key(byte: u8) -> KeyPair {
    KeyPair::from_seed([byte; 32])
}

/// The key of the seed whose 32 bytes are all 06.
pub(crate) fn vrf_secret() -> VrfSecret {
    VrfSecret::from_seed([6; 32])
}

/// The beacon key of the producer whose other key is [`key`] of `byte`. Of another seed, so that no two fields of a
/// producer hold the same bytes: golden bytes would not tell these fields apart.
pub(crate) fn beacon_key(byte: u8) -> VrfSecret {
    VrfSecret::from_seed([byte ^ 0x80; 32])
}

pub(crate) fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}

pub(crate) fn signature(byte: u8) -> Signature {
    Signature([byte; 64])
}

pub(crate) fn chain() -> ChainId {
    ChainId(hash(0x11))
}

pub(crate) fn slice_ref() -> SliceRef {
    SliceRef { height: Height::new(7, 2), id: hash(0x22) }
}

pub(crate) fn authorisation() -> Authorisation {
    Authorisation { account: ALICE, permission: PermissionName::literal("active") }
}

pub(crate) fn action() -> Action {
    Action {
        contract: AccountName::literal("token"),
        action: ActionName::literal("transfer"),
        arguments: vec![0xa1, 0xa2],
    }
}

pub(crate) fn transaction_body() -> TransactionBody {
    TransactionBody {
        version: TransactionBody::VERSION,
        chain: chain(),
        payer: ALICE,
        authorisations: vec![authorisation()],
        actions: vec![action()],
        expiry_ms: 1_700_000_000_000,
        fee_limit: Amount::ONE,
        salt: 5,
    }
}

pub(crate) fn transaction() -> Transaction {
    Transaction::sign(transaction_body(), &[&key(1)])
}

pub(crate) fn bitmap() -> Bitmap {
    let mut bitmap = Bitmap::default();
    assert!(bitmap.insert(0) && bitmap.insert(9));
    bitmap
}

pub(crate) fn quorum() -> Quorum {
    Quorum { epoch: Epoch(1), producers: bitmap(), signatures: vec![signature(0x61), signature(0x62)] }
}

pub(crate) fn certificate() -> Certificate {
    let source = SliceRef { height: Height::new(5, 0), id: hash(0x51) };
    Certificate { source, target: slice_ref(), quorums: vec![quorum()] }
}

pub(crate) fn slice_body() -> SliceBody {
    SliceBody {
        version: SliceBody::VERSION,
        chain: chain(),
        epoch: Epoch(1),
        slot: Slot(7),
        index: 3,
        last: true,
        parent: hash(0x22),
        producer: BOB,
        transactions_root: hash(0x33),
        results: ResultsCommitment { scheme: 0, hash: hash(0x44) },
        source: certificate(),
        beacon: Beacon::Proof(vrf_proof()),
        next: NextSchedule::Fixed(schedule(2, 0x28, &[3])),
    }
}

/// Bob's proof of the input of 32 bytes of 91.
pub(crate) fn vrf_proof() -> VrfProof {
    beacon_key(2).prove(&[0x91; 32])
}

pub(crate) fn slice_statement() -> SliceStatement {
    SliceStatement { version: SliceStatement::VERSION, epoch: Epoch(1), slice: slice_ref() }
}

pub(crate) fn signed_slice(id: u8) -> SignedSlice {
    let mut statement = slice_statement();
    statement.slice.id = hash(id);
    let signature = key(2).sign(crate::Domain::Slice, &chain(), &crate::Canonical::to_bytes(&statement));
    SignedSlice { statement, signature }
}

/// One of each fault.
pub(crate) fn evidences() -> [Evidence; 3] {
    let confirm = |source: u64, target: u64| {
        let mut body = confirm_body();
        (body.source.height.slot, body.target.height.slot) = (Slot(source), Slot(target));
        Confirm::sign(body, &key(3))
    };
    [
        Evidence::TwoSlices { producer: BOB, first: signed_slice(0x22), second: signed_slice(0x23) },
        Evidence::TwoConfirms { first: confirm(5, 7), second: confirm(6, 7) },
        Evidence::Surround { outer: confirm(4, 9), inner: confirm(5, 8) },
    ]
}

pub(crate) fn slice() -> Slice {
    Slice::sign(slice_body(), &key(2))
}

pub(crate) fn block() -> Block {
    Block { slot: Slot(7), previous: hash(0x21), slices: vec![hash(0x22), hash(0x23)] }
}

pub(crate) fn confirm_body() -> ConfirmBody {
    ConfirmBody {
        version: ConfirmBody::VERSION,
        chain: chain(),
        epoch: Epoch(1),
        source: SliceRef { height: Height::new(5, 0), id: hash(0x51) },
        target: slice_ref(),
        producer: CAROL,
    }
}

pub(crate) fn confirm() -> Confirm {
    Confirm::sign(confirm_body(), &key(3))
}

pub(crate) fn event() -> Event {
    Event { contract: AccountName::literal("token"), name: ActionName::literal("transfer"), data: vec![0xd1] }
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        transaction: hash(0x71),
        outcome: Outcome::Failed(RejectReason::Overdrawn),
        fee: Amount(300),
        units: 800,
        events: vec![event()],
    }
}

pub(crate) fn dpos_parameters() -> DposParameters {
    DposParameters {
        producers_max: 21,
        weighting: Weighting::Equal,
        bond_min: Amount(50),
        release_slots: 9_600,
        cut_permille: 500,
        reporter_permille: 100,
        reward_per_slot: Amount(7),
        reward_pool: Amount(900),
    }
}

/// Two producers, three accounts; passes validation.
pub(crate) fn genesis() -> Genesis {
    let account = |name, byte, balance| GenesisAccount {
        name,
        key: key(byte).public(),
        balance: Amount(balance),
        vesting: Vec::new(),
    };
    let producer = |name, byte, bond| GenesisProducer {
        name,
        key: key(byte).public(),
        beacon: beacon_key(byte).public(),
        bond: Amount(bond),
    };
    Genesis {
        version: Genesis::VERSION,
        label: "test".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 1_200,
        fees: Fees { per_byte: Amount(1_000), per_signature: Amount(2_000), per_unit: Amount(3), slot_units: 4_000 },
        deposit_per_byte: Amount(20),
        engine: EngineChoice::Dpos(dpos_parameters()),
        producers: vec![producer(BOB, 2, 50), producer(CAROL, 3, 60)],
        accounts: vec![
            GenesisAccount {
                vesting: vec![VestingPart { free_at_ms: 1_800_000_000_000, amount: Amount(40) }],
                ..account(ALICE, 1, 700)
            },
            account(BOB, 4, 0),
            account(CAROL, 5, 300),
        ],
    }
}

/// Producers `p00`, `p01`, … of these weights; the keys of the one at `index` are [`key`] and [`beacon_key`] of
/// `first_key + index`.
pub(crate) fn schedule(epoch: u64, first_key: u8, weights: &[u64]) -> Schedule {
    let producer = |(index, weight): (usize, &u64)| ScheduledProducer {
        name: AccountName::new(&format!("p{index:02}")).unwrap(),
        key: key(first_key + index as u8).public(),
        beacon: beacon_key(first_key + index as u8).public(),
        weight: *weight,
    };
    Schedule { epoch: Epoch(epoch), seed: hash(0x92), producers: weights.iter().enumerate().map(producer).collect() }
}

pub(crate) fn hello() -> Hello {
    Hello {
        version: crate::message::PROTOCOL_VERSION,
        chain: chain(),
        roles: Roles::VALIDATOR | Roles::DIAGNOSTICS,
        head: Height::new(7, 3),
        final_slice: slice_ref(),
    }
}

pub(crate) fn gossip() -> Gossip {
    Gossip { transactions: vec![transaction()] }
}

pub(crate) fn slice_bundle() -> SliceBundle {
    SliceBundle { slice: slice(), transactions: vec![transaction()] }
}

pub(crate) fn slice_status() -> SliceStatus {
    SliceStatus { reference: slice_ref(), confirmers: 3, weight: 30, flags: SliceStatus::JUSTIFIED }
}

pub(crate) fn digest() -> Digest {
    Digest { slices: vec![slice_status()], final_slice: slice_ref(), interval_ms: 50 }
}

pub(crate) fn transaction_status() -> TransactionStatus {
    TransactionStatus {
        id: hash(0x71),
        status: Status::Included(slice_ref(), Outcome::Failed(RejectReason::Overdrawn)),
    }
}

pub(crate) fn slice_request() -> SliceRequest {
    SliceRequest { from: slice_ref(), want: hash(0x24) }
}

pub(crate) fn standing() -> Standing {
    Standing { final_slice: slice_ref(), from: Slot(4) }
}

pub(crate) fn range_request() -> RangeRequest {
    RangeRequest { request: 9, from: Height::new(7, 3), to: Slot(8) }
}

pub(crate) fn chain_piece() -> ChainPiece {
    ChainPiece { request: 9, slices: vec![slice_bundle()], end: PieceEnd::Cut }
}

pub(crate) fn headers() -> Headers {
    Headers { request: 9, slices: vec![slice()], end: PieceEnd::Done }
}

pub(crate) fn session_name() -> SessionName {
    SessionName { lane: 1, index: 77, generation: 3 }
}

pub(crate) fn network() -> Network {
    Network::new([10, 1, 2, 3].into(), 24).expect("24 bits of 32")
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::of(([10, 1, 2, 3], 7_001).into())
}

pub(crate) fn sessions_asked() -> SessionsAsked {
    let filter = SessionFilter { classes: 2, states: 16, near: network(), peer: PeerKey::Known(key(1).public()) };
    SessionsAsked { lane: 1, from: 64, most: 256, filter }
}

pub(crate) fn session_row() -> SessionRow {
    SessionRow {
        session: session_name(),
        remote: endpoint(),
        local: Endpoint::of(([10, 9, 8, 7], 7_000).into()),
        hardware: [2, 0, 0, 0, 0, 9],
        state: SessionState::Established,
        class: SessionClass::Terminal,
        peer: PeerKey::Known(key(1).public()),
        flags: SessionRow::ACK_SEEN | SessionRow::ENCRYPTED | SessionRow::OPEN,
        window_scale: 7,
        out_of_order: 4,
        last_data_ms: 1_250,
        initial_sequence: 0x0102_0304,
        next_sequence: 0x0102_0405,
        last_ack: 0x0708_090a,
        peer_window: 501,
        duplicate_acks_sent: 1,
        duplicate_acks_received: 2,
        local_window: 2_048,
        congestion_window_len: 14_600,
        in_flight_len: 1_460,
        queue_len: 333,
        round_trip_us: 812,
        variation_us: 95,
        retransmitted: 6,
        rx_bytes: 10_000,
        tx_bytes: 20_001,
        rx_messages: 12,
        tx_messages: 13,
        shed_messages: 5,
        age_ms: 86_400_000,
    }
}

pub(crate) fn sessions_page() -> SessionsPage {
    SessionsPage { lanes: 2, next: 78, held: 10_000, rows: vec![session_row()] }
}

pub(crate) fn events_page() -> EventsPage {
    let row = EventRow {
        number: 41,
        ago_ms: 2_500,
        kind: EventKind::Closed,
        session: session_name(),
        remote: endpoint(),
        peer: PeerKey::Unknown,
        reason: Text::new("idle"),
    };
    EventsPage { lanes: 2, lost: 8, rows: vec![row] }
}

pub(crate) fn node_info() -> NodeInfo {
    NodeInfo {
        software: Text::new("hpb 0.1.0"),
        protocol: 1,
        identity: PeerKey::Known(key(1).public()),
        chain: chain(),
        roles: Roles::TERMINAL | Roles::DIAGNOSTICS,
        head: Height::new(7, 3),
        final_slice: slice_ref(),
        validators: 3,
        terminals: 9_000,
        mesh: 4,
        uptime_ms: 65_000,
    }
}

pub(crate) fn question() -> Question {
    Question { number: 21, what: Ask::Sessions(sessions_asked()) }
}

pub(crate) fn ban() -> Ask {
    Ask::Ban { who: Banned::Network(network()), seconds: 600 }
}

pub(crate) fn capture() -> Ask {
    Ask::Capture(CaptureAsked {
        lane: 1,
        names: vec![session_name()],
        near: network(),
        peer: PeerKey::Known(key(1).public()),
        what: CaptureWhat::Both,
        snap_len: 96,
        seconds: 60,
    })
}

pub(crate) fn capture_page() -> CapturePage {
    let row = CaptureRow {
        at_ns: 1_000,
        session: session_name(),
        remote: endpoint(),
        local: Endpoint::of(([10, 9, 8, 7], 7_000).into()),
        way: CaptureWay::Out,
        kind: CaptureKind::Message,
        whole_len: 13,
        offset: 0,
        bytes: vec![8, 0, 0, 0, 9],
    };
    CapturePage { now_ns: 2_000, first: 7, lost: 1, is_over: false, rows: vec![row] }
}

pub(crate) fn answer() -> Answer {
    Answer { number: 21, what: Tell::Sessions(sessions_page()) }
}

pub(crate) fn goodbye() -> Goodbye {
    Goodbye { reason: Parting::BANNED, detail: 599 }
}

/// The text of a data file; `None`, with a line that says so, where the data are absent. With `HPB_DATA` set they must
/// be there.
pub(crate) fn data(path: &str) -> Option<String> {
    let named = std::env::var_os("HPB_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = named.clone().unwrap_or_else(beside).join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(named.is_none(), "HPB_DATA is set, but {} cannot be read: {error}", file.display());
            println!("skipped: {} is absent", file.display());
            None
        }
    }
}
