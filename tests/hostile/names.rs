//! Names that make no line.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto};

use super::crafted::network_case;
use super::language::{Snippet, tensor};
use super::micro::{self, UNET, declared};
use super::watch::{Case, Right};

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
                .find(|node| node.output == ["y"])
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
