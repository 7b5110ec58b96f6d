//! The memory of large tensors goes back to the system when they are gone.

#![allow(unsafe_code, reason = "the C library's settings of malloc")]

/// From so many bytes on a block is mapped by itself. Tensors that are kept for the next of their size never come here again,
/// so it is about the others: left to itself, the C library raises the limit to 32 MiB, and what is freed stays between
/// blocks that are in use, for years.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn set_up() {
    const MAPPED: libc::c_int = 256 << 10;
    const TRIMMED: libc::c_int = 1 << 20;
    // SAFETY: mallopt(3) takes any values, and no other thread is there yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIMMED);
        // Threads share one heap: each of its own would keep what it once needed.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Other C libraries have other ways, and mostly give memory back sooner.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_up() {}
