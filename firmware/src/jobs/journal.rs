//! The journal's file: entries are appended and synced; it is written anew when it has grown, or cannot be trusted.

use super::disk::{Disk, replace};
use super::record::{HEADING, Reading, read_journal, record};
use super::{Entry, JournalError};
use easel::files::read_file;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal's name in its folder.
const NAME: &str = "journal";

/// Bytes that a journal may grow, besides as much as it had when it was written anew.
const GROWTH: u64 = 256 * 1024;

/// More than the longest queue of the largest records takes, twice.
const LARGEST_JOURNAL: u64 = 1 << 30;

/// The open journal.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// `None`: what is on the disk must not be appended to, and is written anew first.
    tail: Option<Tail>,
    growth: u64,
}

/// Where entries are appended.
struct Tail {
    file: File,
    /// Bytes that are whole and synced.
    length: u64,
    /// From here on it is written anew.
    limit: u64,
}

/// What opening found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) reading: Reading,
    /// Bytes behind the last record, which are cut off.
    pub(super) cut: usize,
    /// Where a journal is kept that could not be read, or not all of it.
    pub(super) set_aside: Option<PathBuf>,
}

impl Journal {
    /// Reads what there is. A journal that cannot be read gets another name, one that is damaged a second one.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<(Self, Found), JournalError> {
        let mut journal = Self {
            disk,
            folder: folder.to_owned(),
            tail: None,
            growth: GROWTH,
        };
        let mut found = Found::default();
        let path = journal.path();
        let bytes = match read_file(&path, LARGEST_JOURNAL) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((journal, found)),
            // That is a matter of the set-up, not of the disk, and the jobs in it are whole.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(journal.failed(error));
            }
            Err(_) => {
                found.set_aside = Some(journal.set_aside()?);
                return Ok((journal, found));
            }
        };
        found.reading = read_journal(&bytes);
        if !found.reading.understood {
            found.set_aside = Some(journal.set_aside()?);
            return Ok((journal, found));
        }
        found.cut = bytes.len() - found.reading.end;
        if !found.reading.damaged.is_empty() {
            found.set_aside = journal.keep_damaged();
        } else if found.reading.end >= HEADING.len() {
            let length = found.reading.end as u64;
            journal.tail = journal.continue_at(length, found.cut > 0).ok();
        }
        Ok((journal, found))
    }

    /// Whether the next append has to write all anew.
    pub(super) fn is_stale(&self) -> bool {
        self.tail
            .as_ref()
            .is_none_or(|tail| tail.length >= tail.limit)
    }

    #[cfg(test)]
    pub(super) fn outgrow(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.limit = tail.length;
        }
    }

    /// Makes the next append write all anew.
    pub(super) fn make_stale(&mut self) {
        self.tail = None;
    }

    /// Appends entries and returns when they outlast a power cut. `so_far` is what a journal that is written anew has
    /// before them.
    ///
    /// # Errors
    /// What the file system says. The entries are not in the journal, except where it is the syncing that failed: then
    /// they are until the next append.
    pub(super) fn append(
        &mut self,
        entries: &[Entry],
        so_far: impl FnOnce() -> Vec<Entry>,
    ) -> Result<(), JournalError> {
        let record = record(entries);
        if self.is_stale() {
            let mut whole = HEADING.to_vec();
            // A record each, so that damage takes few of them.
            whole.extend(so_far().chunks(1).flat_map(self::record));
            if !entries.is_empty() {
                whole.extend(&record);
            }
            match self.write_anew(&whole) {
                // The old one is as it was, and grows further.
                Err(_) if self.tail.is_some() => {}
                result => return result.map_err(|error| self.failed(error)),
            }
        }
        self.append_record(&record)
            .map_err(|error| self.failed(error))
    }

    fn append_record(&mut self, record: &[u8]) -> io::Result<()> {
        let Some(mut tail) = self.tail.take() else {
            return Err(io::Error::other("is not open"));
        };
        if let Err(error) = self.disk.write(&mut tail.file, record) {
            let cut = self.cut(&mut tail);
            self.tail = cut.is_ok().then_some(tail);
            return Err(error);
        }
        if let Err(error) = self.disk.sync(&tail.file) {
            // After a failed sync nothing is known of what the file has on the disk (Rebello et al., "Can
            // Applications Recover from fsync Failures?", 2020), so it is not gone on with.
            let _ = self.cut(&mut tail);
            return Err(error);
        }
        tail.length += record.len() as u64;
        self.tail = Some(tail);
        Ok(())
    }

    /// Takes away what is behind the last record.
    fn cut(&self, tail: &mut Tail) -> io::Result<()> {
        self.disk.cut(&tail.file, tail.length)?;
        tail.file.seek(SeekFrom::Start(tail.length))?;
        self.disk.sync(&tail.file)
    }

    fn write_anew(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = replace(&*self.disk, &self.folder, NAME, bytes)?;
        // The old file has no name any more.
        self.tail = None;
        self.disk.sync_folder(&self.folder)?;
        let length = bytes.len() as u64;
        self.tail = Some(Tail {
            file,
            length,
            limit: length + self.growth.max(length),
        });
        Ok(())
    }

    /// Opens the file to append at `length`.
    fn continue_at(&self, length: u64, cut: bool) -> io::Result<Tail> {
        let mut tail = Tail {
            file: File::options().write(true).open(self.path())?,
            length,
            limit: length + self.growth.max(length),
        };
        if cut {
            self.cut(&mut tail)?;
        } else {
            tail.file.seek(SeekFrom::Start(length))?;
        }
        Ok(tail)
    }

    /// Gives the journal another name.
    fn set_aside(&self) -> Result<PathBuf, JournalError> {
        let name = self.free_name();
        self.disk
            .rename(&self.path(), &name)
            .map_err(|error| self.failed(error))?;
        Ok(name)
    }

    /// Gives the journal a second name, under which it stays when it is written anew.
    fn keep_damaged(&self) -> Option<PathBuf> {
        let name = self.free_name();
        let kept = fs::hard_link(self.path(), &name)
            // Not every file system has links.
            .or_else(|_| fs::copy(self.path(), &name).map(drop));
        kept.is_ok().then_some(name)
    }

    fn free_name(&self) -> PathBuf {
        (1_u32..)
            .map(|number| self.folder.join(format!("{NAME}.set-aside-{number}")))
            .find(|name| !name.exists())
            .expect("a folder has fewer files")
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    fn failed(&self, problem: io::Error) -> JournalError {
        JournalError::Disk {
            path: self.path(),
            problem,
        }
    }
}
