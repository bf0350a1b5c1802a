//! The terminal: its size, keys without a line's end, and waiting for one. It decides nothing.
#![allow(unsafe_code, reason = "termios(3) and ioctl(2) have no safe binding among the dependencies")]

use std::io::{self, Read as _};
use std::mem;

/// Bytes of keys that are read at once.
const KEYS_LEN: usize = 256;

/// Standard input without echo, line ends and signals (Ctrl-C is a key); as it was, once this is gone.
pub struct RawTerminal {
    before: libc::termios,
}

impl RawTerminal {
    /// Changes the terminal.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn new() -> io::Result<Self> {
        // SAFETY: all bytes zero are a termios.
        let mut before: libc::termios = unsafe { mem::zeroed() };
        // SAFETY: the pointer is to a termios of our own.
        checked(unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) })?;
        let mut raw = before;
        raw.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        raw.c_cc[libc::VMIN] = 0;
        raw.c_cc[libc::VTIME] = 0;
        // SAFETY: the pointer is to a termios of our own.
        checked(unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const raw) })?;
        Ok(Self { before })
    }

    /// The bytes that come within `wait_ms` milliseconds.
    ///
    /// # Errors
    /// Standard input broke.
    pub fn keys(&self, wait_ms: u64) -> io::Result<Vec<u8>> {
        let mut descriptor = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
        let wait_ms = wait_ms.min(60_000) as libc::c_int;
        // SAFETY: the pointer is to one descriptor of our own, and says so.
        let ready = unsafe { libc::poll(&raw mut descriptor, 1, wait_ms) };
        if ready <= 0 {
            // A signal (the screen has another size) ends the wait, no more.
            return Ok(Vec::new());
        }
        let mut bytes = [0; KEYS_LEN];
        let len = io::stdin().lock().read(&mut bytes)?;
        // Ready and empty: whoever typed is gone.
        if len == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes[..len].to_vec()) }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a termios of our own. There is nothing to do about a refusal.
        let _ = unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const self.before) };
    }
}

/// Columns and lines of the terminal on standard output; `None` if it is none.
pub fn size() -> Option<(usize, usize)> {
    // SAFETY: all bytes zero are a winsize.
    let mut size: libc::winsize = unsafe { mem::zeroed() };
    // SAFETY: this request writes a winsize, and the pointer is to one of our own.
    checked(unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) }).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
