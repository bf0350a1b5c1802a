//! Which cores a thread runs on, and how often others take them from it. It refuses a core that the process may not use.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

use std::fs;
use std::io;
use std::mem;
use std::thread;

use super::check;

/// The cores that the calling thread may use, in ascending order.
///
/// # Errors
/// The machine has more cores than a mask of the C library names.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mut set = none();
    // SAFETY: the set is as long as stated and outlives the call.
    check(unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) })?;
    // SAFETY: every core asked for lies within the mask.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Holds the calling thread on `core`.
///
/// # Errors
/// A core that does not exist here, or that this process may not use.
pub fn pin(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = none();
    // SAFETY: the core lies within the mask.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is as long as stated and outlives the call.
    check(unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) })
}

/// Runs `work` on a thread of its own that is held on `core`, and waits for it; programs that it starts stay there too.
///
/// # Errors
/// As [`pin`]. A panic of `work` goes on in the caller.
pub fn run_on<R: Send>(core: usize, work: impl FnOnce() -> R + Send) -> io::Result<R> {
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            pin(core)?;
            Ok(work())
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What a thread of this process has had of its core, its system calls included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Nanoseconds for which it ran.
    pub ran_ns: u64,
    /// Nanoseconds for which it had work to do and no core.
    pub waited_ns: u64,
}

/// The times of this process' thread of that name.
///
/// # Errors
/// There is no such thread, or the kernel does not count them.
pub fn times_of(thread: &str) -> io::Result<Times> {
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread that ends meanwhile is not the one.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        if name.trim_end() == thread {
            let times = times(&fs::read_to_string(path.join("schedstat"))?);
            return times.ok_or_else(|| io::Error::other("the kernel counts no CPU time of threads"));
        }
    }
    Err(io::Error::other(format!("there is no thread {thread}")))
}

/// How often the calling thread lost its core to another while it had work to do.
///
/// # Errors
/// The kernel does not count it.
pub fn preemptions() -> io::Result<u64> {
    // SAFETY: zeros are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is valid for the write and outlives the call.
    check(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) })?;
    Ok(u64::try_from(usage.ru_nivcsw).unwrap_or(0))
}

/// Nanoseconds for which the calling thread had work to do and no core; `None` where the kernel does not count them.
pub fn waited_ns() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok().and_then(|text| Some(times(&text)?.waited_ns))
}

/// The first two figures of `schedstat` (Linux, `Documentation/scheduler/sched-stats.rst`).
fn times(schedstat: &str) -> Option<Times> {
    let mut figures = schedstat.split_whitespace().map(|figure| figure.parse().ok());
    Some(Times { ran_ns: figures.next()??, waited_ns: figures.next()?? })
}

fn none() -> libc::cpu_set_t {
    // SAFETY: a mask of zeros is a valid mask: it names no core.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core() {
        let core = allowed().unwrap()[0];
        let left = std::thread::scope(|scope| {
            let pinned = scope.spawn(move || {
                pin(core).unwrap();
                allowed().unwrap()
            });
            pinned.join().unwrap()
        });
        assert_eq!(left, [core]);
    }

    #[test]
    fn the_times_are_the_first_two_figures() {
        assert_eq!(times("121184 3701836 2\n"), Some(Times { ran_ns: 121_184, waited_ns: 3_701_836 }));
        assert_eq!(times("121184"), None);
        assert!(waited_ns() <= waited_ns());
    }

    #[test]
    fn a_thread_is_found_by_its_name() {
        let named = thread::Builder::new().name("times-of-it".to_owned()).spawn(|| times_of("times-of-it"));
        // Of a young thread the kernel may not have counted anything yet.
        assert!(named.unwrap().join().unwrap().is_ok());
        assert!(times_of("no-such-thread").is_err());
    }

    #[test]
    fn work_runs_on_the_core_that_was_named() {
        let core = allowed().unwrap()[0];
        assert_eq!(run_on(core, || allowed().unwrap()).unwrap(), [core]);
        assert!(run_on(usize::MAX, || ()).is_err());
    }

    #[test]
    fn preemptions_are_counted_from_the_thread_s_start() {
        let before = preemptions().unwrap();
        assert!(preemptions().unwrap() >= before);
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        assert!(pin(usize::MAX).is_err());
        assert!(pin(libc::CPU_SETSIZE as usize - 1).is_err());
    }
}
