//! The board watches over itself: heat, power, memory, disk, and the service manager's watchdog.

mod clock;

pub use clock::{Clock, FIRST_CREDIBLE_YEAR, Moment, is_set};

use crate::board::{Section, Wrong};
use serde::Deserialize;

/// The `[limits]` of a board's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {}

impl Section for LimitSettings {
    const NAME: &str = "limits";

    fn check(&self) -> Result<(), Wrong> {
        Ok(())
    }
}
