//! What is kept beside a picture.

use crate::jobs::moment::{ms, unix_ms};
use crate::jobs::{Given, Job, JobId, Order, OrderPictures, Source};
use easel::{Painting, Parameters, Timings};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// How a picture came about: enough to paint it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Painted {
    /// The job's name.
    pub id: JobId,
    /// What was to be painted.
    pub prompt: String,
    /// What the model was given for it, if that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub painted_prompt: Option<String>,
    /// What was to be kept out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f32,
    /// All randomness came from this.
    pub seed: u64,
    /// Sampling method, by the name that the command line takes.
    pub scheduler: String,
    /// Which of negative, size, steps, guidance, seed and scheduler were asked for; `None`: a record of before does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// Guidance rescale, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_rescale: Option<f32>,
    /// Layers of the text encoders that were left out, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<usize>,
    /// What it was painted from. The files are gone when the job is over.
    #[serde(default, skip_serializing_if = "OrderPictures::is_empty")]
    pub pictures: Box<OrderPictures>,
    /// The model's name.
    pub model: String,
    /// Who asked.
    pub source: Source,
    /// When the job was accepted, by a clock that may have been wrong.
    #[serde(with = "unix_ms", rename = "accepted_unix_ms")]
    pub accepted: SystemTime,
    /// When the picture was ready, by a clock that may have been wrong.
    #[serde(with = "unix_ms", rename = "painted_unix_ms")]
    pub painted: SystemTime,
    /// Where the time went.
    pub timings_ms: TimingsMs,
    /// What people should know: a prompt cut short, a scheduler replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where the time went, milliseconds; as `easel paint --json` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimingsMs {
    /// Reading the model and building its networks.
    #[serde(with = "ms")]
    pub load: Duration,
    /// Tokenizer and text encoder.
    #[serde(with = "ms")]
    pub text: Duration,
    /// All steps.
    #[serde(with = "ms")]
    pub denoise: Duration,
    /// Autoencoder.
    #[serde(with = "ms")]
    pub decode: Duration,
    /// From the call to the picture, and the load before it.
    #[serde(with = "ms")]
    pub total: Duration,
}

impl From<Timings> for TimingsMs {
    fn from(timings: Timings) -> Self {
        Self {
            load: timings.load,
            text: timings.text,
            denoise: timings.denoise,
            decode: timings.decode,
            total: timings.total,
        }
    }
}

impl Painted {
    /// What `painting` of `job` with `model` came to, at `now`.
    #[must_use]
    pub fn new(job: &Job, painting: &Painting, model: &str, now: SystemTime) -> Self {
        Self {
            id: job.id.clone(),
            prompt: job.order.prompt.clone(),
            painted_prompt: painting.painted.clone(),
            negative: job.order.negative.clone(),
            width: painting.picture.width,
            height: painting.picture.height,
            steps: painting.steps,
            guidance: painting.guidance,
            seed: painting.seed,
            scheduler: painting.scheduler.to_string(),
            given: job.given.clone(),
            guidance_rescale: job.order.guidance_rescale,
            clip_skip: job.order.clip_skip,
            pictures: job.order.pictures.clone(),
            model: model.to_owned(),
            source: job.source,
            accepted: job.accepted,
            painted: now,
            timings_ms: painting.timings.into(),
            warnings: painting.warnings.clone(),
        }
    }

    /// The same, for the picture's file.
    pub(super) fn parameters(&self) -> Parameters<'_> {
        Parameters {
            prompt: &self.prompt,
            painted: self.painted_prompt.as_deref(),
            negative: self.negative.as_deref().unwrap_or_default(),
            steps: self.steps,
            scheduler: self.scheduler.parse().ok(),
            guidance: self.guidance,
            seed: self.seed,
            size: (self.width, self.height),
            model: &self.model,
        }
    }

    /// Whether it was painted for what is asked for, as far as that can be told.
    #[must_use]
    pub fn came_of(&self, asked: &Order) -> bool {
        self.order().came_of(asked, self.given.as_ref())
    }

    /// The order that paints it again, nothing left to the board or the model.
    #[must_use]
    pub fn order(&self) -> Order {
        Order {
            prompt: self.prompt.clone(),
            negative: self.negative.clone(),
            size: Some((self.width, self.height)),
            steps: Some(self.steps),
            guidance: Some(self.guidance),
            seed: Some(self.seed),
            scheduler: self.scheduler.parse().ok(),
            guidance_rescale: self.guidance_rescale,
            clip_skip: self.clip_skip,
            pictures: self.pictures.clone(),
        }
    }
}
