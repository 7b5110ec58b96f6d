//! MiniT2I, teacher and student.

use super::{
    Defaults, Family, GUIDANCE, HIDDEN_STATES, PictureFacts, Reads, TEXT, TEXT_MASK, TIMESTEP,
    TRAINED_TIMES, TextSource, skipped_of_a_flow,
};
use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Extents, Inputs, Offer};
use crate::preview::PreviewFactors;
use crate::scheduler::FlowLevels;
use crate::stages::{Hidden, TextEmbedding};

/// How much less of the latents is noise after the step.
const STEP_LENGTH: &str = "step_length";
/// The shares of noise between which guidance counts.
const GUIDANCE_INTERVAL: &str = "guidance_interval";
/// Those with which the authors measure the student (`configs/eval_distill_config_b16.yml` of their code).
const INTERVAL: [f32; 2] = [0.2, 0.8];
/// Latents of a pixel in [-1, 1]. The authors mix pictures with noise of a standard deviation of 2; to samplers, noise has 1.
const PIXELS: f32 = 0.5;

/// Wang et al., MiniT2I (2026, github.com/PeppaKing8/minit2i-jax): a transformer of pixels. Its file tells the velocity of a flow, as
/// `easel_export` writes it; docs/bring-your-own-model.md says of what.
#[derive(Debug)]
pub(super) struct MiniT2I {
    /// It was distilled to few steps, whose mean velocity it tells (Geng et al., arXiv 2505.13447), guided as it is told.
    is_student: bool,
}

impl MiniT2I {
    pub(super) fn of(denoiser: &Config) -> Self {
        let flag = denoiser.get("mean_flow");
        Self {
            is_student: flag.and_then(|flag| flag.as_bool()).unwrap_or(false),
        }
    }
}

static TEXTS: [TextSource; 1] = [TextSource {
    encoder: Component::TEXT_ENCODER,
    tokenizer: "tokenizer",
    hidden: Hidden::Last,
    pooled: None,
    reads: Reads::Whole {
        tokens: Some(256),
        masked: true,
    },
}];

pub(super) static OFFERS: [Offer; 7] = [
    Offer::each(HIDDEN_STATES, &[Dim::Channels, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(TEXT_MASK, &[Dim::Tokens]),
    Offer::shared(STEP_LENGTH, &[]),
    Offer::shared(GUIDANCE, &[]),
    Offer::each(GUIDANCE_INTERVAL, &[Dim::Exactly(2)]),
];

impl Family for MiniT2I {
    fn name(&self) -> &'static str {
        "MiniT2I"
    }

    fn texts(&self) -> &[TextSource] {
        &TEXTS
    }

    fn denoiser(&self) -> Component {
        Component::TRANSFORMER
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        let needed: &[&str] = match self.is_student {
            true => &[HIDDEN_STATES, TIMESTEP, TEXT, TEXT_MASK, STEP_LENGTH],
            false => &[HIDDEN_STATES, TIMESTEP, TEXT, TEXT_MASK],
        };
        (&OFFERS, needed)
    }

    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let text = &texts[0];
        Ok(Inputs::default()
            .with(TEXT, &[text.tokens, text.width], text.data.clone())
            .with(TEXT_MASK, &[text.tokens], text.mask())
            .with(GUIDANCE, &[], vec![picture.guidance])
            .with(GUIDANCE_INTERVAL, &[2], INTERVAL.to_vec()))
    }

    fn sample(&self, sample: Vec<f32>, extents: &Extents) -> Inputs {
        Inputs::default().with(HIDDEN_STATES, &extents.sample(), sample)
    }

    fn timestep(&self, timestep: f32, next: f32) -> Inputs {
        Inputs::default()
            .with(TIMESTEP, &[], vec![timestep / TRAINED_TIMES])
            .with(STEP_LENGTH, &[], vec![(timestep - next) / TRAINED_TIMES])
    }

    /// No text is one of padding alone, in whose place the network has a token of its own.
    fn zeroes_without_negative(&self) -> bool {
        true
    }

    fn embeds_guidance(&self) -> bool {
        self.is_student
    }

    fn guidance_input(&self) -> Option<&'static str> {
        self.is_student.then_some(GUIDANCE)
    }

    /// Evenly spaced, from noise alone to none.
    fn flow_levels(&self) -> FlowLevels {
        FlowLevels::Pipeline
    }

    fn skipped(&self, steps: usize, strength: f32) -> usize {
        skipped_of_a_flow(steps, strength)
    }

    /// Those with which the authors measure.
    fn defaults(&self) -> Defaults {
        match self.is_student {
            true => Defaults {
                steps: 4,
                guidance: 12.0,
            },
            false => Defaults {
                steps: 100,
                guidance: 6.0,
            },
        }
    }

    fn paints_pixels(&self) -> bool {
        true
    }

    fn scaling_factor(&self) -> f32 {
        PIXELS
    }

    fn preview(&self) -> PreviewFactors {
        let colour = 1.0 / PIXELS;
        PreviewFactors {
            rows: vec![[colour, 0.0, 0.0], [0.0, colour, 0.0], [0.0, 0.0, colour]],
            bias: [0.0; 3],
        }
    }
}
