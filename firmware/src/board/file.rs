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
            let of_broker = error
                .span()
                .is_none_or(|span| is_of_broker(text, span.start));
            let message = without_secrets(error.message(), of_broker);
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
    let section: S = said.clone().try_into().map_err(|error: toml::de::Error| {
        let of_broker = S::NAME == BrokerSettings::NAME;
        ConfigError::new(file, without_secrets(error.message(), of_broker))
    })?;
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

/// A message of the parser on one line, without the text that it is about: a password may have been written where a number
/// belongs. Of `[broker]`, no value at all is shown.
pub(super) fn without_secrets(message: &str, of_broker: bool) -> String {
    let message = message.replace('\n', ", ");
    let kept = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|start| {
            Some((
                start,
                message.strip_prefix(start)?.rsplit_once(", expected ")?,
            ))
        });
    match kept {
        // `string "hunter2"`, `integer `5``: what it is stays.
        Some((start, (value, expected))) if of_broker || value.contains('"') => {
            let what = value.split(['"', '`']).next().unwrap_or_default().trim();
            format!("{start}{what}, expected {expected}")
        }
        _ => message,
    }
}

/// Whether a byte of the text stands in the table of the broker.
fn is_of_broker(text: &str, byte: usize) -> bool {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let has_name = |line: &str| {
        line.trim_start_matches(['[', ' ', '"', '\''])
            .starts_with("broker")
    };
    let mut above = before.lines().rev();
    let table = above.find(|line| line.trim_start().starts_with('['));
    table.is_some_and(has_name) || text.get(line..).is_some_and(has_name)
}

/// Looks at the values of one section as all files together say them.
pub(super) fn check_whole(file: &Path, whole: &Config) -> Result<(), ConfigError> {
    let check = whole.broker.check_url();
    check.map_err(|wrong| {
        let (key, problem) = (wrong.key, wrong.problem);
        ConfigError::new(
            file,
            format!("with what it inherits: broker.{key}: {problem}"),
        )
    })
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
