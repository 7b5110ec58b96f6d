//! DPM-Solver-2 in noise-over-signal time (Karras et al. 2022, algorithm 2 with the geometric mean as
//! the middle): a step to the middle, then the whole step with the slope from there. The ancestral variant
//! goes below its target and adds fresh noise up to it.

use super::alphas::BetaDefaults;
use super::error::SchedulerError;
use super::euler_ancestral::up_and_down;
use super::levels::{Levels, NO_SAMPLE, clean};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::{Schedule, norm};
use super::spacing::sigma_to_timestep;

/// One step.
struct Leg {
    from: f32,
    /// The noise level of the second evaluation: 0 for the last step, which has none.
    middle: f32,
    /// Where the second half ends before noise is added.
    to: f32,
    /// The share of fresh noise.
    up: f32,
}

/// diffusers' `KDPM2DiscreteScheduler` and `KDPM2AncestralDiscreteScheduler`.
pub(super) struct Kdpm2 {
    legs: Vec<Leg>,
    ancestral: bool,
    prediction: Prediction,
    /// Where the step began.
    sample: Vec<f32>,
}

impl Kdpm2 {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
        ancestral: bool,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let (levels, logs) = Levels::curved(options, &BetaDefaults::HEUN, steps, true)?;
        let legs: Vec<Leg> = levels
            .sigmas
            .windows(2)
            .map(|pair| {
                let (from, next) = (pair[0], pair[1]);
                let (up, to) = if ancestral {
                    let (up, down) = up_and_down(from, next);
                    // The same without rounding, where that leaves nothing.
                    (up, if down > 0.0 { down } else { next * next / from })
                } else {
                    (0.0, next)
                };
                Leg {
                    from,
                    middle: if next > 0.0 { middle(from, to) } else { 0.0 },
                    to,
                    up,
                }
            })
            .collect();

        if legs[..legs.len() - 1].iter().any(|leg| leg.middle <= 0.0) {
            return Err(SchedulerError::Schedule(
                "a noise level before the last is 0".into(),
            ));
        }
        let (mut timesteps, mut sigmas, mut divisors) = (Vec::new(), Vec::new(), Vec::new());
        for (at, leg) in legs.iter().enumerate() {
            timesteps.push(levels.timesteps[at]);
            sigmas.push(leg.from);
            divisors.push(norm(leg.from));
            if at + 1 < legs.len() {
                timesteps.push(sigma_to_timestep(f64::from(leg.middle), &logs) as f32);
                // diffusers counts the middle as the next step's level where it adds noise.
                sigmas.push(levels.sigmas[at + 1]);
                divisors.push(norm(leg.middle));
            }
        }
        let mut schedule =
            Schedule::exploding(timesteps, &sigmas, levels.init_noise_sigma).in_pairs();
        schedule.divisors = divisors;
        let sampler = Self {
            legs,
            ancestral,
            prediction: prediction(options, NO_SAMPLE)?,
            sample: Vec::new(),
        };
        Ok((schedule, sampler))
    }
}

/// The geometric mean, by way of logarithms as in diffusers.
fn middle(from: f32, to: f32) -> f32 {
    let log = |sigma: f32| libm::log(f64::from(sigma)) as f32;
    let (a, b) = (log(from), log(to));
    libm::exp(f64::from(a - (a - b) * 0.5)) as f32
}

impl Sampler for Kdpm2 {
    /// At the end of a step.
    fn draws(&self, index: usize) -> bool {
        self.ancestral && index % 2 == 1
    }

    fn step(&mut self, step: Step<'_>) {
        let leg = &self.legs[step.index / 2];
        let second = step.index % 2 == 1;
        let (sigma, way) = if second {
            (leg.middle, leg.to - leg.from)
        } else {
            self.sample.clear();
            self.sample.extend_from_slice(step.sample);
            (leg.from, leg.middle - leg.from)
        };
        for ((((x, clean_x), output), start), z) in step
            .sample
            .iter_mut()
            .zip(step.denoised)
            .zip(step.output)
            .zip(&self.sample)
            .zip(step.noise)
        {
            *clean_x = clean(self.prediction, sigma, *x, *output);
            *x = start + (*x - *clean_x) / sigma * way + z * leg.up;
        }
    }
}
