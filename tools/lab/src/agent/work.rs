//! An agent: it tells who it is, follows orders, one repeat at a time, and tells what came of them.

use std::io;
use std::net::IpAddr;

use hpb_base::Duration;
use hpb_types::to_hex;

use super::clock::AgentClock;
use super::discipline;
use super::nats::{Client, NatsError, NatsUrl, is_subject_word};
use super::parts::{Parts, cut};
use super::repeat::{Repeat, Role};
use super::words::{AgentFacts, Order, Told, WORDS, to_agent, to_all, to_conductor};
use crate::host::window::now;
use crate::machine;

/// How long an order is waited for before the repeat under way is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What an agent is told by whoever starts it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentOptions {
    /// The NATS server.
    pub url: NatsUrl,
    /// Which agents and conductors meet.
    pub meeting: String,
    /// Its name; none for its host's.
    pub name: Option<String>,
    /// Where others reach it; none for the address by which it reaches the NATS server.
    pub address: Option<IpAddr>,
    /// Planted in its clock, in nanoseconds.
    pub planted_offset_ns: i64,
    /// Planted in its clock, in parts per thousand million.
    pub planted_drift_ppb: i64,
    /// Whether it leaves after one measurement.
    pub once: bool,
}

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The NATS server is not there, or gone.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// Nothing tells it from other agents.
    #[error("this host gives no randomness: {0}")]
    Random(#[from] io::Error),
}

/// Works until `stop` says so, or one measurement is over if it came for one; `progress` is told what it does.
///
/// # Errors
/// [`AgentError`]: the NATS server is not there, or gone.
pub fn work(options: &AgentOptions, stop: &dyn Fn() -> bool, progress: &mut dyn FnMut(&str)) -> Result<(), AgentError> {
    let host = host();
    let name = options.name.clone().unwrap_or_else(|| host.clone());
    let mut client = Client::connect(&options.url, &format!("hpb lab agent {name}"))?;
    let instance = instance()?;
    let clock = AgentClock {
        offset_ns: options.planted_offset_ns,
        drift_ppb: options.planted_drift_ppb,
        since_ns: now().as_nanos(),
    };
    let about = machine::read();
    let address = options.address.or_else(|| client.local_address()).unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let facts = AgentFacts {
        name,
        instance: instance.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        words: WORDS,
        host,
        address,
        machine: format!("{} x {}, Linux {}", about.processors, about.processor, about.kernel),
        discipline: discipline::read(),
        planted: clock,
    };
    client.subscribe(&to_all(&options.meeting))?;
    client.subscribe(&to_agent(&options.meeting, &instance))?;
    progress(&format!("{} waits at {} in the meeting `{}`", facts.name, options.url, options.meeting));
    let (mut parts, mut said, mut repeat) = (Parts::default(), 0, None::<Repeat>);
    let mut say = |client: &mut Client, conductor: &str, told: &Told| -> Result<(), NatsError> {
        said += 1;
        let bytes = serde_json::to_vec(told).unwrap_or_default();
        let subject = to_conductor(&options.meeting, conductor);
        cut(&instance, said, &bytes, client.payload_len_max())
            .iter()
            .try_for_each(|part| client.publish(&subject, part))
    };
    while !stop() {
        let order = client.next(LOOK)?.and_then(|message| parts.take(&message.payload));
        match order.and_then(|bytes| Order::read(&bytes)) {
            Some(Order::Call { conductor }) if is_subject_word(&conductor) => {
                say(&mut client, &conductor, &Told::Here(facts.clone()))?;
            }
            Some(Order::Serve { job, conductor, scenario, clients }) => {
                progress(&format!("repeat {job}: the server of {clients} clients"));
                let role = Role::Server { clients };
                repeat = Some(Repeat::begin((job, conductor), &scenario, role, address, clock));
            }
            Some(Order::Send { job, conductor, scenario, number, client, server, exchanges }) => {
                progress(&format!("repeat {job}: a client of {server}"));
                let role = Role::Client { number, client, server, exchanges };
                repeat = Some(Repeat::begin((job, conductor), &scenario, role, address, clock));
            }
            Some(Order::End { job, is_last }) => {
                if repeat.take_if(|repeat| repeat.job == job).is_some() && is_last && options.once {
                    return Ok(());
                }
            }
            Some(order @ (Order::Start { job, .. } | Order::Judge { job, .. })) => {
                repeat.iter().filter(|repeat| repeat.job == job).for_each(|repeat| repeat.order(order.clone()));
            }
            Some(Order::Call { .. }) | None => {}
        }
        if let Some(repeat) = &repeat {
            while let Some(told) = repeat.take() {
                say(&mut client, &repeat.conductor, &told)?;
            }
        }
    }
    Ok(())
}

/// This host's name.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "host".to_owned() } else { name.to_owned() }
}

/// A word that no other process has.
pub(super) fn instance() -> io::Result<String> {
    Ok(to_hex(&hpb_host::os_random()?[..16]))
}
