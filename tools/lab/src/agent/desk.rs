//! The conductor's desk: what is said to agents, and what is heard of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hpb_base::Duration;

use super::conduct::{ConductError, ConductOptions, names};
use super::nats::Client;
use super::parts::{Parts, cut};
use super::together::{Whole, one_way};
use super::words::{AgentFacts, Order, SentTold, Told, WORDS, to_agent, to_all, to_conductor};
use super::work::instance;
use crate::host::window::now;
use crate::scenario::{Pattern, Scenario};

/// How long whoever is asked something short may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// How much longer than the repeat its end may take.
const BEYOND: Duration = Duration::from_secs(20);
/// How often agents are called until enough have come.
const CALL_EVERY: Duration = Duration::from_millis(500);
/// How often agents are called while a repeat runs, and after how long a silent one is gone.
const MIND_EVERY: Duration = Duration::from_secs(2);
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// From the order to begin to the beginning.
const AHEAD: Duration = Duration::from_millis(500);
/// How long a word is waited for before the operator is listened to.
const LOOK: Duration = Duration::from_millis(50);

/// What hears and speaks.
pub(super) struct Desk<'d> {
    client: Client,
    parts: Parts,
    meeting: &'d str,
    own: String,
    said: u64,
    stop: &'d dyn Fn() -> bool,
}

impl<'d> Desk<'d> {
    /// Meets a meeting's agents.
    pub(super) fn open(options: &'d ConductOptions, stop: &'d dyn Fn() -> bool) -> Result<Self, ConductError> {
        let own =
            instance().map_err(|error| ConductError::Failed(format!("this host gives no randomness: {error}")))?;
        let mut client = Client::connect(&options.url, "hpb lab conduct")?;
        client.subscribe(&to_conductor(&options.meeting, &own))?;
        Ok(Self { client, parts: Parts::default(), meeting: &options.meeting, own, said: 0, stop })
    }

    /// Calls until enough agents are there; by name.
    pub(super) fn gather(
        &mut self,
        options: &ConductOptions,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<AgentFacts>, ConductError> {
        let mut found: BTreeMap<String, AgentFacts> = BTreeMap::new();
        let (until, mut call_at) = (now() + options.patience, now());
        while found.len() < options.agents {
            let at = now();
            if at >= until {
                let there: Vec<AgentFacts> = found.into_values().collect();
                return Err(ConductError::Failed(format!(
                    "{} of {} agents came to the meeting `{}` within {:?}: {}",
                    there.len(),
                    options.agents,
                    options.meeting,
                    options.patience,
                    names(&there)
                )));
            }
            if at >= call_at {
                call_at = at + CALL_EVERY;
                progress(&format!("{} of {} agents are there", found.len(), options.agents));
                self.call()?;
            }
            let Some(Told::Here(agent)) = self.hear()? else { continue };
            if agent.words != WORDS {
                return Err(ConductError::Failed(format!(
                    "the agent {} ({}) is of version {}, and does not understand this one ({})",
                    agent.name,
                    agent.address,
                    agent.version,
                    env!("CARGO_PKG_VERSION")
                )));
            }
            if let Some(other) = found.insert(agent.name.clone(), agent.clone())
                && other.instance != agent.instance
            {
                return Err(ConductError::Failed(format!(
                    "two agents are called {}, one at {} and one at {}: `--name` tells them apart",
                    agent.name, other.address, agent.address
                )));
            }
        }
        Ok(found.into_values().collect())
    }

    /// One repeat.
    pub(super) fn repeat(
        &mut self,
        scenario: &Scenario,
        text: &str,
        (job, number): (u64, u32),
        server: &AgentFacts,
        clients: &[AgentFacts],
    ) -> Result<Whole, ConductError> {
        let (conductor, scenario_text) = (self.own.clone(), text.to_owned());
        let serve = Order::Serve {
            job,
            conductor: conductor.clone(),
            scenario: scenario_text.clone(),
            clients: clients.len() as u32,
        };
        self.say(server, &serve)?;
        let (port, exchanges) = self.until(job, PATIENCE, &[server], |told| match told {
            Told::Serving { port, exchanges, .. } => Some((port, exchanges)),
            _ => None,
        })?;
        for (client, agent) in (0u32..).zip(clients) {
            let order = Order::Send {
                job,
                conductor: conductor.clone(),
                scenario: scenario_text.clone(),
                number,
                client,
                server: SocketAddr::new(server.address, port),
                exchanges: SocketAddr::new(server.address, exchanges),
            };
            self.say(agent, &order)?;
        }
        let all: Vec<&AgentFacts> = clients.iter().collect();
        let ready: Vec<i64> = self.of_all(job, PATIENCE, &all, |told| match told {
            Told::Ready { server_ns, .. } => Some(server_ns),
            _ => None,
        })?;
        // The latest that was heard of the server's clock is a little old already: the beginning lies ahead of that.
        let latest = ready.into_iter().max().unwrap_or_default();
        let start = Order::Start { job, at_server_ns: latest.saturating_add(AHEAD.as_nanos().cast_signed()) };
        for agent in clients.iter().chain([server]) {
            self.say(agent, &start)?;
        }
        let takes = scenario.warm_up + scenario.duration + scenario.drain + BEYOND;
        let sent: Vec<SentTold> = self.of_all(job, takes, &all, |told| match told {
            Told::Sent(sent) => Some(*sent),
            _ => None,
        })?;
        let lines = sent.iter().map(|sent| sent.line).collect();
        if scenario.load.pattern == Pattern::RequestReply {
            return Ok(Whole { repeats: sent.into_iter().map(|sent| sent.repeat).collect(), lines });
        }
        let clients = sent.iter().map(|sent| (sent.host_line, sent.begin_ns)).collect();
        self.say(server, &Order::Judge { job, clients })?;
        let (judged, cpu_ns) = self.until(job, PATIENCE, &[server], |told| match told {
            Told::Judged { repeats, cpu_ns, .. } => Some((repeats, cpu_ns)),
            _ => None,
        })?;
        if judged.len() != sent.len() {
            return Err(ConductError::Failed(format!("{} measured for others than was asked", server.name)));
        }
        let share = cpu_ns / sent.len().max(1) as u64;
        let repeats = sent.into_iter().zip(judged).map(|(sent, judged)| one_way(sent.repeat, judged, share)).collect();
        Ok(Whole { repeats, lines })
    }

    /// What one agent has to say to a repeat.
    fn until<T>(
        &mut self,
        job: u64,
        patience: Duration,
        of: &[&AgentFacts],
        wanted: impl Fn(Told) -> Option<T>,
    ) -> Result<T, ConductError> {
        let mut found = self.of_all(job, patience, of, wanted)?;
        found.pop().ok_or_else(|| ConductError::Failed("nobody was asked".to_owned()))
    }

    /// What each of these has to say to a repeat, in their order.
    fn of_all<T>(
        &mut self,
        job: u64,
        patience: Duration,
        of: &[&AgentFacts],
        wanted: impl Fn(Told) -> Option<T>,
    ) -> Result<Vec<T>, ConductError> {
        let mut found: Vec<Option<T>> = of.iter().map(|_| None).collect();
        let (began, mut call_at) = (now(), now() + MIND_EVERY);
        let mut heard_at = vec![began; of.len()];
        while found.iter().any(Option::is_none) {
            let at = now();
            if at >= call_at {
                call_at = at + MIND_EVERY;
                self.call()?;
            }
            let gone = of.iter().zip(&heard_at).find(|(_, heard_at)| at.since(**heard_at) > SILENCE_MAX);
            if let Some((agent, _)) = gone {
                let (name, address) = (&agent.name, agent.address);
                return Err(ConductError::Failed(format!(
                    "{name} ({address}) is gone: it was silent for {SILENCE_MAX:?}"
                )));
            }
            if at.since(began) >= patience {
                let silent = of.iter().zip(&found).filter(|(_, found)| found.is_none());
                let silent: Vec<AgentFacts> = silent.map(|(agent, _)| (*agent).clone()).collect();
                return Err(ConductError::Failed(format!(
                    "nothing was heard within {patience:?} of {}",
                    names(&silent)
                )));
            }
            let Some((sender, told)) = self.hear_from()? else { continue };
            if let Some(place) = of.iter().position(|agent| agent.instance == sender) {
                heard_at[place] = now();
            }
            if let Told::Failed { job: failed, reason } = &told
                && *failed == job
            {
                let who = of.iter().find(|agent| agent.instance == sender).map_or("an agent", |agent| &agent.name);
                return Err(ConductError::Failed(format!("{who}: {reason}")));
            }
            let Some(place) = of.iter().position(|agent| agent.instance == sender) else { continue };
            if told.job() == Some(job)
                && let Some(told) = wanted(told)
            {
                found[place] = Some(told);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Asks who is there.
    fn call(&mut self) -> Result<(), ConductError> {
        let order = Order::Call { conductor: self.own.clone() };
        self.publish(&to_all(self.meeting), &order)
    }

    fn hear(&mut self) -> Result<Option<Told>, ConductError> {
        Ok(self.hear_from()?.map(|(_, told)| told))
    }

    /// The next that an agent says, and its instance.
    fn hear_from(&mut self) -> Result<Option<(String, Told)>, ConductError> {
        if (self.stop)() {
            return Err(ConductError::Stopped);
        }
        let Some(message) = self.client.next(LOOK)? else { return Ok(None) };
        let sender = message.payload.iter().take_while(|byte| **byte != b' ').map(|byte| char::from(*byte)).collect();
        let whole = self.parts.take(&message.payload);
        Ok(whole.and_then(|bytes| Told::read(&bytes)).map(|told| (sender, told)))
    }

    /// Says something to one agent.
    pub(super) fn say(&mut self, agent: &AgentFacts, order: &Order) -> Result<(), ConductError> {
        let subject = to_agent(self.meeting, &agent.instance);
        self.publish(&subject, order)
    }

    fn publish(&mut self, subject: &str, order: &Order) -> Result<(), ConductError> {
        self.said += 1;
        let bytes = serde_json::to_vec(order).unwrap_or_default();
        for part in cut(&self.own, self.said, &bytes, self.client.payload_len_max()) {
            self.client.publish(subject, &part)?;
        }
        Ok(())
    }
}
