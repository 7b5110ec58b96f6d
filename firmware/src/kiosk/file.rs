//! A file of playlists, read again when it changes.

use super::playlist::{Playlist, check_all};
use easel::files::read_text;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file of playlists that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct PlaylistError {
    file: PathBuf,
    problem: String,
}

/// Bytes that a file may have.
const LONGEST: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    playlists: Vec<Playlist>,
}

/// Reads `[[playlists]]` from TOML.
///
/// # Errors
/// What is no TOML, has an unknown key or a wrong value: the line or the playlist, what is wrong, what to write.
pub fn parse_playlists(text: &str) -> Result<Vec<Playlist>, String> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let before = error
            .span()
            .and_then(|span| text.as_bytes().get(..span.start));
        let line = before.map_or_else(String::new, |before| {
            let breaks = before.iter().filter(|&&byte| byte == b'\n').count();
            format!("line {}: ", breaks + 1)
        });
        format!("{line}{}: correct it", error.message().replace('\n', ", "))
    })?;
    if document.playlists.is_empty() {
        return Err("has no playlist: add [[playlists]]".to_owned());
    }
    check_all(&document.playlists)?;
    Ok(document.playlists)
}

/// A file of playlists.
#[derive(Debug)]
pub struct PlaylistFile {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// What tells one version of a file from the next.
type Stamp = (SystemTime, u64);

impl PlaylistFile {
    /// Reads it for the first time with [`changed`](Self::changed).
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            seen: None,
        }
    }

    /// What it says, if it is not what it was at the last call; cheap if it is. A file that is gone or wrong is reported once, and once
    /// more when it changes: whoever calls keeps what they have.
    pub fn changed(&mut self) -> Option<Result<Vec<Playlist>, PlaylistError>> {
        let stamp = stamp(&self.path);
        if self.seen == Some(stamp) {
            return None;
        }
        self.seen = Some(stamp);
        Some(self.read())
    }

    fn read(&self) -> Result<Vec<Playlist>, PlaylistError> {
        let wrong = |problem| PlaylistError {
            file: self.path.clone(),
            problem,
        };
        let text = read_text(&self.path, LONGEST).map_err(|error| {
            wrong(match error.kind() {
                ErrorKind::FileTooLarge => format!("is longer than {LONGEST} bytes: shorten it"),
                _ => {
                    let advice = "correct kiosk.playlist or bring the file back";
                    format!("cannot be read: {error}: {advice}")
                }
            })
        })?;
        parse_playlists(&text).map_err(wrong)
    }
}

/// A file that is not there has one too.
fn stamp(path: &Path) -> Stamp {
    let found = path
        .metadata()
        .and_then(|found| Ok((found.modified()?, found.len())));
    found.unwrap_or((SystemTime::UNIX_EPOCH, u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::time::Duration;

    const RIGHT: &str = "[[playlists]]\nname = 'a'\nprompts = ['a cat']\n";

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p.toml");
        let mut file = PlaylistFile::new(&path);
        let error = file
            .changed()
            .expect("it is new")
            .expect_err("it is not there");
        assert!(
            error.to_string().contains("p.toml: cannot be read"),
            "{error}"
        );
        assert!(file.changed().is_none());
        let mut at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut write = |text: &str| {
            std::fs::write(&path, text).expect("it can be written");
            // Two writes may fall into one tick of the file system's clock.
            at += Duration::from_secs(1);
            let written = File::options()
                .write(true)
                .open(&path)
                .expect("it is there");
            written.set_modified(at).expect("it can be set");
        };
        write(RIGHT);
        let read = file.changed().expect("it changed").expect("it is right");
        assert_eq!(read[0].name, "a");
        assert!(file.changed().is_none());
        write(&RIGHT.replace("prompts", "prompt"));
        let error = file
            .changed()
            .expect("it changed")
            .expect_err("it is wrong");
        assert!(
            error.to_string().contains("line 3: unknown field `prompt`"),
            "{error}"
        );
        assert!(file.changed().is_none());
        write(&RIGHT.replace('a', "b"));
        assert!(file.changed().is_some_and(|read| read.is_err()));
        write(RIGHT);
        assert!(file.changed().is_some_and(|read| read.is_ok()));
        std::fs::remove_file(&path).expect("it is there");
        assert!(file.changed().is_some_and(|read| read.is_err()));
        assert!(file.changed().is_none());
    }

    #[test]
    fn a_file_that_is_too_long_or_no_text_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("p.toml");
        let read = || {
            let read = PlaylistFile::new(&path).changed().expect("it is new");
            read.expect_err("it is wrong").to_string()
        };
        std::fs::write(&path, vec![b'#'; 5 << 20]).expect("it can be written");
        assert!(read().contains("is longer than"), "{}", read());
        std::fs::write(&path, [0xff, 0xfe]).expect("it can be written");
        assert!(read().contains("cannot be read"), "{}", read());
        std::fs::write(&path, "playlists = []").expect("it can be written");
        assert!(read().contains("has no playlist"), "{}", read());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}", key in "name|hours|order|prompts|styles|words|seeds|negative|steps|guidance|size",
                             value in "[0-9a-z{}\\[\\]\"', =.-]{0,20}") {
            let _ = parse_playlists(&text);
            if let Err(problem) = parse_playlists(&format!("{RIGHT}{key} = {value}")) {
                prop_assert!(!problem.contains('\n'), "{}", problem);
            }
        }
    }
}
