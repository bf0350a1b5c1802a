//! `hpb peer`: what a running node or card shows of its sessions.

mod capture;
mod crawl;
pub(crate) mod node;
mod probe;
mod top;

use std::time::Duration;

use hpb_devnet::run::socket_of;
use hpb_peer::{AskError, Asker, LocalAsker, RemoteAsker};

use crate::bench::print;
use crate::command_line::{Node, Peer};
use crate::failure::Failure;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(what: Peer) -> Result<(), Failure> {
    match what {
        Peer::Bandwidth(options) => probe::bandwidth(&options),
        Peer::Capture(options) => capture::capture(&options),
        Peer::Clock(options) => probe::clock(&options),
        Peer::Crawl(options) => crawl::crawl(&options),
        Peer::Dissector => print(hpb_peer::DISSECTOR),
        Peer::Doctor(options) => probe::doctor(&options),
        Peer::Graph(options) => crawl::graph(&options),
        Peer::Handshake(options) => probe::handshake(&options),
        Peer::Info(options) => probe::info(&options),
        Peer::PathMtu(options) => probe::path_mtu(&options),
        Peer::Ping(options) => probe::ping(&options),
        Peer::Sessions(options) => node::sessions(&options),
        Peer::Top(options) => top::top(&options),
        Peer::Events(options) => node::events(&options),
        Peer::Disconnect(options) => node::disconnect(&options),
        Peer::Ban(options) => node::ban(&options),
        Peer::Trace(options) => probe::trace(&options),
    }
}

/// Opens the control socket of a running node or card, or a session with one from afar.
pub(crate) fn reach(node: &Node) -> Result<Box<dyn Asker>, Failure> {
    if let Some(address) = node.remote {
        let target = probe::onlooker(node, address)?;
        return Ok(Box::new(RemoteAsker::open(target).map_err(Failure::work)?));
    }
    let path = match &node.control {
        Some(path) => path.clone(),
        None => socket_of(&node.data, node.validator).map_err(Failure::input)?,
    };
    Ok(Box::new(LocalAsker::open(&path, PATIENCE).map_err(Failure::work)?))
}

/// A question that is refused cannot be done; any other failure came on the way.
pub(crate) fn failed(error: AskError) -> Failure {
    match error {
        AskError::Refused(_) => Failure::input(error),
        _ => Failure::work(error),
    }
}
