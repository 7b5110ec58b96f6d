//! One file of a configuration, before it is joined with what it inherits.

use super::parents::Parents;
use super::{
    BoardSettings, BrokerSettings, Config, ConfigError, HistorySettings, InputsSettings,
    KioskSettings, LimitSettings, ModelSettings, PanelSettings, QueueSettings, Section,
    for_each_section,
};
use std::path::Path;
use toml::{Table, Value};

/// What one file says: checked, with its paths meant from its folder.
pub(super) struct File {
    /// The files that it adds to.
    pub(super) inherits: Parents,
    /// All else.
    pub(super) table: Table,
}

impl File {
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = easel::files::read_text(file, easel::files::SETTINGS).map_err(|error| {
            let advice = "give a board configuration, such as board-configs/simulator.toml";
            ConfigError::new(file, format!("cannot be read: {error}: {advice}"))
        })?;
        Self::parse(file, &text)
    }

    /// What `text` says, which is that of `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |error: &toml::de::Error| {
            let line = error
                .span()
                .map_or_else(String::new, |span| line_of(text, span.start));
            let message = error.message().replace('\n', ", ");
            ConfigError::new(file, format!("{line}{message}: correct it"))
        };
        // Into what it becomes at last: that finds unknown keys and wrong types while lines are known.
        let typed: Config = toml::from_str(text).map_err(|error| wrong(&error))?;
        let mut table: Table = toml::from_str(text).map_err(|error| wrong(&error))?;
        typed.inherits.check().map_err(|problem| {
            let line = line_of_key(text, "inherits");
            ConfigError::new(file, format!("{line}inherits: {problem}"))
        })?;
        for_each_section!(check(file, text, &table));
        table.remove("inherits");
        for_each_section!(anchor(file, &mut table));
        Ok(Self {
            inherits: typed.inherits,
            table,
        })
    }
}

/// Checks the values of one section as `file` says them.
fn check<S: Section>(file: &Path, text: &str, table: &Table) -> Result<(), ConfigError> {
    let Some(said) = table.get(S::NAME) else {
        return Ok(());
    };
    let section: S = said
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::new(file, error.message().to_owned()))?;
    section.check().map_err(|wrong| {
        let key = format!("{}.{}", S::NAME, wrong.key);
        let line = line_of_key(text, &key);
        ConfigError::new(file, format!("{line}{key}: {}", wrong.problem))
    })
}

/// Makes relative paths mean the same wherever the program is started.
fn anchor<S: Section>(file: &Path, table: &mut Table) -> Result<(), ConfigError> {
    let Some(Value::Table(section)) = table.get_mut(S::NAME) else {
        return Ok(());
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    for key in S::PATHS {
        let Some(Value::String(path)) = section.get_mut(*key) else {
            continue;
        };
        let joined = folder.join(&*path).into_os_string().into_string();
        *path = joined.map_err(|_| {
            ConfigError::new(
                file,
                format!("{}.{key}: the folder's name is no UTF-8: move it", S::NAME),
            )
        })?;
    }
    Ok(())
}

/// Takes from `parent` what `child` does not say, key by key.
pub(super) fn add_what_is_missing(child: &mut Table, parent: Table) {
    for (key, value) in parent {
        match (child.get_mut(&key), value) {
            (Some(Value::Table(child)), Value::Table(parent)) => add_what_is_missing(child, parent),
            (Some(_), _) => {}
            (None, value) => {
                child.insert(key, value);
            }
        }
    }
}

/// Finds all keys that must be there.
pub(super) fn require(file: &Path, whole: &Table) -> Result<(), ConfigError> {
    for_each_section!(require_of(file, whole));
    Ok(())
}

fn require_of<S: Section>(file: &Path, whole: &Table) -> Result<(), ConfigError> {
    let section = whole.get(S::NAME);
    for key in S::REQUIRED {
        if section.and_then(|section| section.get(key)).is_none() {
            let advice = "is missing: add it, here or in a file that this one inherits";
            return Err(ConfigError::new(
                file,
                format!("{}.{key}: {advice}", S::NAME),
            ));
        }
    }
    Ok(())
}

/// `line 7: ` for a byte of the text.
fn line_of(text: &str, byte: usize) -> String {
    let before = text.as_bytes().get(..byte).unwrap_or_default();
    let breaks = before.iter().filter(|&&byte| byte == b'\n').count();
    format!("line {}: ", breaks + 1)
}

/// `line 7: ` for a key with dots, or the innermost table that is found on its way.
fn line_of_key(text: &str, key: &str) -> String {
    let Ok(document) = toml::de::DeTable::parse(text) else {
        return String::new();
    };
    let mut table = document.get_ref();
    let mut found = None;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        found = Some(name.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found.map_or_else(String::new, |byte| line_of(text, byte))
}
