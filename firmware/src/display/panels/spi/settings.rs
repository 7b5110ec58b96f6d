//! The `[panel.spi]`.

use crate::board::{Wrong, within};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a small screen is wired, and which it is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpiSettings {
    /// The controller of the glass. Required for `kind = "spi"`.
    pub model: Option<SpiModel>,
    /// The bus.
    pub device: PathBuf,
    /// Hertz.
    pub speed_hz: u32,
    /// The chip that all lines are of.
    pub chip: PathBuf,
    /// The line that tells data from commands. Required for `kind = "spi"`.
    pub dc: Option<u32>,
    /// The line that resets; `None`: it is wired to the board's own reset, and a command does it.
    pub reset: Option<u32>,
    /// The line that switches the light.
    pub backlight: Option<u32>,
    /// The folder of a PWM channel that dims the light, such as `/sys/class/pwm/pwmchip0/pwm0`.
    pub pwm: Option<PathBuf>,
    /// Columns of the controller's memory before the first that is seen.
    pub x_offset: u16,
    /// Rows of the controller's memory before the first that is seen.
    pub y_offset: u16,
    /// Whether the glass wants all colours inverted; `None`: as most glass with this controller.
    pub invert: Option<bool>,
    /// Whether blue comes before red on the glass; `None`: as most.
    pub bgr: Option<bool>,
    /// Whether columns run from right to left on the glass; `None`: as most.
    pub mirrored: Option<bool>,
}

impl Default for SpiSettings {
    fn default() -> Self {
        Self {
            model: None,
            device: PathBuf::from("/dev/spidev0.0"),
            speed_hz: 32_000_000,
            chip: PathBuf::from("/dev/gpiochip0"),
            dc: None,
            reset: None,
            backlight: None,
            pwm: None,
            x_offset: 0,
            y_offset: 0,
            invert: None,
            bgr: None,
            mirrored: None,
        }
    }
}

/// A controller of small screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpiModel {
    /// Sitronix ST7735S, 132×162.
    St7735,
    /// Sitronix ST7789, 240×320.
    St7789,
    /// Sitronix ST7796, 320×480.
    St7796,
    /// Ilitek ILI9341, 240×320.
    Ili9341,
    /// Ilitek ILI9486, 320×480; 18 bits a pixel on SPI.
    Ili9486,
    /// Ilitek ILI9488, 320×480; 18 bits a pixel on SPI.
    Ili9488,
    /// GalaxyCore GC9A01, round, 240×240.
    Gc9a01,
}

/// How glass is built around a controller, which the controller cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glass {
    pub(super) invert: bool,
    pub(super) bgr: bool,
    pub(super) mirrored: bool,
}

impl SpiModel {
    /// What most modules with this controller are built like.
    fn usual(self) -> Glass {
        let (invert, bgr, mirrored) = match self {
            // IPS glass: inverted.
            Self::St7789 => (true, false, false),
            Self::Gc9a01 => (true, true, true),
            Self::St7735 => (false, true, false),
            // TN glass, mirrored, blue first: MADCTL 0x48 in the makers' examples.
            Self::Ili9341 | Self::Ili9486 | Self::Ili9488 | Self::St7796 => (false, true, true),
        };
        Glass {
            invert,
            bgr,
            mirrored,
        }
    }
}

impl SpiSettings {
    pub(super) fn glass(&self, model: SpiModel) -> Glass {
        let usual = model.usual();
        Glass {
            invert: self.invert.unwrap_or(usual.invert),
            bgr: self.bgr.unwrap_or(usual.bgr),
            mirrored: self.mirrored.unwrap_or(usual.mirrored),
        }
    }

    /// Looks at the values of one file.
    pub(in crate::display) fn check(&self) -> Result<(), Wrong> {
        within("spi.speed_hz", self.speed_hz, 100_000, 125_000_000)
    }
}
