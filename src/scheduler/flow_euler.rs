//! Euler's method for flow matching (Esser et al. 2024): the model predicts the velocity from clean
//! to noise along a straight line, sample = (1 − sigma) · clean + sigma · noise.

use super::alphas::train_timesteps;
use super::error::SchedulerError;
use super::numpy::linspace;
use super::options::Options;
use super::spacing::{check_steps, sigma_curve};
use super::{Progress, Scheduler};
use crate::noise::NoiseSource;

/// diffusers' `FlowMatchEulerDiscreteScheduler`.
pub(super) struct FlowEuler {
    timesteps: Vec<f32>,
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    stochastic: bool,
    progress: Progress,
}

impl FlowEuler {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
        latent_len_hw: (usize, usize),
    ) -> Result<Self, SchedulerError> {
        let train = train_timesteps(options)?;
        check_steps(steps, train)?;
        let shift = options.positive("shift", 1.0)?;
        let curve = sigma_curve(options)?;
        let dynamic = options.flag("use_dynamic_shifting", false)?;
        let time_shift = time_shift(options, latent_len_hw)?;

        // The ends of the training schedule, which a fixed shift has already been applied to once.
        let end = |time: usize| {
            let sigma = time as f32 / train as f32;
            let (by, less) = (shift as f32, (shift - 1.0) as f32);
            f64::from(if dynamic {
                sigma
            } else {
                by * sigma / (1.0 + less * sigma)
            })
        };
        let count = train as f64;
        let mut sigmas: Vec<f64> = linspace(end(train) * count, end(1) * count, steps)
            .into_iter()
            .map(|time| time / count)
            .map(|sigma| {
                if dynamic {
                    time_shift(sigma)
                } else {
                    shift * sigma / (1.0 + (shift - 1.0) * sigma)
                }
            })
            .collect();
        if let Some(terminal) = shift_terminal(options)? {
            let last = sigmas[sigmas.len() - 1];
            let scale = (1.0 - last) / (1.0 - terminal);
            for sigma in &mut sigmas {
                *sigma = 1.0 - (1.0 - *sigma) / scale;
            }
        }
        if let Some(curve) = curve {
            let (first, last) = (sigmas[0], sigmas[sigmas.len() - 1]);
            sigmas = curve.sigmas(first, last, steps);
        }
        let mut sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        let inverted = options.flag("invert_sigmas", false)?;
        if inverted {
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - *sigma);
        }
        let timesteps = sigmas.iter().map(|sigma| sigma * train as f32).collect();
        sigmas.push(if inverted { 1.0 } else { 0.0 });
        Ok(Self {
            timesteps,
            sigmas,
            stochastic: options.flag("stochastic_sampling", false)?,
            progress: Progress::default(),
        })
    }
}

/// The shift for larger pictures: more pixels hide the picture less, so they need more noise. `mu` is
/// linear in the number of tokens, which are 2×2 patches of latents in every such model.
fn time_shift(
    options: &Options<'_>,
    (height, width): (usize, usize),
) -> Result<impl Fn(f64) -> f64, SchedulerError> {
    const PATCH: usize = 2;
    let (base, most) = (
        options.number("base_shift", 0.5)?,
        options.number("max_shift", 1.15)?,
    );
    let (base_len, most_len) = (
        options.count("base_image_seq_len", 256, 0..=1 << 24)? as f64,
        options.count("max_image_seq_len", 4096, 0..=1 << 24)? as f64,
    );
    let linear = options.choice(
        "time_shift_type",
        false,
        &[("exponential", false), ("linear", true)],
    )?;
    let slope = (most - base) / (most_len - base_len);
    let tokens = (height / PATCH).saturating_mul(width / PATCH) as f64;
    let mu = tokens * slope + (base - slope * base_len);
    let weight = if linear { mu } else { libm::exp(mu) };
    Ok(move |sigma: f64| weight / (weight + (1.0 / sigma - 1.0)))
}

/// `shift_terminal`; Python reads 0 as none.
fn shift_terminal(options: &Options<'_>) -> Result<Option<f64>, SchedulerError> {
    Ok(match options.0.get("shift_terminal") {
        None | Some(serde_json::Value::Null) => None,
        Some(_) => Some(options.number("shift_terminal", 0.0)?).filter(|sigma| *sigma != 0.0),
    })
}

impl Scheduler for FlowEuler {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigma(&self, index: usize) -> f32 {
        self.sigmas[..self.timesteps.len()][index]
    }

    fn init_noise_sigma(&self) -> f32 {
        1.0
    }

    fn scale_model_input(&self, _index: usize, _sample: &mut [f32]) {}

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        sample: &mut [f32],
        denoised: &mut [f32],
        noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError> {
        let count = self.timesteps.len();
        self.progress
            .advance(index, count, model_output, sample, denoised)?;
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        // 0, or 1 if sigmas are inverted.
        let end = self.sigmas[count];
        for ((x, clean), output) in sample.iter().zip(&mut *denoised).zip(model_output) {
            *clean = *x + (end - sigma) * output;
        }
        if self.stochastic {
            let mut fresh = vec![0.0; sample.len()];
            noise.fill(&mut fresh);
            for ((x, output), z) in sample.iter_mut().zip(model_output).zip(fresh) {
                let clean = *x - sigma * output;
                *x = (1.0 - next) * clean + next * z;
            }
        } else {
            for (x, output) in sample.iter_mut().zip(model_output) {
                *x += (next - sigma) * output;
            }
        }
        Ok(())
    }
}
