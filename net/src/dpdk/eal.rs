//! DPDK's one instance in this process: started once, and known to each lane's thread.

use std::sync::{Mutex, PoisonError};
use std::{fs, io, thread};

use super::arguments::{UNPRIVILEGED, first_cpu, with_defaults};
use super::sys;
use crate::open::OpenError;

/// What DPDK was started with by its user; `None` until it runs.
static STARTED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Starts DPDK, or finds it running with the same arguments. `None` takes it as it runs, or starts it without
/// privilege. It runs until the process ends: DPDK does not start twice.
///
/// # Errors
///
/// [`OpenError`] if it runs with other arguments, or does not start.
pub(super) fn start(arguments: Option<&[String]>) -> Result<(), OpenError> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    match (&*started, arguments) {
        (Some(_), None) => return Ok(()),
        (Some(before), Some(now)) if before == now => return Ok(()),
        (Some(before), Some(now)) => {
            return Err(OpenError::Unsupported {
                operation: format!("starting DPDK with `{}`", now.join(" ")),
                reason: format!("it runs with `{}` and starts once in a process", before.join(" ")),
                fix: "give all its ports the same arguments, and pick among devices by `port=NAME`".to_owned(),
            });
        }
        (None, _) => {}
    }
    let arguments = arguments.map_or_else(|| UNPRIVILEGED.map(str::to_owned).to_vec(), <[String]>::to_vec);
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let all = with_defaults(&arguments, hugepages_are_free(), first_cpu(&status).unwrap_or(0))?;
    let operation = format!("starting DPDK with `{}`", all.join(" "));
    // It binds the thread that starts it to a core for good, which is not the caller's wish: a thread of its own takes
    // that and ends. DPDK needs it no more; its interrupt thread and the devices live on.
    let starter = thread::Builder::new().name("dpdk-start".to_owned());
    let result = thread::scope(|scope| {
        let thread = starter.spawn_scoped(scope, || sys::init(&all))?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
    });
    match result {
        Ok(()) => {
            *started = Some(arguments);
            Ok(())
        }
        Err(error) => Err(failure(operation, &error)),
    }
}

fn failure(operation: String, error: &io::Error) -> OpenError {
    let fix =
        "its own message above says more; without root or huge pages give `--no-huge --no-pci --no-shconf -m 256`";
    match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { operation, fix: fix.to_owned() },
        _ => OpenError::Unsupported { operation, reason: error.to_string(), fix: fix.to_owned() },
    }
}

/// Whether this host has a free huge page of any size (Linux, admin-guide/mm/hugetlbpage).
fn hugepages_are_free() -> bool {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return false };
    sizes.flatten().any(|size| {
        fs::read_to_string(size.path().join("free_hugepages"))
            .is_ok_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    })
}

/// Makes the calling thread known to DPDK until it ends, so that it has a cache of each mbuf pool. Cheap when it is. A
/// thread for which DPDK has no id left (it has 128) does without, and takes mbufs from the shared part of the pool.
pub(super) fn register_thread() {
    thread_local! {
        static REGISTRATION: Option<sys::Registration> = sys::Registration::new();
    }
    // A thread that is ending has lost its registration already, and does without.
    let _ = REGISTRATION.try_with(|_| ());
}
