//! The `[panel]` of a board's configuration.

use super::panels::{drm::DrmSettings, epaper::EpaperSettings, fb::FbSettings, spi::SpiSettings};
use crate::board::{Section, Wrong, within};
use serde::Deserialize;
use std::fmt;

/// Where pictures are shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PanelSettings {
    /// What shows them. Required.
    pub kind: PanelKind,
    /// Columns as the panel is built, before it is turned. Required.
    pub width: u32,
    /// Rows as the panel is built, before it is turned. Required.
    pub height: u32,
    /// Degrees clockwise: 0, 90, 180 or 270.
    pub rotation: u32,
    /// For `kind = "drm"`.
    pub drm: DrmSettings,
    /// For `kind = "fb"`.
    pub fb: FbSettings,
    /// For `kind = "spi"`.
    pub spi: SpiSettings,
    /// For `kind = "epaper"`.
    pub epaper: EpaperSettings,
}

impl Default for PanelSettings {
    fn default() -> Self {
        Self {
            kind: PanelKind::Png,
            width: 800,
            height: 480,
            rotation: 0,
            drm: DrmSettings::default(),
            fb: FbSettings::default(),
            spi: SpiSettings::default(),
            epaper: EpaperSettings::default(),
        }
    }
}

/// A way to show pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelKind {
    /// A PNG file: a board without a display.
    Png,
    /// Half blocks on a terminal.
    Terminal,
    /// A screen that the kernel drives: HDMI, DSI, DPI, SPI.
    Drm,
    /// The kernel's old framebuffer.
    Fb,
    /// A small screen on the SPI bus.
    Spi,
    /// Electronic paper on the SPI bus.
    Epaper,
}

impl fmt::Display for PanelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "png",
            Self::Terminal => "terminal",
            Self::Drm => "drm",
            Self::Fb => "fb",
            Self::Spi => "spi",
            Self::Epaper => "epaper",
        })
    }
}

impl PanelSettings {
    /// Width and height of what the viewer sees.
    #[must_use]
    pub fn as_mounted(&self) -> (u32, u32) {
        if self.rotation.is_multiple_of(180) {
            (self.width, self.height)
        } else {
            (self.height, self.width)
        }
    }
}

impl Section for PanelSettings {
    const NAME: &str = "panel";
    const REQUIRED: &[&str] = &["kind", "width", "height"];

    fn check(&self) -> Result<(), Wrong> {
        // Panels and pictures beyond this are a slip of the keyboard.
        within("width", self.width, 1, easel::LARGEST_SIDE)?;
        within("height", self.height, 1, easel::LARGEST_SIDE)?;
        self.spi.check()?;
        self.epaper.check()?;
        match self.rotation {
            0 | 90 | 180 | 270 => Ok(()),
            angle => Err(Wrong::new(
                "rotation",
                format!("{angle}: give 0, 90, 180 or 270"),
            )),
        }
    }
}
