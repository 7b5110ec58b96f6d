//! The panels: hardware behind the [`Panel`] trait.

mod backlight;
mod bus;
pub mod drm;
pub mod epaper;
pub mod fb;
mod pixels;
pub mod spi;

use super::panel::{Panel, PanelError};
use super::settings::{PanelKind, PanelSettings};
use std::fmt::Display;
use std::path::Path;

/// Opens the hardware that the settings name; `None` for the kinds that are none.
///
/// # Errors
/// What the device says, and what to do about it.
pub fn open_hardware(settings: &PanelSettings) -> Result<Option<Box<dyn Panel>>, PanelError> {
    let size = (settings.width, settings.height);
    Ok(Some(match settings.kind {
        PanelKind::Drm => Box::new(drm::DrmPanel::open(
            &settings.drm,
            size,
            Path::new("/dev/dri"),
        )?),
        PanelKind::Fb => Box::new(fb::FbPanel::open(&settings.fb, size)?),
        PanelKind::Spi => spi::open(&settings.spi, size)?,
        PanelKind::Epaper => epaper::open(&settings.epaper, size)?,
        PanelKind::Png | PanelKind::Terminal => return Ok(None),
    }))
}

/// One line: which device, what the system says, what to do.
fn fault(device: impl Display, problem: impl Display, advice: impl Display) -> PanelError {
    PanelError(format!("{device}: {problem}: {advice}"))
}
