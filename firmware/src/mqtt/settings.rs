//! The `[broker]` of a board's configuration.

use crate::board::{Section, Wrong};
use serde::Deserialize;

/// Where the broker is and how to get in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerSettings {}

impl Section for BrokerSettings {
    const NAME: &str = "broker";

    fn check(&self) -> Result<(), Wrong> {
        Ok(())
    }
}
