//! What the language cannot say: a cache hint, and the kernel interfaces that the standard library has no words for.
#![allow(unsafe_code, reason = "a cache hint and raw system calls have no safe form")]

pub(crate) mod ethtool;
pub(crate) mod interface;
pub(crate) mod packet;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod testing;
pub(crate) mod tun;

use std::io;

/// Turns a system call's result into a value or the error that it left.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Asks for a value's memory, so that several values' cache misses overlap. A hint: it reads and changes nothing.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    const LINE_LEN: usize = 64;
    /// More lines at once than a core has places for misses in flight would be dropped.
    const LINES_MAX: usize = 20;
    let start = std::ptr::from_ref(value).cast::<u8>();
    let lines = size_of_val(value).div_ceil(LINE_LEN).min(LINES_MAX);
    for line in 0..lines {
        let address = start.wrapping_add(line * LINE_LEN);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults and touches no memory that a program can see, whatever the address.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast::<i8>());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}

#[cfg(test)]
mod tests {
    use super::prefetch;

    #[test]
    fn a_hint_changes_nothing() {
        let values = vec![7_u64; 1_000];
        prefetch(values.as_slice());
        prefetch(&values[3]);
        prefetch::<[u8]>(&[]);
        assert!(values.iter().all(|value| *value == 7));
    }
}
