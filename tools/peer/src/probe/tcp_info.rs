//! What the kernel says of a TCP connection of its own (`TCP_INFO`), by the places of its fields, which never move. A
//! field that the kernel is too old for is zero.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::sys;

/// A connection as the kernel sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TcpInfo {
    /// The largest segment that is sent, in bytes.
    pub(crate) send_mss: u32,
    /// Segments on their way.
    pub(crate) unacked: u32,
    /// The smoothed round trip.
    pub(crate) round_trip: Duration,
    /// Its variation.
    pub(crate) variation: Duration,
    /// The congestion window in segments.
    pub(crate) congestion_window: u32,
    /// What the path is taken to carry, in bytes.
    pub(crate) path_mtu: u32,
    /// Segments sent again, SYNs too.
    pub(crate) retransmitted: u32,
    /// Segments with data that were sent.
    pub(crate) data_segments_out: u32,
    /// Segments with data that came.
    pub(crate) data_segments_in: u32,
    /// Bytes that the peer has taken.
    pub(crate) acked_len: u64,
    /// How long there was something to send.
    pub(crate) busy: Duration,
    /// Of that, how long the peer's window let nothing leave.
    pub(crate) window_limited: Duration,
    /// Segments that came out of order.
    pub(crate) out_of_order: u32,
    /// The shortest round trip of late.
    pub(crate) round_trip_min: Duration,
}

impl TcpInfo {
    /// Asks for it.
    pub(crate) fn of(socket: &impl AsRawFd) -> io::Result<Self> {
        sys::tcp_info(socket).map(|bytes| Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let word =
            |at: usize| bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let long =
            |at: usize| bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
        let micros = |micros: u32| Duration::from_micros(micros.into());
        Self {
            send_mss: word(16),
            unacked: word(24),
            path_mtu: word(60),
            round_trip: micros(word(68)),
            variation: micros(word(72)),
            congestion_window: word(80),
            retransmitted: word(100),
            acked_len: long(120),
            // Four billion microseconds stand for "none yet".
            round_trip_min: micros(Some(word(148)).filter(|micros| *micros != u32::MAX).unwrap_or(0)),
            data_segments_in: word(152),
            data_segments_out: word(156),
            busy: Duration::from_micros(long(168)),
            window_limited: Duration::from_micros(long(176)),
            out_of_order: word(224),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_puts_them_and_missing_ones_are_zero() {
        let mut bytes = vec![0; 232];
        bytes[68..72].copy_from_slice(&1_500_u32.to_ne_bytes());
        bytes[100..104].copy_from_slice(&3_u32.to_ne_bytes());
        bytes[176..184].copy_from_slice(&2_000_000_u64.to_ne_bytes());
        bytes[224..228].copy_from_slice(&9_u32.to_ne_bytes());
        let info = TcpInfo::parse(&bytes);
        assert_eq!(info.round_trip, Duration::from_micros(1_500));
        assert_eq!((info.retransmitted, info.out_of_order), (3, 9));
        assert_eq!(info.window_limited, Duration::from_secs(2));
        let old = TcpInfo::parse(&bytes[..104]);
        assert_eq!((old.retransmitted, old.out_of_order, old.window_limited), (3, 0, Duration::ZERO));
        assert_eq!(TcpInfo::parse(&[]), TcpInfo::default());
    }
}
