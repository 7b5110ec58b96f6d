//! One file: its bytes come into `NAME.part`, from where a broken connection ended; it gets its name when its hash is right.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::super::ImportError;
use super::Watch;
use super::connection::{Connection, Head, LEAST, Sink, Trouble};
use super::listing::{File as Listed, Hash};
use super::meter::Meter;
use super::retries::Retries;

/// Bytes that are read or hashed between two looks at whether to stop.
const BLOCK: usize = 1 << 20;
/// How often a file is fetched whose hash is wrong.
const MOST_TIMES: u32 = 2;

/// Bytes of a file that need not come any more.
pub(super) fn here(folder: &Path, listed: &Listed) -> u64 {
    let path = folder.join(&listed.path);
    let length = |path: &Path| fs::symlink_metadata(path).map_or(0, |known| known.len());
    match length(&path) {
        0 => length(&part_of(&path)).min(listed.size),
        // It has its name, so that it is whole.
        _ => listed.size,
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Fetches a file, unless it is here; gives the bytes that came over the network.
pub(super) fn fetch(
    connection: &mut Connection<'_>,
    url: &str,
    listed: &Listed,
    folder: &Path,
    meter: &mut Meter,
    watch: &mut Watch<'_>,
) -> Result<u64, ImportError> {
    let path = folder.join(&listed.path);
    if path.symlink_metadata().is_ok() {
        meter.found(listed.size);
        return Ok(0);
    }
    let mut part = Part::open(&path, listed, meter, watch)?;
    let mut retries = Retries::new(connection.hub.patience);
    let mut wrong = 0;
    while !part.is_right() {
        if part.length == listed.size || part.is_overlong {
            // Whole, but not what it should be.
            part.clear()?;
            wrong += 1;
            if wrong == MOST_TIMES {
                fs::remove_file(part_of(&path))
                    .map_err(|error| ImportError::unwritable(&path, &error))?;
                return Err(ImportError::Failed(format!(
                    "{}: came {MOST_TIMES} times with another content than the hub lists (the hash is wrong): nothing of it is kept; try again later, or over another network",
                    listed.path
                )));
            }
        }
        let before = part.length;
        let ended = connection.get(url, part.length, &mut part);
        if part.length >= before + LEAST {
            retries.progressed();
        }
        let (problem, after) = match ended {
            Ok(()) if part.length == listed.size => continue,
            Ok(()) => (
                format!("it ended after {} of {} bytes", part.length, listed.size),
                None,
            ),
            Err(Trouble::Again(problem, after)) => (problem, after),
            Err(Trouble::Refused(416, _)) => {
                part.clear()?;
                ("it does not have the rest".to_owned(), None)
            }
            Err(Trouble::Refused(status @ (401 | 403), _)) => {
                return Err(ImportError::Bad(format!(
                    "{}: access is refused (HTTP {status}): accept the model's terms on its page, and set HF_TOKEN to a token of your account",
                    listed.path
                )));
            }
            Err(Trouble::Refused(status, _)) => {
                return Err(ImportError::Failed(format!(
                    "{}: the hub lists it, but answers with HTTP {status}: try again later",
                    listed.path
                )));
            }
            Err(Trouble::Ours(error)) => return Err(error),
        };
        retries.pause(&listed.path, &problem, after, &mut || part.beat())?;
    }
    part.finish(&path)
}

/// A file that is coming.
struct Part<'a, 'w> {
    listed: &'a Listed,
    path: PathBuf,
    file: File,
    /// Bytes that are here, and hashed.
    length: u64,
    digest: Digest,
    received: u64,
    /// More came than there should be.
    is_overlong: bool,
    meter: &'a mut Meter,
    watch: &'a mut Watch<'w>,
}

enum Digest {
    Sha256(Sha256),
    Git(Sha1),
}

impl Digest {
    fn new(listed: &Listed) -> Self {
        match &listed.hash {
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
            Hash::Git(_) => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {}\0", listed.size).as_bytes());
                Self::Git(hash)
            }
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }

    fn is(&self, expected: &Hash) -> bool {
        let hexadecimal = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        match (self, expected) {
            (Self::Sha256(hash), Hash::Sha256(sum)) => {
                hexadecimal(&hash.clone().finalize()) == *sum
            }
            (Self::Git(hash), Hash::Git(sum)) => hexadecimal(&hash.clone().finalize()) == *sum,
            _ => false,
        }
    }
}

impl<'a, 'w> Part<'a, 'w> {
    /// Opens what is here, if something is, and hashes it.
    fn open(
        path: &Path,
        listed: &'a Listed,
        meter: &'a mut Meter,
        watch: &'a mut Watch<'w>,
    ) -> Result<Self, ImportError> {
        let path = part_of(path);
        let unwritable = |error| ImportError::unwritable(&path, &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let mut part = Self {
            listed,
            file: options.open(&path).map_err(unwritable)?,
            path,
            length: 0,
            digest: Digest::new(listed),
            received: 0,
            is_overlong: false,
            meter,
            watch,
        };
        let mut block = vec![0; BLOCK];
        loop {
            let count = part.file.read(&mut block);
            let count = count.map_err(|error| ImportError::unreadable(&part.path, &error))?;
            if count == 0 {
                break;
            }
            part.digest.update(&block[..count]);
            part.length += count as u64;
            part.meter.found(count as u64);
            part.beat()?;
        }
        if part.length > listed.size {
            part.clear()?;
        }
        Ok(part)
    }

    fn is_right(&self) -> bool {
        self.length == self.listed.size && self.digest.is(&self.listed.hash)
    }

    /// Begins again.
    fn clear(&mut self) -> Result<(), ImportError> {
        let cleared = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|error| ImportError::unwritable(&self.path, &error))?;
        self.meter.lost(self.length);
        self.length = 0;
        self.is_overlong = false;
        self.digest = Digest::new(self.listed);
        Ok(())
    }

    /// Gives it its name; gives the bytes that came.
    fn finish(self, path: &Path) -> Result<u64, ImportError> {
        let done = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, path));
        done.map_err(|error| ImportError::unwritable(path, &error))?;
        Ok(self.received)
    }
}

impl Sink for Part<'_, '_> {
    fn head(&mut self, head: &Head) -> Result<(), Trouble> {
        if head.status == 200 && self.length > 0 {
            // It sends the whole file in any case.
            self.clear()?;
        }
        let says = match head.status {
            206 => match head.range {
                Some((first, whole)) if first == self.length => Some(whole),
                _ => {
                    self.clear()?;
                    return Err(Trouble::Again(
                        "it sends another part than was asked for".to_owned(),
                        None,
                    ));
                }
            },
            _ => head.length,
        };
        match says {
            Some(size) if size != self.listed.size => Err(Trouble::Again(
                format!(
                    "it has {size} bytes there, but is listed with {}",
                    self.listed.size
                ),
                None,
            )),
            _ => Ok(()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if bytes.len() as u64 > self.listed.size - self.length {
            self.is_overlong = true;
            return Err(Trouble::Again(
                "it does not end where it should".to_owned(),
                None,
            ));
        }
        self.file
            .write_all(bytes)
            .map_err(|error| ImportError::unwritable(&self.path, &error))?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        self.received += bytes.len() as u64;
        self.meter.came(bytes.len() as u64);
        Ok(())
    }

    fn beat(&mut self) -> Result<(), ImportError> {
        self.meter
            .tell(&self.listed.path, Instant::now(), self.watch)
    }
}
