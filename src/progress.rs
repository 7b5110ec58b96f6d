//! What a caller learns while a picture is painted, and how it stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::latents::Latents;
use crate::model_dir::PreviewFactors;
use crate::picture::Picture;

/// Where painting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The prompt is read.
    Text,
    /// Noise becomes latents; the long part.
    Denoise,
    /// Latents become the picture.
    Decode,
}

/// A report, made when a stage begins and after each step.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Where painting is.
    pub stage: Stage,
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Noise level of the step done.
    pub sigma: f32,
    /// The noisy latents after the step done, in the sampler's scale; `None` when a stage begins.
    pub latents: Option<&'a Latents>,
    /// The clean latents as the last step saw them; `None` when a stage begins.
    pub denoised: Option<&'a Latents>,
    pub(crate) factors: Option<&'a PreviewFactors>,
}

impl Progress<'_> {
    /// A small picture of what is coming, one pixel a latent: a linear map, so it costs next to nothing.
    /// `None` before the first step, and for models whose map is not known.
    #[must_use]
    pub fn preview(&self) -> Option<Picture> {
        let (latents, factors) = (self.denoised?, self.factors?);
        let area = latents.height * latents.width;
        let mut planes = vec![0.0; 3 * area];
        for (colour, plane) in planes.chunks_mut(area).enumerate() {
            plane.fill(factors.bias[colour]);
            for (row, channel) in factors.rows.iter().zip(latents.data.chunks(area)) {
                let pairs = plane.iter_mut().zip(channel);
                pairs.for_each(|(pixel, latent)| *pixel += row[colour] * latent);
            }
        }
        Some(Picture::from_planes(&planes, latents.height, latents.width))
    }
}

/// Stops a painting from another thread: within a task of a kernel, some milliseconds.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whoever paints with this token to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For kernels.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

/// What long work does between its parts: it shows that it goes on, and asks whether it should.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) pulse: Pulse,
    pub(crate) cancel: CancelToken,
}

/// Nobody wants it any more.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
pub(crate) struct Cancelled;

impl Watched {
    /// A part is done.
    pub(crate) fn beat(&self) -> Result<(), Cancelled> {
        self.pulse.beat();
        if self.cancel.is_cancelled() {
            return Err(Cancelled);
        }
        Ok(())
    }
}

/// Counts the operators that networks have run, and the weights that were packed for them. A step, and the first start, may take minutes; whoever
/// watches sees by this that it goes on.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// How many so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
