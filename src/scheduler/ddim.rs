//! DDIM with eta 0 (Song, Meng and Ermon 2020, equation 12).

use super::alphas::{Alphas, BetaDefaults, finite_sigma};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::spacing::{Spacing, spacing, steps_offset};
use super::{Progress, Scheduler};
use crate::noise::NoiseSource;

/// diffusers' `DDIMScheduler`.
pub(super) struct Ddim {
    timesteps: Vec<f32>,
    /// Alpha bar before and after each step.
    alphas: Vec<(f32, f32)>,
    prediction: Prediction,
    clip: f32,
    progress: Progress,
}

impl Ddim {
    pub(super) fn new(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        refuse_thresholding(options)?;
        let schedule = Alphas::new(options, &BetaDefaults::USUAL)?;
        let train = schedule.len();
        let offset = steps_offset(options, train)?;
        let indices = spacing(options, Spacing::Leading)?.indices(train, steps, offset)?;
        let last = if options.flag("set_alpha_to_one", true)? {
            1.0
        } else {
            schedule.cumprod[0]
        };
        // diffusers goes a fixed distance down, whatever the next visited timestep is.
        let distance = train / steps;
        let alphas: Vec<(f32, f32)> = indices
            .iter()
            .map(|&index| {
                let after = index.checked_sub(distance);
                (
                    schedule.cumprod[index],
                    after.map_or(last, |index| schedule.cumprod[index]),
                )
            })
            .collect();
        let prediction = prediction(options, USUAL)?;
        check_start(prediction, alphas.iter().map(|(alpha, _)| *alpha))?;
        Ok(Self {
            timesteps: indices.into_iter().map(|i| i as f32).collect(),
            alphas,
            prediction,
            clip: clip_bound(options, true)?,
            progress: Progress::default(),
        })
    }
}

impl Scheduler for Ddim {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigma(&self, index: usize) -> f32 {
        finite_sigma(self.alphas[index].0)
    }

    fn init_noise_sigma(&self) -> f32 {
        1.0
    }

    fn scale_model_input(&self, _index: usize, _sample: &mut [f32]) {}

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        sample: &mut [f32],
        denoised: &mut [f32],
        _noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError> {
        self.progress
            .advance(index, self.timesteps.len(), model_output, sample, denoised)?;
        let (alpha, after) = self.alphas[index];
        let (level, next) = (Level::new(alpha), Level::new(after));
        for ((x, clean), output) in sample.iter_mut().zip(denoised).zip(model_output) {
            // The noise is not derived again from the clipped latents: diffusers' default.
            let epsilon = level.epsilon(self.prediction, *x, *output);
            *clean = level
                .clean(self.prediction, *x, *output)
                .clamp(-self.clip, self.clip);
            *x = next.signal * *clean + next.noise * epsilon;
        }
        Ok(())
    }
}
