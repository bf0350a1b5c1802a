//! What several agents measured, put together: each client's messages, all of them, and the record of the run.

use std::collections::BTreeMap;

use super::clock::Line;
use super::words::AgentFacts;
use crate::record::{AgentRecord, Buckets, Counts, Record, Repeat, Series, Step, TargetRecord};
use crate::run::{self, Measured};
use crate::scenario::{Pattern, Scenario};

/// One repeat, put together.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Whole {
    /// Of each client.
    pub repeats: Vec<Repeat>,
    /// Each client's clock against the server's.
    pub lines: Vec<Line>,
}

/// What the client counted and what the server measured of the same messages.
pub fn one_way(sent: Repeat, judged: Repeat, server_cpu_ns: u64) -> Repeat {
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
    cost.cpu_ns = cost.cpu_ns.saturating_add(server_cpu_ns);
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
            let sum = bands.entry(*band).or_default();
            *sum = u64::saturating_add(*sum, *count);
        }
        let sum = |of: fn(&Step) -> u64| all().map(of).fold(0, u64::saturating_add);
        Step {
            expected: sum(|step| step.expected),
            arrived: sum(|step| step.arrived),
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

/// The record of a run: all clients together, and each by itself.
pub fn record(
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
    let mut all = "together".to_owned();
    // An agent's name is its own: that of them all gives way.
    while clients.iter().any(|client| client.name == all) {
        all.insert_str(0, "all-");
    }
    let mut targets = vec![TargetRecord {
        name: all,
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
    let measured = Measured { began_unix_ms, targets, agents, notes, ..Measured::default() };
    run::record(scenario, text, measured)
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
        let most = |mut one: Repeat| {
            one.series.steps[0] = Step { expected: u64::MAX, bands: vec![(7, u64::MAX)], ..Step::default() };
            one
        };
        let step = together(&[most(one(1, 1)), most(one(1, 1))]).series.steps.remove(0);
        assert_eq!((step.expected, step.bands), (u64::MAX, vec![(7, u64::MAX)]), "what agents tell does not overflow");
    }
}
