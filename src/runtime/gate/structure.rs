//! The first turn: what can be told without knowing any shape.

use std::collections::HashSet;

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto,
    attribute_proto::AttributeType,
    tensor_proto::{DataLocation, DataType},
};

use super::super::passes;
use super::{attributes, called, rules, value};
use crate::text::excerpt;
use crate::weights::BLOCKED;

/// More nodes than the largest diffusion models have, by a factor of three: each costs memory and time before the first pass.
const MOST_NODES: usize = 32 << 10;
/// Constants: most nodes bring one or two.
const MOST_CONSTANTS: usize = 64 << 10;
/// Graphs within graphs.
const DEEPEST: usize = 4;
/// Inputs and outputs of the network, beside constants, which old files declare as inputs too.
const MOST_ENDS: usize = 1024;
/// Inputs or outputs of a node.
const MOST_EDGES: usize = 4096;

/// Checks a network that was read, and whose functions and foreign operators are written out.
pub(in crate::runtime) fn check(model: &ModelProto) -> Result<(), String> {
    if !model.functions.is_empty() {
        return Err("has functions that are not written out".into());
    }
    let version = passes::opset(model);
    if !(7..=30).contains(&version) {
        return Err(format!(
            "uses version {version} of ONNX's operators: export it with version 17"
        ));
    }
    let Some(graph) = &model.graph else {
        return Err("holds no network".into());
    };
    let mut sizes = Counted::default();
    check_graph(graph, 0, &mut sizes)?;
    let ends = graph.input.len() + graph.output.len();
    if ends > MOST_ENDS + graph.initializer.len() {
        return Err(format!(
            "has {ends} inputs and outputs, more than {MOST_ENDS}"
        ));
    }
    let declared = graph.input.iter().map(|input| input.name.as_str());
    once("input", declared)?;
    once(
        "output",
        graph.output.iter().map(|output| output.name.as_str()),
    )?;
    passes::check(graph)
}

#[derive(Default)]
struct Counted {
    nodes: usize,
    constants: usize,
}

fn check_graph(graph: &GraphProto, depth: usize, counted: &mut Counted) -> Result<(), String> {
    counted.nodes += graph.node.len();
    counted.constants += graph.initializer.len();
    if counted.nodes > MOST_NODES || counted.constants > MOST_CONSTANTS {
        return Err(format!(
            "has more than {MOST_NODES} nodes or {MOST_CONSTANTS} constants: no diffusion model has so many"
        ));
    }
    if depth > DEEPEST {
        return Err(format!(
            "has graphs within graphs, more than {DEEPEST} deep"
        ));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err("has sparse constants, which easel does not know: export it without".into());
    }
    once(
        "constant",
        graph.initializer.iter().map(|t| t.name.as_str()),
    )?;
    for tensor in &graph.initializer {
        let checked = check_tensor(tensor, depth == 0);
        checked.map_err(|problem| format!("tensor `{}` {problem}", excerpt(&tensor.name)))?;
    }
    graph.node.iter().try_for_each(|node| {
        check_node(node, depth, counted).map_err(|problem| {
            // One within another has its name in front already.
            if problem.starts_with("node `") {
                problem
            } else {
                format!("{}: {problem}", called(node))
            }
        })
    })
}

fn check_node(node: &NodeProto, depth: usize, counted: &mut Counted) -> Result<(), String> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") {
        return Err(format!(
            "an operator of `{}`, which easel does not know: export the model with ONNX's own operators",
            excerpt(&node.domain)
        ));
    }
    let Some(rule) = rules::of(&node.op_type) else {
        return Err("easel does not know this operator: export the model with ONNX's own operators, for one size if need be".into());
    };
    if node.input.len() > MOST_EDGES || node.output.len() > MOST_EDGES {
        return Err(format!("has more than {MOST_EDGES} inputs or outputs"));
    }
    let given = node.input.len();
    if !rule.inputs.contains(&given) {
        let (least, most) = (rule.inputs.start(), rule.inputs.end());
        let most = if *most == usize::MAX {
            "more".to_owned()
        } else {
            most.to_string()
        };
        return Err(format!("has {given} inputs, not {least} to {most}"));
    }
    if node.input[..*rule.inputs.start()]
        .iter()
        .any(String::is_empty)
    {
        return Err("lacks an input that it needs".into());
    }
    if node.output.is_empty() || node.output.len() > rule.outputs || node.output[0].is_empty() {
        return Err(format!(
            "has {} outputs, not 1 to {}",
            node.output.len(),
            rule.outputs
        ));
    }
    once("attribute", node.attribute.iter().map(|a| a.name.as_str()))?;
    for attribute in &node.attribute {
        let kind = AttributeType::try_from(attribute.r#type).unwrap_or_default();
        match kind {
            AttributeType::Float
            | AttributeType::Int
            | AttributeType::String
            | AttributeType::Floats
            | AttributeType::Ints => {}
            AttributeType::Tensor => {
                let tensor = attributes::tensor(node, &attribute.name)?;
                tensor.map_or(Ok(()), |tensor| {
                    let checked = check_tensor(tensor, false);
                    checked.map_err(|problem| {
                        format!("attribute `{}` {problem}", excerpt(&attribute.name))
                    })
                })?;
            }
            AttributeType::Graph if node.op_type == "If" => {
                let graph = attributes::graph(node, &attribute.name)?;
                check_graph(graph, depth + 1, counted)?;
            }
            _ => {
                return Err(format!(
                    "attribute `{}` is of an unknown type",
                    excerpt(&attribute.name)
                ));
            }
        }
    }
    Ok(())
}

/// Whether a constant is of a type that easel knows and as long as its shape says. `may_be_external`: whether its bytes may be in
/// another file, for which [`TensorSource`](crate::weights::TensorSource) is responsible.
fn check_tensor(tensor: &TensorProto, may_be_external: bool) -> Result<(), String> {
    let element = DataType::try_from(tensor.data_type).unwrap_or_default();
    let width = value::width(element).ok_or_else(|| {
        format!(
            "is of a type that easel does not know ({element:?}): export it as float, fp16 or int8"
        )
    })?;
    if tensor.segment.is_some() {
        return Err("comes in segments".into());
    }
    let shape = tensor.dims.iter().map(|side| usize::try_from(*side).ok());
    let shape: Option<Vec<usize>> = shape.collect();
    let shape = shape.ok_or_else(|| format!("has the shape {:?}", tensor.dims))?;
    let volume = value::volume(&shape).map_err(|problem| format!("is {problem}"))?;
    let bytes = volume
        .checked_mul(width)
        .ok_or("is larger than any machine")?;
    let external = tensor.data_location == Some(DataLocation::External as i32);
    if external {
        if !may_be_external {
            return Err(
                "keeps its bytes in another file, which only a network's constants may".into(),
            );
        }
        // What is in another order has another length, which its reader knows.
        if tensor
            .external_data
            .iter()
            .any(|entry| entry.key == BLOCKED)
        {
            return Ok(());
        }
        let mut entries = tensor.external_data.iter();
        let length = entries.find(|entry| entry.key == "length");
        let length = length.map(|entry| entry.value.parse::<usize>());
        return match length {
            Some(Ok(length)) if length != bytes => Err(lengths(bytes, length)),
            Some(Err(_)) => Err("has a length that is no number".into()),
            _ => Ok(()),
        };
    }
    let listed = match element {
        DataType::Float => tensor.float_data.len(),
        DataType::Double => tensor.double_data.len(),
        DataType::Int64 => tensor.int64_data.len(),
        DataType::Uint32 | DataType::Uint64 => tensor.uint64_data.len(),
        _ => tensor.int32_data.len(),
    };
    match (tensor.raw_data.len(), listed) {
        (0, listed) if listed == volume => Ok(()),
        (raw, 0) if raw == bytes => Ok(()),
        (raw, listed) => Err(lengths(bytes, raw.max(listed.saturating_mul(width)))),
    }
}

fn lengths(wanted: usize, found: usize) -> String {
    format!("has {found} bytes, its shape {wanted}: the file is damaged, copy it again")
}

/// That no name comes twice.
fn once<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} `{}` is there twice", excerpt(name)));
        }
    }
    Ok(())
}
