//! Files: read within bounds, whatever lies under their names; written so that a power cut leaves the old one or the new one,
//! never half of one.

mod owner;
mod reading;
mod sums;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub(crate) use owner::{holds_only_ours, only_ours, only_ours_to_change};
pub(crate) use reading::TOKENIZER;
pub use reading::{SETTINGS, open_file, read_file, read_text};
pub(crate) use sums::check_component;
pub use sums::{ANEW, Line, SUMS, Sum, sum_of, sums};

/// Writes `bytes` to a temporary name beside `path`, syncs it, renames it, and syncs the directory.
///
/// # Errors
/// What the file system says. The temporary file is removed; `path` is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, Readers::AsUsual)
}

/// As [`write_atomically`], for the owner's eyes alone.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_privately(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, Readers::Owner)
}

fn write(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut unfinished = Unfinished::create(path, readers)?;
    unfinished.file.write_all(bytes)?;
    unfinished.finish()
}

/// Makes a folder, and those above it that are missing, for the owner alone.
///
/// # Errors
/// What the file system says.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder that is only ours as [`make_private_folder`] does; from one that is there, and this user's, others are kept out
/// from now on.
///
/// # Errors
/// What the file system says.
pub fn own_private_folder(path: &Path) -> io::Result<()> {
    make_private_folder(path)?;
    let known = fs::metadata(path)?;
    if known.permissions().mode() & 0o077 != 0 && only_ours_to_change(&known) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whom the process's mask lets.
    AsUsual,
    /// Its owner.
    Owner,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::AsUsual => 0o666,
            Self::Owner => 0o600,
        }
    }
}

/// Bytes that a file at `path` can have, where the system tells.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.is_dir());
    let known = rustix::fs::statvfs(there.unwrap_or(Path::new("."))).ok()?;
    known.f_bavail.checked_mul(known.f_frsize)
}

/// A file that gets its name when it is whole. Dropped before, it is removed.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    /// Begins a file that is to be `path`. What others began for the same path and were killed over is removed.
    pub(crate) fn create(path: &Path, readers: Readers) -> io::Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
        let name = name.to_string_lossy();
        sweep(folder(path), &name);
        let temporary = folder(path).join(format!(".{name}.{}{PART}", std::process::id()));
        // None that is there already is written through: it may be a link to another file.
        let _ = fs::remove_file(&temporary);
        Ok(Self {
            file: OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(readers.mode())
                .open(&temporary)?,
            temporary,
            path: path.to_owned(),
        })
    }

    /// Syncs the file, gives it its name, and syncs the directory.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After `finish` there is none. Before, the error that led here is the one to report.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// How unfinished files end.
const PART: &str = ".part";

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Removes the unfinished files of this name whose process is gone.
fn sweep(folder: &Path, name: &str) {
    let prefix = format!(".{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let process = found
            .to_str()
            .and_then(|found| found.strip_prefix(&prefix)?.strip_suffix(PART));
        let is_left = process
            .and_then(|process| process.parse::<u32>().ok())
            .is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists());
        if is_left && Path::new("/proc/self").exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_leaves_nothing_and_what_was_left_is_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights.pack");
        fs::write(&path, "old").expect("a file");
        // Process numbers are below 2²².
        let left = folder.path().join(".weights.pack.4999999.part");
        fs::write(&left, "half").expect("a file");
        let other = folder.path().join(".other.pack.4999999.part");
        fs::write(&other, "half").expect("a file");

        let mut unfinished =
            Unfinished::create(&path, Readers::AsUsual).expect("it can be written");
        unfinished
            .file
            .write_all(b"new")
            .expect("it can be written");
        drop(unfinished);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        assert!(!left.exists() && other.exists());

        write_atomically(&path, b"new").expect("it can be written");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        let names = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 2, "the file and the other's");
    }

    #[test]
    fn private_files_and_folders_are_the_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a/b");
        make_private_folder(&inner).expect("it can be made");
        make_private_folder(&inner).expect("it is there");
        let path = inner.join("file");
        fs::write(&path, "old").expect("a file that others can read");
        write_privately(&path, b"new").expect("it can be written");
        let mode = |path: &Path| {
            let known = fs::metadata(path).expect("it is there");
            known.permissions().mode() & 0o777
        };
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&folder.path().join("a")), 0o700);
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&inner, open).expect("it is ours");
        make_private_folder(&inner).expect("it is there");
        assert_eq!(mode(&inner), 0o755, "somebody wants it so");
        own_private_folder(&inner).expect("it is there");
        assert_eq!(mode(&inner), 0o700);
    }
}
