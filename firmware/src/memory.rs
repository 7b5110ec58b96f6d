//! Memory as the kernel counts it; `None` where there is no `/proc`.

use std::path::Path;

/// Peak resident set of this process in MiB (`VmHWM` of `/proc/self/status`, proc(5)).
pub(crate) fn peak_rss_mib() -> Option<u64> {
    field_kib("/proc/self/status", "VmHWM:").map(|kib| kib.div_ceil(1024))
}

/// What new work can have without swapping, in MiB (`MemAvailable` of `/proc/meminfo`, proc(5)).
pub(crate) fn available_mib() -> Option<u64> {
    field_kib("/proc/meminfo", "MemAvailable:").map(|kib| kib / 1024)
}

/// All memory that the kernel has to give, in MiB (`MemTotal` of `/proc/meminfo`, proc(5)).
pub(crate) fn total_mib() -> Option<u64> {
    field_kib("/proc/meminfo", "MemTotal:").map(|kib| kib / 1024)
}

/// A line `NAME 123 kB` of a file of `/proc`, in KiB.
pub(crate) fn field_kib(file: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}
