//! One end of a session over a byte stream that another TCP carries: programs of this house that talk to a node by the
//! kernel's sockets, and stand-ins for a node in tests. A machine without I/O, as everything of a session is: bytes in,
//! bytes and messages out.
//!
//! The bytes are those of a lane's sessions: the handshake, then records with framed messages in them. It refuses what a
//! lane refuses, and after an error nothing more is to be fed.

use std::sync::Arc;

use hpb_types::keys::PublicKey;

use super::handshake::{answer, call};
use super::record::{Channel, RECORD_OVERHEAD_LEN, RECORD_PLAIN_LEN_MAX};
use super::{HANDSHAKE_LEN_MAX, HandshakeError, HandshakeMemory, Identity, Next, Step, message_1_is_for_us};
use crate::framing::{Assembler, framed};
use crate::stats::Drop;

/// Bytes in front of a handshake message or a record.
const LENGTH_LEN: usize = 2;

/// Why a stream cannot be followed any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamError {
    /// What came is no handshake message, or calls another than this end.
    #[error("what comes is no handshake with this end")]
    Stranger,
    /// A step of the handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A record does not open.
    #[error("a record is damaged or out of order")]
    Record,
    /// A message is longer than messages may be.
    #[error("a message is longer than messages may be")]
    Framing,
    /// Something is to be said before the handshake is over.
    #[error("the handshake is not over")]
    Early,
}

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The peer's next handshake message is awaited: the first of this end's own has left, or none yet.
    First,
    /// The responder waits for the last message.
    Last,
    /// Messages may be said and heard.
    Open,
}

enum State {
    Answering(Arc<Identity>, [u8; 32]),
    Awaiting(Box<HandshakeMemory>, Progress),
    Open(Channel, PublicKey),
    Failed,
}

/// One end of a session; see the module.
pub struct StreamSession {
    state: State,
    received: Vec<u8>,
    assembler: Assembler,
    body_len_max: usize,
}

impl StreamSession {
    /// The end that calls `responder`, and its first bytes; `seed` is secret and never used again. Messages longer than
    /// `body_len_max` bytes end the stream.
    ///
    /// # Errors
    /// [`HandshakeError`]: the keys do not fit the handshake.
    pub fn call(
        identity: Arc<Identity>,
        responder: PublicKey,
        seed: [u8; 32],
        body_len_max: usize,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let Step { reply, next } = call(identity, responder, seed)?;
        let state = match next {
            Next::Await(memory) => State::Awaiting(Box::new(memory), Progress::First),
            Next::Done { .. } => State::Failed,
        };
        Ok((Self::new(state, body_len_max), reply))
    }

    /// The end that is called; otherwise as [`StreamSession::call`].
    pub fn answer(identity: Arc<Identity>, seed: [u8; 32], body_len_max: usize) -> Self {
        Self::new(State::Answering(identity, seed), body_len_max)
    }

    fn new(state: State, body_len_max: usize) -> Self {
        Self { state, received: Vec::new(), assembler: Assembler::default(), body_len_max }
    }

    /// How far it has come; `None` after an error.
    pub fn progress(&self) -> Option<Progress> {
        match &self.state {
            State::Answering(..) => Some(Progress::First),
            State::Awaiting(_, progress) => Some(*progress),
            State::Open(..) => Some(Progress::Open),
            State::Failed => None,
        }
    }

    /// Who the peer has proven to be.
    pub fn peer(&self) -> Option<PublicKey> {
        if let State::Open(_, peer) = &self.state { Some(*peer) } else { None }
    }

    /// Takes the stream's next bytes. What is to be sent in return is put behind `out`; `deliver(kind, body)` is called
    /// for each message that is whole now.
    ///
    /// # Errors
    /// [`StreamError`]: the session is over.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut deliver: impl FnMut(u8, &[u8]),
    ) -> Result<(), StreamError> {
        self.received.extend_from_slice(bytes);
        let mut taken = 0;
        let fed = loop {
            match self.next_piece(taken) {
                Ok(None) => break Ok(()),
                Ok(Some(end)) => {
                    let done = self.take(taken + LENGTH_LEN, end, out, &mut deliver);
                    taken = end;
                    if done.is_err() {
                        break done;
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.received.drain(..taken);
        if fed.is_err() {
            self.state = State::Failed;
        }
        fed
    }

    /// Where the piece that begins at `start` ends, if all of it is there.
    fn next_piece(&self, start: usize) -> Result<Option<usize>, StreamError> {
        let Some(head) = self.received[start..].first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let len = match &self.state {
            State::Open(..) => Channel::record_len(*head).map_err(|_| StreamError::Record)?,
            State::Failed => return Err(StreamError::Early),
            State::Answering(..) | State::Awaiting(..) => {
                let len = usize::from(u16::from_le_bytes(*head));
                if len == 0 || len > HANDSHAKE_LEN_MAX {
                    return Err(StreamError::Stranger);
                }
                LENGTH_LEN + len
            }
        };
        let end = start + len;
        Ok((end <= self.received.len()).then_some(end))
    }

    fn take(
        &mut self,
        start: usize,
        end: usize,
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(u8, &[u8]),
    ) -> Result<(), StreamError> {
        let piece = &mut self.received[start..end];
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Open(mut channel, peer) => {
                let plain = channel.open(piece).map_err(|_| StreamError::Record)?;
                self.assembler.feed(plain, self.body_len_max, deliver).map_err(|_| StreamError::Framing)?;
                self.state = State::Open(channel, peer);
            }
            State::Answering(identity, seed) => {
                if !message_1_is_for_us(piece, &identity) {
                    return Err(StreamError::Stranger);
                }
                let step = answer(identity, piece, seed)?;
                self.stepped(step, out);
            }
            State::Awaiting(memory, _) => {
                let step = memory.proceed(piece)?;
                self.stepped(step, out);
            }
            State::Failed => return Err(StreamError::Early),
        }
        Ok(())
    }

    fn stepped(&mut self, step: Step, out: &mut Vec<u8>) {
        out.extend_from_slice(&step.reply);
        self.state = match step.next {
            Next::Await(memory) => State::Awaiting(Box::new(memory), Progress::Last),
            Next::Done { channel, peer, .. } => State::Open(channel, peer),
        };
    }

    /// Seals a message behind `out`.
    ///
    /// # Errors
    /// [`StreamError::Early`] before the handshake is over or after an error; [`StreamError::Record`] when the keys are
    /// used up.
    pub fn say(&mut self, kind: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), StreamError> {
        let State::Open(channel, _) = &mut self.state else { return Err(StreamError::Early) };
        for plain in framed(kind, body).chunks(RECORD_PLAIN_LEN_MAX) {
            let start = out.len();
            out.resize(start + plain.len() + RECORD_OVERHEAD_LEN, 0);
            channel.seal(plain, &mut out[start..]).map_err(|_: Drop| StreamError::Record)?;
        }
        Ok(())
    }
}
