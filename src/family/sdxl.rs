//! Stable Diffusion XL, and all with its layout: SDXL-Turbo, SSD-1B, Segmind-Vega, SDXL-Lightning.

use super::{
    Defaults, EMBEDDED_GUIDANCE, Family, PictureFacts, Reads, SAMPLE, TEXT, TIMESTEP, TextSource,
    embeds_guidance, has, with_guidance,
};
use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Inputs, Offer};
use crate::preview::PreviewFactors;
use crate::stages::{Hidden, TextEmbedding};

/// The text as a whole.
const POOLED: &str = "text_embeds";
/// Height and width of the picture as it was found, where it was cut (top, left), height and width that it is to have, in pixels
/// (*micro-conditioning*, section 2.2).
const SIZES: &str = "time_ids";

/// Podell et al., arXiv 2307.01952.
#[derive(Debug)]
pub(super) struct StableDiffusionXl {
    /// See [`Family::zeroes_without_negative`].
    zeroes: bool,
    embeds_guidance: bool,
}

impl StableDiffusionXl {
    pub(super) fn of(index: &Config, denoiser: &Config) -> Result<Self, String> {
        if index.get("text_encoder").is_some() && !has(index, "text_encoder") {
            return Err("is Stable Diffusion XL's refiner, which finishes pictures that another model began: easel does not have that; take the base model".into());
        }
        let zeroes = index.get("force_zeros_for_empty_prompt");
        Ok(Self {
            zeroes: zeroes.and_then(|zeroes| zeroes.as_bool()).unwrap_or(true),
            embeds_guidance: embeds_guidance(denoiser),
        })
    }
}

static TEXTS: [TextSource; 2] = [
    TextSource {
        encoder: Component::TEXT_ENCODER,
        tokenizer: "tokenizer",
        hidden: Hidden::Penultimate,
        pooled: None,
        reads: Reads::Chunks,
    },
    TextSource {
        encoder: Component::TEXT_ENCODER_2,
        tokenizer: "tokenizer_2",
        hidden: Hidden::Penultimate,
        pooled: Some(POOLED),
        reads: Reads::Chunks,
    },
];

pub(super) static OFFERS: [Offer; 6] = [
    Offer::each(SAMPLE, &[Dim::Sample, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(POOLED, &[Dim::Features]),
    Offer::each(SIZES, &[Dim::Exactly(6)]),
    Offer::each(EMBEDDED_GUIDANCE, &[Dim::Features]),
];

impl Family for StableDiffusionXl {
    fn name(&self) -> &'static str {
        "Stable Diffusion XL"
    }

    fn texts(&self) -> &[TextSource] {
        &TEXTS
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        (&OFFERS, &[SAMPLE, TIMESTEP, TEXT, POOLED, SIZES])
    }

    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let [first, second] = texts else {
            return Err("Stable Diffusion XL has two texts".into());
        };
        if first.tokens != second.tokens {
            return Err(format!(
                "the text encoders give {} and {} tokens: they do not belong together",
                first.tokens, second.tokens
            ));
        }
        // Side by side, token by token.
        let tokens = first
            .data
            .chunks(first.width)
            .zip(second.data.chunks(second.width));
        let data = tokens.flat_map(|(first, second)| [first, second].concat());
        let (width, height) = (picture.size.0 as f32, picture.size.1 as f32);
        let sizes = vec![height, width, 0.0, 0.0, height, width];
        let inputs = Inputs::default()
            .with(
                TEXT,
                &[first.tokens, first.width + second.width],
                data.collect(),
            )
            .with(POOLED, &[second.pooled.len()], second.pooled.clone())
            .with(SIZES, &[sizes.len()], sizes);
        Ok(with_guidance(inputs, picture))
    }

    fn zeroes_without_negative(&self) -> bool {
        self.zeroes
    }

    fn embeds_guidance(&self) -> bool {
        self.embeds_guidance
    }

    fn defaults(&self) -> Defaults {
        match self.embeds_guidance {
            false => Defaults {
                steps: 20,
                guidance: 5.0,
            },
            true => Defaults {
                steps: 4,
                guidance: 8.5,
            },
        }
    }

    fn scaling_factor(&self) -> f32 {
        0.13025
    }

    fn preview(&self) -> PreviewFactors {
        preview()
    }
}

/// A linear fit that the community has settled on (ComfyUI's `latent_formats.py`).
pub(super) fn preview() -> PreviewFactors {
    PreviewFactors {
        rows: vec![
            [0.3651, 0.4232, 0.4341],
            [-0.2533, -0.0042, 0.1068],
            [0.1076, 0.1111, -0.0362],
            [-0.3165, -0.2492, -0.2188],
        ],
        bias: [0.1084, -0.0175, -0.0011],
    }
}
