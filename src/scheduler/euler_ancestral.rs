//! Euler ancestral: each step goes a little below its target, then adds fresh noise up to it.

use super::error::SchedulerError;
use super::levels::{Levels, NO_SAMPLE, clean};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `EulerAncestralDiscreteScheduler`.
pub(super) struct EulerAncestral {
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    prediction: Prediction,
}

impl EulerAncestral {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let levels = Levels::plain(options, steps)?;
        let schedule = levels.schedule();
        let sampler = Self {
            sigmas: levels.sigmas,
            prediction: prediction(options, NO_SAMPLE)?,
        };
        Ok((schedule, sampler))
    }
}

/// The share of fresh noise in a step, and the level to go down to before it is added.
pub(super) fn up_and_down(from: f32, to: f32) -> (f32, f32) {
    let (from2, to2) = (from * from, to * to);
    let up = (to2 * (from2 - to2) / from2).max(0.0).sqrt();
    // Rounding can leave it a hair below 0 when the first level is enormous.
    let down = (to2 - up * up).max(0.0).sqrt();
    (up, down)
}

impl Sampler for EulerAncestral {
    fn draws(&self, _index: usize) -> bool {
        true
    }

    fn step(&mut self, step: Step<'_>) {
        let (from, to) = (self.sigmas[step.index], self.sigmas[step.index + 1]);
        let (up, down) = up_and_down(from, to);
        for (((x, clean_x), output), z) in step
            .sample
            .iter_mut()
            .zip(step.denoised)
            .zip(step.output)
            .zip(step.noise)
        {
            *clean_x = clean(self.prediction, from, *x, *output);
            let derivative = (*x - *clean_x) / from;
            *x = *x + derivative * (down - from) + z * up;
        }
    }
}
