//! What tells one sampling method from another.

use super::prediction::{Level, Prediction};

/// A method's own part of a [`Scheduler`](super::Scheduler), which has checked the call, drawn the
/// noise and keeps the schedule.
pub(super) trait Sampler: Send {
    /// Forgets earlier evaluations: the next one begins a run, not always at index 0.
    fn begin(&mut self) {}

    /// Whether evaluation `index` takes fresh noise.
    fn draws(&self, _index: usize) -> bool {
        false
    }

    /// Takes one evaluation of the denoiser.
    fn step(&mut self, step: Step<'_>);
}

/// One evaluation and what is to come of it; all slices are equally long.
pub(super) struct Step<'a> {
    pub(super) index: usize,
    /// What the denoiser said about `sample`.
    pub(super) output: &'a [f32],
    /// At the level of `index`; becomes the sample of the next.
    pub(super) sample: &'a mut [f32],
    /// Receives the clean latents that `output` implies.
    pub(super) denoised: &'a mut [f32],
    /// Standard normals where [`Sampler::draws`] says so, otherwise zeros.
    pub(super) noise: &'a [f32],
}

impl Step<'_> {
    /// Fills `denoised` with what the output says of the sample, which is at this level.
    pub(super) fn predict_clean(&mut self, level: Level, prediction: Prediction) {
        for ((x, clean), output) in self.sample.iter().zip(&mut *self.denoised).zip(self.output) {
            *clean = level.clean(prediction, *x, *output);
        }
    }
}
