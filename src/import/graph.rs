//! Builds an ONNX graph, node by node, of weights that are not read yet.
//!
//! Nodes are those of opset 17, spelled as exporters spell them, so that any runtime runs the file. A [`Value`] knows how many
//! channels (or features) it has; so a weight that does not fit is found where the network is built, by its name.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use tract_onnx::pb::{
    AttributeProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto, type_proto,
};

use super::checkpoint::Network;
use super::error::{ImportError, quoted, shown};
use super::weights::{Weight, Weights};
use crate::config::Config;

/// What nodes pass on.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) name: String,
    /// Channels of a picture, features of a token: 0 where nobody asks.
    pub(crate) channels: usize,
}

/// A weight as a node reads it.
pub(crate) struct Parameter {
    /// Its name among the network's weights.
    pub(crate) weight: String,
    pub(crate) stored: Stored,
    /// The name of its layer, if it is the weight of one that may be stored as int8.
    pub(crate) layer: Option<String>,
}

/// How a weight lies in the model's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Output channels first, as checkpoints have it.
    AsIs,
    /// `[in, out]`, as a `MatMul` wants it.
    Transposed,
    /// In this shape.
    Shaped(Vec<usize>),
}

/// A graph and what it reads.
pub(crate) struct Graph<'w> {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) inputs: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<ValueInfoProto>,
    /// By the names of the values that nodes read.
    pub(crate) parameters: HashMap<String, Parameter>,
    weights: &'w Weights,
    config: &'w Config,
    path: &'w Path,
    used: BTreeSet<String>,
    /// Values that are outputs, and the outputs' names.
    ends: Vec<(String, String)>,
    /// Small constants, each made once: kind, shape, bytes.
    constants: HashMap<(i32, Vec<usize>, Vec<u8>), String>,
    made: usize,
}

/// An axis of an input or output.
#[derive(Debug, Clone)]
pub(crate) enum Axis {
    Fixed(usize),
    /// Of any length; axes of one name have one length.
    Named(Cow<'static, str>),
}

/// How many pictures or texts there are at once.
pub(crate) const BATCH: Axis = named("batch_size");

/// An axis of any length.
pub(crate) const fn named(name: &'static str) -> Axis {
    Axis::Named(Cow::Borrowed(name))
}

/// An attribute of a node.
pub(crate) enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Float(&'a str, f32),
    Text(&'a str, &'a str),
}

impl<'w> Graph<'w> {
    /// Of a checkpoint's network.
    pub(crate) fn new(network: &'w Network) -> Self {
        Self {
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            parameters: HashMap::new(),
            weights: &network.weights,
            config: &network.config,
            path: &network.path,
            used: BTreeSet::new(),
            ends: Vec::new(),
            constants: HashMap::new(),
            made: 0,
        }
    }

    /// The network's configuration.
    pub(crate) fn config(&self) -> &'w Config {
        self.config
    }

    /// A whole number of the configuration, or what it is where nothing is said.
    pub(crate) fn count_of(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        usual: usize,
    ) -> Result<usize, ImportError> {
        let count = self
            .config
            .count(key, range)
            .map_err(|problem| self.misconfigured(problem))?;
        Ok(count.map_or(usual, |count| count as usize))
    }

    /// A number of the configuration, or what it is where nothing is said.
    pub(crate) fn number_of(
        &self,
        key: &str,
        range: RangeInclusive<f32>,
        usual: f32,
    ) -> Result<f32, ImportError> {
        let number = self
            .config
            .number(key, range)
            .map_err(|problem| self.misconfigured(problem))?;
        Ok(number.unwrap_or(usual))
    }

    /// A word of the configuration, or what it is where nothing is said.
    pub(crate) fn text_of(&self, key: &str, usual: &'static str) -> Result<&'w str, ImportError> {
        let text = self
            .config
            .text(key)
            .map_err(|problem| self.misconfigured(problem))?;
        Ok(text.unwrap_or(usual))
    }

    /// Something is wrong with the configuration.
    pub(crate) fn misconfigured(&self, problem: impl std::fmt::Display) -> ImportError {
        self.problem(format_args!("config.json: {problem}"))
    }

    /// Something is wrong with the checkpoint.
    pub(crate) fn problem(&self, problem: impl std::fmt::Display) -> ImportError {
        ImportError::bad(self.path, problem)
    }

    /// Whether there is a weight of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    /// How many parts are numbered behind a name: `blocks.0.…`, `blocks.1.…`.
    pub(crate) fn count(&self, name: &str) -> usize {
        let there = |number: &usize| {
            let start = format!("{name}.{number}.");
            let from = self.weights.range(start.clone()..).next();
            from.is_some_and(|(found, _)| found.starts_with(&start))
        };
        (0..).take_while(there).count()
    }

    /// The weight of a name.
    pub(crate) fn weight(&self, name: &str) -> Result<&'w Weight, ImportError> {
        self.weights
            .get(name)
            .ok_or_else(|| self.problem(format_args!("has no weight {}", quoted(name))))
    }

    /// The weight of a name, which has so many axes.
    pub(crate) fn weight_of<const N: usize>(&self, name: &str) -> Result<[usize; N], ImportError> {
        let shape = self.weight(name)?.shape();
        shape.try_into().map_err(|_| {
            let (name, shape) = (quoted(name), shown(shape));
            self.problem(format_args!("{name} is {shape}: it should have {N} axes"))
        })
    }

    /// Makes a weight something that nodes read; gives the value's name.
    pub(crate) fn parameter(
        &mut self,
        weight: &str,
        stored: Stored,
        layer: Option<&str>,
    ) -> String {
        self.used.insert(weight.to_owned());
        let parameter = Parameter {
            weight: weight.to_owned(),
            stored,
            layer: layer.map(str::to_owned),
        };
        self.parameters.insert(weight.to_owned(), parameter);
        weight.to_owned()
    }

    /// Says that a weight that the network does not need is known.
    pub(crate) fn ignore(&mut self, weight: &str) {
        self.used.insert(weight.to_owned());
    }

    /// The same of all weights under these names: an autoencoder's other half.
    pub(crate) fn ignore_under(&mut self, starts: &[&str]) {
        let under = |name: &&String| {
            let inside = |start: &&str| {
                name.strip_prefix(*start)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            starts.iter().any(inside)
        };
        self.used.extend(self.weights.keys().filter(under).cloned());
    }

    /// The first weight whose name ends so.
    pub(crate) fn first_with(&self, end: &str) -> Option<String> {
        self.weights
            .keys()
            .find(|name| name.ends_with(end))
            .cloned()
    }

    /// The weights that nothing read: the network is not what it was taken for.
    pub(crate) fn unread(&self) -> Vec<&'w str> {
        let names = self.weights.keys().map(String::as_str);
        names.filter(|name| !self.used.contains(*name)).collect()
    }

    pub(crate) fn input(&mut self, name: &str, kind: DataType, axes: &[Axis]) -> Value {
        self.inputs.push(declared(name, kind, axes));
        // Pictures have their channels second, all else its features last.
        let of = if axes.len() == 4 {
            axes.get(1)
        } else {
            axes.last()
        };
        let channels = match of {
            Some(Axis::Fixed(channels)) => *channels,
            _ => 0,
        };
        Value {
            name: name.to_owned(),
            channels,
        }
    }

    /// Makes a value an output.
    pub(crate) fn output(&mut self, value: &Value, name: &str, axes: &[Axis]) {
        self.outputs.push(declared(name, DataType::Float, axes));
        self.ends.push((value.name.clone(), name.to_owned()));
    }

    /// Calls the values that are outputs by the outputs' names. A value that is two of them, or an input, gets copies.
    pub(crate) fn finish(&mut self) {
        let made: HashSet<&String> = self.nodes.iter().flat_map(|node| &node.output).collect();
        let mut names: HashMap<String, String> = HashMap::new();
        let mut copies = Vec::new();
        for (value, output) in std::mem::take(&mut self.ends) {
            if made.contains(&value) && !names.contains_key(&value) {
                names.insert(value, output);
            } else {
                copies.push((value, output));
            }
        }
        let copies = copies
            .iter()
            .map(|(value, output)| node("Identity", &[value], &[output], &[]));
        self.nodes.extend(copies.collect::<Vec<_>>());
        for node in &mut self.nodes {
            for name in node.input.iter_mut().chain(&mut node.output) {
                if let Some(output) = names.get(name) {
                    name.clone_from(output);
                }
            }
        }
    }

    /// A node with one output, which has so many channels.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[Attribute<'_>],
        channels: usize,
    ) -> Value {
        let name = self.fresh(op);
        self.nodes.push(node(op, inputs, &[&name], attributes));
        Value { name, channels }
    }

    /// Equal parts of a value along an axis, which is that of its channels.
    pub(crate) fn split(&mut self, x: &Value, parts: usize, axis: i64) -> Vec<Value> {
        let channels = x.channels / parts;
        let made: Vec<Value> = (0..parts)
            .map(|_| Value {
                name: self.fresh("Split"),
                channels,
            })
            .collect();
        let names: Vec<&str> = made.iter().map(|part| part.name.as_str()).collect();
        self.nodes.push(node(
            "Split",
            &[&x.name],
            &names,
            &[Attribute::Int("axis", axis)],
        ));
        made
    }

    /// Whole numbers as a constant.
    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(DataType::Int64, &[values.len()], bytes.collect())
    }

    /// A whole number as a constant.
    pub(crate) fn integer(&mut self, value: i64) -> String {
        self.constant(DataType::Int64, &[], value.to_le_bytes().to_vec())
    }

    /// Numbers as a constant of a shape.
    pub(crate) fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(DataType::Float, shape, bytes.collect())
    }

    fn constant(&mut self, kind: DataType, shape: &[usize], bytes: Vec<u8>) -> String {
        let key = (kind as i32, shape.to_vec(), bytes);
        if let Some(there) = self.constants.get(&key) {
            return there.clone();
        }
        let name = self.fresh("Constant");
        let tensor = TensorProto {
            dims: shape.iter().map(|side| *side as i64).collect(),
            data_type: kind as i32,
            raw_data: key.2.clone(),
            ..TensorProto::default()
        };
        let mut made = node("Constant", &[], &[&name], &[]);
        made.attribute.push(AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor as i32,
            t: Some(tensor),
            ..AttributeProto::default()
        });
        self.nodes.push(made);
        self.constants.insert(key, name.clone());
        name
    }

    fn fresh(&mut self, op: &str) -> String {
        self.made += 1;
        format!("{op}_{}", self.made)
    }
}

fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute<'_>]) -> NodeProto {
    NodeProto {
        name: outputs[0].to_owned(),
        op_type: op.to_owned(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: outputs.iter().map(|name| (*name).to_owned()).collect(),
        attribute: attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

fn attribute(attribute: &Attribute<'_>) -> AttributeProto {
    let (name, kind) = match attribute {
        Attribute::Int(name, _) => (name, AttributeType::Int),
        Attribute::Ints(name, _) => (name, AttributeType::Ints),
        Attribute::Float(name, _) => (name, AttributeType::Float),
        Attribute::Text(name, _) => (name, AttributeType::String),
    };
    let mut made = AttributeProto {
        name: (*name).to_owned(),
        r#type: kind as i32,
        ..AttributeProto::default()
    };
    match attribute {
        Attribute::Int(_, value) => made.i = *value,
        Attribute::Ints(_, values) => made.ints = values.to_vec(),
        Attribute::Float(_, value) => made.f = *value,
        Attribute::Text(_, text) => made.s = text.as_bytes().to_vec(),
    }
    made
}

fn declared(name: &str, kind: DataType, axes: &[Axis]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dims = axes.iter().map(|axis| {
        let value = match axis {
            Axis::Fixed(side) => dimension::Value::DimValue(*side as i64),
            Axis::Named(name) => dimension::Value::DimParam(name.to_string()),
        };
        Dimension {
            value: Some(value),
            ..Dimension::default()
        }
    });
    let shape = tract_onnx::pb::TensorShapeProto {
        dim: dims.collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
