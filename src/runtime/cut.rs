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

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType, type_proto,
};

use super::ops::{CHANNELS_FIRST, CHANNELS_LAST};
use super::passes::{int, ints};

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

/// What all tiles go through before any goes further.
#[derive(Debug)]
pub(crate) struct Section {
    pub(super) model: ModelProto,
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

fn is_norm(node: &NodeProto) -> bool {
    node.op_type == "EaselGroupNorm"
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

/// An attribute that is one number.
fn number(node: &NodeProto, name: &str) -> Option<usize> {
    usize::try_from(*ints(node, name)?.first()?).ok()
}

/// How many pixels the node makes of how many, each way; `None` if it is not one that works on tiles.
fn factor(node: &NodeProto) -> Option<(usize, usize)> {
    match node.op_type.as_str() {
        "EaselUpsample" => Some((number(node, "factor")?, 1)),
        _ => padding(node).map(|_| (1, stride(node).unwrap_or(1))),
    }
}

/// Pixels of a convolution's image for one that it makes, each way; `None` if it is none, or has two such numbers.
fn stride(node: &NodeProto) -> Option<usize> {
    match ints(node, "strides") {
        Some(&[down, right]) if node.op_type == "EaselConv2d" && down == right && down > 0 => {
            usize::try_from(down).ok()
        }
        _ => None,
    }
}

/// How far the node sees; `None` if it is not one that works on tiles.
fn padding(node: &NodeProto) -> Option<usize> {
    match node.op_type.as_str() {
        "EaselConv2d" => {
            let list = |name: &str| -> Option<Vec<usize>> {
                let numbers = ints(node, name)?.iter();
                numbers.map(|n| usize::try_from(*n).ok()).collect()
            };
            let [kernel, dilations] = ["kernel", "dilations"].map(list);
            let (kernel, dilations) = (kernel?, dilations?);
            let reach = kernel.iter().zip(&dilations).map(|(k, d)| (k - 1) * d);
            let reach: Vec<usize> = reach.collect();
            let (&[down, right], &[top, left, bottom, end]) = (&reach[..], &list("pads")?[..])
            else {
                return None;
            };
            match stride(node)? {
                1 => {
                    let same = [down, right].map(|reach| reach / 2);
                    let even = down % 2 == 0 && right % 2 == 0;
                    let fits = [top, left] == same && [bottom, end] == same;
                    (even && fits).then_some(down.max(right) / 2)
                }
                // As many windows as there are whole steps: the last may lack no more than a step.
                stride => {
                    let fits = |reach: usize, padding: usize| {
                        (reach + 1).saturating_sub(stride) <= padding && padding <= reach
                    };
                    let fit = fits(down, top + bottom) && fits(right, left + end);
                    fit.then_some(top.max(left).max(bottom).max(end))
                }
            }
        }
        // Channels come first again in the picture alone: `Section::new` sees to it.
        "EaselUpsample" | "EaselGroupNorm" | "EaselActivation" | CHANNELS_FIRST | "Add" | "Sub"
        | "Mul" | "Div" | "Sigmoid" | "Tanh" | "Relu" | "Clip" | "Cast" | "Identity" => Some(0),
        _ => None,
    }
}

impl Section {
    /// Of these nodes with what they read beside constants.
    fn new(
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

/// The name of a value's moments.
fn moments_of(value: &str) -> String {
    format!("{value}/moments")
}

fn model_without_graph(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        ..ModelProto::default()
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, TensorProto, attribute_proto::AttributeType};

    use super::super::passes::node;
    use super::*;

    fn with(mut made: NodeProto, name: &str, numbers: &[i64]) -> NodeProto {
        made.attribute.push(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints: numbers.to_vec(),
            i: numbers[0],
            ..AttributeProto::default()
        });
        made
    }

    fn conv(x: &str, y: &str, side: i64, [depth, columns]: [i64; 2]) -> NodeProto {
        [
            ("kernel", [side; 2].to_vec()),
            ("strides", vec![1; 2]),
            ("dilations", vec![1; 2]),
            ("pads", vec![side / 2; 4]),
            ("depth", vec![depth]),
            ("columns", vec![columns]),
        ]
        .into_iter()
        .fold(node("EaselConv2d", &[x], y), |made, (name, numbers)| {
            with(made, name, &numbers)
        })
    }

    fn norm(x: &str, y: &str) -> NodeProto {
        with(
            node("EaselGroupNorm", &[x, "scale", "shift"], y),
            "groups",
            &[2],
        )
    }

    /// A head, and a residual block with fewer channels at twice the size.
    fn nodes() -> Vec<NodeProto> {
        vec![
            conv("latents", "h", 3, [4, 8]),
            with(node("EaselUpsample", &["h"], "up"), "factor", &[2]),
            conv("up", "a", 3, [8, 8]),
            norm("a", "a'"),
            conv("a'", "b", 5, [8, 6]),
            norm("b", "b'"),
            conv("b'", "c", 3, [6, 6]),
            conv("a", "beside", 1, [8, 6]),
            node("Add", &["beside", "c"], "d"),
            norm("d", "d'"),
            conv("d'", "e", 3, [6, 3]),
            node(CHANNELS_FIRST, &["e"], "picture"),
        ]
    }

    fn network(nodes: Vec<NodeProto>) -> ModelProto {
        let value = |name: &str| ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        };
        let constant = |name: &str| TensorProto {
            name: name.into(),
            ..TensorProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                input: vec![value("latents")],
                output: vec![value("picture")],
                initializer: ["scale", "shift"].map(constant).to_vec(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn a_section_ends_where_a_norm_begins_and_what_is_read_beside_it_waits_with_it() {
        let cut = cut(&network(nodes())).expect("it can be cut");
        assert_eq!(cut.head, "h");
        let values = cut.values.iter().map(|value| {
            let name = value.name.as_str();
            (name, value.scale, value.channels, value.groups, value.last)
        });
        assert_eq!(
            values.collect::<Vec<_>>(),
            [
                ("h", 1, 8, None, 0),
                ("a", 2, 8, Some(2), 1),
                ("b", 2, 6, Some(2), 2),
                ("beside", 2, 6, None, 2),
                ("d", 2, 6, Some(2), 3),
                ("picture", 2, 3, None, usize::MAX),
            ]
        );
        let sections = cut.sections.iter().map(|section| {
            let graph = section.model.graph.as_ref().expect("it has one");
            let made: Vec<_> = graph.node.iter().map(|n| n.output[0].as_str()).collect();
            let numbers = (
                &section.inputs[..],
                &section.moments[..],
                &section.outputs[..],
            );
            (made, numbers, (section.unit, section.reach))
        });
        let sections: Vec<_> = sections.collect();
        assert_eq!(
            sections,
            [
                (vec!["up", "a"], (&[0][..], &[][..], &[1][..]), (1, 1)),
                (vec!["a'", "b", "beside"], (&[1], &[1], &[2, 3]), (2, 2)),
                (vec!["b'", "c", "d"], (&[2, 3], &[2], &[4]), (2, 1)),
                (vec!["d'", "e", "picture"], (&[4], &[4], &[5]), (2, 1)),
            ]
        );
        let graph = cut.sections[1].model.graph.as_ref().expect("it has one");
        assert_eq!(graph.node[0].input, ["a", "scale", "shift", "a/moments"]);
        let inputs: Vec<_> = graph.input.iter().map(|input| &input.name[..]).collect();
        assert_eq!(inputs, ["a", "a/moments"]);
    }

    #[test]
    fn what_is_not_known_to_work_on_tiles_is_not_cut() {
        let changed = |change: &dyn Fn(&mut Vec<NodeProto>)| {
            let mut nodes = nodes();
            change(&mut nodes);
            cut(&network(nodes)).is_some()
        };
        assert!(changed(&|_| ()));
        // No norm behind the up-sampling.
        assert!(!changed(&|nodes| nodes
            .iter_mut()
            .filter(|node| is_norm(node))
            .for_each(|node| node.op_type = "EaselActivation".into())));
        for (at, op) in [
            (3, "EaselLayerNorm"),
            (5, "EaselAttention"),
            (8, "Concat"),
            (10, CHANNELS_FIRST),
        ] {
            assert!(!changed(&|nodes| nodes[at].op_type = op.into()), "{op}");
        }
        for attribute in 0..4 {
            // A kernel of one more, strides, dilations and pads that do not fit it.
            assert!(
                !changed(&|nodes| nodes[4].attribute[attribute].ints[0] += 1),
                "{attribute}"
            );
        }
        // The tail reads two values of the head, or of two sizes.
        assert!(!changed(&|nodes| nodes[8].input[0] = "latents".into()));
        assert!(!changed(&|nodes| nodes[8].input[0] = "h".into()));
        // Two norms that group differently.
        assert!(!changed(&|nodes| {
            nodes[7] = with(
                node("EaselGroupNorm", &["a", "scale", "shift"], "beside"),
                "groups",
                &[4],
            );
        }));
    }
}
