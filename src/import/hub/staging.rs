//! The folder that downloads go into until a model is made of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::super::ImportError;
use super::name::Name;
use crate::files::free_bytes;

/// `.NAME.download` beside the model NAME that is to be made. It stays when it is dropped: the next import goes on with it.
#[derive(Debug)]
pub struct Staging {
    out: PathBuf,
    path: PathBuf,
    /// Locked as long as it is open.
    lock: File,
}

impl Staging {
    /// Begins a download for the model directory `out`, or goes on with one.
    ///
    /// # Errors
    /// `out` is there already, another import is under way, or there can be no folder.
    pub fn open(out: &Path) -> Result<Self, ImportError> {
        let bad = |problem: &str| {
            Err(ImportError::Bad(format!(
                "--out {}: {problem}",
                out.display()
            )))
        };
        let Some(name) = out.file_name() else {
            return bad("is not the name of a directory");
        };
        let is_empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
        if out.symlink_metadata().is_ok() && !is_empty {
            return bad("is there already: remove it, or name another one");
        }
        let beside = match out.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let path = beside.join(format!(".{}.download", name.to_string_lossy()));
        let unwritable = |error| ImportError::unwritable(&path, &error);
        match fs::create_dir_all(beside).and_then(|()| fs::create_dir(&path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(unwritable)?,
        }
        // A link is not followed: it may lead to what is not ours.
        if path.symlink_metadata().map_err(unwritable)?.is_symlink() {
            return Err(unwritable(io::ErrorKind::AlreadyExists.into()));
        }
        let lock = File::open(&path).map_err(unwritable)?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return bad("another import is downloading for it: wait for its end");
        }
        Ok(Self {
            out: out.to_owned(),
            path,
            lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something is in it.
    #[must_use]
    pub fn has_files(&self) -> bool {
        has_files(&self.path)
    }

    /// Where the files of a repository at a commit go.
    pub(super) fn folder(&self, commit: &str, name: &Name) -> Result<PathBuf, ImportError> {
        let folder = self.path.join(commit).join(name.short());
        fs::create_dir_all(&folder).map_err(|error| ImportError::unwritable(&folder, &error))?;
        Ok(folder)
    }

    /// Refuses what will not fit, as far as the system tells.
    pub(super) fn needs(&self, bytes: u64) -> Result<(), ImportError> {
        match free_bytes(&self.path) {
            Some(free) if free < bytes => {
                let (free, needed) = (free.div_ceil(1 << 20), bytes.div_ceil(1 << 20));
                let out = self.out.display();
                Err(ImportError::Failed(format!(
                    "{out}: the download needs {needed} MiB beside it, {free} are free: free some space, or name another place with --out"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Makes the names of a folder's files last.
    pub(super) fn sync(&self, folder: &Path) -> Result<(), ImportError> {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced
            .and_then(|()| self.lock.sync_all())
            .map_err(|error| ImportError::unwritable(folder, &error))
    }

    /// Removes all that was downloaded: the model is made.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(self) -> Result<(), ImportError> {
        fs::remove_dir_all(&self.path).map_err(|error| ImportError::unwritable(&self.path, &error))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove_empty(&self.path);
    }
}

fn has_files(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => has_files(&entry.path()),
        _ => true,
    })
}

/// Removes a folder if there is no file in it.
fn remove_empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One with something in it stays.
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_an_empty_folder_does_not_stay() {
        let place = tempfile::tempdir().expect("a folder");
        let staging = Staging::open(&place.path().join("model")).expect("a folder");
        staging.needs(1).expect("there is room for a byte");
        let error = staging.needs(1 << 60).expect_err("no disk is so large");
        assert!(error.to_string().contains("free some space"), "{error}");
        let name = Name::parse("owner/name").expect("a name");
        let folder = staging.folder("0123", &name).expect("room");
        drop(staging);
        assert!(!place.path().join(".model.download").exists());
        let staging = Staging::open(&place.path().join("model")).expect("a folder");
        let again = staging.folder("0123", &name).expect("room");
        assert_eq!(again, folder);
        fs::write(folder.join("a.part"), "half").expect("room");
        assert!(staging.has_files());
        drop(staging);
        assert!(folder.join("a.part").exists(), "what came stays");
    }

    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/tmp", place.path().join(".model.download")).expect("room");
        assert!(Staging::open(&place.path().join("model")).is_err());
    }
}
