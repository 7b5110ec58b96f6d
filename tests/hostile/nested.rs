//! Graphs in graphs: branches, loops, functions of the model.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, NodeProto};

use super::crafted::{crafted, network_case};
use super::language::Snippet;
use super::micro::{self, UNET, declared};
use super::outsiders::branch;
use super::watch::{Case, Right};

pub(crate) fn nested() -> Vec<Case> {
    let mut cases = Vec::new();
    let leaf = || Snippet::of("k", "y = Identity(x)");
    for depth in [1, 5, 20, 40, 90, 200] {
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
    let opset = micro::unet().opset_import;
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
            opset_import: opset.clone(),
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
