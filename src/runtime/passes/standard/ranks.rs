//! How many axes values have, as far as the graph tells without looking at the sizes of its inputs.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, type_proto::Value};

use crate::runtime::passes::graph::{int, ints};

/// Numbers of axes, gathered node by node, in order.
#[derive(Default)]
pub(super) struct Ranks {
    ranks: HashMap<String, usize>,
    /// Lengths of lists: of shapes they are ranks.
    lengths: HashMap<String, usize>,
}

impl Ranks {
    /// Those that the graph declares.
    pub(super) fn of(graph: &GraphProto) -> Self {
        let mut found = Self::default();
        for input in graph.input.iter().chain(&graph.value_info) {
            let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
            if let Some(Value::TensorType(tensor)) = kind
                && let Some(shape) = &tensor.shape
            {
                found.ranks.insert(input.name.clone(), shape.dim.len());
            }
        }
        for tensor in &graph.initializer {
            found.constant(&tensor.name, &tensor.dims);
        }
        found
    }

    pub(super) fn get(&self, value: &str) -> Option<usize> {
        self.ranks.get(value).copied()
    }

    /// A constant of this shape.
    pub(super) fn constant(&mut self, name: &str, dims: &[i64]) {
        self.ranks.insert(name.to_owned(), dims.len());
        if let &[length] = dims
            && let Ok(length) = usize::try_from(length)
        {
            self.lengths.insert(name.to_owned(), length);
        }
    }

    /// Looks at one more node.
    pub(super) fn note(&mut self, node: &NodeProto) {
        if node.op_type == "Constant" {
            return self.note_constant(node);
        }
        if let Some(rank) = self.rank(node) {
            for output in &node.output {
                self.ranks.insert(output.clone(), rank);
            }
        }
        if let Some(length) = self.length(node)
            && let Some(output) = node.output.first()
        {
            self.ranks.insert(output.clone(), 1);
            self.lengths.insert(output.clone(), length);
        }
    }

    fn note_constant(&mut self, node: &NodeProto) {
        let ([value], [output]) = (&node.attribute[..], &node.output[..]) else {
            return;
        };
        match (value.name.as_str(), &value.t) {
            ("value", Some(tensor)) => self.constant(output, &tensor.dims),
            ("value_int" | "value_float", _) => self.constant(output, &[]),
            ("value_ints", _) => self.constant(output, &[value.ints.len() as i64]),
            ("value_floats", _) => self.constant(output, &[value.floats.len() as i64]),
            _ => {}
        }
    }

    /// Of the node's outputs.
    fn rank(&self, node: &NodeProto) -> Option<usize> {
        let rank = |at: usize| self.get(node.input.get(at)?);
        let length = |at: usize| self.lengths.get(node.input.get(at)?).copied();
        let axes = || ints(node, "axes").map(<[i64]>::len).or_else(|| length(1));
        match node.op_type.as_str() {
            "Abs"
            | "Cast"
            | "Ceil"
            | "Clip"
            | "Concat"
            | "Conv"
            | "Cos"
            | "CumSum"
            | "DequantizeLinear"
            | "Dropout"
            | "Elu"
            | "Erf"
            | "Exp"
            | "Floor"
            | "Gelu"
            | "GroupNormalization"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "InstanceNormalization"
            | "IsNaN"
            | "LayerNormalization"
            | "LeakyRelu"
            | "Log"
            | "Mish"
            | "Neg"
            | "Not"
            | "Pad"
            | "QuantizeLinear"
            | "Reciprocal"
            | "Relu"
            | "Resize"
            | "Round"
            | "Sigmoid"
            | "Sin"
            | "Slice"
            | "Softmax"
            | "Softplus"
            | "Split"
            | "Sqrt"
            | "Swish"
            | "Tanh"
            | "Tile"
            | "Trilu" => rank(0),
            "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less"
            | "LessOrEqual" | "Max" | "Min" | "Mod" | "Mul" | "Or" | "Pow" | "Sub" | "Where" => {
                let ranks: Option<Vec<usize>> = (0..node.input.len()).map(rank).collect();
                ranks?.into_iter().max()
            }
            "MatMul" => Some(
                rank(0)
                    .filter(|r| *r >= 2)?
                    .max(rank(1).filter(|r| *r >= 2)?),
            ),
            "Flatten" | "Gemm" => Some(2),
            "Range" | "Shape" => Some(1),
            "Transpose" => ints(node, "perm").map(<[i64]>::len).or_else(|| rank(0)),
            "Reshape" => length(1),
            "ConstantOfShape" => length(0),
            "Expand" => Some(rank(0)?.max(length(1)?)),
            "Gather" => (rank(0)? + rank(1)?).checked_sub(1),
            "Unsqueeze" => Some(rank(0)? + axes()?),
            "Squeeze" => rank(0)?.checked_sub(axes()?),
            op if op.starts_with("Reduce") => match int(node, "keepdims") {
                None | Some(1) => rank(0),
                _ => rank(0)?.checked_sub(axes()?),
            },
            _ => None,
        }
    }

    /// Of the list that the node makes.
    fn length(&self, node: &NodeProto) -> Option<usize> {
        let known = |name: &String| self.lengths.get(name).copied();
        let length = |at: usize| known(node.input.get(at)?);
        match node.op_type.as_str() {
            "Shape" if node.attribute.is_empty() => self.get(node.input.first()?),
            "Cast" | "Identity" => length(0),
            "Concat" => node.input.iter().map(known).sum(),
            "Gather" if self.get(node.input.first()?)? == 1 => length(1),
            "ConstantOfShape" | "Reshape" => None,
            "Unsqueeze" if self.get(node.input.first()?)? == 0 => Some(1),
            "Add" | "Div" | "Equal" | "Mul" | "Sub" | "Where" if self.rank(node)? == 1 => {
                node.input.iter().filter_map(known).max()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{integers, model};
    use super::*;

    #[test]
    fn axes_are_counted_through_shapes_that_are_computed() {
        let text = "shape = Shape(x)
            first = Gather(shape, zero)
            one = Unsqueeze(first, axis)
            wanted = Concat(one, rest) axis=0
            heads = Reshape(y, wanted)
            turned = Transpose(heads) perm=0,2,1,3
            scores = MatMul(turned, turned)
            kept = ReduceMean(scores) axes=-1,
            gone = ReduceMean(scores) axes=-1, keepdims=0
            sum = Add(gone, x)
            unknown = Add(x, z)";
        let constants = vec![
            integers("axis", &[0]),
            integers("rest", &[0, 8, -1]),
            tract_onnx::pb::TensorProto {
                dims: vec![],
                ..integers("zero", &[0])
            },
        ];
        let mut model = model(text, constants, &["sum"]);
        let graph = model.graph.as_mut().expect("it has one");
        let mut ranks = Ranks::of(graph);
        for node in &graph.node {
            ranks.note(node);
        }
        let found = [
            "one", "wanted", "heads", "turned", "scores", "kept", "gone", "sum", "unknown",
        ];
        let found = found.map(|name| ranks.get(name));
        assert_eq!(
            found,
            [
                Some(1),
                Some(1),
                Some(4),
                Some(4),
                Some(4),
                Some(4),
                Some(3),
                None,
                None
            ]
        );
        assert_eq!(ranks.lengths["wanted"], 4);
    }
}
