//! A light client of NATS over one blocking TCP stream: enough for agents to meet, and no more. No TLS, no headers, no
//! `JetStream`, no clusters.
//!
//! Nothing here but whoever holds the client reads or writes: no thread of its own, and an answer to the server's
//! `PING` leaves when [`Client::next`] is called.

pub mod protocol;
#[cfg(test)]
mod tests;
mod url;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration as StdDuration;

use hpb_base::{Duration, Instant};

use crate::host::window::now;
pub use protocol::{Credentials, is_subject_word};
use protocol::{Event, Malformed, Reader, connect_line, publish, subscribe_line};
pub use url::{NatsUrl, credentials};

/// How long a call, the greeting, or a write may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that is silent for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(10);
/// One that is silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Bytes that one read may bring.
const CHUNK_LEN: usize = 64 << 10;
/// Bytes beside a message's own in what a payload must hold.
const PAYLOAD_LEN_LEAST: usize = 1_024;

/// Why there is no talking with a server.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// Nobody answers there.
    #[error("{url}: no NATS server answers ({reason}); `nats-server` starts one")]
    Absent {
        /// Where.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// It does not take this client.
    #[error("{url}: the NATS server refuses: {reason}")]
    Refused {
        /// Where.
        url: String,
        /// Its words.
        reason: String,
    },
    /// It speaks something else.
    #[error("{url}: {reason}")]
    Malformed {
        /// Where.
        url: String,
        /// What came.
        reason: Malformed,
    },
    /// It wants what this client does not have.
    #[error("{url}: the NATS server wants TLS, which is not spoken here: a port of its own without it, or a tunnel")]
    Tls {
        /// Where.
        url: String,
    },
    /// It was there, and is gone.
    #[error("{url}: the session with the NATS server ended: {reason}")]
    Lost {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
}

/// A message that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// One session with a server.
pub struct Client {
    stream: TcpStream,
    reader: Reader,
    url: String,
    payload_len_max: usize,
    subscriptions: u64,
    heard_at: Instant,
    is_asked: bool,
    chunk: Vec<u8>,
}

impl Client {
    /// Calls a server and waits until it has taken the call.
    ///
    /// # Errors
    /// Nobody answers, it refuses, or it wants what this client does not speak.
    pub fn connect(url: &NatsUrl, name: &str) -> Result<Self, NatsError> {
        let place = url.to_string();
        let absent = |reason: String| NatsError::Absent { url: place.clone(), reason };
        let found = (url.host.as_str(), url.port).to_socket_addrs().map_err(|error| absent(error.to_string()))?;
        let mut last = "its name has no address".to_owned();
        let stream = found.into_iter().find_map(|address| {
            let called = TcpStream::connect_timeout(&address, PATIENCE.to_std());
            called.map_err(|error| last = error.to_string()).ok()
        });
        let stream = stream.ok_or_else(|| absent(last.clone()))?;
        let set = stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(PATIENCE.to_std())));
        set.map_err(|error| absent(error.to_string()))?;
        let mut client = Self {
            stream,
            reader: Reader::default(),
            url: place.clone(),
            payload_len_max: 0,
            subscriptions: 0,
            heard_at: now(),
            is_asked: false,
            chunk: vec![0; CHUNK_LEN],
        };
        client.greet(url, name)?;
        Ok(client)
    }

    fn greet(&mut self, url: &NatsUrl, name: &str) -> Result<(), NatsError> {
        let until = now() + PATIENCE;
        loop {
            match self.event(until)? {
                Some(Event::Info(info)) if self.payload_len_max == 0 => {
                    if info.tls_required {
                        return Err(NatsError::Tls { url: self.url.clone() });
                    }
                    if info.max_payload < PAYLOAD_LEN_LEAST {
                        let reason = format!("payloads of {} bytes at most are too few", info.max_payload);
                        return Err(NatsError::Refused { url: self.url.clone(), reason });
                    }
                    self.payload_len_max = info.max_payload;
                    self.write(connect_line(name, env!("CARGO_PKG_VERSION"), &url.credentials).as_bytes())?;
                }
                Some(Event::Pong) if self.payload_len_max > 0 => return Ok(()),
                Some(_) if now() < until => {}
                Some(_) | None => {
                    let reason = "no greeting".to_owned();
                    return Err(NatsError::Absent { url: self.url.clone(), reason });
                }
            }
        }
    }

    /// The longest payload that the server takes, in bytes.
    pub fn payload_len_max(&self) -> usize {
        self.payload_len_max
    }

    /// The address of this end: the one by which the server is reached.
    pub fn local_address(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip())
    }

    /// Asks for a subject's messages.
    ///
    /// # Errors
    /// The server is gone.
    pub fn subscribe(&mut self, subject: &str) -> Result<(), NatsError> {
        self.subscriptions += 1;
        self.write(subscribe_line(subject, self.subscriptions).as_bytes())
    }

    /// Sends a message, no longer than [`Self::payload_len_max`].
    ///
    /// # Errors
    /// The server is gone.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) -> Result<(), NatsError> {
        self.write(&publish(subject, payload))
    }

    /// The next message, waited for at most so long.
    ///
    /// # Errors
    /// The server is gone, or refuses something.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Message>, NatsError> {
        let until = now() + patience;
        loop {
            match self.event(until)? {
                Some(Event::Message { subject, payload, .. }) => return Ok(Some(Message { subject, payload })),
                // Who says nothing but what is no message does not hold the caller.
                Some(_) if now() < until => {}
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// The next event before an instant; its pings are answered here.
    fn event(&mut self, until: Instant) -> Result<Option<Event>, NatsError> {
        loop {
            let read = self.reader.event();
            match read.map_err(|reason| NatsError::Malformed { url: self.url.clone(), reason })? {
                Some(Event::Ping) => {
                    self.write(b"PONG\r\n")?;
                    return Ok(Some(Event::Ping));
                }
                Some(Event::Refused(reason)) => return Err(NatsError::Refused { url: self.url.clone(), reason }),
                Some(event) => return Ok(Some(event)),
                None => {
                    let left = until.since(now());
                    if !self.read(left)? && left.is_zero() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Waits for bytes; whether some came.
    fn read(&mut self, patience: Duration) -> Result<bool, NatsError> {
        // A time-out of nothing would be none at all.
        let patience = patience.to_std().max(StdDuration::from_millis(1));
        self.stream.set_read_timeout(Some(patience)).map_err(|error| self.lost(&error.to_string()))?;
        match self.stream.read(&mut self.chunk) {
            Ok(0) => Err(self.lost("it closed")),
            Ok(len) => {
                self.reader.push(&self.chunk[..len]);
                (self.heard_at, self.is_asked) = (now(), false);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.mind().map(|()| false)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// Asks a silent server whether it lives.
    fn mind(&mut self) -> Result<(), NatsError> {
        let silence = now().since(self.heard_at);
        if silence > SILENCE_MAX {
            return Err(self.lost("it is silent"));
        }
        if silence > SILENCE && !self.is_asked {
            self.is_asked = true;
            self.write(b"PING\r\n")?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), NatsError> {
        self.stream.write_all(bytes).map_err(|error| self.lost(&error.to_string()))
    }

    fn lost(&self, reason: &str) -> NatsError {
        NatsError::Lost { url: self.url.clone(), reason: reason.to_owned() }
    }
}
