//! What a caller learns while a picture is painted.

use crate::latents::Latents;
use crate::picture::Picture;
use crate::preview::PreviewFactors;

/// Where painting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The picture to begin with becomes latents.
    Encode,
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
    /// Passes of the denoiser done; most schedulers have one a step.
    pub step: usize,
    /// Passes in all.
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
