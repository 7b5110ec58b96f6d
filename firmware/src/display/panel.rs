//! What all panels have in common.

use image::RgbImage;
use std::time::Duration;

/// Something that shows pictures. Lives on the display's own thread.
pub trait Panel: Send {
    /// Columns and rows as it is built, before it is turned.
    fn size(&self) -> (u32, u32);

    /// How it wants to be treated.
    fn manner(&self) -> Manner;

    /// Shows a frame of exactly [`size`](Self::size) and returns when the panel has it.
    ///
    /// # Errors
    /// What the panel or its bus says. The next frame is tried all the same: a loose cable may be pushed back in.
    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError>;

    /// Turns the light off and on again; a panel that has none shows black.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError>;

    /// How bright the light is, 0 to 1; ignored by a panel that cannot.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    fn set_brightness(&mut self, brightness: f32) -> Result<(), PanelError> {
        let _ = brightness;
        Ok(())
    }
}

/// How a kind of panel wants to be treated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    /// It shines, and may be redrawn many times a second: progress, previews and fades.
    Light {
        /// Frames a second that it takes at most.
        frames_per_second: f32,
    },
    /// It keeps what it shows without power, and wears: finished pictures and rare screens only.
    Paper {
        /// Between two refreshes, at least.
        rest: Duration,
    },
}

/// A panel that does not do what it is told: what was tried, on which device, what the system says, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PanelError(pub String);
