//! Turns int8 weights into f32 ones: `DequantizeLinear` on constants becomes a constant.
//!
//! What the weights pass left: constants that are no weights of a product, and weights of products that are not ours.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{PassContext, graph};

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let constants = graph::by_name(&graph.initializer);
    let mut made = Vec::new();
    let mut gone = HashSet::new();
    for (index, node) in graph.node.iter().enumerate() {
        if node.op_type == "DequantizeLinear"
            && let Some(tensor) = dequantized(node, &constants)
                .map_err(|problem| format!("node `{}`: {problem}", node.name))?
        {
            made.push(tensor);
            gone.insert(index);
        }
    }
    let mut index = 0;
    graph.node.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    // The int8 originals are not needed by anyone else in most files; what is still read stays.
    let used: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|n| &n.input)
        .map(String::as_str)
        .collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let keep = |name: &str| used.contains(name) || outputs.contains(name);
    let kept: Vec<bool> = graph.initializer.iter().map(|t| keep(&t.name)).collect();
    let mut kept = kept.into_iter();
    if !gone.is_empty() {
        graph.initializer.retain(|_| kept.next().unwrap_or(true));
    }
    graph.initializer.extend(made);
    Ok(())
}

/// The node's output as a tensor, if all its inputs are constants of a kind we know.
fn dequantized(
    node: &NodeProto,
    constants: &HashMap<&str, &TensorProto>,
) -> Result<Option<TensorProto>, String> {
    let constant = |at: usize| {
        let name = node.input.get(at).filter(|name| !name.is_empty());
        name.map(|name| constants.get(name.as_str()).copied())
    };
    let (Some(Some(weight)), Some(Some(scale))) = (constant(0), constant(1)) else {
        return Ok(None);
    };
    let Some(values) = integers(weight) else {
        return Ok(None);
    };
    let scales = floats(scale)?;
    let zeros = match constant(2) {
        None => vec![0; scales.len()],
        Some(None) => return Ok(None),
        Some(Some(zero)) => integers(zero).ok_or("its zero point is not an integer")?,
    };
    if zeros.len() != scales.len() || scales.is_empty() {
        return Err(format!(
            "{} scales, {} zero points",
            scales.len(),
            zeros.len()
        ));
    }
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name).map(|a| a.i);
    if attribute("block_size").is_some_and(|size| size != 0) {
        return Err("blocked quantization is not known: export per output channel".into());
    }
    let dims: Vec<usize> = weight
        .dims
        .iter()
        .map(|d| usize::try_from(*d).unwrap_or(0))
        .collect();
    let rank = i64::try_from(dims.len()).unwrap_or(0);
    let axis = attribute("axis").unwrap_or(1);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
    // Elements that share a scale stand `inner` in a row; per tensor that is all of them.
    let inner: usize = if scales.len() == 1 {
        values.len().max(1)
    } else {
        if dims.get(axis) != Some(&scales.len()) {
            return Err(format!(
                "{} scales on axis {axis} of {dims:?}",
                scales.len()
            ));
        }
        dims[axis + 1..].iter().product::<usize>().max(1)
    };
    if dims.iter().product::<usize>() != values.len() {
        return Err(format!("shape {dims:?} with {} values", values.len()));
    }
    let channels = scales.len();
    let raw_data = values
        .chunks(inner)
        .enumerate()
        .flat_map(|(row, chunk)| {
            let (scale, zero) = (scales[row % channels], zeros[row % channels]);
            chunk
                .iter()
                .flat_map(move |v| ((v - zero) as f32 * scale).to_le_bytes())
        })
        .collect();
    Ok(Some(TensorProto {
        name: node.output.first().cloned().ok_or("it has no output")?,
        dims: weight.dims.clone(),
        data_type: DataType::Float as i32,
        raw_data,
        ..TensorProto::default()
    }))
}

/// The values of an int8, uint8 or int32 tensor.
pub(super) fn integers(tensor: &TensorProto) -> Option<Vec<i32>> {
    let raw = &tensor.raw_data;
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int8 if !raw.is_empty() => {
            raw.iter().map(|b| i32::from(b.cast_signed())).collect()
        }
        DataType::Uint8 if !raw.is_empty() => raw.iter().map(|b| i32::from(*b)).collect(),
        DataType::Int32 if !raw.is_empty() => raw
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
            .collect(),
        DataType::Int8 | DataType::Uint8 | DataType::Int32 => tensor.int32_data.clone(),
        _ => return None,
    })
}

fn floats(tensor: &TensorProto) -> Result<Vec<f32>, String> {
    if tensor.data_type != DataType::Float as i32 {
        return Err("its scale is neither fp32 nor fp16".into());
    }
    Ok(if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        tensor
            .raw_data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[i64], data_type: DataType, raw: Vec<u8>) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type as i32,
            raw_data: raw,
            ..TensorProto::default()
        }
    }

    #[test]
    fn each_column_gets_its_own_scale_and_zero_point() {
        let weight = tensor("w", &[2, 3], DataType::Int8, vec![1, 2, 3, 255, 254, 128]);
        let scales = [0.5_f32, 2.0, 1.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let scale = tensor("s", &[3], DataType::Float, scales);
        let zero = tensor("z", &[3], DataType::Int8, vec![0, 1, 0]);
        let node = NodeProto {
            op_type: "DequantizeLinear".into(),
            input: vec!["w".into(), "s".into(), "z".into()],
            output: vec!["y".into()],
            ..NodeProto::default()
        };
        let constants = [("w", &weight), ("s", &scale), ("z", &zero)].into();
        let made = dequantized(&node, &constants)
            .expect("valid")
            .expect("constant");
        assert_eq!(floats(&made), Ok(vec![0.5, 2.0, 3.0, -0.5, -6.0, -128.0]));
        let wrong = [("w", &weight), ("s", &zero), ("z", &zero)].into();
        assert!(dequantized(&node, &wrong).is_err());
    }
}
