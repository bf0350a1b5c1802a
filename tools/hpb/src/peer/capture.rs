//! `hpb peer capture`: a capture of a running node's sessions into files, until its time is over or Ctrl-C.

use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use hpb_node::runtime::{StopFlag, stop_on_signals};
use hpb_peer::Asker;
use hpb_peer::capture::file::{CaptureFiles, Place};
use hpb_peer::capture::{Capture, CaptureError, Counts, Wanted, text};
use hpb_types::message::diagnose::{CaptureWhat, Network, PeerKey};
use serde_json::json;

use super::{failed, reach};
use crate::bench::print;
use crate::command_line::PeerCapture;
use crate::failure::Failure;
use crate::producer::print_json;

/// Between two looks when nothing came.
const REST: Duration = Duration::from_millis(20);

pub(crate) fn capture(options: &PeerCapture) -> Result<(), Failure> {
    let what = match (options.plain, options.both) {
        (_, true) => CaptureWhat::Both,
        (true, _) => CaptureWhat::Plain,
        _ => CaptureWhat::Frames,
    };
    if options.node.remote.is_some() && what.has_messages() {
        return Err(Failure::input(
            "messages are told at a node's control socket alone, never from afar: use --frames, or run it on the node's host",
        ));
    }
    let is_output = options.out == Path::new("-");
    let place = match (is_output, options.file_size_mb.zip(options.files)) {
        (true, Some(_)) => {
            return Err(Failure::input("standard output is one file: leave --file-size-mb and --files out"));
        }
        (true, None) => Place::Output,
        (false, None) => Place::File(options.out.clone()),
        (false, Some((mb, files))) => {
            Place::Ring { path: options.out.clone(), len_max: mb * 1_000_000, files_max: files as usize }
        }
    };
    let wanted = Wanted {
        names: options.sessions.clone(),
        near: options.near.unwrap_or(Network::ALL),
        peer: PeerKey::from(options.identity),
        what,
        snap_len: options.snap.unwrap_or(0),
        seconds: options.seconds,
    };
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    let mut asker = reach(&options.node)?;
    let mut capture = Capture::begin(&mut *asker, &wanted).map_err(failed)?;
    let written = CaptureFiles::create(place).map_err(CaptureError::Write).map(|mut files| {
        let done = follow(&mut *asker, &mut capture, &mut files, &stop);
        // Also what came before a failure.
        let flushed = files.flush().map_err(CaptureError::Write);
        (files.names(), files.written(), done.and(flushed))
    });
    let mut counts = capture.counts().clone();
    capture.end(&mut *asker);
    let (names, written, done) = written.map_err(Failure::work)?;
    counts.written = written;
    let done = done.or_else(|error| match error {
        // Whoever read has read enough.
        CaptureError::Write(error) if is_output && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Err(other),
    });
    show(&counts, &names, options.json, is_output)?;
    done.map_err(Failure::work)
}

/// Reads until the time is over or somebody says stop, and then what is kept up to that moment.
fn follow(
    asker: &mut dyn Asker,
    capture: &mut Capture,
    files: &mut CaptureFiles,
    stop: &StopFlag,
) -> Result<(), CaptureError> {
    while !stop.is_raised() && !capture.is_over() {
        if capture.read(asker, &mut |packet| files.put(packet))? {
            continue;
        }
        files.flush()?;
        #[allow(clippy::disallowed_methods, reason = "whoever reads rests between two looks; nothing is decided here")]
        thread::sleep(REST);
    }
    capture.drain(asker, &mut |packet| files.put(packet))
}

/// What came, where it does not stand in the way of the capture itself.
fn show(counts: &Counts, names: &[String], is_json: bool, is_output: bool) -> Result<(), Failure> {
    let output = ["standard output".to_owned()];
    let names = if is_output { &output } else { names };
    let summary = json!({ "counts": counts, "files": names });
    if is_output {
        let line = if is_json { format!("{summary}\n") } else { text(counts, names) };
        return io::stderr().lock().write_all(line.as_bytes()).map_err(Failure::work);
    }
    if is_json { print_json(&summary) } else { print(&text(counts, names)) }
}
