//! Whose a file is: what somebody else could have written is not believed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{MemfdFlags, fstat, memfd_create};

/// Bits of a mode: who but the owner may write, and that of a folder each may remove only what is theirs.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Says why `path`, of which `known` is known, may hold what another user wrote: it belongs to somebody who is neither this user
/// nor root, or others may write to it.
pub(crate) fn only_ours(path: &Path, known: &Metadata) -> Result<(), String> {
    judge(path, known.uid(), known.mode(), false)
}

/// As [`only_ours`], for a folder that holds a folder which is only ours: the folder of a system's temporary files will do, where
/// nobody renames what belongs to others.
pub(crate) fn holds_only_ours(path: &Path) -> io::Result<Result<(), String>> {
    let known = fs::metadata(path)?;
    Ok(judge(path, known.uid(), known.mode(), true))
}

/// Whether this user may change who may what.
pub(crate) fn only_ours_to_change(known: &Metadata) -> bool {
    this_user().is_ok_and(|me| me == known.uid())
}

/// Whose the files are that this process makes.
fn this_user() -> Result<u32, String> {
    let made = memfd_create("easel", MemfdFlags::CLOEXEC).and_then(fstat);
    made.map(|known| known.st_uid)
        .map_err(|error| format!("it is not known whose files are made: {error}"))
}

fn judge(path: &Path, owner: u32, mode: u32, sticky_will_do: bool) -> Result<(), String> {
    let me = this_user()?;
    if owner != me && owner != 0 {
        return Err(format!(
            "{} belongs to another user ({owner})",
            path.display()
        ));
    }
    if mode & OTHERS_WRITE != 0 && !(sticky_will_do && mode & STICKY != 0) {
        return Err(format!(
            "others may write to {} (`chmod go-w` takes that from them)",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_own_or_can_write_is_told() {
        let (path, me) = (Path::new("x"), this_user().expect("Linux"));
        let own = fs::metadata("/proc/self").expect("Linux");
        assert_eq!(me, own.uid());
        for (owner, mode, sticky_will_do, believed) in [
            (me, 0o100_600, false, true),
            (me, 0o100_644, false, true),
            (0, 0o100_644, false, true),
            (me, 0o100_664, false, false),
            (me, 0o100_602, false, false),
            (me + 1, 0o100_600, false, false),
            (me, 0o040_755, true, true),
            (me, 0o041_777, true, true),
            (me, 0o041_777, false, false),
            (me, 0o040_777, true, false),
            (me + 1, 0o041_777, true, false),
        ] {
            let judged = judge(path, owner, mode, sticky_will_do);
            assert_eq!(judged.is_ok(), believed, "{owner} {mode:o}: {judged:?}");
        }
    }
}
