//! The training schedule: how much of the picture is left at each of the training timesteps.

use super::error::SchedulerError;
use super::numpy::linspace_f32;
use super::options::{Options, bad};

/// What a diffusers class assumes where its config says nothing.
pub(super) struct BetaDefaults {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) shape: BetaShape,
    /// Whether the class has `rescale_betas_zero_snr`; the others leave it behind.
    pub(super) rescales: bool,
}

/// How betas grow from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BetaShape {
    /// Evenly.
    Linear,
    /// Their square roots grow evenly.
    ScaledLinear,
    /// The cosine schedule of Nichol and Dhariwal 2021, no start or end.
    SquaredCos,
    /// Alpha bar falls exponentially, from 1 to e⁻¹²; no start or end.
    Exp,
}

impl BetaDefaults {
    /// Most classes.
    pub(super) const USUAL: Self = Self {
        start: 0.0001,
        end: 0.02,
        shape: BetaShape::Linear,
        rescales: true,
    };
    /// DEIS, LMS, PNDM, singlestep DPM-Solver.
    pub(super) const NO_RESCALE: Self = Self {
        rescales: false,
        ..Self::USUAL
    };
    /// LCM and TCD: Stable Diffusion's.
    pub(super) const LCM: Self = Self {
        start: 0.00085,
        end: 0.012,
        shape: BetaShape::ScaledLinear,
        rescales: true,
    };
    /// Heun and KDPM2: Stable Diffusion's ends, another shape.
    pub(super) const HEUN: Self = Self {
        shape: BetaShape::Linear,
        rescales: false,
        ..Self::LCM
    };
}

/// The cumulative products of (1 − β), one per training timestep, falling: alpha bar in the papers.
/// The signal's share of a sample is √ᾱ, the noise's √(1 − ᾱ).
#[derive(Debug, Clone)]
pub(super) struct Alphas {
    pub(super) cumprod: Vec<f32>,
    pub(super) shape: BetaShape,
    /// The betas were rescaled to end in pure noise.
    rescaled: bool,
}

impl Alphas {
    /// From the config. `num_train_timesteps` is bounded so that no file can ask for much memory.
    pub(super) fn new(
        options: &Options<'_>,
        defaults: &BetaDefaults,
    ) -> Result<Self, SchedulerError> {
        let count = train_timesteps(options)?;
        let shape = options.choice(
            "beta_schedule",
            defaults.shape,
            &[
                ("linear", BetaShape::Linear),
                ("scaled_linear", BetaShape::ScaledLinear),
                ("squaredcos_cap_v2", BetaShape::SquaredCos),
                ("exp", BetaShape::Exp),
            ],
        )?;
        let (start, end) = (
            options.positive("beta_start", defaults.start)?,
            options.positive("beta_end", defaults.end)?,
        );
        for (key, value) in [("beta_start", start), ("beta_end", end)] {
            if value >= 1.0 {
                return Err(bad(key, value, "between 0 and 1"));
            }
        }

        let mut betas: Vec<f32> = if let Some(trained) = options.numbers("trained_betas")? {
            if trained.len() != count {
                return Err(bad(
                    "trained_betas",
                    format!("{} numbers", trained.len()),
                    format!("as many as num_train_timesteps, {count}"),
                ));
            }
            if let Some(beta) = trained.iter().find(|beta| **beta <= 0.0 || **beta > 1.0) {
                return Err(bad("trained_betas", beta, "between 0 and 1"));
            }
            trained.into_iter().map(|beta| beta as f32).collect()
        } else {
            match shape {
                BetaShape::Linear => linspace_f32(start as f32, end as f32, count),
                BetaShape::ScaledLinear => {
                    linspace_f32(start.sqrt() as f32, end.sqrt() as f32, count)
                        .into_iter()
                        .map(|root| root * root)
                        .collect()
                }
                BetaShape::SquaredCos => of_alpha_bar(count, |time| {
                    let cos = libm::cos((time + 0.008) / 1.008 * std::f64::consts::PI / 2.0);
                    cos * cos
                }),
                BetaShape::Exp => of_alpha_bar(count, |time| libm::exp(time * -12.0)),
            }
        };
        let rescaled = defaults.rescales && options.flag("rescale_betas_zero_snr", false)?;
        if rescaled {
            betas = rescale_zero_terminal_snr(&betas);
        }
        let cumprod = cumulative_product(betas.into_iter().map(|beta| 1.0 - beta));
        if cumprod.iter().any(|alpha| !(0.0..1.0).contains(alpha)) {
            return Err(SchedulerError::Schedule(
                "the betas are too small to tell picture from noise".into(),
            ));
        }
        Ok(Self {
            cumprod,
            shape,
            rescaled,
        })
    }

    /// For schedulers that divide noise by signal: where a zero-SNR schedule ends in no signal at
    /// all, diffusers puts the smallest positive half-precision number.
    pub(super) fn with_terminal_signal(mut self) -> Result<Self, SchedulerError> {
        if self.rescaled
            && let Some(last) = self.cumprod.last_mut()
        {
            *last = SMALLEST_HALF;
        }
        if self.cumprod.contains(&0.0) {
            return Err(SchedulerError::Schedule(
                "it ends in pure noise; say rescale_betas_zero_snr, or choose ddim".into(),
            ));
        }
        Ok(self)
    }

    /// Noise over signal at every training timestep, rising.
    pub(super) fn sigmas(&self) -> Vec<f32> {
        self.cumprod.iter().copied().map(sigma).collect()
    }

    /// Number of training timesteps.
    pub(super) fn len(&self) -> usize {
        self.cumprod.len()
    }
}

const SMALLEST_HALF: f32 = 1.0 / 16_777_216.0; // 2^-24

/// Noise over signal where alpha bar is `alpha`.
pub(super) fn sigma(alpha: f32) -> f32 {
    ((1.0 - alpha) / alpha).sqrt()
}

/// The same for a display: pure noise has a large number instead of infinity.
pub(super) fn finite_sigma(alpha: f32) -> f32 {
    sigma(alpha.max(SMALLEST_HALF))
}

/// `num_train_timesteps`.
pub(super) fn train_timesteps(options: &Options<'_>) -> Result<usize, SchedulerError> {
    options.count("num_train_timesteps", 1000, 2..=100_000)
}

/// PyTorch multiplies in `f64` and rounds each result.
fn cumulative_product(factors: impl Iterator<Item = f32>) -> Vec<f32> {
    factors
        .scan(1.0_f64, |product, factor| {
            *product *= f64::from(factor);
            Some(*product as f32)
        })
        .collect()
}

/// The betas whose alpha bar is that function of time, 0 to 1.
fn of_alpha_bar(count: usize, alpha_bar: impl Fn(f64) -> f64) -> Vec<f32> {
    let time = |step: usize| step as f64 / count as f64;
    (0..count)
        .map(|step| {
            let beta = 1.0 - alpha_bar(time(step + 1)) / alpha_bar(time(step));
            beta.min(0.999) as f32
        })
        .collect()
}

/// Lin, Liu, Li and Yang, "Common diffusion noise schedules and sample steps are flawed", 2023,
/// algorithm 1: shifts and scales √ᾱ so that the last one is 0 and the first one stays.
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumulative_product(betas.iter().map(|beta| 1.0 - beta))
        .into_iter()
        .map(f32::sqrt)
        .collect();
    let (first, last) = match roots.as_slice() {
        [first, .., last] => (*first, *last),
        _ => return betas.to_vec(),
    };
    let scale = first / (first - last);
    let bars: Vec<f32> = roots
        .iter()
        .map(|root| {
            let root = (root - last) * scale;
            root * root
        })
        .collect();
    let first = bars.first().map(|bar| 1.0 - bar);
    let others = bars.windows(2).map(|pair| 1.0 - pair[1] / pair[0]);
    first.into_iter().chain(others).collect()
}
