//! The pictures of jobs, as files beside the journal.
//!
//! A file is there before the journal has the job that needs it, and goes after the journal has the job's end. So a power cut leaves a file
//! too many, which goes at the next start, and never one too few.

use super::disk::{Disk, TEMPORARY, replace};
use super::order_pictures::{FileName, NewPicture};
use super::{Job, JournalError};
use easel::files::{own_private_folder, read_file};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a picture that comes with an order.
pub(crate) const LARGEST_PICTURE: usize = 8 << 20;

/// Bytes of a picture of the history: one of the largest that can be painted, of noise.
pub(crate) const LARGEST_HISTORY: u64 = 256 << 20;

/// The folder of such pictures.
pub(super) struct Pictures {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Files that are there, or could not be removed.
    there: BTreeSet<FileName>,
}

impl Pictures {
    /// In a folder of its own in `folder`, made when the first picture comes. Removes what was being written when the power went.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        let mut pictures = Self {
            disk,
            folder: folder.join("pictures"),
            there: BTreeSet::new(),
        };
        // A folder that cannot be read has nothing that could be painted from: whoever needs it says so.
        for entry in fs::read_dir(&pictures.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(TEMPORARY) {
                let _ = pictures.disk.remove(&entry.path());
            } else if let Ok(name) = FileName::try_from(name) {
                pictures.there.insert(name);
            }
        }
        pictures
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what is not there; it outlasts a power cut when this returns.
    ///
    /// # Errors
    /// What the file system says. What was written is not needed by anybody then.
    pub(super) fn keep(&mut self, pictures: &[NewPicture]) -> Result<(), JournalError> {
        for picture in pictures {
            self.keep_one(picture)
                .map_err(|problem| JournalError::Disk {
                    path: self.path(&picture.name),
                    problem,
                })?;
        }
        Ok(())
    }

    fn keep_one(&mut self, picture: &NewPicture) -> io::Result<()> {
        let name = picture.name.as_ref();
        // One that was damaged meanwhile is mended.
        let known = self.there.contains(&picture.name).then(|| {
            let most = picture.bytes.len() as u64;
            read_file(&self.path(&picture.name), most)
        });
        if known.is_some_and(|known| known.is_ok_and(|known| *known == *picture.bytes)) {
            return Ok(());
        }
        let is_new = !self.folder.exists();
        own_private_folder(&self.folder)?;
        if is_new && let Some(parent) = self.folder.parent() {
            self.disk.sync_folder(parent)?;
        }
        replace(&*self.disk, &self.folder, name, &picture.bytes)?;
        self.there.insert(picture.name.clone());
        self.disk.sync_folder(&self.folder)
    }

    /// Removes what none of these jobs needs. What cannot be removed is tried again the next time.
    pub(super) fn leave<'a>(&mut self, jobs: impl Iterator<Item = &'a Job>) {
        if self.there.is_empty() {
            return;
        }
        let needed: HashSet<&FileName> = jobs.flat_map(|job| job.order.pictures.files()).collect();
        let others: Vec<FileName> = self
            .there
            .iter()
            .filter(|name| !needed.contains(name))
            .cloned()
            .collect();
        for name in others {
            match self.disk.remove(&self.path(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => drop(self.there.remove(&name)),
            }
        }
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.folder.join(name.as_ref())
    }
}
