//! The `[panel]` of a board's configuration.

use super::fit::Fit;
use super::panels::{drm::DrmSettings, epaper::EpaperSettings, fb::FbSettings, spi::SpiSettings};
use super::screens::Frame;
use super::thread::Look;
use crate::board::{Section, Wrong, within};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where pictures are shown.
#[derive(Debug, Clone, Deserialize, Serialize)]
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
    /// What becomes of pictures of another shape.
    pub fit: Fit,
    /// The panel is a disc: nothing is written in its corners.
    pub round: bool,
    /// How bright its light is, 0 to 1, where it has one.
    pub brightness: f32,
    /// The file that a `png` panel writes; `None`: `panel.png` in the state folder.
    pub file: Option<PathBuf>,
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
            fit: Fit::default(),
            round: false,
            brightness: 1.0,
            file: None,
            drm: DrmSettings::default(),
            fb: FbSettings::default(),
            spi: SpiSettings::default(),
            epaper: EpaperSettings::default(),
        }
    }
}

/// A way to show pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelKind {
    /// A PNG file: a board without a display.
    Png,
    /// Half blocks on a terminal.
    Terminal,
    /// A window on a desktop; in builds with the feature `window`.
    Window,
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
            Self::Window => "window",
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

    /// How screens are laid out on it and turned to it.
    #[must_use]
    pub fn look(&self) -> Look {
        let frame = Frame {
            fit: self.fit,
            round: self.round,
        };
        Look {
            rotation: self.rotation,
            frame,
        }
    }
}

impl Section for PanelSettings {
    const NAME: &str = "panel";
    const REQUIRED: &[&str] = &["kind", "width", "height"];
    const PATHS: &[&str] = &["file"];

    fn check(&self) -> Result<(), Wrong> {
        // Panels and pictures beyond this are a slip of the keyboard.
        within("width", self.width, 1, easel::LARGEST_SIDE)?;
        within("height", self.height, 1, easel::LARGEST_SIDE)?;
        within("brightness", self.brightness, 0.0, 1.0)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PanelSettings, String> {
        let settings: PanelSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map_err(|wrong| format!("{wrong:?}"))?;
        Ok(settings)
    }

    #[test]
    fn the_keys_are_read() {
        let text =
            "rotation = 90\nfit = 'letterbox'\nround = true\nbrightness = 0.5\nfile = 'a.png'";
        let settings = read(text).expect("it is right");
        let frame = Frame {
            fit: Fit::Letterbox,
            round: true,
        };
        let rotation = 90;
        assert_eq!(settings.look(), Look { rotation, frame });
        assert_eq!(settings.file, Some("a.png".into()));
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, key) in [
            ("brightness = 1.5", "brightness"),
            ("brightness = nan", "brightness"),
            ("fit = 'stretch'", "letterbox"),
            ("rotation = 91", "rotation"),
        ] {
            let error = read(text).expect_err("it is wrong");
            assert!(error.contains(key), "{error}");
        }
    }
}
