//! Plain byte-stream services of the card itself: echo, discard, chargen and a static page over HTTP/1.1. They carry no
//! messages and no encryption, so that programs which know nothing of this card can test it.
//!
//! A service is run on what its session's engine has received and has room for, and is pushed back by the peer's window
//! like any sender: it buffers nothing but one HTTP request's head.

mod http;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::engine::Socket;
pub use http::Page;
use http::Request;

/// Which service answers at a port.
#[derive(Clone, Debug)]
pub enum Service {
    /// Sends back what comes (RFC 862).
    Echo,
    /// Takes what comes (RFC 863).
    Discard,
    /// Sends lines of characters until the peer has enough (RFC 864).
    Chargen,
    /// Answers GET and HEAD for one page (RFC 9112).
    Http(Arc<Page>),
}

/// A session's service and where it stands.
pub(crate) enum Serving {
    Echo,
    Discard,
    Chargen { position: u64 },
    Http(Box<Request>),
}

/// What is to become of the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Served {
    /// It goes on; it may be closed when the peer has said FIN.
    Idle,
    /// It owes the peer bytes that find no room yet.
    Owes,
    /// It has said all that it will.
    Finished,
}

impl Serving {
    pub(crate) fn new(service: &Service) -> Self {
        match service {
            Service::Echo => Self::Echo,
            Service::Discard => Self::Discard,
            Service::Chargen => Self::Chargen { position: 0 },
            Service::Http(page) => Self::Http(Box::new(Request::new(Arc::clone(page)))),
        }
    }

    /// Serves as far as received bytes and room to send allow. `scratch` has no meaning between calls.
    pub(crate) fn run(&mut self, socket: &mut Socket, scratch: &mut [u8]) -> Served {
        match self {
            Self::Echo => echo(socket, scratch),
            Self::Discard => {
                while socket.recv_len() > 0 && socket.recv(|bytes| (bytes.len(), ())).is_some() {}
                Served::Idle
            }
            Self::Chargen { position } => {
                while socket.recv_len() > 0 && socket.recv(|bytes| (bytes.len(), ())).is_some() {}
                while socket.send_room() > 0 && fill(socket, position).is_some_and(|len| len > 0) {}
                Served::Idle
            }
            Self::Http(request) => request.run(socket, scratch),
        }
    }
}

fn echo(socket: &mut Socket, scratch: &mut [u8]) -> Served {
    loop {
        let len = socket.recv_len().min(socket.send_room()).min(scratch.len());
        if len == 0 {
            return if socket.recv_len() > 0 { Served::Owes } else { Served::Idle };
        }
        let chunk = &mut scratch[..len];
        if !socket.recv_exact(chunk) || socket.send(chunk) != len {
            return Served::Idle;
        }
    }
}

/// Characters of a line, and of its end.
const LINE_LEN: u64 = 72;
const LINE_END: [u8; 2] = *b"\r\n";
/// The printable characters, in order.
const FIRST_CHARACTER: u64 = 0x20;
const CHARACTERS: u64 = 95;

fn fill(socket: &mut Socket, position: &mut u64) -> Option<usize> {
    socket.send_in_place(|free| {
        for byte in free.iter_mut() {
            *byte = character(*position);
            *position += 1;
        }
        (free.len(), free.len())
    })
}

/// The byte of the chargen stream at `position`: each line begins one character further on (RFC 864, the usual pattern).
pub(crate) fn character(position: u64) -> u8 {
    let line = position / (LINE_LEN + 2);
    let column = position % (LINE_LEN + 2);
    match column.checked_sub(LINE_LEN) {
        Some(end) => LINE_END[end as usize],
        None => (FIRST_CHARACTER + (line + column) % CHARACTERS) as u8,
    }
}
