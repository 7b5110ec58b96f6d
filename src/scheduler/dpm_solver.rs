//! Multistep DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095, algorithm 2), orders 1 to 3, as an ODE.
//! What its stochastic sister does differently is in `dpm_solver_sde.rs`.

use super::Run;
use super::dpm_schedule::{Class, MULTISTEP, Path, Point};
use super::dpm_solver_sde::sde;
use super::error::SchedulerError;
use super::history::History;
use super::options::Options;
use super::prediction::{Prediction, WITH_FLOW, prediction, refuse_thresholding};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// A step is a weighted sum of the sample, the newest clean prediction (D0), its first and second
/// differences (D1, D2), and fresh noise.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weights {
    pub(super) sample: f32,
    pub(super) d0: f32,
    pub(super) d1: f32,
    pub(super) d2: f32,
    pub(super) noise: f32,
}

/// Which differential equation is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The probability-flow ODE.
    Ode,
    /// The reverse-time SDE: steps add noise.
    Sde,
}

impl Algorithm {
    pub(super) fn weights(self, stride: &Stride) -> Weights {
        match self {
            Self::Ode => ode(stride),
            Self::Sde => sde(stride),
        }
    }
}

/// `solver_type`: whether second-order steps are Heun's.
pub(super) fn heun(options: &Options<'_>) -> Result<bool, SchedulerError> {
    options.choice(
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
    )
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
fn ode(stride: &Stride) -> Weights {
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
    algorithm: Algorithm,
    prediction: Prediction,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    ends_at_zero: bool,
    /// Clean predictions of earlier steps.
    history: History,
}

impl DpmSolver {
    /// `karras` overrules the config's `use_karras_sigmas`; `algorithm` its own.
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
        karras: Option<bool>,
        algorithm: Algorithm,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let path = Path::new(
            options,
            run,
            &Class {
                karras,
                ..MULTISTEP
            },
        )?;
        let order = options.count("solver_order", 2, 1..=3)?;
        let schedule = path.schedule();
        let sampler = Self {
            ends_at_zero: path.sigmas.last() == Some(&0.0),
            path,
            algorithm,
            prediction: prediction(options, WITH_FLOW)?,
            order,
            heun: heun(options)?,
            lower_order_final: options.flag("lower_order_final", true)?,
            euler_at_final: options.flag("euler_at_final", false)?,
            history: History::new(order - 1),
        };
        Ok((schedule, sampler))
    }

    /// The order of step `index`: as many as there is history for, fewer at the end of a short run.
    fn order_at(&self, index: usize) -> usize {
        let count = self.path.timesteps.len();
        let short = self.lower_order_final && count < 15;
        let order = self.order.min(self.history.len() + 1);
        if index + 1 == count && (self.euler_at_final || short || self.ends_at_zero) {
            1
        } else if index + 2 == count && short {
            order.min(2)
        } else {
            order
        }
    }
}

impl Sampler for DpmSolver {
    fn begin(&mut self) {
        self.history.clear();
    }

    fn draws(&self, _index: usize) -> bool {
        self.algorithm == Algorithm::Sde
    }

    fn step(&mut self, step: Step<'_>) {
        let Step {
            index,
            output,
            sample,
            denoised,
            noise,
        } = step;
        let level = self.path.level(index, self.prediction);
        for ((x, clean), output) in sample.iter().zip(&mut *denoised).zip(output) {
            *clean = level.clean(self.prediction, *x, *output);
        }
        let lambda = |index: usize| self.path.points[index].lambda;
        let order = self.order_at(index);
        let stride = Stride {
            from: self.path.points[index],
            to: self.path.points[index + 1],
            h: lambda(index + 1) - lambda(index),
            order,
            heun: self.heun,
        };
        let weights = self.algorithm.weights(&stride);
        // The last step may have no length (Karras levels with final_sigmas_type sigma_min): stay.
        if stride.h > 0.0 {
            let r = |back: usize| (lambda(index + 1 - back) - lambda(index - back)) / stride.h;
            let (r0, r1) = (
                if order > 1 { r(1) } else { 1.0 },
                if order > 2 { r(2) } else { 1.0 },
            );
            let past = |back: usize, i: usize| self.history.get(back - 1)[i];
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
                if self.algorithm == Algorithm::Sde {
                    next += weights.noise * noise[i];
                }
                *x = next;
            }
        }
        self.history.push(denoised);
    }
}
