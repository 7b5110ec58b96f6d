//! Every family of models against diffusers' own pipeline of it: same weights, same noise, the latents after every step and the pixels
//! compared. `.venv/bin/python -m easel_export.goldens.pipelines --write` writes the golden data, and makes the models without
//! `--write`.

mod common;

use std::collections::HashSet;

use common::{distance_from_golden, families, load, models, paint, psnr, request};
use easel::{PaintRequest, Picture, Stage};

/// Relative error in the 2-norm, of the latents after any step.
const LATENTS: f64 = 1e-3;
/// dB.
const PICTURE: f64 = 50.0;
/// dB, of a picture with int8 weights from the one with floats.
const INT8: f64 = 35.0;

#[test]
fn table_of_errors_against_diffusers() {
    let mut failures = Vec::new();
    println!("| model | export | pictures | worst latents | worst picture, dB |");
    println!("|---|---|---|---|---|");
    for (kind, cases) in families() {
        let folder = models(&kind);
        let recorded = cases.len();
        let mut painted = HashSet::new();
        for export in [
            "fp32",
            "optimum",
            "diffusers-onnx",
            "text-mask-padding",
            "flow-dpm",
        ] {
            // Of the others, cases name the one that they are for.
            let is_special = !["fp32", "optimum"].contains(&export);
            let of_export = |case: &&serde_json::Value| match case["export"].as_str() {
                None => !is_special && folder.join(export).exists(),
                Some(only) => only == export,
            };
            let cases: Vec<_> = cases.iter().filter(of_export).collect();
            if cases.is_empty() {
                continue;
            }
            let mut pipeline = load(&folder.join(export));
            let (mut latents, mut picture) = (0.0_f64, f64::INFINITY);
            for case in &cases {
                let name = case["name"].as_str().expect("a name");
                painted.insert(name);
                let (painting, steps) = paint(&mut pipeline, &request(case));
                let found = distance_from_golden(&painting, &steps, &kind, name);
                if found.latents > LATENTS || found.psnr < PICTURE {
                    failures.push(format!(
                        "{kind}/{export} {name}: relative error {:.1e}, {:.1} dB",
                        found.latents, found.psnr
                    ));
                }
                latents = latents.max(found.latents);
                picture = picture.min(found.psnr);
            }
            let count = cases.len();
            println!("| {kind} | {export} | {count} | {latents:.1e} | {picture:.1} |");
        }
        assert_eq!(
            painted.len(),
            recorded,
            "every case of {kind} has an export"
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn int8_weights_stay_near_the_float_ones() {
    for (kind, cases) in families() {
        let folder = models(&kind);
        // Of `tiny`, `tests/pipeline.rs` knows more.
        if kind == "tiny" || !folder.join("int8").exists() {
            continue;
        }
        let request = request(&cases[0]);
        let picture = |export: &str| paint(&mut load(&folder.join(export)), &request).0.picture;
        let quality = psnr(&picture("int8").rgb, &picture("fp32").rgb);
        println!("{kind}: {quality:.1} dB");
        assert!(quality >= INT8, "{kind}: {quality:.1} dB");
    }
}

/// What a model says of itself is what is painted: few steps and no guidance for those that were made for that.
#[test]
fn few_step_models_paint_in_few_steps_unless_told_otherwise() {
    let exports = [
        ("tiny-lcm", "fp32"),
        ("tiny-lcm", "optimum"),
        ("tiny-turbo", "fp32"),
        ("tiny-sdxl-turbo", "fp32"),
    ];
    for (kind, export) in exports {
        let mut pipeline = load(&models(kind).join(export));
        let steps = pipeline.defaults().steps;
        assert!((1..=4).contains(&steps), "{kind}: {steps} steps");
        let mut passes = 0;
        let request = PaintRequest::new("a tree");
        let mut count = |progress: &easel::Progress<'_>| {
            passes += usize::from(progress.stage == Stage::Denoise && progress.step > 0);
        };
        let painted = pipeline.paint(&request, &easel::CancelToken::new(), &mut count);
        painted.expect("it paints");
        assert_eq!(passes, steps, "{kind}");
    }
}

/// A model without an autoencoder: a picture is its own latents.
#[test]
fn pixels_are_latents() {
    let mut pipeline = load(&models("tiny-minit2i").join("fp32"));
    let defaults = pipeline.defaults();
    assert_eq!((defaults.vae_factor, defaults.latent_channels), (1, 3));
    assert!(pipeline.picture_abilities().begins);
    let size = (32, 24);
    let pixels = (0..3 * 32 * 24).map(|at| (at * 89 % 251) as u8);
    let given = Picture {
        width: size.0,
        height: size.1,
        rgb: pixels.collect(),
    };
    let request = PaintRequest {
        image: Some(given.clone()),
        size: Some(size),
        steps: Some(4),
        guidance: Some(2.0),
        ..PaintRequest::new("a tree")
    };
    // Of two networks, none of them an autoencoder's, and with what a sampler keeps of so many pixels.
    let plan = pipeline.memory_plan_of(&request).expect("a plan");
    let names: Vec<&str> = plan.stages.iter().map(|s| s.component.name()).collect();
    assert_eq!(names, ["text_encoder", "transformer"]);

    let mut last = None;
    let mut paint = |request: &PaintRequest| {
        let mut watch = |progress: &easel::Progress<'_>| last = progress.preview().or(last.take());
        let painted = pipeline.paint(request, &easel::CancelToken::new(), &mut watch);
        (painted.expect("it paints").picture, last.take())
    };
    // No step leaves it as it is, to the bit.
    let request = |strength| PaintRequest {
        strength: Some(strength),
        ..request.clone()
    };
    assert_eq!(paint(&request(0.0)).0, given);
    let (painted, preview) = paint(&request(0.5));
    assert_ne!(painted, given);
    // After the last step the preview is the picture.
    assert!(psnr(&preview.expect("one a step").rgb, &painted.rgb) > PICTURE);

    // What a mask keeps stays.
    let right = (0..32 * 24).flat_map(|at| [if at % 32 < 16 { 0 } else { 255 }; 3]);
    let mask = Picture {
        rgb: right.collect(),
        ..given.clone()
    };
    let (painted, _) = paint(&PaintRequest {
        mask: Some(mask),
        paste: false,
        ..request(1.0)
    });
    let kept = |picture: &Picture| -> Vec<u8> {
        let rows = picture.rgb.chunks(3 * 32);
        rows.flat_map(|row| row[..3 * 16].to_vec()).collect()
    };
    assert_eq!(kept(&painted), kept(&given));
    assert_ne!(painted, given);
}
