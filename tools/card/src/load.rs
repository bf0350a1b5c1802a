//! Sessions that the card opens to an echo server: each sends a message at its own pace and checks every byte that comes
//! back. A machine.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use hpb_base::limits::{SESSIONS_MAX, TERMINAL_MESSAGE_LEN_MAX};
use hpb_base::{Duration, Instant};
use hpb_toe::tape::TapedLane;
use hpb_toe::{Call, Class, Command, Event, Priority, SessionId};

/// Messages of a session that may be under way at once; a slower server is waited for.
const UNDER_WAY_MAX: u32 = 16;
/// What the messages are called on the wire; an echo server sends it back.
const KIND: u8 = 1;

/// Which sessions, and what they send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadConfig {
    /// The echo server.
    pub remote: SocketAddr,
    /// Sessions.
    pub sessions: usize,
    /// Bytes of a message's body.
    pub message_len: usize,
    /// The time between two messages of a session.
    pub every: Duration,
    /// Messages of each session; then it only stays open. Zero for no end.
    pub messages: u64,
    /// Messages wait until all sessions are open.
    pub together: bool,
}

impl LoadConfig {
    /// One session that sends 64 bytes a second.
    pub fn new(remote: SocketAddr) -> Self {
        Self { remote, sessions: 1, message_len: 64, every: Duration::from_secs(1), messages: 0, together: false }
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(1..=SESSIONS_MAX).contains(&self.sessions) {
            return Err("sessions are 1 to 1,048,576");
        }
        if !(1..=TERMINAL_MESSAGE_LEN_MAX).contains(&self.message_len) {
            return Err("a message has 1 to 65,536 bytes");
        }
        if self.every.is_zero() {
            return Err("messages are at least a nanosecond apart");
        }
        Ok(())
    }
}

/// What became of the load so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Progress {
    /// Sessions open now.
    pub open: u64,
    /// Sessions that were opened.
    pub opened: u64,
    /// Open sessions that were lost.
    pub lost: u64,
    /// Calls that came to nothing.
    pub refused: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came back as they were sent.
    pub returned: u64,
    /// Messages that came back otherwise.
    pub wrong: u64,
    /// Sessions that sent and got back all their messages.
    pub complete: u64,
}

struct Talk {
    session: Option<SessionId>,
    sent: u64,
    returned: u64,
    next_at: Instant,
}

/// The sessions of one lane.
pub(crate) struct Load {
    config: LoadConfig,
    talks: Vec<Talk>,
    /// Talks in the order of their next message: all have the same pace, so whoever has sent goes to the end.
    queue: VecDeque<u32>,
    progress: Progress,
    body: Vec<u8>,
    began: bool,
}

impl Load {
    /// The share of lane `lane` of `lanes` in `config`'s sessions.
    pub(crate) fn new(config: LoadConfig, lane: usize, lanes: usize) -> Self {
        let share = config.sessions / lanes + usize::from(lane < config.sessions % lanes);
        let talk = |_| Talk { session: None, sent: 0, returned: 0, next_at: Instant::ZERO };
        Self {
            config,
            talks: (0..share).map(talk).collect(),
            queue: VecDeque::new(),
            progress: Progress::default(),
            body: vec![0; config.message_len],
            began: false,
        }
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        self.config.remote.is_ipv4()
    }

    /// Calls the server from `local`.
    pub(crate) fn call(&self, now: Instant, local: IpAddr, lane: &mut TapedLane) {
        for tag in 0..self.talks.len() {
            let call = Call {
                remote: self.config.remote,
                local: SocketAddr::new(local, 0),
                class: Class::Uplink,
                responder: None,
                identity: None,
                tag: tag as u64,
                keep: false,
            };
            lane.handle(now, Command::Open(call));
        }
    }

    pub(crate) fn event(&mut self, now: Instant, event: &Event<'_>) {
        match *event {
            Event::Opened { session, tag, called: true, .. } => {
                self.progress.opened += 1;
                self.progress.open += 1;
                // Spread over one interval, so that they do not all speak at once for ever.
                let spread = self.config.every.as_nanos() / self.talks.len().max(1) as u64 * tag;
                let talk = &mut self.talks[tag as usize];
                talk.session = Some(session);
                talk.next_at = now + Duration::from_nanos(spread);
                if !self.config.together {
                    self.queue.push_back(tag as u32);
                }
            }
            Event::Closed { tag, was_open, .. } => {
                let Some(talk) = self.talks.get_mut(tag as usize) else { return };
                if talk.session.take().is_some() && was_open {
                    self.progress.open -= 1;
                    self.progress.lost += 1;
                } else {
                    self.progress.refused += 1;
                }
            }
            Event::Message { tag, kind, body, .. } => {
                let Some(talk) = self.talks.get_mut(tag as usize) else { return };
                fill(&mut self.body, tag, talk.returned);
                talk.returned += 1;
                let same = kind == KIND && body == self.body && talk.returned <= talk.sent;
                self.progress.returned += u64::from(same);
                self.progress.wrong += u64::from(!same);
                self.progress.complete += u64::from(talk.returned == self.config.messages);
            }
            Event::Opened { .. } => {}
        }
    }

    /// Sends what is due; whether anything was.
    pub(crate) fn poll(&mut self, now: Instant, lane: &mut TapedLane) -> bool {
        if self.config.together && !self.began && self.progress.open == self.talks.len() as u64 {
            self.began = true;
            let step = self.config.every.as_nanos() / self.talks.len().max(1) as u64;
            for (at, talk) in self.talks.iter_mut().enumerate() {
                talk.next_at = now + Duration::from_nanos(step * at as u64);
                self.queue.push_back(at as u32);
            }
        }
        let mut busy = false;
        while let Some(&tag) = self.queue.front() {
            let talk = &mut self.talks[tag as usize];
            if talk.next_at > now {
                break;
            }
            self.queue.pop_front();
            let Some(session) = talk.session else { continue };
            busy = true;
            talk.next_at += self.config.every;
            if talk.sent - talk.returned < u64::from(UNDER_WAY_MAX) {
                fill(&mut self.body, u64::from(tag), talk.sent);
                if lane.send(session, Priority::Critical, KIND, &self.body).is_ok() {
                    talk.sent += 1;
                    self.progress.sent += 1;
                }
            }
            if self.config.messages == 0 || talk.sent < self.config.messages {
                self.queue.push_back(tag);
            }
        }
        busy
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.queue.front().map(|tag| self.talks[*tag as usize].next_at)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }
}

/// The body of message `serial` of talk `tag`: no two alike, so that one lost, doubled or moved shows.
fn fill(body: &mut [u8], tag: u64, serial: u64) {
    let mut random = hpb_base::Random::stream(tag, serial);
    random.fill(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_messages_are_alike() {
        let body = |tag, serial| {
            let mut body = vec![0; 16];
            fill(&mut body, tag, serial);
            body
        };
        assert_eq!(body(1, 2), body(1, 2));
        assert_ne!(body(1, 2), body(1, 3));
        assert_ne!(body(1, 2), body(2, 2));
    }

    #[test]
    fn sessions_are_shared_out_over_lanes() {
        let config = LoadConfig { sessions: 10, ..LoadConfig::new(([10, 0, 0, 1], 7).into()) };
        let shares: Vec<usize> = (0..4).map(|lane| Load::new(config, lane, 4).talks.len()).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
    }
}
