//! Stable Diffusion 1.x and 2.x, and all with their layout: SD-Turbo, BK-SDM, SDXS, latent consistency models.

use super::{
    Defaults, EMBEDDED_GUIDANCE, Family, PictureFacts, Reads, SAMPLE, TEXT, TIMESTEP, TextSource,
    embeds_guidance, with_guidance,
};
use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Inputs, Offer};
use crate::preview::PreviewFactors;
use crate::stages::{Hidden, TextEmbedding};

/// Rombach et al., arXiv 2112.10752.
#[derive(Debug)]
pub(super) struct StableDiffusion {
    /// The denoiser is told the guidance scale (LCM, Luo et al., arXiv 2310.04378).
    embeds_guidance: bool,
}

impl StableDiffusion {
    pub(super) fn of(denoiser: &Config) -> Self {
        Self {
            embeds_guidance: embeds_guidance(denoiser),
        }
    }
}

static TEXTS: [TextSource; 1] = [TextSource {
    encoder: Component::TEXT_ENCODER,
    tokenizer: "tokenizer",
    hidden: Hidden::Last,
    pooled: None,
    reads: Reads::Chunks,
}];

static OFFERS: [Offer; 4] = [
    Offer::each(SAMPLE, &[Dim::Sample, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(EMBEDDED_GUIDANCE, &[Dim::Features]),
];

impl Family for StableDiffusion {
    fn name(&self) -> &'static str {
        "Stable Diffusion"
    }

    fn texts(&self) -> &[TextSource] {
        &TEXTS
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        (&OFFERS, &[SAMPLE, TIMESTEP, TEXT])
    }

    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let text = &texts[0];
        let inputs = Inputs::default().with(TEXT, &[text.tokens, text.width], text.data.clone());
        Ok(with_guidance(inputs, picture))
    }

    fn embeds_guidance(&self) -> bool {
        self.embeds_guidance
    }

    /// As diffusers' `LatentConsistencyModelImg2ImgPipeline` does it.
    fn spreads_strength(&self, image: bool) -> bool {
        image && self.embeds_guidance
    }

    fn defaults(&self) -> Defaults {
        match self.embeds_guidance {
            false => Defaults {
                steps: 20,
                guidance: 7.5,
            },
            // As diffusers' `LatentConsistencyModelPipeline` has them.
            true => Defaults {
                steps: 4,
                guidance: 8.5,
            },
        }
    }

    fn scaling_factor(&self) -> f32 {
        0.18215
    }

    fn preview(&self) -> PreviewFactors {
        preview()
    }
}

/// The linear approximation that the community has settled on (first published on the Hugging Face forum, topic 23204).
pub(super) fn preview() -> PreviewFactors {
    PreviewFactors {
        rows: vec![
            [0.298, 0.207, 0.208],
            [0.187, 0.286, 0.173],
            [-0.158, 0.189, 0.264],
            [-0.184, -0.271, -0.473],
        ],
        bias: [0.0; 3],
    }
}
