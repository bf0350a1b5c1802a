//! The table of a process: which executor runs on which core and hosts what, and which links join them.
//!
//! It lays itself out from the number of cores (one takes everything, two is the smallest that is useful), or is
//! given row by row. It refuses a table that leaves a machine without a place, puts a hot executor on more than one
//! core, or names a link twice. It starts nothing: that is the [`runtime`](crate::runtime).

mod layout;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hpb_base::limits::{EXECUTORS_MAX, LINK_DEPTH_MAX, LINKS_MAX};

pub use layout::Demand;

/// Threads that help one chain to execute. The chain takes over one by one what they ran ahead, which more of them would
/// not make faster.
const HELPERS_MAX: usize = 3;

/// What a machine does in its node. Machines of one node are joined by links; nodes are joined by the wire alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// One core's share of the node's card.
    Lane(usize),
    /// The node core: consensus, ledger and mempool.
    Chain,
    /// Signatures and handshake cryptography.
    Verify(usize),
    /// The writer of final state.
    Store,
    /// The writer of the synced block log.
    Log,
    /// The network interface for users.
    Api,
    /// Emulated terminals, with cards of their own; they belong to no node and are listed under node 0.
    Terminals(usize),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane(index) => write!(f, "lane{index}"),
            Self::Chain => f.write_str("chain"),
            Self::Verify(index) => write!(f, "verify{index}"),
            Self::Store => f.write_str("store"),
            Self::Log => f.write_str("log"),
            Self::Api => f.write_str("api"),
            Self::Terminals(index) => write!(f, "terminals{index}"),
        }
    }
}

/// A machine's place: one role of one node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seat {
    /// The node, from 0.
    pub node: usize,
    /// What the machine does there.
    pub role: Role,
}

/// How an executor lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Polls its links and ports on a core of its own: lanes, chain, verify, terminals.
    Hot,
    /// Waits for the kernel most of the time and may block in it: store, log, api.
    Service,
}

/// One executor: a thread, the cores it may run on, and the machines it hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Executor {
    /// Its name, after its first role; at most 15 bytes, as a thread's.
    pub name: String,
    /// How it lives.
    pub kind: Kind,
    /// The cores it may run on: exactly one if it is hot.
    pub cores: Vec<usize>,
    /// What it hosts, in the order of their turns.
    pub seats: Vec<Seat>,
}

/// What a link does with an item for which it has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenFull {
    /// Gives it back; the producer waits.
    BackPressure,
    /// Drops and counts it.
    CountedDrop,
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BackPressure => "back-pressure",
            Self::CountedDrop => "counted drop",
        })
    }
}

/// One link of every node: a bounded ring from one role to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its name: producer and consumer, as `lane0_chain`.
    pub name: String,
    /// Who puts items in.
    pub producer: Role,
    /// Who takes them out.
    pub consumer: Role,
    /// Items it holds: 1 to [`LINK_DEPTH_MAX`].
    pub depth: usize,
    /// What an item is.
    pub item: String,
    /// What happens when it is full.
    pub when_full: WhenFull,
}

/// Why a table is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TopologyError {
    /// Nothing to run on.
    #[error("a topology needs at least one core, and each core once")]
    Cores,
    /// Nothing to run.
    #[error("a topology needs at least one node, lane and verifier, and at most {EXECUTORS_MAX} of each")]
    Demand,
    /// Too many executors.
    #[error("{0} executors are more than {EXECUTORS_MAX}")]
    TooManyExecutors(usize),
    /// Too many links.
    #[error("{0} links are more than {LINKS_MAX}")]
    TooManyLinks(usize),
    /// An executor's name is empty, too long or taken.
    #[error("`{0}` cannot name an executor: a name is 1 to {NAME_LEN_MAX} bytes long and used once")]
    ExecutorName(String),
    /// A hot executor needs one core, a service at least one.
    #[error("executor {0} needs at least one core, and exactly one if it is hot")]
    ExecutorCores(String),
    /// A machine that two executors host.
    #[error("{role} of node {node} has two places")]
    SeatTaken {
        /// The node.
        node: usize,
        /// The role.
        role: Role,
    },
    /// A machine without an executor.
    #[error("{role} of node {node} has no place")]
    SeatMissing {
        /// The node.
        node: usize,
        /// The role.
        role: Role,
    },
    /// Two links of one name.
    #[error("the link {0} is named twice")]
    LinkName(String),
    /// A link that holds nothing or too much.
    #[error("the link {0} must hold 1 to {LINK_DEPTH_MAX} items")]
    LinkDepth(String),
}

/// The longest name of an executor in bytes: what Linux keeps of a thread's.
const NAME_LEN_MAX: usize = 15;

/// The table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    nodes: usize,
    executors: Vec<Executor>,
    links: Vec<Link>,
}

impl Topology {
    /// Lays the table out for `demand`.
    ///
    /// # Errors
    /// [`TopologyError`]: what the demand lacks or has too much of.
    pub fn lay_out(demand: &Demand) -> Result<Self, TopologyError> {
        let executors = layout::executors(demand)?;
        Self::from_rows(demand.nodes, executors, layout::links(demand))
    }

    /// A table from its rows, for `nodes` nodes of the same shape. Each link stands for one of every node.
    ///
    /// # Errors
    /// [`TopologyError`]: which row is wrong, or which end of a link has no place.
    pub fn from_rows(nodes: usize, executors: Vec<Executor>, links: Vec<Link>) -> Result<Self, TopologyError> {
        if nodes == 0 {
            return Err(TopologyError::Demand);
        }
        if executors.len() > EXECUTORS_MAX {
            return Err(TopologyError::TooManyExecutors(executors.len()));
        }
        let mut names = BTreeSet::new();
        let mut seats = BTreeSet::new();
        for executor in &executors {
            let name = &executor.name;
            if name.is_empty() || name.len() > NAME_LEN_MAX || !names.insert(name) {
                return Err(TopologyError::ExecutorName(name.clone()));
            }
            let hot = executor.kind == Kind::Hot;
            if executor.cores.is_empty() || (hot && executor.cores.len() > 1) {
                return Err(TopologyError::ExecutorCores(name.clone()));
            }
            for &Seat { node, role } in &executor.seats {
                if !seats.insert(Seat { node, role }) {
                    return Err(TopologyError::SeatTaken { node, role });
                }
            }
        }
        let mut topology = Self { nodes, executors, links: Vec::new() };
        for link in links {
            topology.add_link(link)?;
        }
        Ok(topology)
    }

    /// Adds a link of every node: what a tool joins its own machines with.
    ///
    /// # Errors
    /// [`TopologyError`]: a name that is taken, a depth out of range, an end without a place, or too many links.
    pub fn add_link(&mut self, link: Link) -> Result<(), TopologyError> {
        if self.link(&link.name).is_some() {
            return Err(TopologyError::LinkName(link.name));
        }
        if !(1..=LINK_DEPTH_MAX).contains(&link.depth) {
            return Err(TopologyError::LinkDepth(link.name));
        }
        for role in [link.producer, link.consumer] {
            let nodes = if matches!(role, Role::Terminals(_)) { 1 } else { self.nodes };
            if let Some(node) = (0..nodes).find(|&node| self.host(node, role).is_none()) {
                return Err(TopologyError::SeatMissing { node, role });
            }
        }
        let count = (self.links.len() + 1) * self.nodes;
        if count > LINKS_MAX {
            return Err(TopologyError::TooManyLinks(count));
        }
        self.links.push(link);
        Ok(())
    }

    /// Nodes of one shape that the table hosts.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The executors, hot ones first.
    pub fn executors(&self) -> &[Executor] {
        &self.executors
    }

    /// The links of every node.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The place in [`executors`](Self::executors) of the one that hosts `role` of `node`. Terminals are every node's.
    pub fn host(&self, node: usize, role: Role) -> Option<usize> {
        let node = if matches!(role, Role::Terminals(_)) { 0 } else { node };
        self.executors.iter().position(|executor| executor.seats.contains(&Seat { node, role }))
    }

    /// Lanes of each node.
    pub fn lanes(&self) -> usize {
        self.count(|role| matches!(role, Role::Lane(_)))
    }

    /// Verifiers of each node.
    pub fn verifiers(&self) -> usize {
        self.count(|role| matches!(role, Role::Verify(_)))
    }

    /// The cores that can help the chain of `node` to execute: those of executors that host nothing but its verifiers, at
    /// most three.
    pub fn helpers(&self, node: usize) -> Vec<usize> {
        let is_own_verifier = |seat: &Seat| seat.node == node && matches!(seat.role, Role::Verify(_));
        let own = self.executors.iter().filter(|executor| executor.seats.iter().all(is_own_verifier));
        own.filter_map(|executor| executor.cores.first().copied()).take(HELPERS_MAX).collect()
    }

    /// Cards of emulated terminals.
    pub fn terminal_cards(&self) -> usize {
        self.count(|role| matches!(role, Role::Terminals(_)))
    }

    fn count(&self, is: impl Fn(Role) -> bool) -> usize {
        let seats = self.executors.iter().flat_map(|executor| &executor.seats);
        seats.filter(|seat| seat.node == 0 && is(seat.role)).count()
    }

    /// The table as text, for people: one line an executor, then one a link.
    pub fn describe(&self) -> String {
        let mut rows = vec![["executor".to_owned(), "core".to_owned(), "kind".to_owned(), "hosts".to_owned()]];
        rows.extend(self.executors.iter().map(|executor| {
            let kind = if executor.kind == Kind::Hot { "hot" } else { "service" };
            [executor.name.clone(), ranges(&executor.cores), kind.to_owned(), self.hosted(executor)]
        }));
        let heads = ["link", "from", "to", "depth", "item", "when full"].map(str::to_owned);
        let mut links = vec![heads];
        links.extend(self.links.iter().map(|link| {
            let Link { name, producer, consumer, depth, item, when_full } = link;
            [
                name.clone(),
                producer.to_string(),
                consumer.to_string(),
                depth.to_string(),
                item.clone(),
                when_full.to_string(),
            ]
        }));
        let each = if self.nodes == 1 { String::new() } else { format!("(each of {} nodes)\n", self.nodes) };
        format!("{}\n{each}{}", aligned(&rows), aligned(&links))
    }

    /// The roles that an executor hosts, with the nodes if there are several: `lane0[0-3]`.
    fn hosted(&self, executor: &Executor) -> String {
        let mut roles: Vec<Role> = Vec::new();
        let mut nodes: BTreeMap<Role, Vec<usize>> = BTreeMap::new();
        for seat in &executor.seats {
            let of_role = nodes.entry(seat.role).or_default();
            if of_role.is_empty() {
                roles.push(seat.role);
            }
            of_role.push(seat.node);
        }
        let texts = roles.iter().map(|role| {
            if self.nodes == 1 || matches!(role, Role::Terminals(_)) {
                return role.to_string();
            }
            format!("{role}[{}]", ranges(&nodes[role]))
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// Numbers in the order given, runs of neighbours as `first-last`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number == *last + 1 => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts =
        runs.iter().map(|&(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    texts.collect::<Vec<_>>().join(",")
}

/// Columns two spaces apart, no trailing space, one line a row.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default());
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
