//! A pipeline at work, and those who watch it: what all parts of painting share.

use super::{Pipeline, Timings};
use crate::progress::{Progress, Stage};
use crate::watched::CancelToken;

/// A pipeline at work, and those who watch it.
pub(super) struct Painter<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) cancel: &'a CancelToken,
    pub(super) progress: &'a mut dyn FnMut(&Progress<'_>),
    pub(super) timings: Timings,
    pub(super) warnings: Vec<String>,
    /// The evaluation that the sampler begins with.
    pub(super) first: usize,
    /// Passes that it makes.
    pub(super) passes: usize,
}

impl<'a> Painter<'a> {
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        cancel: &'a CancelToken,
        progress: &'a mut dyn FnMut(&Progress<'_>),
    ) -> Self {
        Self {
            pipeline,
            cancel,
            progress,
            timings: Timings::default(),
            warnings: Vec::new(),
            first: 0,
            passes: 0,
        }
    }

    /// What is told of a stage, or of a step in it.
    pub(super) fn progress_at(&self, stage: Stage, step: usize, sigma: f32) -> Progress<'static> {
        Progress {
            stage,
            step,
            steps: self.passes,
            sigma,
            latents: None,
            denoised: None,
            factors: None,
        }
    }

    pub(super) fn report(&mut self, stage: Stage, step: usize, sigma: f32) {
        let report = self.progress_at(stage, step, sigma);
        (self.progress)(&report);
    }
}
