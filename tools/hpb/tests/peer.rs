//! `hpb peer` and `hpb card regs|stats|inject` as operators see them, on a devnet that runs.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use common::{Ended, HPB, Place, Running, refused, succeeded};
use serde_json::Value;

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
    looking.text(&["peer", "disconnect", ended]);
    assert!(refused(&mut looking.on(&["peer", "disconnect", "0.999999.0"])).contains("does not exist"));
    let closed = looking.events("closed");
    assert!(closed.iter().any(|event| event["session"] == ended), "{closed:?}");

    looking.text(&["peer", "ban", "10.77.0.0/16", "--seconds", "600"]);
    assert_eq!(looking.json(&["peer", "ban", "--list"])[0]["who"], "10.77.0.0/16");
    looking.text(&["peer", "ban", "10.77.0.0/16", "--lift"]);
    assert!(looking.json(&["peer", "ban", "--list"]).is_empty());
    assert_eq!((looking.events("banned").len(), looking.events("unbanned").len()), (1, 1));

    looking.text(&["card", "inject", "cfg_toe_mode_reorder", "1"]);
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
