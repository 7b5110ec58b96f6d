//! Damaged models: exit code 1, and what is no model or none for easel: exit code 2; one line that names the file, nothing written.

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

const CALL: [&str; 7] = [
    "paint", "a cat", "--model", "model", "--steps", "2", "--quiet",
];

fn fails(place: &Workplace, file: &str, says: &[&str]) {
    place.refuses(1, &CALL, &[&[file], says].concat());
}

fn is_refused(place: &Workplace, file: &str, says: &[&str]) {
    place.refuses(2, &CALL, &[&[file], says].concat());
}

/// Changes one file of a copy of the tiny model.
fn changed(file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Workplace {
    let place = Workplace::new().with_tiny();
    let path = place.path("model").join(file);
    let bytes = fs::read(&path).expect("the model has it");
    fs::write(&path, change(bytes)).expect("it can be written");
    place
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
    // diffusers' own ONNX exports have no configurations of networks.
    for file in NETWORKS.into_iter().chain([CONFIGS[1]]) {
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
    let scheduler = "scheduler/scheduler_config.json";
    let place = changed(scheduler, replace("DDIMScheduler", "MagicScheduler"));
    let edited = place.path("model/easel.json");
    let easel = fs::read_to_string(&edited).expect("the model has it");
    let mut easel: serde_json::Value = serde_json::from_str(&easel).expect("JSON");
    easel["defaults"]
        .as_object_mut()
        .expect("it has them")
        .remove("scheduler");
    fs::write(&edited, easel.to_string()).expect("it can be written");
    is_refused(
        &place,
        "scheduler_config.json",
        &["MagicScheduler", "--scheduler"],
    );
    let chosen = place.run(&[&CALL[..], &["--scheduler", "ddim", "--out", "cat.png"]].concat());
    assert!(chosen.status.success(), "{chosen:?}");
    easel["defaults"]["scheduler"] = "euler".into();
    fs::write(&edited, easel.to_string()).expect("it can be written");
    let chosen = place.run(&[&CALL[..], &["--out", "cat.png"]].concat());
    assert!(chosen.status.success(), "{chosen:?}");
    damaged(
        "scheduler/scheduler_config.json",
        replace("\"epsilon\"", "\"magic\""),
        &["prediction_type", "magic"],
    );
}

#[test]
fn a_component_is_unknown() {
    let place = changed(
        "model_index.json",
        replace("\"unet\"", "\"text_encoder_2\""),
    );
    is_refused(&place, "model_index.json", &["text_encoder_2"]);
    let place = changed("model_index.json", |bytes| {
        let bytes = replace("\"unet\"", "\"text_encoder_2\"")(bytes);
        replace(
            "\"StableDiffusionPipeline\"",
            "\"StableDiffusionXLPipeline\"",
        )(bytes)
    });
    is_refused(
        &place,
        "model_index.json",
        &["Stable Diffusion XL", "text_encoder_2"],
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
    is_refused(&place, "unet/config.json", &["inpainting", "9 channels"]);
}

#[test]
fn what_is_given_for_a_model_says_what_it_is() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167540\n";
    let place = Workplace::new()
        .with("model.gguf", "GGUF")
        .with("model.safetensors", "");
    let call = |model: &'static str| ["paint", "a cat", "--model", model];
    place.refuses(
        2,
        &call("model.gguf"),
        &["model.gguf", "GGUF", "easel_export"],
    );
    place.refuses(
        2,
        &call("model.safetensors"),
        &["checkpoint in a single file", "easel_export"],
    );
    place.refuses(
        2,
        &call("owner/name"),
        &["Hugging Face Hub", "--source owner/name"],
    );
    for file in [
        "unet/model.onnx",
        "vae_decoder/model.onnx_data",
        "tokenizer/vocab.json",
        "model_index.json",
    ] {
        let place = changed(file, |_| pointer.into());
        is_refused(&place, file, &["Git LFS pointer", "git lfs pull"]);
    }
    let place = Workplace::new().with_tiny();
    let unet = place.path("model/unet");
    fs::rename(
        unet.join("model.onnx"),
        unet.join("diffusion_pytorch_model.safetensors"),
    )
    .expect("it is there");
    is_refused(
        &place,
        "model",
        &["diffusers checkpoint", "easel_export --source model"],
    );
    let place = changed(
        "unet/config.json",
        replace(
            "\"time_cond_proj_dim\": null",
            "\"time_cond_proj_dim\": 256",
        ),
    );
    is_refused(&place, "unet/config.json", &["LCM", "timestep_cond"]);
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
