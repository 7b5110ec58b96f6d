//! Files in their authors' format (`tests/goldens/import/single-files.json`), against what diffusers makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Configuration, Prediction, autoencoder, open};
use crate::import::networks::{Kind, build};
use crate::import::testing::{Stored, write_safetensors};

#[derive(Deserialize)]
struct Golden {
    configs: BTreeMap<String, Value>,
    /// Of diffusers' weights, by network and name.
    shapes: BTreeMap<String, Vec<usize>>,
    /// Original name, what was done, with which weights.
    tensors: Vec<(String, String, Vec<String>)>,
}

fn goldens() -> BTreeMap<String, Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/import/single-files.json");
    let text = fs::read_to_string(path).expect("the golden data");
    serde_json::from_str(&text).expect("JSON")
}

impl Golden {
    /// Each of diffusers' weights has numbers of its own.
    fn numbers(&self, name: &str) -> Vec<f32> {
        let seed = name
            .bytes()
            .fold(7_usize, |seed, byte| seed * 31 % 9973 + usize::from(byte));
        let count: usize = self.shapes[name].iter().product();
        (0..count)
            .map(|at| ((at * 37 + seed) % 10007) as f32 * 1e-5)
            .collect()
    }

    /// The tensors of the file.
    fn file(&self) -> Vec<(String, Stored)> {
        let tensor = |(name, done, parts): &(String, String, Vec<String>)| {
            let mut shape = self.shapes[&parts[0]].clone();
            let mut values: Vec<f32> = parts.iter().flat_map(|part| self.numbers(part)).collect();
            match done.as_str() {
                "same" => {}
                "rows" => shape[0] *= parts.len(),
                "pixel" => shape.extend([1, 1]),
                "transposed" => {
                    let [rows, columns] = shape[..] else {
                        panic!("a matrix");
                    };
                    values = (0..rows * columns)
                        .map(|at| values[at % rows * columns + at / rows])
                        .collect();
                    shape.reverse();
                }
                other => panic!("{other}"),
            }
            (name.clone(), Stored::of(&shape, &values))
        };
        self.tensors.iter().map(tensor).collect()
    }
}

/// A file, and beside it a folder with tokenizers: the text encoders are too small for CLIP's own.
struct Place {
    folder: tempfile::TempDir,
    file: PathBuf,
    configuration: Configuration,
}

impl Place {
    fn new(tensors: &[(String, Stored)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let beside = folder.path().join("beside");
        for name in ["tokenizer", "tokenizer_2"] {
            fs::create_dir_all(beside.join(name)).expect("room");
        }
        let file = folder.path().join("my model.safetensors");
        write_safetensors(&file, tensors);
        Self {
            folder,
            file,
            configuration: Configuration::Folder(beside),
        }
    }

    fn problem(&self, configuration: Option<&Configuration>) -> String {
        let opened = open(&self.file, configuration);
        opened.err().expect("an error").to_string()
    }
}

/// One value for a list of the same.
fn plain(value: &Value) -> Value {
    match value.as_array().map(|list| (&list[0], list)) {
        Some((first, list)) if list.iter().all(|value| value == first) => plain(first),
        _ => value.clone(),
    }
}

#[test]
fn files_are_read_as_diffusers_reads_them() {
    for (kind, golden) in goldens() {
        let mut tensors = golden.file();
        // What files have beside, and nobody needs.
        for name in [
            "model_ema.decay",
            "alphas_cumprod",
            "first_stage_model.loss.logvar",
            "cond_stage_model.transformer.text_model.embeddings.position_ids",
            "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
            "cond_stage_model.model.logit_scale",
            "conditioner.embedders.1.model.logit_scale",
        ] {
            let is_elsewhere = |prefix: &str| {
                name.starts_with(prefix)
                    && !tensors.iter().any(|(name, _)| name.starts_with(prefix))
            };
            if !is_elsewhere("cond_stage_model.model.")
                && !is_elsewhere("cond_stage_model.transformer.")
                && !is_elsewhere("conditioner.")
            {
                tensors.push((name.into(), Stored::of(&[1], &[1.0])));
            }
        }
        let place = Place::new(&tensors);
        let (checkpoint, assumed) = open(&place.file, Some(&place.configuration)).expect(&kind);
        assert_eq!(checkpoint.name, "my model");
        assert_eq!(assumed.len(), usize::from(kind == "sd2"), "{assumed:?}");
        let mut count = 0;
        for (network, made) in &checkpoint.networks {
            for (name, weight) in &made.weights {
                let name = format!("{network}/{name}");
                assert_eq!(weight.shape(), golden.shapes[&name], "{kind} {name}");
                let (rows, _) = weight.rows();
                let mut values = Vec::new();
                weight.read(0..rows, &mut values).expect("numbers");
                assert!(values == golden.numbers(&name), "{kind} {name}");
                count += 1;
            }
            compare_configs(
                &format!("{kind} {network}"),
                &made.config.to_json(&[]),
                &golden.configs[network],
            );
        }
        assert_eq!(count, golden.shapes.len(), "{kind}");
        for (network, part) in [
            ("unet", Kind::Unet { image_tokens: 0 }),
            ("vae", Kind::Decoder),
            ("vae", Kind::Encoder),
            ("text_encoder", Kind::Text { by_layer: true }),
            ("text_encoder_2", Kind::Text { by_layer: true }),
        ] {
            if let Some(network) = checkpoint.networks.get(network) {
                build(network, part).expect(&kind);
            }
        }
    }
}

/// What was found out is what was saved, wherever that says something.
fn compare_configs(kind: &str, found: &str, saved: &Value) {
    let found: Value = serde_json::from_str(found).expect("JSON");
    for (key, value) in found.as_object().expect("a configuration") {
        let own = [
            "bos_token_id",
            "eos_token_id",
            "pad_token_id",
            "architectures",
            "_class_name",
        ];
        // The one that diffusers has as its default, which is as much as it.
        let same = key == "mid_block_type" && saved.get(key).is_none();
        if let Some(saved) = saved
            .get(key)
            .filter(|_| !own.contains(&key.as_str()) && !same)
        {
            assert_eq!(plain(value), plain(saved), "{kind} {key}");
        }
    }
}

#[test]
fn what_it_predicts_is_said_or_found() {
    let golden = &goldens()["sd2"];
    let place = Place::new(&golden.file());
    let prediction = |place: &Place, configuration: &Configuration| {
        let (checkpoint, assumed) = open(&place.file, Some(configuration)).expect("a checkpoint");
        let said = checkpoint.scheduler.text("prediction_type").expect("text");
        (said.map(str::to_owned), assumed.len())
    };
    assert_eq!(
        prediction(&place, &place.configuration),
        (Some("epsilon".into()), 1)
    );
    let mut tensors = golden.file();
    for (name, tensor) in &mut tensors {
        if name.contains("output_blocks") && name.ends_with("norm1.bias") {
            let values: Vec<f32> = tensor.floats().iter().map(|value| value * 10.0).collect();
            *tensor = Stored::of(&[values.len()], &values);
        }
    }
    let place = Place::new(&tensors);
    assert_eq!(
        prediction(&place, &place.configuration),
        (Some("v_prediction".into()), 1)
    );
    tensors.push(("v_pred".into(), Stored::of(&[0], &[])));
    let place = Place::new(&tensors);
    assert_eq!(
        prediction(&place, &place.configuration),
        (Some("v_prediction".into()), 0)
    );
    for (text, wanted) in [
        (
            "v_prediction",
            Configuration::Prediction(Prediction::Velocity),
        ),
        ("epsilon", Configuration::Prediction(Prediction::Epsilon)),
        ("a/folder", Configuration::Folder("a/folder".into())),
    ] {
        assert_eq!(text.parse(), Ok(wanted));
    }
}

#[test]
fn the_layer_that_stable_diffusion_2_does_not_use_is_left_out() {
    let golden = &goldens()["sd2"];
    let mut tensors = golden.file();
    let first: Vec<_> = tensors
        .iter()
        .filter(|(name, _)| name.contains(".resblocks.0."))
        .cloned()
        .collect();
    for number in 2..24 {
        for (name, tensor) in &first {
            let name = name.replace(".resblocks.0.", &format!(".resblocks.{number}."));
            tensors.push((name, tensor.clone()));
        }
    }
    let place = Place::new(&tensors);
    let (checkpoint, _) = open(&place.file, Some(&place.configuration)).expect("a checkpoint");
    let encoder = &checkpoint.networks["text_encoder"];
    assert_eq!(
        encoder.config.count("num_hidden_layers", 0..=99),
        Ok(Some(23))
    );
    assert!(
        !encoder
            .weights
            .keys()
            .any(|name| name.contains("layers.23."))
    );
}

#[test]
fn a_file_without_a_part_takes_it_from_beside_or_is_refused() {
    let golden = &goldens()["sd1"];
    let mut tensors = golden.file();
    tensors.retain(|(name, _)| !name.starts_with("first_stage_model."));
    let place = Place::new(&tensors);
    let problem = place.problem(Some(&place.configuration));
    assert!(
        problem.contains("my model.safetensors: has no vae: "),
        "{problem}"
    );
    let vae = place.folder.path().join("beside/vae");
    fs::create_dir(&vae).expect("room");
    fs::write(vae.join("config.json"), golden.configs["vae"].to_string()).expect("room");
    write_safetensors(
        &vae.join("diffusion_pytorch_model.safetensors"),
        &[("quant_conv.bias".into(), Stored::of(&[1], &[1.0]))],
    );
    let (checkpoint, _) = open(&place.file, Some(&place.configuration)).expect("a checkpoint");
    assert_eq!(checkpoint.networks["vae"].weights.len(), 1);
    // Without a folder there is no tokenizer of so few tokens.
    let problem = place.problem(None);
    assert!(
        problem.contains("for 512 tokens, not CLIP's 49408"),
        "{problem}"
    );
    let nowhere = Configuration::Folder("/nowhere".into());
    let problem = place.problem(Some(&nowhere));
    assert!(
        problem.contains("/nowhere: is neither a folder"),
        "{problem}"
    );
}

#[test]
fn an_autoencoder_alone_is_read_by_either_name() {
    let golden = &goldens()["sd1"];
    let place = Place::new(&golden.file());
    let (checkpoint, _) = open(&place.file, Some(&place.configuration)).expect("a checkpoint");
    let own = &checkpoint.networks["vae"];
    let theirs: Vec<_> = golden
        .file()
        .into_iter()
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix("first_stage_model.")?;
            Some((name.to_owned(), tensor))
        })
        .collect();
    let diffusers: Vec<_> = golden
        .shapes
        .iter()
        .filter_map(|(name, shape)| {
            let own = name.strip_prefix("vae/")?;
            Some((own.to_owned(), Stored::of(shape, &golden.numbers(name))))
        })
        .collect();
    for tensors in [theirs, diffusers] {
        let file = place.folder.path().join("vae.safetensors");
        write_safetensors(&file, &tensors);
        let read = autoencoder(&file, own).expect("an autoencoder");
        assert!(read.weights.keys().eq(own.weights.keys()));
        assert_eq!(read.config.to_json(&[]), own.config.to_json(&[]));
    }
    let problem = autoencoder(&place.file.with_file_name("none"), own);
    let problem = problem.err().expect("an error").to_string();
    assert!(problem.contains("none: is missing"), "{problem}");
}

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    let one = || Stored::of(&[1], &[1.0]);
    for (name, wanted) in [
        (
            "lora_unet_conv_in.lora_up.weight",
            "is a LoRA: give it with --lora",
        ),
        ("unet.conv_in.lora_A.weight", "is a LoRA"),
        (
            "conditioner.embedders.0.model.ln_final.weight",
            "is SDXL's refiner",
        ),
        (
            "model.diffusion_model.joint_blocks.0.w",
            "is a Stable Diffusion 3 model",
        ),
        ("double_blocks.0.img_attn.w", "is a Flux model"),
        ("control_model.input_hint_block.0.weight", "is a ControlNet"),
        (
            "decoder.conv_in.weight",
            "is an autoencoder: give it with --decoder",
        ),
        ("input_blocks.0.0.weight", "is a U-Net alone"),
        ("weight", "it has no U-Net"),
        (
            "model.diffusion_model.other.weight",
            "`other.weight` is no weight of a U-Net",
        ),
        (
            "model.diffusion_model.input_blocks.1.0.in_layers.9.weight",
            "is no weight of a U-Net",
        ),
    ] {
        let place = Place::new(&[(name.into(), one())]);
        let problem = place.problem(None);
        assert!(problem.contains(wanted), "{name}: {problem}");
        assert!(problem.contains("my model.safetensors: "), "{problem}");
    }
    for (bytes, wanted) in [
        (
            &b"PK\x03\x04and more of it"[..],
            "is in PyTorch's own format",
        ),
        (
            b"\x80\x02}q\x00(X\x05\x00\x00",
            "is in PyTorch's own format",
        ),
        (b"GGUF\x03\x00\x00\x00\x00", "is in the GGUF format"),
        (b"<html>\n<body>\n", "is not in the safetensors format"),
        (b"", "is cut short"),
    ] {
        let place = Place::new(&[]);
        fs::write(&place.file, bytes).expect("room");
        let problem = place.problem(None);
        assert!(problem.contains(wanted), "{problem}");
    }
}

#[test]
fn what_shapes_do_not_tell_is_asked_for() {
    let golden = &goldens()["sd1"];
    let mut tensors = golden.file();
    for (name, tensor) in &mut tensors {
        if name.ends_with("input_blocks.1.0.in_layers.2.weight") {
            *tensor = Stored::of(&[24, 1], &[0.0; 24]);
        }
    }
    let place = Place::new(&tensors);
    let problem = place.problem(Some(&place.configuration));
    assert!(
        problem.contains("does not say how its channels are normalized: name a folder"),
        "{problem}"
    );
}
