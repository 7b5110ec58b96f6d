//! What of a run is settled before its first evaluation.

use super::alphas::finite_sigma;
use super::error::SchedulerError;
use super::prediction::Level;

/// The noise levels that a run visits, one per evaluation of the denoiser, as its caller sees them.
/// What a method computes with beyond that is its own.
pub(super) struct Schedule {
    /// The time that the denoiser is told.
    pub(super) timesteps: Vec<f32>,
    /// Noise over signal, or the flow's sigma.
    pub(super) sigmas: Vec<f32>,
    /// How a sample is made of clean latents and noise.
    pub(super) levels: Vec<Level>,
    /// The evaluation that each step begins with.
    pub(super) starts: Vec<usize>,
    /// What the denoiser's input is divided by; empty if it takes the sample as it is.
    pub(super) divisors: Vec<f32>,
    /// The standard deviation of the first sample.
    pub(super) init_noise_sigma: f32,
}

impl Schedule {
    /// Samples keep the variance 1: signal √ᾱ, noise √(1 − ᾱ).
    pub(super) fn preserving(timesteps: Vec<f32>, alphas: &[f32]) -> Self {
        Self {
            starts: (0..timesteps.len()).collect(),
            timesteps,
            sigmas: alphas.iter().copied().map(finite_sigma).collect(),
            levels: alphas.iter().copied().map(Level::new).collect(),
            divisors: Vec::new(),
            init_noise_sigma: 1.0,
        }
    }

    /// Noise of standard deviation sigma is added to the clean latents as they are; the denoiser sees
    /// the sample brought back to variance 1.
    pub(super) fn exploding(timesteps: Vec<f32>, sigmas: &[f32], init_noise_sigma: f32) -> Self {
        let sigmas = sigmas[..timesteps.len()].to_vec();
        Self {
            levels: sigmas
                .iter()
                .map(|sigma| Level {
                    signal: 1.0,
                    noise: *sigma,
                })
                .collect(),
            divisors: sigmas.iter().copied().map(norm).collect(),
            starts: (0..timesteps.len()).collect(),
            timesteps,
            sigmas,
            init_noise_sigma,
        }
    }

    /// Samples lie on the straight line from clean latents to noise.
    pub(super) fn flow(timesteps: Vec<f32>, sigmas: &[f32]) -> Self {
        let sigmas = sigmas[..timesteps.len()].to_vec();
        Self {
            levels: sigmas
                .iter()
                .map(|sigma| Level {
                    signal: 1.0 - sigma,
                    noise: *sigma,
                })
                .collect(),
            divisors: Vec::new(),
            starts: (0..timesteps.len()).collect(),
            timesteps,
            sigmas,
            init_noise_sigma: 1.0,
        }
    }

    /// Of a method with two evaluations a step.
    pub(super) fn in_pairs(mut self) -> Self {
        self.starts = (0..self.timesteps.len()).step_by(2).collect();
        self
    }

    /// Extreme but well-formed options (a beta of 1e-30) overflow somewhere in the tables; this says so
    /// before a model runs for a minute on NaN.
    pub(super) fn check_finite(&self) -> Result<(), SchedulerError> {
        let start = self.init_noise_sigma;
        if !(start.is_finite() && start > 0.0) {
            return Err(SchedulerError::Schedule(format!(
                "the first noise level is {start}"
            )));
        }
        for (index, (timestep, sigma)) in self.timesteps.iter().zip(&self.sigmas).enumerate() {
            if !(timestep.is_finite() && sigma.is_finite()) {
                return Err(SchedulerError::Schedule(format!(
                    "step {} has timestep {timestep} and noise level {sigma}",
                    index + 1
                )));
            }
        }
        Ok(())
    }
}

/// The standard deviation of clean latents of variance 1 with noise of `sigma` on them.
pub(super) fn norm(sigma: f32) -> f32 {
    (sigma * sigma + 1.0).sqrt()
}
