//! One session of a capture, said again to a program of now: the caller's bytes over a session of this host's TCP, and
//! the answers compared. Sequence numbers, segments and windows are those of now.
//!
//! What the caller said is said when the answers before it have come, and not before its time in the capture, unless it
//! is asked to hurry. An answer that does not come is waited for [`ReplayOptions::patience`].

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time;

use hpb_base::Duration;
use serde::Serialize;

use super::streams::Stream;

/// How a session is said again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayOptions {
    /// To whom.
    pub to: SocketAddr,
    /// Not waiting for the capture's times.
    pub hurry: bool,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Said {
    /// Always `stream`: bytes were compared, and no frames.
    pub level: &'static str,
    /// To whom it was said.
    pub to: SocketAddr,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes of answers, all like those of the capture.
    pub alike: u64,
    /// Bytes of answers that the capture has.
    pub expected: u64,
    /// How long each answer's first byte took behind the last byte asked: in the capture and now, in nanoseconds.
    pub answers: Vec<(u64, u64)>,
    /// Where the answers part; none if they do not.
    pub parted: Option<String>,
}

/// Says a session again.
///
/// # Errors
/// What the operating system says of the session.
pub fn say_again(stream: &Stream, options: &ReplayOptions) -> io::Result<Said> {
    let patience = options.patience.to_std();
    let mut session = TcpStream::connect_timeout(&options.to, patience)?;
    session.set_nodelay(true)?;
    session.set_read_timeout(Some(patience))?;
    session.set_write_timeout(Some(patience))?;
    let clock = Clock::start();
    let expected = stream.said.iter().filter(|said| !said.by_caller).map(|said| said.bytes.len() as u64).sum();
    let mut outcome =
        Said { level: "stream", to: options.to, sent: 0, alike: 0, expected, answers: Vec::new(), parted: None };
    // When the caller had last spoken: in the capture, and now.
    let mut asked: Option<(u64, u64)> = None;
    for said in &stream.said {
        if said.by_caller {
            if !options.hurry {
                clock.wait_until(said.at_ns);
            }
            if let Err(error) = session.write_all(&said.bytes) {
                outcome.parted = Some(format!("it takes no more behind {} bytes: {error}", outcome.sent));
                break;
            }
            outcome.sent += said.bytes.len() as u64;
            asked = Some((said.at_ns, clock.ns()));
            continue;
        }
        let mut heard_at = None;
        if let Some(parted) = hear(&mut session, &said.bytes, &clock, &mut heard_at, &mut outcome.alike) {
            outcome.parted = Some(parted);
            break;
        }
        if let (Some((then, now)), Some(heard)) = (asked.take(), heard_at) {
            outcome.answers.push((said.at_ns.saturating_sub(then), heard - now));
        }
    }
    Ok(outcome)
}

/// Hears an answer and compares it; where it parts.
fn hear(
    session: &mut TcpStream,
    expected: &[u8],
    clock: &Clock,
    heard_at: &mut Option<u64>,
    alike: &mut u64,
) -> Option<String> {
    let mut buffer = [0; 16 << 10];
    let mut at = 0;
    while at < expected.len() {
        let room = buffer.len().min(expected.len() - at);
        let read = match session.read(&mut buffer[..room]) {
            Ok(0) => return Some(format!("it says no more behind {alike} bytes of its answers")),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Some(format!("no answer behind {alike} bytes of its answers: {error}")),
        };
        heard_at.get_or_insert_with(|| clock.ns());
        let differs = buffer[..read].iter().zip(&expected[at..]).position(|(now, then)| now != then);
        if let Some(differs) = differs {
            *alike += differs as u64;
            let (now, then) = (buffer[differs], expected[at + differs]);
            return Some(format!("it answers otherwise: byte {alike} is {now:#04x}, where it was {then:#04x}"));
        }
        at += read;
        *alike += read as u64;
    }
    None
}

/// Reads this host's clock, and rests.
struct Clock(time::Instant);

#[allow(clippy::disallowed_methods, reason = "a driver that talks to a program of now")]
impl Clock {
    fn start() -> Self {
        Self(time::Instant::now())
    }

    fn ns(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    fn wait_until(&self, at_ns: u64) {
        std::thread::sleep(time::Duration::from_nanos(at_ns.saturating_sub(self.ns())));
    }
}

impl Said {
    /// In words, for people.
    pub fn terminal(&self) -> String {
        let Self { to, sent, alike, expected, answers, parted, .. } = self;
        let mut text = format!(
            "said again to {to}, at stream level with live sequence numbers: {sent} bytes sent, {alike} of {expected} \
             bytes of answers alike\n"
        );
        let mid = |pick: fn(&(u64, u64)) -> u64| {
            let mut all: Vec<u64> = answers.iter().map(pick).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default() / 1_000
        };
        if !answers.is_empty() {
            let (count, then, now) = (answers.len(), mid(|(then, _)| *then), mid(|(_, now)| *now));
            let _ = writeln!(
                text,
                "{count} answers, their first byte behind the last byte asked by {then} us then and {now} us now (medians)"
            );
        }
        let _ = writeln!(text, "{}", parted.as_deref().unwrap_or("the answers are alike"));
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use std::net::TcpListener;
    use std::thread;

    use super::super::streams::Said as Turn;
    use super::*;

    fn stream(turns: &[(bool, &[u8])]) -> Stream {
        let end: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let said =
            turns.iter().map(|(by_caller, bytes)| Turn { by_caller: *by_caller, at_ns: 0, bytes: bytes.to_vec() });
        Stream { caller: end, called: end, said: said.collect(), has_beginning: true, has_gap: false }
    }

    /// A program that answers each line with the same line.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for session in listener.incoming() {
                let mut session = session.unwrap();
                let mut buffer = [0; 1_024];
                while let Ok(len @ 1..) = session.read(&mut buffer) {
                    session.write_all(&buffer[..len]).unwrap();
                }
            }
        });
        address
    }

    fn options(to: SocketAddr) -> ReplayOptions {
        ReplayOptions { to, hurry: true, patience: Duration::from_secs(20) }
    }

    #[test]
    fn answers_are_compared_byte_by_byte() {
        let to = echo();
        let same = stream(&[(true, b"one"), (false, b"one"), (true, b"two"), (false, b"two")]);
        let said = say_again(&same, &options(to)).unwrap();
        assert_eq!((said.sent, said.alike, said.expected, said.answers.len()), (6, 6, 6, 2));
        assert_eq!(said.parted, None);
        let other = stream(&[(true, b"three"), (false, b"thRee"), (true, b"four")]);
        let said = say_again(&other, &options(to)).unwrap();
        assert_eq!((said.sent, said.alike), (5, 2));
        assert!(said.parted.unwrap().contains("byte 2 is 0x72, where it was 0x52"));
    }
}
