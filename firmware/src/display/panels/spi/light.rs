//! The light behind a small screen: a line that switches it, a PWM channel that dims it, or neither.

use crate::display::panels::bus::Line;
use embedded_hal::digital::OutputPin;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A thousand flashes a second: no eye sees them, and every PWM can.
const PERIOD_NS: u32 = 1_000_000;

/// How the light is wired.
pub(super) enum Light {
    /// It always shines, or the screen has none.
    None,
    /// On and off.
    Switch(Box<dyn OutputLine>),
    /// A channel of the kernel's `Documentation/driver-api/pwm.rst`.
    Pwm {
        /// Such as `/sys/class/pwm/pwmchip0/pwm0`.
        folder: PathBuf,
        /// 0 to 1, for when it is light again.
        brightness: f32,
    },
}

/// A line of any kind.
pub(super) trait OutputLine: Send {
    fn set(&mut self, high: bool) -> Result<(), String>;
}

impl OutputLine for Line {
    fn set(&mut self, high: bool) -> Result<(), String> {
        let set = if high {
            self.set_high()
        } else {
            self.set_low()
        };
        set.map_err(|error| error.to_string())
    }
}

impl Light {
    /// Makes a PWM channel flash.
    pub(super) fn pwm(folder: &Path) -> Result<Self, String> {
        let fail = |error: io::Error| format!("{}: {error}", folder.display());
        if !folder.is_dir() {
            let number: String = folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            fs::write(folder.with_file_name("export"), number).map_err(fail)?;
        }
        // Before the period, the pulse has to be shorter than it.
        fs::write(folder.join("duty_cycle"), "0").map_err(fail)?;
        fs::write(folder.join("period"), PERIOD_NS.to_string()).map_err(fail)?;
        fs::write(folder.join("enable"), "1").map_err(fail)?;
        let mut light = Self::Pwm {
            folder: folder.to_owned(),
            brightness: 1.0,
        };
        light.set_dark(false)?;
        Ok(light)
    }

    pub(super) fn set_dark(&mut self, dark: bool) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Switch(line) => line.set(!dark),
            Self::Pwm { folder, brightness } => pulse(folder, if dark { 0.0 } else { *brightness }),
        }
    }

    pub(super) fn set_brightness(&mut self, new: f32, dark: bool) -> Result<(), String> {
        let Self::Pwm { brightness, .. } = self else {
            return Ok(());
        };
        // Never quite dark: that is another wish.
        *brightness = new.clamp(0.01, 1.0);
        self.set_dark(dark)
    }
}

fn pulse(folder: &Path, part: f32) -> Result<(), String> {
    let file = folder.join("duty_cycle");
    let length = (f64::from(part) * f64::from(PERIOD_NS)).round();
    fs::write(&file, format!("{length}")).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_as_long_as_the_light_is_bright() {
        let chip = tempfile::tempdir().unwrap();
        let folder = chip.path().join("pwm1");
        fs::create_dir(&folder).unwrap();
        let mut light = Light::pwm(&folder).unwrap();
        let reads = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(
            (reads("period"), reads("enable")),
            ("1000000".into(), "1".into())
        );
        assert_eq!(reads("duty_cycle"), "1000000");
        light.set_brightness(0.25, false).unwrap();
        assert_eq!(reads("duty_cycle"), "250000");
        light.set_dark(true).unwrap();
        assert_eq!(reads("duty_cycle"), "0");
        light.set_brightness(0.5, true).unwrap();
        assert_eq!(reads("duty_cycle"), "0");
        light.set_dark(false).unwrap();
        assert_eq!(reads("duty_cycle"), "500000");
    }

    #[test]
    fn a_channel_is_asked_for() {
        // The folder does not appear as it would in `/sys`: what was asked for is what is tested.
        let chip = tempfile::tempdir().unwrap();
        assert!(Light::pwm(&chip.path().join("pwm3")).is_err());
        assert_eq!(fs::read_to_string(chip.path().join("export")).unwrap(), "3");
    }
}
