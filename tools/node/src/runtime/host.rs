//! What the host allows: open files, locked memory, `io_uring`; and which loop the executors run on for it.
//!
//! It changes no limit: too small a one is an error that names it and the command that raises it.

use std::fmt;
use std::io;

use super::sys;

/// Locked memory below which glommio does not start, in bytes.
pub const MEMLOCK_LEN_MIN: u64 = 512 << 10;

/// Open files that one executor of the runtime takes at most: its bell, and glommio's three rings and notifier.
pub const FILES_PER_EXECUTOR_MAX: u64 = 6;

/// The limits of this process as they stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostLimits {
    /// Open files, the soft limit (`RLIMIT_NOFILE`).
    pub files: u64,
    /// How far the soft limit of open files may be raised without privilege.
    pub files_hard: u64,
    /// Locked memory in bytes, the soft limit (`RLIMIT_MEMLOCK`); `u64::MAX` is unlimited.
    pub memlock_len: u64,
}

impl HostLimits {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn read() -> io::Result<Self> {
        let (files, files_hard) = sys::limit(libc::RLIMIT_NOFILE)?;
        let (memlock_len, _) = sys::limit(libc::RLIMIT_MEMLOCK)?;
        Ok(Self { files, files_hard, memlock_len })
    }
}

/// Why a limit is too small.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The soft limit can be raised by its owner.
    #[error(
        "too few open files: {needed} are needed and {allowed} allowed (RLIMIT_NOFILE); raise it in this shell with: \
         ulimit -n {needed}"
    )]
    FilesSoft {
        /// Files needed.
        needed: u64,
        /// Files allowed.
        allowed: u64,
    },
    /// The hard limit takes privilege to raise.
    #[error(
        "too few open files: {needed} are needed and at most {allowed} allowed (RLIMIT_NOFILE, hard); raise it for \
         this shell with: sudo prlimit --pid $$ --nofile={needed}:{needed}"
    )]
    FilesHard {
        /// Files needed.
        needed: u64,
        /// Files allowed.
        allowed: u64,
    },
    /// The limits cannot be read.
    #[error("the limits of this process cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Gives the heap's free pages back, so that what the process takes from now on shows as growth.
pub fn heap_trim() {
    sys::heap_trim();
}

/// Checks that this process may hold `files_needed` files open at once, and returns all its limits.
///
/// # Errors
/// [`LimitError`]: which limit is too small, and the command that raises it.
pub fn limits_check(files_needed: u64) -> Result<HostLimits, LimitError> {
    let limits = HostLimits::read()?;
    check(limits, files_needed)?;
    Ok(limits)
}

fn check(limits: HostLimits, needed: u64) -> Result<(), LimitError> {
    if needed <= limits.files {
        Ok(())
    } else if needed <= limits.files_hard {
        Err(LimitError::FilesSoft { needed, allowed: limits.files })
    } else {
        Err(LimitError::FilesHard { needed, allowed: limits.files_hard })
    }
}

/// Which loop carries the hot executors. Their workers behave alike on both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Pinned glommio executors, over `io_uring`.
    Glommio,
    /// Plain pinned threads.
    Threads,
}

/// Which loop the user wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BackendWish {
    /// glommio where the host allows it, else plain threads.
    #[default]
    Automatic,
    /// glommio, or an error.
    Glommio,
    /// Plain threads.
    Threads,
}

/// Which loop it is, and why. Its [`Display`](fmt::Display) form is the line for the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendChoice {
    /// The loop.
    pub backend: Backend,
    /// Why not glommio; empty if it is glommio.
    pub reason: String,
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.backend {
            Backend::Glommio => f.write_str("runtime: pinned glommio executors (io_uring)"),
            Backend::Threads => write!(f, "runtime: plain pinned threads, because {}", self.reason),
        }
    }
}

impl BackendChoice {
    /// Asks the host what it allows.
    ///
    /// # Errors
    /// The reason why glommio, if wished for, cannot be had.
    pub(super) fn make(wish: BackendWish) -> Result<Self, String> {
        let obstacle = match wish {
            BackendWish::Threads => Some("they were asked for".to_owned()),
            BackendWish::Automatic | BackendWish::Glommio => {
                let memlock = HostLimits::read().map(|limits| limits.memlock_len);
                obstacle(sys::io_uring_probe(), memlock)
            }
        };
        match (wish, obstacle) {
            (BackendWish::Glommio, Some(reason)) => Err(reason),
            (_, Some(reason)) => Ok(Self { backend: Backend::Threads, reason }),
            (_, None) => Ok(Self { backend: Backend::Glommio, reason: String::new() }),
        }
    }
}

/// What stands against glommio, given whether a ring could be made and how much memory may be locked.
fn obstacle(io_uring: io::Result<()>, memlock_len: io::Result<u64>) -> Option<String> {
    if let Err(error) = io_uring {
        return Some(format!("io_uring is forbidden here (io_uring_setup: {error})"));
    }
    match memlock_len {
        Err(error) => Some(format!("the limit of locked memory cannot be read ({error})")),
        Ok(len) if len < MEMLOCK_LEN_MIN => Some(format!(
            "only {} KiB of memory may be locked (RLIMIT_MEMLOCK), and glommio needs {} KiB; raise it with: sudo \
             prlimit --pid $$ --memlock={MEMLOCK_LEN_MIN}:{MEMLOCK_LEN_MIN}",
            len >> 10,
            MEMLOCK_LEN_MIN >> 10
        )),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LIMITS: HostLimits = HostLimits { files: 1_024, files_hard: 20_000, memlock_len: 8 << 20 };

    #[test]
    fn the_error_names_the_limit_and_the_command() {
        check(LIMITS, 1_024).unwrap();
        let soft = check(LIMITS, 1_025).unwrap_err().to_string();
        assert!(soft.contains("RLIMIT_NOFILE") && soft.contains("ulimit -n 1025"), "{soft}");
        check(LIMITS, 20_000).map_err(|error| assert!(matches!(error, LimitError::FilesSoft { .. }))).unwrap_err();
        let hard = check(LIMITS, 20_001).unwrap_err().to_string();
        assert!(hard.contains("hard") && hard.contains("--nofile=20001:20001"), "{hard}");
    }

    #[test]
    fn this_process_has_limits_and_never_infinitely_many_files() {
        let limits = limits_check(1).unwrap();
        assert!(limits.files > 0 && limits.files <= limits.files_hard);
        assert!(limits_check(u64::MAX).is_err());
    }

    #[test]
    fn glommio_is_given_up_where_the_host_forbids_it_and_the_line_says_why() {
        let forbidden = || Err(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(obstacle(Ok(()), Ok(MEMLOCK_LEN_MIN)), None);
        assert!(obstacle(forbidden(), Ok(u64::MAX)).unwrap().contains("io_uring is forbidden"));
        let reason = obstacle(Ok(()), Ok(MEMLOCK_LEN_MIN - 1)).unwrap();
        assert!(reason.contains("511 KiB") && reason.contains("RLIMIT_MEMLOCK"), "{reason}");
        assert!(obstacle(Ok(()), forbidden().map(|()| 0)).is_some());
        let line = BackendChoice { backend: Backend::Threads, reason }.to_string();
        assert!(line.starts_with("runtime: plain pinned threads, because only 511 KiB"), "{line}");
    }

    #[test]
    fn threads_can_be_asked_for_anywhere() {
        assert_eq!(BackendChoice::make(BackendWish::Threads).unwrap().backend, Backend::Threads);
    }
}
