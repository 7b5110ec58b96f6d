//! What a network says of itself.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, SparseTensorProto, TensorProto, TrainingInfoProto};

use super::crafted::network_case;
use super::language::{Snippet, tensor};
use super::micro::{self, DECODER, TEXT_ENCODER, UNET, declared};
use super::watch::{Case, Right};

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
