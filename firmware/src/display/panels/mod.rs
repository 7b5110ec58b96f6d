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

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    #[test]
    fn a_png_panel_writes_where_it_is_told_or_into_the_state_folder() {
        let state = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let told = elsewhere.path().join("frame.png");
        for (file, expected) in [
            (None, state.path().join("panel.png")),
            (Some(told.clone()), told),
        ] {
            let settings = PanelSettings {
                width: 6,
                height: 4,
                file,
                ..PanelSettings::default()
            };
            let mut panel = open(&settings, state.path()).expect("it needs no device");
            assert_eq!(panel.size(), (6, 4));
            panel.show(&RgbImage::new(6, 4)).expect("it can be written");
            assert!(expected.is_file());
        }
    }

    #[cfg(not(feature = "window"))]
    #[test]
    fn a_kind_that_is_not_built_in_is_named() {
        let settings = PanelSettings {
            kind: PanelKind::Window,
            ..PanelSettings::default()
        };
        let error = open(&settings, Path::new(".")).err().expect("not built in");
        assert!(error.to_string().contains("--features window"), "{error}");
    }
}
