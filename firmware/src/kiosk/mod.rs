//! The board by itself: playlists, times, quiet hours and buttons.

mod at;
mod days;
mod hours;
mod local;

pub use at::{At, WrongAt};
pub use days::{Days, WrongDays};
pub use hours::{Hours, TimeOfDay, WrongTime};

use crate::board::{Section, Wrong};
use serde::Deserialize;

/// The `[kiosk]` of a board's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KioskSettings {}

impl Section for KioskSettings {
    const NAME: &str = "kiosk";

    fn check(&self) -> Result<(), Wrong> {
        Ok(())
    }
}
