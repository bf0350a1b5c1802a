//! `hpb peer` and `hpb card regs|stats|inject` as operators see them, on a devnet that runs.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use common::{Ended, HPB, Place, Running, refused, succeeded};
use hpb_net::capture::CaptureReader;
use serde_json::{Value, json};

struct Looking<'a> {
    place: &'a Place,
}

impl Looking<'_> {
    fn on(&self, words: &[&str]) -> Command {
        let mut command = Command::new(HPB);
        command.current_dir(self.place.path()).args(words).args(["--data", "data"]);
        command
    }

    fn json(&self, words: &[&str]) -> Vec<Value> {
        serde_json::from_value(self.told(words)).unwrap()
    }

    fn told(&self, words: &[&str]) -> Value {
        let out = succeeded(&mut self.on(&[words, &["--json"]].concat())).out;
        serde_json::from_str(&out).unwrap()
    }

    fn text(&self, words: &[&str]) -> String {
        succeeded(&mut self.on(words)).out
    }

    /// The events of that kind.
    fn events(&self, kind: &str) -> Vec<Value> {
        self.json(&["peer", "events"]).into_iter().filter(|event| event["kind"] == kind).collect()
    }
}

#[test]
fn an_operator_looks_ends_bans_and_injects_on_a_devnet_that_runs() {
    let place = Place::new("peer");
    let mut running = Running::start(&place, "data", &["--seconds", "300", "--sessions", "300", "--rate", "50"]);
    running.wait_for(20);
    let looking = Looking { place: &place };

    let all = looking.json(&["peer", "sessions"]);
    let of = |class: &str| all.iter().filter(|row| row["class"] == class).count();
    assert_eq!(of("terminal"), 300, "read in two pages");
    let validators = looking.json(&["peer", "sessions", "--class", "validator"]);
    assert_eq!(validators.len(), of("validator"));
    assert!(validators.iter().all(|row| row["round_trip_us"].as_u64() > Some(0) && row["open"] == true));
    let most = looking.json(&["peer", "sessions", "--sort", "out", "--limit", "3"]);
    assert!(most.len() == 3 && most[0]["tx_bytes"].as_u64() >= most[2]["tx_bytes"].as_u64());
    assert!(looking.text(&["peer", "sessions", "--table", "--limit", "1"]).contains("peer_mac"));

    let frame = looking.text(&["peer", "top", "--once"]);
    assert!(frame.starts_with("sessions ") && !frame.contains('\x1b'), "{frame}");

    let ended = most[0]["session"].as_str().unwrap();
    assert_eq!(looking.told(&["peer", "disconnect", ended]), json!({ "session": ended, "done": "disconnected" }));
    assert!(refused(&mut looking.on(&["peer", "disconnect", "0.999999.0"])).contains("does not exist"));
    let closed = looking.events("closed");
    assert!(closed.iter().any(|event| event["session"] == ended), "{closed:?}");

    let told = looking.told(&["peer", "ban", "10.77.0.0/16", "--seconds", "600"]);
    assert_eq!(told, json!({ "who": "10.77.0.0/16", "done": "banned", "seconds": 600 }));
    assert_eq!(looking.json(&["peer", "ban", "--list"])[0]["who"], "10.77.0.0/16");
    looking.text(&["peer", "ban", "10.77.0.0/16", "--lift"]);
    assert!(looking.json(&["peer", "ban", "--list"]).is_empty());
    assert_eq!((looking.events("banned").len(), looking.events("unbanned").len()), (1, 1));

    let told = looking.told(&["card", "inject", "cfg_toe_mode_reorder", "1"]);
    assert_eq!(told, json!({ "register": "cfg_toe_mode_reorder", "value": 1 }));
    let registers = looking.json(&["card", "regs"]);
    assert!(registers.iter().any(|row| row["register"] == "cfg_toe_mode_reorder" && row["value"] == 1));
    looking.text(&["card", "inject", "cfg_toe_mode_reorder", "0"]);
    refused(&mut looking.on(&["card", "inject", "cfg_toe_mode_none", "1"]));
    assert!(looking.json(&["card", "stats"])[0]["handshakes"].as_u64() >= Some(300));

    // Whoever looks on when the process ends is told why.
    let mut watching = looking.on(&["peer", "events", "--json", "--watch", "1"]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut looks = BufReader::new(watching.stdout.take().unwrap());
    looks.read_line(&mut String::new()).unwrap();
    let (code, _) = running.end("TERM");
    assert_eq!(code, Some(0));
    looks.read_to_end(&mut Vec::new()).unwrap();
    let watched: Ended = watching.wait_with_output().unwrap().into();
    assert_eq!((watched.code, watched.err.as_str()), (Some(1), "hpb: the node says goodbye: the process ends\n"));
}

/// What a dissector makes of a capture, a line a packet; `None`, with a word, where tshark is absent.
fn dissected(place: &Place, file: &str, filter: &str) -> Option<String> {
    std::fs::write(place.at("hpb.lua"), hpb_peer::DISSECTOR).unwrap();
    let words = ["-X", "lua_script:hpb.lua", "-r", file, "-Y", filter];
    match Command::new("tshark").current_dir(place.path()).args(words).output() {
        Ok(out) => Some(String::from_utf8(out.stdout).unwrap()),
        Err(error) => {
            eprintln!("skipped what tshark makes of {file}: {error}");
            None
        }
    }
}

/// Packets of a capture, each of them whole.
fn packets_in(place: &Place, file: &str) -> usize {
    let file = std::io::BufReader::new(std::fs::File::open(place.at(file)).unwrap());
    let mut reader = CaptureReader::new(file).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap()).count()
}

#[test]
fn an_operator_captures_chosen_sessions_of_a_devnet_that_runs() {
    let place = Place::new("peer-capture");
    let mut running = Running::start(&place, "data", &["--seconds", "300", "--sessions", "20", "--rate", "50"]);
    running.wait_for(20);
    let looking = Looking { place: &place };
    let capture = |words: &[&str]| looking.on(&[&["peer", "capture"], words].concat());

    let validators = looking.json(&["peer", "sessions", "--class", "validator"]);
    assert!(validators.iter().all(|row| row["encrypted"] == true));
    let one = validators[0]["session"].as_str().unwrap();
    let words = ["--session", one, "--both", "--seconds", "2", "--json", "-o", "both.pcapng"];
    let summary: Value = serde_json::from_str(&succeeded(&mut capture(&words)).out).unwrap();
    let count = |name: &str| summary["counts"][name].as_u64().unwrap();
    assert!(count("frames") > 0 && count("messages") > 0, "{summary}");
    assert_eq!((count("sessions"), count("lost")), (1, 0), "{summary}");
    if let Some(messages) = dissected(&place, "both.pcapng", "exported_pdu && hpb") {
        assert_eq!(messages.lines().count() as u64, count("messages"));
        assert!(messages.contains("Confirm") && messages.contains("Transactions"), "{messages}");
        let frames = dissected(&place, "both.pcapng", "tcp").unwrap_or_default();
        assert_eq!(frames.lines().count() as u64, count("frames"));
        assert!(!frames.contains("Confirm"), "what is sealed stays so");
    }

    // Ctrl-C ends it well, and what came is there.
    let mut child = capture(&["--snap", "96", "-o", "snap.pcapng"]).stdout(Stdio::piped()).spawn().unwrap();
    let kept = || std::fs::metadata(place.at("snap.pcapng")).map_or(0, |file| file.len());
    while kept() < 1_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -INT \"$1\"", "sh", &id]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(String::from_utf8(ended.stdout).unwrap().contains("of them are cut"));

    let out = succeeded(capture(&["--plain", "--seconds", "1", "-o", "-"]).stdout(Stdio::null()));
    assert!(out.err.contains("in standard output"), "{}", out.err);
    let full = common::ended(&mut capture(&["--seconds", "2", "-o", "/dev/full"]));
    assert_eq!(full.code, Some(1));
    assert!(full.err.contains("cannot be written"), "{}", full.err);

    // A file that may grow no further, as on a full disk: what was written whole can be read, and is counted.
    let mut narrow = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\"";
    narrow.current_dir(place.path()).args(["-c", script, HPB, "peer", "capture", "--data", "data", "--json"]);
    let full = common::ended(narrow.args(["--seconds", "60", "-o", "narrow.pcapng"]));
    assert_eq!(full.code, Some(1), "{}{}", full.out, full.err);
    let summary: Value = serde_json::from_str(&full.out).unwrap();
    let written = packets_in(&place, "narrow.pcapng");
    assert!(written > 0 && summary["counts"]["written"] == written, "{summary}, {written} in the file");

    let words = ["--snap", "64", "--seconds", "2", "--file-size-mb", "1", "--files", "2", "-o", "r.pcapng", "--json"];
    let summary: Value = serde_json::from_str(&succeeded(&mut capture(&words)).out).unwrap();
    let files: Vec<_> = summary["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!((1..=2).contains(&files.len()) && packets_in(&place, files[0]) > 0, "{summary}");
    assert!(refused(&mut capture(&["--session", "0.999999.0", "-o", "x.pcapng"])).contains("does not exist"));
    assert!(!place.at("x.pcapng").exists());

    let (code, _) = running.end("INT");
    assert_eq!(code, Some(0));
}
