//! The pictures that were painted, each a PNG and a JSON, within bounds.

mod folder;
mod name;
mod painted;

pub use painted::{Painted, TimingsMs};

use super::disk::{Disk, FolderLock, RealDisk, is_full};
use super::{HistorySettings, JobId};
use easel::Picture;
use folder::Folder;
use name::Name;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The pictures that were painted, the oldest first; owned by one thread.
///
/// In memory is only a list. What a method has done outlasts a power cut; where one fails, the list is as before.
pub struct History {
    folder: Folder,
    /// By number.
    kept: BTreeMap<u64, Kept>,
    next: u64,
    settings: HistorySettings,
    _lock: FolderLock,
}

/// A picture of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Counts the pictures: a later one has a larger number.
    pub number: u64,
    /// The job's name.
    pub id: JobId,
    /// What its files take.
    pub bytes: u64,
    /// Whether it stays however many come after it.
    pub favourite: bool,
}

/// A history that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Two processes would remove each other's files.
    #[error("{}: is used by another easel: stop that one, or give this one another folder", .0.display())]
    Locked(PathBuf),
    /// What the file system says.
    #[error("{}: {problem}: check the disk, and that easel may write there", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: is damaged: {problem}: delete the picture, or copy it back", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The history has no such picture, or no more.
    #[error("there is no picture {0} in the history: it may have made room for others")]
    Unknown(JobId),
    /// A picture whose pixels do not fit its size.
    #[error("the picture cannot become a PNG: {0}")]
    Png(String),
}

impl HistoryError {
    /// Whether there is no room: [`History::prune_to`] makes some.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { problem, .. } if is_full(problem))
    }
}

impl History {
    /// Opens the history that is kept in `folder`, which is made where it is missing. What a power cut left of
    /// pictures that were being added or removed goes; files that are not the history's stay.
    ///
    /// # Errors
    /// Another process uses the folder, or it cannot be made or read.
    pub fn open(folder: &Path, settings: &HistorySettings) -> Result<Self, HistoryError> {
        Self::open_on(Arc::new(RealDisk), folder, settings)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        settings: &HistorySettings,
    ) -> Result<Self, HistoryError> {
        let folder = Folder::new(disk, folder);
        let lock = folder.lock()?;
        let (kept, next) = folder.read()?;
        let mut history = Self {
            folder,
            kept,
            next,
            settings: settings.clone(),
            _lock: lock,
        };
        history.keep_within_bounds();
        Ok(history)
    }

    /// Adds a picture, and lets the oldest go that are too many then. One of the same job is replaced; a favourite stays
    /// a favourite.
    ///
    /// # Errors
    /// The disk; pixels that do not fit the size.
    pub fn add(&mut self, picture: &Picture, painted: &Painted) -> Result<Kept, HistoryError> {
        let before = self.get(&painted.id).cloned();
        let mut kept = Kept {
            number: self.next,
            id: painted.id.clone(),
            bytes: 0,
            favourite: before.as_ref().is_some_and(|before| before.favourite),
        };
        // Counted also when it fails: what cannot be removed of it must not be taken for a part of the next.
        self.next = self.next.saturating_add(1);
        kept.bytes = self.folder.write(&kept, picture, painted)?;
        self.kept.insert(kept.number, kept.clone());
        if let Some(before) = before {
            // One that stays on the disk goes at the next start: the newest of a job is kept.
            let _ = self.folder.remove(&before);
            self.kept.remove(&before.number);
        }
        self.keep_within_bounds();
        Ok(kept)
    }

    /// The picture that was added last.
    #[must_use]
    pub fn latest(&self) -> Option<&Kept> {
        self.kept.values().next_back()
    }

    /// The picture of a job.
    #[must_use]
    pub fn get(&self, id: &JobId) -> Option<&Kept> {
        self.kept.values().rev().find(|kept| kept.id == *id)
    }

    /// The picture after that of `id`; none after the latest. Where `id` is not here any more, the latest.
    #[must_use]
    pub fn next(&self, id: &JobId) -> Option<&Kept> {
        match self.get(id) {
            Some(kept) => self
                .kept
                .range(kept.number + 1..)
                .next()
                .map(|(_, next)| next),
            None => self.latest(),
        }
    }

    /// The picture before that of `id`; none before the oldest. Where `id` is not here any more, the latest.
    #[must_use]
    pub fn previous(&self, id: &JobId) -> Option<&Kept> {
        match self.get(id) {
            Some(kept) => self
                .kept
                .range(..kept.number)
                .next_back()
                .map(|(_, before)| before),
            None => self.latest(),
        }
    }

    /// All pictures, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> + ExactSizeIterator {
        self.kept.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes that all files take, favourites counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kept.values().map(|kept| kept.bytes).sum()
    }

    /// Where the PNG of a picture is.
    #[must_use]
    pub fn path(&self, kept: &Kept) -> PathBuf {
        self.folder
            .path(&Name::Picture(kept.number, kept.id.clone()))
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// There is none of that job; its file cannot be read or is damaged.
    pub fn picture(&self, id: &JobId) -> Result<Picture, HistoryError> {
        self.folder.read_picture(self.find(id)?)
    }

    /// Reads how a picture came about.
    ///
    /// # Errors
    /// There is none of that job; its file cannot be read or is damaged.
    pub fn details(&self, id: &JobId) -> Result<Painted, HistoryError> {
        self.folder.read_details(self.find(id)?)
    }

    /// Makes a picture a favourite, or not any more.
    ///
    /// # Errors
    /// There is none of that job; the disk.
    pub fn set_favourite(&mut self, id: &JobId, favourite: bool) -> Result<(), HistoryError> {
        let number = self.find(id)?.number;
        self.folder.set_favourite(number, favourite)?;
        if let Some(kept) = self.kept.get_mut(&number) {
            kept.favourite = favourite;
        }
        Ok(())
    }

    /// Deletes a picture, a favourite too.
    ///
    /// # Errors
    /// There is none of that job; the disk. Where only the folder could not be synced, it is gone now and may be back
    /// after a power cut.
    pub fn delete(&mut self, id: &JobId) -> Result<(), HistoryError> {
        let kept = self.find(id)?.clone();
        self.folder.remove(&kept)?;
        self.kept.remove(&kept.number);
        self.folder.sync()
    }

    /// Deletes the oldest pictures until all take at most `bytes`, favourites counted; for a disk that is nearly full.
    /// Favourites stay, and the latest picture. Returns the bytes that were freed.
    pub fn prune_to(&mut self, bytes: u64) -> u64 {
        let before = self.bytes();
        let mut excess = before.saturating_sub(bytes);
        let mut leaving = Vec::new();
        for kept in self.that_may_go() {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(kept.bytes);
            leaving.push(kept.number);
        }
        self.remove_all(&leaving);
        before - self.bytes()
    }

    /// What may be kept from now on.
    pub fn set_bounds(&mut self, settings: &HistorySettings) {
        self.settings = settings.clone();
        self.keep_within_bounds();
    }

    fn find(&self, id: &JobId) -> Result<&Kept, HistoryError> {
        self.get(id)
            .ok_or_else(|| HistoryError::Unknown(id.clone()))
    }

    /// No favourites, and not the latest: it is what the board shows. The oldest first.
    fn that_may_go(&self) -> impl Iterator<Item = &Kept> {
        let others = self.kept.len().saturating_sub(1);
        self.kept
            .values()
            .take(others)
            .filter(|kept| !kept.favourite)
    }

    fn keep_within_bounds(&mut self) {
        let counted = || self.kept.values().filter(|kept| !kept.favourite);
        let mut pictures = counted().count();
        let mut bytes: u64 = counted().map(|kept| kept.bytes).sum();
        let most_bytes = self.settings.mib.saturating_mul(1 << 20);
        let mut leaving = Vec::new();
        for kept in self.that_may_go() {
            if pictures <= self.settings.pictures && bytes <= most_bytes {
                break;
            }
            pictures -= 1;
            bytes -= kept.bytes;
            leaving.push(kept.number);
        }
        self.remove_all(&leaving);
    }

    /// Removes what can be removed. What cannot stays in the list, for the next time.
    fn remove_all(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(kept) = self.kept.get(number)
                && self.folder.remove(kept).is_ok()
            {
                self.kept.remove(number);
            }
        }
        if !numbers.is_empty() {
            // After a power cut they may be here again, and are removed again.
            let _ = self.folder.sync();
        }
    }
}

#[cfg(test)]
mod tests;
