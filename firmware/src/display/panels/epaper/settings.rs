//! The `[panel.epaper]`.

use super::EpaperModel;
use crate::board::{Wrong, within};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How electronic paper is wired, and which it is. The lines default to those of Waveshare's HAT.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EpaperSettings {
    /// Which paper. Required for `kind = "epaper"`.
    pub model: Option<EpaperModel>,
    /// The bus.
    pub device: PathBuf,
    /// Hertz.
    pub speed_hz: u32,
    /// The chip that all lines are of.
    pub chip: PathBuf,
    /// The line that tells data from commands.
    pub dc: u32,
    /// The line that resets, and wakes from deep sleep.
    pub reset: u32,
    /// The line that says whether the paper is busy.
    pub busy: u32,
    /// The line that powers the paper, on HATs that have one.
    pub power: Option<u32>,
    /// Between two refreshes, at least, in seconds.
    pub rest_s: u32,
    /// How strong colours are: 0 is grey, 1 as they are.
    pub saturation: f32,
}

impl Default for EpaperSettings {
    fn default() -> Self {
        Self {
            model: None,
            device: PathBuf::from("/dev/spidev0.0"),
            speed_hz: 4_000_000,
            chip: PathBuf::from("/dev/gpiochip0"),
            dc: 25,
            reset: 17,
            busy: 24,
            power: None,
            rest_s: 180,
            saturation: 1.0,
        }
    }
}

impl EpaperSettings {
    /// Looks at the values of one file.
    pub(in crate::display) fn check(&self) -> Result<(), Wrong> {
        within("epaper.speed_hz", self.speed_hz, 100_000, 20_000_000)?;
        // Waveshare's manuals ask for 180 seconds; below 30 the last refresh has hardly settled.
        within("epaper.rest_s", self.rest_s, 30, 86_400)?;
        within("epaper.saturation", self.saturation, 0.0, 3.0)
    }
}
