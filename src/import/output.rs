//! The directory that an import makes: under another name until it is whole.
//!
//! Until then it is `.NAME.import` beside where it is to be; it is synced, then gets its name. What is left of an import that was
//! killed is removed by the next one to the same place; while one runs, it holds a lock, and another is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use super::error::ImportError;
use crate::files::{SUMS, free_bytes};

/// Bytes that are handed to the system at once.
const BUFFER: usize = 1 << 20;

/// A directory that is not whole yet. Dropped before [`Folder::publish`], it is removed.
pub(crate) struct Folder {
    out: PathBuf,
    temporary: PathBuf,
    /// Locked as long as it is open.
    lock: File,
    sums: BTreeMap<PathBuf, String>,
    bytes: u64,
    published: bool,
}

/// A file in it.
pub(crate) struct OutFile {
    name: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
    hash: Sha256,
}

impl Folder {
    /// Begins a directory that is to be `out`.
    pub(crate) fn create(out: &Path) -> Result<Self, ImportError> {
        let bad = |problem: &str| {
            Err(ImportError::Bad(format!(
                "--out {}: {problem}",
                out.display()
            )))
        };
        let Some(name) = out.file_name() else {
            return bad("is not the name of a directory");
        };
        if out.symlink_metadata().is_ok() {
            let empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
            if !empty {
                return bad("is there already: remove it, or name another one");
            }
        }
        let beside = match out.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let temporary = beside.join(format!(".{}.import", name.to_string_lossy()));
        let unwritable = |error| ImportError::unwritable(&temporary, &error);
        fs::create_dir_all(beside).map_err(|error| ImportError::unwritable(beside, &error))?;
        match fs::create_dir(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(unwritable)?,
        }
        // A link is not followed: it may lead to what is not ours.
        if temporary
            .symlink_metadata()
            .map_err(unwritable)?
            .is_symlink()
        {
            return Err(unwritable(io::ErrorKind::AlreadyExists.into()));
        }
        let lock = File::open(&temporary).map_err(unwritable)?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return bad("another import is making it: wait for its end");
        }
        for entry in fs::read_dir(&temporary).map_err(unwritable)? {
            remove(&entry.map_err(unwritable)?.path()).map_err(unwritable)?;
        }
        Ok(Self {
            out: out.to_owned(),
            temporary,
            lock,
            sums: BTreeMap::new(),
            bytes: 0,
            published: false,
        })
    }

    /// Where it lies until it is whole.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Bytes that were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Refuses what will not fit, as far as the system tells.
    pub(crate) fn needs(&self, bytes: u64) -> Result<(), ImportError> {
        match free_bytes(&self.temporary) {
            Some(free) if free < bytes => {
                let (free, needed) = (free.div_ceil(1 << 20), bytes.div_ceil(1 << 20));
                let out = self.out.display();
                Err(ImportError::Failed(format!(
                    "{out}: needs {needed} MiB, {free} are free: free some space, or name another place with --out"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Begins a file of it, `name` from the directory on.
    pub(crate) fn create_file(&self, name: &Path) -> Result<OutFile, ImportError> {
        let path = self.temporary.join(name);
        let unwritable = |error| ImportError::unwritable(&path, &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let file = File::create_new(&path).map_err(unwritable)?;
        Ok(OutFile {
            name: name.to_owned(),
            file: BufWriter::with_capacity(BUFFER, file),
            path,
            length: 0,
            hash: Sha256::new(),
        })
    }

    /// Ends a file. One without content is not kept.
    pub(crate) fn finish(&mut self, file: OutFile) -> Result<(), ImportError> {
        let OutFile {
            name,
            path,
            file,
            length,
            hash,
        } = file;
        let unwritable = |error| ImportError::unwritable(&path, &error);
        let file = file
            .into_inner()
            .map_err(|error| unwritable(error.into_error()))?;
        if length == 0 {
            return fs::remove_file(&path).map_err(unwritable);
        }
        file.sync_all().map_err(unwritable)?;
        self.bytes += length;
        let mut sum = String::new();
        for byte in hash.finalize() {
            let _ = write!(sum, "{byte:02x}");
        }
        self.sums.insert(name, sum);
        Ok(())
    }

    /// Writes a whole file.
    pub(crate) fn write(&mut self, name: &Path, bytes: &[u8]) -> Result<(), ImportError> {
        let mut file = self.create_file(name)?;
        file.write(bytes)?;
        self.finish(file)
    }

    /// Lists its files' checksums, and gives it its name.
    pub(crate) fn publish(mut self) -> Result<(), ImportError> {
        let mut list = String::new();
        for (name, sum) in &self.sums {
            let _ = writeln!(list, "{sum}  {}", name.display());
        }
        self.write(Path::new(SUMS), list.as_bytes())?;
        let unwritable = |error| ImportError::unwritable(&self.out, &error);
        for name in self.sums.keys() {
            let folder = self.temporary.join(name);
            let folder = folder.parent().unwrap_or(&self.temporary);
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(unwritable)?;
        }
        self.lock.sync_all().map_err(unwritable)?;
        // An empty directory of this name is replaced.
        fs::rename(&self.temporary, &self.out).map_err(unwritable)?;
        self.published = true;
        let beside = self.temporary.parent().unwrap_or(Path::new("."));
        File::open(beside)
            .and_then(|folder| folder.sync_all())
            .map_err(unwritable)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

impl OutFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| ImportError::unwritable(&self.path, &error))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_has_its_name_when_it_is_whole() {
        let place = tempfile::tempdir().expect("a folder");
        let out = place.path().join("model");
        let mut folder = Folder::create(&out).expect("a folder");
        folder
            .write(Path::new("unet/config.json"), b"{}")
            .expect("room");
        assert_eq!(names(place.path()), [".model.import"]);
        assert_eq!(folder.bytes(), 2);
        folder.publish().expect("room");
        assert_eq!(names(place.path()), ["model"]);
        assert_eq!(names(&out), ["SHA256SUMS", "unet"]);
        let sums = crate::files::sums(&out).expect("a list").expect("a list");
        let Some(Some((name, sum))) = sums.first() else {
            panic!("{sums:?}")
        };
        let found = crate::files::sum_of(&out.join(name), || Ok(())).expect("a file");
        assert_eq!(
            (name.as_path(), *sum, 2),
            (Path::new("unet/config.json"), found.0, found.1)
        );
    }

    #[test]
    fn nothing_is_left_of_one_that_was_given_up() {
        let place = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::create(&place.path().join("model")).expect("a folder");
        folder.write(Path::new("file"), b"content").expect("room");
        drop(folder);
        assert_eq!(names(place.path()), Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_import_left_is_removed_by_the_next() {
        let place = tempfile::tempdir().expect("a folder");
        let left = place.path().join(".model.import/unet");
        fs::create_dir_all(&left).expect("room");
        fs::write(left.join("model.onnx_data"), "half").expect("room");
        Folder::create(&place.path().join("model"))
            .expect("a folder")
            .publish()
            .expect("room");
        assert_eq!(names(place.path()), ["model"]);
        assert_eq!(names(&place.path().join("model")), Vec::<String>::new());
    }

    #[test]
    fn two_imports_to_one_place_do_not_mix() {
        let place = tempfile::tempdir().expect("a folder");
        let out = place.path().join("model");
        let first = Folder::create(&out).expect("a folder");
        let error = Folder::create(&out).err().expect("an error").to_string();
        assert!(error.contains("another import is making it"), "{error}");
        first.publish().expect("room");
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        let place = tempfile::tempdir().expect("a folder");
        for name in ["file", "folder"] {
            let out = place.path().join(name);
            match name {
                "file" => fs::write(&out, "content").expect("room"),
                _ => {
                    fs::create_dir(&out).expect("room");
                    fs::write(out.join("content"), "content").expect("room");
                }
            }
            let error = Folder::create(&out).err().expect("an error").to_string();
            assert!(error.contains("is there already"), "{error}");
        }
        // But an empty directory, as those who made room for it leave it.
        let out = place.path().join("empty");
        fs::create_dir(&out).expect("room");
        Folder::create(&out)
            .expect("a folder")
            .publish()
            .expect("room");
        assert!(Folder::create(Path::new("/")).is_err());
    }

    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().expect("a folder");
        let other = place.path().join("other");
        fs::create_dir(&other).expect("room");
        fs::write(other.join("precious"), "content").expect("room");
        std::os::unix::fs::symlink(&other, place.path().join(".model.import")).expect("room");
        assert!(Folder::create(&place.path().join("model")).is_err());
        assert_eq!(names(&other), ["precious"]);
    }
}
