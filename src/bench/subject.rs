//! A network with what it is to work on.

use std::path::Path;

use super::Component;
use crate::autoencoder::{Autoencoder, Tile};
use crate::denoiser::Denoiser;
use crate::error::Error;
use crate::latents::Latents;
use crate::memory::{self, Choices, MemoryPlan};
use crate::model_dir::ModelDir;
use crate::noise::{NoiseSource as _, PhiloxNoise};
use crate::pipeline::{LoadOptions, blank_latents};
use crate::runtime::Workers;
use crate::text_encoder::{TextEmbedding, TextEncoder};
use crate::tokenizer::{TokenIds, Tokenizer};

/// The middle of the usual 1000 training steps; the time a pass takes does not depend on it.
const TIMESTEP: f32 = 500.0;
/// One chunk of ids, whatever the tokenizer: the encoder always sees a chunk at its full length.
const PROMPT: &str = "a";
/// Tokens of a chunk where there is no tokenizer that would say: CLIP's.
const TOKENS: usize = 77;

/// One network of a model, and noise of the size of a picture.
pub(super) struct Subject {
    latents: Latents,
    size: (u32, u32),
    /// Bytes that the process took before the network was opened.
    base: usize,
    network: Network,
}

enum Network {
    TextEncoder(TextEncoder, TokenIds),
    /// With a text, and how often in a pass.
    Unet(Denoiser, TextEmbedding, usize),
    VaeDecoder(Autoencoder, Tile),
}

impl Subject {
    /// `size`: of the picture, pixels. `guided`: the denoiser works on both halves of guidance.
    pub(super) fn open(
        dir: &Path,
        component: Component,
        size: Option<(u32, u32)>,
        guided: bool,
    ) -> Result<Self, Error> {
        let model = ModelDir::read(dir)?;
        let mut latents = blank_latents(&model.defaults, size)?;
        let mut noise = PhiloxNoise::new(0);
        noise.fill(&mut latents.data);
        let base = memory::settled();
        let network = match component {
            Component::TextEncoder => {
                let ids = Tokenizer::load(dir)?.encode(PROMPT)?;
                Network::TextEncoder(TextEncoder::open(dir)?, ids)
            }
            Component::Unet => {
                let denoiser = Denoiser::open(dir, &model.defaults)?;
                let (tokens, width) = denoiser.text_shape()?;
                let tokens = match tokens {
                    Some(tokens) => tokens,
                    None if dir.join("tokenizer").exists() => Tokenizer::load(dir)?.max_length(),
                    None => TOKENS,
                };
                let mut drawn = |count: usize| {
                    let mut data = vec![0.0; count];
                    noise.fill(&mut data);
                    data
                };
                let text = TextEmbedding {
                    tokens,
                    width,
                    data: drawn(tokens * width),
                    pooled: drawn(denoiser.pooled().unwrap_or(0)),
                };
                let texts = if guided { denoiser.batch().min(2) } else { 1 };
                Network::Unet(denoiser, text, texts)
            }
            Component::VaeDecoder => {
                let autoencoder = Autoencoder::open(dir, model.defaults.vae_factor)?;
                Network::VaeDecoder(autoencoder, Tile::Whole)
            }
        };
        Ok(Self {
            latents,
            size: size.unwrap_or(model.defaults.size),
            base,
            network,
        })
    }

    /// Width and height of the picture, pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// What the budget leaves for this network alone.
    pub(super) fn plan(
        &self,
        workers: &Workers,
        options: &LoadOptions,
    ) -> Result<MemoryPlan, Error> {
        let latents = &self.latents;
        let choices = match &self.network {
            Network::TextEncoder(encoder, ids) => {
                let length = ids.chunks().iter().map(|chunk| chunk.ids.len()).max();
                let needs = move || Ok(encoder.needs(workers, length.unwrap_or(0))?);
                Choices::one(Component::TextEncoder, needs)
            }
            Network::Unet(denoiser, text, texts) => {
                let needs = || Ok(denoiser.needs(workers, latents, text.shape(), *texts)?);
                Choices::one(Component::Unet, needs)
            }
            Network::VaeDecoder(autoencoder, _) => autoencoder.choices(workers, latents),
        };
        let cache = workers.cache().is_some();
        memory::plan(options.budget(), self.base, cache, &mut [choices])
    }

    /// From now on the network keeps to this plan.
    pub(super) fn keep_to(&mut self, plan: &MemoryPlan) {
        let slot = match &mut self.network {
            Network::TextEncoder(encoder, _) => encoder.slot(),
            Network::Unet(denoiser, ..) => denoiser.slot(),
            Network::VaeDecoder(autoencoder, tile) => {
                *tile = plan
                    .stages
                    .first()
                    .map(|stage| stage.tile)
                    .unwrap_or_default();
                autoencoder.slot()
            }
        };
        if let Some(stage) = plan.stages.first() {
            slot.set_memory(stage.residency(), plan.budget.map(memory::limit));
        }
    }

    /// Runs the network once.
    pub(super) fn pass(&mut self, workers: &Workers) -> Result<(), Error> {
        match &mut self.network {
            Network::TextEncoder(encoder, ids) => drop(encoder.encode(workers, ids)?),
            Network::Unet(denoiser, text, texts) => {
                let texts = vec![&*text; *texts];
                denoiser.predict(workers, &self.latents, TIMESTEP, &texts)?;
            }
            Network::VaeDecoder(autoencoder, tile) => {
                autoencoder.decode(workers, &self.latents, *tile, &mut |_, _| Ok(()))?;
            }
        }
        Ok(())
    }
}
