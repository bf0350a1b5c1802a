//! The C library's heap, told to keep what is freed. Left to itself it gives pages back in the middle of some `free`,
//! which holds a lane for most of a millisecond when a thousand sessions end.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

/// Freed bytes at the heap's end that are kept: as many as the call's type can say.
#[cfg(target_env = "gnu")]
const KEPT_LEN: libc::c_int = libc::c_int::MAX;
/// Allocations from here on are mapped one by one, and given back when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_LEN_MIN: libc::c_int = 32 << 20;

/// Keeps freed memory for the next session, from now on and on every thread. [`heap_trim`](super::heap_trim) still
/// gives it back. Without the GNU C library it does nothing.
pub fn keep() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_TRIM_THRESHOLD, KEPT_LEN), (libc::M_MMAP_THRESHOLD, MAPPED_LEN_MIN)] {
        // SAFETY: the call sets a number of the allocator's own; a refusal leaves its default.
        unsafe { libc::mallopt(parameter, value) };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_still_had_and_given_back() {
        super::keep();
        let held: Vec<Vec<u8>> = (0..64_usize).map(|at| vec![at as u8; 40_000]).collect();
        assert!(held.iter().enumerate().all(|(at, bytes)| bytes[39_999] == at as u8));
        drop(held);
        crate::sys::heap_trim();
    }
}
