//! The linear multistep method: Adams and Bashforth's for levels that are not evenly spaced, as Katherine
//! Crowson's k-diffusion has it.

use super::alphas::BetaDefaults;
use super::error::SchedulerError;
use super::history::History;
use super::levels::{Levels, WORDS, clean};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// The highest order, which diffusers' pipelines use.
const ORDER: usize = 4;

/// diffusers' `LMSDiscreteScheduler`.
pub(super) struct Lms {
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    prediction: Prediction,
    slopes: History,
    /// The slope of the present step.
    slope: Vec<f32>,
}

impl Lms {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let (levels, _) = Levels::curved(options, &BetaDefaults::NO_RESCALE, steps, false)?;
        let schedule = levels.schedule();
        let sampler = Self {
            sigmas: levels.sigmas,
            prediction: prediction(options, WORDS)?,
            slopes: History::new(ORDER),
            slope: Vec::new(),
        };
        Ok((schedule, sampler))
    }

    /// What each of the newest slopes weighs in the step at `index`: the integral over the step of the
    /// polynomial that is 1 at its own level and 0 at the others'.
    fn weights(&self, index: usize) -> Vec<f32> {
        let order = self.slopes.len();
        let level = |back: usize| f64::from(self.sigmas[index - back]);
        let (from, to) = (level(0), f64::from(self.sigmas[index + 1]));
        // Gauss and Legendre's two nodes integrate polynomials up to the third degree exactly.
        let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
        let nodes = [-1.0, 1.0].map(|side| middle + half * side / 3.0_f64.sqrt());
        (0..order)
            .map(|own| {
                let polynomial = |at: f64| -> f64 {
                    (0..order)
                        .filter(|back| *back != own)
                        .map(|back| (at - level(back)) / (level(own) - level(back)))
                        .product()
                };
                (half * nodes.map(polynomial).iter().sum::<f64>()) as f32
            })
            .collect()
    }
}

impl Sampler for Lms {
    fn begin(&mut self) {
        self.slopes.clear();
    }

    fn step(&mut self, step: Step<'_>) {
        let sigma = self.sigmas[step.index];
        self.slope.clear();
        for ((x, clean_x), output) in step.sample.iter().zip(step.denoised).zip(step.output) {
            *clean_x = clean(self.prediction, sigma, *x, *output);
            self.slope.push((x - *clean_x) / sigma);
        }
        self.slopes.push(&self.slope);
        let weights = self.weights(step.index);
        for (i, x) in step.sample.iter_mut().enumerate() {
            let slopes = weights
                .iter()
                .enumerate()
                .map(|(back, weight)| weight * self.slopes.get(back)[i]);
            *x += slopes.sum::<f32>();
        }
    }
}
