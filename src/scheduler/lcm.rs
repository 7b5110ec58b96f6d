//! Latent consistency models (Luo et al. 2023, algorithm 3): jump to clean latents, add noise, repeat.

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::run::Run;
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{Spacing, distilled, spacing, steps_offset};

/// diffusers' `LCMScheduler`.
pub(super) struct Lcm {
    timesteps: Vec<f32>,
    /// Alpha bar at each visited timestep.
    alphas: Vec<f32>,
    prediction: Prediction,
    clip: f32,
    timestep_scaling: f32,
}

impl Lcm {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let schedule = Alphas::new(options, &BetaDefaults::LCM)?;
        let train = schedule.len();
        // Read to be checked; the class lays its timesteps out in its own way, and never needs the
        // alpha before the first one.
        spacing(options, Spacing::Leading)?;
        steps_offset(options, train)?;
        options.flag("set_alpha_to_one", true)?;

        let indices = distilled(options, train, run.steps, run.strength)?;
        let alphas: Vec<f32> = indices.iter().map(|i| schedule.cumprod[*i]).collect();
        let prediction = prediction(options, USUAL)?;
        check_start(prediction, &alphas)?;
        let timesteps: Vec<f32> = indices.into_iter().map(|i| i as f32).collect();
        let schedule = Schedule::preserving(timesteps.clone(), &alphas);
        let sampler = Self {
            timesteps,
            alphas,
            prediction,
            clip: clip_bound(options, false)?,
            timestep_scaling: options.number("timestep_scaling", 10.0)? as f32,
        };
        Ok((schedule, sampler))
    }
}

impl Sampler for Lcm {
    /// Every step but the last.
    fn draws(&self, index: usize) -> bool {
        index + 1 < self.alphas.len()
    }

    fn step(&mut self, step: Step<'_>) {
        const SIGMA_DATA: f32 = 0.5;
        let scaled = self.timesteps[step.index] * self.timestep_scaling;
        let norm = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        let (skip_share, clean_share) = (SIGMA_DATA * SIGMA_DATA / norm, scaled / norm.sqrt());
        let level = Level::new(self.alphas[step.index]);
        for ((x, clean), output) in step.sample.iter().zip(&mut *step.denoised).zip(step.output) {
            let bounded = level
                .clean(self.prediction, *x, *output)
                .clamp(-self.clip, self.clip);
            *clean = clean_share * bounded + skip_share * *x;
        }
        match self.alphas.get(step.index + 1) {
            None => step.sample.copy_from_slice(step.denoised),
            Some(next) => Level::new(*next).mix(step.denoised, step.noise, step.sample),
        }
    }
}
