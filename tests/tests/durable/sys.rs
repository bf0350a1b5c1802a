//! The write calls of this program, LMDB's in C among them, seen on their way to the kernel: recorded, or cut short.
//!
//! A symbol that a program defines itself comes before the C library's. Each call here does what the library's does, by
//! the system call of its name, and before that asks what is to become of it.
#![allow(unsafe_code, reason = "a C library's writes are seen only where it calls them")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What one call did to what lies below the watched folder.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Bytes were written; `synced` says that they are durable when the call returns.
    Write { file: PathBuf, offset: u64, bytes: Vec<u8>, synced: bool },
    /// A file's writes, or a folder's names, are durable.
    Sync { file: PathBuf },
    /// A file has this length now.
    Truncate { file: PathBuf, length: u64 },
    /// A file has another name.
    Rename { from: PathBuf, to: PathBuf },
    /// A file is gone.
    Remove { file: PathBuf },
    /// The program told this to someone.
    Told(u64),
}

/// What becomes of the calls.
#[derive(Default)]
pub(crate) enum Fate {
    /// They are done.
    #[default]
    Done,
    /// They are done and kept.
    Recorded(Vec<Call>),
    /// The process is killed at the one of that number, a write after `part` thousandths of its bytes.
    Killed { at: u64, part: u64 },
    /// From the one of that number on, the disk takes no more bytes.
    Full { at: u64 },
}

#[derive(Default)]
struct Watch {
    folder: Option<PathBuf>,
    fate: Fate,
    count: u64,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

fn watch() -> MutexGuard<'static, Option<Watch>> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches the calls that change what lies below `folder`.
pub(crate) fn begin(folder: &Path, fate: Fate) {
    *watch() = Some(Watch { folder: Some(folder.to_path_buf()), fate, count: 0 });
}

/// Ends the watch: what was recorded, and how many calls there were.
pub(crate) fn end() -> (Vec<Call>, u64) {
    let watch = watch().take().unwrap_or_default();
    let calls = if let Fate::Recorded(calls) = watch.fate { calls } else { Vec::new() };
    (calls, watch.count)
}

/// Notes between the calls that something was told.
pub(crate) fn told(number: u64) {
    if let Some(Watch { fate: Fate::Recorded(calls), .. }) = &mut *watch() {
        calls.push(Call::Told(number));
    }
}

/// What a call is to do.
enum Order {
    Go,
    Fail,
    /// Do this many thousandths of it, and die.
    Die(u64),
}

impl Watch {
    fn order(&mut self) -> Order {
        self.count += 1;
        match self.fate {
            Fate::Killed { at, part } if self.count >= at => Order::Die(part),
            Fate::Full { at } if self.count >= at => Order::Fail,
            _ => Order::Go,
        }
    }

    fn holds(&self, path: &Path) -> bool {
        self.folder.as_ref().is_some_and(|folder| path.starts_with(folder))
    }

    fn keep(&mut self, call: Call) {
        if let Fate::Recorded(calls) = &mut self.fate {
            calls.push(call);
        }
    }
}

fn path_of(descriptor: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()
}

fn die() -> ! {
    // SAFETY: takes integers only, and does not return.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("killed")
}

fn no_room() {
    // SAFETY: the place of this thread's error number is valid for writes.
    unsafe { *libc::__errno_location() = libc::ENOSPC };
}

/// Does a write of `bytes` by `write`, which takes how many of them, as the watch says.
fn writing(descriptor: c_int, offset: u64, bytes: &[u8], write: impl Fn(usize) -> isize) -> isize {
    let mut held = watch();
    let path = held.as_ref().and_then(|_| path_of(descriptor));
    let Some((watch, file)) = held.as_mut().zip(path).filter(|(watch, path)| watch.holds(path)) else {
        drop(held);
        return write(bytes.len());
    };
    match watch.order() {
        Order::Go => (),
        Order::Fail => {
            no_room();
            return -1;
        }
        Order::Die(part) => {
            write((bytes.len() as u64 * part / 1_000) as usize);
            die();
        }
    }
    let done = write(bytes.len());
    if let Ok(count) = usize::try_from(done) {
        // SAFETY: takes integers only.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
        let synced = flags & libc::O_DSYNC != 0;
        watch.keep(Call::Write { file, offset, bytes: bytes[..count].to_vec(), synced });
    }
    done
}

/// Does another call as the watch says, on what lies at `path`, which is asked for only under a watch.
fn calling(
    path: impl FnOnce() -> Option<PathBuf>,
    call: impl FnOnce(PathBuf) -> Call,
    act: impl FnOnce() -> isize,
) -> c_int {
    let mut held = watch();
    let path = held.as_ref().and_then(|_| path());
    let Some((watch, path)) = held.as_mut().zip(path).filter(|(watch, path)| watch.holds(path)) else {
        drop(held);
        return act() as c_int;
    };
    if let Order::Die(_) = watch.order() {
        die();
    }
    let done = act();
    if done == 0 {
        watch.keep(call(path));
    }
    done as c_int
}

/// Does the sync of that number, of a descriptor.
fn syncing(descriptor: c_int, number: i64) -> c_int {
    // SAFETY: takes integers only.
    let act = || unsafe { libc::syscall(number, descriptor) as isize };
    calling(|| path_of(descriptor), |file| Call::Sync { file }, act)
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(descriptor: c_int, bytes: *const c_void, count: usize, offset: i64) -> isize {
    // SAFETY: the caller lends `count` bytes.
    let held = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
    writing(descriptor, offset.cast_unsigned(), held, |count| {
        // SAFETY: as the caller's call, of no more bytes.
        unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, bytes, count, offset) as isize }
    })
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(descriptor: c_int, bytes: *const c_void, count: usize, offset: i64) -> isize {
    // SAFETY: the same call by its other name.
    unsafe { pwrite(descriptor, bytes, count, offset) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, parts: *const libc::iovec, count: c_int) -> isize {
    // SAFETY: the caller lends `count` parts, each of which lends its bytes.
    let parts = unsafe { std::slice::from_raw_parts(parts, count.cast_unsigned() as usize) };
    let mut bytes = Vec::new();
    for part in parts {
        // SAFETY: as above; a part without bytes may point nowhere.
        let held = if part.iov_len == 0 {
            &[]
        } else {
            unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) }
        };
        bytes.extend_from_slice(held);
    }
    // SAFETY: takes integers only.
    let offset = unsafe { libc::lseek(descriptor, 0, libc::SEEK_CUR) };
    writing(descriptor, offset.max(0).cast_unsigned(), &bytes, |count| {
        // SAFETY: `bytes` holds `count` bytes and more, and outlives the call.
        unsafe { libc::syscall(libc::SYS_write, descriptor, bytes.as_ptr(), count) as isize }
    })
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    syncing(descriptor, libc::SYS_fdatasync)
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    syncing(descriptor, libc::SYS_fsync)
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(descriptor: c_int, length: i64) -> c_int {
    calling(
        || path_of(descriptor),
        |file| Call::Truncate { file, length: length.cast_unsigned() },
        || {
            // SAFETY: takes integers only.
            unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, length) as isize }
        },
    )
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(descriptor: c_int, length: i64) -> c_int {
    // SAFETY: the same call by its other name.
    unsafe { ftruncate64(descriptor, length) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller lends two strings.
    let (old, new) = unsafe { (path_at(from), path_at(to)) };
    // SAFETY: as the caller's call.
    let act = || unsafe { libc::syscall(libc::SYS_rename, from, to) as isize };
    calling(|| Some(new), |to| Call::Rename { from: old, to }, act)
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller lends a string.
    let file = unsafe { path_at(path) };
    // SAFETY: as the caller's call.
    calling(|| Some(file), |file| Call::Remove { file }, || unsafe { libc::syscall(libc::SYS_unlink, path) as isize })
}

/// # Safety
/// `path` is a C string.
unsafe fn path_at(path: *const c_char) -> PathBuf {
    // SAFETY: the caller says so.
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}
