//! Capture of any port in the classic pcap format, nanosecond stamps; opens in Wireshark.
//! (Format: draft-ietf-opsawg-pcap.)

use std::io::{self, Write};

use hpb_base::{Instant, UnixMillis};

use crate::frame::Bursts;
use crate::port::{Capabilities, Medium, Port, PortCounters};

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET: u32 = 1;
const LINKTYPE_RAW: u32 = 101;
const SNAP_LEN: u32 = 65_535;

/// Writes frames with their time.
pub struct PcapWriter<W> {
    out: W,
    /// The wall-clock time of [`Instant::ZERO`].
    epoch: UnixMillis,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file's header. Stamps are `epoch` plus the frame's instant.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(mut out: W, medium: Medium, epoch: UnixMillis) -> io::Result<Self> {
        let link = match medium {
            Medium::Ethernet => LINKTYPE_ETHERNET,
            Medium::Ip => LINKTYPE_RAW,
        };
        out.write_all(&MAGIC_NANOSECONDS.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&4_u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&SNAP_LEN.to_le_bytes())?;
        out.write_all(&link.to_le_bytes())?;
        Ok(Self { out, epoch })
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, at: Instant, frame: &[u8]) -> io::Result<()> {
        let nanos = u128::from(self.epoch.0) * 1_000_000 + u128::from(at.as_nanos());
        let secs = (nanos / 1_000_000_000) as u32;
        let rest = (nanos % 1_000_000_000) as u32;
        let len = frame.len() as u32;
        for field in [secs, rest, len.min(SNAP_LEN), len] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(&frame[..len.min(SNAP_LEN) as usize])
    }

    /// The sink, with all that was written.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// What the sink says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A port with a capture of all that passes it. A sink that fails ends the capture, never the port.
pub struct Captured<P, W> {
    port: P,
    writer: Option<PcapWriter<W>>,
    error: Option<io::Error>,
    /// What the capture may still write, in bytes; it ends when this is spent.
    budget_len: u64,
}

impl<P: Port, W: Write + Send> Captured<P, W> {
    /// Captures what passes `port` until `limit_len` bytes of frames were written.
    ///
    /// # Errors
    /// What the sink says of the header.
    pub fn new(port: P, out: W, epoch: UnixMillis, limit_len: u64) -> io::Result<Self> {
        let writer = PcapWriter::new(out, port.capabilities().medium, epoch)?;
        Ok(Self { port, writer: Some(writer), error: None, budget_len: limit_len })
    }

    /// Why the capture ended early, if the sink failed.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// The port and the sink; a sink that failed is gone.
    pub fn into_parts(self) -> (P, Option<W>) {
        (self.port, self.writer.map(|writer| writer.out))
    }

    fn note(&mut self, at: Instant, frame: &[u8]) {
        let Some(writer) = &mut self.writer else { return };
        if self.budget_len < frame.len() as u64 {
            return;
        }
        self.budget_len -= frame.len() as u64;
        if let Err(error) = writer.write(at, frame) {
            self.error = Some(error);
            self.writer = None;
        }
    }
}

impl<P: Port, W: Write + Send> Port for Captured<P, W> {
    fn capabilities(&self) -> Capabilities {
        self.port.capabilities()
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        let before = bursts.rx.len();
        let count = self.port.rx_burst(now, bursts);
        for frame in &bursts.rx[before..] {
            self.note(now, frame.bytes());
        }
        count
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        // Noted before they leave: the port may take only some, and what stays is offered again.
        let waiting: Vec<Vec<u8>> = bursts.tx.iter().map(|frame| frame.bytes().to_vec()).collect();
        let count = self.port.tx_burst(now, bursts);
        for frame in waiting.iter().take(waiting.len() - bursts.tx.len()) {
            self.note(now, frame);
        }
        count
    }

    fn wake_at(&self) -> Option<Instant> {
        self.port.wake_at()
    }

    fn descriptors(&self) -> &[std::os::fd::RawFd] {
        self.port.descriptors()
    }

    fn counters(&self) -> PortCounters {
        self.port.counters()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::WireBuilder;
    use std::net::IpAddr;

    #[test]
    fn header_and_record_are_as_the_format_says() {
        let mut writer = PcapWriter::new(Vec::new(), Medium::Ip, UnixMillis(1_700_000_000_123)).unwrap();
        writer.write(Instant::from_nanos(5_000_042), &[0x45, 1, 2]).unwrap();
        let bytes = writer.out;
        assert_eq!(bytes[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        assert_eq!(bytes[20..24], 101_u32.to_le_bytes());
        assert_eq!(bytes[24..28], 1_700_000_000_u32.to_le_bytes());
        assert_eq!(bytes[28..32], 128_000_042_u32.to_le_bytes());
        assert_eq!(bytes[32..40], [3, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[40..], [0x45, 1, 2]);
    }

    #[test]
    fn a_captured_port_notes_both_directions_once() {
        let mut builder = WireBuilder::new(0);
        builder.port(&[IpAddr::from([10, 0, 0, 1])]);
        let port = builder.build().unwrap().pop().unwrap();
        let mut port = Captured::new(port, Vec::new(), UnixMillis(0), 1 << 20).unwrap();
        let mut bursts = Bursts::new(8);
        let mut frame = bursts.pool.take().unwrap();
        let mut bytes = [0; 40];
        bytes[0] = 0x45;
        bytes[16..20].copy_from_slice(&[10, 0, 0, 1]);
        frame.copy_from(&bytes);
        bursts.tx.push_back(frame);
        assert_eq!(port.tx_burst(Instant::ZERO, &mut bursts), 1);
        assert_eq!(port.rx_burst(Instant::ZERO, &mut bursts), 1);
        assert!(port.error().is_none());
        let captured = port.into_parts().1.unwrap();
        assert_eq!(captured.len(), 24 + 2 * (16 + 40));
    }
}
