//! The panels, one file or folder each: hardware and simulators behind the [`Panel`] trait.

mod backlight;
mod bus;
pub mod drm;
pub mod epaper;
pub mod fb;
mod png;
pub mod spi;
mod terminal;
#[cfg(feature = "window")]
mod window;

use super::fit::{Fit, fit};
use super::panel::{Panel, PanelError};
use super::settings::{PanelKind, PanelSettings};
use image::{Rgb, RgbImage};
use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

/// Opens the panel that `settings` describe; `state` is the folder for what it writes.
///
/// # Errors
/// A device that is not there, may not be used or is not what it was said to be; a kind that this build has not.
pub fn open(settings: &PanelSettings, state: &Path) -> Result<Box<dyn Panel>, PanelError> {
    let size = (settings.width, settings.height);
    Ok(match settings.kind {
        PanelKind::Png => {
            let file = settings.file.clone();
            let file = file.unwrap_or_else(|| state.join("panel.png"));
            Box::new(png::PngPanel::new(size, file))
        }
        PanelKind::Terminal => Box::new(terminal::TerminalPanel::new(size)),
        #[cfg(feature = "window")]
        PanelKind::Window => Box::new(window::WindowPanel::new(size)?),
        #[cfg(not(feature = "window"))]
        PanelKind::Window => {
            let advice = "build with --features window, or choose another kind";
            return Err(fault("panel.kind", "window: not in this build", advice));
        }
        PanelKind::Drm => {
            let devices = Path::new("/dev/dri");
            Box::new(drm::DrmPanel::open(&settings.drm, size, devices)?)
        }
        PanelKind::Fb => Box::new(fb::FbPanel::open(&settings.fb, size)?),
        PanelKind::Spi => spi::open(&settings.spi, size)?,
        PanelKind::Epaper => epaper::open(&settings.epaper, size)?,
    })
}

/// The frame as large as fits a screen of another size, in its middle, black around.
fn letterboxed(frame: &RgbImage, size: (u32, u32)) -> Cow<'_, RgbImage> {
    if frame.dimensions() == size {
        return Cow::Borrowed(frame);
    }
    Cow::Owned(fit(frame, size, Fit::Letterbox, Rgb([0; 3])))
}

/// One line: which device, what the system says, what to do.
fn fault(device: impl Display, problem: impl Display, advice: impl Display) -> PanelError {
    PanelError(format!("{device}: {problem}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_of_another_size_is_letterboxed() {
        let frame = RgbImage::from_pixel(80, 48, Rgb([200, 10, 10]));
        let screen = letterboxed(&frame, (100, 100));
        assert_eq!(screen.dimensions(), (100, 100));
        assert_eq!(screen.get_pixel(50, 50), &Rgb([200, 10, 10]));
        assert_eq!(screen.get_pixel(50, 10), &Rgb([0, 0, 0]));
        assert_eq!(screen.get_pixel(50, 90), &Rgb([0, 0, 0]));
        assert!(matches!(letterboxed(&frame, (80, 48)), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_frame_fits_any_screen(w in 1..60_u32, h in 1..60_u32, sw in 1..60_u32, sh in 1..60_u32) {
            let frame = RgbImage::new(w, h);
            prop_assert_eq!(letterboxed(&frame, (sw, sh)).dimensions(), (sw, sh));
        }
    }
}
