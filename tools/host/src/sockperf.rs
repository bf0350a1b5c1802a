//! The foreign tool `sockperf`: whether it is there, and its server as a program that ends with the measurement.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Why the tool gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SockperfError {
    /// It is not installed.
    #[error("sockperf is not installed (apt-get install --no-install-recommends sockperf)")]
    Absent,
    /// It ran and did not say what was expected.
    #[error("sockperf: {0}")]
    Said(String),
    /// A file, port or process could not be had.
    #[error("sockperf: {0}")]
    Io(#[from] io::Error),
}

/// Looks whether the tool is there.
///
/// # Errors
/// [`SockperfError::Absent`]; or it cannot be started although it is there.
pub fn find() -> Result<(), SockperfError> {
    match Command::new("sockperf").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SockperfError::Absent),
        status => Ok(status.map(|_| ())?),
    }
}

/// Ends sockperf's server with the measurement, whatever its outcome.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server and reads what it says until it listens on all its ports.
///
/// # Errors
/// It cannot be started, or ends at once.
pub fn start(command: &mut Command) -> Result<Server, SockperfError> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut server = Server(child);
    let output = server.0.stdout.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let mut last = String::from("no output");
    for line in BufReader::new(output).lines() {
        last = line?;
        if last.contains("to block on socket") {
            return Ok(server);
        }
    }
    Err(SockperfError::Said(format!("its server ended; its last line: {last}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_is_waited_for_until_it_listens() {
        let mut talks = Command::new("sh");
        talks.args(["-c", "echo begins; echo 'ready to block on socket'; exec sleep 60"]);
        drop(start(&mut talks).unwrap());
        let mut ends = Command::new("sh");
        ends.args(["-c", "echo 'no such option'"]);
        let error = start(&mut ends).err().unwrap().to_string();
        assert_eq!(error, "sockperf: its server ended; its last line: no such option");
        let missing = start(&mut Command::new("/no/such/tool")).err().unwrap();
        assert!(matches!(missing, SockperfError::Io(_)));
    }
}
