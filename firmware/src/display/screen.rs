//! What can be shown: plain data, so that whoever decides needs to know nothing about drawing.

use image::RgbImage;
use std::sync::Arc;
use std::time::Duration;

/// One thing to show. Texts may be anything: they are broken into lines, shortened, and characters that no font has
/// become boxes.
#[derive(Debug, Clone, PartialEq)]
pub enum Screen {
    /// Nothing is to be painted and there is no picture: the time.
    Idle {
        /// Such as `14:07`, as the board's place writes it.
        time: String,
        /// Such as `Wednesday 25 November`.
        date: String,
        /// One line more, such as where to send a prompt; may be empty.
        note: String,
    },
    /// A prompt, before its picture begins.
    Caption {
        /// What will be painted.
        prompt: String,
        /// A word above it, such as `Next`; may be empty.
        heading: String,
    },
    /// A picture in the making.
    Painting {
        /// What it will show.
        prompt: String,
        /// Steps done.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// Until it is done, if that can be told.
        left: Option<Duration>,
        /// What it looks like by now, of any size.
        preview: Option<Arc<RgbImage>>,
    },
    /// A finished picture.
    Picture {
        /// Of any size.
        picture: Arc<RgbImage>,
        /// Shown upon it, if any.
        caption: Option<String>,
    },
    /// Something is wrong that somebody in the room can mend.
    Error {
        /// What.
        problem: String,
        /// What to do; may be empty.
        advice: String,
    },
    /// How to reach the board.
    SetUp {
        /// What the board is called.
        name: String,
        /// Where it is reached, as text and as a QR code.
        address: String,
        /// What to do with it; may be empty.
        note: String,
    },
    /// The board stops.
    ShuttingDown,
}

impl Screen {
    /// Whether it is worth a refresh of a panel that wears.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Picture { .. } | Self::Error { .. } | Self::SetUp { .. }
        )
    }

    /// Whether it comes again and again while the processor is needed for painting.
    pub(super) fn is_progress(&self) -> bool {
        matches!(self, Self::Painting { .. })
    }
}
