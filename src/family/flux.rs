//! Flux.1, schnell and dev.

use super::{
    Defaults, Family, GUIDANCE, HIDDEN_STATES, POOLED_TEXT, PictureFacts, Reads, TEXT, TIMESTEP,
    TRAINED_TIMES, TextSource, skipped_of_a_flow,
};
use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Extents, Inputs, KnownInput, Offer, PATCH};
use crate::preview::PreviewFactors;
use crate::scheduler::FlowLevels;
use crate::stages::{Hidden, TextEmbedding};

/// Where a patch lies: 0, row, column.
const PATCH_IDS: &str = "img_ids";
/// Where a token of the text lies: nowhere, three zeros.
const TEXT_IDS: &str = "txt_ids";

/// Black Forest Labs, Flux.1 (2024), as diffusers' `FluxPipeline` paints with it: patches of 2×2 latents are tokens, T5 says what is
/// attended to, and CLIP what the whole is like.
#[derive(Debug)]
pub(super) struct Flux {
    /// It was distilled to follow a guidance scale: dev. schnell was distilled to four steps without.
    follows_guidance: bool,
}

impl Flux {
    /// Of a pipeline of this class.
    pub(super) fn of(class: &str, denoiser: &Config) -> Result<Self, String> {
        const PAINTED: [&str; 3] = ["FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"];
        if !PAINTED.contains(&class) {
            let class = crate::text::excerpt(class);
            return Err(format!(
                "is a kind of Flux that easel does not paint with, {class}: take Flux.1 schnell or dev"
            ));
        }
        let follows = denoiser.get("guidance_embeds");
        Ok(Self {
            follows_guidance: follows
                .and_then(|follows| follows.as_bool())
                .unwrap_or(false),
        })
    }
}

static TEXTS: [TextSource; 2] = [
    TextSource {
        encoder: Component::TEXT_ENCODER,
        tokenizer: "tokenizer",
        hidden: Hidden::Last,
        pooled: Some("pooler_output"),
        reads: Reads::OneChunk,
    },
    TextSource {
        encoder: Component::TEXT_ENCODER_2,
        tokenizer: "tokenizer_2",
        hidden: Hidden::Last,
        pooled: None,
        reads: Reads::Whole {
            tokens: None,
            masked: false,
        },
    },
];

pub(super) static OFFERS: [Offer; 7] = [
    Offer::each(HIDDEN_STATES, &[Dim::Patches, Dim::PatchChannels]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(POOLED_TEXT, &[Dim::Features]),
    Offer::shared(GUIDANCE, &[]),
    Offer::shared(PATCH_IDS, &[Dim::Patches, Dim::Exactly(3)]),
    Offer::shared(TEXT_IDS, &[Dim::Tokens, Dim::Exactly(3)]),
];

impl Family for Flux {
    fn name(&self) -> &'static str {
        "Flux"
    }

    fn texts(&self) -> &[TextSource] {
        &TEXTS
    }

    fn tokens(&self, texts: &[usize], _asked: Option<usize>) -> usize {
        texts.last().copied().unwrap_or_default()
    }

    fn denoiser(&self) -> Component {
        Component::TRANSFORMER
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        (&OFFERS, &[HIDDEN_STATES, TIMESTEP, TEXT, POOLED_TEXT])
    }

    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let [clip, t5] = texts else {
            return Err("Flux has two texts".into());
        };
        Ok(Inputs::default()
            .with(TEXT, &[t5.tokens, t5.width], t5.data.clone())
            .with(POOLED_TEXT, &[clip.pooled.len()], clip.pooled.clone())
            .with(GUIDANCE, &[], vec![picture.guidance]))
    }

    fn known(&self, extents: &Extents) -> Vec<KnownInput> {
        known(extents)
    }

    /// `[c, h, w]` to `[h/2 · w/2, c · 2 · 2]`: a token is a patch, its channels one after the other.
    fn sample(&self, sample: Vec<f32>, extents: &Extents) -> Inputs {
        let mut packed = vec![0.0; sample.len()];
        for (to, from) in places(extents).enumerate() {
            packed[to] = sample[from];
        }
        let dims =
            [Dim::Patches, Dim::PatchChannels].map(|dim| extents.of(dim).unwrap_or_default());
        Inputs::default().with(HIDDEN_STATES, &dims, packed)
    }

    fn timestep(&self, timestep: f32, _next: f32) -> Inputs {
        Inputs::default().with(TIMESTEP, &[], vec![timestep / TRAINED_TIMES])
    }

    fn prediction(&self, output: &[f32], shape: &[usize], extents: &Extents) -> Option<Vec<f32>> {
        let dims =
            [Dim::Patches, Dim::PatchChannels].map(|dim| extents.of(dim).unwrap_or_default());
        if shape != dims {
            return None;
        }
        let mut unpacked = vec![0.0; output.len()];
        for (from, to) in places(extents).enumerate() {
            unpacked[to] = output[from];
        }
        Some(unpacked)
    }

    /// Also of schnell, which is told nothing: a second pass is what `--true-guidance` asks for.
    fn embeds_guidance(&self) -> bool {
        true
    }

    fn guidance_input(&self) -> Option<&'static str> {
        self.follows_guidance.then_some(GUIDANCE)
    }

    fn flow_levels(&self) -> FlowLevels {
        FlowLevels::Pipeline
    }

    fn skipped(&self, steps: usize, strength: f32) -> usize {
        skipped_of_a_flow(steps, strength)
    }

    fn defaults(&self) -> Defaults {
        match self.follows_guidance {
            true => Defaults {
                steps: 28,
                guidance: 3.5,
            },
            false => Defaults {
                steps: 4,
                guidance: 1.0,
            },
        }
    }

    fn scaling_factor(&self) -> f32 {
        0.3611
    }

    fn shift_factor(&self) -> f32 {
        0.1159
    }

    /// A linear fit that the community has settled on (ComfyUI's `latent_formats.py`).
    fn preview(&self) -> PreviewFactors {
        PreviewFactors {
            rows: vec![
                [-0.0346, 0.0244, 0.0681],
                [0.0034, 0.0210, 0.0687],
                [0.0275, -0.0668, -0.0433],
                [-0.0174, 0.0160, 0.0617],
                [0.0859, 0.0721, 0.0329],
                [0.0004, 0.0383, 0.0115],
                [0.0405, 0.0861, 0.0915],
                [-0.0236, -0.0185, -0.0259],
                [-0.0245, 0.0250, 0.1180],
                [0.1008, 0.0755, -0.0421],
                [-0.0515, 0.0201, 0.0011],
                [0.0428, -0.0012, -0.0036],
                [0.0817, 0.0765, 0.0749],
                [-0.1264, -0.0522, -0.1103],
                [-0.0280, -0.0881, -0.0499],
                [-0.1262, -0.0982, -0.0778],
            ],
            bias: [-0.0329, -0.0718, -0.0851],
        }
    }
}

/// Where patches and tokens lie.
pub(super) fn known(extents: &Extents) -> Vec<KnownInput> {
    let [_, height, width] = extents.latents;
    let rows = 0..(height / PATCH) as i32;
    let places =
        rows.flat_map(|row| (0..(width / PATCH) as i32).map(move |column| [0, row, column]));
    let known = |name, values| KnownInput { name, values };
    vec![
        known(PATCH_IDS, places.flatten().collect()),
        known(TEXT_IDS, vec![0; extents.tokens * 3]),
    ]
}

/// Where the values of the packed latents lie in `[c, h, w]`, one after the other.
fn places(extents: &Extents) -> impl Iterator<Item = usize> {
    let [channels, height, width] = extents.latents;
    let patches = (0..height / PATCH)
        .flat_map(move |row| (0..width / PATCH).map(move |column| (row, column)));
    patches.flat_map(move |(row, column)| {
        (0..channels).flat_map(move |channel| {
            (0..PATCH * PATCH).map(move |inner| {
                let row = row * PATCH + inner / PATCH;
                let column = column * PATCH + inner % PATCH;
                (channel * height + row) * width + column
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: two channels of 2×4 are two tokens of eight.
    #[test]
    fn patches_are_tokens_and_back() {
        let extents = Extents {
            latents: [2, 2, 4],
            beside: 0,
            factor: 8,
            tokens: 3,
        };
        let family = Flux {
            follows_guidance: true,
        };
        let latents: Vec<f32> = (0..16_u8).map(f32::from).collect();
        let told = family.sample(latents.clone(), &extents);
        let packed = told.get(HIDDEN_STATES).expect("it is told");
        assert_eq!(packed.dims, [2, 8]);
        let wanted = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15_u8];
        assert_eq!(packed.data, wanted.map(f32::from));
        let back = family.prediction(&packed.data, &packed.dims, &extents);
        assert_eq!(back, Some(latents));
        assert_eq!(family.prediction(&packed.data, &[16], &extents), None);
        let known = family.known(&extents);
        assert_eq!(known[0].values, [0, 0, 0, 0, 0, 1]);
        assert_eq!(known[1].values, [0; 9]);
    }
}
