//! What both sides wrote down of a repeat, and the record that is made of it when it is over: while it runs, a line a
//! message is all that measuring costs.

use std::collections::HashSet;

use hpb_base::{Duration, Instant};
use hpb_toe::SessionId;

use super::window::Window;
use crate::hops::{Span, Spans};
use crate::measure::Recorder;
use crate::record::Repeat;
use crate::scenario::{Arrivals, Pattern, Scenario};

/// Lines that room is made for before a repeat; more grow as they come.
const LINES_MAX: u64 = 1 << 23;
/// Messages a second that a closed loop is expected to make at most.
const CLOSED_PER_S: f64 = 200_000.0;

/// A message that was meant to leave. Its number is its place in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// Over which session.
    pub(crate) session: u32,
    /// When it was meant to leave.
    pub(crate) intended: Instant,
    /// When it left; `None` if it never did.
    pub(crate) left: Option<Instant>,
}

/// A message, or an answer, that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrival {
    /// The message's number.
    pub(crate) number: u64,
    /// Over which session, where several may come of one message.
    pub(crate) session: u32,
    /// When.
    pub(crate) at: Instant,
}

/// An empty list with room for what a scenario will write into it, touched so that no page is missing while it measures.
pub(crate) fn list<T: Copy>(scenario: &Scenario, filler: T) -> Vec<T> {
    let time = scenario.warm_up + scenario.duration;
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
    let seconds = time.as_nanos() as f64 / 1e9;
    let per_s = match scenario.load.arrivals {
        Arrivals::Fixed { per_s } | Arrivals::Poisson { per_s } => per_s * 1.1,
        Arrivals::Bursts { count, every } => f64::from(count) / every.to_std().as_secs_f64().max(1e-9),
        Arrivals::Closed { .. } => CLOSED_PER_S,
    };
    let each = if matches!(scenario.load.pattern, Pattern::FanOut | Pattern::Incast) { scenario.sessions } else { 1 };
    #[allow(clippy::cast_sign_loss, reason = "rates and times are not negative")]
    let lines = ((seconds * per_s * f64::from(each)) as u64 + 1_024).min(LINES_MAX);
    let mut list = vec![filler; lines as usize];
    list.clear();
    list
}

/// Makes the record of what was written down; `run_began` is the run's origin.
pub(crate) fn repeat(
    scenario: &Scenario,
    window: &Window,
    sent: &[Sent],
    arrivals: &[Arrival],
    run_began: Instant,
) -> Repeat {
    let is_fan_out = scenario.load.pattern == Pattern::FanOut;
    let receivers = if is_fan_out { u64::from(scenario.sessions) } else { 1 };
    let mut recorder = Recorder::new(window.begin, window.end.since(window.begin));
    for message in sent {
        let measured = u64::from(recorder.measures(message.intended));
        recorder.counts.intended += measured;
        recorder.counts.sent += measured * u64::from(message.left.is_some());
        recorder.expects(message.intended, receivers);
    }
    let mut seen = HashSet::new();
    let mut newest = vec![None; scenario.sessions as usize];
    for arrival in arrivals {
        let Some(Sent { session, intended, left: Some(left) }) = sent.get(arrival.number as usize).copied() else {
            continue;
        };
        let session = if is_fan_out { arrival.session } else { session };
        let measured = u64::from(recorder.measures(intended));
        if !seen.insert((arrival.number, if is_fan_out { session } else { 0 })) {
            recorder.counts.duplicated += measured;
            continue;
        }
        if let Some(newest) = newest.get_mut(session as usize) {
            recorder.counts.out_of_order += measured * u64::from(newest.is_some_and(|newest| newest > arrival.number));
            *newest = (*newest).max(Some(arrival.number));
        }
        recorder.arrived(intended, left, arrival.at);
    }
    recorder.finish(run_began)
}

/// The measured messages of the near side's sessions, by the lane's names for these, for the hops.
pub(crate) fn spans(window: &Window, ids: &[SessionId], sent: &[Sent], arrivals: &[Arrival]) -> Spans {
    let mut came = vec![None; sent.len()];
    for arrival in arrivals {
        if let Some(came) = came.get_mut(arrival.number as usize) {
            *came = Some(arrival.at);
        }
    }
    let mut spans = Spans::new();
    for (message, came) in sent.iter().zip(came).filter(|(message, _)| message.left.is_some()) {
        let Some(id) = ids.get(message.session as usize) else { continue };
        let measured = (window.begin..window.end).contains(&message.intended);
        let span = came.map(|arrived| Span { intended: message.intended, arrived });
        spans.entry(*id).or_default().push(span.filter(|_| measured));
    }
    spans
}

/// What each of the far side's sessions heard of what was sent to all, by the lane's names for these, for the hops.
pub(crate) fn spans_of_all(window: &Window, ids: &[SessionId], sent: &[Sent], arrivals: &[Arrival]) -> Spans {
    let mut spans = Spans::new();
    for arrival in arrivals {
        let (Some(id), Some(message)) = (ids.get(arrival.session as usize), sent.get(arrival.number as usize)) else {
            continue;
        };
        let measured = (window.begin..window.end).contains(&message.intended);
        let span = Span { intended: message.intended, arrived: arrival.at };
        spans.entry(*id).or_default().push(measured.then_some(span));
    }
    spans
}

/// How long sessions may take to open.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
