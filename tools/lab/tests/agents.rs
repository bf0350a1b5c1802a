//! Agents and a conductor over a NATS server of Debian's, on loopback and in hosts of the test's own. What is planted in
//! an agent's clock must be found within what is said of it. Nothing is timed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "servers and agents are processes and threads that run beside the test")]

use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration as StdDuration;

use hpb_base::Duration;
use hpb_lab::agent::conduct::{ConductError, ConductOptions, conduct};
use hpb_lab::agent::nats::NatsUrl;
use hpb_lab::agent::work::{AgentOptions, work};
use hpb_lab::record::Record;
use hpb_lab::scenario::file::parse;
use hpb_sandbox::{Host, cable};

/// Measurements take turns: each wants the cores.
static TURN: Mutex<()> = Mutex::new(());

/// A NATS server that ends with the test.
struct Nats {
    server: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Says why a test does not run; with `HPB_NET=1` that is a failure.
fn skipped(why: &str) {
    assert!(std::env::var_os("HPB_NET").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

impl Nats {
    /// A server at a free port of `address`; none where it is not installed.
    fn start(address: &str, password: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let program =
            ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("nats-server"));
        command.args(["-a", address, "-p", "-1", "--ports_file_dir"]).arg(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(password) = password {
            command.args(["--user", "lab", "--pass", password]);
        }
        let server = match command.spawn() {
            Ok(server) => server,
            Err(error) => {
                skipped(&format!("nats-server: {error}"));
                return None;
            }
        };
        let ports = folder.path().join(format!("nats-server_{}.ports", server.id()));
        for _ in 0..200 {
            let told = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Some(port) = told.split(&format!("{address}:")).nth(1).and_then(|rest| rest.split('"').next()) {
                return Some(Self { server, url: format!("{address}:{port}"), _folder: folder });
            }
            std::thread::sleep(StdDuration::from_millis(50));
        }
        panic!("nats-server does not say its port");
    }

    fn url(&self, credentials: &str) -> NatsUrl {
        NatsUrl::parse(&format!("nats://{credentials}{}", self.url)).unwrap()
    }
}

fn agent(url: &NatsUrl, name: &str, address: Option<&str>, (offset_ms, drift_ppm): (i64, i64)) -> AgentOptions {
    AgentOptions {
        url: url.clone(),
        meeting: "test".to_owned(),
        name: Some(name.to_owned()),
        address: address.map(|address| address.parse::<IpAddr>().unwrap()),
        planted_offset_ns: offset_ms * 1_000_000,
        planted_drift_ppb: drift_ppm * 1_000,
        once: false,
    }
}

fn options(url: &NatsUrl, agents: usize) -> ConductOptions {
    let patience = Duration::from_secs(20);
    ConductOptions { url: url.clone(), meeting: "test".to_owned(), agents, server: None, patience }
}

fn text(load: &str) -> String {
    format!(
        "name = \"far\"\nabout = \"A test.\"\nseed = 1\nclock = \"real\"\nwarm_up = \"200ms\"\nduration = \"2s\"\n\
         drain = \"1s\"\nrepeats = 2\nsessions = 3\n[load]\n{load}\n[[target]]\nname = \"it\"\nkind = \"kernel-epoll\"\n"
    )
}

const ONE_WAY: &str = "pattern = \"one-way\"\narrivals = \"fixed\"\nrate_per_s = 200\nrequest_len = 100";
const ANSWERED: &str =
    "pattern = \"request-reply\"\narrivals = \"poisson\"\nrate_per_s = 200\nreply_len = 60\nrequest_len = 100";

/// Runs a scenario while these agents work, each where `place` puts it.
fn conducted(
    load: &str,
    options: &ConductOptions,
    agents: &[AgentOptions],
    place: &(dyn Fn(usize, &mut dyn FnMut()) + Sync),
) -> Result<Record, ConductError> {
    let text = text(load);
    let scenario = parse(&text).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (at, agent) in agents.iter().enumerate() {
            let stop = &stop;
            scope.spawn(move || {
                place(at, &mut || work(agent, &|| stop.load(Ordering::Relaxed), &mut |_| ()).unwrap());
            });
        }
        let record = conduct(&scenario, text, options, &|| false, &mut |_| ());
        stop.store(true, Ordering::Relaxed);
        record
    })
}

fn here(_: usize, run: &mut dyn FnMut()) {
    run();
}

/// What was planted in `south` and `west` is found within what is said of it, `north` being the server.
fn is_found(record: &Record, messages: u64) {
    assert_eq!(
        record.agents.iter().map(|agent| agent.role.as_str()).collect::<Vec<_>>(),
        ["server", "client", "client"]
    );
    let north = &record.agents[0];
    for client in &record.agents[1..] {
        assert_eq!(client.clocks.len(), 2, "a repeat each");
        let drift_ppb = client.planted_drift_ppb - north.planted_drift_ppb;
        for (repeat, clock) in client.clocks.iter().enumerate() {
            assert!(clock.exchanges >= 64 && clock.error_ns < 100_000_000, "{clock:?}");
            // The drift adds to the offset from the agent's start on: less than a minute here.
            let grown = drift_ppb.unsigned_abs() * 60;
            let off = clock.offset_ns.abs_diff(client.planted_offset_ns - north.planted_offset_ns);
            assert!(off <= clock.error_ns + grown, "{off} ns off: {client:?}");
            // Over three seconds of exchanges a drift that were as wrong as the error, at both ends.
            let drift_off = clock.drift_ppb.abs_diff(drift_ppb);
            assert!(drift_off <= clock.error_ns, "repeat {repeat}: {drift_off} ppb off: {client:?}");
        }
    }
    let [together, south, west] = &record.targets[..] else { panic!("three targets") };
    for repeat in 0..2 {
        let [whole, one, other] = [together, south, west].map(|target| &target.repeats[repeat]);
        assert_eq!(one.counts.intended, messages);
        assert_eq!(whole.counts.intended, one.counts.intended + other.counts.intended);
        assert_eq!(whole.counts.arrived, one.counts.arrived + other.counts.arrived);
        assert_eq!((whole.counts.lost, whole.counts.out_of_order), (0, 0), "{:?}", whole.counts);
        assert_eq!(whole.counts.sessions_lost, 0, "a server that ends when all is over loses nobody a session");
        assert_eq!(whole.latency.count(), whole.counts.arrived);
    }
}

/// No message may be quicker than the error allows, nor anything like as slow as what was planted.
fn is_corrected(record: &Record) {
    for target in &record.targets {
        let error_ns = target.clock_error_ns.unwrap();
        let p50_ns = target.repeats[0].latency.percentile(50.0).unwrap();
        assert!(p50_ns < error_ns + 20_000_000, "{}: p50 {p50_ns} ns, error {error_ns} ns", target.name);
    }
}

#[test]
fn planted_offsets_and_drifts_are_found_on_loopback() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(nats) = Nats::start("127.0.0.1", Some("secret")) else { return };
    let url = nats.url("lab:secret@");
    let agents = [("north", (7, 0)), ("south", (5_000, 0)), ("west", (-400, 50))];
    let agents = agents.map(|(name, planted)| agent(&url, name, None, planted));
    let record = conducted(ONE_WAY, &options(&url, 3), &agents, &here).unwrap();
    is_found(&record, 400);
    is_corrected(&record);
    let record = conducted(ANSWERED, &options(&url, 3), &agents, &here).unwrap();
    assert!(record.targets.iter().all(|target| target.clock_error_ns.is_none()), "one clock measures what is answered");
    assert!(record.targets[0].repeats.iter().all(|repeat| repeat.counts.arrived == repeat.counts.expected));
    let named = ConductOptions { server: Some("west".to_owned()), ..options(&url, 3) };
    let record = conducted(ANSWERED, &named, &agents, &here).unwrap();
    assert_eq!(record.agents[0].name, "west");
}

#[test]
fn planted_offsets_and_drifts_are_found_between_hosts() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let made: Result<Vec<Host>, _> = (0..4).map(|_| Host::new()).collect();
    let hosts = match made {
        Ok(hosts) => hosts,
        Err(error) => return skipped(&error.to_string()),
    };
    let (hub, agents_hosts) = hosts.split_first().unwrap();
    hub.ip("link add br0 type bridge").unwrap();
    hub.ip("link set br0 up").unwrap();
    hub.address("br0", "10.8.0.1/24").unwrap();
    let places = ["10.8.0.2", "10.8.0.3", "10.8.0.4"];
    for (at, (host, address)) in agents_hosts.iter().zip(places).enumerate() {
        let name = format!("port{at}");
        cable((hub, &name), (host, "eth0"), 1).unwrap();
        hub.ip(&format!("link set {name} master br0")).unwrap();
        host.address("eth0", &format!("{address}/24")).unwrap();
    }
    let Some(nats) = hub.run(|| Nats::start("10.8.0.1", None)).unwrap() else { return };
    let url = nats.url("");
    let planted = [("north", (0, 0)), ("south", (5, 0)), ("west", (-40, 50))];
    let agents: Vec<AgentOptions> =
        planted.into_iter().map(|(name, planted)| agent(&url, name, None, planted)).collect();
    let run_in = |at: usize, run: &mut (dyn FnMut() + Send)| agents_hosts[at].run(run).unwrap();
    let text = text(ONE_WAY);
    let (scenario, stop) = (parse(&text).unwrap(), AtomicBool::new(false));
    let record = std::thread::scope(|scope| {
        for (at, agent) in agents.iter().enumerate() {
            let (stop, run_in) = (&stop, &run_in);
            scope.spawn(move || {
                run_in(at, &mut || work(agent, &|| stop.load(Ordering::Relaxed), &mut |_| ()).unwrap());
            });
        }
        let record = hub.run(|| conduct(&scenario, text.clone(), &options(&url, 3), &|| false, &mut |_| ())).unwrap();
        stop.store(true, Ordering::Relaxed);
        record
    });
    let record = record.unwrap();
    is_found(&record, 400);
    is_corrected(&record);
    assert!(record.agents[2].host.contains("10.8.0.4"), "{:?}", record.agents[2]);
}

#[test]
fn what_fails_is_said_in_words() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(nats) = Nats::start("127.0.0.1", Some("secret")) else { return };
    let url = nats.url("lab:secret@");
    let few = ConductOptions { patience: Duration::from_secs(2), ..options(&url, 3) };
    let said = |options: &ConductOptions, agents: &[AgentOptions]| {
        conducted(ONE_WAY, options, agents, &here).unwrap_err().to_string()
    };
    let north = agent(&url, "north", None, (0, 0));
    assert_eq!(
        said(&few, std::slice::from_ref(&north)),
        "1 of 3 agents came to the meeting `test` within 2s: north (127.0.0.1)"
    );
    let twice = said(&few, &[north.clone(), north.clone()]);
    assert!(twice.starts_with("two agents are called north"), "{twice}");
    let nobody = ConductOptions { server: Some("east".to_owned()), ..options(&url, 2) };
    let south = agent(&url, "south", None, (0, 0));
    assert!(said(&nobody, &[north.clone(), south]).starts_with("no agent is called east: there are north"));
    let wrong = nats.url("lab:wrong@");
    let refused = conduct(&parse(&text(ONE_WAY)).unwrap(), String::new(), &options(&wrong, 2), &|| false, &mut |_| ());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("refuses: Authorization Violation") && !refused.contains("wrong"), "{refused}");
    drop(nats);
    let gone = work(&north, &|| false, &mut |_| ()).unwrap_err().to_string();
    assert!(gone.contains("no NATS server answers"), "{gone}");
}
