//! NATS's text protocol, the client's side, without I/O: bytes in, events out, and the lines that a client says.
//!
//! Source: <https://docs.nats.io/reference/reference-protocols/nats-protocol>. Headers (`HMSG`) are not asked for, so a
//! server that sends them is refused as any other line that is not known. Lines and payloads are bounded
//! ([`NATS_LINE_LEN_MAX`], [`NATS_PAYLOAD_LEN_MAX`]).

use hpb_base::limits::{NATS_LINE_LEN_MAX, NATS_PAYLOAD_LEN_MAX};
use serde::{Deserialize, Serialize};

/// What a server says of itself; fields that it leaves out are zeros.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// Bytes of the longest payload that it takes.
    pub max_payload: usize,
    /// Whether it speaks TLS alone.
    pub tls_required: bool,
    /// Whether it wants a name and a password.
    pub auth_required: bool,
}

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Its greeting, or what has changed of it.
    Info(ServerInfo),
    /// A message of a subject that was asked for.
    Message {
        /// Its subject.
        subject: String,
        /// Where an answer is wanted; empty where none is.
        reply: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// It wants a `PONG`.
    Ping,
    /// It heard a `PING`.
    Pong,
    /// It took a line.
    Ok,
    /// It refuses something, in its own words.
    Refused(String),
}

/// What came is not this protocol.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// A line that no server of NATS says.
    #[error("it speaks no NATS: `{0}`")]
    Line(String),
    /// Beyond [`NATS_LINE_LEN_MAX`].
    #[error("a line of more than {NATS_LINE_LEN_MAX} bytes")]
    LongLine,
    /// Beyond [`NATS_PAYLOAD_LEN_MAX`].
    #[error("a payload of {0} bytes, more than {NATS_PAYLOAD_LEN_MAX}")]
    LongPayload(usize),
}

/// The reader: whatever pieces bytes come in, the events are the same.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// How far they were taken.
    taken_len: usize,
    /// A message whose payload is awaited, and the payload's length.
    open: Option<(String, String, usize)>,
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    /// The user's name; none with a token.
    pub user: Option<String>,
    /// The password, or the token.
    pub secret: Option<String>,
}

impl Reader {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken_len > 0 {
            self.bytes.drain(..self.taken_len);
            self.taken_len = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event, once all of it is there.
    ///
    /// # Errors
    /// What came is not this protocol; nothing after it can be trusted.
    pub fn event(&mut self) -> Result<Option<Event>, Malformed> {
        if let Some((_, _, len)) = &self.open {
            let len = *len;
            let rest = &self.bytes[self.taken_len..];
            if rest.len() < len + 2 {
                return Ok(None);
            }
            if &rest[len..len + 2] != b"\r\n" {
                return Err(Malformed::Line("a payload without its end".to_owned()));
            }
            let payload = rest[..len].to_vec();
            self.taken_len += len + 2;
            let message = self.open.take().map(|(subject, reply, _)| Event::Message { subject, reply, payload });
            return Ok(message);
        }
        let rest = &self.bytes[self.taken_len..];
        let Some(end) = rest.iter().take(NATS_LINE_LEN_MAX).position(|byte| *byte == b'\n') else {
            return if rest.len() >= NATS_LINE_LEN_MAX { Err(Malformed::LongLine) } else { Ok(None) };
        };
        let line = String::from_utf8_lossy(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])).into_owned();
        self.taken_len += end + 1;
        match event_of(&line)? {
            Line::Event(event) => Ok(Some(event)),
            Line::Opens(subject, reply, len) => {
                self.open = Some((subject, reply, len));
                self.event()
            }
        }
    }
}

enum Line {
    Event(Event),
    Opens(String, String, usize),
}

fn event_of(line: &str) -> Result<Line, Malformed> {
    let unknown = || Malformed::Line(line.chars().take(80).flat_map(char::escape_debug).collect());
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let event = match word.to_ascii_uppercase().as_str() {
        "PING" => Event::Ping,
        "PONG" => Event::Pong,
        "+OK" => Event::Ok,
        "-ERR" => Event::Refused(rest.trim().trim_matches('\'').chars().filter(|one| !one.is_control()).collect()),
        // An object, since serde would take a list for one.
        "INFO" if rest.trim_start().starts_with('{') => Event::Info(serde_json::from_str(rest).map_err(|_| unknown())?),
        "MSG" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (subject, reply, len) = match words[..] {
                [subject, _, len] => (subject, "", len),
                [subject, _, reply, len] => (subject, reply, len),
                _ => return Err(unknown()),
            };
            let len: usize = len.parse().map_err(|_| unknown())?;
            if len > NATS_PAYLOAD_LEN_MAX {
                return Err(Malformed::LongPayload(len));
            }
            return Ok(Line::Opens(subject.to_owned(), reply.to_owned(), len));
        }
        _ => return Err(unknown()),
    };
    Ok(Line::Event(event))
}

/// What a client says first.
pub fn connect_line(name: &str, version: &str, credentials: &Credentials) -> String {
    #[derive(Serialize)]
    struct Connect<'a> {
        verbose: bool,
        pedantic: bool,
        tls_required: bool,
        lang: &'a str,
        version: &'a str,
        protocol: u32,
        echo: bool,
        headers: bool,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pass: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        auth_token: Option<&'a str>,
    }
    let (user, secret) = (credentials.user.as_deref(), credentials.secret.as_deref());
    let (pass, auth_token) = if user.is_some() { (secret, None) } else { (None, secret) };
    let (verbose, pedantic, tls_required, echo, headers) = (false, false, false, true, false);
    let connect = Connect {
        verbose,
        pedantic,
        tls_required,
        lang: "rust",
        version,
        protocol: 0,
        echo,
        headers,
        name,
        user,
        pass,
        auth_token,
    };
    // Of words and flags there is always a text.
    format!("CONNECT {}\r\nPING\r\n", serde_json::to_string(&connect).unwrap_or_default())
}

/// Asks for a subject's messages, under a number of the client's own.
pub fn subscribe_line(subject: &str, number: u64) -> String {
    format!("SUB {subject} {number}\r\n")
}

/// A message as it is sent; no answer is asked for.
pub fn publish(subject: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Whether a word may stand in a subject: without spaces, dots and wildcards, and not empty.
pub fn is_subject_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
