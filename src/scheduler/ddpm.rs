//! DDPM: ancestral sampling (Ho, Jain and Abbeel 2020, equations 6, 7 and 15).

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::options::{Options, unsupported};
use super::prediction::{
    Level, Prediction, USUAL, check_start, clip_bound, prediction, refuse_thresholding,
};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{Spacing, spacing, steps_offset};

/// `variance_type`: how much noise a step adds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variance {
    Small,
    SmallLog,
    Large,
    LargeLog,
    Learned,
}

/// diffusers' `DDPMScheduler`.
pub(super) struct Ddpm {
    /// The visited training timesteps.
    indices: Vec<usize>,
    /// Alpha bar at each visited timestep, then 1.
    alphas: Vec<f32>,
    prediction: Prediction,
    clip: f32,
    variance: Variance,
}

impl Ddpm {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let variance = options.choice(
            "variance_type",
            Variance::Small,
            &[
                ("fixed_small", Variance::Small),
                ("fixed_small_log", Variance::SmallLog),
                ("fixed_large", Variance::Large),
                ("fixed_large_log", Variance::LargeLog),
                ("learned", Variance::Learned),
                ("learned_range", Variance::Learned),
            ],
        )?;
        match variance {
            Variance::LargeLog => {
                return Err(unsupported(
                    "variance_type",
                    "fixed_large_log",
                    "diffusers takes the square root of its (negative) logarithm; use fixed_large",
                ));
            }
            Variance::Learned => {
                return Err(unsupported(
                    "variance_type",
                    "learned",
                    "the denoiser would have to predict variances; use fixed_small",
                ));
            }
            Variance::Small | Variance::SmallLog | Variance::Large => {}
        }
        let schedule = Alphas::new(options, &BetaDefaults::USUAL)?;
        let offset = steps_offset(options, schedule.len())?;
        let indices = spacing(options, Spacing::Leading)?.indices(schedule.len(), steps, offset)?;
        let mut alphas: Vec<f32> = indices.iter().map(|i| schedule.cumprod[*i]).collect();
        let prediction = prediction(options, USUAL)?;
        check_start(prediction, &alphas)?;
        let timesteps = indices.iter().map(|i| *i as f32).collect();
        let schedule = Schedule::preserving(timesteps, &alphas);
        alphas.push(1.0);
        let sampler = Self {
            indices,
            alphas,
            prediction,
            clip: clip_bound(options, true)?,
            variance,
        };
        Ok((schedule, sampler))
    }
}

impl Sampler for Ddpm {
    /// Timestep 0 adds no noise: it is the picture.
    fn draws(&self, index: usize) -> bool {
        self.indices[index] > 0
    }

    fn step(&mut self, step: Step<'_>) {
        let (alpha, before) = (self.alphas[step.index], self.alphas[step.index + 1]);
        let (beta, beta_before) = (1.0 - alpha, 1.0 - before);
        let step_alpha = alpha / before;
        let step_beta = 1.0 - step_alpha;
        let clean_share = (before.sqrt() * step_beta) / beta;
        let sample_share = step_alpha.sqrt() * beta_before / beta;
        let level = Level::new(alpha);

        let small = (beta_before / beta * step_beta).max(1e-20);
        let deviation = match self.variance {
            // √v, by way of the logarithm as in diffusers.
            Variance::SmallLog => {
                libm::exp(f64::from(0.5 * libm::log(f64::from(small)) as f32)) as f32
            }
            Variance::Large => step_beta.sqrt(),
            Variance::Small | Variance::LargeLog | Variance::Learned => small.sqrt(),
        };
        for (((x, clean), output), z) in step
            .sample
            .iter_mut()
            .zip(step.denoised)
            .zip(step.output)
            .zip(step.noise)
        {
            *clean = level
                .clean(self.prediction, *x, *output)
                .clamp(-self.clip, self.clip);
            *x = clean_share * *clean + sample_share * *x + deviation * z;
        }
    }
}
