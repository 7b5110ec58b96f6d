//! One picture, from request to pixels: the drawing in [the crate's documentation](crate), a function for each part.

use std::time::Instant;

use super::job::{Job, Negative, Prompts};
use super::source::Source;
use super::{Painting, Pipeline, Timings, check};
use crate::error::Error;
use crate::family::{EMBEDDED_GUIDANCE, PictureFacts, SAMPLE, TEXT, TIMESTEP};
use crate::guidance;
use crate::inputs::{Extents, Inputs};
use crate::latents::Latents;
use crate::noise::NoiseSource;
use crate::picture::Picture;
use crate::progress::{Progress, Stage};
use crate::request::PaintRequest;
use crate::scheduler::{self, Scheduler};
use crate::stages::TextEmbedding;
use crate::tiling::Tile;
use crate::tokenizer::TokenIds;
use crate::watched::CancelToken;

/// A pipeline at work, and those who watch it.
pub(super) struct Painter<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) cancel: &'a CancelToken,
    progress: &'a mut dyn FnMut(&Progress<'_>),
    pub(super) timings: Timings,
    pub(super) warnings: Vec<String>,
    /// The evaluation that the sampler begins with.
    first: usize,
    /// Passes that it makes.
    passes: usize,
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

    pub(super) fn paint(
        mut self,
        request: &PaintRequest,
        noise: &mut dyn NoiseSource,
    ) -> Result<Painting, Error> {
        let start = Instant::now();
        let job = self.pipeline.job(request, noise)?;
        let mut sampler = self.sampler(&job)?;

        let prompts = self.plan(request, &job)?;
        let source = self.encode_source(request, &job)?;
        let rows = self.condition(&job, &prompts, sampler.init_noise_sigma())?;
        let latents = self.denoise(&job, &rows, source.as_ref(), &mut sampler, noise)?;
        let mut picture = self.decode(&latents)?;
        if let Some(source) = source {
            source.paste(&mut picture);
        }

        let before = self.pipeline.load;
        self.timings.load += before;
        self.timings.total = start.elapsed() + before;
        Ok(Painting {
            picture,
            latents,
            steps: job.run.steps,
            scheduler: job.scheduler,
            guidance: job.guidance,
            seed: request.seed,
            timings: self.timings,
            warnings: self.warnings,
        })
    }

    fn sampler(&mut self, job: &Job) -> Result<Scheduler, Error> {
        let config = &self.pipeline.model.scheduler;
        let sampler = scheduler::build(job.scheduler, config, &job.run)?;
        self.first = job.first(&sampler);
        self.passes = sampler.timesteps().len() - self.first;
        if self.passes == 0 {
            self.warnings.push(format!(
                "strength {} of {} steps is less than one: nothing was painted; give {} or more",
                job.strength,
                job.run.steps,
                1.0 / job.run.steps as f32
            ));
        }
        Ok(sampler)
    }

    /// Reads the prompts, and sees to it that the networks fit memory for them.
    fn plan(&mut self, request: &PaintRequest, job: &Job) -> Result<Prompts, Error> {
        let clock = Instant::now();
        let pipeline = &mut *self.pipeline;
        let prompts = pipeline.prompts(request, job.guidance, &mut self.warnings)?;
        for text in &mut pipeline.texts {
            text.encoder.skip(request.clip_skip)?;
        }
        if request.image.is_some() {
            pipeline.open_encoder(self.cancel)?;
        }
        let sizes = pipeline.sizes(&job.latents, &prompts, request);
        pipeline.check_size(&job.latents, &sizes)?;
        pipeline.plan_for(&job.latents, sizes)?;
        self.timings.load += clock.elapsed();
        Ok(prompts)
    }

    /// What the denoiser is told all the time, for each row of its batch: the prompt's, and what is steered away from.
    fn condition(
        &mut self,
        job: &Job,
        prompts: &Prompts,
        sigma: f32,
    ) -> Result<Vec<Inputs>, Error> {
        check(self.cancel)?;
        self.report(Stage::Text, 0, sigma);
        let clock = Instant::now();
        // Each encoder reads all there is to read before the next is needed.
        let mut rows: Vec<Vec<TextEmbedding>> = vec![Vec::new(); prompts.rows()];
        for number in 0..self.pipeline.texts.len() {
            let positive = self.encode_text(number, &prompts.positive[number])?;
            match &prompts.negative {
                None => {}
                Some(Negative::Zeroes) => rows[1].push(positive.zeroes_alike()),
                Some(Negative::Text(text)) => {
                    rows[1].push(self.encode_text(number, &text[number])?)
                }
            }
            rows[0].push(positive);
            let component = self.pipeline.texts[number].encoder.network().component();
            let component = component.clone();
            self.pipeline.leave(&component, &mut self.warnings);
        }
        let facts = self.facts(job);
        let family = &self.pipeline.model.family;
        let rows = rows.iter().map(|texts| family.condition(texts, &facts));
        let rows: Result<Vec<Inputs>, String> = rows.collect();
        let denoiser = self.pipeline.denoiser.network();
        let rows = rows.map_err(|problem| denoiser.network().error(problem))?;
        self.timings.text = clock.elapsed();
        Ok(rows)
    }

    fn encode_text(&mut self, number: usize, text: &TokenIds) -> Result<TextEmbedding, Error> {
        check(self.cancel)?;
        let Pipeline { texts, workers, .. } = &mut *self.pipeline;
        Ok(texts[number].encoder.encode(workers, text)?)
    }

    fn facts(&self, job: &Job) -> PictureFacts {
        let factor = self.pipeline.model.defaults.vae_factor as usize;
        PictureFacts {
            size: (job.latents.width * factor, job.latents.height * factor),
            guidance: job.guidance,
            guidance_width: self.pipeline.denoiser.width(EMBEDDED_GUIDANCE),
        }
    }

    /// All steps: from noise to latents.
    fn denoise(
        &mut self,
        job: &Job,
        rows: &[Inputs],
        source: Option<&Source>,
        sampler: &mut Scheduler,
        noise: &mut dyn NoiseSource,
    ) -> Result<Latents, Error> {
        check(self.cancel)?;
        let rows: Vec<&Inputs> = rows.iter().collect();
        let extents = self.pipeline.extents(&job.latents, tokens(rows[0]));
        let clock = Instant::now();
        let at_once = self.pipeline.rows_at_once();
        let Pipeline {
            denoiser, workers, ..
        } = &mut *self.pipeline;
        let together = rows.len().min(at_once);
        denoiser.prepare(workers, &extents, together)?;
        self.timings.load += clock.elapsed();

        let clock = Instant::now();
        self.report(Stage::Denoise, 0, sampler.init_noise_sigma());
        let mut latents = self.begin(job, source, sampler)?;
        let mut denoised = latents.clone();
        for index in self.first..self.first + self.passes {
            let mut input = latents.clone();
            sampler.scale_model_input(index, &mut input.data);
            if let Some(source) = source {
                input.data.extend_from_slice(&source.beside);
            }
            let prediction =
                self.predict(job, &extents, input.data, sampler.timesteps()[index], &rows)?;
            sampler.step(
                index,
                &prediction,
                &mut latents.data,
                &mut denoised.data,
                noise,
            )?;
            if !latents.is_finite() {
                let step = index + 1 - self.first;
                return Err(Error::NotFinite { step });
            }
            if let Some(source) = source {
                source.restore(sampler, index + 1, &job.latents, &mut latents)?;
            }
            let report = Progress {
                latents: Some(&latents),
                denoised: Some(&denoised),
                factors: self.pipeline.model.preview.as_ref(),
                ..self.progress_at(Stage::Denoise, index + 1 - self.first, sampler.sigma(index))
            };
            (self.progress)(&report);
        }
        let component = self.pipeline.model.family.denoiser();
        self.pipeline.leave(&component, &mut self.warnings);
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
        let Some(source) = source.filter(|source| !source.begins_with_noise(job.strength)) else {
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

    /// What the model predicts for noisy latents at a time, guided.
    fn predict(
        &mut self,
        job: &Job,
        extents: &Extents,
        input: Vec<f32>,
        timestep: f32,
        rows: &[&Inputs],
    ) -> Result<Vec<f32>, Error> {
        let step = Inputs::default()
            .with(SAMPLE, &extents.sample(), input)
            .with(TIMESTEP, &[], vec![timestep]);
        let at_once = self.pipeline.rows_at_once();
        let Pipeline {
            denoiser, workers, ..
        } = &mut *self.pipeline;
        let mut predictions = Vec::with_capacity(rows.len());
        for rows in rows.chunks(at_once) {
            check(self.cancel)?;
            predictions.extend(denoiser.predict(workers, extents, &step, rows)?);
        }
        let mut predictions = predictions.into_iter();
        let mut prediction = predictions.next().expect("there is a row for the prompt");
        if let Some(unguided) = predictions.next() {
            guidance::apply(
                &mut prediction,
                &unguided,
                job.guidance,
                job.guidance_rescale,
            );
        }
        Ok(prediction)
    }

    /// Latents to pixels.
    fn decode(&mut self, latents: &Latents) -> Result<Picture, Error> {
        check(self.cancel)?;
        self.report(Stage::Decode, self.passes, 0.0);
        let mut scaled = latents.clone();
        let model = &self.pipeline.model;
        let (factor, shift) = (model.scaling_factor, model.shift_factor);
        let scale = |v: &mut f32| *v = *v / factor + shift;
        scaled.data.iter_mut().for_each(scale);
        let clock = Instant::now();
        let tile = self.pipeline.tile();
        let Pipeline {
            decoder,
            workers,
            memory,
            ..
        } = &mut *self.pipeline;
        decoder.prepare(workers, &scaled, tile)?;
        self.timings.load += clock.elapsed();
        let clock = Instant::now();
        let mut proceed = |_, _| check(self.cancel);
        let picture = decoder.decode(workers, &scaled, tile, &mut proceed)?;
        if memory.is_some() && matches!(tile, Tile::Apart(_)) {
            self.warnings.push(
                "the memory budget is too small for a decode that sees the whole picture: colours may shift from tile to tile".into(),
            );
        }
        let component = decoder.network().component().clone();
        self.pipeline.leave(&component, &mut self.warnings);
        self.timings.decode = clock.elapsed();
        Ok(picture)
    }

    fn progress_at(&self, stage: Stage, step: usize, sigma: f32) -> Progress<'static> {
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

/// Tokens of text that a row of the batch is told.
fn tokens(row: &Inputs) -> usize {
    row.get(TEXT).map_or(0, |text| text.dims[0])
}
