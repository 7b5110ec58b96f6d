//! The smallest model directory that paints: a dozen nodes a network, made here, so that a thousand of its damaged brothers load
//! within seconds.

use std::fs;
use std::path::Path;

use prost::Message as _;
use serde_json::{Map, Value, json};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, ModelProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};

use super::language::Snippet;

pub(crate) const TEXT_ENCODER: &str = "text_encoder/model.onnx";
pub(crate) const UNET: &str = "unet/model.onnx";
pub(crate) const DECODER: &str = "vae_decoder/model.onnx";

/// A tensor as a graph declares it; an axis of 0 is dynamic.
pub(crate) fn declared(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |n: &i64| Dimension {
        value: Some(match n {
            0 => dimension::Value::DimParam("n".to_owned()),
            n => dimension::Value::DimValue(*n),
        }),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A network of these nodes.
pub(crate) fn network(
    nodes: Snippet,
    input: Vec<ValueInfoProto>,
    output: Vec<ValueInfoProto>,
) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            version: 17,
            ..OperatorSetIdProto::default()
        }],
        graph: Some(GraphProto {
            name: "main".to_owned(),
            node: nodes.nodes,
            initializer: nodes.constants,
            input,
            output,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(crate) fn text_encoder() -> ModelProto {
    let nodes = "rows = Gather({~56x4}, input_ids) axis=0
        normal = LayerNormalization(rows, {~4}, {~4}) axis=-1 epsilon=0.00001
        mixed = MatMul(normal, {~4x4})
        gate = Sigmoid(mixed)
        active = Mul(mixed, gate)
        last_hidden_state = Add(rows, active)";
    network(
        Snippet::of("c", nodes),
        vec![declared("input_ids", DataType::Int64, &[0, 0])],
        vec![declared("last_hidden_state", DataType::Float, &[0, 0, 4])],
    )
}

pub(crate) fn unet() -> ModelProto {
    unet_with(Snippet::default(), "")
}

/// The U-Net with more nodes, of which `value` is mixed into the output. They find the image `x` [1, 4, 4, 4], the tokens `tokens`
/// [1, 16, 4], the text `encoder_hidden_states` [1, 8, 4], the number `time` and the image's shape `shape`.
pub(crate) fn unet_with(crafted: Snippet, value: &str) -> ModelProto {
    let nodes = "time = Cast(timestep) to=1
        slow = Mul(time, {#0.01})
        wave = Sin(slow)
        shift = Reshape(wave, {-1,1,1,1})
        first = Conv(sample, {~4x4x3x3}, {~4}) kernel_shape=[3,3] pads=[1,1,1,1]
        moved = Add(first, shift)
        shape = Shape(moved)
        grouped = Reshape(moved, {0,2,-1})
        even = InstanceNormalization(grouped, {1.0,1.0}, {0.0,0.0}) epsilon=0.00001
        image = Reshape(even, shape)
        scaled = Mul(image, {~4x1x1})
        biased = Add(scaled, {~4x1x1})
        gate = Sigmoid(biased)
        x = Mul(biased, gate)
        rows = Reshape(x, {0,4,-1})
        tokens = Transpose(rows) perm=[0,2,1]
        query = MatMul(tokens, {~4x4})
        key = MatMul(encoder_hidden_states, {~4x4})
        content = MatMul(encoder_hidden_states, {~4x4})
        turned = Transpose(key) perm=[0,2,1]
        scores = MatMul(query, turned)
        shares = Softmax(scores) axis=-1
        heard = MatMul(shares, content)
        columns = Transpose(heard) perm=[0,2,1]
        back = Reshape(columns, shape)
        joined = Add(x, back)
        last = Conv(joined, {~4x4x3x3}, {~4}) kernel_shape=[3,3] pads=[1,1,1,1]";
    let mut nodes = Snippet::of("c", nodes);
    nodes.nodes.extend(crafted.nodes);
    nodes.constants.extend(crafted.constants);
    let end = if value.is_empty() {
        "out_sample = Mul(last, {#1.0})".to_owned()
    } else {
        // Whatever type and shape it has, one number of it; a sine hides no NaN, as a hyperbolic tangent may.
        format!(
            "numbers = Cast({value}) to=1
            mean = ReduceMean(numbers) keepdims=0
            bounded = Sin(mean)
            out_sample = Add(last, bounded)"
        )
    };
    let end = Snippet::of("e", &end);
    nodes.nodes.extend(end.nodes);
    nodes.constants.extend(end.constants);
    network(
        nodes,
        vec![
            declared("sample", DataType::Float, &[0, 4, 0, 0]),
            declared("timestep", DataType::Int64, &[1]),
            declared("encoder_hidden_states", DataType::Float, &[0, 0, 4]),
        ],
        vec![declared("out_sample", DataType::Float, &[0, 4, 0, 0])],
    )
}

pub(crate) fn decoder() -> ModelProto {
    let nodes = "first = Conv(latent_sample, {~4x4x3x3}, {~4}) kernel_shape=[3,3] pads=[1,1,1,1]
        large = Resize(first, , {1.0,1.0,2.0,2.0}) mode=\"nearest\" coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\"
        last = Conv(large, {~3x4x3x3}, {~3}) kernel_shape=[3,3] pads=[1,1,1,1]
        sample = Tanh(last)";
    network(
        Snippet::of("c", nodes),
        vec![declared("latent_sample", DataType::Float, &[0, 4, 0, 0])],
        vec![declared("sample", DataType::Float, &[0, 3, 0, 0])],
    )
}

/// `tokenizer/tokenizer.json`: letters, and one pair of them.
pub(crate) fn tokenizer() -> Value {
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("{c}</w>")]);
    let specials = ["tr", "<|startoftext|>", "<|endoftext|>"].map(String::from);
    let vocab: Map<String, Value> = letters
        .chain(specials)
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": true, "special": true})
    };
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(53, "<|startoftext|>"), special(54, "<|endoftext|>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"[\p{L}]+|[^\s\p{L}]+"}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 54], "cls": ["<|startoftext|>", 53],
            "trim_offsets": false, "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "vocab": vocab, "merges": ["t r"]},
    })
}

/// The small files.
pub(crate) fn configurations() -> Vec<(&'static str, Value)> {
    vec![
        (
            "model_index.json",
            json!({"_class_name": "StableDiffusionPipeline",
                "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
                "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
                "vae": ["diffusers", "AutoencoderKL"]}),
        ),
        (
            "scheduler/scheduler_config.json",
            json!({"_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000,
                "prediction_type": "epsilon", "set_alpha_to_one": false, "steps_offset": 1}),
        ),
        (
            "unet/config.json",
            json!({"in_channels": 4, "sample_size": 4}),
        ),
        (
            "vae_decoder/config.json",
            json!({"_class_name": "AutoencoderKL", "block_out_channels": [4, 4], "scaling_factor": 0.18215}),
        ),
        (
            "text_encoder/config.json",
            json!({"max_position_embeddings": 8}),
        ),
        (
            "easel.json",
            json!({"format": 1, "defaults": {"width": 8, "height": 8, "steps": 1, "guidance": 1.0, "scheduler": "ddim"}}),
        ),
        ("tokenizer/tokenizer.json", tokenizer()),
        (
            "tokenizer/tokenizer_config.json",
            json!({"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>", "model_max_length": 8, "tokenizer_class": "CLIPTokenizer"}),
        ),
    ]
}

/// Writes the whole directory.
pub(crate) fn write(folder: &Path) {
    for (file, value) in configurations() {
        put(folder, file, value.to_string());
    }
    for (file, network) in [
        (TEXT_ENCODER, text_encoder()),
        (UNET, unet()),
        (DECODER, decoder()),
    ] {
        put(folder, file, network.encode_to_vec());
    }
}

/// Writes one file of it.
pub(crate) fn put(folder: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
    fs::write(path, bytes).expect("written");
}
