//! What a step of DPM-Solver++ is made of (Lu et al. 2022, arXiv 2211.01095): the weights of both equations that it solves, for steps
//! of order 1 to 3. `dpm_solver` and `dpm_singlestep` differ in the steps that they take.

use super::dpm_schedule::Point;
use super::error::SchedulerError;
use super::options::Options;

/// Which differential equation is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The probability-flow ODE.
    Ode,
    /// The reverse-time SDE: each step decays twice as far and adds fresh noise (section 5).
    Sde,
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

/// A step is a weighted sum of the sample, the newest clean prediction (D0), its first and second
/// differences (D1, D2), and fresh noise. What a step has no use for weighs 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weights {
    sample: f32,
    d0: f32,
    d1: f32,
    d2: f32,
    noise: f32,
}

impl Weights {
    pub(super) fn new(algorithm: Algorithm, stride: &Stride) -> Self {
        match algorithm {
            Algorithm::Ode => ode(stride),
            Algorithm::Sde => sde(stride),
        }
    }

    /// The end of a step from `sample`, with D0, D1 and D2.
    pub(super) fn mix(&self, sample: f32, [d0, d1, d2]: [f32; 3], noise: f32) -> f32 {
        let next = self.sample * sample + self.d0 * d0;
        next + self.d1 * d1 + self.d2 * d2 + self.noise * noise
    }
}

/// `exp` as PyTorch rounds it.
fn exp(value: f32) -> f32 {
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

/// The weights of SDE-DPM-Solver++.
fn sde(stride: &Stride) -> Weights {
    let Stride { from, to, h, .. } = *stride;
    let decay = 1.0 - exp(-2.0 * h);
    let base = Weights {
        sample: to.sigma / from.sigma * exp(-h),
        d0: to.alpha * decay,
        noise: to.sigma * decay.sqrt(),
        ..Weights::default()
    };
    match (stride.order, stride.heun) {
        (1, _) => base,
        (2, false) => Weights {
            d1: 0.5 * base.d0,
            ..base
        },
        (2, true) => Weights {
            d1: to.alpha * (decay / (-2.0 * h) + 1.0),
            ..base
        },
        _ => Weights {
            d1: to.alpha * (decay / (-2.0 * h) + 1.0),
            d2: to.alpha * ((decay - 2.0 * h) / ((2.0 * h) * (2.0 * h)) - 0.5),
            ..base
        },
    }
}
