//! A devnet that runs, asked from outside its cards as a user asks: every verb that finds nothing wrong ends with 0, an
//! onlooker captures what he may, and walks the network.
//!
//! Without root the test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::process::Command;

use common::{Ended, HPB, Place, Running, ended};
use hpb_client::KeyFile;
use hpb_net::capture::CaptureReader;
use hpb_sandbox::Host;
use serde_json::Value;

const VALIDATORS: usize = 4;

/// A devnet that the kernel of its host reaches, and an onlooker's key.
struct Stage {
    place: Place,
    host: Host,
    peers: Value,
}

impl Stage {
    fn ask(&self, words: &[&str]) -> Ended {
        self.host.run(|| ended(Command::new(HPB).current_dir(self.place.path()).arg("peer").args(words))).unwrap()
    }

    #[track_caller]
    fn is_well(&self, words: &[&str]) -> String {
        let said = self.ask(words);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}\n{}", said.out);
        said.out
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.is_well(&[words, &["--json"]].concat())).unwrap()
    }

    /// A verb of the inside, asked from afar.
    fn afar<'a>(&'a self, verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let one = &self.peers["validators"][0];
        let (address, peer) = (one["mesh"].as_str().unwrap(), one["key"].as_str().unwrap());
        let words = [verb, "--remote", address, "--peer", peer, "--genesis", "data/genesis", "--key", "on.key"];
        [&words[..], more].concat()
    }
}

#[test]
fn a_devnet_that_runs_is_asked_from_outside_its_cards() {
    let host = match Host::new() {
        Ok(host) if hpb_sandbox::is_root() => host,
        other => {
            let why = other.err().map_or("needs root".to_owned(), |error| error.to_string());
            assert!(std::env::var_os("HPB_NET").is_none(), "{why}");
            return eprintln!("skipped: {why}");
        }
    };
    let place = Place::new("afar");
    let onlooker = KeyFile::from_seed([7; 32]);
    onlooker.write(&place.at("on.key")).unwrap();
    let key = onlooker.public().to_hex();
    let words = ["--diagnostics", &key, "--port", "packet:", "--reach", "10.0.255.1/16", "--seconds", "300"];
    let words = [&words[..], &["--sessions", "20", "--rate", "20", "--slot-ms", "2000"]].concat();
    let mut running = host.run(|| Running::start(&place, "data", &words)).unwrap();
    running.wait_for(10);
    let peers = serde_json::from_str(&fs::read_to_string(place.at("data/peers.json")).unwrap()).unwrap();
    let stage = Stage { place, host, peers };
    the_verbs(&stage);
    a_capture(&stage);
    a_walk(&stage);
    let (code, _) = running.end("INT");
    assert_eq!(code, Some(0));
}

/// Each verb finds a peer that is well, and says so in its words, as JSON, and by its exit code.
fn the_verbs(stage: &Stage) {
    let data = ["--data", "data", "--validator", "1"];
    let json = |verb: &str, more: &[&str]| stage.json(&[&[verb], &data[..], more].concat());
    let ping = json("ping", &["--count", "3", "--interval-ms", "10"]);
    assert_eq!((&ping["sent"], &ping["received"]), (&3.into(), &3.into()), "{ping:#}");
    let info = json("info", &[]);
    assert_eq!(info["identity"], stage.peers["validators"][1]["key"], "{info:#}");
    assert_eq!((&info["roles"][0], &info["missing"]), (&"validator".into(), &Value::Null), "{info:#}");
    let clock = json("clock", &["--count", "5", "--interval-ms", "20"]);
    assert_eq!(clock["samples"].as_array().map(Vec::len), Some(5), "{clock:#}");
    let flows = json("bandwidth", &["--seconds", "1"])["flows"].take();
    let flows = flows.as_array().unwrap();
    assert!(flows.len() == 2 && flows.iter().all(|flow| flow["bytes"].as_u64() > Some(0)), "{flows:#?}");
    assert!(json("handshake", &[])["failure"].is_null());
    assert_eq!(json("trace", &[])["reached"], true);
    let lens = json("path-mtu", &[]);
    assert_eq!((&lens["up_len"], &lens["down_len"]), (&1_500.into(), &1_500.into()), "{lens:#}");
    for verb in ["ping", "handshake", "trace", "info", "path-mtu", "bandwidth", "clock"] {
        let text = stage.is_well(&[&[verb], &data[..]].concat());
        assert!(text.lines().count() > 1 && !text.contains('\x1b'), "{verb}: {text}");
    }
}

/// Frames are told to an onlooker, messages are not, and his own session is left out.
fn a_capture(stage: &Stage) {
    let capture = |more: &[&'static str]| stage.afar("capture", more);
    let summary = stage.json(&capture(&["--seconds", "2", "-o", "afar.pcapng"]));
    let frames = summary["counts"]["frames"].as_u64().unwrap();
    assert!(frames > 0 && summary["counts"]["messages"] == 0, "{summary}");
    let file = fs::File::open(stage.place.at("afar.pcapng")).unwrap();
    let mut reader = CaptureReader::new(std::io::BufReader::new(file)).unwrap();
    let kept: Vec<_> = std::iter::from_fn(|| reader.next_frame().unwrap()).collect();
    assert_eq!(kept.len() as u64, frames);
    let host = [10, 0, 255, 1];
    assert!(kept.iter().all(|frame| !frame.bytes.windows(4).any(|four| four == host)), "the onlooker's own frames");
    let refused = stage.ask(&capture(&["--plain", "--seconds", "1", "-o", "plain.pcapng"]));
    assert!(refused.code == Some(2) && refused.err.contains("never from afar"), "{}", refused.err);
    assert!(!stage.place.at("plain.pcapng").exists());
}

/// All validators are found from one, with the round trips between them.
fn a_walk(stage: &Stage) {
    let network = stage.json(&["crawl", "--data", "data", "--key", "on.key"]);
    let (nodes, edges) = (network["nodes"].as_array().unwrap(), network["edges"].as_array().unwrap());
    assert!(nodes.len() == VALIDATORS && nodes.iter().all(|node| node["state"] == "answered"), "{network:#}");
    assert_eq!(edges.len(), VALIDATORS * (VALIDATORS - 1) / 2, "{network:#}");
    assert!(edges.iter().all(|edge| edge["a_round_trip_us"].is_u64() && edge["b_round_trip_us"].is_u64()));
    fs::write(stage.place.at("network.json"), network.to_string()).unwrap();
    stage.is_well(&["graph", "network.json", "--out", "network.svg"]);
    assert!(fs::read_to_string(stage.place.at("network.svg")).unwrap().starts_with("<svg"));
    let dot = stage.is_well(&["crawl", "--data", "data", "--key", "on.key", "--dot"]);
    assert!(dot.starts_with("graph") && dot.contains("--"), "{dot}");
    // A node that nobody answers at, and a key that nobody named.
    let silent = stage.ask(&["crawl", "--data", "data", "--key", "none.key"]);
    assert!(silent.code == Some(2) && !silent.err.is_empty(), "{:?} {}", silent.code, silent.out);
}
