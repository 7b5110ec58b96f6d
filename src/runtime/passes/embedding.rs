//! Makes look-ups in large constant tables ours, which then stay in their file.
//!
//! ```text
//! Gather(table, ids)             ─►  EaselEmbedding(ids [, scales, zeros])      table: fp32, fp16, or DequantizeLinear of int8 or uint8
//! table ─► Slice ─► … ─► Slice   ─►  numbers of rows ─► Slice ─► … ─► Slice ─► EaselEmbedding      not of the last axis
//! ```
//!
//! A prompt looks up 77 of 50 000 tokens: as a tensor the table would be a third of the text encoder. A transformer cuts the places of
//! its patches out of those of the largest picture, 900 MB in Stable Diffusion 3.5. What does not fit (another axis, tables inside the
//! network's file, small ones) is left as it is.

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
        let nodes = match node.op_type.as_str() {
            "Gather" if int(node, "axis").unwrap_or(0) == 0 => {
                let table = Table::of(&view, node).filter(|table| table.tensor.dims.len() == 2);
                table.map(|table| {
                    let found =
                        table.look_up(&node.input[1], &node.output[0], &mut context.tensors);
                    (
                        table,
                        found.map(|found| found.map(|found| (vec![found], None))),
                    )
                })
            }
            "Slice" => Table::of(&view, node).and_then(|table| {
                let cut = Cut::of(&view, &table, node)?;
                let found = cut.look_up(&table, &mut context.tensors);
                Some((table, found))
            }),
            _ => None,
        };
        if let Some((table, found)) = nodes {
            let name = &table.tensor.name;
            made.extend(found.map_err(|problem| format!("tensor `{name}`: {problem}"))?);
        }
    }
    for (nodes, numbers) in made {
        let output = nodes[nodes.len() - 1].output[0].clone();
        edits.replace(&output, nodes);
        numbers
            .into_iter()
            .for_each(|numbers| edits.constant(numbers));
    }
    edits.apply(graph);
    Ok(())
}

/// What takes the place of a node, and the constant that it needs.
type Replacement = (Vec<NodeProto>, Option<TensorProto>);

/// Slices of a table of rows, one after the other.
struct Cut<'g> {
    slices: Vec<&'g NodeProto>,
}

impl<'g> Cut<'g> {
    /// Those that begin with this one, if they leave the rows whole.
    fn of(view: &View<'g>, table: &Table<'g>, first: &'g NodeProto) -> Option<Self> {
        let rank = table.tensor.dims.len() as i64;
        let leaves_rows = |slice: &NodeProto| {
            let axes = slice.input.get(3).and_then(|axes| view.integers(axes));
            let of_rows =
                |axis: &i64| (0..rank - 1).contains(&if *axis < 0 { axis + rank } else { *axis });
            axes.is_some_and(|axes| axes.iter().all(of_rows))
        };
        let mut slices = vec![first];
        while let Some(next) = view.element_reader(&slices[slices.len() - 1].output[0], "Slice")
            && leaves_rows(next)
            && next.input[0] == slices[slices.len() - 1].output[0]
        {
            slices.push(next);
        }
        let plain = table.quantized.is_none() && rank > 1;
        (plain && leaves_rows(first)).then_some(Self { slices })
    }

    /// The slices of the rows' numbers, and the look-up.
    fn look_up(
        &self,
        table: &Table<'_>,
        tensors: &mut TensorSource,
    ) -> Result<Option<Replacement>, String> {
        /// More places no picture has.
        const MOST_ROWS: i64 = 1 << 20;

        let rows = table.rows().filter(|rows| (1..=MOST_ROWS).contains(rows));
        let (Some(rows), Some((_, sides))) = (rows, table.tensor.dims.split_last()) else {
            return Ok(None);
        };
        let output = &self.slices[self.slices.len() - 1].output[0];
        let numbers = TensorProto {
            name: format!("{output}/rows"),
            dims: sides.to_vec(),
            data_type: DataType::Int64 as i32,
            raw_data: (0..rows).flat_map(i64::to_le_bytes).collect(),
            ..TensorProto::default()
        };
        let mut nodes = Vec::new();
        let mut ids = numbers.name.clone();
        for (number, slice) in self.slices.iter().enumerate() {
            let cut = format!("{output}/rows{number}");
            let mut node = NodeProto {
                name: cut.clone(),
                output: vec![cut.clone()],
                ..(*slice).clone()
            };
            node.input[0] = ids;
            nodes.push(node);
            ids = cut;
        }
        let found = table.look_up(&ids, output, tensors)?;
        Ok(found.map(|found| {
            nodes.push(found);
            (nodes, Some(numbers))
        }))
    }
}

/// A constant table that rows are looked up in.
struct Table<'g> {
    tensor: &'g TensorProto,
    /// Scales, zero points and the axis that they go along.
    quantized: Option<(&'g TensorProto, Option<&'g TensorProto>, i64)>,
}

impl<'g> Table<'g> {
    fn of(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let name = node.input.first()?;
        if let Some(tensor) = view.constant(name) {
            return Some(Self {
                tensor,
                quantized: None,
            });
        }
        let dequantize = view.dequantized(name);
        if let (None, Some(cast)) = (dequantize, view.made_by(name, "Cast")) {
            let tensor = view.constant(cast.input.first()?)?;
            let half = [DataType::Float16 as i32, DataType::Bfloat16 as i32];
            let widens =
                half.contains(&tensor.data_type) && int(cast, "to")? == DataType::Float as i64;
            return widens.then_some(Self {
                tensor,
                quantized: None,
            });
        }
        let dequantize = dequantize?;
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

    /// Rows, of all axes but the last.
    fn rows(&self) -> Option<i64> {
        let (_, sides) = self.tensor.dims.split_last()?;
        sides
            .iter()
            .try_fold(1_i64, |rows, side| rows.checked_mul(*side))
    }

    /// The node that looks up rows of these numbers, if the table is large, in a file, and of a kind that is ours.
    fn look_up(
        &self,
        ids: &str,
        output: &str,
        tensors: &mut TensorSource,
    ) -> Result<Option<NodeProto>, String> {
        let tensor = self.tensor;
        let (Some(&width), Some(rows)) = (tensor.dims.last(), self.rows()) else {
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
        let mut inputs = vec![ids];
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
        let mut node = ops::node("EaselEmbedding", &inputs, output);
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
