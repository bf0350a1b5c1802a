//! What a card did: for people and as JSON.

use std::fmt::Write as _;

use hpb_base::Instant;
use hpb_node::diagnose::counters;
use serde::Serialize;

use crate::capture::CaptureReport;
use crate::driver::LaneView;
use crate::load::Progress;

/// Counters of all lanes together, and the first rows of the session table.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The port's URL.
    pub port: String,
    /// The card's addresses.
    pub addresses: Vec<String>,
    /// How long it has run, in seconds.
    pub seconds: f64,
    /// CPU time of all lanes in seconds.
    pub cpu_seconds: f64,
    /// Lanes.
    pub lanes: usize,
    /// Sessions that each lane opened.
    pub lane_opened: Vec<u64>,
    /// Sessions in the table.
    pub sessions: usize,
    /// Closed sessions that are waited out.
    pub waiting_out: usize,
    /// Timers armed.
    pub timers: usize,
    /// Frames in memory.
    pub frames: usize,
    /// Neighbours known.
    pub neighbors: usize,
    /// What became of its own sessions.
    pub load: Progress,
    /// Every other counter that is not zero, by name.
    pub counters: Vec<(String, u64)>,
    /// Each mode register: name, value, how often it acted.
    pub registers: Vec<(String, u32, u64)>,
    /// The first rows of the session table.
    pub table: Vec<Row>,
    /// What its capture came to, once it has ended; none where none was asked for.
    pub capture: Option<CaptureReport>,
}

/// A row of the session table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The peer's end.
    pub remote: String,
    /// The card's end.
    pub local: String,
    /// The TCP state.
    pub state: &'static str,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// Payload bytes sent, repeats included.
    pub tx_bytes: u64,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Segments that came out of order.
    pub out_of_order: u8,
    /// The card's congestion window in bytes.
    pub congestion_window_len: u32,
    /// Bytes in flight.
    pub in_flight_len: u32,
}

impl Report {
    pub(crate) fn of(port: &str, now: Instant, views: &[LaneView]) -> Self {
        let mut report = Self {
            port: port.to_owned(),
            addresses: views
                .first()
                .map_or_else(Vec::new, |view| view.addresses.iter().map(ToString::to_string).collect()),
            seconds: seconds(now.as_nanos()),
            cpu_seconds: 0.0,
            lanes: views.len(),
            lane_opened: views.iter().map(|view| view.counters.opened).collect(),
            sessions: 0,
            waiting_out: 0,
            timers: 0,
            frames: 0,
            neighbors: 0,
            load: Progress::default(),
            counters: Vec::new(),
            registers: Vec::new(),
            table: Vec::new(),
            capture: None,
        };
        for view in views {
            report.add(view);
        }
        report.counters.retain(|(_, count)| *count > 0);
        report
    }

    fn add(&mut self, view: &LaneView) {
        self.cpu_seconds += seconds(view.cpu.as_nanos());
        self.sessions += view.sessions;
        self.waiting_out += view.waiting_out;
        self.timers += view.timers;
        self.frames += view.frames;
        self.neighbors += view.neighbors;
        let (own, load) = (&mut self.load, &view.progress);
        own.open += load.open;
        own.opened += load.opened;
        own.lost += load.lost;
        own.refused += load.refused;
        own.sent += load.sent;
        own.returned += load.returned;
        own.wrong += load.wrong;
        own.complete += load.complete;
        for (name, count) in named(view) {
            match self.counters.iter_mut().find(|(other, _)| *other == name) {
                Some((_, total)) => *total += count,
                None => self.counters.push((name, count)),
            }
        }
        for &(name, value, acted) in &view.registers {
            match self.registers.iter_mut().find(|(other, ..)| *other == name) {
                Some((_, _, total)) => *total += acted,
                None => self.registers.push((name.to_owned(), value, acted)),
            }
        }
        self.table.extend(view.rows.iter().map(|row| Row {
            remote: row.remote.to_string(),
            local: row.local.to_string(),
            state: row.state,
            rx_bytes: row.counters.rx_bytes,
            tx_bytes: row.counters.tx_bytes,
            retransmitted: row.counters.retransmitted,
            out_of_order: row.out_of_order_count,
            congestion_window_len: row.congestion_window_len,
            in_flight_len: row.in_flight_len,
        }));
    }

    /// The counter of that name; zero if nothing was counted under it.
    pub fn count(&self, name: &str) -> u64 {
        self.counters.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count)
    }

    /// The figures as lines for a terminal.
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "card           {} on {} · {} lane(s)", self.addresses.join(" "), self.port, self.lanes);
        let _ = writeln!(text, "time           {:.1} s · {:.2} s of processor time", self.seconds, self.cpu_seconds);
        let _ = writeln!(
            text,
            "sessions       {} · {} waited out · {} neighbours · {} timers · {} frames",
            self.sessions, self.waiting_out, self.neighbors, self.timers, self.frames
        );
        if self.lanes > 1 {
            let opened: Vec<String> = self.lane_opened.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "opened         {} by each lane", opened.join(" "));
        }
        let load = &self.load;
        if *load != Progress::default() {
            let _ = writeln!(
                text,
                "own sessions   {} open · {} opened · {} lost · {} refused",
                load.open, load.opened, load.lost, load.refused
            );
            let _ = writeln!(
                text,
                "own messages   {} sent · {} returned · {} wrong · {} sessions complete",
                load.sent, load.returned, load.wrong, load.complete
            );
        }
        for (name, count) in &self.counters {
            let _ = writeln!(text, "{name:<32} {count}");
        }
        for (name, value, acted) in self.registers.iter().filter(|(_, value, acted)| *value != 0 || *acted != 0) {
            let _ = writeln!(text, "{name:<32} {value} · acted {acted} times");
        }
        if let Some(CaptureReport { path, frames, bytes, is_full, failed }) = &self.capture {
            let _ = writeln!(text, "capture        {path} · {frames} frames · {bytes} bytes with its tape");
            if *is_full {
                let _ = writeln!(text, "               it ended before the card, as long as it was to become");
            }
            if let Some(failed) = failed {
                let _ = writeln!(text, "               {failed}");
            }
        }
        text
    }

    /// The first `rows` rows of the session table as lines.
    pub fn table(&self, rows: usize) -> String {
        let mut text = format!("{} sessions; the first {}:\n", self.sessions, rows.min(self.table.len()));
        for row in self.table.iter().take(rows) {
            let Row { remote, local, state, rx_bytes, tx_bytes, retransmitted, .. } = row;
            let _ = writeln!(
                text,
                "{local} <- {remote}  {state}  {rx_bytes} in  {tx_bytes} out  {retransmitted} again  window {} B",
                row.congestion_window_len
            );
        }
        text
    }
}

/// The counters of a lane by name.
fn named(view: &LaneView) -> Vec<(String, u64)> {
    let mut named = counters::named(&view.counters, &view.port, &view.neighbor);
    named.push(("strays lost".to_owned(), view.strays_lost));
    named
}

#[allow(clippy::cast_precision_loss, reason = "below 2^53 nanoseconds: 104 days")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
