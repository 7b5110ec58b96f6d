//! What can go wrong with a tokenizer.

use std::path::{Path, PathBuf};

use crate::text::message;

/// Why a tokenizer could not be loaded or used. Each message is one line that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// None of the layouts is there.
    #[error("{}: no {files}; is this a diffusers model directory?", path.display())]
    Missing {
        /// The tokenizer's directory.
        path: PathBuf,
        /// What was looked for.
        files: &'static str,
    },
    /// The operating system would not give the file.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file's content is not what it should be.
    #[error("{}: {}", path.display(), message(what))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file if known.
        what: String,
    },
    /// A special token has no id.
    #[error("{}: the {role} token {token:?} is not in the vocabulary", path.display())]
    UnknownToken {
        /// The tokenizer's directory.
        path: PathBuf,
        /// `bos`, `eos`, `pad`, …
        role: &'static str,
        /// The token.
        token: String,
    },
    /// The file is sound, but asks for what easel does not do.
    #[error("{}: {} is not supported; supported are {supported}", path.display(), message(what))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        what: String,
        /// What it could ask for.
        supported: &'static str,
    },
    /// The `tokenizers` crate refused the text.
    #[error("the prompt cannot be tokenized: {0}")]
    Encode(String),
}

impl TokenizerError {
    pub(super) fn malformed(path: &Path, what: impl ToString) -> Self {
        // Some parsers put their advice on further lines.
        let what = what
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Self::Malformed {
            path: path.to_owned(),
            what,
        }
    }

    pub(super) fn encode(error: impl ToString) -> Self {
        Self::Encode(error.to_string())
    }
}

/// Why a file cannot be used.
pub(super) enum Problem {
    /// It is not what it should be.
    Malformed(String),
    /// It asks for what easel does not have.
    Unsupported(String),
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What easel does not have.
impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::Unsupported(what)
    }
}
