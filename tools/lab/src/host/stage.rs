//! Where a target runs: two hosts of the run's own with a cable between them, and a core for each side.

use std::thread;

use hpb_base::{Duration, Instant};
use hpb_host::sys::cores;
use hpb_sandbox::{Host, cable};

use super::carrier::Carrier;
use super::far::{Far, FarDone};
use super::near::{Near, NearDone};
use super::window::{Shared, now};
use super::{failed, lacking};
use crate::noise;
use crate::record::{Cost, Noise, Repeat};
use crate::scenario::{Pattern, Scenario};
use crate::target::{Stop, TargetError};

/// The cable's name at each end.
pub(crate) const CABLE: &str = "cable0";
/// Addresses of the two ends, and the length of their network's prefix.
pub(crate) const CLIENT: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 9, 0, 1);
/// The server's.
pub(crate) const SERVER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 9, 0, 2);
/// Of both.
pub(crate) const PREFIX_LEN: u8 = 16;
/// The server's port.
pub(crate) const PORT: u16 = 7_000;
/// How long an idle spin looks at the machine before each repeat.
const NOISE: Duration = Duration::from_millis(50);

/// Which core each side is held on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cores {
    /// The client's.
    pub(crate) client: usize,
    /// The server's.
    pub(crate) server: usize,
}

/// Two hosts and the cable between them.
pub(crate) struct Stage {
    /// Where clients run.
    pub(crate) client: Host,
    /// Where the server runs.
    pub(crate) server: Host,
}

impl Cores {
    /// The last two that this process may use: others' interrupts and programs rather come to the first.
    pub(crate) fn choose() -> Result<Self, TargetError> {
        let allowed = cores::allowed().map_err(failed("reading which cores there are"))?;
        let last = allowed.last().copied().unwrap_or(0);
        let before = allowed.len().checked_sub(2).and_then(|at| allowed.get(at).copied());
        Ok(Self { client: before.unwrap_or(last), server: last })
    }

    /// Whether both sides share one.
    pub(crate) fn is_shared(&self) -> bool {
        self.client == self.server
    }
}

impl Stage {
    /// Two hosts with a cable, without addresses: the kernel is silent on it until it has one.
    pub(crate) fn new() -> Result<Self, TargetError> {
        let stage = Self::unconnected()?;
        cable((&stage.client, CABLE), (&stage.server, CABLE), 1).map_err(|error| lacking(&error))?;
        Ok(stage)
    }

    /// Two hosts and nothing between them.
    pub(crate) fn unconnected() -> Result<Self, TargetError> {
        let host = || Host::new().map_err(|error| lacking(&error));
        Ok(Self { client: host()?, server: host()? })
    }

    /// Gives both kernels their addresses.
    pub(crate) fn address(&self) -> Result<(), TargetError> {
        for (host, address) in [(&self.client, CLIENT), (&self.server, SERVER)] {
            host.address(CABLE, &format!("{address}/{PREFIX_LEN}")).map_err(|error| lacking(&error))?;
        }
        Ok(())
    }
}

/// What a repeat needs beside its sides.
pub(crate) struct Run<'run> {
    /// The scenario.
    pub(crate) scenario: &'run Scenario,
    /// Which repeat.
    pub(crate) number: u32,
    /// The run's origin.
    pub(crate) began: Instant,
    /// The cores.
    pub(crate) cores: Cores,
    /// Whether it is to end.
    pub(crate) stop: Stop<'run>,
}

/// What both sides left, and the record so far.
pub(crate) struct Done<C> {
    /// The near side.
    pub(crate) near: NearDone<C>,
    /// The far side.
    pub(crate) far: FarDone<C>,
    /// The record, without hops.
    pub(crate) repeat: Repeat,
}

impl Run<'_> {
    /// Whether the server is the near side: it sends to all.
    pub(crate) fn is_from_server(&self) -> bool {
        self.scenario.load.pattern == Pattern::FanOut
    }

    /// Runs one repeat over the two ends, each on its core; on one core both on one thread, in turn.
    pub(crate) fn carry<C: Carrier + Send>(&self, client: C, server: C) -> Result<Done<C>, TargetError> {
        let noise = self.noise()?;
        let shared = Shared::default();
        let (near, far) = if self.is_from_server() { (server, client) } else { (client, server) };
        let near = Near::new(near, self.scenario, &shared, self.number);
        let far = Far::new(far, self.scenario, &shared);
        let (near, far) = if self.cores.is_shared() { self.alternate(near, far)? } else { self.beside(near, far)? };
        let arrivals = if self.scenario.load.pattern == Pattern::RequestReply { &near.arrivals } else { &far.arrivals };
        let mut repeat = super::logs::repeat(self.scenario, &near.window, &near.sent, arrivals, self.began);
        repeat.counts.retransmitted = near.retransmitted + far.retransmitted;
        repeat.counts.sessions_lost = near.sessions_lost.max(far.carrier.lost());
        repeat.cost = Cost { cpu_ns: near.cpu_ns + far.cpu_ns, ..Cost::default() };
        repeat.noise = Some(noise);
        Ok(Done { near, far, repeat })
    }

    /// Whether another turn follows; an error once somebody asked to stop.
    pub(crate) fn goes_on(&self, wanted: bool) -> Result<bool, TargetError> {
        if (self.stop)() { Err(TargetError::Stopped) } else { Ok(wanted) }
    }

    /// The jitter of the client's core just before.
    pub(crate) fn noise(&self) -> Result<Noise, TargetError> {
        noise::measure(NOISE, self.cores.client).map_err(failed("spinning on the client's core"))
    }

    /// Two threads.
    fn beside<C: Carrier + Send>(
        &self,
        mut near: Near<'_, C>,
        mut far: Far<'_, C>,
    ) -> Result<(NearDone<C>, FarDone<C>), TargetError> {
        let Cores { client, server } = self.cores;
        let (near_core, far_core) = if self.is_from_server() { (server, client) } else { (client, server) };
        let pinned = failed("holding a thread on its core");
        let shared = near.shared();
        thread::scope(|scope| {
            let far_side = scope.spawn(move || {
                cores::pin(far_core).map_err(failed("holding a thread on its core"))?;
                let ended = drive(|| far.turn());
                // The other side must not wait for one that failed.
                shared.stop();
                ended.map(|()| far.finish())
            });
            let near_side = scope.spawn(move || {
                cores::pin(near_core).map_err(&pinned)?;
                let ended = drive(|| self.goes_on(near.turn()? && !shared.is_stopped()));
                shared.stop();
                ended.and_then(|()| near.finish())
            });
            let joined = (near_side.join(), far_side.join());
            let panicked = || TargetError::Failed("a side panicked".to_owned());
            let (near, far) = (joined.0.map_err(|_| panicked())?, joined.1.map_err(|_| panicked())?);
            // The one that failed first says why.
            let far = far?;
            Ok((near?, far))
        })
    }

    /// One thread for both.
    fn alternate<C: Carrier + Send>(
        &self,
        mut near: Near<'_, C>,
        mut far: Far<'_, C>,
    ) -> Result<(NearDone<C>, FarDone<C>), TargetError> {
        let run = || {
            drive(|| self.goes_on(near.turn()? & far.turn()?))?;
            // Its time is the near side's: it is the same thread.
            let far = FarDone { cpu_ns: 0, ..far.finish() };
            Ok((near.finish()?, far))
        };
        cores::run_on(self.cores.client, run).map_err(failed("holding a thread on its core"))?
    }
}

fn drive(mut turn: impl FnMut() -> Result<bool, TargetError>) -> Result<(), TargetError> {
    while turn()? {}
    Ok(())
}

/// When a run began, as each target keeps it from its first repeat on.
pub(crate) fn began(origin: &mut Option<Instant>) -> Instant {
    *origin.get_or_insert_with(now)
}
