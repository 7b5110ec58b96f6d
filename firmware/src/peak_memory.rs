//! The process's peak resident set, as the kernel counts it.

/// Peak resident set in MiB (`VmHWM` of `/proc/self/status`, proc(5)); `None` where there is no such file.
pub(crate) fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1024))
}
