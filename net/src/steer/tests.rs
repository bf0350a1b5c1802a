use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn socket_address() -> impl Strategy<Value = SocketAddr> {
    let address = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))),
    ];
    (address, any::<u16>()).prop_map(SocketAddr::from)
}

/// An address as the hash sees it: 16 bytes.
fn mapped(end: SocketAddr) -> u128 {
    address_words(end.ip()).into_iter().fold(0, |bits, word| bits << 32 | u128::from(word))
}

proptest! {
    #[test]
    fn either_end_may_come_first(secret: [u8; 32], one in socket_address(), other in socket_address(), queues in 1_usize..9) {
        let steering = Steering::keyed(&secret, queues);
        let queue = steering.queue(one, other);
        prop_assert_eq!(queue, steering.queue(other, one));
        prop_assert!(queue < queues);
        prop_assert_eq!(steering.queue_count(), queues);
    }

    #[test]
    fn an_ipv4_address_is_its_mapped_form(secret: [u8; 32], bits: u32, port: u16, other in socket_address()) {
        let key = SteerKey::new(&secret);
        let address = Ipv4Addr::from_bits(bits);
        let mapped = SocketAddr::from((address.to_ipv6_mapped(), port));
        prop_assert_eq!(key.hash((address, port).into(), other), key.hash(mapped, other));
    }

    #[test]
    fn every_bit_of_both_ends_matters(secret: [u8; 32], one in socket_address(), other in socket_address(), bit in 0..144) {
        let key = SteerKey::new(&secret);
        let turned = match bit {
            0..128 => SocketAddr::from((Ipv6Addr::from_bits(mapped(one) ^ 1 << bit), one.port())),
            _ => SocketAddr::from((one.ip(), one.port() ^ 1 << (bit - 128))),
        };
        prop_assert_ne!(key.hash(one, other), key.hash(turned, other));
        prop_assert_ne!(key.hash(other, one), key.hash(other, turned));
    }

    #[test]
    fn every_bit_of_the_secret_matters(secret: [u8; 32], bit in 0..256_usize, one in socket_address(), other in socket_address()) {
        let mut turned = secret;
        turned[bit / 8] ^= 1 << (bit % 8);
        let (key, other_key) = (SteerKey::new(&secret), SteerKey::new(&turned));
        prop_assert_ne!(&key, &other_key);
        prop_assert_ne!(key.hash(one, other), other_key.hash(one, other));
    }
}

/// Flows as a card sees them: one local end, strangers at random ports and neighbours at consecutive ones.
fn flows(neighbours: bool) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
    let mut random = Random::new(11);
    let local = SocketAddr::from(([192, 0, 2, 1], 9_000));
    (0..10_000_u32).map(move |index| {
        let remote = match (neighbours, index % 2) {
            (true, _) => SocketAddr::from(([10, 0, (index / 20_000) as u8, 7], 1_024 + (index % 20_000) as u16)),
            (false, 0) => SocketAddr::from((Ipv4Addr::from_bits(random.next_u64() as u32), random.next_u64() as u16)),
            (false, _) => {
                let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
                SocketAddr::from((Ipv6Addr::from_bits(bits), random.next_u64() as u16))
            }
        };
        (remote, local)
    })
}

#[test]
fn flows_spread_evenly() {
    for secret in [[0; 32], [7; 32], *b"0123456789abcdef0123456789ABCDEF"] {
        for (queues, neighbours) in (2..=8).flat_map(|queues| [(queues, false), (queues, true)]) {
            let steering = Steering::keyed(&secret, queues);
            let mut counts = vec![0_usize; queues];
            for (remote, local) in flows(neighbours) {
                counts[steering.queue(remote, local)] += 1;
            }
            let even = 10_000 / queues;
            assert!(counts.iter().all(|count| count.abs_diff(even) * 100 <= even * 15), "{queues}: {counts:?}");
        }
    }
}

#[test]
fn one_queue_takes_all() {
    assert_eq!(Steering::keyed(&[1; 32], 1), Steering::One);
    assert_eq!(Steering::keyed(&[1; 32], 0).queue_count(), 1);
    assert_eq!(Steering::keyed(&[1; 32], 1_000).queue_count(), PORT_QUEUES_MAX);
    assert!(flows(false).all(|(remote, local)| Steering::One.queue(remote, local) == 0));
}

#[test]
fn a_key_does_not_show_itself() {
    assert_eq!(format!("{:?}", SteerKey::new(&[3; 32])), "SteerKey(..)");
}

/// The published key and vectors ("Verifying the RSS hash calculation", Windows driver documentation): local end,
/// remote end, hash of the addresses, hash with the ports.
const PUBLISHED_KEY: RssKey = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
    0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
    0x01, 0xfa,
];
const PUBLISHED: [(&str, &str, u32, u32); 8] = [
    ("161.142.100.80:1766", "66.9.149.187:2794", 0x323e_8fc2, 0x51cc_c178),
    ("65.69.140.83:4739", "199.92.111.2:14230", 0xd718_262a, 0xc626_b0ea),
    ("12.22.207.184:38024", "24.19.198.95:12898", 0xd2d0_a5de, 0x5c2b_394a),
    ("209.142.163.6:2217", "38.27.205.30:48228", 0x8298_9176, 0xafc7_327f),
    ("202.188.127.2:1303", "153.39.163.191:44251", 0x5d18_09c5, 0x10e8_28a2),
    ("[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x2cc1_8cd5, 0x4020_7d3d),
    ("[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0x0f0c_461c, 0xdde5_1bbf),
    ("[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", 0x4b61_e985, 0x02d1_feef),
];

#[test]
fn toeplitz_gives_the_published_hashes() {
    for (local, remote, addresses, all) in PUBLISHED {
        let (local, remote): (SocketAddr, SocketAddr) =
            (local.parse().expect("local"), remote.parse().expect("remote"));
        assert_eq!(toeplitz(&PUBLISHED_KEY, remote, local, false), addresses, "{remote}");
        assert_eq!(toeplitz(&PUBLISHED_KEY, remote, local, true), all, "{remote}");
    }
    let mixed = toeplitz(&PUBLISHED_KEY, ([1, 2, 3, 4], 5).into(), (Ipv6Addr::LOCALHOST, 6).into(), true);
    assert_eq!(mixed, 0);
}

#[test]
fn a_device_steers_by_its_table() {
    let table: Vec<u16> = (0..128).map(|entry| entry % 6).collect();
    let rss = Steering::Rss { key: PUBLISHED_KEY, table, ports: true };
    let (local, remote) = (([161, 142, 100, 80], 1_766).into(), ([66, 9, 149, 187], 2_794).into());
    assert_eq!((rss.queue_count(), rss.queue(remote, local)), (6, (0x51cc_c178 & 127) % 6));
    let empty = Steering::Rss { key: PUBLISHED_KEY, table: Vec::new(), ports: true };
    assert_eq!((empty.queue_count(), empty.queue(remote, local)), (1, 0));
}
