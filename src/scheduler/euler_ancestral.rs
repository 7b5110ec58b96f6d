//! Euler ancestral: each step goes a little below its target, then adds fresh noise up to it.

use super::error::SchedulerError;
use super::euler::{Levels, clean};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::{Progress, Scheduler};
use crate::noise::NoiseSource;

/// diffusers' `EulerAncestralDiscreteScheduler`.
pub(super) struct EulerAncestral {
    levels: Levels,
    prediction: Prediction,
    progress: Progress,
}

impl EulerAncestral {
    pub(super) fn new(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        const WORDS: &[(&str, Prediction)] = &[
            ("epsilon", Prediction::Epsilon),
            ("v_prediction", Prediction::Velocity),
        ];
        Ok(Self {
            levels: Levels::plain(options, steps)?,
            prediction: prediction(options, WORDS)?,
            progress: Progress::default(),
        })
    }
}

impl Scheduler for EulerAncestral {
    fn timesteps(&self) -> &[f32] {
        &self.levels.timesteps
    }

    fn sigma(&self, index: usize) -> f32 {
        self.levels.sigmas[..self.levels.timesteps.len()][index]
    }

    fn init_noise_sigma(&self) -> f32 {
        self.levels.init_noise_sigma
    }

    fn scale_model_input(&self, index: usize, sample: &mut [f32]) {
        self.levels.scale(index, sample);
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        sample: &mut [f32],
        denoised: &mut [f32],
        noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError> {
        self.progress.advance(
            index,
            self.levels.timesteps.len(),
            model_output,
            sample,
            denoised,
        )?;
        let (from, to) = (self.levels.sigmas[index], self.levels.sigmas[index + 1]);
        let (from2, to2) = (from * from, to * to);
        let up = (to2 * (from2 - to2) / from2).max(0.0).sqrt();
        // Rounding can leave it a hair below 0 when the first level is enormous.
        let down = (to2 - up * up).max(0.0).sqrt();
        let mut fresh = vec![0.0; sample.len()];
        noise.fill(&mut fresh);
        for (((x, clean_x), output), z) in
            sample.iter_mut().zip(denoised).zip(model_output).zip(fresh)
        {
            *clean_x = clean(self.prediction, from, *x, *output);
            let derivative = (*x - *clean_x) / from;
            *x = *x + derivative * (down - from) + z * up;
        }
        Ok(())
    }
}
