//! `hpb lab replay`: a capture by its tape, and a session of it over a session of now.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::capture::{session, taped};
use crate::common::{Ended, Place, ended, refused, succeeded};
use crate::{has_no_room_to_say_it, lab};

#[test]
fn a_tape_is_replayed_bit_for_bit() {
    let place = Place::new("lab-tape");
    let (capture, tape) = taped();
    fs::write(place.at("card.pcapng"), &capture).unwrap();
    fs::write(place.at("card.pcapng.tape"), &tape).unwrap();
    let before = place.listing();
    let said = succeeded(&mut lab(&place, &["replay", "card.pcapng"])).out;
    assert_eq!(
        said,
        "4 calls of the lane, 1 frame received, 1 frame sent alike\nbit for bit: every frame that the card sent was made \
         again\n"
    );
    let json = || succeeded(&mut lab(&place, &["replay", "card.pcapng", "--tape", "card.pcapng.tape", "--json"])).out;
    assert_eq!(json(), json());
    let found: serde_json::Value = serde_json::from_str(&json()).unwrap();
    assert_eq!((found["alike"].as_u64(), found["is_whole"].as_bool()), (Some(1), Some(true)));
    assert!(found["parted"].is_null());
    assert_eq!(place.listing(), before, "a replay writes nothing");
    has_no_room_to_say_it(&place, &["lab", "replay", "card.pcapng"]);

    // Cut short, as by a kill.
    fs::write(place.at("cut.tape"), &tape[..tape.len() - 3]).unwrap();
    let said = succeeded(&mut lab(&place, &["replay", "card.pcapng", "--tape", "cut.tape"])).out;
    assert!(said.ends_with("bit for bit as far as the tape goes: whoever wrote it was cut short\n"), "{said}");

    // A bit of the last frame's options.
    let mut other = capture;
    let at = other.len() - 24;
    other[at] ^= 1;
    fs::write(place.at("other.pcapng"), other).unwrap();
    for words in [&["--tape", "card.pcapng.tape"][..], &["--tape", "card.pcapng.tape", "--json"]] {
        let Ended { code, out, err } = ended(&mut lab(&place, &[&["replay", "other.pcapng"], words].concat()));
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains("parts at call 3") || out.contains("\"call\": 3"), "{out}");
        assert!(err.starts_with("hpb: the replay parts from the capture: ") && err.lines().count() == 1, "{err}");
    }
}

/// A program that hears `hello` and says `answer`, once.
#[allow(clippy::disallowed_methods, reason = "somebody must listen meanwhile")]
fn program(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut session, _) = listener.accept().unwrap();
        let mut heard = [0; 5];
        session.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        session.write_all(answer).unwrap();
    });
    address
}

#[test]
fn a_session_is_said_again() {
    let place = Place::new("lab-stream");
    fs::write(place.at("it.pcapng"), session()).unwrap();
    let listed = succeeded(&mut lab(&place, &["replay", "it.pcapng"])).out;
    assert_eq!(
        listed,
        "    0  10.0.0.2:1025 called 10.0.0.1:80: 5 bytes there, 4 bytes back, 2 turns\n1 session, and no tape beside: say \
         one again with --session N --to ADDRESS:PORT, at stream level\n"
    );
    let json = succeeded(&mut lab(&place, &["replay", "it.pcapng", "--json"])).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json[0]["caller_bytes"].as_u64(), json[0]["called_bytes"].as_u64()), (Some(5), Some(4)));
    let again = |to: SocketAddr| ended(&mut lab(&place, &["replay", "it.pcapng", "--hurry", "--to", &to.to_string()]));
    let Ended { code, out, err } = again(program(b"well"));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("5 bytes sent, 4 of 4 bytes of answers alike\n") && out.ends_with("alike\n"), "{out}");
    let Ended { code, out, err } = again(program(b"wall"));
    assert_eq!(code, Some(1));
    assert!(out.contains("1 of 4 bytes of answers alike\n"), "{out}");
    assert!(err.ends_with("it answers otherwise: byte 1 is 0x61, where it was 0x65\n"), "{err}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Ended { code, out, err } = again(nobody);
    assert_eq!((code, out.as_str(), err), (Some(1), "", format!("hpb: {nobody}: Connection refused (os error 111)\n")));
}

#[test]
fn what_is_no_capture_and_what_is_no_tape_is_named() {
    let place = Place::new("lab-replay-wrong");
    let (capture, tape) = taped();
    fs::write(place.at("it.pcapng"), &capture).unwrap();
    fs::write(place.at("foreign"), "neither").unwrap();
    fs::write(place.at("empty"), "").unwrap();
    fs::write(place.at("cut.pcapng"), &capture[..capture.len() - 5]).unwrap();
    let mut newer = tape.clone();
    newer[8] = 9;
    fs::write(place.at("newer.tape"), newer).unwrap();
    let mut garbled = tape;
    garbled[13..32].fill(0xff);
    fs::write(place.at("garbled.tape"), garbled).unwrap();
    let before = place.listing();
    for (words, said) in [
        (&[][..], "the following required arguments were not provided: <CAPTURE>"),
        (&["absent.pcap"], "absent.pcap: No such file or directory"),
        (&["."], ".: reading it: Is a directory"),
        (&["foreign"], "foreign: neither pcap nor pcapng"),
        (&["empty"], "empty: neither pcap nor pcapng"),
        (&["cut.pcapng"], "cut.pcapng: at byte "),
        (&["it.pcapng", "--tape", "absent.tape"], "absent.tape: No such file or directory"),
        (&["it.pcapng", "--tape", "foreign"], "foreign: this is no tape"),
        (&["it.pcapng", "--tape", "newer.tape"], "newer.tape: a tape of version 9; understood is 1"),
        (&["it.pcapng", "--tape", "garbled.tape"], "garbled.tape: "),
        (&["foreign", "--tape", "newer.tape"], "newer.tape: a tape of version 9"),
        (&["it.pcapng", "--session", "0"], "the following required arguments were not provided: --to <ADDRESS:PORT>"),
        (&["it.pcapng", "--to", "127.0.0.1"], "invalid value '127.0.0.1' for '--to <ADDRESS:PORT>'"),
        (&["it.pcapng", "--session", "3", "--to", "127.0.0.1:1"], "--session 3: the capture has 1 session"),
        (
            &["it.pcapng", "--tape", "it.tape", "--to", "127.0.0.1:1"],
            "the argument '--tape <FILE>' cannot be used with",
        ),
        (&["it.pcapng", "--patience-s", "0"], "invalid value '0' for '--patience-s <S>'"),
    ] {
        let line = refused(&mut lab(&place, &[&["replay"], words].concat()));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), before);
}
