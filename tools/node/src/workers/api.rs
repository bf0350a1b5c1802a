//! Programs of this host at the control socket of a node or card: each connection is a session with the core, as a
//! terminal's on the card is, in the same messages, without encryption. The file system guards the socket. Questions about
//! the card go to its desk, which is here too; a bare card has no core, and answers nothing else.
//!
//! A connection that says what cannot be followed, or does not read what it is told, is closed. It refuses to hold up the
//! core: what finds no room is dropped, and counted by the link.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use hpb_base::limits::{LOCAL_OUTBOX_LEN_MAX, LOCAL_SESSIONS_MAX, TERMINAL_MESSAGE_LEN_MAX};
use hpb_base::{Duration, Instant};
use hpb_toe::framing::Assembler;
use hpb_toe::{Class, Command, Group, SessionId};
use hpb_types::message::diagnose::{Answer, Goodbye, Parting, Question, Refusal, Tell};
use hpb_types::message::{Message, kind};

use super::lane::{LOCAL_LANE, outside};
use super::outlet::Outlet;
use crate::core::{Input, framed};
use crate::diagnose::{Asked, Desk, LaneEnds};
use crate::runtime::{Activity, Receiver, Sender, Worker};

/// Bytes read from one connection in one turn.
const READ_LEN: usize = 16 << 10;
/// Where a socket lies while it is made, beside its place. Short: a socket's path may not be long.
const MAKING_FOLDER: &str = ".s";
const MAKING_FILE: &str = "s";
/// When a connection that took nothing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// A listening socket in a folder, which goes with it.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Listens at `path`, for this user alone. What an earlier process left there is taken away: whoever calls holds the
    /// folder.
    ///
    /// # Errors
    /// What the operating system says: a path longer than a socket's may be, above all.
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Nobody calls a path that is too long, and the one at which it is made may be shorter.
        SocketAddr::from_pathname(path)?;
        // Until it has its mode it lies where nobody else may enter.
        let closed = path.with_file_name(MAKING_FOLDER);
        clear(&closed)?;
        fs::DirBuilder::new().mode(0o700).create(&closed)?;
        let made = Self::make(&closed.join(MAKING_FILE), path);
        let cleared = clear(&closed);
        let socket = made?;
        cleared?;
        socket.listener.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Makes it at `first`, and gives it its mode and then its name.
    fn make(first: &Path, path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(first)?;
        fs::set_permissions(first, fs::Permissions::from_mode(0o600))?;
        fs::rename(first, path)?;
        Ok(Self { listener, path: path.to_path_buf() })
    }
}

/// Takes away the folder in which a socket is made, which an earlier process may have left.
fn clear(folder: &Path) -> io::Result<()> {
    for removed in [fs::remove_file(folder.join(MAKING_FILE)), fs::remove_dir(folder)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Whoever finds it later is told that nobody listens.
        let _ = fs::remove_file(&self.path);
    }
}

/// What the chain says to the control socket's worker.
pub enum ToApi {
    /// For sessions of programs of this host, in the words of a card.
    Card(Command),
    /// For the desk: a peer that may asks about the card.
    Ask {
        /// Who asks.
        session: SessionId,
        /// What.
        question: Box<Question>,
    },
}

/// The links of the control socket.
pub struct ApiLinks {
    /// To the chain and from it; none for a bare card.
    pub chain: Option<(Sender<Input>, Receiver<ToApi>)>,
    /// With each lane, by number.
    pub lanes: Vec<LaneEnds>,
}

struct Connection {
    stream: UnixStream,
    assembler: Assembler,
    unsent: Vec<u8>,
    hears_digests: bool,
    is_over: bool,
}

/// The worker. See the module.
pub struct ApiWorker {
    socket: Option<LocalSocket>,
    chain: Option<(Outlet<Input>, Receiver<ToApi>)>,
    desk: Desk,
    /// By the number of the connection since the start.
    connections: BTreeMap<u64, Connection>,
    next: u64,
    descriptors: Vec<RawFd>,
    retry_at: Option<Instant>,
}

impl ApiWorker {
    /// A worker that takes connections from `socket`; without one it takes none, and lets go of what the chain says.
    pub fn new(socket: Option<LocalSocket>, links: ApiLinks) -> Self {
        let ApiLinks { chain, lanes } = links;
        let mut worker = Self {
            socket,
            chain: chain.map(|(inputs, told)| (Outlet::new(inputs), told)),
            desk: Desk::new(lanes),
            connections: BTreeMap::new(),
            next: 0,
            descriptors: Vec::new(),
            retry_at: None,
        };
        worker.list_descriptors();
        worker
    }

    fn list_descriptors(&mut self) {
        // A listener with nobody taking calls would wake its executor for nothing.
        let listening = self.socket.iter().filter(|_| self.connections.len() < LOCAL_SESSIONS_MAX);
        let listener = listening.map(|socket| socket.listener.as_raw_fd());
        let streams = self.connections.values().map(|connection| connection.stream.as_raw_fd());
        self.descriptors = listener.chain(streams).collect();
    }

    fn accept(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut any = false;
        while self.connections.len() < LOCAL_SESSIONS_MAX
            && let Ok((stream, _)) = socket.listener.accept()
        {
            any = true;
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let number = self.next;
            self.next += 1;
            let connection = Connection {
                stream,
                assembler: Assembler::default(),
                unsent: Vec::new(),
                hears_digests: false,
                is_over: false,
            };
            self.connections.insert(number, connection);
            if let Some((inputs, _)) = &mut self.chain {
                inputs.put(Input::Opened { session: session(number), peer: None, class: Class::Terminal });
            }
        }
        any
    }

    fn tell_chain(&mut self, input: Input) {
        if let Some((inputs, _)) = &mut self.chain {
            inputs.put(input);
        }
    }

    fn read(&mut self) -> bool {
        let mut any = false;
        let mut buffer = [0; READ_LEN];
        for (number, connection) in &mut self.connections {
            // What was said waits for room, so that whoever says it waits too.
            let is_clear = self.chain.as_ref().is_none_or(|(inputs, _)| inputs.is_clear());
            if !is_clear || connection.is_over {
                continue;
            }
            match connection.stream.read(&mut buffer) {
                Ok(0) => connection.is_over = true,
                Ok(len) => {
                    let mut said = Vec::new();
                    let fed = connection.assembler.feed(&buffer[..len], TERMINAL_MESSAGE_LEN_MAX, |kind, body| {
                        said.push((kind, body.to_vec()));
                    });
                    connection.is_over = fed.is_err();
                    for (kind, body) in said {
                        connection.hear(*number, (kind, body), &mut self.desk, &mut self.chain);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => connection.is_over = true,
            }
            any = true;
        }
        any
    }

    /// Puts what the core says into the connections' outboxes.
    fn take_commands(&mut self) -> bool {
        let mut any = false;
        while let Some(told) = self.chain.as_mut().and_then(|(_, told)| told.pop()) {
            any = true;
            let command = match told {
                ToApi::Card(command) => command,
                ToApi::Ask { session, question } => {
                    if let Some(answer) = self.desk.ask(Asked::Remote(session), *question) {
                        self.tell_chain(Input::Answered { session, answer: Box::new(answer) });
                    }
                    continue;
                }
            };
            match command {
                Command::Send { session, message, .. } => {
                    if let Some(connection) = self.connections.get_mut(&number_of(session)) {
                        connection.say(&message);
                    }
                }
                Command::Broadcast { group: Group::Terminals, message, .. } => {
                    // The next one says it again.
                    let hearing = self.connections.values_mut().filter(|connection| connection.hears_digests);
                    hearing.filter(|connection| connection.unsent.is_empty()).for_each(|one| one.say(&message));
                }
                Command::Join { session, group } => {
                    if let Some(connection) = self.connections.get_mut(&number_of(session)) {
                        connection.hears_digests = group == Some(Group::Terminals);
                    }
                }
                Command::Close { session } => {
                    if let Some(connection) = self.connections.get_mut(&number_of(session)) {
                        connection.write();
                        connection.is_over = true;
                    }
                }
                Command::Part { session, goodbye } => {
                    if let Some(connection) = self.connections.get_mut(&number_of(session)) {
                        connection.say(&framed(&Message::Goodbye(goodbye)));
                        connection.write();
                        connection.is_over = true;
                    }
                }
                Command::Broadcast { .. }
                | Command::Listen { .. }
                | Command::Serve { .. }
                | Command::Open(_)
                | Command::SetRegister { .. } => {}
            }
        }
        any
    }

    /// Passes on what the lanes answered.
    fn take_answers(&mut self) -> bool {
        let mut any = false;
        while let Some((asked, answer)) = self.desk.take() {
            any = true;
            match asked {
                Asked::Local(number) => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        connection.say(&framed(&Message::Answer(Box::new(answer))));
                    }
                }
                Asked::Remote(session) => self.tell_chain(Input::Answered { session, answer: Box::new(answer) }),
            }
        }
        any
    }

    /// Lets go of connections that are over.
    fn close(&mut self) -> bool {
        let over: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| connection.is_over).map(|(number, _)| *number).collect();
        for number in &over {
            self.connections.remove(number);
            self.tell_chain(Input::Closed { session: session(*number) });
        }
        !over.is_empty()
    }
}

/// Indices that sessions take in turn, as in a lane's table.
const INDICES: u64 = 1 << 16;

fn session(number: u64) -> SessionId {
    let (index, generation) = ((number % INDICES) as u32, (number / INDICES) as u32);
    outside(LOCAL_LANE, SessionId { index, generation })
}

fn number_of(session: SessionId) -> u64 {
    u64::from(session.index) % INDICES + u64::from(session.generation) * INDICES
}

/// What cannot be asked of a bare card, and what it does not understand.
fn not_here(number: u64) -> Message {
    Message::Answer(Box::new(Answer { number, what: Tell::Refused(Refusal::NotHere) }))
}

impl Connection {
    /// Takes one message: a question about the card to the desk, anything else to the chain.
    fn hear(
        &mut self,
        number: u64,
        (kind, body): (u8, Vec<u8>),
        desk: &mut Desk,
        chain: &mut Option<(Outlet<Input>, Receiver<ToApi>)>,
    ) {
        // All else is the chain's to read, once.
        let question = match Message::decode(kind, if kind == kind::QUESTION { &body } else { &[] }) {
            Ok(Message::Question(question)) => Some(question),
            _ => None,
        };
        match (question, chain) {
            (Some(question), _) if !question.what.is_for_all() => {
                if let Some(answer) = desk.ask(Asked::Local(number), question) {
                    self.say(&framed(&Message::Answer(Box::new(answer))));
                }
            }
            (_, Some((inputs, _))) => inputs.put(Input::Message { session: session(number), kind, body }),
            (Some(question), None) => self.say(&framed(&not_here(question.number))),
            (None, None) => self.is_over = true,
        }
    }

    fn say(&mut self, message: &[u8]) {
        if self.unsent.len() + message.len() > LOCAL_OUTBOX_LEN_MAX {
            self.is_over = true;
        } else {
            self.unsent.extend_from_slice(message);
        }
    }

    /// Writes what the connection takes; whether it took anything.
    fn write(&mut self) -> bool {
        let mut any = false;
        while !self.unsent.is_empty() && !self.is_over {
            match self.stream.write(&self.unsent) {
                Ok(len) => {
                    self.unsent.drain(..len);
                    any |= len > 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.is_over = true,
            }
        }
        any
    }
}

impl Worker for ApiWorker {
    fn turn(&mut self, now: Instant) -> Activity {
        let mut busy = self.chain.as_mut().is_some_and(|(inputs, _)| inputs.flush());
        busy |= self.take_commands();
        busy |= self.take_answers();
        let mut changed = self.accept();
        busy |= self.read();
        for connection in self.connections.values_mut() {
            busy |= connection.write();
        }
        changed |= self.close();
        if changed {
            self.list_descriptors();
        }
        let waits = self.connections.values().any(|connection| !connection.unsent.is_empty());
        self.retry_at = waits.then_some(now + RETRY_AFTER);
        if busy || changed { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.retry_at
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    fn finish(&mut self, _now: Instant) {
        self.take_commands();
        let goodbye = framed(&Message::Goodbye(Goodbye::because(Parting::SHUTDOWN)));
        for connection in self.connections.values_mut() {
            connection.say(&goodbye);
            connection.write();
        }
    }
}
