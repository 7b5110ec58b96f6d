//! Jobs that ended the program when they were painted, kept for people to look at.

use super::disk::{Disk, replace};
use super::{Job, JournalError};
use easel::files::own_private_folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Jobs that are kept, the newest.
const MOST: usize = 64;

/// The folder of such jobs.
pub(super) struct SetAside {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl SetAside {
    /// In a folder of its own in `folder`, made when the first job comes.
    pub(super) fn new(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self {
            disk,
            folder: folder.join("set-aside"),
        }
    }

    /// Writes a job to a file, and removes the oldest when there are too many.
    pub(super) fn keep(&self, job: &Job) -> Result<(), JournalError> {
        let name = format!("{:010}-{}.json", job.sequence, job.id);
        self.write(&name, job)
            .map_err(|problem| JournalError::Disk {
                path: self.folder.join(&name),
                problem,
            })
    }

    fn write(&self, name: &str, job: &Job) -> io::Result<()> {
        own_private_folder(&self.folder)?;
        replace(
            &*self.disk,
            &self.folder,
            name,
            &serde_json::to_vec_pretty(job)?,
        )?;
        self.disk.sync_folder(&self.folder)?;
        let mut names: Vec<PathBuf> = fs::read_dir(&self.folder)?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        names.sort_unstable();
        for old in names.iter().rev().skip(MOST) {
            // One that stays is in nobody's way.
            let _ = self.disk.remove(old);
        }
        Ok(())
    }
}
