//! System calls that the standard library does not offer: limits, mounts, attributes of files, and what interfaces are
//! asked ([`ethtool`], [`link`]). It decides nothing; each function is one call with its result checked.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

pub(crate) mod ethtool;
pub(crate) mod link;

use std::ffi::{CStr, CString};
use std::io;

/// The soft and the hard limit of `RLIMIT_MEMLOCK` or `RLIMIT_NOFILE`.
pub(crate) fn limit(locked_memory: bool) -> io::Result<(u64, u64)> {
    let which = if locked_memory { libc::RLIMIT_MEMLOCK } else { libc::RLIMIT_NOFILE };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the write and outlives the call.
    check(unsafe { libc::getrlimit(which, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Mounts hugetlbfs with pages of 2 MiB.
pub(crate) fn mount_hugetlbfs(folder: &str) -> io::Result<()> {
    const KIND: &CStr = c"hugetlbfs";
    const OPTIONS: &CStr = c"pagesize=2M";
    let folder = CString::new(folder)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all strings end with a zero and outlive the call.
    check(unsafe { libc::mount(KIND.as_ptr(), folder.as_ptr(), KIND.as_ptr(), flags, OPTIONS.as_ptr().cast()) })
}

/// Unmounts what is mounted on a folder.
pub(crate) fn unmount(folder: &str) -> io::Result<()> {
    let folder = CString::new(folder)?;
    // SAFETY: the string ends with a zero and outlives the call.
    check(unsafe { libc::umount2(folder.as_ptr(), libc::UMOUNT_NOFOLLOW) })
}

/// The attribute `security.capability` of a file, if it has one.
pub(crate) fn file_capabilities(path: &str) -> io::Result<Option<Vec<u8>>> {
    /// `struct vfs_ns_cap_data` (`linux/capability.h`).
    const LEN_MAX: usize = 24;
    let path = CString::new(path)?;
    let mut bytes = vec![0_u8; LEN_MAX];
    let name = c"security.capability".as_ptr();
    // SAFETY: both strings end with a zero, `bytes` is as long as stated, and all outlive the call.
    let len = unsafe { libc::getxattr(path.as_ptr(), name, bytes.as_mut_ptr().cast(), bytes.len()) };
    match usize::try_from(len) {
        Ok(len) => {
            bytes.truncate(len);
            Ok(Some(bytes))
        }
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
            error => Err(error),
        },
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
