//! Screens that the kernel drives: HDMI, DSI, DPI, and SPI panels of its `panel-mipi-dbi` driver.
//!
//! Two dumb buffers, one shown and one drawn to; a page flip makes them change places. The connector's state is looked at
//! before each frame, without asking the screen itself, so a cable pulled and pushed back in is found by the next frame.
//! Needs to be DRM master, so no desktop may run. Nothing is restored when the program ends: the kernel gives the
//! screen back to its console when the last file is closed.

mod card;
mod choose;
mod link;

use super::backlight::Backlight;
use super::letterboxed;
use crate::display::{Manner, Panel, PanelError};
use image::RgbImage;
use link::Link;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The `[panel.drm]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrmSettings {
    /// As the kernel names it, such as `HDMI-A-1`, `DSI-1` or `SPI-1`; `None`: the first that is connected.
    pub connector: Option<String>,
    /// A folder of `/sys/class/backlight`; `None`: the only one, if there is one.
    pub backlight: Option<String>,
}

/// A screen behind `/dev/dri`.
pub struct DrmPanel {
    settings: DrmSettings,
    size: (u32, u32),
    devices: PathBuf,
    link: Option<Link>,
    backlight: Option<Backlight>,
    dark: bool,
}

impl DrmPanel {
    /// Takes the screen; `devices` is `/dev/dri`.
    ///
    /// # Errors
    /// No screen is connected, another program holds it, or the kernel refuses.
    pub fn open(
        settings: &DrmSettings,
        size: (u32, u32),
        devices: &Path,
    ) -> Result<Self, PanelError> {
        let class = Path::new("/sys/class/backlight");
        Ok(Self {
            link: Some(Link::open(devices, settings.connector.as_deref(), size)?),
            backlight: Backlight::find(class, settings.backlight.as_deref())?,
            settings: settings.clone(),
            size,
            devices: devices.to_owned(),
            dark: false,
        })
    }

    /// What is shown on, as `HDMI-A-1, 1920×1080`; `None` while nothing is connected.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        self.link.as_ref().map(Link::describe)
    }

    /// The link to a screen that is there now.
    fn linked(&mut self) -> Result<&mut Link, PanelError> {
        if self.link.as_ref().is_some_and(|link| !link.is_connected()) {
            self.link = None;
        }
        match &mut self.link {
            Some(link) => Ok(link),
            empty => {
                let name = self.settings.connector.as_deref();
                Ok(empty.insert(Link::open(&self.devices, name, self.size)?))
            }
        }
    }
}

impl Panel for DrmPanel {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        Manner::Light {
            frames_per_second: 30.0,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        let dark = self.dark;
        let link = self.linked()?;
        link.draw(&letterboxed(frame, link.size()))?;
        // Showing would switch the light on again.
        let shown = if dark { link.sleep() } else { link.flip() };
        if shown.is_err() {
            // Whatever it was, the next frame begins anew.
            self.link = None;
        }
        shown
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        self.dark = dark;
        let light = self
            .backlight
            .as_ref()
            .map_or(Ok(()), |light| light.set_dark(dark));
        let link = self.linked()?;
        let screen = if dark { link.sleep() } else { link.wake() };
        screen.and(light)
    }

    fn set_brightness(&mut self, brightness: f32) -> Result<(), PanelError> {
        self.backlight
            .as_ref()
            .map_or(Ok(()), |light| light.set_brightness(brightness))
    }
}
