//! Writes nodes in the place of others.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::super::names::Names;
use super::super::ranks::Ranks;
use crate::runtime::passes::graph::{float_tensor, int_attribute, ints_attribute};
use crate::runtime::passes::{graph, node};

/// The graph as far as it is written.
pub(super) struct Writer {
    names: Names,
    ranks: Ranks,
    /// The version of the standard's operators.
    version: i64,
    /// Places in `nodes`, by what is made there.
    makers: HashMap<String, usize>,
    /// Values that somebody reads, outputs of the graph among them.
    read: HashSet<String>,
    /// Values that more than one reads.
    shared: HashSet<String>,
    /// What new values are called after.
    base: String,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer {
    /// For the `nodes` of this graph.
    pub(super) fn new(graph: &GraphProto, nodes: &[NodeProto], version: i64) -> Self {
        let mut names = Names::of(graph);
        names.add(nodes);
        let mut read: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        let mut shared = read.clone();
        for name in nodes.iter().flat_map(|node| &node.input) {
            if !read.insert(name.clone()) {
                shared.insert(name.clone());
            }
        }
        Self {
            names,
            ranks: Ranks::of(graph),
            version,
            makers: HashMap::new(),
            read,
            shared,
            base: String::new(),
            nodes: Vec::with_capacity(nodes.len()),
            constants: Vec::new(),
        }
    }

    /// Begins to write what this node computes.
    pub(super) fn begin(&mut self, node: &NodeProto) {
        let output = node.output.iter().find(|name| !name.is_empty());
        self.base = output.cloned().unwrap_or_default();
    }

    /// Takes over a node as it is.
    pub(super) fn keep(&mut self, node: NodeProto) {
        self.ranks.note(&node);
        let at = self.nodes.len();
        self.makers
            .extend(node.output.iter().map(|name| (name.clone(), at)));
        self.nodes.push(node);
    }

    pub(super) fn finish(self, graph: &mut GraphProto) {
        graph.node = self.nodes;
        graph.initializer.extend(self.constants);
    }

    /// A new value: what the operator makes of `inputs`.
    pub(super) fn put(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.names.fresh(&self.base);
        self.put_as(op, inputs, attributes, &output);
        output
    }

    /// As [`put`](Self::put), of this name.
    pub(super) fn put_as(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        output: &str,
    ) {
        let mut made = node(op, inputs, output);
        made.attribute = attributes;
        self.keep(made);
    }

    /// New values: so many equal parts along an axis.
    pub(super) fn split(&mut self, value: &str, axis: i64, count: usize) -> Vec<String> {
        let outputs: Vec<String> = (0..count).map(|_| self.names.fresh(&self.base)).collect();
        let mut made = node("Split", &[value], &outputs[0]);
        made.output.clone_from(&outputs);
        made.attribute = vec![int_attribute("axis", axis)];
        if self.version >= 18 {
            made.attribute
                .push(int_attribute("num_outputs", count as i64));
        }
        self.keep(made);
        outputs
    }

    /// As [`split`](Self::split), in parts of these sizes.
    pub(super) fn split_in(&mut self, value: &str, axis: i64, sizes: &[i64]) -> Vec<String> {
        let outputs: Vec<String> = sizes.iter().map(|_| self.names.fresh(&self.base)).collect();
        let mut made = node("Split", &[value], &outputs[0]);
        made.output.clone_from(&outputs);
        made.attribute = vec![int_attribute("axis", axis)];
        if self.version < 13 {
            made.attribute.push(ints_attribute("split", sizes));
        } else {
            made.input.push(self.integers(sizes));
        }
        self.keep(made);
        outputs
    }

    /// A new constant list.
    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        self.constant(TensorProto {
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        })
    }

    /// A new constant integer.
    pub(super) fn integer(&mut self, value: i64) -> String {
        self.constant(TensorProto {
            data_type: DataType::Int64 as i32,
            raw_data: value.to_le_bytes().to_vec(),
            ..TensorProto::default()
        })
    }

    /// A new constant number.
    pub(super) fn number(&mut self, value: f32) -> String {
        self.constant(float_tensor("", &[], &[value]))
    }

    /// A new constant list of numbers.
    pub(super) fn numbers(&mut self, values: &[f32]) -> String {
        self.constant(float_tensor("", &[values.len() as i64], values))
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = self.names.fresh(&self.base);
        let tensor = TensorProto {
            name: name.clone(),
            ..tensor
        };
        self.ranks.constant(&name, &tensor.dims);
        self.constants.push(tensor);
        name
    }

    /// The node that makes the value, as far as the graph is written.
    pub(super) fn maker(&self, value: &str) -> Option<&NodeProto> {
        self.makers.get(value).map(|at| &self.nodes[*at])
    }

    /// Whether nobody reads the value.
    pub(super) fn is_idle(&self, value: &str) -> bool {
        !self.read.contains(value)
    }

    /// Whether one node at most reads the value.
    pub(super) fn is_read_once(&self, value: &str) -> bool {
        !self.shared.contains(value)
    }

    /// How many axes the value has, if that is known.
    pub(super) fn rank(&self, value: &str) -> Option<usize> {
        self.ranks.get(value)
    }

    pub(super) fn version(&self) -> i64 {
        self.version
    }
}

/// An input that is there.
pub(super) fn input(node: &NodeProto, at: usize) -> Option<&str> {
    let name = node.input.get(at).map(String::as_str);
    name.filter(|name| !name.is_empty())
}

/// An input that has to be there.
pub(super) fn needed(node: &NodeProto, at: usize) -> Result<&str, String> {
    input(node, at).ok_or_else(|| format!("input {at} is missing: export the model again"))
}

/// An output that somebody may read.
pub(super) fn output(node: &NodeProto, at: usize) -> Option<&str> {
    let name = node.output.get(at).map(String::as_str);
    name.filter(|name| !name.is_empty())
}

/// The first output.
pub(super) fn result(node: &NodeProto) -> Result<&str, String> {
    output(node, 0).ok_or_else(|| "it makes nothing: export the model again".to_owned())
}

/// The attributes but those of these names.
pub(super) fn attributes_without(node: &NodeProto, names: &[&str]) -> Vec<AttributeProto> {
    let kept = node
        .attribute
        .iter()
        .filter(|a| !names.contains(&a.name.as_str()));
    kept.cloned().collect()
}

/// An attribute that is an integer, 0 unless given.
pub(super) fn flag(node: &NodeProto, name: &str) -> bool {
    graph::int(node, name).unwrap_or(0) != 0
}
