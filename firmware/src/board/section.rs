//! A table of a board's configuration.

use serde::de::DeserializeOwned;
use std::fmt::Display;

/// A table of a board's configuration: a default for every key, and what its values may be.
pub trait Section: DeserializeOwned + Default {
    /// The table's name.
    const NAME: &str;

    /// Keys that some file must have.
    const REQUIRED: &[&str] = &[];

    /// Keys whose value is the path of a file or a folder; a relative one is meant from the folder of the file that says it.
    const PATHS: &[&str] = &[];

    /// Looks at the values that one file gives, defaults for the others.
    ///
    /// # Errors
    /// The first value that is wrong.
    fn check(&self) -> Result<(), Wrong>;
}

/// A value that cannot be used.
#[derive(Debug)]
pub struct Wrong {
    /// Its key within the section; dots lead into inner tables.
    pub(super) key: String,
    /// What is wrong and what would be right.
    pub(super) problem: String,
}

impl Wrong {
    /// `problem` is the value, if that helps, a colon, and what to write instead.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
        }
    }
}

/// Refuses what is not `least` to `most`.
///
/// # Errors
/// Names the limits.
pub fn within<T: PartialOrd + Display>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Wrong> {
    if least <= value && value <= most {
        return Ok(());
    }
    Err(Wrong::new(key, format!("{value}: give {least} to {most}")))
}
