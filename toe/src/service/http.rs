//! A static page over HTTP/1.1 (RFC 9110, RFC 9112): GET and HEAD, persistent connections, requests one after the other.
//! A request with a body, or one that breaks the format, is answered and its connection closed.

use std::sync::Arc;

use super::Served;
use crate::engine::Socket;

/// Bytes of a request's head; a longer one is refused.
const HEAD_LEN_MAX: usize = 8 << 10;

/// The page, with its answers ready.
#[derive(Debug)]
pub struct Page {
    keep: Arc<[u8]>,
    close: Arc<[u8]>,
    head_keep: Arc<[u8]>,
    head_close: Arc<[u8]>,
}

impl Page {
    /// A page of `body` with its media type; served at every path.
    pub fn new(media_type: &str, body: &[u8]) -> Self {
        let answer = |connection: &str, with_body: bool| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
                body.len()
            );
            let body = if with_body { body } else { &[] };
            Arc::from([head.as_bytes(), body].concat())
        };
        Self {
            keep: answer("keep-alive", true),
            close: answer("close", true),
            head_keep: answer("keep-alive", false),
            head_close: answer("close", false),
        }
    }

    /// Its answers, whole; for a lane's tape.
    pub(crate) fn answers(&self) -> [&[u8]; 4] {
        let Self { keep, close, head_keep, head_close } = self;
        [keep, close, head_keep, head_close]
    }

    pub(crate) fn of_answers([keep, close, head_keep, head_close]: [Arc<[u8]>; 4]) -> Self {
        Self { keep, close, head_keep, head_close }
    }
}

/// One connection: the head that is being read, the answer that is being sent.
pub(crate) struct Request {
    page: Arc<Page>,
    head: Vec<u8>,
    answer: Option<(Arc<[u8]>, usize)>,
    last: bool,
}

impl Request {
    pub(super) fn new(page: Arc<Page>) -> Self {
        Self { page, head: Vec::new(), answer: None, last: false }
    }

    pub(super) fn run(&mut self, socket: &mut Socket, scratch: &mut [u8]) -> Served {
        loop {
            if let Some((answer, sent_len)) = &mut self.answer {
                *sent_len += socket.send(&answer[*sent_len..]);
                if *sent_len < answer.len() {
                    return Served::Owes;
                }
                self.answer = None;
            }
            if self.last {
                // What still comes is taken and forgotten, so that the peer can finish.
                while socket.recv_len() > 0 && socket.recv(|bytes| (bytes.len(), ())).is_some() {}
                return Served::Finished;
            }
            if let Some(end) = end_of_head(&self.head) {
                let rest = self.head.split_off(end);
                let head = std::mem::replace(&mut self.head, rest);
                self.respond(&head);
                continue;
            }
            if is_hopeless(&self.head) {
                self.refuse("400 Bad Request");
                continue;
            }
            if self.head.len() >= HEAD_LEN_MAX {
                self.refuse("431 Request Header Fields Too Large");
                continue;
            }
            let len = socket.recv_len().min(scratch.len()).min(HEAD_LEN_MAX - self.head.len());
            if len == 0 || !socket.recv_exact(&mut scratch[..len]) {
                return Served::Idle;
            }
            self.head.extend_from_slice(&scratch[..len]);
        }
    }

    fn respond(&mut self, head: &[u8]) {
        let Some(asked) = parse(head) else { return self.refuse("400 Bad Request") };
        if asked.has_body {
            return self.refuse("413 Content Too Large");
        }
        let answer = match (asked.method, asked.keep) {
            (b"GET", true) => &self.page.keep,
            (b"GET", false) => &self.page.close,
            (b"HEAD", true) => &self.page.head_keep,
            (b"HEAD", false) => &self.page.head_close,
            _ => return self.refuse("405 Method Not Allowed\r\nAllow: GET, HEAD"),
        };
        self.answer = Some((Arc::clone(answer), 0));
        self.last = !asked.keep;
    }

    fn refuse(&mut self, status: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.answer = Some((Arc::from(answer.into_bytes()), 0));
        self.last = true;
        self.head.clear();
    }
}

struct Asked<'a> {
    method: &'a [u8],
    keep: bool,
    has_body: bool,
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether what came of a head can become no request any more. Who speaks another protocol is told so at once, and does
/// not wait for an end that his bytes do not have.
fn is_hopeless(begun: &[u8]) -> bool {
    match begun.iter().position(|byte| *byte == b'\n') {
        Some(end) => request_line(begun[..end].strip_suffix(b"\r").unwrap_or(&begun[..end])).is_none(),
        None => !begun.strip_suffix(b"\r").unwrap_or(begun).iter().copied().all(is_of_request_line),
    }
}

fn is_of_request_line(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// A request line's method, and whether its version keeps the connection. Its bytes are judged here too, so that a line
/// that came whole meets the rule that [`is_hopeless`] holds its beginning to: an answer never depends on the segments.
fn request_line(line: &[u8]) -> Option<(&[u8], bool)> {
    if !line.iter().copied().all(is_of_request_line) {
        return None;
    }
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method.is_empty() || target.is_empty() || words.next().is_some() {
        return None;
    }
    match version {
        b"HTTP/1.1" => Some((method, true)),
        b"HTTP/1.0" => Some((method, false)),
        _ => None,
    }
}

/// The request line and the fields that matter (RFC 9112 sections 3 and 9.3).
fn parse(head: &[u8]) -> Option<Asked<'_>> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (method, mut keep) = request_line(lines.next()?)?;
    let mut has_body = false;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"connection") {
            if value.eq_ignore_ascii_case(b"close") {
                keep = false;
            } else if value.eq_ignore_ascii_case(b"keep-alive") {
                keep = true;
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            has_body = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            has_body |= value != b"0";
        }
    }
    Some(Asked { method, keep, has_body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Option<(Vec<u8>, bool, bool)> {
        parse(head.as_bytes()).map(|asked| (asked.method.to_vec(), asked.keep, asked.has_body))
    }

    #[test]
    fn versions_and_connection_fields_decide_what_is_kept() {
        let get = |keep| Some((b"GET".to_vec(), keep, false));
        assert_eq!(asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), get(true));
        assert_eq!(asked("GET / HTTP/1.1\r\nconnection:  CLOSE \r\n\r\n"), get(false));
        assert_eq!(asked("GET / HTTP/1.0\r\n\r\n"), get(false));
        assert_eq!(asked("GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), get(true));
        assert_eq!(asked("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), Some((b"POST".to_vec(), true, true)));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_bytes() {
        for begun in ["", "G", "GET / HT", "GET /\u{7e} HTTP/1.1\r", "GET / HTTP/1.0\r\nHo", "HELP ME"] {
            assert!(!is_hopeless(begun.as_bytes()), "{begun:?}");
        }
        let tls_hello: &[u8] = &[22, 3, 1, 2, 0, 1];
        for begun in [tls_hello, b"l\0\x0b", b"HELP\r\n", b"GET /\r\n", b"\r\n", b"GET /\r HTTP/1.1", b"GET \xff"] {
            assert!(is_hopeless(begun), "{begun:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for head in [
            "\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / x HTTP/1.1\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
            "G\u{0}T / HTTP/1.1\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\n\r\n",
        ] {
            assert!(asked(head).is_none(), "{head:?}");
        }
    }
}
