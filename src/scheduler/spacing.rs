//! Which of the training timesteps a run visits, and other ways to lay out noise levels.

use super::beta_quantile::beta_quantile;
use super::error::SchedulerError;
use super::numpy::{arange_down, linspace};
use super::options::Options;

/// Table 2 of Lin et al. 2023.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// From 0 to the last timestep, both included.
    Linspace,
    /// Whole multiples of a step from 0 up: the last timestep is left out.
    Leading,
    /// From the last timestep downwards: 0 is left out.
    Trailing,
}

/// `timestep_spacing`.
pub(super) fn spacing(options: &Options<'_>, default: Spacing) -> Result<Spacing, SchedulerError> {
    options.choice(
        "timestep_spacing",
        default,
        &[
            ("linspace", Spacing::Linspace),
            ("leading", Spacing::Leading),
            ("trailing", Spacing::Trailing),
        ],
    )
}

/// `steps_offset`, which only leading spacing adds.
pub(super) fn steps_offset(options: &Options<'_>, train: usize) -> Result<usize, SchedulerError> {
    options.count("steps_offset", 0, 0..=train - 1)
}

/// Refuses a number of steps that is 0 or above `most`.
pub(super) fn check_steps(steps: usize, most: usize) -> Result<(), SchedulerError> {
    if (1..=most).contains(&steps) {
        Ok(())
    } else {
        Err(SchedulerError::Steps { steps, most })
    }
}

impl Spacing {
    /// Falling timesteps out of `train`, `steps` of them; linspace's are not rounded.
    pub(super) fn timesteps(self, train: usize, steps: usize, offset: usize) -> Vec<f64> {
        match self {
            Self::Linspace => linspace(0.0, (train - 1) as f64, steps)
                .into_iter()
                .rev()
                .collect(),
            Self::Leading => {
                let ratio = train / steps;
                (0..steps)
                    .rev()
                    .map(|i| (i * ratio + offset) as f64)
                    .collect()
            }
            Self::Trailing => trailing(train, train, steps),
        }
    }

    /// The same as indices into the training schedule.
    pub(super) fn indices(
        self,
        train: usize,
        steps: usize,
        offset: usize,
    ) -> Result<Vec<usize>, SchedulerError> {
        check_steps(steps, train)?;
        let timesteps = self.timesteps(train, steps, offset);
        if timesteps.iter().any(|time| *time > (train - 1) as f64) {
            // Leading only: the offset pushes the first one out. Fewer steps leave more room at the
            // end; half as many always do unless the offset itself is that large.
            let most = (1..steps)
                .rev()
                .find(|n| (n - 1) * (train / n) + offset < train);
            return Err(SchedulerError::Steps {
                steps,
                most: most.unwrap_or(1),
            });
        }
        Ok(timesteps
            .into_iter()
            .map(|time| time.round_ties_even() as usize)
            .collect())
    }
}

/// `steps` times down from `last` (one above the highest timestep), `train / steps` apart. Rounding
/// makes NumPy's `arange` return a stray value at 0, timestep −1, for some counts; it is left out.
pub(super) fn trailing(last: usize, train: usize, steps: usize) -> Vec<f64> {
    arange_down(last as f64, train as f64 / steps as f64, steps)
        .into_iter()
        .map(|time| time.round_ties_even() - 1.0)
        .filter(|time| *time >= 0.0)
        .collect()
}

/// The timesteps of a distilled model (LCM, TCD): evenly spaced picks, from the top, out of the
/// `original_inference_steps` that it was distilled on, or the lowest `strength` (0 to 1) of those.
pub(super) fn distilled(
    options: &Options<'_>,
    train: usize,
    steps: usize,
    strength: f32,
) -> Result<Vec<usize>, SchedulerError> {
    let original = options.count("original_inference_steps", 50.min(train), 1..=train)?;
    let used = share_of(original, strength);
    check_steps(steps, used)?;
    let skip = train / original;
    let pick = used as f64 / steps as f64;
    Ok((0..steps)
        .map(|i| (used - (i as f64 * pick) as usize) * skip - 1)
        .collect())
}

/// How many of `count` a share is, 0 to 1, rounded down. 0.7 of 10 are 7, although the nearest f32 is less than 0.7.
pub(crate) fn share_of(count: usize, share: f32) -> usize {
    (count as f64 * decimal(share)) as usize
}

/// The number that somebody wrote: an f32 of 0.1 is a little more.
pub(crate) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Noise levels that do not follow the timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SigmaCurve {
    /// Karras et al. 2022, equation 5, ρ = 7.
    Karras,
    /// Evenly spaced logarithms.
    Exponential,
    /// Quantiles of the beta distribution with both parameters 0.6 (Lee et al. 2024, "Beta sampling is
    /// all you need"): more levels at both ends.
    Beta,
}

/// `use_karras_sigmas`, `use_exponential_sigmas` or `use_beta_sigmas`.
pub(super) fn sigma_curve(options: &Options<'_>) -> Result<Option<SigmaCurve>, SchedulerError> {
    let mut found = None;
    for (key, curve) in [
        ("use_karras_sigmas", SigmaCurve::Karras),
        ("use_exponential_sigmas", SigmaCurve::Exponential),
        ("use_beta_sigmas", SigmaCurve::Beta),
    ] {
        if options.flag(key, false)? && found.replace(curve).is_some() {
            return Err(SchedulerError::Schedule(
                "use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas exclude each other"
                    .into(),
            ));
        }
    }
    Ok(found)
}

/// The highest and the lowest level of a curve: `sigma_max` and `sigma_min`, or the schedule's own.
pub(super) fn curve_ends(
    options: &Options<'_>,
    most: f64,
    least: f64,
) -> Result<(f64, f64), SchedulerError> {
    Ok((
        options.optional_positive("sigma_max")?.unwrap_or(most),
        options.optional_positive("sigma_min")?.unwrap_or(least),
    ))
}

impl SigmaCurve {
    /// `count` levels from `max` down to `min`.
    pub(super) fn sigmas(self, max: f64, min: f64, count: usize) -> Vec<f64> {
        const RHO: f64 = 7.0;
        match self {
            Self::Karras => {
                let (from, to) = (libm::pow(max, 1.0 / RHO), libm::pow(min, 1.0 / RHO));
                linspace(0.0, 1.0, count)
                    .into_iter()
                    .map(|ramp| libm::pow(from + ramp * (to - from), RHO))
                    .collect()
            }
            Self::Exponential => linspace(libm::log(max), libm::log(min), count)
                .into_iter()
                .map(libm::exp)
                .collect(),
            Self::Beta => linspace(0.0, 1.0, count)
                .into_iter()
                .map(|ramp| min + beta_quantile(1.0 - ramp) * (max - min))
                .collect(),
        }
    }
}

/// The (fractional) training timestep whose noise level is `sigma`, by linear interpolation between
/// the logarithms of the training schedule's levels, `log_sigmas`, rising, two or more.
pub(super) fn sigma_to_timestep(sigma: f64, log_sigmas: &[f32]) -> f64 {
    let log_sigma = libm::log(sigma.max(1e-10));
    let low = log_sigmas
        .partition_point(|level| f64::from(*level) <= log_sigma)
        .saturating_sub(1)
        .min(log_sigmas.len() - 2);
    let (a, b) = (log_sigmas[low], log_sigmas[low + 1]);
    let weight = ((f64::from(a) - log_sigma) / f64::from(a - b)).clamp(0.0, 1.0);
    (1.0 - weight) * low as f64 + weight * (low + 1) as f64
}

/// Logarithms of rising noise levels.
pub(super) fn log_sigmas(sigmas: &[f32]) -> Vec<f32> {
    sigmas
        .iter()
        .map(|sigma| libm::log(f64::from(*sigma)) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spacings_of_the_paper() {
        let of = |spacing: Spacing, offset| spacing.indices(1000, 5, offset).unwrap();
        assert_eq!(of(Spacing::Linspace, 0), [999, 749, 500, 250, 0]);
        assert_eq!(of(Spacing::Leading, 1), [801, 601, 401, 201, 1]);
        assert_eq!(of(Spacing::Trailing, 0), [999, 799, 599, 399, 199]);
    }

    #[test]
    fn the_limit_in_the_error_works() {
        let most = match Spacing::Leading.indices(1000, 1000, 1) {
            Err(SchedulerError::Steps { most, .. }) => most,
            other => panic!("{other:?}"),
        };
        assert!(Spacing::Leading.indices(1000, most, 1).is_ok());
        assert!(Spacing::Leading.indices(1000, most + 1, 1).is_err());
    }

    #[test]
    fn a_level_of_the_schedule_maps_back_to_its_timestep() {
        let sigmas: Vec<f32> = (1..50).map(|i| i as f32 * 0.3).collect();
        let logs = log_sigmas(&sigmas);
        for (timestep, sigma) in sigmas.iter().enumerate() {
            let found = sigma_to_timestep(f64::from(*sigma), &logs);
            assert!((found - timestep as f64).abs() < 1e-4, "{found} {timestep}");
        }
        assert_eq!(sigma_to_timestep(1e9, &logs), 48.0);
        assert_eq!(sigma_to_timestep(0.0, &logs), 0.0);
    }
}
