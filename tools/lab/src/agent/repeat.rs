//! One repeat at an agent: a thread that takes orders and tells what it came to.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hpb_base::Instant;
use hpb_base::limits::{AGENT_WORDS_MAX, AGENTS_MAX};

use super::clock::{AgentClock, Line};
use super::words::{Order, SentTold, Told};
use super::{exchange, sides};
use crate::host::window::now;
use crate::record::Buckets;
use crate::scenario::file::parse;
use crate::scenario::{Pattern, Scenario};
use crate::target::TargetError;

/// What an agent is in one repeat.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The server.
    Server {
        /// How many clients call.
        clients: u32,
    },
    /// A client.
    Client {
        /// Which repeat.
        number: u32,
        /// Which client.
        client: u32,
        /// The server's sessions.
        server: SocketAddr,
        /// The server's exchanges.
        exchanges: SocketAddr,
    },
}

/// A repeat under way.
pub(super) struct Repeat {
    /// The conductor's number for it.
    pub(super) job: u64,
    /// To whom it tells.
    pub(super) conductor: String,
    orders: SyncSender<Order>,
    told: Receiver<Told>,
    stop: Arc<AtomicBool>,
}

struct Work {
    job: u64,
    scenario: Scenario,
    own: IpAddr,
    clock: AgentClock,
    orders: Receiver<Order>,
    told: SyncSender<Told>,
    stop: Arc<AtomicBool>,
}

impl Repeat {
    /// Begins one at `own` address, by `clock`.
    #[allow(clippy::disallowed_methods, reason = "an agent listens to its conductor while a repeat runs")]
    pub(super) fn begin(
        (job, conductor): (u64, String),
        scenario: &str,
        role: Role,
        own: IpAddr,
        clock: AgentClock,
    ) -> Self {
        let (orders, taken) = sync_channel(AGENT_WORDS_MAX);
        let (tells, told) = sync_channel(AGENT_WORDS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let text = scenario.to_owned();
        let seen = Arc::clone(&stop);
        std::thread::spawn(move || {
            let ended = match parse(&text) {
                Err(error) => Err(TargetError::Failed(format!("the scenario: {error}"))),
                Ok(scenario) => {
                    let work = Work { job, scenario, own, clock, orders: taken, told: tells.clone(), stop: seen };
                    work.run(role)
                }
            };
            if let Err(error) = ended {
                // A conductor that is gone hears nothing.
                let _ = tells.send(Told::Failed { job, reason: error.to_string() });
            }
        });
        Self { job, conductor, orders, told, stop }
    }

    /// Passes an order on.
    pub(super) fn order(&self, order: Order) {
        // A repeat that came to nothing has said so; one that has no room is told what no conductor says.
        let _ = self.orders.try_send(order);
    }

    /// What it has to tell.
    pub(super) fn take(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }
}

impl Drop for Repeat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Work {
    fn run(self, role: Role) -> Result<(), TargetError> {
        match role {
            Role::Server { clients } => self.serve(clients),
            Role::Client { number, client, server, exchanges } => self.send(number, client, server, exchanges),
        }
    }

    fn serve(self, clients: u32) -> Result<(), TargetError> {
        if clients as usize >= AGENTS_MAX {
            return Err(TargetError::Failed(format!("{clients} clients are more than {AGENTS_MAX} agents have")));
        }
        let failed = |what: &'static str| crate::host::failed(what);
        let listener = TcpListener::bind((self.own, 0)).map_err(failed("listening for sessions"))?;
        let socket = UdpSocket::bind((self.own, 0)).map_err(failed("listening for exchanges"))?;
        let port = listener.local_addr().map_err(failed("listening for sessions"))?.port();
        let exchanges = socket.local_addr().map_err(failed("listening for exchanges"))?.port();
        let answering = exchange::answer(socket, self.clock).map_err(failed("listening for exchanges"))?;
        self.tell(Told::Serving { job: self.job, port, exchanges });
        let taken = sides::take(&listener, clients, self.scenario.sessions, &self.stop)?;
        let start = self.clock.instant(self.started()?);
        let served = sides::serve(taken, &self.scenario, self.clock, start, &self.stop)?;
        // Clients compare clocks until they are through.
        while let Ok(order) = self.orders.recv() {
            if let Order::Judge { clients, .. } = order {
                let judged = |(client, (line, begin_ns)): (u32, &(Line, u64))| {
                    sides::judge(&served, client, &self.scenario, line, Instant::from_nanos(*begin_ns))
                };
                let repeats = (0u32..).zip(&clients).map(judged).collect();
                self.tell(Told::Judged { job: self.job, repeats, cpu_ns: served.cpu_ns });
            }
        }
        answering.finish();
        Ok(())
    }

    fn send(self, number: u32, client: u32, server: SocketAddr, exchanges: SocketAddr) -> Result<(), TargetError> {
        let streams = sides::call(server, client, self.scenario.sessions)?;
        let compared = exchange::ask(exchanges, self.clock);
        let (mut all, thread) = compared.map_err(crate::host::failed("comparing clocks with the server"))?;
        let unclear = || TargetError::Failed("the clocks could not be compared".to_owned());
        let first = Line::through(&all).ok_or_else(unclear)?;
        let server_ns = first.server_at(self.clock.reading(now()));
        self.tell(Told::Ready { job: self.job, line: first, server_ns });
        let start = self.clock.instant(first.client_at(self.started()?));
        let (mut repeat, begin) = sides::send(streams, &self.scenario, number, start, &self.stop)?;
        all.extend(thread.finish());
        let line = Line::through(&all).ok_or_else(unclear)?;
        if self.scenario.load.pattern != Pattern::RequestReply {
            (repeat.latency, repeat.service) = (Buckets::default(), Buckets::default());
        }
        let host_line = unplanted(&line, self.clock);
        let begin_ns = begin.as_nanos();
        self.tell(Told::Sent(Box::new(SentTold { job: self.job, line, host_line, begin_ns, repeat })));
        Ok(())
    }

    /// Waits for the beginning; the server's reading then.
    fn started(&self) -> Result<i64, TargetError> {
        while let Ok(order) = self.orders.recv() {
            if let Order::Start { at_server_ns, .. } = order {
                return Ok(at_server_ns);
            }
        }
        Err(TargetError::Failed("the conductor let go of it".to_owned()))
    }

    fn tell(&self, told: Told) {
        // An agent that leaves hears nothing any more.
        let _ = self.told.send(told);
    }
}

/// The line of an agent's clock, from its host's own clock on: messages carry that one's readings.
#[allow(clippy::cast_precision_loss, reason = "spans of time below 2^53 ns")]
fn unplanted(line: &Line, clock: AgentClock) -> Line {
    /// Far enough apart that a nanosecond is no slope.
    const APART_NS: i64 = 1_000_000_000_000;
    let at = clock.instant(line.reference_ns).as_nanos().cast_signed();
    let offset = |host_ns: i64| {
        let read = clock.reading(Instant::from_nanos(u64::try_from(host_ns).unwrap_or(0)));
        host_ns.saturating_sub(line.server_at(read))
    };
    let (offset_ns, later_ns) = (offset(at), offset(at.saturating_add(APART_NS)));
    let drift_ppb = (later_ns.saturating_sub(offset_ns)) as f64 * 1e9 / APART_NS as f64;
    Line { reference_ns: at, offset_ns, drift_ppb, ..*line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planted_is_in_the_line_and_not_in_the_host_s() {
        let clock = AgentClock { offset_ns: 40_000_000, drift_ppb: 50_000, since_ns: 1_000 };
        let reference_ns = clock.reading(Instant::from_nanos(5_000_000_000));
        // As found, without a flaw: the server's clock is the host's.
        let line = Line {
            reference_ns,
            offset_ns: reference_ns - 5_000_000_000,
            drift_ppb: 50_000.0 / (1.0 + 5e-5),
            error_ns: 1,
            exchanges: 8,
            round_trip_ns: 2,
        };
        let own = unplanted(&line, clock);
        assert!(own.offset_ns.abs() <= 2 && own.drift_ppb.abs() < 1.0, "{own:?}");
        assert!((own.server_at(9_000_000_000) - 9_000_000_000).abs() <= 2);
    }
}
