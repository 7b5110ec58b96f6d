//! Euler's method for flow matching (Esser et al. 2024): the model predicts the velocity from clean
//! to noise along a straight line, sample = (1 − sigma) · clean + sigma · noise.

use super::alphas::train_timesteps;
use super::error::SchedulerError;
use super::numpy::linspace;
use super::options::Options;
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{check_steps, sigma_curve};
use super::{FlowLevels, Run};

/// diffusers' `FlowMatchEulerDiscreteScheduler`.
pub(super) struct FlowEuler {
    /// Before each step, and after the last.
    sigmas: Vec<f32>,
    stochastic: bool,
}

impl FlowEuler {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let train = train_timesteps(options)?;
        let steps = run.steps;
        check_steps(steps, train)?;
        // Other classes' name for it stands in.
        let shift = options.positive("shift", options.positive("flow_shift", 1.0)?)?;
        let curve = sigma_curve(options)?;
        let dynamic = options.flag("use_dynamic_shifting", false)?;
        let time_shift = time_shift(options, run.image_tokens)?;

        let mut sigmas: Vec<f64> = unshifted(run, train, if dynamic { 1.0 } else { shift })
            .into_iter()
            .map(|sigma| {
                if dynamic {
                    time_shift(sigma)
                } else {
                    shift * sigma / (1.0 + (shift - 1.0) * sigma)
                }
            })
            .collect();
        if let Some(terminal) = options.number_or_none("shift_terminal")? {
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
        let schedule = Schedule::flow(timesteps, &sigmas);
        let sampler = Self {
            sigmas,
            stochastic: options.flag("stochastic_sampling", false)?,
        };
        Ok((schedule, sampler))
    }
}

/// Noise levels from 1 down, before the shift that every schedule has.
fn unshifted(run: &Run, train: usize, shift: f64) -> Vec<f64> {
    match run.flow_levels {
        FlowLevels::Scheduler => {
            // Between the ends of the training schedule, which the shift has already been applied to
            // once.
            let end = |time: usize| {
                let sigma = time as f32 / train as f32;
                let (by, less) = (shift as f32, (shift - 1.0) as f32);
                f64::from(by * sigma / (1.0 + less * sigma))
            };
            let count = train as f64;
            linspace(end(train) * count, end(1) * count, run.steps)
                .into_iter()
                .map(|time| time / count)
                .collect()
        }
        FlowLevels::Pipeline => linspace(1.0, 1.0 / run.steps as f64, run.steps),
    }
}

/// How far larger pictures are shifted: more pixels hide the picture less, so they need more noise.
/// Linear in the number of tokens, which are patches of latents.
pub(super) fn mu(options: &Options<'_>, image_tokens: usize) -> Result<f64, SchedulerError> {
    let (base, most) = (
        options.number("base_shift", 0.5)?,
        options.number("max_shift", 1.15)?,
    );
    let (base_len, most_len) = (
        options.count("base_image_seq_len", 256, 0..=1 << 24)? as f64,
        options.count("max_image_seq_len", 4096, 0..=1 << 24)? as f64,
    );
    let slope = (most - base) / (most_len - base_len);
    Ok(image_tokens as f64 * slope + (base - slope * base_len))
}

/// The shift itself.
fn time_shift(
    options: &Options<'_>,
    image_tokens: usize,
) -> Result<impl Fn(f64) -> f64, SchedulerError> {
    let linear = options.choice(
        "time_shift_type",
        false,
        &[("exponential", false), ("linear", true)],
    )?;
    let mu = mu(options, image_tokens)?;
    let weight = if linear { mu } else { libm::exp(mu) };
    Ok(move |sigma: f64| weight / (weight + (1.0 / sigma - 1.0)))
}

impl Sampler for FlowEuler {
    fn draws(&self, _index: usize) -> bool {
        self.stochastic
    }

    fn step(&mut self, step: Step<'_>) {
        let (sigma, next) = (self.sigmas[step.index], self.sigmas[step.index + 1]);
        // 0, or 1 if sigmas are inverted.
        let end = self.sigmas[self.sigmas.len() - 1];
        for ((x, clean), output) in step.sample.iter().zip(step.denoised).zip(step.output) {
            *clean = *x + (end - sigma) * output;
        }
        for ((x, output), z) in step.sample.iter_mut().zip(step.output).zip(step.noise) {
            *x = if self.stochastic {
                let clean = *x - sigma * output;
                (1.0 - next) * clean + next * z
            } else {
                *x + (next - sigma) * output
            };
        }
    }
}
