//! Stable Diffusion XL's U-Net, tiny, against ONNX Runtime on the same files; `goldens/unets.py` of `model-export` makes both.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::inputs::Dim;
use crate::latents::Latents;
use crate::runtime::Residency;
use crate::weights::CHUNK;

/// Relative errors of a pass, in the 2-norm. In fp32 only the order of additions differs; with int8 weights, ONNX Runtime computes
/// in f32 with them and easel rounds activations too.
const LIMITS: [(&str, f64); 2] = [("fp32", 1e-5), ("int8", 5e-2)];

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny-sdxl");
    assert!(
        folder.join("complete").exists(),
        "{} is missing: run `.venv/bin/python -m easel_export.goldens.pipelines`",
        folder.display()
    );
    folder
}

fn array(name: &str) -> Latents {
    Latents::read_npy(folder().join(name).with_extension("npy")).expect("a golden array")
}

/// What Stable Diffusion XL's network is told of a text and a picture of 48×32 pixels, two a latent.
fn text(number: usize) -> Inputs {
    let tokens = array(&format!("text-{number}"));
    let pooled = array(&format!("pooled-{number}")).data;
    let (height, width) = (32.0, 48.0);
    Inputs::default()
        .with(TEXT, &[tokens.height, tokens.width], tokens.data)
        .with(POOLED, &[pooled.len()], pooled)
        .with(SIZES, &[6], vec![height, width, 0.0, 0.0, height, width])
}

fn step(sample: &Latents) -> (Extents, Inputs) {
    let extents = Extents {
        latents: [sample.channels, sample.height, sample.width],
        beside: 0,
        factor: 2,
        tokens: array("text-0").height,
    };
    let step = Inputs::default()
        .with("sample", &sample.shape()[1..], sample.data.clone())
        .with("timestep", &[], vec![500.0]);
    (extents, step)
}

const TEXT: &str = "encoder_hidden_states";
const POOLED: &str = "text_embeds";
const SIZES: &str = "time_ids";

const OFFERS: [Offer; 5] = [
    Offer::each("sample", &[Dim::Channels, Dim::Height, Dim::Width]),
    Offer::shared("timestep", &[]),
    Offer::each(TEXT, &[Dim::Tokens, Dim::Features]),
    Offer::each(POOLED, &[Dim::Features]),
    Offer::each(SIZES, &[Dim::Exactly(6)]),
];

fn open_in(folder: &Path) -> Result<Denoiser, RuntimeError> {
    Denoiser::open(
        folder,
        &Component::UNET,
        &OFFERS,
        &["sample"],
        2,
        &CancelToken::new(),
    )
}

fn open(precision: &str) -> Denoiser {
    open_in(&folder().join(precision)).expect("it opens")
}

/// `|found - wanted| / |wanted|` in the 2-norm.
fn error(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares = |of: &dyn Fn(usize) -> f32| {
        (0..wanted.len())
            .map(|i| f64::from(of(i)).powi(2))
            .sum::<f64>()
    };
    (squares(&|i| found[i] - wanted[i]) / squares(&|i| wanted[i])).sqrt()
}

#[test]
fn predictions_are_onnx_runtimes() {
    let workers = Workers::new(2);
    let (sample, texts) = (array("sample"), [text(0), text(1)]);
    for (precision, limit) in LIMITS {
        let mut denoiser = open(precision);
        let wanted = [0, 1].map(|number| array(&format!("{precision}-{number}")).data);
        let (extents, step) = step(&sample);
        let mut predict = |texts: &[&Inputs]| {
            let found = denoiser.predict(
                &workers,
                &extents,
                &[&step],
                texts.iter().map(|text| (*text).clone()).collect(),
                plain,
            );
            found.expect("it predicts")
        };
        // Both halves of guidance together, then one by itself.
        let both = predict(&[&texts[0], &texts[1]]);
        let one = predict(&[&texts[1]]);
        for (found, wanted) in [
            (&both[0], &wanted[0]),
            (&both[1], &wanted[1]),
            (&one[0], &wanted[1]),
        ] {
            let error = error(found, wanted);
            println!("{precision}: {error:.1e}");
            assert!(error <= limit, "{precision}: {error:.1e}");
        }
        assert!(error(&wanted[0], &wanted[1]) > 1e-2, "the text shows");
        // The text as a whole shows by itself.
        let pooled = texts[0].get(POOLED).expect("it is told").clone();
        let mixed = texts[1].clone().with(POOLED, &pooled.dims, pooled.data);
        assert!(error(&predict(&[&mixed])[0], &wanted[1]) > limit / 2.0);
    }
}

#[test]
fn streamed_weights_give_the_same_bits() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut workers = Workers::new(2);
    let (sample, text) = (array("sample"), text(0));
    let (extents, step) = step(&sample);
    let whole = open("int8").predict(&workers, &extents, &[&step], vec![text.clone()], plain);
    workers.keep_in(Some(cache.path().to_owned()));
    let mut lean = open("int8");
    let residency = Residency::Streamed {
        resident: 0,
        ahead: 2 * CHUNK,
    };
    lean.step_mut().network_mut().set_memory(residency, None);
    let streamed = lean.predict(&workers, &extents, &[&step], vec![text], plain);
    assert_eq!(streamed.expect("it predicts"), whole.expect("it predicts"));
    assert!(workers.bytes_read() > 0);
}

/// A model whose network was changed in some bytes.
fn changed(from: &[u8], to: &[u8]) -> tempfile::TempDir {
    assert_eq!(from.len(), to.len(), "lengths are noted in the file");
    let place = tempfile::tempdir().expect("a folder");
    let unet = place.path().join("unet");
    fs::create_dir(&unet).expect("a folder");
    let mut bytes = fs::read(folder().join("fp32/unet/model.onnx")).expect("a network");
    let found: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|start| bytes[*start..].starts_with(from))
        .collect();
    assert!(!found.is_empty());
    for start in found {
        bytes[start..start + to.len()].copy_from_slice(to);
    }
    fs::write(unet.join("model.onnx"), bytes).expect("room");
    place
}

#[test]
fn other_inputs_are_refused_by_name() {
    for (from, to, said) in [
        ("time_ids", "image_id", "asks for input `image_id`"),
        ("timestep", "noise_at", "asks for input `noise_at`"),
    ] {
        let changed = changed(from.as_bytes(), to.as_bytes());
        let error = open_in(changed.path()).err().expect("refused").to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}

/// A prediction as it is.
fn plain(output: &[f32], _shape: &[usize]) -> Option<Vec<f32>> {
    Some(output.to_vec())
}
