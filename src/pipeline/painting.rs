//! One picture, from request to pixels: the drawing in [the crate's documentation](crate), a function for each part.

use std::borrow::Cow;
use std::time::Instant;

use super::denoising::Conditions;
use super::job::{Job, Negative, Prompts};
use super::kept_texts::KeptTexts;
use super::painter::Painter;
use super::{Painting, Pipeline, Text, check};
use crate::error::Error;
use crate::family::{EMBEDDED_GUIDANCE, PictureFacts, Reads};
use crate::inputs::Inputs;
use crate::latents::Latents;
use crate::noise::NoiseSource;
use crate::picture::Picture;
use crate::progress::Stage;
use crate::request::{PaintRequest, RequestError};
use crate::scheduler::{self, Scheduler};
use crate::stages::TextEmbedding;
use crate::tiling::Tile;
use crate::tokenizer::TokenIds;

impl Painter<'_> {
    pub(super) fn paint(
        mut self,
        request: &PaintRequest,
        noise: &mut dyn NoiseSource,
    ) -> Result<Painting, Error> {
        let start = Instant::now();
        let job = self.pipeline.job(request, noise)?;
        let mut sampler = self.sampler(&job)?;

        let text = self.read_prompt(request)?;
        self.check_trained_size(request);
        let prompts = self.plan(request, &text, &job)?;
        let conditions = self.conditions(request, &job, &prompts, sampler.init_noise_sigma())?;
        let latents = self.denoise(&job, &conditions, &mut sampler, noise)?;
        let mut picture = self.decode(&latents)?;
        if let Some(source) = conditions.source {
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
            painted: (text != request.prompt).then(|| text.into_owned()),
            warnings: self.warnings,
        })
    }

    /// The prompt in the model's words, where it has a lexicon.
    fn read_prompt<'a>(&mut self, request: &'a PaintRequest) -> Result<Cow<'a, str>, RequestError> {
        let Some(lexicon) = &self.pipeline.model.lexicon else {
            return Ok(Cow::Borrowed(&request.prompt));
        };
        let Some(reading) = lexicon.reading(&request.prompt, request.seed) else {
            let (things, example) = lexicon.examples();
            return Err(RequestError::NothingKnown { things, example });
        };
        let said = reading.warnings.into_iter();
        self.warnings.extend(said.map(|w| format!("prompt: {w}")));
        Ok(match reading.text == request.prompt {
            true => Cow::Borrowed(&request.prompt),
            false => Cow::Owned(reading.text),
        })
    }

    /// Tells of a size that was asked for and that the model was not trained on.
    fn check_trained_size(&mut self, request: &PaintRequest) {
        let sizes = &self.pipeline.model.defaults.trained_sizes;
        let asked = request
            .size
            .filter(|size| !sizes.is_empty() && !sizes.contains(size));
        if let Some((width, height)) = asked {
            let named = |(width, height): &(u32, u32)| format!("{width}x{height}");
            let known: Vec<String> = sizes.iter().take(6).map(named).collect();
            self.warnings.push(format!(
                "size: {width}x{height}: this model was trained on {}, and paints things in other numbers and shapes at other sizes",
                known.join(", ")
            ));
        }
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
    fn plan(&mut self, request: &PaintRequest, text: &str, job: &Job) -> Result<Prompts, Error> {
        let clock = Instant::now();
        let pipeline = &mut *self.pipeline;
        let prompts = pipeline.prompts(request, text, job.second_pass, &mut self.warnings)?;
        let family = &pipeline.model.family;
        if request.guidance.is_some()
            && family.embeds_guidance()
            && family.guidance_input().is_none()
        {
            let warning = "guidance: this model is told none; `--true-guidance` paints with a second pass a step";
            self.warnings.push(warning.into());
        }
        let clip = |text: &&mut Text| text.reads == Reads::Chunks;
        for text in pipeline.texts.iter_mut().filter(clip) {
            text.encoder.skip(request.clip_skip)?;
        }
        if request.image.is_some() {
            pipeline.open_encoder(self.cancel)?;
        }
        pipeline.open_adapters(request, &job.latents, self.cancel)?;
        let sizes = pipeline.sizes(&job.latents, &prompts, request);
        pipeline.check_size(&job.latents, &sizes)?;
        pipeline.settle(&job.latents, &sizes);
        pipeline.plan_for(&job.latents, sizes)?;
        self.timings.load += clock.elapsed();
        Ok(prompts)
    }

    /// All that the denoiser is told, of pictures and of texts.
    fn conditions(
        &mut self,
        request: &PaintRequest,
        job: &Job,
        prompts: &Prompts,
        sigma: f32,
    ) -> Result<Conditions, Error> {
        let source = self.encode_source(request, job)?;
        let mut rows = self.condition(request, job, prompts, sigma)?;
        if let (Some(_), [_, unguided]) = (job.image_guidance, &rows[..]) {
            // Neither the prompt nor the picture.
            let nothing = unguided.clone();
            rows.push(nothing);
        }
        let common = self.show_prompt_picture(request, &mut rows)?;
        Ok(Conditions {
            rows,
            common,
            hints: self.hints(request, job)?,
            source,
        })
    }

    /// What the denoiser is told of the text, for each row of its batch: the prompt's, and what is steered away from.
    fn condition(
        &mut self,
        request: &PaintRequest,
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
            let mut texts = vec![&prompts.positive[number]];
            if let Some(Negative::Text(negative)) = &prompts.negative {
                texts.push(&negative[number]);
            }
            let mut encoded = self.encode_texts(number, &texts)?;
            if let Some(Negative::Zeroes) = prompts.negative {
                encoded.extend(encoded.first().map(TextEmbedding::zeroes_alike));
            }
            for (row, text) in rows.iter_mut().zip(encoded) {
                row.push(text);
            }
            let component = self.pipeline.texts[number].encoder.network().component();
            let component = component.clone();
            self.pipeline.leave(&component, &mut self.warnings);
        }
        let facts = self.facts(request, job);
        let family = &self.pipeline.model.family;
        let rows = rows.iter().map(|texts| family.condition(texts, &facts));
        let rows: Result<Vec<Inputs>, String> = rows.collect();
        let denoiser = self.pipeline.denoiser.step().network();
        let rows = rows.map_err(|problem| denoiser.network().error(problem))?;
        self.timings.text = clock.elapsed();
        Ok(rows)
    }

    /// The embeddings of texts by the encoder of this number.
    fn encode_texts(
        &mut self,
        number: usize,
        texts: &[&TokenIds],
    ) -> Result<Vec<TextEmbedding>, Error> {
        check(self.cancel)?;
        let Pipeline {
            texts: sources,
            workers,
            ..
        } = &mut *self.pipeline;
        let source = &mut sources[number];
        let keeps = match source.reads {
            Reads::Whole { .. } => source.encoder.keeps(workers),
            // The others are small.
            Reads::Chunks | Reads::OneChunk => None,
        };
        let Some(kept) = keeps.and_then(|(folder, key)| KeptTexts::of(&folder, key)) else {
            return Ok(source.encoder.encode(workers, texts)?);
        };
        let mut found: Vec<_> = texts.iter().map(|text| kept.get(text)).collect();
        let missing = texts.iter().zip(&found);
        let missing = missing.filter(|(_, found)| found.is_none());
        let missing: Vec<&TokenIds> = missing.map(|(text, _)| *text).collect();
        if !missing.is_empty() {
            let mut made = source.encoder.encode(workers, &missing)?.into_iter();
            for (text, found) in texts.iter().zip(&mut found) {
                if found.is_none() {
                    *found = made.next();
                    found.iter().for_each(|made| kept.put(text, made));
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn facts(&self, request: &PaintRequest, job: &Job) -> PictureFacts {
        let factor = self.pipeline.model.defaults.vae_factor as usize;
        PictureFacts {
            size: (job.latents.width * factor, job.latents.height * factor),
            guidance: job.guidance,
            guidance_width: self.pipeline.denoiser.step().width(EMBEDDED_GUIDANCE),
            text_tokens: request.text_tokens,
        }
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
        let Some(decoder) = decoder else {
            let (height, width) = (scaled.height, scaled.width);
            return Ok(Picture::from_planes(&scaled.data, height, width));
        };
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
}
