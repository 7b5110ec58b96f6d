//! Pictures that steer the denoiser: through ControlNets, and as prompts.

use std::path::PathBuf;
use std::time::Instant;

use super::job::Job;
use super::painter::Painter;
use super::{Pipeline, check};
use crate::component::Component;
use crate::error::Error;
use crate::family::{SAMPLE, TIMESTEP};
use crate::inputs::{Dim, Extents, Inputs, Offer};
use crate::latents::Latents;
use crate::request::{PaintRequest, RequestError};
use crate::scheduler::decimal;
use crate::stages::{ControlNet, IMAGE_EMBEDS, IMAGE_SCALE, ImageEncoder, Strength, fill_up};
use crate::watched::CancelToken;

/// A picture for a ControlNet, and when it counts.
pub(super) struct Hint {
    /// What the ControlNet is told of it.
    embedding: Inputs,
    strength: Strength,
    /// The share of the passes before it counts, and that after which it does not.
    start: f32,
    end: f32,
}

impl Hint {
    /// Of so many rows of the denoiser's, those that are controlled: a guess is made for the prompt alone; where there is none, nothing is
    /// added.
    fn rows(&self, all: usize) -> usize {
        if self.strength.guesses { 1 } else { all }
    }

    /// Whether it counts in pass `index` of so many.
    fn counts(&self, index: usize, passes: usize) -> bool {
        let share = |pass: usize| pass as f64 / passes as f64;
        share(index) >= decimal(self.start) && share(index + 1) <= decimal(self.end)
    }
}

impl Pipeline {
    /// Opens what the request's pictures need, which the model [can do](super::PictureAbilities), and settles what the denoiser is told.
    pub(super) fn open_adapters(
        &mut self,
        request: &PaintRequest,
        latents: &Latents,
        cancel: &CancelToken,
    ) -> Result<(), Error> {
        let mut absent = Vec::new();
        let residuals = self.denoiser.residuals();
        if request.controls.is_empty() {
            absent.extend(residuals.iter().map(|(_, name)| name.clone()));
        }
        self.open_controlnets(request.controls.len(), cancel)?;
        // What is made of a picture does not depend on the text.
        let extents = self.extents(latents, 0);
        for controlnet in self.controlnets.iter_mut().take(request.controls.len()) {
            controlnet.fit(&self.workers, &extents)?;
        }
        let takes = |name| self.denoiser.step().takes(name);
        match &request.ip_image {
            None => {
                let names = [IMAGE_EMBEDS, IMAGE_SCALE].into_iter();
                absent.extend(names.filter(|name| takes(name)).map(str::to_owned));
            }
            Some(_) => {
                if !takes(IMAGE_SCALE) && request.ip_scale.is_some_and(|scale| scale != 1.0) {
                    return Err(RequestError::FixedImageScale.into());
                }
                if self.image_encoder.is_none() {
                    self.image_encoder = Some(ImageEncoder::open(&self.dir, cancel)?);
                }
            }
        }
        self.denoiser.step_mut().leave_out(absent);
        Ok(())
    }

    /// Opens the first `count` ControlNets, unless they are open.
    fn open_controlnets(&mut self, count: usize, cancel: &CancelToken) -> Result<(), Error> {
        while self.controlnets.len() < count {
            let number = self.controlnets.len();
            let component = Component::controlnet(number);
            let Some(dir) = self.controlnet_dir(number) else {
                return Err(RequestError::FewControlNets {
                    asked: count,
                    there: number,
                }
                .into());
            };
            if !ControlNet::is_in(&dir, &component) {
                return Err(RequestError::NoControlNet(dir).into());
            }
            let offers = self.model.family.offers().0.iter().map(|offer| {
                let mut offer = offer.clone();
                if offer.name == SAMPLE {
                    // Latents alone, whatever the denoiser is told beside them.
                    offer = Offer::each(SAMPLE, &[Dim::Channels, Dim::Height, Dim::Width]);
                }
                offer
            });
            let offers: Vec<Offer> = offers.collect();
            let opened = ControlNet::open(&dir, &component, &offers, cancel)?;
            self.controlnets.push(opened);
        }
        Ok(())
    }

    /// Where the ControlNet of this number is: among those that were given, or, if none were, in the model.
    pub(super) fn controlnet_dir(&self, number: usize) -> Option<PathBuf> {
        if !self.controlnet_dirs.is_empty() {
            return self.controlnet_dirs.get(number).cloned();
        }
        let folder = self.dir.join(Component::controlnet(number).name());
        folder.join("model.onnx").exists().then_some(folder)
    }
}

impl Painter<'_> {
    /// The request's pictures as ControlNets see them.
    pub(super) fn hints(&mut self, request: &PaintRequest, job: &Job) -> Result<Vec<Hint>, Error> {
        let clock = Instant::now();
        let size = self.pipeline.pixels(&job.latents);
        let extents = self.pipeline.extents(&job.latents, 0);
        let mut hints = Vec::with_capacity(request.controls.len());
        for (control, network) in request.controls.iter().zip(&self.pipeline.controlnets) {
            check(self.cancel)?;
            let picture = control.picture.resized(size);
            let planes = picture.planes(|_, byte| f32::from(byte) / 255.0);
            let (embedding, warning) = network.embed(&self.pipeline.workers, &extents, planes)?;
            self.warnings.extend(warning);
            hints.push(Hint {
                embedding,
                strength: Strength {
                    scale: control.scale,
                    guesses: request.control_guess,
                },
                start: control.start,
                end: control.end,
            });
        }
        if !hints.is_empty() {
            self.timings.encode += clock.elapsed();
        }
        Ok(hints)
    }

    /// Adds the prompt picture to what the denoiser is told in each row; gives what it is told in common.
    pub(super) fn show_prompt_picture(
        &mut self,
        request: &PaintRequest,
        rows: &mut [Inputs],
    ) -> Result<Inputs, Error> {
        let Some(picture) = &request.ip_image else {
            return Ok(Inputs::default());
        };
        check(self.cancel)?;
        let Pipeline {
            image_encoder,
            workers,
            ..
        } = &mut *self.pipeline;
        let encoder = image_encoder.as_mut().ok_or(RequestError::NoImageAdapter)?;
        let seen = encoder.encode(workers, picture)?;
        for (number, row) in rows.iter_mut().enumerate() {
            let embedding = match number {
                0 => seen.clone(),
                // Of one token it is nothing; of many, what the network says of nothing, as they were trained.
                _ if seen.dims[0] == 1 => seen.zeroes_alike(),
                _ => encoder.encode_nothing(workers)?,
            };
            *row = std::mem::take(row).with(IMAGE_EMBEDS, &embedding.dims, embedding.data);
        }
        let component = encoder.network().component().clone();
        self.pipeline.leave(&component, &mut self.warnings);
        let scale = request.ip_scale.unwrap_or(1.0);
        Ok(Inputs::default().with(IMAGE_SCALE, &[], vec![scale]))
    }

    /// Loads the ControlNets that count in any pass, for so many rows of the denoiser's.
    pub(super) fn prepare_control(
        &mut self,
        hints: &[Hint],
        extents: &Extents,
        rows: usize,
    ) -> Result<(), Error> {
        for (number, hint) in hints.iter().enumerate() {
            if !(0..self.passes).any(|pass| hint.counts(pass, self.passes)) {
                continue;
            }
            check(self.cancel)?;
            let at_once = self.pipeline.controlnet_rows_at_once(number, rows);
            let together = hint.rows(rows).min(at_once);
            let Pipeline {
                controlnets,
                workers,
                ..
            } = &mut *self.pipeline;
            let network = controlnets[number].step_mut();
            network.prepare(workers, extents, together)?;
        }
        Ok(())
    }

    /// Adds to each row what the ControlNets say of this pass.
    pub(super) fn control(
        &mut self,
        hints: &[Hint],
        extents: &Extents,
        latents: &[f32],
        (timestep, index): (f32, usize),
        rows: &mut [Inputs],
    ) -> Result<(), Error> {
        if hints.is_empty() {
            return Ok(());
        }
        let step = Inputs::default()
            .with(SAMPLE, &extents.latents, latents.to_vec())
            .with(TIMESTEP, &[], vec![timestep]);
        let mut sums = vec![Inputs::default(); rows.len()];
        for (number, hint) in hints.iter().enumerate() {
            if !hint.counts(index, self.passes) {
                continue;
            }
            let told = hint.rows(rows.len());
            let at_once = self.pipeline.controlnet_rows_at_once(number, rows.len());
            let Pipeline {
                controlnets,
                denoiser,
                workers,
                ..
            } = &mut *self.pipeline;
            let parts = rows[..told].chunks(at_once).zip(sums.chunks_mut(at_once));
            for (rows, sums) in parts {
                check(self.cancel)?;
                controlnets[number].add(
                    workers,
                    extents,
                    &[&step, &hint.embedding],
                    rows.to_vec(),
                    hint.strength,
                    (denoiser.residuals(), sums),
                )?;
            }
        }
        let denoiser = &self.pipeline.denoiser;
        for (row, mut sum) in rows.iter_mut().zip(sums) {
            let step = denoiser.step();
            fill_up(&mut sum, denoiser.residuals(), |name| {
                step.dims(extents, name)
            });
            row.join(sum);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_counts_in_whole_passes_between_its_ends() {
        let hint = |start, end| Hint {
            embedding: Inputs::default(),
            strength: Strength {
                scale: 1.0,
                guesses: false,
            },
            start,
            end,
        };
        let counts = |hint: Hint, passes| -> Vec<usize> {
            let all = 0..passes;
            all.filter(|index| hint.counts(*index, passes)).collect()
        };
        assert_eq!(counts(hint(0.0, 1.0), 3), [0, 1, 2]);
        assert_eq!(counts(hint(0.25, 0.75), 6), [2, 3]);
        assert_eq!(counts(hint(0.1, 0.3), 10), [1, 2]);
        assert_eq!(counts(hint(0.5, 0.5), 4), [0_usize; 0]);
    }
}
