//! Programs of this host: the socket's worker by itself, and what the chain says to it.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use hpb_base::limits::{LOCAL_OUTBOX_LEN_MAX, LOCAL_SESSIONS_MAX, TERMINAL_MESSAGE_LEN_MAX};
use hpb_toe::Priority;
use hpb_toe::framing::{framed, header};
use hpb_types::Canonical as _;
use hpb_types::message::kind;

use super::*;
use crate::workers::{ApiLinks, ApiWorker, LocalSocket, ToApi};

/// The worker with the chain played by the test.
struct Local {
    worker: ApiWorker,
    inputs: Receiver<Input>,
    commands: Sender<ToApi>,
    folder: tempfile::TempDir,
}

impl Local {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = LocalSocket::bind(&folder.path().join("node.sock")).unwrap();
        let (inputs_out, inputs) = small(64);
        let (commands, commands_in) = small(64);
        let worker =
            ApiWorker::new(Some(socket), ApiLinks { chain: Some((inputs_out, commands_in)), lanes: Vec::new() });
        Self { worker, inputs, commands, folder }
    }

    fn call(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("node.sock")).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    fn turn(&mut self) -> Activity {
        self.worker.turn(at(1))
    }

    fn opened(&mut self) -> SessionId {
        self.turn();
        match self.inputs.pop() {
            Some(Input::Opened { session, peer: None, class: Class::Terminal }) => session,
            _ => panic!("no session opened"),
        }
    }

    fn tell(&mut self, command: Command) {
        assert!(self.commands.try_send(ToApi::Card(command)).is_ok());
        self.turn();
    }

    fn say(&mut self, session: SessionId, message: &[u8]) {
        self.tell(Command::Send { session, priority: Priority::Normal, message: message.into() });
    }
}

fn is_closed(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    !stream.read_to_end(&mut rest).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_program_is_a_session_as_a_terminal_is() {
    let mut local = Local::new();
    assert_eq!(local.turn(), Activity::Idle);
    let mode = fs::metadata(local.folder.path().join("node.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its user alone");
    let (mut one, mut two) = (local.call(), local.call());
    let (first, second) = (local.opened(), local.opened());
    assert_ne!(first, second);

    let message = framed(9, &7_u64.to_le_bytes());
    one.write_all(&message[..3]).unwrap();
    local.turn();
    assert!(local.inputs.pop().is_none(), "not whole yet");
    one.write_all(&message[3..]).unwrap();
    local.turn();
    let Some(Input::Message { session, kind: 9, body }) = local.inputs.pop() else { panic!("no message") };
    assert_eq!((session, body), (first, 7_u64.to_le_bytes().to_vec()));

    local.say(second, b"hello");
    let mut heard = [0; 16];
    assert_eq!(two.read(&mut heard).unwrap(), 5);
    assert_eq!(&heard[..5], b"hello");
    assert!(one.read(&mut heard).is_err(), "it is not for the other one");

    let digest =
        || Command::Broadcast { group: Group::Terminals, priority: Priority::Sheddable, message: b"digest"[..].into() };
    local.tell(digest());
    local.tell(Command::Join { session: first, group: Some(Group::Terminals) });
    local.tell(digest());
    assert_eq!(one.read(&mut heard).unwrap(), 6, "one, as it joined between them");
    assert!(two.read(&mut heard).is_err());

    drop(one);
    local.turn();
    assert!(matches!(local.inputs.pop(), Some(Input::Closed { session }) if session == first));
    local.tell(Command::Close { session: second });
    assert!(matches!(local.inputs.pop(), Some(Input::Closed { session }) if session == second));
    assert!(is_closed(&mut two));
}

#[test]
fn every_program_is_told_when_the_process_ends() {
    let mut local = Local::new();
    let mut one = local.call();
    let session = local.opened();
    assert!(
        local
            .commands
            .try_send(ToApi::Card(Command::Send { session, priority: Priority::Normal, message: b"hello"[..].into() }))
            .is_ok()
    );
    local.worker.finish(at(2));
    drop(local);
    let mut heard = Vec::new();
    one.read_to_end(&mut heard).unwrap();
    let goodbye = Goodbye::because(Parting::SHUTDOWN);
    assert_eq!(heard, [&b"hello"[..], &framed(kind::GOODBYE, &goodbye.to_bytes())].concat());
}

#[test]
fn who_cannot_be_followed_or_does_not_listen_is_closed() {
    let mut local = Local::new();
    let mut loud = local.call();
    let first = local.opened();
    loud.write_all(&header(2, TERMINAL_MESSAGE_LEN_MAX + 1)).unwrap();
    local.turn();
    assert!(matches!(local.inputs.pop(), Some(Input::Closed { session }) if session == first));
    assert!(is_closed(&mut loud));

    let _deaf = local.call();
    let second = local.opened();
    let words = vec![0; LOCAL_OUTBOX_LEN_MAX / 2];
    for _ in 0..8 {
        local.say(second, &words);
    }
    assert!(matches!(local.inputs.pop(), Some(Input::Closed { session }) if session == second));
}

#[test]
fn no_more_are_taken_than_the_limit_and_the_others_wait() {
    let mut local = Local::new();
    let mut callers: Vec<UnixStream> = (0..=LOCAL_SESSIONS_MAX).map(|_| local.call()).collect();
    local.turn();
    let opened = std::iter::from_fn(|| local.inputs.pop()).count();
    assert_eq!(opened, LOCAL_SESSIONS_MAX);
    assert_eq!(local.worker.descriptors().len(), LOCAL_SESSIONS_MAX, "whoever waits wakes nobody");
    callers.remove(0);
    local.turn();
    local.turn();
    let inputs: Vec<Input> = std::iter::from_fn(|| local.inputs.pop()).collect();
    assert!(matches!(inputs[..], [Input::Closed { .. }, Input::Opened { .. }]));
}

#[test]
fn a_socket_that_a_dead_process_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = LocalSocket::bind(&path).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
    drop(socket);
    assert!(!path.exists(), "it goes with the node");
}

#[test]
fn a_socket_is_this_users_alone_and_leaves_nothing_of_its_making() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    // What a process left that ended while it made one.
    std::fs::create_dir(folder.path().join(".s")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.path().join(".s/s")).unwrap());
    let _socket = LocalSocket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["node.sock"]);
    // Where it can't be made, nothing of it stays either.
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    assert!(LocalSocket::bind(&folder.path().join("taken")).is_err());
    assert!(LocalSocket::bind(&folder.path().join("n".repeat(108))).is_err(), "too long for a socket");
    assert!(!folder.path().join(".s").exists());
}

#[test]
fn the_chain_answers_local_sessions_and_is_held_up_by_none() {
    let mut alone = Alone::new(1_024, 64);
    let session = lane::outside(lane::LOCAL_LANE, SessionId { index: 3, generation: 0 });
    alone.local.0.try_send(Input::Opened { session, peer: None, class: Class::Terminal }).unwrap();
    alone.run(1..2_000);
    let told: Vec<ToApi> = std::iter::from_fn(|| alone.local.1.pop()).collect();
    assert!(
        matches!(
            told[..],
            [ToApi::Card(Command::Join { .. }), ToApi::Card(Command::Send { session: to, .. })] if to == session
        ),
        "all there is room for"
    );
    assert!(alone.slices().len() > 20, "nobody reads there, and the chain goes on");
    let lanes: Vec<Command> = alone.second_told.drain(..).collect();
    assert!(!lanes.iter().any(|command| matches!(command, Command::Send { .. } | Command::Join { .. })));
}
