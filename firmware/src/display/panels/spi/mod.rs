//! Small screens on the SPI bus, from user space: for boards whose kernel has no driver for them.
//!
//! Only rows that changed are sent. A screen says nothing back, so one that is not there is not noticed; a bus or a line
//! that is not there is.

mod glass;
mod light;
mod settings;

pub use settings::{SpiModel, SpiSettings};

use super::bus::{Line, Optional, Sleep, Spi};
use super::fault;
use crate::display::{Manner, Panel, PanelError};
use glass::{Rows, Window};
use image::RgbImage;
use light::Light;

/// Opens the bus and the lines, and starts the screen.
///
/// # Errors
/// A key that has to be there is missing, or what the kernel says.
pub(super) fn open(settings: &SpiSettings, size: (u32, u32)) -> Result<Box<dyn Panel>, PanelError> {
    let missing = |key: &str| fault(format!("panel.spi.{key}"), "is missing", "add it");
    let model = settings.model.ok_or_else(|| missing("model"))?;
    let dc = settings.dc.ok_or_else(|| missing("dc"))?;
    let side = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    let window = Window {
        size: (side(size.0), side(size.1)),
        offset: (settings.x_offset, settings.y_offset),
    };
    let bits_a_pixel = match model {
        SpiModel::Ili9486 | SpiModel::Ili9488 => 24.0,
        _ => 16.0,
    };
    let bits_a_frame = size.0 as f32 * size.1 as f32 * bits_a_pixel;
    // Half of what the bus can carry: the rest is gaps between transfers.
    let frames_per_second = (settings.speed_hz as f32 / bits_a_frame / 2.0).clamp(0.5, 30.0);
    let light = open_light(settings)?;
    let settings = settings.clone();
    let start = move || {
        let wires = || {
            let spi = Spi::open(&settings.device, settings.speed_hz)?;
            let chip = &settings.chip;
            let dc = Line::output(chip, dc, false)?;
            let reset = settings.reset.map(|line| Line::output(chip, line, true));
            Ok((spi, dc, Optional(reset.transpose()?), Sleep))
        };
        let device = settings.device.display();
        let advice = "enable the bus (dtparam=spi=on) and correct panel.spi";
        let wires = wires().map_err(|error: super::bus::BusError| fault(device, error, advice))?;
        glass::start(model, wires, window, settings.glass(model))
            .map_err(|error| fault(settings.device.display(), error, advice))
    };
    let panel = SpiPanel::new(Box::new(start), light, size, frames_per_second)?;
    Ok(Box::new(panel))
}

fn open_light(settings: &SpiSettings) -> Result<Light, PanelError> {
    let light = match (&settings.pwm, settings.backlight) {
        (Some(folder), _) => Light::pwm(folder),
        (None, Some(line)) => Line::output(&settings.chip, line, true)
            .map(|line| Light::Switch(Box::new(line)))
            .map_err(|error| error.to_string()),
        (None, None) => Ok(Light::None),
    };
    light.map_err(|error| {
        let advice = "correct panel.spi.backlight or panel.spi.pwm";
        fault("the light", error, advice)
    })
}

/// Starts the controller, again if need be.
type Start = Box<dyn FnMut() -> Result<Box<dyn Rows>, PanelError> + Send>;

/// A small screen.
struct SpiPanel {
    start: Start,
    rows: Option<Box<dyn Rows>>,
    light: Light,
    dark: bool,
    size: (u32, u32),
    frames_per_second: f32,
    /// What the screen shows; `None`: nobody knows.
    shown: Option<RgbImage>,
}

impl SpiPanel {
    fn new(
        mut start: Start,
        light: Light,
        size: (u32, u32),
        frames_per_second: f32,
    ) -> Result<Self, PanelError> {
        Ok(Self {
            rows: Some(start()?),
            start,
            light,
            dark: false,
            size,
            frames_per_second,
            shown: None,
        })
    }

    /// Lets the controller do something; one that fails is started anew the next time.
    fn with(
        &mut self,
        act: impl FnOnce(&mut dyn Rows, Option<&RgbImage>) -> Result<(), String>,
    ) -> Result<(), PanelError> {
        let rows = match &mut self.rows {
            Some(rows) => rows,
            empty => {
                self.shown = None;
                empty.insert((self.start)()?)
            }
        };
        act(rows.as_mut(), self.shown.as_ref()).map_err(|error| {
            self.rows = None;
            self.shown = None;
            fault(
                "panel.spi",
                error,
                "look at the bus; the next frame is tried anew",
            )
        })
    }
}

impl Panel for SpiPanel {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        Manner::Light {
            frames_per_second: self.frames_per_second,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        self.with(|rows, shown| {
            for (top, count) in changed(shown, frame) {
                rows.send(frame, top, count)?;
            }
            Ok(())
        })?;
        self.shown = Some(frame.clone());
        Ok(())
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        if dark == self.dark {
            return Ok(());
        }
        self.dark = dark;
        let light = self.light.set_dark(dark);
        // Glass without a light that can be put out shows nothing while it sleeps.
        let glass = self.with(|rows, _| rows.sleep(dark));
        light.map_err(|error| fault("the light", error, "correct panel.spi"))?;
        glass
    }

    fn set_brightness(&mut self, brightness: f32) -> Result<(), PanelError> {
        self.light
            .set_brightness(brightness, self.dark)
            .map_err(|error| fault("the light", error, "correct panel.spi.pwm"))
    }
}

/// The first and the count of each run of rows that differ.
fn changed(shown: Option<&RgbImage>, frame: &RgbImage) -> Vec<(u32, u32)> {
    let Some(shown) = shown else {
        return vec![(0, frame.height())];
    };
    let row_bytes = frame.width() as usize * 3;
    let rows = shown
        .chunks_exact(row_bytes)
        .zip(frame.chunks_exact(row_bytes));
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (y, (old, new)) in (0..).zip(rows) {
        if old == new {
            continue;
        }
        match runs.last_mut() {
            Some((top, count)) if *top + *count == y => *count += 1,
            _ => runs.push((y, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
