//! The `[[inputs]]` of a board's configuration.

use crate::board::{Section, Wrong, within};
use evdev::KeyCode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// All inputs. A file that has some replaces those that it inherits.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct InputsSettings(pub Vec<InputSettings>);

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A push button on a GPIO line.
    Button,
    /// A rotary encoder on two GPIO lines.
    Rotary,
    /// A key of a keyboard or a remote control.
    Key,
    /// A touch screen.
    Touch,
}

impl InputKind {
    /// The gestures that it knows, as [`Gesture::name`](super::Gesture::name) calls them.
    #[must_use]
    pub fn gestures(self) -> &'static [&'static str] {
        match self {
            Self::Button | Self::Key => &["short", "long"],
            Self::Rotary => &["clockwise", "counterclockwise"],
            Self::Touch => &["short", "long", "swipe_left", "swipe_right"],
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Show the next picture of the history.
    Next,
    /// Show the one before.
    Previous,
    /// Stop painting.
    Cancel,
    /// Paint the next of the playlist.
    Paint,
    /// Paint the picture that is shown anew, and a little different.
    Vary,
    /// Show the last picture again.
    ShowAgain,
    /// The playlist runs, or does not.
    ToggleKiosk,
    /// Night, or day.
    ToggleNight,
    /// Keep the picture that is shown, or no longer.
    Favourite,
    /// Stop the board so that it can be unplugged.
    Shutdown,
    /// Brighter.
    BrightnessUp,
    /// Darker.
    BrightnessDown,
}

/// One `[[inputs]]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputSettings {
    /// What people call it. Required.
    pub name: String,
    /// What it is. Required.
    pub kind: Option<InputKind>,
    /// The GPIO chip, for a button or a rotary encoder.
    pub chip: PathBuf,
    /// The button's line.
    pub line: Option<u32>,
    /// The encoder's two lines; the first is the one that closes first when it is turned clockwise.
    pub lines: Option<[u32; 2]>,
    /// Pressed, or closed, is low; the line is pulled up. Otherwise it is pulled down.
    pub active_low: bool,
    /// A level counts when it has lasted for so many milliseconds.
    pub debounce_ms: u64,
    /// The key's name in `linux/input-event-codes.h`, such as `KEY_RIGHT`.
    pub key: Option<String>,
    /// The node in `/dev/input` for a key or a touch screen; `None`: any that has the key.
    pub device: Option<PathBuf>,
    /// A press that lasts so many milliseconds is a long one.
    pub hold_ms: u64,
    /// Quarters of a cycle from one detent of an encoder to the next: 4, 2 or 1.
    pub steps: u8,
    /// After a short press.
    pub short: Option<Action>,
    /// After a long press; without it, every press is short.
    pub long: Option<Action>,
    /// After a detent clockwise.
    pub clockwise: Option<Action>,
    /// After a detent the other way.
    pub counterclockwise: Option<Action>,
    /// After a swipe to the left.
    pub swipe_left: Option<Action>,
    /// After a swipe to the right.
    pub swipe_right: Option<Action>,
}

impl Default for InputSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: None,
            chip: PathBuf::from("/dev/gpiochip0"),
            line: None,
            lines: None,
            active_low: true,
            debounce_ms: 20,
            key: None,
            device: None,
            hold_ms: 600,
            steps: 4,
            short: None,
            long: None,
            clockwise: None,
            counterclockwise: None,
            swipe_left: None,
            swipe_right: None,
        }
    }
}

impl InputSettings {
    /// How long a press is until it is a long one.
    pub(super) fn hold(&self) -> Option<Duration> {
        self.long.map(|_| Duration::from_millis(self.hold_ms))
    }

    /// The key to look for; a touch screen has one, too.
    pub(super) fn key_code(&self) -> Option<KeyCode> {
        match self.kind {
            Some(InputKind::Touch) => Some(KeyCode::BTN_TOUCH),
            Some(InputKind::Key) => KeyCode::from_str(self.key.as_deref()?).ok(),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=40).contains(&self.name.trim().chars().count())
            || self.name.chars().any(char::is_control)
        {
            return Err("give it a name of 1 to 40 characters".to_owned());
        }
        let given = |key: &str, there: bool| match there {
            true => Ok(()),
            false => Err(format!("{key} is missing: add it")),
        };
        given("kind", self.kind.is_some())?;
        let range = |key: &str, value: u64, least: u64, most: u64| {
            within(key, value, least, most)
                .map_err(|_| format!("{key}: {value}: give {least} to {most}"))
        };
        range("debounce_ms", self.debounce_ms, 0, 500)?;
        range("hold_ms", self.hold_ms, 100, 10_000)?;
        match self.kind {
            Some(InputKind::Button) => given("line", self.line.is_some()),
            Some(InputKind::Rotary) => {
                given("lines", self.lines.is_some())?;
                match (self.steps, self.lines) {
                    (_, Some([a, b])) if a == b => Err("lines: give two".to_owned()),
                    (1 | 2 | 4, _) => Ok(()),
                    (steps, _) => Err(format!("steps: {steps}: give 1, 2 or 4")),
                }
            }
            Some(InputKind::Key) => {
                given("key", self.key.is_some())?;
                match (self.key_code(), &self.key) {
                    (None, Some(key)) => Err(format!(
                        "key: {key:?}: give a name of linux/input-event-codes.h, such as KEY_RIGHT"
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Section for InputsSettings {
    const NAME: &str = "inputs";

    fn check(&self) -> Result<(), Wrong> {
        for (place, input) in self.0.iter().enumerate() {
            let named = match input.name.trim() {
                "" => format!("{}", place + 1),
                name => name.to_owned(),
            };
            input
                .check()
                .map_err(|problem| Wrong::new(named.clone(), problem))?;
            if self.0[..place].iter().any(|other| other.name == input.name) {
                return Err(Wrong::new(named, "there are two of this name: rename one"));
            }
        }
        Ok(())
    }
}
