//! The memory plan of a picture, and keeping to it.

use super::{Pipeline, Sizes};
use crate::autoencoder::Tile;
use crate::bench::Component;
use crate::contained::catch;
use crate::error::Error;
use crate::latents::Latents;
use crate::memory::{self, Choices, MemoryPlan, TooSmall};
use crate::pipeline::blank_latents;
use crate::process_memory;
use crate::runtime::{Residency, Slot};
use crate::text_encoder::TextShape;
use crate::tokenizer::TokenIds;

impl Pipeline {
    /// The plan for pictures of `size`, the model's default unless given, with guidance and a prompt of one chunk.
    ///
    /// # Errors
    /// [`Error::Memory`] when the budget is too small; a size that the model does not paint; networks that cannot be read.
    pub fn memory_plan(&self, size: Option<(u32, u32)>) -> Result<MemoryPlan, Error> {
        let latents = blank_latents(&self.model.defaults, size)?;
        let planned = catch(|| {
            let prompt = self.tokenizer.encode("")?;
            let sizes = self.sizes(&latents, &prompt, self.denoiser.batch().min(2))?;
            self.plan(&latents, sizes, self.budget)
        });
        planned.unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
    }

    /// From now on the process may take so many MiB; with `None` as many as it likes.
    pub fn set_memory_mib(&mut self, mib: Option<usize>) {
        self.budget = memory::budget(mib);
        self.memory = None;
    }

    /// Makes the plan for this picture, if there is a budget or it may need more than the machine has, and tells the networks of it.
    pub(super) fn plan_for(
        &mut self,
        latents: &Latents,
        prompt: &TokenIds,
        texts: usize,
    ) -> Result<(), Error> {
        let whole = process_memory::all();
        self.workers.allow(whole.unwrap_or(usize::MAX));
        let tight = whole.filter(|whole| self.may_take(latents) > whole / 2);
        let budget = self.budget.or(tight);
        if budget.is_none() {
            self.memory = None;
        } else {
            let sizes = self.sizes(latents, prompt, texts)?;
            if self.memory.as_ref().is_some_and(|(made, _)| *made == sizes) {
                return Ok(());
            }
            // What is loaded for another plan would be in the way of this one.
            self.unload();
            let plan = self
                .plan(latents, sizes, budget)
                .map_err(|error| match error {
                    Error::Memory(too_small) => Error::Memory(TooSmall {
                        free: self.budget.is_none(),
                        ..too_small
                    }),
                    error => error,
                });
            self.memory = Some((sizes, plan?));
        }
        for component in Component::ALL {
            let plan = self
                .memory
                .as_ref()
                .and_then(|(_, plan)| plan.stage(component));
            let residency = plan.map_or(Residency::Whole, |stage| stage.residency());
            let limit = budget.map(memory::limit);
            self.slot(component).set_memory(residency, limit);
        }
        Ok(())
    }

    fn sizes(&self, latents: &Latents, prompt: &TokenIds, texts: usize) -> Result<Sizes, Error> {
        let (_, width) = self.denoiser.text_shape()?;
        let lengths = prompt.chunks().iter().map(|chunk| chunk.ids.len());
        Ok(Sizes {
            latents: latents.shape(),
            chunk: lengths.clone().max().unwrap_or(0),
            text: TextShape {
                tokens: lengths.sum(),
                width,
            },
            texts,
        })
    }

    /// About the most bytes that painting such latents may take, from above: whether it is worth a closer look.
    fn may_take(&self, latents: &Latents) -> usize {
        /// Three images of 256 channels in a decoder.
        const BYTES_PER_PIXEL: usize = 3 * 256 * size_of::<f32>();

        let factor = self.model.defaults.vae_factor as usize;
        let pixels = latents.height * latents.width * factor * factor;
        let networks = [
            self.text_encoder.network(),
            self.denoiser.network(),
            self.autoencoder.network(),
        ];
        let weights: usize = networks.iter().map(|network| network.file_bytes()).sum();
        weights.saturating_add(pixels.saturating_mul(BYTES_PER_PIXEL))
    }

    fn plan(
        &self,
        latents: &Latents,
        sizes: Sizes,
        budget: Option<usize>,
    ) -> Result<MemoryPlan, Error> {
        let workers = &self.workers;
        let mut choices = [
            Choices::one(Component::TextEncoder, || {
                Ok(self.text_encoder.needs(workers, sizes.chunk)?)
            }),
            Choices::one(Component::Unet, || {
                let denoiser = &self.denoiser;
                Ok(denoiser.needs(workers, latents, sizes.text, sizes.texts)?)
            }),
            self.autoencoder.choices(workers, latents),
        ];
        let cache = workers.cache().is_some();
        memory::plan(budget, self.base, cache, &mut choices)
    }

    /// How the decoder is to work.
    pub(super) fn tile(&self) -> Tile {
        let plan = self.memory.as_ref().map(|(_, plan)| plan);
        let stage = plan.and_then(|plan| plan.stage(Component::VaeDecoder));
        let tile = stage.map(|stage| stage.tile);
        tile.filter(|tile| *tile != Tile::Whole)
            .unwrap_or(self.tile)
    }

    /// After a network's turn: passes its warning on, and lets it go unless the plan keeps it.
    pub(super) fn leave(&mut self, component: Component, warnings: &mut Vec<String>) {
        let keeps = self.memory.as_ref().is_none_or(|(_, plan)| plan.keeps);
        let slot = self.slot(component);
        // Three networks may have the same to say of their folder.
        let warning = slot.take_warning();
        warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
        if !keeps {
            slot.unload();
        }
    }

    pub(super) fn unload(&mut self) {
        for component in Component::ALL {
            self.slot(component).unload();
        }
    }

    fn slot(&mut self, component: Component) -> &mut Slot {
        match component {
            Component::TextEncoder => self.text_encoder.slot(),
            Component::Unet => self.denoiser.slot(),
            Component::VaeDecoder => self.autoencoder.slot(),
        }
    }
}
