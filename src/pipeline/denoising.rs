//! From noise to latents: the steps of the sampler.

use std::time::Instant;

use super::adapters::Hint;
use super::job::Job;
use super::painter::Painter;
use super::source::Source;
use super::{Pipeline, check};
use crate::error::Error;
use crate::family::TEXT;
use crate::guidance;
use crate::inputs::{Extents, Inputs};
use crate::latents::Latents;
use crate::noise::NoiseSource;
use crate::progress::{Progress, Stage};
use crate::scheduler::Scheduler;

/// What the denoiser is told of a picture in all passes.
pub(super) struct Conditions {
    /// Of each row of its batch: the prompt's, and what is steered away from.
    pub(super) rows: Vec<Inputs>,
    /// Of all rows.
    pub(super) common: Inputs,
    pub(super) hints: Vec<Hint>,
    pub(super) source: Option<Source>,
}

impl Painter<'_> {
    /// All steps.
    pub(super) fn denoise(
        &mut self,
        job: &Job,
        conditions: &Conditions,
        sampler: &mut Scheduler,
        noise: &mut dyn NoiseSource,
    ) -> Result<Latents, Error> {
        check(self.cancel)?;
        let source = conditions.source.as_ref();
        let rows = &conditions.rows;
        let extents = self.pipeline.extents(&job.latents, tokens(&rows[0]));
        let clock = Instant::now();
        let at_once = self.pipeline.rows_at_once(rows.len());
        let Pipeline {
            denoiser, workers, ..
        } = &mut *self.pipeline;
        if self.passes > 0 {
            let together = rows.len().min(at_once);
            denoiser.step_mut().prepare(workers, &extents, together)?;
            self.prepare_control(&conditions.hints, &extents, rows.len())?;
        }
        self.timings.load += clock.elapsed();

        let clock = Instant::now();
        self.report(Stage::Denoise, 0, sampler.init_noise_sigma());
        let mut latents = self.begin(job, source, sampler)?;
        let mut denoised = latents.clone();
        for index in self.first..self.first + self.passes {
            let mut input = latents.data.clone();
            sampler.scale_model_input(index, &mut input);
            let prediction = self.predict(job, &extents, input, sampler, index, conditions)?;
            sampler.step(
                index,
                &prediction,
                &mut latents.data,
                &mut denoised.data,
                noise,
            )?;
            let step = index + 1 - self.first;
            if !latents.is_finite() {
                return Err(Error::NotFinite { step });
            }
            if let Some(source) = source {
                source.restore(sampler, index + 1, &job.latents, &mut latents)?;
            }
            let report = Progress {
                latents: Some(&latents),
                denoised: Some(&denoised),
                factors: self.pipeline.model.preview.as_ref(),
                ..self.progress_at(Stage::Denoise, step, sampler.sigma(index))
            };
            (self.progress)(&report);
        }
        self.pipeline.leave_denoiser(&mut self.warnings);
        self.timings.denoise = clock.elapsed();
        Ok(latents)
    }

    /// The sample of the first evaluation: noise, or the picture to begin with under noise.
    fn begin(
        &self,
        job: &Job,
        source: Option<&Source>,
        sampler: &mut Scheduler,
    ) -> Result<Latents, Error> {
        let Some(source) = source.filter(|source| source.is_under_noise(job.strength)) else {
            let mut latents = job.latents.clone();
            let initial = sampler.init_noise_sigma();
            latents.data.iter_mut().for_each(|v| *v *= initial);
            return Ok(latents);
        };
        if self.passes == 0 {
            return Ok(source.clean().clone());
        }
        if self.first > 0 {
            sampler.begin(self.first)?;
        }
        source.noisy(sampler, self.first, &job.latents)
    }

    /// What the model predicts for noisy latents at an evaluation, guided.
    fn predict(
        &mut self,
        job: &Job,
        extents: &Extents,
        input: Vec<f32>,
        sampler: &Scheduler,
        index: usize,
        conditions: &Conditions,
    ) -> Result<Vec<f32>, Error> {
        let timestep = sampler.timesteps()[index];
        let next = sampler.timesteps().get(index + 1);
        let mut rows = conditions.rows.clone();
        let pass = index - self.first;
        self.control(
            &conditions.hints,
            extents,
            &input,
            (timestep, pass),
            &mut rows,
        )?;
        let family = &*self.pipeline.model.family;
        let step = family.timestep(timestep, next.copied().unwrap_or(0.0));
        let source = conditions.source.as_ref();
        for (number, row) in rows.iter_mut().enumerate() {
            let mut sample = input.clone();
            if let Some(source) = source {
                source.tell_beside(number, &mut sample);
            }
            row.join(family.sample(sample, extents));
        }
        let at_once = self.pipeline.rows_at_once(rows.len());
        let Pipeline {
            denoiser,
            workers,
            model,
            ..
        } = &mut *self.pipeline;
        let read =
            |output: &[f32], shape: &[usize]| model.family.prediction(output, shape, extents);
        let mut predictions = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            check(self.cancel)?;
            let later = rows.split_off(at_once.min(rows.len()));
            predictions.extend(denoiser.predict(
                workers,
                extents,
                &[&step, &conditions.common],
                rows,
                read,
            )?);
            rows = later;
        }
        Ok(guided(job, predictions))
    }
}

/// One prediction out of those of all rows.
fn guided(job: &Job, predictions: Vec<Vec<f32>>) -> Vec<f32> {
    let mut predictions = predictions.into_iter();
    let mut prediction = predictions.next().expect("there is a row for the prompt");
    match (predictions.next(), predictions.next()) {
        (Some(picture), Some(nothing)) => guidance::apply_both(
            &mut prediction,
            &picture,
            &nothing,
            job.second_pass,
            job.image_guidance.unwrap_or(1.0),
        ),
        (Some(unguided), None) => guidance::apply(
            &mut prediction,
            &unguided,
            job.second_pass,
            job.guidance_rescale,
        ),
        _ => {}
    }
    prediction
}

/// Tokens of text that a row of the batch is told.
fn tokens(row: &Inputs) -> usize {
    row.get(TEXT).map_or(0, |text| text.dims[0])
}
