//! DDIM with eta 0 (Song, Meng and Ermon 2020, equation 12).

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{Spacing, spacing, steps_offset};

/// diffusers' `DDIMScheduler`.
pub(super) struct Ddim {
    /// Alpha bar before and after each step.
    alphas: Vec<(f32, f32)>,
    prediction: Prediction,
    clip: f32,
}

impl Ddim {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
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
        let visited: Vec<f32> = alphas.iter().map(|(alpha, _)| *alpha).collect();
        check_start(prediction, &visited)?;
        let sampler = Self {
            alphas,
            prediction,
            clip: clip_bound(options, true)?,
        };
        let timesteps = indices.into_iter().map(|i| i as f32).collect();
        Ok((Schedule::preserving(timesteps, &visited), sampler))
    }
}

impl Sampler for Ddim {
    fn step(&mut self, step: Step<'_>) {
        let (alpha, after) = self.alphas[step.index];
        let (level, next) = (Level::new(alpha), Level::new(after));
        for ((x, clean), output) in step.sample.iter_mut().zip(step.denoised).zip(step.output) {
            // The noise is not derived again from the clipped latents: diffusers' default.
            let epsilon = level.epsilon(self.prediction, *x, *output);
            *clean = level
                .clean(self.prediction, *x, *output)
                .clamp(-self.clip, self.clip);
            *x = next.signal * *clean + next.noise * epsilon;
        }
    }
}
