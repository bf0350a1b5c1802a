//! The hash by which devices with receive-side scaling choose a queue, after Microsoft's published definition
//! ("RSS hashing types", Windows driver documentation).

use std::net::{IpAddr, SocketAddr};

/// A device's hash key: the 40 bytes that an IPv6 flow with its ports needs. What a longer key has behind them is
/// never used.
pub type RssKey = [u8; 40];

/// The hash of a frame from `remote` to `local`: their addresses, and their ports if the device hashes those too.
/// For two ends of different families it is 0: there is no such frame.
pub fn toeplitz(key: &RssKey, remote: SocketAddr, local: SocketAddr, ports: bool) -> u32 {
    let mut input = Input { key, bit: 0, hash: 0 };
    match (remote.ip().to_canonical(), local.ip().to_canonical()) {
        (IpAddr::V4(remote), IpAddr::V4(local)) => {
            input.take(&remote.octets());
            input.take(&local.octets());
        }
        (IpAddr::V6(remote), IpAddr::V6(local)) => {
            input.take(&remote.octets());
            input.take(&local.octets());
        }
        _ => return 0,
    }
    if ports {
        input.take(&remote.port().to_be_bytes());
        input.take(&local.port().to_be_bytes());
    }
    input.hash
}

struct Input<'a> {
    key: &'a RssKey,
    /// How many bits of input were taken.
    bit: usize,
    hash: u32,
}

impl Input<'_> {
    /// Each set bit of the input adds the 32 bits of the key that begin where it stands.
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for mask in (0..8).rev().map(|shift| 1_u8 << shift) {
                if byte & mask != 0 {
                    self.hash ^= self.window();
                }
                self.bit += 1;
            }
        }
    }

    fn window(&self) -> u32 {
        let start = self.bit / 8;
        let wide = (start..start + 5).fold(0_u64, |wide, at| wide << 8 | u64::from(*self.key.get(at).unwrap_or(&0)));
        (wide >> (8 - self.bit % 8)) as u32
    }
}
