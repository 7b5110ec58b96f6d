//! Names on the hub: `owner/name`, or `owner/name/FILE.safetensors`.

use std::fmt;

use super::super::ImportError;
use crate::text::excerpt;

/// A repository of the hub, or one file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    owner: String,
    name: String,
    file: Option<String>,
}

impl Name {
    /// Reads a name; `None` if it cannot be one. Whether there is a file or folder of this name is the caller's to ask first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let file = parts.next();
        let known = plain(owner)
            && plain(name)
            && file.is_none_or(|file| file.ends_with(".safetensors") && is_safe_path(file));
        known.then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            file: file.map(str::to_owned),
        })
    }

    /// The repository's own name, without its owner.
    pub(super) fn short(&self) -> &str {
        &self.name
    }

    /// `owner/name`.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The one file that is asked for.
    pub(super) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.file {
            Some(file) => write!(f, "/{file}"),
            None => Ok(()),
        }
    }
}

/// Whether it could be the name of an owner or a repository (huggingface.co: 96 characters, letters, digits, `-_.`).
fn plain(part: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=96).contains(&part.len()) && !part.starts_with(['.', '-']) && part.chars().all(known)
}

/// Bytes of a path, at most.
const LONGEST_PATH: usize = 512;
/// Bytes of one part of it, at most: no file system of Linux takes more.
const LONGEST_PART: usize = 200;

/// Whether a path that a server names is one below the folder that it is put into, on any file system, and nothing hidden.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && path.split('/').all(|part| {
            let known = |c: char| (c.is_ascii_graphic() && !"\\:*?\"<>|".contains(c)) || c == ' ';
            (1..=LONGEST_PART).contains(&part.len())
                && !part.starts_with('.')
                && !part.ends_with(['.', ' '])
                && part.chars().all(known)
        })
}

/// Checks a branch, tag or commit.
pub(super) fn revision(text: &str) -> Result<&str, ImportError> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let sensible = (1..=200).contains(&text.len())
        && text.chars().all(known)
        && !text.contains("..")
        && !text.starts_with(['/', '-']);
    if sensible {
        Ok(text)
    } else {
        let text = excerpt(text);
        Err(ImportError::Bad(format!(
            "--revision {text}: give a branch, a tag or a commit"
        )))
    }
}

/// A path or name as a part of a URL: what is not plain in it, percent-encoded (RFC 3986, 2.1). `/` stays if it is `kept`.
pub(super) fn encoded(text: &str, kept: &str) -> String {
    use std::fmt::Write as _;
    let mut url = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            url.push(c);
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for text in [
            "stabilityai/sd-turbo",
            "a/b.c_d",
            "a/b/c.safetensors",
            "a/b/c/d e.safetensors",
        ] {
            let name = Name::parse(text).expect(text);
            assert_eq!(name.to_string(), text);
        }
        for text in [
            "",
            "a",
            "a/",
            "/a",
            "./a",
            "../a",
            "a/..",
            "a/b/",
            "a/b/c",
            "a/b/../c.safetensors",
            "a/b/.c.safetensors",
            "a b/c",
            "-a/b",
            "ä/b",
            "a/b//c.safetensors",
            "a/b/c\\d.safetensors",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
        assert_eq!(Name::parse(&format!("a/{}", "b".repeat(97))), None);
    }

    #[test]
    fn paths_of_a_server_stay_where_they_belong() {
        for path in ["config.json", "unet/config.json", "a/b/c d.safetensors"] {
            assert!(is_safe_path(path), "{path}");
        }
        let long = "a".repeat(201);
        let deep = "a/".repeat(300);
        for path in [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            ".git/config",
            "a/.b",
            "a\0b",
            "a\nb",
            "a\\b",
            "c:d",
            "a.",
            "a /b",
            "ü",
            &long,
            &deep,
        ] {
            assert!(!is_safe_path(path), "{path:?}");
        }
    }

    #[test]
    fn revisions_are_branches_tags_or_commits() {
        for text in ["main", "refs/pr/1", "v1.0", "0123abc"] {
            assert_eq!(revision(text).expect(text), text);
        }
        for text in ["", "a b", "../x", "/x", "-x", "a?b", "a#b"] {
            let error = revision(text).expect_err(text).to_string();
            assert!(error.contains("--revision"), "{error}");
        }
        assert_eq!(encoded("refs/pr/1 ä", ""), "refs%2Fpr%2F1%20%C3%A4");
        assert_eq!(encoded("a b/c", "/"), "a%20b/c");
    }
}
