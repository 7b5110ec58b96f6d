//! Board configurations: one TOML file a board.
//!
//! A file may say `inherits = "base"`, which is `base.toml` beside it; what it says itself goes before what it
//! inherits, key by key. Each file's values are checked in that file, so that an error names the file to mend; what
//! must be there is checked on the whole. `docs/command-line.md` lists the keys.

use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Panels and pictures beyond this are a slip of the keyboard.
const LARGEST_SIDE: u32 = easel::LARGEST_SIDE;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub(crate) struct ConfigError {
    file: PathBuf,
    problem: String,
}

/// A board, its model and its panel.
#[derive(Debug)]
pub(crate) struct Config {
    /// What people call it.
    pub(crate) name: String,
    /// What it is made of; may be empty.
    pub(crate) description: String,
    /// The model directory; `None`: where every command looks.
    pub(crate) model_dir: Option<PathBuf>,
    /// The memory that painting may take; `None`: what there is.
    pub(crate) memory_mib: Option<u64>,
    /// Worker threads; `None`: one a core.
    pub(crate) threads: Option<u16>,
    /// Where pictures are shown.
    pub(crate) panel: Panel,
}

/// Where pictures are shown.
#[derive(Debug)]
pub(crate) struct Panel {
    /// What shows them.
    pub(crate) kind: PanelKind,
    /// Columns as the panel is built, before it is turned.
    pub(crate) width: u32,
    /// Rows as the panel is built, before it is turned.
    pub(crate) height: u32,
    /// Degrees clockwise: 0, 90, 180 or 270.
    pub(crate) rotation: u32,
}

/// A way to show pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PanelKind {
    /// A PNG file: a board without a display.
    Png,
    /// Half blocks on a terminal.
    Terminal,
}

impl fmt::Display for PanelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "png",
            Self::Terminal => "terminal",
        })
    }
}

impl Panel {
    /// Width and height of what the viewer sees.
    pub(crate) fn as_mounted(&self) -> (u32, u32) {
        if self.rotation.is_multiple_of(180) {
            (self.width, self.height)
        } else {
            (self.height, self.width)
        }
    }
}

/// A file as it is written: every key may be missing, none may be unknown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    inherits: Option<String>,
    board: RawBoard,
    model: RawModel,
    panel: RawPanel,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawBoard {
    name: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawModel {
    dir: Option<PathBuf>,
    memory_mib: Option<u64>,
    threads: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPanel {
    kind: Option<PanelKind>,
    width: Option<u32>,
    height: Option<u32>,
    rotation: Option<u32>,
}

/// Looks at one key of one file; an error says what is wrong and what would be right.
type Check = fn(&RawConfig) -> Result<(), String>;

/// By the key that each looks at; a key that is missing passes.
const CHECKS: [(&str, Check); 8] = [
    ("inherits", |raw| file_stem(raw.inherits.as_deref())),
    ("board.name", |raw| one_line(raw.board.name.as_deref(), 1)),
    ("board.description", |raw| {
        one_line(raw.board.description.as_deref(), 0)
    }),
    ("model.memory_mib", |raw| {
        within(raw.model.memory_mib, 1, 1 << 20)
    }),
    ("model.threads", |raw| {
        within(raw.model.threads.map(u64::from), 1, 256)
    }),
    ("panel.width", |raw| side(raw.panel.width)),
    ("panel.height", |raw| side(raw.panel.height)),
    ("panel.rotation", |raw| match raw.panel.rotation {
        None | Some(0 | 90 | 180 | 270) => Ok(()),
        Some(angle) => Err(format!("{angle}: give 0, 90, 180 or 270")),
    }),
];

/// Nothing that leads out of the folder.
fn file_stem(name: Option<&str>) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name {
        Some(name) if name.is_empty() || !name.chars().all(plain) => Err(format!(
            "{name:?}: give the name of a file beside this one, without .toml"
        )),
        _ => Ok(()),
    }
}

/// Fits into a report and, later, into a device's name.
fn one_line(text: Option<&str>, shortest: usize) -> Result<(), String> {
    match text {
        Some(text) if text.chars().any(char::is_control) => {
            Err("has line breaks or control characters: write one line".to_owned())
        }
        Some(text) if !(shortest..=200).contains(&text.trim().chars().count()) => {
            Err(format!("write {shortest} to 200 characters"))
        }
        _ => Ok(()),
    }
}

fn within(value: Option<u64>, least: u64, most: u64) -> Result<(), String> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(format!("{value}: give {least} to {most}"))
        }
        _ => Ok(()),
    }
}

fn side(pixels: Option<u32>) -> Result<(), String> {
    within(pixels.map(u64::from), 1, u64::from(LARGEST_SIDE))
}

impl RawConfig {
    /// Reads one file and checks what it says. A model directory is meant from the file's folder.
    fn read(file: &Path) -> Result<Self, ConfigError> {
        let fail = |problem: String| ConfigError {
            file: file.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            fail(format!(
                "cannot be read: {error}: give a board configuration, such as board-configs/simulator.toml"
            ))
        })?;
        let mut raw: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or_else(String::new, |before| {
                    format!("line {}: ", before.matches('\n').count() + 1)
                });
            let message = error.message().replace('\n', ", ");
            fail(format!("{line}{message}: correct it"))
        })?;
        for (key, check) in CHECKS {
            check(&raw).map_err(|problem| fail(format!("{key}: {problem}")))?;
        }
        if let Some(dir) = &mut raw.model.dir {
            *dir = file.parent().unwrap_or(Path::new(".")).join(&*dir);
        }
        Ok(raw)
    }

    /// Takes from `parent` what this file does not say.
    fn inherit(self, parent: Self) -> Self {
        Self {
            inherits: parent.inherits,
            board: RawBoard {
                name: self.board.name.or(parent.board.name),
                description: self.board.description.or(parent.board.description),
            },
            model: RawModel {
                dir: self.model.dir.or(parent.model.dir),
                memory_mib: self.model.memory_mib.or(parent.model.memory_mib),
                threads: self.model.threads.or(parent.model.threads),
            },
            panel: RawPanel {
                kind: self.panel.kind.or(parent.panel.kind),
                width: self.panel.width.or(parent.panel.width),
                height: self.panel.height.or(parent.panel.height),
                rotation: self.panel.rotation.or(parent.panel.rotation),
            },
        }
    }
}

impl Config {
    /// Reads `file` and all that it inherits.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, has a key that is unknown or a value that is wrong, by file and key; a
    /// chain of files that comes back to itself; a key that no file has.
    pub(crate) fn read(file: &Path) -> Result<Self, ConfigError> {
        let mut raw = RawConfig::read(file)?;
        let mut chain = vec![file.to_owned()];
        while let Some(name) = raw.inherits.take() {
            let child = chain.last().map_or(file, PathBuf::as_path);
            let parent = child.with_file_name(format!("{name}.toml"));
            let fail = |problem: String| ConfigError {
                file: child.to_owned(),
                problem: format!("inherits: {problem}"),
            };
            if !parent.is_file() {
                return Err(fail(format!(
                    "there is no {}: correct the name",
                    parent.display()
                )));
            }
            if chain.iter().any(|seen| same_file(seen, &parent)) {
                return Err(fail(format!(
                    "{name:?} leads back to a file that inherits from this one: end the circle"
                )));
            }
            raw = raw.inherit(RawConfig::read(&parent)?);
            chain.push(parent);
        }
        let missing = |key: &str| ConfigError {
            file: file.to_owned(),
            problem: format!("{key}: is missing: add it, here or in a file that this one inherits"),
        };
        Ok(Self {
            name: raw.board.name.ok_or_else(|| missing("board.name"))?,
            description: raw.board.description.unwrap_or_default(),
            model_dir: raw.model.dir,
            memory_mib: raw.model.memory_mib,
            threads: raw.model.threads,
            panel: Panel {
                kind: raw.panel.kind.ok_or_else(|| missing("panel.kind"))?,
                width: raw.panel.width.ok_or_else(|| missing("panel.width"))?,
                height: raw.panel.height.ok_or_else(|| missing("panel.height"))?,
                rotation: raw.panel.rotation.unwrap_or(0),
            },
        })
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
mod tests;
