//! Multistep DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095, algorithm 2), orders 1 to 3, as an ODE.
//! What its stochastic sister does differently is in `dpm_solver_sde.rs`.

use super::dpm_schedule::{Path, Point};
use super::error::SchedulerError;
use super::options::Options;
use super::prediction::{Level, Prediction, prediction, refuse_thresholding};
use super::{Progress, Scheduler};
use crate::noise::NoiseSource;

/// A step is a weighted sum of the sample, the newest clean prediction (D0), its first and second
/// differences (D1, D2), and fresh noise.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weights {
    pub(super) sample: f32,
    pub(super) d0: f32,
    pub(super) d1: f32,
    pub(super) d2: f32,
    /// Nothing if the method takes no draw.
    pub(super) noise: Option<f32>,
}

/// What the weights of a step depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stride {
    pub(super) from: Point,
    pub(super) to: Point,
    /// The distance in log signal-to-noise: infinite for a last step to sigma 0.
    pub(super) h: f32,
    pub(super) order: usize,
    pub(super) heun: bool,
}

/// `exp` as PyTorch rounds it.
pub(super) fn exp(value: f32) -> f32 {
    libm::exp(f64::from(value)) as f32
}

/// The weights of DPM-Solver++.
pub(super) fn ode(stride: &Stride) -> Weights {
    let Stride { from, to, h, .. } = *stride;
    let decay = exp(-h) - 1.0;
    let base = Weights {
        sample: to.sigma / from.sigma,
        d0: -(to.alpha * decay),
        ..Weights::default()
    };
    match (stride.order, stride.heun) {
        (1, _) => base,
        (2, false) => Weights {
            d1: 0.5 * base.d0,
            ..base
        },
        (2, true) => Weights {
            d1: to.alpha * (decay / h + 1.0),
            ..base
        },
        _ => Weights {
            d1: to.alpha * (decay / h + 1.0),
            d2: -(to.alpha * ((decay + h) / (h * h) - 0.5)),
            ..base
        },
    }
}

/// diffusers' `DPMSolverMultistepScheduler`.
pub(super) struct DpmSolver {
    path: Path,
    weights: fn(&Stride) -> Weights,
    prediction: Prediction,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    ends_at_zero: bool,
    /// Clean predictions of earlier steps, the newest first.
    history: Vec<Vec<f32>>,
    progress: Progress,
}

impl DpmSolver {
    /// `karras` overrules the config's `use_karras_sigmas`; `weights` is [`ode`] or the SDE's.
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
        karras: Option<bool>,
        weights: fn(&Stride) -> Weights,
    ) -> Result<Self, SchedulerError> {
        const WORDS: &[(&str, Prediction)] = &[
            ("epsilon", Prediction::Epsilon),
            ("sample", Prediction::Sample),
            ("v_prediction", Prediction::Velocity),
            ("flow_prediction", Prediction::Flow),
        ];
        refuse_thresholding(options)?;
        let path = Path::new(options, steps, karras)?;
        Ok(Self {
            ends_at_zero: path.sigmas.last() == Some(&0.0),
            path,
            weights,
            prediction: prediction(options, WORDS)?,
            order: options.count("solver_order", 2, 1..=3)?,
            heun: options.choice(
                "solver_type",
                false,
                &[
                    ("midpoint", false),
                    ("heun", true),
                    // Other classes' names, which diffusers reads as midpoint here.
                    ("logrho", false),
                    ("bh1", false),
                    ("bh2", false),
                ],
            )?,
            lower_order_final: options.flag("lower_order_final", true)?,
            euler_at_final: options.flag("euler_at_final", false)?,
            history: Vec::new(),
            progress: Progress::default(),
        })
    }

    /// The order of step `index`: as many as there is history for, fewer at the end of a short run.
    fn order_at(&self, index: usize) -> usize {
        let count = self.path.timesteps.len();
        let short = self.lower_order_final && count < 15;
        let order = self.order.min(index + 1);
        if index + 1 == count && (self.euler_at_final || short || self.ends_at_zero) {
            1
        } else if index + 2 == count && short {
            order.min(2)
        } else {
            order
        }
    }

    /// What `output` says about the clean latents at step `index`.
    fn clean(&self, index: usize, sample: f32, output: f32) -> f32 {
        let Point { alpha, sigma, .. } = self.path.points[index];
        let level = match self.prediction {
            // A flow's output is scaled by its raw sigma.
            Prediction::Flow => Level {
                signal: alpha,
                noise: self.path.sigmas[index],
            },
            _ => Level {
                signal: alpha,
                noise: sigma,
            },
        };
        level.clean(self.prediction, sample, output)
    }
}

impl Scheduler for DpmSolver {
    fn timesteps(&self) -> &[f32] {
        &self.path.timesteps
    }

    fn sigma(&self, index: usize) -> f32 {
        self.path.sigmas[..self.path.timesteps.len()][index]
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
        self.progress.advance(
            index,
            self.path.timesteps.len(),
            model_output,
            sample,
            denoised,
        )?;
        if index == 0 || self.history.iter().any(|past| past.len() != sample.len()) {
            self.history.clear();
        }
        for ((x, clean), output) in sample.iter().zip(&mut *denoised).zip(model_output) {
            *clean = self.clean(index, *x, *output);
        }
        let lambda = |index: usize| self.path.points[index].lambda;
        let order = self.order_at(index).min(self.history.len() + 1);
        let stride = Stride {
            from: self.path.points[index],
            to: self.path.points[index + 1],
            h: lambda(index + 1) - lambda(index),
            order,
            heun: self.heun,
        };
        let weights = (self.weights)(&stride);
        let mut fresh = vec![
            0.0;
            if weights.noise.is_some() {
                sample.len()
            } else {
                0
            }
        ];
        if weights.noise.is_some() {
            noise.fill(&mut fresh);
        }
        // The last step may have no length (Karras levels with final_sigmas_type sigma_min): stay.
        if stride.h > 0.0 {
            let r = |back: usize| (lambda(index + 1 - back) - lambda(index - back)) / stride.h;
            let (r0, r1) = (
                if order > 1 { r(1) } else { 1.0 },
                if order > 2 { r(2) } else { 1.0 },
            );
            let past = |back: usize, i: usize| self.history[back - 1][i];
            for (i, x) in sample.iter_mut().enumerate() {
                let d0 = denoised[i];
                let mut next = weights.sample * *x + weights.d0 * d0;
                if order > 1 {
                    let newer = (1.0 / r0) * (d0 - past(1, i));
                    let (d1, d2) = if order > 2 {
                        let older = (1.0 / r1) * (past(1, i) - past(2, i));
                        (
                            newer + (r0 / (r0 + r1)) * (newer - older),
                            (1.0 / (r0 + r1)) * (newer - older),
                        )
                    } else {
                        (newer, 0.0)
                    };
                    next = next + weights.d1 * d1 + weights.d2 * d2;
                }
                if let Some(share) = weights.noise {
                    next += share * fresh[i];
                }
                *x = next;
            }
        }
        let newest = if self.history.len() + 1 >= self.order.max(2) {
            self.history.pop()
        } else {
            None
        };
        let mut newest = newest.unwrap_or_default();
        newest.clear();
        newest.extend_from_slice(denoised);
        self.history.insert(0, newest);
        Ok(())
    }
}
