#![allow(clippy::unwrap_used)]

use hpb_base::{Instant, UnixMillis};

use super::{CaptureError, CaptureReader, CaptureWriter, CapturedFrame, Way};
use crate::pcap::PcapWriter;
use crate::port::Medium;

const EPOCH: UnixMillis = UnixMillis(1_700_000_000_123);

fn written() -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), Medium::Ip, EPOCH, "hpb").unwrap();
    writer.write(Instant::from_nanos(42), Way::In, &[0x45, 1, 2]).unwrap();
    writer.write(Instant::from_nanos(1_000_000_043), Way::Out, &[0x60; 40]).unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
    let mut reader = CaptureReader::new(bytes)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

#[test]
fn what_is_written_is_read_again() {
    let bytes = written();
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert!(bytes.len().is_multiple_of(4));
    let frames = read(&bytes).unwrap();
    let frame = |at_ns, way, bytes: &[u8]| CapturedFrame {
        at_ns,
        way: Some(way),
        medium: Medium::Ip,
        bytes: bytes.to_vec(),
        wire_len: bytes.len() as u32,
    };
    let began_ns = 1_700_000_000_123_000_000;
    assert_eq!(frames[0], frame(began_ns + 42, Way::In, &[0x45, 1, 2]));
    assert_eq!(frames[1], frame(began_ns + 1_000_000_043, Way::Out, &[0x60; 40]));
    assert_eq!(frames.len(), 2);
}

#[test]
fn the_classic_format_is_read_in_both_byte_orders_and_resolutions() {
    let mut writer = PcapWriter::new(Vec::new(), Medium::Ethernet, EPOCH).unwrap();
    let mut classic = Vec::new();
    writer.write(Instant::from_nanos(7), &[1; 60]).unwrap();
    classic.append(&mut writer.into_inner());
    let frames = read(&classic).unwrap();
    assert_eq!((frames[0].at_ns, frames[0].way), (1_700_000_000_123_000_007, None));
    assert_eq!((frames[0].medium, frames[0].bytes.len()), (Medium::Ethernet, 60));
    // Big endian, microseconds, by hand.
    let words: [u32; 10] = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, 101, 5, 250, 4, 1_500];
    let mut big: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    big.extend_from_slice(&[0x45, 0, 5, 220]);
    let frames = read(&big).unwrap();
    assert_eq!((frames[0].at_ns, frames[0].wire_len, frames[0].medium), (5_000_250_000, 1_500, Medium::Ip));
}

#[test]
fn stamps_are_read_in_any_resolution() {
    use super::read::nanoseconds;
    assert_eq!(nanoseconds(5, 9), 5);
    assert_eq!(nanoseconds(5, 6), 5_000);
    assert_eq!(nanoseconds(5, 0), 5_000_000_000);
    assert_eq!(nanoseconds(3 << 19, 0x80 + 20), 1_500_000_000, "2^-20 s");
    assert_eq!(nanoseconds(u64::MAX, 0), u64::MAX, "held at the largest");
    assert_eq!(nanoseconds(u64::MAX, 0x7f), 0, "ticks too short to count");
}

#[test]
fn every_cut_and_every_turned_bit_is_refused_or_read_and_never_more() {
    let bytes = written();
    for len in 0..bytes.len() {
        let cut = read(&bytes[..len]);
        assert!(cut.is_err() || cut.is_ok_and(|frames| frames.len() < 2), "{len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut turned = bytes.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        let frames = read(&turned).unwrap_or_default();
        assert!(frames.len() <= 2 && frames.iter().all(|frame| frame.bytes.len() <= 64), "{bit}");
    }
}

#[test]
fn a_file_of_another_kind_says_so() {
    assert!(matches!(read(b""), Err(CaptureError::NotACapture)));
    assert!(matches!(read(b"GET / HTTP/1.1"), Err(CaptureError::NotACapture)));
    let mut other = PcapWriter::new(Vec::new(), Medium::Ip, EPOCH).unwrap().into_inner();
    other[20] = 195;
    assert!(matches!(read(&other), Err(CaptureError::LinkType(195))));
    let mut long = written();
    let at = long.len() - 4;
    long.truncate(at);
    assert!(matches!(read(&long), Err(CaptureError::Malformed { .. })));
}
