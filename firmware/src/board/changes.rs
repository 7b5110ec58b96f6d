//! Configuration files that are looked at while the daemon runs.

use super::{Config, ConfigError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use toml::{Table, Value};

/// A file that has changed is read when it has not changed again for so long: an editor may be in the middle of it.
const SETTLES: Duration = Duration::from_millis(500);

/// What tells one version of a file from the next; `None` for a file that is not there.
type Stamp = Option<(SystemTime, u64, u64)>;

/// A board's configuration and all files that it comes from.
#[derive(Debug)]
pub struct ConfigFiles {
    file: PathBuf,
    /// Of the files as they were read last.
    read: Vec<(PathBuf, Stamp)>,
    /// Of files that have changed since, and when that was seen.
    seen: Option<(Vec<(PathBuf, Stamp)>, Duration)>,
}

/// A configuration that was read anew.
#[derive(Debug)]
pub struct Reread {
    /// What it says.
    pub config: Config,
    /// The same, by its keys: for [`changed_keys`].
    pub table: Table,
}

impl ConfigFiles {
    /// Takes the files as they are now for read.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self {
            read: stamps(file),
            file: file.to_owned(),
            seen: None,
        }
    }

    /// What the files say, if they have changed since they were read last; cheap if they have not. `now` is of a clock that
    /// never goes back. A configuration that cannot be used is told once, and again when it changes.
    pub fn changed(&mut self, now: Duration) -> Option<Result<Reread, ConfigError>> {
        // As long as these are the same, none of them can name another.
        let same = |(path, read): &(PathBuf, Stamp)| stamp(path) == *read;
        if self.read.iter().all(same) {
            self.seen = None;
            return None;
        }
        let found = stamps(&self.file);
        match &self.seen {
            Some((seen, since)) if *seen == found => {
                (now.saturating_sub(*since) >= SETTLES).then(|| self.again())
            }
            _ => {
                self.seen = Some((found, now));
                None
            }
        }
    }

    /// How long to wait until [`changed`](Self::changed) may say something; `None`: nothing has been seen to change.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.seen.as_ref().map(|_| SETTLES)
    }

    /// What the files say, whether they have changed or not.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn again(&mut self) -> Result<Reread, ConfigError> {
        // Before they are read: what changes meanwhile is read again.
        self.read = stamps(&self.file);
        self.seen = None;
        Ok(Reread {
            config: Config::read(&self.file)?,
            table: Config::with_defaults(&self.file)?,
        })
    }
}

fn stamp(path: &Path) -> Stamp {
    let known = std::fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len(), known.ino()))
}

/// The files in the order of inheritance, as far as they can be followed, with what tells their versions apart.
fn stamps(file: &Path) -> Vec<(PathBuf, Stamp)> {
    let mut stamps: Vec<(PathBuf, Stamp)> = Vec::new();
    let mut next = Some(file.to_owned());
    while let Some(path) = next.take() {
        if stamps.iter().any(|(seen, _)| *seen == path) {
            break;
        }
        let stamp = stamp(&path);
        let text = easel::files::read_text(&path, easel::files::SETTINGS).unwrap_or_default();
        let table: Option<Table> = toml::from_str(&text).ok();
        let parent = table
            .as_ref()
            .and_then(|table| table.get("inherits")?.as_str());
        next = parent.map(|name| path.with_file_name(format!("{name}.toml")));
        stamps.push((path, stamp));
    }
    stamps
}

/// The keys, with dots, whose values are not the same; lists are one value.
#[must_use]
pub fn changed_keys(before: &Table, after: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    compare("", before, after, &mut keys);
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn compare(prefix: &str, before: &Table, after: &Table, keys: &mut Vec<String>) {
    let empty = Table::new();
    for key in before.keys().chain(after.keys()) {
        let name = format!("{prefix}{key}");
        match (before.get(key), after.get(key)) {
            (before, after) if before == after => {}
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                compare(&format!("{name}."), before, after, keys);
            }
            (Some(Value::Table(table)), None) => compare(&format!("{name}."), table, &empty, keys),
            (None, Some(Value::Table(table))) => compare(&format!("{name}."), &empty, table, keys),
            _ => keys.push(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: &str = "inherits = 'base'\n[board]\nname = 'frame'\n[panel]\nkind = 'png'\nwidth = 8\nheight = 8\n";

    struct Place {
        folder: tempfile::TempDir,
        files: ConfigFiles,
        now: Duration,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("frame.toml");
            std::fs::write(&file, BOARD).expect("it can be written");
            std::fs::write(folder.path().join("base.toml"), "").expect("it can be written");
            let files = ConfigFiles::new(&file);
            Self {
                folder,
                files,
                now: Duration::from_secs(9),
            }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).expect("it can be written");
        }

        fn look(&mut self) -> Option<Result<Reread, ConfigError>> {
            self.now += SETTLES;
            self.files.changed(self.now)
        }
    }

    #[test]
    fn a_change_is_read_once_when_it_has_settled() {
        let mut place = Place::new();
        assert!(place.look().is_none() && place.files.due().is_none());
        place.write("base.toml", "[queue]\ncapacity = 3\n");
        assert!(place.look().is_none(), "it may not be whole yet");
        assert!(place.files.due().is_some());
        place.write("base.toml", "[queue]\ncapacity = 33\n");
        assert!(place.look().is_none(), "it has changed again");
        let read = place.look().expect("it has settled").expect("it is right");
        assert_eq!(read.config.queue.capacity, 33);
        assert!(place.look().is_none() && place.look().is_none());
    }

    #[test]
    fn a_broken_file_is_told_once_and_a_mended_one_is_read() {
        let mut place = Place::new();
        place.write("frame.toml", "[board\n");
        assert!(place.look().is_none());
        let error = place
            .look()
            .expect("it has settled")
            .expect_err("it is broken");
        assert!(error.to_string().contains("line 1"), "{error}");
        assert!(place.look().is_none());
        std::fs::remove_file(place.folder.path().join("frame.toml")).expect("it is there");
        assert!(place.look().is_none());
        let error = place
            .look()
            .expect("it has settled")
            .expect_err("it is gone");
        assert!(error.to_string().contains("cannot be read"), "{error}");
        place.write("frame.toml", BOARD);
        assert!(place.look().is_none());
        assert!(place.look().expect("it has settled").is_ok());
        // Another file of the same name, size and perhaps time.
        let (from, to) = ("other.toml", "frame.toml");
        place.write(from, BOARD);
        let path = |name| place.folder.path().join(name);
        std::fs::rename(path(from), path(to)).expect("it can be moved");
        assert!(place.look().is_none());
        assert!(place.look().is_some());
    }

    #[test]
    fn keys_that_changed_are_named() {
        let table = |text: &str| -> Table { toml::from_str(text).expect("it is TOML") };
        let before = table("[a]\nx = 1\ny = 2\nz = [1]\n[b.c]\nd = 1\n");
        let after = table("[a]\nx = 1\ny = 3\nz = [1, 2]\n[e]\nf = 1\n");
        assert_eq!(
            changed_keys(&before, &after),
            ["a.y", "a.z", "b.c.d", "e.f"]
        );
        assert!(changed_keys(&before, &before).is_empty());
    }
}
