//! Board configurations: one TOML file a board.
//!
//! A file may say `inherits = "base"`, which is `base.toml` beside it, or among the boards that easel comes with, or
//! `inherits = ["panels/hdmi", "pi4"]`; what it says itself goes before what it inherits, and the first parent before the
//! second, key by key. Each file's values are checked in that file, so that an error names the file and the line to
//! mend; what must be there is checked on the whole. `docs/command-line.md` lists the keys. Each table is a
//! [`Section`], which lives with the part that it configures.

mod changes;
mod effective;
mod file;
mod parents;
mod section;

pub use changes::{ConfigFiles, Reread, changed_keys};
pub use section::{Section, Wrong, within};

use crate::display::PanelSettings;
use crate::inputs::InputsSettings;
use crate::jobs::{HistorySettings, Order, QueueSettings};
use crate::kiosk::KioskSettings;
use crate::mqtt::BrokerSettings;
use crate::watch::LimitSettings;
use easel::SchedulerKind;
use file::File;
use parents::Parents;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    problem: String,
}

/// All that a board's configuration says.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The files that this one adds to; taken out when it is read.
    #[serde(skip_serializing)]
    inherits: Parents,
    /// What the board is.
    pub board: BoardSettings,
    /// What paints.
    pub model: ModelSettings,
    /// What shows.
    pub panel: PanelSettings,
    /// What is pressed and turned.
    pub inputs: InputsSettings,
    /// Whom it talks to.
    pub broker: BrokerSettings,
    /// What waits.
    pub queue: QueueSettings,
    /// What is kept.
    pub history: HistorySettings,
    /// What it does by itself.
    pub kiosk: KioskSettings,
    /// When it slows down.
    pub limits: LimitSettings,
}

/// The `[board]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoardSettings {
    /// What people call it. Required.
    pub name: String,
    /// What it is made of; may be empty.
    pub description: String,
}

impl Default for BoardSettings {
    fn default() -> Self {
        Self {
            name: "easel".to_owned(),
            description: String::new(),
        }
    }
}

impl Section for BoardSettings {
    const NAME: &str = "board";
    const REQUIRED: &[&str] = &["name"];

    fn check(&self) -> Result<(), Wrong> {
        let texts = [
            ("name", &self.name, 1),
            ("description", &self.description, 0),
        ];
        for (key, text, shortest) in texts {
            // It goes into reports and into the name of a device.
            if text.chars().any(char::is_control) {
                let problem = "has line breaks or control characters: write one line";
                return Err(Wrong::new(key, problem));
            }
            if !(shortest..=200).contains(&text.trim().chars().count()) {
                let problem = format!("write {shortest} to 200 characters");
                return Err(Wrong::new(key, problem));
            }
        }
        Ok(())
    }
}

/// The `[model]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// The model directory; `None`: where every command looks.
    pub dir: Option<PathBuf>,
    /// The memory that painting may take; `None`: what there is.
    pub memory_mib: Option<usize>,
    /// Worker threads; `None`: one a core.
    pub threads: Option<usize>,
    /// How much of a picture is given up when it is varied, 0 to 1.
    pub vary_strength: f32,
    /// Steps of a picture whose order does not say; `None`: the model's.
    pub steps: Option<usize>,
    /// Its guidance scale, likewise.
    pub guidance: Option<f32>,
    /// Its sampler, likewise.
    #[serde(with = "crate::jobs::scheduler_name")]
    pub scheduler: Option<SchedulerKind>,
}

impl ModelSettings {
    /// Puts what the board's file says into an order that does not say.
    pub(crate) fn complete(&self, order: &mut Order) {
        order.steps = order.steps.or(self.steps);
        order.guidance = order.guidance.or(self.guidance);
        order.scheduler = order.scheduler.or(self.scheduler);
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            dir: None,
            memory_mib: None,
            threads: None,
            vary_strength: 0.6,
            steps: None,
            guidance: None,
            scheduler: None,
        }
    }
}

impl Section for ModelSettings {
    const NAME: &str = "model";
    const PATHS: &[&str] = &["dir"];

    fn check(&self) -> Result<(), Wrong> {
        if let Some(mib) = self.memory_mib {
            within("memory_mib", mib, 1, 1 << 20)?;
        }
        within("vary_strength", self.vary_strength, 0.0, 1.0)?;
        if let Some(steps) = self.steps {
            within("steps", steps, 1, 1000)?;
        }
        if let Some(guidance) = self.guidance {
            within("guidance", guidance, 0.0, 50.0)?;
        }
        self.threads
            .map_or(Ok(()), |threads| within("threads", threads, 1, 256))
    }
}

/// Calls a function with the type of each section.
macro_rules! for_each_section {
    ($function:ident($($argument:expr),*)) => {{
        $function::<BoardSettings>($($argument),*)?;
        $function::<ModelSettings>($($argument),*)?;
        $function::<PanelSettings>($($argument),*)?;
        $function::<InputsSettings>($($argument),*)?;
        $function::<BrokerSettings>($($argument),*)?;
        $function::<QueueSettings>($($argument),*)?;
        $function::<HistorySettings>($($argument),*)?;
        $function::<KioskSettings>($($argument),*)?;
        $function::<LimitSettings>($($argument),*)?;
    }};
}
use for_each_section;

impl Config {
    /// Reads `file` and all that it inherits.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, has a key that is unknown or a value that is wrong, by file, line and key;
    /// a chain of files that comes back to itself; a key that no file has.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        Self::read_in(file, &parents::installed())
    }

    /// As [`read`](Self::read), with parents from the folders of `installed`.
    fn read_in(file: &Path, installed: &[PathBuf]) -> Result<Self, ConfigError> {
        let whole = Self::table_in(file, installed)?;
        let whole = whole.try_into().map_err(|error: toml::de::Error| {
            // Each file was read into the same type, so this is a table that one file makes into something else.
            let problem = file::without_secrets(error.message(), true);
            ConfigError::new(
                file,
                format!("with what it inherits: {problem}: correct it"),
            )
        })?;
        file::check_whole(file, &whole)?;
        Ok(whole)
    }

    /// Checks the text of one file as [`read`](Self::read) does, without what it inherits; `file` is for the errors.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn check_text(file: &Path, text: &str) -> Result<(), ConfigError> {
        File::parse(file, text).map(drop)
    }

    /// What `file` and all that it inherits say together, checked.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn table(file: &Path) -> Result<toml::Table, ConfigError> {
        Self::table_in(file, &parents::installed())
    }

    /// As [`table`](Self::table), with parents from the folders of `installed`.
    fn table_in(file: &Path, installed: &[PathBuf]) -> Result<toml::Table, ConfigError> {
        let whole = gather(file, installed, &mut Vec::new())?;
        file::require(file, &whole)?;
        Ok(whole)
    }
}

/// What `file` says, and what it inherits where it says nothing. `chain` is the files that lead here.
fn gather(
    file: &Path,
    installed: &[PathBuf],
    chain: &mut Vec<PathBuf>,
) -> Result<toml::Table, ConfigError> {
    let File {
        inherits,
        table: mut whole,
    } = File::read(file)?;
    chain.push(file.to_owned());
    for name in inherits.0 {
        let parent = parents::find(file, &name, installed)?;
        if chain.iter().any(|seen| same_file(seen, &parent)) {
            let problem = format!(
                "inherits: {name:?} leads back to a file that inherits from this one: end the circle"
            );
            return Err(ConfigError::new(file, problem));
        }
        file::add_what_is_missing(&mut whole, gather(&parent, installed, chain)?);
    }
    chain.pop();
    Ok(whole)
}

impl ConfigError {
    fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            problem: problem.into(),
        }
    }
}

/// Whether both names lead to one file, whatever links lie between.
fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod shipped_tests;
#[cfg(test)]
mod tests;
