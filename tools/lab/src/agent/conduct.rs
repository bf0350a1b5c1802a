//! The conductor: finds agents, gives them their parts of a scenario, and puts together what they measured.

use hpb_base::Duration;
use hpb_base::limits::AGENTS_MAX;

use super::desk::Desk;
use super::nats::{NatsError, NatsUrl};
use super::together::record;
use super::words::{AgentFacts, Order};
use crate::host::window::now;
use crate::record::Record;
use crate::run;
use crate::scenario::{ClockKind, Pattern, Scenario};

/// What a conductor is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConductOptions {
    /// The NATS server.
    pub url: NatsUrl,
    /// Which agents and conductors meet.
    pub meeting: String,
    /// How many agents are wanted, at least two.
    pub agents: usize,
    /// Who is the server; none for the first by name.
    pub server: Option<String>,
    /// How long agents may take to come.
    pub patience: Duration,
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum ConductError {
    /// The scenario asks what agents do not do, or who is named is not there.
    #[error("{0}")]
    Unavailable(String),
    /// The NATS server is not there, or gone.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// An agent failed, or is gone.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked to stop.
    #[error("stopped before its end: nothing is kept of it")]
    Stopped,
}

/// Runs `scenario`, whose file is `text`, on agents; `stop` is asked all the time, `progress` is told what is under way.
///
/// # Errors
/// As an agent, or the way to it, fails; nothing is kept then.
pub fn conduct(
    scenario: &Scenario,
    text: String,
    options: &ConductOptions,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&str),
) -> Result<Record, ConductError> {
    check(scenario, options)?;
    let mut desk = Desk::open(options, stop)?;
    let mut agents = desk.gather(options, progress)?;
    let server = match &options.server {
        None => 0,
        Some(name) => agents.iter().position(|agent| agent.name == *name).ok_or_else(|| {
            ConductError::Unavailable(format!("no agent is called {name}: there are {}", names(&agents)))
        })?,
    };
    let server = agents.remove(server);
    let began = now();
    let began_unix_ms = run::began(ClockKind::Real);
    let mut wholes = Vec::with_capacity(scenario.repeats as usize);
    for number in 0..scenario.repeats {
        progress(&format!("repeat {} of {} on {} agents", number + 1, scenario.repeats, agents.len() + 1));
        let job = u64::from(number) + 1;
        let whole = desk.repeat(scenario, &text, (job, number), &server, &agents);
        let is_last = whole.is_err() || number + 1 == scenario.repeats;
        for agent in agents.iter().chain([&server]) {
            desk.say(agent, &Order::End { job, is_last })?;
        }
        let mut whole = whole?;
        let began_ns = now().since(began).as_nanos().saturating_sub(scenario.duration.as_nanos());
        whole.repeats.iter_mut().for_each(|repeat| repeat.began_ns = began_ns);
        wholes.push(whole);
    }
    Ok(record(scenario, text, began_unix_ms, &server, &agents, &wholes))
}

fn check(scenario: &Scenario, options: &ConductOptions) -> Result<(), ConductError> {
    let refuse = |reason: &str| Err(ConductError::Unavailable(reason.to_owned()));
    if !(2..=AGENTS_MAX).contains(&options.agents) {
        return refuse(&format!("a measurement takes 2 to {AGENTS_MAX} agents: a server, and clients"));
    }
    if scenario.clock == ClockKind::Virtual {
        return refuse("agents know no virtual time: set the scenario's clock to `real`");
    }
    if !matches!(scenario.load.pattern, Pattern::RequestReply | Pattern::OneWay | Pattern::Incast) {
        return refuse("agents ask and answer, send one way, and fan in (`request-reply`, `one-way`, `incast`)");
    }
    let links = [scenario.there, scenario.back];
    if !scenario.changes.is_empty() || !scenario.faults.is_empty() || links != [hpb_net::wire::LinkConfig::default(); 2]
    {
        return refuse(
            "between hosts there are the links that there are: no links, changes or faults can be made there",
        );
    }
    Ok(())
}

/// Agents in words.
pub(super) fn names(agents: &[AgentFacts]) -> String {
    if agents.is_empty() {
        return "nobody".to_owned();
    }
    agents.iter().map(|agent| format!("{} ({})", agent.name, agent.address)).collect::<Vec<_>>().join(", ")
}
