//! The picture that painting begins with.

use std::time::Instant;

use super::job::Job;
use super::painter::Painter;
use super::{Pipeline, check};
use crate::error::Error;
use crate::latents::Latents;
use crate::mask::Mask;
use crate::model_dir::BesideLatents;
use crate::picture::Picture;
use crate::progress::Stage;
use crate::request::PaintRequest;
use crate::scheduler::Scheduler;

/// What the sampler begins with instead of noise alone.
pub(super) struct Source {
    /// The picture, at the size that is painted.
    picture: Picture,
    /// Its latents, in the sampler's scale.
    clean: Latents,
    mask: Option<Mask>,
    /// `[h, w]`: 1 where latents are painted anew.
    painted: Option<Vec<f32>>,
    /// What the denoiser is told behind the latents, `[c, h, w]`, if it was made for pictures.
    beside: Vec<f32>,
    kind: BesideLatents,
    /// Pixels over which the painted part fades.
    feather: usize,
    paste: bool,
}

impl Source {
    /// The sample that evaluation `index` begins with, of noise that is not yet scaled.
    pub(super) fn noisy(
        &self,
        sampler: &Scheduler,
        index: usize,
        noise: &Latents,
    ) -> Result<Latents, Error> {
        let mut latents = noise.clone();
        sampler.add_noise(index, &self.clean.data, &noise.data, &mut latents.data)?;
        Ok(latents)
    }

    /// Puts the source back where the mask keeps it, as noisy as evaluation `next` expects; behind the last one it is clean.
    pub(super) fn restore(
        &self,
        sampler: &Scheduler,
        next: usize,
        noise: &Latents,
        latents: &mut Latents,
    ) -> Result<(), Error> {
        // A denoiser that is told what is kept does it by itself.
        let Some(painted) = &self.painted else {
            return Ok(());
        };
        if self.kind != BesideLatents::Nothing {
            return Ok(());
        }
        let kept = match next < sampler.timesteps().len() {
            true => self.noisy(sampler, next, noise)?,
            false => self.clean.clone(),
        };
        let weights = painted.iter().cycle();
        let values = latents.data.iter_mut().zip(&kept.data);
        for ((value, kept), weight) in values.zip(weights) {
            *value = (1.0 - weight) * kept + weight * *value;
        }
        Ok(())
    }

    /// The latents when no step is taken.
    pub(super) fn clean(&self) -> &Latents {
        &self.clean
    }

    /// Whether the sampler begins with the picture under noise, and not with noise alone: as a mask at full strength does, and a model
    /// that is told the picture.
    pub(super) fn is_under_noise(&self, strength: f32) -> bool {
        let is_new = self.mask.is_some() && strength >= 1.0;
        !is_new && self.kind != BesideLatents::Picture
    }

    /// Adds to a `sample` what the denoiser is told behind the latents in row `number` of its batch.
    pub(super) fn tell_beside(&self, number: usize, sample: &mut Vec<f32>) {
        let end = sample.len() + self.beside.len();
        match (self.kind, number) {
            // The third row knows neither the prompt nor the picture.
            (BesideLatents::Picture, 2) => sample.resize(end, 0.0),
            _ => sample.extend_from_slice(&self.beside),
        }
    }

    /// Puts the source's own pixels back where the mask keeps them.
    pub(super) fn paste(&self, painted: &mut Picture) {
        if let Some(mask) = self.mask.as_ref().filter(|_| self.paste) {
            mask.paste(painted, &self.picture, self.feather);
        }
    }
}

impl Painter<'_> {
    /// Encodes the picture that the request begins with.
    pub(super) fn encode_source(
        &mut self,
        request: &PaintRequest,
        job: &Job,
    ) -> Result<Option<Source>, Error> {
        let Some(image) = &request.image else {
            return Ok(None);
        };
        check(self.cancel)?;
        self.report(Stage::Encode, 0, 0.0);
        let clock = Instant::now();
        let factor = self.pipeline.model.defaults.vae_factor as usize;
        let size = self.pipeline.pixels(&job.latents);
        let picture = image.resized(size).into_owned();
        let mask = request.mask.as_ref().map(|mask| Mask::of(mask, size));
        let mut planes = picture.planes(|_, byte| f32::from(byte) / 255.0 * 2.0 - 1.0);
        let mut clean = self.encode(&planes, &job.latents)?;
        let model = &self.pipeline.model;
        let (scale, shift) = (model.scaling_factor, model.shift_factor);
        let model_beside = model.beside;
        let beside = match (model_beside, &mask) {
            (BesideLatents::Masked, Some(mask)) => {
                mask.blank(&mut planes);
                let mut kept = self.encode(&planes, &job.latents)?;
                kept.data.iter_mut().for_each(|v| *v = scale * (*v - shift));
                [mask.latents(factor), kept.data].concat()
            }
            (BesideLatents::Picture, _) => clean.data.clone(),
            _ => Vec::new(),
        };
        clean
            .data
            .iter_mut()
            .for_each(|v| *v = scale * (*v - shift));
        let encoder = self.pipeline.encoder.as_ref();
        if let Some(component) = encoder.map(|encoder| encoder.network().component().clone()) {
            self.pipeline.leave(&component, &mut self.warnings);
        }
        self.timings.encode += clock.elapsed();
        Ok(Some(Source {
            picture,
            clean,
            painted: mask.as_ref().map(|mask| mask.latents(factor)),
            mask,
            beside,
            kind: model_beside,
            feather: factor / 4,
            paste: request.paste,
        }))
    }

    /// Latents of `planes` in the encoder's own scale; without one they are the planes themselves.
    fn encode(&mut self, planes: &[f32], latents: &Latents) -> Result<Latents, Error> {
        let sides = [latents.height, latents.width];
        if self.pipeline.decoder.is_none() {
            return Ok(Latents {
                data: planes.to_vec(),
                ..latents.clone()
            });
        }
        let tile = self.pipeline.encoder_tile();
        let Pipeline {
            encoder, workers, ..
        } = &mut *self.pipeline;
        let encoder = encoder.as_mut().ok_or(crate::RequestError::NoEncoder)?;
        encoder.encode(workers, planes, sides, tile, &mut || check(self.cancel))
    }
}
