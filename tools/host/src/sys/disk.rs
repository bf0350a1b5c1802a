//! A disk's room, and what of a file lies in the page cache before it.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;

/// `cachestat(2)`, the same number on every architecture; kernels have it from 6.5 on.
const SYS_CACHESTAT: libc::c_long = 451;
/// Bytes of a page of the cache.
const PAGE_LEN: u64 = 4_096;

/// Which part of a file is asked for; a length of 0 is all of it.
#[repr(C)]
struct CacheRange {
    offset: u64,
    len: u64,
}

/// What the kernel says of it, in pages.
#[repr(C)]
#[derive(Default)]
struct CacheState {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Bytes that an ordinary user may still write on the disk that holds `path`.
///
/// # Errors
/// There is nothing at `path`.
pub fn free(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: both pointers are valid and outlive the call.
    check(unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so that it has written all of it.
    let found = unsafe { found.assume_init() };
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes of `file` that lie in the page cache.
///
/// # Errors
/// The kernel does not know the call.
pub fn cached(file: &File) -> io::Result<u64> {
    let (range, mut state) = (CacheRange { offset: 0, len: 0 }, CacheState::default());
    // SAFETY: both structures are as the kernel's, valid for the read and the write, and outlive the call.
    let status =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut state, 0 as libc::c_uint) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(state.cached * PAGE_LEN) }
}

/// Asks for `file` to leave the page cache. What is dirty or mapped stays: [`cached`] says what did.
///
/// # Errors
/// It is no file of a disk.
pub fn drop_cached(file: &File) -> io::Result<()> {
    // SAFETY: takes integers only.
    let status = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn room_is_told_of_a_place_that_is_there() {
        assert!(free(Path::new("/")).is_ok());
        assert!(free(Path::new("/nonexistent/place")).is_err() && free(Path::new("/\0")).is_err());
    }

    #[test]
    fn a_file_that_was_written_is_cached_where_the_kernel_tells() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![1; 20_000]).unwrap();
        if let Ok(bytes) = cached(file.as_file()) {
            assert_eq!(bytes, 5 * PAGE_LEN);
        }
        drop_cached(file.as_file()).unwrap();
    }
}
