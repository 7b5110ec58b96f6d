//! What a denoiser's output means.

use super::error::SchedulerError;
use super::options::Options;

/// `prediction_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prediction {
    /// The noise.
    Epsilon,
    /// The clean latents.
    Sample,
    /// Velocity: √ᾱ · noise − √(1 − ᾱ) · clean (Salimans and Ho 2022).
    Velocity,
    /// The flow, noise − clean.
    Flow,
}

/// The names that most classes take.
pub(super) const USUAL: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("sample", Prediction::Sample),
    ("v_prediction", Prediction::Velocity),
];

/// The names that the classes take which flow-matching models can be sampled with too.
pub(super) const WITH_FLOW: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("sample", Prediction::Sample),
    ("v_prediction", Prediction::Velocity),
    ("flow_prediction", Prediction::Flow),
];

/// Reads `prediction_type` for a class that takes `words`.
pub(super) fn prediction(
    options: &Options<'_>,
    words: &[(&str, Prediction)],
) -> Result<Prediction, SchedulerError> {
    options.choice("prediction_type", Prediction::Epsilon, words)
}

/// A noise level: sample = `signal` · clean + `noise` · ε.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) signal: f32,
    pub(super) noise: f32,
}

impl Level {
    /// Of a process that preserves variance, where alpha bar is `alpha`.
    pub(super) fn new(alpha: f32) -> Self {
        Self {
            signal: alpha.sqrt(),
            noise: (1.0 - alpha).sqrt(),
        }
    }

    /// Puts `noise` on `clean` latents.
    pub(super) fn mix(self, clean: &[f32], noise: &[f32], out: &mut [f32]) {
        for ((out, clean), noise) in out.iter_mut().zip(clean).zip(noise) {
            *out = self.signal * clean + self.noise * noise;
        }
    }

    /// The clean latents that `output` implies about `sample`.
    pub(super) fn clean(self, prediction: Prediction, sample: f32, output: f32) -> f32 {
        match prediction {
            Prediction::Epsilon => (sample - self.noise * output) / self.signal,
            Prediction::Sample => output,
            Prediction::Velocity => self.signal * sample - self.noise * output,
            Prediction::Flow => sample - self.noise * output,
        }
    }

    /// The noise that `output` implies about `sample`.
    pub(super) fn epsilon(self, prediction: Prediction, sample: f32, output: f32) -> f32 {
        match prediction {
            Prediction::Epsilon => output,
            Prediction::Sample => (sample - self.signal * output) / self.noise,
            Prediction::Velocity => self.signal * output + self.noise * sample,
            Prediction::Flow => sample + (1.0 - self.noise) * output,
        }
    }
}

/// Pure noise says nothing about the picture through its noise: a noise-predicting model cannot start
/// at zero signal. `alphas` are the visited values of alpha bar.
pub(super) fn check_start(prediction: Prediction, alphas: &[f32]) -> Result<(), SchedulerError> {
    if prediction == Prediction::Epsilon && alphas.contains(&0.0) {
        return Err(SchedulerError::Schedule(
            "prediction_type epsilon cannot start from pure noise (rescale_betas_zero_snr with this timestep_spacing); it needs v_prediction or sample".into(),
        ));
    }
    Ok(())
}

/// `clip_sample` and `clip_sample_range`: the bound on clean latents, infinite without one.
pub(super) fn clip_bound(options: &Options<'_>, default: bool) -> Result<f32, SchedulerError> {
    let range = options.positive("clip_sample_range", 1.0)? as f32;
    Ok(if options.flag("clip_sample", default)? {
        range
    } else {
        f32::INFINITY
    })
}

/// `thresholding` is for pixels.
pub(super) fn refuse_thresholding(options: &Options<'_>) -> Result<(), SchedulerError> {
    options.refuse(
        "thresholding",
        "dynamic thresholding is for models that paint pixels, not latents",
    )
}
