//! Packets as bytes: what the peer sends, and a strict reader of what the card sends.
//!
//! (RFC 791, RFC 8200, RFC 9293 section 3.1, RFC 792, RFC 4443.) It shares no code with the card, so that neither covers
//! for the other. The reader refuses whatever a correct card never sends: a checksum that does not hold, a length that
//! does not fit, reserved bits.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// PSH.
pub const PSH: u8 = 0x08;
/// ACK.
pub const ACK: u8 = 0x10;
/// URG.
pub const URG: u8 = 0x20;
/// ECN-Echo (RFC 3168).
pub const ECE: u8 = 0x40;
/// Congestion window reduced (RFC 3168).
pub const CWR: u8 = 0x80;

/// The flags with the letters that scripts and traces write, in the order in which traces write them.
pub const FLAG_LETTERS: [(char, u8); 8] =
    [('S', SYN), ('F', FIN), ('R', RST), ('P', PSH), ('.', ACK), ('U', URG), ('E', ECE), ('W', CWR)];

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;
const TCP_HEADER_LEN: usize = 20;
const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const OPTIONS_LEN_MAX: usize = 40;

/// One option of a TCP header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TcpOption {
    /// Maximum segment size (RFC 9293 section 3.7.1).
    Mss(u16),
    /// Window scale (RFC 7323 section 2).
    WindowScale(u8),
    /// SACK permitted (RFC 2018 section 2).
    SackPermitted,
    /// SACK blocks (RFC 2018 section 3).
    Sack(Vec<(u32, u32)>),
    /// Timestamps (RFC 7323 section 3).
    Timestamps(u32, u32),
    /// Another: its kind and its length in bytes.
    Other(u8, u8),
}

/// A TCP segment in its IP packet; numbers absolute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Who sends it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number; zero without ACK.
    pub ack: u32,
    /// The flags.
    pub flags: u8,
    /// The window as it stands in the header.
    pub window: u16,
    /// The options, without padding.
    pub options: Vec<TcpOption>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mss(len) => write!(f, "mss {len}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => write!(f, "sackOK"),
            Self::Sack(blocks) => {
                write!(f, "sack")?;
                blocks.iter().try_for_each(|(start, end)| write!(f, " {}:{}", start.cast_signed(), end.cast_signed()))
            }
            Self::Timestamps(value, echo) => write!(f, "TS {value} {echo}"),
            Self::Other(kind, len) => write!(f, "option {kind} of {len} bytes"),
        }
    }
}

impl TcpOption {
    /// The option with each SACK block moved by `offset`.
    #[must_use]
    pub fn moved(&self, offset: u32) -> Self {
        match self {
            Self::Sack(blocks) => {
                let blocks = blocks.iter();
                Self::Sack(blocks.map(|(start, end)| (start.wrapping_add(offset), end.wrapping_add(offset))).collect())
            }
            other => other.clone(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mss(len) => out.extend([&[2, 4][..], &len.to_be_bytes()].concat()),
            Self::WindowScale(shift) => out.extend([3, 3, *shift]),
            Self::SackPermitted => out.extend([4, 2]),
            Self::Sack(blocks) => {
                out.extend([5, (2 + 8 * blocks.len()) as u8]);
                for (start, end) in blocks {
                    out.extend([start.to_be_bytes(), end.to_be_bytes()].concat());
                }
            }
            Self::Timestamps(value, echo) => {
                out.extend([8, 10]);
                out.extend([value.to_be_bytes(), echo.to_be_bytes()].concat());
            }
            Self::Other(kind, len) => {
                out.extend([*kind, *len]);
                out.extend(vec![0; usize::from(*len).saturating_sub(2)]);
            }
        }
    }
}

/// The flags as scripts write them: `[S.]`, or `[-]` for none.
pub fn flags_text(flags: u8) -> String {
    let letters: String = FLAG_LETTERS.iter().filter(|(_, bit)| flags & bit != 0).map(|(letter, _)| *letter).collect();
    if letters.is_empty() { "[-]".to_owned() } else { format!("[{letters}]") }
}

impl Packet {
    /// The bytes of the packet, checksums right.
    ///
    /// # Errors
    /// More options than a header holds.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut options = Vec::new();
        for option in &self.options {
            option.write(&mut options);
        }
        options.resize(options.len().next_multiple_of(4), 1);
        if options.len() > OPTIONS_LEN_MAX {
            return Err(format!("the options take {} bytes; a header holds {OPTIONS_LEN_MAX}", options.len()));
        }
        let data_offset = ((TCP_HEADER_LEN + options.len()) / 4) as u8;
        let tcp = [
            &self.source.port().to_be_bytes()[..],
            &self.destination.port().to_be_bytes(),
            &self.seq.to_be_bytes(),
            &self.ack.to_be_bytes(),
            &[data_offset << 4, self.flags],
            &self.window.to_be_bytes(),
            &[0; 4],
            &options,
            &self.payload,
        ]
        .concat();
        Ok(tcp_packet(self.source.ip(), self.destination.ip(), tcp))
    }

    /// Reads what the card sent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (source, destination, tcp) = read_ip(bytes)?;
        let field = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        if tcp.len() < TCP_HEADER_LEN {
            return Err(format!("a TCP header of {} bytes", tcp.len()));
        }
        let header_len = usize::from(tcp[12] >> 4) * 4;
        if header_len < TCP_HEADER_LEN || header_len > tcp.len() {
            return Err(format!("a data offset of {header_len} bytes in a segment of {}", tcp.len()));
        }
        if tcp[12] & 15 != 0 {
            return Err("reserved bits are set".to_owned());
        }
        if sum_with_pseudo_header(source, destination, PROTOCOL_TCP, tcp) != 0 {
            return Err("the TCP checksum does not hold".to_owned());
        }
        Ok(Self {
            source: SocketAddr::new(source, field(0)),
            destination: SocketAddr::new(destination, field(2)),
            seq: number(4),
            ack: number(8),
            flags: tcp[13],
            window: field(14),
            options: read_options(&tcp[TCP_HEADER_LEN..header_len])?,
            payload: tcp[header_len..].to_vec(),
        })
    }
}

/// Puts an IP header in front of a TCP segment, and its checksum right if it is long enough to have one.
pub fn tcp_packet(source: IpAddr, destination: IpAddr, mut tcp: Vec<u8>) -> Vec<u8> {
    if tcp.len() >= 18 {
        tcp[16..18].fill(0);
        let sum = sum_with_pseudo_header(source, destination, PROTOCOL_TCP, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    ip_packet(source, destination, PROTOCOL_TCP, &tcp)
}

/// The ICMP message that a packet of `tcp_head` (the first eight bytes of its TCP header) from `sender` to `receiver`
/// was too big, told by the receiver's address (RFC 1191 section 4, RFC 8201 section 4).
pub fn too_big(sender: IpAddr, receiver: IpAddr, tcp_head: [u8; 8], mtu: u16) -> Vec<u8> {
    let mut quoted = ip_packet(sender, receiver, PROTOCOL_TCP, &tcp_head);
    let [high, low] = mtu.to_be_bytes();
    let mut icmp = if sender.is_ipv4() {
        // The quoted header says the length that the whole packet had.
        quoted[2..4].copy_from_slice(&1_500_u16.to_be_bytes());
        quoted[10..12].fill(0);
        let sum = !fold(sum(&quoted[..IPV4_HEADER_LEN]));
        quoted[10..12].copy_from_slice(&sum.to_be_bytes());
        vec![3, 4, 0, 0, 0, 0, high, low]
    } else {
        quoted[4..6].copy_from_slice(&1_460_u16.to_be_bytes());
        vec![2, 0, 0, 0, 0, 0, high, low]
    };
    icmp.extend(quoted);
    let (sum, protocol) = if sender.is_ipv4() {
        (!fold(sum(&icmp)), PROTOCOL_ICMP)
    } else {
        (sum_with_pseudo_header(receiver, sender, PROTOCOL_ICMPV6, &icmp), PROTOCOL_ICMPV6)
    };
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ip_packet(receiver, sender, protocol, &icmp)
}

fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) {
        let [high, low] = ((IPV4_HEADER_LEN + payload.len()) as u16).to_be_bytes();
        let head = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        let mut packet = [&head[..], &source.octets(), &destination.octets()].concat();
        let sum = !fold(sum(&packet));
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        return packet;
    }
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let head = [0x60, 0, 0, 0, high, low, protocol, 64];
    [&head[..], &octets(source), &octets(destination), payload].concat()
}

fn read_ip(bytes: &[u8]) -> Result<(IpAddr, IpAddr, &[u8]), String> {
    let version = bytes.first().ok_or("an empty frame")? >> 4;
    let (header_len, stated_len, protocol) = match version {
        4 if bytes.len() >= IPV4_HEADER_LEN => {
            if bytes[0] & 15 != 5 {
                return Err("an IPv4 header with options".to_owned());
            }
            if fold(sum(&bytes[..IPV4_HEADER_LEN])) != 0xffff {
                return Err("the IPv4 checksum does not hold".to_owned());
            }
            (IPV4_HEADER_LEN, usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes[9])
        }
        6 if bytes.len() >= IPV6_HEADER_LEN => {
            let payload_len = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
            (IPV6_HEADER_LEN, IPV6_HEADER_LEN + payload_len, bytes[6])
        }
        _ => return Err(format!("no IP packet: version {version}, {} bytes", bytes.len())),
    };
    if stated_len != bytes.len() {
        return Err(format!("a frame of {} bytes with a packet of {stated_len}", bytes.len()));
    }
    if protocol != PROTOCOL_TCP {
        return Err(format!("protocol {protocol} instead of TCP"));
    }
    let (source, destination) = if version == 4 {
        let quad = |at: usize| IpAddr::from([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        (quad(12), quad(16))
    } else {
        let whole = |at: usize| {
            let mut octets = [0_u8; 16];
            octets.copy_from_slice(&bytes[at..at + 16]);
            IpAddr::from(octets)
        };
        (whole(8), whole(24))
    };
    Ok((source, destination, &bytes[header_len..]))
}

fn read_options(mut bytes: &[u8]) -> Result<Vec<TcpOption>, String> {
    let mut options = Vec::new();
    while let Some(kind) = bytes.first().copied() {
        if kind == 0 {
            break;
        }
        if kind == 1 {
            bytes = &bytes[1..];
            continue;
        }
        let len = usize::from(*bytes.get(1).ok_or("an option without a length")?);
        let option = bytes.get(2..len).ok_or_else(|| format!("option {kind} of {len} bytes"))?;
        let number = |at: usize| u32::from_be_bytes([option[at], option[at + 1], option[at + 2], option[at + 3]]);
        options.push(match (kind, option.len()) {
            (2, 2) => TcpOption::Mss(u16::from_be_bytes([option[0], option[1]])),
            (3, 1) => TcpOption::WindowScale(option[0]),
            (4, 0) => TcpOption::SackPermitted,
            (5, 8 | 16 | 24 | 32) => {
                TcpOption::Sack((0..option.len()).step_by(8).map(|at| (number(at), number(at + 4))).collect())
            }
            (8, 8) => TcpOption::Timestamps(number(0), number(4)),
            (2..=5 | 8, _) => return Err(format!("option {kind} of {len} bytes")),
            _ => TcpOption::Other(kind, len as u8),
        });
        bytes = &bytes[len..];
    }
    Ok(options)
}

/// The checksum over pseudo-header and `segment`; zero if the one inside holds.
fn sum_with_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let pseudo_header = sum(&octets(source)) + sum(&octets(destination)) + u64::from(protocol) + segment.len() as u64;
    !fold(pseudo_header + sum(segment))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|word| u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or_default()]))).sum()
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}
