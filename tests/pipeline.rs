//! Whole pictures against diffusers: same weights, same noise, latents and pixels compared.

use std::path::{Path, PathBuf};

use easel::{
    CancelToken, Error, Latents, LoadOptions, PaintRequest, Painting, Pipeline, SchedulerKind,
};

const PROMPT: &str = "a red house and three trees";

fn models(kind: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("test-models")
        .join(kind);
    assert!(
        dir.join("complete").exists(),
        "{} is missing: run `.venv/bin/python -m easel_export.goldens.pipelines`",
        dir.display()
    );
    dir
}

fn request(folder: &Path, scheduler: SchedulerKind) -> PaintRequest {
    PaintRequest {
        steps: Some(6),
        guidance: Some(4.0),
        scheduler: Some(scheduler),
        latents: Some(Latents::read_npy(folder.join("noise.npy")).expect("the noise")),
        ..PaintRequest::new(PROMPT)
    }
}

fn paint(model: &Path, threads: usize, request: &PaintRequest) -> Painting {
    let options = LoadOptions {
        threads: Some(threads),
    };
    let mut pipeline = Pipeline::load(model, &options).expect("the model loads");
    pipeline
        .paint(request, &CancelToken::new(), &mut |_| {})
        .expect("it paints")
}

fn relative_error(found: &[f32], wanted: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(wanted).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut wanted.iter().map(|v| f64::from(*v)))
}

fn psnr(found: &[u8], wanted: &[u8]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares = found
        .iter()
        .zip(wanted)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / found.len() as f64;
    -10.0 * (mean.max(1e-9) / (255.0 * 255.0)).log10()
}

fn compare(kind: &str, export: &str) {
    let folder = models(kind);
    for scheduler in [
        SchedulerKind::Ddim,
        SchedulerKind::Euler,
        SchedulerKind::Dpmpp2m,
    ] {
        let painting = paint(&folder.join(export), 1, &request(&folder, scheduler));
        let wanted = Latents::read_npy(folder.join(format!("{scheduler}.npy"))).expect("a golden");
        let error = relative_error(&painting.latents.data, &wanted.data);
        assert!(
            error < 1e-3,
            "{kind}/{export} {scheduler}: relative error {error:.1e}"
        );
        let wanted = image::open(folder.join(format!("{scheduler}.png"))).expect("a golden");
        let quality = psnr(&painting.picture.rgb, wanted.to_rgb8().as_raw());
        assert!(
            quality >= 50.0,
            "{kind}/{export} {scheduler}: {quality:.1} dB"
        );
    }
}

#[test]
fn stable_diffusion_1_as_optimum_writes_it() {
    compare("tiny", "optimum");
}

#[test]
fn stable_diffusion_2_as_optimum_writes_it() {
    compare("tiny-sd21", "optimum");
}

#[test]
fn our_own_export() {
    compare("tiny", "fp32");
    compare("tiny-sd21", "fp32");
    compare("tiny-taesd", "fp32");
}

#[test]
fn half_and_int8_weights_stay_near_the_float_ones() {
    for kind in ["tiny", "tiny-sd21", "tiny-taesd"] {
        let folder = models(kind);
        let request = request(&folder, SchedulerKind::Ddim);
        let exact = paint(&folder.join("fp32"), 1, &request);
        for (export, limit) in [("fp16", 45.0), ("int8", 30.0)] {
            let painting = paint(&folder.join(export), 1, &request);
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
    let one = paint(&model, 1, &seeded(5));
    assert_eq!(one.latents, paint(&model, 2, &seeded(5)).latents);
    assert_ne!(one.latents, paint(&model, 1, &seeded(6)).latents);
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
