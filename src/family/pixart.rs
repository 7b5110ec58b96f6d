//! PixArt-alpha and PixArt-Sigma.

use std::borrow::Cow;

use super::{
    Defaults, Family, HIDDEN_STATES, PictureFacts, Reads, TEXT, TEXT_MASK, TIMESTEP, TextSource,
};
use crate::component::Component;
use crate::inputs::{Dim, Extents, Inputs, Offer};
use crate::preview::PreviewFactors;
use crate::stages::{Hidden, TextEmbedding};

/// Height and width of the picture, pixels, of the model for 1024×1024.
const RESOLUTION: &str = "resolution";
/// Height by width, of the same.
const ASPECT_RATIO: &str = "aspect_ratio";

/// Chen et al., arXiv 2310.00426; Sigma: arXiv 2403.04692.
#[derive(Debug)]
pub(super) struct PixArt {
    is_sigma: bool,
    texts: [TextSource; 1],
}

impl PixArt {
    /// Of a pipeline of this class.
    pub(super) fn of(class: &str) -> Self {
        let is_sigma = class.starts_with("PixArtSigma");
        Self {
            is_sigma,
            texts: [TextSource {
                encoder: Component::TEXT_ENCODER,
                tokenizer: "tokenizer",
                hidden: Hidden::Last,
                pooled: None,
                reads: Reads::Whole {
                    tokens: Some(if is_sigma { 300 } else { 120 }),
                    masked: true,
                },
            }],
        }
    }
}

pub(super) static OFFERS: [Offer; 6] = [
    Offer::each(HIDDEN_STATES, &[Dim::Sample, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(TEXT_MASK, &[Dim::Tokens]),
    Offer::each(RESOLUTION, &[Dim::Exactly(2)]),
    Offer::each(ASPECT_RATIO, &[Dim::Exactly(1)]),
];

impl Family for PixArt {
    fn name(&self) -> &'static str {
        "PixArt"
    }

    fn texts(&self) -> &[TextSource] {
        &self.texts
    }

    fn prompt<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Owned(text.to_lowercase().trim().to_owned())
    }

    fn denoiser(&self) -> Component {
        Component::TRANSFORMER
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        (&OFFERS, &[HIDDEN_STATES, TIMESTEP, TEXT])
    }

    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let text = &texts[0];
        let (width, height) = (picture.size.0 as f32, picture.size.1 as f32);
        Ok(Inputs::default()
            .with(TEXT, &[text.tokens, text.width], text.data.clone())
            .with(TEXT_MASK, &[text.tokens], text.mask())
            .with(RESOLUTION, &[2], vec![height, width])
            .with(ASPECT_RATIO, &[1], vec![height / width]))
    }

    fn sample(&self, sample: Vec<f32>, extents: &Extents) -> Inputs {
        Inputs::default().with(HIDDEN_STATES, &extents.sample(), sample)
    }

    /// Behind the noise there is its variance, which no sampler here asks for (Nichol & Dhariwal, arXiv 2102.09672, section 3.1).
    fn prediction(&self, output: &[f32], shape: &[usize], extents: &Extents) -> Option<Vec<f32>> {
        let [channels, height, width] = extents.latents;
        let fits = *shape == [channels, height, width] || *shape == [2 * channels, height, width];
        fits.then(|| output[..channels * height * width].to_vec())
    }

    fn embeds_guidance(&self) -> bool {
        false
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            steps: 20,
            guidance: 4.5,
        }
    }

    fn scaling_factor(&self) -> f32 {
        match self.is_sigma {
            false => 0.18215,
            true => 0.13025,
        }
    }

    /// The autoencoders are those of Stable Diffusion and, of Sigma, of Stable Diffusion XL.
    fn preview(&self) -> PreviewFactors {
        match self.is_sigma {
            false => super::sd::preview(),
            true => super::sdxl::preview(),
        }
    }
}
