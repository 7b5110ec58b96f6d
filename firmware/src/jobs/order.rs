//! A picture that somebody asks for, from wherever.

use easel::{PaintRequest, SchedulerKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What to paint. `None` is the board's setting or the model's default; `None` for the seed is a random one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// What to paint.
    pub prompt: String,
    /// What to keep out of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
    /// Width and height, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// Denoising steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Guidance scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f32>,
    /// All randomness comes from this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Sampling method, by the name that the command line takes.
    #[serde(skip_serializing_if = "Option::is_none", with = "scheduler_name")]
    pub scheduler: Option<SchedulerKind>,
}

impl Order {
    /// Whatever the board and the model choose, but this.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// The request that the engine takes; `seed` where none is given.
    #[must_use]
    pub fn request(&self, seed: u64) -> PaintRequest {
        PaintRequest {
            negative: self.negative.clone().unwrap_or_default(),
            size: self.size,
            steps: self.steps,
            guidance: self.guidance,
            seed: self.seed.unwrap_or(seed),
            scheduler: self.scheduler,
            ..PaintRequest::new(self.prompt.clone())
        }
    }
}

/// A scheduler as its name.
pub(crate) mod scheduler_name {
    use super::SchedulerKind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[allow(clippy::ref_option, reason = "serde calls it with what the field is")]
    pub(crate) fn serialize<S: Serializer>(
        kind: &Option<SchedulerKind>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => serializer.collect_str(kind),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SchedulerKind>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| name.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// Names a job: 1 to 64 letters, digits, `.`, `_` or `-`. Whoever asks for a picture may choose it; the same one twice is one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// Text that cannot name a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id: give 1 to 64 letters, digits, dots, dashes or underscores")]
pub struct WrongId;

impl FromStr for JobId {
    type Err = WrongId;

    fn from_str(text: &str) -> Result<Self, WrongId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=64).contains(&text.len()) && text.chars().all(plain);
        // It becomes part of file names.
        if fits && !text.starts_with('.') {
            return Ok(Self(text.to_owned()));
        }
        Err(WrongId)
    }
}

impl TryFrom<String> for JobId {
    type Error = WrongId;

    fn try_from(text: String) -> Result<Self, WrongId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for JobId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A message to this board.
    Mqtt,
    /// A message to its group.
    Fleet,
    /// The playlist. Everything else goes before it.
    Kiosk,
    /// A button on the board.
    Button,
}

/// What became of a job, as its `response` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits, safely.
    Queued,
    /// It is being painted.
    Painting,
    /// The picture is in the history.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// It was never queued.
    Rejected,
    /// It failed.
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_name() {
        for good in ["a", "night-7", "2026.11.25_1"] {
            assert_eq!(
                good.parse::<JobId>().expect("it is right").to_string(),
                good
            );
        }
        for wrong in ["", ".", "..", ".a", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_order_comes_back_from_json() {
        let order = Order {
            size: Some((128, 64)),
            scheduler: Some(SchedulerKind::Ddim),
            ..Order::new("a \"cat\"\nat night")
        };
        let json = serde_json::to_string(&order).expect("it is plain data");
        assert!(
            json.contains("\"scheduler\":\"ddim\"") && !json.contains("seed"),
            "{json}"
        );
        let back: Order = serde_json::from_str(&json).expect("it was written here");
        assert_eq!(back, order);
        let error = serde_json::from_str::<Order>(r#"{"prompt":"x","scheduler":"no"}"#);
        assert!(error.is_err_and(|error| error.to_string().contains("ddim")));
    }
}
