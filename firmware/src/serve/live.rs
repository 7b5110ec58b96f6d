//! Settings that people change while the board runs: over MQTT, or with a button. They outlast a restart and go before
//! the configuration.

use crate::jobs::Order;
use easel::SchedulerKind;
use serde::{Deserialize, Serialize};

/// What `set/<name>` sets. `None` is the configuration's or the model's choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Live {
    /// The prompt that `generate` paints.
    pub(super) prompt: String,
    /// What to keep out of pictures whose order does not say.
    pub(super) negative: String,
    pub(super) steps: Option<usize>,
    pub(super) guidance: Option<f32>,
    #[serde(with = "crate::jobs::scheduler_name")]
    pub(super) scheduler: Option<SchedulerKind>,
    pub(super) style: Option<String>,
    pub(super) kiosk: Option<bool>,
    pub(super) interval_s: Option<u64>,
    pub(super) night: Night,
    /// Degrees clockwise.
    pub(super) rotation: Option<u32>,
    /// 0 to 1.
    pub(super) brightness: Option<f32>,
}

/// Whether the panel is dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Night {
    /// In the quiet hours.
    #[default]
    Auto,
    /// Now.
    On,
    /// Never.
    Off,
}
