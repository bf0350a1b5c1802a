//! Faults planted in a network of namespaces around a devnet that runs: `hpb peer doctor` names each from outside, as a
//! user calls it. A host asks through a router, which has an interface on the cards' network (`--reach`) and answers there
//! for what is behind it.
//!
//! Without root a test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{Ended, HPB, Place, Running, ended, program, refused, succeeded};
use hpb_client::KeyFile;
use hpb_peer::probe::doctor::{Cause, Certainty, Diagnosis, gather};
use hpb_peer::probe::handshake::{self, Failure};
use hpb_peer::probe::{Credentials, Target};
use hpb_peer::{AskError, Asker as _, RemoteAsker};
use hpb_sandbox::{Host, cable};
use hpb_toe::Identity;
use hpb_types::message::diagnose::{Ask, Parting, Tell};
use hpb_types::{ChainId, Hash, PublicKey};
use serde_json::Value;

const ASKER: &str = "10.0.200.2";
const ROUTER: &str = "10.0.200.1";
/// Sessions that are opened at most until a node's table is full.
const SESSIONS_TRIED: u8 = 250;

/// A devnet, the router on whose host it runs, and the host that asks.
struct Stage {
    place: Place,
    router: Host,
    asker: Host,
    running: Running,
    peers: Value,
}

/// Hosts with a cable, or why there are none.
fn hosts() -> Option<(Host, Host)> {
    match (Host::new(), Host::new()) {
        (Ok(router), Ok(asker)) if hpb_sandbox::is_root() => Some((router, asker)),
        (router, asker) => {
            let why = router.err().or(asker.err()).map_or("needs root".to_owned(), |error| error.to_string());
            assert!(std::env::var_os("HPB_NET").is_none(), "{why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// Tells a host's kernel something.
fn tell(host: &Host, name: &str, value: &str) {
    host.run(|| fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap()).unwrap();
}

impl Stage {
    fn new() -> Option<Self> {
        let (router, asker) = hosts()?;
        cable((&router, "faults0"), (&asker, "faults0"), 1).unwrap();
        router.address("faults0", &format!("{ROUTER}/24")).unwrap();
        asker.address("faults0", &format!("{ASKER}/24")).unwrap();
        asker.ip(&format!("route add default via {ROUTER}")).unwrap();
        tell(&router, "ip_forward", "1");
        let place = Place::new("doctor");
        let onlooker = KeyFile::from_seed([7; 32]);
        onlooker.write(&place.at("on.key")).unwrap();
        KeyFile::from_seed([8; 32]).write(&place.at("stranger.key")).unwrap();
        let key = onlooker.public().to_hex();
        let words =
            ["--diagnostics", &key, "--port", "packet:", "--reach", "10.0.255.1/16", "--clock-offset-ms", "5000@2"];
        let words =
            [&words[..], &["--seconds", "300", "--sessions", "20", "--rate", "20", "--slot-ms", "2000"]].concat();
        let mut running = router.run(|| Running::start(&place, "data", &words)).unwrap();
        running.wait_for(10);
        tell(&router, "conf/hpb-reach/proxy_arp", "1");
        let peers = serde_json::from_str(&fs::read_to_string(place.at("data/peers.json")).unwrap()).unwrap();
        Some(Self { place, router, asker, running, peers })
    }

    fn of(&self, validator: usize, what: &str) -> &str {
        self.peers["validators"][validator][what].as_str().unwrap()
    }

    fn run(&self, host: &Host, words: &[&str]) -> Ended {
        host.run(|| ended(Command::new(HPB).current_dir(self.place.path()).args(words))).unwrap()
    }

    /// The doctor, called from `host` with these words, names `cause` first and at least this sure.
    #[track_caller]
    fn finds_from(&self, host: &Host, words: &[&str], cause: &str, certainty: &str) -> Value {
        let said = self.run(host, &[&["peer", "doctor", "--json"], words].concat());
        let diagnosis: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
        let first = &diagnosis["findings"][0];
        assert_eq!((&first["cause"], &first["certainty"]), (&cause.into(), &certainty.into()), "{diagnosis:#}");
        assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{}", said.err);
        diagnosis
    }

    #[track_caller]
    fn finds(&self, words: &[&str], cause: &str, certainty: &str) -> Value {
        self.finds_from(&self.asker, words, cause, certainty)
    }

    #[track_caller]
    fn is_well(&self, validator: &str) {
        let said = self.run(&self.asker, &["peer", "doctor", "--data", "data", "--validator", validator]);
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    }

    /// Whom a program that is linked with the doctor calls, by an identity of that seed.
    fn target(&self, validator: usize, seed: u8) -> Target {
        let chain = ChainId(Hash::from_hex(self.peers["chain"].as_str().unwrap()).unwrap());
        let peer = PublicKey(Hash::from_hex(self.of(validator, "key")).unwrap().0);
        Target {
            address: self.of(validator, "mesh").parse().unwrap(),
            credentials: Some(Credentials::new(Arc::new(Identity::new([seed; 32], chain)), peer, false)),
            known: Vec::new(),
            patience: Duration::from_secs(3),
        }
    }
}

#[test]
fn each_fault_around_a_node_is_named() {
    let Some(stage) = Stage::new() else { return };
    stage.is_well("0");
    who_is_called(&stage);
    the_network(&stage);
    who_calls(&stage);
    the_node(&stage);
    from_afar(&stage);
    it_ends(stage);
}

/// A peer across the network hears why the session ends.
fn it_ends(stage: Stage) {
    let target = stage.target(0, 7);
    let (_, session) = stage.asker.run(|| handshake::open(&target)).unwrap();
    let mut peer = RemoteAsker::with(session.unwrap(), target);
    assert!(matches!(peer.ask(Ask::Clock), Ok(Tell::Clock(_))));
    let (code, _) = stage.running.end("TERM");
    assert_eq!(code, Some(0));
    let said = peer.ask(Ask::Clock);
    assert!(matches!(said, Err(AskError::Goodbye(goodbye)) if goodbye.reason == Parting::SHUTDOWN), "{said:?}");
}

/// Wrong port, chain and key.
fn who_is_called(stage: &Stage) {
    let (address, key) = (stage.of(0, "mesh"), stage.of(0, "key"));
    let elsewhere = format!("{}:30310", address.split(':').next().unwrap());
    // A card is silent where nobody listens, as a firewall is.
    stage.finds(&[&elsewhere, "--peer", key, "--genesis", "data/genesis"], "wrong-port", "likely");
    let chain = "ab".repeat(32);
    stage.finds(&[address, "--peer", key, "--chain", &chain], "wrong-chain", "certain");
    let other = stage.of(1, "key");
    stage.finds(&[address, "--peer", other, "--genesis", "data/genesis"], "wrong-key", "likely");
    let known = stage.finds(&[address, "--data", "data", "--validator", "1"], "wrong-key", "certain");
    assert!(known["findings"][0]["evidence"][1].as_str().unwrap().contains("validator-0"), "{known:#}");
}

/// A blocked SYN, a black hole and loss, each by what the router's kernel does.
fn the_network(stage: &Stage) {
    let first = ["--data", "data"];
    stage.router.ip("rule add pref 1 ipproto tcp dport 30303 blackhole").unwrap();
    stage.finds(&first, "syn-blocked", "likely");
    stage.router.ip("rule del pref 1").unwrap();

    // A narrow link behind the router, whose word about it is lost.
    stage.router.ip("rule add pref 1 ipproto icmp blackhole").unwrap();
    stage.router.ip("link set hpb-reach mtu 1300").unwrap();
    let hole = stage.finds(&first, "mtu-black-hole", "certain");
    let up_len = hole["seen"]["largest"][0].as_u64().unwrap();
    assert!((1_288..=1_300).contains(&up_len), "{hole:#}");
    stage.router.ip("link set hpb-reach mtu 1500").unwrap();
    stage.router.ip("rule del pref 1").unwrap();

    // A queue of four packets towards the cards, and none the other way.
    let queue = |words: &str| {
        let words = format!("qdisc {words}");
        stage.router.run(|| Command::new("tc").args(words.split_whitespace()).status().unwrap().success()).unwrap()
    };
    if queue("add dev hpb-reach root tbf rate 20mbit burst 5kb limit 6kb") {
        let loss = stage.finds(&first, "loss", "certain");
        let way = &loss["findings"][0]["evidence"][0];
        assert!(way.as_str().unwrap().contains("to the peer only"), "{loss:#}");
        assert!(queue("del dev hpb-reach root"));
    } else {
        eprintln!("skipped: loss, without a token bucket in this kernel");
    }
    stage.is_well("0");
}

/// Bans of an address and of an identity, a second holder of a validator's identity, and a caller of an old version.
fn who_calls(stage: &Stage) {
    let at = |words: &[&str]| {
        let said = stage.run(&stage.router, &[words, &["--data", "data", "--validator", "1"]].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
    };
    let second = ["--data", "data", "--validator", "1"];
    at(&["peer", "ban", ASKER]);
    let banned = stage.finds(&second, "banned", "certain");
    assert_eq!(banned["seen"]["tcp"]["outcome"], "prohibited");
    at(&["peer", "ban", ASKER, "--lift"]);

    let key = KeyFile::read(&stage.place.at("on.key")).unwrap().public().to_hex();
    at(&["peer", "ban", &key]);
    stage.finds(&[&second[..], &["--key", "on.key"]].concat(), "banned", "certain");
    at(&["peer", "ban", &key, "--lift"]);

    // A validator's own key, while that validator runs and calls again.
    let seed = Hash::of_parts("node", &[&1_u64.to_le_bytes(), &3_u64.to_le_bytes()]);
    let used = KeyFile::from_seed(seed.0);
    assert_eq!(used.public().to_hex(), stage.of(3, "key"));
    used.write(&stage.place.at("used.key")).unwrap();
    stage.finds(&[&second[..], &["--key", "used.key"]].concat(), "duplicate-identity", "certain");

    // This program speaks one version; the node is told of an older one.
    let mut target = stage.target(1, 77);
    target.credentials.as_mut().unwrap().version = 0;
    let diagnosis = stage.asker.run(|| Diagnosis::of(gather(&target, &mut |_| ()))).unwrap();
    let first = &diagnosis.findings[0];
    assert_eq!((first.cause, first.certainty), (Cause::VersionTooOld, Certainty::Certain), "{diagnosis:?}");
    assert!(first.evidence[0].contains("goodbye"), "the node's own word: {first:?}");
}

/// A clock that is off, a card that is held back, a full table.
fn the_node(stage: &Stage) {
    stage.finds(&["--data", "data", "--validator", "2"], "clock-off", "certain");

    let inject = |value: &str| {
        let words = ["card", "inject", "cfg_toe_mode_ins_bp", value, "--data", "data", "--validator", "1"];
        assert_eq!(stage.run(&stage.router, &words).code, Some(0));
    };
    inject("100000");
    stage.finds_from(&stage.router, &["--data", "data", "--validator", "1"], "slow-reader", "likely");
    inject("0");

    let mut held = Vec::new();
    let is_full = stage.asker.run(|| {
        (1..SESSIONS_TRIED).any(|seed| {
            let (report, session) = handshake::open(&stage.target(3, seed));
            held.extend(session);
            matches!(report.failure, Some(Failure::Goodbye { reason, .. }) if reason == Parting::FULL.0)
        })
    });
    assert!(is_full.unwrap(), "{} sessions", held.len());
    stage.finds(&["--data", "data", "--validator", "3"], "full", "certain");
}

/// An onlooker whose key the operator named is answered, and nobody else.
fn from_afar(stage: &Stage) {
    let ask = |verb: &str, key: &str| {
        let (address, peer) = (stage.of(0, "mesh"), stage.of(0, "key"));
        let words = ["peer", verb, "--json", "--remote", address, "--peer", peer, "--genesis", "data/genesis"];
        stage.run(&stage.asker, &[&words[..], &["--key", key]].concat())
    };
    for verb in ["sessions", "events"] {
        let said = ask(verb, "on.key");
        assert_eq!(said.code, Some(0), "{}", said.err);
        serde_json::from_str::<Value>(&said.out).unwrap();
        let refused = ask(verb, "stranger.key");
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
        assert!(refused.err.contains("refuse"), "{}", refused.err);
    }
}

#[test]
fn a_ban_is_told_over_ipv6_too() {
    let Some((router, asker)) = hosts() else { return };
    let place = Place::new("ipv6");
    cable((&router, "six0"), (&asker, "six0"), 1).unwrap();
    // An address is used at once, without asking whether another has it.
    asker.run(|| fs::write("/proc/sys/net/ipv6/conf/six0/accept_dad", "0").unwrap()).unwrap();
    asker.address("six0", "fd00:9::1/64").unwrap();
    let mut card = Command::new(HPB);
    card.current_dir(place.path()).args(["card", "--port", "packet:six0", "--address", "fd00:9::2/64"]);
    card.args(["--http", "80", "--control", "card.sock", "--seconds", "300"]).stdout(Stdio::piped());
    let mut card = Beside(router.run(|| card.spawn().unwrap()).unwrap());
    let mut line = String::new();
    BufReader::new(card.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("fd00:9::2"), "{line}");
    let hpb = |words: &[&str]| ended(Command::new(HPB).current_dir(place.path()).arg("peer").args(words));
    let diagnosis = || asker.run(|| hpb(&["doctor", "--json", "[fd00:9::2]:80"])).unwrap();
    let well = diagnosis();
    assert_eq!(well.code, Some(0), "{}{}", well.out, well.err);
    for (lift, code, cause) in [(false, Some(1), Value::from("banned")), (true, Some(0), Value::Null)] {
        let words = ["ban", "--control", "card.sock", "fd00:9::/64", "--lift"];
        let said = hpb(&words[..4 + usize::from(lift)]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let said = diagnosis();
        let found: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((said.code, &found["findings"][0]["cause"]), (code, &cause), "{found:#}");
    }
}

/// Listens at a port of this host for what says `banner` to each caller, and then nothing.
fn foreign(banner: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a stand-in for a process of its own")]
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(banner);
            held.push(stream);
        }
    });
    address
}

/// A verb's words for a session with what listens there.
fn called(verb: &str, address: &SocketAddr, more: &[&str]) -> Command {
    let (key, chain) = ("11".repeat(32), "22".repeat(32));
    let mut command = Command::new(HPB);
    command.args(["peer", verb, &address.to_string(), "--peer", &key, "--chain", &chain, "--patience-ms", "300"]);
    command.args(more);
    command
}

#[test]
fn a_foreign_service_is_told_to_be_none_of_ours_and_nothing_waits_for_it() {
    let _place = Place::new("foreign");
    for (banner, cause) in [(&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], "not-a-node"), (b"", "not-a-node")] {
        let address = foreign(banner);
        for verb in ["handshake", "info", "clock", "bandwidth", "ping"] {
            let said = ended(&mut called(verb, &address, &["--json"]));
            assert_eq!(said.code, Some(1), "{verb}: {}", said.err);
            let report: Value = serde_json::from_str(&said.out).unwrap();
            let kind = if banner.is_empty() { "keys_silent" } else { "foreign" };
            assert_eq!(report["failure"]["kind"], kind, "{verb}: {report:#}");
        }
        let said = ended(&mut called("doctor", &address, &["--json"]));
        let diagnosis: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((said.code, &diagnosis["findings"][0]["cause"]), (Some(1), &cause.into()), "{diagnosis:#}");
        let text = ended(&mut called("doctor", &address, &[])).out;
        assert!(text.contains("no node of this kind") && !text.contains('\x1b'), "no colours in a pipe: {text}");
        // Of TCP alone nothing is wrong with it.
        for verb in ["ping", "handshake", "trace", "path-mtu", "doctor"] {
            let said = succeeded(Command::new(HPB).args(["peer", verb, &address.to_string(), "--json"]));
            serde_json::from_str::<Value>(&said.out).unwrap();
        }
    }
}

/// A process that does not outlive the test, however that ends.
struct Beside(std::process::Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_web_server_is_told_to_be_none_of_ours() {
    let _place = Place::new("web");
    let Some(python) = program(&["python3"]) else { return eprintln!("skipped: python3 is not installed") };
    let mut command = Command::new(python);
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    let mut server = Beside(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let said = ended(&mut called("doctor", &address, &["--json"]));
    drop(server);
    let diagnosis: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &diagnosis["findings"][0]["cause"]), (Some(1), &"not-a-node".into()), "{diagnosis:#}");
}

#[test]
fn who_watches_sees_a_line_a_round_until_he_ends_it() {
    let _place = Place::new("watch");
    let address = foreign(b"").to_string();
    let mut command = Command::new(HPB);
    command.args(["peer", "ping", &address, "--count", "1", "--watch", "1", "--json"]).stdout(Stdio::piped());
    let mut child = Beside(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let report: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(report["received"], 1);
    }
    let id = child.0.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -INT \"$1\"", "sh", &id]).status().unwrap().success());
    let (status, mut said) = (child.0.wait().unwrap(), String::new());
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.signal(), said.as_str()), (Some(2), ""));
    assert!(lines.next().is_none(), "no half a line");
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let _place = Place::new("refused");
    let hpb = |words: &[&str]| refused(Command::new(HPB).arg("peer").args(words));
    for verb in ["info", "clock", "bandwidth"] {
        assert!(hpb(&[verb, "127.0.0.1:9"]).contains("needs a session"));
    }
    for verb in ["ping", "handshake", "trace", "info", "path-mtu", "bandwidth", "clock", "doctor"] {
        assert!(hpb(&[verb, "--data", "nowhere"]).contains("--reach"), "{verb}");
        assert!(hpb(&[verb, "no port"]).contains("no port"), "{verb}");
    }
    let remote = ["sessions", "--remote", "127.0.0.1:9"];
    assert!(hpb(&remote).contains("--genesis or --chain"));
    let chain = "22".repeat(32);
    assert!(hpb(&[&remote[..], &["--chain", &chain]].concat()).contains("--peer"));
}
