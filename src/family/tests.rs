use std::path::Path;

use super::*;
use crate::noise::{NoiseSource as _, PhiloxNoise};
use crate::{CancelToken, Error, Latents, LoadOptions, PaintRequest, Pipeline};

#[test]
fn the_guidance_of_one_is_a_timestep_of_zero() {
    let picture = PictureFacts {
        size: (8, 8),
        guidance: 1.0,
        guidance_width: Some(8),
        text_tokens: None,
    };
    let inputs = with_guidance(Inputs::default(), &picture);
    let found = &inputs.get(EMBEDDED_GUIDANCE).expect("it is there").data;
    assert_eq!(found, &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn a_guidance_of_eight_is_diffusers_embedding() {
    let picture = PictureFacts {
        size: (8, 8),
        guidance: 8.0,
        guidance_width: Some(4),
        text_tokens: None,
    };
    let inputs = with_guidance(Inputs::default(), &picture);
    let found = &inputs.get(EMBEDDED_GUIDANCE).expect("it is there").data;
    // sin 7000, sin 0.7, cos 7000, cos 0.7
    let wanted = [0.506_885_4, 0.644_217_7, 0.862_013_4, 0.764_842_2];
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
    }
}

/// A family that was made up for docs/adding-a-model-family.md: it paints with Stable Diffusion's networks, and takes no negative prompt
/// for an embedding of zeros.
#[derive(Debug)]
struct Pastel {
    loudness: f32,
}

static TEXTS: [TextSource; 1] = [TextSource {
    encoder: Component::TEXT_ENCODER,
    tokenizer: "tokenizer",
    hidden: Hidden::Last,
    pooled: None,
    reads: Reads::Chunks,
}];

static OFFERS: [Offer; 3] = [
    Offer::each(SAMPLE, &[Dim::Channels, Dim::Height, Dim::Width]),
    Offer::shared(TIMESTEP, &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
];

impl Family for Pastel {
    fn name(&self) -> &'static str {
        "Pastel"
    }

    fn texts(&self) -> &[TextSource] {
        &TEXTS
    }

    fn offers(&self) -> (&'static [Offer], &'static [&'static str]) {
        match self.loudness {
            0.0 => (&OFFERS[..2], &[SAMPLE]),
            _ => (&OFFERS, &[SAMPLE, TEXT]),
        }
    }

    fn condition(
        &self,
        texts: &[TextEmbedding],
        _picture: &PictureFacts,
    ) -> Result<Inputs, String> {
        let text = &texts[0];
        let data = text.data.iter().map(|v| v * self.loudness).collect();
        Ok(Inputs::default().with(TEXT, &[text.tokens, text.width], data))
    }

    fn zeroes_without_negative(&self) -> bool {
        true
    }

    fn embeds_guidance(&self) -> bool {
        false
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            steps: 2,
            guidance: 3.0,
        }
    }

    fn scaling_factor(&self) -> f32 {
        1.0
    }

    fn preview(&self) -> PreviewFactors {
        PreviewFactors {
            rows: vec![[1.0; 3]; 4],
            bias: [0.0; 3],
        }
    }
}

fn painted(choose: ChooseFamily, negative: Option<&str>) -> Result<Latents, Error> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny/fp32");
    let mut pipeline =
        Pipeline::load_as(&model, &LoadOptions::default(), choose, &CancelToken::new())?;
    let mut latents = Latents::zeros(4, 8, 8);
    PhiloxNoise::new(1).fill(&mut latents.data);
    let request = PaintRequest {
        negative: negative.map(str::to_owned),
        size: Some((16, 16)),
        steps: Some(2),
        guidance: Some(3.0),
        latents: Some(latents),
        ..PaintRequest::new("a tree")
    };
    let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {})?;
    Ok(painting.latents)
}

#[test]
fn a_family_is_one_description() {
    let pastel: ChooseFamily = |_, _| Ok(Box::new(Pastel { loudness: 1.0 }));
    let loud: ChooseFamily = |_, _| Ok(Box::new(Pastel { loudness: 2.0 }));
    let paints = |choose, negative| painted(choose, negative).expect("it paints");
    // As the other family with the same networks, where a negative prompt is given.
    assert_eq!(paints(pastel, Some("dogs")), paints(of, Some("dogs")));
    assert_ne!(paints(loud, Some("dogs")), paints(of, Some("dogs")));
    // And not where there is none.
    assert_eq!(paints(of, None), paints(of, Some("")));
    assert_ne!(paints(pastel, None), paints(pastel, Some("")));
}

#[test]
fn what_no_family_offers_is_refused_by_its_name() {
    let mute: ChooseFamily = |_, _| Ok(Box::new(Pastel { loudness: 0.0 }));
    let error = painted(mute, None).expect_err("the network wants a text");
    let said = error.to_string();
    assert!(
        said.contains("asks for input `encoder_hidden_states`"),
        "{said}"
    );
    assert!(error.is_foreign_model() && !said.contains('\n'));
}
