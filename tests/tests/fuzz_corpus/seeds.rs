//! The seeds: inputs that get past the first checks, from the real encoders where there is one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::Instant;
use hpb_ledger::account::Account;
use hpb_ledger::dpos::{
    Activity, Ballot, BondArguments, Cut, Deeds, OfferProxyArguments, Producer, ProducerArguments, ProvenKeys,
    ProxyArguments, RegisterArguments, Release, ReportArguments, Roster, Stake, StakeArguments, Status as Standing,
    Term, Unbonding, UpdateArguments, Vote, VoteArguments, WithdrawArguments,
};
use hpb_ledger::key;
use hpb_ledger::records::{self, Included, SlotFees, Tariff, Window};
use hpb_ledger::system::CreateArguments;
use hpb_ledger::token::TransferArguments;
use hpb_net::frame::{Bursts, Partial};
use hpb_net::offload::{Segmentation, VirtioHeader};
use hpb_net::port::Capabilities;
use hpb_tests::fuzz::{TcpPacket, ethernet, repair};
use hpb_toe::card::{Call, Command};
use hpb_toe::framing::framed;
use hpb_toe::segment::{self, ACK, FIN, RST, SYN};
use hpb_toe::{Class, Identity, Lane, LaneConfig};
use hpb_types::{
    AccountName, Action, ActionName, Amount, Authorisation, Beacon, Bitmap, Block, Canonical, Certificate, ChainId,
    Confirm, ConfirmBody, Digest, Domain, DposParameters, EngineChoice, Epoch, Event, Evidence, Fault, Genesis,
    GenesisAccount, GenesisProducer, Gossip, Hash, Height, Hello, KeyPair, Message, NextSchedule, Outcome,
    PermissionName, Quorum, Receipt, RejectReason, ResultsCommitment, Roles, Schedule, ScheduledProducer, Signature,
    SignedSlice, Slice, SliceBody, SliceBundle, SliceRef, SliceRequest, SliceStatement, SliceStatus, Slot, Status,
    Transaction, TransactionBody, TransactionStatus, VrfProof, VrfSecret, Weighting,
};

type Seeds = Vec<(String, Vec<u8>)>;

/// A target's seeds, by name of file.
pub(crate) fn of(target: &str) -> Seeds {
    match target {
        "answer_ip" => numbered(answer_ip()),
        "chainlog" => numbered(chainlog()),
        "codec" => codec(),
        "framing" => numbered(framing()),
        "http" => numbered(http()),
        "lane_ethernet" | "lane_ip" => lane(),
        "message" => numbered(message()),
        "name" => numbered(name()),
        "neighbor" => neighbor(),
        "offload" => numbered(offload()),
        "secure" => numbered(secure()),
        "segment" => numbered(packets()),
        "signature" => numbered(signature()),
        "state" => numbered(state()),
        "url" => numbered(url()),
        "vrf" => numbered(vrf()),
        "workload" => numbered(workload()),
        _ => panic!("{target} has no seeds"),
    }
}

fn numbered(inputs: Vec<Vec<u8>>) -> Seeds {
    inputs.into_iter().enumerate().map(|(number, bytes)| (format!("seed-{number:02}"), bytes)).collect()
}

fn named<const N: usize>(inputs: [(&str, Vec<u8>); N]) -> Seeds {
    inputs.into_iter().map(|(name, bytes)| (format!("seed-{name}"), bytes)).collect()
}

// Packets.

fn v4(host: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, host])
}

fn v6(host: u8) -> IpAddr {
    IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
}

fn tcp(peer: IpAddr, card: IpAddr, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let (source, destination) = ((peer, 1_025), (card, 80));
    TcpPacket { source, destination, seq: 9, ack: 77, flags, window: 0xffff, options, payload }.bytes()
}

fn packets() -> Vec<Vec<u8>> {
    let options = [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 0, 0];
    let mut packets = Vec::new();
    for (peer, card) in [(v4(2), v4(1)), (v6(2), v6(1))] {
        packets.push(tcp(peer, card, SYN, &options, &[]));
        packets.push(tcp(peer, card, ACK, &[], b"GET / HTTP/1.1\r\n\r\n"));
        packets.push(tcp(peer, card, FIN | ACK, &[], b"odd"));
        packets.push([tcp(peer, card, RST, &[], &[]), vec![0; 6]].concat());
    }
    // IPv4 options, and an IPv6 packet between IPv4 addresses mapped into IPv6.
    let mut options = tcp(v4(2), v4(1), ACK, &[], b"data");
    options[0] = 0x46;
    options[3] += 4;
    options.splice(20..20, [1, 1, 1, 0]);
    repair(&mut options);
    packets.push(options);
    packets.push(tcp(mapped(2), mapped(1), SYN, &[], &[]));
    packets
}

fn mapped(host: u8) -> IpAddr {
    IpAddr::from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, host])
}

fn ip(source: IpAddr, destination: IpAddr, protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    // The header of a segment of the same length, with another protocol.
    let mut packet = tcp(source, destination, 0, &[], &vec![0; payload.len().saturating_sub(20)]);
    let at = if source.is_ipv4() { 20 } else { 40 };
    packet.truncate(at);
    packet.extend(&payload);
    if source.is_ipv4() {
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[9] = protocol;
    } else {
        packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        packet[6] = protocol;
    }
    repair(&mut packet);
    packet
}

fn echo(peer: IpAddr, card: IpAddr) -> Vec<u8> {
    let (protocol, kind) = if peer.is_ipv4() { (1, 8) } else { (58, 128) };
    ip(peer, card, protocol, &[&[kind, 0, 0, 0, 0, 1, 0, 1], b"0123456789"])
}

fn datagram(peer: IpAddr, card: IpAddr) -> Vec<u8> {
    ip(peer, card, 17, &[&[0, 9, 0x82, 0x9a, 0, 12, 0, 0], b"ping"])
}

/// An error about a segment that the card sent.
fn error(peer: IpAddr, card: IpAddr, kind: u8, code: u8, said: u16) -> Vec<u8> {
    let quote = tcp(card, peer, ACK, &[], &[]);
    let [high, low] = said.to_be_bytes();
    let protocol = if peer.is_ipv4() { 1 } else { 58 };
    ip(peer, card, protocol, &[&[kind, code, 0, 0, 0, 0, high, low], &quote])
}

fn answer_ip() -> Vec<Vec<u8>> {
    let hop_by_hop = [58, 0, 1, 4, 0, 0, 0, 0];
    let mut inputs = Vec::new();
    for (peer, card) in [(v4(2), v4(1)), (v6(2), v6(1))] {
        inputs.extend([echo(peer, card), datagram(peer, card)]);
    }
    inputs.extend([error(v4(2), v4(1), 3, 4, 1_400), error(v4(2), v4(1), 3, 4, 0), error(v4(2), v4(1), 3, 3, 0)]);
    inputs.extend([error(v6(2), v6(1), 2, 0, 1_300), error(v6(2), v6(1), 1, 4, 0), error(v6(2), v6(1), 4, 1, 0)]);
    inputs.push(ip(v6(2), v6(1), 0, &[&hop_by_hop, &[128, 0, 0, 0, 0, 1, 0, 1]]));
    inputs.push(ip(mapped(2), mapped(1), 1, &[&[8, 0, 0, 0, 0, 1, 0, 1]]));
    inputs.push(ip(v6(2), mapped(1), 58, &[&[128, 0, 0, 0, 0, 1, 0, 1]]));
    inputs
}

// Scripts of a lane; the steps are those of `tests/src/fuzz/lane.rs`.

/// Selectors: a service, over IPv6 with 8, of the client in the upper bits.
const ECHO: u8 = 0;
const PAGE: u8 = 1;
const PLAIN: u8 = 2;
const SEALED: u8 = 3;
const OVER_V6: u8 = 8;
/// The first flow that there is.
const KNOWN: u8 = 7;

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

fn raw(packet: &[u8]) -> Vec<u8> {
    [vec![0], sized(packet)].concat()
}

fn open(selector: u8) -> Vec<u8> {
    vec![2, selector]
}

fn near(selector: u8, flags: u8, offsets: (i16, i16), payload: &[u8]) -> Vec<u8> {
    let mut step = vec![3, selector, flags];
    step.extend(offsets.0.to_le_bytes());
    step.extend(offsets.1.to_le_bytes());
    step.extend(0xffff_u16.to_le_bytes());
    step.extend([0, payload.len() as u8]);
    step.extend(payload);
    step
}

fn say(selector: u8, payload: &[u8]) -> Vec<u8> {
    [&[4, selector, payload.len() as u8], payload].concat()
}

fn pass(millis: u16) -> Vec<u8> {
    [vec![5], millis.to_le_bytes().to_vec()].concat()
}

fn command(what: u8, which: u8) -> Vec<u8> {
    vec![6, what, which]
}

/// An error about the card's last word.
fn complain(kind: u8, code: u8, said: u16) -> Vec<u8> {
    [vec![7, kind, code], said.to_le_bytes().to_vec(), vec![255]].concat()
}

fn finish(selector: u8) -> Vec<u8> {
    vec![8, selector]
}

fn lane() -> Seeds {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let mut flood = Vec::new();
    for client in 0..6 {
        flood.extend(near(ECHO | client << 4, SYN, (0, 0), &[]));
    }
    flood.extend(near(ECHO | 5 << 4, ACK, (0, 0), b"late"));
    flood.extend(pass(3_000));
    named([
        ("echo", [open(ECHO), say(ECHO, b"there and back"), finish(ECHO), pass(500), open(ECHO)].concat()),
        ("page", [open(PAGE | OVER_V6), say(PAGE | OVER_V6, request), say(PAGE | OVER_V6, b"x\r\n\r\n")].concat()),
        ("plain", [open(PLAIN), say(PLAIN, &framed(7, b"hello")), command(1, 3), command(0, 0)].concat()),
        (
            "group",
            [open(PLAIN), command(2, 0), command(3, 9), say(PLAIN, &framed(1, &[5; 90])[..40]), pass(60_000)].concat(),
        ),
        ("sealed", [open(SEALED), say(SEALED, &message_1()), pass(100), say(SEALED, &[0, 1, 2])].concat()),
        ("stranger", [open(SEALED), say(SEALED, &[49, 0, 1]), say(SEALED, &[7; 48]), pass(11_000)].concat()),
        (
            "blind",
            [
                open(ECHO),
                near(ECHO, RST, (5, 0), &[]),
                near(ECHO, SYN, (9, 0), &[]),
                near(ECHO, ACK, (-20, -1), b"old"),
                near(ECHO, ACK, (3, 0), b"ahead"),
                near(ECHO, ACK, (0, 30_000), b"never sent"),
                near(ECHO, RST, (0, 0), &[]),
            ]
            .concat(),
        ),
        ("flood", flood),
        (
            "narrow",
            [
                open(ECHO),
                near(ECHO, ACK, (0, 0), &[1; 200]),
                complain(3, 4, 1_300),
                pass(900),
                complain(3, 3, 0),
                vec![9, 30, 0, 1],
            ]
            .concat(),
        ),
        ("called", [command(4, 0), complain(3, 3, 0), command(4, 1), pass(20_000), vec![9, 33, 0, 2]].concat()),
        (
            "answered",
            [command(4, 0), near(KNOWN, SYN | ACK, (0, 0), &[]), say(KNOWN, &framed(5, b"welcome")), command(1, 2)]
                .concat(),
        ),
        ("raw", packets().iter().chain(&answer_ip()).flat_map(|packet| raw(packet)).collect()),
        (
            "frames",
            packets().iter().take(4).flat_map(|packet| raw(&[&ETHERNET_V4, packet.as_slice()].concat())).collect(),
        ),
    ])
}

/// The header of a frame to the card of the lane's script.
const ETHERNET_V4: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];

// Scripts of the link layer; the steps are those of `tests/src/fuzz/neighbor.rs`.

fn to_card(source: u8, kind: u8, packet: &[u8]) -> Vec<u8> {
    [vec![1, source, kind], sized(packet)].concat()
}

fn to_all(group: u8, packet: &[u8]) -> Vec<u8> {
    [vec![2, group, 9], sized(packet)].concat()
}

fn arp(operation: u8, sender: (u8, u8), target: u8) -> Vec<u8> {
    let (hardware, host) = sender;
    [
        &[0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, hardware, 10, 0, 0, host, 0, 0, 0, 0, 0, 0, 10, 0, 0][..],
        &[target],
    ]
    .concat()
}

fn solicitation(source: IpAddr, target: u8) -> Vec<u8> {
    let IpAddr::V6(asked) = v6(target) else { return Vec::new() };
    let parts = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &asked.octets(), &[1, 1, 2, 0, 0, 0, 0, 9]];
    ip(source, v6(1), 58, &parts)
}

fn neighbor() -> Seeds {
    let lease = [51, 4, 0, 0, 0, 60, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 254, 26, 2, 5, 0x78, 255];
    let leased = |kind: u8| [&[5, kind, 77, lease.len() as u8][..], &lease].concat();
    let wait = |millis: u16| [vec![4], millis.to_le_bytes().to_vec()].concat();
    let unspecified = IpAddr::from([0_u8; 16]);
    let query = ip(v6(9), v6(1), 58, &[&[130, 0, 0, 0, 0, 0, 0, 0], &[0; 16]]);
    named([
        (
            "asked",
            [vec![0], to_card(9, 0, &arp(1, (9, 9), 1)), to_all(0, &arp(1, (8, 8), 1)), vec![3, 0, 9, 3]].concat(),
        ),
        ("answered", [vec![0, 3, 0, 7, 20, 6, 7, 7, 3, 0, 7, 3, 3, 2, 7, 5, 6, 7, 7, 6, 7, 8], wait(40_000)].concat()),
        (
            "unanswered",
            [vec![8, 3, 0, 7, 20, 3, 1, 7, 9, 3, 2, 5, 5, 3, 3, 5, 5], wait(9_000), vec![3, 0, 7, 2]].concat(),
        ),
        ("tagged", [vec![1], to_card(9, 0, &arp(1, (9, 9), 1)), to_card(9, 2, &echo(v4(9), v4(1)))].concat()),
        (
            "leased",
            [vec![2], wait(1_500), leased(2), wait(10), leased(5), wait(40_000), leased(5), wait(50_000), leased(6)]
                .concat(),
        ),
        ("claimed", [vec![0], to_all(0, &arp(1, (9, 1), 1)), to_card(9, 2, &solicitation(unspecified, 1))].concat()),
        (
            "discovered",
            [
                vec![0],
                to_card(9, 2, &solicitation(v6(9), 1)),
                to_all(1, &solicitation(v6(9), 1)),
                to_card(9, 2, &query),
            ]
            .concat(),
        ),
        (
            "pinged",
            [
                vec![4],
                to_card(9, 2, &echo(v4(9), v4(1))),
                to_card(9, 2, &echo(v6(9), v6(1))),
                to_card(9, 2, &datagram(v4(9), v4(1))),
                to_card(9, 2, &error(v4(9), v4(1), 3, 4, 1_400)),
                to_card(9, 2, &packets()[0]),
            ]
            .concat(),
        ),
        (
            "served",
            [
                vec![0],
                to_card(9, 2, &echo(v4(9), v4(1))),
                to_card(9, 2, &datagram(v6(9), v6(1))),
                to_card(9, 2, &error(v6(9), v6(1), 2, 0, 1_300)),
                to_card(9, 2, &tcp(v6(9), v6(1), SYN, &[], &[])),
            ]
            .concat(),
        ),
        ("mapped", [vec![0], answer_ip().iter().flat_map(|packet| to_card(9, 2, packet)).collect()].concat()),
    ])
}

// Ports.

/// Super-frames: partial, vouched for, to be checked here, tagged, of both families.
fn offload() -> Vec<Vec<u8>> {
    let header = |partial: Option<u16>, is_valid: bool, segmentation, segment_len| {
        let partial = partial.map(|start| Partial { start, offset: 16 });
        VirtioHeader { partial, is_valid, segmentation, headers_len: 54, segment_len }.to_bytes().to_vec()
    };
    let data = [7; 300];
    let v4 = tcp(v4(2), v4(1), FIN | ACK, &[], &data);
    let v6 = tcp(v6(2), v6(1), ACK, &[1, 1, 1, 1], &data);
    let (hardware, none) = ([2, 0, 0, 0, 0, 1], Segmentation::None);
    let frame = |vlan: Option<u16>, packet: &[u8]| {
        ethernet(hardware, [2, 0, 0, 0, 0, 2], vlan, if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }, packet)
    };
    vec![
        [header(Some(34), false, Segmentation::Tcp4, 100), frame(None, &v4)].concat(),
        [header(Some(58), false, Segmentation::Tcp6, 120), frame(Some(5), &v6)].concat(),
        [header(None, true, Segmentation::Tcp4, 1), frame(Some(5), &v4[..50])].concat(),
        [header(None, false, Segmentation::Tcp6, 299), frame(None, &v6)].concat(),
        [header(Some(34), false, none, 0), frame(None, &v4)].concat(),
        [header(None, false, none, 0), frame(None, &v6)].concat(),
    ]
}

fn url() -> Vec<Vec<u8>> {
    let urls = [
        "wire:",
        "packet:eth1?queues=2",
        "tap:hpb0",
        "xdp:eth1?queues=2&mode=zero-copy&busy_poll_us=20",
        "dpdk:--vdev=net_memif0,role=client,socket=/tmp/x;--no-huge?queues=2",
        "xdp:a-name-of-sixteen?mode=copy",
        "packet:eth1?queues=2&twin=hpb0",
    ];
    urls.iter().map(|url| url.as_bytes().to_vec()).collect()
}

// Streams.

fn framing() -> Vec<Vec<u8>> {
    let stream = [framed(1, b"one"), framed(2, &[]), framed(3, &[9; 300]), framed(4, &[1; 301])].concat();
    vec![
        [&[3, 0, 4, 90][..], &stream].concat(),
        [&[0][..], &stream[..300]].concat(),
        [&[1, 6][..], &stream[..20]].concat(),
    ]
}

fn http() -> Vec<Vec<u8>> {
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(8_200));
    let requests = [
        "GET / HTTP/1.1\r\nHost: card\r\n\r\nHEAD /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "PUT / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2\r\n\r\n",
        "\r\n\r\nGET",
        "GET / HTTP/1.1\nX: y\n\n\r\n\r\n",
        long.as_str(),
    ];
    requests.iter().map(|request| [&[2, 9, 0][..], request.as_bytes()].concat()).collect()
}

/// An edit of the secure target: a side's stream, a place in it, the bits to flip.
pub(crate) fn secure_edit(side: u16, at: u16, bits: u8) -> Vec<u8> {
    let [low, high] = (side << 15 | at).to_le_bytes();
    vec![low, high, bits]
}

fn secure() -> Vec<Vec<u8>> {
    let edits = [(0, 0, 1), (0, 2, 1), (0, 20, 4), (0, 60, 128), (0, 212, 1), (1, 1, 1), (1, 70, 2), (1, 193, 8)];
    let records = [(0, 213, 1), (0, 260, 1), (1, 194, 3), (1, 230, 1), (1, 1_900, 16)];
    let mut inputs = vec![vec![0]];
    inputs.extend(
        edits.iter().chain(&records).map(|(side, at, bits)| [vec![0], secure_edit(*side, *at, *bits)].concat()),
    );
    let message = message_1();
    inputs.push([&[1], message.as_slice()].concat());
    inputs.push([&[1], message.as_slice(), &[162, 0], &[7; 162]].concat());
    inputs.push([&[1], &message[..50], &[0]].concat());
    inputs
}

/// A caller's first handshake message to the card of the lane's script.
fn message_1() -> Vec<u8> {
    let chain = ChainId(Hash([9; 32]));
    let now = Instant::from_millis(1_000);
    let identity = Arc::new(Identity::new([5; 32], chain));
    let config = LaneConfig::new(vec![(v4(2), 24)], Some(identity), [5; 32]);
    let mut lane = Lane::new(config, Capabilities::plain(1_500), now).unwrap();
    let mut bursts = Bursts::new(64);
    let call = Call {
        remote: SocketAddr::new(v4(1), 3_001),
        local: SocketAddr::new(v4(2), 0),
        class: Class::Uplink,
        responder: Some(Identity::new([1; 32], chain).public()),
        identity: None,
        tag: 0,
        keep: false,
    };
    lane.handle(now, Command::Open(call));
    lane.poll(now, &mut bursts);
    let syn = segment::parse(bursts.tx[0].bytes()).unwrap();
    let (source, destination) = ((v4(1), 3_001), (v4(2), syn.flow.ports.0));
    let options = [2, 4, 5, 0xb4];
    let answer = TcpPacket {
        source,
        destination,
        seq: 50,
        ack: syn.seq.wrapping_add(1),
        flags: SYN | ACK,
        window: 0xffff,
        options: &options,
        payload: &[],
    };
    let mut frame = bursts.pool.take().unwrap();
    frame.copy_from(&answer.bytes());
    bursts.tx.clear();
    bursts.rx.push(frame);
    lane.poll(now, &mut bursts);
    let job = lane.take_job().expect("the session is open");
    lane.finish_job(now, job.run());
    lane.poll(now, &mut bursts);
    let said = bursts.tx.iter().filter_map(|frame| {
        let segment = segment::parse(frame.bytes()).ok()?;
        (segment.payload_len() > 0).then(|| frame.bytes()[segment.payload_at..segment.end_at].to_vec())
    });
    said.collect::<Vec<_>>().concat()
}

// The chain's words.

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

fn slice_ref() -> SliceRef {
    SliceRef { height: Height::new(7, 2), id: Hash([0x22; 32]) }
}

fn transfer() -> TransferArguments {
    TransferArguments { from: ALICE, to: BOB, amount: Amount(5), memo: b"tea".to_vec() }
}

fn transaction() -> Transaction {
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

fn certificate() -> Certificate {
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

fn slice() -> Slice {
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

fn confirm() -> Confirm {
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

fn genesis() -> Genesis {
    let account = |name, byte, balance| GenesisAccount { name, key: keys(byte).public(), balance: Amount(balance) };
    Genesis {
        version: Genesis::VERSION,
        label: "test".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 1_200,
        fee_per_byte: Amount(1_000),
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
    Receipt { transaction: Hash([0x71; 32]), outcome, fee: Amount(300), events: vec![event] }
}

fn bundle() -> SliceBundle {
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
    TransactionStatus { id: Hash([0x71; 32]), status: Status::Included(slice_ref()) }
}

fn request() -> SliceRequest {
    SliceRequest { from: slice_ref(), want: Hash([0x24; 32]) }
}

fn create() -> CreateArguments {
    CreateArguments { creator: ALICE, name: BOB, owner: keys(1).public(), active: keys(2).public() }
}

/// In the order of the target's selectors.
fn codec() -> Seeds {
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

fn message() -> Vec<Vec<u8>> {
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
    ];
    messages.iter().map(|message| [&[message.kind()], message.encode().as_slice()].concat()).collect()
}

fn name() -> Vec<Vec<u8>> {
    let texts = ["alice", "a.b-c0", "mzxw6ytbmzxw6ytbmzxw6ytbmzxw6ytb", "a..b", "-ab", "x", "caf\u{e9}"];
    let mut inputs: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    inputs.extend([ALICE.to_bytes(), AccountName::from_address([9; 20]).to_bytes()]);
    inputs.push(Hash([0xa5; 32]).to_hex().into_bytes());
    inputs.push(slice_ref().to_text().into_bytes());
    inputs
}

/// Good signatures, one of another message, and points of small order (the encodings of y = 1 and y = -1).
fn signature() -> Vec<Vec<u8>> {
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
fn vrf() -> Vec<Vec<u8>> {
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

fn state() -> Vec<Vec<u8>> {
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
        records::store(&Tariff { per_byte: Amount(1_000) }),
        records::store(&stake),
        records::store(&Stake { vote: Vote::Proxy(BOB), releases: Vec::new(), ..stake }),
        records::store(&producer),
        records::store(&Roster { producers: vec![BOB, ALICE] }),
        records::store(&Term { producers: vec![BOB] }),
        records::store(&activity),
        key::of(ALICE, key::ACCOUNT),
        key::of_included(9),
    ];
    records.iter().map(|record| record.as_slice().to_vec()).collect()
}

/// Bent logs, and records sealed as the log seals them; the steps are those of `tests/src/fuzz/log.rs`.
fn chainlog() -> Vec<Vec<u8>> {
    let edit = |what: u8, segment: u8, at: u16| [&[what, segment][..], &at.to_le_bytes()].concat();
    let mut inputs = vec![vec![0]];
    for (what, segment, at) in [(0, 0, 20), (0, 0, 4_100), (0, 1, 4_100), (1, 1, 9_000), (2, 1, 8_192), (254, 0, 8_192)]
    {
        inputs.push([vec![0], edit(what, segment, at)].concat());
    }
    inputs.push([vec![0], edit(3, 1, 12_000), sized(b"scribbled over what was free")].concat());
    let prefixed = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let slice = slice();
    let reference = |reference: SliceRef| {
        [&reference.height.slot.0.to_le_bytes()[..], &reference.height.index.to_le_bytes(), &reference.id.0].concat()
    };
    let body = [
        reference(slice.reference()),
        prefixed(&slice.to_bytes()),
        1_u32.to_le_bytes().to_vec(),
        prefixed(&transaction().to_bytes()),
    ]
    .concat();
    let record = |kind: u8, body: &[u8]| [vec![kind], sized(body)].concat();
    inputs.push([vec![1, 0], record(16, &body), record(19, &reference(slice_ref()))].concat());
    inputs.push([vec![1, 0], record(17, &confirm().to_bytes()), record(18, &certificate().to_bytes())].concat());
    inputs.push([vec![1, 64], record(19, &reference(slice_ref()))].concat());
    inputs.push([vec![1, 0], record(99, b"unknown")].concat());
    inputs
}

fn workload() -> Vec<Vec<u8>> {
    let header = "block,index,from,to,value_wei,gas_limit,input_bytes\n";
    let (a, b) = ("0x00000000000000000000000000000000000000aa", "0x00000000000000000000000000000000000000BB");
    let files = [
        format!("{header}1,0,{a},{b},5,21000,0\r\n1,1,{b},,7,21000,9\n1,2,{a},{a},0,1,0\n2,0,{a},{b},6,1,0"),
        format!("{header}1,0,{a},{b},340282366920938463463374607431768211455,1,0\n1,1,{a},{b},1,1,0\n"),
        format!("{header}1,0,{a},,5,21000,0\n"),
        header.to_owned(),
    ];
    files.into_iter().map(String::into_bytes).collect()
}
