//! The kernel's TCP over a cable between two hosts of the run's own, as a program asks for it: by blocking calls, or by
//! readiness (epoll). Sessions have no delay (`TCP_NODELAY`) and the machine's congestion control.
//!
//! | way | how |
//! | --- | --- |
//! | `epoll` | many sessions; both sides ask for readiness without sleeping, one `recv` and one `send` a message |
//! | `blocking` | one session; whoever reads sleeps in `recv` until something comes |
//!
//! Where the time of messages went is stamped, on the way in by the kernel.

mod blocking;

use std::io;
use std::net::{SocketAddrV4, TcpListener, TcpStream};

use hpb_base::Instant;
use hpb_host::sys::{descriptor_limit_raise, set_linger_zero, stamp_arrivals};

use crate::host::passages::{self, Passages};
use crate::host::sockets::Sockets;
use crate::host::stage::{CLIENT, Cores, Done, PORT, Run, SERVER, Stage, began};
use crate::host::window::UnixClock;
use crate::host::{check, failed, lacking};
use crate::record::{Cost, Repeat};
use crate::scenario::{Arrivals, KernelWay, Pattern, Scenario, TargetSpec};
use crate::target::{Stop, Target, TargetError};

/// Sessions from one address at most: its ports, with room for others.
const SESSIONS_MAX: u32 = 28_000;
/// Milliseconds that a wait for readiness may take where both sides share a core.
const SHARED_WAIT_MS: i32 = 1;
/// Descriptors that a process has beside its sessions.
const DESCRIPTORS_BESIDE: u64 = 64;

/// The kernel's TCP as a target.
pub struct Kernel {
    name: String,
    way: KernelWay,
    cores: Cores,
    began: Option<Instant>,
}

impl Kernel {
    /// The kernel asked in one `way`.
    ///
    /// # Errors
    /// [`TargetError::Unavailable`] for what the kernel, or this way of asking it, does not do.
    pub fn new(spec: &TargetSpec, way: KernelWay, scenario: &Scenario) -> Result<Self, TargetError> {
        check(scenario)?;
        let refuse = |reason: String| Err(TargetError::Unavailable(reason));
        if spec.encrypted {
            return refuse("the kernel's TCP encrypts nothing: compare it with a plain card".to_owned());
        }
        if matches!(scenario.load.pattern, Pattern::Reconnect | Pattern::Confirm) {
            return refuse(
                "the kernel's targets ask and answer, send one way, fan out and in, and nothing else".to_owned(),
            );
        }
        if way == KernelWay::Blocking {
            let is_one = scenario.sessions == 1
                && matches!(scenario.load.pattern, Pattern::RequestReply | Pattern::OneWay)
                && matches!(
                    scenario.load.arrivals,
                    Arrivals::Closed { in_flight: 1 }
                        | Arrivals::Fixed { .. }
                        | Arrivals::Poisson { .. }
                        | Arrivals::Bursts { .. }
                );
            if !is_one {
                return refuse(
                    "blocking calls carry one session, at most one message in flight of a closed loop".to_owned(),
                );
            }
        }
        if scenario.sessions > SESSIONS_MAX {
            return refuse(format!(
                "one address has ports for {SESSIONS_MAX} sessions with a server, not {}",
                scenario.sessions
            ));
        }
        Ok(Self { name: spec.name.clone(), way, cores: Cores::choose()?, began: None })
    }
}

impl Target for Kernel {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> String {
        let way = match self.way {
            KernelWay::Blocking => "blocking calls",
            KernelWay::Epoll => "epoll, without sleeping",
        };
        let Cores { client, server } = self.cores;
        format!(
            "the kernel's TCP over a virtual cable, {way}; the client on core {client}, the server on core {server}"
        )
    }

    fn repeat(&mut self, scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError> {
        let began = began(&mut self.began);
        let stage = Stage::new()?;
        stage.address()?;
        let pairs = connect(&stage, scenario.sessions)?;
        let run = Run { scenario, number, began, cores: self.cores, stop };
        match self.way {
            KernelWay::Epoll => by_readiness(&run, pairs),
            KernelWay::Blocking => blocking::carry(&run, pairs),
        }
    }
}

/// Opens all sessions: the clients' ends, and the server's in the same order.
fn connect(stage: &Stage, sessions: u32) -> Result<(Vec<TcpStream>, Vec<TcpStream>), TargetError> {
    let wanted = 2 * u64::from(sessions) + DESCRIPTORS_BESIDE;
    let limit = descriptor_limit_raise().map_err(failed("reading the limit of descriptors"))?;
    if limit < wanted {
        let reason =
            format!("{sessions} sessions take {wanted} descriptors, and {limit} are allowed: `ulimit -n {wanted}`");
        return Err(TargetError::Unavailable(reason));
    }
    let server = SocketAddrV4::new(SERVER, PORT);
    let listener = stage.server.run(|| TcpListener::bind(server)).map_err(|error| lacking(&error))?;
    let listener = listener.map_err(failed("listening"))?;
    let open = || {
        let one = || -> io::Result<(TcpStream, TcpStream)> {
            let client = TcpStream::connect(server)?;
            let (server, _) = listener.accept()?;
            for end in [&client, &server] {
                stamp_arrivals(end)?;
                end.set_nodelay(true)?;
                set_linger_zero(end)?;
            }
            Ok((client, server))
        };
        (0..sessions).map(|_| one()).collect::<io::Result<(Vec<_>, Vec<_>)>>()
    };
    let opened = stage.client.run(open).map_err(|error| lacking(&error))?;
    opened.map_err(failed(&format!("calling from {CLIENT}")))
}

/// Both sides by readiness.
fn by_readiness(run: &Run<'_>, (clients, servers): (Vec<TcpStream>, Vec<TcpStream>)) -> Result<Repeat, TargetError> {
    let load = &run.scenario.load;
    let wait_ms = if run.cores.is_shared() { SHARED_WAIT_MS } else { 0 };
    let client_len = if load.pattern == Pattern::RequestReply { load.reply_len } else { load.request_len };
    let mut client = Sockets::new(clients, client_len, wait_ms)?;
    let mut server = Sockets::new(servers, load.request_len, wait_ms)?;
    for side in [&mut client, &mut server] {
        side.passages = Some(Passages::new(run.scenario.sessions));
    }
    let clock = UnixClock::read();
    let Done { mut near, mut far, mut repeat } = run.carry(client, server)?;
    if let (Some(at_near), Some(at_far)) = (&mut near.carrier.passages, &mut far.carrier.passages) {
        let is_answered = load.pattern == Pattern::RequestReply;
        let (hops, cost) = passages::hops((&near.sent, &near.window), is_answered, (at_near, at_far), clock.ahead());
        repeat.hops = hops;
        repeat.cost = Cost { cpu_ns: repeat.cost.cpu_ns, ..cost };
    }
    Ok(repeat)
}
