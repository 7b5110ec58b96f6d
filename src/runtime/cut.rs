//! An autoencoder cut into sections, so that a picture can go through it in tiles and come out as if it had not.
//!
//! A group normalization needs the mean and variance of the whole picture before its first pixel: tiles that go through the network
//! one after the other cannot know them. Here all tiles go through one section of the network before any goes through the next, and a
//! section ends where a norm begins:
//!
//! ```text
//! latents ─► head ─► upsample ─► conv ─┤├─► norm ─► conv ─┤├─► norm ─► conv ─► add ─┤├─► …
//!            whole       section 0      └┤├────── section 1 ┤├───── section 2 ──┘
//! ```
//!
//! The head is all before the first up-sampling, the attention too: its images are small. Values that cross from a section to a later
//! one are kept for the whole picture; of those that a norm reads, the moments are gathered on the way. What reads a value only to make
//! something else of it (the 1×1 convolution beside a residual block that changes the number of channels) runs with its norm, so that
//! the value need not be kept any longer.
//!
//! An encoder is the same the other way round: its sections take the picture to its last down-sampling, and the rest, with the attention,
//! runs over the whole.

mod section;
#[cfg(test)]
mod tests;
mod tiles;

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType, type_proto,
};

use super::ops::CHANNELS_LAST;
use super::passes::int;
pub(crate) use section::Section;
use tiles::{factor, is_norm, number, stride};

/// A network cut into a head, sections, and what is behind them.
#[derive(Debug)]
pub(super) struct Cut {
    /// The value of the network that the head makes: value 0, `[1, h, w, c]`.
    pub(super) head: String,
    pub(super) sections: Vec<Section>,
    /// All values that cross, by number, in the order in which they are made. The last of a decoder is the picture, `[1, 3, h, w]`;
    /// that of an encoder is what the rest reads, `[1, h, w, c]`.
    pub(super) values: Vec<Value>,
    /// Of an encoder: from the last value to the latents.
    pub(super) rest: Option<ModelProto>,
}

/// A value that crosses from one section to a later one, or leaves the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    name: String,
    /// Its pixels for a latent, each way.
    pub(crate) scale: usize,
    pub(crate) channels: usize,
    /// The groups of the norm that reads it.
    pub(crate) groups: Option<usize>,
    /// The last section that reads it.
    pub(crate) last: usize,
}

/// Cuts a network that the passes have been over. `None` if there is nothing to gain, as no norm stands behind an up-sampling or before
/// a down-sampling, or if something in it is not known to work on tiles.
pub(super) fn cut(model: &ModelProto) -> Option<Cut> {
    let graph = model.graph.as_ref()?;
    let [output] = &graph.output[..] else {
        return None;
    };
    let (tail, end) = match tail(graph) {
        tail if !tail.is_empty() => (tail, output.name.as_str()),
        _ => {
            let front = front(graph);
            let end = front.last()?.output[0].as_str();
            (front, end)
        }
    };
    let made: HashSet<&str> = tail.iter().map(|node| node.output[0].as_str()).collect();
    if !made.contains(end) || !tail.iter().any(|node| is_norm(node)) {
        return None;
    }
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let read = |node: &&NodeProto| -> Vec<String> {
        let names = node.input.iter().filter(|name| !name.is_empty());
        let names = names.filter(|name| !constants.contains(name.as_str()));
        names.cloned().collect()
    };
    let mut heads: Vec<String> = tail.iter().flat_map(read).collect();
    heads.retain(|name| !made.contains(name.as_str()));
    heads.dedup();
    let [head] = &heads[..] else { return None };
    let reads: Vec<Vec<String>> = tail.iter().map(read).collect();
    let places = places(&tail, &reads, head)?;
    let values = values(&tail, &reads, &places, head, end)?;
    let rest = match end == output.name {
        true => None,
        false => Some(rest(model, &made, head, end)?),
    };
    let count = places.values().max()? + 1;
    let sections = (0..count).map(|number| {
        let nodes = tail.iter().zip(&reads);
        let nodes = nodes.filter(|(node, _)| places[node.output[0].as_str()] == number);
        Section::new(model, &nodes.collect::<Vec<_>>(), &values)
    });
    Some(Cut {
        head: head.clone(),
        sections: sections.collect::<Option<_>>()?,
        values,
        rest,
    })
}

/// The nodes that an up-sampling comes before, in order.
fn tail(graph: &GraphProto) -> Vec<&NodeProto> {
    let mut made: HashSet<&str> = HashSet::new();
    let mut tail = Vec::new();
    for node in &graph.node {
        let follows = node.input.iter().any(|name| made.contains(name.as_str()));
        if follows || node.op_type == "EaselUpsample" {
            made.extend(node.output.iter().map(String::as_str));
            tail.push(node);
        }
    }
    tail
}

/// The nodes that come before a down-sampling, which is the last, in order; not the one that brings the picture's channels behind its
/// pixels.
fn front(graph: &GraphProto) -> Vec<&NodeProto> {
    let mut wanted: HashSet<&str> = HashSet::new();
    let mut front = Vec::new();
    for node in graph
        .node
        .iter()
        .rev()
        .filter(|node| node.op_type != CHANNELS_LAST)
    {
        let wants = node
            .output
            .iter()
            .any(|name| wanted.contains(name.as_str()));
        if wants || stride(node).is_some_and(|stride| stride > 1) {
            wanted.extend(node.input.iter().map(String::as_str));
            front.push(node);
        }
    }
    front.reverse();
    front
}

/// What is behind the sections, as a network by itself. It may read nothing else of what was `made` before, nor the `head`.
fn rest(model: &ModelProto, made: &HashSet<&str>, head: &str, end: &str) -> Option<ModelProto> {
    let whole = model.graph.as_ref()?;
    // The head is all that the first value is made of.
    let mut before: HashSet<&str> = HashSet::from([head]);
    for node in whole.node.iter().rev() {
        if node
            .output
            .iter()
            .any(|name| before.contains(name.as_str()))
        {
            before.extend(node.input.iter().map(String::as_str));
        }
    }
    let is_made = |node: &NodeProto, names: &HashSet<&str>| {
        node.output.iter().any(|name| names.contains(name.as_str()))
    };
    let nodes = whole.node.iter();
    let nodes: Vec<&NodeProto> = nodes
        .filter(|node| !is_made(node, made) && !is_made(node, &before))
        .collect();
    let constants: HashSet<&str> = whole.initializer.iter().map(|t| t.name.as_str()).collect();
    let mut reads = nodes.iter().flat_map(|node| &node.input);
    let foreign = |name: &String| {
        let name = name.as_str();
        name != end && !constants.contains(name) && (made.contains(name) || before.contains(name))
    };
    if reads.any(foreign) {
        return None;
    }
    let graph = GraphProto {
        input: vec![named(end.to_owned(), DataType::Float)],
        output: whole.output.clone(),
        initializer: read_by(whole, nodes.iter().copied()),
        node: nodes.into_iter().cloned().collect(),
        ..GraphProto::default()
    };
    Some(ModelProto {
        graph: Some(graph),
        ..model_without_graph(model)
    })
}

/// By a value's name, the section that makes it: the first in which all that is read for it is there.
fn places<'g>(
    tail: &[&'g NodeProto],
    reads: &[Vec<String>],
    head: &str,
) -> Option<HashMap<&'g str, usize>> {
    let normed: HashSet<&str> = tail
        .iter()
        .filter(|node| is_norm(node))
        .map(|node| node.input[0].as_str())
        .collect();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (node, reads) in tail.iter().zip(reads) {
        let [output] = &node.output[..] else {
            return None;
        };
        let from = |name: &String| match places.get(name.as_str()) {
            None => (name == head).then_some(0),
            // Who reads what a norm reads waits with it.
            Some(place) => Some(place + usize::from(normed.contains(name.as_str()))),
        };
        let places_read: Option<Vec<usize>> = reads.iter().map(from).collect();
        places.insert(output, places_read?.into_iter().max()?);
    }
    Some(places)
}

/// The values that cross.
fn values(
    tail: &[&NodeProto],
    reads: &[Vec<String>],
    places: &HashMap<&str, usize>,
    head: &str,
    output: &str,
) -> Option<Vec<Value>> {
    let value = |name: &str, place: Option<usize>| {
        let readers = || {
            let nodes = tail.iter().zip(reads);
            nodes.filter(|(_, reads)| reads.iter().any(|read| read == name))
        };
        let last = readers().map(|(node, _)| places[node.output[0].as_str()]);
        let last = last.max().filter(|last| place.is_none_or(|at| *last > at));
        let norms = readers().filter(|(node, _)| is_norm(node) && node.input[0] == name);
        let mut groups: Vec<i64> = norms.filter_map(|(node, _)| int(node, "groups")).collect();
        groups.dedup();
        Some((last, groups))
    };
    let mut found = Vec::new();
    let names = std::iter::once((head, None));
    let names = names.chain(tail.iter().map(|node| {
        let name = node.output[0].as_str();
        (name, Some(places[name]))
    }));
    for (name, place) in names {
        let (last, groups) = value(name, place)?;
        let last = match last {
            Some(last) => last,
            None if name == output => usize::MAX,
            None => continue,
        };
        let groups = match groups[..] {
            [] => None,
            [groups] => Some(usize::try_from(groups).ok()?),
            _ => return None, // two norms that group differently
        };
        found.push(Value {
            name: name.to_owned(),
            scale: 0,
            channels: 0,
            groups,
            last,
        });
    }
    // Their scales and channels, from the head's, which has as many as the first convolution takes. How often a picture is halved is
    // known at its end.
    let convolution = tail.iter().find(|node| node.op_type == "EaselConv2d")?;
    let mut strides = tail.iter().map(|node| stride(node).unwrap_or(1));
    let start = strides.try_fold(1_usize, usize::checked_mul)?;
    let mut shapes = HashMap::from([(head, (start, number(convolution, "depth")?))]);
    for (node, reads) in tail.iter().zip(reads) {
        let mut read = reads.iter().map(|name| shapes[name.as_str()]);
        let (scale, channels) = read.next()?;
        if !read.all(|other| other == (scale, channels)) {
            return None;
        }
        let channels = match node.op_type.as_str() {
            "EaselConv2d" => number(node, "columns")?,
            _ => channels,
        };
        let (larger, smaller) = factor(node)?;
        if !scale.is_multiple_of(smaller) {
            return None;
        }
        shapes.insert(&node.output[0], (scale * larger / smaller, channels));
    }
    let coarsest = shapes.values().map(|(scale, _)| *scale).min()?;
    for value in &mut found {
        (value.scale, value.channels) = shapes[value.name.as_str()];
        if !value.scale.is_multiple_of(coarsest) {
            return None;
        }
        value.scale /= coarsest;
    }
    // The picture is the last, and nobody in the network reads it.
    let is_picture = |value: &Value| value.name == output && value.last == usize::MAX;
    found.last().is_some_and(is_picture).then_some(found)
}

/// An input of a network.
pub(super) fn named(name: String, element: DataType) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type: element as i32,
        shape: None, // when it is built
    };
    ValueInfoProto {
        name,
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// The constants that these nodes read.
fn read_by<'n>(whole: &GraphProto, nodes: impl Iterator<Item = &'n NodeProto>) -> Vec<TensorProto> {
    let reads: HashSet<&str> = nodes
        .flat_map(|node| node.input.iter().map(String::as_str))
        .collect();
    let constants = whole.initializer.iter();
    let read = constants.filter(|tensor| reads.contains(tensor.name.as_str()));
    read.cloned().collect()
}

fn model_without_graph(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        ..ModelProto::default()
    }
}
