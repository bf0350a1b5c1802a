//! Options of measurements over several hosts.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use hpb_base::limits::AGENTS_MAX;
use hpb_lab::agent::nats::{NatsUrl, is_subject_word};

/// Nanoseconds of a millisecond.
const NS_PER_MS: f64 = 1e6;
/// Parts per thousand million of one in a million.
const PPB_PER_PPM: f64 = 1e3;
/// Milliseconds that may be planted in a clock: ten years.
const PLANTED_MS_MAX: f64 = 3.2e11;
/// Parts per million that may be planted: more is no clock.
const PLANTED_PPM_MAX: f64 = 10_000.0;

/// Where agents and conductors meet.
#[derive(Args, Debug)]
pub(crate) struct MeetingPlace {
    /// The NATS server: `nats://HOST:PORT`, `nats://USER:PASSWORD@HOST`, `nats://TOKEN@HOST`
    #[arg(long, value_name = "URL", value_parser = NatsUrl::parse)]
    pub(crate) nats: Option<NatsUrl>,

    /// A file with USER:PASSWORD or a token for it, which other users of the host do not see
    #[arg(long, value_name = "FILE", requires = "nats")]
    pub(crate) nats_credentials: Option<PathBuf>,

    /// Which of several measurements on one NATS server: agents of other meetings are not called
    #[arg(long, value_name = "WORD", default_value = "default", value_parser = word, requires = "nats")]
    pub(crate) meeting: String,
}

/// Which agents carry a scenario.
#[derive(Args, Debug)]
pub(crate) struct OverHosts {
    #[command(flatten)]
    pub(crate) at: MeetingPlace,

    /// How many agents carry the scenario: a server, and clients that run its load each
    #[arg(long, value_name = "N", requires = "nats", value_parser = clap::value_parser!(u64).range(2..=AGENTS_MAX as u64))]
    pub(crate) agents: Option<u64>,

    /// The agent that is the server [default: the first by name]
    #[arg(long, value_name = "NAME", requires = "nats")]
    pub(crate) server: Option<String>,

    /// How long agents may take to come, in seconds
    #[arg(long, value_name = "S", default_value_t = 60, requires = "nats", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) agents_patience_s: u64,
}

/// Options of `hpb lab agent`.
#[derive(Args, Debug)]
pub(crate) struct LabAgent {
    #[command(flatten)]
    pub(crate) at: MeetingPlace,

    /// Its name, which no other agent of the meeting has [default: its host's]
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub(crate) name: Option<String>,

    /// The address at which other agents reach it [default: the one by which it reaches the NATS server]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<IpAddr>,

    /// Leave after one measurement, as a job does
    #[arg(long)]
    pub(crate) once: bool,

    /// Let its clock be off by so much, to see it found
    #[arg(long, value_name = "MS", default_value = "0", allow_hyphen_values = true, value_parser = planted_ns)]
    pub(crate) plant_offset_ms: i64,

    /// Let its clock run fast by so many parts per million, to see it found
    #[arg(long, value_name = "PPM", default_value = "0", allow_hyphen_values = true, value_parser = planted_ppb)]
    pub(crate) plant_drift_ppm: i64,
}

fn word(text: &str) -> Result<String, String> {
    let is_good = is_subject_word(text) && text.len() <= 63;
    is_good.then(|| text.to_owned()).ok_or_else(|| "letters, digits, `-` and `_`, 63 at most".to_owned())
}

fn planted_ns(text: &str) -> Result<i64, String> {
    planted(text, PLANTED_MS_MAX, NS_PER_MS)
}

fn planted_ppb(text: &str) -> Result<i64, String> {
    planted(text, PLANTED_PPM_MAX, PPB_PER_PPM)
}

fn planted(text: &str, most: f64, unit: f64) -> Result<i64, String> {
    let value: f64 = text.parse().map_err(|_| "a number is expected".to_owned())?;
    if value.is_finite() && value.abs() <= most {
        Ok((value * unit).round() as i64)
    } else {
        Err(format!("between -{most} and {most}"))
    }
}
