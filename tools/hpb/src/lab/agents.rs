//! Measurements over several hosts: an agent, and the run that agents carry.

use std::fs;

use hpb_base::Duration;
use hpb_lab::agent::conduct::{ConductError, ConductOptions, conduct};
use hpb_lab::agent::nats::{NatsUrl, credentials};
use hpb_lab::agent::work::{AgentOptions, work};
use hpb_lab::record::Record;
use hpb_lab::scenario::Scenario;
use hpb_node::runtime::{StopFlag, stop_on_signals};

use crate::bench::Progress;
use crate::command_line::{LabAgent, MeetingPlace, OverHosts};
use crate::failure::Failure;

/// `hpb lab agent`.
pub(super) fn agent(options: &LabAgent) -> Result<(), Failure> {
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    let options = AgentOptions {
        url: place(&options.at)?.ok_or_else(|| Failure::input("an agent needs --nats URL: where others meet it"))?,
        meeting: options.at.meeting.clone(),
        name: options.name.clone(),
        address: options.address,
        planted_offset_ns: options.plant_offset_ms,
        planted_drift_ppb: options.plant_drift_ppm,
        once: options.once,
    };
    // An agent is watched by its log, not at a terminal.
    work(&options, &|| stop.is_raised(), &mut |line| eprintln!("{line}")).map_err(Failure::work)
}

/// Has agents carry a scenario; none if no NATS server was named.
pub(super) fn run(
    options: &OverHosts,
    scenario: &Scenario,
    text: &str,
    stop: &StopFlag,
    progress: &mut Progress,
) -> Option<Result<Record, Failure>> {
    let url = match place(&options.at) {
        Ok(url) => url?,
        Err(failure) => return Some(Err(failure)),
    };
    let Some(agents) = options.agents else {
        return Some(Err(Failure::input("--nats URL: --agents N says how many agents are waited for")));
    };
    let conducted = ConductOptions {
        url,
        meeting: options.at.meeting.clone(),
        agents: agents as usize,
        server: options.server.clone(),
        patience: Duration::from_secs(options.agents_patience_s),
    };
    let show = &mut |line: &str| progress.show(line);
    let record = conduct(scenario, text.to_owned(), &conducted, &|| stop.is_raised(), show);
    Some(record.map_err(|error| match error {
        ConductError::Unavailable(_) => Failure::input(error),
        ConductError::Nats(_) | ConductError::Failed(_) | ConductError::Stopped => Failure::work(error),
    }))
}

fn place(at: &MeetingPlace) -> Result<Option<NatsUrl>, Failure> {
    let Some(mut url) = at.nats.clone() else { return Ok(None) };
    if let Some(path) = &at.nats_credentials {
        let wrong =
            |why: &dyn std::fmt::Display| Failure::input(format_args!("--nats-credentials {}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        url.credentials = credentials(&text).map_err(|why| wrong(&why))?;
    }
    Ok(Some(url))
}
