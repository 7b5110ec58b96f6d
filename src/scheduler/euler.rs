//! Euler's method on the probability-flow ODE in noise-over-signal time (Karras et al. 2022,
//! algorithm 2 without churn).

use super::error::SchedulerError;
use super::levels::{Levels, WORDS, clean};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `EulerDiscreteScheduler`.
pub(super) struct Euler {
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    prediction: Prediction,
}

impl Euler {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let levels = Levels::full(options, steps)?;
        let schedule = levels.schedule();
        let sampler = Self {
            sigmas: levels.sigmas,
            prediction: prediction(options, WORDS)?,
        };
        Ok((schedule, sampler))
    }
}

impl Sampler for Euler {
    fn step(&mut self, step: Step<'_>) {
        let (sigma, next) = (self.sigmas[step.index], self.sigmas[step.index + 1]);
        for ((x, clean_x), output) in step.sample.iter_mut().zip(step.denoised).zip(step.output) {
            *clean_x = clean(self.prediction, sigma, *x, *output);
            let derivative = (*x - *clean_x) / sigma;
            *x += derivative * (next - sigma);
        }
    }
}
