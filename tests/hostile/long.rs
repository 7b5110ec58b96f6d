//! As many nodes, constants and names as a network may have, and more.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto};

use super::crafted::crafted;
use super::graphs::chain;
use super::language::{Snippet, tensor};
use super::micro::{self, UNET, declared};
use super::watch::{Case, Right};

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
            (500, Right::Paints),
            (60_000, Right::Either),
            (300_000, Right::Refused),
        ] {
            let right =
                if right == Right::Paints && (link.contains("Conv") || link == "Add(FROM, FROM)") {
                    Right::Either
                } else {
                    right
                };
            let end: &'static str = match count {
                500 => "v500",
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
