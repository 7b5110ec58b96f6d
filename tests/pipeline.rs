//! Whole pictures against diffusers: same weights, same noise, the latents after every step and the pixels compared.
//! `cargo test --release --test pipeline -- --nocapture table` prints the worst errors. The golden data is written by
//! `.venv/bin/python -m easel_export.goldens.pipelines --write`, the models are made by the same without `--write`.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{
    SIZE, Stack, distance_from_golden, goldens, index, load, models, paint, psnr, request,
};
use easel::{
    CancelToken, Error, Latents, LoadOptions, PaintRequest, Painting, Pipeline, SchedulerKind,
};

const PROMPT: &str = "a red house and three trees";
/// Relative error in the 2-norm, of the latents after any step.
const LATENTS: f64 = 1e-3;
/// dB.
const PICTURE: f64 = 50.0;

/// Model and who exported it.
const EXPORTS: [(&str, &str); 6] = [
    ("tiny", "fp32"),
    ("tiny", "optimum"),
    ("tiny-sd21", "fp32"),
    ("tiny-sd21", "optimum"),
    ("tiny-taesd", "fp32"),
    ("tiny-taesd", "inline"),
];

#[derive(Default)]
struct Row {
    pictures: usize,
    steps: usize,
    latents: f64,
    psnr: f64,
    worst: String,
}

#[test]
fn table_of_errors_against_diffusers() {
    let index = index();
    let cases = index["cases"].as_array().expect("cases");
    let mut table: BTreeMap<&str, Row> = BTreeMap::new();
    let mut failures = Vec::new();
    for (kind, export) in EXPORTS {
        let mut pipeline = load(&models(kind).join(export));
        for case in cases {
            let (name, scheduler) = (&case["name"], &case["scheduler"]);
            let (Some(name), Some(scheduler)) = (name.as_str(), scheduler.as_str()) else {
                panic!("{case} has no names");
            };
            let (painting, steps) = if scheduler == "flow-euler" {
                if export != "fp32" {
                    continue;
                }
                paint(&mut load(&models(kind).join("flow")), &request(case))
            } else {
                paint(&mut pipeline, &request(case))
            };
            let found = distance_from_golden(&painting, &steps, kind, name);
            if found.latents > LATENTS || found.psnr < PICTURE {
                failures.push(format!(
                    "{kind}/{export} {name}: relative error {:.1e}, {:.1} dB",
                    found.latents, found.psnr
                ));
            }
            let row = table.entry(scheduler).or_insert_with(|| Row {
                psnr: f64::INFINITY,
                ..Row::default()
            });
            row.pictures += 1;
            row.steps += steps.len();
            row.psnr = row.psnr.min(found.psnr);
            if found.latents >= row.latents {
                (row.latents, row.worst) = (found.latents, format!("{name} of {kind}/{export}"));
            }
        }
    }
    println!("| scheduler | pictures | steps | worst latents | worst picture, dB | worst case |");
    println!("|---|---|---|---|---|---|");
    for (scheduler, row) in &table {
        println!(
            "| `{scheduler}` | {} | {} | {:.1e} | {:.1} | {} |",
            row.pictures, row.steps, row.latents, row.psnr, row.worst
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// If the recorded cases did not differ, their comparison would say little. DDIM and Euler end alike, being the same
/// equation; their latents on the way have another scale.
#[test]
fn every_golden_case_is_another() {
    let index = index();
    for (kind, _) in EXPORTS {
        let mut seen: Vec<(&str, Vec<f32>)> = Vec::new();
        for case in index["cases"].as_array().expect("cases") {
            let name = case["name"].as_str().expect("a name");
            let stack = Stack::read(&goldens().join(kind).join(name).with_extension("npy"));
            let steps: Vec<f32> = stack.arrays().flatten().copied().collect();
            let as_long = seen.iter().filter(|(_, l)| l.len() == steps.len());
            for (other, latents) in as_long {
                let difference = common::relative_error(&steps, latents);
                assert!(difference > 10.0 * LATENTS, "{kind}: {name} is {other}");
            }
            seen.push((name, steps));
        }
    }
}

#[test]
fn noise_given_with_the_request_is_the_noise_drawn() {
    let noise = Stack::read(&goldens().join("noise.npy"));
    let (width, height) = (SIZE.0 as usize / 2, SIZE.1 as usize / 2);
    let mut latents = Latents::zeros(4, height, width);
    latents
        .data
        .copy_from_slice(noise.arrays().next().expect("a draw"));
    let drawn = request(&common::case("euler-ancestral"));
    let given = PaintRequest {
        latents: Some(latents),
        ..drawn.clone()
    };
    let mut pipeline = load(&models("tiny").join("fp32"));
    let (first, steps) = paint(&mut pipeline, &drawn);
    assert_eq!(paint(&mut pipeline, &given).1, steps);
    assert_eq!(steps.last(), Some(&first.latents.data));
}

fn painted(model: &Path, threads: usize, request: &PaintRequest) -> Painting {
    let options = LoadOptions {
        threads: Some(threads),
        ..LoadOptions::default()
    };
    let mut pipeline = Pipeline::load(model, &options).expect("the model loads");
    pipeline
        .paint(request, &CancelToken::new(), &mut |_| {})
        .expect("it paints")
}

#[test]
fn half_and_int8_weights_stay_near_the_float_ones() {
    let request = PaintRequest {
        steps: Some(6),
        guidance: Some(4.0),
        ..PaintRequest::new(PROMPT)
    };
    for kind in ["tiny", "tiny-sd21", "tiny-taesd"] {
        let folder = models(kind);
        let exact = painted(&folder.join("fp32"), 1, &request);
        for (export, limit) in [("fp16", 45.0), ("int8", 30.0)] {
            let painting = painted(&folder.join(export), 1, &request);
            let quality = psnr(&painting.picture.rgb, &exact.picture.rgb);
            assert!(quality >= limit, "{kind}/{export}: {quality:.1} dB");
        }
    }
}

#[test]
fn the_picture_does_not_depend_on_threads_and_depends_on_the_seed() {
    let model = models("tiny").join("fp32");
    let seeded = |seed| PaintRequest {
        seed,
        steps: Some(3),
        scheduler: Some(SchedulerKind::EulerAncestral),
        ..PaintRequest::new(PROMPT)
    };
    let one = painted(&model, 1, &seeded(5));
    assert_eq!(one.latents, painted(&model, 2, &seeded(5)).latents);
    assert_ne!(one.latents, painted(&model, 1, &seeded(6)).latents);
}

#[test]
fn cancelling_stops_within_a_step() {
    let model = models("tiny").join("fp32");
    let mut pipeline = Pipeline::load(&model, &LoadOptions::default()).expect("the model loads");
    let (cancel, mut last) = (CancelToken::new(), 0);
    let result = pipeline.paint(&PaintRequest::new(PROMPT), &cancel, &mut |progress| {
        last = progress.step;
        if progress.step == 2 {
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(last, 2);
}
