//! What later versions of ONNX say of functions and the decoder's types leave out: defaults of attributes, and several functions of
//! one name (`FunctionProto.attribute_proto` and `.overload`, `NodeProto.overload`; onnx.proto, IR versions 9 and 10). Both are written
//! down where calls have them: attributes that a call leaves out, and an overload as a part of the name.

use std::collections::HashMap;

use prost::{DecodeError, Message};
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

#[derive(Clone, PartialEq, Message)]
struct ModelRest {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphRest>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionRest>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionRest {
    #[prost(message, repeated, tag = "7")]
    node: Vec<NodeRest>,
    #[prost(message, repeated, tag = "11")]
    attribute_proto: Vec<AttributeProto>,
    #[prost(string, tag = "13")]
    overload: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphRest {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeRest>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeRest {
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeRest>,
    #[prost(string, tag = "8")]
    overload: String,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeRest {
    #[prost(message, optional, tag = "6")]
    g: Option<GraphRest>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<GraphRest>,
}

/// Defaults by domain and name.
type Defaults = HashMap<(String, String), Vec<AttributeProto>>;

/// Completes the calls of a network that has functions; `bytes` is what it was decoded from.
pub(super) fn complete(model: &mut ModelProto, bytes: &[u8]) -> Result<(), DecodeError> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let rest = ModelRest::decode(bytes)?;
    let mut defaults = Defaults::new();
    for (function, rest) in model.functions.iter_mut().zip(&rest.functions) {
        if !rest.overload.is_empty() {
            function.name = Some(overloaded(function.name(), &rest.overload));
        }
        let key = (function.domain().to_owned(), function.name().to_owned());
        defaults.insert(key, rest.attribute_proto.clone());
    }
    if let (Some(graph), Some(rest)) = (&mut model.graph, &rest.graph) {
        nodes(&mut graph.node, &rest.node, &defaults);
    }
    for (function, rest) in model.functions.iter_mut().zip(&rest.functions) {
        nodes(&mut function.node, &rest.node, &defaults);
    }
    Ok(())
}

fn overloaded(name: &str, overload: &str) -> String {
    format!("{name}:{overload}")
}

fn nodes(nodes: &mut [NodeProto], rest: &[NodeRest], defaults: &Defaults) {
    for (node, rest) in nodes.iter_mut().zip(rest) {
        if !rest.overload.is_empty() {
            node.op_type = overloaded(&node.op_type, &rest.overload);
        }
        for (attribute, rest) in node.attribute.iter_mut().zip(&rest.attribute) {
            let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
            for (graph, rest) in graphs.zip(rest.g.iter().chain(&rest.graphs)) {
                let GraphProto { node, .. } = graph;
                self::nodes(node, &rest.node, defaults);
            }
        }
        let key = (node.domain.clone(), node.op_type.clone());
        for default in defaults.get(&key).into_iter().flatten() {
            if node
                .attribute
                .iter()
                .all(|given| given.name != default.name)
            {
                node.attribute.push(default.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::encode_varint;
    use tract_onnx::pb::{FunctionProto, attribute_proto::AttributeType};

    use super::*;

    /// A message within one, as a field of this number.
    fn field(number: u64, message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_varint(number << 3 | 2, &mut bytes);
        encode_varint(message.len() as u64, &mut bytes);
        bytes.extend_from_slice(message);
        bytes
    }

    #[test]
    fn calls_get_the_defaults_and_the_overload() {
        let function = |value: f32, overload: &str| {
            let function = FunctionProto {
                name: Some("leaky".to_owned()),
                domain: Some("local".to_owned()),
                ..FunctionProto::default()
            };
            let default = AttributeProto {
                name: "slope".to_owned(),
                r#type: AttributeType::Float as i32,
                f: value,
                ..AttributeProto::default()
            };
            let parts = [
                function.encode_to_vec(),
                field(11, &default.encode_to_vec()),
                field(13, overload.as_bytes()),
            ];
            field(25, &parts.concat())
        };
        let node = |overload: &str, attribute: Vec<AttributeProto>| {
            let node = NodeProto {
                op_type: "leaky".to_owned(),
                domain: "local".to_owned(),
                attribute,
                ..NodeProto::default()
            };
            field(
                1,
                &[node.encode_to_vec(), field(8, overload.as_bytes())].concat(),
            )
        };
        let given = AttributeProto {
            name: "slope".to_owned(),
            f: 3.0,
            ..AttributeProto::default()
        };
        let graph = [node("", vec![]), node("b", vec![]), node("b", vec![given])].concat();
        let bytes = [field(7, &graph), function(1.0, ""), function(2.0, "b")].concat();
        let mut model = ModelProto::decode(&bytes[..]).expect("a network");
        complete(&mut model, &bytes).expect("it is one");
        let names: Vec<&str> = model.functions.iter().map(FunctionProto::name).collect();
        assert_eq!(names, ["leaky", "leaky:b"]);
        let nodes = &model.graph.as_ref().expect("it has one").node;
        let found: Vec<(&str, f32)> = nodes
            .iter()
            .map(|n| (&*n.op_type, n.attribute[0].f))
            .collect();
        assert_eq!(found, [("leaky", 1.0), ("leaky:b", 2.0), ("leaky:b", 3.0)]);
    }
}
