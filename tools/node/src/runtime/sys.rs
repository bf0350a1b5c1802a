//! The system calls of the runtime: wake-up descriptors, waiting, cores, CPU time, limits, signals.
//!
//! The only file of the crate with `unsafe`, one operation a block. It decides nothing.
#![allow(unsafe_code, reason = "the system calls behind the runtime have no safe binding among the dependencies")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use hpb_base::Duration;

/// Cores that one affinity mask can name.
const CORES_MAX: usize = libc::CPU_SETSIZE as usize;
/// Words of the kernel's `struct io_uring_params` (120 bytes, `linux/io_uring.h`).
const IO_URING_PARAMS_WORDS: usize = 15;

/// A descriptor that becomes readable when rung (eventfd(2)).
#[derive(Debug)]
pub(super) struct EventFd(File);

impl EventFd {
    /// A silent one.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self(File::from(owned)))
    }

    /// Makes it readable. Only a full counter can refuse, and a full counter is readable already.
    pub(super) fn ring(&self) {
        let _already_readable = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes it silent again. Only an empty counter can refuse, and an empty counter is silent already.
    pub(super) fn clear(&self) {
        let _already_silent = (&self.0).read(&mut [0; 8]);
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Gives the heap's free pages back to the system.
pub(super) fn heap_trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call touches only the allocator's own free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// One descriptor of a wait for input.
pub(super) fn wait_for(descriptor: RawFd) -> libc::pollfd {
    libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 }
}

/// Waits until one of `descriptors` is readable, or for `timeout` (`None`: without end), or until a signal. Returns
/// how many are readable.
///
/// # Errors
/// The kernel's refusal: no memory, or a descriptor set above the limit.
pub(super) fn wait(descriptors: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: (timeout.as_nanos() / 1_000_000_000).cast_signed(),
        tv_nsec: (timeout.as_nanos() % 1_000_000_000).cast_signed(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = descriptors.len() as libc::nfds_t;
    // SAFETY: the slice and the time outlive the call, and the count is the slice's own.
    let ready = unsafe { libc::ppoll(descriptors.as_mut_ptr(), count, timeout, ptr::null()) };
    if ready >= 0 {
        return Ok(ready.unsigned_abs() as usize);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
}

/// The cores that the calling thread may use, in ascending order.
///
/// # Errors
/// The kernel's refusal, as on a machine with more cores than a mask names.
pub(super) fn cores_allowed() -> io::Result<Vec<usize>> {
    let mut set = no_cores();
    // SAFETY: the set is as long as stated and outlives the call.
    let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every core asked for lies within the mask.
    Ok((0..CORES_MAX).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Holds the calling thread on `cores`.
///
/// # Errors
/// A core that does not exist here, or that this process may not use.
pub(super) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = no_cores();
    for &core in cores {
        if core >= CORES_MAX {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: the core lies within the mask.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set is as long as stated and outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn no_cores() -> libc::cpu_set_t {
    // SAFETY: a mask of zeros is a valid mask: it names no core.
    unsafe { mem::zeroed() }
}

/// Lets the calling thread's timers fire when they are due: the default lets a sleep end 50 µs late.
pub(super) fn timers_exact() {
    // SAFETY: this request takes one number; a refusal leaves the default slack, which is only later.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// CPU time that the calling thread has used.
pub(super) fn thread_cpu() -> Duration {
    cpu_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time that all threads of the process have used.
pub(super) fn process_cpu() -> Duration {
    cpu_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time outlives the call; both clocks exist on every Linux, so it stays zero at worst.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::from_nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// The soft and the hard limit of `resource`; `u64::MAX` is unlimited.
///
/// # Errors
/// The kernel's refusal of an unknown resource.
pub(super) fn limit(resource: libc::__rlimit_resource_t) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit outlives the call.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result == 0 { Ok((limit.rlim_cur, limit.rlim_max)) } else { Err(io::Error::last_os_error()) }
}

/// Whether `io_uring` may be used: makes a ring of one entry and lets it go.
///
/// # Errors
/// The kernel's refusal: `ENOSYS` (too old, or filtered) or `EPERM` (forbidden, Docker's default).
pub(super) fn io_uring_probe() -> io::Result<()> {
    let mut params = [0_u64; IO_URING_PARAMS_WORDS];
    // SAFETY: the parameters are as long as the kernel's structure, zeroed, and outlive the call.
    let descriptor = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1_u32, params.as_mut_ptr()) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) });
    Ok(())
}

/// Runs `handler` at the next `signal`; the one after that has its default effect.
///
/// # Errors
/// The kernel's refusal of a signal that cannot be handled.
pub(super) fn on_signal(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: an action of zeros is valid: the default effect, no flag, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
    // SAFETY: the action outlives the call, and the handler is a function of the right form that lives for ever.
    let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on a write beyond the limit of a file's size is refused as an error (`EFBIG`) instead of ending the process.
pub(super) fn file_limit_is_an_error() {
    // SAFETY: to ignore a signal takes no handler; a refusal leaves the default, which ends the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Calls `body` and leaves the interrupted thread's `errno` as it was, which a signal handler must.
pub(super) fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: the C library gives every thread a valid place for its errno.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's own and valid for its whole life.
    let saved = unsafe { place.read() };
    body();
    // SAFETY: as above.
    unsafe { place.write(saved) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    #![allow(clippy::disallowed_methods, reason = "two threads are what is tried")]

    use super::*;

    #[test]
    fn a_bell_is_readable_from_ring_to_clear() {
        let bell = EventFd::new().unwrap();
        let mut set = [wait_for(bell.as_raw_fd())];
        assert_eq!(wait(&mut set, Some(Duration::ZERO)).unwrap(), 0);
        bell.ring();
        bell.ring();
        assert_eq!(wait(&mut set, None).unwrap(), 1);
        bell.clear();
        assert_eq!(wait(&mut set, Some(Duration::ZERO)).unwrap(), 0);
        bell.clear();
    }

    #[test]
    fn a_thread_is_held_on_the_core_it_asked_for() {
        let allowed = cores_allowed().unwrap();
        let last = *allowed.last().unwrap();
        let held = std::thread::spawn(move || {
            pin(&[last]).unwrap();
            cores_allowed().unwrap()
        });
        assert_eq!(held.join().unwrap(), [last]);
        assert!(pin(&[CORES_MAX]).is_err());
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = (thread_cpu(), process_cpu());
        let mut sum = 0_u64;
        while thread_cpu() <= before.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(process_cpu() > before.1);
    }
}
