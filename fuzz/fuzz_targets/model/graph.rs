//! Changes to a network that leave it a protobuf.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    TensorProto, type_proto,
};

use crate::Decisions;
use crate::language::{Snippet, tensor};
use crate::templates::{INTEGERS, OTHERS, REGISTERED, TEMPLATES};

/// Attributes that operators read.
const ATTRIBUTES: &[&str] = &[
    "axis",
    "axes",
    "perm",
    "to",
    "kernel_shape",
    "pads",
    "strides",
    "dilations",
    "group",
    "epsilon",
    "value",
    "mode",
    "keepdims",
    "alpha",
    "beta",
    "transA",
    "transB",
    "num_groups",
    "blocksize",
    "equation",
    "then_branch",
    "else_branch",
    "body",
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "output_shape",
    "output_padding",
    "split",
    "num_outputs",
    "starts",
    "ends",
    "shape",
    "dtype",
    "largest",
    "k",
    "upper",
    "exclusive",
    "reverse",
    "batch_dims",
    "reduction",
    "fmod",
    "direction",
    "allowzero",
    "coordinate_transformation_mode",
    "nearest_mode",
    "scales",
    "block_size",
    "bits",
    "num_heads",
    "scale",
    "value_ints",
    "value_float",
    "value_int",
    "sparse_value",
    "min",
    "max",
    "hidden_size",
    "file",
    "weight",
    "end",
    "start",
];

const OWN: &[&str] = &[
    "EaselLinear",
    "EaselConv2d",
    "EaselEmbedding",
    "EaselAttention",
    "EaselGroupNorm",
    "EaselLayerNorm",
    "EaselConcat",
    "EaselUpsample",
    "EaselActivation",
    "EaselGeGlu",
    "EaselFeedForward",
    "EaselChannelsLast",
    "EaselChannelsFirst",
];

/// Constants that an input may become.
const CONSTANTS: &[&str] = &[
    "#0",
    "#1",
    "#-1",
    "#0.0",
    "#1.0",
    "#nan",
    "#inf",
    "bool:#1",
    "str:a",
    "0",
    "-1",
    "1,4,4,4",
    "0,-1",
    "-1,-1",
    "2^40",
    "2^62",
    "-9223372036854775808",
    "9223372036854775807",
    "i64:@0",
    "f32:@0",
    "f32:@1x0x4x4",
    "~4",
    "~4x4",
    "~1x4x4x4",
    "~4x4x3x3",
    "~1x1x1x1x1x1x1x1x1",
    "i32:1,2",
    "f16:1.0,2.0",
    "f64:1.0",
    "u8:1,2,3",
    "i8:~4x4",
    "1.0,1.0,2.0,2.0",
    "i8:~4x4x3x3",
];

pub(crate) fn change(decisions: &mut Decisions<'_>, model: &mut ModelProto) {
    match decisions.byte() {
        0 => model.opset_import[0].version = decisions.pick(&INTEGERS),
        1 => model.opset_import[0].version = i64::from(decisions.byte() % 26),
        2 => function(decisions, model),
        3 => model.ir_version = decisions.pick(&INTEGERS),
        _ => {
            if let Some(graph) = &mut model.graph {
                change_graph(decisions, graph);
            }
        }
    }
}

/// Moves a node into a function of the model.
fn function(decisions: &mut Decisions<'_>, model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else {
        return;
    };
    let Some(at) = decisions.place(&graph.node) else {
        return;
    };
    let node = graph.node[at].clone();
    let call = &mut graph.node[at];
    call.op_type = "Local".into();
    call.domain = "local".into();
    call.attribute.clear();
    let (input, output) = (call.input.clone(), call.output.clone());
    let mut nodes = vec![node];
    if decisions.byte() % 4 == 0 {
        nodes.push(graph.node[at].clone());
    }
    model.functions.push(FunctionProto {
        name: Some("Local".into()),
        domain: Some("local".into()),
        input,
        output,
        node: nodes,
        opset_import: model.opset_import.clone(),
        ..FunctionProto::default()
    });
}

fn change_graph(decisions: &mut Decisions<'_>, graph: &mut GraphProto) {
    let at = decisions.place(&graph.node);
    match decisions.byte() % 32 {
        0 => {
            if let Some(at) = at {
                graph.node.remove(at);
            }
        }
        1 => {
            if let Some(at) = at {
                let again = graph.node[at].clone();
                graph.node.push(again);
            }
        }
        2..=4 => {
            let value = any_value(decisions, graph);
            if let Some(node) = at.map(|at| &mut graph.node[at])
                && let Some(input) = decisions.place(&node.input)
            {
                node.input[input] = value;
            }
        }
        5 => {
            if let Some(node) = at.map(|at| &mut graph.node[at]) {
                node.op_type = any_operator(decisions);
            }
        }
        6..=8 => {
            if let Some(node) = at.map(|at| &mut graph.node[at]) {
                change_attribute(decisions, node);
            }
        }
        9..=12 => {
            if let Some(at) = decisions.place(&graph.initializer) {
                change_tensor(decisions, &mut graph.initializer[at]);
            }
        }
        13..=18 => insert_template(decisions, graph),
        19 | 20 => {
            if let Some(at) = at {
                insert_node(decisions, graph, at);
            }
        }
        21 => {
            let other = decisions.place(&graph.node);
            if let (Some(at), Some(other)) = (at, other) {
                graph.node.swap(at, other);
            }
        }
        22 => change_declaration(decisions, graph),
        23 => {
            if let Some(node) = at.map(|at| &mut graph.node[at]) {
                match decisions.byte() % 5 {
                    0 => node.output.clear(),
                    1 => node.output.insert(0, String::new()),
                    2 => node.output.push("another".into()),
                    3 => node.input.clear(),
                    _ => node.name.clear(),
                }
            }
        }
        24 | 25 => {
            if let Some(at) = at {
                put_into_branch(decisions, graph, at);
            }
        }
        26..=29 => {
            // A constant for an input.
            let name = format!("constant{}", graph.initializer.len());
            if let Some(node) = at.map(|at| &mut graph.node[at]) {
                let input = decisions.below(node.input.len() + 1);
                if input == node.input.len() {
                    node.input.push(name.clone());
                } else {
                    node.input[input].clone_from(&name);
                }
                let constant = decisions.pick(CONSTANTS);
                graph.initializer.push(tensor(&name, constant));
            }
        }
        30 => {
            if let Some(node) = at.map(|at| &mut graph.node[at]) {
                let domains = ["ai.easel", "com.microsoft", "ai.onnx", "elsewhere"];
                node.domain = decisions.pick(&domains).to_owned();
            }
        }
        _ => {
            // A chain of one kind behind a node.
            if let Some(at) = at {
                for _ in 0..decisions.below(40) {
                    insert_same(graph, at);
                }
            }
        }
    }
}

/// The name of something there, at times of nothing.
fn any_value(decisions: &mut Decisions<'_>, graph: &GraphProto) -> String {
    match decisions.byte() % 8 {
        0 => String::new(),
        1 => "nobody".into(),
        2 => decisions
            .place(&graph.initializer)
            .map_or_else(String::new, |at| graph.initializer[at].name.clone()),
        3 => decisions
            .place(&graph.input)
            .map_or_else(String::new, |at| graph.input[at].name.clone()),
        _ => {
            let node = decisions.place(&graph.node).map(|at| &graph.node[at]);
            node.and_then(|node| Some(node.output[decisions.place(&node.output)?].clone()))
                .unwrap_or_default()
        }
    }
}

fn any_operator(decisions: &mut Decisions<'_>) -> String {
    let list = match decisions.byte() % 16 {
        0 => OTHERS.split_whitespace().collect(),
        1 => OWN.to_vec(),
        _ => REGISTERED.split_whitespace().collect::<Vec<_>>(),
    };
    decisions.pick(&list).to_owned()
}

fn integer(decisions: &mut Decisions<'_>) -> i64 {
    match decisions.byte() {
        small @ 0..=199 => i64::from(small % 24) - 4,
        _ => decisions.pick(&INTEGERS),
    }
}

fn number(decisions: &mut Decisions<'_>) -> f32 {
    decisions.pick(&[
        0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        1e-30,
        1e30,
        f32::NAN,
        f32::INFINITY,
    ])
}

fn change_attribute(decisions: &mut Decisions<'_>, node: &mut NodeProto) {
    match decisions.byte() % 6 {
        0 => {
            if let Some(at) = decisions.place(&node.attribute) {
                node.attribute.remove(at);
            }
        }
        1 => {
            let name = decisions.pick(ATTRIBUTES);
            let mut made = AttributeProto {
                name: name.to_owned(),
                r#type: i32::from(decisions.byte() % 15),
                ..AttributeProto::default()
            };
            fill(decisions, &mut made);
            node.attribute.push(made);
        }
        2 => {
            if let Some(at) = decisions.place(&node.attribute) {
                node.attribute[at].r#type = i32::from(decisions.byte() % 15);
            }
        }
        _ => {
            if let Some(at) = decisions.place(&node.attribute) {
                fill(decisions, &mut node.attribute[at]);
            }
        }
    }
}

fn fill(decisions: &mut Decisions<'_>, attribute: &mut AttributeProto) {
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Int) => attribute.i = integer(decisions),
        Ok(AttributeType::Float) => attribute.f = number(decisions),
        Ok(AttributeType::String) => {
            let texts = [
                "",
                "nearest",
                "linear",
                "cubic",
                "constant",
                "edge",
                "reflect",
                "wrap",
                "SAME_UPPER",
                "VALID",
                "half_pixel",
                "asymmetric",
                "floor",
                "ceil",
                "ij,jk->ik",
                "ab->ba",
                "...",
                "none",
                "add",
                "LEFT",
                "nonsense",
                "\u{202e}\n",
            ];
            attribute.s = decisions.pick(&texts).as_bytes().to_vec();
        }
        Ok(AttributeType::Ints) => match decisions.below(attribute.ints.len() + 1) {
            at if at < attribute.ints.len() => {
                if decisions.byte() % 4 == 0 {
                    attribute.ints.remove(at);
                } else {
                    attribute.ints[at] = integer(decisions);
                }
            }
            _ => attribute.ints.push(integer(decisions)),
        },
        Ok(AttributeType::Floats) => attribute.floats.push(number(decisions)),
        Ok(AttributeType::Tensor) => match &mut attribute.t {
            Some(tensor) if decisions.byte() % 2 == 0 => change_tensor(decisions, tensor),
            tensor => *tensor = Some(self::tensor("", decisions.pick(CONSTANTS))),
        },
        Ok(AttributeType::Graph) => {
            if let Some(graph) = &mut attribute.g {
                change_graph(decisions, graph);
            }
        }
        _ => {}
    }
}

fn change_tensor(decisions: &mut Decisions<'_>, tensor: &mut TensorProto) {
    match decisions.byte() % 12 {
        0 => tensor.dims.push(integer(decisions)),
        1 => {
            tensor.dims.pop();
        }
        2 | 3 => {
            if let Some(at) = decisions.place(&tensor.dims) {
                tensor.dims[at] = integer(decisions);
            }
        }
        4 => tensor.data_type = i32::from(decisions.byte() % 28),
        5 => {
            if let Some(at) = decisions.place(&tensor.raw_data) {
                tensor.raw_data.truncate(at);
            }
        }
        6 => tensor.raw_data.extend([decisions.byte(); 9]),
        // Other numbers, as many as there are.
        7 | 8 => {
            if let Some(at) = decisions.place(&tensor.raw_data) {
                let value = integer(decisions).to_le_bytes();
                let at = at / 8 * 8;
                let end = tensor.raw_data.len().min(at + 8);
                tensor.raw_data[at..end].copy_from_slice(&value[..end - at]);
            }
        }
        9 => {
            let value = number(decisions).to_le_bytes();
            if let Some(at) = decisions.place(&tensor.raw_data) {
                let at = at / 4 * 4;
                let end = tensor.raw_data.len().min(at + 4);
                tensor.raw_data[at..end].copy_from_slice(&value[..end - at]);
            }
        }
        10 => {
            let raw = std::mem::take(&mut tensor.raw_data);
            match decisions.byte() % 4 {
                0 => tensor.float_data = vec![1.0; raw.len() / 4],
                1 => tensor.int64_data = vec![1; raw.len() / 8],
                2 => tensor.int32_data = vec![1; raw.len() / 4],
                _ => tensor.string_data = vec![raw],
            }
        }
        _ => {
            let places = [
                "/etc/passwd",
                "../secret",
                "model.onnx",
                "config.json",
                "",
                ".",
                "missing",
            ];
            let entry = |key: &str, value: &str| StringStringEntryProto {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let offset = integer(decisions).to_string();
            let place = decisions.pick(&places);
            tensor.data_location = Some(DataLocation::External as i32);
            tensor.external_data = vec![entry("location", place), entry("offset", &offset)];
        }
    }
}

/// Nodes of a template, the last of which is read by a node that reads something else now.
fn insert_template(decisions: &mut Decisions<'_>, graph: &mut GraphProto) {
    let text = decisions.pick(TEMPLATES);
    let prefix = format!("t{}-", graph.node.len());
    let mut snippet = Snippet::of(&prefix, text);
    let from = any_value(decisions, graph);
    let values: Vec<String> = graph
        .node
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    let names: Vec<String> = snippet
        .nodes
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    for node in &mut snippet.nodes {
        for name in &mut node.input {
            if names.contains(name) {
                *name = format!("{prefix}{name}");
            } else if matches!(name.as_str(), "x" | "tokens" | "shape")
                && (!values.contains(name) || decisions.byte() % 4 == 0)
            {
                name.clone_from(&from);
            }
        }
        node.output
            .iter_mut()
            .for_each(|name| *name = format!("{prefix}{name}"));
        node.name = format!("{prefix}{}", node.name);
    }
    let Some(made) = snippet
        .nodes
        .last()
        .and_then(|node| node.output.first())
        .cloned()
    else {
        return;
    };
    // In its place in the order: behind what it reads, for most.
    let at = decisions.below(graph.node.len() + 1);
    if let Some(reader) = graph.node.get_mut(at) {
        match decisions.byte() % 4 {
            0 => {
                if let Some(input) = decisions.place(&reader.input) {
                    reader.input[input] = made;
                }
            }
            _ => mix_in(graph, &made),
        }
    } else {
        mix_in(graph, &made);
    }
    graph.node.splice(
        at.min(graph.node.len())..at.min(graph.node.len()),
        snippet.nodes,
    );
    graph.initializer.extend(snippet.constants);
}

/// Adds a number of it to the first output.
fn mix_in(graph: &mut GraphProto, value: &str) {
    let Some(output) = graph.output.first().map(|output| output.name.clone()) else {
        return;
    };
    let before = format!("{output}-{}", graph.node.len());
    for node in &mut graph.node {
        node.output
            .iter_mut()
            .filter(|name| **name == output)
            .for_each(|name| name.clone_from(&before));
    }
    let text = format!(
        "{before}-n = Cast({value}) to=1
        {before}-m = ReduceMean({before}-n) keepdims=0
        {before}-b = Tanh({before}-m)
        {output} = Add({before}, {before}-b)"
    );
    graph.node.extend(Snippet::of("m", &text).nodes);
}

/// A node of any operator between two others.
fn insert_node(decisions: &mut Decisions<'_>, graph: &mut GraphProto, at: usize) {
    let name = format!("new{}", graph.node.len());
    let input = (0..decisions.below(4))
        .map(|_| any_value(decisions, graph))
        .collect();
    let mut node = NodeProto {
        name: name.clone(),
        op_type: any_operator(decisions),
        input,
        output: vec![name.clone()],
        ..NodeProto::default()
    };
    for _ in 0..decisions.below(3) {
        change_attribute(decisions, &mut node);
    }
    if let Some(input) = decisions.place(&graph.node[at].input) {
        graph.node[at].input[input] = name;
    }
    graph.node.insert(at, node);
}

/// The node once more, reading what it made.
fn insert_same(graph: &mut GraphProto, at: usize) {
    let mut again = graph.node[at].clone();
    let (Some(output), Some(_)) = (again.output.first().cloned(), again.input.first()) else {
        return;
    };
    let before = format!("{output}-{}", graph.node.len());
    graph.node[at].output[0].clone_from(&before);
    again.input[0].clone_from(&before);
    again.name = format!("{before}-again");
    graph.node.insert(at + 1, again);
}

/// The node into both branches of an `If`.
fn put_into_branch(decisions: &mut Decisions<'_>, graph: &mut GraphProto, at: usize) {
    let node = graph.node[at].clone();
    let conditions = ["bool:#1", "bool:#0", "#1", "bool:1,0"];
    let mut made = Snippet::of(
        &format!("if{}", graph.node.len()),
        &format!("y = If({{{}}})", decisions.pick(&conditions)),
    );
    made.nodes[0].name = format!("if {}", node.name);
    made.nodes[0].output.clone_from(&node.output);
    let branch = GraphProto {
        output: node
            .output
            .iter()
            .map(|name| {
                crate::micro::declared(name, tract_onnx::pb::tensor_proto::DataType::Float, &[])
            })
            .collect(),
        node: vec![node],
        ..GraphProto::default()
    };
    for name in ["then_branch", "else_branch"] {
        made.nodes[0].attribute.push(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Graph as i32,
            g: Some(branch.clone()),
            ..AttributeProto::default()
        });
    }
    graph.node[at] = made.nodes.remove(0);
    graph.initializer.extend(made.constants);
}

fn change_declaration(decisions: &mut Decisions<'_>, graph: &mut GraphProto) {
    let list = if decisions.byte() % 4 == 0 {
        &mut graph.output
    } else {
        &mut graph.input
    };
    let Some(at) = decisions.place(list) else {
        return;
    };
    match decisions.byte() % 5 {
        0 => {
            list.remove(at);
        }
        1 => {
            let again = list[at].clone();
            list.push(again);
        }
        2 => {
            list[at].name = decisions
                .pick(&["", "x", "nobody", "sample", "shape"])
                .to_owned()
        }
        3 => {
            if let Some(type_proto::Value::TensorType(kind)) =
                list[at].r#type.as_mut().and_then(|t| t.value.as_mut())
            {
                kind.elem_type = i32::from(decisions.byte() % 24);
            }
        }
        _ => {
            if let Some(type_proto::Value::TensorType(kind)) =
                list[at].r#type.as_mut().and_then(|t| t.value.as_mut())
                && let Some(shape) = &mut kind.shape
            {
                let value = Some(dimension::Value::DimValue(integer(decisions)));
                let dim = Dimension {
                    value,
                    ..Dimension::default()
                };
                match decisions.place(&shape.dim) {
                    Some(at) if decisions.byte() % 3 != 0 => shape.dim[at] = dim,
                    _ => shape.dim.push(dim),
                }
            }
        }
    }
}
