//! Two lanes on a wire, on virtual time.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::{Duration, Instant, Random};
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{LinkConfig, WireBuilder, WirePort};
use hpb_types::keys::{Hash, PublicKey};
use hpb_types::units::ChainId;

use super::*;
use crate::card::{Call, Event, Group};
use crate::framing::framed;
use crate::stats::Drop as Reason;

mod captures;
mod faults;
mod leaving;
mod messages;
mod parting;
mod recovery;
mod sessions;
mod stamps;

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const PORT: u16 = 30_303;

/// An event that outlives its batch.
#[derive(Clone, PartialEq, Debug)]
enum Seen {
    Opened { session: SessionId, peer: Option<PublicKey>, tag: u64, called: bool },
    Message { session: SessionId, kind: u8, body: Vec<u8> },
    Closed { reason: CloseReason, was_open: bool },
}

struct Host {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    seen: Vec<Seen>,
    echo: bool,
    reap: bool,
}

/// Both ends and the wire between them.
struct World {
    hosts: Vec<Host>,
    now: Instant,
    /// Packets larger than this vanish on their way without a word.
    hole_len: usize,
}

fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, host as u8 + 1])
}

fn identity(host: usize) -> Arc<Identity> {
    Arc::new(Identity::new([host as u8 + 1; 32], CHAIN))
}

fn config(host: usize) -> LaneConfig {
    LaneConfig::new(vec![(address(host), 8)], Some(identity(host)), [host as u8; 32])
}

impl World {
    fn new(seed: u64, link: LinkConfig) -> Self {
        Self::with(seed, link, config)
    }

    fn with(seed: u64, link: LinkConfig, config: impl Fn(usize) -> LaneConfig) -> Self {
        let mut builder = WireBuilder::new(seed).default_link(link);
        builder.port(&[address(0)]);
        builder.port(&[address(1)]);
        let now = Instant::from_millis(1_000);
        let hosts = builder.build().unwrap().into_iter().enumerate().map(|(host, port)| Host {
            lane: Lane::new(config(host), port.capabilities(), now).unwrap(),
            port,
            bursts: Bursts::new(4_096),
            seen: Vec::new(),
            echo: false,
            reap: true,
        });
        Self { hosts: hosts.collect(), now, hole_len: usize::MAX }
    }

    fn listen(&mut self, class: Class, encrypted: bool) {
        self.hosts[0].lane.handle(self.now, Command::Listen { port: PORT, class, encrypted });
    }

    fn call(&mut self, class: Class, encrypted: bool, keep: bool, tag: u64) {
        let call = Call {
            remote: SocketAddr::new(address(0), PORT),
            local: SocketAddr::new(address(1), 0),
            class,
            responder: encrypted.then(|| identity(0).public()),
            identity: None,
            tag,
            keep,
        };
        self.hosts[1].lane.handle(self.now, Command::Open(call));
    }

    /// One turn of both hosts; returns whether anything happened.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for host in &mut self.hosts {
            busy |= host.port.rx_burst(self.now, &mut host.bursts) > 0;
            busy |= host.lane.poll(self.now, &mut host.bursts);
            while let Some(job) = host.lane.take_job() {
                busy = true;
                host.lane.finish_job(self.now, job.run());
            }
            for _ in 0..host.bursts.tx.len() {
                let Some(frame) = host.bursts.tx.pop_front() else { break };
                if frame.len() > self.hole_len {
                    host.bursts.pool.give(frame);
                } else {
                    host.bursts.tx.push_back(frame);
                }
            }
            busy |= host.port.tx_burst(self.now, &mut host.bursts) > 0;
            if host.reap {
                busy |= host.reap();
            }
        }
        busy
    }

    /// Runs until `until` or until nothing is left to happen.
    fn run(&mut self, until: Instant) {
        loop {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                assert!(turns < 1_000_000, "the world does not come to rest");
            }
            let wakes = self.hosts.iter().flat_map(|host| [host.lane.wake_at(), host.port.wake_at()]).flatten();
            match wakes.min() {
                Some(at) if at <= until => self.now = at.max(self.now + Duration::from_nanos(1)),
                _ => break,
            }
        }
        self.now = until;
    }

    fn run_for(&mut self, span: Duration) {
        self.run(self.now + span);
    }

    fn opened(&self, host: usize) -> Vec<SessionId> {
        let opened = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Opened { session, .. } => Some(*session),
            _ => None,
        });
        opened.collect()
    }

    fn messages(&self, host: usize) -> Vec<(u8, Vec<u8>)> {
        let messages = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Message { kind, body, .. } => Some((*kind, body.clone())),
            _ => None,
        });
        messages.collect()
    }

    fn closed(&self, host: usize) -> Vec<(CloseReason, bool)> {
        let closed = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Closed { reason, was_open } => Some((*reason, *was_open)),
            _ => None,
        });
        closed.collect()
    }

    fn send(&mut self, host: usize, session: SessionId, kind: u8, body: &[u8]) -> Result<(), SendError> {
        self.hosts[host].lane.send(session, Priority::Normal, kind, body)
    }
}

impl Host {
    fn reap(&mut self) -> bool {
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, peer, tag, called, .. } => {
                    self.seen.push(Seen::Opened { session, peer, tag, called });
                }
                Event::Message { session, kind, body, .. } => {
                    if self.echo {
                        let _ = self.lane.send(session, Priority::Normal, kind, body);
                    }
                    self.seen.push(Seen::Message { session, kind, body: body.to_vec() });
                }
                Event::Closed { reason, was_open, .. } => self.seen.push(Seen::Closed { reason, was_open }),
            }
        }
        !batch.is_empty()
    }
}

fn open_pair(seed: u64, link: LinkConfig, class: Class, encrypted: bool) -> World {
    let mut world = World::new(seed, link);
    world.listen(class, encrypted);
    world.call(class, encrypted, false, 9);
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.opened(0).len(), world.opened(1).len()), (1, 1));
    world
}

fn body(len: usize, tag: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(tag)).collect()
}
