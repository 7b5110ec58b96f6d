//! Which files a file inherits from, and where they lie.

use super::ConfigError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where the package puts the boards and panels that easel comes with.
const INSTALLED: &str = "/usr/share/easel/board-configs";

/// The names after `inherits`; the first goes before the second.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Parents(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a name or a list of names, such as \"base\""
)]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl From<Written> for Parents {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::One(name) => vec![name],
            Written::Several(names) => names,
        })
    }
}

impl Parents {
    /// Names of files without `.toml`, maybe in folders below, each once. Nothing that leads out of the folder.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub(super) fn check(&self) -> Result<(), String> {
        for (place, name) in self.0.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let is_plain = |part: &str| !part.is_empty() && part.chars().all(plain);
            if !name.split('/').all(is_plain) {
                let advice = "give the name of a file beside this one, without .toml";
                return Err(format!("{name:?}: {advice}"));
            }
            if self.0.iter().take(place).any(|other| other == name) {
                return Err(format!("{name:?} is there twice: leave out one of them"));
            }
        }
        Ok(())
    }
}

/// The folders, besides that of the file itself, in which parents are looked for: those of the package.
pub(super) fn installed() -> Vec<PathBuf> {
    let executable = std::env::current_exe().ok();
    let prefix = executable.as_deref().and_then(|exe| exe.parent()?.parent());
    let beside = prefix.map(|prefix| prefix.join("share/easel/board-configs"));
    let mut places: Vec<_> = beside.into_iter().collect();
    if !places.iter().any(|place| place == Path::new(INSTALLED)) {
        places.push(PathBuf::from(INSTALLED));
    }
    places
}

/// The file that `child` means by `name`: beside it, then in the `installed` folders.
///
/// # Errors
/// There is none; names the places.
pub(super) fn find(
    child: &Path,
    name: &str,
    installed: &[PathBuf],
) -> Result<PathBuf, ConfigError> {
    let file = format!("{name}.toml");
    let places: Vec<_> = std::iter::once(child.with_file_name(&file))
        .chain(installed.iter().map(|folder| folder.join(&file)))
        .collect();
    if let Some(found) = places.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let places: Vec<_> = places
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let problem = format!(
        "inherits: there is no {}: correct the name",
        places.join(", no ")
    );
    Err(ConfigError::new(child, problem))
}
