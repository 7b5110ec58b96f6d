//! Trajectory consistency distillation (Zheng et al. 2024, arXiv 2402.19159, algorithm 2): jump along the
//! trajectory to below the next level, then add noise up to it.

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{Spacing, distilled, spacing, steps_offset};

/// diffusers' `TCDScheduler`.
pub(super) struct Tcd {
    legs: Vec<Leg>,
    prediction: Prediction,
}

/// One step, in alpha bar.
struct Leg {
    from: f32,
    /// Where the jump lands.
    landing: f32,
    /// Where noise brings it, if it adds any.
    to: Option<f32>,
}

impl Tcd {
    /// `eta` (gamma in the paper), between 0 and 1, is how much of each jump is noise.
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
        eta: f32,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let schedule = Alphas::new(options, &BetaDefaults::LCM)?;
        // Read to be checked; the class does without them.
        spacing(options, Spacing::Leading)?;
        steps_offset(options, schedule.len())?;
        options.flag("set_alpha_to_one", true)?;
        options.number("timestep_scaling", 10.0)?;
        clip_bound(options, false)?;

        let indices = distilled(options, schedule.len(), steps, 1.0)?;
        let last = indices.len() - 1;
        let legs = (0..indices.len())
            .map(|at| {
                let next = indices.get(at + 1).copied().unwrap_or(0);
                let landing = ((1.0 - eta) * next as f32).floor() as usize;
                Leg {
                    from: schedule.cumprod[indices[at]],
                    landing: schedule.cumprod[landing],
                    to: (eta > 0.0 && at < last).then(|| schedule.cumprod[next]),
                }
            })
            .collect();
        let alphas: Vec<f32> = indices.iter().map(|i| schedule.cumprod[*i]).collect();
        let prediction = prediction(options, USUAL)?;
        check_start(prediction, &alphas)?;
        let timesteps = indices.into_iter().map(|i| i as f32).collect();
        let sampler = Self { legs, prediction };
        Ok((Schedule::preserving(timesteps, &alphas), sampler))
    }
}

impl Sampler for Tcd {
    fn draws(&self, index: usize) -> bool {
        self.legs[index].to.is_some()
    }

    fn step(&mut self, step: Step<'_>) {
        let leg = &self.legs[step.index];
        let (level, landing) = (Level::new(leg.from), Level::new(leg.landing));
        let up = leg.to.map(|to| Level::new(to / leg.landing));
        for (((x, clean), output), z) in step
            .sample
            .iter_mut()
            .zip(step.denoised)
            .zip(step.output)
            .zip(step.noise)
        {
            *clean = level.clean(self.prediction, *x, *output);
            let epsilon = level.epsilon(self.prediction, *x, *output);
            *x = landing.signal * *clean + landing.noise * epsilon;
            if let Some(up) = up {
                *x = up.signal * *x + up.noise * z;
            }
        }
    }
}
