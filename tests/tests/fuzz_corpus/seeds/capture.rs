//! Seeds of captures and tapes.

use std::sync::{Arc, Mutex};

use hpb_base::{Instant, UnixMillis};
use hpb_net::Medium;
use hpb_net::capture::{CaptureWriter, Way};
use hpb_net::frame::Bursts;
use hpb_net::pcap::PcapWriter;
use hpb_net::port::Capabilities;
use hpb_toe::segment::SYN;
use hpb_toe::tape::{Entry, TapeHead, TapeSink, TapeWriter, TapedLane};
use hpb_toe::{Class, Command, LaneConfig};

use super::{Seeds, named, tcp, v4};

pub(super) fn capture() -> Seeds {
    let packet = tcp(v4(2), v4(1), SYN, &[], &[]);
    let mut own = CaptureWriter::new(Vec::new(), Medium::Ip, UnixMillis(1_700_000_000_000), "hpb").unwrap();
    own.write(Instant::from_nanos(5), Way::In, &packet).unwrap();
    own.write(Instant::from_nanos(9), Way::Out, &packet[..20]).unwrap();
    let mut classic = PcapWriter::new(Vec::new(), Medium::Ethernet, UnixMillis(0)).unwrap();
    classic.write(Instant::from_nanos(5), &packet).unwrap();
    named([("own", own.finish().unwrap()), ("classic", classic.into_inner())])
}

#[derive(Clone, Default)]
struct Entries(Arc<Mutex<Vec<Entry>>>);

impl TapeSink for Entries {
    fn frame(&mut self, _at: Instant, _way: Way, _bytes: &[u8]) {}

    fn entry(&mut self, entry: &Entry) {
        self.0.lock().unwrap().push(entry.clone());
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// A lane that listens, hears a call and is told this and that.
pub(super) fn tape() -> Seeds {
    let now = Instant::from_millis(1_000);
    let mut config = LaneConfig::new(vec![(v4(1), 24)], None, [7; 32]);
    config.sessions_max = 16;
    let head = TapeHead::new(config, Capabilities::plain(1_500), now).unwrap();
    let entries = Entries::default();
    let mut lane = TapedLane::taped(&head, Box::new(entries.clone())).unwrap();
    let mut bursts = Bursts::new(32);
    lane.handle(now, Command::Listen { port: 80, class: Class::Terminal, encrypted: false });
    let mut frame = bursts.pool.take().unwrap();
    frame.copy_from(&tcp(v4(2), v4(1), SYN, &[], &[]));
    bursts.rx.push(frame);
    lane.receive(now, &mut bursts);
    lane.transmit(now, &mut bursts);
    lane.end_tape();
    let mut writer = TapeWriter::new(Vec::new(), &head).unwrap();
    for entry in entries.0.lock().unwrap().iter() {
        writer.write(entry).unwrap();
    }
    named([("call", writer.finish().unwrap())])
}
