//! Ending: the flag that stops every executor, and the signals that raise it.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::sys::{self, EventFd};

/// Raised once, it stops every executor that watches it, also the sleeping ones. Clones are the same flag.
#[derive(Clone, Debug)]
pub struct StopFlag(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raised: AtomicBool,
    bell: EventFd,
}

impl StopFlag {
    /// A flag that is down.
    ///
    /// # Errors
    /// No descriptor is left for its bell.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Inner { raised: AtomicBool::new(false), bell: EventFd::new()? })))
    }

    /// Raises it for good. May be called from a signal handler.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.bell.ring();
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Readable from the moment the flag is raised.
    pub fn descriptor(&self) -> RawFd {
        self.0.bell.as_raw_fd()
    }
}

static RAISED_BY_SIGNAL: OnceLock<StopFlag> = OnceLock::new();

extern "C" fn raise_by_signal(_signal: libc::c_int) {
    sys::keeping_errno(|| {
        if let Some(stop) = RAISED_BY_SIGNAL.get() {
            stop.raise();
        }
    });
}

/// From now on Ctrl-C (`SIGINT`) and `SIGTERM` raise `stop`. The second of the same kind ends the process at once, so
/// that a stop that hangs can be ended from the keyboard. A write beyond the limit of a file's size (`ulimit -f`) becomes
/// an error of its worker.
///
/// # Errors
/// Another flag was given before in this process, or the kernel refuses.
pub fn stop_on_signals(stop: &StopFlag) -> io::Result<()> {
    let held = RAISED_BY_SIGNAL.get_or_init(|| stop.clone());
    if !Arc::ptr_eq(&held.0, &stop.0) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the signals of this process raise another stop flag",
        ));
    }
    sys::file_limit_is_an_error();
    sys::on_signal(libc::SIGINT, raise_by_signal)?;
    sys::on_signal(libc::SIGTERM, raise_by_signal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    #![allow(clippy::disallowed_methods, reason = "two threads are what is tried")]

    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_raised_flag_is_seen_by_every_clone_and_ends_every_wait() {
        let stop = StopFlag::new().unwrap();
        let watcher = stop.clone();
        assert!(!watcher.is_raised());
        let waiting = std::thread::spawn(move || {
            let mut descriptors = [sys::wait_for(watcher.descriptor())];
            while !watcher.is_raised() {
                sys::wait(&mut descriptors, None).unwrap();
            }
        });
        stop.raise();
        waiting.join().unwrap();
        assert_eq!(sys::wait(&mut [sys::wait_for(stop.descriptor())], None).unwrap(), 1, "it stays readable");
    }

    /// Set in the process that the test below starts: the test itself, once more.
    const CHILD: &str = "HPB_TEST_SIGNAL_CHILD";

    /// Set beside it: the signal is sent twice.
    const TWICE: &str = "HPB_TEST_SIGNAL_TWICE";

    /// Handlers are the process's, so they are tried in a process of their own.
    fn child(signal: &str) {
        let stop = StopFlag::new().unwrap();
        stop_on_signals(&stop).unwrap();
        stop_on_signals(&stop).unwrap();
        assert!(stop_on_signals(&StopFlag::new().unwrap()).is_err(), "one flag a process");
        let kill = format!("kill -{signal} {}", std::process::id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        while !stop.is_raised() {
            sys::wait(&mut [sys::wait_for(stop.descriptor())], None).unwrap();
        }
        if std::env::var_os(TWICE).is_some() {
            std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
            unreachable!("the second signal ends it");
        }
    }

    #[test]
    fn ctrl_c_and_sigterm_raise_the_flag_of_the_process() {
        if let Ok(signal) = std::env::var(CHILD) {
            return child(&signal);
        }
        for (signal, number) in [("INT", libc::SIGINT), ("TERM", libc::SIGTERM)] {
            let again = || {
                let mut again = std::process::Command::new(std::env::current_exe().unwrap());
                again.args(["--exact", "runtime::signal::tests::ctrl_c_and_sigterm_raise_the_flag_of_the_process"]);
                again.env(CHILD, signal);
                again
            };
            assert_eq!(again().env(TWICE, "1").output().unwrap().status.signal(), Some(number), "at once");
            let output = again().output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "SIG{signal}: {:?}\n{text}", output.status);
        }
    }
}
