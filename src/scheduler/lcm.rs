//! Latent consistency models (Luo et al. 2023, algorithm 3): jump to clean latents, add noise, repeat.

use super::alphas::{Alphas, BetaDefaults, finite_sigma};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::spacing::{Spacing, check_steps, spacing, steps_offset};
use super::{Progress, Scheduler};
use crate::noise::NoiseSource;

/// diffusers' `LCMScheduler`.
pub(super) struct Lcm {
    timesteps: Vec<f32>,
    /// Alpha bar at each visited timestep.
    alphas: Vec<f32>,
    prediction: Prediction,
    clip: f32,
    timestep_scaling: f32,
    progress: Progress,
}

impl Lcm {
    pub(super) fn new(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        refuse_thresholding(options)?;
        let schedule = Alphas::new(options, &BetaDefaults::LCM)?;
        let train = schedule.len();
        // Read to be checked; the class lays its timesteps out in its own way, and never needs the
        // alpha before the first one.
        spacing(options, Spacing::Leading)?;
        steps_offset(options, train)?;
        options.flag("set_alpha_to_one", true)?;

        let original = options.count("original_inference_steps", 50.min(train), 1..=train)?;
        check_steps(steps, original)?;
        let skip = train / original;
        // Evenly spaced picks, from the top, out of the timesteps the model was distilled on.
        let pick = original as f64 / steps as f64;
        let indices: Vec<usize> = (0..steps)
            .map(|i| (original - (i as f64 * pick) as usize) * skip - 1)
            .collect();
        let alphas: Vec<f32> = indices.iter().map(|i| schedule.cumprod[*i]).collect();
        let prediction = prediction(options, USUAL)?;
        check_start(prediction, alphas.iter().copied())?;
        Ok(Self {
            timesteps: indices.into_iter().map(|i| i as f32).collect(),
            alphas,
            prediction,
            clip: clip_bound(options, false)?,
            timestep_scaling: options.number("timestep_scaling", 10.0)? as f32,
            progress: Progress::default(),
        })
    }
}

impl Scheduler for Lcm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigma(&self, index: usize) -> f32 {
        finite_sigma(self.alphas[index])
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
        noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError> {
        self.progress
            .advance(index, self.timesteps.len(), model_output, sample, denoised)?;
        const SIGMA_DATA: f32 = 0.5;
        let scaled = self.timesteps[index] * self.timestep_scaling;
        let norm = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        let (skip_share, clean_share) = (SIGMA_DATA * SIGMA_DATA / norm, scaled / norm.sqrt());
        let level = Level::new(self.alphas[index]);
        for ((x, clean), output) in sample.iter().zip(&mut *denoised).zip(model_output) {
            let bounded = level
                .clean(self.prediction, *x, *output)
                .clamp(-self.clip, self.clip);
            *clean = clean_share * bounded + skip_share * *x;
        }
        match self.alphas.get(index + 1) {
            None => sample.copy_from_slice(denoised),
            Some(next) => {
                let next = Level::new(*next);
                noise.fill(sample);
                for (x, clean) in sample.iter_mut().zip(denoised) {
                    *x = next.signal * *clean + next.noise * *x;
                }
            }
        }
        Ok(())
    }
}
