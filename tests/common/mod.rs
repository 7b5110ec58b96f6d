//! What the tests of whole pictures share: the test models, the golden data and how far two results are apart.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::slice::ChunksExact;

use easel::noise::NoiseSource;
use easel::{
    CancelToken, Control, LoadOptions, PaintRequest, Painting, Picture, Pipeline, SchedulerKind,
};
use serde_json::Value;

/// Width and height of the golden pictures, pixels, unless a case says otherwise.
pub(crate) const SIZE: (u32, u32) = (24, 16);
/// Pixels per latent of the test models, each way, unless a case says otherwise.
const FACTOR: u64 = 2;

pub(crate) fn models(kind: &str) -> PathBuf {
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

pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/pipelines")
}

/// `index.json`: the cases, and what they have in common.
pub(crate) fn index() -> Value {
    let text = std::fs::read_to_string(goldens().join("index.json")).expect("the golden data");
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn case(name: &str) -> Value {
    let index = index();
    let mut cases = index["cases"].as_array().expect("cases").iter();
    let found = cases.find(|case| case["name"] == name);
    found.expect("a case of this name").clone()
}

/// Arrays of one shape behind one another, as `numpy.save` writes f32 `[n, c, h, w]`.
pub(crate) struct Stack {
    data: Vec<f32>,
    each: usize,
    /// The last axis.
    columns: usize,
}

impl Stack {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (magic, rest) = bytes.split_at(10);
        assert_eq!(&magic[..8], b"\x93NUMPY\x01\x00");
        let (header, data) = rest.split_at(usize::from(u16::from_le_bytes([magic[8], magic[9]])));
        let header = std::str::from_utf8(header).expect("a header");
        assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"));
        let shape = header.split(['(', ')']).nth(1).expect("a shape");
        let shape: Vec<usize> = shape
            .split(',')
            .map(|n| n.trim().parse().expect("a number"))
            .collect();
        assert_eq!(shape.len(), 4);
        let (values, rest) = data.as_chunks::<4>();
        assert!(rest.is_empty() && values.len() == shape.iter().product::<usize>());
        Self {
            data: values.iter().map(|v| f32::from_le_bytes(*v)).collect(),
            each: shape[1..].iter().product(),
            columns: shape[3],
        }
    }

    pub(crate) fn arrays(&self) -> ChunksExact<'_, f32> {
        self.data.chunks_exact(self.each)
    }
}

/// The recorded noise, draw after draw; of each draw the upper left, so many latents wide and high.
struct Recorded<'a> {
    draws: ChunksExact<'a, f32>,
    /// Channels and columns of a draw.
    drawn: (usize, usize),
    size: (usize, usize),
}

impl NoiseSource for Recorded<'_> {
    fn fill(&mut self, out: &mut [f32]) {
        let draw = self.draws.next().expect("one draw a step at most");
        let ((channels, columns), (width, height)) = (self.drawn, self.size);
        let rows = draw
            .chunks_exact(draw.len() / channels)
            .flat_map(|channel| channel.chunks_exact(columns).take(height));
        let kept: Vec<f32> = rows.flat_map(|row| &row[..width]).copied().collect();
        out.copy_from_slice(&kept);
    }
}

pub(crate) fn load(model: &Path) -> Pipeline {
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    Pipeline::load(model, &options).unwrap_or_else(|error| panic!("{}: {error}", model.display()))
}

/// Width and height of a case's picture, pixels.
fn size(case: &Value) -> (u32, u32) {
    let factor = case["factor"].as_u64().unwrap_or(FACTOR);
    let side = |at: usize| case["latent"][at].as_u64().expect("a side") * factor;
    let pixels = |at: usize| u32::try_from(side(at)).expect("small");
    (pixels(1), pixels(0))
}

/// `families.json`: by model, the cases that diffusers' pipeline of its family was run with.
pub(crate) fn families() -> Vec<(String, Vec<Value>)> {
    let text = std::fs::read_to_string(goldens().join("families.json")).expect("the golden data");
    let index: Value = serde_json::from_str(&text).expect("JSON");
    let mut families: Vec<(String, Vec<Value>)> = Vec::new();
    for case in index["cases"].as_array().expect("cases") {
        let kind = case["kind"].as_str().expect("a model");
        if families.last().is_none_or(|(last, _)| last != kind) {
            families.push((kind.to_owned(), Vec::new()));
        }
        families
            .last_mut()
            .expect("there is one")
            .1
            .push(case.clone());
    }
    families
}

/// A picture of the golden data, if a case names one.
fn picture(file: &Value) -> Option<Picture> {
    let path = goldens().join(file.as_str()?);
    Some(Picture::read(&path).unwrap_or_else(|error| panic!("{error}")))
}

/// Pictures for ControlNets, as a case lists them.
fn controls(listed: &Value) -> Vec<Control> {
    let control = |one: &Value| {
        let number = |key: &str| one[key].as_f64().expect("a number") as f32;
        Control {
            picture: picture(&one["image"]).expect("a picture"),
            scale: number("scale"),
            start: number("start"),
            end: number("end"),
        }
    };
    listed
        .as_array()
        .into_iter()
        .flatten()
        .map(control)
        .collect()
}

/// A case of the golden data as a request. What it does not say, all cases of its file have in common.
pub(crate) fn request(case: &Value) -> PaintRequest {
    let index = index();
    let said = |key: &str| match &case[key] {
        Value::Null => index[key].clone(),
        said => said.clone(),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |key: &str| case[key].as_f64().expect("a number") as f32;
    let given = |key: &str| case[key].as_f64().map(|number| number as f32);
    let scheduler = text(&case["scheduler"]);
    let scheduler = scheduler.map(|name| name.parse::<SchedulerKind>().expect("a scheduler"));
    PaintRequest {
        negative: text(&case["negative"]),
        size: Some(size(case)),
        steps: said("steps").as_u64().map(|n| n as usize),
        guidance: Some(number("guidance")),
        true_guidance: given("true_guidance"),
        text_tokens: case["text_tokens"].as_u64().map(|tokens| tokens as usize),
        guidance_rescale: number("rescale"),
        eta: given("eta"),
        clip_skip: case["clip_skip"].as_u64().unwrap_or(0) as usize,
        scheduler,
        image: picture(&case["image"]),
        strength: given("strength"),
        mask: picture(&case["mask"]),
        image_guidance: given("image_guidance"),
        controls: controls(&case["control"]),
        control_guess: case["control_guess"].as_bool().unwrap_or(false),
        ip_image: picture(&case["ip_image"]),
        ip_scale: given("ip_scale"),
        // As diffusers gives it.
        paste: false,
        ..PaintRequest::new(text(&said("prompt")).expect("a prompt"))
    }
}

/// The painting and the latents after each step, from the recorded noise.
pub(crate) fn paint(pipeline: &mut Pipeline, request: &PaintRequest) -> (Painting, Vec<Vec<f32>>) {
    let channels = pipeline.defaults().latent_channels;
    let factor = pipeline.defaults().vae_factor;
    let noise = match channels {
        3 => "noise-3.npy",
        16 => "noise-16.npy",
        _ => "noise.npy",
    };
    let noise = Stack::read(&goldens().join(noise));
    let size = request.size.expect("golden cases have one");
    let mut steps = Vec::new();
    let painting = pipeline
        .paint_with_noise(
            request,
            &mut Recorded {
                draws: noise.arrays(),
                drawn: (channels, noise.columns),
                size: ((size.0 / factor) as usize, (size.1 / factor) as usize),
            },
            &CancelToken::new(),
            &mut |progress| steps.extend(progress.latents.map(|latents| latents.data.clone())),
        )
        .expect("it paints");
    (painting, steps)
}

/// How far a painting is from a recorded one.
pub(crate) struct Distance {
    /// Relative error of the latents in the 2-norm, the worst of all steps.
    pub(crate) latents: f64,
    /// Of the pictures, dB.
    pub(crate) psnr: f64,
}

/// Compares with `NAME.npy` and `NAME.png`.
pub(crate) fn distance(
    painting: &Painting,
    steps: &[Vec<f32>],
    npy: &Path,
    png: &Path,
) -> Distance {
    let wanted = Stack::read(npy);
    assert_eq!(steps.len(), wanted.arrays().len(), "steps reported");
    assert_eq!(steps.last(), Some(&painting.latents.data));
    let errors = steps
        .iter()
        .zip(wanted.arrays())
        .map(|(found, wanted)| relative_error(found, wanted));
    let picture = image::open(png).unwrap_or_else(|e| panic!("{}: {e}", png.display()));
    Distance {
        latents: errors.fold(0.0, f64::max),
        psnr: psnr(&painting.picture.rgb, picture.to_rgb8().as_raw()),
    }
}

pub(crate) fn distance_from_golden(
    painting: &Painting,
    steps: &[Vec<f32>],
    kind: &str,
    case: &str,
) -> Distance {
    let file = goldens().join(kind).join(case);
    let (npy, png) = (file.with_extension("npy"), file.with_extension("png"));
    distance(painting, steps, &npy, &png)
}

/// `|found - wanted| / |wanted|` in the 2-norm; infinite where a value is no number.
pub(crate) fn relative_error(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(wanted).map(|(a, b)| f64::from(a - b)));
    let error = difference / norm(&mut wanted.iter().map(|v| f64::from(*v)));
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Peak signal-to-noise ratio, dB; 138 for equal pictures.
pub(crate) fn psnr(found: &[u8], wanted: &[u8]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares = found
        .iter()
        .zip(wanted)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / found.len() as f64;
    -10.0 * (mean.max(1e-9) / (255.0 * 255.0)).log10()
}
