//! Who receives, the same for every sender: kernel sockets, read by one thread that counts bytes and looks at each
//! message's stamp.

use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hdrhistogram::Histogram;
use hpb_base::limits::MESSAGE_LEN_MAX;
use hpb_host::sys::{Epoll, wall_ns};
use hpb_toe::framing::Assembler;

use super::{Failed, STAMP_LEN};

const EVENTS: usize = 64;
/// It looks at its orders this often.
const LOOK_MS: i32 = 5;
/// Bytes of one read.
const CHUNK_LEN: usize = 256 << 10;
/// The longest latency that is told apart from longer ones.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What the receiver tells while it runs, and is told.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Sessions that it took.
    pub(super) sessions: AtomicUsize,
    /// Bytes of all sessions.
    pub(super) bytes: AtomicU64,
    /// Messages that came and count: those stamped at `since_ns` or later.
    pub(super) messages: AtomicU64,
    /// Messages with an earlier stamp do not count; nothing does before this is set.
    pub(super) since_ns: AtomicU64,
    /// It is to end.
    pub(super) stop: AtomicBool,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self { since_ns: AtomicU64::new(u64::MAX), ..Self::default() }
    }
}

/// Receives until it is told to stop. Returns the latencies in nanoseconds, from a message's stamp to its last byte.
pub(super) fn receive(listener: &TcpListener, arrivals: &Arrivals) -> Result<Histogram<u64>, Failed> {
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new(EVENTS)?;
    let accepting = usize::MAX;
    epoll.add(listener, accepting as u64)?;
    let mut histogram =
        Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(|error| Failed::Other(error.to_string()))?;
    let mut sessions: Vec<(TcpStream, Assembler)> = Vec::new();
    let mut chunk = vec![0; CHUNK_LEN];
    while !arrivals.stop.load(Ordering::Relaxed) {
        for event in 0..epoll.wait(LOOK_MS)? {
            let token = epoll.token(event);
            if token == accepting {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    epoll.add(&stream, sessions.len() as u64)?;
                    sessions.push((stream, Assembler::default()));
                }
                arrivals.sessions.store(sessions.len(), Ordering::Relaxed);
                continue;
            }
            let (stream, assembler) = &mut sessions[token];
            let len = match stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            arrivals.bytes.fetch_add(len as u64, Ordering::Relaxed);
            let (now_ns, since_ns) = (wall_ns(), arrivals.since_ns.load(Ordering::Relaxed));
            let mut counted = 0;
            let fed = assembler.feed(&chunk[..len], MESSAGE_LEN_MAX, |_, body| {
                let Some(stamp) = body.first_chunk::<STAMP_LEN>() else { return };
                let sent_ns = u64::from_le_bytes(*stamp);
                if sent_ns >= since_ns {
                    counted += 1;
                    histogram.saturating_record(now_ns.saturating_sub(sent_ns));
                }
            });
            fed.map_err(|_| Failed::Other("a message that nobody sent".to_owned()))?;
            arrivals.messages.fetch_add(counted, Ordering::Relaxed);
        }
    }
    Ok(histogram)
}
