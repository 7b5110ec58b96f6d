//! LoRAs against what diffusers adds (`tests/goldens/import/loras`), and against plain loops.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::apply;
use crate::config::Config;
use crate::import::checkpoint::Network;
use crate::import::safetensors::SafeTensors;
use crate::import::testing::{Stored, write_safetensors};
use crate::import::weights::{Weight, Weights, take_all};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/import/loras")
}

/// A network of weights that are all zero.
fn zeros(folder: &Path, name: &str, shapes: &[(String, Vec<usize>)]) -> Network {
    let path = folder.join(format!("{name}.safetensors"));
    let tensors: Vec<_> = shapes
        .iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            (name.clone(), Stored::of(shape, &vec![0.0; count]))
        })
        .collect();
    write_safetensors(&path, &tensors);
    let mut weights = Weights::new();
    take_all(&mut weights, &SafeTensors::open(&path).expect("a file")).expect("weights");
    Network {
        path,
        config: Config::default(),
        weights,
    }
}

/// All numbers, three rows at a time.
fn read(weight: &Weight) -> Vec<f32> {
    let (rows, _) = weight.rows();
    let (mut all, mut some) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(3) {
        weight
            .read(first..rows.min(first + 3), &mut some)
            .expect("numbers");
        all.extend_from_slice(&some);
    }
    all
}

#[test]
fn what_is_added_is_what_diffusers_adds() {
    let text = fs::read_to_string(goldens().join("networks.json")).expect("the golden data");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let scale = golden["scale"].as_f64().expect("a number") as f32;
    for (style, kind) in golden["styles"].as_object().expect("styles") {
        let folder = tempfile::tempdir().expect("a folder");
        let networks = &golden["networks"][kind.as_str().expect("a name")];
        let mut networks: BTreeMap<String, Network> = networks
            .as_object()
            .expect("networks")
            .iter()
            .map(|(name, shapes)| {
                let shapes: BTreeMap<String, Vec<usize>> =
                    serde_json::from_value(shapes.clone()).expect("shapes");
                let shapes: Vec<_> = shapes.into_iter().collect();
                (name.clone(), zeros(folder.path(), name, &shapes))
            })
            .collect();
        let file = goldens().join(format!("{style}.safetensors"));
        let count = apply(&file, scale, &mut networks).expect(style);
        let added = goldens().join(format!("{style}.added.safetensors"));
        let added = SafeTensors::open(&added).expect("the golden data");
        assert_eq!(count, added.names().count(), "{style}");
        let (mut worst, mut largest) = (0.0_f32, 0.0_f32);
        for (name, network) in &networks {
            for (layer, weight) in &network.weights {
                let found = read(weight);
                let mut wanted = Vec::new();
                match added.get(&format!("{name}.{layer}")) {
                    Some(tensor) => tensor.read(0, found.len(), &mut wanted).expect("numbers"),
                    None => wanted.resize(found.len(), 0.0),
                }
                for (found, wanted) in found.iter().zip(&wanted) {
                    worst = worst.max((found - wanted).abs());
                    largest = largest.max(wanted.abs());
                }
            }
        }
        assert!(largest > 0.05, "{style}: {largest}");
        assert!(worst <= 1e-6, "{style}: {worst}");
    }
}

/// Numbers that are no simple row.
fn numbers(shape: &[usize], seed: usize) -> Stored {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|at| ((at * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0)
        .collect();
    Stored::of(shape, &values)
}

/// A network of one layer, changed by these tensors.
fn changed(shape: &[usize], tensors: &[(&str, Stored)]) -> Result<Vec<f32>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let unet = zeros(
        folder.path(),
        "unet",
        &[("conv_in.weight".into(), shape.to_vec())],
    );
    let mut networks = BTreeMap::from([("unet".to_owned(), unet)]);
    let file = folder.path().join("lora.safetensors");
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (format!("lora_unet_conv_in.{name}"), tensor.clone()))
        .collect();
    write_safetensors(&file, &tensors);
    apply(&file, 0.5, &mut networks).map_err(|error| error.to_string())?;
    Ok(read(&networks["unet"].weights["conv_in.weight"]))
}

fn assert_near(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5, "{found} {wanted}");
    }
}

#[test]
fn a_decomposed_convolution_is_put_together() {
    let (out, rank, input, height, width) = (5, 2, 4, 3, 2);
    let (up, mid, down) = (
        numbers(&[out, rank, 1, 1], 1),
        numbers(&[rank, rank, height, width], 2),
        numbers(&[rank, input, 1, 1], 3),
    );
    let (u, m, d) = (up.floats(), mid.floats(), down.floats());
    let mut wanted = Vec::new();
    for o in 0..out {
        for i in 0..input {
            for k in 0..height * width {
                let mut sum = 0.0;
                for a in 0..rank {
                    for b in 0..rank {
                        sum += u[o * rank + a]
                            * m[(a * rank + b) * height * width + k]
                            * d[b * input + i];
                    }
                }
                wanted.push(0.5 * 3.0 / rank as f32 * sum);
            }
        }
    }
    let tensors = [
        ("lora_up.weight", up),
        ("lora_mid.weight", mid),
        ("lora_down.weight", down),
        ("alpha", Stored::of(&[], &[3.0])),
    ];
    let found = changed(&[out, input, height, width], &tensors).expect("a change");
    assert_near(&found, &wanted);
}

#[test]
fn two_products_are_multiplied() {
    let (out, rank, length) = (4, 3, 2 * 3 * 3);
    let parts = [
        numbers(&[out, rank], 1),
        numbers(&[rank, length], 2),
        numbers(&[out, rank], 3),
        numbers(&[rank, length], 4),
    ];
    let floats = parts.each_ref().map(Stored::floats);
    let product = |a: &[f32], b: &[f32], row: usize, column: usize| -> f32 {
        (0..rank)
            .map(|at| a[row * rank + at] * b[at * length + column])
            .sum()
    };
    let mut wanted = Vec::new();
    for row in 0..out {
        for column in 0..length {
            let one = product(&floats[0], &floats[1], row, column);
            let other = product(&floats[2], &floats[3], row, column);
            wanted.push(0.5 * 2.0 / rank as f32 * one * other);
        }
    }
    let [one, two, three, four] = parts;
    let tensors = [
        ("hada_w1_a", one),
        ("hada_w1_b", two),
        ("hada_w2_a", three),
        ("hada_w2_b", four),
        ("alpha", Stored::of(&[], &[2.0])),
    ];
    assert_near(
        &changed(&[4, 2, 3, 3], &tensors).expect("a change"),
        &wanted,
    );
}

#[test]
fn what_is_wrong_is_said() {
    let up = || ("lora_up.weight", numbers(&[4, 2], 1));
    let down = || ("lora_down.weight", numbers(&[2, 6], 2));
    let alpha = |value: f32| ("alpha", Stored::of(&[1], &[value]));
    let cases: [(&[(&str, Stored)], &str); 11] = [
        (&[up()], "lacks one of its matrices"),
        (&[alpha(1.0)], "lacks one of its matrices"),
        (
            &[up(), ("lora_down.weight", numbers(&[2, 5], 2))],
            "2×5 and 4×2 do not fit a weight of 4×6",
        ),
        (
            &[down(), ("lora_up.weight", numbers(&[3, 2], 2))],
            "2×6 and 3×2 do not fit a weight of 4×6",
        ),
        (
            &[down(), ("lora_up.weight", numbers(&[4, 3], 2))],
            "do not fit",
        ),
        (
            &[
                ("lora_down.weight", numbers(&[0, 6], 2)),
                ("lora_up.weight", numbers(&[4, 0], 2)),
            ],
            "do not fit",
        ),
        (
            &[up(), down(), ("lora_mid.weight", numbers(&[2, 2, 0, 1], 1))],
            "do not fit",
        ),
        (&[up(), down(), alpha(f32::NAN)], "no number that can be"),
        (
            &[up(), down(), ("dora_scale", numbers(&[4], 1))],
            "is DoRA and not known here",
        ),
        (&[("lokr_w1", numbers(&[4], 1))], "is LoKr"),
        (
            &[("scales", numbers(&[4], 1))],
            "is of no LoRA that is known here",
        ),
    ];
    for (tensors, wanted) in cases {
        let error = changed(&[4, 6], tensors).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains("lora.safetensors: "), "{error}");
    }
    assert!(changed(&[4, 6], &[up(), down()]).is_ok());
}

#[test]
fn layers_that_are_not_there_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = [("conv_in.weight".to_owned(), vec![4, 6])];
    let unet = zeros(folder.path(), "unet", &shapes);
    let mut networks = BTreeMap::from([("unet".to_owned(), unet)]);
    let file = folder.path().join("lora.safetensors");
    let mut tensors = vec![
        (
            "lora_unet_conv_in.lora_up.weight".to_owned(),
            numbers(&[4, 2], 1),
        ),
        (
            "lora_unet_conv_in.lora_down.weight".to_owned(),
            numbers(&[2, 6], 1),
        ),
    ];
    for number in 0..5 {
        let name = format!("lora_te2_layer_{number}.lora_up.weight");
        tensors.push((name, numbers(&[4, 2], 1)));
    }
    write_safetensors(&file, &tensors);
    let error = apply(&file, 1.0, &mut networks).expect_err("strangers");
    let error = error.to_string();
    assert!(
        error.contains("5 of its 6 layers are none of the checkpoint's: `lora_te2_layer_0`, "),
        "{error}"
    );
    write_safetensors(&file, &[]);
    let error = apply(&file, 1.0, &mut networks).expect_err("nothing");
    assert!(error.to_string().contains("changes nothing"), "{error}");
    let mut values = Vec::new();
    let weight = &networks["unet"].weights["conv_in.weight"];
    weight.read(0..4, &mut values).expect("numbers");
    assert!(
        values.iter().all(|value| *value == 0.0),
        "nothing was changed"
    );
}

#[test]
fn the_strength_that_a_training_had_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("adapter_model.safetensors");
    let at = "base_model.model.conv_in";
    let tensors = [
        (format!("{at}.lora_A.weight"), Stored::of(&[1, 1], &[1.0])),
        (format!("{at}.lora_B.weight"), Stored::of(&[1, 1], &[1.0])),
    ];
    write_safetensors(&file, &tensors);
    let beside = folder.path().join("adapter_config.json");
    let merge = |config: &str| {
        fs::write(&beside, config).expect("room");
        let shapes = [("conv_in.weight".to_owned(), vec![1, 1])];
        let unet = zeros(folder.path(), "unet", &shapes);
        let mut networks = BTreeMap::from([("unet".to_owned(), unet)]);
        let applied = apply(&file, 1.0, &mut networks).map_err(|error| error.to_string());
        applied.map(|_| read(&networks["unet"].weights["conv_in.weight"])[0])
    };
    assert_eq!(merge(r#"{"lora_alpha": 4, "alpha_pattern": {}}"#), Ok(4.0));
    assert_eq!(merge("{}"), Ok(1.0));
    let error = merge(r#"{"lora_alpha": 4, "use_dora": true}"#).expect_err("DoRA");
    assert!(error.contains("`use_dora`"), "{error}");
}
