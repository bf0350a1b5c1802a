//! A session with a peer over the kernel's TCP: the handshake step by step, messages both ways, questions and answers.
//!
//! The stream waits for nothing: what is to be sent waits here and leaves as the kernel takes it, so that a peer that
//! reads slowly shows in the connection's own figures and never holds the caller.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::time::Duration;

use hpb_base::limits::MESSAGE_LEN_MAX;
use hpb_toe::Identity;
use hpb_toe::secure::{Progress, StreamError, StreamSession};
use hpb_types::message::diagnose::{Ask, Goodbye, Question, Refusal, Tell};
use hpb_types::message::{Hello, Message, PROTOCOL_VERSION, Roles};
use hpb_types::units::{ChainId, Height, Slot};
use hpb_types::{Hash, PublicKey, SliceRef};

use super::sys;
use super::tcp_info::TcpInfo;

/// Bytes read at once.
const READ_LEN: usize = 64 << 10;
/// Bytes that may wait to be sent before a caller is to wait.
const WAITING_LEN_MAX: usize = 256 << 10;
/// How long nothing is asked of a peer that says that it is busy.
pub(super) const BUSY_REST: Duration = Duration::from_millis(2);
/// For how long such a peer is asked again: a few of the seconds by which it counts.
const BUSY_PATIENCE: Duration = Duration::from_secs(3);
/// Messages that are kept while somebody waits for another; the oldest go first.
const HEARD_MAX: usize = 1_024;

/// Who is called, and as whom.
#[derive(Clone)]
pub struct Credentials {
    /// Who asks; its chain is the peer's.
    pub identity: Arc<Identity>,
    /// Who the peer is to be.
    pub peer: PublicKey,
    /// The version of the messages that is claimed.
    pub version: u8,
    /// Whether others may use the identity too: it was named, not drawn for this asking.
    pub is_named: bool,
}

impl Credentials {
    /// Those of the version that this program speaks.
    pub fn new(identity: Arc<Identity>, peer: PublicKey, is_named: bool) -> Self {
        Self { identity, peer, version: PROTOCOL_VERSION, is_named }
    }
}

/// A peer that is known by other ways: what a wrong key is compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPeer {
    /// What it is called.
    pub name: String,
    /// Its identity.
    pub key: PublicKey,
    /// Where it listens.
    pub ports: Vec<SocketAddr>,
}

/// Whom a verb is about.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// With whom a session is to be opened, if one is.
    pub credentials: Option<Credentials>,
    /// Other peers of its chain.
    pub known: Vec<KnownPeer>,
    /// How long each answer is waited for.
    pub patience: Duration,
}

/// Why a session is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The peer closed it, by a FIN or a reset, without a word.
    Closed {
        /// By a reset.
        reset: bool,
    },
    /// The peer said why.
    Goodbye(Goodbye),
    /// What came cannot be followed.
    Unreadable(StreamError),
    /// The connection failed.
    Failed(String),
}

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The session is over.
    Ended(Ended),
    /// Nothing came in time.
    Silent,
    /// The peer refuses.
    Refused(Refusal),
}

impl From<Ended> for NoAnswer {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// A message and when it came, in nanoseconds of the monotonic clock.
pub(crate) struct Heard {
    pub(crate) at_ns: u64,
    pub(crate) message: Message,
}

/// One session, from an open connection on.
pub struct Session {
    stream: TcpStream,
    protocol: StreamSession,
    waiting: Vec<u8>,
    sent: usize,
    heard: VecDeque<Heard>,
    /// The first bytes that came, for what they are no handshake.
    pub(crate) begins: Vec<u8>,
    ended: Option<Ended>,
    number: u64,
}

impl Session {
    /// A session on a connection: the first handshake message is on its way.
    ///
    /// # Errors
    /// The keys do not fit, or there is no randomness.
    pub(crate) fn begin(stream: TcpStream, credentials: &Credentials) -> Result<Self, Ended> {
        let failed = |error: &dyn std::fmt::Display| Ended::Failed(error.to_string());
        let seed = hpb_client::os_random().map_err(|error| failed(&error))?;
        let (protocol, waiting) =
            StreamSession::call(Arc::clone(&credentials.identity), credentials.peer, seed, MESSAGE_LEN_MAX)
                .map_err(|error| failed(&error))?;
        let mut session = Self {
            stream,
            protocol,
            waiting,
            sent: 0,
            heard: VecDeque::new(),
            begins: Vec::new(),
            ended: None,
            number: 0,
        };
        session.flush();
        Ok(session)
    }

    /// Whether messages may be said.
    pub(crate) fn is_open(&self) -> bool {
        self.protocol.progress() == Some(Progress::Open)
    }

    /// The connection as the kernel sees it.
    pub(crate) fn tcp(&self) -> TcpInfo {
        TcpInfo::of(&self.stream).unwrap_or_default()
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Whether more may be said without waiting.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() - self.sent < WAITING_LEN_MAX
    }

    /// Moves bytes both ways, and waits at most `patience` for something to move.
    pub(crate) fn turn(&mut self, patience: Duration) -> Result<(), Ended> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let events = libc::POLLIN | if self.sent < self.waiting.len() { libc::POLLOUT } else { 0 };
        if !patience.is_zero() {
            sys::wait(&[self.descriptor()], events, patience).map_err(|error| Ended::Failed(error.to_string()))?;
        }
        self.flush();
        let moved = self.receive();
        if let Err(ended) = &moved {
            self.ended = Some(ended.clone());
        }
        // What came before the end is heard first.
        if self.heard.is_empty() { moved } else { Ok(()) }
    }

    fn flush(&mut self) {
        while self.sent < self.waiting.len() {
            match self.stream.write(&self.waiting[self.sent..]) {
                Ok(len) => self.sent += len,
                // There is no room now; or it is closed, and what the peer said before is worth more than that it did.
                Err(_) => break,
            }
        }
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.sent = 0;
        } else if self.sent >= WAITING_LEN_MAX {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }

    fn receive(&mut self) -> Result<(), Ended> {
        let mut buffer = vec![0; READ_LEN];
        loop {
            let len = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Ended::Closed { reset: false }),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        return Err(Ended::Closed { reset: true });
                    }
                    _ => return Err(Ended::Failed(error.to_string())),
                },
            };
            self.took(&buffer[..len])?;
        }
    }

    fn took(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        if self.begins.is_empty() {
            self.begins = bytes[..bytes.len().min(16)].to_vec();
        }
        let at_ns = sys::monotonic_ns();
        let (heard, mut goodbye) = (&mut self.heard, None);
        let fed = self.protocol.feed(bytes, &mut self.waiting, |kind, body| {
            // What a newer peer says beside what is known is no concern of this program.
            match Message::decode(kind, body) {
                Ok(Message::Goodbye(said)) => goodbye = Some(said),
                Ok(message) => {
                    if heard.len() == HEARD_MAX {
                        heard.pop_front();
                    }
                    heard.push_back(Heard { at_ns, message });
                }
                Err(_) => {}
            }
        });
        match (goodbye, fed) {
            (Some(goodbye), _) => Err(Ended::Goodbye(goodbye)),
            (None, fed) => {
                self.flush();
                fed.map_err(Ended::Unreadable)
            }
        }
    }

    /// Says something; it leaves as the kernel takes it.
    pub(crate) fn say(&mut self, message: &Message) -> Result<(), Ended> {
        self.protocol.say(message.kind(), &message.encode(), &mut self.waiting).map_err(Ended::Unreadable)?;
        self.flush();
        Ok(())
    }

    /// Says who asks.
    pub(crate) fn greet(&mut self, credentials: &Credentials) -> Result<(), Ended> {
        let nothing = Height { slot: Slot(0), index: 0 };
        self.say(&Message::Hello(Hello {
            version: credentials.version,
            chain: credentials.identity.chain(),
            roles: Roles::DIAGNOSTICS,
            head: nothing,
            final_slice: SliceRef { height: nothing, id: Hash([0; 32]) },
        }))
    }

    /// The next message before `deadline_ns`; `None` if none came.
    pub(crate) fn hear(&mut self, deadline_ns: u64) -> Result<Option<Heard>, Ended> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(Some(heard));
            }
            let left = deadline_ns.saturating_sub(sys::monotonic_ns());
            if left == 0 {
                // What came while nobody looked was in time.
                self.turn(Duration::ZERO)?;
                return Ok(self.heard.pop_front());
            }
            self.turn(Duration::from_nanos(left))?;
        }
    }

    /// Forgets what was heard.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
    }

    /// Asks without waiting for the answer; the question's number.
    pub(crate) fn put(&mut self, what: Ask) -> Result<u64, Ended> {
        self.number += 1;
        self.say(&Message::Question(Question { number: self.number, what }))?;
        Ok(self.number)
    }

    /// Asks, and waits for the answer. A peer that is asked too much at once says so, and is asked again: what it answers
    /// is bounded by the second, for all that ask it together.
    pub(crate) fn ask(&mut self, what: &Ask, patience: Duration) -> Result<Tell, NoAnswer> {
        let until_ns = sys::monotonic_ns() + BUSY_PATIENCE.as_nanos() as u64;
        loop {
            match self.ask_once(what.clone(), patience) {
                Err(NoAnswer::Refused(Refusal::Busy)) if sys::monotonic_ns() < until_ns => super::rest(BUSY_REST),
                told => return told,
            }
        }
    }

    fn ask_once(&mut self, what: Ask, patience: Duration) -> Result<Tell, NoAnswer> {
        let number = self.put(what)?;
        let deadline_ns = sys::monotonic_ns() + patience.as_nanos() as u64;
        while let Some(heard) = self.hear(deadline_ns)? {
            match heard.message {
                Message::Answer(answer) if answer.number == number => {
                    return match answer.what {
                        Tell::Refused(refusal) => Err(NoAnswer::Refused(refusal)),
                        told => Ok(told),
                    };
                }
                _ => {}
            }
        }
        Err(NoAnswer::Silent)
    }
}

impl Ended {
    /// In plain words.
    pub fn words(&self) -> String {
        match self {
            Self::Closed { reset: true } => "the peer reset the connection".to_owned(),
            Self::Closed { reset: false } => "the peer closed the connection".to_owned(),
            Self::Goodbye(goodbye) => format!("the peer says goodbye: {goodbye}"),
            Self::Unreadable(error) => error.to_string(),
            Self::Failed(reason) => reason.clone(),
        }
    }
}

impl NoAnswer {
    /// In plain words.
    pub fn words(&self) -> String {
        match self {
            Self::Ended(ended) => ended.words(),
            Self::Silent => "no answer in time".to_owned(),
            Self::Refused(refusal) => format!("the peer refuses: {refusal}"),
        }
    }
}

/// The chain of the target's session, if it is to have one.
pub(crate) fn chain_of(target: &Target) -> Option<ChainId> {
    target.credentials.as_ref().map(|credentials| credentials.identity.chain())
}
