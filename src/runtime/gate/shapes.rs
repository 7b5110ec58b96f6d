//! The second turn: the shape of every value, for inputs of known shapes.

use std::collections::HashMap;

use tract_core::prelude::DatumType;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
};

use super::super::passes;
use super::node::Node;
use super::value::{MOST_NUMBERS, Value};
use super::{attributes, called, rules};
use crate::runtime::ops;
use crate::text::excerpt;

/// How much a network may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of a tensor.
    pub(in crate::runtime) tensor: usize,
    /// Bytes of all that is computed while it is built.
    pub(in crate::runtime) folded: usize,
}

/// What all that is computed while a network is built may take beside its constants, in bytes: tables of positions and the like.
const MOST_FOLDED: usize = 512 << 20;

/// Checks a network that the passes have been over, for inputs of these types and shapes, in the order of the graph's. Gives the
/// values whose shapes depend on numbers, as constants: tract, which would compute them, must know their shapes before.
pub(in crate::runtime) fn check(
    model: &ModelProto,
    inputs: &[(DatumType, Vec<usize>)],
    limits: Limits,
) -> Result<Vec<TensorProto>, String> {
    let Some(graph) = &model.graph else {
        return Ok(Vec::new());
    };
    let mut scope = Scope {
        values: HashMap::new(),
        around: None,
        opset: passes::opset(model),
        limits,
        folded: 0,
    };
    scope.constants(graph)?;
    let given: Vec<&ValueInfoProto> = graph
        .input
        .iter()
        .filter(|input| !scope.values.contains_key(input.name.as_str()))
        .collect();
    if given.len() != inputs.len() {
        return Err(format!(
            "takes {} inputs, not {}",
            inputs.len(),
            given.len()
        ));
    }
    for (input, (element, shape)) in given.into_iter().zip(inputs) {
        let value = Value::new(element_of(*element), shape.clone());
        scope.values.insert(&input.name, value);
    }
    scope.nodes(graph)?;
    let found = graph.node.iter().filter(|node| node.op_type == "NonZero");
    let found = found.filter_map(|node| scope.find(&node.output[0])?.to_tensor(&node.output[0]));
    Ok(found.collect())
}

fn element_of(element: DatumType) -> DataType {
    match element {
        DatumType::I64 => DataType::Int64,
        DatumType::I32 => DataType::Int32,
        DatumType::F64 => DataType::Double,
        DatumType::Bool => DataType::Bool,
        _ => DataType::Float,
    }
}

/// Whether a constant of floats has NaN. Infinities are masks.
fn has_nan(tensor: &TensorProto) -> bool {
    let raw = &tensor.raw_data[..];
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => {
            let raw = raw.as_chunks::<4>().0.iter();
            raw.fold(false, |any, b| any | f32::from_le_bytes(*b).is_nan())
                || tensor.float_data.iter().any(|v| v.is_nan())
        }
        Ok(DataType::Double) => {
            let mut raw = raw.as_chunks::<8>().0.iter();
            raw.any(|b| f64::from_le_bytes(*b).is_nan())
                || tensor.double_data.iter().any(|v| v.is_nan())
        }
        _ => false,
    }
}

/// What is known of the values of a graph, and of those around it.
struct Scope<'g> {
    values: HashMap<&'g str, Value>,
    around: Option<&'g Scope<'g>>,
    opset: i64,
    limits: Limits,
    /// Bytes of what is computed while the network is built.
    folded: usize,
}

impl<'g> Scope<'g> {
    fn constants(&mut self, graph: &'g GraphProto) -> Result<(), String> {
        for tensor in &graph.initializer {
            let value = Value::of(tensor).and_then(|value| {
                let damaged =
                    "has values that are no numbers: the model is damaged, copy or export it again";
                if has_nan(tensor) {
                    Err(damaged.into())
                } else {
                    Ok(value)
                }
            });
            let value =
                value.map_err(|problem| format!("tensor `{}` {problem}", excerpt(&tensor.name)))?;
            self.values.insert(&tensor.name, value);
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let found = self.values.get(name);
        found.or_else(|| self.around.and_then(|around| around.find(name)))
    }

    fn nodes(&mut self, graph: &'g GraphProto) -> Result<(), String> {
        for node in &graph.node {
            let outputs = self.outputs(node).map_err(|problem| {
                if problem.starts_with("node `") {
                    problem
                } else {
                    format!("{}: {problem}", called(node))
                }
            })?;
            let names = node.output.iter().map(String::as_str);
            let named = names.zip(outputs).filter(|(name, _)| !name.is_empty());
            self.values.extend(named);
        }
        Ok(())
    }

    fn outputs(&mut self, node: &'g NodeProto) -> Result<Vec<Value>, String> {
        let find = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => {
                let found = self.find(name);
                found
                    .map(Some)
                    .ok_or_else(|| format!("reads `{}`, which is not there", excerpt(name)))
            }
        };
        let inputs: Vec<Option<&Value>> = node.input.iter().map(find).collect::<Result<_, _>>()?;
        // Random numbers and what is read from files are no constants, but then easel has none of those.
        let constant = inputs.iter().flatten().all(|value| value.constant);
        let seen = Node {
            proto: node,
            inputs,
            opset: self.opset,
        };
        let mut outputs = if node.op_type == "If" {
            self.branch(&seen)?
        } else if node.domain == ops::DOMAIN {
            let shapes: Vec<&[usize]> =
                seen.inputs.iter().flatten().map(|v| &v.shape[..]).collect();
            let shape = ops::output_shape(node, &shapes)?;
            vec![Value::new(DataType::Float, shape)]
        } else {
            let rule = rules::of(&node.op_type);
            let rule = rule.ok_or("easel does not know this operator")?;
            (rule.outputs_of)(&seen)?
        };
        if outputs.len() < node.output.len() {
            return Err(format!("has {} outputs", node.output.len()));
        }
        outputs.truncate(node.output.len());
        for output in &mut outputs {
            output.constant |= constant;
            let (volume, bytes) = (output.volume()?, output.bytes()?);
            if volume == 0 && !constant {
                return Err(format!("makes nothing: its shape is {:?}", output.shape));
            }
            if volume > MOST_NUMBERS {
                output.numbers = None;
            }
            output.round()?;
            if bytes > self.limits.tensor {
                return Err(format!(
                    "makes {:?} of {} MiB, more than there are: choose a smaller picture",
                    output.shape,
                    bytes >> 20
                ));
            }
            if output.constant {
                // Products of constants: an output's elements, each of as many as a side has.
                let sides = node.input.iter().filter_map(|name| self.find(name));
                let longest = sides
                    .flat_map(|value| &value.shape)
                    .max()
                    .copied()
                    .unwrap_or(1);
                let many = matches!(
                    node.op_type.as_str(),
                    "MatMul" | "Gemm" | "Conv" | "ConvTranspose"
                );
                if many && volume.saturating_mul(longest) > MOST_FOLDED {
                    return Err(
                        "is a large product of constants alone: export the network again".into(),
                    );
                }
                self.folded = self.folded.saturating_add(bytes);
            }
        }
        let most = MOST_FOLDED.min(self.limits.folded);
        if self.folded > most {
            return Err(format!(
                "the network makes more than {} MiB of its constants: export it again",
                most >> 20
            ));
        }
        Ok(outputs)
    }

    /// The outputs of an `If`: those of the branch that is taken, or what both have in common.
    fn branch(&self, node: &Node<'g>) -> Result<Vec<Value>, String> {
        let outputs = |name: &str| -> Result<Vec<Value>, String> {
            let graph = attributes::graph(node.proto, name)?;
            let mut scope = Scope {
                values: HashMap::new(),
                around: Some(self),
                opset: self.opset,
                limits: self.limits,
                folded: self.folded,
            };
            scope.constants(graph)?;
            scope.nodes(graph)?;
            let outputs = graph.output.iter().map(|output| {
                let found = scope.find(&output.name).cloned();
                found.ok_or_else(|| format!("nobody makes `{}`", excerpt(&output.name)))
            });
            outputs.collect()
        };
        node.single(0)?;
        // tract builds both, whichever is taken.
        let (mut one, other) = (outputs("then_branch")?, outputs("else_branch")?);
        match node.input(0)?.as_whole() {
            Some([0]) => Ok(other),
            Some([_]) => Ok(one),
            _ => {
                let alike = one.len() == other.len()
                    && one
                        .iter()
                        .zip(&other)
                        .all(|(a, b)| a.shape == b.shape && a.element == b.element);
                if !alike {
                    return Err("its branches make different shapes".into());
                }
                for value in &mut one {
                    (value.numbers, value.constant) = (None, false);
                }
                Ok(one)
            }
        }
    }
}
