//! Electronic paper on the SPI bus.
//!
//! A refresh takes up to half a minute and wears the paper, so the display draws finished pictures only, with a rest in
//! between. After each refresh the controller sleeps deeply: high voltages that stay on ruin the paper.

mod colours;
mod driver;
mod models;
mod settings;

pub use models::EpaperModel;
pub use settings::EpaperSettings;

use super::bus::{BusError, Line, Optional, Sleep, Spi};
use super::fault;
use crate::display::{Manner, Panel, PanelError};
use driver::Driver;
use image::RgbImage;
use std::time::Duration;

/// Opens the bus and the lines. The paper itself is first spoken to by the first picture.
///
/// # Errors
/// A key that has to be there is missing, the size is another than the paper's, or what the kernel says.
pub(super) fn open(
    settings: &EpaperSettings,
    size: (u32, u32),
) -> Result<Box<dyn Panel>, PanelError> {
    let missing = |key: &str| fault(format!("panel.epaper.{key}"), "is missing", "add it");
    let model = settings.model.ok_or_else(|| missing("model"))?;
    if model.size() != size {
        let (width, height) = model.size();
        let problem = format!("{}×{} is not the size of this paper", size.0, size.1);
        return Err(fault(
            "panel",
            problem,
            format!("give {width} and {height}"),
        ));
    }
    let wires = || {
        let chip = &settings.chip;
        let power = settings.power.map(|line| Line::output(chip, line, true));
        Ok((
            Spi::open(&settings.device, settings.speed_hz)?,
            Line::output(chip, settings.dc, false)?,
            Line::output(chip, settings.reset, true)?,
            Line::input(chip, settings.busy)?,
            Optional(power.transpose()?),
            Sleep,
        ))
    };
    let wires = wires().map_err(|error: BusError| {
        let advice = "enable the bus (dtparam=spi=on) and correct panel.epaper";
        fault(settings.device.display(), error, advice)
    })?;
    Ok(Box::new(EpaperPanel {
        driver: Driver::new(model, wires),
        model,
        saturation: settings.saturation,
        rest: Duration::from_secs(settings.rest_s.into()),
        shown: None,
    }))
}

/// A driver on any bus.
trait Refresh: Send {
    /// Shows inks, one a pixel, as [`colours::inks`] gives them.
    fn refresh(&mut self, inks: &[u8]) -> Result<(), String>;
}

/// Electronic paper.
struct EpaperPanel<D> {
    driver: D,
    model: EpaperModel,
    saturation: f32,
    rest: Duration,
    /// The inks that the paper shows; `None`: nobody knows.
    shown: Option<Vec<u8>>,
}

impl<D: Refresh> Panel for EpaperPanel<D> {
    fn size(&self) -> (u32, u32) {
        self.model.size()
    }

    fn manner(&self) -> Manner {
        Manner::Paper { rest: self.rest }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        let inks = colours::inks(frame, self.model.palette(), self.saturation);
        if self.shown.as_ref() == Some(&inks) {
            return Ok(());
        }
        self.shown = None;
        self.driver.refresh(&inks).map_err(|error| {
            let advice = "look at its cable; the next picture is tried anew";
            fault("the electronic paper", error, advice)
        })?;
        self.shown = Some(inks);
        Ok(())
    }

    /// Paper has no light.
    fn set_dark(&mut self, _dark: bool) -> Result<(), PanelError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
