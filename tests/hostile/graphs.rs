//! Graphs that are none, or larger than any network: rings, doubled values, chains, branches in branches, functions that call
//! themselves.

use std::fmt::Write as _;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    TensorProto, TrainingInfoProto,
};

use crate::crafted::{crafted, network_case, text};
use crate::language::{Snippet, tensor};
use crate::micro::{self, DECODER, TEXT_ENCODER, UNET, declared};
use crate::outsiders::branch;
use crate::watch::{Case, Right};

/// A link of a ring or chain that reads `from` and makes `to`, by the kind of operator.
const LINKS: &[&str] = &[
    "Identity(FROM)",
    "Relu(FROM)",
    "Sqrt(FROM)",
    "Neg(FROM)",
    "Cast(FROM) to=1",
    "Add(FROM, {#0.5})",
    "Mul(FROM, {#0.5})",
    "Transpose(FROM) perm=[0,1,3,2]",
    "Reshape(FROM, {1,4,4,4})",
    "Unsqueeze(FROM, {0})",
    "Conv(FROM, {~4x4x1x1})",
    "MatMul(FROM, {~4x4})",
    "Softmax(FROM) axis=1",
    "Sigmoid(FROM)",
    "Dropout(FROM)",
    "Slice(FROM, {0}, {4}, {1})",
    "Concat(FROM) axis=1",
    "LayerNormalization(FROM, {~4}, {~4}) axis=-1",
];

/// Nodes `v0 → v1 → … → v{count}` of this kind.
fn chain(link: &str, first: &str, count: usize) -> Snippet {
    let line = link.replace("FROM", "from");
    let one = Snippet::of("link", &format!("to = {line}"));
    let mut chain = Snippet {
        nodes: Vec::with_capacity(count),
        constants: one.constants,
    };
    let mut before = first.to_owned();
    for n in 1..=count {
        let mut node = one.nodes[0].clone();
        for name in node.input.iter_mut().filter(|name| *name == "from") {
            name.clone_from(&before);
        }
        before = format!("v{n}");
        node.name.clone_from(&before);
        node.output = vec![before.clone()];
        chain.nodes.push(node);
    }
    chain
}

pub(crate) fn rings() -> Vec<Case> {
    let mut cases = Vec::new();
    for link in LINKS {
        for length in [1, 2, 3, 1000] {
            // The first reads the last.
            let last = format!("v{length}");
            for (read, value) in [(true, "v1"), (false, "")] {
                let ring = chain(link, &last, length);
                let name = format!("a ring of {length} {link}, read: {read}");
                let right = if read { Right::Refused } else { Right::Either };
                cases.push(crafted(name, right, ring, value));
            }
        }
    }
    for nodes in [
        "a = Identity(b)
         b = Identity(a)
         y = Add(x, a)",
        "a = Add(x, b)
         b = Mul(a, x)
         y = Identity(b)",
        "a = If(c)
         c = Cast(a) to=9
         y = Identity(a)",
        "a, b = Split(b, {2,2}) axis=1
         y = Identity(a)",
        "a = Gather(b, {0})
         b = Shape(a)
         y = Reshape(x, b)",
        "a = Reshape(x, b)
         b = Shape(a)
         y = Identity(a)",
        "x = Identity(y)
         y = Identity(x)",
        "y = Identity(out_sample)",
        "y = Identity(last)",
    ] {
        let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
        cases.push(text(name, Right::Refused, nodes));
    }
    cases
}

pub(crate) fn doubled() -> Vec<Case> {
    let mut cases = Vec::new();
    for (link, right) in [
        ("Add(FROM, FROM)", Right::Paints),
        ("Mul(FROM, FROM)", Right::Paints),
        ("Max(FROM, FROM)", Right::Paints),
        ("Sub(FROM, FROM)", Right::Paints),
        ("MatMul(FROM, FROM)", Right::Either),
        ("Where({bool:#1}, FROM, FROM)", Right::Paints),
        ("Concat(FROM, FROM) axis=1", Right::Refused),
        ("Concat(FROM, FROM) axis=0", Right::Refused),
        ("Tile(FROM, {2,1,1,1})", Right::Refused),
        ("Pad(FROM, {0,0,0,0,1,1,1,1})", Right::Either),
        ("Sum(FROM, FROM, FROM)", Right::Either),
        ("Div(FROM, FROM)", Right::Either),
        ("Pow(FROM, FROM)", Right::Either),
        (
            "Resize(FROM, , {1.0,1.0,2.0,2.0}) mode=\"nearest\"",
            Right::Refused,
        ),
        (
            "ConvTranspose(FROM, {~4x4x2x2}) strides=[2,2]",
            Right::Refused,
        ),
    ] {
        for first in ["x", "moved"] {
            let name = format!("64 of {link} from {first}");
            cases.push(crafted(name, right, chain(link, first, 64), "v64"));
        }
    }
    // Each level of some nodes, which passes look through and behind.
    for (name, level, right) in [
        (
            "identities",
            "a$ = Identity(v)
             b$ = Identity(v)
             w = Add(a$, b$)",
            Right::Paints,
        ),
        (
            "casts",
            "a$ = Cast(v) to=10
             b$ = Cast(a$) to=1
             c$ = Cast(v) to=1
             w = Add(b$, c$)",
            Right::Paints,
        ),
        (
            "gates",
            "a$ = Sigmoid(v)
             w = Mul(v, a$)",
            Right::Paints,
        ),
        (
            "errors",
            "a$ = Div(v, {#1.4142})
             b$ = Erf(a$)
             c$ = Add(b$, {#1.0})
             d$ = Mul(v, c$)
             w = Mul(d$, {#0.5})",
            Right::Paints,
        ),
        (
            "norms",
            "m$ = ReduceMean(v) axes=[-1]
             d$ = Sub(v, m$)
             q$ = Pow(d$, {#2.0})
             n$ = ReduceMean(q$) axes=[-1]
             e$ = Add(n$, {#0.00001})
             s$ = Sqrt(e$)
             w = Div(d$, s$)",
            Right::Paints,
        ),
        (
            "turns",
            "a$ = Transpose(v) perm=[0,1,3,2]
             b$ = Transpose(v) perm=[0,1,3,2]
             w = Add(a$, b$)",
            Right::Paints,
        ),
        (
            "shapes",
            "a$ = Shape(v)
             b$ = Reshape(v, a$)
             c$ = Reshape(v, a$)
             w = Add(b$, c$)",
            Right::Paints,
        ),
        (
            "attentions",
            "t$ = Transpose(v) perm=[0,1,3,2]
             s$ = MatMul(v, t$)
             p$ = Softmax(s$) axis=-1
             w = MatMul(p$, v)",
            Right::Paints,
        ),
        (
            "products",
            "a$ = Conv(v, {~4x4x1x1})
             b$ = Conv(v, {~4x4x1x1})
             w = Add(a$, b$)",
            Right::Either,
        ),
        (
            "images",
            "a$ = InstanceNormalization(v, {~4}, {~4})
             b$ = Sigmoid(a$)
             c$ = Mul(a$, b$)
             w = Add(v, c$)",
            Right::Paints,
        ),
        (
            "branches",
            "s$ = ReduceMean(v) keepdims=0
             g$ = Cast(s$) to=9
             w = Where(g$, v, v)",
            Right::Either,
        ),
    ] {
        for levels in [8, 64] {
            let mut lines = String::new();
            for n in 1..=levels {
                let before = if n == 1 {
                    "x".to_owned()
                } else {
                    format!("v{}", n - 1)
                };
                let line = level.replace('$', &format!("_{n}"));
                let line = line.replace("w =", &format!("v{n} ="));
                let line = line.replace("(v", &format!("({before}"));
                let line = line.replace(", v", &format!(", {before}"));
                let _ = writeln!(lines, "{line}");
            }
            let value: &'static str = if levels == 8 { "v8" } else { "v64" };
            let name = format!("{levels} levels of {name}");
            cases.push(crafted(name, right, Snippet::of("k", &lines), value));
        }
    }
    // Whole numbers, which become shapes: sums of symbols as much as of numbers.
    for (link, right) in [
        ("Add(FROM, FROM)", Right::Refused),
        ("Mul(FROM, FROM)", Right::Refused),
        ("Sub(FROM, {#1})", Right::Refused),
    ] {
        for reads in [
            "y = ConstantOfShape(v64)",
            "y = Reshape(x, v64)",
            "y = Expand(x, v64)",
        ] {
            let mut snippet = chain(link, "shape", 64);
            let end = Snippet::of("end", reads);
            snippet.nodes.extend(end.nodes);
            cases.push(crafted(
                format!("64 of {link} of a shape, {reads}"),
                right,
                snippet,
                "y",
            ));
        }
    }
    cases
}

/// Promptly also with as many nodes as a network may have, and more.
pub(crate) fn long() -> Vec<Case> {
    let mut cases = Vec::new();
    for link in [
        "Identity(FROM)",
        "Relu(FROM)",
        "Neg(FROM)",
        "Add(FROM, {#0.5})",
        "Add(FROM, FROM)",
        "Sigmoid(FROM)",
        "Cast(FROM) to=1",
        "Transpose(FROM) perm=[0,1,3,2]",
        "Reshape(FROM, {1,4,4,4})",
        "Conv(FROM, {~4x4x1x1})",
    ] {
        for (count, right) in [
            (1000, Right::Paints),
            (10_000, Right::Either),
            (60_000, Right::Either),
            (300_000, Right::Refused),
        ] {
            let right = if right == Right::Paints && link.contains("Conv") {
                Right::Either
            } else {
                right
            };
            let end: &'static str = match count {
                1000 => "v1000",
                10_000 => "v10000",
                60_000 => "v60000",
                _ => "v300000",
            };
            let make = move |folder: &std::path::Path| {
                use prost::Message as _;
                micro::write(folder);
                let network = micro::unet_with(chain(link, "x", count), end);
                micro::put(folder, UNET, network.encode_to_vec());
            };
            let case = Case::new(format!("{count} of {link}"), right, make);
            cases.push(if right == Right::Refused {
                case.saying(&[UNET])
            } else {
                case
            });
        }
    }
    // Backwards, so that a list in order is none.
    for (count, right) in [(60_000, Right::Either), (300_000, Right::Refused)] {
        let mut chain = chain("Relu(FROM)", "x", count);
        chain.nodes.reverse();
        let end = if count == 60_000 { "v60000" } else { "v300000" };
        cases.push(crafted(
            format!("{count} nodes backwards"),
            right,
            chain,
            end,
        ));
    }
    // Whole numbers: folded while the graph is made.
    for count in [1000, 60_000] {
        let mut chain = chain("Add(FROM, {#0})", "shape", count);
        let end = Snippet::of("end", &format!("y = Reshape(x, v{count})"));
        chain.nodes.extend(end.nodes);
        cases.push(crafted(
            format!("{count} sums of a shape"),
            Right::Either,
            chain,
            "y",
        ));
    }
    let many = |name: &str, right, change: fn(&mut ModelProto)| {
        let make = move |folder: &std::path::Path| {
            use prost::Message as _;
            micro::write(folder);
            let mut network = micro::unet();
            change(&mut network);
            micro::put(folder, UNET, network.encode_to_vec());
        };
        Case::new(name, right, make)
    };
    fn graph(network: &mut ModelProto) -> &mut GraphProto {
        network.graph.as_mut().expect("it has one")
    }
    cases.extend([
        many("a million constants", Right::Either, |network| {
            let constant = |n| tensor(&format!("n{n}"), "#1.0");
            graph(network)
                .initializer
                .extend((0..1_000_000).map(constant));
        }),
        many("a million constant nodes", Right::Refused, |network| {
            let node = |n: usize| {
                let mut node = Snippet::of("", "y = Constant() value={#1.0}")
                    .nodes
                    .remove(0);
                node.output = vec![format!("n{n}")];
                node
            };
            graph(network).node.extend((0..1_000_000).map(node));
        }),
        many("100 000 inputs", Right::Refused, |network| {
            let input = |n| declared(&format!("i{n}"), DataType::Float, &[1]);
            graph(network).input.extend((0..100_000).map(input));
        }),
        many("100 000 outputs", Right::Either, |network| {
            let output = |_| declared("x", DataType::Float, &[0, 4, 0, 0]);
            graph(network).output.extend((0..100_000).map(output));
        }),
        many("a million value infos", Right::Either, |network| {
            let info = |n| declared(&format!("i{n}"), DataType::Float, &[1]);
            graph(network).value_info.extend((0..1_000_000).map(info));
        }),
        many("a node of 100 000 inputs", Right::Either, |network| {
            let mut node = Snippet::of("", "s = Sum(x)").nodes.remove(0);
            node.input = vec!["x".into(); 100_000];
            graph(network).node.push(node);
            graph(network)
                .output
                .push(declared("s", DataType::Float, &[]));
        }),
        many("a node of 100 000 outputs", Right::Refused, |network| {
            let mut node = Snippet::of("", "s = Split(x) axis=1").nodes.remove(0);
            node.output = (0..100_000).map(|n| format!("s{n}")).collect();
            graph(network).node.push(node);
            graph(network)
                .output
                .push(declared("s0", DataType::Float, &[]));
        }),
        many("a node of 100 000 attributes", Right::Either, |network| {
            let node = graph(network).node.last_mut().expect("a node");
            let attribute = |n| AttributeProto {
                name: format!("a{n}"),
                ..AttributeProto::default()
            };
            node.attribute.extend((0..100_000).map(attribute));
        }),
        many("a hundred thousand functions", Right::Either, |network| {
            let function = |n| FunctionProto {
                name: Some(format!("f{n}")),
                ..FunctionProto::default()
            };
            network.functions.extend((0..100_000).map(function));
        }),
    ]);
    cases
}

/// Names that make no line.
pub(crate) fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    let long = "n".repeat(1 << 20);
    for (what, name) in [
        ("of a megabyte", &long[..]),
        ("with line breaks", "a\nb\r\nc"),
        ("with control characters", "a\u{7}\u{1b}[31mb\0c"),
        ("with direction marks", "a\u{202e}b\u{2066}c\u{200f}d"),
        ("of many accents", &"e\u{301}".repeat(5000)),
        ("with a percent sign", "%s%n{}{0}"),
        ("empty", ""),
        ("a path", "../../x"),
    ] {
        let mut add = |place: &str, change: &dyn Fn(&mut ModelProto)| {
            let mut network = micro::unet_with(Snippet::of("k", "y = Reshape(x, {7,7})"), "y");
            change(&mut network);
            let name = format!("{place} {what}");
            cases.push(network_case(name, Right::Refused, UNET, network));
        };
        fn bad(network: &mut ModelProto) -> &mut NodeProto {
            let mut nodes = network.graph.as_mut().expect("it has one").node.iter_mut();
            nodes
                .find(|node| node.op_type == "Reshape" && node.output == ["y"])
                .expect("it is there")
        }
        add("a node's name", &|network| {
            name.clone_into(&mut bad(network).name)
        });
        add("an operator's name", &|network| {
            name.clone_into(&mut bad(network).op_type)
        });
        add("a domain", &|network| {
            bad(network).op_type = "Foo".into();
            name.clone_into(&mut bad(network).domain);
        });
        add("what a node reads", &|network| {
            name.clone_into(&mut bad(network).input[0])
        });
        add("an input's name", &|network| {
            let graph = network.graph.as_mut().expect("it has one");
            graph.input.push(declared(name, DataType::Float, &[1]));
        });
        add("an output's name", &|network| {
            let graph = network.graph.as_mut().expect("it has one");
            graph.output[0] = declared(name, DataType::Float, &[1]);
        });
        add("an attribute's name", &|network| {
            bad(network).attribute.push(AttributeProto {
                name: name.to_owned(),
                ..AttributeProto::default()
            });
        });
        add("a constant's name", &|network| {
            let constant = tensor(name, "3,-1,-1");
            bad(network).input[1] = name.to_owned();
            network
                .graph
                .as_mut()
                .expect("it has one")
                .initializer
                .push(constant);
        });
        add("a dimension's name", &|network| {
            use tract_onnx::pb::{tensor_shape_proto::dimension, type_proto};
            let graph = network.graph.as_mut().expect("it has one");
            let Some(kind) = &mut graph.input[0].r#type else {
                return;
            };
            let Some(type_proto::Value::TensorType(kind)) = &mut kind.value else {
                return;
            };
            let shape = kind.shape.as_mut().expect("it has one");
            shape.dim[0].value = Some(dimension::Value::DimParam(name.to_owned()));
        });
    }
    cases
}

/// What is said twice, not at all, or of nobody.
pub(crate) fn declarations() -> Vec<Case> {
    let mut cases = Vec::new();
    type Change = fn(&mut ModelProto, &mut GraphProto);
    let changes: &[(&str, Right, Change)] = &[
        ("no nodes", Right::Refused, |_, g| g.node.clear()),
        ("no outputs", Right::Refused, |_, g| g.output.clear()),
        ("no inputs", Right::Refused, |_, g| g.input.clear()),
        ("no constants", Right::Refused, |_, g| g.initializer.clear()),
        ("no opset", Right::Refused, |m, _| m.opset_import.clear()),
        ("no IR version", Right::Either, |m, _| m.ir_version = 0),
        ("IR version 10^9", Right::Either, |m, _| {
            m.ir_version = 1_000_000_000
        }),
        ("IR version -1", Right::Either, |m, _| m.ir_version = -1),
        ("opset 10^9", Right::Either, |m, _| {
            m.opset_import[0].version = 1_000_000_000
        }),
        ("two opsets", Right::Either, |m, _| {
            let mut again = m.opset_import[0].clone();
            again.version = 1;
            m.opset_import.push(again);
        }),
        (
            "an opset of another domain alone",
            Right::Refused,
            |m, _| {
                m.opset_import[0].domain = "elsewhere".into();
            },
        ),
        ("the last node twice", Right::Refused, |_, g| {
            let last = g.node[g.node.len() - 1].clone();
            g.node.push(last);
        }),
        ("all nodes twice", Right::Refused, |_, g| {
            let again = g.node.clone();
            g.node.extend(again);
        }),
        ("two nodes of one name", Right::Either, |_, g| {
            let name = g.node[0].name.clone();
            g.node[1].name = name;
        }),
        ("all nodes of one name", Right::Either, |_, g| {
            g.node.iter_mut().for_each(|node| node.name = "same".into());
        }),
        ("nodes named like others' outputs", Right::Either, |_, g| {
            let names: Vec<_> = g.node.iter().map(|node| node.output[0].clone()).collect();
            g.node
                .iter_mut()
                .zip(names.into_iter().rev())
                .for_each(|(node, name)| node.name = name);
        }),
        ("a constant twice", Right::Refused, |_, g| {
            let again = TensorProto {
                dims: vec![1],
                ..tensor(&g.initializer[0].name, "7.0")
            };
            g.initializer.push(again);
        }),
        (
            "a constant named like a node's output",
            Right::Refused,
            |_, g| {
                g.initializer.push(tensor("x", "7.0"));
            },
        ),
        ("a constant named like an input", Right::Refused, |_, g| {
            g.initializer.push(tensor("sample", "~1x4x4x4"));
        }),
        (
            "an input named like a node's output",
            Right::Refused,
            |_, g| {
                g.input.push(declared("x", DataType::Float, &[1]));
            },
        ),
        ("an input twice", Right::Refused, |_, g| {
            let again = g.input[0].clone();
            g.input.push(again);
        }),
        ("an input of a blank name", Right::Refused, |_, g| {
            g.input.push(declared("", DataType::Float, &[1]));
        }),
        ("a node that makes an input", Right::Refused, |_, g| {
            g.node
                .extend(Snippet::of("k", "sample = Identity(x)").nodes);
        }),
        ("an output twice", Right::Either, |_, g| {
            let again = g.output[0].clone();
            g.output.push(again);
        }),
        ("an output that nobody makes", Right::Refused, |_, g| {
            g.output.push(declared("nobody", DataType::Float, &[1]));
        }),
        ("an output of a blank name", Right::Refused, |_, g| {
            g.output[0].name.clear();
        }),
        ("an output that is an input", Right::Either, |_, g| {
            g.output[0].name = "sample".into();
        }),
        ("an output that is a constant", Right::Refused, |_, g| {
            let name = g.initializer[0].name.clone();
            g.output[0].name = name;
        }),
        ("an output of another type", Right::Either, |_, g| {
            g.output[0] = declared("out_sample", DataType::Int64, &[1, 2, 3]);
        }),
        ("an output of whole numbers", Right::Either, |_, g| {
            g.node
                .extend(Snippet::of("k", "numbers2 = Cast(out_sample) to=7").nodes);
            g.output[0].name = "numbers2".into();
        }),
        ("an output of text", Right::Refused, |_, g| {
            let text = Snippet::of("k", "text2 = Identity({str:a,b})");
            g.node.extend(text.nodes);
            g.initializer.extend(text.constants);
            g.output[0].name = "text2".into();
        }),
        ("an output of another shape", Right::Refused, |_, g| {
            g.output[0].name = "tokens".into()
        }),
        ("an output of one number", Right::Refused, |_, g| {
            g.output[0].name = "slow".into()
        }),
        ("inputs without a type", Right::Refused, |_, g| {
            g.input.iter_mut().for_each(|input| input.r#type = None);
        }),
        ("inputs of text", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::String, &[0, 4, 0, 0]);
        }),
        ("inputs of an unknown type", Right::Refused, |_, g| {
            use tract_onnx::pb::{TypeProto, type_proto};
            let value = type_proto::Tensor {
                elem_type: 9999,
                shape: None,
            };
            g.input[0].r#type = Some(TypeProto {
                value: Some(type_proto::Value::TensorType(value)),
                ..TypeProto::default()
            });
        }),
        ("an input of truth values", Right::Either, |_, g| {
            g.input[0] = declared("sample", DataType::Bool, &[0, 4, 0, 0]);
        }),
        ("an input of no axes", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[]);
        }),
        ("an input of 5 axes", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[0, 4, 0, 0, 0]);
        }),
        ("an input of a thousand axes", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[1; 1000]);
        }),
        ("an input of negative axes", Right::Either, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[-1, 4, -7, i64::MIN]);
        }),
        ("an input of vast axes", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[1 << 40, 4, 1 << 40, 1 << 40]);
        }),
        ("timesteps of vast axes", Right::Refused, |_, g| {
            g.input[1] = declared("timestep", DataType::Int64, &[1 << 40]);
        }),
        ("timesteps of 2^62", Right::Refused, |_, g| {
            g.input[1] = declared("timestep", DataType::Int64, &[1 << 62, 4]);
        }),
        ("timesteps of many axes", Right::Refused, |_, g| {
            g.input[1] = declared("timestep", DataType::Int64, &[1 << 20, 1 << 20]);
        }),
        ("a text of vast width", Right::Refused, |_, g| {
            g.input[2] = declared("encoder_hidden_states", DataType::Float, &[0, 0, 1 << 40]);
        }),
        ("a text of vast length", Right::Refused, |_, g| {
            g.input[2] = declared("encoder_hidden_states", DataType::Float, &[0, 1 << 40, 4]);
        }),
        ("one more input", Right::Refused, |_, g| {
            g.input.push(declared("control", DataType::Float, &[1]));
        }),
        ("a batch of a million", Right::Refused, |_, g| {
            g.input[0] = declared("sample", DataType::Float, &[1_000_000, 4, 0, 0]);
        }),
        ("metadata of a megabyte", Right::Either, |m, _| {
            m.doc_string = "d".repeat(1 << 20)
        }),
        ("a graph in training", Right::Either, |m, g| {
            m.training_info.push(TrainingInfoProto {
                algorithm: Some(g.clone()),
                ..TrainingInfoProto::default()
            });
        }),
        ("a sparse constant without values", Right::Either, |_, g| {
            g.sparse_initializer.push(SparseTensorProto {
                dims: vec![1 << 62, 1 << 62],
                ..SparseTensorProto::default()
            });
        }),
        (
            "a sparse constant of a vast shape",
            Right::Refused,
            |_, g| {
                g.node.extend(Snippet::of("k", "z = Add(x, sparse)").nodes);
                g.output[0].name = "z".into();
                g.sparse_initializer.push(SparseTensorProto {
                    values: Some(tensor("sparse", "1.0,2.0")),
                    indices: Some(tensor("at", "0,4611686018427387903")),
                    dims: vec![1 << 62],
                });
            },
        ),
        ("nodes backwards", Right::Either, |_, g| g.node.reverse()),
        ("a node without a name", Right::Either, |_, g| {
            g.node.iter_mut().for_each(|node| node.name.clear());
        }),
    ];
    for file in [UNET, TEXT_ENCODER, DECODER] {
        for (what, right, change) in changes {
            let mut network = match file {
                UNET => micro::unet(),
                TEXT_ENCODER => micro::text_encoder(),
                _ => micro::decoder(),
            };
            let mut graph = network.graph.take().expect("it has one");
            // What is said of the U-Net's names means little elsewhere.
            let own = file == UNET;
            let right = if own { *right } else { Right::Either };
            if !own && (graph.input.len() < 3) && what.contains("time") | what.contains("text") {
                continue;
            }
            change(&mut network, &mut graph);
            network.graph = Some(graph);
            cases.push(network_case(
                format!("{file}: {what}"),
                right,
                file,
                network,
            ));
        }
        let empty = ModelProto::default();
        cases.push(network_case(
            format!("{file}: nothing"),
            Right::Refused,
            file,
            empty,
        ));
    }
    cases
}

pub(crate) fn nested() -> Vec<Case> {
    let mut cases = Vec::new();
    let leaf = || Snippet::of("k", "y = Identity(x)");
    for depth in [1, 5, 20, 40, 90, 200, 2000] {
        // One level: an attribute, a graph, a node, each a message of its own.
        let mut nested = leaf();
        for _ in 0..depth {
            // Both branches would double each level: only one is deep.
            let mut outer = branch(leaf());
            outer.nodes[0].attribute[0]
                .g
                .as_mut()
                .expect("a graph")
                .node = nested.nodes;
            let constants = nested.constants;
            outer.nodes[0].attribute[0]
                .g
                .as_mut()
                .expect("a graph")
                .initializer = constants;
            nested = outer;
        }
        let right = if depth > 40 {
            Right::Refused
        } else {
            Right::Either
        };
        cases.push(crafted(
            format!("{depth} branches in branches"),
            right,
            nested,
            "y",
        ));
    }
    for levels in [3, 10, 16] {
        let mut nested = leaf();
        for _ in 0..levels {
            nested = branch(nested);
        }
        cases.push(crafted(
            format!("{levels} levels of two branches"),
            Right::Either,
            nested,
            "y",
        ));
    }
    // Branches that differ, miss, or read what is not there.
    type Change = fn(&mut NodeProto);
    fn graph(node: &mut NodeProto, at: usize) -> &mut GraphProto {
        node.attribute[at].g.as_mut().expect("a graph")
    }
    let changes: &[(&str, Right, Change)] = &[
        ("one branch missing", Right::Refused, |n| {
            n.attribute.pop();
        }),
        ("no branches", Right::Refused, |n| n.attribute.clear()),
        ("a branch without a graph", Right::Refused, |n| {
            n.attribute[0].g = None
        }),
        ("a branch without outputs", Right::Refused, |n| {
            graph(n, 0).output.clear()
        }),
        ("both branches without outputs", Right::Refused, |n| {
            graph(n, 0).output.clear();
            graph(n, 1).output.clear();
        }),
        ("a branch without nodes", Right::Refused, |n| {
            graph(n, 0).node.clear()
        }),
        ("both branches without nodes", Right::Refused, |n| {
            graph(n, 0).node.clear();
            graph(n, 1).node.clear();
        }),
        ("a branch with inputs", Right::Either, |n| {
            graph(n, 0)
                .input
                .push(declared("in", DataType::Float, &[1]));
        }),
        ("branches of different shapes", Right::Either, |n| {
            *graph(n, 1) = GraphProto {
                node: Snippet::of("k", "y = Identity(tokens)").nodes,
                output: vec![declared("y", DataType::Float, &[])],
                ..GraphProto::default()
            };
        }),
        ("a branch that reads nobody", Right::Refused, |n| {
            graph(n, 0).node[0].input[0] = "nobody".into();
            graph(n, 1).node[0].input[0] = "nobody".into();
        }),
        ("branches that read themselves", Right::Refused, |n| {
            graph(n, 0).node[0].input[0] = "y".into();
            graph(n, 1).node[0].input[0] = "y".into();
        }),
        ("branches that read what comes later", Right::Refused, |n| {
            graph(n, 0).node[0].input[0] = "out_sample".into();
            graph(n, 1).node[0].input[0] = "out_sample".into();
        }),
        ("a condition that is a number", Right::Either, |n| {
            n.input[0] = "x".into()
        }),
        ("a condition that is an image", Right::Either, |n| {
            n.input[0] = "shape".into()
        }),
        ("no condition", Right::Refused, |n| n.input.clear()),
        ("a blank condition", Right::Refused, |n| n.input[0].clear()),
        ("two outputs of branches with one", Right::Refused, |n| {
            n.output.push("z".into())
        }),
    ];
    for (what, right, change) in changes {
        let mut snippet = branch(leaf());
        change(&mut snippet.nodes[0]);
        cases.push(crafted(*what, *right, snippet, "y"));
    }
    // Loops and scans, which are graphs as well.
    for op in ["Loop", "Scan", "SequenceMap"] {
        for inputs in [
            &[][..],
            &["x"],
            &["k0", "k1", "x"],
            &["x", "x"],
            &["", "", "x"],
        ] {
            for scans in [-1, 0, 1, 5, i64::MAX] {
                let body = GraphProto {
                    node: Snippet::of("k", "o = Identity(i)").nodes,
                    input: vec![declared("i", DataType::Float, &[])],
                    output: vec![declared("o", DataType::Float, &[])],
                    ..GraphProto::default()
                };
                let mut snippet = Snippet::of(
                    "k",
                    "y = Identity(x)\nz = Op({#2^40}, {bool:#1}) num_scan_inputs=1",
                );
                let mut node = snippet.nodes.pop().expect("a node");
                snippet.nodes.clear();
                op.clone_into(&mut node.op_type);
                node.input = inputs.iter().map(|name| (*name).to_owned()).collect();
                node.output = vec!["y".into()];
                node.attribute[0].i = scans;
                node.attribute.push(AttributeProto {
                    name: "body".into(),
                    r#type: AttributeType::Graph as i32,
                    g: Some(body),
                    ..AttributeProto::default()
                });
                snippet.nodes.push(node);
                let name = format!("{op} of {inputs:?}, {scans} scanned");
                cases.push(crafted(name, Right::Either, snippet, "y"));
            }
        }
    }
    cases
}

/// Functions of the model: that call themselves, each other, twice each, or with other numbers of inputs.
pub(crate) fn functions() -> Vec<Case> {
    let function = |name: &str, text: &str| {
        let mut nodes = Snippet::of("k", text).nodes;
        for node in nodes
            .iter_mut()
            .filter(|node| node.op_type.starts_with('F'))
        {
            node.domain = "local".into();
        }
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("local".into()),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: nodes,
            opset_import: micro::unet().opset_import,
            ..FunctionProto::default()
        }
    };
    let mut cases = Vec::new();
    let mut add = |name: String, right, call: &str, functions: Vec<FunctionProto>| {
        let mut call = Snippet::of("k", call);
        call.nodes[0].domain = "local".into();
        let mut network = micro::unet_with(call, "y");
        network.functions = functions;
        cases.push(network_case(name, right, UNET, network));
    };
    add(
        "calls itself".into(),
        Right::Refused,
        "y = F(x)",
        vec![function("F", "b = F(a)")],
    );
    let two = vec![function("F", "b = Fg(a)"), function("Fg", "b = F(a)")];
    add("call each other".into(), Right::Refused, "y = F(x)", two);
    for levels in [10, 30, 64, 1000, 20_000] {
        for (what, twice) in [("once", false), ("twice", true)] {
            let mut functions = vec![function("F0", "b = Relu(a)")];
            for n in 1..=levels {
                let before = n - 1;
                let text = if twice {
                    format!("c = F{before}(a)\nb = F{before}(c)")
                } else {
                    format!("b = F{before}(a)")
                };
                functions.push(function(&format!("F{n}"), &text));
            }
            let right = if twice && levels > 20 {
                Right::Refused
            } else {
                Right::Either
            };
            add(
                format!("{levels} levels, {what}"),
                right,
                &format!("y = F{levels}(x)"),
                functions,
            );
        }
    }
    for (what, call, text) in [
        ("too few inputs", "y = F()", "b = Relu(a)"),
        ("too many inputs", "y = F(x, x, x)", "b = Relu(a)"),
        ("too many outputs", "y, z = F(x)", "b = Relu(a)"),
        ("no outputs made", "y = F(x)", "c = Relu(a)"),
        ("an input that is not there", "y = F(x)", "b = Relu(c)"),
        ("what the caller has", "y = F(x)", "b = Relu(x)"),
        ("a ring", "y = F(x)", "b = Add(a, c)\nc = Relu(b)"),
        ("of no such name", "y = Fnobody(x)", "b = Relu(a)"),
        ("a blank input", "y = F()", "b = Relu(a)"),
    ] {
        add(what.into(), Right::Refused, call, vec![function("F", text)]);
    }
    let mut named = function("F", "b = LeakyRelu(a)");
    named.node[0].attribute.push(AttributeProto {
        name: "alpha".into(),
        ref_attr_name: "nobody".into(),
        r#type: AttributeType::Float as i32,
        ..AttributeProto::default()
    });
    add(
        "an attribute that is not given".into(),
        Right::Either,
        "y = F(x)",
        vec![named],
    );
    let twice = vec![function("F", "b = Relu(a)"), function("F", "b = Neg(a)")];
    add("of one name twice".into(), Right::Either, "y = F(x)", twice);
    // One that is called like an operator of ONNX: a function of domain `local` is no `Relu` of ONNX's.
    let mut relu = function("Relu", "b = Neg(a)");
    relu.name = Some("Relu".into());
    add(
        "called like an operator".into(),
        Right::Either,
        "y = Relu(x)",
        vec![relu],
    );
    cases
}

/// Constants of every type in every field that may hold them.
pub(crate) fn constants() -> Vec<Case> {
    let mut cases = Vec::new();
    for data_type in -1..=27 {
        let fields: &[(&str, fn(&mut TensorProto))] = &[
            ("nothing", |_| {}),
            ("raw bytes", |t| t.raw_data = vec![1; 32]),
            ("3 raw bytes", |t| t.raw_data = vec![1; 3]),
            ("floats", |t| t.float_data = vec![1.0; 4]),
            ("int32", |t| t.int32_data = vec![1; 4]),
            ("int64", |t| t.int64_data = vec![1; 4]),
            ("doubles", |t| t.double_data = vec![1.0; 4]),
            ("uint64", |t| t.uint64_data = vec![1; 4]),
            ("text", |t| t.string_data = vec![vec![0xff, 0xfe]; 4]),
            ("raw bytes and floats", |t| {
                t.raw_data = vec![1; 16];
                t.float_data = vec![1.0; 4];
            }),
            ("one int32", |t| t.int32_data = vec![i32::MIN]),
        ];
        for (what, fill) in fields {
            for dims in [
                &[4][..],
                &[2, 2],
                &[],
                &[0],
                &[-4],
                &[1 << 62, 4],
                &[1 << 40],
            ] {
                for nodes in [
                    "y = Identity(t)",
                    "y = Add(t, x)",
                    "y = Reshape(x, t)",
                    "y = MatMul(t, {~4x4})",
                ] {
                    // The four ways of reading one are much alike: in turn.
                    if (dims.len() + nodes.len() + what.len()) % 4 != (data_type + 1) as usize % 4 {
                        continue;
                    }
                    let mut snippet = Snippet::of("k", nodes);
                    let mut made = TensorProto {
                        name: "t".into(),
                        dims: dims.to_vec(),
                        data_type,
                        ..TensorProto::default()
                    };
                    fill(&mut made);
                    snippet.constants.push(made);
                    let name = format!("{nodes}: type {data_type}, {what} as {dims:?}");
                    let right = if dims.iter().any(|n| !(0..1 << 30).contains(n)) {
                        Right::Refused
                    } else {
                        Right::Either
                    };
                    cases.push(crafted(name, right, snippet, "y"));
                }
            }
        }
    }
    cases
}
