#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const HARDWARE: HardwareAddress = [2, 0, 0, 0, 0, 1];
const SERVER: u32 = 0x0a00_00fe;
const GIVEN: u32 = 0x0a00_0009;
const START: Instant = Instant::from_millis(10_000);

/// What a client's message says.
#[derive(PartialEq, Eq, Debug)]
struct Said {
    kind: u8,
    client_address: u32,
    address: Option<u32>,
    server: Option<u32>,
    to: Option<u128>,
    to_all: bool,
}

fn said(action: &Action) -> Said {
    let Action::Send { message, source, server: to } = action else { panic!("{action:?}") };
    assert_eq!((&message[..4], &message[28..34], &message[236..240]), (&[1, 1, 6, 0][..], &HARDWARE[..], &COOKIE[..]));
    let client_address = be32(&message[..], 12);
    assert_eq!(*source as u32, client_address);
    let mut said = Said { kind: 0, client_address, address: None, server: None, to: *to, to_all: message[10] == 0x80 };
    let mut options = &message[240..];
    while let [kind, len, rest @ ..] = options {
        if *kind == OPTION_END {
            break;
        }
        let value = &rest[..usize::from(*len)];
        match *kind {
            OPTION_KIND => said.kind = value[0],
            OPTION_ADDRESS => said.address = Some(be32(value, 0)),
            OPTION_SERVER => said.server = Some(be32(value, 0)),
            _ => {}
        }
        options = &rest[usize::from(*len)..];
    }
    said
}

fn reply(client: &Client, kind: u8, options: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0; OPTIONS_AT];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&client.transaction().to_be_bytes());
    message[16..20].copy_from_slice(&GIVEN.to_be_bytes());
    message[28..34].copy_from_slice(&HARDWARE);
    message[236..].copy_from_slice(&COOKIE);
    message.extend([OPTION_KIND, 1, kind, OPTION_SERVER, 4]);
    message.extend(SERVER.to_be_bytes());
    message.extend(options.concat());
    message.push(OPTION_END);
    message
}

const NETMASK: &[u8] = &[OPTION_NETMASK, 4, 255, 255, 255, 0];
const ROUTER: &[u8] = &[OPTION_ROUTER, 4, 10, 0, 0, 254];
const HOUR: &[u8] = &[OPTION_LEASE, 4, 0, 0, 0x0e, 0x10];

fn handle(client: &mut Client, now: Instant, message: &[u8]) -> Change {
    client.handle(now, &parse(message, HARDWARE).unwrap())
}

fn bound(client: &mut Client) -> (Instant, Lease) {
    let mut now = client.wake_at();
    assert_eq!(said(&client.poll(now).unwrap()).kind, DISCOVER);
    now += Duration::from_millis(3);
    let offer = reply(client, OFFER, &[HOUR]);
    assert_eq!(handle(client, now, &offer), Change::None);
    let request =
        Said { kind: REQUEST, client_address: 0, address: Some(GIVEN), server: Some(SERVER), to: None, to_all: true };
    assert_eq!(said(&client.poll(now).unwrap()), request);
    assert_eq!(client.poll(now), None);
    now += Duration::from_millis(3);
    let ack = reply(client, ACK, &[NETMASK, ROUTER, HOUR, &[OPTION_MTU, 2, 5, 0x78]]);
    let Change::Bound { lease, before: None } = handle(client, now, &ack) else { panic!("not bound") };
    (now, lease)
}

fn secs(client: &Client, since: Instant) -> u64 {
    client.wake_at().since(since).as_millis() / 1_000
}

#[test]
fn a_lease_is_looked_for_asked_for_and_taken() {
    let mut client = Client::new(HARDWARE, 1, START);
    assert!(client.wake_at().since(START) < Duration::from_secs(1));
    let (now, lease) = bound(&mut client);
    assert_eq!((lease.address, lease.prefix_len), (mapped_v4(GIVEN), 24));
    assert_eq!((lease.gateway, lease.mtu), (Some(mapped_v4(0x0a00_00fe)), Some(1_400)));
    assert_eq!(secs(&client, now), 1_800, "T1");
    assert_eq!(client.poll(now), None);
}

#[test]
fn without_a_server_the_client_asks_less_and_less_often() {
    let mut client = Client::new(HARDWARE, 7, START);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let now = client.wake_at();
        assert_eq!(said(&client.poll(now).unwrap()).kind, DISCOVER);
        assert_eq!(client.poll(now), None);
        waits.push(client.wake_at().since(now).as_millis());
    }
    for (wait, expected) in waits.iter().zip([4, 8, 16, 32, 64, 64, 64, 64]) {
        assert!(wait.abs_diff(expected * 1_000) <= JITTER_MS, "{waits:?}");
    }
    assert_ne!(waits[6], waits[7], "jitter");
}

#[test]
fn an_offer_that_is_not_kept_is_forgotten() {
    let mut client = Client::new(HARDWARE, 1, START);
    let now = client.wake_at();
    client.poll(now);
    let offer = reply(&client, OFFER, &[HOUR]);
    handle(&mut client, now, &offer);
    let mut kinds = Vec::new();
    for _ in 0..6 {
        let now = client.wake_at();
        kinds.push(said(&client.poll(now).unwrap()).kind);
    }
    assert_eq!(kinds, [REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER, DISCOVER]);
}

#[test]
fn a_lease_is_renewed_with_its_server_then_with_any_then_given_up() {
    let mut client = Client::new(HARDWARE, 1, START);
    let (start, lease) = bound(&mut client);
    let mut seen = Vec::new();
    let lost_at = loop {
        let now = client.wake_at();
        match client.poll(now).unwrap() {
            Action::Lost(lost) => {
                assert_eq!(lost, lease);
                break now;
            }
            action @ Action::Send { .. } => {
                let said = said(&action);
                assert_eq!((said.kind, said.client_address, said.address), (REQUEST, GIVEN, None));
                assert!(!said.to_all && said.server.is_none());
                seen.push((now.since(start).as_millis() / 1_000, said.to.is_some()));
            }
        }
    };
    // T1 at 1,800 s and T2 at 3,150 s; between them half of what is left, but a minute at least.
    let expected = [
        (1_800, true),
        (2_475, true),
        (2_812, true),
        (2_981, true),
        (3_065, true),
        (3_125, true), // renewing
        (3_150, false),
        (3_375, false),
        (3_487, false),
        (3_547, false), // rebinding
    ];
    assert_eq!(seen, expected);
    assert_eq!(lost_at.since(start), Duration::from_secs(3_600));
    let again = client.poll(client.wake_at()).unwrap();
    assert_eq!(said(&again).kind, DISCOVER);
}

#[test]
fn an_answer_to_a_renewal_lengthens_the_lease() {
    let mut client = Client::new(HARDWARE, 1, START);
    let (_, lease) = bound(&mut client);
    let now = client.wake_at();
    client.poll(now).unwrap();
    let ack = reply(&client, ACK, &[NETMASK, ROUTER, HOUR, &[OPTION_MTU, 2, 5, 0x78]]);
    let Change::Bound { lease: renewed, before } = handle(&mut client, now, &ack) else { panic!("not renewed") };
    assert_eq!(before, Some(lease));
    assert!(renewed.is_same(&lease) && renewed.expires_at > lease.expires_at);
    assert_eq!(secs(&client, now), 1_800);
}

#[test]
fn a_refusal_ends_what_there_was_and_begins_again_after_a_pause() {
    let mut client = Client::new(HARDWARE, 1, START);
    let (_, lease) = bound(&mut client);
    let now = client.wake_at();
    client.poll(now).unwrap();
    let nak = reply(&client, NAK, &[]);
    assert_eq!(handle(&mut client, now, &nak), Change::Lost(lease));
    assert!((3..=5).contains(&secs(&client, now)));
    assert_eq!(said(&client.poll(client.wake_at()).unwrap()).kind, DISCOVER);
}

#[test]
fn answers_out_of_turn_change_nothing() {
    let mut client = Client::new(HARDWARE, 1, START);
    let now = client.wake_at();
    client.poll(now);
    for kind in [ACK, NAK, DISCOVER, 99] {
        let early = reply(&client, kind, &[HOUR]);
        assert_eq!(handle(&mut client, now, &early), Change::None);
        assert_eq!(client.state, State::Selecting);
    }
    let offer = reply(&client, OFFER, &[HOUR]);
    handle(&mut client, now, &offer);
    client.poll(now);
    // Another server's answer, another address, too short a lease, none.
    let mut other = reply(&client, ACK, &[HOUR]);
    other[OPTIONS_AT + 8] ^= 1;
    let mut elsewhere = reply(&client, ACK, &[HOUR]);
    elsewhere[19] ^= 1;
    let brief = reply(&client, ACK, &[&[OPTION_LEASE, 4, 0, 0, 0, 9]]);
    let none = reply(&client, ACK, &[]);
    for message in [other, elsewhere, brief, none] {
        assert_eq!(handle(&mut client, now, &message), Change::None);
        assert!(matches!(client.state, State::Requesting { .. }));
    }
}

#[test]
fn a_servers_times_hold_where_they_make_sense() {
    for (lease, renew, rebind, expected) in [
        (3_600_u32, None, None, (1_800, 3_150)),
        (3_600, Some(100_u32), Some(200_u32), (100, 200)),
        (3_600, Some(0), Some(0), (1_800, 3_150)),
        (3_600, Some(3_000), Some(2_000), (1_800, 2_000)),
        (3_600, None, Some(1_000), (1_000, 1_000)),
        (3_600, Some(4_000), Some(5_000), (1_800, 3_150)),
        (10, None, None, (5, 9)),
    ] {
        let reply = Reply {
            address: GIVEN,
            server: Some(SERVER),
            lease_secs: Some(lease),
            renew_secs: renew,
            rebind_secs: rebind,
            ..Reply::default()
        };
        let lease = Client::lease(START, &reply, None).unwrap();
        let found = (lease.renew_at.since(START).as_millis() / 1_000, lease.rebind_at.since(START).as_millis() / 1_000);
        assert_eq!(found, expected, "{reply:?}");
        assert_eq!(lease.prefix_len, 32, "no netmask");
    }
    let forever = Reply { address: GIVEN, server: Some(SERVER), lease_secs: Some(u32::MAX), ..Reply::default() };
    let lease = Client::lease(START, &forever, None).unwrap();
    assert_eq!(lease.renew_at.as_nanos(), u64::MAX);
}

#[test]
fn options_may_stand_in_the_fields_before_them() {
    let client = Client::new(HARDWARE, 1, START);
    let mut message = reply(&client, ACK, &[&[OPTION_OVERLOAD, 1, 3]]);
    message[FILE][..=NETMASK.len()].copy_from_slice(&[NETMASK, &[OPTION_END]].concat());
    message[SERVER_NAME][..=ROUTER.len()].copy_from_slice(&[ROUTER, &[OPTION_END]].concat());
    let read = parse(&message, HARDWARE).unwrap();
    assert_eq!((read.netmask, read.router), (Some(0xffff_ff00), Some(0x0a00_00fe)));
}

#[test]
fn messages_that_are_cut_bent_or_for_others_are_refused() {
    let client = Client::new(HARDWARE, 1, START);
    let whole = reply(&client, ACK, &[HOUR]);
    for len in 0..OPTIONS_AT {
        assert_eq!(parse(&whole[..len], HARDWARE), Err(NeighborDrop::Truncated));
    }
    assert_eq!(parse(&whole[..OPTIONS_AT], HARDWARE), Err(NeighborDrop::Malformed), "no kind");
    assert_eq!(parse(&whole[..whole.len() - 2], HARDWARE), Err(NeighborDrop::Truncated), "a cut option");
    assert_eq!(parse(&whole, [2, 0, 0, 0, 0, 2]), Err(NeighborDrop::NotOurs));
    for at in [0, 1, 2, 236, 239] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        assert_eq!(parse(&bent, HARDWARE), Err(NeighborDrop::Malformed), "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_options_are_read_without_a_panic(options in proptest::collection::vec(any::<u8>(), 0..200), now_ms: u32) {
        let mut client = Client::new(HARDWARE, 1, START);
        let mut message = reply(&client, OFFER, &[]);
        message.truncate(OPTIONS_AT);
        message.extend(options);
        if let Ok(reply) = parse(&message, HARDWARE) {
            client.handle(START + Duration::from_millis(u64::from(now_ms)), &reply);
        }
    }
}
