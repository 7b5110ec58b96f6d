//! A section of a network: the nodes of one, made a network by itself.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, tensor_proto::DataType};

use super::super::ops::CHANNELS_FIRST;
use super::tiles::{factor, is_norm, padding};
use super::{Value, model_without_graph, named, read_by};

/// What all tiles go through before any goes further.
#[derive(Debug)]
pub(crate) struct Section {
    pub(in crate::runtime) model: ModelProto,
    /// Values that it reads, the network's first inputs.
    pub(crate) inputs: Vec<usize>,
    /// Values of which it reads the moments, the inputs behind those.
    pub(crate) moments: Vec<usize>,
    /// Values that it makes.
    pub(crate) outputs: Vec<usize>,
    /// The smallest scale of what it reads and makes: tiles begin and end on such pixels.
    pub(crate) unit: usize,
    /// How far its outputs see, in such pixels: so much at a tile's edges inside the picture is wrong.
    pub(crate) reach: usize,
}

impl Section {
    /// Of these nodes with what they read beside constants.
    pub(super) fn new(
        model: &ModelProto,
        nodes: &[(&&NodeProto, &Vec<String>)],
        values: &[Value],
    ) -> Option<Self> {
        let whole = model.graph.as_ref()?;
        let made: HashSet<&str> = nodes
            .iter()
            .map(|(node, _)| node.output[0].as_str())
            .collect();
        let reads = |name: &str| {
            nodes
                .iter()
                .any(|(_, reads)| reads.iter().any(|r| r == name))
        };
        let numbers = |is: &dyn Fn(&Value) -> bool| -> Vec<usize> {
            let numbered = values.iter().enumerate();
            numbered
                .filter(|(_, value)| is(value))
                .map(|(number, _)| number)
                .collect()
        };
        let inputs = numbers(&|value| !made.contains(value.name.as_str()) && reads(&value.name));
        let outputs = numbers(&|value| made.contains(value.name.as_str()));
        let normed = |value: &Value| {
            let mut norms = nodes.iter().filter(|(node, _)| is_norm(node));
            norms.any(|(node, _)| node.input[0] == value.name)
        };
        let moments = numbers(&normed);
        if moments.iter().any(|number| !inputs.contains(number)) {
            return None;
        }
        let crossing = inputs.iter().chain(&outputs);
        let unit = crossing.map(|number| values[*number].scale).min()?;
        // How far each value sees, in its own pixels.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut graph = GraphProto::default();
        for (node, reads) in nodes {
            let before = reads
                .iter()
                .filter_map(|name| seen.get(name.as_str()))
                .max();
            let (larger, smaller) = factor(node)?;
            let reach = (before.copied().unwrap_or(0) + padding(node)?) * larger;
            let reach = reach.div_ceil(smaller);
            seen.insert(&node.output[0], reach);
            let picture = values
                .last()
                .is_some_and(|value| value.name == node.output[0]);
            if node.op_type == CHANNELS_FIRST && !picture {
                return None;
            }
            let mut node = NodeProto::clone(node);
            if is_norm(&node) {
                let moments = moments_of(&node.input[0]);
                node.input.push(moments);
            }
            graph.node.push(node);
        }
        let reach = outputs.iter().map(|number| {
            let value = &values[*number];
            seen[value.name.as_str()].div_ceil(value.scale / unit)
        });
        let reach = reach.max()?;
        let float = |name| named(name, DataType::Float);
        let name = |number: &usize| values[*number].name.clone();
        graph.input = inputs.iter().map(name).map(float).collect();
        let moments_read = moments
            .iter()
            .map(|number| moments_of(&values[*number].name));
        let moments_read = moments_read.map(|name| named(name, DataType::Double));
        graph.input.extend(moments_read);
        graph.output = outputs.iter().map(name).map(float).collect();
        graph.initializer = read_by(whole, nodes.iter().map(|(node, _)| **node));
        Some(Self {
            model: ModelProto {
                graph: Some(graph),
                ..model_without_graph(model)
            },
            inputs,
            moments,
            outputs,
            unit,
            reach,
        })
    }
}

/// The name of a value's moments.
fn moments_of(value: &str) -> String {
    format!("{value}/moments")
}
