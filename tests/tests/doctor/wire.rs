//! A wire of our own between two hosts, with a fault in it: a thread carries each frame from one TAP interface to the other
//! unless the fault takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hpb_base::Instant;
use hpb_net::frame::Bursts;
use hpb_net::{Capabilities, Port, TapPort};
use hpb_sandbox::Host;

/// The interface of each end.
pub(crate) const INTERFACE: &str = "wire0";
const MTU: usize = 1_500;
const FRAMES: usize = 1_024;
const ETHERNET_LEN: usize = 14;

/// What is wrong with a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// IP packets longer than this vanish, both ways.
    LongerThan(usize),
    /// Of the segments with data from the first host to the second one in so many is lost.
    LosesUp(u32),
    /// SYNs from the first host to this port vanish.
    SynsTo(u16),
}

impl Fault {
    /// Whether a frame is taken; `from` is the end that sent it, `count` how many went before.
    fn takes(self, frame: &[u8], from: usize, count: u32) -> bool {
        let Some(packet) = frame.get(ETHERNET_LEN..).filter(|packet| packet.len() >= 20 && packet[0] >> 4 == 4) else {
            return false;
        };
        let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let header_len = usize::from(packet[0] & 0xF) * 4;
        let tcp = (packet[9] == 6).then(|| packet.get(header_len..)).flatten().filter(|tcp| tcp.len() >= 20);
        match self {
            Self::None => false,
            Self::LongerThan(most) => len > most,
            Self::LosesUp(one_in) => from == 0 && len > 500 && count.is_multiple_of(one_in),
            Self::SynsTo(port) => tcp
                .is_some_and(|tcp| from == 0 && u16::from_be_bytes([tcp[2], tcp[3]]) == port && tcp[13] & 0x12 == 0x02),
        }
    }
}

/// A wire that carries frames until it goes.
pub(crate) struct Wire {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    pub(crate) fn lay(hosts: [&Host; 2], fault: Fault) -> Self {
        let ports = [0, 1].map(|end: usize| {
            let device = Capabilities { hardware: [2, 0, 0, 0, 0, end as u8 + 1], ..Capabilities::plain(MTU) };
            let mut ports = hosts[end].run(|| TapPort::open_twin(INTERFACE, &device)).unwrap().unwrap();
            (ports.pop().unwrap(), Bursts::new(FRAMES))
        });
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        #[allow(clippy::disallowed_methods, reason = "a wire between two kernels is a driver")]
        let thread = std::thread::spawn(move || carry(ports, fault, &told));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn carry(mut ends: [(TapPort, Bursts); 2], fault: Fault, stop: &AtomicBool) {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut moved = false;
        for from in [0, 1] {
            let (port, bursts) = &mut ends[from];
            moved |= port.rx_burst(Instant::ZERO, bursts) > 0;
            for frame in std::mem::take(&mut ends[from].1.rx) {
                count += 1;
                if fault.takes(frame.bytes(), from, count) {
                    ends[from].1.pool.give(frame);
                    continue;
                }
                // The frame changes its pool, in exchange for another where there is one.
                if let Some(spare) = ends[1 - from].1.pool.take_spare() {
                    ends[from].1.pool.give(spare);
                } else {
                    ends[from].1.pool.forget();
                    ends[1 - from].1.pool.adopt();
                }
                ends[1 - from].1.tx.push_back(frame);
            }
            let (port, bursts) = &mut ends[1 - from];
            if !bursts.tx.is_empty() {
                port.tx_burst(Instant::ZERO, bursts);
            }
        }
        if !moved {
            #[allow(clippy::disallowed_methods, reason = "a wire between two kernels keeps real time")]
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}
