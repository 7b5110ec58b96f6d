//! What memory this process takes, and what it could have, in bytes. `None` where the system does not say.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// What this process takes now (`VmRSS`, proc(5)); 0 where the system does not say.
#[must_use]
pub fn taken() -> usize {
    status("VmRSS").unwrap_or(0)
}

/// The most that this process has taken (`VmHWM`, proc(5)).
#[must_use]
pub fn peak() -> Option<usize> {
    status("VmHWM")
}

/// What this process could take beside what it has: what the machine has free or can free without swapping
/// (`MemAvailable`), what its control groups leave it, and what its own limit does (`ulimit -v`).
#[must_use]
pub fn available() -> Option<usize> {
    let machine = field("/proc/meminfo", "MemAvailable").map(number);
    let groups = left_by_groups(Path::new("/"));
    [machine, groups, left_by_limit()]
        .into_iter()
        .flatten()
        .min()
}

/// What this process could have, with what it has.
#[must_use]
pub fn all() -> Option<usize> {
    available().map(|free| free.saturating_add(taken()))
}

/// The line `NAME:  123 kB` of a file of `/proc`, in bytes.
pub fn field(file: impl AsRef<Path>, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1 << 10))
}

fn status(name: &str) -> Option<usize> {
    field("/proc/self/status", name).map(number)
}

/// In 32 bits a machine may have more than there is a number for.
fn number(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What is left of this process's addresses.
fn left_by_limit() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::As).current?).ok()?;
    Some(limit.saturating_sub(status("VmSize").unwrap_or(0)))
}

/// A version of control groups: where its groups are, and the files of a group.
struct Groups {
    tree: &'static str,
    limit: &'static str,
    taken: &'static str,
    /// The line of `memory.stat` with cached files that can be given back.
    cached: &'static str,
}

/// Kernel documentation, `admin-guide/cgroup-v2`.
const VERSION_2: Groups = Groups {
    tree: "sys/fs/cgroup",
    limit: "memory.max",
    taken: "memory.current",
    cached: "inactive_file ",
};

/// Kernel documentation, `admin-guide/cgroup-v1/memory`.
const VERSION_1: Groups = Groups {
    tree: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    taken: "memory.usage_in_bytes",
    cached: "total_inactive_file ",
};

/// The least that this process's control groups and those above them leave. `root`: of the file system.
fn left_by_groups(root: &Path) -> Option<usize> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let left = groups.lines().filter_map(|line| {
        // `4:memory,hugetlb:/GROUP` of the first version, `0::/GROUP` of the second (cgroups(7)).
        let (_, kinds_and_group) = line.split_once(':')?;
        let (kinds, group) = kinds_and_group.split_once(':')?;
        let version = match kinds {
            "" => VERSION_2,
            kinds if kinds.split(',').any(|kind| kind == "memory") => VERSION_1,
            _ => return None,
        };
        let group = Path::new(group.trim_start_matches('/'));
        let tree = root.join(version.tree);
        let groups = group.ancestors().map(|group| tree.join(group));
        groups.filter_map(|group| version.left(&group)).min()
    });
    left.min()
}

impl Groups {
    /// What the group in this folder leaves.
    fn left(&self, group: &Path) -> Option<usize> {
        let text = |file: &str| fs::read_to_string(group.join(file)).ok();
        // "max" is no number: no limit.
        let number = |file: &str| -> Option<usize> { text(file)?.trim().parse().ok() };
        let (most, taken) = (number(self.limit)?, number(self.taken)?);
        let stat = text("memory.stat").unwrap_or_default();
        let cached = stat.lines().find_map(|line| line.strip_prefix(self.cached));
        let cached = cached
            .and_then(|bytes| bytes.trim().parse().ok())
            .unwrap_or(0);
        Some(most.saturating_sub(taken.saturating_sub(cached)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        let left = || left_by_groups(root.path());
        assert_eq!(left(), None);
        write("proc/self/cgroup", "0::/system.slice/easel.service\n");
        assert_eq!(left(), None);
        let outer = "sys/fs/cgroup/system.slice";
        write(&format!("{outer}/easel.service/memory.max"), "max\n");
        write(&format!("{outer}/easel.service/memory.current"), "700\n");
        assert_eq!(left(), None);
        write(&format!("{outer}/memory.max"), "1000\n");
        write(&format!("{outer}/memory.current"), "900\n");
        write(
            &format!("{outer}/memory.stat"),
            "anon 1\ninactive_file 300\n",
        );
        assert_eq!(left(), Some(400));
        write(&format!("{outer}/easel.service/memory.max"), "750\n");
        assert_eq!(left(), Some(50));
        // Of the first version, and with a group that is seen from within a container.
        write("proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/docker/1\n");
        assert_eq!(left(), None);
        let first = "sys/fs/cgroup/memory";
        write(&format!("{first}/memory.limit_in_bytes"), "3000\n");
        write(&format!("{first}/memory.usage_in_bytes"), "2500\n");
        write(
            &format!("{first}/memory.stat"),
            "inactive_file 1\ntotal_inactive_file 20\n",
        );
        assert_eq!(left(), Some(520));
    }

    #[test]
    fn this_process_takes_some_and_could_have_more() {
        assert!(taken() > 1 << 20);
        assert!(peak().is_some_and(|peak| peak > 1 << 20));
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
