//! A session with a node of this host, by its local socket.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use hpb_base::limits::MESSAGE_LEN_MAX;
use hpb_toe::framing::{Assembler, framed};
use hpb_types::ChainId;
use hpb_types::message::{Hello, Message};

/// Bytes read at once.
const READ_LEN: usize = 16 << 10;

/// A session.
pub struct NodeSession {
    stream: UnixStream,
    assembler: Assembler,
    heard: VecDeque<Message>,
}

/// Why there is no session, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody listens.
    #[error("no node listens at {path} ({error}): is it running?")]
    NoNode {
        /// The socket.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the session with the node broke: {0}")]
    Broken(io::Error),
    /// The node ended it.
    #[error("the node ended the session")]
    Ended,
    /// Nothing came in time.
    #[error("the node says nothing")]
    Silent,
    /// It says what is no message.
    #[error("the node says what this program does not understand: is it of another version?")]
    Malformed,
    /// It is of another chain.
    #[error("the node is of chain {0}, not of this one")]
    OtherChain(ChainId),
}

impl NodeSession {
    /// Opens a session with the node of `chain` whose socket lies at `path`; each word is waited for as long as
    /// `patience`.
    ///
    /// # Errors
    /// Nobody listens, or not what should.
    pub fn open(path: &Path, chain: ChainId, patience: Duration) -> Result<(Self, Hello), SessionError> {
        let mut session = Self::connect(path, patience)?;
        match session.hear()? {
            Message::Hello(hello) if hello.chain == chain => Ok((session, hello)),
            Message::Hello(hello) => Err(SessionError::OtherChain(hello.chain)),
            _ => Err(SessionError::Malformed),
        }
    }

    /// Opens a session with whoever listens at `path`, whatever its chain, and if it has none: a node or a bare card.
    /// Each word is waited for as long as `patience`.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, SessionError> {
        let stream = UnixStream::connect(path)
            .map_err(|error| SessionError::NoNode { path: path.display().to_string(), error })?;
        let limit = |result: io::Result<()>| result.map_err(SessionError::Broken);
        limit(stream.set_read_timeout(Some(patience)))?;
        limit(stream.set_write_timeout(Some(patience)))?;
        Ok(Self { stream, assembler: Assembler::default(), heard: VecDeque::new() })
    }

    /// Says something to the node. One that has ended the session is heard out first: why is worth more than that it did.
    ///
    /// # Errors
    /// The session broke.
    pub fn say(&mut self, message: &Message) -> Result<(), SessionError> {
        match self.stream.write_all(&framed(message.kind(), &message.encode())) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Err(SessionError::Broken(error))
            }
            _ => Ok(()),
        }
    }

    /// The next word of the node.
    ///
    /// # Errors
    /// The session is over, or the node silent.
    pub fn hear(&mut self) -> Result<Message, SessionError> {
        let mut buffer = [0; READ_LEN];
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Ok(message);
            }
            let len = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(SessionError::Ended),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(SessionError::Silent);
                }
                Err(error) => return Err(SessionError::Broken(error)),
            };
            let (heard, mut is_sound) = (&mut self.heard, true);
            let fed =
                self.assembler.feed(&buffer[..len], MESSAGE_LEN_MAX, |kind, body| match Message::decode(kind, body) {
                    Ok(message) => heard.push_back(message),
                    Err(_) => is_sound = false,
                });
            if fed.is_err() || !is_sound {
                return Err(SessionError::Malformed);
            }
        }
    }
}
