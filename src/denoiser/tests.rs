//! Stable Diffusion XL's U-Net, tiny, against ONNX Runtime on the same files; `goldens/unets.py` of `model-export` makes both.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::bench::{BenchRequest, Component, bench, component_plan};
use crate::runtime::Residency;
use crate::weights::CHUNK;
use crate::{CancelToken, Error, LoadOptions, Pipeline};

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

fn text(number: usize) -> TextEmbedding {
    let tokens = array(&format!("text-{number}"));
    TextEmbedding {
        tokens: tokens.height,
        width: tokens.width,
        data: tokens.data,
        pooled: array(&format!("pooled-{number}")).data,
    }
}

/// What the model's files say: two pixels a latent, of four channels.
fn model() -> ModelDefaults {
    ModelDefaults {
        size: (48, 32),
        steps: 1,
        guidance: 1.0,
        scheduler: None,
        vae_factor: 2,
        latent_channels: 4,
    }
}

fn open(precision: &str) -> Denoiser {
    Denoiser::open(&folder().join(precision), &model()).expect("it opens")
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
        let mut predict = |texts: &[&TextEmbedding]| {
            let found = denoiser.predict(&workers, &sample, 500.0, texts);
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
        let mixed = TextEmbedding {
            pooled: texts[0].pooled.clone(),
            ..texts[1].clone()
        };
        assert!(error(&predict(&[&mixed])[0], &wanted[1]) > limit / 2.0);
    }
}

#[test]
fn weights_in_passing_give_the_same_bits() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut workers = Workers::new(2);
    let (sample, text) = (array("sample"), text(0));
    let whole = open("int8").predict(&workers, &sample, 500.0, &[&text]);
    workers.keep_in(Some(cache.path().to_owned()));
    let mut lean = open("int8");
    let residency = Residency::Streamed {
        resident: 0,
        ahead: 2 * CHUNK,
    };
    lean.slot().set_memory(residency, None);
    let streamed = lean.predict(&workers, &sample, 500.0, &[&text]);
    assert_eq!(streamed.expect("it predicts"), whole.expect("it predicts"));
    assert!(workers.bytes_read() > 0);
}

#[test]
fn it_is_planned_and_timed_by_itself_and_not_painted_with() {
    let cache = tempfile::tempdir().expect("a folder");
    let model = folder().join("int8");
    let options = |memory_mib| LoadOptions {
        threads: Some(2),
        cache: Some(cache.path().to_owned()),
        memory_mib,
        ..LoadOptions::default()
    };
    let plan = |memory| {
        component_plan(
            &model,
            &options(memory),
            Component::Unet,
            Some((48, 32)),
            true,
        )
    };
    let free = plan(None).expect("there is no limit");
    assert_eq!(free.stages.len(), 1);
    assert!(free.stages[0].weights > 2 << 20 && free.peak() > free.stages[0].weights);
    assert!(
        matches!(plan(Some(1)), Err(Error::Memory(small)) if small.component == Component::Unet)
    );

    let request = BenchRequest {
        component: Component::Unet,
        size: Some((48, 32)),
        guided: true,
        repeat: std::num::NonZeroUsize::MIN,
        explain: false,
    };
    let measured = bench(&model, &options(None), &request, &CancelToken::new());
    assert_eq!(measured.expect("it runs").size, (48, 32));

    let refused = Pipeline::load(&model, &options(None))
        .err()
        .expect("no text encoder");
    let said = refused.to_string();
    assert!(
        said.contains("`text_embeds`")
            && said.contains("two text encoders")
            && !said.contains('\n'),
        "{said}"
    );
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
        let error = Denoiser::open(changed.path(), &model())
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
}
