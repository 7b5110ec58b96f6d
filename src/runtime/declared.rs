//! What a file declares: the names, types and axes of a network's inputs and outputs.

use tract_core::prelude::DatumType;
use tract_onnx::pb::{TypeProto, ValueInfoProto, type_proto};

use super::passes::element_type;

/// One input as the file declares it.
#[derive(Debug, Clone)]
pub(crate) struct InputSpec {
    pub(crate) name: String,
    pub(crate) element: DatumType,
    /// `None`: a dynamic axis.
    pub(crate) dims: Vec<Option<usize>>,
}

/// One output as the file declares it.
#[derive(Debug, Clone)]
pub(crate) struct OutputSpec {
    pub(crate) name: String,
    /// Axes; `None`: the file does not say.
    pub(crate) rank: Option<usize>,
}

/// Of an input.
///
/// # Errors
/// It is no tensor, or of numbers that ONNX does not know.
pub(super) fn input_spec(input: &ValueInfoProto) -> Result<InputSpec, String> {
    use tract_onnx::pb::tensor_shape_proto::dimension::Value;
    let Some(TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..
    }) = &input.r#type
    else {
        return Err(format!("input `{}` is not a tensor", input.name));
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let dims = dims.map(|dim| match dim.value {
        Some(Value::DimValue(n)) => usize::try_from(n).ok().filter(|n| *n > 0),
        _ => None,
    });
    let element = element_type(tensor.elem_type)
        .ok_or_else(|| format!("input `{}` has an unknown element type", input.name))?;
    Ok(InputSpec {
        name: input.name.clone(),
        element,
        dims: dims.collect(),
    })
}

/// Of an output.
pub(super) fn output_spec(output: &ValueInfoProto) -> OutputSpec {
    let shape = match output.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.shape.as_ref(),
        _ => None,
    };
    OutputSpec {
        name: output.name.clone(),
        rank: shape.map(|shape| shape.dim.len()),
    }
}
