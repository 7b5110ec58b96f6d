//! DEIS (Zhang and Chen 2023, arXiv 2204.13902), the multistep method that extrapolates the noise as a
//! polynomial in the logarithm of ρ, noise over signal (`logrho`).

use super::Run;
use super::dpm_schedule::{DEIS, Path};
use super::error::SchedulerError;
use super::history::History;
use super::options::Options;
use super::prediction::{Prediction, WITH_FLOW, prediction, refuse_thresholding};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `DEISMultistepScheduler`.
pub(super) struct Deis {
    path: Path,
    prediction: Prediction,
    lower_order_final: bool,
    /// Predictions of noise, the present one among them.
    history: History,
    /// The present one.
    noise: Vec<f32>,
}

impl Deis {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        // Other classes' names for the one type that there is.
        options.choice(
            "algorithm_type",
            (),
            &[("deis", ()), ("dpmsolver", ()), ("dpmsolver++", ())],
        )?;
        options.choice(
            "solver_type",
            (),
            &[
                ("logrho", ()),
                ("midpoint", ()),
                ("heun", ()),
                ("bh1", ()),
                ("bh2", ()),
            ],
        )?;
        let path = Path::new(options, run, &DEIS)?;
        let order = options.count("solver_order", 2, 1..=3)?;
        let schedule = path.schedule();
        let sampler = Self {
            path,
            prediction: prediction(options, WITH_FLOW)?,
            lower_order_final: options.flag("lower_order_final", true)?,
            history: History::new(order),
            noise: Vec::new(),
        };
        Ok((schedule, sampler))
    }

    /// The order of step `index`: as many as there is history for, fewer at the end of a short run.
    fn order_at(&self, index: usize) -> usize {
        let count = self.path.timesteps.len();
        let short = self.lower_order_final && count < 15;
        let order = self.history.len();
        if short {
            order.min(count - index)
        } else {
            order
        }
    }

    /// What each of the newest predictions of noise weighs in the step at `index`: the integral over the
    /// step of Lagrange's polynomial in log ρ.
    fn weights(&self, index: usize, order: usize) -> Vec<f32> {
        let rho = |at: usize| self.path.points[at].sigma / self.path.points[at].alpha;
        let (from, to) = (rho(index), rho(index + 1));
        let logs: Vec<f32> = (0..order).map(|back| log(rho(index - back))).collect();
        (0..order)
            .map(|own| {
                // The others in cyclic order, as diffusers has them.
                let other = |n: usize| logs[(own + n) % order];
                let integral = |rho: f32| match order {
                    2 => linear(rho, logs[own], other(1)),
                    _ => quadratic(rho, logs[own], other(1), other(2)),
                };
                integral(to) - integral(from)
            })
            .collect()
    }
}

fn log(value: f32) -> f32 {
    libm::log(f64::from(value)) as f32
}

/// The antiderivative of (log ρ − c) / (b − c).
fn linear(rho: f32, b: f32, c: f32) -> f32 {
    rho * (-c + log(rho) - 1.0) / (b - c)
}

/// The antiderivative of (log ρ − c) (log ρ − d) / ((b − c) (b − d)).
fn quadratic(rho: f32, b: f32, c: f32, d: f32) -> f32 {
    let log = log(rho);
    let numerator = rho * (c * (d - log + 1.0) - d * log + d + log * log - 2.0 * log + 2.0);
    numerator / ((b - c) * (b - d))
}

impl Sampler for Deis {
    fn begin(&mut self) {
        self.history.clear();
    }

    fn step(&mut self, mut step: Step<'_>) {
        let level = self.path.level(step.index, self.prediction);
        step.predict_clean(level, self.prediction);
        let Step {
            index,
            sample,
            denoised,
            ..
        } = step;
        let (from, to) = (self.path.points[index], self.path.points[index + 1]);
        self.noise.clear();
        for (x, clean) in sample.iter().zip(&*denoised) {
            self.noise.push((x - from.alpha * *clean) / from.sigma);
        }
        self.history.push(&self.noise);
        let order = self.order_at(index);
        if order == 1 {
            let grown = libm::exp(f64::from(to.lambda - from.lambda)) as f32 - 1.0;
            let (keep, share) = (to.alpha / from.alpha, to.sigma * grown);
            for (x, noise) in sample.iter_mut().zip(&self.noise) {
                *x = keep * *x - share * noise;
            }
            return;
        }
        let weights = self.weights(index, order);
        for (i, x) in sample.iter_mut().enumerate() {
            let shares = weights.iter().enumerate();
            let scaled = shares.fold(*x / from.alpha, |sum, (back, weight)| {
                sum + weight * self.history.get(back)[i]
            });
            *x = to.alpha * scaled;
        }
    }
}
