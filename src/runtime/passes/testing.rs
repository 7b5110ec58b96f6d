//! Small graphs for the tests of passes: written as text, run by tract.

use std::path::Path;

use tract_core::prelude::{IntoTValue as _, TVec, Tensor, TractResult, tensor1};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, type_proto,
};
use tract_onnx::prelude::{
    Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _,
};

use super::graph::{check, float_attribute, float_tensor, int_attribute, text_attribute};
use super::{Pass, PassContext, node};
use crate::runtime::ops;

/// A network of the nodes of `text`, a line each: `a, b = Op(x, y) axis=-1 perm=0,2,1`. A list of one integer ends in
/// a comma. What nobody makes is an input, of floats.
pub(in crate::runtime) fn model(
    text: &str,
    constants: Vec<TensorProto>,
    outputs: &[&str],
) -> ModelProto {
    let nodes: Vec<NodeProto> = text.lines().map(|line| parse(line.trim())).collect();
    let mut inputs: Vec<&String> = Vec::new();
    for name in nodes.iter().flat_map(|node| &node.input) {
        let made = nodes.iter().any(|node| node.output.contains(name));
        let known = made || constants.iter().any(|tensor| tensor.name == *name);
        if !known && !name.is_empty() && !inputs.contains(&name) {
            inputs.push(name);
        }
    }
    let graph = GraphProto {
        input: inputs.into_iter().map(|name| declared(name)).collect(),
        output: outputs.iter().map(|name| declared(name)).collect(),
        initializer: constants,
        node: nodes,
        ..GraphProto::default()
    };
    at_opset(
        17,
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        },
    )
}

/// The network, of this version of ONNX's operators.
pub(in crate::runtime) fn at_opset(version: i64, model: ModelProto) -> ModelProto {
    let opset = OperatorSetIdProto {
        version,
        ..OperatorSetIdProto::default()
    };
    ModelProto {
        opset_import: vec![opset],
        ir_version: 8,
        ..model
    }
}

fn parse(line: &str) -> NodeProto {
    let (outputs, rest) = line.split_once('=').expect("outputs = op");
    let (op, rest) = rest.split_once('(').expect("op(inputs)");
    let (inputs, attributes) = rest.split_once(')').expect("inputs)");
    let names = |list: &str| -> Vec<String> {
        let names = list.split(',').map(|name| name.trim().to_owned());
        if list.trim().is_empty() {
            vec![]
        } else {
            names.collect()
        }
    };
    let outputs = names(outputs);
    let mut node = node(op.trim(), &[], &outputs[0]);
    node.input = names(inputs);
    node.output = outputs;
    node.attribute = attributes.split_whitespace().map(attribute).collect();
    node
}

fn attribute(text: &str) -> AttributeProto {
    let (name, value) = text.split_once('=').expect("name=value");
    if value.contains(',') {
        let values = value.split(',').filter(|v| !v.is_empty());
        return AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Ints as i32,
            ints: values.map(|v| v.parse().expect("an integer")).collect(),
            ..AttributeProto::default()
        };
    }
    match (value.parse::<i64>(), value.parse::<f32>()) {
        (Ok(int), _) => int_attribute(name, int),
        (_, Ok(float)) => float_attribute(name, float),
        _ => text_attribute(name, value),
    }
}

fn declared(name: &str) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        ..type_proto::Tensor::default()
    };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value,
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A constant of floats.
pub(in crate::runtime) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    float_tensor(name, dims, values)
}

/// A constant list of integers.
pub(in crate::runtime) fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Numbers without a pattern, from −2 to 2.
pub(super) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 4.0 - 2.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// A tensor of [noise].
pub(in crate::runtime) fn random(shape: &[usize], seed: u32) -> Tensor {
    let values = noise(shape.iter().product(), seed);
    tensor1(&values).into_shape(shape).expect("as many")
}

/// The graph after the pass; checked.
pub(super) fn run_pass(model: &mut ModelProto, pass: Pass) -> &GraphProto {
    pass(model, &mut PassContext::new(Path::new(""))).expect("the pass runs");
    let graph = model.graph.as_ref().expect("it has one");
    check(graph).expect("still a graph");
    graph
}

/// The kinds of its nodes, in order.
pub(in crate::runtime) fn kinds(graph: &GraphProto) -> Vec<&str> {
    graph
        .node
        .iter()
        .map(|node| node.op_type.as_str())
        .collect()
}

/// Runs the network on f32 inputs; its first output.
pub(in crate::runtime) fn evaluate(model: &ModelProto, inputs: &[Tensor]) -> Tensor {
    try_evaluate(model, inputs).expect("it runs")
}

/// As [`evaluate`], of a network that may fail when it runs.
pub(super) fn try_evaluate(model: &ModelProto, inputs: &[Tensor]) -> TractResult<Tensor> {
    let mut onnx = tract_onnx::onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true);
    ops::register_all(&mut onnx.op_register);
    let mut model = model.clone();
    super::name_nodes(&mut model);
    let mut model = onnx.model_for_proto_model(&model).expect("a network");
    for (index, input) in inputs.iter().enumerate() {
        let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
        model.set_input_fact(index, fact).expect("an input");
    }
    let plan = model
        .into_optimized()
        .and_then(|model| model.into_runnable())
        .expect("a plan");
    let inputs: TVec<_> = inputs
        .iter()
        .map(|input| input.clone().into_tvalue())
        .collect();
    let outputs = plan.run(inputs)?;
    Ok(Tensor::clone(&outputs[0]))
}

/// Runs the pass and compares what the network computes before and after; gives the kinds of nodes that it has then.
pub(super) fn same_after(pass: Pass, mut model: ModelProto, inputs: &[Tensor]) -> Vec<String> {
    let before = evaluate(&model, inputs);
    run_pass(&mut model, pass);
    let after = evaluate(&model, inputs);
    after.close_enough(&before, true).expect("the same numbers");
    let graph = model.graph.as_ref().expect("it has one");
    kinds(graph).into_iter().map(String::from).collect()
}
