//! Whole imports of checkpoints that are wrong, and of those that are ended.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use prost::Message as _;
use serde_json::{Value, json};
use tract_onnx::pb::ModelProto;

use super::testing::{Stored, write_safetensors};
use super::{ImportError, Precision, Request, run};

/// A ControlNet of one block, which is a network with all kinds of layers.
fn weights() -> BTreeMap<String, Stored> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|at: usize| ((at * 37 % 101) as f32 - 50.0) / 100.0)
            .collect();
        all.insert(name.to_owned(), Stored::of(shape, &values));
    };
    let mut layer = |name: &str, shape: &[usize]| {
        add(&format!("{name}.weight"), shape);
        add(&format!("{name}.bias"), &shape[..1]);
    };
    layer("conv_in", &[32, 4, 3, 3]);
    layer("time_embedding.linear_1", &[128, 32]);
    layer("time_embedding.linear_2", &[128, 128]);
    for (name, shape) in [
        ("conv_in", [16, 3, 3, 3]),
        ("blocks.0", [16, 16, 3, 3]),
        ("blocks.1", [32, 16, 3, 3]),
        ("conv_out", [32, 32, 3, 3]),
    ] {
        layer(&format!("controlnet_cond_embedding.{name}"), &shape);
    }
    for at in [
        "down_blocks.0.resnets.0",
        "mid_block.resnets.0",
        "mid_block.resnets.1",
    ] {
        layer(&format!("{at}.norm1"), &[32]);
        layer(&format!("{at}.conv1"), &[32, 32, 3, 3]);
        layer(&format!("{at}.time_emb_proj"), &[32, 128]);
        layer(&format!("{at}.norm2"), &[32]);
        layer(&format!("{at}.conv2"), &[32, 32, 3, 3]);
    }
    for at in ["down_blocks.0.attentions.0", "mid_block.attentions.0"] {
        layer(&format!("{at}.norm"), &[32]);
        layer(&format!("{at}.proj_in"), &[32, 32, 1, 1]);
        layer(&format!("{at}.proj_out"), &[32, 32, 1, 1]);
        let block = format!("{at}.transformer_blocks.0");
        for (norm, attention) in [("norm1", "attn1"), ("norm2", "attn2")] {
            layer(&format!("{block}.{norm}"), &[32]);
            layer(&format!("{block}.{attention}.to_out.0"), &[32, 32]);
        }
        layer(&format!("{block}.norm3"), &[32]);
        layer(&format!("{block}.ff.net.0.proj"), &[256, 32]);
        layer(&format!("{block}.ff.net.2"), &[32, 128]);
    }
    for number in 0..2 {
        layer(&format!("controlnet_down_blocks.{number}"), &[32, 32, 1, 1]);
    }
    layer("controlnet_mid_block", &[32, 32, 1, 1]);
    for at in ["down_blocks.0.attentions.0", "mid_block.attentions.0"] {
        for part in [
            "attn1.to_q",
            "attn1.to_k",
            "attn1.to_v",
            "attn2.to_q",
            "attn2.to_k",
            "attn2.to_v",
        ] {
            add(
                &format!("{at}.transformer_blocks.0.{part}.weight"),
                &[32, 32],
            );
        }
    }
    all
}

fn config() -> Value {
    json!({
        "_class_name": "ControlNetModel", "norm_num_groups": 8, "attention_head_dim": 4,
        "down_block_types": ["CrossAttnDownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn",
    })
}

/// Where a checkpoint is, and where the model is to be.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(config: &Value, weights: &BTreeMap<String, Stored>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        fs::create_dir(&source).expect("room");
        fs::write(source.join("config.json"), config.to_string()).expect("room");
        let weights: Vec<_> = weights
            .iter()
            .map(|(name, stored)| (name.clone(), stored.clone()))
            .collect();
        write_safetensors(
            &source.join("diffusion_pytorch_model.safetensors"),
            &weights,
        );
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn import(&self, precision: Precision) -> Result<(), ImportError> {
        let request = Request {
            source: self.folder.path().join("source"),
            out: self.out(),
            precision,
            ..Request::default()
        };
        run(&request, &mut |_| ControlFlow::Continue(())).map(|_| ())
    }

    /// The one line that an import ends with, which leaves nothing.
    fn refused(&self) -> String {
        let error = self
            .import(Precision::Int8)
            .expect_err("an error")
            .to_string();
        assert!(!error.contains('\n'), "{error}");
        self.is_as_before();
        error
    }

    fn is_as_before(&self) {
        let names: Vec<_> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names, ["source"]);
    }
}

#[test]
fn a_network_alone_is_imported() {
    for precision in [Precision::Int8, Precision::Fp16, Precision::Fp32] {
        let place = Place::new(&config(), &weights());
        place.import(precision).expect("a network");
        for name in ["model.onnx", "model.onnx_data", "config.json", "SHA256SUMS"] {
            assert!(place.out().join(name).exists(), "{name}");
        }
    }
}

/// A tensor's shape and bytes, by its name.
fn tensors(folder: &Path) -> BTreeMap<String, (Vec<i64>, Vec<u8>)> {
    let model = ModelProto::decode(&fs::read(folder.join("model.onnx")).expect("a file")[..])
        .expect("ONNX");
    let data = fs::read(folder.join("model.onnx_data")).expect("a file");
    let tensors = model.graph.expect("a graph").initializer.into_iter();
    tensors
        .map(|tensor| {
            let entry = |key: &str| {
                tensor
                    .external_data
                    .iter()
                    .find(|entry| entry.key == key)?
                    .value
                    .parse::<usize>()
                    .ok()
            };
            let bytes = match (entry("offset"), entry("length")) {
                (Some(offset), Some(length)) => data[offset..][..length].to_vec(),
                _ => tensor.raw_data,
            };
            (tensor.name, (tensor.dims, bytes))
        })
        .collect()
}

/// Weights come in parts, a matrix lies the other way: what is stored is what a reading of the whole would give.
#[test]
fn weights_in_parts_are_those_of_the_whole() {
    let all = weights();
    let place = |precision| {
        let place = Place::new(&config(), &all);
        place.import(precision).expect("a network");
        tensors(&place.out())
    };
    let (int8, floats, halves) = (
        place(Precision::Int8),
        place(Precision::Fp32),
        place(Precision::Fp16),
    );
    let layer = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj";
    let name = format!("{layer}.weight");
    let (rows, columns) = (256, 32);
    let values = all[&name].floats();
    let turned = |at: usize| values[at % rows * columns + at / rows];
    let wanted: Vec<u8> = (0..rows * columns)
        .flat_map(|at| turned(at).to_le_bytes())
        .collect();
    assert!(floats[&name] == (vec![columns as i64, rows as i64], wanted));
    let wanted: Vec<u8> = (0..rows * columns)
        .flat_map(|at| half::f16::from_f32(turned(at)).to_le_bytes())
        .collect();
    assert!(halves[&format!("{name}_f16")].1 == wanted);
    let largest = |row: usize| {
        values[row * columns..][..columns]
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()))
    };
    let scales: Vec<f32> = (0..rows).map(|row| largest(row) / 127.0).collect();
    let wanted: Vec<u8> = (0..rows * columns)
        .map(|at| (turned(at) / scales[at % rows]).round_ties_even() as i8 as u8)
        .collect();
    assert!(int8[&format!("{name}_q")].1 == wanted);
    let wanted: Vec<u8> = scales
        .iter()
        .flat_map(|scale| scale.to_le_bytes())
        .collect();
    assert!(int8[&format!("{name}_scale")] == (vec![rows as i64], wanted));
    // A convolution lies as it is.
    let name = "mid_block.resnets.0.conv1.weight";
    let wanted: Vec<u8> = all[name]
        .floats()
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert!(floats[name] == (vec![32, 32, 3, 3], wanted));
    assert!(int8.contains_key(&format!("{name}_q")) && int8.contains_key("conv_in.weight"));
}

#[test]
fn one_that_is_ended_leaves_nothing() {
    let place = Place::new(&config(), &weights());
    let request = Request {
        source: place.folder.path().join("source"),
        out: place.out(),
        ..Request::default()
    };
    for last in [1, 2, 20] {
        let mut calls = 0;
        let ended = run(&request, &mut |_| {
            calls += 1;
            if calls == last {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(ended, Err(ImportError::Stopped)));
        place.is_as_before();
    }
}

#[test]
fn progress_ends_with_all_weights() {
    let place = Place::new(&config(), &weights());
    let request = Request {
        source: place.folder.path().join("source"),
        out: place.out(),
        ..Request::default()
    };
    let (mut done, mut total) = (0, 0);
    run(&request, &mut |progress| {
        assert!(progress.done >= done);
        (done, total) = (progress.done, progress.total);
        ControlFlow::Continue(())
    })
    .expect("a network");
    assert!(done == total && total > 10_000, "{done} of {total}");
}

#[test]
fn what_does_not_fit_is_named() {
    let with = |key: &str, value: Value| {
        let mut config = config();
        config[key] = value;
        Place::new(&config, &weights()).refused()
    };
    for (key, value, wanted) in [
        (
            "class_embed_type",
            json!("timestep"),
            "`class_embed_type`: \"timestep\" is not known here",
        ),
        (
            "_class_name",
            json!("UNet3D"),
            "the class `UNet3D` is not known here",
        ),
        (
            "down_block_types",
            json!(["KDownBlock2D"]),
            "the block `KDownBlock2D` is not known here",
        ),
        (
            "down_block_types",
            json!("all"),
            "`down_block_types` is not the list of blocks",
        ),
        (
            "down_block_types",
            json!(["DownBlock2D"]),
            "what `down_blocks.0.attentions.0.norm.bias` is a weight of is not known here",
        ),
        (
            "mid_block_type",
            json!("Other"),
            "the block `Other` is not known here",
        ),
        (
            "norm_num_groups",
            json!(7),
            "7 groups do not divide the 32 channels of `down_blocks.0.resnets.0.norm1`",
        ),
        (
            "attention_head_dim",
            json!(5),
            "32 features cannot be 5 heads of attention",
        ),
        ("attention_head_dim", json!("many"), "attention_head_dim"),
        ("norm_eps", json!("NaN"), "norm_eps"),
    ] {
        let line = with(key, value);
        assert!(line.contains(wanted), "{line}");
        assert!(line.contains("source: "), "{line}");
    }
}

#[test]
fn weights_that_lack_or_do_not_fit_are_named() {
    let (lacking, other) = ("mid_block.resnets.1.conv2.weight", "conv_in.weight");
    let mut weights = weights();
    let stored = weights.remove(lacking).expect("a weight");
    let line = Place::new(&config(), &weights).refused();
    assert!(
        line.contains(&format!("has no weight `{lacking}`")),
        "{line}"
    );
    weights.insert(lacking.into(), stored);
    weights.insert("something.else".into(), Stored::of(&[1], &[1.0]));
    let line = Place::new(&config(), &weights).refused();
    assert!(
        line.contains("what `something.else` is a weight of is not known here"),
        "{line}"
    );
    weights.remove("something.else");
    let values = vec![0.5; 32 * 5 * 9];
    weights.insert(
        "down_blocks.0.resnets.0.conv1.weight".into(),
        Stored::of(&[32, 5, 3, 3], &values),
    );
    let line = Place::new(&config(), &weights).refused();
    assert!(
        line.contains("is 32×5×3×3, but what comes before it has 32 channels"),
        "{line}"
    );
    let mut weights = self::weights();
    let values = vec![f32::NAN; 32 * 4 * 9];
    weights.insert(other.into(), Stored::of(&[32, 4, 3, 3], &values));
    let line = Place::new(&config(), &weights).refused();
    assert!(
        line.contains("`conv_in.weight` has numbers that are not finite"),
        "{line}"
    );
    weights.insert(other.into(), Stored::of(&[32, 36], &vec![0.5; 32 * 36]));
    let line = Place::new(&config(), &weights).refused();
    assert!(
        line.contains("`conv_in.weight` is 32×36: it should have 4 axes"),
        "{line}"
    );
}

#[test]
fn halves_cannot_hold_everything() {
    let mut weights = weights();
    let values = vec![70_000.0; 32 * 4 * 9];
    weights.insert("conv_in.weight".into(), Stored::of(&[32, 4, 3, 3], &values));
    let place = Place::new(&config(), &weights);
    let line = place
        .import(Precision::Fp16)
        .expect_err("an error")
        .to_string();
    assert!(line.contains("too large for fp16"), "{line}");
    place.import(Precision::Int8).expect("a network");
}

#[test]
fn a_source_that_is_none_is_named() {
    let place = tempfile::tempdir().expect("a folder");
    let line = |source: &Path| {
        let request = Request {
            source: source.to_owned(),
            out: place.path().join("model"),
            ..Request::default()
        };
        run(&request, &mut |_| ControlFlow::Continue(()))
            .expect_err("an error")
            .to_string()
    };
    let empty = place.path().join("empty");
    fs::create_dir(&empty).expect("room");
    assert!(
        line(&empty).contains("model_index.json"),
        "{}",
        line(&empty)
    );
    assert!(line(&place.path().join("nowhere")).contains("nowhere"));
    fs::write(
        empty.join("model_index.json"),
        r#"{"_class_name": "KandinskyPipeline"}"#,
    )
    .expect("room");
    fs::create_dir(empty.join("scheduler")).expect("room");
    fs::write(empty.join("scheduler/scheduler_config.json"), "{}").expect("room");
    assert!(
        line(&empty).contains("the pipeline `KandinskyPipeline` is not known here"),
        "{}",
        line(&empty)
    );
    fs::write(
        empty.join("model_index.json"),
        r#"{"_class_name": "StableDiffusionPipeline"}"#,
    )
    .expect("room");
    assert!(
        line(&empty).contains("has no text_encoder"),
        "{}",
        line(&empty)
    );
}
