//! The memory plan of a picture, and keeping to it.

use super::Pipeline;
use super::job::Prompts;
use crate::component::Component;
use crate::contained::catch;
use crate::error::Error;
use crate::inputs::Extents;
use crate::latents::Latents;
use crate::memory::{self, Alternatives, MemoryPlan, Phase, TooSmall};
use crate::model_dir::BesideLatents;
use crate::process_memory;
use crate::request::{PaintRequest, RequestError};
use crate::runtime::{LazyNetwork, Residency, Workers};
use crate::stages::{ControlNet, Decoder, Encoder, ImageEncoder, StepNetwork};
use crate::tiling::Tile;
use crate::watched::CancelToken;

/// Latents that are there while the denoiser runs, beside what it predicts for each row: the noise and the picture that painting began
/// with, those of the last step, clean and noisy, those that the network is told, and two that samplers remember.
const LATENTS_KEPT: usize = 7;
/// Bytes of these that the plan's [margin](MemoryPlan::MARGIN) has room for: those of any autoencoder.
const LATENTS_IN_MARGIN: usize = 4 << 20;

/// All that a memory plan depends on but the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    latents: [usize; 4],
    /// Tokens of the longest chunk, for each text encoder.
    chunks: Vec<usize>,
    /// Texts that each of them reads.
    texts: usize,
    /// Tokens that the denoiser attends to.
    tokens: usize,
    /// Rows in a pass of the denoiser.
    rows: usize,
    /// Layers of the text encoders that are left out.
    clip_skip: usize,
    /// Whether there is a picture to begin with.
    image: bool,
    /// Pictures for ControlNets.
    controls: usize,
    /// Whether there is a prompt picture.
    ip_image: bool,
}

impl Pipeline {
    /// The plan for pictures of `size`, the model's default unless given, with guidance and a prompt of one chunk.
    ///
    /// # Errors
    /// [`Error::Memory`] when the budget is too small; a size that the model does not paint; networks that cannot be read.
    pub fn memory_plan(&mut self, size: Option<(u32, u32)>) -> Result<MemoryPlan, Error> {
        let request = PaintRequest {
            size,
            guidance: (!self.embeds_guidance()).then_some(2.0),
            ..PaintRequest::new("a")
        };
        self.memory_plan_of(&request)
    }

    /// The plan for a request; of its pictures it matters that they are there.
    ///
    /// # Errors
    /// As [`memory_plan`](Self::memory_plan); pictures that the model cannot read.
    pub fn memory_plan_of(&mut self, request: &PaintRequest) -> Result<MemoryPlan, Error> {
        request.check()?;
        let abilities = self.picture_abilities();
        let given = request.into();
        match abilities.needs.prompt_picture {
            // Without one there is nothing to plan.
            true => abilities.check(&given)?,
            false => abilities.check_given(&given)?,
        }
        let latents = self.model.defaults.latents(Some(self.size(request)))?;
        let second_pass = self.second_pass(request)?;
        let planned = catch(|| {
            let cancel = CancelToken::new();
            if request.image.is_some() {
                self.open_encoder(&cancel)?;
            }
            self.open_adapters(request, &latents, &cancel)?;
            let prompts = self.prompts(request, &request.prompt, second_pass, &mut Vec::new())?;
            let sizes = self.sizes(&latents, &prompts, request);
            self.check_size(&latents, &sizes)?;
            self.settle(&latents, &sizes);
            self.memory_for(&latents, &sizes, self.budget)
        });
        planned.unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
    }

    /// From now on the process may take so many MiB; with `None` as many as it likes.
    pub fn set_memory_mib(&mut self, mib: Option<usize>) {
        self.budget = memory::budget(mib);
        self.memory = None;
    }

    /// Makes the plan for this picture, if there is a budget or it may need more than the machine has, and tells the networks of it.
    pub(super) fn plan_for(&mut self, latents: &Latents, sizes: Sizes) -> Result<(), Error> {
        let whole = process_memory::all();
        let (tensor, folded) = memory::limits(self.budget);
        self.workers.allow(tensor, folded);
        let tight = whole.filter(|whole| self.may_take(latents) > whole / 2);
        let budget = self.budget.or(tight);
        if budget.is_none() {
            self.memory = None;
        } else {
            if self.memory.as_ref().is_some_and(|(made, _)| *made == sizes) {
                return Ok(());
            }
            // What is loaded for another plan would be in the way of this one.
            self.unload();
            let plan = self
                .memory_for(latents, &sizes, budget)
                .map_err(|error| match error {
                    Error::Memory(too_small) => Error::Memory(TooSmall {
                        free: self.budget.is_none(),
                        ..too_small
                    }),
                    error => error,
                });
            self.memory = Some((sizes, plan?));
        }
        let plan = self.memory.take();
        for network in self.networks_mut() {
            let component = network.component();
            let stage = plan.as_ref().and_then(|(_, plan)| plan.stage(component));
            let residency = stage.map_or(Residency::Whole, |stage| stage.residency());
            network.set_memory(residency, budget.map(memory::limit));
        }
        self.memory = plan;
        Ok(())
    }

    /// Refuses a size that the denoiser does not take as it was exported: some exporters count on it that latents are halved evenly.
    pub(super) fn check_size(&mut self, latents: &Latents, sizes: &Sizes) -> Result<(), Error> {
        let even = self.model.even_latents;
        let sides = [latents.height, latents.width];
        let is_even = sides.iter().all(|side| side.is_multiple_of(even));
        if is_even || self.uneven == Some(latents.shape()) {
            return Ok(());
        }
        let [rows, columns] = sides.map(|side| side.next_multiple_of(even));
        let factor = self.model.defaults.vae_factor as usize;
        let uneven = |advice| RequestError::UnevenSize {
            width: latents.width * factor,
            height: latents.height * factor,
            multiple: even * factor,
            advice,
        };
        if self.model.family.denoiser() == Component::TRANSFORMER {
            // Its tokens are whole patches.
            return Err(uneven("").into());
        }
        let blank = Latents::zeros(latents.channels, rows, columns);
        let denoiser = self.denoiser.step();
        let rows = sizes.rows.min(denoiser.batch());
        let needs = |latents: &Latents| {
            let extents = self.extents(latents, sizes.tokens);
            denoiser.needs(&self.workers, &extents, rows)
        };
        let Err(problem) = needs(latents) else {
            self.uneven = Some(latents.shape());
            return Ok(());
        };
        if needs(&blank).is_err() {
            return Err(problem.into());
        }
        Err(uneven(", or import its checkpoint (`easel import`)").into())
    }

    /// Tells the denoiser what is known of such a picture before it is built.
    pub(super) fn settle(&mut self, latents: &Latents, sizes: &Sizes) {
        let known = self
            .model
            .family
            .known(&self.extents(latents, sizes.tokens));
        self.denoiser.step_mut().settle(known);
    }

    pub(super) fn sizes(
        &self,
        latents: &Latents,
        prompts: &Prompts,
        request: &PaintRequest,
    ) -> Sizes {
        let (tokens, chunks) = prompts.lengths();
        Sizes {
            latents: latents.shape(),
            chunks,
            texts: prompts.texts(),
            tokens: self.model.family.tokens(&tokens, request.text_tokens),
            rows: match (prompts.rows(), self.model.beside) {
                (2, BesideLatents::Picture) => 3,
                (rows, _) => rows,
            },
            clip_skip: request.clip_skip,
            image: request.image.is_some(),
            controls: request.controls.len(),
            ip_image: request.ip_image.is_some(),
        }
    }

    pub(super) fn extents(&self, latents: &Latents, tokens: usize) -> Extents {
        Extents {
            latents: [latents.channels, latents.height, latents.width],
            beside: self.model.beside.channels(latents.channels),
            factor: self.model.defaults.vae_factor as usize,
            tokens,
        }
    }

    /// About the most bytes that painting such latents may take, from above: whether it is worth a closer look.
    fn may_take(&self, latents: &Latents) -> usize {
        /// Three images of 256 channels in a decoder.
        const BYTES_PER_PIXEL: usize = 3 * 256 * size_of::<f32>();

        let factor = self.model.defaults.vae_factor as usize;
        let pixels = latents.height * latents.width * factor * factor;
        let networks = self.networks();
        let weights: usize = networks.map(|network| network.network().file_bytes()).sum();
        weights.saturating_add(pixels.saturating_mul(BYTES_PER_PIXEL))
    }

    fn memory_for(
        &self,
        latents: &Latents,
        sizes: &Sizes,
        budget: Option<usize>,
    ) -> Result<MemoryPlan, Error> {
        let workers = &self.workers;
        let extents = self.extents(latents, sizes.tokens);
        // One network at a time: each is read when it is needed.
        let mut phases: Vec<Phase<'_, Error>> = Vec::new();
        if let Some(encoder) = self.encoder.as_ref().filter(|_| sizes.image) {
            let sides = [latents.height, latents.width];
            phases.push(vec![encoder.alternatives(workers, sides)]);
        }
        if let Some(encoder) = self.image_encoder.as_ref().filter(|_| sizes.ip_image) {
            phases.push(vec![encoder.alternatives(workers)]);
        }
        for (text, &length) in self.texts.iter().zip(&sizes.chunks) {
            let component = text.encoder.network().component();
            let needs = move || Ok(text.encoder.needs(workers, length, sizes.texts)?);
            phases.push(vec![Alternatives::one(component, needs)]);
        }
        phases.push(self.step_phase(workers, extents, sizes));
        if let Some(decoder) = &self.decoder {
            phases.push(vec![decoder.alternatives(workers, latents)]);
        }
        let cache = workers.cache().is_some();
        memory::plan(budget, self.base, cache, &mut phases)
    }

    /// What runs in every step: the denoiser, and the ControlNets before it.
    fn step_phase<'a>(
        &'a self,
        workers: &'a Workers,
        extents: Extents,
        sizes: &Sizes,
    ) -> Phase<'a, Error> {
        let denoiser = self.denoiser.step();
        let names = self.denoiser.residuals().iter().map(|(_, name)| &**name);
        let names: Vec<&str> = names.collect();
        let controlnets = self.controlnets.iter().take(sizes.controls);
        let embeddings = controlnets.clone().map(ControlNet::embedding_bytes);
        let embeddings: usize = embeddings.sum();
        // What ControlNets give for a row is kept until the denoiser has it; what runs has what belongs to its own rows among its
        // inputs or outputs, but for what another ControlNet gave before.
        let residuals = match sizes.controls {
            0 => 0,
            _ => denoiser.bytes_of(&extents, &names),
        };
        let rows = sizes.rows;
        // The sampler's latents are small, unless they are the picture.
        let latents = extents.latents.iter().product::<usize>() * size_of::<f32>();
        let latents = latents
            .saturating_mul(LATENTS_KEPT + rows)
            .saturating_sub(LATENTS_IN_MARGIN);
        let kept = move |rows: usize| {
            let residuals = residuals.saturating_mul(rows);
            embeddings.saturating_add(latents).saturating_add(residuals)
        };
        let mut phase: Phase<'a, Error> = controlnets
            .enumerate()
            .map(|(number, network)| {
                let beside = move |at_once| match number {
                    0 => kept(rows.saturating_sub(at_once)),
                    _ => kept(rows),
                };
                network.alternatives(workers, extents, rows, beside)
            })
            .collect();
        let beside = move |at_once| kept(rows.saturating_sub(at_once));
        phase.push(denoiser.alternatives(workers, extents, rows, beside));
        phase
    }

    /// Of `rows`, those that the denoiser computes at once.
    pub(super) fn rows_at_once(&self, rows: usize) -> usize {
        self.at_once(self.denoiser.step(), rows)
    }

    /// Of `rows`, those that the ControlNet of this number computes at once.
    pub(super) fn controlnet_rows_at_once(&self, number: usize, rows: usize) -> usize {
        self.at_once(self.controlnets[number].step(), rows)
    }

    fn at_once(&self, network: &StepNetwork, rows: usize) -> usize {
        let plan = self.memory.as_ref().map(|(_, plan)| plan);
        let stage = plan.and_then(|plan| plan.stage(network.network().component()));
        match stage {
            Some(stage) if stage.passes > 1 => 1,
            // So that all passes are of one shape.
            _ if rows > network.batch() => 1,
            _ => network.batch(),
        }
    }

    /// Width and height of the picture of such latents.
    pub(super) fn pixels(&self, latents: &Latents) -> (u32, u32) {
        let factor = self.model.defaults.vae_factor;
        let side = |latents: usize| {
            u32::try_from(latents)
                .unwrap_or(u32::MAX)
                .saturating_mul(factor)
        };
        (side(latents.width), side(latents.height))
    }

    /// Opens the network that reads pictures, if there is to be one and it is not open.
    pub(super) fn open_encoder(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        if self.encoder.is_none() && self.decoder.is_some() {
            let (factor, channels) = (
                self.model.defaults.vae_factor,
                self.model.defaults.latent_channels,
            );
            self.encoder = Some(Encoder::open(&self.dir, factor, channels, cancel)?);
        }
        Ok(())
    }

    /// How the encoder is to work.
    pub(super) fn encoder_tile(&self) -> Tile {
        let plan = self.memory.as_ref().map(|(_, plan)| plan);
        let stage = plan.and_then(|plan| plan.stage(&Component::VAE_ENCODER));
        stage.map_or(Tile::Whole, |stage| stage.tile)
    }

    /// How the decoder is to work.
    pub(super) fn tile(&self) -> Tile {
        let plan = self.memory.as_ref().map(|(_, plan)| plan);
        let stage = plan.and_then(|plan| plan.stage(&Component::VAE_DECODER));
        let tile = stage.map(|stage| stage.tile);
        tile.filter(|tile| *tile != Tile::Whole)
            .unwrap_or(self.tile)
    }

    /// When a network is not needed any more: passes its warning on, and unloads it unless the plan keeps it.
    pub(super) fn leave(&mut self, component: &Component, warnings: &mut Vec<String>) {
        let keeps = self.memory.as_ref().is_none_or(|(_, plan)| plan.keeps);
        let mut networks = self.networks_mut();
        let Some(network) = networks.find(|network| network.component() == component) else {
            return;
        };
        // Several networks may have the same to say of their folder.
        let warning = network.take_warning();
        warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
        if !keeps {
            network.unload();
        }
    }

    /// As [`leave`](Self::leave), of all that runs in every step.
    pub(super) fn leave_denoiser(&mut self, warnings: &mut Vec<String>) {
        let controlnets = self.controlnets.iter().map(ControlNet::step);
        let networks = controlnets.chain([self.denoiser.step()]);
        let components: Vec<Component> = networks
            .map(|step| step.network().component().clone())
            .collect();
        for component in components {
            self.leave(&component, warnings);
        }
    }

    pub(super) fn unload(&mut self) {
        self.networks_mut().for_each(LazyNetwork::unload);
    }

    /// In the order in which they are needed.
    fn networks(&self) -> impl Iterator<Item = &LazyNetwork> {
        let encoders = self.encoder.iter().map(Encoder::network);
        let images = self.image_encoder.iter().map(ImageEncoder::network);
        let texts = self.texts.iter().map(|text| text.encoder.network());
        let controls = self.controlnets.iter().map(ControlNet::step);
        let steps = controls.chain([self.denoiser.step()]);
        let before = encoders.chain(images).chain(texts);
        before
            .chain(steps.map(StepNetwork::network))
            .chain(self.decoder.iter().map(Decoder::network))
    }

    fn networks_mut(&mut self) -> impl Iterator<Item = &mut LazyNetwork> {
        let encoders = self.encoder.iter_mut().map(Encoder::network_mut);
        let images = self.image_encoder.iter_mut().map(ImageEncoder::network_mut);
        let texts = self.texts.iter_mut().map(|text| text.encoder.network_mut());
        let controls = self.controlnets.iter_mut().map(ControlNet::step_mut);
        let steps = controls.chain([self.denoiser.step_mut()]);
        let before = encoders.chain(images).chain(texts);
        before
            .chain(steps.map(StepNetwork::network_mut))
            .chain(self.decoder.iter_mut().map(Decoder::network_mut))
    }
}
