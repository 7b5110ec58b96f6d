//! A network with what it is to work on.

use std::borrow::Cow;
use std::path::Path;

use tract_core::prelude::Tensor;

use crate::component::Component;
use crate::error::Error;
use crate::family::{self, Reads};
use crate::inputs::{Dim, Extents, Inputs, Offer, Rows};
use crate::latents::Latents;
use crate::memory::{self, Alternatives, MemoryPlan};
use crate::model_dir::{self, Geometry};
use crate::noise::{NoiseSource as _, PhiloxNoise};
use crate::pipeline::LoadOptions;
use crate::request::RequestError;
use crate::runtime::{Feed, InputSpec, LazyNetwork, Network, Precision, RuntimeError, Workers};
use crate::stages::{Decoder, Encoder, places, residual_offers};
use crate::tiling::Tile;
use crate::tokenizer::Tokenizer;
use crate::watched::CancelToken;

/// The middle of the usual 1000 training steps; the time a pass takes does not depend on it.
const TIMESTEP: f32 = 500.0;
/// Tokens of a chunk where nothing says how many: CLIP's.
const TOKENS: usize = 77;
/// The same of T5, with as many as it was trained.
const T5_TOKENS: usize = 512;
/// Rows of a guided pass.
const GUIDED: usize = 2;

/// One network of a model, and noise of the size of a picture.
pub(super) struct Fixture {
    size: (u32, u32),
    /// Bytes that the process took before the network was opened.
    base: usize,
    subject: Subject,
}

enum Subject {
    Decoder(Box<Decoder>, Latents, Tile),
    /// With a picture, `[3, height, width]`, and the height and width of its latents.
    Encoder(Box<Encoder>, Vec<f32>, [usize; 2], Tile),
    Other(Box<Other>),
}

/// Any network: whatever it declares is made up.
struct Other {
    network: LazyNetwork,
    shapes: Vec<Vec<usize>>,
    inputs: Vec<Tensor>,
}

impl Fixture {
    /// `size`: of the picture, pixels. `guided`: the denoiser works on both halves of guidance.
    pub(super) fn open(
        dir: &Path,
        component: &Component,
        size: Option<(u32, u32)>,
        guided: bool,
        cancel: &CancelToken,
    ) -> Result<Self, Error> {
        let geometry = Geometry::read(dir)?;
        if !dir.join(component.name()).is_dir() {
            let there = Component::all_in(dir);
            let names: Vec<&str> = there.iter().map(Component::name).collect();
            return Err(Error::Request(RequestError::Component {
                asked: component.to_string(),
                there: names.join(", "),
            }));
        }
        let mut latents = geometry.latents(size)?;
        let base = memory::settled();
        let subject = if *component == Component::VAE_DECODER {
            PhiloxNoise::new(0).fill(&mut latents.data);
            let decoder = Decoder::open(dir, geometry.factor, cancel)?;
            Subject::Decoder(Box::new(decoder), latents, Tile::Whole)
        } else if *component == Component::VAE_ENCODER {
            let (factor, channels) = (geometry.factor, geometry.channels);
            let encoder = Encoder::open(dir, factor, channels, cancel)?;
            let sides = [latents.height, latents.width];
            let mut planes = vec![
                0.0;
                3 * sides
                    .map(|side| side * factor as usize)
                    .iter()
                    .product::<usize>()
            ];
            PhiloxNoise::new(0).fill(&mut planes);
            Subject::Encoder(Box::new(encoder), planes, sides, Tile::Whole)
        } else {
            let extents = Extents {
                latents: [latents.channels, latents.height, latents.width],
                beside: geometry.beside.channels(latents.channels),
                factor: geometry.factor as usize,
                tokens: tokens(dir, component),
            };
            let rows = if guided { GUIDED } else { 1 };
            // Each level but the last halves the latents.
            let levels = geometry.even_latents.trailing_zeros() as usize + 1;
            let other = Other::open(dir, component, extents, levels, rows, cancel)?;
            Subject::Other(Box::new(other))
        };
        Ok(Self {
            size: size.unwrap_or(geometry.size),
            base,
            subject,
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
        let alternatives = match &self.subject {
            Subject::Decoder(decoder, latents, _) => decoder.alternatives(workers, latents),
            Subject::Encoder(encoder, _, sides, _) => encoder.alternatives(workers, *sides),
            Subject::Other(other) => Alternatives::one(other.network.component(), || {
                Ok(other.network.needs(workers, &other.shapes)?)
            }),
        };
        let cache = workers.cache().is_some();
        let mut phases = [vec![alternatives]];
        memory::plan(options.budget(), self.base, cache, &mut phases)
    }

    /// From now on the network keeps to this plan.
    pub(super) fn keep_to(&mut self, plan: &MemoryPlan) {
        let Some(stage) = plan.stages.first() else {
            return;
        };
        let network = match &mut self.subject {
            Subject::Decoder(decoder, _, tile) => {
                *tile = stage.tile;
                decoder.network_mut()
            }
            Subject::Encoder(encoder, _, _, tile) => {
                *tile = stage.tile;
                encoder.network_mut()
            }
            Subject::Other(other) => &mut other.network,
        };
        network.set_memory(stage.residency(), plan.budget.map(memory::limit));
    }

    /// Runs the network once.
    pub(super) fn pass(&mut self, workers: &Workers) -> Result<(), Error> {
        match &mut self.subject {
            Subject::Decoder(decoder, latents, tile) => {
                decoder.decode::<Error>(workers, latents, *tile, &mut |_, _| Ok(()))?;
            }
            Subject::Encoder(encoder, planes, sides, tile) => {
                encoder.encode::<Error>(workers, planes, *sides, *tile, &mut || Ok(()))?;
            }
            Subject::Other(other) => {
                let plan = other.network.load(workers, &other.shapes)?;
                plan.run_all(workers, other.inputs.clone())?;
            }
        }
        Ok(())
    }
}

impl Other {
    fn open(
        dir: &Path,
        component: &Component,
        mut extents: Extents,
        levels: usize,
        rows: usize,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open(dir, component, cancel)?;
        let mut known = family::all_offers(component);
        // As without a ControlNet.
        let residuals = places(network.inputs().iter().map(|input| input.name.as_str()));
        let controlled = residual_offers(&residuals, levels);
        known.extend(controlled.map_err(|problem| network.error(problem))?);
        let offers = network.inputs().iter().map(|input| {
            // Latents are images to some transformers, and patches to others.
            let offer = known.iter().find(|offer| {
                let batch = usize::from(offer.rows == Rows::Each);
                let rank = offer.dims.len() + batch;
                offer.name == input.name && (rank == input.dims.len() || batch == 0)
            });
            let offer = offer.cloned().or_else(|| as_declared(input));
            offer.ok_or_else(|| {
                network.refusal(format!(
                    "does not say how large its input `{}` is: export it with its axes fixed, but for the first",
                    input.name
                ))
            })
        });
        let offers = offers.collect::<Result<Vec<Offer>, _>>()?;
        let feed = Feed::of(&network, &offers, GUIDED)?;
        let rows = feed.batch().unwrap_or(match component.is_denoiser() {
            true => rows,
            false => 1,
        });
        if let Some(tokens) = feed.fixed_tokens(&network) {
            extents.tokens = tokens;
        }
        let shapes = feed.shapes(&network, &extents, rows)?;
        let told = made_up(&network, &offers, &shapes);
        // As painting does: an encoder may also give what nobody asks for.
        let last = network.outputs().iter();
        let last =
            last.filter(|output| component.is_text_encoder() && output.name == "last_hidden_state");
        let outputs = last.map(|output| output.name.clone()).collect();
        let mut network = LazyNetwork::new(network, outputs, Precision::Activations8);
        let mut wanted = network.wanted().clone();
        wanted.absent = residuals.into_iter().map(|(_, name)| name).collect();
        wanted.known = family::all_known(&extents);
        wanted.known.retain(|known| feed.takes(known.name));
        network.want(wanted);
        let wanted = network.wanted();
        let inputs = feed.tensors(network.network(), &shapes, wanted, &[&told], Vec::new())?;
        Ok(Self {
            network,
            shapes,
            inputs,
        })
    }
}

/// Noise where floats are wanted, and numbers that any network takes where whole ones are.
fn made_up(network: &Network, offers: &[Offer], shapes: &[Vec<usize>]) -> Inputs {
    let mut noise = PhiloxNoise::new(0);
    let mut told = Inputs::default();
    for ((input, offer), shape) in network.inputs().iter().zip(offers).zip(shapes) {
        let dims = &shape[shape.len() - offer.dims.len()..];
        let mut data = vec![0.0; dims.iter().product()];
        match &*input.name {
            "timestep" => data.fill(TIMESTEP),
            name if name.contains("mask") || name.contains("scale") => data.fill(1.0),
            _ if input.element.is_float() => noise.fill(&mut data),
            _ => {}
        }
        told = told.with(offer.name.clone(), dims, data);
    }
    told
}

/// The offer of just what an input declares, if all but the axis of the batch is fixed.
fn as_declared(input: &InputSpec) -> Option<Offer> {
    let dims = input.dims.iter().skip(1).map(|n| n.map(Dim::Exactly));
    Some(Offer {
        name: Cow::Owned(input.name.clone()),
        rows: match input.dims.len() {
            0 => Rows::Shared,
            _ => Rows::Each,
        },
        dims: dims.collect::<Option<Vec<Dim>>>()?.into(),
    })
}

/// Tokens of text that a network is told: a denoiser as many as its family's pipeline tells it, any other those of its tokenizer.
fn tokens(dir: &Path, component: &Component) -> usize {
    if component.is_denoiser()
        && let Some(family) = model_dir::family_in(dir)
    {
        let texts = family.texts().iter().map(|text| match text.reads {
            Reads::Whole {
                tokens: Some(tokens),
                ..
            } => tokens,
            Reads::Whole { tokens: None, .. } => {
                longest(dir, text.tokenizer, &text.encoder).unwrap_or(T5_TOKENS)
            }
            Reads::Chunks | Reads::OneChunk => {
                longest(dir, text.tokenizer, &text.encoder).unwrap_or(TOKENS)
            }
        });
        return family.tokens(&texts.collect::<Vec<usize>>(), None);
    }
    let number = component.name().strip_prefix("text_encoder");
    let folder = format!("tokenizer{}", number.unwrap_or_default());
    let encoder = format!("text_encoder{}", number.unwrap_or_default());
    let encoder = encoder.parse().unwrap_or(Component::TEXT_ENCODER);
    longest(dir, &folder, &encoder).unwrap_or(TOKENS)
}

/// Tokens that a tokenizer gives at most; `None` for one of another kind, or if there is none.
fn longest(dir: &Path, folder: &str, encoder: &Component) -> Option<usize> {
    let is_there = dir.join(folder).exists();
    let tokenizer = is_there.then(|| Tokenizer::load_from(dir, folder, encoder.name()));
    Some(tokenizer?.ok()?.max_length())
}
