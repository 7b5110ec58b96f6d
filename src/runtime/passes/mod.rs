//! The passes that rewrite a network before tract imports it, in one ordered list.

mod crop_upsampled;
mod dequantize;
mod external_data;
mod split_dequantize;
mod widen_f16;

use std::collections::HashMap;
use std::path::Path;

use tract_core::prelude::{Datum as _, DatumType};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

/// A pass: rewrites the network, or says why it cannot.
type Pass = fn(&mut ModelProto, &Path) -> Result<(), String>;

/// In order; each works on what the one before it left.
const PASSES: [(&str, Pass); 5] = [
    // First, because all that follows looks at values.
    ("external data", external_data::run),
    // Before dequantization, whose scales may be fp16.
    ("widen fp16", widen_f16::run),
    // Looks at structure alone.
    ("crop upsampled", crop_upsampled::run),
    // It makes the largest tensors: nothing looks at weights after it.
    ("dequantize", dequantize::run),
    // What the one before it left: activations.
    ("split dequantize", split_dequantize::run),
];

/// Runs all passes on the network read from `path`.
pub(super) fn run(model: &mut ModelProto, path: &Path) -> Result<(), String> {
    for (name, pass) in PASSES {
        pass(model, path).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}

/// Initializers by name.
fn constants(initializers: &[TensorProto]) -> HashMap<&str, &TensorProto> {
    let named = initializers.iter().map(|t| (t.name.as_str(), t));
    named.collect()
}

/// A node named after its one output, no attributes.
fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: op.to_owned(),
        input: input.iter().copied().map(String::from).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// tract's type for an ONNX element type, as it is after the passes: fp16 is f32 by then.
pub(crate) fn element_type(onnx: i32) -> Option<DatumType> {
    Some(match DataType::try_from(onnx).ok()? {
        DataType::Float | DataType::Float16 => f32::datum_type(),
        DataType::Double => f64::datum_type(),
        DataType::Int64 => i64::datum_type(),
        DataType::Int32 => i32::datum_type(),
        DataType::Bool => bool::datum_type(),
        _ => return None,
    })
}
