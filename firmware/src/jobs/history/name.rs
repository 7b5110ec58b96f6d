//! The names of the history's files: `0000000042-ID.png`, `0000000042-ID.json`, `0000000042.favourite`.
//!
//! The number counts the pictures, so that names sort by time though a clock jumps back. A favourite has a file of its
//! own: to mark one takes no room on a full disk, and starting needs to read no files but the folder.

use crate::jobs::JobId;

/// What a file of the history is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    Picture(u64, JobId),
    Details(u64, JobId),
    Favourite(u64),
}

impl Name {
    /// Reads a name; `None` for files that are not the history's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let parsed = match extension {
            "favourite" => Self::Favourite(stem.parse().ok()?),
            "png" | "json" => {
                let (number, id) = stem.split_once('-')?;
                let (number, id) = (number.parse().ok()?, id.parse().ok()?);
                if extension == "png" {
                    Self::Picture(number, id)
                } else {
                    Self::Details(number, id)
                }
            }
            _ => return None,
        };
        // `+7` and `007` are numbers too, but not as they are written here.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Picture(number, _) | Self::Details(number, _) | Self::Favourite(number) => {
                *number
            }
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Picture(number, id) => write!(f, "{number:010}-{id}.png"),
            Self::Details(number, id) => write!(f, "{number:010}-{id}.json"),
            Self::Favourite(number) => write!(f, "{number:010}.favourite"),
        }
    }
}
