//! Checkpoints that are imported, against diffusers' pipelines and the exporter's files: same weights, same pictures.
//!
//! The models are those of `tests/families.rs`.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{distance_from_golden, families, load, models, paint, psnr, request};
use easel::import::{self, Precision, Request};
use prost::Message as _;
use tract_onnx::pb::{ModelProto, tensor_proto::DataLocation};

/// Relative error in the 2-norm, of the latents after any step, from diffusers' own.
const LATENTS: f64 = 1e-3;
/// dB.
const PICTURE: f64 = 50.0;
/// dB, of a picture with int8 weights from the one with floats.
const INT8: f64 = 35.0;

/// Imports a kind's checkpoint, and its ControlNets into their places.
fn imported(kind: &str, precision: Precision, out: &Path) -> PathBuf {
    let import = |source: PathBuf, out: &Path| {
        let adapters = source
            .join("ip_adapter")
            .read_dir()
            .into_iter()
            .flatten()
            .flatten();
        let request = Request {
            ip_adapter: adapters
                .map(|entry| entry.path())
                .find(|path| path.is_file()),
            source,
            out: out.to_owned(),
            precision,
            ..Request::default()
        };
        let report = import::run(&request, &mut |_| ControlFlow::Continue(()));
        let report = report.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(report.bytes > 0);
    };
    let checkpoint = models(kind).join("checkpoint");
    import(checkpoint.clone(), out);
    for name in ["controlnet", "controlnet_1"] {
        let source = checkpoint.join(name);
        if source.exists() {
            import(source, &out.join(name));
        }
    }
    out.to_owned()
}

#[test]
fn imported_models_paint_what_diffusers_paints() {
    let mut failures = Vec::new();
    println!("| model | pictures | worst latents | worst picture, dB | int8, dB |");
    println!("|---|---|---|---|---|");
    for (kind, cases) in families() {
        // Made of its authors' own format by the exporter alone.
        if kind.starts_with("tiny-minit2i") {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut pipeline = load(&imported(
            &kind,
            Precision::Fp32,
            &folder.path().join("fp32"),
        ));
        let mut coarse = load(&imported(
            &kind,
            Precision::Int8,
            &folder.path().join("int8"),
        ));
        let (mut latents, mut picture, mut least) = (0.0_f64, f64::INFINITY, f64::INFINITY);
        let cases: Vec<_> = cases
            .iter()
            .filter(|case| case["export"].is_null())
            .collect();
        for (number, case) in cases.iter().enumerate() {
            let name = case["name"].as_str().expect("a name");
            let (painting, steps) = paint(&mut pipeline, &request(case));
            let found = distance_from_golden(&painting, &steps, &kind, name);
            if found.latents > LATENTS || found.psnr < PICTURE {
                let (latents, psnr) = (found.latents, found.psnr);
                failures.push(format!(
                    "{kind} {name}: relative error {latents:.1e}, {psnr:.1} dB"
                ));
            }
            latents = latents.max(found.latents);
            picture = picture.min(found.psnr);
            if number == 0 {
                let (rounded, _) = paint(&mut coarse, &request(case));
                least = psnr(&rounded.picture.rgb, &painting.picture.rgb);
                if least < INT8 {
                    failures.push(format!("{kind} {name}: int8 is {least:.1} dB from floats"));
                }
            }
        }
        let count = cases.len();
        println!("| {kind} | {count} | {latents:.1e} | {picture:.1} | {least:.1} |");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

const NETWORKS: [&str; 10] = [
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "image_encoder",
    "unet",
    "controlnet",
    "controlnet_1",
    "transformer",
    "vae_decoder",
    "vae_encoder",
];

/// Kind, shape and bytes of a tensor.
type Stored = (i32, Vec<i64>, Vec<u8>);

/// The tensors of a network by their names.
fn tensors(folder: &Path) -> BTreeMap<String, Stored> {
    let model = fs::read(folder.join("model.onnx")).expect("a graph");
    let model = ModelProto::decode(&model[..]).expect("ONNX");
    let data = fs::read(folder.join("model.onnx_data")).unwrap_or_default();
    let tensors = model.graph.expect("a graph").initializer.into_iter();
    tensors
        .map(|tensor| {
            let entry = |key: &str| {
                let entry = tensor.external_data.iter().find(|entry| entry.key == key);
                entry
                    .expect("an entry")
                    .value
                    .parse::<usize>()
                    .expect("a number")
            };
            let bytes = if tensor.data_location == Some(DataLocation::External as i32) {
                let (offset, length) = (entry("offset"), entry("length"));
                assert_eq!(offset % if length >= 1 << 20 { 4096 } else { 64 }, 0);
                data[offset..][..length].to_vec()
            } else {
                tensor.raw_data.clone()
            };
            (
                tensor.name.clone(),
                (tensor.data_type, tensor.dims.clone(), bytes),
            )
        })
        .collect()
}

/// Whether two tensors are of the same bytes: a row may have more axes, and a matrix may lie the other way.
fn same(own: &Stored, other: &Stored) -> bool {
    if let (&[rows, columns], &[_, _]) = (&own.1[..], &other.1[..])
        && own.1 != other.1
    {
        let size = own.2.len() / (rows * columns) as usize;
        let element =
            |row: i64, column: i64| &own.2[(row * columns + column) as usize * size..][..size];
        let turned =
            (0..columns).flat_map(|column| (0..rows).flat_map(move |row| element(row, column)));
        return own.0 == other.0 && turned.eq(other.2.iter());
    }
    own.0 == other.0 && own.2 == other.2
}

#[test]
fn weights_are_the_exporter_s_byte_for_byte() {
    for (kind, export, precision) in [
        ("tiny", "fp32", Precision::Fp32),
        ("tiny", "fp16", Precision::Fp16),
        ("tiny", "int8", Precision::Int8),
        ("tiny-sd21", "fp16", Precision::Fp16),
        ("tiny-sd21", "int8", Precision::Int8),
        ("tiny-lcm", "int8", Precision::Int8),
        ("tiny-sdxl", "int8", Precision::Int8),
        ("tiny-ssd1b", "int8", Precision::Int8),
        ("tiny-taesd", "int8", Precision::Int8),
        ("tiny-control", "int8", Precision::Int8),
        ("tiny-ip", "int8", Precision::Int8),
        ("tiny-ip-plus", "int8", Precision::Int8),
        ("tiny-pixart", "int8", Precision::Int8),
        ("tiny-sd3", "int8", Precision::Int8),
        ("tiny-sd35", "int8", Precision::Int8),
        ("tiny-flux", "int8", Precision::Int8),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = imported(kind, precision, &folder.path().join("model"));
        let theirs = models(kind).join(export);
        let mut compared = 0;
        for network in NETWORKS {
            if !theirs.join(network).exists() {
                continue;
            }
            let (ours, theirs) = (tensors(&ours.join(network)), tensors(&theirs.join(network)));
            for (name, stored) in &theirs {
                // What the tracer made names for: norms of one row, and sensitive layers that only one of them keeps float.
                let Some(own) = ours.get(name) else { continue };
                assert!(
                    same(own, stored),
                    "{kind}/{export}/{network}: {name} differs"
                );
                compared += 1;
            }
            let layers = ours
                .keys()
                .filter(|name| name.ends_with("_q") || name.ends_with("_f16"));
            for name in layers {
                assert!(
                    theirs.contains_key(name),
                    "{kind}/{export}/{network}: {name} is ours alone"
                );
            }
        }
        assert!(
            compared > 100,
            "{kind}/{export}: only {compared} tensors have the same names"
        );
    }
}

/// Models that other tools wrote: their graphs stay, their weights become int8.
#[test]
fn onnx_models_are_rounded() {
    let cases: Vec<_> = families();
    println!("| model | int8 weights | dB |");
    println!("|---|---|---|");
    for (kind, export) in [
        ("tiny", "fp32"),
        ("tiny", "fp16"),
        ("tiny", "half"),
        ("tiny", "bfloat16"),
        ("tiny", "inline"),
        ("tiny", "optimum"),
        ("tiny", "diffusers-onnx"),
        ("tiny", "opset-21"),
        ("tiny-sd21", "optimum"),
        ("tiny-sdxl", "optimum"),
        ("tiny-sd35", "optimum"),
        ("tiny-flux", "optimum"),
    ] {
        let source = models(kind).join(export);
        let folder = tempfile::tempdir().expect("a folder");
        let import = |precision, name: &str| {
            let out = folder.path().join(name);
            let request = Request {
                source: source.clone(),
                out: out.clone(),
                precision,
                ..Request::default()
            };
            let report = import::run(&request, &mut |_| ControlFlow::Continue(()));
            report.unwrap_or_else(|error| panic!("{kind}/{export}: {error}"));
            out
        };
        let (int8, same) = (
            import(Precision::Int8, "int8"),
            import(Precision::Fp32, "fp32"),
        );
        let (_, recorded) = cases
            .iter()
            .find(|(name, _)| name == kind)
            .expect("recorded");
        let usual = recorded.iter().find(|case| case["export"].is_null());
        let request = request(usual.expect("a case"));
        let picture = |model: &Path| paint(&mut load(model), &request).0.picture.rgb;
        let (as_it_was, rounded) = (picture(&source), picture(&int8));
        assert_eq!(as_it_was, picture(&same), "{kind}/{export}: copied");
        let psnr = psnr(&rounded, &as_it_was);
        let denoiser = ["unet", "transformer"].map(|name| int8.join(name));
        let denoiser = denoiser
            .iter()
            .find(|folder| folder.exists())
            .expect("a denoiser");
        let tensors = tensors(denoiser);
        let count = tensors.keys().filter(|name| name.ends_with("_q")).count();
        println!("| {kind}/{export} | {count} | {psnr:.1} |");
        assert!(psnr > INT8, "{kind}/{export}: {psnr:.1} dB");
        // As many as of the checkpoint itself, but for those that the exporter has in a form of its own.
        assert!(
            count >= 40,
            "{kind}/{export}: only {count} weights are int8"
        );
    }
}
