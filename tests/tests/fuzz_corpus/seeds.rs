//! The seeds: inputs that get past the first checks, from the real encoders where there is one.

mod agents;
mod capture;
mod chain;
mod store;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::Instant;
use hpb_net::frame::{Bursts, Partial};
use hpb_net::offload::{Segmentation, VirtioHeader};
use hpb_net::port::Capabilities;
use hpb_tests::fuzz::{TcpPacket, ethernet, repair};
use hpb_toe::card::{Call, Command};
use hpb_toe::framing::framed;
use hpb_toe::segment::{self, ACK, FIN, RST, SYN};
use hpb_toe::{Class, Identity, Lane, LaneConfig};
use hpb_types::{Canonical, ChainId, Hash, SliceRef};

type Seeds = Vec<(String, Vec<u8>)>;

/// A target's seeds, by name of file.
pub(crate) fn of(target: &str) -> Seeds {
    match target {
        "agents" => agents::agents(),
        "answer_ip" => numbered(answer_ip()),
        "archive" => store::archive(),
        "capture" => capture::capture(),
        "chainlog" => numbered(chainlog()),
        "codec" => chain::codec(),
        "framing" => numbered(framing()),
        "http" => numbered(http()),
        "lane_ethernet" | "lane_ip" => lane(),
        "merkle" => numbered(chain::merkle()),
        "message" => numbered(chain::message()),
        "name" => numbered(chain::name()),
        "nats" => numbered(agents::nats()),
        "neighbor" => neighbor(),
        "offload" => numbered(offload()),
        "pages" => store::pages(),
        "proof" => chain::proof(),
        "secure" => numbered(secure()),
        "segment" => numbered(packets()),
        "signature" => numbered(chain::signature()),
        "snapshot" => store::snapshot(),
        "state" => numbered(chain::state()),
        "tape" => capture::tape(),
        "url" => numbered(url()),
        "vrf" => numbered(chain::vrf()),
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
    let slice = chain::slice();
    let reference = |reference: SliceRef| {
        [&reference.height.slot.0.to_le_bytes()[..], &reference.height.index.to_le_bytes(), &reference.id.0].concat()
    };
    let body = [
        reference(slice.reference()),
        prefixed(&slice.to_bytes()),
        1_u32.to_le_bytes().to_vec(),
        prefixed(&chain::transaction().to_bytes()),
    ]
    .concat();
    let record = |kind: u8, body: &[u8]| [vec![kind], sized(body)].concat();
    inputs.push([vec![1, 0], record(16, &body), record(19, &reference(chain::slice_ref()))].concat());
    inputs.push(
        [vec![1, 0], record(17, &chain::confirm().to_bytes()), record(18, &chain::certificate().to_bytes())].concat(),
    );
    inputs.push([vec![1, 64], record(19, &reference(chain::slice_ref()))].concat());
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
