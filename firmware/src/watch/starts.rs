//! Starts that end early. A board that dies soon after each start, whatever kills it, is started without what it does by itself, so that
//! it can be reached and mended.
//!
//! What is counted is starts that have not gone well, in a small file. No times are kept: many boards have no clock when they start, and
//! a board whose supply gives way under load loses even its memory of this boot.

use super::settings::LimitSettings;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// How to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// With everything.
    Normal,
    /// Without the playlist. A job that ends the program is set aside by the queue.
    Safe,
}

/// What the file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Counted {
    /// Starts in a row, this one included, that have not been seen to go well.
    unsteady: u32,
}

/// The count of starts that ended early, and this one.
#[derive(Debug)]
pub struct Starts {
    file: PathBuf,
    counted: Counted,
    mode: StartMode,
}

impl Starts {
    /// Counts this start in `file`. An unreadable file counts as none: it is written anew.
    ///
    /// # Errors
    /// A file that cannot be written. There is a [`Starts`] all the same: a full disk must not keep the board from starting.
    pub fn begin(file: impl Into<PathBuf>, limits: &LimitSettings) -> (Self, io::Result<()>) {
        let file = file.into();
        let before: Counted = easel::files::read_file(&file, 4096)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let counted = Counted {
            unsteady: before.unsteady.saturating_add(1),
        };
        let starts = Self {
            mode: mode(before.unsteady, limits.safe_after_starts),
            file,
            counted,
        };
        let written = starts.write();
        (starts, written)
    }

    /// How this start is to be.
    #[must_use]
    pub fn mode(&self) -> StartMode {
        self.mode
    }

    /// How many before this one ended early, in a row.
    #[must_use]
    pub fn early_ends(&self) -> u32 {
        self.counted.unsteady.saturating_sub(1)
    }

    /// This start has gone well: it has lasted for [`LimitSettings::steady_after_s`], or was told to stop. The next one is normal.
    ///
    /// # Errors
    /// A file that cannot be written; the next call tries again.
    pub fn steady(&mut self) -> io::Result<()> {
        if self.counted == Counted::default() {
            return Ok(());
        }
        let before = std::mem::take(&mut self.counted);
        self.write().inspect_err(|_| self.counted = before)
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.counted)?;
        easel::files::write_privately(&self.file, &bytes)
    }
}

/// The rule: after so many early ends in a row, the next start is safe, and so are those after it until one goes well.
fn mode(early_ends: u32, safe_after: u32) -> StartMode {
    if early_ends < safe_after {
        StartMode::Normal
    } else {
        StartMode::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StartMode::{Normal, Safe};
    use std::path::Path;

    fn begin(file: &Path) -> Starts {
        let (starts, written) = Starts::begin(file, &LimitSettings::default());
        written.expect("the folder can be written");
        starts
    }

    #[test]
    fn after_three_early_ends_a_start_is_safe_until_one_goes_well() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("starts.json");
        for (early, expected) in [(0, Normal), (1, Normal), (2, Normal), (3, Safe), (4, Safe)] {
            let starts = begin(&file);
            assert_eq!((starts.early_ends(), starts.mode()), (early, expected));
        }
        let mut starts = begin(&file);
        assert_eq!(starts.mode(), Safe);
        starts.steady().expect("it can be written");
        // It stays what it is; the next one is normal.
        assert_eq!(starts.mode(), Safe);
        starts.steady().expect("once is enough");
        assert_eq!(
            (begin(&file).mode(), begin(&file).early_ends()),
            (Normal, 1)
        );
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("it is there")
            .collect();
        assert_eq!(names.len(), 1, "temporary files are left: {names:?}");
    }

    #[test]
    fn a_broken_file_counts_as_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("starts.json");
        for broken in ["", "{", "7", "{\"unsteady\":-1}", "\0\0\0\0"] {
            std::fs::write(&file, broken).expect("it can be written");
            assert_eq!(begin(&file).early_ends(), 0, "{broken:?}");
            assert_eq!(begin(&file).early_ends(), 1);
        }
        std::fs::write(&file, "{\"unsteady\":4294967295}").expect("it can be written");
        assert_eq!(begin(&file).mode(), Safe);
    }

    #[test]
    fn a_disk_that_cannot_be_written_keeps_nothing_from_starting() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("nowhere").join("starts.json");
        let (mut starts, written) = Starts::begin(&file, &LimitSettings::default());
        assert!(written.is_err());
        assert_eq!(starts.mode(), Normal);
        assert!(starts.steady().is_err());
        std::fs::create_dir(folder.path().join("nowhere")).expect("it can be made");
        starts.steady().expect("now it can be written");
        assert_eq!(begin(&file).early_ends(), 0);
    }
}
