//! What the night allows.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What somebody has set the night to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NightMode {
    /// Night is in the quiet hours.
    #[default]
    Auto,
    /// Night until it is set otherwise.
    On,
    /// No night, whatever the hours.
    Off,
}

/// Text that is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("night: give on, off or auto")]
pub struct WrongNight;

impl FromStr for NightMode {
    type Err = WrongNight;

    /// Reads a name, in either case.
    fn from_str(text: &str) -> Result<Self, WrongNight> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(WrongNight),
        }
    }
}

impl fmt::Display for NightMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// Quiet hours that are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Whether they let prompts paint.
    pub paint: bool,
}

/// What may happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// The panel is dark.
    pub dark: bool,
    /// The playlist may paint and show.
    pub kiosk: bool,
    /// Prompts of people may be painted; otherwise they wait.
    pub prompts: bool,
}

/// What may happen now: `mode` as set, `awake` because somebody has pressed a button lately, and the quiet hours, if they are
/// now. Somebody at the board goes before what was set, and what was set before the hours; `docs/kiosk.md` has the table.
#[must_use]
pub fn night(mode: NightMode, awake: bool, quiet: Option<Quiet>) -> Night {
    let is_night = match mode {
        NightMode::Auto => quiet.is_some(),
        NightMode::On => true,
        NightMode::Off => false,
    };
    let hours_forbid = quiet.is_some_and(|quiet| !quiet.paint);
    Night {
        dark: is_night && !awake,
        kiosk: !is_night,
        prompts: !is_night || awake || !hours_forbid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in `docs/kiosk.md` are what the function says, all of them and no others.
    #[test]
    fn the_documented_table_is_true() {
        let docs = include_str!("../../../docs/kiosk.md");
        let heading = "| `set/night` | button pressed lately | quiet hours now |";
        let (_, table) = docs.split_once(heading).expect("the table is there");
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let mut seen = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [mode, awake, quiet, dark, kiosk, prompts] = cells[..] else {
                panic!("{row}: six cells");
            };
            let yes = |cell: &str| match cell {
                "yes" => true,
                "no" => false,
                _ => panic!("{row}: yes or no"),
            };
            let quiet = match quiet {
                "no" => None,
                "`paint = true`" => Some(Quiet { paint: true }),
                "`paint = false`" => Some(Quiet { paint: false }),
                _ => panic!("{row}: quiet hours"),
            };
            let mode: NightMode = mode.parse().expect(row);
            let said = Night {
                dark: match dark {
                    "dark" => true,
                    "lit" => false,
                    _ => panic!("{row}: the panel"),
                },
                kiosk: yes(kiosk),
                prompts: yes(prompts),
            };
            assert_eq!(night(mode, yes(awake), quiet), said, "{row}");
            let inputs = (mode.to_string(), yes(awake), quiet.map(|quiet| quiet.paint));
            assert!(!seen.contains(&inputs), "{row} comes twice");
            seen.push(inputs);
        }
        assert_eq!(seen.len(), 3 * 2 * 3);
    }

    #[test]
    fn a_mode_is_its_name() {
        for mode in [NightMode::Auto, NightMode::On, NightMode::Off] {
            assert_eq!(mode.to_string().to_uppercase().parse(), Ok(mode));
            let json = serde_json::to_string(&mode).expect("it is plain data");
            assert_eq!(json, format!("\"{mode}\""));
        }
        assert_eq!("dark".parse::<NightMode>(), Err(WrongNight));
    }
}
