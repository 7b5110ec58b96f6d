//! A model that loads within a fraction of a millisecond: a few nodes a network, and a tokenizer without regular expressions.

use serde_json::Value;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::language::Snippet;
use crate::micro::{self, declared, network};

pub(crate) fn networks() -> [(&'static str, ModelProto); 3] {
    [
        (micro::UNET, unet()),
        (micro::TEXT_ENCODER, text_encoder()),
        (micro::DECODER, decoder()),
    ]
}

fn text_encoder() -> ModelProto {
    network(
        Snippet::of("c", "last_hidden_state = Gather({~56x4}, input_ids) axis=0"),
        vec![declared("input_ids", DataType::Int64, &[0, 0])],
        vec![declared("last_hidden_state", DataType::Float, &[0, 0, 4])],
    )
}

/// Values of the names that [`micro::unet_with`] has for crafted nodes.
fn unet() -> ModelProto {
    let nodes = "x = Conv(sample, {~4x4x1x1}, {~4})
        shape = Shape(x)
        rows = Reshape(x, {0,4,-1})
        tokens = Transpose(rows) perm=[0,2,1]
        text = ReduceMean(encoder_hidden_states) axes=[1] keepdims=1
        heard = Add(tokens, text)
        columns = Transpose(heard) perm=[0,2,1]
        back = Reshape(columns, shape)
        time = Cast(timestep) to=1
        wave = Sin(time)
        out_sample = Add(back, wave)";
    network(
        Snippet::of("c", nodes),
        vec![
            declared("sample", DataType::Float, &[0, 4, 0, 0]),
            declared("timestep", DataType::Int64, &[1]),
            declared("encoder_hidden_states", DataType::Float, &[0, 0, 4]),
        ],
        vec![declared("out_sample", DataType::Float, &[0, 4, 0, 0])],
    )
}

fn decoder() -> ModelProto {
    let nodes = "large = Resize(latent_sample, , {1.0,1.0,2.0,2.0}) mode=\"nearest\" coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\"
        sample = Conv(large, {~3x4x1x1}, {~3})";
    network(
        Snippet::of("c", nodes),
        vec![declared("latent_sample", DataType::Float, &[0, 4, 0, 0])],
        vec![declared("sample", DataType::Float, &[0, 3, 0, 0])],
    )
}

pub(crate) fn configurations() -> Vec<(&'static str, Value)> {
    let mut files = micro::configurations();
    for (file, value) in &mut files {
        if *file == "tokenizer/tokenizer.json" {
            value["normalizer"] = serde_json::json!({"type": "Lowercase"});
            value["pre_tokenizer"] = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        }
    }
    files
}
