//! Captures and a tape for the tests of `hpb lab replay`.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hpb_base::{Instant, UnixMillis};
use hpb_net::Medium;
use hpb_net::capture::{CaptureWriter, Way};
use hpb_net::frame::Bursts;
use hpb_net::port::Capabilities;
use hpb_toe::segment::{ACK, FIN, SYN};
use hpb_toe::tape::{Entry, TapeHead, TapeSink, TapeWriter, TapedLane};
use hpb_toe::{Class, Command, LaneConfig};

const CALLER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CALLED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORTS: [u16; 2] = [1_025, 80];

/// The ones' complement sum of big-endian words (RFC 1071).
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

/// An IPv4 packet with a TCP segment of the caller's, or of the called one's.
fn segment(by_caller: bool, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ([from, to], [from_port, to_port]) =
        if by_caller { ([CALLER, CALLED], PORTS) } else { ([CALLED, CALLER], [PORTS[1], PORTS[0]]) };
    let len = (40 + payload.len()) as u16;
    let mut ip = [&[0x45, 0][..], &len.to_be_bytes(), &[0, 0, 0x40, 0, 64, 6, 0, 0]].concat();
    ip.extend([from.octets(), to.octets()].concat());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum);
    let mut tcp = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
    tcp.extend([seq.to_be_bytes(), 77u32.to_be_bytes(), [0x50, flags, 0xff, 0xff], [0; 4]].concat());
    let pseudo = [&from.octets()[..], &to.octets(), &[0, 6], &(len - 20).to_be_bytes()].concat();
    let sum = checksum(&[&pseudo, &tcp, payload]);
    tcp[16..18].copy_from_slice(&sum);
    [ip, tcp, payload.to_vec()].concat()
}

fn writer() -> CaptureWriter<Vec<u8>> {
    CaptureWriter::new(Vec::new(), Medium::Ip, UnixMillis(1_700_000_000_000), "test").unwrap()
}

/// A capture of one session: `hello` is answered by `well`.
pub(crate) fn session() -> Vec<u8> {
    let mut capture = writer();
    for (at, (by_caller, seq, flags, payload)) in [
        (true, 9, SYN, &b""[..]),
        (false, 500, SYN | ACK, b""),
        (true, 10, ACK, b"hello"),
        (false, 501, ACK, b"well"),
        (true, 15, FIN | ACK, b""),
    ]
    .into_iter()
    .enumerate()
    {
        let way = if by_caller { Way::In } else { Way::Out };
        capture.write(Instant::from_nanos(at as u64), way, &segment(by_caller, seq, flags, payload)).unwrap();
    }
    capture.finish().unwrap()
}

/// What a lane leaves behind.
struct Kept {
    capture: CaptureWriter<Vec<u8>>,
    entries: Vec<Entry>,
}

struct Keeper(Arc<Mutex<Option<Kept>>>);

impl TapeSink for Keeper {
    fn frame(&mut self, at: Instant, way: Way, bytes: &[u8]) {
        if let Some(kept) = &mut *self.0.lock().unwrap() {
            kept.capture.write(at, way, bytes).unwrap();
        }
    }

    fn entry(&mut self, entry: &Entry) {
        if let Some(kept) = &mut *self.0.lock().unwrap() {
            kept.entries.push(entry.clone());
        }
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// A lane that listens, hears a call and answers it: its capture, and its tape.
pub(crate) fn taped() -> (Vec<u8>, Vec<u8>) {
    let now = Instant::from_millis(1_000);
    let mut config = LaneConfig::new(vec![(CALLED.into(), 24)], None, [7; 32]);
    config.sessions_max = 16;
    let head = TapeHead::new(config, Capabilities::plain(1_500), now).unwrap();
    let keeper = Arc::new(Mutex::new(Some(Kept { capture: writer(), entries: Vec::new() })));
    let mut lane = TapedLane::taped(&head, Box::new(Keeper(Arc::clone(&keeper)))).unwrap();
    let mut bursts = Bursts::new(32);
    lane.handle(now, Command::Listen { port: PORTS[1], class: Class::Terminal, encrypted: false });
    let mut frame = bursts.pool.take().unwrap();
    frame.copy_from(&segment(true, 9, SYN, b""));
    bursts.rx.push(frame);
    lane.receive(now, &mut bursts);
    lane.transmit(now, &mut bursts);
    lane.end_tape();
    let kept = keeper.lock().unwrap().take().unwrap();
    let mut tape = TapeWriter::new(Vec::new(), &head).unwrap();
    kept.entries.iter().for_each(|entry| tape.write(entry).unwrap());
    (kept.capture.finish().unwrap(), tape.finish().unwrap())
}
