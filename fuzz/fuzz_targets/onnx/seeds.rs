//! Files to begin with: one of each kind that the reader tells apart.

use prost::Message as _;
use prost::encoding::encode_varint;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    TensorProto, attribute_proto::AttributeType,
};

use crate::micro;

/// Each with a name.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("text_encoder", micro::text_encoder().encode_to_vec()),
        ("unet", micro::unet().encode_to_vec()),
        ("decoder", micro::decoder().encode_to_vec()),
        ("nested", nested().encode_to_vec()),
        ("functions", functions()),
    ];
    // What is large stays in the file; the limit is 1 KiB.
    let sizes = [0, 1, 1020, 1024, 1028, 6000];
    let weights = sizes.map(|size| weight(size, None));
    seeds.push(("inside", with(weights.to_vec()).encode_to_vec()));
    let said = sizes.map(|size| weight(size, Some(DataLocation::Default)));
    seeds.push(("said-inside", with(said.to_vec()).encode_to_vec()));
    seeds.push(("outside", outside(&[("length", "64")])));
    seeds.push(("blocked", outside(&[("easel.blocked", "4")])));
    seeds.push(("twice", twice()));
    seeds
}

fn with(initializer: Vec<TensorProto>) -> ModelProto {
    let mut model = micro::text_encoder();
    if let Some(graph) = &mut model.graph {
        graph.initializer.extend(initializer);
    }
    model
}

/// A weight of so many bytes.
fn weight(size: usize, location: Option<DataLocation>) -> TensorProto {
    TensorProto {
        name: format!("w{size}"),
        dims: vec![(size / 4) as i64],
        data_type: DataType::Float as i32,
        data_location: location.map(|location| location as i32),
        raw_data: (0..size / 4 * 4).map(|at| at as u8).collect(),
        ..TensorProto::default()
    }
}

/// A weight in another file, which is the network's own.
fn outside(more: &[(&str, &str)]) -> Vec<u8> {
    let entries = [("location", "model.onnx"), ("offset", "4")];
    let entries = entries.iter().chain(more);
    let entries = entries.map(|(key, value)| StringStringEntryProto {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    let tensor = TensorProto {
        name: "w".to_owned(),
        dims: vec![4, 4, 1, 1],
        data_type: DataType::Float as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: entries.collect(),
        ..TensorProto::default()
    };
    with(vec![tensor]).encode_to_vec()
}

/// Two graphs in one file, and a weight with two values of which the last one counts.
fn twice() -> Vec<u8> {
    const GRAPH: u64 = 7;
    const INITIALIZER: u64 = 5;
    let data = |size| TensorProto {
        raw_data: vec![7; size],
        ..TensorProto::default()
    };
    let two = [data(2000).encode_to_vec(), data(4).encode_to_vec()].concat();
    let graph = field(INITIALIZER, &two);
    [
        micro::decoder().encode_to_vec(),
        field(GRAPH, &graph),
        field(GRAPH, &[]),
    ]
    .concat()
}

/// Graphs within graphs.
fn nested() -> ModelProto {
    let mut graph = GraphProto::default();
    for _ in 0..3 {
        let branch = AttributeProto {
            name: "then_branch".to_owned(),
            r#type: AttributeType::Graph as i32,
            g: Some(graph.clone()),
            graphs: vec![graph],
            ..AttributeProto::default()
        };
        let node = NodeProto {
            op_type: "If".to_owned(),
            attribute: vec![branch],
            ..NodeProto::default()
        };
        graph = GraphProto {
            node: vec![node],
            initializer: vec![weight(1200, None)],
            ..GraphProto::default()
        };
    }
    ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// A function with a default and an overload, which the decoder's types leave out (onnx.proto: `FunctionProto.attribute_proto`,
/// `.overload`, `NodeProto.overload`).
fn functions() -> Vec<u8> {
    const GRAPH: u64 = 7;
    const NODE: u64 = 1;
    const NODE_OVERLOAD: u64 = 8;
    const FUNCTIONS: u64 = 25;
    const DEFAULTS: u64 = 11;
    const OVERLOAD: u64 = 13;
    let function = FunctionProto {
        name: Some("leaky".to_owned()),
        domain: Some("local".to_owned()),
        ..FunctionProto::default()
    };
    let default = AttributeProto {
        name: "slope".to_owned(),
        r#type: AttributeType::Float as i32,
        f: 0.5,
        ..AttributeProto::default()
    };
    let call = NodeProto {
        op_type: "leaky".to_owned(),
        domain: "local".to_owned(),
        ..NodeProto::default()
    };
    let function = [
        function.encode_to_vec(),
        field(DEFAULTS, &default.encode_to_vec()),
        field(OVERLOAD, b"b"),
    ];
    let call = [call.encode_to_vec(), field(NODE_OVERLOAD, b"b")].concat();
    [
        field(GRAPH, &field(NODE, &call)),
        field(FUNCTIONS, &function.concat()),
    ]
    .concat()
}

/// Bytes as a field of this number.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    /// The kind of value that says how long it is (protobuf.dev/programming-guides/encoding).
    const LENGTH: u64 = 2;
    let mut field = Vec::new();
    encode_varint(number << 3 | LENGTH, &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}
