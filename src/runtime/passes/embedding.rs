//! Makes look-ups in large constant tables ours, which then stay in their file.
//!
//! ```text
//! Gather(table, ids)  ─►  EaselEmbedding(ids [, scales, zeros])      table: fp32, fp16, or DequantizeLinear of int8 or uint8
//! ```
//!
//! A prompt looks up 77 of 50 000 tokens: as a tensor the table would be a third of the text encoder. What does not fit (another
//! axis, tables inside the network's file, small ones) is left as it is.

use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::PassContext;
use super::graph::{Edits, View, int, int_attribute, text_attribute};
use crate::runtime::ops;
use crate::weights::{TensorBytes, TensorSource};

/// Tables of fewer bytes may as well be tensors.
const LARGE: usize = 64 << 10;

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    let view = View::new(graph);
    let mut made = Vec::new();
    for node in &graph.node {
        let table = Table::of(&view, node);
        let Some(table) = table else { continue };
        let name = &table.tensor.name;
        let node = table.replacement(node, &mut context.tensors);
        made.extend(node.map_err(|problem| format!("tensor `{name}`: {problem}"))?);
    }
    for node in made {
        let output = node.output[0].clone();
        edits.replace(&output, vec![node]);
    }
    edits.apply(graph);
    Ok(())
}

/// A constant table that a `Gather` looks rows up in.
struct Table<'g> {
    tensor: &'g TensorProto,
    /// Scales, zero points and the axis that they go along.
    quantized: Option<(&'g TensorProto, Option<&'g TensorProto>, i64)>,
}

impl<'g> Table<'g> {
    fn of(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        if node.op_type != "Gather" || int(node, "axis").unwrap_or(0) != 0 {
            return None;
        }
        let name = node.input.first()?;
        if let Some(tensor) = view.constant(name) {
            return Some(Self {
                tensor,
                quantized: None,
            });
        }
        if let Some(cast) = view.made_by(name, "Cast") {
            let tensor = view.constant(cast.input.first()?)?;
            let half = [DataType::Float16 as i32, DataType::Bfloat16 as i32];
            let widens =
                half.contains(&tensor.data_type) && int(cast, "to")? == DataType::Float as i64;
            return widens.then_some(Self {
                tensor,
                quantized: None,
            });
        }
        let dequantize = view.made_by(name, "DequantizeLinear")?;
        let input = |at: usize| dequantize.input.get(at).filter(|name| !name.is_empty());
        let zero = match input(2) {
            Some(name) => Some(view.constant(name)?),
            None => None,
        };
        let blocked = int(dequantize, "block_size").is_some_and(|size| size != 0);
        let axis = int(dequantize, "axis").unwrap_or(1);
        (!blocked).then_some(Self {
            tensor: view.constant(input(0)?)?,
            quantized: Some((view.constant(input(1)?)?, zero, axis)),
        })
    }

    /// The node that takes the place of the `Gather`, if the table is large, in a file, and of a kind that is ours.
    fn replacement(
        &self,
        gather: &NodeProto,
        tensors: &mut TensorSource,
    ) -> Result<Option<NodeProto>, String> {
        let tensor = self.tensor;
        let &[rows, width] = &tensor.dims[..] else {
            return Ok(None);
        };
        let element = match (DataType::try_from(tensor.data_type), &self.quantized) {
            (Ok(kind @ (DataType::Float | DataType::Float16 | DataType::Bfloat16)), None)
            | (Ok(kind @ (DataType::Int8 | DataType::Uint8)), Some(_)) => kind,
            _ => return Ok(None),
        };
        let bytes = match element {
            DataType::Float => 4,
            DataType::Float16 | DataType::Bfloat16 => 2,
            _ => 1,
        };
        let TensorBytes::File { path, range, .. } = tensors.bytes(tensor)? else {
            return Ok(None);
        };
        let length = range.end - range.start;
        if (length as usize) < LARGE {
            return Ok(None);
        }
        if rows < 1 || width < 1 || rows.checked_mul(width * bytes) != Some(length as i64) {
            return Err(format!(
                "shape {:?} does not fit {length} bytes: export the model again",
                tensor.dims
            ));
        }
        // The network after the passes is kept: it has to find the file from anywhere.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let Some(path) = path.to_str() else {
            return Ok(None);
        };
        let mut inputs = vec![gather.input[1].as_str()];
        let mut along_rows = false;
        if let Some((scales, zeros, axis)) = &self.quantized {
            let many = |tensor: &TensorProto| tensor.dims.iter().product::<i64>();
            let axis = if *axis < 0 { axis + 2 } else { *axis };
            let fits = |count: i64| count == 1 || count == [rows, width][axis.clamp(0, 1) as usize];
            let zeros_fit = zeros.is_none_or(|zeros| many(zeros) == many(scales));
            if !(0..2).contains(&axis) || !fits(many(scales)) || !zeros_fit {
                return Ok(None);
            }
            along_rows = axis == 0;
            inputs.push(&scales.name);
            inputs.extend(zeros.map(|zeros| zeros.name.as_str()));
        }
        let mut node = ops::node("EaselEmbedding", &inputs, &gather.output[0]);
        node.attribute = vec![
            text_attribute("file", path),
            int_attribute("offset", range.start as i64),
            int_attribute("rows", rows),
            int_attribute("width", width),
            int_attribute("element", i64::from(tensor.data_type)),
            int_attribute("along_rows", i64::from(along_rows)),
        ];
        Ok(Some(node))
    }
}

#[cfg(test)]
mod tests;
