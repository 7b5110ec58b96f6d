//! A configuration as it is: what its file says, what that inherits, and the default of every key that none of them has.

use super::file::add_what_is_missing;
use super::{Config, ConfigError};
use crate::inputs::InputSettings;
use crate::mqtt::Host;
use std::path::Path;
use toml::{Table, Value};

/// Tables of the panel of which one counts, by its kind.
const KINDS: [&str; 4] = ["drm", "fb", "spi", "epaper"];

/// Keys whose values are nobody's business, in whatever table.
const SECRETS: [&str; 4] = ["password", "passwords", "secret", "token"];

/// What is printed in their place.
const HIDDEN: &str = "(secret)";

impl Config {
    /// `file` with all that it inherits and all defaults, as TOML that is read to the same configuration wherever it lies.
    /// Secrets are left out, and so are keys that have no value without being set.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn effective(file: &Path) -> Result<String, ConfigError> {
        // So that paths in it do not depend on where it is printed.
        let at = std::path::absolute(file);
        let at = at.map_err(|error| ConfigError::new(file, format!("{error}: give a path")))?;
        Self::read(&at)?;
        let mut whole = Self::with_defaults(&at)?;
        hide(&mut whole);
        hide_password_of_url(&mut whole);
        let text = toml::to_string(&whole);
        let text = text.map_err(|error| ConfigError::new(file, format!("{error}: report it")))?;
        Ok(format!(
            "# {} with all that it inherits and all defaults.\n\n{text}",
            at.display()
        ))
    }

    /// What `file` and all that it inherits say, and the default of each key that none of them has.
    ///
    /// # Errors
    /// As [`table`](Self::table).
    pub(crate) fn with_defaults(file: &Path) -> Result<Table, ConfigError> {
        let mut whole = Self::table(file)?;
        let mut defaults = defaults_of(&Self::default());
        leave_out_other_panels(&whole, &mut defaults);
        add_what_is_missing(&mut whole, defaults);
        if let Some(Value::Array(inputs)) = whole.get_mut("inputs") {
            let tables = inputs.iter_mut().filter_map(Value::as_table_mut);
            tables.for_each(|input| {
                add_what_is_missing(input, defaults_of(&InputSettings::default()));
            });
        }
        Ok(whole)
    }
}

fn defaults_of(section: &impl serde::Serialize) -> Table {
    Table::try_from(section).expect("settings are tables of plain values")
}

/// What is set for another kind of panel is shown when somebody has written it, and not by default.
fn leave_out_other_panels(whole: &Table, defaults: &mut Table) {
    let kind = whole.get("panel").and_then(|panel| panel.get("kind"));
    let kind = kind.and_then(Value::as_str);
    if let Some(Value::Table(panel)) = defaults.get_mut("panel") {
        let others = KINDS.iter().filter(|other| Some(**other) != kind);
        others.for_each(|other| drop(panel.remove(*other)));
    }
}

/// A URL of the broker may have a password in it.
fn hide_password_of_url(whole: &mut Table) {
    if let Some(Value::Table(broker)) = whole.get_mut("broker")
        && let Some(Value::String(host)) = broker.get_mut("host")
    {
        let shown = host.parse().map(|host: Host| host.to_string());
        *host = shown.unwrap_or_else(|_| HIDDEN.to_owned());
    }
}

fn hide(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        if SECRETS.contains(&key.as_str()) {
            *value = Value::String(HIDDEN.to_owned());
            continue;
        }
        match value {
            Value::Table(inner) => hide(inner),
            Value::Array(items) => items
                .iter_mut()
                .filter_map(Value::as_table_mut)
                .for_each(hide),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes the files and prints the first; then reads what was printed, in another folder.
    fn printed(files: &[(&str, &str)]) -> (String, Config, Config) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("it can be written");
        }
        let file = folder.path().join(files[0].0);
        let text = Config::effective(&file).expect("it is right");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let again = elsewhere.path().join("again.toml");
        std::fs::write(&again, &text).expect("it can be written");
        let first = Config::read(&file).expect("it is right");
        assert!(!text.contains("hunter2"), "{text}");
        (
            text,
            first,
            Config::read(&again).expect("it was printed here"),
        )
    }

    const WHOLE: &str =
        "[board]\nname = 'frame'\n[panel]\nkind = 'spi'\nwidth = 240\nheight = 240\n";

    #[test]
    fn all_defaults_are_printed_and_paths_are_whole() {
        let child = format!("inherits = 'base'\n{WHOLE}[broker]\npassword_file = 'word'\n");
        let base = "[kiosk]\nplaylist = 'lists/a.toml'\nat = ['Mon-Fri 07:30']\n[[inputs]]\nname = 'a'\nkind = 'button'\nline = 3\n";
        let (text, first, second) = printed(&[("frame.toml", &child), ("base.toml", base)]);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        for part in [
            "slow_above_c = 75.0",
            "keep_alive_s = 30",
            "[panel.spi]",
            "speed_hz = 32000000",
            "debounce_ms = 20",
            "Mon-Fri 07:30",
            "/lists/a.toml",
            "/word",
        ] {
            assert!(text.contains(part), "{text} has no {part}");
        }
        for none in ["inherits =", "[panel.epaper]", "[panel.drm]"] {
            assert!(!text.contains(none), "{text} has {none}");
        }
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let text = "a = 1\n[one]\npassword = 'hunter2'\n[[two]]\n[two.three]\ntoken = 'hunter2'\n";
        let mut table: Table = toml::from_str(text).expect("it is TOML");
        hide(&mut table);
        let text = toml::to_string(&table).expect("it was TOML");
        assert!(
            !text.contains("hunter2") && text.matches(HIDDEN).count() == 2,
            "{text}"
        );
    }

    /// Some of these lines, each right by itself.
    fn lines(all: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::sample::subsequence(all, 0..=all.len()).prop_map(|some| some.join("\n"))
    }

    prop_compose! {
        fn configuration()(
            board in lines(&["description = 'seven \"inches\" é'"]),
            model in lines(&["dir = 'm'", "memory_mib = 300", "threads = 3", "vary_strength = 0.4", "steps = 4", "guidance = 0.5", "scheduler = 'lcm'"]),
            panel in lines(&["rotation = 270", "fit = 'crop'", "round = true", "brightness = 0.3", "file = 'p.png'"]),
            kind in proptest::sample::select(&["png", "terminal", "window", "drm", "fb", "spi", "epaper"][..]),
            spi in lines(&["model = 'st7789'", "dc = 25", "pwm = '/sys/x'", "invert = false", "x_offset = 80"]),
            epaper in lines(&["model = '7in3e'", "power = 18", "saturation = 1.3", "rest_s = 600"]),
            broker in lines(&["host = 'mqtts://u@b:99'", "port = 99", "username = 'u'", "device = 'd'", "fleet = 'f'", "ca_file = 'ca.pem'", "discovery = false"]),
            kiosk in lines(&["enabled = true", "playlist = 'l.toml'", "timezone = 'Europe/Berlin'", "interval_s = 0", "at = ['0 7 * * 1-5', '18:00']", "show_again.probability = 0.25", "wake_min = 3"]),
            more in lines(&[
                "[queue]\ncapacity = 7",
                "[history]\npictures = 9\nmib = 4",
                "[limits]\nslow_above_c = 60.5\ndisk_low_mib = 900",
                "[[kiosk.quiet]]\nfrom = '22:00'\nto = '7:00'\ndays = ['Mon', 'Fri-Sun']",
                "[[kiosk.playlists]]\nname = 'a'\nprompts = ['x', { text = 'a {b}', weight = 2 }]\nwords = { b = ['c'] }\nstyles = ['{prompt}, ink']\nseeds = { from = 3 }\nsize = [128, 64]",
                "[[inputs]]\nname = 'a'\nkind = 'rotary'\nlines = [3, 4]\nclockwise = 'next'",
                "[[inputs]]\nname = 'b'\nkind = 'key'\nkey = 'KEY_RIGHT'\nshort = 'show-again'",
            ]),
        ) -> String {
            format!(
                "[board]\nname = 'frame'\n{board}\n[model]\n{model}\n[panel]\nkind = '{kind}'\nwidth = 600\nheight = 448\n{panel}\n\
                 [panel.spi]\n{spi}\n[panel.epaper]\n{epaper}\n[broker]\n{broker}\n[kiosk]\n{kiosk}\n{more}\n"
            )
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_printed_is_read_as_the_same(text in configuration()) {
            let (printed, first, second) = printed(&[("frame.toml", &text)]);
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"), "{}", printed);
        }
    }
}
