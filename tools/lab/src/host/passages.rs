//! Where the time of messages over the kernel's TCP went: the program's own readings of the clock around its calls, and
//! the kernel's stamp of what came.
//!
//! `application` is until the program writes a message, `tcp` until that call returns, `wire` until the other kernel has
//! the packet with the message's end, `tcp-in` until the program has read it: TCP, and the wait for the program to look.
//! A cable may deliver before the call returns that sent: `tcp` then ends where the packet came. Of messages that one
//! read brings together each counts as come with the last packet of them, so that its `wire` is too long, and its `tcp-in`
//! too short, by what lies between. A message that found no room in the send buffer is not among the hops.

use std::collections::{HashMap, VecDeque};

use hpb_base::{Duration, Instant};

use super::logs::Sent;
use super::window::{Window, now};
use crate::hops::{APPLICATION, Sums};
use crate::record::{Cost, Hop};

/// Lines that are kept of what one end wrote, and of what it read; the oldest give way.
const LINES_MAX: usize = 1 << 18;
/// Of more sessions than these about so many are looked at.
const SESSIONS_DRAWN: u32 = 64;
/// Stamps of one look at their own cost.
const COST_STAMPS: u32 = 1_024;

/// A message, or an answer: its number and its session.
type Name = (u64, u32);

/// One that a program wrote.
#[derive(Clone, Copy)]
struct Written {
    name: Name,
    began_at: Instant,
    ended_at: Instant,
}

/// One that it read.
#[derive(Clone, Copy)]
struct Read {
    name: Name,
    /// When the kernel had it, in nanoseconds since 1970.
    came_unix_ns: Option<u64>,
    at: Instant,
}

/// What one end wrote and read, of the sessions that are looked at.
pub(crate) struct Passages {
    one_of: u32,
    written: VecDeque<Written>,
    read: VecDeque<Read>,
    readings: u64,
}

impl Passages {
    /// Nothing yet, of a run of so many sessions.
    pub(crate) fn new(sessions: u32) -> Self {
        let (written, read) = (VecDeque::with_capacity(LINES_MAX), VecDeque::with_capacity(LINES_MAX));
        Self { one_of: sessions.div_ceil(SESSIONS_DRAWN).max(1), written, read, readings: 0 }
    }

    /// Whether a session is looked at.
    pub(crate) fn draws(&self, session: u32) -> bool {
        session.is_multiple_of(self.one_of)
    }

    /// A message was written by a call that began then and has just ended.
    pub(crate) fn wrote(&mut self, number: u64, session: u32, began_at: Instant) {
        self.readings += 2;
        let ended_at = now();
        push(&mut self.written, Written { name: (number, session), began_at, ended_at });
    }

    /// A message was read at an instant at which the program reads the clock in any case.
    pub(crate) fn read(&mut self, number: u64, session: u32, came_unix_ns: Option<u64>, at: Instant) {
        push(&mut self.read, Read { name: (number, session), came_unix_ns, at });
    }

    /// What another thread of the same end saw.
    pub(crate) fn join(&mut self, other: Self) {
        self.written.extend(other.written);
        self.read.extend(other.read);
        self.readings += other.readings;
    }

    fn cost(&mut self) -> Duration {
        let (mut scratch, readings) = (VecDeque::with_capacity(COST_STAMPS as usize), self.readings);
        std::mem::swap(&mut self.written, &mut scratch);
        let began_at = now();
        (0..COST_STAMPS).for_each(|session| self.wrote(0, session, began_at));
        let took = now().since(began_at);
        (self.written, self.readings) = (scratch, readings);
        took.div(COST_STAMPS.into())
    }
}

fn push<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() == LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// The hops of what the near end sent, and of the answers if there are any, and what stamping cost; `unix_ahead` is by how
/// much the host's clock is ahead, `None` if nobody can say.
pub(crate) fn hops(
    (sent, window): (&[Sent], &Window),
    is_answered: bool,
    (near, far): (&mut Passages, &Passages),
    unix_ahead: Option<Duration>,
) -> (Vec<Hop>, Cost) {
    let way = |is_back: bool| [APPLICATION, "tcp", "wire", "tcp-in"].map(|name| (name, is_back));
    let back = is_answered.then(|| way(true)).into_iter().flatten();
    let mut sums = Sums::new(way(false).into_iter().chain(back));
    if let Some(unix_ahead) = unix_ahead {
        let (came, answered, back) = (by_name(&far.read), by_name(&far.written), by_name(&near.read));
        for wrote in &near.written {
            let Some(message) = sent.get(wrote.name.0 as usize) else { continue };
            if !(window.begin..window.end).contains(&message.intended) {
                continue;
            }
            let passed = || {
                let mut instants = vec![message.intended, wrote.began_at, wrote.ended_at];
                instants.extend(came.get(&wrote.name)?.instants(unix_ahead)?);
                if is_answered {
                    let answer = answered.get(&wrote.name)?;
                    instants.extend([answer.began_at, answer.ended_at]);
                    instants.extend(back.get(&wrote.name)?.instants(unix_ahead)?);
                }
                Some(instants)
            };
            if let Some(mut instants) = passed() {
                sums.take(&mut instants);
            }
        }
    }
    let stamps = near.readings + far.readings;
    (sums.finish(), Cost { stamps, stamp_ns: near.cost().as_nanos(), ..Cost::default() })
}

impl Read {
    /// When the kernel had it, and the program.
    fn instants(&self, unix_ahead: Duration) -> Option<[Instant; 2]> {
        let came_at = Instant::from_nanos(self.came_unix_ns?.saturating_sub(unix_ahead.as_nanos()));
        Some([came_at, self.at])
    }
}

/// Lines by what they are about.
trait Named {
    fn name(&self) -> Name;
}

impl Named for Written {
    fn name(&self) -> Name {
        self.name
    }
}

impl Named for Read {
    fn name(&self) -> Name {
        self.name
    }
}

fn by_name<T: Named>(lines: &VecDeque<T>) -> HashMap<Name, &T> {
    lines.iter().map(|line| (line.name(), line)).collect()
}

#[cfg(test)]
mod tests;
