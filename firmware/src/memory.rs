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

/// What this process can take in all, in bytes: what it has, what is left, and no more than its control group may have.
pub(crate) fn within_reach() -> Option<u64> {
    let own = field_kib("/proc/self/status", "VmRSS:");
    let left = field_kib("/proc/meminfo", "MemAvailable:");
    let machine = own.zip(left).map(|(own, left)| (own + left) << 10);
    machine.into_iter().chain(group_limit(Path::new("/"))).min()
}

/// The least that this process's control group and those above it may have, in bytes (cgroups(7); kernel documentation,
/// `admin-guide/cgroup-v2`, `memory.max`, and `admin-guide/cgroup-v1/memory`).
fn group_limit(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, group) = (parts.next().unwrap_or("?"), parts.next().unwrap_or("/"));
        let (tree, file) = match kinds {
            "" => ("sys/fs/cgroup", "memory.max"),
            kinds if kinds.split(',').any(|kind| kind == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let group = Path::new(group.trim_start_matches('/'));
        let limit = |group: &Path| -> Option<u64> {
            let text = std::fs::read_to_string(root.join(tree).join(group).join(file)).ok()?;
            text.trim().parse().ok()
        };
        group.ancestors().filter_map(limit).collect()
    });
    limits.min()
}

/// A line `NAME 123 kB` of a file of `/proc`, in KiB.
pub(crate) fn field_kib(file: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_all_groups_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
            std::fs::write(path, text).expect("it can be written");
        };
        assert_eq!(group_limit(root.path()), None);
        write("proc/self/cgroup", "0::/system.slice/easel.service\n");
        assert_eq!(group_limit(root.path()), None);
        let v2 = "sys/fs/cgroup/system.slice";
        write(&format!("{v2}/easel.service/memory.max"), "max\n");
        assert_eq!(group_limit(root.path()), None);
        write(&format!("{v2}/memory.max"), "700000000\n");
        assert_eq!(group_limit(root.path()), Some(700_000_000));
        write(&format!("{v2}/easel.service/memory.max"), "400000000\n");
        assert_eq!(group_limit(root.path()), Some(400_000_000));
        // Of the first version, and with one that is seen from within a container.
        write("proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/docker/1\n");
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000000\n");
        assert_eq!(group_limit(root.path()), Some(300_000_000));
        assert!(within_reach().is_some_and(|bytes| bytes > 1 << 20));
    }
}
