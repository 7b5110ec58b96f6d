//! Euler's method on the probability-flow ODE in noise-over-signal time (Karras et al. 2022,
//! algorithm 2 without churn), and the schedule it shares with its ancestral variant.

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::numpy::{interp, linspace_f32};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::{Schedule, norm};
use super::spacing::{
    Spacing, check_steps, log_sigmas, sigma_curve, sigma_to_timestep, spacing, steps_offset,
};

/// Noise levels and the times that the denoiser is told for them.
pub(super) struct Levels {
    pub(super) timesteps: Vec<f32>,
    /// One more than timesteps, or two more for `log_linear`.
    pub(super) sigmas: Vec<f32>,
    pub(super) init_noise_sigma: f32,
}

impl Levels {
    /// The levels at a spacing's timesteps, then 0: all that the ancestral class knows.
    pub(super) fn plain(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        let train = Alphas::new(options, &BetaDefaults::USUAL)?
            .with_terminal_signal(options)?
            .sigmas();
        let timesteps = timesteps(options, &train, steps)?;
        let sigmas = timesteps
            .iter()
            .map(|time| interp(f64::from(*time), &train) as f32)
            .chain([0.0])
            .collect();
        Self::finish(options, timesteps, sigmas)
    }

    /// With the further options of `EulerDiscreteScheduler`.
    fn full(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        let train = Alphas::new(options, &BetaDefaults::USUAL)?
            .with_terminal_signal(options)?
            .sigmas();
        let logs = log_sigmas(&train);
        let mut timesteps = timesteps(options, &train, steps)?;
        let log_linear = options.choice(
            "interpolation_type",
            false,
            &[("linear", false), ("log_linear", true)],
        )?;
        let mut sigmas: Vec<f64> = if log_linear {
            let (from, to) = (logs[logs.len() - 1], logs[0]);
            linspace_f32(from, to, steps + 1)
                .into_iter()
                .map(|log| f64::from(libm::exp(f64::from(log)) as f32))
                .collect()
        } else {
            timesteps
                .iter()
                .map(|time| interp(f64::from(*time), &train))
                .collect()
        };
        let (most, least) = (
            options.optional_positive("sigma_max")?,
            options.optional_positive("sigma_min")?,
        );
        if let Some(curve) = sigma_curve(options)? {
            let (first, last) = (sigmas[0], sigmas[sigmas.len() - 1]);
            sigmas = curve.sigmas(most.unwrap_or(first), least.unwrap_or(last), steps);
            timesteps = sigmas
                .iter()
                .map(|sigma| sigma_to_timestep(*sigma, &logs) as f32)
                .collect();
        }
        let end = final_sigma(options, &train)?;
        let sigmas: Vec<f32> = sigmas
            .into_iter()
            .map(|sigma| sigma as f32)
            .chain([end])
            .collect();
        let continuous = options.choice(
            "timestep_type",
            false,
            &[("discrete", false), ("continuous", true)],
        )?;
        if continuous && prediction(options, WORDS)? == Prediction::Velocity {
            timesteps = sigmas[..sigmas.len() - 1]
                .iter()
                .map(|sigma| 0.25 * libm::log(f64::from(*sigma)) as f32)
                .take(steps)
                .collect();
        }
        Self::finish(options, timesteps, sigmas)
    }

    fn finish(
        options: &Options<'_>,
        timesteps: Vec<f32>,
        sigmas: Vec<f32>,
    ) -> Result<Self, SchedulerError> {
        let most = sigmas.iter().copied().fold(0.0, f32::max);
        let init_noise_sigma = match spacing(options, Spacing::Linspace)? {
            Spacing::Linspace | Spacing::Trailing => most,
            Spacing::Leading => norm(most),
        };
        if sigmas[..timesteps.len()].iter().any(|sigma| *sigma <= 0.0) {
            return Err(SchedulerError::Schedule(
                "a noise level before the last is 0".into(),
            ));
        }
        Ok(Self {
            timesteps,
            sigmas,
            init_noise_sigma,
        })
    }

    /// What the caller sees of them.
    pub(super) fn schedule(&self) -> Schedule {
        Schedule::exploding(self.timesteps.clone(), &self.sigmas, self.init_noise_sigma)
    }
}

fn timesteps(
    options: &Options<'_>,
    train: &[f32],
    steps: usize,
) -> Result<Vec<f32>, SchedulerError> {
    check_steps(steps, train.len())?;
    let offset = steps_offset(options, train.len())?;
    let spacing = spacing(options, Spacing::Linspace)?;
    let timesteps = spacing.timesteps(train.len(), steps, offset);
    Ok(timesteps.into_iter().map(|time| time as f32).collect())
}

/// `final_sigmas_type`: where the last step ends. `train` is the rising training schedule.
pub(super) fn final_sigma(options: &Options<'_>, train: &[f32]) -> Result<f32, SchedulerError> {
    options.choice(
        "final_sigmas_type",
        0.0,
        &[("zero", 0.0), ("sigma_min", train[0])],
    )
}

const WORDS: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("sample", Prediction::Sample),
    // The name that diffusers keeps accepting for it.
    ("original_sample", Prediction::Sample),
    ("v_prediction", Prediction::Velocity),
];

/// The clean latents that an output implies about a sample at noise-over-signal `sigma`.
pub(super) fn clean(prediction: Prediction, sigma: f32, sample: f32, output: f32) -> f32 {
    match prediction {
        Prediction::Sample => output,
        Prediction::Epsilon | Prediction::Flow => sample - sigma * output,
        Prediction::Velocity => {
            let variance = sigma * sigma + 1.0;
            output * (-sigma / variance.sqrt()) + (sample / variance)
        }
    }
}

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
