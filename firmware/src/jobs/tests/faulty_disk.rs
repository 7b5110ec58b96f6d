//! A disk that fails when it is told to, and forgets at a power cut what was not synced.

use crate::jobs::disk::Disk;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) enum Fault {
    /// There is no room: half is written. What needs none works.
    Full,
    /// The call does nothing and says so.
    Broken,
    /// From this call on, nothing works any more.
    PowerCut,
}

#[derive(Default)]
pub(in crate::jobs) struct FaultyDisk(Mutex<State>);

#[derive(Default)]
struct State {
    calls: usize,
    fault: Option<(usize, Fault)>,
    off: bool,
    /// By inode: bytes that outlast a power cut.
    synced: HashMap<u64, u64>,
    /// What had a name before a rename that is not synced, the last at the end.
    renamed: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    /// The `call`th call from now on fails, the first is 0.
    pub(in crate::jobs) fn fail_at(&self, call: usize, fault: Fault) {
        let mut state = self.state();
        state.calls = 0;
        state.fault = Some((call, fault));
    }

    /// Calls since the last `fail_at`, or ever.
    pub(in crate::jobs) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Makes the folder what it is after a power cut, if nothing reached the disk that was not synced.
    pub(in crate::jobs) fn forget_unsynced(&self, folder: &Path) {
        let mut state = self.state();
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            let metadata = fs::metadata(&path).expect("it is there");
            if metadata.is_file()
                && let Some(&synced) = state.synced.get(&metadata.ino())
                && synced < metadata.len()
            {
                let file = File::options().write(true).open(&path).expect("a file");
                file.set_len(synced).expect("it can be cut");
            }
        }
        for (path, before) in std::mem::take(&mut state.renamed).into_iter().rev() {
            match before {
                Some(bytes) => fs::write(&path, bytes).expect("it can be written"),
                None => fs::remove_file(&path).expect("it was renamed to this name"),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    /// Counts a call; the fault that it has.
    fn call(&self) -> Option<Fault> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        match state.fault {
            _ if state.off => Some(Fault::Broken),
            Some((at, fault)) if at == call => {
                state.off = fault == Fault::PowerCut;
                Some(fault)
            }
            _ => None,
        }
    }

    fn call_without_room(&self) -> io::Result<()> {
        match self.call() {
            Some(Fault::Broken | Fault::PowerCut) => Err(io::Error::other("broken")),
            Some(Fault::Full) | None => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let metadata = file.metadata()?;
        if metadata.len() == 0 {
            // Its inode may have been another file's.
            self.state().synced.insert(metadata.ino(), 0);
        }
        match self.call() {
            Some(Fault::Full) => {
                file.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            // Half a record, by its own length, as the power goes.
            Some(Fault::PowerCut) => {
                file.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::Error::other("broken"))
            }
            Some(Fault::Broken) => Err(io::Error::other("broken")),
            None => file.write_all(bytes),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.call() {
            // Some file systems find out only now.
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Err(io::Error::other("broken")),
            None => {
                let metadata = file.metadata()?;
                self.state().synced.insert(metadata.ino(), metadata.len());
                Ok(())
            }
        }
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        self.call_without_room()?;
        file.set_len(length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call_without_room()?;
        let before = fs::read(to).ok();
        fs::rename(from, to)?;
        self.state().renamed.push((to.to_owned(), before));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call_without_room()?;
        fs::remove_file(path)?;
        // A removal that a power cut undoes is not played; what it leaves is what the start after it removes.
        self.state().renamed.retain(|(renamed, _)| renamed != path);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.call_without_room()?;
        self.state().renamed.clear();
        Ok(())
    }
}

/// A disk without a fault, and without waiting for it.
pub(in crate::jobs) struct FastDisk;

impl Disk for FastDisk {
    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
