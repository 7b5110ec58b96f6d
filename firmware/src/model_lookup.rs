//! Finds the model directory: `--model`, then `EASEL_MODEL`, then `models/pocket` beside the
//! working directory, then the installed places.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

const DEFAULT_MODEL: &str = "models/pocket";
const INSTALLED: &str = "/usr/share/easel/models/pocket";

/// The model directory to load. A directory that was asked for by name is never replaced by another.
pub(crate) fn find(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(dir) = asked {
        return named(dir, "--model");
    }
    if let Some(dir) = std::env::var_os("EASEL_MODEL").filter(|value| !value.is_empty()) {
        return named(Path::new(&dir), "EASEL_MODEL");
    }
    let beside_executable = std::env::current_exe().ok().and_then(|exe| {
        Some(
            exe.parent()?
                .parent()?
                .join("share/easel")
                .join(DEFAULT_MODEL),
        )
    });
    let places = [
        Some(PathBuf::from(DEFAULT_MODEL)),
        beside_executable,
        Some(PathBuf::from(INSTALLED)),
    ];
    places.into_iter().flatten().find(|dir| is_model(dir)).ok_or_else(|| {
        Failure::Usage(format!(
            "model: none at {DEFAULT_MODEL} or {INSTALLED}: name a model directory with --model DIR or EASEL_MODEL, for a board with model.dir"
        ))
    })
}

/// The directory that `source` names, when it is a model's.
pub(crate) fn named(dir: &Path, source: &str) -> Result<PathBuf, Failure> {
    match easel::not_a_model(dir) {
        None => Ok(dir.to_owned()),
        Some(problem) => Err(Failure::Usage(format!(
            "model: {} (from {source}): {problem}",
            dir.display()
        ))),
    }
}

fn is_model(dir: &Path) -> bool {
    dir.join("model_index.json").is_file()
}
