//! The conductor: finds agents, gives them their parts of a scenario, and puts together what they measured.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hpb_base::Duration;
use hpb_base::limits::AGENTS_MAX;

use super::clock::Line;
use super::nats::{Client, NatsError, NatsUrl};
use super::parts::{Parts, cut};
use super::words::{AgentFacts, Order, SentTold, Told, WORDS, to_agent, to_all, to_conductor};
use super::work::instance;
use crate::host::window::now;
use crate::record::{AgentRecord, Buckets, Counts, Record, Repeat, SCHEMA, ScenarioRecord, Series, Step, TargetRecord};
use crate::run::{self, judged};
use crate::scenario::{ClockKind, Pattern, Scenario};

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

/// What hears and speaks.
struct Desk<'d> {
    client: Client,
    parts: Parts,
    meeting: &'d str,
    own: String,
    said: u64,
    stop: &'d dyn Fn() -> bool,
}

/// One repeat, put together.
struct Whole {
    /// Of each client.
    repeats: Vec<Repeat>,
    lines: Vec<Line>,
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
    let own = instance();
    let mut client = Client::connect(&options.url, "hpb lab conduct")?;
    client.subscribe(&to_conductor(&options.meeting, &own))?;
    let mut desk = Desk { client, parts: Parts::default(), meeting: &options.meeting, own, said: 0, stop };
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

fn names(agents: &[AgentFacts]) -> String {
    if agents.is_empty() {
        return "nobody".to_owned();
    }
    agents.iter().map(|agent| format!("{} ({})", agent.name, agent.address)).collect::<Vec<_>>().join(", ")
}

impl Desk<'_> {
    /// Calls until enough agents are there; by name.
    fn gather(
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
    fn repeat(
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
            if job_of(&told) == Some(job)
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
        Ok(whole.and_then(|bytes| serde_json::from_slice(&bytes).ok()).map(|told| (sender, told)))
    }

    fn say(&mut self, agent: &AgentFacts, order: &Order) -> Result<(), ConductError> {
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

fn job_of(told: &Told) -> Option<u64> {
    match told {
        Told::Here(_) => None,
        Told::Serving { job, .. } | Told::Ready { job, .. } | Told::Judged { job, .. } | Told::Failed { job, .. } => {
            Some(*job)
        }
        Told::Sent(sent) => Some(sent.job),
    }
}

/// What the client counted and what the server measured of the same messages.
fn one_way(sent: Repeat, judged: Repeat, server_cpu_ns: u64) -> Repeat {
    let counts = Counts {
        arrived: judged.counts.arrived,
        lost: sent.counts.expected.saturating_sub(judged.counts.arrived),
        out_of_order: judged.counts.out_of_order,
        ..sent.counts
    };
    let mut expected = sent.series.steps.iter().map(|step| step.expected);
    let steps = judged.series.steps.into_iter();
    let steps = steps.map(|step| Step { expected: expected.next().unwrap_or(0), ..step }).collect();
    let series = Series { steps, ..judged.series };
    let mut cost = sent.cost;
    cost.cpu_ns += server_cpu_ns;
    Repeat { latency: judged.latency, series, counts, cost, ..sent }
}

/// The clients' repeats as one: all their messages, and their counts together. Of a step's percentiles the largest
/// stands, which is the slowest client's.
fn together(repeats: &[Repeat]) -> Repeat {
    let Some(first) = repeats.first() else { return Repeat::default() };
    let steps = (0..first.series.steps.len()).map(|at| {
        let all = || repeats.iter().filter_map(|repeat| repeat.series.steps.get(at));
        let most = |of: fn(&Step) -> u64| all().map(of).max().unwrap_or(0);
        let mut bands: BTreeMap<u32, u64> = BTreeMap::new();
        for (band, count) in all().flat_map(|step| &step.bands) {
            *bands.entry(*band).or_default() += count;
        }
        Step {
            expected: all().map(|step| step.expected).sum(),
            arrived: all().map(|step| step.arrived).sum(),
            p50_ns: most(|step| step.p50_ns),
            p99_ns: most(|step| step.p99_ns),
            max_ns: most(|step| step.max_ns),
            bands: bands.into_iter().collect(),
        }
    });
    let mut cost = first.cost;
    cost.cpu_ns = repeats.iter().map(|repeat| repeat.cost.cpu_ns).fold(0, u64::saturating_add);
    Repeat {
        began_ns: first.began_ns,
        measured_ns: first.measured_ns,
        latency: Buckets::merged_all(repeats.iter().map(|repeat| &repeat.latency)),
        service: Buckets::merged_all(repeats.iter().map(|repeat| &repeat.service)),
        counts: repeats.iter().fold(Counts::default(), |sum, repeat| sum.plus(&repeat.counts)),
        series: Series { step_ns: first.series.step_ns, steps: steps.collect() },
        cost,
        ..Repeat::default()
    }
}

fn record(
    scenario: &Scenario,
    text: String,
    began_unix_ms: u64,
    server: &AgentFacts,
    clients: &[AgentFacts],
    wholes: &[Whole],
) -> Record {
    let is_one_way = scenario.load.pattern != Pattern::RequestReply;
    let error_of = |client: usize| wholes.iter().filter_map(|whole| Some(whole.lines.get(client)?.error_ns)).max();
    let agent = |facts: &AgentFacts, role: &str, clocks| AgentRecord {
        name: facts.name.clone(),
        role: role.to_owned(),
        host: format!("{} ({})", facts.host, facts.address),
        machine: facts.machine.clone(),
        discipline: facts.discipline.clone(),
        planted_offset_ns: facts.planted.offset_ns,
        planted_drift_ppb: facts.planted.drift_ppb,
        clocks,
    };
    let mut agents = vec![agent(server, "server", Vec::new())];
    let errors: Vec<Option<u64>> = (0..clients.len()).map(error_of).collect();
    let way = if is_one_way { "one way to" } else { "asking" };
    let mut targets = vec![TargetRecord {
        name: "together".to_owned(),
        about: format!("{} clients {way} {}, by the kernel's TCP", clients.len(), server.name),
        clock_error_ns: errors.iter().flatten().max().copied().filter(|_| is_one_way),
        repeats: wholes.iter().map(|whole| together(&whole.repeats)).collect(),
    }];
    for (client, facts) in clients.iter().enumerate() {
        let lines = wholes.iter().filter_map(|whole| whole.lines.get(client));
        agents.push(agent(facts, "client", lines.map(Line::found).collect()));
        targets.push(TargetRecord {
            name: facts.name.clone(),
            about: format!("{} {way} {}, by the kernel's TCP", facts.address, server.address),
            clock_error_ns: errors[client].filter(|_| is_one_way),
            repeats: wholes.iter().filter_map(|whole| whole.repeats.get(client).cloned()).collect(),
        });
    }
    let mut notes = Vec::new();
    if is_one_way {
        notes.push(
            "one-way figures are of two clocks: each may be wrong, all of it together, by as much as stands beside it"
                .to_owned(),
        );
    }
    Record {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: ScenarioRecord {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            seed: scenario.seed,
            is_virtual: false,
            text,
            marks: Vec::new(),
        },
        began_unix_ms,
        machine: None,
        noise: None,
        comparisons: Vec::new(),
        limits: scenario.limits.iter().flat_map(|limit| judged(limit, &targets)).collect(),
        agents,
        targets,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_is_all_messages_and_the_slowest_step() {
        let one = |latency: u64, p50_ns: u64| Repeat {
            latency: Buckets(vec![(latency, 2)]),
            counts: Counts { intended: 3, sent: 3, expected: 3, arrived: 2, lost: 1, ..Counts::default() },
            series: Series {
                step_ns: 5,
                steps: vec![Step { expected: 3, arrived: 2, p50_ns, bands: vec![(7, 2)], ..Step::default() }],
            },
            measured_ns: 9,
            ..Repeat::default()
        };
        let all = together(&[one(10, 4), one(20, 6)]);
        assert_eq!(all.latency, Buckets(vec![(10, 2), (20, 2)]));
        assert_eq!((all.counts.expected, all.counts.arrived, all.counts.lost, all.measured_ns), (6, 4, 2, 9));
        let step = &all.series.steps[0];
        assert_eq!((step.expected, step.arrived, step.p50_ns, step.bands.as_slice()), (6, 4, 6, &[(7, 4)][..]));
        assert_eq!(together(&[]), Repeat::default());
    }
}
