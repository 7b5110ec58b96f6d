//! The noise levels of the methods that think in noise over signal, as Karras et al. 2022 do.

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::numpy::{interp, linspace_f32};
use super::options::Options;
use super::prediction::{Prediction, prediction};
use super::schedule::{Schedule, norm};
use super::spacing::{
    Spacing, check_steps, curve_ends, log_sigmas, sigma_curve, sigma_to_timestep, spacing,
    steps_offset,
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
            .with_terminal_signal()?
            .sigmas();
        let timesteps = timesteps(options, &train, steps)?;
        let sigmas = at(&timesteps, &train)
            .into_iter()
            .map(|sigma| sigma as f32)
            .chain([0.0])
            .collect();
        Self::finish(options, timesteps, sigmas)
    }

    /// The levels of a spacing or of a curve, then 0. Also the logarithms of the training schedule's
    /// levels. `whole` rounds the times on the curve of Karras et al.
    pub(super) fn curved(
        options: &Options<'_>,
        defaults: &BetaDefaults,
        steps: usize,
        whole: bool,
    ) -> Result<(Self, Vec<f32>), SchedulerError> {
        use super::spacing::SigmaCurve::Karras;
        let train = Alphas::new(options, defaults)?
            .with_terminal_signal()?
            .sigmas();
        let logs = log_sigmas(&train);
        let mut timesteps = timesteps(options, &train, steps)?;
        let mut sigmas = at(&timesteps, &train);
        if let Some(curve) = sigma_curve(options)? {
            let (most, least) = curve_ends(options, sigmas[0], sigmas[sigmas.len() - 1])?;
            sigmas = curve.sigmas(most, least, steps);
            timesteps = sigmas
                .iter()
                .map(|sigma| sigma_to_timestep(*sigma, &logs))
                .map(|time| match curve {
                    Karras if whole => time.round_ties_even() as f32,
                    _ => time as f32,
                })
                .collect();
        }
        let sigmas = sigmas
            .into_iter()
            .map(|sigma| sigma as f32)
            .chain([0.0])
            .collect();
        Ok((Self::finish(options, timesteps, sigmas)?, logs))
    }

    /// With the further options of `EulerDiscreteScheduler`.
    pub(super) fn full(options: &Options<'_>, steps: usize) -> Result<Self, SchedulerError> {
        let train = Alphas::new(options, &BetaDefaults::USUAL)?
            .with_terminal_signal()?
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
            at(&timesteps, &train)
        };
        let (most, least) = curve_ends(options, sigmas[0], sigmas[sigmas.len() - 1])?;
        if let Some(curve) = sigma_curve(options)? {
            sigmas = curve.sigmas(most, least, steps);
            timesteps = sigmas
                .iter()
                .map(|sigma| sigma_to_timestep(*sigma, &logs) as f32)
                .collect();
        }
        let end = final_sigma(options, train[0])?;
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

/// The training schedule's levels at `timesteps`, whole or not.
fn at(timesteps: &[f32], train: &[f32]) -> Vec<f64> {
    timesteps
        .iter()
        .map(|time| interp(f64::from(*time), train))
        .collect()
}

/// `final_sigmas_type`: where the last step ends.
pub(super) fn final_sigma(options: &Options<'_>, lowest: f32) -> Result<f32, SchedulerError> {
    options.choice(
        "final_sigmas_type",
        0.0,
        &[("zero", 0.0), ("sigma_min", lowest)],
    )
}

/// What `prediction_type` may be here.
pub(super) const WORDS: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("sample", Prediction::Sample),
    // The name that diffusers keeps accepting for it.
    ("original_sample", Prediction::Sample),
    ("v_prediction", Prediction::Velocity),
];

/// For the classes that do not have the clean latents.
pub(super) const NO_SAMPLE: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
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
