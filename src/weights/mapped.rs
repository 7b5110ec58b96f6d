//! A file as bytes.

#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe: it may change under us"
)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A whole file, mapped read-only.
pub(crate) struct MappedFile(Option<Mmap>);

impl MappedFile {
    /// Maps the file; an empty one is fine and has no bytes.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is read-only and lives no longer than the building of a network. Model files
        // are installed by renaming whole directories; a file that someone truncates in just this moment
        // ends the process with SIGBUS, which the supervisor restarts, and never yields a wrong picture.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(Some(map)))
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
