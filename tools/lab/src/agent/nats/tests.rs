#![allow(clippy::unwrap_used)]

use hpb_base::Random;
use hpb_base::limits::{NATS_LINE_LEN_MAX, NATS_PAYLOAD_LEN_MAX};

use super::protocol::{Event, Malformed, Reader, ServerInfo, connect_line, publish, subscribe_line};
use super::{Credentials, NatsUrl, credentials, is_subject_word};

const TALK: &[u8] = b"INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true}\r\n\
                      PING\r\n+OK\r\nMSG a.b 1 5\r\nhello\r\nmsg a.b 2 re.ply 0\r\n\r\nPONG\r\n\
                      -ERR 'Authorization Violation'\r\n";

fn events(reader: &mut Reader) -> Result<Vec<Event>, Malformed> {
    let mut events = Vec::new();
    while let Some(event) = reader.event()? {
        events.push(event);
    }
    Ok(events)
}

fn all() -> Vec<Event> {
    let message = |reply: &str, payload: &[u8]| Event::Message {
        subject: "a.b".to_owned(),
        reply: reply.to_owned(),
        payload: payload.to_vec(),
    };
    let info = ServerInfo { version: "2.9.10".to_owned(), max_payload: 1 << 20, ..ServerInfo::default() };
    vec![
        Event::Info(info),
        Event::Ping,
        Event::Ok,
        message("", b"hello"),
        message("re.ply", b""),
        Event::Pong,
        Event::Refused("Authorization Violation".to_owned()),
    ]
}

#[test]
fn events_are_the_same_whatever_pieces_they_come_in() {
    for piece_len in [1, 2, 3, 7, 64, TALK.len()] {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in TALK.chunks(piece_len) {
            reader.push(piece);
            found.extend(events(&mut reader).unwrap());
        }
        assert_eq!(found, all(), "pieces of {piece_len}");
    }
}

#[test]
fn what_is_cut_waits_and_what_is_no_nats_is_refused() {
    for len in 0..TALK.len() {
        let mut reader = Reader::default();
        reader.push(&TALK[..len]);
        let found = events(&mut reader).unwrap();
        assert_eq!(found, all()[..found.len()]);
    }
    let refused = |bytes: &[u8]| {
        let mut reader = Reader::default();
        reader.push(bytes);
        events(&mut reader).unwrap_err()
    };
    assert_eq!(refused(b"HTTP/1.1 400 \x1b\r\n").to_string(), "it speaks no NATS: `HTTP/1.1 400 \\u{1b}`");
    for line in ["MSG a 1\r\n", "MSG a 1 2 3 4\r\n", "MSG a 1 -4\r\n", "INFO []\r\n", "HMSG a 1 2 3\r\n", "\r\n"] {
        assert!(matches!(refused(line.as_bytes()), Malformed::Line(_)), "{line}");
    }
    assert!(matches!(refused(b"MSG a 1 2\r\nabcd\r\n"), Malformed::Line(_)));
    assert_eq!(
        refused(format!("MSG a 1 {}\r\n", NATS_PAYLOAD_LEN_MAX + 1).as_bytes()),
        Malformed::LongPayload(NATS_PAYLOAD_LEN_MAX + 1)
    );
    assert_eq!(refused(&vec![b'x'; NATS_LINE_LEN_MAX]), Malformed::LongLine);
}

#[test]
fn junk_never_panics() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut bytes = TALK.to_vec();
        for _ in 0..4 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next_u64() as u8;
        }
        let mut reader = Reader::default();
        for piece in bytes.chunks(1 + random.below(40) as usize) {
            reader.push(piece);
            if events(&mut reader).is_err() {
                break;
            }
        }
    }
}

#[test]
fn what_a_client_says() {
    let said =
        connect_line("lab", "0.1.0", &Credentials { user: Some("u".to_owned()), secret: Some("p\"".to_owned()) });
    assert!(said.starts_with("CONNECT {\"verbose\":false") && said.ends_with("}\r\nPING\r\n"), "{said}");
    assert!(said.contains("\"user\":\"u\",\"pass\":\"p\\\"\"") && !said.contains("auth_token"), "{said}");
    let said = connect_line("lab", "0.1.0", &Credentials { user: None, secret: Some("t".to_owned()) });
    assert!(said.contains("\"auth_token\":\"t\"") && !said.contains("pass"), "{said}");
    assert_eq!(subscribe_line("a.b", 7), "SUB a.b 7\r\n");
    assert_eq!(publish("a", b"xyz"), b"PUB a 3\r\nxyz\r\n");
    assert!(is_subject_word("a-1_b") && !is_subject_word("a.b") && !is_subject_word("*") && !is_subject_word(""));
}

#[test]
fn places_are_read_as_people_write_them() {
    let read = |text: &str| NatsUrl::parse(text).unwrap();
    for text in ["nats://10.0.0.1:4222", "nats://10.0.0.1", "10.0.0.1", "10.0.0.1:4222", "nats://10.0.0.1/"] {
        assert_eq!(read(text).to_string(), "nats://10.0.0.1:4222");
    }
    assert_eq!(read("nats://[::1]:5000").to_string(), "nats://[::1]:5000");
    let one = read("nats://me:se:cr@et@host:1");
    assert_eq!((one.credentials.user.as_deref(), one.credentials.secret.as_deref()), (Some("me"), Some("se:cr@et")));
    assert_eq!((one.to_string().as_str(), one.host.as_str()), ("nats://host:1", "host"));
    assert_eq!(read("nats://tok@host").credentials, Credentials { user: None, secret: Some("tok".to_owned()) });
    for (text, word) in [
        ("tls://a", "TLS"),
        ("http://a", "`http` is no NATS"),
        ("nats://", "host"),
        ("a:x", "port"),
        ("[::1", "brackets"),
        ("[::1]5000", "brackets"),
        ("a]", "host"),
    ] {
        let error = NatsUrl::parse(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
    assert!(credentials("\n").is_err() && credentials("a\nb").is_err());
}
