//! What memory this process takes, and what it could have.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Bytes of memory that this process takes now (`VmRSS`, proc(5)); 0 where the system does not say.
pub(crate) fn taken() -> usize {
    status("VmRSS").unwrap_or(0)
}

/// Bytes that this process could take beside those that it has: what the machine has free or can free without swapping
/// (`MemAvailable`), what its control group leaves it (cgroup-v2: memory.max), and what its own limit does (`ulimit -v`).
/// `None` where the system does not say.
pub(crate) fn available() -> Option<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = kib(&meminfo, "MemAvailable");
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/"));
    let group = group.and_then(|group| left_by_groups(Path::new("/sys/fs/cgroup"), group));
    [machine, group, left_by_limit()]
        .into_iter()
        .flatten()
        .min()
}

/// Bytes that this process could have, with those that it has.
pub(crate) fn all() -> Option<usize> {
    available().map(|free| free.saturating_add(taken()))
}

fn status(name: &str) -> Option<usize> {
    kib(
        &fs::read_to_string("/proc/self/status").unwrap_or_default(),
        name,
    )
}

/// `NAME:  123 kB` in bytes.
fn kib(text: &str, name: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    // In 32 bits a machine may have more than there is a number for.
    Some(kib.saturating_mul(1 << 10))
}

/// What is left of this process's addresses.
fn left_by_limit() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::As).current?).ok()?;
    Some(limit.saturating_sub(status("VmSize").unwrap_or(0)))
}

/// What a control group and those that it is in leave.
fn left_by_groups(root: &Path, group: &str) -> Option<usize> {
    let mut left: Option<usize> = None;
    let mut folder = root.join(group);
    while folder.starts_with(root) && folder != root {
        let number = |file: &str| -> Option<usize> {
            fs::read_to_string(folder.join(file))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        // "max" is no number: no limit.
        if let (Some(most), Some(current)) = (number("memory.max"), number("memory.current")) {
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let cached = stat
                .lines()
                .find_map(|line| line.strip_prefix("inactive_file "));
            let cached = cached
                .and_then(|bytes| bytes.trim().parse::<usize>().ok())
                .unwrap_or(0);
            let own = most.saturating_sub(current.saturating_sub(cached));
            left = Some(left.map_or(own, |left| left.min(own)));
        }
        if !folder.pop() {
            break;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let root = tempfile::tempdir().expect("a folder");
        let inner = root.path().join("system.slice/easel.service");
        fs::create_dir_all(&inner).expect("a folder");
        let write = |folder: &Path, file: &str, text: &str| {
            fs::write(folder.join(file), text).expect("written");
        };
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "700\n");
        assert_eq!(
            left_by_groups(root.path(), "system.slice/easel.service"),
            None
        );
        let outer = root.path().join("system.slice");
        write(&outer, "memory.max", "1000\n");
        write(&outer, "memory.current", "900\n");
        write(&outer, "memory.stat", "anon 1\ninactive_file 300\n");
        assert_eq!(
            left_by_groups(root.path(), "system.slice/easel.service"),
            Some(400)
        );
        write(&inner, "memory.max", "750\n");
        assert_eq!(
            left_by_groups(root.path(), "system.slice/easel.service"),
            Some(50)
        );
    }

    #[test]
    fn this_process_takes_some_and_could_have_more() {
        assert!(taken() > 1 << 20);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
