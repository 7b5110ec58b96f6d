//! Stable Diffusion 3 and 3.5.

use super::{
    Defaults, Family, HIDDEN_STATES, POOLED_TEXT, PictureFacts, Reads, TEXT, TIMESTEP, TextSource,
    has, skipped_of_a_flow,
};
use crate::component::Component;
use crate::config::Config;
use crate::inputs::{Dim, Extents, Inputs, Offer};
use crate::preview::PreviewFactors;
use crate::stages::{Hidden, TextEmbedding};

/// Tokens of T5, or of zeros where there is none, unless told otherwise.
const T5_TOKENS: usize = 256;
/// Features of a token of T5-XXL, and of the joint attention's text.
const JOINT_WIDTH: usize = 4096;
/// Features of the two texts as a whole.
const POOLED_WIDTH: usize = 2048;
/// The largest width that a file may say.
const LARGEST_WIDTH: u32 = 1 << 16;

/// Esser et al., arXiv 2403.03206. Two CLIP encoders and T5 read the prompt; each of them may be missing, and counts as zeros then.
#[derive(Debug)]
pub(super) struct StableDiffusion3 {
    /// Those that are there.
    texts: Vec<TextSource>,
    joint_width: usize,
    pooled_width: usize,
}

impl StableDiffusion3 {
    pub(super) fn of(index: &Config, denoiser: &Config) -> Result<Self, String> {
        let has_t5 = has(index, T5.name());
        let clip = |encoder: Component, tokenizer| TextSource {
            encoder,
            tokenizer,
            hidden: Hidden::Penultimate,
            pooled: Some("text_embeds"),
            reads: match has_t5 {
                true => Reads::OneChunk,
                false => Reads::Chunks,
            },
        };
        let t5 = TextSource {
            encoder: T5,
            tokenizer: "tokenizer_3",
            hidden: Hidden::Last,
            pooled: None,
            reads: Reads::Whole {
                tokens: Some(T5_TOKENS),
                masked: false,
            },
        };
        let all = [clip(CLIP_L, "tokenizer"), clip(CLIP_G, "tokenizer_2"), t5];
        let texts = all.into_iter();
        let texts: Vec<_> = texts
            .filter(|text| has(index, text.encoder.name()))
            .collect();
        if texts.is_empty() {
            return Err("has no text encoder".into());
        }
        let width = |key, usual| {
            let width = denoiser.count(key, 1..=LARGEST_WIDTH);
            width.map(|width| width.map_or(usual, |width| width as usize))
        };
        Ok(Self {
            texts,
            joint_width: width("joint_attention_dim", JOINT_WIDTH)?,
            pooled_width: width("pooled_projection_dim", POOLED_WIDTH)?,
        })
    }
}

const CLIP_L: Component = Component::TEXT_ENCODER;
const CLIP_G: Component = Component::TEXT_ENCODER_2;
const T5: Component = Component::TEXT_ENCODER_3;

pub(super) static OFFERS: [Offer; 4] = [
    Offer::each(HIDDEN_STATES, &[Dim::Sample, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(POOLED_TEXT, &[Dim::Features]),
];

impl Family for StableDiffusion3 {
    fn name(&self) -> &'static str {
        "Stable Diffusion 3"
    }

    fn texts(&self) -> &[TextSource] {
        &self.texts
    }

    /// Those of CLIP, which lie side by side, and behind them those of T5.
    fn tokens(&self, texts: &[usize], asked: Option<usize>) -> usize {
        let by_encoder = self.texts.iter().zip(texts);
        let clip = by_encoder.clone().find(|(text, _)| text.encoder != T5);
        let mut t5 = by_encoder.filter(|(text, _)| text.encoder == T5);
        let t5 = t5.next().map(|(_, tokens)| *tokens);
        clip.map_or(0, |(_, tokens)| *tokens) + t5.or(asked).unwrap_or(T5_TOKENS)
    }

    /// Zeros stand in for T5, as many as it would have read.
    fn counts_tokens(&self) -> bool {
        true
    }

    fn denoiser(&self) -> Component {
        Component::TRANSFORMER
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        (&OFFERS, &[HIDDEN_STATES, TIMESTEP, TEXT, POOLED_TEXT])
    }

    /// ```text
    /// [ L features ‖ G features ‖ zeros ]  77 tokens
    /// [ T5's features                   ]  256 tokens, or zeros
    /// ```
    fn condition(&self, texts: &[TextEmbedding], picture: &PictureFacts) -> Result<Inputs, String> {
        let of = |component: &Component| {
            let mut all = self.texts.iter().zip(texts);
            let found = all.find(|(source, _)| source.encoder == *component);
            found.map(|(_, text)| text)
        };
        let (first, second, t5) = (of(&CLIP_L), of(&CLIP_G), of(&T5));
        let width = self.joint_width;
        let clip_tokens = first.or(second).map_or(0, |text| text.tokens);
        let t5_tokens = t5.map_or(picture.text_tokens.unwrap_or(T5_TOKENS), |t5| t5.tokens);
        // An encoder that is missing leaves its place empty.
        let rest = |other: Option<&TextEmbedding>| {
            let given = other.map_or(0, |other| other.pooled.len());
            self.pooled_width.saturating_sub(given)
        };
        let first_width = first.map_or_else(|| rest(second), |first| first.pooled.len());
        let second_start = first.map_or(first_width, |first| first.width);
        let fits = [first, second]
            .into_iter()
            .flatten()
            .all(|text| text.tokens == clip_tokens)
            && second_start + second.map_or(0, |second| second.width) <= width
            && t5.is_none_or(|t5| t5.width == width);
        let mut pooled = vec![0.0; first_width];
        if let Some(first) = first {
            pooled.copy_from_slice(&first.pooled);
        }
        match second {
            Some(second) => pooled.extend(&second.pooled),
            None => pooled.resize(pooled.len().max(self.pooled_width), 0.0),
        }
        if !fits || pooled.len() != self.pooled_width {
            return Err(format!(
                "attends to {width} features of a token and {} of a text: its text encoders give others, and do not belong to it",
                self.pooled_width
            ));
        }
        let mut data = vec![0.0; (clip_tokens + t5_tokens) * width];
        for (start, text) in [(0, first), (second_start, second)] {
            let Some(text) = text else { continue };
            let tokens = data.chunks_mut(width).zip(text.data.chunks(text.width));
            for (token, features) in tokens {
                token[start..start + text.width].copy_from_slice(features);
            }
        }
        if let Some(t5) = t5 {
            data[clip_tokens * width..].copy_from_slice(&t5.data);
        }
        Ok(Inputs::default()
            .with(TEXT, &[clip_tokens + t5_tokens, width], data)
            .with(POOLED_TEXT, &[pooled.len()], pooled))
    }

    fn sample(&self, sample: Vec<f32>, extents: &Extents) -> Inputs {
        Inputs::default().with(HIDDEN_STATES, &extents.sample(), sample)
    }

    fn embeds_guidance(&self) -> bool {
        false
    }

    fn skipped(&self, steps: usize, strength: f32) -> usize {
        skipped_of_a_flow(steps, strength)
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            steps: 28,
            guidance: 7.0,
        }
    }

    fn scaling_factor(&self) -> f32 {
        1.5305
    }

    fn shift_factor(&self) -> f32 {
        0.0609
    }

    /// As Stability AI's own programs have them (`sd3_impls.py` of github.com/Stability-AI/sd3.5).
    fn preview(&self) -> PreviewFactors {
        PreviewFactors {
            rows: vec![
                [-0.0645, 0.0177, 0.1052],
                [0.0028, 0.0312, 0.0650],
                [0.1848, 0.0762, 0.0360],
                [0.0944, 0.0360, 0.0889],
                [0.0897, 0.0506, -0.0364],
                [-0.0020, 0.1203, 0.0284],
                [0.0855, 0.0118, 0.0283],
                [-0.0539, 0.0658, 0.1047],
                [-0.0057, 0.0116, 0.0700],
                [-0.0412, 0.0281, -0.0039],
                [0.1106, 0.1171, 0.1220],
                [-0.0248, 0.0682, -0.0481],
                [0.0815, 0.0846, 0.1207],
                [-0.0120, -0.0055, -0.0867],
                [-0.0749, -0.0634, -0.0456],
                [-0.1418, -0.1457, -0.1259],
            ],
            bias: [0.0; 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family with those of the three encoders that are there, six features of a token and five of a text.
    fn family(there: [bool; 3]) -> StableDiffusion3 {
        let names = ["text_encoder", "text_encoder_2", "text_encoder_3"];
        let entries = names.iter().zip(there).map(|(name, there)| {
            let class = if there {
                "\"transformers\", \"X\""
            } else {
                "null, null"
            };
            format!("\"{name}\": [{class}]")
        });
        let index = format!("{{{}}}", entries.collect::<Vec<_>>().join(", "));
        let index = Config::parse(&index).expect("it is one");
        let denoiser = r#"{"joint_attention_dim": 6, "pooled_projection_dim": 5}"#;
        let denoiser = Config::parse(denoiser).expect("it is one");
        StableDiffusion3::of(&index, &denoiser).expect("it has a text encoder")
    }

    fn text(tokens: usize, data: &[f32], pooled: &[f32]) -> TextEmbedding {
        TextEmbedding {
            tokens,
            width: data.len() / tokens,
            data: data.to_vec(),
            pooled: pooled.to_vec(),
            length: tokens,
        }
    }

    /// What is told, with a text of one token in the place of T5's.
    fn told(there: [bool; 3]) -> (Vec<f32>, Vec<f32>) {
        let all = [
            text(2, &[1.0, 2.0], &[0.1, 0.2]),
            text(2, &[3.0, 4.0, 5.0, 6.0], &[0.3, 0.4, 0.5]),
            text(1, &[9.0; 6], &[]),
        ];
        let texts = all.into_iter().zip(there).filter(|(_, there)| *there);
        let texts: Vec<TextEmbedding> = texts.map(|(text, _)| text).collect();
        let picture = PictureFacts {
            size: (8, 8),
            guidance: 1.0,
            guidance_width: None,
            text_tokens: Some(1),
        };
        let family = family(there);
        let lengths: Vec<usize> = texts.iter().map(|text| text.tokens).collect();
        let inputs = family.condition(&texts, &picture).expect("they fit");
        let (text, pooled) = (inputs.get(TEXT), inputs.get(POOLED_TEXT));
        let (text, pooled) = (text.expect("a text"), pooled.expect("the whole"));
        assert_eq!(text.dims[0], family.tokens(&lengths, Some(1)));
        (text.data.clone(), pooled.data.clone())
    }

    /// Worked by hand: an encoder that is missing leaves zeros in its place.
    #[test]
    fn encoders_lie_side_by_side_and_behind_each_other() {
        let t5 = [9.0; 6];
        let (text, pooled) = told([true; 3]);
        assert_eq!(text[..6], [1.0, 3.0, 4.0, 0.0, 0.0, 0.0]);
        assert_eq!(text[6..12], [2.0, 5.0, 6.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            (&text[12..], &pooled[..]),
            (&t5[..], &[0.1, 0.2, 0.3, 0.4, 0.5][..])
        );
        let (text, pooled) = told([true, true, false]);
        assert_eq!((&text[12..], pooled.len()), (&[0.0; 6][..], 5));
        let (text, pooled) = told([true, false, true]);
        assert_eq!(text[..6], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(pooled, [0.1, 0.2, 0.0, 0.0, 0.0]);
        let (text, pooled) = told([false, true, true]);
        // As wide as the other's text as a whole.
        assert_eq!(text[..6], [0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
        assert_eq!(pooled, [0.0, 0.0, 0.3, 0.4, 0.5]);
        let (text, pooled) = told([false, false, true]);
        assert_eq!((&text[..], &pooled[..]), (&t5[..], &[0.0; 5][..]));
    }

    #[test]
    fn encoders_of_another_model_are_refused() {
        let picture = PictureFacts {
            size: (8, 8),
            guidance: 1.0,
            guidance_width: None,
            text_tokens: None,
        };
        let wide = text(1, &[0.0; 7], &[]);
        let told = family([false, false, true]).condition(&[wide], &picture);
        assert!(told.expect_err("it is too wide").contains("do not belong"));
        let long = text(2, &[1.0, 2.0], &[0.0; 9]);
        let told = family([true, false, false]).condition(&[long], &picture);
        assert!(
            told.expect_err("it says too much")
                .contains("do not belong")
        );
    }
}
