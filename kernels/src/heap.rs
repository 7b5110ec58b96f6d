//! The C library's heap, set up for networks.
//!
//! Networks take and free tensors of megabytes, a thousand times in a run. By default glibc maps large blocks one by one, so that
//! each page is cleared again whenever it is taken, which costs a tenth to a half of the time; and it changes its mind about
//! what is large. Here freed blocks stay in one heap and become parts of others, until [`trim`] gives back what is free.

#![allow(unsafe_code, reason = "the C library's settings of malloc")]

use std::sync::atomic::{AtomicBool, Ordering};

static OWNED: AtomicBool = AtomicBool::new(false);

/// Says that this process's heap is there for networks. Without it nothing here does anything.
pub fn own() {
    if !OWNED.swap(true, Ordering::Relaxed) {
        c_library::set_up();
    }
}

/// Whether [`own`] was called.
pub(crate) fn owned() -> bool {
    OWNED.load(Ordering::Relaxed)
}

/// Gives the pages of all that is free back to the system.
pub fn trim() {
    if owned() {
        c_library::trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod c_library {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(keep: usize) -> c_int;
    }

    // mallopt(3); malloc.h
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_MAX: c_int = -4;
    const M_ARENA_MAX: c_int = -8;

    pub(super) fn set_up() {
        let options = [
            // Threads share one heap: each of its own would keep what it once needed.
            (M_ARENA_MAX, 1),
            // No block has a mapping of its own.
            (M_MMAP_MAX, 0),
            (M_TRIM_THRESHOLD, c_int::MAX),
        ];
        for (parameter, value) in options {
            // SAFETY: mallopt may be called at any time, with any values.
            unsafe { mallopt(parameter, value) };
        }
    }

    pub(super) fn trim() {
        // SAFETY: malloc_trim may be called at any time.
        unsafe { malloc_trim(0) };
    }
}

/// Other C libraries have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod c_library {
    pub(super) fn set_up() {}
    pub(super) fn trim() {}
}
