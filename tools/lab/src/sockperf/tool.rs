//! sockperf itself, as two programs in two hosts with a cable.

use std::fs;
use std::process::{Command, Stdio};

use hpb_host::sockperf::{SockperfError, start};
use hpb_host::sys::cores;
use hpb_sandbox::Host;

use super::{ComparisonError, Mode, Options, Run, log};
use crate::host::lacking;
use crate::host::stage::{Cores, PORT, SERVER, Stage};
use crate::record::Buckets;

/// One run of both programs.
pub(super) fn run(options: &Options, mode: Mode, cores: Cores) -> Result<Run, ComparisonError> {
    let stage = Stage::new()?;
    stage.address()?;
    let (address, port) = (SERVER.to_string(), PORT.to_string());
    let _server = inside(&stage.server, Some(cores.server), || {
        start(Command::new("sockperf").args(["server", "--tcp", "-i", &address, "-p", &port]))
    })??;
    let file = tempfile::NamedTempFile::new().map_err(SockperfError::Io)?;
    let mut command = Command::new("sockperf");
    command
        .args([mode.name(), "--tcp", "--full-rtt", "-i", &address, "-p", &port])
        .args(["-t", &options.seconds.to_string(), "-m", &options.message_len.to_string()])
        .arg("--full-log")
        .arg(file.path())
        .stdin(Stdio::null());
    if mode == Mode::UnderLoad {
        command.args(["--mps", &options.per_s.to_string(), "--reply-every", "1"]);
        let (sender, receiver) = (cores.client.to_string(), cores.server.to_string());
        command.args(["--sender-affinity", &sender, "--receiver-affinity", &receiver]);
    }
    let held = (mode == Mode::PingPong).then_some(cores.client);
    let output = inside(&stage.client, held, || command.output())?.map_err(SockperfError::Io)?;
    let text = fs::read_to_string(file.path()).map_err(SockperfError::Io)?;
    let service = log::round_trips(&text).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stdout);
        ComparisonError::Log(format!("{error}; its last line: {}", said.lines().last().unwrap_or("none")))
    })?;
    Ok(Run { service, latency: Buckets::default() })
}

/// Does something inside a host, on a core if one is named; programs that are started stay there.
fn inside<R: Send>(host: &Host, core: Option<usize>, work: impl FnOnce() -> R + Send) -> Result<R, ComparisonError> {
    let done = host.run(|| match core {
        Some(core) => cores::run_on(core, work),
        None => Ok(work()),
    });
    Ok(done.map_err(|error| lacking(&error))?.map_err(SockperfError::Io)?)
}
