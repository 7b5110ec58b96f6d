//! A configuration that is changed while the board runs: what can change at once does, the rest is said to wait for the next
//! start, and a broken file changes nothing.

use super::house::{House, log};
use crate::board::{ConfigError, ModelSettings, Reread, changed_keys};
use crate::kiosk::PlaylistFile;
use std::time::{Duration, Instant};
use toml::{Table, Value};

/// Keys whose change the running board takes over; a section's name with a dot is all of it.
const AT_ONCE: [&str; 11] = [
    "model.vary_strength",
    "model.steps",
    "model.guidance",
    "model.scheduler",
    "inputs",
    "kiosk.",
    "limits.",
    "history.",
    "queue.",
    "panel.rotation",
    "panel.brightness",
];

/// Keys that people set over MQTT or with a button, too: what they have set goes before the file.
const SET_BY_PEOPLE: [&str; 4] = [
    "kiosk.enabled",
    "kiosk.interval_s",
    "panel.rotation",
    "panel.brightness",
];

/// The configuration that is in force.
pub(super) struct InForce {
    started: Instant,
    pub(super) files: crate::board::ConfigFiles,
    /// By its keys; those that wait for the next start have the value of this one.
    table: Table,
    /// Why the files cannot be used, if they cannot.
    pub(super) problem: Option<String>,
}

impl InForce {
    /// `file` as it was read just now.
    ///
    /// # Errors
    /// It has been changed meanwhile.
    pub(super) fn new(file: &std::path::Path) -> Result<Self, ConfigError> {
        // First: what changes while it is read is read again.
        let files = crate::board::ConfigFiles::new(file);
        Ok(Self {
            started: Instant::now(),
            files,
            table: crate::board::Config::with_defaults(file)?,
            problem: None,
        })
    }

    /// When to look again; `None`: when there is something else to do.
    pub(super) fn due(&self) -> Option<Duration> {
        self.files.due()
    }
}

fn is_taken_at_once(key: &str) -> bool {
    AT_ONCE.iter().any(|taken| match taken.strip_suffix('.') {
        Some(_) => key.starts_with(taken),
        None => key == *taken,
    })
}

impl House {
    /// Takes over what has changed in the configuration's files.
    pub(super) fn read_configuration_again(&mut self) {
        let now = self.in_force.started.elapsed();
        if let Some(read) = self.in_force.files.changed(now) {
            self.take_over(read);
        }
    }

    /// Somebody asks for it: the configuration is read, changed or not.
    pub(super) fn reload(&mut self) {
        self.guard.reloading();
        let read = self.in_force.files.again();
        self.take_over(read);
        self.guard.reloaded();
    }

    fn take_over(&mut self, read: Result<Reread, ConfigError>) {
        let Reread { config, table } = match read {
            Ok(read) => read,
            Err(error) => {
                let text = format!("configuration: {error}");
                log(&format!("{text}; nothing is changed"));
                self.in_force.problem = Some(text);
                return;
            }
        };
        self.in_force.problem = None;
        let changed = changed_keys(&self.in_force.table, &table);
        let (taken, waiting): (Vec<String>, Vec<String>) =
            changed.into_iter().partition(|key| is_taken_at_once(key));
        for key in &taken {
            copy(key, &table, &mut self.in_force.table);
        }
        if taken.is_empty() && waiting.is_empty() {
            return log("configuration: read again, nothing has changed");
        }
        let has = |prefix: &str| taken.iter().any(|key| key.starts_with(prefix));
        if has("limits.") {
            self.config.limits = config.limits;
            self.guard.set_limits(&self.config.limits);
        }
        if has("model.") {
            let ModelSettings {
                vary_strength,
                steps,
                guidance,
                scheduler,
                ..
            } = config.model;
            self.config.model = ModelSettings {
                vary_strength,
                steps,
                guidance,
                scheduler,
                ..self.config.model.clone()
            };
        }
        if has("queue.") {
            self.config.queue = config.queue;
            self.queue.set_capacity(&self.config.queue);
        }
        if has("history.") {
            self.config.history = config.history;
            self.history.set_bounds(&self.config.history);
        }
        if has("kiosk.") {
            self.config.kiosk = config.kiosk;
            self.configure_kiosk();
        }
        if has("inputs") {
            self.config.inputs = config.inputs;
            // The old ones first: a line is for one.
            self.inputs = None;
            self.inputs = super::start_inputs(&self.config.inputs, &self.events, &self.pulse);
        }
        if has("panel.") {
            self.config.panel.rotation = config.panel.rotation;
            self.config.panel.brightness = config.panel.brightness;
            self.light_and_turn();
        }
        if !taken.is_empty() {
            log(&format!("configuration: read again: {}", taken.join(", ")));
        }
        if !waiting.is_empty() {
            log(&format!(
                "configuration: {}: takes effect at the next start",
                waiting.join(", ")
            ));
        }
        let hidden: Vec<&str> = taken
            .iter()
            .map(String::as_str)
            .filter(|key| self.is_set_by_people(key))
            .collect();
        if !hidden.is_empty() {
            let hidden = hidden.join(", ");
            log(&format!(
                "configuration: {hidden}: what was set over MQTT or at the board goes before it"
            ));
        }
        self.say_settings();
        self.say_info();
    }

    fn configure_kiosk(&mut self) {
        let settings = self.config.kiosk.clone();
        self.clock
            .set_zone(settings.timezone.clone().map(|zone| zone.0));
        self.playlist = settings.playlist.clone().map(PlaylistFile::new);
        let playlists = match self.playlist.as_mut().and_then(PlaylistFile::changed) {
            None => Vec::new(),
            Some(Ok(playlists)) => playlists,
            Some(Err(error)) => {
                log(&format!("playlist: {error}"));
                // Those that played until now.
                std::mem::take(&mut self.at.playlists)
            }
        };
        self.at.playlists.clone_from(&playlists);
        self.kiosk.configure(settings, playlists);
    }

    fn light_and_turn(&self) {
        if let Some(display) = &self.display {
            display.set_rotation(self.live.rotation.unwrap_or(self.config.panel.rotation));
            display.set_brightness(self.brightness());
        }
    }

    fn is_set_by_people(&self, key: &str) -> bool {
        SET_BY_PEOPLE.contains(&key)
            && match key {
                "panel.rotation" => self.live.rotation.is_some(),
                "panel.brightness" => self.live.brightness.is_some(),
                "kiosk.enabled" => self.live.kiosk.enabled.is_some(),
                _ => self.live.kiosk.interval_s.is_some(),
            }
    }
}

/// Gives `to` the value that `from` has for a key with dots, or none.
fn copy(key: &str, from: &Table, to: &mut Table) {
    let Some((section, rest)) = key.split_once('.') else {
        match from.get(key) {
            Some(value) => drop(to.insert(key.to_owned(), value.clone())),
            None => drop(to.remove(key)),
        }
        return;
    };
    let empty = Table::new();
    let inner = from
        .get(section)
        .and_then(Value::as_table)
        .unwrap_or(&empty);
    let entry = to
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(to) = entry {
        copy(rest, inner, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_keys_are_taken_at_once() {
        for key in [
            "kiosk.quiet",
            "kiosk.show_again.every_min",
            "limits.slow_above_c",
            "panel.rotation",
        ] {
            assert!(is_taken_at_once(key), "{key}");
        }
        for key in [
            "panel.width",
            "panel.rotation_speed",
            "broker.host",
            "broker.embedded",
            "model.memory_mib",
            "kiosks.a",
        ] {
            assert!(!is_taken_at_once(key), "{key}");
        }
    }

    #[test]
    fn a_key_is_copied_or_taken_away() {
        let table = |text: &str| -> Table { toml::from_str(text).expect("it is TOML") };
        let from = table("[a]\nx = 1\n[b.c]\nd = 2\n");
        let mut to = table("[a]\nx = 0\ny = 5\n");
        for key in ["a.x", "a.y", "b.c.d"] {
            copy(key, &from, &mut to);
        }
        assert_eq!(to, from);
    }
}
