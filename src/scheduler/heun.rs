//! Heun's method on the probability-flow ODE (Karras et al. 2022, algorithm 1): Euler's step, then the
//! same step again with the mean of the slopes at its two ends.

use super::alphas::BetaDefaults;
use super::error::SchedulerError;
use super::levels::{Levels, WORDS, clean};
use super::options::Options;
use super::prediction::{Prediction, clip_bound, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `HeunDiscreteScheduler`: two evaluations a step, but one for the last, which has no slope
/// at its end.
pub(super) struct Heun {
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    prediction: Prediction,
    clip: f32,
    /// Where the step began, and the slope there.
    sample: Vec<f32>,
    slope: Vec<f32>,
}

impl Heun {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let (levels, _) = Levels::curved(options, &BetaDefaults::HEUN, steps, false)?;
        let ends = |values: &[f32]| -> Vec<f32> {
            let pairs = values.windows(2).flat_map(|pair| [pair[0], pair[1]]);
            pairs.chain(values.last().copied()).collect()
        };
        let count = levels.timesteps.len();
        let schedule = Schedule::exploding(
            ends(&levels.timesteps),
            &ends(&levels.sigmas[..count]),
            levels.init_noise_sigma,
        )
        .in_pairs();
        let sampler = Self {
            sigmas: levels.sigmas,
            prediction: prediction(options, WORDS)?,
            clip: clip_bound(options, false)?,
            sample: Vec::new(),
            slope: Vec::new(),
        };
        Ok((schedule, sampler))
    }
}

impl Sampler for Heun {
    fn step(&mut self, step: Step<'_>) {
        let at = step.index / 2;
        let second = step.index % 2 == 1;
        let (from, to) = (self.sigmas[at], self.sigmas[at + 1]);
        let sigma = if second { to } else { from };
        if !second {
            self.sample.clear();
            self.sample.extend_from_slice(step.sample);
            self.slope.resize(step.sample.len(), 0.0);
        }
        for ((((x, clean_x), output), start), slope) in step
            .sample
            .iter_mut()
            .zip(step.denoised)
            .zip(step.output)
            .zip(&self.sample)
            .zip(&mut self.slope)
        {
            *clean_x = clean(self.prediction, sigma, *x, *output).clamp(-self.clip, self.clip);
            let here = (*x - *clean_x) / sigma;
            *slope = if second { (*slope + here) / 2.0 } else { here };
            *x = start + *slope * (to - from);
        }
    }
}
