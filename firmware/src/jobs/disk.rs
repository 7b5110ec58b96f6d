//! The few things that are done to a disk, so that a test can make each of them fail.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What may fail on a full, failing or unplugged disk.
pub(crate) trait Disk: Send + Sync {
    /// Writes all bytes where the file stands. On an error some of them may have been written.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns when the file's contents and length outlast a power cut.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Cuts the file to `length` bytes.
    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Returns when names given, changed and removed in the folder outlast a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The disk itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {}

/// Who may read and write what is kept.
const OWNER_ALONE: u32 = 0o600;

/// How files begin that have no name yet. What has such a name when the program starts is a leftover.
pub(crate) const TEMPORARY: &str = ".new-";

/// Writes a file that has its name when it is whole and synced, in place of what had the name. The file is returned
/// open at its end. [`Disk::sync_folder`] is left to the caller: without, a power cut may bring the old one back.
///
/// # Errors
/// What the file system says. The old file is as it was.
pub(crate) fn replace(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<File> {
    let temporary = folder.join(format!("{TEMPORARY}{name}"));
    // Left by a process that was killed; a link that lies there instead is not followed.
    let _ = fs::remove_file(&temporary);
    let created = File::options()
        .write(true)
        .create_new(true)
        .mode(OWNER_ALONE)
        .open(&temporary);
    let written = created.and_then(|mut file| {
        disk.write(&mut file, bytes)?;
        disk.sync(&file)?;
        disk.rename(&temporary, &folder.join(name))?;
        Ok(file)
    });
    if written.is_err() {
        // The error that led here is the one to report.
        let _ = disk.remove(&temporary);
    }
    written
}

/// Whether a write failed because there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Keeps other processes out of a folder; the system frees it when this one ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "open means locked")] File);

impl FolderLock {
    /// `None` when another process has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(OWNER_ALONE)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
