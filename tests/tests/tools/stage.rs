//! Where the programs meet the card: two hosts and a way between them, the programs by name, and what is asked of a card
//! after each.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hpb_card::{CardConfig, Report, Running, start};
use hpb_net::PortUrl;
use hpb_node::runtime::StopFlag;
use hpb_sandbox::{Host, SandboxError, cable};
use hpb_toe::Service;
use hpb_toe::registers::Register;
use hpb_toe::service::Page;

pub(crate) const ECHO: u16 = 7;
pub(crate) const DISCARD: u16 = 9;
pub(crate) const CHARGEN: u16 = 19;
pub(crate) const HTTP: u16 = 80;

/// The card's addresses, and the peer's beside them.
pub(crate) const CARD_V4: &str = "10.8.0.2";
pub(crate) const CARD_V6: &str = "2001:db8:8::2";
const PEER_V4: &str = "10.8.0.1/24";
const PEER_V6: &str = "2001:db8:8::1/64";

/// Seconds after which a program is taken to hang.
const PROGRAM_SECS_MAX: &str = "60";

/// Tests of devices take turns, because each wants both cores; those that mostly wait share one.
static TURN: RwLock<()> = RwLock::new(());

/// A program and the package that has it.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

pub(crate) const AB: Tool = tool("ab", "apache2-utils");
pub(crate) const CURL: Tool = tool("curl", "curl");
pub(crate) const DNSMASQ: Tool = tool("dnsmasq", "dnsmasq-base");
pub(crate) const ETHTOOL: Tool = tool("ethtool", "ethtool");
pub(crate) const HPING: Tool = tool("hping3", "hping3");
pub(crate) const NCAT: Tool = tool("ncat", "ncat");
pub(crate) const NMAP: Tool = tool("nmap", "nmap");
pub(crate) const PING: Tool = tool("ping", "iputils-ping");
pub(crate) const TCPDUMP: Tool = tool("tcpdump", "tcpdump");
pub(crate) const WRK: Tool = tool("wrk", "wrk");
/// The system's own Python, which sees the system's modules.
pub(crate) const PYTHON: Tool = tool("/usr/bin/python3", "python3");
pub(crate) const SCAPY: Tool = tool("/usr/bin/python3", "python3-scapy");

impl Tool {
    fn path(self) -> Option<PathBuf> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/sbin".into()]);
        folders.map(|folder| folder.join(self.program)).find(|path| path.is_file())
    }

    fn lacks(self) -> Option<String> {
        let lacks = self.path().is_none() || (self.package == SCAPY.package && !has_scapy());
        lacks.then(|| format!("there is no {}: install the package {}", self.program, self.package))
    }
}

fn has_scapy() -> bool {
    let import = Command::new(SCAPY.program).args(["-c", "import scapy"]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success())
}

/// How the card's frames reach the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// A cable whose near end the card has by a packet socket.
    Packet,
    /// A TAP interface of the peer's, whose other end is the card.
    Tap,
    /// Two TAP interfaces of the peer's, for a switch between them: `access0` has the peer's addresses, the other one the
    /// card's packet socket.
    Trunk,
}

pub(crate) const BOTH: &[Way] = &[Way::Packet, Way::Tap];

/// A peer whose kernel has addresses, and a host for the card, whose kernel has none.
pub(crate) struct Stage {
    /// Where the programs run.
    pub(crate) peer: Host,
    /// Where a packet port's card runs.
    pub(crate) card: Host,
    /// The card's interface; the peer's has the same name, but by a trunk.
    pub(crate) interface: &'static str,
    way: Way,
}

/// Runs `body` on each way, or says why not.
pub(crate) fn on(ways: &[Way], needed: &[Tool], body: impl Fn(&Stage)) {
    let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    run_on(ways, needed, body);
}

/// The same for programs that mostly wait: others of their kind may run beside them.
pub(crate) fn on_beside_others(ways: &[Way], needed: &[Tool], body: impl Fn(&Stage)) {
    let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    run_on(ways, needed, body);
}

fn run_on(ways: &[Way], needed: &[Tool], body: impl Fn(&Stage)) {
    if let Some(lack) = needed.iter().find_map(|tool| tool.lacks()) {
        return skip(&lack);
    }
    for way in ways {
        match Stage::lay(*way) {
            Ok(stage) => body(&stage),
            Err(error) => skip(&format!("{way:?}: {error}")),
        }
    }
}

pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("HPB_NET").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

impl Stage {
    fn lay(way: Way) -> Result<Self, SandboxError> {
        let (peer, card) = (Host::new()?, Host::new()?);
        let (interface, near) = match way {
            Way::Packet => {
                cable((&peer, "cable0"), (&card, "cable0"), 1)?;
                ("cable0", "cable0")
            }
            Way::Tap => {
                peer.ip("tuntap add dev tap0 mode tap vnet_hdr")?;
                peer.ip("link set tap0 up")?;
                ("tap0", "tap0")
            }
            Way::Trunk => {
                for name in ["access0", "trunk0"] {
                    peer.ip(&format!("tuntap add dev {name} mode tap"))?;
                    peer.ip(&format!("link set {name} up"))?;
                }
                ("trunk0", "access0")
            }
        };
        peer.address(near, PEER_V4)?;
        peer.address(near, PEER_V6)?;
        Ok(Self { peer, card, interface, way })
    }

    /// A card with both addresses and every service; its page is [`page`] of `page_len` bytes.
    pub(crate) fn config(&self, page_len: usize) -> CardConfig {
        let scheme = if self.way == Way::Tap { "tap" } else { "packet" };
        let mut config = CardConfig::new(PortUrl::parse(&format!("{scheme}:{}", self.interface)).unwrap());
        config.addresses = vec![(CARD_V4.parse().unwrap(), 24), (CARD_V6.parse().unwrap(), 64)];
        let page = Page::new("text/plain", &page(page_len));
        config.services = vec![
            (ECHO, Service::Echo),
            (DISCARD, Service::Discard),
            (CHARGEN, Service::Chargen),
            (HTTP, Service::Http(Arc::new(page))),
        ];
        config
    }

    pub(crate) fn start(&self, config: &CardConfig) -> Running {
        let host = if self.way == Way::Packet { &self.card } else { &self.peer };
        host.run(|| start(config, StopFlag::new().unwrap())).unwrap().unwrap()
    }

    /// Runs a program at the peer to its end.
    pub(crate) fn run(&self, tool: Tool, arguments: &str) -> Said {
        self.run_with(tool, arguments.split_whitespace(), &[])
    }

    /// Runs a program at the peer to its end, with `input` on its standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(
        &self,
        tool: Tool,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Said {
        let mut command = Command::new("timeout");
        command.arg(PROGRAM_SECS_MAX).arg(tool.path().unwrap()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.peer.spawn(&mut command).unwrap().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A program that ends before it has read all of it says so by its status and what it printed.
            scope.spawn(move || stdin.write_all(input));
            Said::of(&command, child.wait_with_output().unwrap())
        })
    }

    /// Starts a program at the peer that goes on until it is dropped.
    pub(crate) fn background(&self, tool: Tool, arguments: &str) -> Background {
        self.background_with(tool, arguments.split_whitespace())
    }

    /// The same with arguments that hold blanks.
    pub(crate) fn background_with<S: AsRef<OsStr>>(
        &self,
        tool: Tool,
        arguments: impl IntoIterator<Item = S>,
    ) -> Background {
        let mut command = Command::new(tool.path().unwrap());
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Background(self.peer.spawn(&mut command).unwrap().unwrap())
    }

    /// Pings `address` five times with `len` bytes; each comes back as it went. A busy machine may be late with an answer:
    /// ping goes on asking until it has five.
    #[track_caller]
    pub(crate) fn assert_pings(&self, address: &str, len: usize) {
        let said = self.run(PING, &format!("-n -c 5 -i 0.05 -w 10 -s {len} {address}")).ended_well();
        let asked = said.text.lines().find_map(|line| line.split_once(" packets transmitted, 5 received"));
        let asked = asked.and_then(|(asked, _)| asked.parse().ok()).unwrap_or(u32::MAX);
        assert!(asked <= 20, "{self}: {said}");
        said.lacks("wrong data").lacks("DUP!");
    }

    /// Has an ordinary session of each family with the echo service.
    pub(crate) fn assert_works(&self) {
        for address in [CARD_V4, CARD_V6] {
            let remote = SocketAddr::new(address.parse::<IpAddr>().unwrap(), ECHO);
            let connect = || TcpStream::connect_timeout(&remote, Duration::from_secs(10));
            let mut stream = self.peer.run(connect).unwrap().unwrap_or_else(|error| panic!("{remote}: {error}"));
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(b"still there?").unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"still there?", "{remote}");
        }
    }

    /// An ordinary session still works, no session is left over, and the lane comes to its end.
    pub(crate) fn finish(&self, card: Running) -> Report {
        self.assert_works();
        until(&card, "the last session goes", |report| report.sessions == 0);
        card.end().unwrap()
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.way)
    }
}

/// What a program said.
pub(crate) struct Said {
    command: String,
    status: Option<i32>,
    /// Its standard output as it was.
    pub(crate) bytes: Vec<u8>,
    /// Its standard output as text.
    pub(crate) text: String,
    /// Its standard error as text.
    pub(crate) errors: String,
}

impl Said {
    fn of(command: &Command, output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            // A script among the arguments is long.
            command: format!("{command:?}").chars().take(200).collect(),
            status: output.status.code(),
            text: text(&output.stdout),
            errors: text(&output.stderr),
            bytes: output.stdout,
        }
    }

    /// The program ended well.
    #[track_caller]
    pub(crate) fn ended_well(self) -> Self {
        assert_eq!(self.status, Some(0), "{self}");
        self
    }

    /// The program printed this.
    #[track_caller]
    pub(crate) fn shows(self, part: &str) -> Self {
        assert!(self.text.contains(part) || self.errors.contains(part), "no `{part}`: {self}");
        self
    }

    /// The program did not print this.
    #[track_caller]
    pub(crate) fn lacks(self, part: &str) -> Self {
        assert!(!self.text.contains(part) && !self.errors.contains(part), "`{part}`: {self}");
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = |text: &str| text.chars().take(4_000).collect::<String>();
        write!(formatter, "{}: {:?}\n{}{}", self.command, self.status, start(&self.text), start(&self.errors))
    }
}

/// A program that is ended when its test ends.
pub(crate) struct Background(Child);

impl Background {
    /// The next `len` bytes of its output.
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The rest of its output and of its errors, up to its end.
    pub(crate) fn rest(mut self) -> (String, String) {
        let (mut text, mut errors) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (text, errors)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the card's report says so.
#[track_caller]
pub(crate) fn until(card: &Running, what: &str, done: impl Fn(&Report) -> bool) -> Report {
    for _ in 0..400 {
        let report = card.report();
        if done(&report) {
            return report;
        }
        assert!(!card.is_stopped(), "{what}: the card ended: {report:?}");
        pause(50);
    }
    panic!("{what}: waited for in vain: {:?}", card.report());
}

#[allow(clippy::disallowed_methods, reason = "a real device takes real time")]
pub(crate) fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// A counter of the report by its name.
pub(crate) fn count(report: &Report, name: &str) -> u64 {
    report.count(name)
}

/// How often a register acted.
pub(crate) fn acted(report: &Report, register: Register) -> u64 {
    report.registers.iter().find(|(name, ..)| name == register.name()).map_or(0, |(.., acted)| *acted)
}

/// Bytes that look like nothing, the same at each call.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    hpb_base::Random::stream(8, 0).fill(&mut bytes);
    bytes
}

/// The page's body: numbered lines, so that a part that is lost, doubled or moved shows.
pub(crate) fn page(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(|line| format!("{line:07}\n").into_bytes()).take(len).collect()
}
