//! Damaged models: exit code 1, one line that names the file, nothing written.

use crate::support::Workplace;
use std::fs;

/// Damages one file of a copy of the tiny model and paints with it.
fn damaged(file: &str, damage: impl FnOnce(Vec<u8>) -> Vec<u8>, says: &[&str]) {
    let place = Workplace::new().with_tiny();
    let path = place.path("model").join(file);
    let bytes = fs::read(&path).expect("the model has it");
    fs::write(&path, damage(bytes)).expect("it can be written");
    fails(&place, file, says);
}

fn fails(place: &Workplace, file: &str, says: &[&str]) {
    let call = [
        "paint", "a cat", "--model", "model", "--steps", "2", "--quiet",
    ];
    place.refuses(1, &call, &[&[file], says].concat());
}

/// Keeps so many tenths of the file.
fn cut(tenths: usize) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    move |mut bytes| {
        bytes.truncate(bytes.len() * tenths / 10);
        bytes
    }
}

fn replace(from: &'static str, to: &'static str) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    move |bytes| {
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.contains(from), "the file has no {from}");
        text.replace(from, to).into_bytes()
    }
}

const NETWORKS: [&str; 3] = [
    "text_encoder/model.onnx",
    "unet/model.onnx",
    "vae_decoder/model.onnx",
];
const CONFIGS: [&str; 5] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "vae_decoder/config.json",
    "easel.json",
];

#[test]
fn a_network_is_cut_short() {
    for network in NETWORKS {
        damaged(network, cut(0), &["empty or cut short"]);
        damaged(network, cut(5), &["copy or export it again"]);
        damaged(network, cut(9), &["copy or export it again"]);
    }
}

#[test]
fn a_network_is_something_else() {
    damaged(
        "unet/model.onnx",
        |_| b"<html>404 Not Found</html>".to_vec(),
        &["not an ONNX file"],
    );
    damaged(
        "unet/model.onnx",
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 4096].fill(0xff);
            bytes
        },
        &["copy or export it again"],
    );
}

#[test]
fn a_file_is_missing() {
    for file in NETWORKS.into_iter().chain(CONFIGS[1..4].iter().copied()) {
        let place = Workplace::new().with_tiny();
        fs::remove_file(place.path("model").join(file)).expect("the model has it");
        fails(&place, file, &["cannot be read"]);
    }
}

#[test]
fn weights_are_cut_short_or_missing() {
    for network in NETWORKS {
        let data = format!("{network}_data");
        let place = Workplace::new().with_tiny();
        let path = place.path("model").join(&data);
        let bytes = fs::read(&path).expect("the model has it");
        fs::write(&path, cut(9)(bytes)).expect("it can be written");
        fails(&place, network, &["model.onnx_data", "cut short"]);
        fs::write(&path, []).expect("it can be written");
        fails(&place, network, &["model.onnx_data", "cut short"]);
        fs::remove_file(&path).expect("it is there");
        fails(&place, network, &["model.onnx_data", "cannot be read"]);
    }
}

#[test]
fn weights_that_are_no_numbers_are_noticed() {
    let nan = |bytes: Vec<u8>| f32::NAN.to_le_bytes().repeat(bytes.len() / 4);
    let place = Workplace::new().with_tiny();
    let path = place.path("model/unet/model.onnx_data");
    fs::write(&path, nan(fs::read(&path).expect("the model has it"))).expect("it can be written");
    fails(&place, "latents", &["not finite", "damaged"]);
}

#[test]
fn a_configuration_is_no_json() {
    for config in CONFIGS {
        damaged(config, cut(5), &[]);
        damaged(config, |_| Vec::new(), &[]);
        damaged(config, |_| b"[1, 2, 3]".to_vec(), &[]);
        damaged(config, |_| b"\xff\xfe{}".to_vec(), &[]);
    }
}

#[test]
fn the_scheduler_class_is_unknown() {
    damaged(
        "scheduler/scheduler_config.json",
        replace("DDIMScheduler", "MagicScheduler"),
        &["MagicScheduler", "DDIMScheduler"],
    );
    damaged(
        "scheduler/scheduler_config.json",
        replace("\"epsilon\"", "\"magic\""),
        &["prediction_type", "magic"],
    );
}

#[test]
fn a_component_is_unknown() {
    damaged(
        "model_index.json",
        replace("\"unet\"", "\"text_encoder_2\""),
        &["text_encoder_2"],
    );
    damaged(
        "vae_decoder/config.json",
        replace("AutoencoderKL", "VQModel"),
        &["VQModel"],
    );
}

#[test]
fn the_decoder_is_of_another_factor() {
    // Three blocks mean a factor of 4, the network's is 2.
    let place = Workplace::new().with_tiny();
    let path = place.path("model/vae_decoder/config.json");
    let config = String::from_utf8(fs::read(&path).expect("the model has it")).expect("UTF-8");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    config["block_out_channels"] = serde_json::json!([16, 32, 32]);
    fs::write(&path, config.to_string()).expect("it can be written");
    fails(
        &place,
        "vae_decoder/model.onnx",
        &["[1, 3, 32, 32]", "config.json"],
    );
}

#[test]
fn the_configuration_has_other_channels_than_the_network() {
    let place = Workplace::new().with_tiny();
    let path = place.path("model/unet/config.json");
    let config = replace("\"in_channels\": 4", "\"in_channels\": 9");
    fs::write(&path, config(fs::read(&path).expect("the model has it")))
        .expect("it can be written");
    fails(&place, "unet/model.onnx", &["sample", "9"]);
}

#[test]
fn networks_are_mixed_up() {
    let place = Workplace::new().with_tiny();
    let model = place.path("model");
    for file in ["model.onnx", "model.onnx_data"] {
        let (from, to) = (
            model.join("vae_decoder").join(file),
            model.join("unet").join(file),
        );
        fs::copy(from, to).expect("it can be copied");
    }
    fails(&place, "unet/model.onnx", &["latent_sample"]);
}
