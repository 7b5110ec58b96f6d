//! Turns fp16 and bfloat16 networks into f32 ones: constants, casts and declared types. Boards without such arithmetic
//! would convert at every step otherwise, and accumulate in half precision.

use half::{bf16, f16};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
    type_proto,
};

use super::PassContext;

const F16: i32 = DataType::Float16 as i32;
const BF16: i32 = DataType::Bfloat16 as i32;
const F32: i32 = DataType::Float as i32;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    model.graph.iter_mut().try_for_each(graph)
}

fn graph(graph: &mut GraphProto) -> Result<(), String> {
    graph.initializer.iter_mut().try_for_each(tensor)?;
    let values = graph.input.iter_mut().chain(&mut graph.output);
    values.chain(&mut graph.value_info).for_each(declared);
    graph.node.iter_mut().try_for_each(node)
}

fn node(node: &mut NodeProto) -> Result<(), String> {
    let casts = matches!(
        node.op_type.as_str(),
        "Cast" | "RandomNormalLike" | "EyeLike"
    );
    for attribute in &mut node.attribute {
        if casts
            && matches!(attribute.name.as_str(), "to" | "dtype")
            && [F16, BF16].map(i64::from).contains(&attribute.i)
        {
            attribute.i = i64::from(F32);
        }
        attribute.t.iter_mut().try_for_each(tensor)?;
        attribute.tensors.iter_mut().try_for_each(tensor)?;
        attribute.g.iter_mut().try_for_each(graph)?;
        attribute.graphs.iter_mut().try_for_each(graph)?;
    }
    Ok(())
}

fn tensor(tensor: &mut TensorProto) -> Result<(), String> {
    let widen: fn(u16) -> f32 = match tensor.data_type {
        F16 => |bits| f16::from_bits(bits).to_f32(),
        BF16 => |bits| bf16::from_bits(bits).to_f32(),
        _ => return Ok(()),
    };
    if !tensor.raw_data.len().is_multiple_of(2) {
        return Err(format!("tensor `{}` has half a number", tensor.name));
    }
    let bits: Vec<u16> = if tensor.raw_data.is_empty() {
        // ONNX keeps the bits of a half in the low 16 bits of an int32.
        tensor
            .int32_data
            .drain(..)
            .map(|bits| bits as u16)
            .collect()
    } else {
        let pairs = tensor.raw_data.as_chunks::<2>().0;
        pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
    };
    let floats = bits.into_iter().map(widen);
    tensor.raw_data = floats.flat_map(f32::to_le_bytes).collect();
    tensor.data_type = F32;
    Ok(())
}

fn declared(value: &mut ValueInfoProto) {
    let tensor = value.r#type.as_mut().and_then(|t| t.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = tensor
        && [F16, BF16].contains(&tensor.elem_type)
    {
        tensor.elem_type = F32;
    }
}
