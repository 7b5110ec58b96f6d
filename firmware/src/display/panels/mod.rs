//! The panels, one file each.

mod png;
mod terminal;
#[cfg(feature = "window")]
mod window;

use super::panel::{Panel, PanelError};
use super::settings::{PanelKind, PanelSettings};
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
            Box::new(png::PngPanel::new(
                size,
                file.unwrap_or_else(|| state.join("panel.png")),
            ))
        }
        PanelKind::Terminal => Box::new(terminal::TerminalPanel::new(size)),
        #[cfg(feature = "window")]
        PanelKind::Window => Box::new(window::WindowPanel::new(size)?),
        #[cfg(not(feature = "window"))]
        PanelKind::Window => {
            let advice = "build with --features window, or choose another kind";
            return Err(PanelError(format!(
                "panel.kind: window: not in this build: {advice}"
            )));
        }
    })
}
