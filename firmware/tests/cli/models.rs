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
    for network in NETWORKS {
        let place = Workplace::new().with_tiny();
        let path = place.path("model").join(format!("{network}_data"));
        fs::write(&path, nan(fs::read(&path).expect("the model has it")))
            .expect("it can be written");
        // With its list of checksums it is known for what it is.
        let call = [
            "paint", "a cat", "--model", "model", "--steps", "2", "--quiet",
        ];
        let data = format!("{network}_data");
        // What is not even numbers is seen before anything is compared.
        if network == "text_encoder/model.onnx" {
            place.refuses(1, &call, &["no numbers", "copy or export it again"]);
        } else {
            place.refuses(
                2,
                &call,
                &[&data, "is not what SHA256SUMS says", "copy the model anew"],
            );
        }
        fs::remove_file(place.path("model/SHA256SUMS")).expect("the model has it");
        fails(&place, network, &["no", "numbers", "damaged"]);
    }
}

/// One bit of the weights, which paints as well as before.
#[test]
fn a_flipped_bit_of_the_weights_is_found_when_the_cache_is_made() {
    let place = Workplace::new().with_tiny();
    let path = place.path("model/unet/model.onnx_data");
    let mut bytes = fs::read(&path).expect("the model has it");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("it can be written");
    for cache in ["off", "cache"] {
        let call = [
            "paint", "a cat", "--model", "model", "--steps", "2", "--quiet", "--cache", cache,
        ];
        let output = place.run(&call);
        place.refused(&output, 2, &["unet/model.onnx_data", "SHA256SUMS"]);
    }
}

/// Names in a model directory that belong to something else than files.
#[test]
fn pipes_and_devices_are_refused_at_once() {
    let files = NETWORKS.into_iter().chain(CONFIGS).chain([
        "unet/model.onnx_data",
        "tokenizer/tokenizer_config.json",
        "text_encoder/config.json",
    ]);
    for file in files {
        let place = Workplace::new().with_tiny();
        let path = place.path("model").join(file);
        for what in ["a pipe", "a device"] {
            let _ = fs::remove_file(&path);
            if what == "a pipe" {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
            } else {
                std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
            }
            let call = ["paint", "a cat", "--model", "model", "--quiet"];
            let output = place.run(&call);
            let code = output.status.code().unwrap_or_default();
            assert!((1..=2).contains(&code), "{file}: {output:?}");
            // The index tells whether there is a model at all.
            let says = if file == "model_index.json" {
                "model_index.json"
            } else {
                what
            };
            place.refused(&output, code, &[says]);
        }
    }
}

/// A hub's cache has links in the place of files.
#[test]
fn links_to_files_outside_the_model_are_followed() {
    let place = Workplace::new().with_tiny();
    for file in [
        "unet/model.onnx",
        "unet/model.onnx_data",
        "unet/config.json",
    ] {
        let path = place.path("model").join(file);
        let blob = place.path(&file.replace('/', "-"));
        fs::rename(&path, &blob).expect("it can be moved");
        std::os::unix::fs::symlink(&blob, &path).expect("a link");
    }
    let call = [
        "paint", "a cat", "--model", "model", "--steps", "1", "--quiet", "--out", "cat.png",
    ];
    let output = place.run(&call);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn files_without_end_are_refused_at_once() {
    for (file, says) in [
        ("unet/model.onnx", "not an ONNX file"),
        ("unet/config.json", "more than such a file has"),
        ("model_index.json", "more than such a file has"),
        ("tokenizer/vocab.json", "more than such a file has"),
        ("tokenizer/tokenizer.json", "more than such a file has"),
    ] {
        let place = Workplace::new().with_tiny();
        let path = place.path("model").join(file);
        let sparse = fs::File::create(&path).expect("it can be made");
        sparse.set_len(20 << 30).expect("a sparse file");
        fails(&place, file, &[says]);
    }
}

/// A number of a configuration, changed.
fn says_of(file: &'static str, key: &str, value: serde_json::Value, says: &[&str]) {
    let place = Workplace::new().with_tiny();
    let path = place.path("model").join(file);
    let text = fs::read_to_string(&path).expect("the model has it");
    let mut object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let (first, last) = key.rsplit_once('.').unwrap_or(("", key));
    let inner = if first.is_empty() {
        &mut object
    } else {
        &mut object[first]
    };
    inner[last] = value;
    // Python's, which JSON has not.
    let text = object.to_string().replace("\"NaN\"", "NaN");
    fs::write(&path, text).expect("it can be written");
    fails(&place, file, says);
}

#[test]
fn numbers_out_of_bounds_are_named() {
    use serde_json::json;
    let (unet, vae) = ("unet/config.json", "vae_decoder/config.json");
    let scheduler = "scheduler/scheduler_config.json";
    for (file, key, value) in [
        (unet, "in_channels", json!(1_000_000_000_000_u64)),
        (unet, "in_channels", json!(0)),
        (unet, "sample_size", json!(u64::MAX)),
        (unet, "sample_size", json!([1, -1])),
        (unet, "sample_size", json!("NaN")),
        (vae, "scaling_factor", json!("NaN")),
        (vae, "scaling_factor", json!(0)),
        (vae, "scaling_factor", json!(1e300)),
        (vae, "shift_factor", json!(1e39)),
        (vae, "block_out_channels", json!([])),
        (vae, "block_out_channels", json!(vec![1; 40])),
        (
            scheduler,
            "num_train_timesteps",
            json!(1_000_000_000_000_u64),
        ),
        (scheduler, "beta_start", json!("NaN")),
        (scheduler, "beta_end", json!(1e300)),
        ("easel.json", "defaults.width", json!(1_000_000_000_000_u64)),
        ("easel.json", "defaults.height", json!(0)),
        ("easel.json", "defaults.steps", json!(1001)),
        ("easel.json", "defaults.steps", json!(2.5)),
        ("easel.json", "defaults.guidance", json!("NaN")),
        ("easel.json", "defaults.guidance", json!(51)),
        (
            "easel.json",
            "latent_rgb_factors",
            json!([[1, 2, "NaN"], [1, 2, 3], [1, 2, 3], [1, 2, 3]]),
        ),
        ("easel.json", "defaults.size", json!("1x1")),
        ("easel.json", "lattent_rgb_bias", json!([0, 0, 0])),
    ] {
        let named = key.rsplit('.').next().unwrap_or(key);
        says_of(file, key, value, &[named]);
    }
    says_of(
        "easel.json",
        "defaults.width",
        json!(33),
        &["33x", "multiples of"],
    );
}

/// What another user could have written is not believed, and painting goes on without it.
#[test]
fn a_cache_that_others_can_write_is_told_and_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Workplace::new().with_tiny();
    let paint = |more: &[&str]| {
        let call = [
            "paint", "a cat", "--model", "model", "--steps", "1", "--quiet", "--out", "cat.png",
            "--cache", "cache",
        ];
        place.run(&[&call[..], more].concat())
    };
    assert!(paint(&[]).status.success());
    let mode = |path: &std::path::Path| {
        let known = fs::metadata(path).expect("it is there");
        known.permissions().mode() & 0o777
    };
    let cache = place.path("cache");
    let inner = fs::read_dir(&cache).expect("a folder").flatten().next();
    let inner = inner.expect("the model's").path();
    assert_eq!((mode(&cache), mode(&inner)), (0o700, 0o700));
    for pack in fs::read_dir(&inner).expect("a folder").flatten() {
        assert_eq!(mode(&pack.path()), 0o600, "{pack:?}");
    }
    let again = paint(&[]);
    assert_eq!(String::from_utf8_lossy(&again.stderr), "");
    for path in [&cache, &inner] {
        let before = fs::metadata(path).expect("it is there").permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let output = paint(&[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("others may write to"), "{said}");
        fs::set_permissions(path, before).expect("it is ours");
    }
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
        replace("\"StableDiffusionPipeline\"", "\"SanaPipeline\"")(bytes)
    });
    is_refused(&place, "model_index.json", &["SANA"]);
    // Of the family that its class names in vain: its network asks for less than that family's do.
    let xl = replace(
        "\"StableDiffusionPipeline\"",
        "\"StableDiffusionXLPipeline\"",
    );
    let place = changed("model_index.json", xl);
    is_refused(&place, "unet/model.onnx", &["text_embeds"]);
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
    let says = ["takes 4 channels", "9 of the latents", "unet/config.json"];
    is_refused(&place, "unet/model.onnx", &says);
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
        &["model.gguf", "GGUF", "easel import"],
    );
    place.refuses(
        2,
        &call("model.safetensors"),
        &[
            "checkpoint in a single file",
            "easel import model.safetensors",
        ],
    );
    place.refuses(
        2,
        &call("owner/name"),
        &["Hugging Face Hub", "easel import owner/name"],
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
        &["diffusers checkpoint", "easel import model --out DIR"],
    );
    let place = changed(
        "unet/config.json",
        replace(
            "\"time_cond_proj_dim\": null",
            "\"time_cond_proj_dim\": 256",
        ),
    );
    is_refused(&place, "unet/model.onnx", &["guidance", "timestep_cond"]);
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
    is_refused(&place, "unet/model.onnx", &["latent_sample"]);
}

/// Files that a call names.
#[test]
fn a_call_with_a_pipe_is_refused_at_once() {
    let place = Workplace::new();
    for name in ["board.toml", "latents.npy"] {
        let made = std::process::Command::new("mkfifo")
            .arg(place.path(name))
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
    }
    for call in [
        &["serve", "--board", "board.toml"][..],
        &["doctor", "--board", "board.toml"],
        &["paint", "a cat", "--latents", "latents.npy"],
    ] {
        place.refuses(2, call, &["is a pipe, not a file"]);
    }
}
