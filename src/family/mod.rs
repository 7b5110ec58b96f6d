//! What is particular to each kind of model. Everything else is the same for all: [the pipeline](crate::Pipeline).
//!
//! A family is chosen by the pipeline class in `model_index.json`. It says which text encoders there are, what the denoiser can be
//! told, and how a text becomes that. To add one: a file here, a line in [`of`], and a golden of diffusers' pipeline
//! (docs/adding-a-model-family.md).

mod flux;
mod minit2i;
mod pixart;
mod sd;
mod sd3;
mod sdxl;

use std::borrow::Cow;

use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Extents, Inputs, KnownInput, Offer};
use crate::preview::PreviewFactors;
use crate::scheduler::{FlowLevels, decimal, share_of};
use crate::stages::{
    CONTROL_SCALE, HINT, Hidden, IMAGE_EMBEDS, IMAGE_SCALE, TEXT_ENCODER_OFFERS, TextEmbedding,
};

/// Noisy latents, scaled as the sampler says, of U-Nets.
pub(crate) const SAMPLE: &str = "sample";
/// The same, of transformers.
const HIDDEN_STATES: &str = "hidden_states";
pub(crate) const TIMESTEP: &str = "timestep";
/// The text, token by token.
pub(crate) const TEXT: &str = "encoder_hidden_states";
/// The text as a whole, of transformers.
const POOLED_TEXT: &str = "pooled_projections";
/// 1 for each token of the text that counts, of transformers.
const TEXT_MASK: &str = "encoder_attention_mask";
/// The guidance scale as a number, of models that were distilled to follow it.
const GUIDANCE: &str = "guidance";
/// Times of the training schedule, of which some networks are told the share.
const TRAINED_TIMES: f32 = 1000.0;
/// The guidance scale as an embedding: of latent consistency models (arXiv 2310.04378, section 4.3).
pub(crate) const EMBEDDED_GUIDANCE: &str = "timestep_cond";

/// What a denoiser of any family may have been exported to be told, too.
pub(crate) static ADAPTER_OFFERS: [Offer; 2] = [
    Offer::each(IMAGE_EMBEDS, &[Dim::Features, Dim::Features]),
    Offer::shared(IMAGE_SCALE, &[]),
];

/// A kind of model.
pub(crate) trait Family: std::fmt::Debug + Send + Sync {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// The texts that a picture is painted from, in the order in which [`condition`](Self::condition) gets them.
    fn texts(&self) -> &[TextSource];

    /// A prompt as the tokenizers are given it.
    fn prompt<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }

    /// Tokens that the denoiser attends to, by those of each text and what was [asked](PictureFacts::text_tokens) for.
    fn tokens(&self, texts: &[usize], _asked: Option<usize>) -> usize {
        texts.first().copied().unwrap_or_default()
    }

    /// Whether it can be asked for a number of tokens: of texts that are [read at once](Reads::Whole).
    fn counts_tokens(&self) -> bool {
        let mut reads = self.texts().iter().map(|text| text.reads);
        reads.any(|reads| matches!(reads, Reads::Whole { .. }))
    }

    /// The network that predicts.
    fn denoiser(&self) -> Component {
        Component::UNET
    }

    /// What the denoiser can be told, and of this what it has to ask for.
    fn offers(&self) -> (&'static [Offer], &'static [&'static str]);

    /// What the denoiser is told all the time, of the embeddings of a prompt or a negative prompt.
    ///
    /// # Errors
    /// One line, if the embeddings do not belong together.
    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String>;

    /// Inputs that depend on the sizes alone: they become a part of the network.
    fn known(&self, _extents: &Extents) -> Vec<KnownInput> {
        Vec::new()
    }

    /// What the denoiser is told in a step: the noisy latents `sample` `[c, h, w]`, with whatever is beside them.
    fn sample(&self, sample: Vec<f32>, extents: &Extents) -> Inputs {
        Inputs::default().with(SAMPLE, &extents.sample(), sample)
    }

    /// What the denoiser is told of the time of a step; `next`: that of the one behind it, 0 behind the last.
    fn timestep(&self, timestep: f32, _next: f32) -> Inputs {
        Inputs::default().with(TIMESTEP, &[], vec![timestep])
    }

    /// What the denoiser predicts for the latents, `[c, h, w]`, of its output for one row; `None` if that does not have the shape.
    fn prediction(&self, output: &[f32], shape: &[usize], extents: &Extents) -> Option<Vec<f32>> {
        (shape == extents.latents).then(|| output.to_vec())
    }

    /// Whether no negative prompt at all is an embedding of zeros, and not that of an empty text.
    fn zeroes_without_negative(&self) -> bool {
        false
    }

    /// Whether the guidance scale is a number that the denoiser is told, so that one pass a step is enough.
    fn embeds_guidance(&self) -> bool;

    /// The input that has it, which the denoiser must ask for then.
    fn guidance_input(&self) -> Option<&'static str> {
        self.embeds_guidance().then_some(EMBEDDED_GUIDANCE)
    }

    /// Whose the noise levels of a flow are.
    fn flow_levels(&self) -> FlowLevels {
        FlowLevels::Scheduler
    }

    /// Of `steps`, those at the beginning that are left out for a picture to begin with.
    fn skipped(&self, steps: usize, strength: f32) -> usize {
        steps - share_of(steps, strength)
    }

    /// Whether the sampler `lcm` lays all its steps over the share of the schedule that a picture to begin with leaves, instead of
    /// taking the last ones.
    fn spreads_strength(&self, _image: bool) -> bool {
        false
    }

    /// What is painted unless the model's files or the caller say otherwise.
    fn defaults(&self) -> Defaults;

    /// Whether latents are the picture itself, a pixel each, and there is no autoencoder.
    fn paints_pixels(&self) -> bool {
        false
    }

    /// What latents are divided by for the decoder, where its configuration does not say; behind that a picture's values are in
    /// [-1, 1].
    fn scaling_factor(&self) -> f32;

    /// What is added to latents behind that, where the configuration does not say.
    fn shift_factor(&self) -> f32 {
        0.0
    }

    /// Colours of the latents of this family's own autoencoder.
    fn preview(&self) -> PreviewFactors;
}

/// A text encoder and what is taken of it.
#[derive(Debug)]
pub(crate) struct TextSource {
    pub(crate) encoder: Component,
    /// Folder of its tokenizer.
    pub(crate) tokenizer: &'static str,
    pub(crate) hidden: Hidden,
    /// The output that has the text as a whole, if that is wanted.
    pub(crate) pooled: Option<&'static str>,
    pub(crate) reads: Reads,
}

/// How much of a prompt an encoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// All of it, in chunks of the tokenizer's length.
    Chunks,
    /// As much as one chunk holds: the rest is read by another encoder.
    OneChunk,
    /// All of it at once, as T5 does.
    Whole {
        /// Tokens, padding included, unless told otherwise; `None`: as the tokenizer's files say.
        tokens: Option<usize>,
        /// Whether padding does not count, if the network can be told so.
        masked: bool,
    },
}

/// What a denoiser can be told of a picture beside the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureFacts {
    /// Width and height, pixels.
    pub(crate) size: (usize, usize),
    pub(crate) guidance: f32,
    /// Features of [`EMBEDDED_GUIDANCE`], if the network asks for it.
    pub(crate) guidance_width: Option<usize>,
    /// Tokens of texts that are [read at once](Reads::Whole), if the family's own number is not wanted.
    pub(crate) text_tokens: Option<usize>,
}

/// Steps and guidance scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Defaults {
    pub(crate) steps: usize,
    pub(crate) guidance: f32,
}

/// As [`of`].
pub(crate) type ChooseFamily = fn(&Config, &Config) -> Result<Box<dyn Family>, String>;

/// The family of a model, by what `model_index.json` and the denoiser's configuration say. A model that does not name its class is
/// taken for Stable Diffusion: what its denoiser asks for is checked later.
pub(crate) fn of(index: &Config, denoiser: &Config) -> Result<Box<dyn Family>, String> {
    let class = index.get("_class_name").and_then(|class| class.as_str());
    let class = class.map_or("", plain_class);
    Ok(if class.starts_with("StableDiffusionXL") {
        Box::new(sdxl::StableDiffusionXl::of(index, denoiser)?)
    } else if class.starts_with("StableDiffusion3") {
        Box::new(sd3::StableDiffusion3::of(index, denoiser)?)
    } else if class.starts_with("Flux") {
        Box::new(flux::Flux::of(class, denoiser)?)
    } else if class.starts_with("PixArt") {
        Box::new(pixart::PixArt::of(class))
    } else if class.starts_with("MiniT2I") {
        Box::new(minit2i::MiniT2I::of(denoiser))
    } else {
        Box::new(sd::StableDiffusion::of(denoiser))
    })
}

/// Whatever a network of this name may be told in some family, be it one that easel cannot paint with yet: for measurements.
pub(crate) fn all_offers(component: &Component) -> Vec<Offer> {
    const PICTURE: &[Dim] = &[Dim::Exactly(3), Dim::PixelHeight, Dim::PixelWidth];
    if *component == Component::VAE_ENCODER {
        return vec![Offer::each(SAMPLE, PICTURE)];
    }
    let mut offers = TEXT_ENCODER_OFFERS.to_vec();
    offers.extend_from_slice(&sdxl::OFFERS);
    offers.extend_from_slice(&sd3::OFFERS);
    offers.extend_from_slice(&pixart::OFFERS);
    offers.extend_from_slice(&flux::OFFERS);
    offers.extend_from_slice(&minit2i::OFFERS);
    offers.extend([
        // ControlNets and adapters.
        Offer::each(HINT, PICTURE),
        Offer::shared(CONTROL_SCALE, &[]),
    ]);
    offers.extend(ADAPTER_OFFERS.iter().cloned());
    offers
}

/// What is known of a picture of this size before a network is built, in any family.
pub(crate) fn all_known(extents: &Extents) -> Vec<KnownInput> {
    flux::known(extents)
}

/// A pipeline's class without the `ORT` or `Onnx` that optimum and diffusers put before it.
pub(crate) fn plain_class(class: &str) -> &str {
    let ort = class.strip_prefix("ORT");
    ort.or_else(|| class.strip_prefix("Onnx")).unwrap_or(class)
}

/// `["library", "Class"]` in `model_index.json`; `[null, null]` is a component that is not used.
fn has(index: &Config, component: &str) -> bool {
    let class = index.get(component).and_then(|pair| pair.get(1));
    class.is_some_and(|class| !class.is_null())
}

/// As diffusers' pipelines of flow-matching models count them: a step that is begun is taken.
fn skipped_of_a_flow(steps: usize, strength: f32) -> usize {
    let taken = (steps as f64 * decimal(strength)).min(steps as f64);
    (steps as f64 - taken) as usize
}

/// Whether the denoiser is told the guidance scale, so that one pass a step is enough.
fn embeds_guidance(denoiser: &Config) -> bool {
    let width = denoiser.get("time_cond_proj_dim");
    width.is_some_and(|width| !width.is_null())
}

/// The guidance scale as an embedding of so many features: that of a timestep of 1000 · (guidance − 1).
fn with_guidance(inputs: Inputs, picture: &PictureFacts) -> Inputs {
    let Some(width) = picture.guidance_width else {
        return inputs;
    };
    let half = width / 2;
    let rate = match half {
        0 | 1 => 0.0,
        _ => 10_000_f32.ln() / (half as f32 - 1.0),
    };
    let scaled = (picture.guidance - 1.0) * 1000.0;
    // In f32 as diffusers does it: the sine of a large number shows every rounding.
    let angle = |at: usize| {
        let frequency = libm::exp(-f64::from(at as f32 * rate)) as f32;
        f64::from(scaled * frequency)
    };
    let mut data = vec![0.0; width];
    for at in 0..half {
        data[at] = libm::sin(angle(at)) as f32;
        data[half + at] = libm::cos(angle(at)) as f32;
    }
    inputs.with(EMBEDDED_GUIDANCE, &[width], data)
}

#[cfg(test)]
mod tests;
