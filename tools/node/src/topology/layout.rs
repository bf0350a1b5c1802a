//! How a table lays itself out from the number of cores.
//!
//! | cores | hot executors | services |
//! | --- | --- | --- |
//! | 1 | one with everything | the same core |
//! | 2 | lanes; chain and verify (with terminals: lanes and verify; chain and terminals) | both cores |
//! | 3 | lanes; chain; verify (with terminals: lanes; chain and verify; terminals) | the last core |
//! | 4-7 | each core but the last | the last core |
//! | 8 and more | each core but two | store and log on the last but one, api on the last |
//!
//! From four cores on, the hot cores are shared out: a quarter to chains and, if there are terminals, a quarter to
//! them (at least one each, no more than there are nodes and cards), a third of the rest to lanes, what remains to
//! verifiers. Services float over both cores of a small machine, so that a log write finds the idle one.

use hpb_base::limits::{CRYPTO_JOBS_MAX, EXECUTORS_MAX};

use super::{Executor, Kind, Link, Role, Seat, TopologyError, WhenFull};

/// Items between a lane and the chain, each way.
const LANE_LINK_DEPTH: usize = 4_096;
/// Frames that came to the wrong lane.
const STRAY_LINK_DEPTH: usize = 1_024;
/// Batches of signatures, log entries and their answers.
const BATCH_LINK_DEPTH: usize = 1_024;
/// Change sets that are final and not yet in the store.
const STORE_LINK_DEPTH: usize = 256;
/// Questions about one lane, and its answers. An asker that finds no room is told to ask again.
const DESK_LINK_DEPTH: usize = 16;
/// Events for subscribers; one who is slow reads them again by id.
const API_LINK_DEPTH: usize = 4_096;

/// What a table must host, and on what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// The cores to use, each once. The first are the hot ones.
    pub cores: Vec<usize>,
    /// Nodes (validators) of this process; at least one.
    pub nodes: usize,
    /// Cards of emulated terminals; none in a real node.
    pub terminal_cards: usize,
    /// Lanes of each node; `None`: as the cores allow, and one each where there are several nodes.
    pub lanes: Option<usize>,
    /// Verifiers of each node; `None`: as for lanes.
    pub verifiers: Option<usize>,
}

impl Demand {
    /// A single real node on `cores`.
    pub fn node(cores: Vec<usize>) -> Self {
        Self { cores, nodes: 1, terminal_cards: 0, lanes: None, verifiers: None }
    }

    /// A devnet of `nodes` validators and `terminal_cards` cards of terminals on `cores`.
    pub fn devnet(cores: Vec<usize>, nodes: usize, terminal_cards: usize) -> Self {
        Self { cores, nodes, terminal_cards, lanes: None, verifiers: None }
    }

    fn check(&self) -> Result<(), TopologyError> {
        let mut cores = self.cores.clone();
        cores.sort_unstable();
        cores.dedup();
        if cores.is_empty() || cores.len() != self.cores.len() {
            return Err(TopologyError::Cores);
        }
        let counts = [self.nodes, self.lanes.unwrap_or(1), self.verifiers.unwrap_or(1)];
        let within = |count: &usize| (1..=EXECUTORS_MAX).contains(count);
        if counts.iter().all(within) && self.terminal_cards <= EXECUTORS_MAX {
            Ok(())
        } else {
            Err(TopologyError::Demand)
        }
    }

    /// Lanes of each node, of a pool of this many executors.
    fn lanes_of(&self, pool: usize) -> usize {
        self.lanes.unwrap_or(pool.div_ceil(self.nodes))
    }

    /// Verifiers of each node, of a pool of this many executors.
    fn verifiers_of(&self, pool: usize) -> usize {
        self.verifiers.unwrap_or(pool.div_ceil(self.nodes))
    }
}

/// The cores of each kind of executor. Pools may share a core; then they share the executor.
struct Pools {
    lanes: Vec<usize>,
    chains: Vec<usize>,
    verifiers: Vec<usize>,
    terminals: Vec<usize>,
    store_and_log: Vec<usize>,
    api: Vec<usize>,
}

impl Pools {
    fn of(demand: &Demand) -> Self {
        let cores = &demand.cores;
        let count = cores.len();
        let (hot_count, services, api) = match count {
            1 | 2 => (count, cores.clone(), cores.clone()),
            3 => (3, vec![cores[2]], vec![cores[2]]),
            4..=7 => (count - 1, vec![cores[count - 1]], vec![cores[count - 1]]),
            _ => (count - 2, vec![cores[count - 2]], vec![cores[count - 1]]),
        };
        let hot = &cores[..hot_count];
        let [lanes, chains, verifiers, terminals] = match (hot, demand.terminal_cards > 0) {
            ([one], _) => [one; 4].map(|&core| vec![core]),
            ([first, second], false) => [first, second, second, second].map(|&core| vec![core]),
            ([first, second], true) => [first, second, first, second].map(|&core| vec![core]),
            ([first, second, third], false) => [first, second, third, third].map(|&core| vec![core]),
            ([first, second, third], true) => [first, second, second, third].map(|&core| vec![core]),
            (hot, _) => Self::share_out(demand, hot),
        };
        Self { lanes, chains, verifiers, terminals, store_and_log: services, api }
    }

    /// Four hot cores or more, to lanes, chains, verifiers and terminals.
    fn share_out(demand: &Demand, hot: &[usize]) -> [Vec<usize>; 4] {
        let quarter = hot.len() / 4;
        let chains = quarter.min(demand.nodes);
        let terminals = quarter.min(demand.terminal_cards);
        let rest = hot.len() - chains - terminals;
        let lanes = match demand.lanes {
            Some(lanes) => (lanes * demand.nodes).min(rest - 1),
            None => (rest / 3).max(1),
        };
        let verifiers = match demand.verifiers {
            Some(verifiers) => (verifiers * demand.nodes).min(rest - lanes),
            None => rest - lanes,
        };
        let mut cores = hot.iter().copied();
        [lanes, chains, verifiers, terminals].map(|count| cores.by_ref().take(count).collect())
    }
}

/// The executors that `demand` asks for.
pub(super) fn executors(demand: &Demand) -> Result<Vec<Executor>, TopologyError> {
    demand.check()?;
    let pools = Pools::of(demand);
    let mut table = Vec::new();
    let lanes = demand.lanes_of(pools.lanes.len());
    let verifiers = demand.verifiers_of(pools.verifiers.len());
    let nodes = || 0..demand.nodes;
    let each = |count: usize, role: fn(usize) -> Role| {
        nodes().flat_map(move |node| (0..count).map(move |index| Seat { node, role: role(index) }))
    };
    seat(&mut table, &pools.lanes, "lane", each(lanes, Role::Lane));
    seat(&mut table, &pools.chains, "chain", nodes().map(|node| Seat { node, role: Role::Chain }));
    seat(&mut table, &pools.verifiers, "verify", each(verifiers, Role::Verify));
    let terminals = (0..demand.terminal_cards).map(|card| Seat { node: 0, role: Role::Terminals(card) });
    seat(&mut table, &pools.terminals, "terminals", terminals);
    let services = [(Role::Store, &pools.store_and_log), (Role::Log, &pools.store_and_log), (Role::Api, &pools.api)];
    for (role, cores) in services {
        table.push(Executor {
            name: role.to_string(),
            kind: Kind::Service,
            cores: cores.clone(),
            seats: nodes().map(|node| Seat { node, role }).collect(),
        });
    }
    Ok(table)
}

/// Deals `seats` in turn to the hot executors on `cores`, which it adds where there are none yet.
fn seat(table: &mut Vec<Executor>, cores: &[usize], name: &str, seats: impl Iterator<Item = Seat>) {
    for (index, seat) in seats.enumerate() {
        let place = index % cores.len();
        let core = cores[place];
        if let Some(executor) = table.iter_mut().find(|executor| executor.cores == [core]) {
            executor.seats.push(seat);
            continue;
        }
        let number = if name == "chain" && cores.len() == 1 { String::new() } else { place.to_string() };
        table.push(Executor { name: format!("{name}{number}"), kind: Kind::Hot, cores: vec![core], seats: vec![seat] });
    }
}

/// The links of each node.
pub(super) fn links(demand: &Demand) -> Vec<Link> {
    let pools = Pools::of(demand);
    let lanes = demand.lanes_of(pools.lanes.len());
    let verifiers = demand.verifiers_of(pools.verifiers.len());
    let mut links = Vec::new();
    let mut add = |producer: Role, consumer: Role, depth, item: &str, when_full| {
        let name = format!("{producer}_{consumer}");
        links.push(Link { name, producer, consumer, depth, item: item.to_owned(), when_full });
    };
    let (wait, drop) = (WhenFull::BackPressure, WhenFull::CountedDrop);
    for lane in (0..lanes).map(Role::Lane) {
        add(lane, Role::Chain, LANE_LINK_DEPTH, "card event", wait);
        add(Role::Chain, lane, LANE_LINK_DEPTH, "card command", wait);
        add(Role::Api, lane, DESK_LINK_DEPTH, "question", wait);
        add(lane, Role::Api, DESK_LINK_DEPTH, "answer", wait);
        for other in (0..lanes).map(Role::Lane).filter(|&other| other != lane) {
            add(lane, other, STRAY_LINK_DEPTH, "stray frame", drop);
        }
    }
    // Every lane has a verifier and every verifier a lane; more than that would be a mesh of idle rings.
    for pair in 0..lanes.max(verifiers) {
        let (lane, verify) = (Role::Lane(pair % lanes), Role::Verify(pair % verifiers));
        add(lane, verify, CRYPTO_JOBS_MAX, "handshake job", wait);
        add(verify, lane, CRYPTO_JOBS_MAX, "handshake result", wait);
    }
    for verify in (0..verifiers).map(Role::Verify) {
        add(Role::Chain, verify, BATCH_LINK_DEPTH, "signature batch", wait);
        add(verify, Role::Chain, BATCH_LINK_DEPTH, "verdicts", wait);
    }
    add(Role::Chain, Role::Log, BATCH_LINK_DEPTH, "log entry", wait);
    add(Role::Log, Role::Chain, BATCH_LINK_DEPTH, "synced position", wait);
    add(Role::Chain, Role::Store, STORE_LINK_DEPTH, "final change set", wait);
    add(Role::Store, Role::Chain, STORE_LINK_DEPTH, "committed height", wait);
    add(Role::Chain, Role::Api, API_LINK_DEPTH, "chain event", drop);
    add(Role::Api, Role::Chain, BATCH_LINK_DEPTH, "request", wait);
    links
}
