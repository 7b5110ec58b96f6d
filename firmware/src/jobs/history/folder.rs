//! The history's files.

use super::name::Name;
use super::{HistoryError, Kept, Painted};
use crate::jobs::JobId;
use crate::jobs::disk::{Disk, FolderLock, TEMPORARY, replace};
use easel::files::{open_file, own_private_folder, read_file};
use easel::{LARGEST_SIDE, Picture};
use image::{ImageFormat, ImageReader, Limits};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of what is kept beside a picture: two prompts, each byte six in JSON at most, and warnings.
const LONGEST_DETAILS: u64 = 2 << 20;

/// The history's folder. A picture is there when its details are.
pub(super) struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

/// The files of one number, as they are found.
#[derive(Default)]
struct Found {
    picture: Option<(JobId, u64)>,
    details: Option<(JobId, u64)>,
    favourite: bool,
}

impl Folder {
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self {
            disk,
            path: path.to_owned(),
        }
    }

    /// Makes the folder, and keeps others out.
    pub(super) fn lock(&self) -> Result<FolderLock, HistoryError> {
        let lock = own_private_folder(&self.path).and_then(|()| FolderLock::take(&self.path));
        lock.map_err(|problem| self.failed(problem))?
            .ok_or_else(|| HistoryError::Locked(self.path.clone()))
    }

    /// Lists the pictures, removes what is left of others, and tells the next number. Opens no file.
    pub(super) fn read(&self) -> Result<(BTreeMap<u64, Kept>, u64), HistoryError> {
        let mut found = BTreeMap::<u64, Found>::new();
        for entry in fs::read_dir(&self.path).map_err(|problem| self.failed(problem))? {
            let entry = entry.map_err(|problem| self.failed(problem))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(TEMPORARY) {
                self.try_to_remove(&entry.path());
                continue;
            }
            let Some(name) = Name::parse(&name) else {
                continue;
            };
            let files = found.entry(name.number()).or_default();
            let bytes = || entry.metadata().map_or(0, |metadata| metadata.len());
            match name {
                Name::Picture(_, id) => files.picture = Some((id, bytes())),
                Name::Details(_, id) => files.details = Some((id, bytes())),
                Name::Favourite(_) => files.favourite = true,
            }
        }
        let next = found
            .keys()
            .next_back()
            .map_or(0, |last| last.saturating_add(1));
        Ok((self.tidy(found), next))
    }

    /// Keeps whole pictures, the newest of each job.
    fn tidy(&self, found: BTreeMap<u64, Found>) -> BTreeMap<u64, Kept> {
        let mut kept = BTreeMap::new();
        let mut ids = std::collections::HashSet::new();
        for (number, files) in found.into_iter().rev() {
            match (&files.picture, &files.details) {
                (Some((id, picture)), Some((other, details)))
                    if id == other && ids.insert(id.clone()) =>
                {
                    let this = Kept {
                        number,
                        id: id.clone(),
                        bytes: picture + details,
                        favourite: files.favourite,
                    };
                    kept.insert(number, this);
                }
                _ => self.remove_leftovers(number, files),
            }
        }
        kept
    }

    fn remove_leftovers(&self, number: u64, files: Found) {
        // Details first: without them there is no picture.
        if let Some((id, _)) = files.details {
            self.try_to_remove(&self.path(&Name::Details(number, id)));
        }
        if let Some((id, _)) = files.picture {
            self.try_to_remove(&self.path(&Name::Picture(number, id)));
        }
        if files.favourite {
            self.try_to_remove(&self.path(&Name::Favourite(number)));
        }
    }

    /// Writes the files of a picture, and returns what they take.
    pub(super) fn write(
        &self,
        kept: &Kept,
        picture: &Picture,
        painted: &Painted,
    ) -> Result<u64, HistoryError> {
        let png = picture.png(Some(&painted.parameters()));
        let png = png.map_err(HistoryError::Png)?;
        let mut details =
            serde_json::to_vec_pretty(painted).map_err(|error| self.failed(error.into()))?;
        details.push(b'\n');
        let written = self.write_files(kept, &png, &details);
        if let Err(problem) = written {
            let _ = self.remove(kept);
            return Err(self.failed(problem));
        }
        Ok((png.len() + details.len()) as u64)
    }

    fn write_files(&self, kept: &Kept, png: &[u8], details: &[u8]) -> io::Result<()> {
        let Kept { number, id, .. } = kept;
        self.replace(&Name::Picture(*number, id.clone()), png)?;
        if kept.favourite {
            self.replace(&Name::Favourite(*number), &[])?;
        }
        self.replace(&Name::Details(*number, id.clone()), details)?;
        self.disk.sync_folder(&self.path)
    }

    /// Removes the files of a picture; not synced. On an error it is still there.
    pub(super) fn remove(&self, kept: &Kept) -> Result<(), HistoryError> {
        let Kept { number, id, .. } = kept;
        let details = self.path(&Name::Details(*number, id.clone()));
        match self.disk.remove(&details) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                return Err(HistoryError::Disk {
                    path: details,
                    problem,
                });
            }
            _ => {}
        }
        // What is left of these is removed at the next start.
        self.try_to_remove(&self.path(&Name::Picture(*number, id.clone())));
        if kept.favourite {
            self.try_to_remove(&self.path(&Name::Favourite(*number)));
        }
        Ok(())
    }

    pub(super) fn set_favourite(&self, number: u64, favourite: bool) -> Result<(), HistoryError> {
        let name = Name::Favourite(number);
        let path = self.path(&name);
        let done = if favourite {
            self.replace(&name, &[])
        } else {
            match self.disk.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            }
        };
        done.and_then(|()| self.disk.sync_folder(&self.path))
            .map_err(|problem| HistoryError::Disk { path, problem })
    }

    pub(super) fn sync(&self) -> Result<(), HistoryError> {
        let synced = self.disk.sync_folder(&self.path);
        synced.map_err(|problem| self.failed(problem))
    }

    pub(super) fn read_picture(&self, kept: &Kept) -> Result<Picture, HistoryError> {
        let path = self.path(&Name::Picture(kept.number, kept.id.clone()));
        let file = match open_file(&path) {
            Ok(file) => file,
            Err(problem) => return Err(HistoryError::Disk { path, problem }),
        };
        let mut reader = ImageReader::with_format(BufReader::new(file), ImageFormat::Png);
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST_SIDE);
        limits.max_image_height = Some(LARGEST_SIDE);
        reader.limits(limits);
        match reader.decode() {
            Ok(image) => {
                let image = image.into_rgb8();
                Ok(Picture {
                    width: image.width(),
                    height: image.height(),
                    rgb: image.into_raw(),
                })
            }
            Err(error) => Err(damaged(path, &error)),
        }
    }

    pub(super) fn read_details(&self, kept: &Kept) -> Result<Painted, HistoryError> {
        let path = self.path(&Name::Details(kept.number, kept.id.clone()));
        let bytes = match read_file(&path, LONGEST_DETAILS) {
            Ok(bytes) => bytes,
            Err(problem) => return Err(HistoryError::Disk { path, problem }),
        };
        serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error))
    }

    pub(super) fn path(&self, name: &Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    fn replace(&self, name: &Name, bytes: &[u8]) -> io::Result<()> {
        replace(&*self.disk, &self.path, &name.to_string(), bytes).map(drop)
    }

    /// Removes what is in nobody's way if it stays.
    fn try_to_remove(&self, path: &Path) {
        let _ = self.disk.remove(path);
    }

    fn failed(&self, problem: io::Error) -> HistoryError {
        HistoryError::Disk {
            path: self.path.clone(),
            problem,
        }
    }
}

fn damaged(path: PathBuf, error: &dyn std::fmt::Display) -> HistoryError {
    let problem = error.to_string().replace('\n', ", ");
    HistoryError::Damaged { path, problem }
}
