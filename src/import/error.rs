//! What an import says when it cannot go on.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::text::{excerpt, message};

/// Why a model was not imported. Nothing that looks like a model is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source, a file of it or what was asked for is wrong.
    #[error("{0}")]
    Bad(String),
    /// It could not be done: a disk is full, a connection broke.
    #[error("{0}")]
    Failed(String),
    /// It was asked to stop.
    #[error("stopped; nothing was written")]
    Stopped,
}

impl ImportError {
    /// A file of the source is not what it should be.
    pub(crate) fn bad(path: &Path, problem: impl Display) -> Self {
        Self::Bad(message(&format!("{}: {problem}", path.display())))
    }

    /// The same, of something in the file or folder at `path`.
    pub(crate) fn of(self, path: &Path) -> Self {
        match self {
            Self::Bad(problem) if !problem.contains(&*path.to_string_lossy()) => {
                Self::bad(path, problem)
            }
            other => other,
        }
    }

    /// A file of the source cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::bad(path, "is missing"),
            _ => Self::bad(path, format_args!("cannot be read: {error}")),
        }
    }

    /// A file could not be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ": free some space, or name another place with --out"
            }
            _ => "",
        };
        let path = path.display();
        Self::Failed(message(&format!(
            "{path}: cannot be written: {error}{advice}"
        )))
    }
}

/// A shape as people write it: 320×4×3×3.
pub(crate) fn shown(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "a single number".into();
    }
    let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
    sides.join("×")
}

/// The name of a weight in a message.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", excerpt(name))
}
