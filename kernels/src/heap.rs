//! The C library's heap: whether large blocks go back to the system when they are freed.
//!
//! Networks take and free tensors of megabytes, a thousand times in a run. Two ways to give them memory:
//!
//! | | a freed block | costs |
//! |---|---|---|
//! | [`Fast`](Style::Fast) | stays, and becomes a part of the next | gaps between blocks: a third more memory than is in use |
//! | [`Exact`](Style::Exact) | goes back | each page is cleared again when it is next touched: a tenth to a half of the time |
//!
//! Left alone, glibc is in between and unpredictable: it raises its limit with what it sees.

#![allow(unsafe_code, reason = "the C library's settings of malloc")]

use std::sync::Mutex;

/// What becomes of freed blocks; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// They stay.
    Fast,
    /// They go back to the system.
    Exact,
}

/// `None`: nobody said that the heap is ours.
static CURRENT: Mutex<Option<Style>> = Mutex::new(None);

/// Says that this process's heap is there for networks. Without it nothing here does anything.
pub fn own() {
    let mut current = CURRENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if current.is_none() {
        c_library::set_up();
        c_library::set(Style::Fast);
        *current = Some(Style::Fast);
    }
}

/// Changes the style of blocks that come from now on.
pub fn set(style: Style) {
    let mut current = CURRENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if current.is_some_and(|current| current != style) {
        c_library::set(style);
        c_library::trim();
        *current = Some(style);
    }
}

/// Gives all that is free back to the system.
pub fn trim() {
    if CURRENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .is_some()
    {
        c_library::trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod c_library {
    use std::ffi::c_int;

    use super::Style;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(keep: usize) -> c_int;
    }

    // mallopt(3); malloc.h
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    const M_MMAP_MAX: c_int = -4;
    const M_ARENA_MAX: c_int = -8;

    pub(super) fn set_up() {
        // Threads share one heap: each of its own would keep what it once needed.
        option(M_ARENA_MAX, 1);
    }

    pub(super) fn set(style: Style) {
        let (mapped_blocks, trim) = match style {
            Style::Fast => (0, c_int::MAX),
            Style::Exact => (1 << 20, 1 << 20),
        };
        option(M_MMAP_MAX, mapped_blocks);
        option(M_MMAP_THRESHOLD, 256 << 10);
        option(M_TRIM_THRESHOLD, trim);
    }

    fn option(parameter: c_int, value: c_int) {
        // SAFETY: mallopt may be called at any time, with any values.
        unsafe { mallopt(parameter, value) };
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
    pub(super) fn set(_style: super::Style) {}
    pub(super) fn trim() {}
}
